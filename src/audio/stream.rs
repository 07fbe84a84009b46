//! One open audio stream: sniffed by content, its packets decoded one by one, mixed and cut to what is to be heard.

use std::io::{ErrorKind, Seek};
use std::ops::Range;
use std::sync::atomic::Ordering;

use symphonia::core::audio::{Channels, GenericAudioBufferRef};
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::packet::Packet;

use super::edit::{Edit, rescale};
use super::header::Header;
use super::input::Input;
use super::mix::{Mix, layout_name, mix_planes, mono_weights};
use super::options::Options;
use super::packets::Packets;
use super::probe::Info;
use super::source::{self, ADVICE};
use super::tags::Tags;
use super::waveform::not_finite;
use super::{Limits, discard, edit_list, opus, tags};
use crate::{Error, Result};

/// Packets that a decoder may refuse in a row before it is replaced: some hold on to the channels that a stream began
/// with, and joined files change them.
const MAX_FAILED_PACKETS: usize = 4;
/// Packets in another sample rate that are taken for damage before the stream counts as changed.
const MAX_FOREIGN_PACKETS: usize = 32;

/// Audio that ends this much before its header says was cut off, seconds. Less is a rounded header.
const MAX_SHORTFALL_S: f64 = 0.1;
/// Longest stretch of lost packets that is heard as silence, seconds: what claims more is not believed.
const MAX_GAP_S: f64 = 10.0;

/// What is decoded before a point that was sought, seconds: decoders need earlier packets to be exact.
const PREROLL_S: f64 = 1.0;
/// Starts below this are decoded up to, not sought, seconds.
const LEAST_SEEK_S: f64 = 2.0;

