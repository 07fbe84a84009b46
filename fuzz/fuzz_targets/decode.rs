//! Any bytes, heard in every way: from memory, from a place on, as they arrive, and their header alone.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use violet::audio::{self, Blocks, Limits, Mix, Options};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { max_duration_s: 20.0, ..Limits::default() };
    let options = Options { sample_rate: Some(16_000), limits: limits.clone(), ..Options::default() };
    let _ = audio::probe_reader(Cursor::new(bytes), "fuzz", &limits);
    if let Ok(sound) = audio::read_from(Cursor::new(bytes), "fuzz", &options) {
        assert!(sound.samples.len() < 21 * 16_000);
    }
    let part = Options { start_s: 2.25, duration_s: Some(0.25), mix: Mix::All, ..options.clone() };
    let _ = audio::read_from(Cursor::new(bytes), "fuzz", &part);
    if let Ok(blocks) = Blocks::from_arriving(bytes, "fuzz", &options) {
        assert!(blocks.map_while(Result::ok).map(|block| block.len()).sum::<usize>() < 21 * 16_000);
    }
});
