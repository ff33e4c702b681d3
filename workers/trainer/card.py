"""The card of a model: what it is, what made it, what it cost, how to load it.

Every stage that makes a model writes its card here, so that all read alike. What a
stage does not know it leaves out, and the card says nothing about it. The front matter
is what the Hugging Face Hub reads.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from runspec import Spec
from runspec.families import Architecture
from runspec.licences import licence_lines

CARD = "README.md"
LIBRARIES = ("torch", "transformers", "trl", "peft")
FRONT_MATTER = re.compile(r"\A---\r?\n(.*?)^---\s*?$", re.DOTALL | re.MULTILINE)
LICENCE_LINE = re.compile(
    r"^license:\s*['\"]?([A-Za-z0-9.+-]{1,60})['\"]?\s*$", re.MULTILINE
)
MAX_VALUE = 200

DEFAULT_HEADS: dict[Architecture, str] = {
    "decoder": "causal-lm",
    "encoder": "masked-lm",
    "encoder-decoder": "seq2seq-lm",
}
LOADERS = {
    "causal-lm": "AutoModelForCausalLM",
    "masked-lm": "AutoModelForMaskedLM",
    "seq2seq-lm": "AutoModelForSeq2SeqLM",
    "sequence-classification": "AutoModelForSequenceClassification",
    "none": "AutoModel",
}
PIPELINES = {
    "causal-lm": "text-generation",
    "masked-lm": "fill-mask",
    "sequence-classification": "text-classification",
    "none": "feature-extraction",
}
"""The Hub's word for what a model does; it has none for all that maps text to text."""

WATTS: tuple[tuple[str, int], ...] = (
    ("H200", 700), ("H100", 700), ("B200", 1000), ("A100", 400), ("V100", 300),
    ("L40", 300), ("A6000", 300), ("A10", 150), ("L4", 72), ("T4", 70),
    ("5090", 575), ("4090", 450), ("3090", 350), ("MI300", 750),
)  # fmt: skip
"""Board power by what a GPU is called: the first that fits."""
OTHER_GPU_WATTS = 300
WATTS_PER_THREAD = 10
JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True)
class DataFacts:
    """One dataset a model learned from."""

    name: str
    rows: int = 0
    sha256: str = ""
    """Of its content."""
    note: str = ""
    """Its kind, its share of a mixture, or whatever else should be said."""


@dataclass(frozen=True)
class ParentFacts:
    """A model another one was made from."""

    name: str
    sha256: str = ""
    """Of its weights."""


@dataclass(frozen=True)
class CurveFacts:
    """Validation losses, in nats a token."""

    initial: float | None = None
    best: float | None = None
    last: float | None = None


@dataclass(frozen=True)
class CardFacts:
    """All that a card can say; only the first four are always known."""

    title: str
    architecture: Architecture
    stage: str
    summary: str
    """A sentence or two: what it is, and what it was not taught."""

    head: str = ""
    """Empty: the language head of its architecture. See `LOADERS`."""
    about: Mapping[str, object] = field(default_factory=dict)
    """Family, parameters, layers…, in the order shown."""
    spec: Spec | None = None
    data: Sequence[DataFacts] = ()
    parents: Sequence[ParentFacts] = ()
    curve: CurveFacts = CurveFacts()
    evaluation: Mapping[str, float] = field(default_factory=dict)
    """Name → number on held-out data."""
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    """Spent by the run, on each of its devices."""
    device: str = ""
    """What a person calls it, as `trainer.hardware.device_name` does."""
    num_devices: int = 1
    origin: Mapping[str, object] = field(default_factory=dict)
    """Hashes and places that are none of the above."""
    base_model: str = ""
    """The id on the Hub of what it was made from, if it is there."""
    licence: str = ""
    languages: Sequence[str] = ()
    """Codes like `en`."""
    limits: Sequence[str] = ()
    """Sentences about what it cannot do; some follow from stage and architecture."""
    warnings: Sequence[str] = ()


