//! The engine of a GPU: weights in half precision (or f32), everything from spectra to scores in its own memory.

mod cache;
mod decoder;
mod encoder;
mod model;
#[cfg(all(test, feature = "cuda-on-host"))]
pub(super) mod model_test;
mod plan;
mod step;
mod weights;

pub(super) use cache::{Audio, Cache};
pub(super) use model::{Feed, Masks, Model, compute_type, open};
