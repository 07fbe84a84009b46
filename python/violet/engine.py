"""What a neuron works with: its models, for several requests at once, off the event loop.

Each request has a thread that waits; a model's own engine does the work, and steps the windows of all requests
together.
"""

import asyncio
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from violet import _core
from violet.analysis import Analysis, analyze
from violet.errors import ProtocolError
from violet.protocol import SYNTHESIS, TRANSCRIPTION, Options
from violet.speaking import Spoken, Voices
from violet.transcriber import DEFAULT_TEMPERATURES, SAMPLE_RATE, Transcriber

type Progress = Callable[[float, str], None]
"""Called as `progress(fraction, text_so_far)` from the working thread."""


class _Stopped(Exception):
    """Ends work that nobody waits for any more."""


class Engine:
    """The models of one neuron behind a bounded number of threads.

    Args:
        transcriber: Hears speech; None for a neuron that does not.
        workers: Requests at once; further ones wait for a thread.
        voices: Speak; None for a neuron that does not.
    """

    def __init__(self, transcriber: Transcriber | None, workers: int, voices: Voices | None = None) -> None:
        self._transcriber = transcriber
        self._voices = voices
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="engine")

    async def transcribe(
        self, audio: Path | bytes, options: Options, progress: Progress | None = None
    ) -> _core.Transcript:
        """The transcript of an audio file or of its bytes. Cancelling the call stops the work.

        Raises:
            ValueError: Not audio, or an unknown language.
            violet.LimitError: Audio over the limits of `violet.load`.
            OSError: The file cannot be read.
        """
        transcriber = self._transcriber
        if transcriber is None:
            raise ProtocolError(_not_here(TRANSCRIPTION))

        def work(tick: Progress) -> _core.Transcript:
            # A file is decoded on the way; bytes are few.
            source = _core.decode(audio, SAMPLE_RATE)[0] if isinstance(audio, bytes) else audio
            # A temperature that the user asked for is where the decoder starts; it may still fall back to hotter ones.
            temperatures = [options.temperature, *(t for t in DEFAULT_TEMPERATURES if t > options.temperature)]
            return transcriber.transcribe(
                source,
                language=options.language,
                task=options.task,
                prompt=options.prompt,
                temperature=temperatures,
                word_timestamps=options.word_timestamps,
                progress=tick,
            )

        return await self._run(work, progress)

    async def analyze(self, audio: Path | bytes, fields: Sequence[str]) -> Analysis:
        """What is measured of an audio file or of its bytes; fields whose models are not here are in `missing`.

        Raises:
            ValueError: Not audio, or an unknown field.
            OSError: The file cannot be read.
        """

        def work(_tick: Progress) -> Analysis:
            if isinstance(audio, Path):
                return analyze(audio, fields)
            with tempfile.NamedTemporaryFile(prefix="violet-") as file:
                file.write(audio)
                file.flush()
                return analyze(file.name, fields)

        return await self._run(work, None)

    async def synthesize(self, text: str, options: Options, seed: int, progress: Progress | None = None) -> Spoken:
        """A text as speech; other seeds make other renderings of it. Cancelling the call stops the work.

        Raises:
            ValueError: A text that cannot be spoken, or a voice that is not here.
        """
        voices = self._voices
        if voices is None:
            raise ProtocolError(_not_here(SYNTHESIS))

        def work(tick: Progress) -> Spoken:
            return voices.speak(text, options.voice, speed=options.speed, seed=seed, progress=tick)

        return await self._run(work, progress)

    async def _run[T](self, work: Callable[[Progress], T], progress: Progress | None) -> T:
        stop = threading.Event()

        def tick(fraction: float, text: str) -> None:
            if stop.is_set():
                raise _Stopped
            if progress is not None:
                progress(fraction, text)

        future = asyncio.get_running_loop().run_in_executor(self._pool, work, tick)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            stop.set()
            future.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen: nothing to report
            raise

    def close(self) -> None:
        """Ends the threads; work that has not begun is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _not_here(kind: str) -> str:
    return f"this neuron does no {kind}"
