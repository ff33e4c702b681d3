"""`trivium plan`: what a training run will cost."""

import argparse

from trivium.cli import show
from trivium.cli.commands.context import Context, Nouns, add_verb
from trivium.cli.wire import Json
from trivium.planning.quantities import parse_quantity, plain_quantity

UNITS = ("money", "device_hours", "flops")
RULES = ("twenty", "fitted")
FLOATS = {
    "utilisation": "share of the peak that training reaches, 0 to 1",
    "price-per-hour": "of one device",
    "power-w": "of one device, in watts",
    "pue": "power of the site over power of its devices",
    "grid-kg-per-kwh": "CO2 equivalent emitted for a kWh",
}
SHAPE = {
    "layers": "with --width and --context: count attention as well",
    "width": "of the model",
    "context": "tokens per sequence",
}
NAMES = (
    "parameters", "tokens", "budget", "unit", "rule", "device",
    "number", "precision", "utilisation", "price_per_hour", "power_w", "pue",
    "grid_kg_per_kwh", "layers", "width", "context",
)  # fmt: skip


def add(nouns: Nouns) -> None:
    """Declare the command."""
    plan = add_verb(nouns, "plan", "estimate what a training run will cost", show_plan)
    aim = plan.add_mutually_exclusive_group(required=True)
    aim.add_argument(
        "--parameters", type=quantity, metavar="N", help="size: 124e6, 124M or 1.5B"
    )
    aim.add_argument(
        "--budget", type=quantity, metavar="X", help="ask for the best model for it"
    )
    plan.add_argument(
        "--tokens", type=quantity, metavar="N", help="default: best for the size"
    )
    plan.add_argument(
        "--unit", choices=UNITS, help="what --budget counts (default: money)"
    )
    plan.add_argument(
        "--rule",
        choices=RULES,
        help="what is best: twenty tokens per parameter, or Chinchilla's fitted law",
    )
    plan.add_argument("--device", metavar="KEY", help="h100, a100, cpu … (h100)")
    plan.add_argument("--number", type=int, metavar="N", help="devices (default: 1)")
    plan.add_argument("--precision", choices=("bf16", "fp32"))
    for name, about in FLOATS.items():
        plan.add_argument(f"--{name}", type=float, metavar="X", help=about)
    for name, about in SHAPE.items():
        plan.add_argument(f"--{name}", type=int, metavar="N", help=about)


def quantity(text: str) -> float:
    """Read a number like 124M for argparse."""
    try:
        return parse_quantity(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def show_plan(context: Context) -> int:
    """Ask the server and print its answer."""
    asked = {name: getattr(context.args, name, None) for name in NAMES}
    answer = context.client.get("/plan", project=context.filter_project, **asked)
    if context.is_json:
        show.print_json(answer)
        return 0
    print_plan(answer)
    return 0


def print_plan(answer: Json) -> None:
    """Print a plan for people: figures, then what they assume."""
    cost, device, factors = answer["cost"], answer["device"], answer["factors"]
    ratio = answer["tokens_per_parameter"]
    lines = {
        "parameters": plain_quantity(round_to(answer["parameters"])),
        "tokens": f"{plain_quantity(round_to(answer['tokens']))} "
        f"({round_to(ratio):g} per parameter)",
        "FLOPs": f"{cost['flops']:.3g} ({cost['petaflop_days']:.3g} PF-days)",
        "time": f"≈ {show.duration_text(3600 * cost['hours'])} on {answer['number']} "
        "\N{MULTIPLICATION SIGN} "
        f"{device['name']}",
        "device-hours": f"≈ {round_to(cost['device_hours']):,g}",
        "money": f"≈ {round_to(cost['money']):,g} {answer['currency']}",
        "energy": f"≈ {round_to(cost['energy_kwh']):,g} kWh",
        "CO2": f"≈ {round_to(cost['co2_kg']):,g} kg",
        "loss": f"≈ {answer['expected_loss']:.2f} nats per token, an extrapolation by "
        "Chinchilla's law",
    }
    width = max(map(len, lines))
    for name, text in lines.items():
        show.print_line(f"{name:<{width}}  {text}")
    show.print_line(
        f"\nassumes {100 * answer['utilisation']:g} % of "
        f"{device['peak_flops_per_s']:.3g} FLOP/s in {device['precision']}, "
        f"{factors['price_per_device_hour']:g} {answer['currency']} and "
        f"{factors['device_power_w']:g} W a device, PUE {factors['pue']:g}, "
        f"{factors['grid_kg_per_kwh']:g} kg CO2 a kWh"
    )


def round_to(number: float) -> float:
    """Return a number with the three digits an estimate may claim."""
    return float(f"{number:.3g}")
