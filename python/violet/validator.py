"""A validator: it judges miners' responses with its own ears, asks miners directly, and sets weights on chain."""

import asyncio
import contextlib
import hashlib
import random
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from violet.chain import EpochInfo, Hotkey, Metagraph
from violet.chain import Neuron as ChainNeuron
from violet.challenge import Maker, Seeds
from violet.challenger import Challenger, Outcome, passes
from violet.client import AsyncClient
from violet.config import PRIVATE_NETWORKS, ValidatorConfig
from violet.corpus import clips_in, clips_of, packaged_clips
from violet.covert import CovertChallenges
from violet.engine import Engine
from violet.errors import NoPermitError, ProtocolError, ProxyError, VioletError, WeightsTooSoonError
from violet.evaluator import Evaluator
from violet.listener import MODELS, Listener, can_listen
from violet.metrics import ValidatorMetrics
from violet.neuron import Neuron, log, run_neuron
from violet.protocol import Evaluation, commitment, member, new_salt, scores_text
from violet.proxy_account import ProxyAccount
from violet.proxy_client import ProxyClient
from violet.scoreboard import Scoreboard
from violet.sdk import has_axons
from violet.speaking import Voices, voices_here
from violet.transport import Answer, Capabilities, MinerCaller

if TYPE_CHECKING or has_axons():
    # At the top: the SDK sets up logging when it is imported, and what a neuron sets up comes after.
    from violet.transport import ValidatorDendrite

MAX_EVALUATIONS = 8
"""Evaluations in hand at once: one is judged while others wait for their reveal."""

PROOF_SHARE = 0.25
"""Share of the rounds of direct questions after which one miner's capacity is tried."""

RETRY_S = 2.0
"""Pause after a proxy or chain that did not answer or refused."""

REVEAL_RETRY_S = 0.5
"""Pause while other validators may still commit."""


