"""Runs beside each other over HTTP: compare, run again, sweep."""

import pytest
from trivium.metrics.services import Point, append_points, stream_end, take_stream
from trivium.runs.models import Checkpoint, Run, Sweep

pytestmark = pytest.mark.django_db(databases="__all__")
SIZES = {"axes": [{"setting": "vocabulary_size", "values": [300, 400, 300]}]}


@pytest.fixture
def again(ada, tokenizer_run) -> Run:
    """The same run once more, with a smaller vocabulary."""
    made = ada.post(f"/runs/{tokenizer_run.pk}/again")
    assert made.status_code == 201
    run = Run.objects.get(pk=made.json()["id"])
    run.spec["vocabulary_size"] = 300
    run.save(update_fields=["spec"])
    return run


def add_loss(run: Run, loss: float) -> None:
    take_stream(
        run_id=run.pk, fence=1, seen=stream_end(run.pk), last_points=[],
        resume_step=None,
    )  # fmt: skip
    append_points(
        run_id=run.pk, fence=1, points=[Point("validation/loss", 1, loss)], start=0,
        end=1,
    )  # fmt: skip


def test_a_run_is_run_again_under_a_free_name(ada, again, tokenizer_run):
    assert again.name == "Tok 2"
    assert again.pk != tokenizer_run.pk


def test_runs_are_compared_in_the_order_asked(ada, again, tokenizer_run):
    add_loss(again, 1.5)
    add_loss(tokenizer_run, float("nan"))
    told = ada.get("/runs/compare", id=[again.pk, tokenizer_run.pk]).json()
    first, second = told["runs"]
    assert (first["id"], first["metrics"]) == (again.pk, {"validation/loss": 1.5})
    assert second["metrics"] == {"validation/loss": "NaN"}
    assert second["words"] == "vocabulary size 300 → empty"
    assert second["changes"][0]["setting"] == "vocabulary_size"
    assert told["settings"][0]["values"] == ["300", "empty"]


@pytest.mark.parametrize("ids", [[10**6], [0], [-1], [2**70]])
def test_what_cannot_be_seen_is_not_compared(ids, ada, tokenizer_run):
    answer = ada.get("/runs/compare", id=[tokenizer_run.pk, *ids])
    assert answer.status_code in {404, 422}


def test_a_comparison_of_nothing_is_refused(ada, project):
    assert ada.get("/runs/compare").status_code == 422
    assert ada.get("/runs/compare", id=list(range(1, 60))).status_code == 422


def test_preflights_are_left_out_unless_asked_for(ada, tokenizer_run, again):
    Run.objects.filter(pk=tokenizer_run.pk).update(kind="preflight")
    again.depends_on.add(tokenizer_run)
    items = ada.get("/runs").json()["items"]
    assert [run["name"] for run in items] == ["Tok 2", "Corpus"]
    asked = ada.get("/runs", kind="preflight").json()["items"]
    assert [run["name"] for run in asked] == ["Tok"]


def test_a_sweep_is_previewed_started_shown_and_cancelled(ada, tokenizer_run):
    preview = ada.post(f"/runs/{tokenizer_run.pk}/sweep/preview", SIZES).json()
    assert preview["values"] == [{"vocabulary_size": 300}, {"vocabulary_size": 400}]
    assert Sweep.objects.count() == 0
    made = ada.post(f"/runs/{tokenizer_run.pk}/sweep", SIZES)
    assert made.status_code == 201
    sweep = made.json()
    assert [run["values"] for run in sweep["runs"]] == preview["values"]
    assert ada.get("/sweeps", project="grammar").json()["items"] == [sweep]
    ended = ada.post(f"/sweeps/{sweep['id']}/cancel").json()
    assert {run["state"] for run in ended["runs"]} == {"cancelled"}
    assert ada.get(f"/sweeps/{sweep['id']}").json() == ended


def test_a_sweep_repeated_with_its_key_is_started_once(ada, tokenizer_run):
    path = f"/runs/{tokenizer_run.pk}/sweep"
    first, again = (ada.post(path, SIZES, key="k").json() for _ in range(2))
    assert first == again
    assert Sweep.objects.count() == 1


@pytest.mark.parametrize(
    "axes",
    [
        [],
        [{"setting": "vocabulary_size"}],
        [{"setting": "vocabulary_size", "values": [1]}],
        [{"setting": "vocabulary_size", "values": ["x"]}],
        [{"setting": "colour", "values": [1]}],
        [{"setting": "vocabulary_size", "values": [300], "low": 1, "high": 2}],
        [{"setting": "vocabulary_size", "low": 1}],
        [{"setting": "vocabulary_size", "values": [[300]]}],
    ],
)
def test_a_wrong_sweep_is_refused_in_words(axes, ada, tokenizer_run, shape):
    refused = ada.post(f"/runs/{tokenizer_run.pk}/sweep", {"axes": axes})
    assert shape(refused) == (422, "invalid_request")
    assert not Sweep.objects.exists()


def test_more_than_may_be_queued_is_refused_whole(ada, tokenizer_run, settings, shape):
    settings.MAX_QUEUED_PER_USER = 3
    path = f"/runs/{tokenizer_run.pk}/sweep"
    assert "3 are allowed" in ada.post(f"{path}/preview", SIZES).json()["refusal"]
    assert shape(ada.post(path, SIZES)) == (422, "invalid_request")
    assert Run.objects.count() == 2


def test_strangers_and_viewers(ada, vera, mallory, tokenizer_run, shape):
    sweep = ada.post(f"/runs/{tokenizer_run.pk}/sweep", SIZES).json()
    assert mallory.get(f"/sweeps/{sweep['id']}").status_code == 404
    assert mallory.get("/sweeps").json()["items"] == []
    assert mallory.post(f"/sweeps/{sweep['id']}/cancel").status_code == 404
    assert vera.get(f"/sweeps/{sweep['id']}").status_code == 200
    assert vera.post(f"/sweeps/{sweep['id']}/cancel").status_code == 403


def test_a_checkpoint_is_deleted_unless_something_needs_it(
    ada, vera, mallory, tokenizer_run
):
    made = [
        Checkpoint.objects.create(
            run=tokenizer_run, fence=1, step=step, path=f"c/{step}", manifest_sha256="0"
        )
        for step in (1, 2)
    ]

    def delete(caller, row) -> int:
        path = f"/api/v1/runs/{tokenizer_run.pk}/checkpoints/{row.pk}"
        return caller.client.delete(path).status_code

    assert [delete(one, made[0]) for one in (vera, mallory)] == [403, 404]
    assert delete(ada, made[1]) == 409
    assert [delete(ada, made[0]) for _ in range(2)] == [204, 404]
