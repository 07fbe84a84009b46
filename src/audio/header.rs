//! What the head of a stream says: track, codec, length, and which part is to be heard.

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::formats::{FormatReader, Track};

use super::discard::Padding;
use super::edit::Edit;
use super::mix::{Mix, layout_name};
use super::options::Options;
use super::probe::{self, Info};
use super::{Limits, opus, source, tags};
use crate::Result;

/// The first audio track, and what is known of it before a packet is decoded.
pub(super) struct Header {
    pub(super) track: Track,
    pub(super) decoder: Box<dyn AudioDecoder>,
    pub(super) info: Info,
    /// Length that the header states, seconds; estimates left out.
    pub(super) stated_s: Option<f64>,
    pub(super) edit: Edit,
    /// Padding in the last packet, nanoseconds.
    pub(super) last_padding_ns: u64,
    pub(super) is_mpeg_audio: bool,
    /// What Opus is decoded to; `None` for other codecs.
    pub(super) opus: Option<opus::Output>,
    /// Rate of the decoded samples, Hz; 0 where the first packet tells it.
    pub(super) rate: u32,
}

impl Header {
    /// Reads the head of a stream; `edits` and `paddings` are those of its tracks that symphonia does not tell.
    pub(super) fn read(
        format: &mut dyn FormatReader,
        name: &str,
        options: &Options,
        edits: &[Edit],
        paddings: &[Padding],
    ) -> Result<Self> {
        let track = source::audio_track(format, name)?;
        let params = source::audio_params(&track, name)?;
        let is_opus = opus::is_opus(params);
        let output = opus_output(options, params.extra_data.as_deref());
        let decoder = source::new_decoder(name, &track, output, false)?;
        let sample_rate = if is_opus { opus::CLOCK_HZ } else { params.sample_rate.unwrap_or(0) };
        let is_mpeg_audio = source::is_mpeg_audio(&track);
        let edit = match edits.iter().find(|edit| edit.track_id == track.id) {
            Some(edit) => edit.at(sample_rate),
            None if is_opus => Edit::from_pre_skip(params.extra_data.as_deref()),
            None if is_mpeg_audio => Edit::from_encoder_tag(&track),
            None => gapless_tag(format).unwrap_or_default(),
        };
        let stated_s = if is_mpeg_audio {
            let n_frames = track.num_frames.filter(|_| edit.end.is_some());
            n_frames.map(|n_frames| n_frames as f64 / f64::from(sample_rate.max(1)))
        } else {
            duration_s(format, &track, sample_rate, edit)
        };
        // Opus' own header tells the positions of its channels; Matroska's counts them.
        let head = params.extra_data.as_deref().filter(|_| is_opus).and_then(opus::OpusHead::parse);
        let layout = head.map(|head| head.channels()).or_else(|| params.channels.clone());
        let info = Info {
            duration_s: stated_s,
            sample_rate,
            n_channels: params.channels.as_ref().map_or(0, Channels::count),
            codec: decoder.codec_info().short_name.to_owned(),
            container: format.format_info().short_name.to_owned(),
            layout: layout.as_ref().map(layout_name),
            bit_depth: probe::bit_depth(params),
            bit_rate: None,
            tags: tags::read(format, track.id),
        };
        let rate = if is_opus { output.sample_rate } else { sample_rate };
        let edit = if is_opus { Edit { timescale: sample_rate, ..edit }.at(rate) } else { edit };
        let padding = paddings.iter().find(|padding| padding.track == u64::from(track.id));
        let last_padding_ns = padding.map_or(0, |padding| padding.ns);
        let opus = is_opus.then_some(output);
        Ok(Self { track, decoder, info, stated_s, edit, last_padding_ns, is_mpeg_audio, opus, rate })
    }

    /// Refuses what is beyond the limits by its own account.
    pub(super) fn check(&self, limits: &Limits) -> Result<()> {
        // Some containers leave these to the first packet: 0 stands for unknown.
        if self.info.sample_rate != 0 {
            limits.check_sample_rate(self.info.sample_rate)?;
        }
        if self.info.n_channels != 0 {
            limits.check_channels(self.info.n_channels)?;
        }
        limits.check_duration(self.stated_s.unwrap_or(0.0))
    }
}

/// The length that the container states, without what is trimmed, seconds.
fn duration_s(format: &dyn FormatReader, track: &Track, sample_rate: u32, edit: Edit) -> Option<f64> {
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
