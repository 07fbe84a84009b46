"""Makes `python -m violet` the same as `violet`."""

import sys

from violet.cli import main

if __name__ == "__main__":
    sys.exit(main())
