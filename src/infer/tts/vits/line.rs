//! Rows of channels that pass by: what of a long signal is held at a time.

use std::ops::Range;

use pulp::Arch;

use super::conv::Activation;
use crate::audio::Once;

/// Some rows of a signal, which is zero before its start and behind its end.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    data: &'a [f32],
    n_channels: usize,
    /// The step of the first row; what is before step 0 is no part of the signal.
    start: isize,
    /// Steps of the whole signal.
    pub total: usize,
}

impl<'a> Rows<'a> {
    /// A whole signal.
    pub(super) fn all(data: &'a [f32], n_channels: usize) -> Self {
        Self { data, n_channels, start: 0, total: data.len() / n_channels }
    }

    /// The rows of some steps, all of which are held.
    pub(super) fn of(&self, steps: &Range<usize>) -> &'a [f32] {
        let at = |step: usize| (step as isize - self.start) as usize * self.n_channels;
        &self.data[at(steps.start)..at(steps.end)]
    }

    /// The rows of some steps and of those within `reach` before and after them, activated, into `out`.
    pub(super) fn window(
        &self,
        steps: &Range<usize>,
        (before, after): (usize, usize),
        activation: Activation,
        out: &mut Vec<f32>,
    ) {
        let end = (steps.end + after).min(self.total);
        let first = steps.start.saturating_sub(before).min(end);
        let zeros = before.saturating_sub(steps.start) * self.n_channels;
        let values = self.of(&(first..end));
        out.clear();
        out.resize(zeros, 0.0);
        match activation {
            Activation::None => out.extend_from_slice(values),
            Activation::Leaky(slope) => {
                out.resize(zeros + values.len(), 0.0);
                let (out, once) = (&mut out[zeros..], Once);
                Arch::new().dispatch(
                    #[inline(always)]
                    move || {
                        once.spend();
                        for (out, value) in out.iter_mut().zip(values) {
                            *out = if *value > 0.0 { *value } else { value * slope };
                        }
                    },
                );
            }
        }
        out.resize((steps.len() + before + after) * self.n_channels, 0.0);
    }
}

/// The part of a signal that is held: rows are added at its end and forgotten at its start.
#[derive(Debug, Default)]
pub(super) struct Line {
    data: Vec<f32>,
    n_channels: usize,
    start: isize,
    end: usize,
    total: usize,
}

impl Line {
    /// Becomes the start of a signal of `total` steps, before which `lead` rows are added that are no part of it.
    pub(super) fn restart(&mut self, n_channels: usize, total: usize, lead: usize) {
        self.data.clear();
        (self.n_channels, self.start, self.end, self.total) = (n_channels, -(lead as isize), 0, total);
    }

    /// The step behind the last row.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Whether the signal is there to its end.
    pub(super) fn is_done(&self) -> bool {
        self.end >= self.total
    }

    /// Steps of the whole signal.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// The step up to which a convolution that reaches so far ahead can go.
    pub(super) fn ready(&self, ahead: usize) -> usize {
        if self.is_done() { self.total } else { self.end.saturating_sub(ahead) }
    }

    /// What is held.
    pub(super) fn rows(&self) -> Rows<'_> {
        Rows { data: &self.data, n_channels: self.n_channels, start: self.start, total: self.total }
    }

    /// Room for `n` more rows.
    pub(super) fn extend(&mut self, n: usize) -> &mut [f32] {
        let len = self.data.len();
        self.data.resize(len + n * self.n_channels, 0.0);
        let held = (self.data.len() / self.n_channels) as isize;
        self.end = ((self.start + held).max(0) as usize).min(self.total);
        &mut self.data[len..]
    }

    /// Drops the rows before a step.
    pub(super) fn forget(&mut self, before: usize) {
        let n = (before as isize - self.start).max(0) as usize * self.n_channels;
        self.data.drain(..n.min(self.data.len()));
        self.start = self.start.max(before as isize);
    }
}
