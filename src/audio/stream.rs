//! One open audio stream: sniffed by content, demuxed and decoded packet by packet to mono blocks.

use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::OnceLock;

use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AC3, CODEC_ID_AC4, CODEC_ID_DCA, CODEC_ID_EAC3, CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3, CODEC_ID_OPUS,
    CODEC_ID_SPEEX, CODEC_ID_TRUEHD, CODEC_ID_WAVPACK, CODEC_ID_WMA,
};
use symphonia::core::codecs::audio::{AudioCodecId, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::{Hint, Probe, ProbeOptions};
use symphonia::core::formats::{FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::packet::Packet;

use super::Limits;
use super::edit_list::{self, Edit};
use super::probe::Info;
use crate::{Error, Result};

/// What a file must be, for error messages.
const EXPECTED: &str = "expected wav, flac, mp3, m4a/aac or ogg-vorbis";
/// Bytes searched for the start of a known format. Metadata before it does not count.
const MAX_PROBE_BYTES: u32 = 256 * 1024;
/// Packets in another sample rate that are taken for damage before the stream counts as changed.
const MAX_FOREIGN_PACKETS: usize = 32;
/// Chained streams (a new header in mid-file) that one file may hold.
const MAX_CHAINED_STREAMS: usize = 10_000;

/// An open stream: format reader, decoder, and the account of what was damaged.
pub(super) struct Stream<'s> {
    name: String,
    limits: Limits,
    format: Box<dyn FormatReader + 's>,
    decoder: Box<dyn AudioDecoder>,
    track: Track,
    info: Info,
    is_duration_exact: bool,
    edit: Edit,
    /// Frames produced so far, before the edit: silence for damaged packets included.
    position: u64,
    /// Length of damaged packets that no good packet followed yet, frames.
    pending_silence: u64,
    skipped_packets: usize,
    foreign_packets: usize,
    chained_streams: usize,
    interleaved: Vec<f32>,
    mono: Vec<f32>,
    block: Range<usize>,
}

impl<'s> Stream<'s> {
    /// Sniffs the format, opens the first audio track and checks the header against the limits.
    pub(super) fn open<R>(mut reader: R, name: &str, limits: &Limits) -> Result<Self>
    where
        R: Read + Seek + Send + Sync + 's,
    {
        let io_error = |source| Error::Io { path: name.into(), source };
        let n_bytes = reader.seek(SeekFrom::End(0)).map_err(io_error)?;
        if n_bytes == 0 {
            return Err(decode_error(name, format!("the file is empty (0 bytes); {EXPECTED}")));
        }
        limits.check_bytes(n_bytes)?;
        reader.rewind().map_err(io_error)?;
        let edits = edit_list::read(&mut reader, n_bytes).map_err(io_error)?;
        reader.rewind().map_err(io_error)?;

        let source = Source { inner: reader, n_bytes };
        let source = MediaSourceStream::new(Box::new(source), Default::default());
        let format = known_formats()
            .probe(&Hint::new(), source, Default::default(), Default::default())
            .map_err(|error| header_error(name, error))?;
        let track = format
            .default_track(TrackType::Audio)
            .cloned()
            .ok_or_else(|| decode_error(name, format!("{} without an audio track; {EXPECTED}", container(&*format))))?;
        let decoder = new_decoder(name, &track)?;

        let Some(params) = track.codec_params.as_ref().and_then(|params| params.audio()) else {
            return Err(decode_error(name, format!("the audio track has no parameters; {EXPECTED}")));
        };
        let sample_rate = params.sample_rate.unwrap_or(0);
        let n_channels = params.channels.as_ref().map_or(0, |channels| channels.count());
        let edit = edits.into_iter().find(|edit| edit.track_id == track.id).unwrap_or_default().at(sample_rate);
        let info = Info {
            duration_s: header_duration_s(&track, sample_rate, edit),
            sample_rate,
            n_channels,
            codec: decoder.codec_info().short_name.to_owned(),
            container: container(&*format).to_owned(),
        };
        let is_duration_exact = info.duration_s.is_some() && !is_estimate(&track);
        let stream = Self {
            name: name.to_owned(),
            limits: limits.clone(),
            format,
            decoder,
            track,
            info,
            is_duration_exact,
            edit,
            position: 0,
            pending_silence: 0,
            skipped_packets: 0,
            foreign_packets: 0,
            chained_streams: 0,
            interleaved: Vec::new(),
            mono: Vec::new(),
            block: 0..0,
        };
        stream.check_header()?;
        Ok(stream)
    }

    /// What the header says; sample rate and channels are those of the decoded audio once a block came.
    pub(super) fn info(&self) -> &Info {
        &self.info
    }

    /// Whether `info().duration_s` is a count and not an estimate from the bit rate.
    pub(super) fn is_duration_exact(&self) -> bool {
        self.is_duration_exact
    }

    /// Packets that were damaged: replaced by silence in mid-stream, missing at the end.
    pub(super) fn skipped_packets(&self) -> usize {
        self.skipped_packets
    }

    /// The mono samples that [`Self::next_block`] found.
    pub(super) fn block(&self) -> &[f32] {
        &self.mono[self.block.clone()]
    }

    /// Goes to the next mono samples, never empty; `false` at the end of the stream or of what is readable of it.
    pub(super) fn next_block(&mut self) -> Result<bool> {
        while let Some(packet) = self.next_packet()? {
            if !self.decode_packet(&packet)? {
                self.skip(&packet);
                continue;
            }
            let (start, end) = self.edit.cut(self.position, self.mono.len());
            self.position += self.mono.len() as u64;
            self.limits.check_duration(self.position_s())?;
            if start < end {
                self.block = start..end;
                return Ok(true);
            }
        }
        self.block = 0..0;
        Ok(false)
    }

    /// Length of the rest of the stream by its packets' headers, seconds; nothing is decoded.
    pub(super) fn walk(&mut self) -> Result<f64> {
        while let Some(packet) = self.next_packet()? {
            self.position += self.n_frames(packet.dur.get());
            self.limits.check_duration(self.position_s())?;
        }
        let (start, end) = self.edit.cut(0, usize::try_from(self.position).unwrap_or(usize::MAX));
        Ok((end - start) as f64 / f64::from(self.info.sample_rate))
    }

    fn check_header(&self) -> Result<()> {
        // Some containers leave these to the first packet: 0 stands for unknown.
        if self.info.sample_rate != 0 {
            self.limits.check_sample_rate(self.info.sample_rate)?;
        }
        if self.info.n_channels != 0 {
            self.limits.check_channels(self.info.n_channels)?;
        }
        match self.info.duration_s {
            Some(duration_s) if self.is_duration_exact => self.limits.check_duration(duration_s),
            _ => Ok(()),
        }
    }

    fn position_s(&self) -> f64 {
        self.position as f64 / f64::from(self.info.sample_rate.max(1))
    }

    /// The next packet of our track; `None` at the end, and where the container is damaged beyond reading.
    fn next_packet(&mut self) -> Result<Option<Packet>> {
        loop {
            match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track.id => return Ok(Some(packet)),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(SymphoniaError::ResetRequired) => self.open_chained()?,
                Err(SymphoniaError::IoError(source)) if source.kind() != ErrorKind::UnexpectedEof => {
                    return Err(Error::Io { path: self.name.clone().into(), source });
                }
                Err(_) => {
                    self.skipped_packets += 1;
                    return Ok(None);
                }
            }
        }
    }

    /// A new logical stream follows in the same file, as in recordings of ogg radio.
    fn open_chained(&mut self) -> Result<()> {
        self.chained_streams += 1;
        let track = self.format.default_track(TrackType::Audio).cloned();
        let Some(track) = track.filter(|_| self.chained_streams <= MAX_CHAINED_STREAMS) else {
            return Err(decode_error(&self.name, "the chain of streams in it has no end or no audio".to_owned()));
        };
        self.decoder = new_decoder(&self.name, &track)?;
        self.track = track;
        Ok(())
    }

    /// Decodes into `mono`, after the silence of damaged packets before it; `false` if the packet is damaged.
    fn decode_packet(&mut self, packet: &Packet) -> Result<bool> {
        let buffer = match self.decoder.decode(packet) {
            Ok(buffer) => buffer,
            Err(SymphoniaError::Unsupported(what)) if self.position == 0 => {
                let (name, codec) = (&self.name, &self.info.codec);
                return Err(Error::Unsupported(format!("{name}: {codec} with {what} is not supported; {}", advice())));
            }
            Err(_) => return Ok(false),
        };
        let (sample_rate, n_channels) = (buffer.spec().rate(), buffer.num_planes());
        if self.position == 0 {
            self.limits.check_sample_rate(sample_rate)?;
            self.limits.check_channels(n_channels)?;
            self.info.sample_rate = sample_rate;
            self.info.n_channels = n_channels;
        } else if sample_rate != self.info.sample_rate || n_channels > self.limits.max_channels {
            return self.tolerate_foreign(sample_rate);
        }
        self.foreign_packets = 0;
        buffer.copy_to_vec_interleaved(&mut self.interleaved);
        let silence = usize::try_from(std::mem::take(&mut self.pending_silence)).unwrap_or(0);
        self.mono.clear();
        self.mono.resize(silence, 0.0);
        downmix_into(&mut self.mono, &self.interleaved, n_channels);
        if self.mono.iter().all(|sample| sample.is_finite()) {
            return Ok(true);
        }
        self.mono.iter_mut().filter(|sample| !sample.is_finite()).for_each(|sample| *sample = 0.0);
        self.skipped_packets += 1;
        Ok(true)
    }

    /// A few packets with another sample rate are damage; many are another stream, which cannot follow this one.
    fn tolerate_foreign(&mut self, sample_rate: u32) -> Result<bool> {
        self.foreign_packets += 1;
        if self.foreign_packets <= MAX_FOREIGN_PACKETS {
            return Ok(false);
        }
        let (name, from, at_s) = (&self.name, self.info.sample_rate, self.position_s());
        Err(Error::Unsupported(format!(
            "{name}: the sample rate changes from {from} to {sample_rate} Hz at {at_s:.1} s; {}",
            advice()
        )))
    }

    /// Counts a damaged packet; its length becomes silence when a good packet follows, so that times stay true.
    fn skip(&mut self, packet: &Packet) {
        self.skipped_packets += 1;
        let longest = u64::from(self.info.sample_rate);
        self.pending_silence += self.n_frames(packet.dur.get()).min(longest);
        let limit = self.limits.max_duration_s * f64::from(self.info.sample_rate);
        self.pending_silence = self.pending_silence.min(limit as u64 + longest);
    }

    /// Ticks of the track's clock in audio frames.
    fn n_frames(&self, ticks: u64) -> u64 {
        let Some(time_base) = self.track.time_base else { return 0 };
        let (numer, denom) = (u128::from(time_base.numer.get()), u128::from(time_base.denom.get()));
        let frames = u128::from(ticks) * numer * u128::from(self.info.sample_rate) / denom;
        u64::try_from(frames).unwrap_or(u64::MAX)
    }
}

