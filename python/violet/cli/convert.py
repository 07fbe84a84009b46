"""`violet convert`."""

from violet.cli.audio import convert as main

__all__ = ["main"]
