"""Bringing in what runs made: answers become comparisons, verdicts become votes.

Both are read line by line, some hundred at a time in a transaction, and a line that is
in already is passed over: a run whose publishing was broken off can publish again.
"""

import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from django.db import transaction
from django.utils import timezone
from runspec import GenerateSpec, JudgeSpec
from runspec.labels import AnsweredPrompt, Verdict
from runspec.layout import ANSWERS_FILE, VERDICTS_FILE
from runspec.serving import Prompt

from trivium.campaigns.chance import place_of
from trivium.campaigns.making import answerer_of, create_campaign, wanted_for
from trivium.campaigns.models import Answerer, Batch, Campaign, Item, Judge
from trivium.comparisons.models import Comparison, Vote
from trivium.playground.models import Generation
from trivium.runs.errors import SubmitError
from trivium.runs.models import Run
from trivium.serving.choices import find_for_run
from trivium.serving.errors import ChoiceNotFoundError

AT_ONCE = 200
"""Lines a transaction takes."""
BROUGHT_IN = "Brought in"
"""Title of answers no model of this place made."""
NAMES = re.compile(
    r"\b(?:chat ?gpt|gpt-?[345]\w*|open ?ai|claude|anthropic|gemini|bard|deep ?mind|"
    r"llama|meta ai|mistral|mixtral|qwen|tongyi|deep ?seek|vicuna|alpaca|koala|falcon|"
    r"grok|x\.?ai|cohere|command-r|phi-[1-4]|gemma|yi-\d+b|baichuan|chatglm|"
    r"large language model trained by)\b",
    re.IGNORECASE,
)
"""Names of well-known assistants and of who made them."""
LEAST_TITLE = 4
"""Letters of a model's own name that may give it away; shorter ones are words."""


def claim_batch(run: Run, spec: GenerateSpec, name: str) -> str:
    """Make the batch that a run will fill; returns the campaign's name.

    Raises:
        SubmitError: the campaign of that name is closed, or a model is not there.
    """
    campaign = _campaign_named(run, name)
    for choice_id, sampling in zip(spec.answerers, spec.samplings, strict=True):
        try:
            choice = find_for_run(campaign.project, choice_id)
        except ChoiceNotFoundError as error:
            raise SubmitError(str(error), field="answerers") from error
        answerer_of(campaign, choice.id, choice.title, sampling.model_dump(mode="json"))
    abandoned = campaign.batches.filter(run__state__in=Run.TERMINAL, facts={}).order_by(
        "pk"
    )
    replaced = abandoned.filter(items=None).first()
    if replaced is not None:
        Batch.objects.filter(pk=replaced.pk).update(run=run)
    else:
        Batch.objects.create(campaign=campaign, run=run)
    return campaign.name


def publish_batch(run: Run, output: Path, _result: dict[str, Any]) -> dict[str, Any]:
    """Bring the answers of a run in; return what its batch holds then."""
    batch = Batch.objects.select_related("campaign__project").get(run=run)
    spec = GenerateSpec.model_validate(run.spec)
    answerers = [
        _answerer(batch.campaign, choice_id, sampling.model_dump(mode="json"))
        for choice_id, sampling in zip(spec.answerers, spec.samplings, strict=True)
    ] or [answerer_of(batch.campaign, "", BROUGHT_IN, {})] * 2
    counts = dict.fromkeys(("prompts", "comparisons", "identical", "failed"), 0)
    for lines in _chunks(_answered(output / ANSWERS_FILE)):
        _take_prompts(batch, answerers, lines, counts)
    return {"facts": counts}


def claim_judge(run: Run, spec: JudgeSpec, _name: str) -> str:
    """Make the judge whose verdicts a run will bring; returns the campaign's name.

    Raises:
        SubmitError: there is no such campaign or model.
    """
    campaign = Campaign.objects.get(pk=int(spec.campaign), project=run.project)
    try:
        choice = find_for_run(run.project, spec.judge)
    except ChoiceNotFoundError as error:
        raise SubmitError(str(error), field="judge") from error
    told = {"choice_id": choice.id, "title": choice.title, "rubric": spec.rubric}
    abandoned = campaign.judges.filter(run__state__in=Run.TERMINAL, facts={}, **told)
    replaced = abandoned.first()
    if replaced is not None:
        Judge.objects.filter(pk=replaced.pk).update(run=run)
    else:
        Judge.objects.create(campaign=campaign, run=run, **told)
    return campaign.name


