//! Whether a model fits into the memory that is left, before it is read.

use std::fs;
use std::path::Path;

use super::memory::Memory;
use crate::{Error, Result};

/// Refuses a model that needs more memory, with one window and one sequence, than the machine has left, or the container
/// or service that this process runs in. Where the system does not say how much that is, nothing is refused.
///
/// # Errors
/// [`Error::Unsupported`] with both numbers.
pub(super) fn check(directory: &Path, memory: &Memory) -> Result<()> {
    // Linux; elsewhere the files do not exist.
    let machine = fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(available_bytes);
    let available = machine.into_iter().chain(group_bytes()).min();
    available.map_or(Ok(()), |available| compare(directory, memory, available))
}

/// What this process's control group (version 2) and those around it may still take; `None` without a limit.
fn group_bytes() -> Option<u64> {
    let root = Path::new("/sys/fs/cgroup");
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = root.join(groups.lines().find_map(|line| line.strip_prefix("0::/"))?);
    own.ancestors().take_while(|group| group.starts_with(root)).filter_map(left_bytes).min()
}

/// What one control group may still take. Pages of files count as free: they are given back when memory is short.
fn left_bytes(group: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    // "max" is no limit.
    let limit = read("memory.max")?.trim().parse::<u64>().ok()?;
    let used = read("memory.current")?.trim().parse::<u64>().ok()?;
    let stat = read("memory.stat")?;
    let file_pages = stat.lines().filter_map(|line| {
        let bytes = line.strip_prefix("inactive_file ").or_else(|| line.strip_prefix("active_file "))?;
        bytes.parse::<u64>().ok()
    });
    Some(limit.saturating_sub(used.saturating_sub(file_pages.sum())))
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
    fn a_container_has_its_limit_less_what_it_uses_and_cannot_give_back() {
        let group = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(group.path().join(name), text).unwrap();
        write("memory.max", "1000\n");
        write("memory.current", "700\n");
        write("memory.stat", "anon 300\ninactive_anon 9\ninactive_file 350\nactive_file 50\n");
        assert_eq!(left_bytes(group.path()), Some(700));
        write("memory.current", "1500\n");
        assert_eq!(left_bytes(group.path()), Some(0));
        write("memory.max", "max\n");
        assert_eq!(left_bytes(group.path()), None);
        assert_eq!(left_bytes(&group.path().join("absent")), None);
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
