"""What this machine does in time: how fast each kind of task is, and how many transcriptions at once."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from violet import _core, reward
from violet.analysis import analyze
from violet.corpus import packaged_clips
from violet.protocol import TRANSCRIPTION
from violet.speaking import Voices
from violet.transcriber import Transcriber

MAX_CONCURRENCY = 16
"""Most transcriptions at once that are tried."""

BUDGET_S = 30.0
"""Time after which nothing more is tried."""

TEXT = "On March 14, the captain counted 27 wooden boats near the harbour before 8 o'clock."
"""What a voice says to be measured."""

FIELDS = ("level", "loudness", "pitch", "mel")
"""What is measured of a clip."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How long one kind of task took."""

    kind: str
    at_once: int
    audio_s: float
    seconds: float
    """Of the slowest of those at once."""
    target_s: float
    """Time up to which an answer counts in full."""

    @property
    def times_real_time(self) -> float:
        """Seconds of audio a second, all at once."""
        return self.at_once * self.audio_s / self.seconds if self.seconds > 0 else 0.0

    @property
    def is_in_time(self) -> bool:
        """Whether all were done in the time that counts in full."""
        return self.seconds <= self.target_s


@dataclass(frozen=True, slots=True)
class Bench:
    """What was measured."""

    speeds: tuple[Speed, ...]
    capacity: int
    """Transcriptions at once that are done in time, at least 1."""

    @property
    def too_slow(self) -> tuple[str, ...]:
        """Kinds of which not even one is done in time, and by how much."""
        return tuple(
            f"one {speed.kind} of {speed.audio_s:.0f} s takes {speed.seconds:.1f} s; full pay to {speed.target_s:.1f}"
            for speed in self.speeds
            if speed.at_once == 1 and not speed.is_in_time
        )

    def __str__(self) -> str:
        """One line."""
        alone = [f"{s.kind} {s.times_real_time:.1f}x real time" for s in self.speeds if s.at_once == 1]
        return f"{', '.join(alone)}; capacity {self.capacity}"

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can write it."""
        speeds = [
            {**asdict(speed), "times_real_time": speed.times_real_time, "is_in_time": speed.is_in_time}
            for speed in self.speeds
        ]
        return {"capacity": self.capacity, "speeds": speeds}


def measure(
    transcriber: Transcriber | None, voices: Voices | None, *, clock: Callable[[], float] = time.perf_counter
) -> Bench:
    """Measures each kind of task alone, and transcriptions at once until they are no longer in time.

    Takes about half a minute at most, besides what one task takes; nothing else should run meanwhile.
    """
    began = clock()
    clip = next(clip for clip in packaged_clips() if clip.path.name == "jfk.flac")
    samples, sample_rate = _core.load(clip.path, 16_000)[:2]
    audio_s = len(samples) / sample_rate
    speeds = [_alone("analysis", audio_s, lambda: analyze(samples, FIELDS, sample_rate=sample_rate), clock)]
    if voices is not None and voices.names:
        name = voices.names[0]
        voices.load(name)
        spoken = voices.speak(TEXT, name)
        spoken_s = len(spoken.samples) / spoken.sample_rate
        speeds.append(_alone("synthesis", spoken_s, lambda: voices.speak(TEXT, name), clock))
    capacity = 1
    if transcriber is not None:
        transcriber.transcribe(samples)  # what is only done once is done
        at_once = 1
        while at_once <= MAX_CONCURRENCY and clock() - began < BUDGET_S:
            speed = _together(at_once, audio_s, lambda: transcriber.transcribe(samples), clock)
            speeds.append(speed)
            if not speed.is_in_time:
                break
            capacity = at_once
            at_once *= 2
    return Bench(tuple(speeds), capacity)


def _alone(kind: reward.Kind, audio_s: float, work: Callable[[], object], clock: Callable[[], float]) -> Speed:
    began = clock()
    work()
    return Speed(kind, 1, audio_s, clock() - began, reward.latency_target_s(kind, audio_s))


def _together(at_once: int, audio_s: float, work: Callable[[], object], clock: Callable[[], float]) -> Speed:
    began = clock()
    with ThreadPoolExecutor(at_once) as pool:
        for future in [pool.submit(work) for _ in range(at_once)]:
            future.result()
    return Speed(TRANSCRIPTION, at_once, audio_s, clock() - began, reward.latency_target_s("transcription", audio_s))
