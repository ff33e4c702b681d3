"""Signing in by link, and a person's own settings."""

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from trivium.accounts import queries, services
from trivium.accounts.forms import ProfileForm, TokenForm
from trivium.http import SignedInRequest, add_form_error
from trivium.openai.example import talking_code
from trivium.runs.errors import SubmitError

BACKEND = "django.contrib.auth.backends.ModelBackend"


@require_GET
@never_cache
@sensitive_variables("secret")
def use_sign_in_link(request: HttpRequest, secret: str) -> HttpResponse:
    """Sign in whom the link is for; it works once.

    Only GET: the HEAD of a link preview, or a browser that fetches ahead, must not
    spend it. `login` gives the session a new key.
    """
    if "prefetch" in request.headers.get("Sec-Purpose", ""):
        return HttpResponse(status=204)
    user = services.use_sign_in_link(secret)
    if user is not None:
        login(request, user, backend=BACKEND)
        return redirect("pages:home")
    if request.user.is_authenticated:
        return redirect("pages:home")
    return render(request, "accounts/link_spent.html", status=410)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit_profile(request: SignedInRequest) -> HttpResponse:
    """Show and store a person's name and address."""
    user = request.user
    form = ProfileForm(request.POST or None, user=user)
    if request.method == "POST" and form.is_valid():
        try:
            services.update_profile(user=user, **form.cleaned_data)
        except SubmitError as error:
            add_form_error(form, error)
        else:
            messages.success(request, "Your profile was saved.")
            return redirect("accounts:profile")
    status = 422 if form.errors else 200
    return render(request, "accounts/profile.html", {"form": form}, status=status)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("secret", "code")
def list_tokens(request: SignedInRequest) -> HttpResponse:
    """List a person's API tokens; make one, and show its secret this once."""
    form = TokenForm(request.POST or None)
    token, secret, code = None, "", ""
    if request.method == "POST" and form.is_valid():
        try:
            token, secret = services.create_token(
                user=request.user,
                name=form.cleaned_data["name"],
                scope=form.cleaned_data["scope"],
                expires=form.expires(),
            )
        except SubmitError as error:
            add_form_error(form, error)
        else:
            form = TokenForm()
            if model := queries.model_to_try(token):
                address = f"{request.scheme}://{request.get_host()}"
                code = talking_code(address=address, secret=secret, model=model)
    context = {
        "form": form,
        "secret": secret,
        "code": code,
        "token": token,
        "tokens": queries.tokens_of(request.user),
    }
    status = 422 if form.errors else 200
    return render(request, "accounts/tokens.html", context, status=status)


@login_required
@require_POST
def revoke_token(request: SignedInRequest, pk: int) -> HttpResponse:
    """End one of the person's own tokens."""
    token = get_object_or_404(queries.tokens_of(request.user), pk=pk)
    services.revoke_token(token)
    messages.success(request, f"The token “{token.name}” no longer works.")
    return redirect("accounts:tokens")
