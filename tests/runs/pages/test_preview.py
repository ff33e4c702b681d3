"""The sample beside the fine-tuning form, as the model will read it."""

import pytest
from trivium.runs import coloured, previews

pytestmark = pytest.mark.django_db(databases=["default", "metrics"])
NO_ASSISTANT = "{% for m in messages %}{{ m.content }}{% endfor %}"


@pytest.fixture
def preview(bobs, model, instructions, url):
    """Ask for the sample of a form; returns the page's text."""

    def ask(**changes) -> str:
        sent = {"model": model.pk, "datasets": [instructions.pk]} | changes
        return bobs.post(f"{url('preview')}?kind=sft", sent).content.decode()

    return ask


def test_the_first_row_is_shown_with_what_is_learned_apart(preview):
    page = preview()
    assert "The first row of Instructions v1" in page
    assert "Fabler has no template of its own; it gets ChatML." in page
    assert (
        '<span class="seen seen--trained" title="learned from">Ada lives in Ulm.</span>'
        '<span class="seen seen--trained seen--special" title="learned from">'
        "&lt;|im_end|&gt;</span>" in page
    )
    assert (
        '<span class="seen" title="only read">user↵\nWhere does Ada live?</span>'
        in page
    )


def test_all_tokens_are_learned_from_where_asked(preview):
    page = preview(loss_on="all")
    assert 'title="only read"' not in page


@pytest.mark.parametrize(
    ("choice", "shown"),
    [("llama3", "&lt;|eot_id|&gt;"), ("plain", "Assistant:"), ("model", "OWN")],
)
def test_each_template_writes_it_its_way(
    choice, shown, bobs, make_model, instructions, url
):
    model = make_model("Chatty", template="OWN {{ messages[0].content }}")
    sent = {
        "model": model.pk, "datasets": [instructions.pk], "chat_template": choice,
    }  # fmt: skip
    page = bobs.post(f"{url('preview')}?kind=sft", sent).content.decode()
    assert shown in page


def test_the_tokenizers_own_tokens_are_written(preview):
    assert "&lt;|end|&gt;" in preview(chat_template="plain")


def test_a_broken_template_is_told_as_a_sentence(preview):
    page = preview(chat_template="custom", custom_template="{% for m in %}")
    assert 'role="alert"' in page
    assert "(line 1)." in page


def test_an_empty_template_asks_for_one(preview):
    assert "Write a template" in preview(chat_template="custom", custom_template="  ")


def test_a_row_in_which_nothing_is_learned_says_so(preview, monkeypatch):
    row = {"messages": [{"role": "user", "content": "Hello?"}]}
    monkeypatch.setattr(previews, "first_row", lambda _version: row)
    assert "Nothing here would be learned" in preview()


def test_what_a_template_writes_is_inert(preview):
    evil = "<script>x()</script>\u202e"
    page = preview(chat_template="custom", custom_template=evil + NO_ASSISTANT)
    assert "<script>" not in page
    assert "RLO" in page or "do not" in page or "not let" in page


def test_a_long_row_is_cut(preview, monkeypatch):
    row = {"prompt": "word " * 40_000, "completion": "yes"}
    monkeypatch.setattr(previews, "first_row", lambda _version: row)
    page = preview()
    assert len(page) < 3 * coloured.MAX_CHARACTERS
    assert "cut here" in page


def test_without_rows_an_example_is_shown(preview):
    assert "Where can I buy bread?" in preview(datasets=[])


def test_without_a_model_there_is_nothing_to_show(preview):
    assert "Choose a model" in preview(model="")


def test_tools_and_calls_reach_the_template(preview, monkeypatch):
    row = {
        "messages": [
            {"role": "user", "content": "Time?", "tool_calls": None},
            {"role": "assistant", "content": None, "tool_calls": '[{"name": "clock"}]'},
        ],
        "tools": '[{"name": "clock"}]',
    }
    monkeypatch.setattr(previews, "first_row", lambda _version: row)
    page = preview(chat_template="chatml")
    assert "You may call these tools" in page
    assert "&lt;tool_call&gt;" in page


@pytest.mark.parametrize(
    ("architecture", "kind", "row", "shown"),
    [
        ("encoder", "labelled", {"text": "a joy", "label": "good"}, ["a joy", "good"]),
        (
            "encoder-decoder",
            "text-to-text",
            {"prompt": "good day", "completion": "guten Tag"},
            ["good day", "guten Tag"],
        ),
    ],
)
def test_other_tasks_show_a_row(
    architecture, kind, row, shown, bobs, make_model, make_dataset, url
):
    model, dataset = make_model("Other", architecture), make_dataset(kind, [row])
    sent = {"model": model.pk, "datasets": [dataset.pk]}
    page = bobs.post(f"{url('preview')}?kind=sft", sent).content.decode()
    assert all(text in page for text in shown)
    assert "sees__text--answer" in page


def test_only_so_many_templates_run_at_once(preview, monkeypatch):
    import threading

    full = threading.BoundedSemaphore(1)
    full.acquire()
    monkeypatch.setattr(previews, "_places", full)
    monkeypatch.setattr(previews, "PATIENCE_S", 0.01)
    assert "Others are trying templates" in preview()
