//! A GPU of NVIDIA's: its memory, our kernels for it, and matrix products by cuBLAS.
//!
//! The driver, the compiler of kernels (NVRTC) and cuBLAS are looked for when a device is opened, never when the program
//! starts: a build with CUDA runs on a machine without.
//!
//! The kernels are written in what CUDA C++ and C have in common. With the feature `cuda-on-host` tests compile the same
//! sources for the processor and run them there.

#![allow(unsafe_code, reason = "a GPU's memory is known by its address alone")]

#[cfg(feature = "cuda")]
mod compiler;
mod gpu;
#[cfg(all(test, feature = "cuda-on-host"))]
mod host;
#[cfg(all(test, feature = "cuda-on-host"))]
mod kernels_test;
mod launch;
#[cfg(feature = "cuda")]
mod nvidia;

#[cfg(not(feature = "cuda"))]
pub(super) use absent::{open, probe};
pub(super) use gpu::{Element, Gpu, Memory, Plain, Span, encode};
#[cfg(all(test, feature = "cuda-on-host"))]
pub(super) use host::Host;
pub(super) use launch::{
    Append, Attend, AttendItem, BiasGelu, Choose, ChooseResult, ChooseRule, Embed, Flash, LayerNorm, MAX_AHEAD,
    MAX_QUERIES, MelRows, Multiply, Scores, SelectRows,
};
#[cfg(feature = "cuda")]
pub(super) use nvidia::{open, probe};

/// The width of an attention head that the kernels are written for: Whisper's only one.
pub(super) const HEAD: usize = 64;

/// A build without CUDA.
#[cfg(not(feature = "cuda"))]
mod absent {
    use std::sync::Arc;

    use super::{Element, Gpu};
    use crate::{Error, Result};

    fn no_cuda<T>() -> Result<T> {
        Err(Error::Unsupported("this build has no CUDA; build with the feature `cuda`, or use the device `cpu`".into()))
    }

    pub(in crate::infer) fn probe(_: usize) -> Result<()> {
        no_cuda()
    }

    pub(in crate::infer) fn open(_: usize, _: Element) -> Result<Arc<dyn Gpu>> {
        no_cuda()
    }
}
