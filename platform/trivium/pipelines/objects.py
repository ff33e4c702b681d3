"""Objects of a project by the names people give them, and those names again."""

from collections.abc import Mapping
from typing import Any

from trivium.campaigns.models import Campaign
from trivium.datasets.models import DatasetVersion, Upload
from trivium.models.models import LanguageModel
from trivium.pipelines.description import Reference, references, with_references
from trivium.projects.models import Project
from trivium.runs.errors import SubmitError
from trivium.serving.choices import find_for_run
from trivium.serving.errors import ChoiceNotFoundError
from trivium.tokenizers.models import Tokenizer

MAX_PK = 2**63


def by_ids(
    project: Project, name: str, kind: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a step's settings with ids where objects of the project are named.

    Raises:
        SubmitError: the project has none of that name or id.
    """
    found = {}
    for one in references(kind, settings):
        if one.is_step:
            continue
        identified = _id_of(project, one)
        if identified is None:
            raise SubmitError(
                f"step {name}: {one.field}: this project has no {one.noun} "
                f"{one.value[:100]!r}",
                field=f"steps.{name}.{one.field}",
            )
        found[one.field, one.value, False] = identified
    return with_references(kind, settings, found)


def by_names(
    project: Project, kind: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a step's settings with names where ids of objects stand."""
    found = {
        (one.field, one.value, False): _name_of(project, one)
        for one in references(kind, settings)
        if not one.is_step
    }
    return with_references(kind, settings, found)


def named(project: Project, description: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description with names where ids of objects stand."""
    return {
        **description,
        "steps": [
            {**step, **by_names(project, step["kind"], step)}
            for step in description["steps"]
        ],
    }


def _id_of(project: Project, one: Reference) -> str | None:
    """Return the id of what a reference names; None where there is nothing."""
    if one.noun == "choice":
        try:
            return find_for_run(project, one.value).id
        except ChoiceNotFoundError:
            return None
    if one.value.isascii() and one.value.isdecimal():
        return one.value if _exists(project, one.noun, int(one.value)) else None
    return _id_by_name(project, one.noun, one.value)


def _id_by_name(project: Project, noun: str, name: str) -> str | None:
    if "\0" in name:
        return None
    if noun == "dataset":
        return _version_named(project, name)
    models: dict[str, Any] = {
        "tokenizer": Tokenizer,
        "model": LanguageModel,
        "campaign": Campaign,
    }
    if noun not in models:
        return None
    found = models[noun].objects.filter(project=project, name=name).first()
    return str(found.pk) if found is not None else None


def _version_named(project: Project, name: str) -> str | None:
    """Return the id of the version `NAME@3` means, or of the newest of `NAME`."""
    versions = DatasetVersion.objects.filter(dataset__project=project)
    newest = versions.filter(dataset__name=name).order_by("-number")
    usable = newest.exclude(path="", run__state__in=("failed", "cancelled"))
    if version := usable.first() or newest.first():
        return str(version.pk)
    bare, sign, number = name.rpartition("@")
    if not (sign and number.isascii() and number.isdecimal() and len(number) < 9):
        return None
    version = versions.filter(dataset__name=bare, number=int(number)).first()
    return str(version.pk) if version is not None else None


def _exists(project: Project, noun: str, pk: int) -> bool:
    if pk >= MAX_PK:
        return False
    models: dict[str, Any] = {
        "tokenizer": Tokenizer.objects.filter(project=project),
        "model": LanguageModel.objects.filter(project=project),
        "campaign": Campaign.objects.filter(project=project),
        "source": Upload.objects.filter(project=project),
        "dataset": DatasetVersion.objects.filter(dataset__project=project),
    }
    return bool(noun in models and models[noun].filter(pk=pk).exists())


def _name_of(project: Project, one: Reference) -> str:
    """Return the name that means an object, where one means it; else its id."""
    if one.noun == "choice" or not one.value.isdecimal():
        return one.value
    found: Any = None
    name = ""
    if one.noun == "dataset":
        versions = DatasetVersion.objects.filter(dataset__project=project)
        found = versions.select_related("dataset").filter(pk=one.value).first()
        name = f"{found.dataset.name}@{found.number}" if found else ""
    elif one.noun in {"tokenizer", "model", "campaign"}:
        models: dict[str, Any] = {
            "tokenizer": Tokenizer,
            "model": LanguageModel,
            "campaign": Campaign,
        }
        found = models[one.noun].objects.filter(project=project, pk=one.value).first()
        name = found.name if found else ""
    is_back = bool(name) and _id_of(project, one._replace(value=name)) == one.value
    return name if is_back else one.value
