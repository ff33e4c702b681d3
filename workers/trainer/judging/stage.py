"""The stage: each comparison is asked about twice, with the sides swapped.

A reward model scores both answers instead; its verdict is the same in both orders.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from runspec import JudgeSpec
from runspec.labels import LabeledPair, PairAnswer, Preference, Source, Verdict
from runspec.layout import ANSWERS, OUTPUT, VERDICTS_FILE
from runspec.serving import Prompt

from trainer.asking.collecting import Asker, Progress, collect, refuse_silence
from trainer.asking.parts import PartFile, write_whole
from trainer.asking.questions import (
    Question,
    Reply,
    fold_system,
    seed_of,
    sha256_of,
)
from trainer.context import Context
from trainer.errors import BadInputError
from trainer.judging import words

METRIC = "judge/tokens_per_s"
NUM_SAMPLES = 3
TWICE = 2
"""Questions about one comparison: with A first and with B first, or for A and for B."""
TIE = 1e-6
"""Scores that differ by no more are taken for equal."""
ADVICE = "Choose a chat model, a reward model, or a model of an endpoint."


def run_judge(spec: JudgeSpec, *, context: Context) -> None:
    """Write `output/verdicts.jsonl`, a `Verdict` for each comparison.

    Raises:
        BadInputError: there is nothing to judge, or the judge cannot be loaded, was
            not taught to converse, or answered nothing at all.
        Stopped: the run was asked to stop; what was judged is kept.
    """
    campaign = Path(spec.campaign)
    num_pairs = sum(1 for _ in read_pairs(campaign))
    if not num_pairs:
        raise BadInputError(
            "the campaign has no comparisons to judge",
            "Add comparisons to the campaign first.",
        )
    part = PartFile(context.folder / ANSWERS / "0.jsonl", TWICE * num_pairs)
    progress = Progress(
        context,
        total=part.total,
        metric=METRIC,
        done=part.num_done,
        tokens=part.tokens,
    )
    source = Source.model_validate_json(spec.judge)
    work = Work(spec, context, campaign, source, part, progress)
    try:
        work.ask()
        refuse_silence(source, part)
        work.write()
    finally:
        part.close()


def read_pairs(path: Path) -> Iterator[LabeledPair]:
    """Yield the comparisons of a campaign.

    Raises:
        BadInputError: a line is none.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield LabeledPair.model_validate_json(line)
            except ValidationError as error:
                wrong = error.errors(include_url=False, include_input=False)[0]
                raise BadInputError(
                    f"line {number} of the campaign is no comparison: {wrong['msg']}",
                    "Start the run again; if it stays, it is an error of Trivium's.",
                ) from error


