"""Analysis of recordings: what `violet analyze` measures."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from violet import _core, models
from violet.samples import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

MEASURED: tuple[str, ...] = tuple(_core.analysis_fields())
"""Fields that need no model."""

MODELS: Mapping[str, tuple[str, ...]] = {
    "speech": ("silero-vad",),
    "speakers": ("ge2e", "silero-vad"),
    "language": ("base",),
    "quality": ("distillmos", "dnsmos"),
}
"""Fields that need models, and their names."""

SPEAKER_THRESHOLD = 0.65
"""Least mean cosine of the voices of one speaker's pieces: in the packaged clips one speaker's have 0.7 and more, two
speakers' 0.58 and less."""

MAX_QUALITY_S = 30
"""The quality is that of so much of the recording, from its first sound on, seconds."""

FIELDS: tuple[str, ...] = (*MEASURED, *MODELS)
"""All fields that can be asked for."""


@dataclass(frozen=True)
class Tracks:
    """What a recording does over time; empty where it was not asked for."""

    outline: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty((2, 0), np.float32))
    """Least and greatest sample of equal parts, `[2, n]`."""
    momentary_lufs: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """Momentary loudness every 0.1 s from 0.4 s on; NaN or -inf in silence."""
    short_term_lufs: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """Short-term loudness every 0.1 s from 3 s on."""
    f0_hz: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """Pitch every 10 ms, Hz; NaN where unvoiced."""
    voiced_probability: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """Probability of voice every 10 ms."""
    frames: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    """Spectral features of every frame, `[n_rows, n_frames]`, by name."""


