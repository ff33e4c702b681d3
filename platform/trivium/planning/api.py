"""`/api/v1/plan`: what a training run will cost."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from ninja import Query, Router, Schema, Status
from pydantic import Field

from trivium.api.auth import ApiRequest
from trivium.planning import budgets, queries, spending
from trivium.planning.asking import LIMITS, asked_from
from trivium.planning.devices import DEFAULT
from trivium.planning.making import BudgetUnit, Plan, make_plan
from trivium.planning.models import Budget
from trivium.planning.scaling import Rule
from trivium.projects.models import Role
from trivium.projects.queries import get_project, require_role

router = Router()


def within(name: str, description: str) -> Any:
    """Return an optional number within its limits."""
    least, most = LIMITS[name]
    return Field(default=None, ge=least, le=most, description=description)


class PlanQuery(Schema):
    """A question: `parameters` (and `tokens`), or a `budget`."""

    parameters: float | None = within("parameters", "Size of the model.")
    tokens: float | None = within(
        "tokens", "Tokens it reads; without, the compute-optimal number by `rule`."
    )
    rule: Rule = Field(
        default="twenty",
        description="What is compute-optimal: `twenty` tokens per parameter, or "
        "`fitted`, approach 3 of Hoffmann et al. 2022.",
    )
    budget: float | None = within(
        "budget", "What may be spent; answered with the best model for it."
    )
    unit: BudgetUnit = Field(default="money", description="Unit of `budget`.")
    device: str = Field(default=DEFAULT, max_length=40, description="Key of a device.")
    number: int = Field(
        default=1,
        ge=int(LIMITS["number"][0]),
        le=int(LIMITS["number"][1]),
        description="How many devices.",
    )
    precision: Literal["", "bf16", "fp32"] = Field(
        default="", description="Whose peak counts; by default bf16 where there is one."
    )
    utilisation: float | None = within(
        "utilisation", "Share of the peak that training reaches (MFU)."
    )
    layers: int | None = within("layers", "With width and context: counts attention.")
    width: int | None = within("width", "Of the model.")
    context: int | None = within("context", "Tokens per sequence.")
    price_per_hour: float | None = within("price_per_hour", "Of one device.")
    power_w: float | None = within("power_w", "Of one device, in watts.")
    pue: float | None = within("pue", "Power of the site over power of the devices.")
    grid_kg_per_kwh: float | None = within(
        "grid_kg_per_kwh", "CO2 equivalent emitted for a kWh."
    )
    project: str = Field(
        default="",
        max_length=60,
        description="Slug; its prices and factors instead of the built-in ones.",
    )


class PlanDeviceOut(Schema):
    """What is reckoned with."""

    key: str
    name: str
    precision: str
    peak_flops_per_s: float
    is_measured: bool = Field(description="Whether a worker here measured the peak.")
    source: str


class FactorsOut(Schema):
    """What an hour of one device costs."""

    price_per_device_hour: float
    device_power_w: float
    pue: float
    grid_kg_per_kwh: float


class CostOut(Schema):
    """What the run costs."""

    flops: float
    petaflop_days: float
    hours: float
    device_hours: float
    money: float
    energy_kwh: float
    co2_kg: float


class PlanOut(Schema):
    """An estimate, with all that it assumes."""

    parameters: float
    tokens: float
    tokens_per_parameter: float
    cost: CostOut
    currency: str
    expected_loss: float = Field(
        description="Nats per token by the law of Hoffmann et al.; an extrapolation."
    )
    is_extrapolated: bool = Field(
        description="Whether the compute is outside what that law was fitted on."
    )
    attention_share: float = Field(description="Of the FLOPs; 0 where not counted.")
    device: PlanDeviceOut
    number: int
    utilisation: float
    factors: FactorsOut


def describe(plan: Plan, currency: str) -> dict[str, Any]:
    """Return a plan as the API shows it."""
    asked, device = plan.asked, plan.asked.device
    return {
        "parameters": plan.parameters,
        "tokens": plan.tokens,
        "tokens_per_parameter": plan.tokens_per_parameter,
        "cost": asdict(plan.cost),
        "currency": currency,
        "expected_loss": plan.loss,
        "is_extrapolated": plan.is_extrapolated,
        "attention_share": plan.attention_share,
        "device": {
            "key": device.key,
            "name": device.name,
            "precision": asked.precision,
            "peak_flops_per_s": device.peak_flops_per_s[asked.precision],
            "is_measured": device.is_measured,
            "source": device.source,
        },
        "number": asked.num_devices,
        "utilisation": asked.utilisation,
        "factors": asdict(asked.factors),
    }


@router.get("", response=PlanOut, summary="Plan a training run")
def plan(request: ApiRequest, asked: Query[PlanQuery]) -> dict[str, Any]:
    """Estimate what a training run costs, or the best model for a budget.

    6·N·D operations, over peak times utilisation; money, energy and CO2 from there.
    Nothing is kept or started.
    """
    project = get_project(request.user, asked.project) if asked.project else None
    defaults = queries.defaults_of(project)
    question = asked_from(
        asked.model_dump(), defaults=defaults, table=queries.device_table()
    )
    return describe(make_plan(question), defaults.currency)


class SpentOut(Schema):
    """What runs have cost so far, by the project's prices and factors of now."""

    currency: str
    device_hours: float = Field(description="Of GPUs and CPU cores alike.")
    money: float
    energy_kwh: float = Field(description="The site's overhead (PUE) included.")
    measured_kwh: float = Field(
        description="Of it, what the hardware counted; the rest is power times time."
    )
    co2_kg: float
    unknown: list[str] = Field(
        description="Devices without price and power: only their hours are counted."
    )