@dataclass
class Work:
    """What the two halves of the stage share."""

    spec: JudgeSpec
    context: Context
    campaign: Path
    source: Source
    part: PartFile
    progress: Progress

    def ask(self) -> None:
        """Have all that is missing judged, or scored."""
        if self.part.is_complete:
            return
        if self.source.url:
            from trainer.asking.endpoint import Endpoint

            endpoint = Endpoint(self.source, has_answered=bool(self.part.num_answered))
            self._collect(endpoint.answers, self._questions())
            return
        from trainer.asking.local import load

        self.progress.begin(f"loading {self.source.title}")
        cache = self.context.cache
        with load(self.source, cache=cache, tick=self.progress.tick) as model:
            if model.is_scorer:
                if model.labels:
                    raise BadInputError(
                        f"{self.source.title} tells labels apart and gives no single "
                        "score, so it cannot judge",
                        ADVICE,
                    )
                asked = self._scored(as_messages=model.has_template)
                self._collect(model.scores, asked)
                return
            if not (self.source.is_chat and model.can_converse):
                raise BadInputError(
                    f"{self.source.title} goes on with text and was never taught to "
                    "converse, so it cannot judge",
                    ADVICE,
                )
            folds = not model.knows_system
            self._collect(model.answers, self._questions(folds_system=folds))

    def write(self) -> None:
        """Write the verdicts, in the order of the comparisons."""
        num_whole = num_consistent = num_ties = 0

        def lines(add: Callable[[str], None]) -> None:
            nonlocal num_whole, num_consistent, num_ties
            for number, pair in enumerate(read_pairs(self.campaign)):
                self.progress.tick()
                replies = [self.part.read(TWICE * number + one) for one in range(TWICE)]
                made = verdict_on(pair, replies)
                if made.a_left is not None and made.b_left is not None:
                    num_whole += 1
                    num_consistent += made.a_left == made.b_left
                    num_ties += made.a_left == made.b_left == "tie"
                add(made.model_dump_json())

        self.progress.begin("writing")
        write_whole(self.context.folder / OUTPUT / VERDICTS_FILE, lines)
        self.context.report.result(
            comparisons=self.part.total // TWICE,
            verdicts=num_whole,
            consistent=num_consistent,
            ties=num_ties,
            failed=self.part.num_failed,
            tokens=self.progress.tokens,
            seconds=round(self.part.spent_s, 3),
        )

    def _collect(
        self,
        asker: Asker,
        questions: Iterator[Question],
    ) -> None:
        def keep(reply: Reply) -> Reply:
            """Keep the words alone: what was asked can be written again."""
            if reply.answer is None:
                return reply
            if reply.number < NUM_SAMPLES:
                place = reply.number // TWICE + 1
                self.context.report.sample(
                    step=self.progress.done,
                    prompt=f"{self.source.title}: comparison {place}",
                    text=reply.answer.text,
                )
            bare = {"receipt": None, "token_ids": (), "sampling": None}
            answer = reply.answer.model_copy(update=bare)
            return reply.model_copy(update={"answer": answer})

        self.progress.begin(f"{self.source.title} judges", self.part)
        collect(asker, questions, part=self.part, progress=self.progress, keep=keep)

    def _questions(self, *, folds_system: bool = False) -> Iterator[Question]:
        sampling = words.judging(self.spec.sampling)
        seed = self.spec.sampling.seed
        base = self.spec.sha256() if seed is None else seed
        for place, pair in enumerate(read_pairs(self.campaign)):
            for order in range(TWICE):
                messages = words.messages_for(
                    pair, self.spec.rubric, is_turned=bool(order)
                )
                if folds_system:
                    messages = fold_system(messages)
                seeded = {"seed": seed_of(base, place, order)}
                yield Question(
                    TWICE * place + order,
                    Prompt(messages=tuple(messages)),
                    sampling.model_copy(update=seeded),
                )

    def _scored(self, *, as_messages: bool) -> Iterator[Question]:
        for place, pair in enumerate(read_pairs(self.campaign)):
            for side, answer in enumerate((pair.answer_a, pair.answer_b)):
                prompt = answered(pair, answer, as_messages=as_messages)
                yield Question(TWICE * place + side, prompt, self.spec.sampling)


def answered(pair: LabeledPair, answer: PairAnswer, *, as_messages: bool) -> Prompt:
    """Return a prompt with an answer to it, as a reward model reads it."""
    asked = pair.prompt
    if as_messages:
        turns = (
            [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
        )
        said = {"role": "assistant", "content": answer.text}
        return Prompt(messages=(*turns, said))
    if isinstance(asked, str):
        return Prompt(text=asked + answer.text)
    return Prompt(text=f"{words.told(asked)}\n\n{answer.text}")


def verdict_on(pair: LabeledPair, replies: list[Reply]) -> Verdict:
    """Return what two replies say of a comparison."""
    first, second = replies
    rendered = [reply.rendered_sha256 for reply in replies]
    values = {
        "id": pair.id,
        "errors": tuple(reply.error for reply in replies if reply.is_failed),
        "rendered_sha256": sha256_of("\n".join(rendered)),
    }
    if first.score is not None and second.score is not None:
        preferred = higher(first.score, second.score)
        told = f"score of A: {first.score:.6g}, score of B: {second.score:.6g}"
        return Verdict(
            a_left=preferred,
            b_left=preferred,
            margin=first.score - second.score,
            texts=(told, told),
            **values,
        )
    texts = [reply.answer.text if reply.answer else "" for reply in replies]
    found = [words.verdict_in(text) for text in texts]
    return Verdict(
        a_left=words.preference_of(found[0], is_turned=False),
        b_left=words.preference_of(found[1], is_turned=True),
        texts=(texts[0], texts[1]),
        **values,
    )


def higher(a: float, b: float) -> Preference:
    """Return which score is higher."""
    if abs(a - b) <= TIE:
        return "tie"
    return "a" if a > b else "b"
