"""`trivium plan`: the same figures on the command line."""

import pytest

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


def test_a_plan_is_printed_with_what_it_assumes(trivium):
    answer = trivium(
        "plan", "--parameters", "1B", "--tokens", "20e9", "--device", "h100",
        "--number", "8", "--utilisation", "0.4", "--price-per-hour", "3",
    )  # fmt: skip
    assert answer.code == 0
    assert "≈ 10:31:42 on 8 \N{MULTIPLICATION SIGN} NVIDIA H100 SXM" in answer.out
    assert "≈ 253 USD" in answer.out
    assert "1.2e+20 (1.39 PF-days)" in answer.out
    assert "40 % of 9.89e+14 FLOP/s in bf16" in answer.out


def test_a_budget_is_answered_in_json(trivium):
    plan = trivium("plan", "--budget", "1000", "--json").json
    assert plan["cost"]["money"] == pytest.approx(1000)
    assert plan["tokens_per_parameter"] == pytest.approx(20)


def test_a_projects_prices_are_asked_for_by_its_slug(trivium, project):
    assert trivium("plan", "--budget", "9", "--project", "grammar").code == 0
    assert trivium("plan", "--budget", "9", "--project", "nowhere").code != 0


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["--parameters", "many"],
        ["--parameters", "1B", "--budget", "5"],
        ["--parameters", "1B", "--device", "abacus"],
    ],
)
def test_a_wrong_question_is_refused_in_a_sentence(trivium, wrong):
    answer = trivium("plan", *wrong)
    assert answer.code not in {0, 1}
    assert answer.err
    assert "Traceback" not in answer.err
