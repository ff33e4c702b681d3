"""A pipeline described in YAML, from text to an instruct model, by a real worker."""

import pytest
from supervisor_lab import ENDING, QUESTIONS, TEXT, bring_in
from trivium.models.models import LanguageModel
from trivium.pipelines import services
from trivium.pipelines.description import read_description
from trivium.pipelines.models import Pipeline
from trivium.pipelines.states import state_of_pipeline, states_of, steps_of
from trivium.pipelines.telling import figures_of
from trivium.pipelines.writing import as_yaml

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

STAGES = f"""
name: Small
steps:
  - name: instruct
    kind: sft
    model: {{from: base}}
    datasets: [Questions]
    max_steps: 6
    epochs: 10
    batch_size: 4
    learning_rate: 1e-3
    answer_rows: 2
    sample_tokens: 8
    precision: fp32
    chat_template: custom
    custom_template: "{ENDING}"
  - name: base
    kind: pretrain
    dataset: Text@1
    tokenizer: {{from: tokenizer}}
    output: Small base
    layers: 2
    heads: 2
    width: 32
    context: 96
    batch_size: 8
    max_steps: 12
    warmup_steps: 2
    eval_every: 12
    eval_batches: 2
    sample_every: 0
    sample_tokens: 4
    precision: fp32
    compile: off
  - name: tokenizer
    kind: tokenizer
    dataset: Text
    algorithm: characters
"""


def test_a_pipeline_goes_from_text_to_an_instruct_model(lab, start_node):
    lab.ingest("\n".join(TEXT.splitlines()[:300]))
    bring_in(lab, QUESTIONS[:40], "instructions")
    description = read_description(STAGES)
    pipeline = services.create_pipeline(
        project=lab.project, created_by=lab.user, description=description, text=STAGES
    )
    assert [step.name for step in steps_of(pipeline)] == [
        "tokenizer", "base", "instruct",
    ]  # fmt: skip
    start_node()
    for step in steps_of(pipeline):
        lab.wait(step.run, "succeeded", timeout_s=120)
    steps = list(steps_of(pipeline))
    assert state_of_pipeline(pipeline, states_of(steps)) == "succeeded"
    base = LanguageModel.objects.get(name="Small base")
    instruct = LanguageModel.objects.get(run=steps[2].run)
    assert instruct.is_ready
    assert list(instruct.parents.all()) == [base]
    labels = [one.label for one in figures_of(steps[2].run)]
    assert labels == ["validation loss", "exact answers"]

    written = read_description(as_yaml(Pipeline.objects.get(pk=pipeline.pk)))
    again = services.create_pipeline(
        project=lab.project, created_by=lab.user,
        description=written.model_copy(update={"steps": written.steps[:1]}),
    )  # fmt: skip
    (step,) = steps_of(again)
    assert step.settings == steps[0].settings
