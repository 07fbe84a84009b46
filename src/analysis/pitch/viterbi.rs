//! The likeliest way through states of pitch that are next to each other, voiced or not.
//!
//! Pitch moves by a triangular distribution around itself, cut at the ends; voicing changes with probability 0.01. Steps
//! less likely than 1e-4 are not looked at. Source: librosa 1.0 `pyin`, `sequence.viterbi`.

/// Probability that voicing changes, and the least of a step that is looked at. Source: librosa.
const SWITCH: f64 = 0.01;
const MIN_STEP: f64 = 1e-4;
/// Logarithm of the probability of what was not observed: that of the least `f64`, as in librosa.
const LOG_NOTHING: f32 = -708.396_4;
/// States whose best predecessors are found together.
const TILE: usize = 32;
/// Bytes of values that are kept to walk back; beyond them every stretch is computed a second time.
const MAX_KEPT_BYTES: usize = 1 << 25;

/// What was observed in one frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observation {
    /// One after the frame's last candidate; the first follows those of the frame before.
    pub(super) end: usize,
    /// Probability that the frame is voiced.
    pub(super) voiced: f32,
}

/// The states and the steps between them.
pub(super) struct Lattice {
    n_bins: usize,
    /// Logarithm of the triangle at every distance.
    triangle: Vec<f32>,
    /// Logarithm of the sum that each state's steps are divided by.
    norm: Vec<f32>,
    /// Farthest step of every state: with the same voicing, with another.
    reach: [Vec<usize>; 2],
    /// The least of those.
    common: [usize; 2],
}

/// Values of all states, with room on both sides: voiced, then unvoiced.
#[derive(Clone)]
struct Values {
    voiced: Vec<f32>,
    unvoiced: Vec<f32>,
}

impl Lattice {
    /// `n_bins` states of pitch, of which one step reaches `half_width` at most.
    pub(super) fn new(n_bins: usize, half_width: usize) -> Self {
        let half_width = half_width.min(n_bins - 1);
        let weight = |distance: usize| 1.0 - distance as f64 / (half_width + 1) as f64;
        let norms: Vec<f64> = (0..n_bins)
            .map(|bin| {
                let (low, high) = (bin.saturating_sub(half_width), (bin + half_width).min(n_bins - 1));
                (low..=high).map(|other| weight(bin.abs_diff(other))).sum()
            })
            .collect();
        let reach = |change: f64| -> Vec<usize> {
            let farthest = |norm: &f64| {
                (0..=half_width).rev().find(|&distance| change * weight(distance) / norm >= MIN_STEP).unwrap_or(0)
            };
            norms.iter().map(farthest).collect()
        };
        let reach = [reach(1.0 - SWITCH), reach(SWITCH)];
        let common = [0, 1].map(|index: usize| reach[index].iter().copied().min().unwrap_or(0));
        Self {
            n_bins,
            triangle: (0..=half_width).map(|distance| weight(distance).ln() as f32).collect(),
            norm: norms.iter().map(|norm| norm.ln() as f32).collect(),
            reach,
            common,
        }
    }

    /// The likeliest states; those from `n_bins` on are unvoiced.
    pub(super) fn decode(&self, observations: &[Observation], candidates: &[(u16, f32)]) -> Vec<usize> {
        let n_frames = observations.len();
        let per_block = (MAX_KEPT_BYTES / (8 * self.n_bins)).max(2);
        let mut states = vec![0; n_frames];
        // Values before every block; the last block's own are the first to be walked.
        let mut checkpoints: Vec<Values> = Vec::new();
        let mut now = self.start(observations, candidates);
        let mut kept: Vec<Values> = Vec::new();
        for frame in 0..n_frames {
            if frame > 0 {
                now = self.step(&now, frame, observations, candidates);
            }
            if frame.is_multiple_of(per_block) {
                checkpoints.push(now.clone());
                kept.clear();
            }
            kept.push(now.clone());
        }
        let mut state = match kept.last() {
            Some(last) => self.best(last),
            None => return states,
        };
        for (block, checkpoint) in checkpoints.iter().enumerate().rev() {
            let first = block * per_block;
            let end = (first + per_block).min(n_frames);
            if end < n_frames {
                kept.clear();
                kept.push(checkpoint.clone());
                for frame in first + 1..end {
                    kept.push(self.step(&kept[frame - first - 1], frame, observations, candidates));
                }
                // From the first frame of the block after this one.
                state = self.predecessor(&kept[end - 1 - first], state);
            }
            states[end - 1] = state;
            for frame in (first..end - 1).rev() {
                state = self.predecessor(&kept[frame - first], state);
                states[frame] = state;
            }
        }
        states
    }

