"""The stage: each model is asked the same, then all of it is compared.

Answers, scores and losses are kept as they come, each answer with a seed of its own: a
run that was broken off says what it would have said.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from inference.errors import RefusedError
from runspec import EvaluateSpec
from runspec.labels import Source
from runspec.layout import ANSWERS, ANSWERS_FILE, OUTPUT
from runspec.serving import Sampling

from trainer.asking.collecting import Asker, collect, refuse_silence
from trainer.asking.local import LocalModel, load
from trainer.asking.parts import PartFile, write_whole
from trainer.asking.questions import Question, Reply, seed_of
from trainer.context import Context
from trainer.errors import BadInputError
from trainer.evaluating.beside import Found, evaluated_prompts
from trainer.evaluating.losses import WindowLosses, load_text_model
from trainer.evaluating.pairs import identical_rows
from trainer.evaluating.plan import Plan
from trainer.evaluating.report import facts_of
from trainer.evaluating.rows import (
    Taken,
    as_question,
    take,
    with_answer,
)

NUM_SAMPLES = 3


def run_evaluate(spec: EvaluateSpec, *, context: Context) -> None:
    """Write `output/answers.jsonl`, and report every measure.

    Raises:
        BadInputError: there is nothing to measure, a model cannot be loaded, or one of
            them answered nothing at all.
        Stopped: the run was asked to stop; what was answered is kept.
    """
    (context.folder / ANSWERS).mkdir(exist_ok=True)
    with ExitStack() as stack:
        work = Evaluating(spec, context, take(spec), stack)
        work.refuse_nothing()
        for place in range(len(work.sources)):
            work.measure(place)
        work.have_judged()
        work.finish()


class Evaluating(Plan):
    """One attempt at an evaluation."""

    # One model -----------------------------------------------------------------------

    def measure(self, place: int) -> None:
        """Do all that one model is needed for, loading it as seldom as can be."""
        source = self.sources[place]
        for one in self.texts:
            self._measure_text(place, one)
        answers, ratings = self.answers.get(place), self.ratings.get(place)
        if answers is not None and not answers.is_complete:
            self._have_answered(place, source, answers)
        if ratings is not None and not ratings.is_complete:
            with self._loaded(source) as model:
                questions = self._pair_questions(as_messages=model.has_template)
                self._score(source, model, questions, ratings, "rates pairs")
        for part in (answers, ratings):
            if part is not None:
                refuse_silence(source, part)

    def _have_answered(self, place: int, source: Source, part: PartFile) -> None:
        questions = self._questions(place, source)
        if source.url:
            from trainer.asking.endpoint import Endpoint

            endpoint = Endpoint(source, has_answered=bool(part.num_answered))
            self._collect(source, endpoint.answers, questions, part)
            return
        with self._loaded(source) as model:
            if not model.can_write:
                raise BadInputError(
                    f"{source.title} writes no text, so it cannot answer",
                    "Choose a model that goes on with text.",
                )
            self._collect(source, model.answers, questions, part)

    def _loaded(self, source: Source) -> LocalModel:
        self.progress.begin(f"loading {source.title}")
        return load(source, cache=self.context.cache, tick=self.progress.tick)

    def _collect(
        self,
        source: Source,
        asker: Asker,
        questions: Iterator[Question],
        part: PartFile,
    ) -> None:
        texts = [row.text for _, row in islice(self.rows(), NUM_SAMPLES)]

        def show(reply: Reply) -> Reply:
            """Show the first answers at once; what was asked can be written again."""
            if reply.answer is None:
                return reply
            if reply.number < len(texts):
                self.context.report.sample(
                    step=self.progress.done,
                    prompt=f"{source.title}: {texts[reply.number]}",
                    text=reply.answer.text,
                )
            bare = {"receipt": None, "token_ids": (), "sampling": None}
            answer = reply.answer.model_copy(update=bare)
            return reply.model_copy(update={"answer": answer})

        self.progress.begin(f"{source.title} answers", part)
        collect(asker, questions, part=part, progress=self.progress, keep=show)

    def _questions(self, place: int, source: Source) -> Iterator[Question]:
        for number, (_, row) in enumerate(self.rows()):
            seed = seed_of(self.base, number, place)
            yield Question(
                number,
                as_question(row, is_chat=source.is_chat),
                self.spec.sampling.model_copy(update={"seed": seed}),
            )

    # Text ----------------------------------------------------------------------------

    def _measure_text(self, place: int, taken: Taken) -> None:
        source, path = self.sources[place], self._losses_file(place, taken)
        if path.is_file() or source.is_scorer:
            return
        why = ""
        if source.model is None:
            why = "it runs elsewhere, and endpoints do not tell what they expect"
        else:
            self.progress.begin(f"{source.title} reads {taken.name}")
            tick = self.progress.tick
            try:
                model = load_text_model(
                    source.model, cache=self.context.cache, tick=tick
                )
                if model.built.head != "causal-lm":
                    why = "it does not write from left to right"
                else:
                    found = model.losses(
                        taken, most=self.spec.max_characters, tick=tick
                    )
                    if not found.num_labels:
                        why = "there is too little text"
                    else:
                        write_whole(path, lambda add: add(found.model_dump_json()))
            except RefusedError as error:
                raise BadInputError(
                    f"{source.title}: {error.event.message}", "Choose another model."
                ) from error
            except BadInputError as error:
                why = str(error)
        if why:
            self.note(f"{source.title} has no loss on {taken.name}: {why}")

    def _losses_file(self, place: int, taken: Taken) -> Path:
        return self.context.folder / ANSWERS / f"{place}-text-{taken.place}.json"

    # Scores --------------------------------------------------------------------------

    def have_judged(self) -> None:
        """Have the judge rate every answer."""
        part = self.verdicts
        if part is None or self.judge is None or part.is_complete:
            return
        with self._loaded(self.judge) as model:
            asked = self._judge_questions(as_messages=model.has_template)
            self._score(self.judge, model, asked, part, "judges")
        refuse_silence(self.judge, part)

    def _score(
        self,
        source: Source,
        model: LocalModel,
        questions: Iterator[Question],
        part: PartFile,
        does: str,
    ) -> None:
        if not model.is_scorer or model.labels:
            raise BadInputError(
                f"{source.title} gives no single score, so it cannot rate answers",
                "Choose a reward model.",
            )
        self.progress.begin(f"{source.title} {does}", part)
        collect(model.scores, questions, part=part, progress=self.progress)

    def _pair_questions(self, *, as_messages: bool) -> Iterator[Question]:
        number = 0
        for one in self.paired:
            for pair in one.pairs():
                for answer in (pair.chosen, pair.rejected):
                    prompt = with_answer(pair.row, answer, as_messages=as_messages)
                    yield Question(number, prompt, Sampling())
                    number += 1

    def _judge_questions(self, *, as_messages: bool) -> Iterator[Question]:
        for order, place in enumerate(self.writers):
            part = self.answers[place]
            for number, (_, row) in enumerate(self.rows()):
                reply = part.read(number)
                said = reply.answer.text if reply.answer else ""
                turns = [{"role": "assistant", "content": said}]
                prompt = with_answer(row, turns, as_messages=as_messages)
                yield Question(order * self.num_asked + number, prompt, Sampling())

    # All together --------------------------------------------------------------------

    def finish(self) -> None:
        """Write the answers side by side, and report what was found."""
        self.progress.begin("comparing")
        found = self._found()
        prompts = list(evaluated_prompts(found, self.rows()))
        facts = facts_of(found, prompts)
        for name, rows in identical_rows(found).items():
            self.note(f"{name}: both answers are the same in {rows}")

        def lines(add: Callable[[str], None]) -> None:
            for one in prompts:
                self.progress.tick()
                add(one.model_dump_json())

        write_whole(self.context.folder / OUTPUT / ANSWERS_FILE, lines)
        self.progress.tell()
        self.context.report.result(
            **facts,
            notes=self.notes,
            tokens=self.progress.tokens,
            seconds=round(sum(part.spent_s for part in self.answers.values()), 3),
        )

    def _found(self) -> Found:
        losses = {
            (place, one.place): WindowLosses.model_validate(
                json.loads(path.read_text())
            )
            for place in range(len(self.sources))
            for one in self.texts
            if (path := self._losses_file(place, one)).is_file()
        }
        return Found(
            spec=self.spec,
            sources=self.sources,
            baseline=self.baseline,
            judge=self.judge,
            taken=self.taken,
            answers=self.answers,
            ratings=self.ratings,
            verdicts=self.verdicts,
            losses=losses,
        )
