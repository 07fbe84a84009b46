"""Why a model cannot be had."""

from violet._core import VioletError


class ModelError(VioletError):
    """A model cannot be had; the text is one line that says what to do."""


class UnknownModelError(ModelError, ValueError):
    """The name is neither a known model, nor a directory with one, nor a hub id."""


class OfflineError(ModelError, FileNotFoundError):
    """The model is not cached, and the network may not be used."""


class FetchError(ModelError, OSError):
    """No source gave the model's files."""


class DamagedModelError(ModelError, OSError):
    """Files of a model are missing, cut short, or not the ones that they should be."""
