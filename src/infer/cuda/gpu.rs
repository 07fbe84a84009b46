//! What the engine needs of a GPU: memory, kernels, matrix products, all in one queue that runs in order.

use std::{ffi::c_void, fmt, sync::Arc};

use half::{bf16, f16};

use crate::{Error, Result};

/// How matrices are stored. Vectors, sums and scores are f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    F16,
    BF16,
    F32,
}

impl Element {
    /// Its size.
    pub(crate) fn n_bytes(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }

    /// `ELEMENT` of the kernels' sources.
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::F16 => 16,
            Self::BF16 => 17,
            Self::F32 => 32,
        }
    }
}

/// One GPU's queue. Everything given to it happens in the order in which it was given.
///
/// The unsafe functions take addresses that the caller must have from [`Gpu::allocate`] and not yet freed, with as many
/// bytes behind them as the function touches.
pub(crate) trait Gpu: fmt::Debug + Send + Sync {
    /// How matrices are stored: what its kernels were compiled for.
    fn element(&self) -> Element;

    /// What the work of a launch should be divided by to keep the device busy.
    fn n_processors(&self) -> usize;

    /// Bytes of its memory that nobody uses; `None` where that is not known.
    fn free_bytes(&self) -> Option<u64>;

    /// New memory of any content, aligned to 256 bytes.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]
    fn allocate(&self, n_bytes: usize) -> Result<u64>;

    /// Gives memory back after the work that was queued before.
    unsafe fn free(&self, address: u64, n_bytes: usize);

    /// Copies to the device; `bytes` may change as soon as this returns.
    unsafe fn upload(&self, bytes: &[u8], to: u64) -> Result<()>;

    /// Waits for everything queued before, then copies from the device.
    unsafe fn download(&self, from: u64, bytes: &mut [u8]) -> Result<()>;

    /// Sets bytes to zero.
    unsafe fn clear(&self, address: u64, n_bytes: usize) -> Result<()>;

    /// Runs a kernel; `arguments` is its one argument, a struct of the layout that it expects.
    unsafe fn launch(&self, kernel: &'static str, grid: [usize; 3], arguments: *const c_void) -> Result<()>;

    /// Multiplies matrices.
    unsafe fn multiply(&self, product: &Product) -> Result<()>;
}

/// `out = left x right^T (+ out)`, several at once: `left` `[n_rows, n_inner]`, `right` `[n_columns, n_inner]`, `out`
/// `[n_rows, n_columns]`, all row-major.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product {
    pub n_rows: usize,
    pub n_columns: usize,
    pub n_inner: usize,
    pub left: Operand,
    pub right: Operand,
    pub out: Operand,
    /// How `out` is stored.
    pub out_element: Element,
    /// Whether the product is added to what is there.
    pub accumulates: bool,
    pub n_products: usize,
}

/// A matrix of a [`Product`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operand {
    pub address: u64,
    /// Elements between rows.
    pub row_stride: usize,
    /// Elements between the matrices of several products.
    pub stride: usize,
}

/// Memory of a device.
#[derive(Debug)]
pub(crate) struct Memory {
    gpu: Arc<dyn Gpu>,
    address: u64,
    n_bytes: usize,
}

/// A part of a [`Memory`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span<'a> {
    memory: &'a Memory,
    offset: usize,
    n_bytes: usize,
}

impl Memory {
    /// New memory of any content.
    pub(crate) fn new(gpu: &Arc<dyn Gpu>, n_bytes: usize) -> Result<Self> {
        // A device has no address for nothing.
        let n_bytes = n_bytes.max(1);
        Ok(Self { address: gpu.allocate(n_bytes)?, gpu: Arc::clone(gpu), n_bytes })
    }

    /// A copy of values in the processor's memory.
    pub(crate) fn of<T: Plain>(gpu: &Arc<dyn Gpu>, values: &[T]) -> Result<Self> {
        let memory = Self::new(gpu, size_of_val(values))?;
        memory.all().upload(values)?;
        Ok(memory)
    }

    /// All of it.
    pub(crate) fn all(&self) -> Span<'_> {
        Span { memory: self, offset: 0, n_bytes: self.n_bytes }
    }

    /// Bytes `offset..offset + n_bytes`.
    pub(crate) fn span(&self, offset: usize, n_bytes: usize) -> Result<Span<'_>> {
        self.all().span(offset, n_bytes)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the address is from `allocate` of this GPU, and this is the only owner.
        unsafe { self.gpu.free(self.address, self.n_bytes) }
    }
}

impl<'a> Span<'a> {
    /// Bytes `offset..offset + n_bytes` of it.
    pub(crate) fn span(self, offset: usize, n_bytes: usize) -> Result<Span<'a>> {
        if offset.checked_add(n_bytes).is_none_or(|end| end > self.n_bytes) {
            return Err(mistake(format!("bytes {offset} to {offset} + {n_bytes} of {} on the device", self.n_bytes)));
        }
        Ok(Self { offset: self.offset + offset, n_bytes, ..self })
    }

    /// Where it is, after a check that it has so many bytes.
    pub(crate) fn address(self, n_bytes: usize) -> Result<u64> {
        Ok(self.span(0, n_bytes)?.start())
    }

    /// Where it is.
    pub(crate) fn start(self) -> u64 {
        self.memory.address + self.offset as u64
    }

    /// Its size.
    pub(crate) fn n_bytes(self) -> usize {
        self.n_bytes
    }

    /// Copies values to its beginning.
    pub(crate) fn upload<T: Plain>(self, values: &[T]) -> Result<()> {
        let bytes = T::bytes(values);
        let to = self.address(bytes.len())?;
        // SAFETY: the memory is alive while it is borrowed, and large enough.
        unsafe { self.memory.gpu.upload(bytes, to) }
    }

    /// The first `n` values, when all work that was queued before is done.
    pub(crate) fn download<T: Plain>(self, n: usize) -> Result<Vec<T>> {
        let mut values = vec![T::default(); n];
        let bytes = T::bytes_mut(&mut values);
        let from = self.address(bytes.len())?;
        // SAFETY: as above.
        unsafe { self.memory.gpu.download(from, bytes)? };
        Ok(values)
    }

    /// Sets all of it to zero.
    pub(crate) fn clear(self) -> Result<()> {
        // SAFETY: as above.
        unsafe { self.memory.gpu.clear(self.start(), self.n_bytes) }
    }
}

/// Values without padding, for which every pattern of bits is a value.
///
/// # Safety
/// The implementer promises that.
pub(crate) unsafe trait Plain: Copy + Default {
    /// The bytes of some values.
    fn bytes(values: &[Self]) -> &[u8] {
        // SAFETY: no padding; bytes have no alignment.
        unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
    }

    /// The bytes of some values, to be written.
    fn bytes_mut(values: &mut [Self]) -> &mut [u8] {
        // SAFETY: no padding, and whatever is written is a value.
        unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
    }
}
// SAFETY: these are numbers.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl Plain for f32 {}

/// An error that only a mistake in this module can cause.
pub(super) fn mistake(what: String) -> Error {
    Error::Model { source: what.into() }
}

/// Values as matrices are stored, rounded to the nearest.
pub(crate) fn encode(element: Element, values: &[f32]) -> Vec<u8> {
    match element {
        Element::F16 => values.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect(),
        Element::BF16 => values.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect(),
        Element::F32 => values.iter().flat_map(|&x| x.to_le_bytes()).collect(),
    }
}
