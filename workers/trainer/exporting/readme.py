"""The README beside the files: what each holds, and how it came about."""

from typing import NamedTuple

from runspec import ExportSpec
from runspec.layout import ExportFile

from trainer.exporting.deciding import REASONS


class About(NamedTuple):
    """What is said of a file."""

    sentence: str
    paragraph: str


ABOUT = {
    "votes": About(
        "Every comparison with every vote, and which row it became or why none.",
        "One line a comparison. `row` is its place in the dataset (`number` counts "
        "from 0 in its split), or `why_not` says why it has none. `votes` holds all: "
        "also those taken back (`undone`), planned repeats with the sides swapped "
        "(`round` 1) and those of an AI (`is_ai`); `is_counted` is true for the "
        "others, which alone make up `counts`, `n` and `p_a`. `p_a` is the share for "
        "answer A, votes for neither counting half for each; `counts` keeps ties and "
        "“both bad” "
        "apart. Votes have the strength (1 to 3), the axes, which answers are "
        "acceptable, which one stood left, the milliseconds looked and the times; "
        "answers have the model, its hashes and the receipt. Notes are as people wrote "
        "them: look through them before you publish this file.",
    ),
    "ties": About(
        "Comparisons of which people prefer neither answer.",
        "One line a comparison with exactly as many votes for A as for B, or which a "
        "second look called equal. They are not in the dataset: a coin's choice would "
        "be noise. TRL has no format for them.",
    ),
    "trl-explicit": About(
        "Preferences with the prompt apart, for TRL's DPOTrainer.",
        "`prompt`, `chosen`, `rejected`; messages of a conversation, or plain text "
        "that the answers go on with. `split` is the side in the dataset: filter by it "
        "before training, `data.filter(lambda row: row['split'] == 'train')`.",
    ),
    "trl-implicit": About(
        "Preferences between whole conversations, for TRL's RewardTrainer.",
        "The same pairs; `chosen` and `rejected` both begin with the prompt.",
    ),
    "kto": About(
        "Single answers, each good or bad, for TRL's KTOTrainer.",
        "`prompt`, `completion`, `label`; up to two lines a comparison. The label of "
        "an answer is the first of these that is known: what most people answered when "
        "asked whether it is acceptable (as many yes as no: not known); false, where "
        "more than half of the votes, or a second look, called both bad; true for the "
        "chosen and false for the rejected answer of a decided pair. Comparisons with "
        "too few votes are not in it.",
    ),
    "arena": About(
        "One line a vote, as Chatbot Arena publishes battles.",
        "`winner` is `model_a`, `model_b`, `tie` or `tie (bothbad)`; `judge` is who "
        "voted, `turn` the number of the user's turns, `tstamp` seconds since 1970, "
        "`question_id` the comparison. Counted votes only, of all comparisons. Model A "
        "is not always the one on the left; the sidecar says which was. Answers "
        "brought in from elsewhere have no model's name.",
    ),
    "argilla": About(
        "One record a comparison, for Argilla.",
        "`fields` (`prompt` for a ChatField, `answer_a`, `answer_b`), `metadata`, "
        "`responses` with `value` and `user_id` for each question: `preference` (a, b, "
        "tie, both_bad), `strength`, `axis-…`, `acceptable-a` and `acceptable-b` (yes, "
        "no). Counted votes only; an AI's vote is a suggestion.",
    ),
    "label-studio": About(
        "Tasks with annotations, for Label Studio (unpack it first).",
        "One task for each order in which the answers of a comparison were shown, so "
        "that `selected` (left or right) is what was clicked; `left_is` says which "
        "answer stood left. Counted votes are annotations (`annotator` is who voted; "
        "Label Studio itself assigns them to whoever brings them in), an AI's are "
        "predictions. A labeling configuration that fits:\n\n"
        "```xml\n"
        "<View>\n"
        '  <Paragraphs name="prompt" value="$prompt" nameKey="role" '
        'textKey="content"/>\n'
        '  <Text name="left" value="$left"/> <Text name="right" value="$right"/>\n'
        '  <Pairwise name="preference" toName="left,right"/>\n'
        '  <Choices name="neither" toName="prompt">\n'
        '    <Choice value="tie"/> <Choice value="both_bad"/>\n'
        "  </Choices>\n"
        "</View>\n"
        "```",
    ),
}
"""By the stem of the file's name, in the order they are listed."""


class Told(NamedTuple):
    """What there is to say of an export as a whole."""

    spec: ExportSpec
    num_pairs: int
    num_rows: int
    num_votes: int
    """Of all kinds."""
    num_counted: int
    left_out: dict[str, int]
    """By the reasons of `deciding.REASONS`."""


def readme(files: list[ExportFile], told: Told) -> str:
    """Return the text."""
    parts = [_whole(told)]
    for file in files:
        stem = file.name.partition(".")[0]
        about = ABOUT[stem.removesuffix("-text")]
        lines = f"{file.lines:,} {'line' if file.lines == 1 else 'lines'}. "
        kind = (
            "The pairs whose prompt is plain text. " if stem.endswith("-text") else ""
        )
        parts.append(f"## {file.name}\n\n{lines}{kind}{about.paragraph}\n")
    return "\n".join(parts)


def _whole(told: Told) -> str:
    spec = told.spec
    decided = (
        "Where a second look decided, that decides. " if spec.uses_adjudicated else ""
    )
    people = (
        "Labelers go by their names in the sidecar `votes.jsonl.gz`, and by pseudonyms "
        "in all other files."
        if spec.names_labelers
        else "Labelers go by pseudonyms that are the same in all of these files, "
        "differ from export to export, and cannot be turned back into names: the key "
        "they were made with is gone."
    )
    return (
        f"# {spec.source_name or 'Preferences of a campaign'}\n\n"
        f"{told.num_pairs:,} comparisons with {told.num_votes:,} votes, of which "
        f"{told.num_counted:,} count: those of people that were not taken back and "
        f"are no planned repeats. {told.num_rows:,} became rows of the dataset: at "
        f"least {spec.min_votes:,} of these votes, and more than {spec.min_share:.3g} "
        "of them for one answer (one for neither counts half for each). "
        f"{decided}{'The others:' if told.left_out else ''}\n\n"
        + "".join(
            f"- {count:,}: {REASONS[reason]}\n"
            for reason, count in told.left_out.items()
        )
        + f"\n{people}\n"
    )
