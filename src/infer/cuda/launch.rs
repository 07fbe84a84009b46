//! The kernels as functions: arguments are checked against the memory that they name, then put into the layout that the
//! sources in `kernels/` expect.

mod attention;
mod choice;
mod pointwise;
mod product;

use std::ffi::c_void;

use super::gpu::{Element, Gpu, mistake};
use crate::Result;

pub(crate) use attention::{Append, Attend, AttendItem, Flash, MAX_QUERIES, Scores, SelectRows};
pub(crate) use choice::{Choose, ChooseResult, ChooseRule, MAX_AHEAD};
pub(crate) use pointwise::{BiasGelu, Embed, LayerNorm, MelRows};
pub(crate) use product::Multiply;

/// Threads of a block. Source: `kernels/*.cu`.
const THREADS: usize = 128;
/// The widest row that `layer_norm` keeps. Source: `kernels/pointwise.cu`.
const MAX_WIDTH: usize = 2048;

/// Runs a kernel over a grid, which may be empty.
fn launch<A>(gpu: &dyn Gpu, kernel: &'static str, grid: [usize; 3], arguments: &A) -> Result<()> {
    if grid.contains(&0) {
        return Ok(());
    }
    let arguments: *const A = arguments;
    // SAFETY: every caller below passes the struct that its kernel declares, with addresses checked by `Span::address`.
    unsafe { gpu.launch(kernel, grid, arguments.cast::<c_void>()) }
}

fn int(n: usize) -> Result<i32> {
    i32::try_from(n).map_err(|_| mistake(format!("{n} is too large for a kernel's argument")))
}

fn long(n: usize) -> Result<i64> {
    i64::try_from(n).map_err(|_| mistake(format!("{n} is too large for a kernel's argument")))
}

/// Elements of a vector access: rows must be multiples of it.
fn check_width(element: Element, width: usize) -> Result<()> {
    if width == 0 || width > MAX_WIDTH || !width.is_multiple_of(16 / element.n_bytes()) {
        return Err(mistake(format!("rows of {width}; the kernels take multiples of 8 up to {MAX_WIDTH}")));
    }
    Ok(())
}
