"""Runs a Violet validator: `python neurons/validator.py --help`."""

import sys

from violet.validator import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
