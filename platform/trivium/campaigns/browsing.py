"""Finding comparisons of a campaign: filters, pages, and what needs a second look."""

import json
from typing import Any, NamedTuple

from django import forms
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from trivium.campaigns.models import Answerer, Campaign, Flag, Item
from trivium.comparisons.models import Vote
from trivium.statistics.majority import LOW_AGREEMENT

MAX_ANSWERERS = 100
SURE_MARGIN = 1.0
"""A reward model that prefers an answer by this is right in 73 of 100 cases, if it is
calibrated; a majority against it is worth a look."""
STATES = (
    ("", "Any state"),
    ("open", "Waits for votes"),
    ("done", "Has its votes"),
    ("gold", "Gold"),
    ("withdrawn", "Withdrawn"),
)
LOOKS = (
    ("", "Any votes"),
    ("disagreement", "Labelers disagree"),
    ("flagged", "Flagged"),
    ("contradicted", "Reward model differs"),
    ("adjudicated", "Adjudicated"),
    ("names", "Names itself"),
)
TALLIES = ("num_a", "num_b", "num_tie", "num_both_bad")


class ItemFilter(forms.Form):
    """What the list of comparisons is narrowed by."""

    state = forms.ChoiceField(choices=STATES, required=False)
    look = forms.ChoiceField(choices=LOOKS, required=False, label="Votes")
    answerer = forms.TypedChoiceField(
        required=False, coerce=int, empty_value=None, label="Model"
    )
    category = forms.ChoiceField(required=False)

    def __init__(self, *args: Any, campaign: Campaign, **kwargs: Any) -> None:
        """Offer the campaign's models and categories."""
        super().__init__(*args, **kwargs)
        answerers = campaign.answerers.order_by("pk")[:MAX_ANSWERERS]
        self.fields["answerer"].choices = [  # type: ignore[attr-defined]
            ("", "Any model"),
            *((str(one.pk), label_of(one)) for one in answerers),
        ]
        self.fields["category"].choices = [  # type: ignore[attr-defined]
            ("", "Any category"),
            *((one, one) for one in campaign.categories),
        ]
        if not campaign.categories:
            del self.fields["category"]


def label_of(answerer: Answerer) -> str:
    """Return an answerer's name, cut for a select."""
    return (answerer.title or "Brought in")[:60]


def filtered(campaign: Campaign, form: ItemFilter) -> QuerySet[Item]:
    """Return the comparisons a filter lets through; a wrong filter counts as none."""
    form.is_valid()
    given = form.cleaned_data
    items = Item.objects.filter(campaign=campaign)
    for asked, meant in ((given.get("state"), IN_STATE), (given.get("look"), LIKE)):
        if asked in meant:
            items = items.filter(meant[asked])
    if given.get("answerer"):
        pk = given["answerer"]
        items = items.filter(Q(answerer_a=pk) | Q(answerer_b=pk))
    if given.get("category"):
        items = items.filter(category=given["category"])
    return items.select_related("comparison", "answerer_a", "answerer_b")


DISAGREED = Q(
    *((f"{name}__lt", LOW_AGREEMENT * F("num_votes")) for name in TALLIES),
    num_votes__gte=2,
    gold="",
)
"""No choice has three quarters of the votes."""
CONTRADICTED = Q(
    Q(margin__gte=SURE_MARGIN, num_b__gt=F("num_a"))
    | Q(margin__lte=-SURE_MARGIN, num_a__gt=F("num_b")),
    gold="",
)


FLAGGED = Q(Exists(Flag.objects.filter(item=OuterRef("pk"), resolved=None)))
"""A flag waits for somebody."""
IN_STATE = {
    "open": Q(is_open=True),
    "done": Q(is_open=False, is_withdrawn=False, gold=""),
    "gold": ~Q(gold=""),
    "withdrawn": Q(is_withdrawn=True),
}
LIKE = {
    "disagreement": DISAGREED,
    "flagged": FLAGGED,
    "contradicted": CONTRADICTED,
    "adjudicated": ~Q(adjudicated=""),
    "names": Q(names_itself=True),
}


def queue_of(campaign: Campaign) -> QuerySet[Item]:
    """Return what needs a second look and had none, in a fixed order."""
    needs = DISAGREED | CONTRADICTED | FLAGGED
    return campaign.items.filter(needs, is_withdrawn=False, adjudicated="").order_by(
        "pk"
    )


class Why(NamedTuple):
    """One reason to look again."""

    name: str
    text: str


def reasons_for(item: Item) -> list[Why]:
    """Return why an item is in the queue, as sentences."""
    found = []
    if item.num_votes >= 2 and largest(item) < LOW_AGREEMENT * item.num_votes:
        found.append(
            Why(
                "disagreement",
                f"Labelers disagree: {largest(item)} of {item.num_votes} votes for "
                "the choice with most.",
            )
        )
    margin = item.margin or 0.0
    ahead = item.num_a - item.num_b
    if abs(margin) >= SURE_MARGIN and margin * ahead < 0:
        liked, voted = ("A", "B") if margin > 0 else ("B", "A")
        found.append(
            Why(
                "contradicted",
                f"The reward model prefers {liked} by {abs(margin):.1f}, most votes "
                f"{voted}.",
            )
        )
    found += [
        Why("flagged", f"Flagged: {flag.reason}")
        for flag in item.flags.filter(resolved=None).order_by("pk")
    ]
    return found


def largest(item: Item) -> int:
    """Return the votes of the choice that has most."""
    return max(int(getattr(item, name)) for name in TALLIES)


def majority_of(item: Item) -> str:
    """Return the choice with most votes; empty where two have as many."""
    counts = {
        choice: getattr(item, name)
        for choice, name in zip(Vote.Choice.values, TALLIES, strict=True)
    }
    top = max(counts.values())
    leaders = [choice for choice, count in counts.items() if count == top]
    return leaders[0] if top and len(leaders) == 1 else ""


def asked_in(prompt: Any) -> str:
    """Return the last thing that was asked, as one text."""
    if isinstance(prompt, str):
        return prompt
    try:
        content = prompt[-1]["content"]
    except (IndexError, KeyError, TypeError):
        return json.dumps(prompt, ensure_ascii=False)
    return content if isinstance(content, str) else json.dumps(content)