    fn start(&self, observations: &[Observation], candidates: &[(u16, f32)]) -> Values {
        let margin = self.triangle.len() + TILE;
        let row = || {
            let mut row = vec![f32::NEG_INFINITY; self.n_bins + 2 * margin];
            row[margin..margin + self.n_bins].fill(0.0);
            row
        };
        let mut values = Values { voiced: row(), unvoiced: row() };
        if !observations.is_empty() {
            self.observe(&mut values, 0, observations, candidates);
        }
        values
    }

    fn margin(&self) -> usize {
        self.triangle.len() + TILE
    }

    /// Adds what was observed in a frame, and the logarithms of the norms of the next step; the greatest value becomes 0.
    fn observe(&self, values: &mut Values, frame: usize, observations: &[Observation], candidates: &[(u16, f32)]) {
        let inside = self.margin()..self.margin() + self.n_bins;
        let Observation { end, voiced } = observations[frame];
        let first = frame.checked_sub(1).map_or(0, |before| observations[before].end);
        let row = &mut values.voiced[inside.clone()];
        let seen: Vec<(usize, f32)> = candidates[first..end]
            .iter()
            .map(|&(bin, probability)| (usize::from(bin), row[usize::from(bin)] + probability.ln()))
            .collect();
        row.iter_mut().for_each(|value| *value += LOG_NOTHING);
        seen.iter().for_each(|&(bin, value)| row[bin] = value);
        let share = (1.0 - voiced) / self.n_bins as f32;
        let log_share = if share > 0.0 { share.ln() } else { LOG_NOTHING };
        values.unvoiced[inside.clone()].iter_mut().for_each(|value| *value += log_share);
        let both = values.voiced[inside.clone()].iter().chain(&values.unvoiced[inside.clone()]);
        let greatest = both.copied().fold(f32::NEG_INFINITY, f32::max);
        for row in [&mut values.voiced, &mut values.unvoiced] {
            row[inside.clone()].iter_mut().for_each(|value| *value -= greatest);
        }
    }

    /// Values of the next frame.
    fn step(&self, before: &Values, frame: usize, observations: &[Observation], candidates: &[(u16, f32)]) -> Values {
        let mut source = before.clone();
        let margin = self.margin();
        for row in [&mut source.voiced, &mut source.unvoiced] {
            row[margin..].iter_mut().zip(&self.norm).for_each(|(value, norm)| *value -= norm);
        }
        let mut next = Values {
            voiced: vec![f32::NEG_INFINITY; source.voiced.len()],
            unvoiced: vec![f32::NEG_INFINITY; source.unvoiced.len()],
        };
        self.spread(&source, &mut next);
        self.spread_far(&source, &mut next);
        self.observe(&mut next, frame, observations, candidates);
        next
    }