def publish_judge(run: Run, output: Path, _result: dict[str, Any]) -> dict[str, Any]:
    """Bring the verdicts of a run in as votes of its judge, one for each order."""
    judge = Judge.objects.select_related("campaign").get(run=run)
    counts = dict.fromkeys(("judged", "silent", "both_orders", "same_in_both"), 0)
    for verdicts in _chunks(_verdicts(output / VERDICTS_FILE)):
        _take_verdicts(judge, verdicts, counts)
    return {"facts": counts}


# Answers -----------------------------------------------------------------------------


class _Pair(NamedTuple):
    """Two different answers to one prompt, on their way in."""

    line: AnsweredPrompt
    first: int
    second: int


@transaction.atomic
def _take_prompts(
    batch: Batch,
    answerers: list[Answerer],
    lines: list[AnsweredPrompt],
    counts: dict[str, int],
) -> None:
    there = set(
        batch.items.filter(
            prompt_number__in=[line.number for line in lines]
        ).values_list("prompt_number", "answerer_a", "answerer_b")
    )
    pairs = [
        pair
        for line in lines
        for pair in _pairs(line, counts)
        if (line.number, answerers[pair.first].pk, answerers[pair.second].pk)
        not in there
    ]
    wanted = {
        (pair.line.number, at): _generation(batch, answerers[at], pair.line, at)
        for pair in pairs
        for at in (pair.first, pair.second)
    }
    Generation.objects.bulk_create(wanted.values())
    comparisons = Comparison.objects.bulk_create(
        Comparison(
            project=batch.campaign.project,
            prompt=pair.line.prompt,
            answer_a=wanted[pair.line.number, pair.first],
            answer_b=wanted[pair.line.number, pair.second],
            source=Comparison.Source.CAMPAIGN,
        )
        for pair in pairs
    )
    Item.objects.bulk_create(
        _item(batch, answerers, pair, compared)
        for pair, compared in zip(pairs, comparisons, strict=True)
    )
    _note_categories(batch.campaign, {pair.line.category for pair in pairs} - {""})


def _pairs(line: AnsweredPrompt, counts: dict[str, int]) -> Iterator[_Pair]:
    """Yield what can be compared; equal answers never are."""
    counts["prompts"] += 1
    counts["failed"] += sum(answer is None for answer in line.answers)
    for first, second in itertools.combinations(range(len(line.answers)), 2):
        one, other = line.answers[first], line.answers[second]
        if one is None or other is None:
            continue
        if one.text.strip() == other.text.strip():
            counts["identical"] += 1
            continue
        counts["comparisons"] += 1
        yield _Pair(line, first, second)


def _generation(
    batch: Batch, answerer: Answerer, line: AnsweredPrompt, at: int
) -> Generation:
    answer = line.answers[at]
    assert answer is not None
    prompt = (
        Prompt(text=line.prompt)
        if isinstance(line.prompt, str)
        else Prompt(messages=tuple(line.prompt))
    )
    return Generation(
        project=batch.campaign.project,
        choice_id=answerer.choice_id,
        choice_title=answerer.title,
        prompt=prompt.model_dump(mode="json"),
        sampling=answer.sampling.model_dump(mode="json") if answer.sampling else {},
        state=Generation.State.DONE,
        text=answer.text,
        token_ids=list(answer.token_ids),
        finish_reason=answer.finish_reason,
        receipt=answer.receipt.model_dump(mode="json") if answer.receipt else None,
        timings=answer.timings.model_dump(mode="json") if answer.timings else None,
        ended=timezone.now(),
    )


def _item(
    batch: Batch, answerers: list[Answerer], pair: _Pair, compared: Comparison
) -> Item:
    campaign = batch.campaign
    place = place_of("place", campaign.pk, batch.pk, pair.line.number, *pair[1:])
    answers = compared.answer_a, compared.answer_b
    titles = [answerers[at].title for at in (pair.first, pair.second)]
    return Item(
        comparison=compared,
        campaign=campaign,
        batch=batch,
        prompt_number=pair.line.number,
        answerer_a=answerers[pair.first],
        answerer_b=answerers[pair.second],
        place=place,
        wanted=wanted_for(campaign, place),
        category=pair.line.category[:80],
        names_itself=any(names_itself(answer.text, titles) for answer in answers),
        **measured(compared),
    )


