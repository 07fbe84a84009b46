"""An analysis for people: a table in the terminal, and a page of its own."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from violet.analysis import Analysis

WIDTH, HEIGHT = 960, 150
"""Size of a drawing, in its own units."""

UNITS: Mapping[str, str] = {
    "dbfs": "dBFS",
    "dbtp": "dBTP",
    "lufs": "LUFS",
    "lu": "LU",
    "db": "dB",
    "hz": "Hz",
    "s": "s",
    "bpm": "bpm",
}
"""What the end of a value's name says of its unit."""

MAX_LISTED = 4
"""Longest list that is written out in a table."""

STYLE = """
:root{color-scheme:light dark;--ink:#1b1d22;--soft:#697080;--paper:#fff;--line:#dfe3ea;--accent:#5b3fa8;
--second:#c2410c}
@media(prefers-color-scheme:dark){:root{--ink:#e7e9ee;--soft:#98a0b0;--paper:#15171c;--line:#2c313b;
--accent:#a78bfa;--second:#fb923c}}
body{margin:2rem auto;max-width:62rem;padding:0 1rem;font:15px/1.5 system-ui,sans-serif;color:var(--ink);
background:var(--paper)}
h1{font-size:1.3rem;margin:0 0 1rem;overflow-wrap:anywhere}h2{font-size:1rem;margin:1.8rem 0 .3rem}
svg,img{width:100%;height:auto;display:block}img{border-radius:4px;height:220px;object-fit:fill}
table{border-collapse:collapse;width:100%}
td{padding:.15rem .6rem .15rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td:nth-child(2){text-align:right;font-variant-numeric:tabular-nums}th{text-align:left;padding:.9rem 0 .2rem}
.soft{color:var(--soft)}text{fill:var(--soft);font-size:11px}
"""


def table(analysis: Analysis) -> str:
    """The values in lines: field, name, number with its unit."""
    lines = []
    for section, rows in sections(analysis):
        lines.append(section)
        width = max((len(name) for name, _ in rows), default=0)
        lines.extend(f"  {name:<{width}}  {text}" for name, text in rows)
    lines.extend(f"missing: {name}: {reason}" for name, reason in analysis.missing.items())
    return "\n".join(lines)


def html_table(analysis: Analysis) -> str:
    """The values as an HTML table."""
    body = []
    for section, rows in sections(analysis):
        body.append(f'<tr><th colspan="2">{html.escape(section)}</th></tr>')
        body.extend(f"<tr><td>{html.escape(name)}</td><td>{html.escape(text)}</td></tr>" for name, text in rows)
    for name, reason in analysis.missing.items():
        body.append(f'<tr><td>{html.escape(name)}</td><td class="soft">{html.escape(reason)}</td></tr>')
    return f"<table>{''.join(body)}</table>"


def sections(analysis: Analysis) -> Iterable[tuple[str, list[tuple[str, str]]]]:
    """Title and rows of every field."""
    values = analysis.to_dict()
    values.pop("missing", None)
    plain = {name: value for name, value in values.items() if not isinstance(value, (dict, list))}
    yield "recording", [row(name, value) for name, value in plain.items() if name != "version"]
    for name, value in values.items():
        if isinstance(value, dict):
            yield name, [row(inner, number) for inner, number in value.items()]
        elif isinstance(value, list):
            yield name, [("mean", listed([item["mean"] for item in value])), ("std", listed([i["std"] for i in value]))]


def row(name: str, value: object) -> tuple[str, str]:
    """A value's name without its unit, and the value with it."""
    stem, _, end = name.rpartition("_")
    unit = UNITS.get(end, "") if stem else ""
    text = shown(value)
    return (stem if unit else name).replace("_", " "), f"{text} {unit}" if unit and text != "-" else text


def shown(value: object) -> str:
    """A value in a few characters."""
    match value:
        case None:
            return "-"
        case bool() | str():
            return str(value)
        case int():
            return f"{value:,}".replace(",", " ")
        case float():
            return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
        case {"mean": mean, "std": std}:
            return f"{shown(mean)} ± {shown(std)}"
        case list() if value and isinstance(value[0], dict) and "mean" in value[0]:
            return listed([item["mean"] for item in value])
        case list() if len(value) > MAX_LISTED:
            return f"{len(value)} values"
        case list():
            return ", ".join(shown(item) for item in value)
        case dict():
            return ", ".join(f"{name} {shown(inner)}" for name, inner in value.items()) or "-"
    return str(value)


def listed(values: Sequence[float]) -> str:
    """A long list of numbers by its ends."""
    if len(values) <= 2 * MAX_LISTED:
        return ", ".join(shown(value) for value in values)
    return ", ".join(shown(value) for value in values[:MAX_LISTED]) + f", .. ({len(values)} values)"


