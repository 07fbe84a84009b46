"""What the tests of direct calls share: both ways of calling a miner, whose axon answers both."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from bittensor_wallet import Keypair, Wallet

from fixtures.axons import Liar, Miner, Way, calling
from violet.chain import Coldkey, Hotkey, Neuron
from violet.transport import MinerCaller, ValidatorDendrite
from violet.wallet import create_wallet


@pytest.fixture(scope="session")
def wallet(tmp_path_factory: pytest.TempPathFactory) -> Wallet:
    return create_wallet("miner", "default", tmp_path_factory.mktemp("wallets"))


@pytest.fixture(scope="session")
def validator() -> Keypair:
    return Keypair.create_from_uri("//Validator")


@pytest.fixture
async def miner(wallet: Wallet, validator: Keypair) -> AsyncIterator[Miner]:
    miner = Miner(wallet, validator)
    await miner.axon.start()
    yield miner
    await miner.axon.stop()


@pytest.fixture(params=[pytest.param(ValidatorDendrite, id="axon"), pytest.param(MinerCaller, id="btauth")])
def way(request: pytest.FixtureRequest) -> Way:
    way: Way = request.param
    return way


@pytest.fixture
async def caller(way: Way, validator: Keypair) -> AsyncIterator[MinerCaller]:
    async with calling(way, validator) as caller:
        yield caller


@pytest.fixture
async def dendrite(validator: Keypair) -> AsyncIterator[ValidatorDendrite]:
    async with calling(ValidatorDendrite, validator) as dendrite:
        assert isinstance(dendrite, ValidatorDendrite)
        yield dendrite


@pytest.fixture
async def liar(wallet: Wallet) -> AsyncIterator[tuple[Liar, Neuron]]:
    liar = Liar()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", liar.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    yield liar, Neuron(1, Hotkey(wallet.hotkey.ss58_address), Coldkey("c"), 0.0, ip="127.0.0.1", port=port)
    await runner.cleanup()
