//! Counts allocations: a packet on its way through the engine makes none.

#![expect(
    unsafe_code,
    reason = "a global allocator can only be written so; it counts and passes on"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use bridge_core::sim::Rig;
use bridge_core::srtp::{GcmBackend, SrtpProfile};

/// The system's allocator, counted.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator as it came, which keeps the contract.
// WHY: there is no other way to see what a whole engine allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is passed on as it is.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc` above with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

#[test]
fn a_forwarded_packet_allocates_nothing() {
    let (receivers, burst) = (50, 8);
    let cases = [
        (GcmBackend::Ring, SrtpProfile::AeadAes128Gcm, 100_000),
        (GcmBackend::AwsLc, SrtpProfile::AeadAes256Gcm, 20_000),
        (GcmBackend::Ring, SrtpProfile::Aes128CmSha1_80, 20_000),
    ];
    for (gcm, profile, packets) in cases {
        let mut rig = Rig::with_gcm(gcm, receivers, burst, profile).unwrap();
        let (mut forwarded, mut allocated) = (0, 0);
        while forwarded < packets {
            rig.prepare();
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            let sent = rig.pass();
            allocated += ALLOCATIONS.load(Ordering::Relaxed) - before;
            assert!(sent >= receivers * burst);
            forwarded += sent;
        }
        assert_eq!(allocated, 0, "{forwarded} packets, {profile:?}, {gcm:?}");
    }
}
