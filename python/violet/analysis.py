"""Analysis of recordings: what `violet analyze` measures."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from violet import _core, models
from violet.samples import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

MEASURED: tuple[str, ...] = tuple(_core.analysis_fields())
"""Fields that need no model."""

MODELS: Mapping[str, str] = {"speech": "silero-vad", "language": "base"}
"""Fields that need a model, and its name."""

FIELDS: tuple[str, ...] = (*MEASURED, *MODELS)
"""All fields that can be asked for."""


@dataclass(frozen=True)
class Tracks:
    """What a recording does over time; empty where it was not asked for."""

    outline: npt.NDArray[np.float32]
    """Least and greatest sample of equal parts, `[2, n]`."""
    momentary_lufs: npt.NDArray[np.float64]
    """Momentary loudness every 0.1 s from 0.4 s on; NaN or -inf in silence."""
    short_term_lufs: npt.NDArray[np.float64]
    """Short-term loudness every 0.1 s from 3 s on."""
    f0_hz: npt.NDArray[np.float64]
    """Pitch every 10 ms, Hz; NaN where unvoiced."""
    voiced_probability: npt.NDArray[np.float64]
    """Probability of voice every 10 ms."""
    frames: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    """Spectral features of every frame, `[n_rows, n_frames]`, by name."""


@dataclass(frozen=True)
class Analysis:
    """What was measured of one recording.

    Every field that was asked for is an attribute and an item: `analysis.loudness["integrated_lufs"]`. A value that does
    not exist, such as the loudness of silence, is None.
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
        audio: Path of a file, or float samples: `[n_samples]`, or `[n_samples, n_channels]` as `violet.load` gives them.
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
        found = _core.analyze_samples(_planar(audio), sample_rate, measured, frames, tracks)
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


def _planar(audio: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """`[n_channels, n_samples]` of samples as they are given."""
    array = np.asarray(audio)
    if array.ndim not in {1, 2} or (array.ndim == 2 and array.shape[1] == 0):
        message = f"samples have shape {list(array.shape)}; expected [n_samples] or [n_samples, n_channels]"
        raise ValueError(message)
    if not np.issubdtype(array.dtype, np.floating):
        message = f"samples are {array.dtype}; expected floats in [-1, 1] (divide 16-bit integers by 32768)"
        raise ValueError(message)
    rows = array[np.newaxis] if array.ndim == 1 else array.T
    return np.ascontiguousarray(rows, dtype=np.float32)


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
        try:
            models.resolve(MODELS[name], offline=True)
        except (_core.VioletError, OSError):
            missing[name] = f"needs the model {MODELS[name]}; get it with: violet models fetch {MODELS[name]}"
        else:
            present.append(name)
    if not present:
        return
    if isinstance(audio, (str, os.PathLike)):
        samples, _ = _core.load(Path(audio), SAMPLE_RATE)
    else:
        mono = np.nan_to_num(_planar(audio).mean(axis=0), nan=0.0, posinf=0.0, neginf=0.0)
        assert sample_rate is not None  # checked by analyze
        samples = mono if sample_rate == SAMPLE_RATE else _core.resample(mono, sample_rate, SAMPLE_RATE)
    for name in present:
        values[name] = _speech(samples, values["duration_s"]) if name == "speech" else _language(samples)


def _speech(samples: npt.NDArray[np.float32], duration_s: float) -> dict[str, Any]:
    from violet.vad import speech_timestamps

    spans = speech_timestamps(samples) if len(samples) else []
    segments = [(span.start / SAMPLE_RATE, min(span.end / SAMPLE_RATE, duration_s)) for span in spans]
    account: dict[str, Any] = json.loads(_core.speech_account(segments, duration_s, None))
    return account


def _language(samples: npt.NDArray[np.float32]) -> dict[str, Any]:
    from violet import Transcriber

    if not samples.any():
        return {"code": None, "probability": None}
    heard = Transcriber(models.resolve(MODELS["language"], offline=True)).detect_language(samples)
    code = max(heard, key=heard.__getitem__)
    return {"code": code, "probability": heard[code]}
