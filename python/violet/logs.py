"""A neuron's log: lines for people on standard error, and lines of JSON in files for programs."""

import json
import logging
import logging.handlers
import sys
from datetime import UTC, datetime
from pathlib import Path

LEVELS = {"info": logging.INFO, "debug": logging.DEBUG, "trace": logging.DEBUG}
"""The logging levels of `NeuronConfig.log_level`."""

FILE_LIMIT_BYTES = 10 * 1024 * 1024
FILES = 5
"""Size of a file from which on another one is begun, and how many older ones are kept."""

FILE_NAME = "neuron.jsonl"
"""The newest file's name."""

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, what the caller added, and a traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        value = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        value |= {name: item for name, item in vars(record).items() if name not in _OWN}
        if record.exc_info:
            value["traceback"] = self.formatException(record.exc_info)
        return json.dumps(value, default=str, ensure_ascii=False)


def begin(level: str, directory: Path | None) -> None:
    """Sets the process's logging up.

    Args:
        level: `info`, `debug` or `trace`.
        directory: Where lines of JSON go besides; None for nowhere.

    Raises:
        OSError: The directory cannot be written.
    """
    people = logging.StreamHandler(sys.stderr)
    people.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handlers: list[logging.Handler] = [people]
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        file = logging.handlers.RotatingFileHandler(
            directory / FILE_NAME, maxBytes=FILE_LIMIT_BYTES, backupCount=FILES, encoding="utf-8"
        )
        file.setFormatter(JsonLines())
        handlers.append(file)
    logging.basicConfig(level=LEVELS[level], handlers=handlers, force=True)
    if level != "trace":
        # aiohttp, the event loop and the SDK 11's transport tell their own story at debug level.
        for name in ("asyncio", "aiohttp", "urllib3", "websockets", "bittensor.transport"):
            logging.getLogger(name).setLevel(logging.INFO)
