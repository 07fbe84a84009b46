#!/bin/sh
# Writes espeak.flac: the words of jfk.flac as espeak-ng 1.51 says them. Needs espeak-ng and ffmpeg.
set -eu
cd "$(dirname "$0")"
espeak-ng -v en-us --stdout "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country." |
    ffmpeg -hide_banner -loglevel error -y -i - -map_metadata -1 -fflags +bitexact -flags +bitexact -compression_level 12 espeak.flac
