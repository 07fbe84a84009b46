//! What goes from layer to layer of a network on spectrograms, and what has no weights.

/// Values over time, frequency and channels, `[n_steps, n_bands, n_channels]`, with zeros around them: one step before
/// and at least one behind, and `margin` bands on either side.
#[derive(Debug, Default)]
pub(super) struct Plane {
    pub(super) n_steps: usize,
    pub(super) n_bands: usize,
    pub(super) n_channels: usize,
    margin: usize,
    /// Whether the two steps before the first are kept instead of one zero: see [`Plane::strip`].
    is_strip: bool,
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
        self.is_strip = false;
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

    /// Becomes a strip of a plane that is too large to be whole, with zeros for the steps before: `n_steps` steps (a
    /// multiple of 4) behind the last two of the strip before. A convolution of it gives as many steps, from one step
    /// before the strip's first on.
    pub(super) fn strip(&mut self, n_steps: usize, n_bands: usize, n_channels: usize, margin: usize) {
        self.reshape(n_steps, n_bands, n_channels, margin);
        self.is_strip = true;
        self.values.fill(0.0);
    }

    /// Becomes the next strip, whose steps are to be written: the last two become those before.
    pub(super) fn advance(&mut self) {
        let row_len = self.row_len();
        self.values.copy_within(self.n_steps * row_len..(self.n_steps + 2) * row_len, 0);
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

    /// Steps before the first.
    fn n_before(&self) -> usize {
        1 + usize::from(self.is_strip)
    }

    /// A step without its margins, `[n_bands, n_channels]`.
    pub(super) fn row(&self, step: usize) -> &[f32] {
        &self.padded_row(step + self.n_before())[self.margin * self.n_channels..][..self.n_bands * self.n_channels]
    }

    /// A step without its margins, to be written.
    pub(super) fn row_mut(&mut self, step: usize) -> &mut [f32] {
        let start = (step + self.n_before()) * self.row_len() + self.margin * self.n_channels;
        &mut self.values[start..][..self.n_bands * self.n_channels]
    }

    /// Four steps without their margins, to be written; the last may lie behind the end.
    pub(super) fn tile_mut(&mut self, step: usize) -> [&mut [f32]; 4] {
        let (row_len, side, inside) = (self.row_len(), self.margin * self.n_channels, self.n_bands * self.n_channels);
        let first = step + self.n_before();
        let mut rows = self.values[first * row_len..].chunks_exact_mut(row_len);
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
        out.reshape(self.n_steps / 2, self.n_bands / 2, self.n_channels, margin);
        for step in 0..out.n_steps {
            self.pool_step(2 * step, out.row_mut(step));
        }
    }

    /// The maximum of every two bands of two steps.
    pub(super) fn pool_step(&self, step: usize, pooled: &mut [f32]) {
        let n_channels = self.n_channels;
        let pairs = self.row(step).chunks_exact(2 * n_channels).zip(self.row(step + 1).chunks_exact(2 * n_channels));
        for (out, (above, below)) in pooled.chunks_exact_mut(n_channels).zip(pairs) {
            let ((a, b), (c, d)) = (above.split_at(n_channels), below.split_at(n_channels));
            for ((((out, a), b), c), d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *out = a.max(*b).max(c.max(*d));
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
