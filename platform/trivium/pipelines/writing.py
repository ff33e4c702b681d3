"""A pipeline as the description it could be made from."""

from typing import Any

from trivium.pipelines.models import Pipeline, Step
from trivium.pipelines.objects import by_names
from trivium.pipelines.yaml_text import write_yaml


def described(pipeline: Pipeline) -> dict[str, Any]:
    """Return what describes a pipeline now, edits of its steps included."""
    return {
        "name": pipeline.name,
        "steps": [described_step(pipeline, step) for step in pipeline.steps.all()],
    }


def described_step(pipeline: Pipeline, step: Step) -> dict[str, Any]:
    """Return what describes one step; objects of the project go by their names."""
    found: dict[str, Any] = {"name": step.name, "kind": step.kind}
    if step.needs:
        found["needs"] = step.needs
    if step.output:
        found["output"] = step.output
    return found | by_names(pipeline.project, step.kind, step.settings)


def as_yaml(pipeline: Pipeline) -> str:
    """Return a pipeline as YAML; read again it makes the same steps."""
    return write_yaml(described(pipeline))
