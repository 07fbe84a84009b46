"""One model that answers several requests at once, off the event loop.

Each request has a thread that waits; the model's own engine does the work, and steps the windows of all requests
together.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from violet import _core
from violet.protocol import Options
from violet.transcriber import DEFAULT_TEMPERATURES, SAMPLE_RATE, Transcriber

type Progress = Callable[[float, str], None]
"""Called as `progress(fraction, text_so_far)` from the working thread."""


class _Stopped(Exception):
    """Ends a transcription that nobody waits for any more."""


class Engine:
    """A `Transcriber` behind a bounded number of threads.

    Args:
        transcriber: The model.
        workers: Transcriptions at once; further ones wait for a thread.
    """

    def __init__(self, transcriber: Transcriber, workers: int) -> None:
        self._transcriber = transcriber
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
        stop = threading.Event()

        def tick(fraction: float, text: str) -> None:
            if stop.is_set():
                raise _Stopped
            if progress is not None:
                progress(fraction, text)

        def work() -> _core.Transcript:
            # A file is decoded on the way; bytes are few.
            source = _core.decode(audio, SAMPLE_RATE)[0] if isinstance(audio, bytes) else audio
            # A temperature that the user asked for is where the decoder starts; it may still fall back to hotter ones.
            temperatures = [options.temperature, *(t for t in DEFAULT_TEMPERATURES if t > options.temperature)]
            return self._transcriber.transcribe(
                source, language=options.language, prompt=options.prompt, temperature=temperatures, progress=tick
            )

        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            stop.set()
            future.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen: nothing to report
            raise

    def close(self) -> None:
        """Ends the threads; work that has not begun is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
