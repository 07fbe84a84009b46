//! What the decoder remembers of the tokens so far.

use super::model::Audio;
use crate::{Error, Result};

/// Keys and values of the tokens so far. Every token of every row has a place of its own for good; a row is the list of
/// its tokens' places. So beams share what they have in common, and nothing is copied when they are chosen.
#[derive(Debug)]
pub(in crate::infer::whisper) struct Cache {
    pub(super) audio: Audio,
    pub(super) layers: Vec<Layer>,
    /// For each row, the place of each of its tokens.
    rows: Vec<Vec<u32>>,
    n_places: usize,
    width: usize,
}

/// Of one layer, `[n_places, width]`.
#[derive(Debug, Default, Clone)]
pub(super) struct Layer {
    pub keys: Vec<f32>,
    pub values: Vec<f32>,
}

impl Cache {
    pub(super) fn new(audio: Audio, n_layers: usize, n_rows: usize, width: usize) -> Self {
        let layers = vec![Layer::default(); n_layers];
        Self { audio, layers, rows: vec![Vec::new(); n_rows], n_places: 0, width }
    }

    /// Number of sequences.
    pub(in crate::infer::whisper) fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// Number of tokens of each sequence so far.
    pub(in crate::infer::whisper) fn len(&self) -> usize {
        self.rows.first().map_or(0, Vec::len)
    }

    /// Forgets all tokens, keeps the memory.
    pub(in crate::infer::whisper) fn clear(&mut self) {
        self.truncate(0);
        self.rows.iter_mut().for_each(Vec::clear);
    }

    /// Row `i` continues what was row `rows[i]`.
    pub(in crate::infer::whisper) fn select(&mut self, rows: &[usize]) -> Result<()> {
        let places = |&row: &usize| {
            let n = self.rows.len();
            self.rows.get(row).cloned().ok_or_else(|| Error::InvalidInput(format!("row {row} of {n} was selected")))
        };
        self.rows = rows.iter().map(places).collect::<Result<_>>()?;
        Ok(())
    }

    /// Places for `n` more tokens of every row; the first place. Row `i` has `n` consecutive ones after those of row `i - 1`.
    pub(super) fn append(&mut self, n: usize) -> usize {
        let first = self.n_places;
        for (row, places) in self.rows.iter_mut().enumerate() {
            places.extend((0..n).map(|index| (first + row * n + index) as u32));
        }
        self.truncate(first + self.rows.len() * n);
        first
    }

    /// Places of a row's tokens up to and with `position`.
    pub(super) fn places(&self, row: usize, position: usize) -> &[u32] {
        &self.rows[row][..=position]
    }

    fn truncate(&mut self, n_places: usize) {
        self.n_places = n_places;
        for layer in &mut self.layers {
            layer.keys.resize(n_places * self.width, 0.0);
            layer.values.resize(n_places * self.width, 0.0);
        }
    }
}
