"""What a miner does for validators that call it, whichever way they come: who may, in turn, with a signed answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bittensor_wallet import Wallet

from violet.chain.types import Hotkey, Metagraph, Neuron
from violet.errors import BusyError, ProtocolError, VioletError
from violet.protocol import DIRECT_SLOT, RESULT_LIMIT_BYTES, sha256_hex, sign_response
from violet.transport.bodies import (
    AnalyzeBody,
    Body,
    CapabilitiesBody,
    FetchBody,
    Reply,
    SynthesizeBody,
    TranscribeBody,
    from_audio,
    from_synthesize,
)
from violet.transport.gate import PriorityGate
from violet.transport.jobs import Jobs
from violet.transport.messages import AudioRequest, Capabilities, TextRequest
from violet.wallet import Signer

MAX_QUEUE_S = 60.0
"""Longest wait of a request for its turn; a caller that says that it waits less waits less."""


@dataclass(frozen=True, slots=True)
class Forwards:
    """What a miner does for its callers, in the event loop that started the server, so nothing here may block.

    Work returns the result's JSON text; it raises a `VioletError` (its text is the caller's answer) when there is none.
    """

    capabilities: Callable[[], Awaitable[Capabilities]]
    transcribe: Callable[[AudioRequest], Awaitable[str]] | None = None
    """None where the miner does not: then there is no such route."""
    analyze: Callable[[AudioRequest], Awaitable[str]] | None = None
    synthesize: Callable[[TextRequest], Awaitable[str]] | None = None


def refusal(caller: str | None, neurons: dict[Hotkey, Neuron], min_stake: float) -> str | None:
    """Why this caller may not give us work; None when it may."""
    neuron = neurons.get(Hotkey(caller or ""))
    if neuron is None:
        return "hotkey is not registered on this subnet"
    if not neuron.validator_permit:
        return "hotkey has no validator permit"
    if neuron.stake < min_stake:
        return f"stake {neuron.stake:g} is below {min_stake:g}"
    return None


class MinerService:
    """Answers the messages of callers whose signature was checked.

    Args:
        wallet: Whose hotkey answers and signs results.
        metagraph: Returns the newest metagraph; called on every request, so it must be a look at a variable.
        forwards: What to do.
        min_stake: Least stake of a caller.
        capacity: Requests worked on at once.
        max_waiting: Requests that may wait behind them; more are told that the miner is busy.
    """

    def __init__(
        self,
        wallet: Wallet,
        metagraph: Callable[[], Metagraph],
        forwards: Forwards,
        *,
        min_stake: float = 0.0,
        capacity: int = 1,
        max_waiting: int = 8,
    ) -> None:
        self.wallet = wallet
        self.hotkey: Signer = wallet.hotkey
        self.gate = PriorityGate(capacity, max_waiting)
        self._jobs = Jobs(capacity + max_waiting)
        self._metagraph = metagraph
        self._forwards = forwards
        self._min_stake = min_stake

    @property
    def served(self) -> tuple[type[Body], ...]:
        """The messages that have a route here."""
        forwards = self._forwards
        served: list[type[Body]] = [CapabilitiesBody, FetchBody]
        served += [TranscribeBody] if forwards.transcribe is not None else []
        served += [AnalyzeBody] if forwards.analyze is not None else []
        served += [SynthesizeBody] if forwards.synthesize is not None else []
        return tuple(served)

    def refusal(self, caller: str | None) -> str | None:
        """Why this caller may not call; None when it may.

        It is asked before the signature is checked, so it punishes nobody and remembers nothing.
        """
        return refusal(caller, self._metagraph().by_hotkey, self._min_stake)

    async def reply(self, caller: str, body: Body, wait_s: float) -> Reply:
        """The answer to a message, which waits for its turn no longer than its caller does, `wait_s`."""
        try:
            result = await self._result(caller, body, wait_s)
            if result is not None and len(result.encode()) > RESULT_LIMIT_BYTES:
                message = f"result is above {RESULT_LIMIT_BYTES} bytes"
                raise ProtocolError(message)
        except BusyError as error:
            return Reply(busy=True, error=str(error))
        except VioletError as error:
            return Reply(error=str(error))
        if result is None:
            return Reply(later=not (isinstance(body, FetchBody) and body.cancel))
        digest = sha256_hex(result)
        signature = sign_response(self.hotkey, body.task_id, DIRECT_SLOT, digest)
        return Reply(result=result, digest=digest, signature=signature)

    def close(self) -> None:
        """Ends the work that callers let begin."""
        self._jobs.close()

    async def _result(self, caller: str, body: Body, wait_s: float) -> str | None:
        """The result; None where there is none yet, or it was cancelled."""
        if isinstance(body, CapabilitiesBody):
            return (await self._forwards.capabilities()).to_json()
        if isinstance(body, FetchBody):
            if body.cancel:
                self._jobs.forget(caller, body.task_id)
                return None
            return await self._jobs.fetch(caller, body.task_id, body.wait_s)
        work = self._work(body)
        if body.later:
            self._jobs.begin(caller, body.task_id, lambda: self._in_turn(caller, work, MAX_QUEUE_S))
            return None
        return await self._in_turn(caller, work, min(MAX_QUEUE_S, wait_s))

    def _work(self, body: Body) -> Callable[[], Awaitable[str]]:
        """What a message asks for. It is read here and now: an answer is written into a synapse."""
        forwards = self._forwards
        if isinstance(body, TranscribeBody) and (transcribe := forwards.transcribe) is not None:
            audio = from_audio(body)
            return lambda: transcribe(audio)
        if isinstance(body, AnalyzeBody) and (analyze := forwards.analyze) is not None:
            sound = from_audio(body)
            return lambda: analyze(sound)
        if isinstance(body, SynthesizeBody) and (synthesize := forwards.synthesize) is not None:
            text = from_synthesize(body)
            return lambda: synthesize(text)
        message = "this miner does no such work"
        raise ProtocolError(message)

    async def _in_turn(self, caller: str, work: Callable[[], Awaitable[str]], wait_s: float) -> str:
        neuron = self._metagraph().by_hotkey.get(Hotkey(caller))
        async with self.gate.enter(0.0 if neuron is None else neuron.stake, wait_s):
            return await work()
