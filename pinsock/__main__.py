"""``python -m pinsock``: the same as ``pinsock``."""

import sys

from pinsock.cli import main

sys.exit(main())
