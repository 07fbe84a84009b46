"""Validators call miners directly: the SDK's axon and dendrite, hardened.

What is hardened, and against what, stands at the place that does it; `docs/protocol.md` says what travels. Importing
this imports the SDK.
"""

from violet.sdk_logging import log_levels_kept

with log_levels_kept():
    from violet.transport.axon import Forwards, MinerAxon
    from violet.transport.dendrite import Answer, ValidatorDendrite
    from violet.transport.gate import PriorityGate
    from violet.transport.synapses import (
        AudioRequest,
        Capabilities,
        TextRequest,
        VioletAnalyze,
        VioletCapabilities,
        VioletFetch,
        VioletSynthesize,
        VioletTranscribe,
    )

__all__ = [
    "Answer",
    "AudioRequest",
    "Capabilities",
    "Forwards",
    "MinerAxon",
    "PriorityGate",
    "TextRequest",
    "ValidatorDendrite",
    "VioletAnalyze",
    "VioletCapabilities",
    "VioletFetch",
    "VioletSynthesize",
    "VioletTranscribe",
]