def write_card(output: Path, facts: CardFacts) -> None:
    """Write the card of the model in `output`."""
    (output / CARD).write_text(card_text(facts), encoding="utf-8")


def card_text(facts: CardFacts) -> str:
    """Return the card: front matter, then a section for each thing that is known."""
    sections = [
        f"# {plain(facts.title)}\n\n{facts.summary}",
        table(facts.about),
        section("Limits", bullets([*facts.limits, *_limits(facts)])),
        section("What to know first", bullets(map(sentence, facts.warnings))),
        section("Data", _data(facts.data)),
        section("Training", table(_training(facts))),
        section("Evaluation", table(_evaluation(facts))),
        section("Where it comes from", _origin(facts)),
        section("Settings that differ from the defaults", _settings(facts.spec)),
        section("How to load it", _loading(facts)),
    ]
    body = "\n\n".join(part for part in sections if part)
    return f"---\n{front_matter(facts)}\n---\n\n{body}\n"


def front_matter(facts: CardFacts) -> str:
    """Return the YAML that the Hub reads."""
    lines = ["library_name: transformers"]
    pipeline = PIPELINES.get(_head(facts))
    if pipeline:
        lines.append(f"pipeline_tag: {pipeline}")
    lines += licence_lines(facts.licence)
    if facts.languages:
        lines += ["language:", *(f"- {json.dumps(one)}" for one in facts.languages)]
    if facts.base_model:
        lines.append(f"base_model: {json.dumps(facts.base_model)}")
    lines += ["tags:", "- trivium", f"- {facts.stage}", f"- {facts.architecture}"]
    return "\n".join(lines)


def licence_in(card: str) -> str:
    """Return the licence that a card of unknown origin names; empty if unclear."""
    found = FRONT_MATTER.search(card)
    line = LICENCE_LINE.search(found.group(1)) if found else None
    return line.group(1) if line and line.group(1) != "other" else ""


def section(title: str, content: str) -> str:
    """Return a section, or nothing where it would be empty."""
    return f"## {title}\n\n{content}" if content else ""


def bullets(sentences: Iterable[str]) -> str:
    """Return a list."""
    return "\n".join(f"- {plain(one)}" for one in sentences)


def sentence(text: str) -> str:
    """Return a warning as a whole sentence."""
    return text[:1].upper() + text[1:] + "." * (not text.endswith((".", "?", "!")))


def table(rows: Mapping[str, object]) -> str:
    """Return a table of two columns, without the rows that say nothing."""
    filled = {key: value for key, value in rows.items() if value not in (None, "")}
    if not filled:
        return ""
    lines = [f"| {cell(key)} | {cell(value)} |" for key, value in filled.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def cell(value: object) -> str:
    """Return a value that cannot break out of its cell; names come from anyone."""
    return plain(str(value)).replace("|", "\\|")


def plain(text: str) -> str:
    """Return `text` on one line, as text and not as Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<])", r"\\\1", visible(text))


def visible(text: str) -> str:
    """Return `text` on one line; what prints nothing, or turns text round, is shown."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for letter in " ".join(text.split())
    )


def code(value: object) -> str:
    """Return a value as code on one line, whatever is in it."""
    text = visible(str(value)).replace("`", "'").replace("|", "\\|")
    return f"`{text[:MAX_VALUE]}{'…' * (len(text) > MAX_VALUE)}`"


def _head(facts: CardFacts) -> str:
    return facts.head or DEFAULT_HEADS[facts.architecture]


def _limits(facts: CardFacts) -> list[str]:
    """Return what every model of this stage and architecture should be known for."""
    found = []
    if facts.stage == "base" and _head(facts) == "causal-lm":
        found.append(
            "A base model continues text; it was not taught to follow instructions."
        )
    if _head(facts) == "masked-lm":
        found.append(
            "An encoder fills gaps and is a start for classification; it writes no "
            "text."
        )
    if facts.stage == "reward":
        found.append("A reward model rates answers; it writes none.")
    elif _head(facts) in {"causal-lm", "seq2seq-lm"}:
        found.append("It states falsehoods as easily as facts: check what it says.")
    found.append("It knows the languages and views of its data, and no others.")
    return found


