//! Waits for events of a poll, to the nanosecond where the kernel can (Linux 5.11).
//!
//! `mio` counts in milliseconds, which is too coarse for pictures that wait for less than one.

#![expect(
    unsafe_code,
    reason = "std has no call for epoll, and mio none that sleeps for less than a millisecond"
)]

use core::ptr;
use core::time::Duration;
use std::io;
use std::os::fd::AsRawFd;

use mio::Token;

/// What a poll found.
#[derive(Debug)]
pub(crate) struct Polled {
    /// Room for the kernel's answer; the first `found` are it.
    events: Box<[libc::epoll_event]>,
    found: usize,
    /// Whether the kernel takes times in nanoseconds.
    is_precise: bool,
}

impl Polled {
    /// Room for what one call finds.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let empty = libc::epoll_event { events: 0, u64: 0 };
        Self {
            events: vec![empty; capacity].into(),
            found: 0,
            is_precise: true,
        }
    }

    /// Sleeps until the poll has an event, `patience` has passed, if it ends, or a signal comes.
    ///
    /// # Errors
    /// `Interrupted` for a signal, and what the kernel says of a broken poll.
    pub(crate) fn wait(&mut self, poll: &mio::Poll, patience: Option<Duration>) -> io::Result<()> {
        self.found = 0;
        let precisely = self.is_precise.then(|| self.ask_precisely(poll, patience));
        self.found = match precisely {
            Some(Ok(found)) => found,
            // Too old, or a sandbox that does not know the call.
            Some(Err(error)) if is_unknown(&error) => {
                self.is_precise = false;
                self.ask(poll, patience)?
            }
            Some(Err(error)) => return Err(error),
            None => self.ask(poll, patience)?,
        };
        Ok(())
    }

    /// Who has an event.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = Token> {
        let events = self.events.iter().take(self.found);
        // Where mio keeps the token; a test of ours would see it if it did not.
        events.map(|event| Token(usize::try_from(event.u64).unwrap_or(usize::MAX)))
    }

    fn ask_precisely(&mut self, poll: &mio::Poll, patience: Option<Duration>) -> io::Result<usize> {
        let time = patience.map(|patience| {
            let mut time = empty_time();
            time.tv_sec = libc::time_t::try_from(patience.as_secs()).unwrap_or(libc::time_t::MAX);
            time.tv_nsec = patience.subsec_nanos().into();
            time
        });
        // SAFETY: the kernel writes at most as many events as we say that there is room for, and
        // reads a `timespec` of this frame or none; no signal mask is given, so its size is unused.
        // WHY: one call instead of two for pictures that wait for less than a millisecond. The
        // symbol is not in every libc, the call by number is.
        let found = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                poll.as_raw_fd(),
                self.events.as_mut_ptr(),
                libc::c_int::try_from(self.events.len()).unwrap_or(libc::c_int::MAX),
                time.as_ref().map_or(ptr::null(), ptr::from_ref),
                ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        usize::try_from(found).map_err(|_| io::Error::last_os_error())
    }

    /// The same to the millisecond, rounded up.
    fn ask(&mut self, poll: &mio::Poll, patience: Option<Duration>) -> io::Result<usize> {
        let millis = patience.map_or(-1, |patience| {
            let millis = patience.as_nanos().div_ceil(1_000_000);
            libc::c_int::try_from(millis).unwrap_or(libc::c_int::MAX)
        });
        // SAFETY: the kernel writes at most as many events as we say that there is room for.
        // WHY: the older call, of which `mio` does not give the events' memory away.
        let found = unsafe {
            libc::epoll_wait(
                poll.as_raw_fd(),
                self.events.as_mut_ptr(),
                libc::c_int::try_from(self.events.len()).unwrap_or(libc::c_int::MAX),
                millis,
            )
        };
        usize::try_from(found).map_err(|_| io::Error::last_os_error())
    }
}

fn empty_time() -> libc::timespec {
    // SAFETY: all fields are integers, for which zero is a value.
    // WHY: some C libraries have private padding in it, so it cannot be written out.
    unsafe { core::mem::zeroed() }
}

fn is_unknown(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::clock::Clock;

    #[test]
    fn a_wait_ends_in_time_or_with_an_event() {
        for is_precise in [true, false] {
            let poll = mio::Poll::new().unwrap();
            let mut polled = Polled::with_capacity(4);
            polled.is_precise = is_precise;
            let clock = Clock::start();
            let started = clock.now();
            polled
                .wait(&poll, Some(Duration::from_micros(300)))
                .unwrap();
            assert!(clock.now().since(started) >= Duration::from_micros(300));
            assert_eq!(polled.tokens().count(), 0);
            let waker = mio::Waker::new(poll.registry(), Token(4_711)).unwrap();
            waker.wake().unwrap();
            polled.wait(&poll, None).unwrap();
            assert_eq!(polled.tokens().collect::<Vec<_>>(), [Token(4_711)]);
            polled.wait(&poll, Some(Duration::ZERO)).unwrap();
            assert_eq!(polled.tokens().count(), 0, "edges are told once");
        }
    }
}
