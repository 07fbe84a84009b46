//! The packets of one track, in order, and what of their container is damaged.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use symphonia::core::errors::{Error as SymphoniaError, SeekErrorKind};
use symphonia::core::formats::{FormatReader, SeekMode, SeekTo, Track};
use symphonia::core::packet::Packet;
use symphonia::core::units::Timestamp;

use super::edit::rescale;
use super::{Limits, source};
use crate::{Error, Result};

/// Chained streams (a new header in mid-file) that one file may hold.
const MAX_CHAINED_STREAMS: usize = 10_000;

pub(super) struct Packets<'s> {
    name: String,
    format: Box<dyn FormatReader + 's>,
    track: Track,
    n_read: Arc<AtomicU64>,
    /// A packet that was looked at and not taken.
    peeked: Option<Packet>,
    /// Tick of the first decoded frame.
    first_tick: Option<i64>,
    /// Whether the decoder leaves out by itself what packets say is to be trimmed at their start.
    is_trimmed_by_decoder: bool,
    chained_streams: usize,
    /// The track began anew, and its decoder must.
    is_new_stream: bool,
    /// Damage that ended the reading.
    n_damaged: usize,
}

impl<'s> Packets<'s> {
    pub(super) fn new(
        format: Box<dyn FormatReader + 's>,
        track: Track,
        name: &str,
        n_read: Arc<AtomicU64>,
        is_trimmed_by_decoder: bool,
    ) -> Self {
        Self {
            name: name.to_owned(),
            format,
            track,
            n_read,
            peeked: None,
            first_tick: None,
            is_trimmed_by_decoder,
            chained_streams: 0,
            is_new_stream: false,
            n_damaged: 0,
        }
    }

    pub(super) fn track(&self) -> &Track {
        &self.track
    }

    /// Bytes that were there to be read so far; all of a file's.
    pub(super) fn n_bytes(&self) -> u64 {
        self.n_read.load(Ordering::Relaxed)
    }

    pub(super) fn n_damaged(&self) -> usize {
        self.n_damaged
    }

    /// Whether the next packet begins a new stream; told once.
    pub(super) fn is_new_stream(&mut self) -> bool {
        std::mem::take(&mut self.is_new_stream)
    }

    /// The next packet of the track; `None` at the end, and where the container is damaged beyond reading.
    pub(super) fn next(&mut self, limits: &Limits) -> Result<Option<Packet>> {
        if let Some(packet) = self.peeked.take() {
            return Ok(Some(packet));
        }
        loop {
            match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track.id => {
                    // What a decoder leaves out by itself is not among the decoded frames.
                    let trimmed = if self.is_trimmed_by_decoder { packet.trim_start.get().cast_signed() } else { 0 };
                    self.first_tick.get_or_insert(packet.pts.get().saturating_add(trimmed));
                    return Ok(Some(packet));
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(SymphoniaError::ResetRequired) => self.open_chained()?,
                Err(SymphoniaError::IoError(source)) if source.kind() == ErrorKind::FileTooLarge => {
                    drop(source);
                    limits.check_bytes(self.n_bytes())?;
                    return Ok(None);
                }
                Err(SymphoniaError::IoError(source)) if source.kind() != ErrorKind::UnexpectedEof => {
                    return Err(Error::Io { path: self.name.clone().into(), source });
                }
                Err(_) => {
                    self.n_damaged += 1;
                    return Ok(None);
                }
            }
        }
    }

    /// The packet that comes next, which stays there.
    pub(super) fn peek(&mut self, limits: &Limits) -> Result<Option<&Packet>> {
        self.peeked = self.next(limits)?;
        Ok(self.peeked.as_ref())
    }

    /// Goes to the packet with a frame, counted at `rate`; `false` if it could not be sought, and all before it comes.
    pub(super) fn seek(&mut self, frame: u64, rate: u32, limits: &Limits) -> Result<bool> {
        self.peek(limits)?;
        let (Some(first_tick), Some(time_base)) = (self.first_tick, self.track.time_base) else { return Ok(false) };
        let ticks = rescale(frame, time_base.denom.get(), 1).checked_div(u64::from(rate)).unwrap_or(0);
        let ticks = ticks / u64::from(time_base.numer.get());
        let ts = Timestamp::new(first_tick.saturating_add_unsigned(ticks));
        match self.format.seek(SeekMode::Accurate, SeekTo::Timestamp { ts, track_id: self.track.id }) {
            Ok(_) => {
                self.peeked = None;
                Ok(true)
            }
            // Past the end: there is nothing to hear.
            Err(SymphoniaError::SeekError(SeekErrorKind::OutOfRange)) => {
                while self.next(limits)?.is_some() {}
                Ok(false)
            }
            // A stream without an index, or a damaged one.
            Err(_) => Ok(false),
        }
    }

    /// How many frames, at `rate`, are before the packet, by its own time.
    pub(super) fn frames_before(&self, packet: &Packet, rate: u32) -> u64 {
        let ticks = packet.pts.get().saturating_sub(self.first_tick.unwrap_or(0));
        self.n_frames(u64::try_from(ticks).unwrap_or(0), rate)
    }

    /// Ticks of the track's clock in frames at `rate`.
    pub(super) fn n_frames(&self, ticks: u64, rate: u32) -> u64 {
        let Some(time_base) = self.track.time_base else { return 0 };
        let (numer, denom) = (u128::from(time_base.numer.get()), u128::from(time_base.denom.get()));
        let frames = u128::from(ticks) * numer * u128::from(rate) / denom;
        u64::try_from(frames).unwrap_or(u64::MAX)
    }

    /// A new logical stream follows in the same file, as in recordings of ogg radio.
    fn open_chained(&mut self) -> Result<()> {
        self.chained_streams += 1;
        if self.chained_streams > MAX_CHAINED_STREAMS {
            return Err(source::decode_error(&self.name, "the chain of streams in it has no end".to_owned()));
        }
        self.track = source::audio_track(&*self.format, &self.name)?;
        self.is_new_stream = true;
        Ok(())
    }
}
