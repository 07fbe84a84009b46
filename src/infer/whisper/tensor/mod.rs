//! The engine of candle's tensors.

mod cache;
mod loader;
mod model;

pub(super) use cache::Cache;
pub(super) use model::{Audio, Model};
