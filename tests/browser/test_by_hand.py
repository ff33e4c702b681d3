"""All three stages made by hand: files, the form, votes by keyboard, and the table."""

import json
import re
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pytest
import tinyworld
from local_up import Up
from playwright.sync_api import Page, expect
from tinyworld import recipe, world
from tinyworld.prompts import write_json_rows

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

PROJECT = "/p/my-project"
SMALLER = {
    # As short as each stage may be: what it takes is asked, not what it learns.
    "vocabulary_size: 512": "vocabulary_size: 300",
    "layers: 4": "layers: 2",
    "heads: 4": "heads: 2",
    "width: 128": "width: 48",
    "max_steps: 50": "max_steps: 60\n    compile: off",
    "epochs: 5": "epochs: 1",
    "max_steps: 100": "max_steps: 2",
    "max_answer_tokens: 64": "max_answer_tokens: 12",
}
KEYS = ("longer", "longer", "t", "longer", "b", "longer", "longer", "longer")
"""What is pressed, one comparison after the other; `longer` is a side to choose."""
NUM_PAIRS = KEYS.count("longer")


class Pair(NamedTuple):
    """Two answers by their letters: the page shows them as Markdown."""

    chosen: str
    rejected: str


def letters(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", text)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A text, instructions and prompts, small ones."""
    found = {name: tmp_path / f"{name}.jsonl" for name in ("text", "asked", "prompts")}
    with found["text"].open("wb") as file:
        tinyworld.write_corpus(file, texts=600)
    with found["asked"].open("wb") as file:
        tinyworld.write_rows(file, tinyworld.instructions(world())[:160])
    with found["prompts"].open("wb") as file:
        harmless = (one for one in recipe.asked(world()) if not one.category)
        write_json_rows(file, (one.row() for one in islice(harmless, 16)))
    return found


def bring_in(page: Page, base: str, file: Path) -> None:
    page.goto(f"{base}{PROJECT}/data/new/")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Send and look at it").click()
    page.wait_for_url("**/data/uploads/*/")
    page.get_by_role("button", name="Bring it in").click()
    page.wait_for_url("**/runs/*/")
    expect(page.locator("#run-status")).to_contain_text("Succeeded", timeout=60_000)


def begin(page: Page, base: str) -> None:
    """Fill in the form, make what it describes smaller, and start it."""
    page.goto(f"{base}{PROJECT}/pipelines/")
    page.get_by_role("link", name="Start all three stages").click()
    page.get_by_label("Name", exact=True).fill("By hand")
    page.get_by_label("Pretraining steps").fill("50")
    page.get_by_label("Both, to compare them").check()
    choices = page.get_by_label("Preferences", exact=True)
    choices.select_option(label="Collect them in a campaign")
    page.get_by_label("Votes", exact=True).fill(str(len(KEYS)))
    page.get_by_role("button", name="See it as YAML first").click()
    description = page.get_by_label("Description")
    description.fill(smaller(description.input_value()))
    page.get_by_role("button", name="Start the pipeline").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("By hand")


def smaller(text: str) -> str:
    """Shrink what the form made; of its evaluations keep only that of all models."""
    for large, small in SMALLER.items():
        assert text.count(large) == 1, large
        text = text.replace(large, small)
    text = text.replace("max_tokens: 128", "max_tokens: 12")
    head, *steps = text.split("  - name: ")
    kept = [one for one in steps if not one.startswith(BETWEEN)]
    assert len(steps) - len(kept) == len(BETWEEN)
    assert kept[-1].startswith("all-evaluation")
    kept[-1] += "    sampling: {temperature: 0, max_tokens: 12}\n"
    return "  - name: ".join([head, *kept]).replace("max_rows: 100", "max_rows: 8")


BETWEEN = tuple(f"{name}-evaluation" for name in ("base", "instruct", "dpo", "rlhf"))


def wait_for(page: Page, sign: str) -> None:
    """Wait until a pipeline's page shows a sign by itself; fail where a step does."""
    failed = page.locator(".step--failed")
    expect(page.locator(sign).or_(failed).first).to_be_visible(timeout=300_000)
    assert failed.all_inner_texts() == []


def cast(page: Page, wish: str) -> Pair | None:
    """Vote on the comparison on the screen; return what was chosen over what."""
    task = page.locator("[data-task]:not([hidden])")
    key = task.get_attribute("data-task")
    left, right = (
        letters(task.locator(f"[data-side={side}] .option__text").inner_text())
        for side in ("left", "right")
    )
    is_left = len(left) >= len(right)
    page.keyboard.press({"longer": "1" if is_left else "2"}.get(wish, wish))
    page.locator(f'[data-task="{key}"]').wait_for(state="detached")
    if wish != "longer":
        return None
    return Pair(left, right) if is_left else Pair(right, left)


def stored_pairs(page: Page, folder: Path) -> list[Pair]:
    """Download the pairs the votes became, as the trainers of alignment read them."""
    with page.expect_download() as download:
        page.get_by_role("link", name="TRL, explicit").click()
    path = folder / "pairs.jsonl"
    download.value.save_as(path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        Pair(*(letters(row[side][-1]["content"]) for side in ("chosen", "rejected")))
        for row in rows
    ]


def num_pairs(page: Page) -> list[int]:
    """Return how many pairs a trainer said it found, to learn and to measure on."""
    checks = page.locator("#run-preflight")
    expect(checks).to_contain_text("pairs have answers that differ")
    said = r"(\d+) pairs (?:have answers that differ|are measured on)"
    return [int(number) for number in re.findall(said, checks.inner_text())]


def test_text_becomes_aligned_models_by_the_votes_of_a_person(
    up: Up, new_page, files, tmp_path
):
    link = up.read_until("Sign in once").split()[-1]
    base = f"http://127.0.0.1:{up.port}"
    page = new_page()
    page.goto(link)
    for file in files.values():
        bring_in(page, base, file)
    begin(page, base)
    pipeline = page.url

    # People are asked when the instruct model has answered.
    wait_for(page, "#step-label-labels")
    expect(page.locator("#step-labels")).to_contain_text(f"0 of {len(KEYS)} votes")
    page.locator("#step-label-labels").click()
    page.wait_for_load_state()  # before its script is there, keys do nothing
    said = [cast(page, wish) for wish in KEYS]
    chosen = sorted(pair for pair in said if pair is not None)
    assert len(chosen) == NUM_PAIRS
    expect(page.locator(".labelbar__count")).to_contain_text(
        f"{len(KEYS)} of {len(KEYS)} votes"
    )

    page.goto(pipeline)
    wait_for(page, ".heading .badge--succeeded")
    expect(page.locator(".step--succeeded")).to_have_count(8)
    expect(page.locator("#step-labels")).to_contain_text(
        f"{len(KEYS)} votes, {NUM_PAIRS} pairs to learn from"
    )

    # Both that learn from votes were given these, each as it was chosen.
    for name in ("reward", "dpo"):
        page.goto(pipeline)
        page.locator(f"#step-link-{name}").click()
        page.wait_for_url("**/runs/*/")
        run = page.url
        page.get_by_role("link", name="By hand labels v1").click()
        assert sorted(stored_pairs(page, tmp_path)) == chosen
        page.goto(f"{run}?tab=preflight")
        checks = page.locator("#run-preflight").inner_text()
        assert sum(num_pairs(page)) == NUM_PAIRS, checks

    page.goto(pipeline)
    page.locator("#came-of-all-evaluation").click()
    table = page.locator("table.measures")
    heads = table.locator("thead th").all_inner_texts()
    assert [head.split("\n")[0] for head in heads[1:]] == [
        "By hand base", "By hand instruct", "By hand dpo", "By hand rlhf",
    ]  # fmt: skip
    for measure in ("Loss", "Answered exactly", "Mean reward"):
        row = table.get_by_role("row").filter(has_text=re.compile(f"^\\s*{measure}"))
        values = row.first.locator(".measure").all_inner_texts()
        assert len(values) == len(heads) - 1, measure
        assert all(re.search(r"\d", value) for value in values), measure
    expect(table).to_contain_text("Win rate")
