"""Importing the SDK without its hand on everybody's logging."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

SDK_LOGGER = "bittensor"
"""Name of the SDK's own logger."""


@contextmanager
def log_levels_kept() -> Iterator[None]:
    """A block in which the SDK is imported: it sets every logger but its own to CRITICAL, and this sets them back."""
    before = {name: logging.getLogger(name).level for name in logging.root.manager.loggerDict}
    root_level = logging.root.level
    try:
        yield
    finally:
        logging.root.setLevel(root_level)
        for name in logging.root.manager.loggerDict:
            if name.partition(".")[0] != SDK_LOGGER:
                # Loggers born inside the block were not set by anybody else.
                logging.getLogger(name).setLevel(before.get(name, logging.NOTSET))
