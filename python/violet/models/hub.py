"""Models from the Hugging Face hub."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from violet import _core
from violet.models.cache import Record, sha256
from violet.models.errors import FetchError
from violet.models.registry import Model, ModelFile
from violet.progress import Progress, megabytes

HUB_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*/[A-Za-z0-9_-][A-Za-z0-9_.-]*(@[A-Za-z0-9_./-]+)?")
"""`organisation/name`, or `organisation/name@revision`."""

COMMIT = re.compile(r"[0-9a-f]{40}")
"""A revision that always means the same bytes."""

SMALL_FILES = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocabulary.json",
    "vocabulary.txt",
)
"""What a model may have besides its weights."""

REQUIRED_FILES = ("config.json", "tokenizer.json")
"""What it cannot be without."""

LETTERS_FILE = "vocab.json"
"""What a voice that reads letters (VITS, MMS-TTS) has in place of `tokenizer.json`."""

MAX_INDEX_BYTES = 4 << 20
"""Largest list of the parts of split weights."""


class Hub:
    """The hub that the environment names (`HF_ENDPOINT`, `HF_TOKEN`)."""

    def __init__(self, timeout_s: float, progress: Progress, env: Mapping[str, str] = os.environ) -> None:
        self._endpoint = env.get("HF_ENDPOINT") or None
        self._token = env.get("HF_TOKEN") or None
        self._timeout_s = timeout_s
        self._progress = progress

    def commit(self, hub_id: str, revision: str) -> tuple[str, dict[str, tuple[int | None, str | None]]]:
        """The commit that a revision means now, and its files: size and SHA-256 by name, where the hub says them.

        Raises:
            FetchError: The hub does not answer, or has no such repository.
        """
        try:
            commit, files = _core.hub_snapshot(
                hub_id, revision, endpoint=self._endpoint, token=self._token, timeout_s=self._timeout_s
            )
        except (_core.VioletError, OSError) as error:
            raise FetchError(str(error)) from error
        return commit, {name: (size, digest) for name, size, digest in files}

    def fetch_known(self, model: Model, directory: Path) -> Record:
        """Puts the files of a model that Violet knows into `directory`.

        Raises:
            FetchError: The hub does not answer, or a file is not the right one.
        """
        for file in model.files:
            self._fetch(model.hub_id, model.revision, file.name, directory, file.size_bytes, file.sha256)
        self._progress.end()
        return Record(model.name, f"hub:{model.hub_id}", model.revision, model.files)

    def fetch_commit(
        self, hub_id: str, commit: str, listing: Mapping[str, tuple[int | None, str | None]], directory: Path
    ) -> Record:
        """Puts the files of a Whisper model, or of a voice, at one commit into `directory`.

        Raises:
            FetchError: The hub does not answer, a file is damaged, or this is neither in a known format.
        """
        names = [name for name in SMALL_FILES if name in listing]
        is_voice = "tokenizer.json" not in listing and LETTERS_FILE in listing
        if is_voice:
            names.append(LETTERS_FILE)
        missing = [name for name in REQUIRED_FILES if name not in listing and not (is_voice and name != "config.json")]
        if missing:
            raise FetchError(f"{hub_id} has no {' and no '.join(missing)}; expected a Whisper model or a VITS voice")
        names += self._weight_files(hub_id, commit, listing, directory)
        files = []
        for name in names:
            size, digest = listing[name]
            path = directory / name
            if not path.is_file():
                self._fetch(hub_id, commit, name, directory, size, digest)
            files.append(ModelFile(name, path.stat().st_size, digest or sha256(path)))
        self._progress.end()
        return Record(hub_id, f"hub:{hub_id}", commit, tuple(files))

    def _weight_files(
        self, hub_id: str, commit: str, listing: Mapping[str, tuple[int | None, str | None]], directory: Path
    ) -> list[str]:
        """The files with the weights, in the first format that is there."""
        for name in ("model.safetensors", "model.bin"):
            if name in listing:
                return [name]
        index = "model.safetensors.index.json"
        if index not in listing:
            raise FetchError(f"{hub_id} has no model.safetensors, no {index} and no model.bin (CTranslate2)")
        self._fetch(hub_id, commit, index, directory, *listing[index], limit_bytes=MAX_INDEX_BYTES)
        try:
            parts = sorted(set(json.loads((directory / index).read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise FetchError(f"{hub_id}: {index} is not a list of weight files: {error}") from error
        absent = [part for part in parts if part not in listing or "/" in part]
        if absent or not parts:
            raise FetchError(f"{hub_id}: {index} names {absent[0] if absent else 'no file'}, which is not there")
        return [index, *parts]

    def _fetch(
        self,
        hub_id: str,
        revision: str,
        name: str,
        directory: Path,
        size: int | None,
        digest: str | None,
        *,
        limit_bytes: int | None = None,
    ) -> None:
        """Writes one file and compares it with what it should be."""
        limit = size if limit_bytes is None else limit_bytes

        def show(done: int, total: int | None) -> None:
            if limit is not None and max(done, total or 0) > limit:
                raise FetchError(f"{hub_id}/{name} has more than {limit} bytes")
            whole = total or size
            if whole:
                detail = f"{megabytes(done)} of {megabytes(whole)} from the hub"
                self._progress.update(f"fetching {hub_id}/{name}", done, whole, detail)

        try:
            got_bytes, got_digest = _core.hub_download(
                hub_id,
                revision,
                name,
                directory / name,
                endpoint=self._endpoint,
                token=self._token,
                timeout_s=self._timeout_s,
                progress=show,
            )
        except FetchError:
            raise
        except (_core.VioletError, OSError) as error:
            raise FetchError(str(error)) from error
        if size is not None and got_bytes != size:
            raise FetchError(f"{hub_id}/{name} has {got_bytes} bytes, expected {size}")
        if digest is not None and got_digest != digest:
            raise FetchError(f"{hub_id}/{name} has SHA-256 {got_digest}, expected {digest}")
