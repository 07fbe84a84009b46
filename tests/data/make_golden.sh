#!/bin/sh
# What ffmpeg's decoders make of the lossy clips, as 16-bit FLAC: the first 1.2 s at the clip's own rate and channels.
# Needs ffmpeg 5 or newer. Run in this directory: sh make_golden.sh
set -eu
golden() { ffmpeg -v error -y $decoder -i "$1" -map 0:a:0 -map_metadata -1 -fflags +bitexact -flags:a +bitexact -t 1.2 -sample_fmt s16 "golden_$1.flac"; }
decoder=
for clip in clip.mp3 clip_44k_mono.mp3 clip.m4a clip.aac clip_video.mp4 clip.ogg clip_alaw.wav clip_mulaw.wav; do
    golden "$clip"
done
# libopus itself: ffmpeg's own decoder of Opus is two samples late.
decoder="-c:a libopus"
for clip in clip_silk_dtx.opus clip.opus clip_stereo.opus clip_51.opus; do
    golden "$clip"
done
# The mix of 5.1 to mono in 16 bits, where ffmpeg too divides by the sum of the weights.
ffmpeg -v error -y -i clip_51.wav -map_metadata -1 -fflags +bitexact -flags:a +bitexact -af "aformat=s16,pan=mono|c0<0.70710678*FL+0.70710678*FR+FC+0.5*SL+0.5*SR" -sample_fmt s16 golden_mono_of_clip_51.wav.flac
