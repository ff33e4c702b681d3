"""The commands against a real server."""

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runspec.layout import DatasetCard, Split, log_file
from trivium import storage
from trivium.cli import flags
from trivium.datasets.models import Dataset, Upload
from trivium.models.models import LanguageModel
from trivium.projects.models import Project
from trivium.projects.services import create_project
from trivium.runs import logs
from trivium.runs.models import Run

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


def test_projects_are_made_and_listed(trivium):
    made = trivium("projects", "create", "Two Words", "--json")
    assert made.json["slug"] == "two-words"
    listed = trivium("projects", "list")
    assert listed.code == 0
    assert "two-words" in listed.out
    assert Project.objects.get().description == ""


def test_a_file_is_uploaded_with_settings(trivium, project, tmp_path):
    file = tmp_path / "my notes.txt"
    file.write_bytes(b"line\n" * 100_000)
    done = trivium("datasets", "upload", file, "--name", "Notes", "--text-rows", "line")
    assert (done.code, done.err) == (0, "")
    run = Run.objects.get()
    assert run.spec["text_rows"] == "line"
    assert "validation_fraction" in run.spec
    upload = Upload.objects.get()
    assert upload.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert f"run {run.pk} queued: ingest Notes" in done.out
    assert Dataset.objects.get().name == "Notes"


