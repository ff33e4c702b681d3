"""From what is asked to a whole plan: one way for the page, the API and the CLI."""

from dataclasses import dataclass
from typing import Literal

from trivium.planning import formulas, scaling
from trivium.planning.devices import Device
from trivium.planning.formulas import Attention, Cost, Factors, Machine, Training
from trivium.planning.published import MODELS, Published
from trivium.planning.scaling import Rule

BudgetUnit = Literal["money", "device_hours", "flops"]
MIN_PARAMETERS = 1000
"""Below this neither the formula nor the law says anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What may be spent."""

    amount: float
    unit: BudgetUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question to the planner: a model, or a budget; never both."""

    device: Device
    precision: str
    num_devices: int
    utilisation: float
    factors: Factors
    rule: Rule = "twenty"
    parameters: float | None = None
    tokens: float | None = None
    """None takes the compute-optimal number, by `rule`."""
    attention: Attention | None = None
    budget: Budget | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A model beside the plan."""

    name: str
    parameters: float
    tokens: float | None
    flops: float | None
    source: str
    is_yours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The answer."""

    asked: Asked
    parameters: float
    tokens: float
    cost: Cost
    loss: float
    """Nats per token, by the fitted law."""
    is_extrapolated: bool
    """Whether the compute is outside what the fitted law was made from."""
    attention_share: float
    """Of the operations; 0 where attention is left out."""
    rows: list[Row]

    @property
    def tokens_per_parameter(self) -> float:
        """How much it reads for its size."""
        return self.tokens / self.parameters


def make_plan(asked: Asked) -> Plan:
    """Answer a question.

    Raises:
        PlanError: it names neither or both of a model and a budget, or a budget too
            small for any model; `field` says which value to change.
    """
    machine = Machine(
        peak_flops_per_s=asked.device.peak_flops_per_s[asked.precision],
        num_devices=asked.num_devices,
        utilisation=asked.utilisation,
    )
    training = training_of(asked, machine)
    flops = formulas.training_flops(training)
    cost = formulas.cost_of(flops, machine, asked.factors)
    formulas.require_finite(cost)
    least, most = scaling.FITTED_FLOPS
    plain = Training(parameters=training.parameters, tokens=training.tokens)
    return Plan(
        asked=asked,
        parameters=training.parameters,
        tokens=training.tokens,
        cost=cost,
        loss=scaling.expected_loss(training.parameters, training.tokens),
        is_extrapolated=not least <= flops <= most,
        attention_share=1 - formulas.training_flops(plain) / flops,
        rows=placed(training, flops),
    )


def training_of(asked: Asked, machine: Machine) -> Training:
    """Return the model that is asked for, or the best one for the budget."""
    if asked.budget is not None:
        if asked.parameters is not None or asked.tokens is not None:
            raise formulas.PlanError(
                "give a budget or a model's size, not both", field="budget"
            )
        if asked.attention is not None:
            raise formulas.PlanError(
                "with a budget the shape is not known yet, so attention cannot be "
                "counted; leave layers, width and context out",
                field="layers",
            )
        return best_for(asked.budget, asked, machine)
    if asked.parameters is None:
        raise formulas.PlanError(
            "give the number of parameters, or a budget", field="parameters"
        )
    tokens = asked.tokens
    if tokens is None:
        tokens = scaling.optimal_tokens(asked.parameters, asked.rule)
    return Training(
        parameters=asked.parameters, tokens=tokens, attention=asked.attention
    )


def best_for(budget: Budget, asked: Asked, machine: Machine) -> Training:
    """Return the best model that a budget trains."""
    flops = device_hours = budget.amount
    if budget.unit == "money":
        device_hours = formulas.device_hours_for_money(budget.amount, asked.factors)
    if budget.unit != "flops":
        flops = formulas.flops_for_device_hours(device_hours, machine)
    best = scaling.optimum_for_flops(flops, asked.rule)
    if best.parameters < MIN_PARAMETERS:
        raise formulas.PlanError(
            "this budget is too small to train anything: it is best spent on a model "
            f"of fewer than {MIN_PARAMETERS:,} parameters",
            field="budget",
        )
    return Training(parameters=best.parameters, tokens=best.tokens)


def placed(training: Training, flops: float) -> list[Row]:
    """Return the well-known models with this one among them, smallest first."""
    yours = Row(
        name="This plan",
        parameters=training.parameters,
        tokens=training.tokens,
        flops=flops,
        source="",
        is_yours=True,
    )
    rows = [yours, *map(row_of, MODELS)]
    return sorted(rows, key=lambda row: row.parameters)


def row_of(model: Published) -> Row:
    """Return a published model with its operations by the same formula."""
    flops = None
    if model.tokens is not None:
        flops = formulas.training_flops(
            Training(parameters=model.parameters, tokens=model.tokens)
        )
    return Row(
        name=model.name,
        parameters=model.parameters,
        tokens=model.tokens,
        flops=flops,
        source=model.source,
    )
