//! Reads what a process has used so far: its clock, and what /proc says.

use core::time::Duration;
use std::fs;
use std::io;

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// What a process has used so far, over all its threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Nanoseconds on a processor, of the process and of the kernel for it.
    pub(crate) cpu: u64,
    /// Context switches, wanted and unwanted.
    pub(crate) switches: u64,
    /// Resident memory, KiB.
    pub(crate) rss: u64,
}

impl Usage {
    /// Reads it.
    ///
    /// # Errors
    /// When there is no such process.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let mut usage = Self {
            cpu: cpu_of(pid)?,
            ..Self::default()
        };
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let folder = entry?.path();
            // A thread may have ended since.
            let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
            usage.switches += field(&status, "voluntary_ctxt_switches:")
                + field(&status, "nonvoluntary_ctxt_switches:");
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        usage.rss = field(&status, "VmRSS:");
        Ok(usage)
    }
}

/// Nanoseconds that a process was on a processor, with all threads that it has or had, up to now:
/// /proc counts in ticks, or up to the latest one.
///
/// # Errors
/// When there is no such process.
pub(crate) fn cpu_of(pid: u32) -> io::Result<u64> {
    let pid = i32::try_from(pid).map_err(|_| io::ErrorKind::NotFound)?;
    let time = clock_gettime(ClockId::pid_cpu_clock_id(Pid::from_raw(pid))?)?;
    let nanos = Duration::from(time).as_nanos();
    Ok(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Nanoseconds that the calling thread was on a processor.
pub(crate) fn own_thread() -> u64 {
    fs::read_to_string("/proc/thread-self/schedstat").map_or(0, |text| first_number(&text))
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, first_number)
}

fn first_number(text: &str) -> u64 {
    let word = text.split_whitespace().next();
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_something() {
        let before = Usage::of(std::process::id()).unwrap();
        assert!(before.cpu > 0 && before.rss > 1_000);
        let mut sum = 0_u64;
        while own_thread() < 20_000_000 {
            sum = (0..100_000_u64).fold(sum, u64::wrapping_add);
        }
        let after = Usage::of(std::process::id()).unwrap();
        assert!(after.cpu > before.cpu, "{sum}");
        assert!(Usage::of(u32::MAX).is_err());
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let status =
            "nonvoluntary_ctxt_switches:\t7\nvoluntary_ctxt_switches:\t5\nVmRSS:\t 12 kB\n";
        assert_eq!(field(status, "voluntary_ctxt_switches:"), 5);
        assert_eq!(field(status, "VmRSS:"), 12);
        assert_eq!(field(status, "VmSwap:"), 0);
    }
}
