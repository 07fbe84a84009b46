"""whisper.cpp's files of a real model: the words are those of the file that they were made from."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

import violet

TINY_EN_F16_BYTES = 77_704_715
"""Size of the published `ggml-tiny.en.bin`."""

HERE = Path(__file__).parents[1]
JFK = HERE / "data" / "jfk.flac"


@pytest.fixture(scope="module")
def converter() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_ggml", HERE / "data" / "make_ggml.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def files(converter: ModuleType, tiny_en: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ggml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["make_ggml", str(tiny_en), str(folder), "f16", "q4_1", "q5_0", "q5_1", "q8_0"])
        converter.main()
    return folder


def path_of(files: Path, kind: str) -> Path:
    (path,) = files.glob(f"ggml-*-{kind}.bin")
    return path


def words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


def test_half_precision_gives_the_same_tokens_as_the_source(files: Path, tiny_en: Path) -> None:
    path = path_of(files, "f16")
    assert path.stat().st_size == TINY_EN_F16_BYTES
    expected = violet.Transcriber(tiny_en, device="cpu").transcribe(JFK)
    got = violet.Transcriber(path, device="cpu").transcribe(JFK)
    assert got.text == expected.text
    assert [s.tokens for s in got.segments] == [s.tokens for s in expected.segments]


@pytest.mark.parametrize("kind", ["q5_0", "q5_1", "q8_0"])
def test_quantised_files_give_the_same_words(files: Path, tiny_en: Path, kind: str) -> None:
    expected = violet.Transcriber(tiny_en, device="cpu").transcribe(JFK)
    got = violet.Transcriber(path_of(files, kind), device="cpu").transcribe(JFK)
    assert words(got.text) == words(expected.text)


def test_a_cut_file_is_refused_by_name_and_tensor(files: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "ggml-cut.bin"
    damaged.write_bytes(path_of(files, "q4_1").read_bytes()[:-1])
    with pytest.raises(violet.VioletError, match=r"ggml-cut\.bin: in tensor .*broken download"):
        violet.Transcriber(damaged, device="cpu")