class PersonSpentOut(Schema):
    """What the runs of one person have cost."""

    username: str = Field(description="Empty: of people whose account is gone.")
    spent: SpentOut


class BudgetOut(Schema):
    """What a project may spend."""

    amount: float
    unit: str = Field(description="`money`, `device_hours` or `kwh`.")
    is_spent: bool = Field(
        description="Whether what is left no longer covers the next minutes; then runs "
        "are paused and none starts until the budget is raised."
    )


class CostsOut(Schema):
    """What a project's runs have cost."""

    budget: BudgetOut | None = Field(default=None, description="Null: none is set.")
    spent: SpentOut
    people: list[PersonSpentOut]


class CostsQuery(Schema):
    """Whose costs."""

    project: str = Field(max_length=60, description="Slug.")
    run: list[int] = Field(
        default=[], max_length=500, description="Only these runs; may be repeated."
    )


@router.get("/costs", response=CostsOut, summary="What runs have cost")
def costs(request: ApiRequest, asked: Query[CostsQuery]) -> dict[str, Any]:
    """Sum up device-hours, money, energy and CO2 of a project, or of some runs.

    With runs named, `people` is empty and `budget` null.
    """
    found = get_project(request.user, asked.project)
    if asked.run:
        spent = spending.spent_by_runs(found, asked.run)
        return {"spent": asdict(spent), "people": []}
    return {
        "budget": budgets.budget_of(found),
        "spent": asdict(spending.spent_by_project(found)),
        "people": [
            {"username": name, "spent": asdict(one)}
            for name, one in spending.spent_by_person(found)
        ],
    }


class BudgetIn(Schema):
    """A budget to set."""

    project: str = Field(max_length=60, description="Slug.")
    amount: float = Field(
        ge=LIMITS["budget"][0], le=LIMITS["budget"][1], description="What may be spent."
    )
    unit: Literal["money", "device_hours", "kwh"] = "money"


@router.put("/budget", response=BudgetOut, summary="Set a budget")
def set_budget(request: ApiRequest, payload: BudgetIn) -> Budget:
    """Set what a project's runs may spend; for its admins.

    Runs that the budget had paused go on where the new one allows it.
    """
    project = get_project(request.user, payload.project)
    require_role(request.user, project, Role.ADMIN)
    return budgets.set_budget(
        project=project, actor=request.user, amount=payload.amount, unit=payload.unit
    )


@router.delete("/budget", response={204: None}, summary="Remove the budget")
def remove_budget(
    request: ApiRequest, project: Annotated[str, Query(max_length=60)]
) -> Status[None]:
    """Let a project's runs spend what they like; for its admins.

    Runs that the budget had paused go on.
    """
    found = get_project(request.user, project)
    require_role(request.user, found, Role.ADMIN)
    budgets.remove_budget(project=found, actor=request.user)
    return Status(204, None)
