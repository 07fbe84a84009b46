"""Validators call miners directly: over the SDK's axon and dendrite, hardened, and without an SDK (`btauth/1`).

What is hardened, and against what, stands at the place that does it; `docs/protocol.md` says what travels. Importing
this imports no SDK; the names in `_MODULES` import SDK 10.5 when they are first asked for, and where another one is
installed they are not there (`violet.sdk.has_axons`).
"""

import importlib
from typing import TYPE_CHECKING

from violet.sdk_logging import log_levels_kept
from violet.transport.caller import MinerCaller
from violet.transport.gate import PriorityGate
from violet.transport.messages import Answer, AudioRequest, Capabilities, TextRequest
from violet.transport.server import MinerServer
from violet.transport.service import Forwards, MinerService

if TYPE_CHECKING:
    from violet.transport.axon import MinerAxon
    from violet.transport.dendrite import ValidatorDendrite
    from violet.transport.synapses import (
        VioletAnalyze,
        VioletCapabilities,
        VioletFetch,
        VioletSynthesize,
        VioletTranscribe,
    )

_MODULES = {
    "MinerAxon": "axon",
    "ValidatorDendrite": "dendrite",
    "VioletAnalyze": "synapses",
    "VioletCapabilities": "synapses",
    "VioletFetch": "synapses",
    "VioletSynthesize": "synapses",
    "VioletTranscribe": "synapses",
}
"""Where the names are that need SDK 10.5."""

__all__ = [
    "Answer",
    "AudioRequest",
    "Capabilities",
    "Forwards",
    "MinerAxon",
    "MinerCaller",
    "MinerServer",
    "MinerService",
    "PriorityGate",
    "TextRequest",
    "ValidatorDendrite",
    "VioletAnalyze",
    "VioletCapabilities",
    "VioletFetch",
    "VioletSynthesize",
    "VioletTranscribe",
]


def __getattr__(name: str) -> object:
    """One of the names that need SDK 10.5."""
    module = _MODULES.get(name)
    if module is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    with log_levels_kept():
        return getattr(importlib.import_module(f"{__name__}.{module}"), name)
