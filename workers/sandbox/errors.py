"""How rendering fails."""


class TemplateError(ValueError):
    """A template cannot be used; the sentence says why and what to change."""