def page(analysis: Analysis) -> str:
    """A page that needs nothing else: no scripts, no files, light or dark as the reader's screen."""
    title = html.escape(analysis.name or "recording")
    duration_s = float(analysis.values["duration_s"])
    tracks = analysis.tracks
    parts = [f"<h2>Waveform</h2>{waveform(tracks.outline, duration_s, segments(analysis))}"]
    if analysis.picture:
        data = base64.b64encode(analysis.picture).decode()
        parts.append(f'<h2>Spectrogram</h2><img alt="mel spectrogram" src="data:image/png;base64,{data}">')
    levels = [(tracks.momentary_lufs, 0.4, "var(--line)"), (tracks.short_term_lufs, 3.0, "var(--accent)")]
    if len(tracks.momentary_lufs):
        drawn = [(values, first, 0.1, colour) for values, first, colour in levels]
        parts.append(f"<h2>Loudness, LUFS (momentary, short-term)</h2>{lines(drawn, duration_s, (-60.0, 0.0))}")
    if len(tracks.f0_hz):
        drawn = [(tracks.f0_hz, 0.0, 0.01, "var(--second)")]
        parts.append(f"<h2>Pitch, Hz</h2>{lines(drawn, duration_s, (50.0, 500.0), log=True)}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{STYLE}</style></head>'
        f"<body><h1>{title}</h1>{''.join(parts)}<h2>Values</h2>{html_table(analysis)}</body></html>\n"
    )


def segments(analysis: Analysis) -> list[tuple[float, float]]:
    """Stretches of speech, seconds."""
    speech: Any = analysis.values.get("speech") or {}
    return [(float(start), float(end)) for start, end in speech.get("segments_s", [])]


def waveform(outline: npt.NDArray[np.float32], duration_s: float, speech: Iterable[tuple[float, float]]) -> str:
    """The waveform's outline over stretches of speech."""
    scale = WIDTH / max(duration_s, 1e-9)
    marks = "".join(
        f'<rect x="{start * scale:.1f}" y="0" width="{max((end - start) * scale, 0.5):.1f}" height="{HEIGHT}" '
        f'fill="var(--accent)" opacity=".14"><title>speech {start:.2f} to {end:.2f} s</title></rect>'
        for start, end in speech
    )
    low, high = outline
    shape = ""
    if len(low):
        pool = max(1, math.ceil(len(low) / WIDTH))
        tops = [float(high[at : at + pool].max()) for at in range(0, len(high), pool)]
        bottoms = [float(low[at : at + pool].min()) for at in range(0, len(low), pool)]
        step = WIDTH / len(tops)
        place = [f"{index * step:.1f},{HEIGHT / 2 * (1 - top):.1f}" for index, top in enumerate(tops)]
        place += [f"{index * step:.1f},{HEIGHT / 2 * (1 - bottoms[index]):.1f}" for index in reversed(range(len(tops)))]
        shape = f'<polygon points="{" ".join(place)}" fill="var(--accent)"/>'
    return _svg(marks + shape, duration_s)


def lines(
    tracks: Iterable[tuple[npt.NDArray[np.float64], float, float, str]],
    duration_s: float,
    limits: tuple[float, float],
    *,
    log: bool = False,
) -> str:
    """Lines over time: values, time of the first, seconds between them, colour. Lines break where there is no value."""
    scale = math.log if log else float
    low, high = scale(limits[0]), scale(limits[1])
    drawn: list[str] = []
    for values, first_s, step_s, colour in tracks:
        stride = max(1, len(values) // (2 * WIDTH))
        pieces: list[list[str]] = [[]]
        for index in range(0, len(values), stride):
            value = float(values[index])
            if not math.isfinite(value) or (log and value <= 0):
                pieces.append([])
                continue
            x = (first_s + index * step_s) / max(duration_s, 1e-9) * WIDTH
            share = min(max((scale(value) - low) / (high - low), 0.0), 1.0)
            pieces[-1].append(f"{x:.1f},{HEIGHT * (1 - share):.1f}")
        drawn.extend(
            f'<polyline points="{" ".join(piece)}" fill="none" stroke="{colour}" stroke-width="1.6" '
            'stroke-linecap="round"/>'
            for piece in pieces
            if piece
        )
    marks = "".join(
        f'<text x="4" y="{y}">{shown(float(limit))}</text>' for limit, y in ((limits[1], 12), (limits[0], HEIGHT - 4))
    )
    return _svg("".join(drawn) + marks, duration_s)


def _svg(content: str, duration_s: float) -> str:
    frame = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="var(--line)"/>'
    end = f"{duration_s:.1f} s"
    ends = f'<text x="0" y="{HEIGHT + 14}">0 s</text>'
    ends += f'<text x="{WIDTH}" y="{HEIGHT + 14}" text-anchor="end">{end}</text>'
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 18}" role="img">{frame}{content}{ends}</svg>'
