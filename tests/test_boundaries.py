"""The arrows between packages, and what each process may load."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = "torch transformers trl peft accelerate datasets"


def modules_loaded_by(code: str, home: Path) -> set[str]:
    """Run `code` in a fresh interpreter; return the top-level modules it loaded."""
    script = (
        f"import sys\nsys.path[:0] = [{str(ROOT / 'platform')!r}, "
        f"{str(ROOT / 'workers')!r}]\n{code}\n"
        "print(' '.join(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={
            "TRIVIUM_HOME": str(home),
            "DJANGO_SETTINGS_MODULE": "trivium.settings",
            "PATH": "/usr/bin:/bin",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_web_process_never_loads_torch(tmp_path: Path) -> None:
    loaded = modules_loaded_by(
        "import django; django.setup(); import trivium.urls, trivium.asgi", tmp_path
    )
    assert "django" in loaded
    assert not loaded & set(HEAVY.split())


def test_the_supervisor_never_loads_torch(tmp_path: Path) -> None:
    loaded = modules_loaded_by(
        "import django; django.setup(); import supervisor.__main__, supervisor.node",
        tmp_path,
    )
    assert "supervisor" in loaded
    assert not loaded & set(HEAVY.split())


@pytest.mark.parametrize(
    "stage",
    ["trainer.main", "trainer.ingest", "trainer.tokenizer", "trainer.judging"],
)
def test_the_trainer_knows_nothing_of_django(stage: str, tmp_path: Path) -> None:
    loaded = modules_loaded_by(f"import {stage}", tmp_path)
    assert "trainer" in loaded
    assert not loaded & {"django", "celery", "trivium"}


def test_light_stages_start_without_torch(tmp_path: Path) -> None:
    loaded = modules_loaded_by(
        "import trainer.main, trainer.ingest, trainer.tokenizer", tmp_path
    )
    assert "torch" not in loaded


def test_the_platform_folder_does_not_shadow_the_standard_library() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()
    code = "import platform; print(platform.python_version())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True
    )
    assert done.stdout.startswith(b"3.")
