"""A node of the network in memory, at the SDK's own seam for it: `bittensor.Substrate`, what stands before the socket.

Everything above is the SDK's real code: the client, its reads by name, its intents, its encryption of weights. What is
asked for is looked up by the chain's names; what the SDK asks for beyond that fails the test with its name.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import bittensor
from bittensor.sp_core import verify

from fixtures.subnet import NETUID, U16, metagraph_record


class Node:
    """The chain at block 1000, where `hotkey` is uid 1 of subnet 49 and may set weights."""

    def __init__(self, hotkey: str) -> None:
        self.hotkey = hotkey
        self.token_symbols: dict[int, str] = {}
        # An iterator answers each time with its next.
        self.storage: dict[tuple[str, str], Any] = {
            ("SubtensorModule", name): value
            for name, value in {
                "NetworksAdded": True, "TokenSymbol": [], "Uids": 1, "Tempo": 360, "LastEpochBlock": 682,
                "BlocksSinceLastStep": 318, "PendingEpochAt": 0, "SubnetEpochIndex": 3, "RevealPeriodEpochs": 1,
                "LastUpdate": [0, 899, 0], "WeightsSetRateLimit": 100, "MinAllowedWeights": 1, "MaxWeightsLimit": U16,
                "CommitRevealWeightsEnabled": False, "SubnetEpochConsensus": "Yuma", "Axons": None,
            }.items()
        }  # fmt: skip
        self.runtime: dict[tuple[str, str], Any] = {
            ("SubnetInfoRuntimeApi", "get_metagraph"): metagraph_record(),
            ("SubnetInfoRuntimeApi", "get_next_epoch_start_block"): 1042,
        }
        self.answer = bittensor.ExtrinsicResult(success=True, message="Success")
        """What becomes of a call that is submitted."""
        self.sent: list[Any] = []
        """Calls that were submitted."""
        self.failure: Callable[[], Awaitable[None]] | None = None
        """What happens instead of an answer to the number of the newest block."""
        self.is_open = False

    async def connect(self) -> None:
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    async def block_number(self) -> int:
        if self.failure is not None:
            await self.failure()
        return 1000

    async def block_hash(self, block: int | None = None) -> str:
        assert block in {None, 1000}
        return "0xhead"

    async def block_time(self) -> float:
        return 12.0

    async def get_block(self, block_number: int | None = None, block_hash: str | None = None) -> dict[str, Any] | None:
        assert block_number is None
        assert block_hash is None
        moment = {"call_module": "Timestamp", "call_args": [{"name": "now", "value": 1_700_000_000_000}]}
        return {"header": {"number": 1000, "hash": "0xhead"}, "extrinsics": [{"call": moment}, None]}

    async def query(
        self, module: str, storage_function: str, params: list[Any] | None = None, block_hash: str | None = None
    ) -> Any:  # noqa: ANN401
        value = self.storage[module, storage_function]
        assert (params or [NETUID])[0] == NETUID
        if storage_function in {"Uids", "Axons"}:
            assert params == [NETUID, self.hotkey]
        return next(value) if isinstance(value, Iterator) else value

    async def query_map(
        self, module: str, storage_function: str, params: list[Any] | None = None, block_hash: str | None = None
    ) -> list[tuple[Any, Any]]:
        pairs: list[tuple[Any, Any]] = self.storage[module, storage_function]
        return pairs

    async def runtime_call(self, api: str, method: str, params: list[Any], block_hash: str | None = None) -> Any:  # noqa: ANN401
        assert params == [NETUID]
        return self.runtime[api, method]

    async def compose(self, call: Any) -> Any:  # noqa: ANN401
        return call

    async def estimate_fee(self, call: Any, keypair: Any) -> bittensor.Balance:  # noqa: ANN401
        return bittensor.tao(0.0)

    async def submit(
        self,
        call: Any,  # noqa: ANN401
        keypair: Any,  # noqa: ANN401
        *,
        nonce: int | None = None,
        period: int | None = 128,
        wait_for_inclusion: bool = True,
        wait_for_finalization: bool = True,
    ) -> bittensor.ExtrinsicResult:
        assert wait_for_inclusion
        assert not wait_for_finalization
        # As the SDK's transport signs, with what it reads of a key.
        payload = repr(call).encode()
        assert verify(payload, keypair.sign(payload), self.hotkey, keypair.crypto_type)
        assert len(bytes(keypair.public_key)) == 32
        self.sent.append(call)
        return self.answer

    async def hang(self) -> None:
        """A node that is silent."""
        await asyncio.Event().wait()


def differences() -> list[str]:
    """Where this node takes other arguments than the SDK's own way to a node."""
    own = {
        name: method for name, method in vars(Node).items() if inspect.iscoroutinefunction(method) and name != "hang"
    }
    found = []
    for name, method in own.items():
        theirs = list(inspect.signature(getattr(bittensor.RpcSubstrate, name)).parameters.values())
        ours = list(inspect.signature(method).parameters.values())
        if [(p.name, p.kind, p.default) for p in theirs] != [(p.name, p.kind, p.default) for p in ours]:
            found.append(f"{name}{inspect.signature(getattr(bittensor.RpcSubstrate, name))}")
    return found
