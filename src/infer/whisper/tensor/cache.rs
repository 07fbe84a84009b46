//! What the decoder remembers of the tokens so far.

use candle_core::{DType, Device, Result, Tensor, bail};

use super::model::Audio;

/// Keys and values of the tokens so far, in buffers that are allocated once for the longest sequence.
#[derive(Debug)]
pub(crate) struct Cache {
    audio: Audio,
    /// For each layer, `[n_rows, capacity, width]`.
    layers: Vec<(Tensor, Tensor)>,
    shape: [usize; 3],
    len: usize,
}

impl Cache {
    pub(super) fn new(audio: Audio, shape: [usize; 3], device: &Device) -> Result<Self> {
        let buffer = || Tensor::zeros(&shape, DType::F32, device);
        let layers = (0..audio.layers.len()).map(|_| Ok((buffer()?, buffer()?))).collect::<Result<_>>()?;
        Ok(Self { audio, layers, shape, len: 0 })
    }

    /// What all rows hear.
    pub(super) fn audio(&self) -> &Audio {
        &self.audio
    }

    /// Number of sequences.
    pub(crate) fn n_rows(&self) -> usize {
        self.shape[0]
    }

    /// Number of tokens of each sequence so far.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Forgets all tokens, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends to one layer; returns all of it. [`Self::advance`] follows after the last layer.
    pub(super) fn append(&mut self, layer: usize, keys: &Tensor, values: &Tensor) -> Result<(Tensor, Tensor)> {
        let n = keys.dim(1)?;
        let [_, capacity, _] = self.shape;
        if self.len + n > capacity {
            bail!("{} tokens do not fit into {capacity} positions", self.len + n);
        }
        let (all_keys, all_values) = &self.layers[layer];
        all_keys.slice_set(&keys.contiguous()?, 1, self.len)?;
        all_values.slice_set(&values.contiguous()?, 1, self.len)?;
        Ok((all_keys.narrow(1, 0, self.len + n)?, all_values.narrow(1, 0, self.len + n)?))
    }

    pub(super) fn advance(&mut self, n: usize) {
        self.len += n;
    }

    /// Row `i` continues what was row `rows[i]`.
    pub(crate) fn select(&mut self, rows: &[usize]) -> Result<()> {
        if rows.iter().copied().eq(0..self.n_rows()) {
            return Ok(());
        }
        if let Some(row) = rows.iter().find(|&&row| row >= self.n_rows()) {
            bail!("row {row} of {} was selected", self.n_rows());
        }
        let device = self.layers.first().map_or(Device::Cpu, |(keys, _)| keys.device().clone());
        let ids = Tensor::from_iter(rows.iter().map(|&row| row as u32), &device)?;
        let [_, capacity, width] = self.shape;
        let mut selected = Self::new(self.audio.clone(), [rows.len(), capacity, width], &device)?;
        if self.len > 0 {
            for ((keys, values), (new_keys, new_values)) in self.layers.iter().zip(&selected.layers) {
                for (old, new) in [(keys, new_keys), (values, new_values)] {
                    new.slice_set(&old.narrow(1, 0, self.len)?.contiguous()?.index_select(&ids, 0)?, 1, 0)?;
                }
            }
        }
        selected.len = self.len;
        *self = selected;
        Ok(())
    }
}
