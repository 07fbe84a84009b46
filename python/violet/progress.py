"""What long work shows while it goes on: a bar on a terminal, nothing but plain notes elsewhere."""

import shutil
import sys
import time
from typing import Protocol, TextIO

REDRAW_INTERVAL_S = 0.1
"""Least time between two drawings of the bar."""

BAR_COLUMNS = 24
"""Width of the bar itself."""


class Progress(Protocol):
    """Who is told how far long work is."""

    def update(self, label: str, done: float, total: float | None, detail: str = "") -> None:
        """`done` of `total` (None: unknown) of the thing called `label` is done."""

    def note(self, text: str) -> None:
        """One line that stays on the screen."""

    def end(self) -> None:
        """The work is over, well or not."""


class Bar:
    """A bar on standard error; where that is no terminal, only the notes appear."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._is_terminal = self._stream.isatty()
        self._drawn_at = 0.0
        self._is_drawn = False

    def update(self, label: str, done: float, total: float | None, detail: str = "") -> None:
        """Draws the bar, at most ten times a second and always at the end."""
        now = time.monotonic()
        is_last = total is not None and done >= total
        if not self._is_terminal or (now - self._drawn_at < REDRAW_INTERVAL_S and not is_last):
            return
        self._drawn_at = now
        share = min(1.0, done / total) if total else 0.0
        full = round(share * BAR_COLUMNS)
        bar = f"[{'#' * full}{'.' * (BAR_COLUMNS - full)}] {share:4.0%}" if total else ".."
        line = f"{label} {bar} {detail}".rstrip()
        columns = shutil.get_terminal_size().columns - 1
        self._stream.write(f"\r\x1b[2K{line[:columns]}")
        self._stream.flush()
        self._is_drawn = True

    def note(self, text: str) -> None:
        """Prints a line; the bar goes on below it."""
        self.end()
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def end(self) -> None:
        """Takes the bar off the screen."""
        if self._is_drawn:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()
            self._is_drawn = False


def megabytes(n_bytes: float) -> str:
    """A size for people: `75.5 MB`."""
    return f"{n_bytes / 1e6:.1f} MB"
