"""What is around this machine: the wallet, the chain and the hotkey's place on it, the axon's port, proxy and clock."""

import argparse
import email.utils
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

from violet import VioletError
from violet.chain import Hotkey, Metagraph, Neuron, connect
from violet.doctor.finding import ANSWER_TIMEOUT_S, Finding, Role
from violet.sdk import btcli_flags

CHAIN_TIMEOUT_S = 20.0
"""How long a chain may take to answer."""

MIN_STAKE = 1000.0
"""Stake from which a proxy takes verdicts, unless its `--min-stake` says otherwise."""

MAX_AHEAD_S, MAX_BEHIND_S = 2.0, 10.0
"""How far a clock may differ before the proxy refuses its signatures (docs/protocol.md)."""


def look(found: argparse.Namespace, *, is_chain_named: bool) -> Iterator[Finding]:
    """Everything around this machine that was named.

    Args:
        found: The flags of `violet doctor`.
        is_chain_named: Whether to ask the chain.
    """
    finding, hotkey = wallet(found)
    yield finding
    metagraph = None
    if is_chain_named:
        finding, metagraph = chain(found)
        yield finding
    else:
        yield Finding("chain", "note", "not asked: name it with --subtensor.network")
    if metagraph is None or hotkey is None:
        for what in ("registration", "permit", "stake"):
            yield Finding(what, "note", "not looked at: needs a wallet and a chain that answers")
        yield axon(found.axon_port, None, found.role)
    else:
        yield from place(found, metagraph, hotkey)
    yield from proxy_and_clock(found.proxy_url)


def wallet(found: argparse.Namespace) -> tuple[Finding, str | None]:
    """The wallet that was named (or the default one), with its hotkey's address."""
    from violet.wallet import DEFAULT_WALLET_PATH, load_wallet

    name, hotkey = found.wallet_name or "default", found.wallet_hotkey or "default"
    try:
        keys = load_wallet(name, hotkey, found.wallet_path or DEFAULT_WALLET_PATH)
    except VioletError as error:
        text, _, mend = str(error).partition("; ")
        return Finding("wallet", "broken" if is_named(found) else "note", text, mend or None), None
    address = keys.hotkey.ss58_address
    return Finding("wallet", "ok", f"{name}/{hotkey}: {address}"), address


def chain(found: argparse.Namespace) -> tuple[Finding, Metagraph | None]:
    """The chain that was named, and who is registered there."""
    where = f"{found.network} subnet {found.netuid}"
    try:
        connection = connect(
            found.network, found.netuid, None, chain_endpoint=found.chain_endpoint, timeout_s=CHAIN_TIMEOUT_S
        )
        try:
            metagraph = connection.metagraph()
        finally:
            connection.close()
    except (VioletError, OSError) as error:
        mend = "violet localnet create" if found.network == "localnet" else "try --subtensor.chain_endpoint wss://.."
        return Finding("chain", "broken", f"{where}: {error}", mend), None
    return Finding("chain", "ok", f"{where}: block {metagraph.block}, {len(metagraph.neurons)} neurons"), metagraph


def place(found: argparse.Namespace, metagraph: Metagraph, hotkey: str) -> Iterator[Finding]:
    """The hotkey's place on the subnet: registration, permit, stake and axon."""
    is_local = found.network == "localnet"
    coldkey, own = found.wallet_name or "default", found.wallet_hotkey or "default"
    path = found.wallet_path
    name = f"--wallet.name {coldkey} --wallet.hotkey {own}" + ("" if path is None else f" --wallet.path {path}")
    on = f"--netuid {found.netuid} {btcli_flags(network=found.network, name=coldkey, hotkey=own, path=path)}"
    neuron = metagraph.by_hotkey.get(Hotkey(hotkey))
    if neuron is None:
        mend = f"violet localnet register {name}" if is_local else f"btcli subnet register {on}"
        text = f"hotkey {hotkey} is not registered on {found.network} subnet {found.netuid}"
        yield Finding("registration", "broken" if is_named(found) else "note", text, mend)
        for what in ("permit", "stake"):
            yield Finding(what, "note", "not looked at: the hotkey is not registered")
    else:
        yield Finding("registration", "ok", f"uid {neuron.uid} of {found.network} subnet {found.netuid}")
        mend = f"violet localnet stake {MIN_STAKE:g} {name}" if is_local else f"btcli stake add {on}"
        yield permit(neuron, metagraph, found.role, mend)
        yield stake(neuron, found.role, mend)
    yield axon(found.axon_port, neuron, found.role)


