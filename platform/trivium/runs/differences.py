"""How the specs of runs differ, in words: `learning rate 1e-3 → 3e-4`."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.db.models import Model, QuerySet
from pydantic import BaseModel
from runspec import SPECS
from runspec.serving import Sampling

from trivium.datasets.models import DatasetVersion, Upload
from trivium.models.models import LanguageModel
from trivium.runs.fields import extra_of, label_of
from trivium.runs.models import Run
from trivium.tokenizers.models import Tokenizer

EMPTY = "empty"
MAX_WORDS = 60
Names = dict[tuple[str, str], str]
"""(noun, id) → what a person calls it."""


class Change(NamedTuple):
    """One setting that is not the same in two runs."""

    setting: str
    label: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.label} {self.before} → {self.after}"


class Difference(NamedTuple):
    """One setting that is not the same in all of several runs."""

    setting: str
    label: str
    unit: str
    values: list[str]
    """One for each run, in their order."""


def name_references(runs: Iterable[Run]) -> Names:
    """Return what the ids in the specs of runs are called, by one query a noun."""
    wanted: dict[str, set[str]] = {}
    for run in runs:
        for setting, noun in references_of(run.kind).items():
            wanted.setdefault(noun, set()).update(ids_in(run.spec.get(setting)))
    names: Names = {}
    for noun, ids in wanted.items():
        for pk, name in called(noun, {int(one) for one in ids if is_id(one)}):
            names[noun, str(pk)] = name
    return names


def references_of(kind: str) -> dict[str, str]:
    """Return the settings of a kind that hold ids, each with its noun."""
    return SPECS[kind].references() if kind in SPECS else {}


def ids_in(value: Any) -> list[str]:
    """Return the ids a setting holds: one, several or none."""
    if value is None:
        return []
    return [str(one) for one in (value if isinstance(value, list) else [value])]


def is_id(text: str) -> bool:
    """Whether a reference can be the id of a row."""
    return text.isascii() and text.isdecimal() and len(text) < 19


def called(noun: str, ids: set[int]) -> list[tuple[int, str]]:
    """Return id and name of the objects that are still there."""
    rows: dict[str, QuerySet[Any]] = {
        "dataset": DatasetVersion.objects.select_related("dataset"),
        "tokenizer": Tokenizer.objects.only("name"),
        "model": LanguageModel.objects.only("name"),
        "source": Upload.objects.only("file_name"),
    }
    if noun not in rows:
        return []
    return [(row.pk, object_name(row)) for row in rows[noun].filter(pk__in=ids)]


def object_name(row: Model) -> str:
    """Return what a person calls an object."""
    return row.file_name if isinstance(row, Upload) else str(row)


def changes_between(base: Run, other: Run, names: Names) -> list[Change]:
    """Return what must be changed in `base` to get `other`, kinds first."""
    changes = []
    if base.kind != other.kind:
        changes.append(
            Change("kind", "kind", base.get_kind_display(), other.get_kind_display())
        )
    for setting in shared_settings([base, other]):
        if setting_of(base, setting) == setting_of(other, setting):
            continue
        before, after = (in_words(run, setting, names) for run in (base, other))
        changes.append(
            Change(setting, label_in_words(base.kind, setting), before, after)
        )
    return changes


def as_sentence(changes: Sequence[Change]) -> str:
    """Return changes as one line."""
    return "; ".join(str(change) for change in changes) or "the same settings"


def differences(runs: Sequence[Run], names: Names) -> list[Difference]:
    """Return the settings that are not the same in all runs, as a table's columns."""
    found = []
    for setting in shared_settings(runs):
        first = setting_of(runs[0], setting)
        if all(setting_of(run, setting) == first for run in runs[1:]):
            continue
        kind = runs[0].kind
        field = SPECS[kind].model_fields[setting]
        found.append(
            Difference(
                setting,
                label_of(setting, field),
                extra_of(field).get("unit", ""),
                [in_words(run, setting, names) for run in runs],
            )
        )
    return found


def shared_settings(runs: Sequence[Run]) -> list[str]:
    """Return the settings that the kinds of all runs have, in the order of the spec."""
    kinds = dict.fromkeys(run.kind for run in runs)
    if not kinds or any(kind not in SPECS for kind in kinds):
        return []
    first, *others = (SPECS[kind].model_fields for kind in kinds)
    return [
        name
        for name in first
        if name != "kind" and all(name in other for other in others)
    ]


def setting_of(run: Run, setting: str) -> Any:
    """Return a setting; one that an older spec does not name has its default."""
    if setting in run.spec:
        return run.spec[setting]
    field = SPECS[run.kind].model_fields[setting]
    if field.is_required():
        return None
    default = field.get_default()
    if isinstance(default, BaseModel):
        return default.model_dump(mode="json")
    return list(default) if isinstance(default, tuple) else default


def label_in_words(kind: str, setting: str) -> str:
    """Return a setting's label as it stands inside a sentence."""
    label = label_of(setting, SPECS[kind].model_fields[setting])
    is_acronym = label[1:2].isupper() or label[:1].isdigit()
    return label if is_acronym else label[:1].lower() + label[1:]


def in_words(run: Run, setting: str, names: Names) -> str:
    """Return the value of a setting for a person; objects by their names."""
    value = setting_of(run, setting)
    noun = references_of(run.kind).get(setting)
    if noun is None:
        return value_in_words(value)
    if noun == "choice":  # its id is its name
        return shortened(" + ".join(ids_in(value))) or EMPTY
    words = [names.get((noun, one), f"#{one} (gone)") for one in ids_in(value)]
    return " + ".join(words) or EMPTY


def value_in_words(value: Any) -> str:
    """0.0003 → 3e-4, 20000 → 20,000, True → yes, nothing → empty."""
    words = " ".join(str(value).split())
    match value:
        case None | "" | []:
            words = EMPTY
        case bool():
            words = "yes" if value else "no"
        case int():
            words = f"{value:,}"
        case float():
            words = number_in_words(value)
        case list():
            joint = "; " if any(isinstance(one, dict) for one in value) else ", "
            words = joint.join(value_in_words(one) for one in value)
        case dict():
            words = table_in_words(value)
    return shortened(words)


def table_in_words(table: dict[str, Any]) -> str:
    """Return a table's entries, those of a sampling only where they were chosen."""
    is_sampling = set(table) == set(Sampling.model_fields)
    usual = Sampling().model_dump(mode="json") if is_sampling else {}
    told = [
        f"{name.replace('_', ' ')} {value_in_words(value)}"
        for name, value in table.items()
        if not is_sampling or value != usual[name]
    ]
    return ", ".join(told) or ("as usual" if is_sampling else EMPTY)


def number_in_words(value: float) -> str:
    """0.0003 → 3e-4; 0.05 stays."""
    if value == 0 or 0.01 <= abs(value) < 1e6:
        return f"{value:.6g}"
    mantissa, exponent = f"{value:.5e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def shortened(text: str) -> str:
    """Cut a long text, such as a template, to what a table can show."""
    return text if len(text) <= MAX_WORDS else f"{text[: MAX_WORDS - 1]}…"
