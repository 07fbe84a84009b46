//! What the decoder remembers: keys and values of the audio, and of the tokens so far.

use std::sync::Arc;

use crate::{
    Error, Result,
    infer::cuda::{Gpu, Memory, SelectRows},
};

/// Every decoder layer's keys and values of one window, `[n_positions, n_layers, 2, width]`.
#[derive(Debug, Clone)]
pub(in crate::infer::whisper) struct Audio {
    pub(super) memory: Arc<Memory>,
    pub(super) n_positions: usize,
}

impl Audio {
    /// Positions of the encoder's output.
    pub(in crate::infer::whisper) fn n_positions(&self) -> usize {
        self.n_positions
    }
}

/// Keys and values of some sequences of equal length, `[n_rows, n_layers, 2, capacity, width]`, allocated once.
#[derive(Debug)]
pub(in crate::infer::whisper) struct Cache {
    gpu: Arc<dyn Gpu>,
    memory: Memory,
    /// What rows are selected into; then the two change places.
    spare: Option<Memory>,
    audio: Audio,
    shape: Shape,
    n_rows: usize,
    len: usize,
}

/// The sizes of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Keys, values, keys, ... of the layers.
    pub n_planes: usize,
    /// Tokens that have room.
    pub capacity: usize,
    pub width: usize,
}

impl Shape {
    /// Elements of the keys, or of the values, of one layer.
    pub(super) fn plane(self) -> usize {
        self.capacity * self.width
    }

    /// Elements of a row.
    pub(super) fn row(self) -> usize {
        self.n_planes * self.plane()
    }
}

impl Cache {
    /// An empty one.
    pub(super) fn new(gpu: &Arc<dyn Gpu>, audio: &Audio, shape: Shape, n_rows: usize) -> Result<Self> {
        let memory = Memory::new(gpu, n_rows * shape.row() * gpu.element().n_bytes())?;
        Ok(Self { gpu: Arc::clone(gpu), memory, spare: None, audio: audio.clone(), shape, n_rows, len: 0 })
    }

    /// Number of sequences.
    pub(in crate::infer::whisper) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of tokens of each sequence so far.
    pub(in crate::infer::whisper) fn len(&self) -> usize {
        self.len
    }

    /// Forgets all tokens, keeps the memory.
    pub(in crate::infer::whisper) fn clear(&mut self) {
        self.len = 0;
    }

    /// What is heard.
    pub(super) fn audio(&self) -> &Audio {
        &self.audio
    }

    /// The sizes of a row.
    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// Where the place of the keys of a row's token is in layer 0.
    pub(super) fn place(&self, row: usize, position: usize) -> u64 {
        let element = row * self.shape.row() + position * self.shape.width;
        self.memory.all().start() + (element * self.gpu.element().n_bytes()) as u64
    }

    /// Every row has `n` tokens more.
    pub(super) fn advance(&mut self, n: usize) {
        self.len += n;
    }

    /// Row `i` continues what was row `rows[i]`.
    pub(in crate::infer::whisper) fn select(&mut self, rows: &[usize]) -> Result<()> {
        if rows.is_empty() || rows.iter().any(|row| *row >= self.n_rows) {
            return Err(Error::InvalidInput(format!("rows {rows:?} of a cache of {}", self.n_rows)));
        }
        if rows.iter().copied().eq(0..self.n_rows) {
            return Ok(());
        }
        let n_bytes = rows.len() * self.shape.row() * self.gpu.element().n_bytes();
        let to = match self.spare.take().filter(|spare| spare.all().n_bytes() == n_bytes) {
            Some(spare) => spare,
            None => Memory::new(&self.gpu, n_bytes)?,
        };
        let ids: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
        SelectRows {
            to: to.all(),
            from: self.memory.all(),
            rows: Memory::of(&self.gpu, &ids)?.all(),
            n_rows: rows.len(),
            n_planes: self.shape.n_planes,
            plane: self.shape.plane(),
            n_used: self.len * self.shape.width,
        }
        .run(&*self.gpu)?;
        self.spare = Some(std::mem::replace(&mut self.memory, to)).filter(|_| rows.len() == self.n_rows);
        self.n_rows = rows.len();
        Ok(())
    }
}