    /// The best predecessor within the reach that all states have.
    fn spread(&self, source: &Values, next: &mut Values) {
        let margin = self.margin();
        let (stay, switch) = log_changes();
        for tile in (0..self.n_bins).step_by(TILE) {
            let (mut voiced, mut unvoiced) = ([f32::NEG_INFINITY; TILE], [f32::NEG_INFINITY; TILE]);
            for index in 0..=2 * self.common[0] {
                let step = self.triangle[index.abs_diff(self.common[0])] + stay;
                let at = margin + tile + index - self.common[0];
                raise(&mut voiced, &source.voiced[at..], step);
                raise(&mut unvoiced, &source.unvoiced[at..], step);
            }
            for index in 0..=2 * self.common[1] {
                let step = self.triangle[index.abs_diff(self.common[1])] + switch;
                let at = margin + tile + index - self.common[1];
                raise(&mut voiced, &source.unvoiced[at..], step);
                raise(&mut unvoiced, &source.voiced[at..], step);
            }
            let n = TILE.min(self.n_bins - tile);
            next.voiced[margin + tile..][..n].copy_from_slice(&voiced[..n]);
            next.unvoiced[margin + tile..][..n].copy_from_slice(&unvoiced[..n]);
        }
    }

    /// Steps of the states near the ends, which reach farther: fewer neighbours share their probability.
    fn spread_far(&self, source: &Values, next: &mut Values) {
        let margin = self.margin();
        let (stay, switch) = log_changes();
        for (kind, change) in [stay, switch].into_iter().enumerate() {
            for (bin, &reach) in self.reach[kind].iter().enumerate() {
                for distance in self.common[kind] + 1..=reach {
                    let step = self.triangle[distance] + change;
                    let targets = [bin.checked_sub(distance), Some(bin + distance).filter(|&to| to < self.n_bins)];
                    for to in targets.into_iter().flatten() {
                        let (voiced, unvoiced) = (source.voiced[margin + bin], source.unvoiced[margin + bin]);
                        let from = if kind == 0 { [voiced, unvoiced] } else { [unvoiced, voiced] };
                        let value = &mut next.voiced[margin + to];
                        *value = value.max(from[0] + step);
                        let value = &mut next.unvoiced[margin + to];
                        *value = value.max(from[1] + step);
                    }
                }
            }
        }
    }

    /// The first of the best states.
    fn best(&self, values: &Values) -> usize {
        let inside = self.margin()..self.margin() + self.n_bins;
        let all = values.voiced[inside.clone()].iter().chain(&values.unvoiced[inside]);
        first_greatest(all.copied().enumerate())
    }

    /// The state before `state`: the first of the best.
    fn predecessor(&self, before: &Values, state: usize) -> usize {
        let (bin, is_unvoiced) = (state % self.n_bins, state >= self.n_bins);
        let margin = self.margin();
        let widest = self.triangle.len() - 1;
        let (low, high) = (bin.saturating_sub(widest), (bin + widest).min(self.n_bins - 1));
        let (stay, switch) = log_changes();
        let from = |row: usize| {
            let kind = usize::from((row == 1) != is_unvoiced);
            let (values, change) = ([&before.voiced, &before.unvoiced][row], [stay, switch][kind]);
            (low..=high).filter(move |&other| other.abs_diff(bin) <= self.reach[kind][other]).map(move |other| {
                let step = self.triangle[other.abs_diff(bin)] + change;
                (row * self.n_bins + other, values[margin + other] - self.norm[other] + step)
            })
        };
        first_greatest(from(0).chain(from(1)))
    }
}

fn log_changes() -> (f32, f32) {
    ((1.0 - SWITCH).ln() as f32, SWITCH.ln() as f32)
}

/// Raises every value to `source + step`.
#[inline]
fn raise(values: &mut [f32; TILE], source: &[f32], step: f32) {
    let Some(source) = source.first_chunk::<TILE>() else { return };
    for (value, source) in values.iter_mut().zip(source) {
        let other = source + step;
        *value = if other > *value { other } else { *value };
    }
}

