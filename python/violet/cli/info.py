"""`violet info`."""

from violet.cli.audio import info as main

__all__ = ["main"]