def permit(neuron: Neuron, metagraph: Metagraph, role: Role | None, mend: str) -> Finding:
    """Whether the hotkey may set weights."""
    if neuron.validator_permit:
        return Finding("permit", "ok", f"uid {neuron.uid} may set weights")
    if role != "validator":
        return Finding("permit", "ok" if role else "note", "no validator permit; a miner needs none")
    least = min((other.stake for other in metagraph.neurons if other.validator_permit), default=0.0)
    text = f"no validator permit; the least stake of those who have one is {least:g}"
    return Finding("permit", "broken", text, f"{mend}; permits change once an epoch")


def stake(neuron: Neuron, role: Role | None, mend: str) -> Finding:
    """Whether the stake is enough for what the neuron is to do."""
    text = f"{neuron.stake:g}"
    if role == "miner" or neuron.stake >= MIN_STAKE:
        return Finding("stake", "ok", text if neuron.stake >= MIN_STAKE else f"{text}; a miner needs none")
    text += f"; a proxy takes verdicts from {MIN_STAKE:g} (its --min-stake)"
    return Finding("stake", "broken", text, mend) if role else Finding("stake", "note", text)


def axon(port: int, neuron: Neuron | None, role: Role | None) -> Finding:
    """The axon's port: whether others reach it where the chain says that it is, or else whether it could be bound."""
    if neuron is not None and neuron.is_serving:
        where = f"{neuron.ip}:{neuron.port}"
        try:
            socket.create_connection((neuron.ip, neuron.port), timeout=ANSWER_TIMEOUT_S).close()
        except OSError as error:
            mend = "start the miner, and open its port; some routers refuse calls of one's own address from within"
            return Finding("axon", "note", f"nothing answers at {where}, which the chain names: {error}", mend)
        return Finding("axon", "ok", f"answers at {where}, which the chain names")
    try:
        with socket.create_server(("0.0.0.0", port)):
            pass
    except OSError as error:
        mend = "a miner here needs another: --axon.port PORT"
        return Finding("axon", "note", f"port {port}: {error.strerror}", mend)
    text = "a validator needs none" if role == "validator" else "whether others reach it shows once a miner serves it"
    return Finding("axon", "ok", f"port {port} is free; {text}")


def is_named(found: argparse.Namespace) -> bool:
    """Whether a wallet was named; the default one may well not be meant."""
    return found.wallet_name is not None or found.wallet_hotkey is not None or found.wallet_path is not None


def proxy_and_clock(url: str | None, now: Callable[[], float] = time.time) -> Iterator[Finding]:
    """The proxy that was named, and this machine's clock beside its."""
    if url is None:
        yield Finding("proxy", "note", "not asked: name it with --proxy.url")
        yield Finding(
            "clock", "note", f"{time.strftime('%Y-%m-%d %H:%M:%S %z')}; compared with a proxy's where you name one"
        )
        return
    if not url.startswith(("http://", "https://")):
        yield Finding("proxy", "broken", f"{url!r} is no address", "give http://host:port or https://host")
        return
    began = now()
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/readyz", timeout=ANSWER_TIMEOUT_S) as answer:
            date = answer.headers["Date"]
    except urllib.error.HTTPError as error:
        date = error.headers["Date"]
        mend = "it is not ready: look at its log" if error.code == 503 else "is this a Violet proxy?"
        yield Finding("proxy", "broken", f"{url} answers {error.code} {error.reason}", mend)
    except (OSError, ValueError) as error:
        yield Finding("proxy", "broken", f"{url}: {getattr(error, 'reason', error)}", "start one: violet proxy --help")
        return
    else:
        yield Finding("proxy", "ok", f"{url} is ready, answered in {1000 * (now() - began):.0f} ms")
    yield clock(date, began, now())


def clock(date: str | None, began_s: float, ended_s: float) -> Finding:
    """This machine's clock beside the `Date` of an answer to a request that lasted from `began_s` to `ended_s`."""
    if date is None:
        return Finding("clock", "note", "the proxy did not say what time it is")
    # Whole seconds: the true time of the answer lies in [theirs, theirs + 1).
    theirs_s = email.utils.parsedate_to_datetime(date).timestamp()
    ahead_s, behind_s = began_s - (theirs_s + 1.0), theirs_s - ended_s
    if ahead_s > MAX_AHEAD_S or behind_s > MAX_BEHIND_S:
        off = f"{ahead_s:.0f} s ahead of" if ahead_s > 0 else f"{behind_s:.0f} s behind"
        return Finding(
            "clock", "broken", f"{off} the proxy's: it will refuse signatures", "synchronise it (chrony, ntpd)"
        )
    return Finding("clock", "ok", "agrees with the proxy's")
