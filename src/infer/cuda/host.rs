//! For tests: a GPU that is the processor. It runs the kernels' own sources, compiled for it by `build.rs`, one at a time.

use std::{
    alloc::{Layout, alloc, dealloc},
    collections::BTreeMap,
    ffi::{CString, c_char, c_int, c_void},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use half::{bf16, f16};

use super::gpu::{Element, Gpu, Operand, Product, mistake};
use crate::{
    Error, Result,
    infer::kernels::{self, Matrix},
};

unsafe extern "C" {
    fn violet_host_launch_16(name: *const c_char, grid: *const u32, arguments: *const c_void) -> c_int;
    fn violet_host_launch_17(name: *const c_char, grid: *const u32, arguments: *const c_void) -> c_int;
    fn violet_host_launch_32(name: *const c_char, grid: *const u32, arguments: *const c_void) -> c_int;
}

/// The kernels keep their state in variables of the C program: only one may run.
static DOOR: Mutex<()> = Mutex::new(());

/// The processor as a GPU.
#[derive(Debug)]
pub(crate) struct Host {
    element: Element,
    n_processors: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Size of what is at each address.
    allocated: BTreeMap<u64, usize>,
    limit_bytes: Option<usize>,
    largest_bytes: usize,
    n_launches: BTreeMap<&'static str, usize>,
}

impl Host {
    /// A device whose launches are divided as for `n_processors`.
    pub(crate) fn new(element: Element, n_processors: usize) -> Arc<Self> {
        Arc::new(Self { element, n_processors, state: Mutex::default() })
    }

    /// From now on there is only so much memory.
    pub(crate) fn limit_memory(&self, limit_bytes: Option<usize>) {
        self.state().limit_bytes = limit_bytes;
    }

    /// Bytes in use, and the most that ever were.
    pub(crate) fn used_bytes(&self) -> (usize, usize) {
        let state = self.state();
        (state.allocated.values().sum(), state.largest_bytes)
    }

    /// How often a kernel has run.
    pub(crate) fn n_launches(&self, kernel: &str) -> usize {
        self.state().n_launches.get(kernel).copied().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn layout(n_bytes: usize) -> Result<Layout> {
    Layout::from_size_align(n_bytes, 256).map_err(|error| mistake(error.to_string()))
}

/// `n` bytes at an address.
///
/// # Safety
/// They must be allocated, and not written elsewhere meanwhile.
unsafe fn bytes<'a>(address: u64, n: usize) -> &'a mut [u8] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(address as *mut u8, n) }
}

impl Gpu for Host {
    fn element(&self) -> Element {
        self.element
    }

    fn n_processors(&self) -> usize {
        self.n_processors
    }

    fn free_bytes(&self) -> Option<u64> {
        let state = self.state();
        let used: usize = state.allocated.values().sum();
        state.limit_bytes.map(|limit| limit.saturating_sub(used) as u64)
    }

    fn allocate(&self, n_bytes: usize) -> Result<u64> {
        let mut state = self.state();
        let used: usize = state.allocated.values().sum();
        if let Some(limit) = state.limit_bytes.filter(|limit| used + n_bytes > *limit) {
            let available_bytes = limit.saturating_sub(used) as u64;
            return Err(Error::OutOfMemory { device: "host".into(), needed_bytes: n_bytes as u64, available_bytes });
        }
        // SAFETY: the layout is not empty: `Memory` allocates at least one byte.
        let address = unsafe { alloc(layout(n_bytes)?) };
        if address.is_null() {
            return Err(mistake(format!("no {n_bytes} bytes")));
        }
        // SAFETY: just allocated. Not numbers in any type: what is read before it is written shows.
        unsafe { address.write_bytes(0xff, n_bytes) };
        state.allocated.insert(address as u64, n_bytes);
        state.largest_bytes = state.largest_bytes.max(used + n_bytes);
        Ok(address as u64)
    }

    unsafe fn free(&self, address: u64, n_bytes: usize) {
        assert_eq!(self.state().allocated.remove(&address), Some(n_bytes), "freed what was not allocated");
        // SAFETY: allocated above with this layout.
        unsafe { dealloc(address as *mut u8, layout(n_bytes).unwrap()) };
    }

    unsafe fn upload(&self, from: &[u8], to: u64) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { bytes(to, from.len()) }.copy_from_slice(from);
        Ok(())
    }

    unsafe fn download(&self, from: u64, to: &mut [u8]) -> Result<()> {
        // SAFETY: the caller's promise.
        to.copy_from_slice(unsafe { bytes(from, to.len()) });
        Ok(())
    }

    unsafe fn clear(&self, address: u64, n_bytes: usize) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { bytes(address, n_bytes) }.fill(0);
        Ok(())
    }

    unsafe fn launch(&self, kernel: &'static str, grid: [usize; 3], arguments: *const c_void) -> Result<()> {
        *self.state().n_launches.entry(kernel).or_default() += 1;
        assert!(grid[1] < 65536 && grid[2] < 65536, "{kernel}: no GPU has a grid of {grid:?}");
        let name = CString::new(kernel).unwrap();
        let grid = grid.map(|n| u32::try_from(n).unwrap());
        let _door = DOOR.lock().unwrap_or_else(PoisonError::into_inner);
        let launch = match self.element {
            Element::F16 => violet_host_launch_16,
            Element::BF16 => violet_host_launch_17,
            Element::F32 => violet_host_launch_32,
        };
        // SAFETY: the caller's promise; the door lets one in at a time.
        match unsafe { launch(name.as_ptr(), grid.as_ptr(), arguments) } {
            0 => Ok(()),
            code => Err(mistake(format!("{kernel} does not run on the processor: {code}"))),
        }
    }

    unsafe fn multiply(&self, product: &Product) -> Result<()> {
        let Product { n_rows, n_columns, n_inner, out_element, .. } = *product;
        for index in 0..product.n_products {
            // SAFETY: the caller's promise.
            let read = |operand: Operand, element, rows, columns| unsafe {
                let address = operand.address + (index * operand.stride * size(element)) as u64;
                values(address, element, (rows - 1) * operand.row_stride + columns)
            };
            let left = read(product.left, self.element, n_rows, n_inner);
            let right = read(product.right, self.element, n_columns, n_inner);
            let mut out = read(product.out, out_element, n_rows, n_columns);
            let matrix = |data, rows, operand: Operand| Matrix {
                data,
                rows,
                columns: n_inner,
                row_stride: operand.row_stride,
                column_stride: 1,
            };
            let right = matrix(&right, n_columns, product.right).transposed();
            let left = matrix(&left, n_rows, product.left);
            let row_stride = product.out.row_stride;
            if !product.accumulates {
                for row in out.chunks_mut(row_stride) {
                    row[..n_columns].fill(0.0);
                }
            }
            kernels::matmul_onto(&mut out, row_stride, true, left, right, 1.0, true);
            for (row, out) in out.chunks(row_stride).enumerate() {
                let at = index * product.out.stride + row * row_stride;
                // SAFETY: the caller's promise.
                unsafe { store(product.out.address + (at * size(out_element)) as u64, out_element, &out[..n_columns]) };
            }
        }
        Ok(())
    }
}

fn size(element: Element) -> usize {
    element.n_bytes()
}

/// The `n` numbers at an address.
unsafe fn values(address: u64, element: Element, n: usize) -> Vec<f32> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { bytes(address, n * size(element)) };
    let (pairs, _) = bytes.as_chunks::<2>();
    match element {
        Element::F16 => pairs.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        Element::BF16 => pairs.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        Element::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
    }
}

unsafe fn store(address: u64, element: Element, values: &[f32]) {
    let encoded = super::gpu::encode(element, values);
    // SAFETY: the caller's promise.
    unsafe { bytes(address, encoded.len()) }.copy_from_slice(&encoded);
}
