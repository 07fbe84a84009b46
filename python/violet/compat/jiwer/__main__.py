"""`python -m violet.compat.jiwer`."""

import sys

from violet.compat.jiwer.cli import cli

sys.exit(cli())
