"""A validator: it judges miners' responses with its own ears, asks miners directly, and sets weights on chain."""

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import AsyncIterator, Sequence

from violet.chain import Hotkey, Metagraph
from violet.chain import Neuron as ChainNeuron
from violet.challenge import clips_in, packaged_clips
from violet.challenger import Challenger
from violet.config import PRIVATE_NETWORKS, ValidatorConfig
from violet.engine import Engine
from violet.errors import ProxyError, VioletError, WeightsTooSoonError
from violet.evaluator import Evaluator
from violet.listener import MODELS, Listener, can_listen
from violet.neuron import MetagraphCache, Neuron, log, run_neuron
from violet.protocol import Evaluation, commitment, new_salt, scores_text
from violet.proxy_client import ProxyClient
from violet.scoreboard import Scoreboard
from violet.speaking import Voices, voices_here
from violet.transport import Answer, Capabilities, ValidatorDendrite

MAX_EVALUATIONS = 8
"""Evaluations in hand at once: one is judged while others wait for their reveal."""

RETRY_S = 2.0
"""Pause after a proxy or chain that did not answer or refused."""

REVEAL_RETRY_S = 0.5
"""Pause while other validators may still commit."""


class Validator(Neuron):
    """One validator process."""

    def __init__(self, config: ValidatorConfig) -> None:
        super().__init__(config)
        self._config = config
        self._clips = packaged_clips() if config.challenge_dir is None else clips_in(config.challenge_dir)
        self._scores = Scoreboard.open(config.neuron_path / "scores.json")
        self._random = random.SystemRandom()
        self._in_hand: set[asyncio.Task[None]] = set()
        self._weights_set_s = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Judges until `stop` is set."""
        config = self._config
        metagraph = MetagraphCache(self.chain, config.sync_interval_s)
        await metagraph.refresh()
        uid = self.registered_uid(metagraph.now)
        if not metagraph.now.by_hotkey[Hotkey(self.wallet.hotkey.ss58_address)].validator_permit:
            log.warning("uid %d has no validator permit yet: nothing to judge until it has more stake", uid)
        if config.publish_axon and config.published_ip is not None:
            await asyncio.to_thread(self.chain.serve, config.published_ip, config.axon_external_port)
        # One at a time: two references at once would take twice as long each.
        voices = Voices(voices_here())
        engine = Engine(await self.load_model(), 1, voices)
        listener = Listener(engine, voices) if can_listen() else None
        if listener is None:
            log.warning("no speech is judged here: get the models with: violet models fetch %s", " ".join(MODELS))
        log.info("uid %d judges for %s", uid, config.proxy_url)
        try:
            async with (
                self.proxy_client() as client,
                _closing(self._dendrite()) as dendrite,
            ):
                evaluator = Evaluator(engine, client, listener)
                background = [
                    asyncio.create_task(metagraph.refresh_forever()),
                    asyncio.create_task(self._evaluate_forever(evaluator, client)),
                    asyncio.create_task(self._challenge_forever(dendrite, metagraph, listener)),
                    asyncio.create_task(self._set_weights_forever(metagraph)),
                ]
                await self.until_stopped(stop, background)
                for task in self._in_hand:
                    task.cancel()
                await asyncio.gather(*self._in_hand, return_exceptions=True)
        finally:
            engine.close()
            self._scores.save()

    def _dendrite(self) -> ValidatorDendrite:
        return ValidatorDendrite(
            self.wallet.hotkey,
            timeout_s=self._config.query_timeout_s,
            allow_private=self._config.network in PRIVATE_NETWORKS,
        )

    async def _evaluate_forever(self, evaluator: Evaluator, client: ProxyClient) -> None:
        while True:
            if len(self._in_hand) >= MAX_EVALUATIONS:
                await asyncio.wait(self._in_hand, return_when=asyncio.FIRST_COMPLETED)
                continue
            try:
                evaluations = await client.lease(
                    claim_id=uuid.uuid4().hex, kinds=evaluator.kinds, limit=1, wait_s=self._config.poll_wait_s
                )
            except (VioletError, OSError) as error:
                log.warning("nothing to judge from the proxy: %s; trying again", error)
                await asyncio.sleep(RETRY_S * (1 + random.random()))
                continue
            for evaluation in evaluations:
                task = asyncio.create_task(self._evaluate(evaluator, client, evaluation))
                self._in_hand.add(task)
                task.add_done_callback(self._in_hand.discard)

    async def _evaluate(self, evaluator: Evaluator, client: ProxyClient, evaluation: Evaluation) -> None:
        """One evaluation from download to reveal. Its failure is logged and never ends the validator."""
        try:
            await self._judge(evaluator, client, evaluation)
        except (VioletError, OSError, ValueError) as error:
            log.warning("%s not judged: %s", evaluation.task_id, error, exc_info=self.is_debug)

    async def _judge(self, evaluator: Evaluator, client: ProxyClient, evaluation: Evaluation) -> None:
        scores = await evaluator.scores(evaluation)
        text, salt = scores_text(scores), new_salt()
        hotkey = self.wallet.hotkey.ss58_address
        await client.commit(evaluation.task_id, commitment(evaluation.task_id, hotkey, salt, text))
        now_s = time.time()
        for response in evaluation.responses:
            self._scores.add_quality(response.miner, evaluation.kind, scores[response.response_id].score, now_s)
        self._scores.save()
        log.info(
            "%s (%s) judged: %s",
            evaluation.task_id,
            evaluation.kind,
            ", ".join(f"{r.miner[:8]} {scores[r.response_id].score:.2f}" for r in evaluation.responses),
        )
        await self._reveal(client, evaluation, salt, text)

    async def _reveal(self, client: ProxyClient, evaluation: Evaluation, salt: str, scores: str) -> None:
        while True:
            try:
                await client.reveal(evaluation.task_id, salt, scores)
            except ProxyError as error:
                if error.code != "commits_open" or time.time() * 1000 > evaluation.reveal_by_ms:
                    raise
                await asyncio.sleep(REVEAL_RETRY_S)
            else:
                return

    async def _challenge_forever(
        self, dendrite: ValidatorDendrite, metagraph: MetagraphCache, listener: Listener | None
    ) -> None:
        challenger = Challenger(dendrite, self._clips, self._random, listener)
        while True:
            miners = [n for n in metagraph.now.neurons if n.is_serving and n.hotkey != self.wallet.hotkey.ss58_address]
            capabilities = await dendrite.capabilities(miners)
            await asyncio.gather(*(self._challenge(challenger, n, capabilities[n.hotkey]) for n in miners))
            self._scores.save()
            # Jitter: two validators do not ask at the same moment, and a miner cannot know when.
            await asyncio.sleep(self._config.challenge_interval_s * self._random.uniform(0.5, 1.5))

    async def _challenge(self, challenger: Challenger, miner: ChainNeuron, found: Answer[Capabilities]) -> None:
        """Counts whether one miner is there, and asks it what this validator knows."""
        self._scores.add_probe(miner.hotkey, answered=found.ok)
        if found.value is None:
            log.info("uid %d does not answer: %s", miner.uid, found.error)
            return
        outcome = await challenger.ask(miner, found.value)
        if outcome is None:
            return
        self._scores.add_challenge(miner.hotkey, passed=outcome.passed)
        self._scores.add_quality(miner.hotkey, outcome.kind, outcome.score.score, time.time(), direct=True)
        log.info(
            "uid %d challenged (%s): %.2f in %.2f s", miner.uid, outcome.kind, outcome.score.score, outcome.latency_s
        )

    async def _set_weights_forever(self, metagraph: MetagraphCache) -> None:
        while True:
            wait_s = RETRY_S
            try:
                wait_s = await self._set_weights(metagraph.now)
            except WeightsTooSoonError as error:
                wait_s = error.blocks_to_wait * self.chain.block_time_s
            except (VioletError, OSError) as error:
                log.warning("weights not set: %s", error, exc_info=self.is_debug)
                wait_s = max(RETRY_S, self.chain.block_time_s)
            await asyncio.sleep(wait_s)

    async def _set_weights(self, metagraph: Metagraph) -> float:
        """Sets weights if it is time and there is something to say; seconds until it is worth looking again."""
        epoch = await asyncio.to_thread(self.chain.epoch)
        pause_s = self._weights_set_s + self._config.weights_interval_s - time.monotonic()
        if epoch.blocks_until_weights > 0 or pause_s > 0:
            return max(pause_s, epoch.blocks_until_weights * self.chain.block_time_s, self.chain.block_time_s)
        weights = self._scores.weights(metagraph)
        if not weights:
            return max(RETRY_S, self.chain.block_time_s)
        await asyncio.to_thread(self.chain.set_weights, list(weights), list(weights.values()))
        self._weights_set_s = time.monotonic()
        log.info("weights set: %s", ", ".join(f"uid {uid} {weight:.3f}" for uid, weight in weights.items()))
        return max(self._config.weights_interval_s, self.chain.block_time_s)


@contextlib.asynccontextmanager
async def _closing(dendrite: ValidatorDendrite) -> AsyncIterator[ValidatorDendrite]:
    try:
        yield dendrite
    finally:
        await dendrite.close()


def main(argv: Sequence[str]) -> int:
    """Runs a validator with these command-line arguments; its exit code."""
    return run_neuron(lambda: ValidatorConfig.from_args(argv), Validator)
