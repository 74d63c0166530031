//! What this process uses, as Linux tells it.

use std::fs;

/// CPU, memory and open files.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) open_files: u64,
}

impl Process {
    /// Asks Linux; none where it does not tell.
    pub(super) fn read() -> Option<Self> {
        let open_files = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let (cpu_seconds, pages) = fields(&stat)?;
        Some(Self { cpu_seconds, resident_bytes: pages * PAGE_BYTES, open_files })
    }
}

/// CPU time in user and kernel mode in seconds, and resident pages (proc_pid_stat(5): fields 14, 15 and 24).
fn fields(stat: &str) -> Option<(f64, u64)> {
    // The second field is the program's name in brackets, which may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut rest = rest.split(' ');
    let user: u64 = rest.nth(11)?.parse().ok()?;
    let system: u64 = rest.next()?.parse().ok()?;
    let pages = rest.nth(8)?.parse().ok()?;
    Some(((user + system) as f64 / TICKS_PER_SECOND, pages))
}

/// What `/proc` counts in on all of today's machines, whatever the kernel's own clock (times(2)).
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: u64 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_whatever_the_program_is_called() {
        let stat =
            "42 (a) b (c) S 1 42 42 0 -1 4194304 9 0 0 0 150 50 0 0 20 0 4 0 99 1000 77 18446744073709551615";
        assert_eq!(fields(stat), Some((2.0, 77)));
        assert_eq!(fields("42 (a) S 1"), None);
    }

    #[test]
    fn this_process_uses_something() {
        let process = Process::read().unwrap();
        assert!(process.resident_bytes > 1_000_000 && process.open_files >= 3, "{process:?}");
    }
}