/// A reader with a known length, as symphonia wants it.
struct Source<R> {
    inner: R,
    n_bytes: u64,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl<R: Seek> Seek for Source<R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.inner.seek(to)
    }
}

impl<R: Read + Seek + Send + Sync> MediaSource for Source<R> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.n_bytes)
    }
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

fn new_decoder(name: &str, track: &Track) -> Result<Box<dyn AudioDecoder>> {
    let Some(params) = track.codec_params.as_ref().and_then(|params| params.audio()) else {
        return Err(decode_error(name, format!("the audio track has no parameters; {EXPECTED}")));
    };
    // Without a tag that states delay and padding, symphonia would cut an mp3 at a length estimated from its first
    // frames, and lose the end of a file with a variable bit rate.
    let options = AudioDecoderOptions::default().gapless(!is_estimate(track));
    symphonia::default::get_codecs().make_audio_decoder(params, &options).map_err(|error| match error {
        SymphoniaError::Unsupported(_) => {
            let codec = codec_name(params.codec);
            Error::Unsupported(format!("{name}: the audio codec {codec} is not supported; {}", advice()))
        }
        error => header_error(name, error),
    })
}

/// Whether the header's length of the track may be an estimate: MPEG audio without a tag.
fn is_estimate(track: &Track) -> bool {
    let codec = track.codec_params.as_ref().and_then(|params| params.audio()).map(|params| params.codec);
    let is_mpeg = matches!(codec, Some(CODEC_ID_MP1 | CODEC_ID_MP2 | CODEC_ID_MP3));
    is_mpeg && track.delay.is_none() && track.padding.is_none()
}