fn first_greatest(values: impl Iterator<Item = (usize, f32)>) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, value) in values {
        if value > best.1 {
            best = (index, value);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Viterbi by its definition, in double precision, over the whole matrix.
    fn naive(n: usize, half: usize, observations: &[Observation], candidates: &[(u16, f32)]) -> Vec<usize> {
        let weight = |a: usize, b: usize| (1.0 - a.abs_diff(b) as f64 / (half + 1) as f64).max(0.0);
        let norm: Vec<f64> = (0..n).map(|a| (0..n).map(|b| weight(a, b)).sum()).collect();
        let step = |from: usize, to: usize| {
            let change = if (from < n) == (to < n) { 1.0 - SWITCH } else { SWITCH };
            let p = change * weight(from % n, to % n) / norm[from % n];
            (p >= MIN_STEP).then(|| p.ln())
        };
        let observe = |frame: usize, state: usize| {
            let first = if frame == 0 { 0 } else { observations[frame - 1].end };
            let seen = candidates[first..observations[frame].end].iter().find(|c| usize::from(c.0) == state);
            let unvoiced = f64::from(1.0 - observations[frame].voiced) / n as f64;
            let p = if state >= n { unvoiced } else { seen.map_or(0.0, |c| f64::from(c.1)) };
            (p + f64::MIN_POSITIVE).ln()
        };
        let mut values: Vec<f64> = (0..2 * n).map(|state| observe(0, state)).collect();
        let mut pointers = Vec::new();
        for frame in 1..observations.len() {
            let mut row = Vec::new();
            let mut next = Vec::new();
            for to in 0..2 * n {
                let mut best = (0, f64::NEG_INFINITY);
                for from in 0..2 * n {
                    if let Some(step) = step(from, to)
                        && values[from] + step > best.1
                    {
                        best = (from, values[from] + step);
                    }
                }
                row.push(best.0);
                next.push(best.1 + observe(frame, to));
            }
            values = next;
            pointers.push(row);
        }
        let mut state = 0;
        for (index, value) in values.iter().enumerate() {
            if *value > values[state] {
                state = index;
            }
        }
        let mut states = vec![state];
        for row in pointers.iter().rev() {
            state = row[state];
            states.push(state);
        }
        states.reverse();
        states
    }

    #[test]
    fn banded_decoding_equals_the_definition() {
        let (n, half) = (90, 25);
        let (mut observations, mut candidates) = (Vec::new(), Vec::new());
        let mut random = 7_u32;
        let mut next = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random >> 16
        };
        for frame in 0..120_u32 {
            let is_voiced = frame / 30 % 2 == 0;
            let mut voiced = 0.0;
            let centre = 5 + frame * 80 / 120;
            for bin in [centre, (centre + 31) % 90, next() % 90] {
                let p = (next() % 100) as f32 / 100.0 * if is_voiced { 0.3 } else { 0.02 };
                let first = observations.last().map_or(0, |last: &Observation| last.end);
                if p > 0.0 && !candidates[first..].iter().any(|&(other, _): &(u16, f32)| u32::from(other) == bin) {
                    candidates.push((bin as u16, p));
                    voiced += p;
                }
            }
            observations.push(Observation { end: candidates.len(), voiced });
        }
        let got = Lattice::new(n, half).decode(&observations, &candidates);
        assert_eq!(got, naive(n, half, &observations, &candidates));
        assert!(got.iter().any(|&state| state < n) && got.iter().any(|&state| state >= n));
    }

    #[test]
    fn stretches_that_are_computed_twice_change_nothing() {
        // So many states that few frames are kept.
        let n = 9_000;
        let observations: Vec<Observation> =
            (0..1_500).map(|frame| Observation { end: frame + 1, voiced: 0.9 }).collect();
        let candidates: Vec<(u16, f32)> = (0..1_500_u16).map(|frame| (100 + frame * 5, 0.9)).collect();
        let states = Lattice::new(n, 10).decode(&observations, &candidates);
        assert!(states.iter().enumerate().all(|(frame, &state)| state == 100 + 5 * frame));
        assert!(Lattice::new(10, 3).decode(&[], &[]).is_empty());
    }
}
