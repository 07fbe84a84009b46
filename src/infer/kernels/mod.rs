//! The processor's kernels, in f32: matrix products, attention, and the point-wise functions between them.
//!
//! Each has a plain counterpart in [`super::ops`] (used on GPUs), with which the tests compare it.

#![allow(
    clippy::inline_always,
    reason = "only what is inlined into a dispatch is compiled for the vector instructions that were found"
)]

mod attention;
mod matmul;
mod pointwise;

pub(super) use attention::{Attention, Heads, attention};
pub(super) use matmul::{Matrix, matmul_onto, matvec};
pub(super) use pointwise::softmax;
pub(super) use pointwise::{gelu, layer_norm, log_sum_exp};
