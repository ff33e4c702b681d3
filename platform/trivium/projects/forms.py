"""Forms about projects and their members."""

from django import forms

from trivium.projects.models import Role
from trivium.projects.services import MAX_PROJECT_NAME


class ProjectForm(forms.Form):
    """What a project is called."""

    name = forms.CharField(max_length=MAX_PROJECT_NAME)
    description = forms.CharField(
        max_length=10_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What this project is for, in a sentence or two.",
    )


class RoleForm(forms.Form):
    """A member's role."""

    role = forms.TypedChoiceField(
        choices=Role.choices,
        coerce=lambda value: Role(int(value)),
        initial=Role.VIEWER,
    )


class InviteForm(RoleForm):
    """A new member: someone with an account, or someone who gets one."""

    username = forms.CharField(
        max_length=150,
        help_text="Of someone with an account here, or of a new one to be made.",
    )
    email = forms.EmailField(
        label="E-mail", required=False, help_text="For a new account only; optional."
    )

    field_order = ["username", "role", "email"]
