//! Each line of standard input as phonemes, for `benches/compare/phonemes.py`.

#![allow(clippy::print_stdout, reason = "the output of a program")]

use std::io::{BufRead, Write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let phonemizer = violet::text::speech::Phonemizer::new()?;
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        writeln!(output, "{}", phonemizer.phonemize(&line?).phonemes())?;
    }
    Ok(())
}
