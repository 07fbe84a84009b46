//! The processor's kernels: matrix products and attention, in f32 and in integers, and the point-wise functions between
//! them. The only place with unsafe code.
//!
//! Vector instructions are chosen at run time. Every vectorised loop has a plain twin that tests compare it with.

#![allow(
    clippy::inline_always,
    reason = "only what is inlined into a dispatch is compiled for the vector instructions that were found"
)]

mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
mod columns;
mod fixed;
mod isa;
mod lines;
mod matmul;
mod memory;
#[cfg(target_arch = "aarch64")]
mod neon;
mod packed;
mod panels;
mod pointwise;
mod quantize;
mod recurrent;
mod squash;
mod tile;

pub(super) use attention::{Attention, Heads, attend_places, attention};
pub(super) use fixed::{Fixed, INPUT_BYTES, to_fixed};
pub(super) use matmul::{Matrix, dots, matmul_onto, matvec};
pub(super) use memory::{MAX_HEAD_SIZE, Memory, MemoryPanel, Queries};
pub(super) use packed::{Finish, Packed};
pub(super) use panels::{Left, Panels};
pub(super) use pointwise::{gelu, largest, largest_of_pieces, layer_norm, log_sum_exp, softmax};
pub(super) use quantize::Rows;
pub(super) use recurrent::lstm_step;
pub(super) use squash::{gate, tanh};
pub(super) use tile::{COLUMNS, Numbers};
