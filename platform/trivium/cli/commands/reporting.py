"""What the votes of a campaign amount to, as tables."""

from trivium.cli import show
from trivium.cli.commands.context import Context
from trivium.cli.wire import Json


def print_report(context: Context) -> int:
    """Print agreement, ranking and labelers."""
    found = context.client.get(f"/campaigns/{context.args.id}/report")
    if context.is_json:
        show.print_json(found)
        return 0
    values = found["values"]
    if not values:
        show.print_line("no report yet; one was asked for, so look again in a moment")
        return 0
    since = f", {found['votes_since']:,} votes ago" if found["votes_since"] else ""
    show.print_line(f"computed {show.date_text(found['computed'])}{since}")
    show.print_line(
        f"{values['standing']:,} votes, {values['counted']:,} of them count for "
        "agreement and ranking (gold items are left out)\n"
    )
    print_agreement(values)
    print_ranking(values)
    print_labelers(values)
    return 0


def print_agreement(values: Json) -> None:
    """Print how far people agree, with each other and with themselves."""
    measured = {"agreement": values["agreement"], **values["axes"]}
    if values["strength"]["num_units"]:
        measured["strength"] = values["strength"]
    rows = [
        [name, estimate(one["alpha"]), per_cent(one["percent"]), one["num_units"]]
        for name, one in measured.items()
    ]
    for name, share in (
        ("same on repeats", values["consistency"]),
        ("right on gold items", values["gold"]),
        ("left one preferred", values["left"]["share"]),
    ):
        rows.append([name, None, per_cent(share), share["total"]])
    show.print_table(["of people", "alpha", "per cent", "items or votes"], rows)
    if reason := values["agreement"]["alpha"]["reason"]:
        show.print_line(reason)
    show.print_line("")


def print_ranking(values: Json) -> None:
    """Print which model people prefer, and how sure that is."""
    ranking = values["ranking"]
    even = {one["name"]: one for one in values["at_length"]["models"]}
    if ranking["refusal"]:
        show.print_line(ranking["refusal"])
    else:
        show.print_table(
            ["rank", "model", "score", "at equal length", "won", "lost", "neither"],
            [
                [
                    ranks(one),
                    one["name"],
                    points(one),
                    points(even[one["name"]]) if one["name"] in even else None,
                    one["wins"],
                    one["losses"],
                    one["ties"],
                ]
                for one in ranking["models"]
            ],
        )
    for caution in ranking["cautions"]:
        show.print_line(caution)


def print_labelers(values: Json) -> None:
    """Print what each labeler's votes look like, to those who are told."""
    if not values.get("labelers"):
        return
    show.print_line("")
    show.print_table(
        ["labeler", "votes", "gold", "same on repeats", "left", "too fast", "seconds"],
        [
            [
                one["name"],
                one["num_votes"],
                per_cent(one["gold"]),
                per_cent(one["consistency"]),
                per_cent(one["left"]["share"]),
                per_cent(one["too_fast"]),
                one["median_active_s"],
            ]
            for one in values["labelers"]
        ],
    )


def ranks(one: Json) -> str:
    """Return the ranks a model may have."""
    best, worst = one["rank"], one["worst_rank"]
    return str(best) if best == worst else f"{best}-{worst}"


def points(one: Json) -> str:
    """Return a model's score with its 95 % interval."""
    low, high = one["interval"]["low"], one["interval"]["high"]
    return f"{one['score']:.0f} [{low:.0f} to {high:.0f}]"


def per_cent(share: Json) -> str | None:
    """Return a share with its 95 % interval, as far as they are known."""
    return _interval(share, 100, ".0f")


def estimate(found: Json) -> str | None:
    """Return a coefficient with its 95 % interval, as far as they are known."""
    return _interval(found, 1, ".2f")


def _interval(found: Json, scale: int, form: str) -> str | None:
    if found["value"] is None:
        return None
    text = f"{scale * found['value']:{form}}"
    if found["interval"] is None:
        return text
    low, high = (f"{scale * found['interval'][end]:{form}}" for end in ("low", "high"))
    return f"{text} [{low} to {high}]"
