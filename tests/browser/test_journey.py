"""The pages in a real browser."""

import pytest
from journey import walk

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


def test_from_a_printed_link_to_a_model_on_disk(up, new_page, shared_dir, tmp_path):
    book = shared_dir / "data/pretrain/gutenberg/moby_dick.txt.gz"
    walk(up, new_page, book, tmp_path)


PAGES = [
    "/p/my-project/",
    "/p/my-project/data/",
    "/p/my-project/data/new/",
    "/p/my-project/tokenizers/",
    "/p/my-project/models/",
    "/p/my-project/models/import/",
    "/p/my-project/runs/",
    "/p/my-project/runs/new/?kind=tokenizer",
    "/p/my-project/runs/new/?kind=pretrain",
    "/p/my-project/settings/",
    "/p/my-project/members/",
    "/workers/",
    "/accounts/settings/",
    "/accounts/settings/tokens/",
]


def test_no_page_leaves_the_machine_breaks_the_policy_or_the_phone(up, new_page):
    link = up.read_until("Sign in once").split()[-1]
    base = f"http://127.0.0.1:{up.port}"
    page = new_page(width=390, height=844)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(link)
    for address in PAGES:
        page.goto(base + address)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, f"{address} is {wide} px wide"
        assert page.locator("h1").count() == 1, address
    assert said == []
    assert [url for url in asked if not url.startswith((base, "data:", "blob:"))] == []
