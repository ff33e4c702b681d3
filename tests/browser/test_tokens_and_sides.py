"""Answers token by token, and side by side, in a real browser."""

import re

import pytest
from asgi_lab import asgi_url, open_page, session, storyteller
from django.urls import reverse
from playwright.sync_api import expect
from runspec import PretrainSpec
from runspec.serving import Prompt, Sampling
from serving_lab import make_model, write_checkpoint
from trivium.comparisons.models import Comparison, Lineup, Vote
from trivium.playground.models import Generation
from trivium.playground.services import generate
from trivium.runs.models import Checkpoint, Run
from trivium.serving.choices import of_model

__all__ = ["asgi_url", "make_model", "open_page", "session", "storyteller"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases="__all__"),
]


@pytest.fixture
def answer(project, vera, make_model, storyteller) -> str:
    """The address of an answer's tokens; it is written once somebody looks."""
    made = generate(
        project=project,
        sender=vera,
        choice=of_model(make_model(project, "Storyteller")),
        prompt=Prompt(text="Tell me a story."),
        sampling=Sampling(max_tokens=20, temperature=0.8, seed=3),
    )
    return reverse("playground:next-token", args=["grammar", made.pk])


@pytest.fixture
def compare_url(project, make_model, storyteller) -> str:
    for name in ("First", "Second"):
        make_model(project, name)
    return reverse("playground:compare", args=["grammar"])


def test_a_token_is_looked_at_and_another_one_branches(answer, open_page):
    page = open_page(answer)
    tokens = page.locator("#tokens .tok")
    expect(tokens).to_have_count(20, timeout=20_000)
    tokens.nth(5).click()
    panel = page.locator("#next")
    expect(panel.locator(".bar-row--chosen")).to_have_count(1)
    expect(panel).to_contain_text("Token 6 of 20")
    assert "at=5" in page.url

    # The keyboard walks on, and the panel follows.
    page.keyboard.press("ArrowRight")
    expect(panel).to_contain_text("Token 7 of 20")
    expect(tokens.nth(6)).to_be_focused()

    # A lower temperature gives to the likeliest what the others had.
    first = panel.locator("[data-share]").first
    bar = panel.locator("[data-bar]").first
    before = float(bar.get_attribute("width"))
    panel.locator("[data-temperature]").fill("0.3")
    assert float(bar.get_attribute("width")) > before
    panel.locator("[data-temperature]").fill("0")
    assert first.inner_text() == "100 %"
    panel.locator("[data-temperature]").fill("2")
    assert float(bar.get_attribute("width")) < before

    page.get_by_role("link", name="Entropy").click()
    expect(page.locator("#tokens")).to_have_attribute("data-colour", "entropy")

    # Another token: a version that begins alike and goes on by itself.
    alike = [tokens.nth(at).inner_text() for at in range(6)]
    other = panel.locator("button.bar-row__text:not(:disabled)").nth(1)
    chosen = other.inner_text().strip("·")
    other.click()
    page.wait_for_url(lambda url: answer not in url)
    expect(page.locator("#tokens .tok")).to_have_count(27, timeout=20_000)
    now = [page.locator("#tokens .tok").nth(at).inner_text() for at in range(7)]
    assert now[:6] == alike
    assert now[6].strip() == chosen
    expect(page.locator("#next")).to_contain_text("Token 7 of 27")


def test_two_models_stream_side_by_side_and_are_voted_on_blind(
    compare_url, open_page, storyteller
):
    page = open_page(compare_url)
    page.locator("#choice-A").select_option("grammar/First")
    page.locator("#choice-B").select_option("grammar/Second")
    page.locator("[name=prompt]").fill("Tell me about a river.")
    page.locator("[name=is_blind]").check()
    page.get_by_role("button", name="Ask them all").click()
    page.wait_for_url(re.compile(r"compare/\d+/\?choice=grammar%2FFirst&choice="))
    sides = page.locator("[data-side]")
    expect(sides).to_have_count(2)
    # Both stream at once: each has begun before either is over.
    expect(sides.nth(0).locator("[data-text]")).to_contain_text(" ")
    expect(sides.nth(1).locator("[data-text]")).to_contain_text(" ")
    assert "First" not in page.locator("#lineup").inner_text()

    vote = page.get_by_role("button", name="B is better")
    expect(vote).to_be_enabled(timeout=20_000)
    page.locator("h1").click()
    page.keyboard.press("2")
    expect(page.locator("#lineup")).to_contain_text("You said: B is better")
    names = page.locator(".side__head bdi").all_inner_texts()
    assert sorted(names) == ["First", "Second"]
    expect(sides.nth(1)).to_contain_text("your choice")
    page.close()


