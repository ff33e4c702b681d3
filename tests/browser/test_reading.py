"""A file's rows are seen and corrected in a real browser before they are stored."""

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ROWS = "question,answer,long_answer\n1 + 1?,2,It is two.\n2 + 2?,4,It is four.\n"


def test_a_wrong_column_is_mended_before_it_is_stored(up, new_page, tmp_path):
    link = up.read_until("Sign in once").split()[-1]
    base = f"http://127.0.0.1:{up.port}/p/my-project/data"
    file = tmp_path / "sums.csv"
    file.write_text(ROWS)
    page = new_page()
    page.goto(link)
    page.goto(f"{base}/new/")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Send and look at it").click()
    page.wait_for_url("**/data/uploads/*/")
    look = page.locator("#look")
    stored = look.locator(".rows")
    expect(look.locator("[name=dataset_kind]")).to_have_value("instructions")
    expect(stored).to_contain_text("4")
    expect(stored).not_to_contain_text("It is four.")

    page.locator("[name=name]").fill("Sums")
    look.locator("[name=part_completion]").select_option("long_answer")
    expect(stored).to_contain_text("It is four.", timeout=30_000)
    expect(look.locator("[name=part_completion]")).to_have_value("long_answer")
    expect(page.locator("[name=name]")).to_have_value("Sums")

    page.get_by_role("button", name="Bring it in").click()
    page.wait_for_url("**/runs/*/")
    expect(page.locator("#run-status")).to_contain_text("Succeeded", timeout=120_000)
    page.goto(f"{base}/")
    page.get_by_role("link", name="Sums").click()
    expect(page.locator("#preview")).to_contain_text("It is two.")
