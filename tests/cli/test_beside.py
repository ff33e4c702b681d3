"""Compare, again and sweeps from the command line."""

import pytest
from runspec import TokenizerSpec
from trivium.cli.commands.sweeps import parse_over
from trivium.cli.errors import CliError
from trivium.runs import kinds
from trivium.runs.models import Run, Sweep

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture
def tokenizer_run(project, ada, ingest) -> Run:
    spec = TokenizerSpec(dataset=str(ingest.dataset_version.pk), vocabulary_size=300)
    return kinds.start_run(project=project, created_by=ada, spec=spec, name="Tok")


def test_a_run_is_run_again_and_compared(trivium, tokenizer_run):
    again = trivium("runs", "again", tokenizer_run.pk)
    assert "tokenizer Tok 2" in again.out
    run = Run.objects.get(name="Tok 2")
    run.spec["vocabulary_size"] = 20_000
    run.save(update_fields=["spec"])
    told = trivium("runs", "compare", tokenizer_run.pk, run.pk)
    assert "Tok → Tok 2: vocabulary size 300 → 20,000" in told.out
    as_json = trivium("runs", "compare", tokenizer_run.pk, run.pk, "--json").json
    assert as_json["settings"][0]["values"] == ["300", "20,000"]
    assert trivium("runs", "compare", tokenizer_run.pk, 10**6).code != 0


def test_a_sweep_is_previewed_started_and_cancelled(trivium, tokenizer_run):
    over = ("--over", "vocabulary-size=300..500:3", "--over", "algorithm=bpe,unigram")
    preview = trivium("sweeps", "start", tokenizer_run.pk, *over, "--preview")
    assert "6 runs" in preview.out
    assert not Sweep.objects.exists()
    started = trivium("sweeps", "start", tokenizer_run.pk, *over, "--name", "Sizes")
    assert started.code == 0, started.err
    sweep = Sweep.objects.get()
    assert sweep.runs.count() == 6
    assert "Sizes" in trivium("sweeps", "list").out
    assert "unigram" in trivium("sweeps", "show", sweep.pk).out
    trivium("sweeps", "cancel", sweep.pk)
    assert set(sweep.runs.values_list("state", flat=True)) == {"cancelled"}


def test_a_random_sweep_draws_as_many_as_asked(trivium, tokenizer_run):
    drawn = trivium(
        "sweeps", "start", tokenizer_run.pk, "--over", "vocabulary_size=300..900",
        "--random", 4, "--json",
    ).json  # fmt: skip
    assert len(drawn["runs"]) == 4


@pytest.mark.parametrize("text", ["x", "x=", "x= ", "x=a..b"])
def test_what_is_no_axis_is_refused_before_anything_is_sent(text):
    with pytest.raises(CliError):
        parse_over(text)
