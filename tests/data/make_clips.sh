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
encode -c:a libopus -b:a 12k -dtx 1 -frame_duration 60 -application voip clip_silk_dtx.opus
encode -c:a libopus -b:a 32k -ac 2 -af "pan=stereo|c0=c0|c1=0.5*c0" clip_stereo.opus
encode -c:a libopus -b:a 24k clip_opus.mp4
encode -c:a libopus -b:a 24k clip_opus.caf
encode -c:a pcm_u8 clip_u8.wav
encode -c:a pcm_s24le clip_s24.wav
encode -c:a pcm_s32le clip_s32.wav
encode -c:a pcm_f64le clip_f64.wav
encode -c:a pcm_mulaw -ar 8000 clip_mulaw.wav
encode -c:a pcm_s16be clip.aiff
encode -c:a pcm_s16le clip.caf
encode -c:a alac clip_alac.m4a
encode -c:a flac -f ogg clip_flac.oga
# Video: the first audio track is heard.
film() { ffmpeg -v error -y -f lavfi -i color=black:s=16x16:r=5:d=3 -ss 0.5 -t 3 -i jfk.flac -map_metadata -1 -fflags +bitexact -flags:v +bitexact -flags:a +bitexact -shortest "$@"; }
film -c:v mpeg4 -c:a aac -b:a 48k clip_video.mp4
film -c:v libvpx -b:v 10k -c:a libopus -b:a 24k clip_video.webm
film -c:v mpeg4 -c:a flac clip_video.mkv
# 5.1: the speech on every channel at another level, 1 s.
surround() { ffmpeg -v error -y -ss 0.5 -t 1 -i jfk.flac -map_metadata -1 -fflags +bitexact -flags:a +bitexact -af "pan=5.1(side)|FL=0.9*c0|FR=0.8*c0|FC=0.7*c0|LFE=0.6*c0|SL=0.5*c0|SR=0.4*c0" "$@"; }
surround -c:a pcm_s16le clip_51.wav
surround -c:a flac clip_51.flac
surround -c:a libvorbis -q:a 3 -ar 48000 clip_51.ogg
surround -ar 48000 -af "aresample=48000,pan=5.1|FL=0.9*c0|FR=0.8*c0|FC=0.7*c0|LFE=0.6*c0|BL=0.5*c0|BR=0.4*c0" -c:a libopus -b:a 128k clip_51.opus
# What is not read here: AMR would need a library that Debian's ffmpeg lacks; WMA and AC-3 stand for all.
encode -c:a wmav2 -b:a 32k clip.wma
encode -c:a ac3 -ar 48000 -b:a 64k clip.ac3
