"""Whether the role in this container is well: its own word for it, from whichever of these addresses answers.

Nothing but the standard library, as it runs every half minute.
"""

import sys
import urllib.error
import urllib.request
from collections.abc import Sequence

ADDRESSES = ("http://127.0.0.1:8080/readyz", "http://127.0.0.1:9191/healthz", "http://127.0.0.1:9192/healthz")
"""The proxy's, a miner's and a validator's."""

TIMEOUT_S = 3.0
"""Longest wait for one of them."""


def main(addresses: Sequence[str]) -> int:
    """0 if the first that answers is well; else 1, with what it says."""
    for address in addresses:
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer:
                print(answer.read(1000).decode(errors="replace"))
                return 0
        except urllib.error.HTTPError as error:
            print(f"{address}: {error.code} {error.read(1000).decode(errors='replace')}")
            return 1
        except OSError as error:
            # Nobody is there: it is another role's.
            reason = error
    print(f"nothing answers at {', '.join(addresses)}: {reason}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ADDRESSES))
