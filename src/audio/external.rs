//! What this crate cannot read, read by an `ffmpeg` on PATH: only if the caller allows it, and in a cage.
//!
//! The cage: a shell sets limits of processor time, address space and written files (none) before it becomes ffmpeg; a
//! watch kills it after [`MAX_WALL`]; ffmpeg may open the one file and its output pipe, no network and no playlists; what
//! it writes is decoded here as it arrives, under the caller's [`super::Limits`].

use std::io::{Read, Result as IoResult};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Limits;
use super::input::Input;
use crate::{Error, Result};

/// Processor time, seconds.
const MAX_CPU_S: u32 = 600;
/// Address space, KiB: 2 GiB.
const MAX_MEMORY_KIB: u32 = 2 << 20;
/// Time, however little the processor does.
const MAX_WALL: Duration = Duration::from_mins(30);
/// Bytes of ffmpeg's complaint that are kept.
const MAX_COMPLAINT: u64 = 2_000;
/// Containers that ffmpeg may read: those that hold their sound themselves. Playlists and scripts, which name other
/// files, are not among them.
const FORMATS: &str = "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dts,dtshd,eac3,flac,flv,gsm,matroska,mlp,mov,mp3,\
                       mpc,mpc8,mpeg,mpegts,ogg,oma,rm,shn,sln,spdif,tak,truehd,tta,voc,w64,wav,wv,xwma";

/// Starts ffmpeg on the file; its sound as a WAVE file that arrives.
pub(super) fn open(path: &Path, limits: &Limits) -> Result<Input<'static>> {
    let io_error = |source| Error::Io { path: path.to_owned(), source };
    let file = path.canonicalize().map_err(io_error)?;
    let n_bytes = file.metadata().map_err(io_error)?.len();
    limits.check_bytes(n_bytes)?;
    let arguments = [
        "-map",
        "0:a:0",
        "-vn",
        "-sn",
        "-dn",
        "-map_metadata",
        "-1",
        "-fflags",
        "+bitexact",
        "-c:a",
        "pcm_f32le",
        "-f",
        "wav",
    ];
    let child = start(&file, &arguments)?;
    let output_limits = Limits { max_bytes: u64::MAX, ..limits.clone() };
    let mut input = Input::arriving(Converted::watch(child), &output_limits).map_err(|source| {
        Error::Unsupported(format!("{}: {source}; expected audio that ffmpeg reads", path.display()))
    })?;
    input.set_n_read(n_bytes);
    Ok(input)
}

/// Starts ffmpeg on a file.
fn start(file: &Path, arguments: &[&str]) -> Result<Child> {
    let mut url = std::ffi::OsString::from("file:");
    url.push(file);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -t \"$1\"; ulimit -v \"$2\" 2>/dev/null; ulimit -f 0; shift 2; exec \"$@\"", "sh"]);
    command.args([MAX_CPU_S.to_string(), MAX_MEMORY_KIB.to_string()]);
    command.args(["ffmpeg", "-nostdin", "-v", "error", "-threads", "1"]);
    command.args(["-protocol_whitelist", "pipe,file", "-format_whitelist", FORMATS, "-i"]).arg(url);
    command.args(arguments).args(["-protocol_whitelist", "pipe", "pipe:1"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(|source| Error::Io { path: "sh".into(), source })
}

/// What ffmpeg writes.
struct Converted {
    child: Arc<Mutex<Child>>,
    stdout: Option<std::process::ChildStdout>,
    /// Dropped to tell the watch that all is done.
    _done: Sender<()>,
}

impl Converted {
    fn watch(mut child: Child) -> Self {
        let stdout = child.stdout.take();
        let child = Arc::new(Mutex::new(child));
        let (done, is_done) = channel::<()>();
        let watched = Arc::clone(&child);
        std::thread::spawn(move || {
            if matches!(is_done.recv_timeout(MAX_WALL), Err(RecvTimeoutError::Timeout)) {
                let _ = watched.lock().unwrap_or_else(PoisonError::into_inner).kill();
            }
        });
        Self { child, stdout, _done: done }
    }

    /// Waits for the end; an error that says what ffmpeg complained of, unless all went well.
    fn finish(&mut self) -> IoResult<usize> {
        self.stdout = None;
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let mut complaint = Vec::new();
        if let Some(stderr) = child.stderr.take() {
            stderr.take(MAX_COMPLAINT).read_to_end(&mut complaint)?;
        }
        let status = child.wait()?;
        if status.success() {
            return Ok(0);
        }
        let complaint = String::from_utf8_lossy(&complaint);
        let said = complaint.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing");
        let said = if status.code() == Some(127) { "there is none on PATH; install it" } else { said };
        Err(std::io::Error::other(format!("ffmpeg failed ({status}): {said}")))
    }
}

impl Read for Converted {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        match &mut self.stdout {
            None => Ok(0),
            Some(stdout) => match stdout.read(buffer)? {
                0 if !buffer.is_empty() => self.finish(),
                n => Ok(n),
            },
        }
    }
}

impl Drop for Converted {
    fn drop(&mut self) {
        self.stdout = None;
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}
