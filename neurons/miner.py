"""Runs a Violet miner: `python neurons/miner.py --help`."""

import sys

from violet.miner import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
