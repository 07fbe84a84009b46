#!/bin/sh
# Clips in every format that is decoded, cut from jfk.flac (3 s from 0.5 s on, mono 16 kHz). Needs ffmpeg 5 or newer
# with libmp3lame, libvorbis and libopus. Run in this directory: sh make_clips.sh
set -eu
encode() { ffmpeg -v error -y -ss 0.5 -t 3 -i jfk.flac -map_metadata -1 -fflags +bitexact -flags:a +bitexact "$@"; }
encode -c:a pcm_s16le clip.wav
encode -c:a pcm_f32le clip_f32.wav
encode -c:a pcm_alaw -ar 8000 clip_alaw.wav
encode -c:a adpcm_ms clip_adpcm.wav
encode -c:a flac -sample_fmt s16 clip.flac
encode -c:a libmp3lame -q:a 4 clip.mp3
encode -c:a libmp3lame -q:a 4 -write_xing 0 clip_vbr_without_tag.mp3
encode -c:a libmp3lame -b:a 96k -ar 44100 -ac 2 clip_44k_stereo.mp3
encode -c:a libmp3lame -b:a 48k -ar 44100 clip_44k_mono.mp3
encode -c:a aac -b:a 48k clip.m4a
encode -c:a aac -b:a 48k -f adts clip.aac
encode -c:a libvorbis -q:a 3 clip.ogg
encode -c:a libvorbis -q:a 3 -f matroska clip.mkv
encode -c:a libopus -b:a 24k clip.opus
encode -c:a libopus -b:a 24k -f webm clip_opus.webm
