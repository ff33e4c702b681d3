"""The demo, from its command to its last line."""

import math
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from local_up import HEAR_CTRL_C, few_threads, processes_of
from tinyworld import recipe
from trivium.cli.errors import Exit
from trivium.runs.management.commands.demo import free_port

ROOT = Path(__file__).resolve().parents[2]


def start_demo(home: Path, port: int) -> subprocess.Popen[str]:
    """Start a demo that takes few steps: its models are worth little, its way is whole.

    What the whole recipe brings is measured by `benchmarks/bench_alignment.py`.
    """
    return subprocess.Popen(
        [*HEAR_CTRL_C, sys.executable, ROOT / "manage.py", "demo", "--share=0.05"],
        cwd=home,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "TRIVIUM_HOME": str(home / "trivium"),
            "TRIVIUM_PORT": str(port),
            **few_threads(),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_demo_takes_text_to_aligned_models_and_leaves_nothing_running(tmp_path):
    port = free_port(0)
    first = start_demo(tmp_path, port)
    told, erred = first.communicate(timeout=900)
    assert first.returncode == 0, told + erred
    assert "\x1b" not in told
    for kind in ("tokenizer", "pretrain", "sft", "reward", "rlhf", "dpo", "evaluate"):
        assert re.search(rf"^{kind} .*: succeeded", told, re.MULTILINE), kind
    head = re.search(r"\n +base +instruct +rlhf +dpo\n", told)
    assert head
    table = told[head.end() :]
    losses = re.search(r"validation loss .*?" + 4 * r"\s+(\d\.\d+)", table)
    assert losses
    # What a model of chance would have: the logarithm of the vocabulary.
    assert float(losses[1]) < 0.8 * math.log(recipe.TOKENIZER["vocabulary_size"])
    share = r"\s+\d+% \[\d+, \d+\]"
    for title in ("rightly", "admitted", "declined"):
        assert re.search(title + 4 * share, table), title
    assert re.search(rf"differ{share}\s+·{share}{share}", table)
    assert re.search(rf"http://127.0.0.1:{port}/accounts/\S+", told)
    assert erred == ""
    assert processes_of(tmp_path / "trivium") == []

    # Its port is taken, its names are: the second demo finds others, until Ctrl-C.
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        second = start_demo(tmp_path, port)
        lines = []
        for line in second.stdout:
            lines.append(line)
            if line.startswith("ingest Tiny World: succeeded"):
                second.send_signal(signal.SIGINT)
        _, erred = second.communicate(timeout=120)
    told = "".join(lines)
    assert second.returncode == Exit.INTERRUPTED, told + erred
    assert f"Port {port} is taken" in told
    assert "pretrain Tiny World 2 base: " in told
    assert "its runs go on at the next start" in erred
    assert processes_of(tmp_path / "trivium") == []


def test_a_taken_port_is_stepped_around():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port
