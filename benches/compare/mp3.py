"""MP3 out beside LAME and shine (ffmpeg's libmp3lame and libshine): how near the decoded file is to what was written.

    python benches/compare/mp3.py SPEECH.wav [--rate 24000] [--bit-rate 64000]

Prints, of each encoder, the signal-to-noise ratio and the log-spectral distance up to 15 kHz of what ffmpeg decodes,
after the best shift, and how many samples it is longer: 0 where delay and padding are stated.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

import violet

Samples = npt.NDArray[np.float32]
FFMPEG = ["ffmpeg", "-nostdin", "-v", "error", "-y"]


def decoded(path: Path) -> Samples:
    """What ffmpeg makes of a file."""
    run = subprocess.run([*FFMPEG, "-i", str(path), "-f", "f32le", "-"], check=True, capture_output=True)
    return np.frombuffer(run.stdout, np.float32)


def shift(want: Samples, got: Samples) -> int:
    """By how much `got` is late, samples."""
    n = min(len(want), len(got), 1 << 17)
    size = 1 << (2 * n - 1).bit_length()
    cross = np.fft.irfft(np.fft.rfft(got[:n], size) * np.conj(np.fft.rfft(want[:n], size)), size)
    late = int(np.argmax(cross))
    return late if late < size // 2 else late - size


def spectra(samples: Samples) -> npt.NDArray[np.float64]:
    """Power spectra of frames of 1024 samples, dB."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, 1024)[::256] * np.hanning(1024)
    return 10 * np.log10(np.abs(np.fft.rfft(frames, axis=1)) ** 2 + 1e-7)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--rate", type=int, default=24_000)
    parser.add_argument("--bit-rate", type=int, default=64_000)
    found = parser.parse_args()
    want, rate = violet.load(found.speech, found.rate)
    n_bins = int(min(15_000, 0.45 * rate) / rate * 1024)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.wav"
        violet.save(source, want, rate, bits="float")
        for name in ("violet", "libshine", "libmp3lame"):
            target = Path(folder) / f"{name}.mp3"
            if name == "violet":
                violet.save(target, want, rate, bit_rate=found.bit_rate)
            else:
                options = ["-i", str(source), "-c:a", name, "-b:a", str(found.bit_rate), str(target)]
                subprocess.run([*FFMPEG, *options], check=True)
            got = decoded(target)
            late = shift(want, got)
            n = min(len(want), len(got)) - abs(late)
            reference, heard = want[max(-late, 0) :][:n], got[max(late, 0) :][:n]
            snr = 10 * np.log10(np.sum(reference**2) / np.sum((heard - reference) ** 2))
            apart = spectra(reference)[:, :n_bins] - spectra(heard)[:, :n_bins]
            distance = float(np.mean(np.sqrt(np.mean(apart**2, axis=1))))
            print(f"{name:<11} {snr:6.2f} dB SNR, {distance:5.2f} dB LSD, {len(got) - len(want)} samples longer")


if __name__ == "__main__":
    main()
