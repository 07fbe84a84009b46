//! VITS: Piper's voices, and Hugging Face's VITS and MMS-TTS.
//!
//! Source: Kim, Kong and Son, "Conditional Variational Autoencoder with Adversarial Learning for End-to-End
//! Text-to-Speech" (2021), and its code.

mod conv;
#[cfg(test)]
mod conv_test;
mod decoder;
mod duration;
mod encoder;
mod flow;
mod line;
mod model;
mod noise;
mod spline;
mod symbols;
mod voice;
mod weights;

pub(super) use voice::{VitsVoice, opens};
