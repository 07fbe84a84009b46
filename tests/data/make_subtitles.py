"""Golden values of the transcript's formats: openai-whisper's own writers on a fixed transcript.

Needs the file whisper/utils.py of openai-whisper 20250625, whose path is the argument:
    pip download --no-deps --no-binary :all: openai-whisper==20250625 && tar xf openai_whisper-20250625.tar.gz
    python make_subtitles.py openai_whisper-20250625/whisper/utils.py
Writes subtitles.json: {"transcript": .., "cases": [[format, options, text], ...]}; "plain" is the format without words.
"""

import importlib.util
import io
import json
import sys
from pathlib import Path

spec = importlib.util.spec_from_file_location("utils", sys.argv[1])
utils = importlib.util.module_from_spec(spec)
spec.loader.exec_module(utils)


def segment(start, *words):
    """A segment of (word, length, pause after it)."""
    timed, at = [], start
    for word, length, pause in words:
        timed.append({"word": word, "start": round(at, 2), "end": round(at + length, 2), "probability": 0.5})
        at += length + pause
    return {"start": timed[0]["start"], "end": timed[-1]["end"], "text": "".join(word for word, _, _ in words), "words": timed}


SEGMENTS = [
    segment(0.32, *[(f" {word}", 0.3, 0.0) for word in "And so, my fellow Americans, ask not what your".split()], (" country", 0.5, 0.2), (" can", 0.2, 0), (" do", 0.2, 0), (" for", 0.2, 0), (" you.", 0.4, 0)),
    segment(6.0, ("Ask", 0.25, 0.1), (" what", 0.2, 0.3), (" you", 0.1, 4.5), (" can", 0.2, 0), (" do\tfor", 0.5, 0), (" your", 0.2, 0), (" well-known,", 0.7, 0), (" indivisible,", 0.9, 0.01), (" country!", 0.555, 0)),
    segment(3599.99, ("今", 0.1, 0), ("日", 0.1, 0), ("は、", 0.2, 0), ("良", 0.1, 0), ("い", 0.1, 0), ("天", 0.1, 0), ("気", 0.1, 0), ("です", 0.2, 0), ("ね。", 0.3, 0)),
    segment(3605.1, (" مرحبا", 0.4, 0), (" بالعالم،", 0.5, 0.2), (" كيف", 0.3, 0), (" حالك؟", 0.4, 0)),
    segment(359_999.9945, (" far", 0.3, 0), (" away", 0.4, 0)),
]
OPTIONS = [
    {},
    {"highlight_words": True},
    {"max_line_width": 20},
    {"max_line_width": 12, "highlight_words": True},
    {"max_line_count": 2},
    {"max_line_width": 18, "max_line_count": 1},
    {"max_line_width": 18, "max_line_count": 2},
    {"max_line_width": 24, "max_line_count": 2, "highlight_words": True},
    {"max_words_per_line": 3},
    {"max_words_per_line": 4, "max_line_width": 10},
    {"max_words_per_line": 2, "highlight_words": True},
    {"max_line_width": 5, "max_line_count": 3, "max_words_per_line": 1},
]


def written(format_name, segments, options):
    """What openai-whisper would write to the file."""
    file = io.StringIO()
    utils.get_writer(format_name, "").write_result({"segments": segments}, file, options)
    return file.getvalue()


without_words = [{key: value for key, value in segment.items() if key != "words"} for segment in SEGMENTS]
cases = [[name, options, written(name, SEGMENTS, options)] for name in ("srt", "vtt") for options in OPTIONS]
cases += [[name, {}, written(name, SEGMENTS, {})] for name in ("txt", "tsv")]
cases += [[f"{name} without words", {}, written(name, without_words, {})] for name in ("srt", "vtt", "txt", "tsv")]

with Path("subtitles.json").open("w", encoding="utf-8") as file:
    transcript = {"text": "", "language": "en", "duration": 360_001.0, "segments": SEGMENTS}
    lines = ",\n".join("  " + json.dumps(case, ensure_ascii=False) for case in cases)
    file.write(f'{{"transcript": {json.dumps(transcript, ensure_ascii=False)},\n "cases": [\n{lines}\n ]}}\n')
