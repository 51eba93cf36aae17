//! Makes secrets and compares them without telling by time how much was right.

use std::fmt::Write;

/// `N` bytes of the system's randomness in hexadecimal.
#[must_use]
pub(crate) fn hexadecimal<const N: usize>() -> String {
    random::<N>()
        .iter()
        .fold(String::with_capacity(2 * N), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        })
}

/// 24 letters and digits: 142 bits.
#[must_use]
pub(crate) fn password() -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::with_capacity(24);
    while text.len() < 24 {
        // The largest multiple of 62 keeps every letter equally likely.
        let fair = random::<32>().into_iter().filter(|byte| *byte < 248);
        let letter = |byte: u8| letters.get(usize::from(byte) % letters.len());
        text.extend(
            fair.filter_map(letter)
                .map(|it| char::from(*it))
                .take(24 - text.len()),
        );
    }
    text
}

/// Whether two texts are equal, in a time that depends on their lengths only.
#[must_use]
pub(crate) fn equal(one: &str, other: &str) -> bool {
    let difference = one
        .bytes()
        .zip(other.bytes())
        .fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && core::hint::black_box(difference) == 0
}

/// The system's randomness. Without it no secret is safe, so there is no going on.
#[expect(
    clippy::expect_used,
    reason = "a system without randomness cannot hold a meeting"
)]
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives randomness");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_and_differ() {
        assert_eq!(password().len(), 24);
        assert_ne!(password(), password());
        assert_eq!(hexadecimal::<8>().len(), 16);
    }

    #[test]
    fn equality_is_exact() {
        assert!(equal("abc", "abc"));
        assert!(!equal("abc", "abd"));
        assert!(!equal("abc", "ab"));
    }
}
