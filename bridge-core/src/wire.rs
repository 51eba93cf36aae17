//! Reads and writes big-endian numbers at places that are checked.

/// The `N` bytes at `at`, if they are there.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// The 16-bit number at `at`, if it is there.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_be_bytes)
}

/// The 24-bit number at `at`, if it is there.
pub(crate) fn u24_at(bytes: &[u8], at: usize) -> Option<u32> {
    let [a, b, c] = array_at(bytes, at)?;
    Some(u32::from_be_bytes([0, a, b, c]))
}

/// The 32-bit number at `at`, if it is there.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_be_bytes)
}

/// The 64-bit number at `at`, if it is there.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array_at(bytes, at).map(u64::from_be_bytes)
}

/// Writes `value` at `at` if all of it fits, and says whether it did.
pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) -> bool {
    let room = bytes
        .get_mut(at..)
        .and_then(|rest| rest.get_mut(..value.len()));
    match room {
        Some(room) => {
            room.copy_from_slice(value);
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_past_the_end_are_none_and_are_not_written() {
        let mut bytes = [1, 2, 3, 4];
        assert_eq!(u16_at(&bytes, 2), Some(0x0304));
        assert_eq!(u24_at(&bytes, 1), Some(0x0002_0304));
        assert_eq!(u32_at(&bytes, 0), Some(0x0102_0304));
        assert_eq!(u16_at(&bytes, 3), None);
        assert_eq!(u64_at(&bytes, 0), None);
        assert_eq!(u16_at(&bytes, usize::MAX), None);
        assert!(!put(&mut bytes, 3, &[9, 9]));
        assert!(put(&mut bytes, 2, &[9, 9]));
        assert_eq!(bytes, [1, 2, 9, 9]);
    }
}
