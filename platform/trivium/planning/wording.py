"""What a plan assumes, in words; a figure without them would be a promise."""

from trivium.pages.templatetags.numbers import percent
from trivium.planning import devices
from trivium.planning.making import Plan
from trivium.planning.models import PlanningDefaults
from trivium.planning.templatetags.planned import money, power, scaled


def assumptions(plan: Plan, defaults: PlanningDefaults) -> list[str]:
    """Return the assumptions, one sentence or two each."""
    return [
        about_operations(plan),
        about_size(plan),
        about_device(plan),
        about_factors(plan, defaults.currency),
        about_source(defaults),
        "One pass that goes well: without trials, restarts, evaluation or people.",
    ]


def about_operations(plan: Plan) -> str:
    """Say how operations are counted."""
    counted = "Six FLOPs per parameter and token, forward and backward"
    shape = plan.asked.attention
    if shape is None:
        return f"{counted}; attention's own products are left out."
    return (
        f"{counted}; attention over {shape.context_tokens:,} tokens in {shape.layers} "
        f"layers of width {shape.width:,} is {percent(plan.attention_share)} of all."
    )


def about_size(plan: Plan) -> str:
    """Say where the size and the number of tokens come from."""
    ratio = f"{scaled(plan.tokens_per_parameter)} tokens per parameter"
    asked = plan.asked
    if asked.budget is None and asked.tokens is not None:
        return f"The tokens are as given: {ratio}; 20 is the rule of thumb."
    law = (
        "a rule of thumb from “Chinchilla”, Hoffmann et al. 2022"
        if asked.rule == "twenty"
        else "by the fitted law of “Chinchilla”, Hoffmann et al. 2022, approach 3"
    )
    what = "Size and tokens are" if asked.budget is not None else "The tokens are"
    return f"{what} best for the compute at {ratio}, {law}."


def about_device(plan: Plan) -> str:
    """Say how fast the device is taken to be."""
    asked, device = plan.asked, plan.asked.device
    peak = f"{amount_of_flops(device.peak_flops_per_s[asked.precision])}"
    reached = f"training reaches {scaled(100 * asked.utilisation)} % of that"
    more = ", and as much of each however many there are" * (asked.num_devices > 1)
    fast = f"{device.name}: {peak} in {asked.precision} ({device.source})"
    return f"{fast}; {reached}{more}."


def about_factors(plan: Plan, currency: str) -> str:
    """Say what an hour costs."""
    factors = plan.asked.factors
    return (
        f"{money(factors.price_per_device_hour, currency)} a device-hour, with its "
        f"electricity. {scaled(factors.device_power_w)} W a device at most, PUE "
        f"{scaled(factors.pue)}, {scaled(factors.grid_kg_per_kwh)} kg of CO₂ "
        "equivalent a kWh; the making of the devices is not counted."
    )


def about_source(defaults: PlanningDefaults) -> str:
    """Say whose prices and factors these are, and of when."""
    if defaults.updated is None:
        return (
            f"Where nothing else is given, prices and factors are the built-in ones "
            f"of {devices.AS_OF}. Prices differ by a factor of three between providers."
        )
    who = f" by {defaults.updated_by}" if defaults.updated_by else ""
    return (
        "Where nothing else is given, prices and factors are this project's, set "
        f"on {defaults.updated:%Y-%m-%d}{who}."
    )


def amount_of_flops(flops_per_s: float) -> str:
    """989.4e12 → 989 TFLOP/s."""
    for scale, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G")):
        if flops_per_s >= scale:
            return f"{scaled(flops_per_s / scale)} {unit}FLOP/s"
    return f"{power(flops_per_s)} FLOP/s"