def _data(data: Sequence[DataFacts]) -> str:
    if not data:
        return ""
    lines = [
        f"| {cell(one.name)} | {f'{one.rows:,}' if one.rows else ''} | "
        f"{code(one.sha256) if one.sha256 else ''} | {cell(one.note)} |"
        for one in data
    ]
    head = ["| dataset | rows | content (sha256) | |", "|---|---:|---|---|"]
    return "\n".join([*head, *lines])


def _training(facts: CardFacts) -> dict[str, object]:
    energy = energy_kwh(facts)
    return {
        "steps": f"{facts.steps:,}" if facts.steps else "",
        "tokens": f"{facts.tokens:,}" if facts.tokens else "",
        "time": _duration(facts.seconds) if facts.seconds else "",
        "devices": f"{facts.num_devices} x {facts.device}" if facts.device else "",
        "energy": f"≈ {energy:.3g} kWh, an estimate: {facts.num_devices} x "
        f"{facts.seconds:,.0f} s at an assumed {watts_of(facts.device)} W a device, "
        "nothing else counted"
        if energy
        else "",
    }


def energy_kwh(facts: CardFacts) -> float:
    """Return device-seconds times an assumed power; 0 where either is unknown."""
    if not facts.device:
        return 0.0
    joules = facts.num_devices * facts.seconds * watts_of(facts.device)
    return joules / JOULES_PER_KWH


def watts_of(device: str) -> int:
    """Return the power a device is assumed to draw at work."""
    threads = re.search(r"(\d+) threads", device)
    if threads:
        return int(threads.group(1)) * WATTS_PER_THREAD
    words = re.findall(r"[A-Z]*\d+", device.upper())
    for name, watts in WATTS:
        if any(word == name or word.startswith(f"{name}S") for word in words):
            return watts
    return OTHER_GPU_WATTS


def _duration(seconds: float) -> str:
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{seconds:.3g} s"


def _evaluation(facts: CardFacts) -> dict[str, object]:
    curve = facts.curve
    losses = {
        "validation loss, initial": curve.initial,
        "validation loss, best": curve.best,
        "validation loss, last": curve.last,
    }
    rows: dict[str, object] = {
        name: f"{loss:.4f} nats/token"
        for name, loss in losses.items()
        if loss is not None
    }
    return rows | {name: f"{value:.4g}" for name, value in facts.evaluation.items()}


def _origin(facts: CardFacts) -> str:
    parents = "\n".join(
        f"- {plain(one.name)}" + (f", weights {code(one.sha256)}" * bool(one.sha256))
        for one in facts.parents
    )
    lead = f"Made from:\n\n{parents}" if parents else ""
    rows: dict[str, object] = dict(facts.origin)
    if facts.spec is not None:
        rows.setdefault("spec (sha256)", facts.spec.sha256())
    rows["made with"] = ", ".join(_versions())
    return "\n\n".join(part for part in (lead, table(rows)) if part)


def _versions() -> list[str]:
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found


def _settings(spec: Spec | None) -> str:
    """Return what was chosen; references are paths of this machine and left out."""
    if spec is None:
        return ""
    references = spec.references()
    values: dict[str, Any] = spec.model_dump(mode="json")
    changed = {
        name: values[name]
        for name, known in type(spec).model_fields.items()
        if name not in references
        and name != "kind"
        and (
            known.is_required()
            or getattr(spec, name) != known.get_default(call_default_factory=True)
        )
    }
    if not changed:
        return ""
    lines = [
        f"| {cell(name.replace('_', ' '))} | "
        f"{code(json.dumps(value, ensure_ascii=False))} |"
        for name, value in changed.items()
    ]
    return "\n".join(["| | |", "|---|---|", *lines])


def _loading(facts: CardFacts) -> str:
    loader = LOADERS[_head(facts)]
    return f"""```python
from transformers import {loader}, AutoTokenizer

model = {loader}.from_pretrained("path/to/this/folder")
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
```"""
