"""`trivium costs`: what runs have cost, and what is left of the budget."""

from trivium.cli import show
from trivium.cli.commands.context import Context, Nouns, add_verb
from trivium.cli.commands.plan import round_to
from trivium.cli.wire import Json


def add(nouns: Nouns) -> None:
    """Declare the command."""
    costs = add_verb(nouns, "costs", "show what a project's runs have cost", show_costs)
    costs.add_argument(
        "--run",
        dest="runs",
        type=int,
        action="append",
        default=[],
        metavar="ID",
        help="only this run; may be given again",
    )


def show_costs(context: Context) -> int:
    """Print what was spent: by each person, and in all."""
    answer = context.client.get(
        "/plan/costs", project=context.project, run=context.args.runs
    )
    if context.is_json:
        show.print_json(answer)
        return 0
    spent = answer["spent"]
    people = [(one["username"] or "(gone)", one["spent"]) for one in answer["people"]]
    show.print_table(
        [
            "person",
            "device-hours",
            spent["currency"],
            "kWh",
            "of it measured",
            "kg CO2",
        ],
        [[person, *figures(one)] for person, one in [*people, ("all", spent)]],
    )
    if spent["unknown"]:
        names = ", ".join(spent["unknown"])
        show.print_line(f"{names}: without price and power, only hours are counted")
    if answer["budget"] is not None:
        show.print_line(in_words(answer["budget"], spent["currency"]))
    return 0


def figures(spent: Json) -> list[str]:
    """Return the cells of one row."""
    names = ("device_hours", "money", "energy_kwh", "measured_kwh", "co2_kg")
    return [f"{round_to(spent[name]):,g}" for name in names]


def in_words(budget: Json, currency: str) -> str:
    """Return what may be spent, as a sentence."""
    units = {"money": currency, "device_hours": "device-hours", "kwh": "kWh"}
    text = f"the budget is {round_to(budget['amount']):,g} {units[budget['unit']]}"
    return f"{text}, and is spent: no run starts" if budget["is_spent"] else text
