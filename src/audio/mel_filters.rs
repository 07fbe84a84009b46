//! The triangular filters on the mel scale of Slaney's Auditory Toolbox, as `librosa.filters.mel` makes them.

/// One triangular filter: its weights on successive frequency bins from `first` on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MelFilter {
    pub(crate) first: usize,
    pub(crate) weights: Vec<f32>,
}

/// `n_mels` filters from 0 Hz to the Nyquist frequency, each of area 1 (`norm="slaney"`, `htk=False`).
pub(crate) fn mel_filters(n_mels: usize, n_fft: usize, sample_rate: f64) -> Vec<MelFilter> {
    let highest = hz_to_mel(sample_rate / 2.0);
    let edge_hz = |index: usize| mel_to_hz(highest * index as f64 / (n_mels + 1) as f64);
    let bin_hz = |bin: usize| bin as f64 * sample_rate / n_fft as f64;
    (0..n_mels)
        .map(|index| {
            let (low, centre, high) = (edge_hz(index), edge_hz(index + 1), edge_hz(index + 2));
            let norm = 2.0 / (high - low);
            let weight = |bin: usize| {
                let (rise, fall) = ((bin_hz(bin) - low) / (centre - low), (high - bin_hz(bin)) / (high - centre));
                (norm * rise.min(fall).max(0.0)) as f32
            };
            let weights: Vec<f32> = (0..=n_fft / 2).map(weight).collect();
            let first = weights.iter().position(|&weight| weight > 0.0).unwrap_or(0);
            let end = weights.iter().rposition(|&weight| weight > 0.0).map_or(first, |last| last + 1);
            MelFilter { first, weights: weights[first..end].to_vec() }
        })
        .collect()
}

// Slaney's scale: linear below 1 kHz (15 mel), logarithmic above (27 mel for a factor of 6.4).
const HZ_PER_MEL: f64 = 200.0 / 3.0;
const LOG_START_HZ: f64 = 1_000.0;
const LOG_START_MEL: f64 = LOG_START_HZ / HZ_PER_MEL;

fn log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

fn hz_to_mel(hz: f64) -> f64 {
    if hz < LOG_START_HZ { hz / HZ_PER_MEL } else { LOG_START_MEL + (hz / LOG_START_HZ).ln() / log_step() }
}

fn mel_to_hz(mel: f64) -> f64 {
    if mel < LOG_START_MEL { mel * HZ_PER_MEL } else { LOG_START_HZ * ((mel - LOG_START_MEL) * log_step()).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_has_its_published_fixed_points() {
        assert!((hz_to_mel(1_000.0) - 15.0).abs() < 1e-12);
        assert!((hz_to_mel(6_400.0) - 42.0).abs() < 1e-12);
        for hz in [0.0, 60.0, 999.0, 1_001.0, 8_000.0] {
            assert!((mel_to_hz(hz_to_mel(hz)) - hz).abs() < 1e-9);
        }
    }

    #[test]
    fn filters_cover_every_bin_between_the_ends_at_most_twice() {
        let filters = mel_filters(80, 400, 16_000.0);
        for bin in 1..200 {
            let n = filters
                .iter()
                .filter(|filter| (filter.first..filter.first + filter.weights.len()).contains(&bin))
                .count();
            assert!((1..=2).contains(&n), "bin {bin} is in {n} filters");
        }
    }
}
