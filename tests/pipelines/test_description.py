"""Hostile and mistaken descriptions are refused in one sentence each."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipelines_lab import THREE, make_version
from trivium.pipelines.description import read_description
from trivium.pipelines.models import Pipeline
from trivium.pipelines.writing import as_yaml
from trivium.pipelines.yaml_text import MAX_BYTES, read_yaml, write_yaml
from trivium.runs.errors import SubmitError

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "pipelines.md"
BOMB = "a: &a [x, x]\n" + "\n".join(
    f"{chr(98 + at)}: &{chr(98 + at)} [*{chr(97 + at)}, *{chr(97 + at)}]"
    for at in range(20)
)
STEPS = THREE.partition("steps:\n")[2]


def with_steps(text: str) -> str:
    return f"name: X\nsteps:\n{text}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, r"line 2: aliases \(\*a\) are not read here"),
        ("x" * (MAX_BYTES + 1), "larger than 200,000 bytes"),
        ("[" * 10_000, "more than 20 levels deep"),
        ("a: !!python/object/apply:os.system [ls]", r"tags .*os.system"),
        ("a: !!float .inf", "tags"),
        ("a: 1e999", "no number"),
        ("a: [1", "this is no YAML in line"),
        ("a: 1\na: 2", "line 2: 'a' is there twice"),
        ("1: 2", "a key must be text"),
        ("a: 1\n---\nb: 2", "this is no YAML"),
        ("", "the description is empty"),
        ("a\0b", "NUL"),
        ("- x\n" * 30_000, "too many values"),
        ("just words", "described by `name:` and `steps:`"),
        ("name: X", "steps is missing"),
        ("name: X\nsteps: []", "steps"),
        ("name: X\nsteps: {a: 1}", "steps"),
        ("name: [X]\nsteps: []", "name"),
        (f"name: X\ncolour: red\nsteps:\n{STEPS}", "'colour' is not known here"),
        (with_steps("  - kind: sft\n"), "step 1: name is missing"),
        (with_steps("  - just words\n"), "step 1"),
        (with_steps("  - {name: A b, kind: sft}\n"), "'A b' is no name for a step"),
        (with_steps("  - {name: ../x, kind: sft}\n"), "is no name for a step"),
        (with_steps("  - {name: a, kind: fly}\n"), "step a: there is no kind 'fly'"),
        (with_steps("  - {name: a, kind: preflight}\n"), "no kind 'preflight'"),
        (with_steps(STEPS + "  - {name: base, kind: sft}\n"), "step base: two steps"),
        (THREE.replace("width", "widht"), "widht is no setting of pretrain; did you "),
        (THREE.replace("width: 32", "width: wide"), "step base: width: input should"),
        (THREE.replace("    datasets: [Asked]\n", ""), "step instruct: datasets is "),
        (THREE.replace("{from: base}", "{from: bass}"), "no other step 'bass'; did "),
        (THREE.replace("{from: base}", "{from: tokenizer}"), "makes a tokenizer; a mo"),
        (
            THREE.replace(
                "dataset: Text\n    tok", "dataset: {from: tokenizer}\n    tok"
            ),
            "step base: dataset: step tokenizer makes a tokenizer; a dataset",
        ),
        (THREE.replace("{from: base}", "{from: base, or: x}"), "write a name, an id,"),
        (THREE.replace("{from: base}", "[{from: base}]"), "step instruct: model"),
        (THREE.replace("32", "{from: base}"), "width takes nothing from another step"),
        (THREE.replace("width: 32", "needs: [gone]"), "step base: needs: there is no "),
        (THREE.replace("width: 32", "needs: [base]"), "needs: there is no other step"),
        (
            THREE.replace("width: 32", "needs: [aligned]"),
            "step base: it waits for itself, by way of",
        ),
        (
            with_steps(
                "  - {name: c, kind: campaign, prompts: P, answerers: [a, b]}\n"
                "  - {name: s, kind: sft, model: m, datasets: [{from: c}]}\n"
            ),
            "step s: datasets: step c makes a dataset of preferences; instructions or",
        ),
        (
            with_steps("  - {name: c, kind: campaign, prompts: P, answerers: [a]}\n"),
            "step c: answerers: at least two are needed",
        ),
        (
            with_steps("  - {name: c, kind: campaign, prompts: P, overlap: 0}\n"),
            "step c: overlap",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(text, said):
    with pytest.raises(SubmitError, match=said) as refused:
        read_description(text)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_words_and_numbers_are_those_of_yaml_1_2():
    text = "a: off\nb: no\nc: 1e-4\nd: true\ne: null\nf: 2020-01-01\ng: 012\nh: -3"
    assert read_yaml(text) == {
        "a": "off", "b": "no", "c": 0.0001, "d": True, "e": None, "f": "2020-01-01",
        "g": "012", "h": -3,
    }  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        "off", "1e-4", "null", "~", "", "true", "a: b", "- x", "#", "012", "{from: x}",
        "two\nlines\n", " spaces ", "*a", "&a", "2020-01-01", "é\u202e", 1e-7, 3, True,
        None, [[]], {"a": {"b": []}},
    ],
)  # fmt: skip
def test_what_is_written_is_read_again(value):
    assert read_yaml(write_yaml({"value": value})) == {"value": value}


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["from", "name", "base", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
FIELDS = ("name", "kind", "needs", "output", "model", "datasets", "tokenizer", "width")


@settings(max_examples=60, deadline=None)
@given(
    at=st.integers(0, 3),
    drawn=st.dictionaries(st.sampled_from(FIELDS), PLAIN, min_size=1, max_size=2),
)
def test_whatever_a_step_holds_is_read_or_refused(at, drawn):
    values = read_yaml(THREE)
    values["steps"][at] |= drawn
    assert read_or_refused(values)


@settings(max_examples=60, deadline=None)
@given(text=st.text("ab:-[]{}*&!|>'\"#%@ \n\t\x00\x85\ud800", max_size=40))
def test_whatever_is_pasted_is_read_or_refused(text):
    assert read_or_refused(text)


def read_or_refused(source):
    """Return the steps that were read, or the sentence that refuses; nothing else."""
    try:
        return read_description(source).steps
    except SubmitError as error:
        return str(error)


@pytest.mark.django_db
def test_a_pipeline_is_written_as_it_was_described(make):
    pipeline = make()
    written = read_description(as_yaml(Pipeline.objects.get(pk=pipeline.pk)))
    given = read_description(
        THREE.replace("Text", "Text@1").replace("Asked", "Asked@1").replace(
            "Preferred", "Preferred@1"
        )
    )  # fmt: skip
    assert written == given


@pytest.mark.django_db
def test_what_the_documentation_shows_can_be_made(make, project):
    kinds = {"": "text", " questions": "instructions", " preferences": "preferences",
             " prompts": "prompts"}  # fmt: skip
    for name, kind in kinds.items():
        make_version(project, f"Tiny World{name}", kind)
    shown = DOCUMENTATION.read_text().split("```yaml\n")[1:]
    made = [make(text.partition("```")[0]) for text in shown]
    assert [one.name for one in made] == [
        "Tiny World with DPO", "Tiny World with people",
    ]  # fmt: skip


@pytest.mark.django_db
def test_a_pipeline_of_a_hundred_steps_is_refused_in_time(make):
    steps = "".join(
        f"  - {{name: s{at}, kind: tokenizer, dataset: Text}}\n" for at in range(101)
    )
    with pytest.raises(SubmitError, match="steps"):
        make(with_steps(steps))
