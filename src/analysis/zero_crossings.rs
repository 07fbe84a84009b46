//! How often the waveform changes its sign, frame by frame, as `librosa.feature.zero_crossing_rate`.

/// Samples this near to 0 count as positive. Source: librosa `zero_crossings`.
const THRESHOLD: f32 = 1e-10;

/// Counts changes of sign in frames centred on every `hop_length`th sample; the ends are continued by their samples.
pub(super) struct ZeroCrossings {
    frame_length: usize,
    hop_length: usize,
    /// Whether each sample from the next frame's first on differs in sign from the one before.
    changes: Vec<u8>,
    was_negative: Option<bool>,
    n_samples: usize,
    n_frames: usize,
}

impl ZeroCrossings {
    pub(super) fn new(frame_length: usize, hop_length: usize) -> Self {
        let changes = vec![0; frame_length / 2];
        Self { frame_length, hop_length, changes, was_negative: None, n_samples: 0, n_frames: 0 }
    }

    /// Takes more samples, and hands on the rate of every full frame.
    pub(super) fn push(&mut self, samples: &[f32], take: &mut dyn FnMut(f32)) {
        self.n_samples += samples.len();
        let Some(&first) = samples.first() else { return };
        let is_negative = |x: f32| x < -THRESHOLD;
        let before = self.was_negative.unwrap_or(is_negative(first));
        self.changes.push(u8::from(before != is_negative(first)));
        self.changes.extend(samples.windows(2).map(|pair| u8::from(is_negative(pair[0]) != is_negative(pair[1]))));
        self.was_negative = samples.last().map(|&x| is_negative(x));
        self.frames(usize::MAX, take);
    }

    /// Hands on the last frames.
    pub(super) fn finish(&mut self, take: &mut dyn FnMut(f32)) {
        if self.n_samples == 0 {
            return;
        }
        let missing = 1 + self.n_samples / self.hop_length - self.n_frames;
        self.changes.resize(self.changes.len().max(self.frame_length + missing * self.hop_length), 0);
        self.frames(missing, take);
    }

    fn frames(&mut self, limit: usize, take: &mut dyn FnMut(f32)) {
        let (mut start, mut n) = (0, 0);
        while n < limit && self.changes.len() >= start + self.frame_length {
            // The first sample of a frame has none before it.
            let inside = &self.changes[start + 1..start + self.frame_length];
            let count: u32 = inside.chunks(255).map(|part| u32::from(part.iter().sum::<u8>())).sum();
            take(count as f32 / self.frame_length as f32);
            start += self.hop_length;
            n += 1;
        }
        self.n_frames += n;
        self.changes.drain(..start.min(self.changes.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_of_sign_is_counted_however_samples_come() {
        let samples: Vec<f32> = (0..10_000_i32).map(|n| if n / 10 % 2 == 0 { 0.5 } else { -0.5 }).collect();
        for piece in [1, 300, 10_000] {
            let (mut counter, mut rates) = (ZeroCrossings::new(2_000, 500), Vec::new());
            samples.chunks(piece).for_each(|piece| counter.push(piece, &mut |rate| rates.push(rate)));
            counter.finish(&mut |rate| rates.push(rate));
            assert_eq!(rates.len(), 21);
            // A change every ten samples; the one at a frame's first sample is outside.
            assert!(rates[2..18].iter().all(|rate| (rate - 199.0 / 2_000.0).abs() < 1e-6), "{rates:?}");
        }
    }
}
