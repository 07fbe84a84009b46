//! Violet: a Bittensor subnet for audio.
//!
//! The core ([`analysis`], [`audio`], [`text`], [`score`], [`subnet`]) is pure: no network, no database, no tensors, no clock.
//! Features add [`infer`] (Whisper on candle), [`hub`] (model downloads), [`proxy`] (the HTTP service between users,
//! miners and validators) and the Python extension module.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking"))]

pub mod analysis;
pub mod audio;
pub mod error;
pub mod espeak;
pub mod score;
pub mod subnet;
pub mod text;

#[cfg(feature = "hub")]
pub mod hub;
#[cfg(feature = "infer")]
pub mod infer;
#[cfg(feature = "proxy")]
pub mod proxy;
#[cfg(feature = "python")]
mod python;

pub use error::{Error, Result};
