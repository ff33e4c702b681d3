"""What machines ask: is the site there, and how busy is it."""

from django.db import DatabaseError, connection
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from trivium.accounts.models import User
from trivium.accounts.services import authenticate_token
from trivium.api.auth import is_in_scope
from trivium.runs.models import Run
from trivium.workers.models import Device
from trivium.workers.queries import live_workers


@never_cache
@require_safe
def check_health(request: HttpRequest) -> JsonResponse:  # noqa: ARG001
    """Answer 200 while the database answers, else 503."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "no database"}, status=503)
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def show_metrics(request: HttpRequest) -> HttpResponse:
    """Give the installation's gauges to its admins, by session or bearer token."""
    user = person_asking(request)
    if user is None:
        response = HttpResponse("A bearer token is needed.\n", status=401)
        response.headers["WWW-Authenticate"] = "Bearer"
    elif not user.is_staff:
        text = "Only an admin of the installation reads this.\n"
        response = HttpResponse(text, status=403)
    else:
        return HttpResponse(gauges(), content_type=CONTENT_TYPE_LATEST)
    response.headers["Content-Type"] = "text/plain; charset=utf-8"
    return response


def person_asking(request: HttpRequest) -> User | None:
    """Return whose token was sent, or else who is signed in."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme:
        found = authenticate_token(secret) if scheme.lower() == "bearer" else None
        return found.user if found and is_in_scope(found.scope, "GET") else None
    return request.user if isinstance(request.user, User) else None


def gauges() -> bytes:
    """Return the state of queue and workers in the text format of Prometheus."""
    registry = CollectorRegistry()
    runs = Gauge("trivium_runs", "Runs by state.", ["state"], registry=registry)
    counts = Run.objects.order_by().values_list("state").annotate(Count("pk"))
    numbers: dict[str, int] = dict(counts)
    for state in Run.State.values:
        runs.labels(state=state).set(numbers.get(state, 0))
    workers = Gauge("trivium_workers", "Live workers.", registry=registry)
    workers.set(live_workers().count())
    devices = Gauge(
        "trivium_devices",
        "Devices of live workers.",
        ["kind", "state"],
        registry=registry,
    )
    for kind in Device.Kind.values:
        there = Device.objects.filter(kind=kind, worker__in=live_workers())
        number = there.aggregate(
            busy=Count("pk", filter=Q(run__isnull=False)),
            free=Count("pk", filter=Q(run__isnull=True)),
        )
        devices.labels(kind=kind, state="busy").set(number["busy"])
        devices.labels(kind=kind, state="free").set(number["free"])
    return generate_latest(registry)
