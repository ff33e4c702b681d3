"""The settings under test, with a home of this process alone.

An installation of the person who runs the tests is never touched: not its databases,
not its bell.
"""

import atexit
import os
import shutil
import tempfile

os.environ["TRIVIUM_HOME"] = tempfile.mkdtemp(prefix="trivium-test-")
atexit.register(shutil.rmtree, os.environ["TRIVIUM_HOME"], ignore_errors=True)

from trivium.settings import *  # noqa: E402, F403
