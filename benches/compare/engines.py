"""Speech engines as peers: each in a process of its own, so that threads, memory and imports are nobody else's.

`Engine(spec)` starts this file as a worker that loads one model and transcribes what it is sent, one clip at a time.
Engines: `violet`, `faster-whisper` (a CTranslate2 directory), `whisper.cpp` (package `pywhispercpp`, a ggml file).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Spec:
    """An engine and how it is set."""

    engine: str
    model: str
    threads: int = 1
    compute_type: str = "auto"
    beam_size: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    """More of Violet's keyword arguments, of the transcriber or of `transcribe`."""

    @property
    def name(self) -> str:
        """What tables call it."""
        more = "".join(f" {key}={value}" for key, value in self.options.items())
        return f"{self.engine} {self.compute_type}{more}"


@dataclass(frozen=True, slots=True)
class Result:
    """One clip's text and what it took."""

    text: str
    seconds: float
    cpu_s: float
    peak_bytes: int
    """Of the whole process so far."""


class EngineError(RuntimeError):
    """A worker could not do it; the text is its last line."""


class Engine:
    """A worker process with one engine in it."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, __file__, json.dumps(asdict(spec))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        ready = self._answer()
        self.start_s = time.perf_counter() - started
        """From the start of the process until the model is loaded, imports included."""
        self.load_s: float = ready["load_s"]
        """Loading the model alone."""

    def transcribe(self, clip: Path, language: str = "en", *, first_token: bool = False) -> Result:
        """The words of a clip that `save` wrote; with `first_token` of its first token alone.

        Raises:
            EngineError: The engine failed.
        """
        assert self._process.stdin is not None
        request = {"clip": str(clip), "language": language, "first_token": first_token}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Result(**self._answer())

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            _, error = self._process.communicate()
            last = error.strip().splitlines()[-1] if error.strip() else f"exit code {self._process.returncode}"
            raise EngineError(f"{self.spec.name}: {last}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Ends the worker."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def save(samples: Samples, path: Path) -> Path:
    """Writes mono samples at 16 kHz where every engine can read them."""
    np.save(path, np.ascontiguousarray(samples, dtype=np.float32))
    return path


def load_clip(path: Path) -> Samples:
    """Mono samples at 16 kHz of any audio file, by ffmpeg: the same for every engine."""
    if not shutil.which("ffmpeg"):
        sys.exit("the benchmarks read clips by ffmpeg, for every engine alike: install it (apt-get install ffmpeg)")
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "f32le", "-ac", "1", "-ar", str(SAMPLE_RATE), "-"]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, dtype=np.float32)


def is_installed(module: str) -> bool:
    """Whether this Python has a package."""
    return subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


Transcribe = Callable[[Samples, str, bool], str]


def _violet(spec: Spec) -> Transcribe:
    import violet
    from violet.transcriber import DEFAULTS

    constructor: dict[str, Any] = {"device": "cpu", "num_threads": spec.threads, "compute_type": spec.compute_type}
    names = set(violet.Transcriber.__init__.__annotations__)
    constructor |= {key: value for key, value in spec.options.items() if key in names}
    if "compute_type" not in names:
        if spec.compute_type not in {"auto", "float32"}:
            raise ValueError(f"this Violet computes in float32 only, not in {spec.compute_type}")
        del constructor["compute_type"]
    transcriber = violet.Transcriber(spec.model, **constructor)
    options = {key: value for key, value in spec.options.items() if key not in names}
    has_limit = "max_new_tokens" in DEFAULTS

    def transcribe(samples: Samples, language: str, first_token: bool) -> str:
        limit: dict[str, Any] = {"max_new_tokens": 1, "temperature": 0.0} if first_token and has_limit else {}
        return transcriber.transcribe(
            samples, language=language, beam_size=spec.beam_size, **limit, **options
        ).text.strip()

    return transcribe


def _faster_whisper(spec: Spec) -> Transcribe:
    from faster_whisper import WhisperModel

    model = WhisperModel(spec.model, device="cpu", compute_type=spec.compute_type, cpu_threads=spec.threads)

    def transcribe(samples: Samples, language: str, first_token: bool) -> str:
        limit: dict[str, Any] = {"max_new_tokens": 1, "temperature": 0.0} if first_token else {}
        segments, _ = model.transcribe(samples, language=language, beam_size=spec.beam_size, **limit)
        return "".join(segment.text for segment in segments).strip()

    return transcribe


def _whisper_cpp(spec: Spec) -> Transcribe:
    from pywhispercpp.model import Model

    options: dict[str, Any] = {"n_threads": spec.threads, "print_progress": False, "print_realtime": False}
    if spec.beam_size > 1:
        options |= {"params_sampling_strategy": 1, "beam_search": {"beam_size": spec.beam_size, "patience": -1.0}}
    model = Model(spec.model, redirect_whispercpp_logs_to=None, **options)

    def transcribe(samples: Samples, language: str, first_token: bool) -> str:
        segments = model.transcribe(samples, language=language, max_tokens=1 if first_token else 0)
        return " ".join(segment.text.strip() for segment in segments)

    return transcribe


ENGINES: Mapping[str, Callable[[Spec], Transcribe]] = {
    "violet": _violet,
    "faster-whisper": _faster_whisper,
    "whisper.cpp": _whisper_cpp,
}


def peak_bytes() -> int:
    """The most memory that this process has had. `ru_maxrss` would count the parent's, from before the worker began."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def serve(spec: Spec) -> None:
    """The worker: one line of JSON in, one out."""
    out = sys.stdout
    sys.stdout = sys.stderr
    started = time.perf_counter()
    transcribe = ENGINES[spec.engine](spec)
    print(json.dumps({"load_s": time.perf_counter() - started}), file=out, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        samples = np.load(request["clip"])
        started, cpu = time.perf_counter(), time.process_time()
        text = transcribe(samples, request["language"], request["first_token"])
        result = Result(text, time.perf_counter() - started, time.process_time() - cpu, peak_bytes())
        print(json.dumps(asdict(result)), file=out, flush=True)


if __name__ == "__main__":
    serve(Spec(**json.loads(sys.argv[1])))
