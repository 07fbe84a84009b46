//! espeak-ng as a phonemizer, where the user has it and chooses it: a separate program, never linked, since its licence
//! is the GPL.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest text of one call, bytes: a sentence.
const MAX_TEXT_BYTES: usize = 16 << 10;
/// The most that is read of its output, bytes.
const MAX_OUTPUT_BYTES: u64 = 1 << 20;
/// How often an ending program is looked at.
const POLL: Duration = Duration::from_millis(2);

/// The `espeak-ng` program.
#[derive(Debug, Clone)]
pub struct Espeak {
    program: PathBuf,
    voice: String,
}

impl Espeak {
    /// The program on `PATH`, with one of its voices, such as `en-us`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is no such program, [`Error::InvalidInput`] for what is no voice's name.
    pub fn find(voice: &str) -> Result<Self> {
        Self::find_in(&std::env::var_os("PATH").unwrap_or_default(), voice)
    }

    fn find_in(path: &OsStr, voice: &str) -> Result<Self> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+');
        if voice.is_empty() || voice.starts_with('-') || !voice.chars().all(is_name) {
            return Err(Error::InvalidInput(format!(
                "{voice:?} is no voice of espeak-ng's; they are named like en-us"
            )));
        }
        let programs = std::env::split_paths(path).filter(|directory| directory.is_absolute());
        let program = programs.map(|directory| directory.join("espeak-ng")).find(|program| program.is_file());
        let program = program.ok_or_else(|| {
            Error::NotFound("no espeak-ng on PATH: install it, or choose the phonemizer that is built in".to_owned())
        })?;
        Ok(Self { program, voice: voice.to_owned() })
    }

    /// The phonemes of a sentence in IPA: its clauses with commas between, and its own mark at the end.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] for a text above 16 KiB; [`Error::Io`] when the program fails, or is not done in 10 s.
    pub fn phonemize(&self, sentence: &str) -> Result<String> {
        if sentence.len() > MAX_TEXT_BYTES {
            let (got_bytes, limit_bytes) = (sentence.len() as u64, MAX_TEXT_BYTES as u64);
            return Err(Error::TooLarge { what: "a sentence for espeak-ng", got_bytes, limit_bytes });
        }
        let output = self.run(sentence, TIMEOUT)?;
        let clauses: Vec<&str> = output.lines().map(str::trim).filter(|clause| !clause.is_empty()).collect();
        let mut phonemes = clauses.join(", ");
        if !phonemes.is_empty() {
            let closes = |c: char| matches!(c, '"' | '\'' | ')' | ']' | '”' | '’') || c.is_whitespace();
            phonemes.extend(sentence.trim_end_matches(closes).chars().next_back().filter(|c| ".!?".contains(*c)));
        }
        Ok(phonemes)
    }

    fn run(&self, text: &str, timeout: Duration) -> Result<String> {
        let deadline = Instant::now() + timeout;
        let mut child = Command::new(&self.program)
            .args(["-q", "--ipa", "--stdin", "-b", "1", "-v", &self.voice])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| self.failed(source))?;
        let result = exchange(&mut child, text, deadline).and_then(|output| Ok((output, ended(&mut child, deadline)?)));
        let (output, is_success) = match result {
            Ok(done) => done,
            Err(source) => {
                // It may have ended already: then there is nothing to kill.
                let _ = child.kill();
                let _ = child.wait();
                return Err(self.failed(source));
            }
        };
        if !is_success {
            return Err(self.failed(std::io::Error::other(format!("it failed; has it the voice {}?", self.voice))));
        }
        String::from_utf8(output).map_err(|_| self.failed(std::io::Error::other("its output is not UTF-8")))
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::Io { path: Path::new(&self.program).to_owned(), source }
    }
}

/// Sends the text and reads the output, each on a thread of its own: the program may block on either.
fn exchange(child: &mut Child, text: &str, deadline: Instant) -> std::io::Result<Vec<u8>> {
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(std::io::Error::other("no pipes to it"));
    };
    let text = text.replace(['\0', '\n', '\r'], " ");
    // A program that does not read all is told of by its status.
    thread::spawn(move || stdin.write_all(text.as_bytes()));
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut output = Vec::new();
        let result = stdout.take(MAX_OUTPUT_BYTES + 1).read_to_end(&mut output).map(|_| output);
        let _ = sender.send(result);
    });
    let output =
        receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())).map_err(|_| timed_out())??;
    if output.len() as u64 > MAX_OUTPUT_BYTES {
        return Err(std::io::Error::other(format!("its output has more than {MAX_OUTPUT_BYTES} bytes")));
    }
    Ok(output)
}

/// Whether the program ends well, before the deadline.
fn ended(child: &mut Child, deadline: Instant) -> std::io::Result<bool> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if Instant::now() >= deadline {
            return Err(timed_out());
        }
        thread::sleep(POLL);
    }
}

fn timed_out() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "it was not done in time")
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A directory with a shell script in the program's place.
    fn program(script: &str) -> (tempfile::TempDir, Espeak) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("espeak-ng");
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        let espeak = Espeak::find_in(directory.path().as_os_str(), "en-us").unwrap();
        (directory, espeak)
    }

    #[test]
    fn clauses_are_joined_and_the_mark_stays() {
        let (_directory, espeak) = program("cat > /dev/null; echo ' həlˈoʊ'; echo ' wˈɜːld'");
        assert_eq!(espeak.phonemize("Hello, world!\"").unwrap(), "həlˈoʊ, wˈɜːld!");
    }

    #[test]
    fn a_failing_endless_or_slow_program_is_an_error() {
        let (_directory, failing) = program("cat > /dev/null; exit 3");
        assert!(failing.phonemize("x").unwrap_err().to_string().contains("has it the voice en-us?"));
        let (_directory, endless) = program("yes");
        assert!(endless.phonemize("x").unwrap_err().to_string().contains("more than 1048576 bytes"));
        let (_directory, slow) = program("exec sleep 60");
        assert!(slow.run("x", Duration::from_millis(50)).unwrap_err().to_string().contains("not done in time"));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(Espeak::find_in(OsStr::new(""), "en-us").unwrap_err().to_string().starts_with("no espeak-ng on PATH"));
        assert!(Espeak::find("--help").unwrap_err().to_string().contains("is no voice"));
    }
}
