"""`python -m hpcli`."""

import sys

from hpcli.cli import main

sys.exit(main())
