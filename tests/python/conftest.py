"""What the Python tests share."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.servers import HubServer, SilentServer, hub_server, silent_server
from violet import models

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it runs in the background so, and what the tests start and interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A model hub of the test's own."""
    with hub_server() as server:
        yield server


@pytest.fixture
def silent() -> Iterator[SilentServer]:
    """A server that takes connections and never answers."""
    with silent_server() as server:
        yield server


@pytest.fixture(scope="session")
def tiny_en() -> Path:
    """The real Whisper tiny.en; `make test` has fetched it."""
    return models.resolve("tiny.en")


@pytest.fixture(scope="session")
def silero_vad() -> Path:
    """The real Silero VAD; `make test` has fetched it."""
    return models.resolve("silero-vad")
