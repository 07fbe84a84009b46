//! Opus packets to samples: `ropus` (libopus in Rust, bit-exact with its fixed-point build) as a symphonia decoder.
//!
//! Header, channel orders, gain and trimming: RFC 7845, sections 3, 4 and 5.1. Packet lengths: RFC 6716, section 3.1.

use ropus::OpusMSDecoder;
use symphonia::core::audio::{
    AsGenericAudioBufferRef, AudioBuffer, AudioMut, AudioSpec, Channels, GenericAudioBufferRef, Position,
};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, FinalizeResult};
use symphonia::core::errors::{Error as SymphoniaError, Result};
use symphonia::core::packet::PacketRef;

/// The clock of all Opus streams, Hz.
pub(super) const CLOCK_HZ: u32 = 48_000;
/// Longest packet, frames at 48 kHz: 120 ms.
const MAX_PACKET: usize = 5_760;

/// The identification header.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OpusHead {
    pub(super) n_channels: u8,
    /// Frames at 48 kHz to leave out at the start.
    pub(super) pre_skip: u16,
    /// Output gain in dB, Q7.8.
    gain: i16,
    n_streams: u8,
    n_coupled: u8,
    mapping: Vec<u8>,
    /// Mapping family 1: the channels stand in Vorbis' order.
    is_surround: bool,
}

impl OpusHead {
    /// Reads `OpusHead`, or the same of MP4, which has version 0 and other byte order.
    pub(super) fn parse(data: &[u8]) -> Option<Self> {
        let body = data.strip_prefix(b"OpusHead")?;
        let [version, n_channels, p0, p1, _, _, _, _, g0, g1, family, ref table @ ..] = *body else { return None };
        let (pre_skip, gain) = if version == 0 {
            (u16::from_be_bytes([p0, p1]), i16::from_be_bytes([g0, g1]))
        } else {
            (u16::from_le_bytes([p0, p1]), i16::from_le_bytes([g0, g1]))
        };
        let head = Self {
            n_channels,
            pre_skip,
            gain,
            n_streams: 1,
            n_coupled: n_channels.saturating_sub(1),
            mapping: vec![0, 1],
            is_surround: family == 1,
        };
        match (family, table) {
            (0, _) if (1..=2).contains(&n_channels) => Some(head),
            (1 | 2 | 255, [n_streams, n_coupled, mapping @ ..]) => {
                let mapping = mapping.get(..usize::from(n_channels))?.to_vec();
                Some(Self { n_streams: *n_streams, n_coupled: *n_coupled, mapping, ..head })
            }
            _ => None,
        }
    }

    /// The positions of its channels.
    pub(super) fn channels(&self) -> Channels {
        const LEFT: Position = Position::FRONT_LEFT;
        const STEREO: Position = LEFT.union(Position::FRONT_RIGHT);
        const REAR: Position = Position::REAR_LEFT.union(Position::REAR_RIGHT);
        const SIDE: Position = Position::SIDE_LEFT.union(Position::SIDE_RIGHT);
        const CENTRE: Position = Position::FRONT_CENTER;
        if !self.is_surround && self.n_channels > 2 {
            return Channels::Discrete(u16::from(self.n_channels));
        }
        Channels::Positioned(match self.n_channels {
            1 => LEFT,
            2 => STEREO,
            3 => STEREO | CENTRE,
            4 => STEREO | REAR,
            5 => STEREO | CENTRE | REAR,
            6 => STEREO | CENTRE | REAR | Position::LFE1,
            7 => STEREO | CENTRE | SIDE | Position::REAR_CENTER | Position::LFE1,
            8 => STEREO | CENTRE | SIDE | REAR | Position::LFE1,
            n => return Channels::Discrete(u16::from(n)),
        })
    }

    /// Where each channel of the output, which stand by position, is among the decoded ones, which stand in Vorbis' order.
    fn order(&self) -> Vec<usize> {
        match (self.is_surround, self.n_channels) {
            (true, 3) => vec![0, 2, 1],
            (true, 5) => vec![0, 2, 1, 3, 4],
            (true, 6) => vec![0, 2, 1, 5, 3, 4],
            (true, 7) => vec![0, 2, 1, 6, 5, 3, 4],
            (true, 8) => vec![0, 2, 1, 7, 5, 6, 3, 4],
            (_, n) => (0..usize::from(n)).collect(),
        }
    }
}

/// Frames at 48 kHz in a packet; 0 if it is none.
pub(super) fn packet_frames(packet: &[u8]) -> u64 {
    let Some(&toc) = packet.first() else { return 0 };
    let frame = match toc >> 3 {
        config @ 0..12 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        config @ 12..16 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let n_frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(0, |count| u64::from(count & 63)),
    };
    let total = frame * n_frames;
    if total <= MAX_PACKET as u64 { total } else { 0 }
}

/// What a packet is decoded to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Output {
    /// 8, 12, 16, 24 or 48 kHz.
    pub(super) sample_rate: u32,
    /// The mean of two channels in place of both.
    pub(super) is_mono: bool,
}

impl Default for Output {
    fn default() -> Self {
        Self { sample_rate: CLOCK_HZ, is_mono: false }
    }
}

/// Decodes the packets of one Opus stream.
pub(super) struct OpusPackets {
    head: OpusHead,
    params: AudioCodecParameters,
    decoder: OpusMSDecoder,
    order: Vec<usize>,
    pcm: Vec<i16>,
    buffer: AudioBuffer<f32>,
    /// Frames still to leave out, at the output's rate.
    trim: usize,
    output: Output,
}

