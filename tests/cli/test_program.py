"""How the program starts, signs in and ends."""

import argparse
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from trivium.cli import config
from trivium.cli.main import build_parser

ROOT = Path(__file__).resolve().parents[2]


def test_it_loads_neither_django_nor_torch_and_little_else():
    script = (
        "import sys; from trivium.cli.main import build_parser; build_parser();"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'workers'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "trivium" in loaded
    assert not loaded & {"django", "torch", "celery", "httpx", "rich", "pydantic"}


def test_a_command_loads_no_django(process):
    code = (
        "import sys; from trivium.cli.main import main; main(['projects', 'list']);"
        "sys.exit('django' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'workers'}"},
        check=False,
    )
    assert done.returncode == 0


def test_help_tells_the_exit_codes(trivium):
    text = trivium("--help").out
    assert "exit codes:" in text
    assert "4    the server cannot be reached" in text


@pytest.mark.parametrize("argv", [[], ["runs"], ["runs", "nothing"], ["list", "-x"]])
def test_wrong_usage_is_exit_code_2(argv, trivium):
    assert trivium(*argv).code == 2


def test_every_verb_takes_json_and_has_help():
    def verbs(parser, path=()):
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, child in action.choices.items():
                    yield from verbs(child, (*path, name))
                return
        yield path, parser

    found = dict(verbs(build_parser()))
    assert ("runs", "watch") in found
    for path, parser in found.items():
        if path != ("up",):
            assert "--json" in parser.format_help(), path
            assert parser.description, path


def test_login_saves_a_token_only_its_owner_can_read(
    process, environment, token, live_server
):
    environment["TRIVIUM_TOKEN"] = environment["TRIVIUM_URL"] = ""
    done = process("login", live_server.url, "--token-stdin", input=token + "\n")
    assert done.code == 0, done.err
    assert "as ada" in done.out
    file = Path(environment["TRIVIUM_CONFIG"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == {"url": live_server.url, "token": token}
    assert token not in done.out + done.err
    assert process("projects", "list").code == 0


def test_a_wrong_token_is_not_saved(process, environment, live_server):
    done = process("login", live_server.url, "--token-stdin", input="tv_wrong\n")
    assert done.code == 3
    assert not Path(environment["TRIVIUM_CONFIG"]).exists()


def test_login_without_a_terminal_asks_for_the_flag(process, live_server):
    done = process("login", live_server.url, stdin=subprocess.DEVNULL)
    assert done.code == 2
    assert "--token-stdin" in done.err


def test_a_saved_token_goes_to_no_other_server(monkeypatch, tmp_path):
    monkeypatch.setenv("TRIVIUM_CONFIG", str(tmp_path / "c.json"))
    monkeypatch.delenv("TRIVIUM_TOKEN", raising=False)
    monkeypatch.delenv("TRIVIUM_URL", raising=False)
    config.save(config.Config("https://mine.example", "tv_secret"))
    assert config.load().token == "tv_secret"
    with pytest.raises(config.CliError, match="no token for https://other"):
        config.load("https://other.example")


def test_a_broken_config_file_is_named(monkeypatch, tmp_path, trivium):
    monkeypatch.delenv("TRIVIUM_URL")
    file = tmp_path / "broken.json"
    file.write_text("{")
    monkeypatch.setenv("TRIVIUM_CONFIG", str(file))
    refused = trivium("projects", "list")
    assert refused.code == 2
    assert str(file) in refused.err


def test_strange_ids_are_not_found(trivium):
    refused = trivium("runs", "show", 99)
    assert refused.code == 3
    assert refused.err.count("\n") == 1


def test_a_dead_token_is_denied(trivium, monkeypatch):
    monkeypatch.setenv("TRIVIUM_TOKEN", "tv_dead")
    refused = trivium("projects", "list")
    assert refused.code == 3
    assert "revoked" in refused.err


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "nonsense", "http://[", "ftp://x"]
)
def test_a_server_that_cannot_be_reached_is_one_sentence(url, trivium, monkeypatch):
    monkeypatch.setattr("trivium.cli.client.WAITS_S", (0.01,))
    refused = trivium("projects", "list", "--url", url)
    assert refused.code in {2, 4}
    assert refused.err.startswith("trivium: ")
    assert refused.err.count("\n") == 1


def test_a_closed_pipe_is_no_error(environment):
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m trivium.cli --help | true"],
        env={
            **os.environ,
            **environment,
            "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'workers'}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
