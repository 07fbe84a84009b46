"""A bad miner, for local networks: its answers lack words, and its measurements are off (`--dev.drop_words`)."""

import json
import random
from typing import Any

from violet.protocol import ANALYSIS, TRANSCRIPTION, canonical_json


def spoil(kind: str, result: str, share: float, generator: random.Random) -> str:
    """A result of this kind, worse by `share`, 0 to 1."""
    value = json.loads(result)
    if kind == TRANSCRIPTION:
        for segment in value["segments"]:
            segment["text"] = drop_words(str(segment["text"]), share, generator)
        value["text"] = "".join(segment["text"] for segment in value["segments"]).strip()
    elif kind == ANALYSIS:
        # Its frame (version, length, rate) stays, so that the proxy takes it.
        value = {name: _off(item, share) if isinstance(item, dict | list) else item for name, item in value.items()}
    return canonical_json(value)


def drop_words(text: str, share: float, generator: random.Random) -> str:
    """`text` without this share of its words."""
    return " ".join(word for word in text.split(" ") if not word or generator.random() >= share)


def _off(value: Any, share: float) -> Any:  # noqa: ANN401 - any value of JSON
    if isinstance(value, dict):
        return {name: _off(item, share) for name, item in value.items()}
    if isinstance(value, list):
        return [_off(item, share) for item in value]
    return value * (1 + share) if isinstance(value, float) else value
