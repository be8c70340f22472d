"""`python -m jaxprep` is the command `jaxprep`."""

import sys

from jaxprep.cli import main

sys.exit(main())
