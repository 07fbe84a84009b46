//! Another tempo at the same pitch, by overlap and add of pieces that fit (WSOLA).
//!
//! Source: Verhelst and Roelands, "An Overlap-Add Technique Based on Waveform Similarity (WSOLA) for High Quality
//! Time-Scale Modification of Speech" (ICASSP 1993).

use crate::{Error, Result};

/// Tempos that speech still bears.
pub const TEMPOS: std::ops::RangeInclusive<f64> = 0.25..=4.0;

/// Length of a piece: several periods of a low voice, shorter than a short sound.
const PIECE_S: f64 = 0.04;
/// How far a piece may be moved to fit: one period of a low voice, 80 Hz.
const SEARCH_S: f64 = 0.0125;
/// Samples between places that are looked at first, at 16 kHz; the best one's neighbours are looked at then.
const COARSE_HZ: f64 = 8_000.0;

/// Samples at another tempo: as many as `samples / tempo`, rounded.
///
/// # Errors
/// [`Error::InvalidInput`] for a tempo outside [`TEMPOS`].
pub fn stretch(samples: &[f32], sample_rate: u32, tempo: f64) -> Result<Vec<f32>> {
    if !TEMPOS.contains(&tempo) {
        return Err(Error::InvalidInput(format!("tempo is {tempo}; expected {} to {}", TEMPOS.start(), TEMPOS.end())));
    }
    let n_out = (samples.len() as f64 / tempo).round() as usize;
    let half = ((PIECE_S / 2.0 * f64::from(sample_rate)) as usize).max(1);
    let search = (SEARCH_S * f64::from(sample_rate)) as usize;
    if (tempo - 1.0).abs() < 1e-9 || samples.len() < 2 * (2 * half + search) {
        // Too short to have a tempo of its own: cut, or followed by silence.
        let mut out = samples.to_vec();
        out.resize(n_out, 0.0);
        return Ok(out);
    }
    let step = ((f64::from(sample_rate) / COARSE_HZ) as usize).max(1);
    // The halves of a piece's window, von Hann's: what fades out and what fades in are 1 together.
    let rise: Vec<f32> =
        (0..half).map(|i| (0.5 - 0.5 * (std::f64::consts::PI * (i as f64 + 0.5) / half as f64).cos()) as f32).collect();
    let last = samples.len() - 2 * half;
    let mut out = Vec::with_capacity(n_out + 2 * half);
    out.extend_from_slice(&samples[..half]);
    // Where the piece that was laid last goes on.
    let mut goes_on = half;
    while out.len() < n_out {
        let wanted = ((out.len() as f64 * tempo) as usize).min(last);
        let next = if goes_on > last { last } else { best(samples, goes_on, half, wanted, search, step).min(last) };
        let tail = &samples[goes_on.min(samples.len() - half)..][..half];
        out.extend((0..half).map(|i| tail[i] * (1.0 - rise[i]) + samples[next + i] * rise[i]));
        goes_on = next + half;
    }
    out.truncate(n_out);
    Ok(out)
}

/// The start within `search` of `wanted` whose samples are most like those at `like`.
fn best(samples: &[f32], like: usize, half: usize, wanted: usize, search: usize, step: usize) -> usize {
    let last = samples.len() - 2 * half;
    let (from, to) = (wanted.saturating_sub(search), (wanted + search).min(last));
    let like = &samples[like..like + half];
    let fit = |start: usize, step: usize| {
        let (mut product, mut energy) = (0.0_f32, 1e-9_f32);
        for (a, b) in like.iter().step_by(step).zip(samples[start..start + half].iter().step_by(step)) {
            product += a * b;
            energy += b * b;
        }
        product / energy.sqrt()
    };
    let most = |places: &mut dyn Iterator<Item = usize>, step: usize| {
        places
            .map(|start| (fit(start, step), start))
            .fold((f32::MIN, wanted), |best, found| if found.0 > best.0 { found } else { best })
    };
    let (_, near) = most(&mut (from..=to).step_by(step), step);
    most(&mut (near.saturating_sub(step).max(from)..=(near + step).min(to)), 1).1
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use proptest::prelude::*;

    use super::*;

    const RATE: u32 = 16_000;

    fn tone(frequency: f64, n: usize) -> Vec<f32> {
        (0..n).map(|i| (0.5 * (TAU * frequency * i as f64 / f64::from(RATE)).sin()) as f32).collect()
    }

    /// Upward crossings of zero a second.
    fn crossings(samples: &[f32]) -> f64 {
        let n = samples.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
        n as f64 * f64::from(RATE) / samples.len() as f64
    }

    #[test]
    fn a_tone_keeps_its_pitch_and_level_at_every_tempo() {
        for frequency in [90.0, 220.0, 1_000.0] {
            for tempo in [0.25, 0.5, 0.97, 1.03, 1.5, 2.0, 4.0] {
                let made = stretch(&tone(frequency, 32_000), RATE, tempo).unwrap();
                assert_eq!(made.len(), (32_000.0 / tempo).round() as usize);
                let inside = &made[..made.len() * 9 / 10];
                let (found, rms) = (crossings(inside), rms(inside));
                assert!((found / frequency - 1.0).abs() < 0.02, "{frequency} Hz at {tempo}: {found} Hz");
                assert!((rms - 0.3536).abs() < 0.02, "{frequency} Hz at {tempo}: rms {rms}");
            }
        }
    }

    fn rms(samples: &[f32]) -> f32 {
        (samples.iter().map(|x| x * x).sum::<f32>() / samples.len() as f32).sqrt()
    }

    #[test]
    fn what_happens_late_happens_late_in_proportion() {
        let mut samples = vec![0.0; 16_000];
        samples.extend(tone(300.0, 16_000));
        let made = stretch(&samples, RATE, 0.5).unwrap();
        let start = made.iter().position(|x| x.abs() > 0.1).unwrap();
        assert!(start.abs_diff(32_000) < 2 * 640, "{start}");
    }

    #[test]
    fn impossible_tempos_are_refused() {
        for tempo in [0.0, 0.2, 4.1, f64::NAN, f64::INFINITY] {
            assert!(stretch(&[0.0; 100], RATE, tempo).is_err(), "{tempo}");
        }
    }

    proptest! {
        #[test]
        fn any_length_gives_the_length_asked_for(
            n in 0_usize..9_000, tempo in 0.25_f64..4.0, rate in 8_000_u32..48_000,
        ) {
            let samples: Vec<f32> = (0..n).map(|i| ((i * 7919) % 199) as f32 / 199.0 - 0.5).collect();
            let made = stretch(&samples, rate, tempo).unwrap();
            prop_assert_eq!(made.len(), (n as f64 / tempo).round() as usize);
            prop_assert!(made.iter().all(|x| x.abs() <= 0.51));
        }
    }
}
