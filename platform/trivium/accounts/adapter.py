"""How allauth behaves here."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest
from django.urls import reverse


class ClosedSignUpAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # untyped
    """Accounts are made by an admin's invitation, never by a stranger."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Say no."""
        return False

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:  # noqa: ARG002
        """Lead back to the person's own page."""
        return reverse("accounts:profile")