@pytest.fixture
def kept(compare_url):
    """What is in the database once the browser is gone."""
    yield
    cast = Vote.objects.get()
    right = Lineup.objects.get().places.get(position=1).generation
    chosen = {"a": cast.comparison.answer_a, "b": cast.comparison.answer_b}
    assert chosen[cast.choice] == right
    assert cast.shown_left != cast.choice
    assert cast.ms_active > 0
    assert Comparison.objects.count() == 1
    for answer in Generation.objects.all():
        assert answer.receipt["model_key"]
        assert answer.sampling["seed"] == right.sampling["seed"]


def test_a_blind_vote_is_kept_with_both_receipts(kept, compare_url, open_page):
    page = open_page(f"{compare_url}?choice=grammar/First&choice=grammar/Second")
    page.locator("[name=prompt]").fill("Tell me about a river.")
    page.locator("[name=is_blind]").check()
    page.get_by_role("button", name="Ask them all").click()
    vote = page.get_by_role("button", name="B is better")
    expect(vote).to_be_enabled(timeout=20_000)
    vote.click()
    expect(page.locator("#lineup")).to_contain_text("You said: B is better")


@pytest.fixture
def run(project, bob) -> Run:
    """A run with three checkpoints that can be talked to."""
    spec = PretrainSpec(dataset="1", tokenizer="1")
    made = Run.objects.create(
        project=project,
        created_by=bob,
        kind="pretrain",
        name="Night run",
        spec=spec.model_dump(mode="json"),
        spec_sha256="0" * 64,
    )
    for step in (101, 200, 301):
        path = write_checkpoint(made.pk, step, "config.json")
        Checkpoint.objects.create(
            run=made, step=step, fence=1, path=path, manifest_sha256=f"{step:064}"
        )
    return made


def test_a_slider_goes_through_the_checkpoints_of_a_run(run, compare_url, open_page):
    page = open_page(compare_url)
    step = f"grammar/run-{run.pk}@{{}}".format
    slot = page.locator("[data-slot]").first
    expect(slot.locator("[data-slider]")).to_be_hidden()
    page.locator("#choice-A").select_option(step(101))
    page.locator("#choice-B").select_option(step(301))
    slider = slot.locator("input[type=range]")
    expect(slider).to_be_visible()
    slider.fill("1")
    expect(page.locator("#choice-A")).to_have_value(step(200))
    expect(slot.locator("output")).to_have_text("200")

    page.locator("[name=prompt]").fill("The river")
    page.get_by_role("button", name="Ask them all").click()
    page.wait_for_url("**/compare/*/**")
    sides = page.locator("[data-side]")
    expect(sides.first).to_contain_text("step 200")
    expect(sides.first).to_contain_text("Once upon a time")

    # Where answers stand already, letting the slider go asks anew.
    page.locator("[data-slot]").first.locator("input[type=range]").fill("0")
    expect(sides.first).to_contain_text("step 101")
    expect(sides.first).to_contain_text("The longest river")


def test_on_a_phone_the_sides_are_stacked(compare_url, open_page):
    page = open_page(
        f"{compare_url}?choice=grammar/First&choice=grammar/Second",
        width=390,
        height=844,
    )
    page.locator("[name=prompt]").fill("Tell me about a river.")
    page.get_by_role("button", name="Ask them all").click()
    page.wait_for_url("**/compare/*/**")
    left, right = (page.locator("[data-side]").nth(at).bounding_box() for at in (0, 1))
    assert left["x"] == right["x"]
    assert right["y"] > left["y"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
