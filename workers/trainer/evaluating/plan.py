"""What one evaluation consists of: models, rows, and a file for each one's replies."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from runspec import EvaluateSpec
from runspec.labels import Source
from runspec.layout import ANSWERS

from trainer.asking.collecting import Progress
from trainer.asking.parts import PartFile
from trainer.context import Context
from trainer.errors import BadInputError
from trainer.evaluating.rows import PREFERENCES, TEXT, Taken
from trainer.evaluating.truth import subject_of
from trainer.generating.rows import Row

METRIC = "evaluate/tokens_per_s"
TWICE = 2
"""Texts of a pair."""


@dataclass
class Plan:
    """Who is asked what, and the files that keep what came back."""

    spec: EvaluateSpec
    context: Context
    taken: list[Taken]
    stack: ExitStack
    sources: list[Source] = field(init=False)
    baseline: int = field(init=False)
    judge: Source | None = field(init=False)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        spec = self.spec
        self.sources = [Source.model_validate_json(raw) for raw in spec.models]
        self.judge = Source.model_validate_json(spec.judge) if spec.judge else None
        self.baseline = self.place_of_baseline()
        self.asked = [one for one in self.taken if one.is_answered]
        self.texts = [one for one in self.taken if one.card.kind == TEXT]
        self.paired = [one for one in self.taken if one.card.kind == PREFERENCES]
        self.num_asked = sum(one.total for one in self.asked)
        num_pairs = sum(one.total for one in self.paired)
        self.answers = {
            place: self.part_file(f"{place}.jsonl", self.num_asked)
            for place, source in enumerate(self.sources)
            if not source.is_scorer and self.num_asked
        }
        self.ratings = {
            place: self.part_file(f"{place}-pairs.jsonl", TWICE * num_pairs)
            for place, source in enumerate(self.sources)
            if source.is_scorer and num_pairs
        }
        self.writers = list(self.answers)
        self.verdicts: PartFile | None = None
        if self.judge is not None and self.writers:
            total = len(self.writers) * self.num_asked
            self.verdicts = self.part_file("judge.jsonl", total)
        parts = [*self.answers.values(), *self.ratings.values()]
        parts += [self.verdicts] if self.verdicts else []
        self.progress = Progress(
            self.context,
            total=sum(part.total for part in parts),
            metric=METRIC,
            done=sum(part.num_done for part in parts),
            tokens=sum(part.tokens for part in parts),
        )
        self.base = f"{spec.seed}/{spec.sampling.model_dump_json()}"

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Yield every row that is answered, with the place of its dataset."""
        for one in self.asked:
            for row in one.rows():
                yield one.place, row

    def refuse_nothing(self) -> None:
        """Refuse an evaluation that could not say anything.

        Raises:
            BadInputError: no model can be measured on any of the datasets, or the rows
                do not ask about the world that shall judge them.
        """
        if self.spec.truth == "tinyworld" and not any(
            subject_of(row.turns) for _, row in self.rows()
        ):
            raise BadInputError(
                "no row asks about Tiny World, so it cannot tell what is right",
                "Set truth to none, or choose prompts of Tiny World.",
            )
        if self.judge is not None and not self.judge.is_scorer:
            raise BadInputError(
                f"{self.judge.title} is no reward model, so it cannot judge",
                "Choose a reward model, or none.",
            )
        for place, source in enumerate(self.sources):
            is_measured = (
                place in self.answers
                or place in self.ratings
                or (self.texts and not source.is_scorer)
            )
            if not is_measured:
                raise BadInputError(
                    f"{source.title} rates answers, and no dataset has pairs of them",
                    "Add a dataset of preferences, or leave the reward model out.",
                )
        for one in self.taken:
            if one.card.kind != "prompts" and not one.is_held_out:
                self.note(
                    f"{one.name} was measured on rows that models may have learnt "
                    "from: it has no validation split, or all rows were asked for"
                )

    def note(self, sentence: str) -> None:
        """Say what a reader should know, on the run's page and beside the measures."""
        self.notes.append(sentence)
        self.context.report.warning(sentence)

    def part_file(self, name: str, total: int) -> PartFile:
        """Open a file of replies; it is closed with the attempt."""
        part = PartFile(self.context.folder / ANSWERS / name, total)
        self.stack.callback(part.close)
        return part

    def place_of_baseline(self) -> int:
        """Return which of the models the others are compared with.

        Raises:
            BadInputError: it is none of them.
        """
        if self.spec.baseline is None:
            return 0
        wanted = Source.model_validate_json(self.spec.baseline)
        ids = [source.id for source in self.sources]
        if wanted.id not in ids:
            raise BadInputError(
                f"the baseline, {wanted.title}, is not among the models",
                "Add it to the models, or choose one of them.",
            )
        return ids.index(wanted.id)
