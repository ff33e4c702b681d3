"""What the pairs of a dataset of preferences are like, in words."""

from runspec.layout import PairFacts


def longer(facts: PairFacts) -> list[tuple[str, int]]:
    """Count the pairs by which of their answers is longer."""
    return [
        ("the chosen one", facts.chosen_longer),
        ("the rejected one", facts.rejected_longer),
        ("neither", facts.same_length),
    ]


def sentences(facts: PairFacts) -> list[str]:
    """Return what somebody should know who learns from these pairs."""
    said = [_size(facts), _lengths(facts), _baseline(facts)]
    if facts.repeated:
        are = "pair repeats" if facts.repeated == 1 else "pairs repeat"
        said.append(f"{facts.repeated:,} {are} an earlier one.")
    if facts.num_voted:
        pairs = _counted(facts.num_voted, "pair")
        said.append(f"Of {pairs} the share of votes is known.")
    return said


def _size(facts: PairFacts) -> str:
    pairs = _counted(facts.num_pairs, "pair")
    return f"{pairs} on {_counted(facts.num_prompts, 'distinct prompt')}."


def _lengths(facts: PairFacts) -> str:
    chosen = facts.chosen_characters / facts.num_pairs
    rejected = facts.rejected_characters / facts.num_pairs
    return (
        f"A chosen answer has {chosen:,.0f} characters on average, a rejected one "
        f"{rejected:,.0f}."
    )


def _baseline(facts: PairFacts) -> str:
    share = 100 * facts.longer_share
    rule = "longer" if share >= 50 else "shorter"
    return (
        f"The longer answer is the preferred one in {share:.1f} % of pairs (equal "
        f"lengths count half). Who always prefers the {rule} one is right in "
        f"{100 * facts.length_baseline:.1f} %: a reward model has to beat that, not "
        "50 %."
    )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
