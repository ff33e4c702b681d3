"""Pages about endpoints, for the installation's admins."""

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import (
    sensitive_post_parameters,
    sensitive_variables,
)
from django.views.decorators.http import require_http_methods, require_POST

from trivium.http import SignedInRequest, add_form_error
from trivium.runs.errors import SubmitError
from trivium.serving import services
from trivium.serving.endpoints import list_models
from trivium.serving.errors import ServingError
from trivium.serving.forms import ChangeEndpointForm, EndpointForm
from trivium.serving.keys import encrypt_key
from trivium.serving.models import Endpoint


def must_be_admin(request: SignedInRequest) -> None:
    """Let admins of the installation pass: what they register is called by its web.

    Raises:
        PermissionDenied: it is somebody else.
    """
    if not request.user.is_staff:
        raise PermissionDenied("Only an admin of this installation sees to endpoints.")


def ask_models(url: str, api_key: str, *, name: str = "it") -> list[str]:
    """Ask a server for its models.

    Raises:
        SubmitError: the address is unusable, or the server does not answer.
    """
    probe = Endpoint(
        name=name,
        url=services.checked_url(url),
        api_key_encrypted=encrypt_key(services.checked_key(api_key)),
    )
    try:
        found: list[str] = async_to_sync(list_models)(probe)
    except ServingError as error:
        raise SubmitError(str(error), field="url") from error
    return found


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("api_key")
@sensitive_variables("api_key")
def list_endpoints(request: SignedInRequest) -> HttpResponse:
    """List endpoints, and register one; its models are asked for unless named."""
    must_be_admin(request)
    form = EndpointForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        name, url = form.cleaned_data["name"], form.cleaned_data["url"]
        api_key = form.cleaned_data["api_key"]
        try:
            ids = form.ids() or ask_models(url, api_key, name=name)
            services.add_endpoint(
                name=name,
                url=url,
                api_key=api_key,
                model_ids=ids,
                created_by=request.user,
            )
        except SubmitError as error:
            add_form_error(form, error)
        else:
            messages.success(request, f"{name} was added, with {_models(len(ids))}.")
            return redirect("serving:endpoints")
    context = {"form": form, "endpoints": Endpoint.objects.order_by("name")}
    status = 422 if form.errors else 200
    return render(request, "serving/endpoints.html", context, status=status)


@login_required
@never_cache
@require_POST
@sensitive_post_parameters("api_key")
@sensitive_variables("api_key")
def try_endpoint(request: SignedInRequest) -> HttpResponse:
    """Say whether the server of a form that is being filled in answers."""
    must_be_admin(request)
    found, problem = [], ""
    try:
        found = ask_models(request.POST.get("url", ""), request.POST.get("api_key", ""))
    except SubmitError as error:
        problem = str(error)
    context = {"found": found, "problem": problem, "was_tried": True}
    return render(request, "serving/endpoints.html#tried", context)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("api_key")
def edit_endpoint(request: SignedInRequest, pk: int) -> HttpResponse:
    """Change an endpoint."""
    must_be_admin(request)
    endpoint = get_object_or_404(Endpoint, pk=pk)
    form = ChangeEndpointForm(request.POST or None, endpoint=endpoint)
    if request.method == "POST" and form.is_valid():
        try:
            services.change_endpoint(
                endpoint,
                url=form.cleaned_data["url"],
                api_key=form.key(),
                model_ids=form.ids(),
                is_enabled=form.cleaned_data["is_enabled"],
            )
        except SubmitError as error:
            add_form_error(form, error)
        else:
            messages.success(request, f"{endpoint} was saved.")
            return redirect("serving:endpoints")
    context = {"form": form, "endpoint": endpoint}
    status = 422 if form.errors else 200
    return render(request, "serving/endpoint.html", context, status=status)


@login_required
@require_POST
def refresh_endpoint(request: SignedInRequest, pk: int) -> HttpResponse:
    """Ask an endpoint for its models, and offer those from now on."""
    must_be_admin(request)
    endpoint = get_object_or_404(Endpoint, pk=pk)
    try:
        found = async_to_sync(list_models)(endpoint)
        services.change_endpoint(
            endpoint,
            url=endpoint.url,
            api_key=None,
            model_ids=found,
            is_enabled=endpoint.is_enabled,
        )
    except (ServingError, SubmitError) as error:
        messages.error(request, f"{endpoint} was tried and failed: {error}.")
    else:
        messages.success(request, f"{endpoint} answers, with {_models(len(found))}.")
    return redirect("serving:endpoints")


@login_required
@require_POST
def delete_endpoint(request: SignedInRequest, pk: int) -> HttpResponse:
    """Forget an endpoint and its key."""
    must_be_admin(request)
    endpoint = get_object_or_404(Endpoint, pk=pk)
    services.delete_endpoint(endpoint)
    messages.success(request, f"{endpoint} was deleted, and its key with it.")
    return redirect("serving:endpoints")


def _models(number: int) -> str:
    return "1 model" if number == 1 else f"{number:,} models"
