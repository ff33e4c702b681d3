"""What a person can talk to, by which id, and that strangers learn nothing."""

import pytest
from runspec import PretrainSpec
from serving_lab import write_checkpoint
from trivium import storage
from trivium.models.models import LanguageModel
from trivium.runs.models import Checkpoint, Run
from trivium.serving import services
from trivium.serving.choices import (
    checkpoint_choices,
    choices_of,
    find_choice,
    of_model,
)
from trivium.serving.errors import ChoiceNotFoundError
from trivium.serving.models import Endpoint


@pytest.fixture
def run(project, bob) -> Run:
    spec = PretrainSpec(dataset="1", tokenizer="1")
    return Run.objects.create(
        project=project,
        created_by=bob,
        kind="pretrain",
        name="Night run",
        spec=spec.model_dump(mode="json"),
        spec_sha256="0" * 64,
    )


@pytest.fixture
def add_checkpoint(run):
    def add(step: int, *files: str) -> Checkpoint:
        path = write_checkpoint(run.pk, step, *files)
        return Checkpoint.objects.create(
            run=run, step=step, fence=1, path=path, manifest_sha256=f"{step:064}"
        )

    return add


@pytest.fixture
def endpoint(root) -> Endpoint:
    return services.add_endpoint(
        name="gpu-1",
        url="http://gpu-1/v1",
        api_key="",
        model_ids=["org/big", "small"],
        created_by=root,
    )


def refusal(user, choice_id: str) -> str:
    with pytest.raises(ChoiceNotFoundError) as caught:
        find_choice(user, choice_id)
    event = caught.value.event
    assert (event.status, event.code, event.param) == (404, "model_not_found", "model")
    return event.message


def test_a_model_is_found_by_its_project_and_name(vera, model):
    choice = find_choice(vera, "grammar/Tiny")
    assert choice.model == model
    assert choice.ref.key == f"model-{model.pk}"
    assert choice.ref.url.startswith("file:///")
    assert choice.ref.url.endswith(model.path)
    assert (choice.architecture, choice.stage, choice.can_write) == (
        "decoder",
        "instruct",
        True,
    )


def test_what_identifies_a_model_changes_with_its_files(model):
    before = of_model(model).ref.sha256
    model.files = {"config.json": {"size": 2, "sha256": "1" * 64}}
    assert of_model(model).ref.sha256 != before


def test_a_bare_name_is_enough_where_it_is_unique(bob, root, model, mallory):
    assert find_choice(bob, "Tiny").model == model
    other = mallory.memberships.get().project
    LanguageModel.objects.create(
        project=other, name="Tiny", architecture="decoder", path="models/x"
    )
    assert find_choice(bob, "Tiny").model == model
    told = refusal(root, "Tiny")
    assert "'grammar/Tiny' or 'elsewhere/Tiny'" in told


def test_a_name_with_a_slash_is_found(bob, project, make_model):
    made = make_model(project, "org/Tiny-1B", path="models/7-1")
    assert find_choice(bob, "grammar/org/Tiny-1B").model == made
    assert find_choice(bob, "org/Tiny-1B").model == made


def test_a_stranger_gets_the_answer_to_what_is_not_there(mallory, model, endpoint):
    told = refusal(mallory, "grammar/Tiny")
    assert told == refusal(mallory, "grammar/None").replace("None", "Tiny")
    assert "Tiny" not in {choice.title for choice in choices_of(mallory)}
    refusal(mallory, "Tiny")


@pytest.mark.parametrize(
    "odd", ["", "/", "a/", "/Tiny", "\0", "grammar/\0", "x" * 10_000, "run-1@1"]
)
def test_an_odd_id_names_nothing(odd, bob, model):
    refusal(bob, odd)


def test_a_model_being_made_cannot_be_talked_to(bob, project, make_model):
    make_model(project, "Later", path="")
    refusal(bob, "grammar/Later")
    assert choices_of(bob) == []


def test_encoders_and_classifiers_write_nothing(project, make_model):
    encoder = make_model(project, "E", architecture="encoder")
    labels = make_model(
        project, "C", recognised={"head": "sequence-classification"}, path="models/c"
    )
    assert not of_model(encoder).can_write
    assert not of_model(labels).can_write
    assert of_model(labels).has_score_head


def test_a_checkpoint_is_found_with_the_config_its_run_left(bob, run, add_checkpoint):
    add_checkpoint(300)
    served = storage.run_folder(run.pk) / "served"
    served.mkdir()
    (served / "config.json").write_text("{}")
    choice = find_choice(bob, f"grammar/run-{run.pk}@300")
    assert choice.ref.key == f"run-{run.pk}-step-300"
    assert choice.ref.url == served.as_uri()
    assert choice.ref.weights_url.endswith("/checkpoints/step-300")
    assert choice.ref.sha256 == f"{300:064}"
    assert (choice.title, choice.stage) == ("Night run, step 300", "base")
    assert checkpoint_choices(run) == [choice]
    assert choices_of(bob) == []
    assert choices_of(bob, with_checkpoints=True) == [choice]


def test_a_checkpoint_with_a_config_of_its_own_needs_no_other(bob, run, add_checkpoint):
    add_checkpoint(1, "config.json")
    choice = find_choice(bob, f"grammar/run-{run.pk}@1")
    assert choice.ref.url == choice.ref.weights_url


def test_an_older_checkpoint_takes_the_config_of_its_runs_model(
    bob, project, run, add_checkpoint, make_model
):
    row = add_checkpoint(5)
    assert "saved without config" in refusal(bob, f"grammar/run-{run.pk}@5")
    assert checkpoint_choices(run) == []
    model = make_model(project, run=run)
    choice = find_choice(bob, f"grammar/run-{run.pk}@{row.step}")
    assert choice.ref.url.endswith(model.path)


def test_a_checkpoint_of_an_adapter_is_refused_with_the_reason(
    bob, run, add_checkpoint
):
    add_checkpoint(5, "adapter_config.json")
    assert "adapter" in refusal(bob, f"grammar/run-{run.pk}@5")


def test_a_checkpoint_that_lies_elsewhere_is_refused_with_the_reason(bob, run):
    Checkpoint.objects.create(
        run=run, step=5, fence=1, path="checkpoints/step-5", manifest_sha256="0" * 64
    )
    assert "cannot be reached" in refusal(bob, f"grammar/run-{run.pk}@5")


def test_strangers_see_no_checkpoints(mallory, run, add_checkpoint):
    add_checkpoint(1, "config.json")
    assert "there is no model" in refusal(mallory, f"grammar/run-{run.pk}@1")
    refusal(mallory, f"elsewhere/run-{run.pk}@1")
    assert choices_of(mallory, with_checkpoints=True) == []


def test_models_of_endpoints_are_everybodys(mallory, endpoint):
    assert [one.id for one in choices_of(mallory)] == ["gpu-1/org/big", "gpu-1/small"]
    choice = find_choice(mallory, "gpu-1/org/big")
    assert (choice.endpoint, choice.remote_id) == (endpoint, "org/big")
    refusal(mallory, "gpu-1/none")


def test_a_disabled_endpoint_is_not_there(bob, endpoint):
    Endpoint.objects.update(is_enabled=False)
    assert choices_of(bob) == []
    refusal(bob, "gpu-1/small")
