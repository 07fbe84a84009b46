"""Decoding to 16 kHz mono beside ffmpeg, and log-mel features beside librosa: user CPU seconds for 10 minutes.

    python benches/compare/audio.py --work DIR [--rounds 5]

Makes 10 minutes of every format from the speech in tests/data with ffmpeg, once, in DIR. Every side runs in a process
of its own, one thread; the least user CPU time of the rounds counts, without the start of Python.
"""

import argparse
import os
import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODECS = {
    "mp3": ["-b:a", "128k"],
    "flac": [],
    "m4a": ["-c:a", "aac", "-b:a", "128k"],
    "ogg": ["-c:a", "libvorbis", "-q:a", "4"],
    # Opus has no 44.1 kHz.
    "opus": ["-c:a", "libopus", "-b:a", "64k", "-ar", "48000"],
    "webm": ["-c:a", "libopus", "-ac", "1", "-b:a", "32k", "-ar", "48000"],
}
START = "import sys, resource; now = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_utime\n"
VIOLET = (
    START + "import violet; t = now(); n = sum(len(b) for b in violet.stream(sys.argv[1], 16000)); print(now() - t)"
)
MEL = (
    START + "import numpy as np, violet; x = np.random.default_rng(0).normal(0, .1, 9_600_000).astype('float32')\n"
    "violet.log_mel(x[:16000]); t = now(); violet.log_mel(x); print(now() - t)"
)
LIBROSA = (
    START + "import numpy as np, librosa; x = np.random.default_rng(0).normal(0, .1, 9_600_000).astype('float32')\n"
    "mel = librosa.feature.melspectrogram\n"
    "f = lambda x: librosa.power_to_db(mel(y=x, sr=16000, n_fft=400, hop_length=160, n_mels=80))\n"
    "f(x[:16000]); t = now(); f(x); print(now() - t)"
)
ONE_THREAD = {**os.environ, "RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def python(code: str, *arguments: str) -> float:
    """What the code measures of itself, seconds."""
    command = [sys.executable, "-c", code, *arguments]
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=ONE_THREAD).stdout)


def ffmpeg(path: Path) -> float:
    """User CPU time of ffmpeg decoding the file to 16 kHz mono, seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    options = ["-ac", "1", "-ar", "16000", "-f", "f32le", "-y", os.devnull]
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-threads", "1", "-i", str(path), *options], check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="directory for the 10 minutes of audio")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    print(f"{'10 min':<8}{'violet s':>10}{'ffmpeg s':>10}{'ratio':>8}")
    for ending, options in CODECS.items():
        path = args.work / f"ten.{ending}"
        if not path.exists():
            speech = ["-stream_loop", "60", "-i", str(ROOT / "tests/data/jfk.flac"), "-t", "600", "-ar", "44100"]
            stereo = ["-af", "aresample=44100,pan=stereo|c0=c0|c1=0.8*c0,aecho=0.8:0.7:23:0.3"]
            part = path.with_stem("part")
            subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *speech, *stereo, *options, "-y", part], check=True)
            part.rename(path)
        pairs = [(python(VIOLET, str(path)), ffmpeg(path)) for _ in range(args.rounds)]
        ours, theirs = min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
        print(f"{ending:<8}{ours:>10.3f}{theirs:>10.3f}{ours / theirs:>8.2f}", flush=True)
    ours = min(python(MEL) for _ in range(args.rounds))
    try:
        theirs = min(python(LIBROSA) for _ in range(args.rounds))
    except subprocess.CalledProcessError:
        print(f"{'log-mel':<8}{ours:>10.3f}   (librosa is not installed)")
    else:
        print(f"{'log-mel':<8}{ours:>10.3f}{theirs:>10.3f}{ours / theirs:>8.2f}   (librosa)")


if __name__ == "__main__":
    main()
