"""`trivium costs` and `trivium budget`: what runs have cost, and what they may."""

from urllib.parse import quote

from trivium.cli import show
from trivium.cli.commands.context import Context, Nouns, add_verb
from trivium.cli.commands.plan import round_to
from trivium.cli.errors import CliError, Exit
from trivium.cli.wire import Json

UNITS = ("money", "device_hours", "kwh")


def add(nouns: Nouns) -> None:
    """Declare the commands."""
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
    budget = add_verb(
        nouns, "budget", "set, remove or show what a project may spend", change_budget
    )
    budget.add_argument(
        "amount", type=float, nargs="?", help="what runs may spend; without, shows it"
    )
    budget.add_argument(
        "--unit", choices=UNITS, default="money", help="of the amount (default: money)"
    )
    budget.add_argument(
        "--remove", action="store_true", help="let runs spend what they like"
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


def change_budget(context: Context) -> int:
    """Set or remove a budget where asked to, and print what holds then."""
    amount = context.args.amount
    if context.args.remove:
        if amount is not None:
            raise CliError("give an amount or --remove, not both", Exit.USAGE)
        context.client.delete(f"/plan/budget?project={quote(context.project)}")
    elif amount is not None:
        asked = {
            "project": context.project,
            "amount": amount,
            "unit": context.args.unit,
        }
        context.client.put("/plan/budget", asked)
    answer = context.client.get("/plan/costs", project=context.project)
    budget, currency = answer["budget"], answer["spent"]["currency"]
    if context.is_json:
        show.print_json(budget)
    elif budget is None:
        show.print_line("there is no budget: runs may spend what they like")
    else:
        show.print_line(in_words(budget, currency))
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
