"""Golden log-mel features: openai-whisper's own function on jfk.flac.

Needs openai-whisper 20250625 (with torch), soundfile and numpy. Run in this directory: python make_log_mel.py
The archive log_mel_jfk.npz that it wrote is kept as raw little-endian f32 beside it, which Rust reads without a library.
With `--convert` only that second step runs (numpy alone).
"""

import sys

import numpy as np

if "--convert" not in sys.argv:
    import soundfile as sf
    from whisper.audio import N_SAMPLES, log_mel_spectrogram, pad_or_trim

    samples, sample_rate = sf.read("jfk.flac", dtype="float32")
    assert sample_rate == 16_000
    np.savez_compressed(
        "log_mel_jfk.npz",
        mel80=log_mel_spectrogram(samples, 80).numpy(),  # [80, n_frames]: no padding
        mel80_padded_sum=log_mel_spectrogram(pad_or_trim(samples, N_SAMPLES), 80).numpy().sum(axis=1),  # [80]: to 30 s
        mel128_every_8th=log_mel_spectrogram(samples, 128).numpy()[:, ::8],  # [128, ceil(n_frames / 8)]
    )
for name, values in np.load("log_mel_jfk.npz").items():
    values.astype("<f4").tofile(f"log_mel_jfk_{name}.bin")
    print(name, values.shape, values.dtype)
