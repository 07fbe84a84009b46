//! One open audio stream: sniffed by content, demuxed and decoded packet by packet to mono blocks.

use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::{FormatReader, Track};
use symphonia::core::packet::Packet;

use super::Limits;
use super::edit::Edit;
use super::edit_list;
use super::probe::Info;
use super::source::{self, ADVICE};
use crate::{Error, Result};

/// Packets that a decoder may refuse in a row before it is replaced: some hold on to the channels that a stream began
/// with, and joined files change them.
const MAX_FAILED_PACKETS: usize = 4;
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
    /// Length that the header states, seconds; estimates left out.
    stated_s: Option<f64>,
    is_mpeg_audio: bool,
    edit: Edit,
    /// What lies behind the edit's claimed end, in case that more follows.
    held: Vec<f32>,
    /// Frames produced so far, before the edit: silence for damaged packets included.
    position: u64,
    /// Length of damaged packets that no good packet followed yet, frames.
    pending_silence: u64,
    /// Frames of the last packet that was decoded.
    decoded_frames: u64,
    skipped_packets: usize,
    failed_packets: usize,
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
        source::check_not_empty(n_bytes, name)?;
        limits.check_bytes(n_bytes)?;
        reader.rewind().map_err(io_error)?;
        let edits = edit_list::read(&mut reader, n_bytes).map_err(io_error)?;
        reader.rewind().map_err(io_error)?;

        let mut format = source::new_demuxer(reader, n_bytes, name)?;
        let track = source::audio_track(&*format, name)?;
        let decoder = source::new_decoder(name, &track)?;
        let params = source::audio_params(&track, name)?;
        let sample_rate = params.sample_rate.unwrap_or(0);
        let n_channels = params.channels.as_ref().map_or(0, Channels::count);
        let is_mpeg_audio = source::is_mpeg_audio(&track);
        let edit = match edits.into_iter().find(|edit| edit.track_id == track.id) {
            Some(edit) => edit.at(sample_rate),
            None if is_mpeg_audio => Edit::from_encoder_tag(&track),
            None => gapless_tag(&mut *format).unwrap_or_default(),
        };
        let stated_s = if is_mpeg_audio {
            track
                .num_frames
                .filter(|_| edit.end.is_some())
                .map(|n_frames| n_frames as f64 / f64::from(sample_rate.max(1)))
        } else {
            header_duration_s(&*format, &track, sample_rate, edit)
        };
        let info = Info {
            duration_s: stated_s,
            sample_rate,
            n_channels,
            codec: decoder.codec_info().short_name.to_owned(),
            container: format.format_info().short_name.to_owned(),
        };
        let stream = Self {
            name: name.to_owned(),
            limits: limits.clone(),
            format,
            decoder,
            track,
            info,
            stated_s,
            is_mpeg_audio,
            edit,
            held: Vec::new(),
            position: 0,
            pending_silence: 0,
            decoded_frames: 0,
            skipped_packets: 0,
            failed_packets: 0,
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

    /// Length that the header states, seconds.
    pub(super) fn stated_s(&self) -> Option<f64> {
        self.stated_s
    }

    /// Whether the stream is as long as its header states. MPEG audio has tags of single parts, not a header.
    pub(super) fn is_length_in_header(&self) -> bool {
        self.stated_s.is_some() && !self.is_mpeg_audio
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
            self.block = start..end;
            if self.edit.padding.is_some() {
                self.hold_back(end);
            }
            if !self.block.is_empty() {
                return Ok(true);
            }
        }
        self.block = 0..0;
        Ok(false)
    }

    /// Length of the stream by its packets' times, seconds: reads on to the end, but decodes nothing.
    pub(super) fn walk(&mut self) -> Result<f64> {
        while let Some(packet) = self.next_packet()? {
            let n_frames = self.packet_frames(&packet);
            // Some containers do not tell a packet's length, but all tell when it begins.
            let start = u64::try_from(packet.pts.get()).map_or(0, |ticks| self.n_frames(ticks));
            self.position = (self.position + n_frames).max(start.saturating_add(n_frames));
            self.limits.check_duration(self.position_s())?;
        }
        if self.edit.is_outrun(self.position) {
            self.edit.end = None;
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
        self.limits.check_duration(self.stated_s.unwrap_or(0.0))
    }

    /// Keeps what lies behind `end` of `mono`; once the stream has outrun its claimed end, that is heard too.
    fn hold_back(&mut self, end: usize) {
        self.held.extend_from_slice(&self.mono[end..]);
        if self.edit.is_outrun(self.position) {
            self.mono.truncate(end);
            self.mono.append(&mut self.held);
            self.block.end = self.mono.len();
            (self.edit.end, self.edit.padding) = (None, None);
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
        if self.chained_streams > MAX_CHAINED_STREAMS {
            return Err(source::decode_error(&self.name, "the chain of streams in it has no end".to_owned()));
        }
        let track = source::audio_track(&*self.format, &self.name)?;
        self.decoder = source::new_decoder(&self.name, &track)?;
        self.track = track;
        Ok(())
    }

    /// Decodes into `interleaved`; returns the sample rate and the channels, or `None` if the packet is damaged.
    fn decode_interleaved(&mut self, packet: &Packet) -> Result<Option<(u32, usize)>> {
        if self.failed_packets == MAX_FAILED_PACKETS {
            self.decoder = source::new_decoder(&self.name, &self.track)?;
            self.failed_packets = 0;
        }
        match self.decoder.decode(packet) {
            Ok(buffer) => {
                self.failed_packets = 0;
                self.decoded_frames = buffer.frames() as u64;
                buffer.copy_to_vec_interleaved(&mut self.interleaved);
                Ok(Some((buffer.spec().rate(), buffer.num_planes())))
            }
            Err(SymphoniaError::Unsupported(what)) if self.position == 0 => {
                let (name, codec) = (&self.name, &self.info.codec);
                Err(Error::Unsupported(format!("{name}: {codec} with {what} is not supported; {ADVICE}")))
            }
            Err(_) => {
                self.failed_packets += 1;
                Ok(None)
            }
        }
    }

    /// Decodes into `mono`, after the silence of damaged packets before it; `false` if the packet is damaged.
    fn decode_packet(&mut self, packet: &Packet) -> Result<bool> {
        let Some((sample_rate, n_channels)) = self.decode_interleaved(packet)? else { return Ok(false) };
        if self.position == 0 {
            self.limits.check_sample_rate(sample_rate)?;
            self.limits.check_channels(n_channels)?;
            self.info.sample_rate = sample_rate;
            self.info.n_channels = n_channels;
        } else if sample_rate != self.info.sample_rate || n_channels > self.limits.max_channels {
            return self.tolerate_foreign(sample_rate);
        }
        self.foreign_packets = 0;
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
            "{name}: the sample rate changes from {from} to {sample_rate} Hz at {at_s:.1} s; {ADVICE}"
        )))
    }

    /// Counts a damaged packet; its length becomes silence when a good packet follows, so that times stay true.
    fn skip(&mut self, packet: &Packet) {
        self.skipped_packets += 1;
        let longest = u64::from(self.info.sample_rate);
        self.pending_silence += self.packet_frames(packet).min(longest);
        let limit = self.limits.max_duration_s * f64::from(self.info.sample_rate);
        self.pending_silence = self.pending_silence.min(limit as u64 + longest);
    }

    /// Frames that the packet holds. Of MPEG audio all packets hold as many, and behind the claimed end of the first part
    /// of a joined file symphonia's numbers are no lengths.
    fn packet_frames(&self, packet: &Packet) -> u64 {
        if self.is_mpeg_audio { self.decoded_frames } else { self.n_frames(packet.dur.get()) }
    }

    /// Ticks of the track's clock in audio frames.
    fn n_frames(&self, ticks: u64) -> u64 {
        let Some(time_base) = self.track.time_base else { return 0 };
        let (numer, denom) = (u128::from(time_base.numer.get()), u128::from(time_base.denom.get()));
        let frames = u128::from(ticks) * numer * u128::from(self.info.sample_rate) / denom;
        u64::try_from(frames).unwrap_or(u64::MAX)
    }
}

