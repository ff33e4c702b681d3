"""Lines as other tools for labels and battles write them: Arena, Argilla, Label Studio.

What each field means is in the README beside the files (`readme.py`).
"""

from collections.abc import Callable
from typing import Any

from runspec.labels import LabeledPair, PairVote, Side

from trainer.exporting.deciding import Decision, is_counted, other
from trainer.exporting.turns import answer_messages, answer_text, prompt_messages

Line = dict[str, Any]
Named = Callable[[str], str]
"""From a person's name to what stands for it."""
WINNERS = {"a": "model_a", "b": "model_b", "tie": "tie", "both_bad": "tie (bothbad)"}


def battles(pair: LabeledPair, decision: Decision, named: Named) -> list[Line]:
    """Return one line for each vote that counts, as Chatbot Arena publishes them."""
    prompt = prompt_messages(pair)
    battle = {
        "question_id": str(pair.id),
        "model_a": pair.answer_a.model,
        "model_b": pair.answer_b.model,
    }
    told = {
        "conversation_a": prompt + answer_messages(pair, "a"),
        "conversation_b": prompt + answer_messages(pair, "b"),
        "turn": sum(message["role"] == "user" for message in prompt),
        "anony": True,
    }
    return [
        {
            **battle,
            "winner": WINNERS[vote.choice],
            "judge": named(vote.annotator),
            **told,
            "tstamp": vote.created.timestamp(),
        }
        for vote in decision.votes
    ]


def record(pair: LabeledPair, decision: Decision, named: Named) -> Line:
    """Return a record of Argilla: people's answers, an AI's as suggestion."""
    responses: dict[str, list[Line]] = {}
    for vote in decision.votes:
        user = named(vote.annotator)
        for question, value in _answers(vote).items():
            responses.setdefault(question, []).append({"value": value, "user_id": user})
    judged = next((v for v in pair.votes if v.is_ai and is_first(v)), None)
    suggestions = (
        {
            "preference": {
                "value": judged.choice,
                "score": None,
                "agent": judged.annotator,
            }
        }
        if judged
        else {}
    )
    known = {
        "model_a": pair.answer_a.model,
        "model_b": pair.answer_b.model,
        "category": pair.category,
        "gold": pair.gold,
        "adjudicated": pair.adjudicated,
    }
    return {
        "id": str(pair.id),
        "fields": {
            "prompt": prompt_messages(pair),
            "answer_a": pair.answer_a.text,
            "answer_b": pair.answer_b.text,
        },
        "metadata": {name: value for name, value in known.items() if value},
        "responses": responses,
        "suggestions": suggestions,
    }


def is_first(vote: PairVote) -> bool:
    """Whether a vote stands and is no repeat, whoever gave it."""
    return vote.undone is None and vote.round == 0


def _answers(vote: PairVote) -> Line:
    """Return what a vote answers to each question."""
    answers: Line = {"preference": vote.choice}
    if vote.strength is not None:
        answers["strength"] = vote.strength
    answers |= {f"axis-{axis}": choice for axis, choice in vote.axes.items()}
    for side, is_acceptable in sorted(vote.acceptable.items()):
        answers[f"acceptable-{side}"] = "yes" if is_acceptable else "no"
    return answers


def tasks(pair: LabeledPair, named: Named) -> list[Line]:
    """Return tasks of Label Studio: one for each order the answers were shown in.

    Its `selected` says left or right, so a vote belongs under a task whose answers
    stand as its labeler saw them.
    """
    sides: tuple[Side, Side] = ("a", "b")
    made = (_task(pair, side, named) for side in sides)
    return [task for task in made if task["annotations"] or task["predictions"]]


def _task(pair: LabeledPair, left: Side, named: Named) -> Line:
    votes = [v for v in pair.votes if is_first(v) and v.shown_left == left]
    right = other(left)
    return {
        "data": {
            "pair_id": str(pair.id),
            "prompt": prompt_messages(pair),
            "left": answer_text(pair, left),
            "right": answer_text(pair, right),
            "left_is": left,
            "model_left": (pair.answer_a if left == "a" else pair.answer_b).model,
            "model_right": (pair.answer_a if right == "a" else pair.answer_b).model,
        },
        "annotations": [
            {
                "result": _result(vote),
                "lead_time": vote.ms_active / 1000,
                "ground_truth": False,
                "was_cancelled": False,
                "created_at": vote.created.isoformat(),
                "annotator": named(vote.annotator),
            }
            for vote in votes
            if is_counted(vote)
        ],
        "predictions": [
            {"model_version": vote.annotator, "result": _result(vote)}
            for vote in votes
            if vote.is_ai
        ],
    }


def _result(vote: PairVote) -> list[Line]:
    if vote.choice in {"tie", "both_bad"}:
        control = {"from_name": "neither", "to_name": "prompt", "type": "choices"}
        return [{**control, "value": {"choices": [vote.choice]}}]
    selected = "left" if vote.choice == vote.shown_left else "right"
    control = {"from_name": "preference", "to_name": "left", "type": "pairwise"}
    return [{**control, "value": {"selected": selected}}]