/// An open stream: format reader, decoder, and the account of what was damaged.
pub(super) struct Stream<'s> {
    name: String,
    limits: Limits,
    packets: Packets<'s>,
    decoder: Box<dyn AudioDecoder>,
    info: Info,
    stated_s: Option<f64>,
    is_mpeg_audio: bool,
    /// What Opus is decoded to; `None` for other codecs.
    opus: Option<opus::Output>,
    mix: Mix,
    /// Every channel's weight in the mono mix, in the layout of the last packet.
    weights: Vec<f32>,
    layout: Option<Channels>,
    /// Rate of the decoded samples, Hz; Opus may be decoded to another than the stream's.
    rate: u32,
    is_seekable: bool,
    /// The stream was sought: packets' own times count until the start is reached.
    is_resyncing: bool,
    edit: Edit,
    last_padding_ns: u64,
    /// What lies behind the edit's claimed end, in case that more follows.
    held: Vec<f32>,
    /// Frames produced so far, before the edit: silence for damaged packets included.
    position: u64,
    /// Length of damaged packets that no good packet followed yet, frames.
    pending_silence: u64,
    /// Where the last packet begins by its own time, and how long it says it is, frames; `None` where there is none.
    last_packet: Option<(u64, u64)>,
    /// Frames of the last packet that was decoded.
    decoded_frames: u64,
    skipped_packets: usize,
    failed_packets: usize,
    foreign_packets: usize,
    /// The last packet: interleaved, or mixed to mono; the other is empty.
    interleaved: Vec<f32>,
    mono: Vec<f32>,
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
        let (mut edits, mut paddings, mut info_list) = (Vec::new(), Vec::new(), Tags::new());
        if let Some(n_bytes) = n_bytes {
            limits.check_bytes(n_bytes)?;
            edits = edit_list::read(&mut input, n_bytes).map_err(io_error)?;
            paddings = discard::read(&mut input, n_bytes).map_err(io_error)?;
            if discard::is_cut_off(&mut input, n_bytes).map_err(io_error)? {
                input.set_arriving();
            }
            tags::read_info_list(&mut input, n_bytes, &mut info_list).map_err(io_error)?;
            input.rewind().map_err(io_error)?;
        }
        let is_whole = input.n_bytes().is_some();
        let mut format = source::new_demuxer(input, name).map_err(|error| match error {
            Error::Io { source, .. } if source.kind() == ErrorKind::FileTooLarge => {
                let got_bytes = n_read.load(Ordering::Relaxed);
                Error::TooLarge { what: "audio file", got_bytes, limit_bytes: limits.max_bytes }
            }
            error => error,
        })?;
        let mut header = Header::read(&mut *format, name, options, &edits, &paddings)?;
        header.check(limits)?;
        for (name, value) in info_list {
            header.info.tags.entry(name).or_insert(value);
        }
        Ok(Self {
            name: name.to_owned(),
            limits: limits.clone(),
            packets: Packets::new(format, header.track, name, n_read, !header.is_mpeg_audio),
            decoder: header.decoder,
            is_seekable: is_whole && is_sought_exactly(&header.info),
            info: header.info,
            stated_s: header.stated_s,
            is_mpeg_audio: header.is_mpeg_audio,
            opus: header.opus,
            mix: options.mix,
            weights: Vec::new(),
            layout: None,
            rate: header.rate,
            is_resyncing: false,
            edit: header.edit,
            last_padding_ns: header.last_padding_ns,
            held: Vec::new(),
            position: 0,
            pending_silence: 0,
            last_packet: None,
            decoded_frames: 0,
            skipped_packets: 0,
            failed_packets: 0,
            foreign_packets: 0,
            interleaved: Vec::new(),
            mono: Vec::new(),
            samples: Vec::new(),
            block: 0..0,
        })
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
        self.skipped_packets + self.packets.n_damaged()
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
        self.packets.n_bytes()
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
            if let Some(packet) = self.packets.peek(&self.limits)?.cloned() {
                self.decode_planes(&packet)?;
                self.decoder.reset();
            }
        }
        let frames = |seconds: f64| (seconds * f64::from(self.rate)).round() as u64;
        let target = self.edit.start.saturating_add(frames(start_s));
        let early = target.saturating_sub(frames(PREROLL_S));
        self.edit.start = target;
        if self.is_seekable && start_s >= LEAST_SEEK_S && self.packets.seek(early, self.rate, &self.limits)? {
            self.decoder.reset();
            self.is_resyncing = true;
        }
        Ok(())
    }

    /// Goes to the next samples, never empty; `false` at the end of the stream or of what is readable of it.
    pub(super) fn next_block(&mut self) -> Result<bool> {
        while let Some(packet) = self.packets.next(&self.limits)? {
            if self.is_resyncing {
                self.position = self.position_of(&packet);
                self.pending_silence = 0;
            }
            self.notice_loss(&packet);
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
        let is_cut_off = self.stated_s.is_some_and(|stated_s| self.position_s() < stated_s - MAX_SHORTFALL_S);
        if is_cut_off && self.skipped_packets() == 0 {
            self.skipped_packets = 1;
        }
        Ok(false)
    }

    /// Length of the stream by its packets' times, seconds: reads on to the end, but decodes nothing.
    pub(super) fn walk(&mut self) -> Result<f64> {
        while let Some(packet) = self.packets.next(&self.limits)? {
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
        if self.last_padding_ns == 0 || self.packets.peek(&self.limits)?.is_some() {
            return Ok(0);
        }
        Ok(rescale(self.last_padding_ns, self.rate, 1_000_000_000))
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
        let frames = self.packets.frames_before(packet, self.rate);
        if self.opus.is_none() {
            return frames;
        }
        // All packets are multiples of 2.5 ms, but matroska's clock has milliseconds.
        let step = u64::from(self.rate / 400).max(1);
        frames.saturating_add(step / 2) / step * step
    }

    /// Decodes into `interleaved` or `mono`; returns the sample rate and the channels, or `None` if the packet is damaged.
    fn decode_planes(&mut self, packet: &Packet) -> Result<Option<(u32, usize)>> {
        let is_new_stream = self.packets.is_new_stream();
        if is_new_stream || self.failed_packets == MAX_FAILED_PACKETS {
            let opus = self.opus.unwrap_or_default();
            self.decoder = source::new_decoder(&self.name, self.packets.track(), opus, is_new_stream)?;
            self.failed_packets = 0;
        }
        match self.decoder.decode(packet) {
            Ok(buffer) => {
                self.failed_packets = 0;
                self.decoded_frames = buffer.frames() as u64;
                let spec = buffer.spec();
                if self.layout.as_ref() != Some(spec.channels()) {
                    self.weights = mono_weights(spec.channels());
                    self.layout = Some(spec.channels().clone());
                }
                match &buffer {
                    GenericAudioBufferRef::F32(planes) if self.mix == Mix::Mono => {
                        self.interleaved.clear();
                        mix_planes(&mut self.mono, planes, &self.weights);
                    }
                    _ => {
                        self.mono.clear();
                        buffer.copy_to_vec_interleaved(&mut self.interleaved);
                    }
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
        let Some((sample_rate, n_channels)) = self.decode_planes(packet)? else { return Ok(false) };
        if self.position == 0 {
            self.limits.check_sample_rate(sample_rate)?;
            self.limits.check_channels(n_channels)?;
            self.rate = sample_rate;
            if self.opus.is_none() {
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
        if !self.mono.is_empty() {
            self.samples.extend_from_slice(&self.mono);
        } else if self.mix == Mix::All && n_channels != self.info.n_channels {
            // A joined file with other channels: missing ones repeat the last.
            for frame in self.interleaved.chunks_exact(n_channels.max(1)) {
                self.samples.extend((0..self.info.n_channels).map(|channel| frame[channel.min(n_channels - 1)]));
            }
        } else {
            self.mix.append(&mut self.samples, &self.interleaved, &self.weights);
        }
        if not_finite(&self.samples).is_none() {
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

    /// Counts what is missing before a packet: some containers drop what is damaged without a word, but tell times.
    fn notice_loss(&mut self, packet: &Packet) {
        // Matroska's times are rounded, and those of live recordings by the clock.
        let tolerance = match self.info.container.as_str() {
            "ogg" | "flac" => self.rate / 50,
            "matroska" => self.rate / 10,
            _ => return,
        };
        let begin = self.position_of(packet);
        // Matroska does not always tell how long a packet is: one that was decoded does.
        let end = self.last_packet.map(|(begin, n_frames)| begin.saturating_add(n_frames.max(self.decoded_frames)));
        let lost = end.map_or(0, |end| begin.saturating_sub(end));
        if lost > u64::from(tolerance) && !self.is_resyncing {
            self.skipped_packets += 1;
            self.pending_silence += lost.min((MAX_GAP_S * f64::from(self.rate)) as u64);
        }
        self.last_packet = (self.rate > 0).then(|| (begin, self.packet_frames(packet)));
    }

    /// Frames that the packet holds. Of MPEG audio all packets hold as many, and behind the claimed end of the first part
    /// of a joined file symphonia's numbers are no lengths.
    fn packet_frames(&self, packet: &Packet) -> u64 {
        if self.opus.is_some() {
            let trimmed = self.packets.n_frames(packet.trim_end.get(), self.rate);
            return rescale(opus::packet_frames(&packet.data), self.rate, opus::CLOCK_HZ).saturating_sub(trimmed);
        }
        if self.is_mpeg_audio { self.decoded_frames } else { self.packets.n_frames(packet.dur.get(), self.rate) }
    }
}

/// Whether what is found at a time is what is there when all before it is decoded. symphonia 0.6 counts blocks of ADPCM as
/// samples, and Matroska's times of Vorbis do not say that its first packet makes no sound.
fn is_sought_exactly(info: &Info) -> bool {
    let is_odd = info.codec.starts_with("adpcm") || (info.container == "matroska" && info.codec == "vorbis");
    !is_odd
}
