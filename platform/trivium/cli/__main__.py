"""`python -m trivium.cli`."""

import sys

from trivium.cli.main import main

sys.exit(main())
