"""The API as a whole: its routers, its document, its answers to errors."""

from ninja import NinjaAPI, Router, Schema

from trivium.api.auth import ApiRequest, BearerToken, BrowserSession
from trivium.api.document import DescribedApi
from trivium.api.errors import add_handlers
from trivium.api.parsing import StrictParser, refuse_unknown_parameters
from trivium.campaigns.api import router as campaigns
from trivium.campaigns.labeling_api import router as labeling
from trivium.campaigns.results_api import router as results
from trivium.comparisons.api import router as comparisons
from trivium.comparisons.api import voting as votes
from trivium.datasets.api import router as datasets
from trivium.datasets.exports_api import router as exports
from trivium.datasets.importing_api import router as importing
from trivium.evaluations.api import router as evaluations
from trivium.models.api import router as models
from trivium.planning.api import router as planning
from trivium.playground.api import router as generations
from trivium.projects.api import router as projects
from trivium.runs.api import router as runs
from trivium.runs.compare_api import router as comparing
from trivium.runs.sweeps_api import router as sweeps
from trivium.runs.sweeps_api import starting as starting_sweeps
from trivium.runs.watch_api import router as watching
from trivium.tokenizers.api import router as tokenizers
from trivium.workers.api import router as workers

DESCRIPTION = """
Everything the pages do, for programs. Send `Authorization: Bearer tv_…`; tokens are
made under Settings. A scope of `read` may only GET.

* Lists answer `{"items": […], "next_cursor": …}`; give `next_cursor` back as `cursor`.
* Errors answer `{"error": {"type", "message", "field"?}}`.
* A POST may carry an `Idempotency-Key` header: repeated with the same key and body it
  is done once and answered alike; with another body it is refused with 409.
* What belongs to a project you are not a member of does not exist for you: 404.
"""

root = Router(tags=["you"])


class MeOut(Schema):
    """Whom a token stands for."""

    username: str
    is_admin: bool


@root.get("/me", response=MeOut, summary="Whom this token stands for")
def me(request: ApiRequest) -> MeOut:
    """Answer who is asking; a cheap way to test a token."""
    user = request.user
    return MeOut(username=user.username, is_admin=user.is_staff)


def build_api() -> NinjaAPI:
    """Put the routers together."""
    built = DescribedApi(
        title="Trivium",
        version="1",
        description=DESCRIPTION,
        auth=[BearerToken(), BrowserSession()],
        parser=StrictParser(),
        urls_namespace="api",
    )
    built.add_decorator(refuse_unknown_parameters)
    add_handlers(built)
    built.add_router("", root)
    for noun, router in {
        "projects": projects,
        "datasets": datasets,
        "tokenizers": tokenizers,
        "models": models,
        "runs": runs,
        "sweeps": sweeps,
        "campaigns": campaigns,
        "comparisons": comparisons,
        "votes": votes,
        "generations": generations,
        "evaluations": evaluations,
        "workers": workers,
        "plan": planning,
    }.items():
        built.add_router(f"/{noun}", router, tags=[noun])
    built.add_router("/datasets", importing, tags=["datasets"])
    built.add_router("/datasets", exports, tags=["datasets"])
    built.add_router("/runs", watching, tags=["runs"])
    built.add_router("/runs", comparing, tags=["runs"])
    built.add_router("/runs", starting_sweeps, tags=["runs"])
    built.add_router("/campaigns", labeling, tags=["campaigns"])
    built.add_router("/campaigns", results, tags=["campaigns"])
    return built


api = build_api()