@dataclass(frozen=True)
class Analysis:
    """What was measured of one recording.

    Every field that was asked for is an attribute and an item: `analysis.loudness["integrated_lufs"]`. A value that
    does not exist, such as the loudness of silence, is None.
    """

    values: dict[str, Any]
    """All values, by field."""
    tracks: Tracks
    """What happens over time."""
    missing: dict[str, str]
    """Fields that could not be measured, and what to do about it."""
    picture: bytes = field(default=b"", repr=False)
    """Mel spectrogram as PNG; empty without `tracks`."""
    name: str = ""
    """The file's name."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a field's values are a number, a list or a mapping
        values = self.__dict__.get("values", {})
        if name in values:
            return values[name]
        if name in FIELDS:
            message = f"field {name!r} was not measured; ask for it with fields=[{name!r}]"
            raise AttributeError(message)
        message = f"an analysis has no field {name!r}; expected one of {', '.join(FIELDS)}"
        raise AttributeError(message)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        return self.values[name]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], name: str = "") -> Self:
        """The analysis that `to_dict` was, without its tracks: such as a miner's, as a proxy hands it out."""
        own = dict(values)
        return cls(own, Tracks(), own.pop("missing", {}), name=name)

    def to_dict(self) -> dict[str, Any]:
        """All values as plain Python objects."""
        values: dict[str, Any] = json.loads(json.dumps(self.values))
        if self.missing:
            values["missing"] = dict(self.missing)
        return values

    def to_json(self, indent: int | None = None) -> str:
        """All values as JSON."""
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False)

    def to_flat(self) -> dict[str, float | int | str | None]:
        """Every single value by its path, such as `loudness.integrated_lufs`; lists by their position."""
        flat: dict[str, float | int | str | None] = {}

        def walk(path: str, value: Any) -> None:  # noqa: ANN401
            if isinstance(value, dict):
                for key, inner in value.items():
                    walk(f"{path}.{key}" if path else key, inner)
            elif isinstance(value, list):
                for index, inner in enumerate(value):
                    walk(f"{path}.{index}", inner)
            else:
                flat[path] = value

        walk("", self.to_dict())
        return flat

    def to_pandas(self) -> Any:  # noqa: ANN401 - pandas is optional
        """A data frame of one row, with a column for every single value.

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas as pd

        return pd.DataFrame([self.to_flat()], index=[self.name] if self.name else None)

    def to_html(self) -> str:
        """A page of its own: waveform, spectrogram, loudness, pitch, speech and the table of values."""
        from violet.report import page

        return page(self)

    def to_table(self) -> str:
        """The values in lines for people."""
        from violet.report import table

        return table(self)

    def _repr_html_(self) -> str:
        from violet.report import html_table

        return html_table(self)


def analyze(
    audio: str | os.PathLike[str] | npt.NDArray[np.floating],
    fields: Sequence[str] | None = None,
    *,
    sample_rate: int | None = None,
    frames: bool = False,
    tracks: bool = False,
) -> Analysis:
    """Measures a recording: levels, loudness, noise, pitch, voice, spectrum, rhythm, speech.

    Args:
        audio: Path of a file, or float samples: `[n_samples]`, or `[n_samples, n_channels]` as `violet.load` has them.
        fields: What to measure, of `violet.analysis.FIELDS`; None for all that is possible here. Nothing is downloaded:
            what lacks its model is in `missing`.
        sample_rate: Of samples, Hz; a file has its own.
        frames: Keep the spectral features of every frame, in `tracks.frames`.
        tracks: Keep loudness, pitch and the waveform's outline over time, and paint the spectrogram.

    Raises:
        ValueError: Not audio, an unknown field, samples without a rate or of the wrong shape.
        OSError: The file cannot be read.
    """
    wanted = FIELDS if fields is None else tuple(dict.fromkeys([fields] if isinstance(fields, str) else fields))
    unknown = [name for name in wanted if name not in FIELDS]
    if unknown:
        message = f"got field {unknown[0]!r}; expected some of {', '.join(FIELDS)}"
        raise ValueError(message)
    measured = [name for name in wanted if name in MEASURED]
    if isinstance(audio, (str, os.PathLike)):
        if sample_rate is not None:
            message = f"got sample_rate={sample_rate} for a file; a file has its own: leave it out"
            raise ValueError(message)
        found = _core.analyze_file(Path(audio), measured, frames, tracks)
        name = Path(audio).name
    else:
        if sample_rate is None:
            message = "got samples without sample_rate; expected their rate in Hz, such as sample_rate=16000"
            raise ValueError(message)
        found = _core.analyze_samples(_frames(audio), sample_rate, measured, frames, tracks)
        name = ""
    header, values_json, kept, skipped_packets = found
    values: dict[str, Any] = json.loads(values_json)
    if header is not None:
        values["container"] = {**json.loads(header), "skipped_packets": skipped_packets}
    missing: dict[str, str] = {}
    needs_model = [name for name in wanted if name in MODELS]
    if needs_model:
        _with_models(audio, sample_rate, needs_model, values, missing)
    return Analysis(values, _tracks(kept), missing, bytes(kept["picture"]), name)


def _frames(audio: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """`[n_samples, n_channels]` of samples as they are given."""
    array = np.asarray(audio)
    if array.ndim not in {1, 2} or (array.ndim == 2 and array.shape[1] == 0):
        message = f"samples have shape {list(array.shape)}; expected [n_samples] or [n_samples, n_channels]"
        raise ValueError(message)
    if not np.issubdtype(array.dtype, np.floating):
        message = f"samples are {array.dtype}; expected floats in [-1, 1] (divide 16-bit integers by 32768)"
        raise ValueError(message)
    return np.asarray(array[:, np.newaxis] if array.ndim == 1 else array, dtype=np.float32)


def _tracks(kept: Mapping[str, Any]) -> Tracks:
    return Tracks(
        outline=np.stack([kept["outline_low"], kept["outline_high"]]),
        momentary_lufs=kept["momentary_lufs"],
        short_term_lufs=kept["short_term_lufs"],
        f0_hz=kept["f0_hz"],
        voiced_probability=kept["voiced_probability"],
        frames=dict(kept["frames"]),
    )


def _with_models(
    audio: str | os.PathLike[str] | npt.NDArray[np.floating],
    sample_rate: int | None,
    wanted: Sequence[str],
    values: dict[str, Any],
    missing: dict[str, str],
) -> None:
    """Adds what models hear, or why not."""
    present = []
    for name in wanted:
        absent = [model for model in MODELS[name] if not _is_present(model)]
        if absent:
            missing[name] = f"needs {' and '.join(absent)}; get them with: violet models fetch {' '.join(absent)}"
        else:
            present.append(name)
    if not present:
        return
    if isinstance(audio, (str, os.PathLike)):
        samples, _ = _core.load(Path(audio), SAMPLE_RATE)
    else:
        mono = np.nan_to_num(np.ascontiguousarray(_frames(audio).T).mean(axis=0), nan=0.0, posinf=0.0, neginf=0.0)
        assert sample_rate is not None  # checked by analyze
        samples = mono if sample_rate == SAMPLE_RATE else _core.resample(mono, sample_rate, SAMPLE_RATE)
    heard = {"speech": _speech, "speakers": _speakers, "language": _language, "quality": _quality}
    for name in present:
        values[name] = heard[name](samples)


def _is_present(model: str) -> bool:
    try:
        models.resolve(model, offline=True)
    except (_core.VioletError, OSError):
        return False
    return True


def _speech(samples: npt.NDArray[np.float32]) -> dict[str, Any]:
    from violet.vad import speech_timestamps

    duration_s = len(samples) / SAMPLE_RATE
    spans = speech_timestamps(samples) if len(samples) else []
    segments = [(span.start / SAMPLE_RATE, min(span.end / SAMPLE_RATE, duration_s)) for span in spans]
    syllables = _core.syllable_nuclei(samples, SAMPLE_RATE)
    account: dict[str, Any] = json.loads(_core.speech_account(segments, duration_s, syllables))
    return account


def _language(samples: npt.NDArray[np.float32]) -> dict[str, Any]:
    from violet import Transcriber

    if not samples.any():
        return {"code": None, "probability": None}
    heard = Transcriber(models.resolve(MODELS["language"][0], offline=True)).detect_language(samples)
    code = max(heard, key=heard.__getitem__)
    return {"code": code, "probability": heard[code]}


def _speakers(samples: npt.NDArray[np.float32]) -> dict[str, Any]:
    """How many speak, and when each does: pieces of 1.6 s by their voices."""
    from violet.quality import voice

    try:
        partials = voice(samples).partials if len(samples) else ()
    except ValueError:
        partials = ()
    if not partials:
        return {"n_speakers": 0, "turns": []}
    labels = _voices(np.stack([partial.embedding for partial in partials]))
    turns: list[dict[str, Any]] = []
    for partial, label in zip(partials, labels, strict=True):
        if turns and turns[-1]["speaker"] == label:
            turns[-1]["end_s"] = partial.end
            continue
        if turns:
            # Pieces overlap: the change is in the middle.
            turns[-1]["end_s"] = (turns[-1]["end_s"] + partial.start) / 2
        start_s = turns[-1]["end_s"] if turns else partial.start
        turns.append({"speaker": label, "start_s": max(start_s, partial.start), "end_s": partial.end})
    return {"n_speakers": max(labels) + 1, "turns": turns}


def _voices(pieces: npt.NDArray[np.float32]) -> list[int]:
    """Whose voice each piece is, `[n, n_dimensions]`, numbered by their first words.

    A piece in which one speaker follows another is like neither's pieces and a group of its own; it goes to whom it is
    nearer. So does a single piece that is like the middle of its neighbours, if not like each of them.
    """
    groups = np.array(_core.cluster_speakers(pieces, SPEAKER_THRESHOLD))
    found, sizes = groups.copy(), np.bincount(groups)
    for at in np.flatnonzero(sizes[groups] == 1):
        nearest = SPEAKER_THRESHOLD
        for beside in (at - 1, at + 1):
            if 0 <= beside < len(groups) and sizes[groups[beside]] > 1:
                centre = pieces[groups == groups[beside]].mean(axis=0)
                likeness = float(pieces[at] @ centre) / float(np.linalg.norm(centre) * np.linalg.norm(pieces[at]) or 1)
                if likeness >= nearest:
                    nearest, found[at] = likeness, groups[beside]
    order = list(dict.fromkeys(found.tolist()))
    return [order.index(group) for group in found.tolist()]


def _quality(samples: npt.NDArray[np.float32]) -> dict[str, float | None]:
    """What listeners would say of the first half minute with sound."""
    from violet.quality import mos

    sounding = np.flatnonzero(np.abs(samples) > 1e-3)
    if not len(sounding):
        return {"distillmos": None, "dnsmos_sig": None, "dnsmos_bak": None, "dnsmos_ovr": None, "dnsmos_p808": None}
    scores = mos(np.clip(samples[sounding[0] : sounding[0] + MAX_QUALITY_S * SAMPLE_RATE], -1.0, 1.0))
    quality: dict[str, float | None] = {"distillmos": scores.distillmos}
    if scores.dnsmos is not None:
        quality.update({f"dnsmos_{name}": value for name, value in scores.dnsmos._asdict().items()})
    return quality
