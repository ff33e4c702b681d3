"""Forms about a person's own account."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from trivium.accounts.models import ApiToken, User

NEVER = ""
LIFETIMES = [("30", "30 days"), ("90", "90 days"), ("365", "A year"), (NEVER, "Never")]


class ProfileForm(forms.Form):
    """How a person is called and reached."""

    first_name = forms.CharField(label="First name", max_length=150, required=False)
    last_name = forms.CharField(label="Last name", max_length=150, required=False)
    email = forms.EmailField(
        label="E-mail",
        max_length=254,
        required=False,
        help_text="May be used instead of the username to sign in.",
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        """Start from what is known."""
        known = {name: getattr(user, name) for name in ("first_name", "last_name")}
        kwargs["initial"] = known | {"email": user.email}
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_email(self) -> str:
        """Refuse an address that signs somebody else in."""
        email: str = self.cleaned_data["email"]
        others = User.objects.filter(email__iexact=email).exclude(pk=self.user.pk)
        if email and others.exists():
            raise forms.ValidationError("Another account has this address.")
        return email


class TokenForm(forms.Form):
    """A new API token."""

    name = forms.CharField(
        max_length=100,
        help_text="What will use it, like “laptop” or “nightly job”.",
    )
    scope = forms.TypedChoiceField(
        label="May do",
        choices=ApiToken.Scope.choices,
        coerce=ApiToken.Scope,
        initial=ApiToken.Scope.FULL,
    )
    lifetime = forms.ChoiceField(
        label="Expires after", choices=LIFETIMES, initial="90", required=False
    )

    def expires(self) -> datetime | None:
        """Return the moment it stops working, if it ever does."""
        days = self.cleaned_data["lifetime"]
        return timezone.now() + timedelta(days=int(days)) if days else None
