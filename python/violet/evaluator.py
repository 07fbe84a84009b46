"""A validator's own ears: what it finds in an input, and what the responses to it are worth."""

import asyncio
import tempfile
from pathlib import Path

from violet.engine import Engine
from violet.errors import ProtocolError
from violet.judge import score_analysis, score_responses, score_transcript
from violet.protocol import ANALYSIS, TRANSCRIPTION, Evaluation, ResponseId, Score
from violet.proxy_client import ProxyClient

MAX_INPUT_BYTES = 1 << 30
"""Most bytes of one task's input; the limit of `violet.load`."""


class Evaluator:
    """Scores responses by its own work on the same input.

    Args:
        engine: The validator's models.
        client: Where inputs are fetched.
    """

    kinds: tuple[str, ...] = (TRANSCRIPTION, ANALYSIS)
    """What it can judge."""

    def __init__(self, engine: Engine, client: ProxyClient) -> None:
        self._engine = engine
        self._client = client

    async def scores(self, evaluation: Evaluation) -> dict[ResponseId, Score]:
        """The scores of all responses of one task.

        Raises:
            VioletError: The input cannot be fetched, or the kind is none that it can judge.
            ValueError: The input cannot be read.
        """
        with tempfile.TemporaryDirectory(prefix="violet-validator-") as name:
            directory = Path(name)
            path = directory / "input"
            await self._client.download(evaluation.input, path, limit_bytes=MAX_INPUT_BYTES)
            responses, task_id = evaluation.responses, evaluation.task_id
            if evaluation.kind == TRANSCRIPTION:
                transcript = await self._engine.transcribe(path, evaluation.options)
                return await asyncio.to_thread(score_responses, responses, task_id, score_transcript, transcript)
            if evaluation.kind == ANALYSIS:
                analysis = await self._engine.analyze(path, evaluation.options.fields)
                return await asyncio.to_thread(score_responses, responses, task_id, score_analysis, analysis)
        message = f"{task_id} is of kind {evaluation.kind}; this validator judges {', '.join(self.kinds)}"
        raise ProtocolError(message)
