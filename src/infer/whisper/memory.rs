//! Whether a model fits into memory, before it is read.

use crate::{Error, Result, infer::weights::Checkpoint};

/// Refuses a model whose weights, at `bytes_per_weight`, need more memory than the machine has left. Where the system
/// does not say how much that is, nothing is refused.
///
/// # Errors
/// [`Error::Unsupported`] with both numbers.
pub(super) fn check(checkpoint: &Checkpoint, bytes_per_weight: usize) -> Result<()> {
    // Linux; elsewhere the file does not exist.
    let available = std::fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(available_bytes);
    available.map_or(Ok(()), |available| compare(checkpoint, bytes_per_weight, available))
}

fn compare(checkpoint: &Checkpoint, bytes_per_weight: usize, available: u64) -> Result<()> {
    let sizes = checkpoint.names().filter_map(|name| checkpoint.shape(name)).map(n_elements);
    let needed = sizes.fold(0_u64, u64::saturating_add).saturating_mul(bytes_per_weight as u64);
    if needed <= available {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "{}: the model needs {needed} bytes of memory, {available} are available; use a smaller model or free memory",
        checkpoint.directory().display()
    )))
}

fn n_elements(shape: &[usize]) -> u64 {
    shape.iter().fold(1_u64, |product, &n| product.saturating_mul(n as u64))
}

/// `MemAvailable` of `/proc/meminfo`.
fn available_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;

    use super::*;
    use crate::infer::whisper::small_model::write_safetensors;

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
        let directory = tempfile::tempdir().unwrap();
        write_safetensors(directory.path(), Dtype::F16, 1);
        let checkpoint = Checkpoint::open(directory.path()).unwrap();
        let file = std::fs::metadata(directory.path().join("model.safetensors")).unwrap().len();
        // Two bytes a weight in the file, and a header.
        compare(&checkpoint, 2, file).unwrap();
        let message = compare(&checkpoint, 4, file).unwrap_err().to_string();
        assert!(message.contains("needs ") && message.contains(&format!("{file} are available")), "{message}");
        check(&checkpoint, 4).unwrap();
    }
}
