"""How settings are told to servers that speak the OpenAI API."""

from typing import Any

from runspec.serving import Sampling


def settings_of(sampling: Sampling) -> dict[str, Any]:
    """Return those settings of sampling that are not as the API has them anyway."""
    told = sampling.model_dump(mode="json", exclude_defaults=True)
    told["temperature"] = sampling.temperature
    wanted = told.pop("response_format", None)
    if wanted is not None:
        schema = wanted.get("json_schema")
        told["response_format"] = {"type": wanted["type"]}
        if schema is not None:
            told["response_format"]["json_schema"] = {
                "name": "answer",
                "schema": schema,
            }
    return told
