"""Every error that Violet's Python raises on purpose: a `VioletError` that is also the nearest error of the stdlib."""

from violet._core import VioletError as VioletError


class ConfigError(VioletError, ValueError):
    """A setting has a value that cannot work."""


class WalletError(VioletError, FileNotFoundError):
    """A wallet's key file is missing or cannot be read."""


class ProtocolError(VioletError, ValueError):
    """The other side sent something that the wire protocol does not allow."""


class PortError(VioletError, OSError):
    """An address cannot be bound: the port is taken, or the address is not this machine's."""


class BusyError(VioletError, RuntimeError):
    """No room for more work now; try again later or elsewhere."""


class ProxyError(VioletError, RuntimeError):
    """The proxy refused a request.

    Attributes:
        status: The HTTP status.
        code: The stable code of the refusal, for programs.
        retry_after_s: How long the proxy asks to wait, or None.
    """

    def __init__(self, message: str, *, status: int, code: str, retry_after_s: float | None = None) -> None:
        """An answer of the proxy that is not a success."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s


class ProxyUnreachableError(VioletError, ConnectionError):
    """The proxy did not answer, after all retries."""


class UploadInterruptedError(ProxyUnreachableError):
    """An upload in parts broke off, after all retries; what the proxy has of it is kept for a day.

    Attributes:
        upload_id: Its name, with which `Client.upload(source, resume=upload_id)` goes on.
    """

    def __init__(self, message: str, upload_id: str) -> None:
        super().__init__(message)
        self.upload_id = upload_id


class DownloadError(VioletError, OSError):
    """A download ended without the bytes that were promised (too many, too few, other hash, refused)."""


class ChainError(VioletError, RuntimeError):
    """The chain refused, for a reason without a class of its own."""


class ChainUnreachableError(VioletError, ConnectionError):
    """The chain did not answer in time."""


class NotRegisteredError(VioletError, LookupError):
    """The hotkey has no uid on this subnet."""


class NoPermitError(VioletError, PermissionError):
    """The hotkey may not set weights: it has no validator permit."""


class WeightsTooSoonError(VioletError, RuntimeError):
    """Weights were set less than the rate limit ago.

    Attributes:
        blocks_to_wait: Blocks until weights are accepted again, at least 1.
    """

    def __init__(self, message: str, *, blocks_to_wait: int) -> None:
        """A refusal that time heals."""
        super().__init__(message)
        self.blocks_to_wait = blocks_to_wait
