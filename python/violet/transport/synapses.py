"""The messages between validators and miners, as the synapses of SDK 10.5.

No `from __future__ import annotations` here: the SDK reads the annotations of synapses at run time.
"""

from typing import ClassVar

from bittensor.core.synapse import Synapse

from violet.transport.bodies import (
    AnalyzeBody,
    Body,
    CapabilitiesBody,
    FetchBody,
    Reply,
    SynthesizeBody,
    TranscribeBody,
)


class SignedSynapse(Synapse, Reply):  # type: ignore[misc]  # the SDK ships no types
    """What all have: a message's fields in, a signed result out. The SDK itself leaves responses unsigned."""

    def get_required_fields(self) -> list[str]:
        """None: every field has a default. The SDK's own would build a JSON schema on every call, 3 ms each."""
        return []


# In every message all inputs are listed: what is not listed is not signed.
_AUDIO_FIELDS = ("task_id", "later", "url", "sha256", "bytes", "duration_s", "inline")


class VioletCapabilities(SignedSynapse, CapabilitiesBody):
    """What can you do?"""

    required_hash_fields: ClassVar[tuple[str, ...]] = ("task_id", "later")


class VioletFetch(SignedSynapse, FetchBody):
    """Give me the result of the work that I let you begin."""

    required_hash_fields: ClassVar[tuple[str, ...]] = ("task_id", "later", "wait_s", "cancel")


class VioletTranscribe(SignedSynapse, TranscribeBody):
    """Transcribe this."""

    required_hash_fields: ClassVar[tuple[str, ...]] = (*_AUDIO_FIELDS, "language", "prompt", "temperature")


class VioletAnalyze(SignedSynapse, AnalyzeBody):
    """Measure this."""

    required_hash_fields: ClassVar[tuple[str, ...]] = (*_AUDIO_FIELDS, "fields")


class VioletSynthesize(SignedSynapse, SynthesizeBody):
    """Speak this."""

    required_hash_fields: ClassVar[tuple[str, ...]] = ("task_id", "later", "text", "voice", "speed", "language")


SYNAPSES: dict[type[Body], type[SignedSynapse]] = {
    CapabilitiesBody: VioletCapabilities,
    FetchBody: VioletFetch,
    TranscribeBody: VioletTranscribe,
    AnalyzeBody: VioletAnalyze,
    SynthesizeBody: VioletSynthesize,
}
"""The synapse of each message."""
