//! Attacks handshakes: floods of fragments, forged alerts, records of the next epoch, noise.

use super::*;

/// A plaintext record of epoch 0.
fn record(kind: u8, sequence: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0xfe, 0xfd, 0, 0];
    bytes.extend(&sequence.to_be_bytes()[2..]);
    bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend(body);
    bytes
}

/// A fragment of a ClientHello of 80,000 bytes.
fn fragment(sequence: u64, offset: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1];
    bytes.extend(&80_000_u32.to_be_bytes()[1..]);
    bytes.extend([0, 0]);
    bytes.extend(&offset.to_be_bytes()[1..]);
    bytes.extend(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
    bytes.extend(body);
    record(22, sequence, &bytes)
}

#[test]
fn a_flood_of_fragments_fails_that_handshake_alone() {
    type Order = fn(u32) -> u32;
    let orders: [Order; 4] = [
        |n| 79_999 - n,
        |n| n,
        |_| 7,
        |n| n.wrapping_mul(7_919) % 80_000,
    ];
    for version in [DtlsVersion::V1_2, DtlsVersion::Auto] {
        for order in orders {
            for body in [&[][..], &[0][..], &[1, 2, 3][..]] {
                let (mut server, mut client) = (side(version), side(version));
                server.start(Time::ZERO, 1, false);
                server.start(Time::ZERO, 2, false);
                client.start(Time::ZERO, 2, true);
                for n in 0..20_000 {
                    server.feed(Time::ZERO, 1, &fragment(u64::from(n), order(n), body));
                }
                converse(&mut server, &mut client, seconds(1), |_, _| false);
                assert!(server.completed(1).is_none());
                assert_paired(&server, &client, 2);
            }
        }
    }
}

#[test]
fn a_forged_alert_or_plaintext_after_completion_changes_nothing() {
    for version in [DtlsVersion::V1_2, DtlsVersion::Auto] {
        let (mut server, mut client) = (side(version), side(version));
        server.start(Time::ZERO, 1, false);
        client.start(Time::ZERO, 1, true);
        converse(&mut server, &mut client, seconds(1), |_, _| false);
        let before = server.events.len();
        for sequence in [0, 1, 5, 1 << 40] {
            server.feed(seconds(1), 1, &record(21, sequence, &[2, 40]));
            server.feed(seconds(1), 1, &record(21, sequence, &[1, 0]));
            server.feed(seconds(1), 1, &record(23, sequence, b"plaintext"));
            server.feed(seconds(1), 1, &record(20, sequence, &[1]));
        }
        server.poll();
        assert_eq!(server.events.len(), before, "{version:?}");
        // The association still stands: its close reaches us.
        client.stop(seconds(1), 1);
        for (_, bytes) in client.poll() {
            server.feed(seconds(1), 1, &bytes);
        }
        server.poll();
        assert_eq!(
            server.events.last(),
            Some(&(1, Told::Closed)),
            "{version:?}"
        );
    }
}

#[test]
fn a_flood_of_records_of_the_next_epoch_is_bounded() {
    for version in [DtlsVersion::V1_2, DtlsVersion::Auto] {
        let mut server = side(version);
        server.start(Time::ZERO, 1, false);
        for sequence in 0..20_000 {
            let mut bytes = record(22, sequence, &[0x5a; 48]);
            bytes[4] = 1;
            server.feed(Time::ZERO, 1, &bytes);
        }
        server.poll();
        assert!(server.driver.half_open() == 0, "over its budget: given up");
        assert_eq!(server.events.last(), Some(&(1, Told::Failed)));
    }
}

#[test]
fn bytes_over_the_budget_fail_the_handshake() {
    let mut server = side(DtlsVersion::V1_2);
    server.start(Time::ZERO, 1, false);
    for sequence in 0..60 {
        let mut bytes = record(23, sequence, &[0; 1_400]);
        bytes[4] = 2;
        server.feed(Time::ZERO, 1, &bytes);
    }
    server.poll();
    assert_eq!(server.events, [(1, Told::Failed)]);
}

#[test]
fn noise_and_mutated_handshakes_never_panic() {
    let (mut server, mut client) = (side(DtlsVersion::Auto), side(DtlsVersion::Auto));
    client.start(Time::ZERO, 0, true);
    let hello: Vec<_> = client.poll().into_iter().map(|(_, bytes)| bytes).collect();
    let mut random = crate::random::Random::new([9; 32]);
    for index in 1..400 {
        server.start(Time::ZERO, index, index % 2 == 0);
        for bytes in &hello {
            let mut bytes = bytes.clone();
            for _ in 0..random.u32() % 4 {
                let at = random.u32() as usize % bytes.len();
                bytes[at] = random.u32().to_be_bytes()[0];
            }
            bytes.truncate(1 + random.u32() as usize % (bytes.len() + 200));
            server.feed(Time::ZERO, index, &bytes);
        }
        server.feed(Time::ZERO, index, &[]);
        server.stop(Time::ZERO, index);
    }
    server.poll();
}
