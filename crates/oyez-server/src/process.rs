//! What the system says of this process. Nothing where there is no `/proc`.

use std::fs;

/// How many file descriptors are open.
pub(crate) fn open_descriptors() -> Option<u64> {
    // since Linux 6.2 the size of the folder is their number: no walk through a hundred thousand of them
    let counted = fs::metadata("/proc/self/fd").map_or(0, |folder| folder.len());
    if counted > 0 {
        return Some(counted);
    }
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64)
}

/// How much memory is resident.
pub(crate) fn resident_bytes() -> Option<u64> {
    resident(&fs::read_to_string("/proc/self/status").ok()?)
}

/// From the text of that file, which says `VmRSS:     1234 kB`.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_or_left_out() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t1\n"), Some(1_263_616));
        assert_eq!(resident(""), None);
        assert_eq!(resident("VmRSS:\tmany kB"), None);
    }
}
