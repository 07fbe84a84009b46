//! From an [`Input`] to a symphonia demuxer and decoder, and from symphonia's errors to ours.

use std::fs::File;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::OnceLock;

use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AC3, CODEC_ID_AC4, CODEC_ID_DCA, CODEC_ID_EAC3, CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3,
    CODEC_ID_PCM_ALAW, CODEC_ID_PCM_MULAW, CODEC_ID_SPEEX, CODEC_ID_TRUEHD, CODEC_ID_WAVPACK, CODEC_ID_WMA,
};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::{Hint, Probe, ProbeOptions};
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;

use super::found;
use super::input::Input;
use super::opus::{self, OpusPackets};
use crate::{Error, Result};

/// What a file must be, for error messages.
const EXPECTED: &str = "expected wav, flac, mp3, m4a/aac, ogg, opus, webm, aiff or caf";
/// What to do with a codec that this build does not have.
pub(super) const ADVICE: &str =
    "allow ffmpeg (allow_ffmpeg), or convert it, for example with: ffmpeg -i INPUT OUTPUT.flac";
/// Bytes searched for the start of a known format. Metadata before it does not count.
const MAX_PROBE_BYTES: u32 = 256 * 1024;

/// Opens a file for reading; a directory is none.
pub(super) fn open_file(path: &Path) -> Result<File> {
    let io_error = |source| Error::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io_error)?;
    if file.metadata().map_err(io_error)?.is_dir() {
        return Err(io_error(ErrorKind::IsADirectory.into()));
    }
    Ok(file)
}

/// Recognises the container by its content.
pub(super) fn new_demuxer<'s>(input: Input<'s>, name: &str) -> Result<Box<dyn FormatReader + 's>> {
    let head = input.head().to_vec();
    let source = MediaSourceStream::new(Box::new(input), MediaSourceStreamOptions::default());
    let format = known_formats().probe(&Hint::new(), source, FormatOptions::default(), MetadataOptions::default());
    format.map_err(|error| match (found::name(&head), &error) {
        (_, SymphoniaError::IoError(source)) if source.kind() != ErrorKind::UnexpectedEof => header_error(name, error),
        (Some(found), _) if found::is_silent(&head) => decode_error(name, format!("it is {found}; {EXPECTED}")),
        (Some(found), _) => Error::Unsupported(format!("{name}: it is {found}, which is not supported; {ADVICE}")),
        (None, _) => header_error(name, error),
    })
}

/// Runs decoding code so that a fault of a decoder, met by crafted bytes, is an error of this input and no panic.
pub(super) fn contain<T>(name: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    // What `run` captured is dropped or owned by the caller's stack frame and not looked at after a panic.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        Err(decode_error(name, "it is damaged in a way that the decoder cannot handle; send an intact file".to_owned()))
    })
}

/// The first audio track.
pub(super) fn audio_track(format: &dyn FormatReader, name: &str) -> Result<Track> {
    format.default_track(TrackType::Audio).cloned().ok_or_else(|| {
        let container = format.format_info().short_name;
        decode_error(name, format!("{container} without an audio track; {EXPECTED}"))
    })
}

fn known_formats() -> &'static Probe {
    static PROBE: OnceLock<Probe> = OnceLock::new();
    PROBE.get_or_init(|| {
        let options = ProbeOptions { max_probe_depth: MAX_PROBE_BYTES, ..ProbeOptions::default() };
        let mut probe = Probe::new_with_options(&options);
        symphonia::default::register_enabled_formats(&mut probe);
        probe
    })
}

/// A decoder for the track; of Opus to `opus`, leaving its start out if `trims_start`.
pub(super) fn new_decoder(
    name: &str,
    track: &Track,
    opus: opus::Output,
    trims_start: bool,
) -> Result<Box<dyn AudioDecoder>> {
    let params = audio_params(track, name)?;
    if opus::is_opus(params) {
        return match OpusPackets::new(params, opus, trims_start) {
            Ok(decoder) => Ok(Box::new(decoder)),
            Err(error) => Err(header_error(name, error)),
        };
    }
    // symphonia would cut an mp3 at the length of its tag, or at one that it estimates from the first frames, and lose
    // all else of a joined file or one with a variable bit rate.
    let options = AudioDecoderOptions::default().gapless(!is_mpeg_audio(track));
    let mut params = params.clone();
    if matches!(params.codec, CODEC_ID_PCM_ALAW | CODEC_ID_PCM_MULAW) {
        // symphonia's caf states the 8 bits that are stored, and its decoder wants none but the 16 that they become.
        (params.bits_per_sample, params.bits_per_coded_sample) = (None, None);
    }
    symphonia::default::get_codecs().make_audio_decoder(&params, &options).map_err(|error| match error {
        SymphoniaError::Unsupported(_) => {
            let codec = codec_name(params.codec);
            Error::Unsupported(format!("{name}: the audio codec {codec} is not supported; {ADVICE}"))
        }
        error => header_error(name, error),
    })
}

/// The audio parameters of the track.
pub(super) fn audio_params<'t>(track: &'t Track, name: &str) -> Result<&'t AudioCodecParameters> {
    let params = track.codec_params.as_ref().and_then(|params| params.audio());
    params.ok_or_else(|| decode_error(name, format!("the audio track has no parameters; {EXPECTED}")))
}

/// Refuses an input without bytes.
pub(super) fn check_not_empty(n_bytes: u64, name: &str) -> Result<()> {
    if n_bytes == 0 {
        return Err(decode_error(name, format!("the file is empty (0 bytes); {EXPECTED}")));
    }
    Ok(())
}

/// Whether the track is MPEG audio (mp1, mp2, mp3), which has no header for the whole.
pub(super) fn is_mpeg_audio(track: &Track) -> bool {
    let codec = track.codec_params.as_ref().and_then(|params| params.audio()).map(|params| params.codec);
    matches!(codec, Some(CODEC_ID_MP1 | CODEC_ID_MP2 | CODEC_ID_MP3))
}

fn codec_name(codec: AudioCodecId) -> String {
    let known = [
        (CODEC_ID_SPEEX, "speex"),
        (CODEC_ID_AC3, "ac3"),
        (CODEC_ID_EAC3, "eac3"),
        (CODEC_ID_AC4, "ac4"),
        (CODEC_ID_DCA, "dts"),
        (CODEC_ID_TRUEHD, "truehd"),
        (CODEC_ID_WAVPACK, "wavpack"),
        (CODEC_ID_WMA, "wma"),
    ];
    known.iter().find(|(id, _)| *id == codec).map_or_else(|| codec.to_string(), |(_, name)| (*name).to_owned())
}

pub(super) fn decode_error(name: &str, reason: String) -> Error {
    Error::Decode { name: name.to_owned(), reason }
}

/// The error for a file whose header symphonia refused.
fn header_error(name: &str, error: SymphoniaError) -> Error {
    match error {
        SymphoniaError::IoError(source) if source.kind() != ErrorKind::UnexpectedEof => {
            Error::Io { path: name.into(), source }
        }
        SymphoniaError::IoError(_) => decode_error(name, format!("the file ends within its header; {EXPECTED}")),
        SymphoniaError::Unsupported(what) if what.starts_with("core (probe)") => {
            decode_error(name, format!("not audio that can be recognised; {EXPECTED}"))
        }
        error => decode_error(name, format!("{error}; {EXPECTED}")),
    }
}