/// The length that the container states, without what is trimmed, seconds.
fn header_duration_s(format: &dyn FormatReader, track: &Track, sample_rate: u32, edit: Edit) -> Option<f64> {
    let media = format.media_info();
    let duration_s = match (track.num_frames, track.duration.zip(track.time_base), media.duration.zip(media.time_base))
    {
        (Some(n_frames), _, _) if sample_rate > 0 => n_frames as f64 / f64::from(sample_rate),
        (_, Some((duration, time_base)), _) | (_, None, Some((duration, time_base))) => {
            time_base.calc_duration(duration)?.as_secs_f64()
        }
        _ => return None,
    };
    let n_frames = (duration_s * f64::from(sample_rate)).round() as usize;
    let (start, end) = edit.cut(0, n_frames);
    (sample_rate > 0).then(|| (end - start) as f64 / f64::from(sample_rate))
}

/// The edit that iTunes' own tag states, in files without an edit list.
fn gapless_tag(format: &mut dyn FormatReader) -> Option<Edit> {
    let mut metadata = format.metadata();
    let tags = &metadata.skip_to_latest()?.media.tags;
    let tag = tags.iter().find(|tag| tag.raw.key.ends_with("iTunSMPB"))?;
    Edit::from_gapless_tag(&tag.raw.value.to_string())
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
