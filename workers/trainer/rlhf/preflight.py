"""The preflight of RLHF: the prompts, and one answer with what it is rewarded.

No step is tried: what one takes depends on answers that are not drawn yet.
"""

from collections.abc import Iterator

import torch
from runspec import PreflightSpec, RlhfSpec
from runspec.preflight import BatchRow, PreflightReport

from trainer.context import Context
from trainer.errors import BadInputError
from trainer.preflight import SHOWN_ROWS, SHOWN_TOKENS, Checks, pieces_of, stop_if_asked
from trainer.rlhf.parts import OnlineParts, build_online_parts
from trainer.rlhf.rewards.functions import can_judge
from trainer.rlhf.sampling import Rollout, make_sampler, seed_of
from trainer.rlhf.training import make_online
from trainer.sft.checks import check_lengths, check_vocabulary, refuse_reading
from trainer.sft.parts import build_model
from trainer.sft.preflight import facts_of


def look_at_rlhf(
    spec: PreflightSpec, training: RlhfSpec, checks: Checks, context: Context
) -> PreflightReport:
    """Build the run as it would be, and let it answer once."""
    if spec.trains_on == "gpu":
        training = training.model_copy(update={"device": "cpu"})
    try:
        parts = build_online_parts(training, context, make_online)
    except BadInputError as error:
        refuse_reading(checks, error, training)
        return PreflightReport(checks=[])
    try:
        return look_at(parts, training, checks, context)
    finally:
        parts.close()


def look_at(
    parts: OnlineParts, training: RlhfSpec, checks: Checks, context: Context
) -> PreflightReport:
    """Look at everything in order of cost; what cannot go on stops there."""
    say = context.report.progress
    check_lengths(parts, checks)
    check_asking(parts, checks)
    check_functions(parts, training, checks)
    check_held_out(parts, checks)
    stop_if_asked(context)
    say(step=1, total=3, unit="checks", phase="loading the policy")
    try:
        model = build_model(parts)
    except BadInputError as error:
        checks.fail("vocabulary", "Model and vocabulary", error)
        return PreflightReport(checks=[], facts=facts_of(parts))
    check_vocabulary(parts, model, checks)
    say(step=2, total=3, unit="checks", phase="answering")
    sampler = make_sampler(
        model.eval(),
        parts.tokenizer,
        parts.drawing,
        ends=parts.ends,
        is_stopped=context.stop.is_set,
    )
    first = parts.prompts[:SHOWN_ROWS]
    with torch.no_grad():
        rollouts = sampler.sample(
            [one.ids for one in first],
            seeds=[seed_of(training.seed, 0, at) for at in range(len(first))],
        )
    check_rewards(parts, rollouts, checks)
    say(step=3, total=3, unit="checks", phase="done")
    facts = facts_of(parts) | {"sampler": sampler.name}
    return PreflightReport(checks=[], batch=list(rows_of(parts, rollouts)), facts=facts)


def check_asking(parts: OnlineParts, checks: Checks) -> None:
    """Say which rows ask nothing."""
    tally, title = parts.tally, "Prompts"
    if tally.num_untrained:
        named = ", ".join(tally.untrained[:5])
        checks.add(
            "prompts",
            title,
            f"{tally.num_untrained:,} rows ask nothing, since their last turn is not "
            f"the user's; they are left out: {named}.",
            "warning",
        )
        return
    checks.add("prompts", title, f"{tally.kept:,} prompts can be answered.")


def check_functions(parts: OnlineParts, training: RlhfSpec, checks: Checks) -> None:
    """See that the reward functions have something to say about these prompts."""
    titles = [part.title for part in parts.rewards.parts][len(training.reward_models) :]
    for title, function in zip(titles, training.reward_functions, strict=True):
        judged = sum(can_judge(function, one) for one in parts.prompts)
        if judged == len(parts.prompts):
            continue
        what = (
            f"The reward {title} can tell answers apart to {judged:,} of "
            f"{len(parts.prompts):,} prompts; to the others it is always 0"
        )
        if judged:
            checks.add(f"reward-{title}", f"Reward {title}", f"{what}.", "warning")
            continue
        error = BadInputError(
            what,
            "Leave it out, or choose prompts it is made for: sums or rows with an "
            "answer for exact, Tiny World's own for tinyworld.",
        )
        checks.fail(f"reward-{title}", f"Reward {title}", error)


def check_held_out(parts: OnlineParts, checks: Checks) -> None:
    """Say what will be measured on prompts that are not learnt from."""
    title = "Held-out prompts"
    if not parts.held_out:
        checks.add(
            "validation",
            title,
            "There are none, so nothing will be measured on prompts the policy did "
            "not learn from.",
            "warning",
        )
        return
    sentence = f"{len(parts.held_out):,} prompts are answered and not learnt from."
    checks.add("validation", title, sentence)


def check_rewards(parts: OnlineParts, rollouts: list[Rollout], checks: Checks) -> None:
    """Show one answer with its rewards; say where all are cut, or rewarded alike."""
    answers = answers_of(parts, rollouts)
    scored = parts.rewards(parts.prompts[: len(answers)], answers)
    each = ", ".join(
        f"{title} {float(values[0]):.3g}" for title, values in scored.parts.items()
    )
    shown = answers[0] if len(answers[0]) < 300 else answers[0][:300] + "…"
    checks.add(
        "answer",
        "An answer and its reward",
        f"To “{parts.prompts[0].text[:200]}” the policy answers “{shown}”, and gets "
        f"{float(scored.total[0]):.3g}: {each}.",
    )
    if not any(one.ended for one in rollouts):
        checks.add(
            "cut",
            "Ends of answers",
            f"Each of {len(rollouts)} answers is cut at {parts.drawing.max_tokens:,} "
            "tokens. Raise max_answer_tokens, or choose a model that learnt to stop.",
            "warning",
        )


def rows_of(parts: OnlineParts, rollouts: list[Rollout]) -> Iterator[BatchRow]:
    """Return the first prompts as the policy sees them, each with an answer."""

    def decode(ids: list[int]) -> str:
        return str(parts.tokenizer.decode(ids, skip_special_tokens=False))

    for one in rollouts:
        ids = [*one.prompt_ids, *one.ids]
        is_learnt = [False] * len(one.prompt_ids) + [True] * len(one.ids)
        yield BatchRow(
            pieces=pieces_of(ids, is_learnt, decode),
            tokens=len(ids),
            trained_tokens=len(one.ids),
            is_cut=len(ids) > SHOWN_TOKENS,
        )


def answers_of(parts: OnlineParts, rollouts: list[Rollout]) -> list[str]:
    """Return answers as people and rewards read them."""
    ids = [one.ids for one in rollouts]
    found: list[str] = parts.tokenizer.batch_decode(ids, skip_special_tokens=True)
    return found
