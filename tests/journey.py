"""A newcomer's way in a real browser: from a printed link to a model on their disk."""

import os
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from local_up import Up
from playwright.sync_api import Page, expect

LOAD = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
ids = tokenizer("Call me", return_tensors="pt")
print(tokenizer.decode(model.generate(**ids, max_new_tokens=5)[0]))
"""


def choose_run(page: Page, base: str, address: str) -> None:
    page.goto(f"{base}/p/my-project/runs/new/{address}")


def fill(page: Page, **values: object) -> None:
    for name, value in values.items():
        page.locator(f"[name={name}]").fill(str(value))


def step_of(page: Page) -> int:
    """Return the step the header shows."""
    text = page.locator("#run-status").inner_text()
    found = re.search(r"([\d,]+) / ", text)
    return int(found[1].replace(",", "")) if found else 0


def points_of(page: Page) -> int:
    """Return how many points the loss chart has drawn."""
    return page.evaluate(
        """() => Math.max(0, ...(window.Bokeh?.documents ?? []).flatMap((document) =>
          [...document._all_models.values()]
            .filter((model) => model.type === "ColumnDataSource")
            .map((model) => model.get_length() ?? 0)))"""
    )


def wait_for(fact: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.25)


def bring_in(page: Page, base: str, book: Path) -> None:
    """Send a book, see what it was taken for, and have it read."""
    page.goto(f"{base}/p/my-project/data/new/")
    page.locator("input[type=file]").set_input_files(book)
    page.get_by_role("button", name="Send and look at it").click()
    page.wait_for_url("**/data/uploads/*/")
    expect(page.locator("#look")).to_contain_text("Recognised: plain text")
    page.get_by_role("button", name="Bring it in").click()
    page.wait_for_url("**/runs/*/")
    expect(page.locator("#run-status")).to_contain_text("Succeeded", timeout=120_000)


def walk(up: Up, new_page: Callable[..., Page], book: Path, folder: Path) -> None:
    """Sign in, upload, train, watch, leave, cancel, resume, download and load."""
    link = up.read_until("Sign in once").split()[-1]
    base = f"http://127.0.0.1:{up.port}"
    page = new_page()
    page.goto(link)
    expect(page.get_by_role("link", name="Pipeline", exact=True)).to_be_visible()

    bring_in(page, base, book)

    # Train a tokenizer on it, and queue a model that waits for it.
    choose_run(page, base, "?kind=tokenizer")
    fill(page, vocabulary_size=600)
    page.get_by_role("button", name="Train").click()
    page.wait_for_url("**/runs/*/")
    choose_run(page, base, "?kind=pretrain&preset=tiny")
    fill(page, layers=2, heads=2, width=48, context=48, batch_size=8, max_steps=1500)
    page.get_by_text("More settings").click()
    fill(page, checkpoint_every=100, eval_every=500, warmup_steps=20)
    expect(page.locator(".outlook")).to_contain_text("Parameters")
    page.get_by_role("button", name="Start pretraining").click()
    page.wait_for_url("**/runs/*/")
    address = page.url

    # Its preflight is shown first; then the page turns to the charts by itself.
    expect(page.locator("#run")).to_have_attribute("data-tab", "charts", timeout=60_000)

    # The chart moves without a reload.
    page.evaluate("window.wasNotReloaded = true")
    wait_for(lambda: points_of(page) > 3, timeout_s=120)
    before = points_of(page), step_of(page)
    wait_for(lambda: points_of(page) > before[0] and step_of(page) > before[1])
    assert page.evaluate("window.wasNotReloaded")

    # Close the tab, come back, cancel.
    page.close()
    page = new_page()
    page.goto(address)
    wait_for(lambda: step_of(page) >= 200, timeout_s=120)
    page.get_by_role("button", name="Cancel run").click()
    expect(page.locator("#run-status")).to_contain_text("Cancelled", timeout=20_000)

    # Resume: it goes on where it was.
    page.reload()
    page.get_by_role("button", name=re.compile("Resume from step")).click()
    page.wait_for_url(lambda url: url != address)
    wait_for(lambda: step_of(page) >= 200, timeout_s=60)
    expect(page.locator("#run-status")).to_contain_text("Succeeded", timeout=300_000)

    # Download the model and load it.
    page.get_by_role("link", name=re.compile("llama$")).first.click()
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("^Download")).click()
    archive = folder / "model.zip"
    download.value.save_as(archive)
    with zipfile.ZipFile(archive) as packed:
        assert packed.testzip() is None
        packed.extractall(folder / "model")
    [config] = (folder / "model").rglob("config.json")
    assert "Call me" in load(config.parent)


def load(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder)],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
