//! What goes from layer to layer of a network on spectrograms, and what has no weights.

/// Values over time, frequency and channels, `[n_steps, n_bands, n_channels]`, with zeros around them: one step before
/// and at least one behind, and `margin` bands on either side.
#[derive(Debug, Default)]
pub(super) struct Plane {
    pub(super) n_steps: usize,
    pub(super) n_bands: usize,
    pub(super) n_channels: usize,
    margin: usize,
    values: Vec<f32>,
}

impl Plane {
    /// Becomes a plane of this shape; the values are undefined, the margins zero.
    pub(super) fn reshape(&mut self, n_steps: usize, n_bands: usize, n_channels: usize, margin: usize) {
        let same = (self.n_steps, self.n_bands, self.n_channels, self.margin) == (n_steps, n_bands, n_channels, margin);
        if same {
            return;
        }
        (self.n_steps, self.n_bands, self.n_channels, self.margin) = (n_steps, n_bands, n_channels, margin);
        // The last tile of four steps may reach behind the last step, and each tile reads one step more.
        let (row_len, n_rows) = (self.row_len(), n_steps.next_multiple_of(4) + 2);
        self.values.resize(self.values.len().max(n_rows * row_len), 0.0);
        let (inside, side) = (row_len..(n_steps + 1) * row_len, margin * n_channels);
        self.values[..inside.start].fill(0.0);
        self.values[inside.end..n_rows * row_len].fill(0.0);
        for row in self.values[inside].chunks_exact_mut(row_len) {
            row[..side].fill(0.0);
            row[row_len - side..].fill(0.0);
        }
    }

    /// Bands with the margins.
    pub(super) fn padded_bands(&self) -> usize {
        self.n_bands + 2 * self.margin
    }

    /// Values of a step with its margins.
    pub(super) fn row_len(&self) -> usize {
        self.padded_bands() * self.n_channels
    }

    /// Step `step - 1` with its margins: 0 is the zeros before the first.
    pub(super) fn padded_row(&self, step: usize) -> &[f32] {
        &self.values[step * self.row_len()..][..self.row_len()]
    }

    /// A step without its margins, `[n_bands, n_channels]`.
    pub(super) fn row(&self, step: usize) -> &[f32] {
        &self.padded_row(step + 1)[self.margin * self.n_channels..][..self.n_bands * self.n_channels]
    }

    /// A step without its margins, to be written.
    pub(super) fn row_mut(&mut self, step: usize) -> &mut [f32] {
        let start = (step + 1) * self.row_len() + self.margin * self.n_channels;
        &mut self.values[start..][..self.n_bands * self.n_channels]
    }

    /// Four steps without their margins, to be written; the last may lie behind the end.
    pub(super) fn tile_mut(&mut self, step: usize) -> [&mut [f32]; 4] {
        let (row_len, side, inside) = (self.row_len(), self.margin * self.n_channels, self.n_bands * self.n_channels);
        let mut rows = self.values[(step + 1) * row_len..].chunks_exact_mut(row_len);
        std::array::from_fn(|_| rows.next().map_or(&mut [][..], |row| &mut row[side..side + inside]))
    }

    /// Clears what was written up to step `end` behind the last one.
    pub(super) fn clear_behind(&mut self, end: usize) {
        if end > self.n_steps {
            let row_len = self.row_len();
            self.values[(self.n_steps + 1) * row_len..(end + 1) * row_len].fill(0.0);
        }
    }

    /// The maximum of every two by two bands and steps; what is left over is dropped.
    pub(super) fn max_pool(&self, out: &mut Self, margin: usize) {
        let n_channels = self.n_channels;
        out.reshape(self.n_steps / 2, self.n_bands / 2, n_channels, margin);
        for step in 0..out.n_steps {
            let (above, below) = (self.row(2 * step), self.row(2 * step + 1));
            let pairs = above.chunks_exact(2 * n_channels).zip(below.chunks_exact(2 * n_channels));
            let pooled = out.row_mut(step);
            for (out, (above, below)) in pooled.chunks_exact_mut(n_channels).zip(pairs) {
                let ((a, b), (c, d)) = (above.split_at(n_channels), below.split_at(n_channels));
                for ((((out, a), b), c), d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                    *out = a.max(*b).max(c.max(*d));
                }
            }
        }
    }

    /// The maximum of each channel over all steps and bands.
    pub(super) fn channel_maxima(&self) -> Vec<f32> {
        let mut maxima = vec![f32::NEG_INFINITY; self.n_channels];
        for step in 0..self.n_steps {
            for values in self.row(step).chunks_exact(self.n_channels) {
                maxima.iter_mut().zip(values).for_each(|(maximum, value)| *maximum = maximum.max(*value));
            }
        }
        maxima
    }
}
