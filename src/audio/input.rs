//! Where the bytes of audio come from: something that can be read anywhere, or pieces as they arrive.

use std::io::{Cursor, Error, ErrorKind, Read, Result, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use symphonia::core::io::MediaSource;

use super::Limits;

/// Bytes of the start that tell what the input is.
const HEAD: u64 = 512;

/// A file, or bytes.
pub(super) trait ReadSeek: Read + Seek + Send + Sync {}
impl<R: Read + Seek + Send + Sync> ReadSeek for R {}

enum Inner<'s> {
    Whole(Box<dyn ReadSeek + 's>),
    Arriving(Box<dyn Read + Send + Sync + 's>),
}

/// The bytes of one recording.
pub(super) struct Input<'s> {
    inner: Inner<'s>,
    head: Vec<u8>,
    /// Length, bytes; `None` while it is arriving.
    n_bytes: Option<u64>,
    max_bytes: u64,
    n_read: Arc<AtomicU64>,
}

impl<'s> Input<'s> {
    /// What can be read anywhere.
    pub(super) fn whole(mut reader: impl ReadSeek + 's) -> Result<Self> {
        let n_bytes = reader.seek(SeekFrom::End(0))?;
        reader.rewind()?;
        let mut head = Vec::new();
        reader.by_ref().take(HEAD).read_to_end(&mut head)?;
        reader.rewind()?;
        Ok(Self {
            inner: Inner::Whole(Box::new(reader)),
            head,
            n_bytes: Some(n_bytes),
            max_bytes: u64::MAX,
            n_read: Arc::new(AtomicU64::new(n_bytes)),
        })
    }

    /// What arrives piece by piece and is not kept. Formats that must be read anywhere (mp4, caf, aiff) are first kept in
    /// a temporary file without a name.
    pub(super) fn arriving(mut reader: impl Read + Send + Sync + 's, limits: &Limits) -> Result<Self> {
        let mut head = Vec::new();
        reader.by_ref().take(HEAD).read_to_end(&mut head)?;
        let is_as_it_arrives = head.starts_with(b"RIFF")
            || head.starts_with(b"fLaC")
            || head.starts_with(b"OggS")
            || head.starts_with(b"ID3")
            || head.starts_with(b"\x1a\x45\xdf\xa3")
            || matches!(head[..], [0xff, second, ..] if second & 0xe0 == 0xe0);
        let is_empty = head.is_empty();
        let rest = Cursor::new(head.clone()).chain(reader);
        if is_as_it_arrives || is_empty {
            return Ok(Self {
                inner: Inner::Arriving(Box::new(rest)),
                head,
                n_bytes: if is_empty { Some(0) } else { None },
                max_bytes: limits.max_bytes,
                n_read: Arc::default(),
            });
        }
        let mut file = tempfile::tempfile()?;
        std::io::copy(&mut rest.take(limits.max_bytes.saturating_add(1)), &mut file)?;
        file.flush()?;
        Self::whole(file)
    }

    /// The first bytes.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Length, bytes; `None` while it is arriving.
    pub(super) fn n_bytes(&self) -> Option<u64> {
        self.n_bytes
    }

    /// Reads a file on as if it arrived: one that is shorter than it says would be looked for an index at its end.
    pub(super) fn set_arriving(&mut self) {
        self.n_bytes = None;
    }

    /// Counts what is converted from another file: its bytes, not those that arrive.
    pub(super) fn set_n_read(&mut self, n_bytes: u64) {
        self.n_read = Arc::new(AtomicU64::new(n_bytes));
    }

    /// A count of the bytes that are there so far.
    pub(super) fn n_read(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.n_read)
    }
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match &mut self.inner {
            Inner::Whole(reader) => reader.read(buffer),
            Inner::Arriving(reader) => {
                let n = reader.read(buffer)?;
                let n_read = self.n_read.fetch_add(n as u64, Ordering::Relaxed) + n as u64;
                if n_read > self.max_bytes { Err(ErrorKind::FileTooLarge.into()) } else { Ok(n) }
            }
        }
    }
}

impl Seek for Input<'_> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        match &mut self.inner {
            Inner::Whole(reader) => reader.seek(to),
            Inner::Arriving(_) => Err(Error::new(ErrorKind::Unsupported, "audio that is arriving cannot be rewound")),
        }
    }
}

impl MediaSource for Input<'_> {
    fn is_seekable(&self) -> bool {
        matches!(self.inner, Inner::Whole(_)) && self.n_bytes.is_some()
    }

    fn byte_len(&self) -> Option<u64> {
        self.n_bytes
    }
}