def measured(compared: Comparison) -> dict[str, int]:
    """Return how much there is to read, and how much longer answer A is, in words."""
    words = len(compared.answer_a.text.split()), len(compared.answer_b.text.split())
    return {"num_words": sum(words), "more_words": words[0] - words[1]}


def names_itself(text: str, titles: Iterable[str]) -> bool:
    """Whether an answer says what model it is: a well-known name, or one of these."""
    if NAMES.search(text):
        return True
    lowered = text.lower()
    return any(
        len(title) >= LEAST_TITLE
        and re.search(rf"\b{re.escape(title.lower())}\b", lowered) is not None
        for title in titles
        if title != BROUGHT_IN
    )


def _note_categories(campaign: Campaign, found: set[str]) -> None:
    """Let labelers be asked about categories of harmful content that came in."""
    if found - set(campaign.categories):
        campaign.categories = sorted({*campaign.categories, *found})
        campaign.save(update_fields=["categories"])


def _answerer(campaign: Campaign, choice_id: str, sampling: dict[str, Any]) -> Answerer:
    """Return who answered, by the name it had when it was asked for."""
    known = campaign.answerers.filter(choice_id=choice_id)
    title = known.values_list("title", flat=True).first() or choice_id
    try:
        choice = find_for_run(campaign.project, choice_id)
    except ChoiceNotFoundError:
        return answerer_of(campaign, choice_id, title, sampling)
    return answerer_of(campaign, choice.id, choice.title, sampling)


# Verdicts ----------------------------------------------------------------------------


@transaction.atomic
def _take_verdicts(
    judge: Judge, verdicts: list[Verdict], counts: dict[str, int]
) -> None:
    numbers = [verdict.id for verdict in verdicts]
    known = set(
        judge.campaign.items.filter(pk__in=numbers).values_list("pk", flat=True)
    )
    keys = set(
        Vote.objects.filter(judge=judge, comparison__in=numbers).values_list(
            "key", flat=True
        )
    )
    votes = []
    for verdict in verdicts:
        if verdict.id not in known:
            continue
        said = [one for one in (verdict.a_left, verdict.b_left) if one is not None]
        counts["judged" if said else "silent"] += 1
        if len(said) == 2:
            counts["both_orders"] += 1
            counts["same_in_both"] += said[0] == said[1]
        for number, (left, choice) in enumerate(
            (("a", verdict.a_left), ("b", verdict.b_left))
        ):
            key = f"judge-{judge.pk}-{verdict.id}-{left}"
            if choice is None or key in keys:
                continue
            votes.append(
                Vote(
                    comparison_id=verdict.id,
                    judge=judge,
                    round=number,
                    choice=choice,
                    shown_left=left,
                    details={"note": verdict.texts[number]},
                    ms_active=0,
                    key=key,
                )
            )
    Vote.objects.bulk_create(votes)
    for verdict in verdicts:
        if verdict.margin is not None:
            judge.campaign.items.filter(pk=verdict.id).update(margin=verdict.margin)


# Lines -------------------------------------------------------------------------------


def _answered(path: Path) -> Iterator[AnsweredPrompt]:
    with path.open("rb") as file:
        yield from map(AnsweredPrompt.model_validate_json, file)


def _verdicts(path: Path) -> Iterator[Verdict]:
    with path.open("rb") as file:
        yield from map(Verdict.model_validate_json, file)


def _chunks(lines: Iterable[Any]) -> Iterator[list[Any]]:
    found = iter(lines)
    while chunk := list(itertools.islice(found, AT_ONCE)):
        yield chunk


def _campaign_named(run: Run, name: str) -> Campaign:
    """Return the campaign answers go to; a name that is new makes one.

    Raises:
        SubmitError: it is closed.
    """
    campaign = Campaign.objects.filter(project=run.project, name=name).first()
    if campaign is None:
        assert run.created_by is not None
        return create_campaign(
            project=run.project,
            created_by=run.created_by,
            name=name or f"Campaign of run {run.pk}",
        )
    if campaign.state == Campaign.State.CLOSED:
        raise SubmitError(f"the campaign {name!r} is closed", field="name")
    return campaign
