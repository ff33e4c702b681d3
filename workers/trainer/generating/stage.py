"""The stage: one answerer after the other, then all answers side by side in one file.

Answerers that are the same model share its loading. Each answer has a seed of its own,
made of the sampling's (or the spec's hash), the row and the answerer, and replies are
kept as they come: a run that was broken off writes the file it would have written.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import combinations, islice
from pathlib import Path
from typing import Any

from runspec import GenerateSpec
from runspec.labels import Answer, AnsweredPrompt, Preference, Source
from runspec.layout import ANSWERS, ANSWERS_FILE, OUTPUT
from runspec.serving import Prompt

from trainer.asking.collecting import Asker, Progress, collect, refuse_silence
from trainer.asking.parts import PartFile, write_whole
from trainer.asking.questions import Question, Reply, seed_of
from trainer.context import Context
from trainer.errors import BadInputError
from trainer.generating.rows import Row, Rows

NUM_SAMPLES = 3
METRIC = "generate/tokens_per_s"
PREFERENCES = "preferences"


def run_generate(spec: GenerateSpec, *, context: Context) -> None:
    """Write `output/answers.jsonl`, an `AnsweredPrompt` for each row.

    Raises:
        BadInputError: there is nothing to compare, a model cannot be loaded, or one
            of them answered nothing at all.
        Stopped: the run was asked to stop; what was answered is kept.
    """
    rows = Rows(Path(spec.prompts), spec.max_prompts)
    if not rows.total:
        raise BadInputError(
            "the dataset has no rows, so there is nothing to ask",
            "Choose a dataset with rows.",
        )
    if not spec.answerers:
        _write_pairs(rows, spec, context)
        return
    sources = [Source.model_validate_json(raw) for raw in spec.answerers]
    folder = context.folder / ANSWERS
    parts = [
        PartFile(folder / f"{place}.jsonl", rows.total) for place in range(len(sources))
    ]
    progress = Progress(
        context,
        total=rows.total * len(sources),
        metric=METRIC,
        done=sum(part.num_done for part in parts),
        tokens=sum(part.tokens for part in parts),
    )
    work = Work(spec, context, rows, sources, parts, progress)
    try:
        work.ask_all()
        work.write()
    finally:
        for part in parts:
            part.close()


@dataclass
class Work:
    """What the answerers of one run share."""

    spec: GenerateSpec
    context: Context
    rows: Rows
    sources: list[Source]
    parts: list[PartFile]
    progress: Progress
    first_texts: list[str] = field(init=False)
    """Of the prompts that are shown with their answers."""

    def __post_init__(self) -> None:
        self.first_texts = [row.text for row in islice(self.rows, NUM_SAMPLES)]
        self.spec_sha256 = self.spec.sha256()
        # Where one was never taught to converse, all go on with the same bare text.
        self.is_chat = all(source.is_chat for source in self.sources)

    def ask_all(self) -> None:
        """Have every answerer answer what it has not yet."""
        places: dict[Any, list[int]] = {}
        for place, source in enumerate(self.sources):
            places.setdefault((source.model, source.id), []).append(place)
        for same in places.values():
            missing = [place for place in same if not self.parts[place].is_complete]
            if missing:
                self._ask(missing)
            for place in same:
                refuse_silence(self.sources[place], self.parts[place])

    def write(self) -> None:
        """Put the answers to each prompt side by side, in the order of the rows."""
        counts = {"failed": 0, "identical_pairs": 0}

        def lines(add: Callable[[str], None]) -> None:
            for row in self.rows:
                self.progress.tick()
                made = self._side_by_side(row)
                counts["failed"] += made.answers.count(None)
                counts["identical_pairs"] += identical_pairs(made.answers)
                add(made.model_dump_json())

        self.progress.begin("writing")
        write_whole(self.context.folder / OUTPUT / ANSWERS_FILE, lines)
        self.context.report.result(
            prompts=self.rows.total,
            answers=self.progress.total - counts["failed"],
            **counts,
            tokens=self.progress.tokens,
            seconds=round(sum(part.spent_s for part in self.parts), 3),
        )

    def _ask(self, places: list[int]) -> None:
        """Ask one model for all its answerers."""
        source = self.sources[places[0]]
        if source.url:
            from trainer.asking.endpoint import Endpoint

            was_there = any(self.parts[place].num_answered for place in places)
            endpoint = Endpoint(source, has_answered=was_there)
            for place in places:
                self._collect(place, endpoint.answers)
            return
        from trainer.asking.local import load

        self.progress.begin(f"loading {source.title}")
        cache = self.context.cache
        with load(source, cache=cache, tick=self.progress.tick) as model:
            if not model.can_write:
                raise BadInputError(
                    f"{source.title} writes no text, so it cannot answer",
                    "Choose a model that goes on with text.",
                )
            for place in places:
                self._collect(place, model.answers)

    def _collect(self, place: int, asker: Asker) -> None:
        """Have one answerer answer; its first answers are shown at once."""
        title = self.sources[place].title

        def show(reply: Reply) -> Reply:
            if reply.number < len(self.first_texts) and reply.answer is not None:
                self.context.report.sample(
                    step=self.progress.done,
                    prompt=f"{title}: {self.first_texts[reply.number]}",
                    text=reply.answer.text,
                )
            return reply

        part = self.parts[place]
        self.progress.begin(f"{title} answers", part)
        questions = self._questions(place)
        collect(asker, questions, part=part, progress=self.progress, keep=show)

    def _questions(self, place: int) -> Iterator[Question]:
        sampling = self.spec.samplings[place]
        base = self.spec_sha256 if sampling.seed is None else sampling.seed
        for row in self.rows:
            seed = seed_of(base, row.number, place)
            seeded = sampling.model_copy(update={"seed": seed})
            prompt = (
                Prompt(messages=tuple(row.messages))
                if self.is_chat
                # Unchecked: one that is far too long shall fail alone.
                else Prompt.model_construct(text=row.text)
            )
            yield Question(row.number, prompt, seeded)

    def _side_by_side(self, row: Row) -> AnsweredPrompt:
        replies = [part.read(row.number) for part in self.parts]
        return AnsweredPrompt(
            number=row.number,
            prompt=row.messages if self.is_chat else row.text,
            category=row.category,
            answers=tuple(reply.answer for reply in replies),
            errors=tuple(
                f"{source.title}: {reply.error}"
                for source, reply in zip(self.sources, replies, strict=True)
                if reply.answer is None
            ),
        )


def _write_pairs(rows: Rows, spec: GenerateSpec, context: Context) -> None:
    """Write pairs that were answered elsewhere, which of them first by lot."""
    if rows.card.kind != PREFERENCES:
        raise BadInputError(
            f"the dataset holds {rows.card.kind}, and nobody is to answer them",
            "Name two or more models that answer, or choose a dataset of preferences.",
        )
    progress = Progress(context, total=rows.total, metric=METRIC, unit="pairs")
    lot = spec.sha256()
    num_identical = 0

    def lines(add: Callable[[str], None]) -> None:
        nonlocal num_identical
        for row in rows:
            progress.tick()
            made = pair_of(row, is_turned=bool(seed_of(lot, row.number, 0) & 1))
            num_identical += identical_pairs(made.answers)
            add(made.model_dump_json())
            progress.done += 1

    progress.begin("reading pairs")
    write_whole(context.folder / OUTPUT / ANSWERS_FILE, lines)
    progress.tell()
    context.report.result(
        prompts=rows.total,
        answers=2 * rows.total,
        failed=0,
        identical_pairs=num_identical,
        tokens=0,
        seconds=0.0,
    )


def pair_of(row: Row, *, is_turned: bool) -> AnsweredPrompt:
    """Return a pair that was answered elsewhere; `is_turned` puts rejected first."""
    answers = (Answer(text=row.chosen), Answer(text=row.rejected))
    preferred: Preference = "b" if is_turned else "a"
    return AnsweredPrompt(
        number=row.number,
        prompt=row.turns if row.is_chat else row.text,
        category=row.category,
        answers=answers[::-1] if is_turned else answers,
        preferred=preferred,
    )


def identical_pairs(answers: tuple[Answer | None, ...]) -> int:
    """Count the pairs nobody could prefer one of."""
    texts = [answer.text for answer in answers if answer is not None]
    return sum(one == other for one, other in combinations(texts, 2))
