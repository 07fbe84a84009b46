//! Which part of a decoded stream is to be heard: without the encoder's delay and padding.

use symphonia::core::formats::Track;

use super::opus::OpusHead;

/// Which part of one track is to be heard. The default is all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Edit {
    pub(super) track_id: u32,
    /// First tick of the media's clock to be heard, and the one after the last; after [`Edit::at`], frames.
    pub(super) start: u64,
    pub(super) end: Option<u64>,
    /// Ticks a second.
    pub(super) timescale: u32,
    /// Where the end is the encoder's claim: frames of padding after it. A stream that goes on after those was joined
    /// from several, and the claim was about the first.
    pub(super) padding: Option<u64>,
}

impl Edit {
    /// The same edit in frames of `sample_rate`.
    pub(super) fn at(self, sample_rate: u32) -> Self {
        if self.timescale == 0 || sample_rate == 0 {
            return Self { track_id: self.track_id, ..Self::default() };
        }
        let frames = |ticks: u64| rescale(ticks, sample_rate, self.timescale);
        Self { start: frames(self.start), end: self.end.map(frames), timescale: sample_rate, ..self }
    }

    /// The edit of iTunes' tag `iTunSMPB`: hexadecimal 0, frames of delay, frames of padding, frames in between.
    pub(super) fn from_gapless_tag(value: &str) -> Option<Self> {
        let mut fields = value.split_whitespace().skip(1).map(|field| u64::from_str_radix(field, 16).ok());
        let (delay, _padding, n_frames) = (fields.next()??, fields.next()??, fields.next()??);
        Some(Self { start: delay, end: (n_frames > 0).then(|| delay.saturating_add(n_frames)), ..Self::default() })
    }

    /// The edit of an Opus stream, in frames at 48 kHz.
    pub(super) fn from_pre_skip(head: Option<&[u8]>) -> Self {
        let head = head.and_then(OpusHead::parse);
        Self { start: head.map_or(0, |head| u64::from(head.pre_skip)), ..Self::default() }
    }

    /// The edit of an MPEG audio file with an encoder's tag.
    pub(super) fn from_encoder_tag(track: &Track) -> Self {
        let (Some(delay), Some(padding), Some(n_frames)) = (track.delay, track.padding, track.num_frames) else {
            return Self { start: u64::from(track.delay.unwrap_or(0)), ..Self::default() };
        };
        let start = u64::from(delay);
        Self { start, end: Some(start.saturating_add(n_frames)), padding: Some(u64::from(padding)), ..Self::default() }
    }

    /// Whether a stream that reached frame `position` shows the claimed end to be wrong.
    pub(super) fn is_outrun(&self, position: u64) -> bool {
        self.end.zip(self.padding).is_some_and(|(end, padding)| position > end.saturating_add(padding))
    }

    /// The part to be heard, as a range, of `len` frames that begin at frame `position`.
    pub(super) fn cut(self, position: u64, len: usize) -> (usize, usize) {
        let within = |frame: u64| usize::try_from(frame.saturating_sub(position)).map_or(len, |index| index.min(len));
        let end = self.end.map_or(len, within);
        (within(self.start).min(end), end)
    }
}

/// `ticks` of a clock with `from` ticks a second on one with `to`, rounded.
pub(super) fn rescale(ticks: u64, to: u32, from: u32) -> u64 {
    let from = u128::from(from.max(1));
    u64::try_from((u128::from(ticks) * u128::from(to) + from / 2) / from).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_cuts_blocks_wherever_they_lie() {
        let edit = Edit { start: 10, end: Some(25), ..Edit::default() };
        let heard = |position, len| edit.cut(position, len);
        assert_eq!((heard(0, 8), heard(8, 8), heard(16, 8), heard(24, 8)), ((8, 8), (2, 8), (0, 8), (0, 1)));
        assert_eq!((heard(0, 100), heard(32, 8)), ((10, 25), (0, 0)));
        assert_eq!(Edit::default().cut(1 << 40, 7), (0, 7));
    }

    #[test]
    fn a_claimed_end_can_be_outrun() {
        let mut track = Track::new(0);
        track.with_delay(10).with_padding(5).with_num_frames(100);
        let edit = Edit::from_encoder_tag(&track);
        assert_eq!(edit.cut(0, 200), (10, 110));
        assert!(!edit.is_outrun(115) && edit.is_outrun(116));
        assert!(!Edit::default().is_outrun(u64::MAX));
    }

    #[test]
    fn ticks_become_frames() {
        let edit = Edit { start: 1_000, end: Some(3_000), timescale: 1_000, ..Edit::default() };
        assert_eq!(edit.at(16_000).cut(0, 100_000), (16_000, 48_000));
        assert_eq!(edit.at(0).cut(0, 100), (0, 100));
    }

    #[test]
    fn the_tag_of_itunes_is_read() {
        let tag = " 00000000 00000840 000001CA 0000000000003F31 00000000";
        let edit = Edit::from_gapless_tag(tag).unwrap();
        assert_eq!(edit.cut(0, 100_000), (0x840, 0x840 + 0x3f31));
        assert_eq!(Edit::from_gapless_tag("00000000 00000840"), None);
        assert_eq!(Edit::from_gapless_tag("zz yy xx ww"), None);
    }
}
