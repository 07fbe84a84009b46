//! What the decoder remembers: keys and values of the tokens so far, and of the audio.

use candle_core::{DType, Device, Result, Tensor, bail};

/// Keys and values of the audio, for each decoder layer `[n_windows, n_audio_ctx, width]`.
#[derive(Debug, Clone)]
pub(crate) struct Cross {
    pub(super) layers: Vec<(Tensor, Tensor)>,
}

/// Keys and values of the tokens so far, in buffers that are allocated once for the longest sequence.
#[derive(Debug)]
pub(crate) struct Cache {
    /// For each layer, `[n_rows, capacity, width]`.
    layers: Vec<(Tensor, Tensor)>,
    shape: [usize; 3],
    len: usize,
}

impl Cache {
    pub(super) fn new(n_layers: usize, shape: [usize; 3], device: &Device) -> Result<Self> {
        let buffer = || Tensor::zeros(&shape, DType::F32, device);
        let layers = (0..n_layers).map(|_| Ok((buffer()?, buffer()?))).collect::<Result<_>>()?;
        Ok(Self { layers, shape, len: 0 })
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

    /// A cache whose row `i` continues row `rows[i]` of this one.
    pub(crate) fn select(&self, rows: &[usize]) -> Result<Self> {
        let device = self.layers.first().map_or(&Device::Cpu, |(keys, _)| keys.device());
        let ids = Tensor::from_iter(rows.iter().map(|&row| row as u32), device)?;
        let mut selected = Self::new(self.layers.len(), [rows.len(), self.shape[1], self.shape[2]], device)?;
        if self.len > 0 {
            for ((keys, values), (new_keys, new_values)) in self.layers.iter().zip(&selected.layers) {
                for (old, new) in [(keys, new_keys), (values, new_values)] {
                    new.slice_set(&old.narrow(1, 0, self.len)?.contiguous()?.index_select(&ids, 0)?, 1, 0)?;
                }
            }
        }
        selected.len = self.len;
        Ok(selected)
    }
}
