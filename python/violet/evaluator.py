"""A validator's own ears: what it finds in an input, and what the responses to it are worth."""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

from violet import reward
from violet.covert import Known, known_scores
from violet.engine import Engine
from violet.errors import ProtocolError, ProxyError
from violet.judge import NOTHING, score_analysis, score_responses, score_speech, score_transcript
from violet.listener import Listener, about_audio, duplicates
from violet.protocol import ANALYSIS, SYNTHESIS, TRANSCRIPTION, Evaluation, Response, ResponseId, Score
from violet.proxy_client import ProxyClient

MAX_INPUT_BYTES = 1 << 30
"""Most bytes of one file of a task; the limit of `violet.load`."""


class Evaluator:
    """Scores responses by its own work on the same input.

    Args:
        engine: The validator's models.
        client: Where files are fetched.
        listener: Judges speech; None for a validator that cannot.
    """

    def __init__(self, engine: Engine, client: ProxyClient, listener: Listener | None) -> None:
        self._engine = engine
        self._client = client
        self._listener = listener
        self.kinds: tuple[str, ...] = (TRANSCRIPTION, ANALYSIS, *(() if listener is None else (SYNTHESIS,)))
        """What it can judge."""

    async def scores(self, evaluation: Evaluation, known: Known | None = None) -> dict[ResponseId, Score]:
        """The scores of all responses of one task, by what is `known` where it is this validator's own challenge.

        Raises:
            VioletError: A file cannot be fetched, or the kind is none that it can judge.
            ValueError: The input cannot be read.
        """
        if known is not None and not isinstance(known, str):
            return dict(await asyncio.to_thread(known_scores, evaluation, known))
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
            if evaluation.kind == SYNTHESIS and self._listener is not None:
                text = path.read_text(encoding="utf-8") if known is None else known
                return await self._speech_scores(evaluation, text, directory, self._listener)
        message = f"{task_id} is of kind {evaluation.kind}; this validator judges {', '.join(self.kinds)}"
        raise ProtocolError(message)

    async def _speech_scores(
        self, evaluation: Evaluation, text: str, directory: Path, listener: Listener
    ) -> dict[ResponseId, Score]:
        found: dict[ResponseId, tuple[Response, Path, reward.Speech]] = {}
        for response in evaluation.responses:
            path = directory / f"audio-{response.slot}"
            if response.is_authentic(evaluation.task_id) and await self._fetch(response, path):
                try:
                    heard = await listener.listen(path, text, evaluation.options)
                except ValueError:  # it does not decode, or holds nothing
                    continue
                found[response.response_id] = (response, path, heard)
        copies = await asyncio.to_thread(duplicates, [path for _, path, _ in found.values()])
        scores = dict.fromkeys((response.response_id for response in evaluation.responses), NOTHING)
        for (response, _, heard), is_duplicate in zip(found.values(), copies, strict=True):
            speech = replace(heard, is_duplicate=is_duplicate)
            language = evaluation.options.language or "en"
            scores[response.response_id] = score_speech(text, speech, language, response.latency_s)
        return scores

    async def _fetch(self, response: Response, path: Path) -> bool:
        """Whether the audio that the miner signed for is at `path` now."""
        about = about_audio(response.result)
        # The proxy says where the file is; which file it must be, the miner signed.
        if response.audio is None or about is None or about.get("sha256") != response.audio.sha256:
            return False
        try:
            await self._client.download(response.audio, path, limit_bytes=MAX_INPUT_BYTES)
        except ProxyError as error:
            if error.status == 404:
                return False
            raise
        return True
