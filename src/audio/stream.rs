//! One open audio stream: sniffed by content, demuxed and decoded packet by packet to mono blocks.

use std::io::{ErrorKind, Seek};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::errors::{Error as SymphoniaError, SeekErrorKind};
use symphonia::core::formats::{FormatReader, SeekMode, SeekTo, Track};
use symphonia::core::packet::Packet;
use symphonia::core::units::Timestamp;

use super::edit::{Edit, rescale};
use super::input::Input;
use super::mix::{Mix, layout_name, mono_weights};
use super::options::Options;
use super::probe::{self, Info};
use super::source::{self, ADVICE};
use super::{Limits, discard, edit_list, opus};
use crate::{Error, Result};

/// Packets that a decoder may refuse in a row before it is replaced: some hold on to the channels that a stream began
/// with, and joined files change them.
const MAX_FAILED_PACKETS: usize = 4;
/// Packets in another sample rate that are taken for damage before the stream counts as changed.
const MAX_FOREIGN_PACKETS: usize = 32;
/// Chained streams (a new header in mid-file) that one file may hold.
const MAX_CHAINED_STREAMS: usize = 10_000;

/// What is decoded before a point that was sought, seconds: decoders need earlier packets to be exact.
const PREROLL_S: f64 = 1.0;
/// Starts below this are decoded up to, not sought, seconds.
const LEAST_SEEK_S: f64 = 2.0;

/// An open stream: format reader, decoder, and the account of what was damaged.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own about the stream")]
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
    is_opus: bool,
    opus: opus::Output,
    mix: Mix,
    /// Every channel's weight in the mono mix, in the layout of the last packet.
    weights: Vec<f32>,
    layout: Option<Channels>,
    /// Rate of the decoded samples, Hz; Opus may be decoded to another than the stream's.
    rate: u32,
    n_read: Arc<AtomicU64>,
    is_seekable: bool,
    /// A packet that was looked at and not taken.
    peeked: Option<Packet>,
    /// Tick of the first decoded frame.
    first_tick: Option<i64>,
    /// The stream was sought: packets' own times count until the start is reached.
    is_resyncing: bool,
    edit: Edit,
    /// Padding in the last packet, nanoseconds.
    last_padding_ns: u64,
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
    /// What is heard of the last packet, interleaved.
    samples: Vec<f32>,
    block: Range<usize>,
}

