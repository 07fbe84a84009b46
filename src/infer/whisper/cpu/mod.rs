//! The engine of the processor: our own kernels on plain slices, in 32-bit floats or with the large products in
//! integers. Memory is taken once and used again.

mod cache;
mod decoder;
mod embedding;
mod encoder;
mod linear;
mod loader;
mod memory;
mod model;
mod pool;

pub(super) use cache::Cache;
pub(super) use model::{Audio, Model, Step};
