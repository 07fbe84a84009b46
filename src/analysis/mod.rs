//! Analysis of audio: what is measured of one recording, without a reference.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of samples become periods, frequencies and back; the values are bounded and tested"
)]

pub mod pitch;