class Validator(Neuron):
    """One validator process."""

    def __init__(self, config: ValidatorConfig) -> None:
        self.metrics: ValidatorMetrics = ValidatorMetrics()
        super().__init__(config, self.metrics)
        self._config = config
        self._clips = (
            clips_of(config.challenge_manifest)
            if config.challenge_manifest is not None
            else packaged_clips()
            if config.challenge_dir is None
            else clips_in(config.challenge_dir)
        )
        self._seeds = Seeds.open(config.neuron_path / "challenge.secret")
        self._scores = Scoreboard.open(config.neuron_path / "scores.json")
        self._random = random.SystemRandom()
        self._in_hand: set[asyncio.Task[None]] = set()
        self._weights_set_s = 0.0
        self._was_flagged = False
        self._account = ProxyAccount()

    async def run(self, stop: asyncio.Event) -> None:
        """Judges until `stop` is set."""
        config = self._config
        await self.metagraph.refresh()
        uid = self.registered_uid(self.metagraph.now)
        if not self.metagraph.now.by_hotkey[Hotkey(self.wallet.hotkey.ss58_address)].validator_permit:
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
                AsyncClient(config.proxy_url, self._api_key()) as user,
                self._calling() as caller,
            ):
                evaluator = Evaluator(engine, client, listener)
                maker = Maker(self._clips, voices)
                covert = CovertChallenges(user, maker, self._seeds, self.chain.block_hash, config.challenge_share)
                background = [
                    asyncio.create_task(self.follow_chain()),
                    asyncio.create_task(self._evaluate_forever(evaluator, client, covert)),
                    asyncio.create_task(self._challenge_forever(caller, maker, listener, client)),
                    asyncio.create_task(self._set_weights_forever()),
                ]
                await self.until_stopped(stop, background)
                for task in self._in_hand:
                    task.cancel()
                await asyncio.gather(*self._in_hand, return_exceptions=True)
        finally:
            engine.close()
            self._scores.save()

    @contextlib.asynccontextmanager
    async def _calling(self) -> AsyncIterator[MinerCaller]:
        """What calls miners."""
        caller = (ValidatorDendrite if has_axons() else MinerCaller)(
            self.wallet.hotkey,
            timeout_s=self._config.query_timeout_s,
            allow_private=self._config.network in PRIVATE_NETWORKS,
        )
        try:
            yield caller
        finally:
            await caller.close()

    def _api_key(self) -> str | None:
        path = self._config.challenge_api_key_file
        return None if path is None else path.read_text(encoding="utf-8").strip()

    async def _evaluate_forever(self, evaluator: Evaluator, client: ProxyClient, covert: CovertChallenges) -> None:
        while True:
            if len(self._in_hand) >= MAX_EVALUATIONS:
                await asyncio.wait(self._in_hand, return_when=asyncio.FIRST_COMPLETED)
                continue
            try:
                evaluations = await client.lease(
                    claim_id=uuid.uuid4().hex, kinds=evaluator.kinds, limit=1, wait_s=self._config.poll_wait_s
                )
            except (VioletError, OSError) as error:
                self.metrics.proxy_errors.inc()
                log.warning("nothing to judge from the proxy: %s; trying again", error)
                await asyncio.sleep(RETRY_S * (1 + random.random()))
                continue
            for evaluation in evaluations:
                task = asyncio.create_task(self._evaluate(evaluator, client, covert, evaluation))
                self._in_hand.add(task)
                task.add_done_callback(self._in_hand.discard)

    async def _evaluate(
        self, evaluator: Evaluator, client: ProxyClient, covert: CovertChallenges, evaluation: Evaluation
    ) -> None:
        """One evaluation from download to reveal. Its failure is logged and never ends the validator."""
        began = time.monotonic()
        try:
            await self._judge(evaluator, client, covert, evaluation)
            outcome = "judged"
            self.metrics.evaluation_seconds.labels(evaluation.kind).observe(time.monotonic() - began)
        except (VioletError, OSError, ValueError) as error:
            outcome = "failed"
            log.warning("%s not judged: %s", evaluation.task_id, error, exc_info=self.is_debug)
        self.metrics.evaluations.labels(evaluation.kind, outcome).inc()

    async def _judge(
        self, evaluator: Evaluator, client: ProxyClient, covert: CovertChallenges, evaluation: Evaluation
    ) -> None:
        known = covert.known(evaluation.task_id)
        scores = await evaluator.scores(evaluation, known)
        text, salt = scores_text(scores), new_salt()
        hotkey = self.wallet.hotkey.ss58_address
        await client.commit(evaluation.task_id, commitment(evaluation.task_id, hotkey, salt, text))
        now_s = time.time()
        for response in evaluation.responses:
            score = scores[response.response_id]
            self._scores.add_quality(response.miner, evaluation.kind, score.score, now_s)
            if known is not None:
                self._note_challenge(response.miner, evaluation.kind, "proxy", passed=passes(evaluation.kind, score))
        covert.forget(evaluation.task_id)
        await self._save_scores()
        log.info(
            "%s (%s%s) judged: %s",
            evaluation.task_id,
            evaluation.kind,
            "" if known is None else ", a challenge",
            ", ".join(f"{r.miner[:8]} {scores[r.response_id].score:.2f}" for r in evaluation.responses),
        )
        if known is None and covert.is_due(len(self._account.validators)):
            await covert.send(self._account.kinds.intersection(evaluator.kinds))
        await self._reveal(client, evaluation, salt, text)

    async def _save_scores(self) -> None:
        """Saves them; a disk that cannot is said, and what was committed is revealed all the same."""
        try:
            await self._scores.save_in_background()
        except OSError as error:
            log.warning("scores not saved: %s", error)

    def _note_challenge(self, hotkey: Hotkey, kind: str, route: str, *, passed: bool) -> None:
        self._scores.add_challenge(hotkey, passed=passed)
        self.metrics.challenges.labels(kind, route, "passed" if passed else "failed").inc()

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
        self, caller: MinerCaller, maker: Maker, listener: Listener | None, client: ProxyClient
    ) -> None:
        challenger = Challenger(caller, maker, listener)
        while True:
            try:
                await self._challenge_all(challenger, caller, client)
                await self._compare_with_proxy(client)
                await self._save_scores()
                await self._report(client)
            except (VioletError, OSError) as error:
                log.warning("challenges: %s", error, exc_info=self.is_debug)
            # Jitter: two validators do not ask at the same moment, and a miner cannot know when.
            await asyncio.sleep(self._config.challenge_interval_s * self._random.uniform(0.5, 1.5))

    async def _challenge_all(self, challenger: Challenger, caller: MinerCaller, client: ProxyClient) -> None:
        """One round: every miner at one moment, each with a question of its own."""
        own = self.wallet.hotkey.ss58_address
        miners = [n for n in self.metagraph.now.neurons if n.is_serving and n.hotkey != own]
        capabilities = await caller.capabilities(miners)
        able = [found.value for found in capabilities.values() if found.value is not None]
        generator = self._seeds.draw(await asyncio.to_thread(self.chain.block_hash))
        kind = challenger.draw_kind(able, generator)
        # A generator each: what one miner is asked must not depend on who else is there.
        asked = [(miner, random.Random(generator.getrandbits(128))) for miner in miners]
        outcomes = await asyncio.gather(
            *(self._challenge(challenger, miner, capabilities[miner.hotkey], kind, own) for miner, own in asked)
        )
        paces = {
            miner.hotkey: outcome.pace
            for (miner, _), outcome in zip(asked, outcomes, strict=True)
            if outcome is not None and outcome.kind == kind
        }
        if len(paces) > 1:
            self._scores.add_round(paces)
        await self._prove(challenger, client, miners, capabilities, generator)
        self.metrics.asked.set(len(miners))
        self.metrics.answering.set(len(able))

    async def _challenge(
        self,
        challenger: Challenger,
        miner: ChainNeuron,
        found: Answer[Capabilities],
        kind: str | None,
        generator: random.Random,
    ) -> Outcome | None:
        """Counts whether one miner is there, and asks it what this validator knows."""
        self._scores.add_probe(miner.hotkey, answered=found.ok)
        if found.value is None:
            log.info("uid %d does not answer: %s", miner.uid, found.error)
            return None
        outcome = None if kind is None else await challenger.ask(miner, found.value, kind, generator)
        if outcome is None:
            return None
        self._note_challenge(miner.hotkey, outcome.kind, "direct", passed=outcome.passed)
        self._scores.add_quality(miner.hotkey, outcome.kind, outcome.score.score, time.time(), direct=True)
        log.info(
            "uid %d challenged (%s): %.2f in %.2f s", miner.uid, outcome.kind, outcome.score.score, outcome.latency_s
        )
        return outcome

    async def _prove(
        self,
        challenger: Challenger,
        client: ProxyClient,
        miners: Sequence[ChainNeuron],
        capabilities: Mapping[Hotkey, Answer[Capabilities]],
        generator: random.Random,
    ) -> None:
        """Tries the capacity of one miner, now and then."""
        able = [(miner, found) for miner in miners if (found := capabilities[miner.hotkey].value) is not None]
        if not able or generator.random() >= PROOF_SHARE:
            return
        miner, found = generator.choice(able)
        proven = await challenger.prove(miner, found, await self._leases_of(client, miner.hotkey), generator)
        if proven is None:
            return
        self._scores.add_proof(miner.hotkey, proven)
        log.info("uid %d declares %d at once; %d by what it answered in time", miner.uid, found.capacity, proven)

    async def _leases_of(self, client: ProxyClient, hotkey: Hotkey) -> int | None:
        """How much of the proxy's work a miner holds at this moment; None where the proxy does not say."""
        try:
            miners = member((await client.network()).document, "miners", list)
            return next((member(miner, "leases", int) for miner in miners if miner.get("hotkey") == hotkey), None)
        except (VioletError, OSError) as error:
            log.info("a capacity is tried without the proxy's word: %s", error)
            return None

    async def _report(self, client: ProxyClient) -> None:
        """Tells the proxy what this validator sees of miners itself."""
        known = self.metagraph.now.by_hotkey
        own = known.get(Hotkey(self.wallet.hotkey.ss58_address))
        # The proxy takes the word of validators only.
        if own is None or not own.validator_permit or not (health := self._scores.health(known)):
            return
        await client.report({hotkey: asdict(seen) for hotkey, seen in health.items()})

    async def _compare_with_proxy(self, client: ProxyClient) -> None:
        """Counts what the proxy says of miners, and says so where it is not what this validator sees."""
        try:
            changes = self._account.read(await client.network())
        except ProtocolError as error:
            log.warning("the proxy's account of miners cannot be read: %s", error)
            return
        for hotkey, (answered, silent) in changes.items():
            if hotkey in self.metagraph.now.by_hotkey:
                self._scores.add_account(hotkey, answered=answered, silent=silent)
        audit = self._scores.audit()
        self.metrics.disagreement.set(audit.disagreement)
        self.metrics.flagged.set(audit.is_flagged)
        if audit.is_flagged and not self._was_flagged:
            worst = max(audit.by_miner, key=lambda hotkey: audit.by_miner[hotkey])
            log.warning(
                "FLAGGED: miners answer when they are asked directly, and not by the account of the proxy %s: %.1f "
                "standard deviations over all, %.1f for %s; look at its log, or use another proxy",
                self._config.proxy_url,
                audit.disagreement,
                audit.by_miner[worst],
                worst,
            )
        self._was_flagged = audit.is_flagged

    async def _set_weights_forever(self) -> None:
        while True:
            wait_s = RETRY_S
            try:
                wait_s = await self._set_weights(self.metagraph.now)
            except WeightsTooSoonError as error:
                self.metrics.weights_set.labels("too_soon").inc()
                log.info("weights: too soon; %d blocks to wait", error.blocks_to_wait)
                wait_s = error.blocks_to_wait * self.chain.block_time_s
            except NoPermitError as error:
                self.metrics.weights_set.labels("no_permit").inc()
                log.warning("weights not set: %s; permits change once an epoch", error)
                wait_s = max(RETRY_S, self.metagraph.now.tempo * self.chain.block_time_s / 4)
            except (VioletError, OSError) as error:
                self.metrics.weights_set.labels("failed").inc()
                self.metrics.chain_errors.labels("set_weights").inc()
                log.warning("weights not set: %s", error, exc_info=self.is_debug)
                wait_s = max(RETRY_S, self.chain.block_time_s)
            await asyncio.sleep(wait_s)

    async def _set_weights(self, metagraph: Metagraph) -> float:
        """Sets weights if it is time and there is something to say; seconds until it is worth looking again."""
        epoch = await asyncio.to_thread(self.chain.epoch)
        pause_s = self._weights_set_s + self._config.weights_interval_s - time.monotonic()
        if epoch.blocks_until_weights > 0 or pause_s > 0:
            return max(pause_s, epoch.blocks_until_weights * self.chain.block_time_s, self.chain.block_time_s)
        if (blocks := self._blocks_to_wait(epoch)) > 0:
            return blocks * self.chain.block_time_s
        weights = self._scores.weights(metagraph)
        for miner in self._scores.weigh(metagraph).miners:
            self.metrics.score.labels(miner.uid).set(miner.score)
            self.metrics.weight.labels(miner.uid).set(miner.weight)
        if not weights:
            return max(RETRY_S, self.chain.block_time_s)
        await asyncio.to_thread(self.chain.set_weights, list(weights), list(weights.values()))
        self._weights_set_s = time.monotonic()
        self.metrics.weights_set.labels("set").inc()
        self.metrics.weights_at.set_to_current_time()
        log.info("weights set: %s", ", ".join(f"uid {uid} {weight:.3f}" for uid, weight in weights.items()))
        return max(self._config.weights_interval_s, self.chain.block_time_s)

    def _blocks_to_wait(self, epoch: EpochInfo) -> int:
        """Blocks until this validator's own time within the epoch; 0 from then on, until it has set weights.

        Between an eighth and a half of the epoch before its end: late enough for what the epoch showed, early enough to
        try again. Each validator has its own place there by its hotkey, so that not all come at once.
        """
        share = int.from_bytes(hashlib.sha256(self.wallet.hotkey.ss58_address.encode()).digest()[:8]) / 2**64
        window = max(1, round(epoch.tempo * (0.125 + 0.375 * share)))
        left = epoch.blocks_until_next_epoch
        if left > window:
            return left - window
        since = epoch.blocks_since_last_update
        has_set = since is not None and since <= window - left
        return left if has_set else 0


def main(argv: Sequence[str]) -> int:
    """Runs a validator with these command-line arguments; its exit code."""
    return run_neuron(lambda: ValidatorConfig.from_args(argv), Validator)
