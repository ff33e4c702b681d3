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

# Threads of tests end with their connections open, also where a test imports
# `trivium.asgi` first.
os.environ["TRIVIUM_CONNECTION_AGE"] = "0"

from trivium.settings import *  # noqa: E402, F403
from trivium.settings import DATABASES  # noqa: E402

# Tables of SQLite are made of the models: going through the migrations takes each test
# process fifteen seconds. They are gone through on PostgreSQL, and by `up`.
for database in DATABASES.values():
    if database["ENGINE"].endswith("sqlite3"):
        database["TEST"] = {"MIGRATE": False}
