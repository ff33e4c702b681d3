"""The planner's form, and that of a project's prices and factors."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from trivium.planning.asking import LIMITS, RULES, UNITS
from trivium.planning.devices import Device
from trivium.planning.models import Budget, PlanningDefaults
from trivium.planning.quantities import MAX_LENGTH, parse_quantity, plain_quantity

AIMS = (("model", "A model"), ("budget", "A budget"))


class QuantityField(forms.CharField):
    """A number that may be typed as 124e6, 124M or 1.5B."""

    def __init__(self, *, limits: tuple[float, float], **kw: Any) -> None:
        """Keep the limits."""
        self.limits = limits
        attributes = {"inputmode": "text", "autocomplete": "off", "spellcheck": "false"}
        super().__init__(
            max_length=MAX_LENGTH, widget=forms.TextInput(attributes), **kw
        )

    def clean(self, value: Any) -> Any:
        """Return the number, or None where nothing was typed."""
        text = super().clean(value)
        if not text:
            return None
        try:
            number = parse_quantity(text)
        except ValueError as error:
            sentence = str(error)
            raise ValidationError(f"{sentence[:1].upper()}{sentence[1:]}.") from None
        least, most = self.limits
        if not least <= number <= most:
            raise ValidationError(f"Give a number from {least:,g} to {most:,g}.")
        return number


def number_field(
    name: str, label: str, *, is_whole: bool = False, text: str = ""
) -> forms.Field:
    """Return an optional number within its limits."""
    least, most = LIMITS[name]
    if is_whole:
        return forms.IntegerField(
            required=False,
            min_value=int(least),
            max_value=int(most),
            label=label,
            help_text=text,
        )
    return forms.FloatField(
        required=False,
        min_value=least,
        max_value=most,
        label=label,
        help_text=text,
        widget=forms.NumberInput({"step": "any"}),
    )


class PlanForm(forms.Form):
    """A question to the planner; the address of the page is this form."""

    aim = forms.ChoiceField(choices=AIMS, widget=forms.RadioSelect, label="Start from")
    parameters = QuantityField(
        limits=LIMITS["parameters"],
        required=False,
        label="Parameters",
        help_text="Like 124M, 1.5B or 124e6.",
    )
    tokens = QuantityField(
        limits=LIMITS["tokens"],
        required=False,
        label="Tokens",
        help_text="Like 2.5B. Left empty, the number its size is best used with.",
    )
    budget = QuantityField(
        limits=LIMITS["budget"], required=False, label="Budget", help_text="Like 1000."
    )
    unit = forms.ChoiceField(
        choices=list(UNITS.items()), required=False, label="Counted in"
    )
    rule = forms.ChoiceField(
        choices=list(RULES.items()),
        required=False,
        label="What is best for a size",
        help_text="Both are from Hoffmann et al. 2022, “Chinchilla”.",
    )
    device = forms.ChoiceField(label="Device")
    number = number_field("number", "How many devices", is_whole=True)
    utilisation_percent = forms.FloatField(
        required=False,
        min_value=100 * LIMITS["utilisation"][0],
        max_value=100,
        label="Utilisation",
        help_text="Share of the device's peak that training reaches (MFU).",
        widget=forms.NumberInput({"step": "any"}),
    )
    precision = forms.ChoiceField(
        choices=[("", "The best it has"), ("bf16", "bf16"), ("fp32", "fp32")],
        required=False,
        label="Precision",
    )
    price_per_hour = number_field("price_per_hour", "Price of a device-hour")
    power_w = number_field("power_w", "Power of a device")
    pue = number_field(
        "pue", "PUE", text="Power of the data centre over that of its devices."
    )
    grid_kg_per_kwh = number_field("grid_kg_per_kwh", "Carbon of a kWh")
    layers = number_field("layers", "Layers", is_whole=True)
    width = number_field("width", "Width", is_whole=True)
    context = number_field("context", "Context", is_whole=True)

    AIM_FIELDS = {"model": ("parameters", "tokens"), "budget": ("budget", "unit")}
    FACTORS = ("precision", "price_per_hour", "power_w", "pue", "grid_kg_per_kwh")
    SHAPE = ("layers", "width", "context")

    def __init__(
        self,
        data: Mapping[str, Any] | None,
        *,
        defaults: PlanningDefaults,
        table: Mapping[str, Device],
    ) -> None:
        """Offer the devices, and show in empty fields what the project reckons with."""
        super().__init__(data)
        device_field = self.fields["device"]
        assert isinstance(device_field, forms.ChoiceField)
        device_field.choices = [(key, device.name) for key, device in table.items()]
        shown = {
            "utilisation_percent": f"{100 * defaults.utilisation:g}",
            "pue": f"{defaults.pue:g}",
            "grid_kg_per_kwh": f"{defaults.grid_kg_per_kwh:g}",
            "number": "1",
            "price_per_hour": "as the project has it",
            "power_w": "as the project has it",
            "tokens": "best for the size",
        }
        for name, text in shown.items():
            self.fields[name].widget.attrs["placeholder"] = text

    def clean(self) -> dict[str, Any]:
        """Require what the chosen aim starts from."""
        cleaned = super().clean() or {}
        for name in self.unasked(cleaned.get("aim", "")):
            self.errors.pop(name, None)  # hidden on the page, so nobody could mend it
        needed = {"model": "parameters", "budget": "budget"}.get(
            cleaned.get("aim", ""), ""
        )
        if needed and cleaned.get(needed) is None and needed not in self.errors:
            self.add_error(needed, "Give a number.")
        return cleaned

    def unasked(self, aim: str) -> set[str]:
        """Return the fields that belong to the other aim."""
        if aim == "budget":
            return {*self.AIM_FIELDS["model"], *self.SHAPE}
        return set(self.AIM_FIELDS["budget"])

    def values(self) -> dict[str, Any]:
        """Return the question; what belongs to the other aim is not asked."""
        cleaned = self.cleaned_data
        other = self.unasked(cleaned["aim"])
        asked = {name: value for name, value in cleaned.items() if name not in other}
        percent = asked.pop("utilisation_percent")
        return asked | {"utilisation": None if percent is None else percent / 100}


class DefaultsForm(forms.Form):
    """A project's prices and factors."""

    currency = forms.RegexField(
        r"^[A-Za-z]{3}$",
        help_text="Three letters, like USD or EUR.",
        error_messages={"invalid": "Give three letters, like USD or EUR."},
    )
    utilisation_percent = forms.FloatField(
        label="Utilisation",
        min_value=100 * LIMITS["utilisation"][0],
        max_value=100,
        widget=forms.NumberInput({"step": "any"}),
    )
    pue = number_field("pue", "PUE")
    grid_kg_per_kwh = number_field("grid_kg_per_kwh", "Carbon of a kWh")

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        defaults: PlanningDefaults,
        table: Mapping[str, Device],
    ) -> None:
        """Add a price and a power for each device."""
        self.table = table
        super().__init__(data, initial=self.known(defaults, table), auto_id="set_%s")
        for key, device in table.items():
            self.fields[f"price_{key}"] = number_field("price_per_hour", device.name)
            self.fields[f"power_{key}"] = number_field("power_w", device.name)
        for field in self.fields.values():
            field.required = True

    @staticmethod
    def known(
        defaults: PlanningDefaults, table: Mapping[str, Device]
    ) -> dict[str, Any]:
        """Return what the project reckons with now."""
        known: dict[str, Any] = {
            "currency": defaults.currency,
            "utilisation_percent": round(100 * defaults.utilisation, 6),
            "pue": defaults.pue,
            "grid_kg_per_kwh": defaults.grid_kg_per_kwh,
        }
        for key, device in table.items():
            price = defaults.price_per_hour.get(key, device.price_per_hour)
            known[f"price_{key}"] = price
            known[f"power_{key}"] = defaults.power_w.get(key, device.power_w)
        return known

    def rows(self) -> list[tuple[Device, forms.BoundField, forms.BoundField]]:
        """Return each device with its two fields."""
        return [
            (device, self[f"price_{key}"], self[f"power_{key}"])
            for key, device in self.table.items()
        ]

    def values(self) -> dict[str, Any]:
        """Return what the service takes."""
        cleaned = self.cleaned_data
        return {
            "currency": cleaned["currency"],
            "utilisation": cleaned["utilisation_percent"] / 100,
            "pue": cleaned["pue"],
            "grid_kg_per_kwh": cleaned["grid_kg_per_kwh"],
            "price_per_hour": {key: cleaned[f"price_{key}"] for key in self.table},
            "power_w": {key: cleaned[f"power_{key}"] for key in self.table},
        }


class BudgetForm(forms.Form):
    """What a project may spend."""

    amount = QuantityField(
        limits=LIMITS["budget"], label="Budget", help_text="Like 1000 or 2.5k."
    )
    unit = forms.ChoiceField(choices=Budget.Unit.choices, label="Counted in")


EXAMPLE = {
    "aim": "model",
    "parameters": plain_quantity(124e6),
    "rule": "twenty",
    "device": "h100",
    "number": "1",
}
"""What the page shows before anything is asked."""
