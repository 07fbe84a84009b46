"""Requests that are signed as `btauth/1` (`docs/protocol.md`), judged as the proxy judges them (`src/proxy/auth`)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from violet.chain.types import Hotkey
from violet.errors import BusyError, ProtocolError
from violet.protocol import request_text, sha256_hex
from violet.wallet import is_signed_by

MAX_AGE_NS = 10_000_000_000
"""How long after its nonce a request is taken."""

MAX_AHEAD_NS = 2_000_000_000
"""How far a caller's clock may be ahead."""

PER_HOTKEY = 4_096
"""Requests of one hotkey that are remembered; more in the time that a nonce lives are refused: to forget the oldest
instead would let it be replayed."""


class UnsignedError(ProtocolError):
    """A request is not signed as it should be.

    Attributes:
        code: Stable name of what is wrong, the proxy's.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Claims:
    """What the headers of a signed request claim."""

    hotkey: Hotkey
    receiver: str
    nonce_ns: int
    signature: str

    @classmethod
    def from_headers(cls, headers: Iterable[tuple[bytes, bytes]]) -> Self:
        """The claims in these headers, whose names are in lower case.

        Raises:
            UnsignedError: One is missing, doubled or spelt otherwise.
        """
        given = list(headers)

        def text(name: str) -> str:
            values = [value for key, value in given if key == name.encode()]
            if not values:
                raise UnsignedError("missing_signature", f"header {name} is missing; sign the request with your hotkey")
            if len(values) > 1 or not values[0].isascii():
                raise UnsignedError("bad_signature_header", f"header {name} must be given once, in ASCII")
            return values[0].decode()

        if text("x-bittensor-version") != "1":
            raise UnsignedError("bad_signature_header", "header x-bittensor-version must be 1")
        nonce = text("x-bittensor-nonce")
        # Signed as text, so only one spelling of a number may be taken.
        if not nonce.isdigit() or nonce.startswith("0") or len(nonce) > 19:
            raise UnsignedError("bad_signature_header", "header x-bittensor-nonce must be nanoseconds since the epoch")
        hotkey = Hotkey(text("x-bittensor-hotkey"))
        return cls(hotkey, text("x-bittensor-receiver"), int(nonce), text("x-bittensor-signature"))

    def check(self, receiver: str, now_ns: int, floor_ns: int) -> None:
        """Whether the request is meant for `receiver`, and for now.

        Raises:
            UnsignedError: It is not, or is from before `floor_ns`.
        """
        if self.receiver != receiver:
            raise UnsignedError("wrong_receiver", f"x-bittensor-receiver is {self.receiver:.60}; this is {receiver}")
        if self.nonce_ns < floor_ns:
            raise UnsignedError("stale_nonce", "request was signed before this axon started")
        if self.nonce_ns - now_ns > MAX_AHEAD_NS:
            message = f"request is more than {MAX_AHEAD_NS / 1e9:g} s in the future; set the caller's clock"
            raise UnsignedError("stale_nonce", message)
        if now_ns - self.nonce_ns > MAX_AGE_NS:
            raise UnsignedError("stale_nonce", f"request is older than {MAX_AGE_NS / 1e9:g} s")

    def verify(self, method: str, path_query: str, body: bytes) -> str:
        """The text that the hotkey signed.

        Raises:
            UnsignedError: It signed another.
        """
        text = request_text(method, path_query, body, self.nonce_ns, self.hotkey, self.receiver)
        if not self.signature.startswith("0x") or not is_signed_by(self.hotkey, text.encode(), self.signature):
            raise UnsignedError("bad_signature", "the signature is not the hotkey's over this request")
        return text


class Replays:
    """Requests that were taken, as long as their nonces live.

    It is written only after a valid signature of a hotkey that may call, so that nobody else can fill it, and there are
    no more hotkeys in it than in the metagraph.
    """

    def __init__(self) -> None:
        self._seen: dict[Hotkey, dict[str, int]] = {}
        """Of each hotkey, digests of what it signed and when they may be forgotten, in the order in which they came."""

    def accept(self, hotkey: Hotkey, text: str, now_ns: int) -> None:
        """Notes a signed text, the nonce in it: two requests signed in one nanosecond are both honest.

        Raises:
            UnsignedError: It was noted before.
            BusyError: The hotkey has sent too many.
        """
        if hotkey not in self._seen:
            self._seen = {key: kept for key, kept in self._seen.items() if next(reversed(kept.values())) >= now_ns}
        seen = self._seen.setdefault(hotkey, {})
        while seen and (oldest := next(iter(seen))) and seen[oldest] < now_ns:
            del seen[oldest]
        digest = sha256_hex(text)
        if digest in seen:
            raise UnsignedError("replayed", "request was taken before; sign every request with a new nonce")
        if len(seen) >= PER_HOTKEY:
            message = f"more than {PER_HOTKEY} requests within {(MAX_AGE_NS + MAX_AHEAD_NS) / 1e9:g} s"
            raise BusyError(message)
        # Whatever the nonce was, its time is over by then.
        seen[digest] = now_ns + MAX_AGE_NS + MAX_AHEAD_NS

    def __len__(self) -> int:
        """How many are remembered."""
        return sum(len(seen) for seen in self._seen.values())
