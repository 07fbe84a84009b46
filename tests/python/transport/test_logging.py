"""The SDK's logging beside everybody's own."""

import logging
import subprocess
import sys
from dataclasses import replace

import pytest

from fixtures.axons import REQUEST, Miner
from violet.chain import Hotkey
from violet.transport import MinerCaller


def test_importing_the_sdk_leaves_everybodys_logging_alone() -> None:
    program = """
import logging
logging.getLogger("violet").setLevel(logging.INFO)
logging.getLogger("other")
import violet.transport
levels = [logging.getLogger(name).getEffectiveLevel() for name in ("violet", "violet.miner", "other", "new")]
print(levels == [logging.INFO, logging.INFO, logging.WARNING, logging.WARNING], levels)
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("True"), found.stdout


async def test_a_stranger_cannot_write_our_log(
    miner: Miner, caller: MinerCaller, caplog: pytest.LogCaptureFixture
) -> None:
    miner.neurons[0] = replace(miner.neurons[0], hotkey=Hotkey("5Other"))
    with caplog.at_level(logging.WARNING, logger="bittensor"):
        assert not (await caller.transcribe(miner.neuron, REQUEST)).ok
    assert caplog.records == []