def test_kind_and_columns_are_given_or_recognised(trivium, project, tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("Frage,answer\n1 + 1?,2\n")
    chosen = ("--kind", "instructions", "--column", "prompt=Frage")
    done = trivium("datasets", "upload", file, *chosen, "--json")
    assert done.json["spec"]["dataset_kind"] == "instructions"
    assert done.json["spec"]["columns"] == {"prompt": "Frage"}
    file.write_text("question,answer\n1 + 1?,2\n")
    done = trivium("datasets", "upload", file, "--json")
    assert done.json["spec"]["dataset_kind"] == "instructions"


@pytest.mark.parametrize(
    "flags", [("--column", "a=b"), ("--kind", "text", "--column", "text")]
)
def test_a_column_said_wrongly_is_a_sentence(flags, trivium, project, tmp_path):
    (tmp_path / "a.csv").write_text("a\nb\n")
    refused = trivium("datasets", "upload", tmp_path / "a.csv", *flags)
    assert refused.code == 2
    assert "--column" in refused.err
    assert not Upload.objects.exists()


def test_a_look_keeps_nothing(trivium, project, tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("question,answer\n1 + 1?,2\n,3\n")
    seen = trivium("datasets", "look", file)
    assert seen.code == 0
    assert "instructions: a table" in seen.out
    assert "prompt from question" in seen.out
    assert 'line 3: "question" is empty' in seen.out
    file.write_text("a,b\nc,d\n")
    asked = trivium("datasets", "look", file)
    assert (asked.code, "What are its rows?" in asked.out) == (2, True)
    assert not Upload.objects.exists()


def test_a_path_of_the_server_is_imported(trivium, project, settings, tmp_path):
    (tmp_path / "corpus.txt").write_text("text")
    settings.IMPORT_ROOTS = [str(tmp_path)]
    done = trivium("datasets", "import", tmp_path / "corpus.txt", "--json")
    assert done.json["kind"] == "ingest"
    assert done.json["spec"]["file_name"] == "corpus.txt"


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume async")
def test_rows_are_fetched_into_a_file(trivium, project, tmp_path):
    folder, target = tmp_path / "made", tmp_path / "rows.jsonl"
    folder.mkdir()
    said = [{"role": "assistant", "content": "a", "tool_calls": None}]
    row = {"prompt": said, "chosen": said, "rejected": said, "is_chat": False}
    pq.write_table(pa.Table.from_pylist([row] * 3), folder / "a.parquet")
    train = Split(rows=3, bytes=1, characters=1, shards=["a.parquet"])
    card = DatasetCard(
        kind="preferences", columns=list(row), rows=3, bytes=1, characters=1,
        distinct_rows=1, duplicate_rows=2, length_histogram=[],
        splits={"train": train}, content_sha256="", source_name="", source_sha256="",
    ).model_dump(mode="json")  # fmt: skip
    dataset = Dataset.objects.create(project=project, name="Pairs", kind="preferences")
    key = storage.publish(folder, "datasets/pairs")
    dataset.versions.create(number=1, path=key, card=card, rows=3)
    done = trivium("datasets", "download", dataset.pk, target, "--form", "kto")
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert len(rows) == 6
    assert rows[1] == {"prompt": "a", "completion": "a", "label": False}
    refused = trivium(
        "datasets", "download", dataset.pk, tmp_path / "x", "--split", "validation"
    )
    assert refused.code == 3
    assert not (tmp_path / "x").exists()


def test_datasets_are_listed_and_shown(trivium, ingest):
    listed = trivium("datasets", "list")
    assert "Corpus" in listed.out
    assert "being prepared" in listed.out
    dataset = Dataset.objects.get()
    shown = trivium("datasets", "show", dataset.pk, "--json").json
    assert shown["versions"][0]["number"] == 1


def test_a_tokenizer_and_a_model_are_started_from_flags(trivium, ingest):
    version = ingest.dataset_version.pk
    made = trivium(
        "tokenizers", "create", "--dataset", version, "--vocabulary-size", 300, "--json"
    ).json
    assert made["spec"]["vocabulary_size"] == 300
    started = trivium(
        "runs", "start", "pretrain", "--priority", 3, "--name", "tiny",
        "--dataset", version, "--tokenizer", made["output"]["id"],
        "--layers", 2, "--no-tied-embeddings", "--learning-rate", "3e-4",
        "--sample-prompts", "Once", "--sample-prompts", "Then",
    )  # fmt: skip
    assert started.code == 0, started.err
    run = Run.objects.get(kind="pretrain")
    assert (run.priority, run.name) == (3, "tiny")
    assert run.spec["tied_embeddings"] is False
    assert run.spec["learning_rate"] == 3e-4
    assert run.spec["sample_prompts"] == ["Once", "Then"]
    assert f"(makes model {run.model.pk})" in started.out


@pytest.fixture
def tuned(project) -> dict[str, int]:
    """Ids of a model and of two datasets it can be fine-tuned on."""
    model = LanguageModel.objects.create(
        project=project, name="m", stage="base", architecture="decoder",
        family="llama", path="models/m",
    )  # fmt: skip
    versions = []
    for name in ("one", "two"):
        dataset = Dataset.objects.create(
            project=project, name=name, kind="instructions"
        )
        versions.append(dataset.versions.create(number=1, path=f"datasets/{name}").pk)
    return {"model": model.pk, "one": versions[0], "two": versions[1]}


def test_a_model_is_fine_tuned_on_several_datasets_from_flags(trivium, tuned):
    started = trivium(
        "runs", "start", "sft", "--model", tuned["model"], "--name", "Guide",
        "--datasets", tuned["one"], tuned["two"], "--weights", 2, 0.5,
        "--method", "lora", "--lora-modules", "q_proj", "--lora-modules", "v_proj",
    )  # fmt: skip
    assert started.code == 0, started.err
    run = Run.objects.get(kind="sft")
    assert run.spec["datasets"] == [str(tuned["one"]), str(tuned["two"])]
    assert run.spec["weights"] == [2.0, 0.5]
    assert run.spec["lora_modules"] == ["q_proj", "v_proj"]
    assert f"run {run.pk} waiting: sft Guide" in started.out
    assert "preflight" in trivium("runs", "list", "--kind", "preflight").out


def test_rewards_are_given_as_lines_one_flag_each(trivium, tuned):
    argv = ["runs", "start", "rlhf", "--model", tuned["model"]]
    argv += ["--datasets", tuned["one"]]
    rules = ["length maximum=9", "pattern pattern='so far' weight=-1"]
    flags = [word for rule in rules for word in ("--reward-functions", rule)]
    started = trivium(*argv, *flags)
    assert started.code == 0, started.err
    found = Run.objects.get(kind="rlhf").spec["reward_functions"]
    assert [(one["name"], one["weight"]) for one in found] == [
        ("length", 1), ("pattern", -1),
    ]  # fmt: skip
    refused = trivium(*argv, "--reward-functions", "lenght")
    assert "--reward-functions.0: 'lenght' is no reward function" in refused.err


def test_only_the_check_of_a_run_is_started(trivium, tuned):
    argv = ["--model", tuned["model"], "--datasets", tuned["one"], "--check-only"]
    made = trivium("runs", "start", "sft", *argv, "--json").json
    assert made["kind"] == "preflight"
    assert made["spec"]["training"]["datasets"] == [str(tuned["one"])]
    assert Run.objects.count() == 1
    refused = trivium("runs", "start", "tokenizer", "--dataset", 1, "--check-only")
    assert refused.code == 2
    assert "--check-only is for pretrain, sft, dpo, reward, rlhf, not" in refused.err


def test_pretraining_goes_on_from_a_model(trivium, ingest, tuned):
    version = ingest.dataset_version.pk
    started = trivium(
        "runs", "start", "pretrain", "--dataset", version,
        "--base-model", tuned["model"],
    )  # fmt: skip
    assert started.code == 0, started.err
    run = Run.objects.get(kind="pretrain")
    assert run.spec["base_model"] == str(tuned["model"])
    assert run.spec["tokenizer"] is None


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--layers", "x"], "--layers: Input should be a valid integer"),
        (["--layers", "0"], "--layers: Input should be greater than or equal to 1"),
        (["--width", "130"], "width 130 is not a multiple of heads 4"),
        (["--colour", "red"], "--colour"),
        (["--family", "rnn"], "invalid choice"),
        (["--family", "bert", "--kv-heads", "2"], "kv_heads applies to llama, mixtral"),
        (["--base-model", "1"], "tokenizer comes from the base model"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_sent(argv, said, trivium):
    refused = trivium(
        "runs", "start", "pretrain", "--dataset", 1, "--tokenizer", 1, *argv
    )
    assert refused.code == 2
    assert said in refused.err


def test_the_settings_of_a_kind_are_listed_with_units_and_defaults(trivium):
    listed = trivium("runs", "start", "pretrain", "--settings")
    assert listed.code == 0
    assert "--max-steps" in listed.out
    assert "[optimizer steps] (default: 1000)" in " ".join(listed.out.split())


def test_runs_are_listed_shown_and_steered(trivium, ingest):
    assert "Corpus" in trivium("runs", "list", "--state", "queued").out
    assert trivium("runs", "list", "--state", "failed", "--json").json == []
    assert trivium("runs", "priority", ingest.pk, 5).code == 0
    shown = trivium("runs", "show", ingest.pk)
    assert "validation fraction" in shown.out
    assert trivium("runs", "cancel", ingest.pk).out.startswith(
        f"run {ingest.pk} cancelled"
    )
    retried = trivium(
        "runs", "retry", ingest.pk, "--set", "validation-fraction=0.3",
        "--set", "bad_rows=skip", "--json",
    ).json  # fmt: skip
    assert retried["spec"]["validation_fraction"] == 0.3
    assert retried["spec"]["bad_rows"] == "skip"
    ingest.refresh_from_db()
    assert (ingest.priority, ingest.state) == (5, "cancelled")


def test_what_is_not_possible_now_is_a_conflict(trivium, ingest):
    refused = trivium("runs", "resume", ingest.pk)
    assert refused.code == 6
    assert refused.err.startswith("trivium: ")


def test_a_log_is_printed_without_what_a_terminal_would_obey(trivium, ingest):
    Run.objects.filter(pk=ingest.pk).update(fence=1)
    text = "step 1\rstep 2\n\x1b[31mred\x1b[0m\n" + "x" * 3_000_000
    log_file(storage.run_folder(ingest.pk), 1).write_text(text)
    printed = trivium("runs", "log", ingest.pk).out
    assert "\x1b" not in printed
    assert printed.startswith("step 1\nstep 2\n")
    assert printed.count("x") == 3_000_000
    assert logs.read_log(ingest.pk, 1).size == len(text)


def test_a_models_files_are_downloaded_and_verified(trivium, project, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    content = {"config.json": b"{}", "model.safetensors": b"weights" * 100_000}
    for name, value in content.items():
        (source / name).write_bytes(value)
    files = {
        name: {"size": len(value), "sha256": hashlib.sha256(value).hexdigest()}
        for name, value in content.items()
    }
    model = LanguageModel.objects.create(
        project=project,
        name="m",
        stage="base",
        architecture="decoder",
        family="llama",
        path=storage.publish(source, "models/1-1"),
        files=files,
    )
    target = tmp_path / "target"
    done = trivium("models", "download", model.pk, target)
    assert (done.code, done.out) == (0, f"2 files in {target}\n")
    assert {f.name: f.read_bytes() for f in target.iterdir()} == content

    files["config.json"]["sha256"] = "0" * 64
    LanguageModel.objects.update(files=files)
    refused = trivium("models", "download", model.pk, target)
    assert refused.code == 4
    assert "differs" in refused.err


def test_a_model_without_files_cannot_be_downloaded(trivium, project, tmp_path):
    model = LanguageModel.objects.create(
        project=project, name="m", stage="base", architecture="decoder", family="llama"
    )
    assert trivium("models", "download", model.pk, tmp_path / "t").code == 6


def test_what_nothing_needs_is_deleted(trivium, project, ingest):
    model = LanguageModel.objects.create(
        project=project, name="m", stage="base", architecture="decoder", family="llama"
    )
    assert trivium("models", "delete", model.pk).out == f"model {model.pk} deleted\n"
    dataset = Dataset.objects.get()
    assert trivium("datasets", "delete", dataset.pk, 1).code == 6
    trivium("runs", "cancel", ingest.pk)
    assert trivium("datasets", "delete", dataset.pk, 1).code == 0
    assert not Dataset.objects.exists()


def test_the_project_must_be_named_where_there_are_several(
    trivium, ada, project, tmp_path
):
    create_project(name="Logic", created_by=ada)
    (tmp_path / "a.txt").write_text("a")
    refused = trivium("datasets", "upload", tmp_path / "a.txt")
    assert refused.code == 2
    assert "grammar" in refused.err
    assert "logic" in refused.err
    done = trivium("datasets", "upload", tmp_path / "a.txt", "--project", "logic")
    assert done.code == 0
    assert Run.objects.get().project.slug == "logic"


def test_pairs_of_a_spec_are_gathered_from_flags():
    parser = flags.spec_parser("ingest", prog="x", without=("source", "file_name"))
    pairs = ["--columns", "prompt=a", "--columns", "completion=b=c"]
    given = vars(parser.parse_args(pairs))
    assert given == {"columns": {"prompt": "a", "completion": "b=c"}}
