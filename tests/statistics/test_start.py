"""Pages that only might need statistics do not pay for scipy when they start."""

import subprocess
import sys
from pathlib import Path

PLATFORM = Path(__file__).resolve().parents[2] / "platform"
MODULES = "agreement kappa labelers majority planning position ranking choosing"


def test_importing_all_of_it_loads_neither_scipy_nor_django():
    imports = ", ".join(f"trivium.statistics.{name}" for name in MODULES.split())
    script = (
        f"import sys; sys.path.insert(0, {str(PLATFORM)!r}); import {imports}; "
        "print({'scipy', 'django', 'torch'} & {n.split('.')[0] for n in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
