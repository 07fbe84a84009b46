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

LEFT = 34
"""Room for the scale beside a drawing."""

N_SPEAKER_COLOURS = 6
"""Colours of speakers, turned about the hues; more speakers begin again."""

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
svg{width:100%;height:auto;display:block}
img{display:block;width:calc(100%*960/996);margin-left:calc(100%*34/996);height:220px;object-fit:fill}
.key{font-weight:400;font-size:.85rem;color:var(--soft)}
.key i{display:inline-block;width:1em;height:3px;margin:0 .4em 0 1em;vertical-align:middle}
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
        case dict() if "speaker" in value:
            return f"{value['speaker'] + 1}: {span(value['start_s'], value['end_s'])}"
        case list() if len(value) > MAX_LISTED:
            return f"{len(value)} values"
        case list() if value and isinstance(value[0], list):
            return ", ".join(span(start, end) for start, end in value)
        case list():
            return ", ".join(shown(item) for item in value)
        case dict():
            return ", ".join(f"{name} {shown(inner)}" for name, inner in value.items()) or "-"
    return str(value)


def span(start: float, end: float) -> str:
    """A stretch of time, seconds."""
    return f"{start:.2f} to {end:.2f}"


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
    if who := turns(analysis):
        parts.append(f"<h2>Who speaks when</h2>{speakers(who, duration_s)}")
    if len(tracks.momentary_lufs):
        drawn = [(tracks.momentary_lufs, 0.4, 0.1, "var(--soft)"), (tracks.short_term_lufs, 3.0, 0.1, "var(--accent)")]
        parts.append(
            '<h2>Loudness, LUFS <span class="key"><i style="background:var(--soft)"></i>momentary'
            '<i style="background:var(--accent)"></i>short-term</span></h2>'
            f"{lines(drawn, duration_s, [-60.0, -48.0, -36.0, -24.0, -12.0, 0.0])}"
        )
    if len(tracks.f0_hz):
        drawn = [(tracks.f0_hz, 0.0, 0.01, "var(--second)")]
        parts.append(f"<h2>Pitch, Hz</h2>{lines(drawn, duration_s, [60.0, 100.0, 200.0, 300.0, 500.0], log=True)}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{STYLE}</style></head>'
        f"<body><h1>{title}</h1>{''.join(parts)}<h2>Values</h2>{html_table(analysis)}</body></html>\n"
    )


def segments(analysis: Analysis) -> list[tuple[float, float]]:
    """Stretches of speech, seconds."""
    speech: Any = analysis.values.get("speech") or {}
    return [(float(start), float(end)) for start, end in speech.get("segments_s", [])]


def turns(analysis: Analysis) -> list[tuple[int, float, float]]:
    """Speaker, start and end of every turn, seconds."""
    found: Any = analysis.values.get("speakers") or {}
    return [(int(turn["speaker"]), float(turn["start_s"]), float(turn["end_s"])) for turn in found.get("turns", [])]


def waveform(outline: npt.NDArray[np.float32], duration_s: float, speech: Iterable[tuple[float, float]]) -> str:
    """The waveform's outline over stretches of speech."""
    marks = "".join(
        f'<rect {_span(start, end, duration_s)} y="0" height="{HEIGHT}" fill="var(--accent)" opacity=".14">'
        f"<title>speech {start:.2f} to {end:.2f} s</title></rect>"
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
    return _svg(marks + shape, duration_s, [("1", 0.0), ("0", HEIGHT / 2), ("-1", float(HEIGHT))])


def speakers(who: Iterable[tuple[int, float, float]], duration_s: float) -> str:
    """A row for every speaker, with the stretches in which each speaks."""
    who = list(who)
    rows = max(speaker for speaker, _, _ in who) + 1
    row = HEIGHT / 6
    marks = "".join(
        f'<rect {_span(start, end, duration_s)} y="{speaker * row + 2:.1f}" height="{row - 4:.1f}" rx="2" '
        f'fill="hsl({265 + speaker % N_SPEAKER_COLOURS * 360 // N_SPEAKER_COLOURS} 55% 55%)">'
        f"<title>speaker {speaker + 1}: {start:.2f} to {end:.2f} s</title></rect>"
        for speaker, start, end in who
    )
    scale = [(str(speaker + 1), (speaker + 0.5) * row) for speaker in range(rows)]
    return _svg(marks, duration_s, scale, height=rows * row, is_ruled=False)


def lines(
    tracks: Iterable[tuple[npt.NDArray[np.float64], float, float, str]],
    duration_s: float,
    scale: Sequence[float],
    *,
    log: bool = False,
) -> str:
    """Lines over time: values, time of the first, seconds between them, colour. Lines break where there is no value."""
    of = math.log if log else float
    low, high = of(scale[0]), of(scale[-1])

    def height(value: float) -> float:
        return HEIGHT * (1 - min(max((of(value) - low) / (high - low), 0.0), 1.0))

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
            pieces[-1].append(f"{x:.1f},{height(value):.1f}")
        drawn.extend(
            f'<polyline points="{" ".join(piece)}" fill="none" stroke="{colour}" stroke-width="1.6" '
            'stroke-linecap="round" stroke-linejoin="round"/>'
            for piece in pieces
            if piece
        )
    return _svg("".join(drawn), duration_s, [(f"{value:g}", height(value)) for value in scale])


def _span(start: float, end: float, duration_s: float) -> str:
    """Where a stretch of time lies."""
    scale = WIDTH / max(duration_s, 1e-9)
    return f'x="{start * scale:.1f}" width="{max((end - start) * scale, 0.5):.1f}"'


def _times(duration_s: float) -> list[float]:
    """About eight round times of a recording, seconds."""
    if duration_s <= 0:
        return []
    steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200]
    step = next((step for step in steps if duration_s / step <= 9), 14_400)
    return [index * step for index in range(int(duration_s / step) + 1)]


def _clock(time_s: float) -> str:
    """A time for people."""
    if time_s < 60:
        return f"{time_s:g} s"
    hours, seconds = divmod(round(time_s), 3600)
    return f"{hours}:{seconds // 60:02}:{seconds % 60:02}" if hours else f"{seconds // 60}:{seconds % 60:02}"


def _svg(
    content: str,
    duration_s: float,
    scale: Iterable[tuple[str, float]],
    *,
    height: float = HEIGHT,
    is_ruled: bool = True,
) -> str:
    """A drawing with its scale to the left and times below."""
    parts = [f'<rect width="{WIDTH}" height="{height:g}" fill="none" stroke="var(--line)"/>']
    for label, y in scale:
        if is_ruled:
            parts.append(f'<path d="M0 {y:.1f}H{WIDTH}" stroke="var(--line)"/>')
        at = min(max(y + 4, 9), height)
        parts.append(f'<text x="-6" y="{at:.1f}" text-anchor="end">{label}</text>')
    for time_s in _times(duration_s):
        x = time_s / duration_s * WIDTH
        anchor = "start" if x < 10 else "end" if x > WIDTH - 20 else "middle"
        parts.append(f'<path d="M{x:.1f} 0V{height:g}" stroke="var(--line)"/>')
        parts.append(f'<text x="{x:.1f}" y="{height + 14:g}" text-anchor="{anchor}">{_clock(time_s)}</text>')
    box = f"{-LEFT} -2 {WIDTH + LEFT + 2} {height + 20:g}"
    return f'<svg viewBox="{box}" role="img">{"".join(parts)}{content}</svg>'
