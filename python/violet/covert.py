"""Challenges that go through the proxy like any user's task: who works on one cannot tell.

The validator sends them itself, as a user, and knows them again when the proxy lends it their responses to judge. Its
share of the traffic is counted in tasks: after each task of somebody else's that it judges, it sends one with a chance
such that all validators' challenges together are `SHARE` of all tasks.
"""

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping

from violet.challenge import Maker, Seeds, Sound, Speech
from violet.challenger import score_known_sound, score_known_transcript
from violet.client import AsyncClient
from violet.errors import VioletError
from violet.judge import score_responses
from violet.protocol import ANALYSIS, TRANSCRIPTION, Evaluation, Response, ResponseId, Score, TaskId

log = logging.getLogger("violet")

SHARE = 0.18
"""Share of all tasks that are challenges."""

MAX_OPEN = 64
"""Challenges whose answers may be outstanding; older ones are given up."""

FILE_BYTES = 1 << 20
"""Largest file of a challenge."""

type Known = Speech | Sound | str
"""What is known of a challenge: speech with its words, a sound with its values, or a text to speak."""


class CovertChallenges:
    """Sends challenges as a user, and scores what comes back.

    Args:
        client: A user's side of the proxy.
        maker: Makes the questions.
        seeds: Draw them.
        block_hash: The newest block's hash.
        share: Share of all tasks, 0 to below 1; 0 sends none.
    """

    def __init__(
        self, client: AsyncClient, maker: Maker, seeds: Seeds, block_hash: Callable[[], str], share: float = SHARE
    ) -> None:
        self._client = client
        self._maker = maker
        self._seeds = seeds
        self._block_hash = block_hash
        self._share = share
        self._random = random.SystemRandom()
        self._open: OrderedDict[TaskId, Known] = OrderedDict()
        self._not_before_s = 0.0

    def known(self, task_id: TaskId) -> Known | None:
        """What is known of a task; None of one that is somebody else's."""
        return self._open.get(task_id)

    def forget(self, task_id: TaskId) -> None:
        """Ends a challenge that was judged."""
        self._open.pop(task_id, None)

    def is_due(self, n_validators: int) -> bool:
        """Whether to send one, after a task of somebody else's was judged."""
        return self._random.random() < self._share / (1 - self._share) / max(n_validators, 1)

    async def send(self, kinds: Collection[str]) -> TaskId | None:
        """Sends one of these kinds; None where the proxy does not take it now, which is logged."""
        if time.monotonic() < self._not_before_s or not kinds:
            return None
        try:
            generator = self._seeds.draw(await asyncio.to_thread(self._block_hash))
            kind = generator.choice(sorted(kinds))
            known = await asyncio.to_thread(self._make, kind, generator)
            task_id = await self._submit(known)
        except (VioletError, OSError, ValueError) as error:
            # Not for every task: a proxy that wants a key, or is full, will go on wanting it for a while.
            self._not_before_s = time.monotonic() + 60.0
            log.warning("challenge not sent through the proxy: %s", error)
            return None
        self._open[task_id] = known
        while len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)
        return task_id

    def _make(self, kind: str, generator: random.Random) -> Known:
        if kind == TRANSCRIPTION:
            return self._maker.speech(generator, limit_bytes=FILE_BYTES)
        return self._maker.sound(generator) if kind == ANALYSIS else self._maker.text(generator)

    async def _submit(self, known: Known) -> TaskId:
        # Everything else as users leave it: what a challenge says besides its content would give it away.
        if isinstance(known, Speech):
            task = await self._client.submit(known.audio, kind="transcription", name="audio")
        elif isinstance(known, Sound):
            task = await self._client.submit(known.audio, kind="analysis", name="audio", fields=list(known.fields))
        else:
            task = await self._client.submit(text=known)
        return TaskId(task.id)


def known_scores(evaluation: Evaluation, known: Speech | Sound) -> Mapping[ResponseId, Score]:
    """Scores of the responses to a challenge, by what is known of it."""

    def score(response: Response, _: None) -> Score:
        if isinstance(known, Speech):
            return score_known_transcript(known, response.result, response.latency_s)
        return score_known_sound(known, response.result, response.latency_s)

    return score_responses(evaluation.responses, evaluation.task_id, score, None)
