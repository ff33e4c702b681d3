"""The preflight: what is asked, one answer with its rewards, and what is refused."""

import pytest
from align_lab import pair
from rlhf_lab import RlhfLab
from runspec.rewards import CustomReward
from sft_lab import instructions, turns
from trainer.errors import BadInputError

pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing`:FutureWarning"
)

CUSTOM = (CustomReward(function="a:b"),)


def by_name(report):
    return {check["name"]: check for check in report["checks"]}


def test_it_shows_prompts_as_the_policy_sees_them_with_an_answer(lab: RlhfLab):
    checks = by_name(report := lab.check(lab.rlhf(lab.prompts())))
    said = checks["answer"]["sentence"]
    assert "“What colour is the door of number 0?”" in said
    assert "length" in said
    assert "pattern" in said
    first = report["batch"][0]
    prompt, answer = (piece["text"] for piece in first["pieces"])
    assert prompt.startswith("<|im_start|>user\nWhat colour is the door of number 0?")
    assert prompt.endswith("<|im_start|>assistant\n")
    assert 0 < first["trained_tokens"] <= 8
    assert answer
    assert report["facts"]["rows"] == 20
    assert {one["status"] for one in report["checks"]} <= {"ok", "warning"}


def test_prompts_of_every_kind_are_read(lab: RlhfLab):
    rows = [turns("One?", "Two.", "Three?", "Four."), turns("Five?")]
    chats = lab.rows("chats", "conversations", rows)
    pairs = lab.pairs("pairs", [pair("Six?", "7", "8"), pair("", "9", "10")])
    checks = by_name(report := lab.check(lab.rlhf(chats, pairs, batch_size=1)))
    texts = ["".join(p["text"] for p in row["pieces"]) for row in report["batch"]]
    assert len(texts) == 3
    assert "Two." in texts[0]
    assert "Four." not in texts[0]
    assert "Six?" in texts[2]
    assert "row 2 of pairs.jsonl" in checks["prompts"]["sentence"]


def test_prompts_that_leave_no_room_are_named(lab: RlhfLab):
    with pytest.raises(BadInputError, match=r"every prompt is longer .*row 1 of"):
        lab.run(lab.rlhf(lab.prompts(), max_answer_tokens=120))
    data = lab.prompts("mixed", [*instructions()[:4], {"prompt": "long " * 40,
                       "completion": "", "system": None}])  # fmt: skip
    checks = by_name(lab.check(lab.rlhf(data)))
    assert "row 5 of mixed.jsonl" in checks["length"]["sentence"]
    with pytest.raises(BadInputError, match="1 prompts leave no room"):
        lab.run(lab.rlhf(data, too_long="refuse"))


def test_rewards_that_can_say_nothing_are_refused(lab: RlhfLab):
    spec = lab.rlhf(lab.prompts(), reward_functions=("tinyworld", "exact"))
    checks = by_name(lab.check(spec, "check"))
    assert checks["reward-tinyworld"]["status"] == "failed"
    said = checks["reward-tinyworld"]["sentence"]
    assert "tinyworld can tell answers apart to 0 of 20 prompts" in said
    assert "reward-exact" not in checks
    unknown = spec.model_copy(update={"reward_functions": CUSTOM})
    [reading] = lab.check(unknown, "again")["checks"]
    assert reading["status"] == "failed"
    assert "no function 'a:b' is registered" in reading["sentence"]
