//! Whether a model fits into the memory that is left, before it is read.

use std::path::Path;

use super::memory::Memory;
use crate::{Error, Result};

/// Refuses a model that needs more memory, with one window and one sequence, than the machine has left. Where the
/// system does not say how much that is, nothing is refused.
///
/// # Errors
/// [`Error::Unsupported`] with both numbers.
pub(super) fn check(directory: &Path, memory: &Memory) -> Result<()> {
    // Linux; elsewhere the file does not exist.
    let available = std::fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(available_bytes);
    available.map_or(Ok(()), |available| compare(directory, memory, available))
}

fn compare(directory: &Path, memory: &Memory, available: u64) -> Result<()> {
    let needed = memory.total_bytes(1, 1);
    if needed <= available {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "{}: the model needs {needed} bytes of memory, {available} are available; use a smaller model or free memory",
        directory.display()
    )))
}

/// `MemAvailable` of `/proc/meminfo`.
fn available_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_meminfo_is_read() {
        let text =
            "MemTotal:       16384256 kB\nMemFree:          123456 kB\nMemAvailable:   10000000 kB\nBuffers: 1 kB\n";
        assert_eq!(available_bytes(text), Some(10_240_000_000));
        assert_eq!(available_bytes("MemTotal: 5 kB\n"), None);
        assert_eq!(available_bytes("MemAvailable: many kB\n"), None);
    }

    #[test]
    fn a_model_too_large_is_refused_with_both_numbers() {
        let memory = Memory { weights_bytes: 1000, window_bytes: 200, row_bytes: 30, workspace_bytes: 4 };
        compare(Path::new("m"), &memory, 1234).unwrap();
        let message = compare(Path::new("m"), &memory, 1233).unwrap_err().to_string();
        assert!(message.contains("needs 1234 bytes") && message.contains("1233 are available"), "{message}");
        check(Path::new("m"), &memory).unwrap();
    }
}