fn header_duration_s(track: &Track, sample_rate: u32, edit: Edit) -> Option<f64> {
    let frames = match (track.num_frames, track.duration, track.time_base) {
        (Some(frames), _, _) => frames,
        (None, Some(duration), Some(time_base)) => {
            let seconds = time_base.calc_duration(duration)?.as_secs_f64();
            (seconds * f64::from(sample_rate)).round() as u64
        }
        _ => return None,
    };
    let (start, end) = edit.cut(0, usize::try_from(frames).ok()?);
    (sample_rate > 0).then(|| (end - start) as f64 / f64::from(sample_rate))
}

fn container(format: &dyn FormatReader) -> &'static str {
    format.format_info().short_name
}

fn codec_name(codec: AudioCodecId) -> String {
    let known = [
        (CODEC_ID_OPUS, "opus"),
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

fn advice() -> &'static str {
    "convert it to wav, flac, mp3, m4a (aac) or ogg-vorbis, for example with: ffmpeg -i INPUT OUTPUT.flac"
}

fn decode_error(name: &str, reason: String) -> Error {
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

/// Appends the mean of the channels.
fn downmix_into(mono: &mut Vec<f32>, interleaved: &[f32], n_channels: usize) {
    match n_channels {
        0 => {}
        1 => mono.extend_from_slice(interleaved),
        2 => mono.extend(interleaved.chunks_exact(2).map(|frame| 0.5 * (frame[0] + frame[1]))),
        _ => {
            let scale = 1.0 / n_channels as f32;
            mono.extend(interleaved.chunks_exact(n_channels).map(|frame| scale * frame.iter().sum::<f32>()));
        }
    }
}