impl OpusPackets {
    /// A decoder of the stream with these parameters. `trims_start` leaves the pre-skip out.
    pub(super) fn new(params: &AudioCodecParameters, output: Output, trims_start: bool) -> Result<Self> {
        let head = match params.extra_data.as_deref() {
            Some(data) => OpusHead::parse(data).ok_or(SymphoniaError::Unsupported("this channel mapping"))?,
            None => return Err(SymphoniaError::DecodeError("opus without a header")),
        };
        let is_mono = output.is_mono && head.n_channels == 2 && head.n_streams == 1;
        let (head, order, channels) = if is_mono {
            let mono = OpusHead { n_channels: 1, n_coupled: 0, ..head };
            (mono, vec![0], Channels::Positioned(Position::FRONT_LEFT))
        } else {
            let (order, channels) = (head.order(), head.channels());
            (head, order, channels)
        };
        let rate = output.sample_rate.cast_signed();
        let (n_channels, n_streams) = (i32::from(head.n_channels), i32::from(head.n_streams));
        let decoder = OpusMSDecoder::new(rate, n_channels, n_streams, i32::from(head.n_coupled), &head.mapping);
        let mut decoder = decoder.map_err(|_| SymphoniaError::DecodeError("opus: impossible channel mapping"))?;
        decoder.set_gain(i32::from(head.gain));
        let mut params = params.clone();
        params.channels = Some(channels.clone());
        params.sample_rate = Some(output.sample_rate);
        let trim = if trims_start { usize::from(head.pre_skip) } else { 0 };
        Ok(Self {
            pcm: vec![0; MAX_PACKET * order.len()],
            buffer: AudioBuffer::new(AudioSpec::new(output.sample_rate, channels), MAX_PACKET),
            trim: trim / (CLOCK_HZ / output.sample_rate) as usize,
            params,
            head,
            decoder,
            order,
            output,
        })
    }
}

impl AudioDecoder for OpusPackets {
    fn reset(&mut self) {
        self.decoder.reset();
        self.decoder.set_gain(i32::from(self.head.gain));
    }

    fn codec_info(&self) -> &CodecInfo {
        &CodecInfo { short_name: "opus", long_name: "Opus", profiles: &[] }
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.params
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        self.buffer.clear();
        let damaged = SymphoniaError::DecodeError("opus: damaged packet");
        if packet_frames(packet.data) == 0 {
            return Err(damaged);
        }
        let Ok(n_bytes) = i32::try_from(packet.data.len()) else { return Err(damaged) };
        let step = CLOCK_HZ / self.output.sample_rate;
        let longest = MAX_PACKET.cast_signed() as i32 / step.cast_signed();
        let n_frames = match self.decoder.decode(Some(packet.data), n_bytes, &mut self.pcm, longest, false) {
            Ok(n_frames) => usize::try_from(n_frames).unwrap_or(0),
            Err(_) => return Err(damaged),
        };
        let start = self.trim.min(n_frames);
        self.trim -= start;
        let past = usize::try_from(packet.trim_end.get()).unwrap_or(usize::MAX) / step as usize;
        let end = n_frames.saturating_sub(past).max(start);
        let n_channels = self.order.len();
        let frames = &self.pcm[start * n_channels..end * n_channels];
        self.buffer.render_uninit(Some(end - start));
        for (plane, &from) in self.order.iter().enumerate() {
            let Some(plane) = self.buffer.plane_mut(plane) else { return Err(damaged) };
            for (sample, frame) in plane.iter_mut().zip(frames.chunks_exact(n_channels)) {
                *sample = f32::from(frame[from]) / 32_768.0;
            }
        }
        Ok(self.buffer.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.buffer.as_generic_audio_buffer_ref()
    }
}

/// Whether these are the parameters of an Opus stream.
pub(super) fn is_opus(params: &AudioCodecParameters) -> bool {
    params.codec == CODEC_ID_OPUS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_ogg_and_mp4_are_read() {
        let ogg = OpusHead::parse(b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\x01\0").unwrap();
        assert_eq!((ogg.n_channels, ogg.pre_skip, ogg.gain, ogg.n_coupled), (2, 312, 256, 1));
        let mp4 = OpusHead::parse(b"OpusHead\0\x01\x01\x38\0\0\xbb\x80\0\0\0").unwrap();
        assert_eq!((mp4.n_channels, mp4.pre_skip, mp4.n_coupled), (1, 312, 0));
        let surround = b"OpusHead\x01\x06\x38\x01\x80\xbb\0\0\0\0\x01\x04\x02\0\x04\x01\x02\x03\x05";
        assert_eq!(OpusHead::parse(surround).unwrap().mapping, [0, 4, 1, 2, 3, 5]);
        for cut in 0..surround.len() {
            assert_eq!(OpusHead::parse(&surround[..cut]), None);
        }
        assert_eq!(OpusHead::parse(b"OpusHead\x01\x03\x38\x01\x80\xbb\0\0\0\0\0"), None);
    }

    #[test]
    fn packets_tell_their_length() {
        // SILK 60 ms, hybrid 20 ms, CELT 2.5 ms twice, 48 frames of 2.5 ms, 3 frames of 60 ms (too many), nothing.
        let table: [(&[u8], u64); 6] = [
            (&[3 << 3], 2_880),
            (&[13 << 3], 960),
            (&[16 << 3 | 1], 240),
            (&[16 << 3 | 3, 48], 5_760),
            (&[3 << 3 | 3, 3], 0),
            (&[], 0),
        ];
        for (packet, n_frames) in table {
            assert_eq!(packet_frames(packet), n_frames, "{packet:?}");
        }
    }
}
