//! Says which threads go first when they want one processor: those that forward media.
//!
//! Nothing here takes a privilege, and a system that refuses leaves all threads alike.

#![expect(
    unsafe_code,
    reason = "std has no call for the scheduler, and a handshake must not hold up media"
)]

use core::mem::size_of;

/// How long a thread that forwards media runs at a time while others want its processor, in
/// nanoseconds: the least that Linux takes. It gets no more of the processor for it, but gets it at
/// once when it wakes (EEVDF, Linux 6.12; older systems pass over it).
const SLICE: u64 = 100_000;

/// How far threads stand back that can wait: a tenth of the weight of the others. Not less, so that
/// what they hold comes free in milliseconds also on a full processor.
const NICE: libc::c_int = 10;

/// Lets the calling thread run as soon as something wakes it; `false` when the system refuses.
pub(crate) fn wake_promptly() -> bool {
    let size = u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(0);
    let mut attributes = libc::sched_attr {
        size,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel writes at most `size` bytes, all of this frame; 0 is the calling thread.
    // WHY: policy and nice value are the operator's and stay as they are.
    let known = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    attributes.sched_runtime = SLICE;
    // SAFETY: the kernel reads as many bytes as `size` says, all of this frame.
    // WHY: a woken thread else waits for the slice of whoever runs, which is milliseconds.
    known == 0
        && unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) == 0 }
}

/// Lets others go before the calling thread; `false` when the system refuses.
pub(crate) fn stand_back() -> bool {
    // SAFETY: no memory is passed; 0 is the calling thread.
    // WHY: a handshake takes a millisecond of computing, and a join can wait as long.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) == 0 }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// The calling thread's nice value: the 17th field after the name (proc(5)).
    fn nice() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').nth(16).unwrap().parse().unwrap()
    }

    #[test]
    fn a_thread_stands_back_alone_and_keeps_its_place_when_it_wakes_promptly() {
        let before = nice();
        let seen = thread::Builder::new()
            .spawn(|| {
                let stands_back = stand_back();
                (stands_back, nice(), wake_promptly(), nice())
            })
            .unwrap();
        let (stands_back, low, wakes, after) = seen.join().unwrap();
        assert!(stands_back && (low == NICE || before > NICE), "{low}");
        assert!(!wakes || after == low, "{after}");
        assert_eq!(nice(), before);
    }
}
