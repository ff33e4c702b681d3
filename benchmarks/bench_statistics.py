"""Statistics of votes: seconds, and peak memory above the votes themselves.

Votes are invented (fixed seed): 50 labelers, three to an item, models drawn at random,
answers of 20 to 400 words. Each function runs in a child of its own, once to load what
it imports, then timed. With 20 votes on each item and 7 strengths hardly two items were
voted on alike: the worst case of alpha's bootstrap. Linux with glibc only: the
high-water mark of memory is set back before the clock starts. Run:

    python benchmarks/bench_statistics.py [--votes 100000 1000000] [--only alpha …]
"""

import argparse
import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "platform"))
os.environ.setdefault("OMP_NUM_THREADS", "1")

NUM_LABELERS = 50
CASES = {
    "alpha": "alpha and percent, 1,000 rounds",
    "alpha-ordinal": "the same, ordinal, 4 strengths",
    "alpha-crowded": "the same, ordinal, 7 strengths, 20 votes an item",
    "over-time": "agreement in 100 windows, 200 rounds each",
    "kappa": "kappa of the 30 busiest labelers",
    "labelers": "reports of 50 labelers",
    "position": "audit of sides",
    "majority": "majorities",
    "ranking-10": "10 models, 200 rounds",
    "ranking-50": "50 models, 200 rounds",
    "length-10": "10 models at equal length, 200 rounds",
    "length-50": "50 models at equal length, 200 rounds",
    "choosing": "scores and order of as many candidates",
}


def invented(num, models):
    """Return arrays of votes with some agreement and some preference, in any order."""
    import numpy as np

    rng = np.random.default_rng(0)
    vote = rng.permutation(num)
    item, place = vote // 3, vote % 3
    start, truth, model_a, turn = rng.integers(0, 10**6, (4, num // 3 + 1))[:, item]
    labeler = (start + place) % NUM_LABELERS
    choice = np.where(rng.random(num) < 0.6, truth % 4, rng.integers(0, 4, num))
    model_b = model_a % models + 1 + turn % (models - 1)
    words = rng.integers(20, 400, (2, num // 3 + 1))[:, item]
    return rng, item, labeler, choice, model_a % models, model_b % models, words


def task_of(case, num):
    """Return the function to time, with its votes made."""
    import numpy as np
    from trivium.statistics import (
        agreement,
        choosing,
        kappa,
        labelers,
        majority,
        pairs,
        position,
        ranking,
    )

    models = int(case.split("-")[1]) if case[-1] == "0" else 10
    names = [f"model {at}" for at in range(models)]
    rng, item, labeler, choice, model_a, model_b, words = invented(num, models)
    left = rng.integers(0, 2, num)
    if case == "alpha-crowded":
        item, labeler = np.arange(num) // 20, np.arange(num) % 20
        choice = rng.integers(0, 7, num)
    votes = item, labeler, choice
    length = pairs.length_difference(*words) if case.startswith("length") else None
    has_gold, has_repeat = rng.random((2, num)) < 0.05
    told = labelers.LabelerVotes(
        labeler_V=labeler,
        choice_V=choice,
        left_V=left,
        active_ms_V=rng.integers(500, 90_000, num),
        words_V=words.sum(axis=0),
        gold_V=np.where(has_gold, choice, -1),
        repeat_of_V=np.where(has_repeat, np.arange(num) // 2, -1),
        strength_V=rng.integers(-1, 4, num),
    )

    def rank():
        counts = pairs.count_pairs(model_a, model_b, choice, length_V=length)
        return ranking.rank_models(counts, names)

    def choose():
        counts = pairs.count_pairs(model_a, model_b, choice)
        known = ranking.rank_models(counts, names)
        scores = choosing.ranking_scores(model_a, model_b, known)
        scores += choosing.margin_scores(rng.normal(size=num))
        return choosing.mix_order(np.arange(num), scores, seed=0)

    seconds = np.arange(num) * 60.0
    return {
        "alpha": lambda: agreement.measure_agreement(*votes),
        "alpha-crowded": lambda: agreement.measure_agreement(*votes, metric="ordinal"),
        "alpha-ordinal": lambda: agreement.measure_agreement(*votes, metric="ordinal"),
        "over-time": lambda: agreement.agreement_over_time(
            *votes, seconds, window_s=num * 0.6
        ),
        "kappa": lambda: kappa.kappa_table(*votes),
        "labelers": lambda: labelers.report_labelers(told),
        "position": lambda: position.audit_position(labeler, choice, left),
        "majority": lambda: majority.decide_items(item, choice),
        "choosing": choose,
    }.get(case, rank)


def memory_kb(name):
    """Return a line of this process's status: VmRSS is now, VmHWM the most so far."""
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith(name)]
    return int(line.split()[1])


def child(case, num):
    """Time one function; print seconds and peak memory as JSON."""
    task_of(case, 3000)()
    task = task_of(case, num)
    # What was freed while votes were made must not hide what is taken now.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = memory_kb("VmRSS")
    start = time.perf_counter()
    task()
    seconds = time.perf_counter() - start
    megabytes = (memory_kb("VmHWM") - before) / 1024
    print(json.dumps({"seconds": seconds, "megabytes": megabytes}))


def main():
    """Measure each case in a fresh process; print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--votes", nargs="+", type=int, default=[10**5, 10**6])
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--child", nargs=2)
    args = parser.parse_args()
    if args.child:
        child(args.child[0], int(args.child[1]))
        return
    print("| what | votes | seconds | peak MB above |\n|---|---|---|---|")
    for case in args.only:
        for num in args.votes:
            command = [sys.executable, __file__, "--child", case, str(num)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout)
            print(
                f"| {CASES[case]} | {num:,} | {found['seconds']:.2f} "
                f"| {found['megabytes']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
