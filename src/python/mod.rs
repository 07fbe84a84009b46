//! The extension module `violet._core`: conversions between Python and the core, nothing else.

#![allow(clippy::needless_pass_by_value, reason = "PyO3 hands arguments over by value")]

mod analysis;
mod audio;
mod audio_encode;
mod audio_source;
mod device;
mod errors;
mod hub;
mod memory;
mod mos;
mod options;
mod proxy;
mod reward;
mod score;
mod scores;
mod signal;
mod simulate;
mod stream;
mod subnet;
mod texts;
mod tts;
mod vad;
mod whisper;

use pyo3::prelude::*;

/// Violet's core: audio, inference, scoring, the subnet's rules and the proxy.
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    errors::register(module)?;
    analysis::register(module)?;
    audio::register(module)?;
    audio_encode::register(module)?;
    device::register(module)?;
    score::register(module)?;
    scores::register(module)?;
    reward::register(module)?;
    signal::register(module)?;
    vad::register(module)?;
    whisper::register(module)?;
    memory::register(module)?;
    mos::register(module)?;
    tts::register(module)?;
    subnet::register(module)?;
    simulate::register(module)?;
    hub::register(module)?;
    proxy::register(module)
}