impl<'s> Stream<'s> {
    /// Sniffs the format, opens the first audio track and checks the header against the limits.
    pub(super) fn open(mut input: Input<'s>, name: &str, options: &Options) -> Result<Self> {
        let io_error = |source| Error::Io { path: name.into(), source };
        let limits = &options.limits;
        let (n_bytes, n_read) = (input.n_bytes(), input.n_read());
        source::check_not_empty(n_bytes.unwrap_or(1), name)?;
        let (mut edits, mut paddings) = (Vec::new(), Vec::new());
        if let Some(n_bytes) = n_bytes {
            limits.check_bytes(n_bytes)?;
            edits = edit_list::read(&mut input, n_bytes).map_err(io_error)?;
            paddings = discard::read(&mut input, n_bytes).map_err(io_error)?;
            input.rewind().map_err(io_error)?;
        }
        let mut format = source::new_demuxer(input, name).map_err(|error| match error {
            Error::Io { source, .. } if source.kind() == ErrorKind::FileTooLarge => {
                let got_bytes = n_read.load(Ordering::Relaxed);
                Error::TooLarge { what: "audio file", got_bytes, limit_bytes: limits.max_bytes }
            }
            error => error,
        })?;
        let track = source::audio_track(&*format, name)?;
        let params = source::audio_params(&track, name)?;
        let is_opus = opus::is_opus(params);
        let opus = opus_output(options, params.extra_data.as_deref());
        let decoder = source::new_decoder(name, &track, opus, false)?;
        let sample_rate = if is_opus { opus::CLOCK_HZ } else { params.sample_rate.unwrap_or(0) };
        let is_mpeg_audio = source::is_mpeg_audio(&track);
        let is_own = |padding: &&discard::Padding| padding.track == u64::from(track.id);
        let last_padding_ns = paddings.iter().find(is_own).map_or(0, |padding| padding.ns);
        let edit = match edits.into_iter().find(|edit| edit.track_id == track.id) {
            Some(edit) => edit.at(sample_rate),
            None if is_opus => Edit::from_pre_skip(params.extra_data.as_deref()),
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
            n_channels: params.channels.as_ref().map_or(0, Channels::count),
            codec: decoder.codec_info().short_name.to_owned(),
            container: format.format_info().short_name.to_owned(),
            layout: params.channels.as_ref().map(layout_name),
            bit_depth: probe::bit_depth(params),
            bit_rate: None,
            tags: probe::tags(&mut *format, track.id),
        };
        let rate = if is_opus { opus.sample_rate } else { sample_rate };
        let edit = if is_opus { Edit { timescale: sample_rate, ..edit }.at(rate) } else { edit };
        let stream = Self {
            name: name.to_owned(),
            limits: limits.clone(),
            format,
            decoder,
            track,
            info,
            stated_s,
            is_mpeg_audio,
            is_opus,
            opus,
            mix: options.mix,
            weights: Vec::new(),
            layout: None,
            rate,
            n_read,
            is_seekable: n_bytes.is_some(),
            peeked: None,
            first_tick: None,
            is_resyncing: false,
            edit,
            last_padding_ns,
            held: Vec::new(),
            position: 0,
            pending_silence: 0,
            decoded_frames: 0,
            skipped_packets: 0,
            failed_packets: 0,
            foreign_packets: 0,
            chained_streams: 0,
            interleaved: Vec::new(),
            samples: Vec::new(),
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

    /// Rate of the samples, Hz, once a block came; that of [`Self::info`] but for some Opus.
    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    /// Channels of the samples, once a block came.
    pub(super) fn n_output(&self) -> usize {
        self.mix.n_output(self.info.n_channels)
    }

    /// Bytes that were there to be read so far; all of a file's.
    pub(super) fn n_bytes(&self) -> u64 {
        self.n_read.load(Ordering::Relaxed)
    }

    /// The samples that [`Self::next_block`] found, interleaved.
    pub(super) fn block(&self) -> &[f32] {
        &self.samples[self.block.clone()]
    }

    /// Begins at `start_s` instead of the start; sought where that is possible, else decoded up to.
    pub(super) fn start_at(&mut self, start_s: f64) -> Result<()> {
        if start_s <= 0.0 {
            return Ok(());
        }
        if self.rate == 0 {
            // The first packet tells it.
            self.peeked = self.next_packet()?;
            if let Some(packet) = self.peeked.take() {
                self.decode_interleaved(&packet)?;
                self.decoder.reset();
                self.peeked = Some(packet);
            }
        }
        let frames = |seconds: f64| (seconds * f64::from(self.rate)).round() as u64;
        let target = self.edit.start.saturating_add(frames(start_s));
        let early = target.saturating_sub(frames(PREROLL_S));
        self.edit.start = target;
        if !self.is_seekable || start_s < LEAST_SEEK_S {
            return Ok(());
        }
        if self.peeked.is_none() {
            self.peeked = self.next_packet()?;
        }
        let (Some(first_tick), Some(time_base)) = (self.first_tick, self.track.time_base) else { return Ok(()) };
        let ticks = rescale(early, time_base.denom.get(), 1).checked_div(u64::from(self.rate)).unwrap_or(0);
        let ticks = ticks / u64::from(time_base.numer.get());
        let ts = Timestamp::new(first_tick.saturating_add_unsigned(ticks));
        match self.format.seek(SeekMode::Accurate, SeekTo::Timestamp { ts, track_id: self.track.id }) {
            Ok(_) => {
                self.decoder.reset();
                self.peeked = None;
                self.is_resyncing = true;
                Ok(())
            }
            // Past the end: there is nothing to hear.
            Err(SymphoniaError::SeekError(SeekErrorKind::OutOfRange)) => {
                self.peeked = None;
                while self.next_packet()?.is_some() {}
                Ok(())
            }
            // A stream without an index, or a damaged one: all before is decoded.
            Err(_) => Ok(()),
        }
    }

    /// Goes to the next samples, never empty; `false` at the end of the stream or of what is readable of it.
    pub(super) fn next_block(&mut self) -> Result<bool> {
        while let Some(packet) = self.next_packet()? {
            if self.is_resyncing {
                self.position = self.position_of(&packet);
                self.pending_silence = 0;
            }
            if !self.decode_packet(&packet)? {
                if !self.is_resyncing {
                    self.skip(&packet);
                }
                continue;
            }
            let n_output = self.n_output().max(1);
            let n_padding = usize::try_from(self.last_padding()?).unwrap_or(usize::MAX);
            let n_frames = (self.samples.len() / n_output).saturating_sub(n_padding);
            self.samples.truncate(n_frames * n_output);
            let (start, end) = self.edit.cut(self.position, n_frames);
            self.position += n_frames as u64;
            self.limits.check_duration(self.position_s())?;
            let n_decoded = self.position.saturating_mul(4 * self.info.n_channels as u64);
            self.limits.check_expansion(n_decoded, self.n_bytes())?;
            self.block = start * n_output..end * n_output;
            if self.edit.padding.is_some() {
                self.hold_back(end * n_output);
            }
            if !self.block.is_empty() {
                self.is_resyncing = false;
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
            let start = self.position_of(&packet);
            self.position = (self.position + n_frames).max(start.saturating_add(n_frames));
            self.limits.check_duration(self.position_s())?;
        }
        if self.edit.is_outrun(self.position) {
            self.edit.end = None;
        }
        self.position = self.position.saturating_sub(self.last_padding()?);
        let (start, end) = self.edit.cut(0, usize::try_from(self.position).unwrap_or(usize::MAX));
        Ok((end - start) as f64 / f64::from(self.rate.max(1)))
    }

    /// Frames of padding in the packet that was taken last; 0 for all but the last of the stream.
    fn last_padding(&mut self) -> Result<u64> {
        if self.last_padding_ns == 0 {
            return Ok(0);
        }
        self.peeked = self.next_packet()?;
        Ok(if self.peeked.is_none() { rescale(self.last_padding_ns, self.rate, 1_000_000_000) } else { 0 })
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

    /// Keeps what lies behind `end` of `samples`; once the stream has outrun its claimed end, that is heard too.
    fn hold_back(&mut self, end: usize) {
        self.held.extend_from_slice(&self.samples[end..]);
        if self.edit.is_outrun(self.position) {
            self.samples.truncate(end);
            self.samples.append(&mut self.held);
            self.block.end = self.samples.len();
            (self.edit.end, self.edit.padding) = (None, None);
        }
    }

    fn position_s(&self) -> f64 {
        self.position as f64 / f64::from(self.rate.max(1))
    }

    /// How many frames are decoded before the packet, by its own time.
    fn position_of(&self, packet: &Packet) -> u64 {
        let ticks = packet.pts.get().saturating_sub(self.first_tick.unwrap_or(0));
        let frames = self.n_frames(u64::try_from(ticks).unwrap_or(0));
        if !self.is_opus {
            return frames;
        }
        // All packets are multiples of 2.5 ms, but matroska's clock has milliseconds.
        let step = u64::from(self.rate / 400).max(1);
        (frames + step / 2) / step * step
    }

    /// The next packet of our track; `None` at the end, and where the container is damaged beyond reading.
    fn next_packet(&mut self) -> Result<Option<Packet>> {
        if let Some(packet) = self.peeked.take() {
            return Ok(Some(packet));
        }
        loop {
            match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track.id => {
                    // What a decoder leaves out by itself is not among the decoded frames.
                    let trimmed = if self.is_mpeg_audio { 0 } else { packet.trim_start.get().cast_signed() };
                    self.first_tick.get_or_insert(packet.pts.get().saturating_add(trimmed));
                    return Ok(Some(packet));
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(SymphoniaError::ResetRequired) => self.open_chained()?,
                Err(SymphoniaError::IoError(source)) if source.kind() == ErrorKind::FileTooLarge => {
                    drop(source);
                    self.limits.check_bytes(self.n_bytes())?;
                    return Ok(None);
                }
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
        self.decoder = source::new_decoder(&self.name, &track, self.opus, true)?;
        self.track = track;
        Ok(())
    }

    /// Decodes into `interleaved`; returns the sample rate and the channels, or `None` if the packet is damaged.
    fn decode_interleaved(&mut self, packet: &Packet) -> Result<Option<(u32, usize)>> {
        if self.failed_packets == MAX_FAILED_PACKETS {
            self.decoder = source::new_decoder(&self.name, &self.track, self.opus, false)?;
            self.failed_packets = 0;
        }
        match self.decoder.decode(packet) {
            Ok(buffer) => {
                self.failed_packets = 0;
                self.decoded_frames = buffer.frames() as u64;
                buffer.copy_to_vec_interleaved(&mut self.interleaved);
                let spec = buffer.spec();
                if self.layout.as_ref() != Some(spec.channels()) {
                    self.weights = mono_weights(spec.channels());
                    self.layout = Some(spec.channels().clone());
                }
                if self.rate == 0 {
                    self.rate = spec.rate();
                }
                Ok(Some((spec.rate(), buffer.num_planes())))
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
            self.rate = sample_rate;
            if !self.is_opus {
                self.info.sample_rate = sample_rate;
                self.info.n_channels = n_channels;
                self.info.layout = self.layout.as_ref().map(layout_name);
            }
            self.mix.check(self.info.n_channels, &self.name)?;
        } else if sample_rate != self.rate || n_channels > self.limits.max_channels {
            return self.tolerate_foreign(sample_rate);
        }
        self.foreign_packets = 0;
        let silence = usize::try_from(std::mem::take(&mut self.pending_silence)).unwrap_or(0);
        self.samples.clear();
        self.samples.resize(silence * self.n_output(), 0.0);
        if self.mix == Mix::All && n_channels != self.info.n_channels {
            // A joined file with other channels: missing ones repeat the last.
            for frame in self.interleaved.chunks_exact(n_channels.max(1)) {
                self.samples.extend((0..self.info.n_channels).map(|channel| frame[channel.min(n_channels - 1)]));
            }
        } else {
            self.mix.append(&mut self.samples, &self.interleaved, &self.weights);
        }
        if self.samples.iter().all(|sample| sample.is_finite()) {
            return Ok(true);
        }
        self.samples.iter_mut().filter(|sample| !sample.is_finite()).for_each(|sample| *sample = 0.0);
        self.skipped_packets += 1;
        Ok(true)
    }

    /// A few packets with another sample rate are damage; many are another stream, which cannot follow this one.
    fn tolerate_foreign(&mut self, sample_rate: u32) -> Result<bool> {
        self.foreign_packets += 1;
        if self.foreign_packets <= MAX_FOREIGN_PACKETS {
            return Ok(false);
        }
        let (name, from, at_s) = (&self.name, self.rate, self.position_s());
        Err(Error::Unsupported(format!(
            "{name}: the sample rate changes from {from} to {sample_rate} Hz at {at_s:.1} s; {ADVICE}"
        )))
    }

    /// Counts a damaged packet; its length becomes silence when a good packet follows, so that times stay true.
    fn skip(&mut self, packet: &Packet) {
        self.skipped_packets += 1;
        let longest = u64::from(self.rate);
        self.pending_silence += self.packet_frames(packet).min(longest);
        let limit = self.limits.max_duration_s * f64::from(self.rate);
        self.pending_silence = self.pending_silence.min(limit as u64 + longest);
    }

    /// Frames that the packet holds. Of MPEG audio all packets hold as many, and behind the claimed end of the first part
    /// of a joined file symphonia's numbers are no lengths.
    fn packet_frames(&self, packet: &Packet) -> u64 {
        if self.is_opus {
            let trimmed = self.n_frames(packet.trim_end.get());
            return rescale(opus::packet_frames(&packet.data), self.rate, opus::CLOCK_HZ).saturating_sub(trimmed);
        }
        if self.is_mpeg_audio { self.decoded_frames } else { self.n_frames(packet.dur.get()) }
    }

    /// Ticks of the track's clock in audio frames.
    fn n_frames(&self, ticks: u64) -> u64 {
        let Some(time_base) = self.track.time_base else { return 0 };
        let (numer, denom) = (u128::from(time_base.numer.get()), u128::from(time_base.denom.get()));
        let frames = u128::from(ticks) * numer * u128::from(self.rate) / denom;
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

/// What Opus packets are decoded to: at once to the wanted rate and to mono, which saves half of the work.
fn opus_output(options: &Options, head: Option<&[u8]>) -> opus::Output {
    let is_mono = options.mix == Mix::Mono;
    let step = |rate: u32| u16::try_from(opus::CLOCK_HZ / rate).unwrap_or(1);
    let is_whole = |rate: u32| {
        let head = head.and_then(opus::OpusHead::parse);
        [8_000, 12_000, 16_000, 24_000].contains(&rate) && head.is_some_and(|head| head.pre_skip % step(rate) == 0)
    };
    let sample_rate = options.sample_rate.filter(|&rate| is_whole(rate)).unwrap_or(opus::CLOCK_HZ);
    opus::Output { sample_rate, is_mono }
}
