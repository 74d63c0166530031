//! Time for the zone's cameras: the server's half of SNTP (RFC 4330 §5, RFC 5905 §7.3), as a pure function.
//!
//! A request without extensions gets an answer of the same 48 bytes; all else gets none. The gateway's own clock
//! is the only source. It is told as stratum 3: how good it is depends on what the machine gets its time from.

use jiff::Timestamp;

/// Bytes of a message without extensions and authenticator.
pub const MESSAGE_BYTES: usize = 48;

/// The answer to a request that came at `received` and is answered at `now`, or none to what is no request.
pub fn answer(request: &[u8], received: Timestamp, now: Timestamp) -> Option<[u8; MESSAGE_BYTES]> {
    // What is longer holds extensions or authenticators that are not understood. Leaving it unanswered keeps the
    // answer from ever being another size than the request.
    let request: &[u8; MESSAGE_BYTES] = request.try_into().ok()?;
    let [first, _, poll, ..] = *request;
    let (version, mode) = (first >> 3 & 0b111, first & 0b111);
    if mode != MODE_CLIENT || !(1..=4).contains(&version) {
        return None;
    }
    let sent = request.get(40..)?;
    let mut answer = [0; MESSAGE_BYTES];
    let fields: [(usize, &[u8]); 8] = [
        // The version of the request is that of the answer (RFC 4330 §5).
        (0, &[version << 3 | MODE_SERVER, STRATUM, poll, PRECISION]),
        (4, &[0; 4]),
        (8, &ROOT_DISPERSION),
        (12, REFERENCE),
        (16, &ntp(received)?),
        (24, sent),
        (32, &ntp(received)?),
        (40, &ntp(now)?),
    ];
    for (at, bytes) in fields {
        answer.get_mut(at..at + bytes.len())?.copy_from_slice(bytes);
    }
    Some(answer)
}

/// Seconds since 1900 and their 2^-32 parts; the era goes unsaid (RFC 5905 §6), so that 2036 is no end.
fn ntp(time: Timestamp) -> Option<[u8; 8]> {
    let nanoseconds = time.as_nanosecond() + i128::from(UNIX_EPOCH_SECONDS) * 1_000_000_000;
    let fixed = (nanoseconds << 32) / 1_000_000_000;
    Some(u64::try_from(fixed & i128::from(u64::MAX)).ok()?.to_be_bytes())
}

const MODE_CLIENT: u8 = 3;
const MODE_SERVER: u8 = 4;
const STRATUM: u8 = 3;
/// 2^-20 seconds, some microsecond.
const PRECISION: u8 = -20_i8 as u8;
/// 1/64 second in 16.16 bits: what a clock that is set over the Internet may be off.
const ROOT_DISPERSION: [u8; 4] = [0, 0, 0x04, 0];
/// An address of no reference clock: that of loopback, so that no camera takes it for one it knows.
const REFERENCE: &[u8] = &[127, 127, 1, 0];
/// From 1900 to 1970.
const UNIX_EPOCH_SECONDS: i64 = 2_208_988_800;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(first: u8) -> [u8; MESSAGE_BYTES] {
        let mut bytes = [0; MESSAGE_BYTES];
        bytes[0] = first;
        bytes[2] = 6;
        bytes[40..].copy_from_slice(b"ECHOED!!");
        bytes
    }

    #[test]
    fn a_request_is_answered_with_the_time() {
        let received: Timestamp = "2026-11-26T00:00:00.5Z".parse().unwrap();
        let now: Timestamp = "2026-11-26T00:00:00.75Z".parse().unwrap();
        let answer = answer(&request(0x23), received, now).unwrap();
        assert_eq!(answer[..4], [0x24, 3, 6, 0xec], "leap none, version 4, server; stratum; poll; precision");
        assert_eq!(&answer[24..32], b"ECHOED!!", "the client's transmit time comes back as originate time");
        // 2026-11-26 is 20,783 days after 1970, and 1970 is 25,567 days after 1900.
        let seconds: u32 = (20_783 + 25_567) * 86_400_u64 as u32;
        assert_eq!(answer[32..36], seconds.to_be_bytes());
        assert_eq!(answer[36..40], [0x80, 0, 0, 0], "half a second");
        assert_eq!(answer[44..48], [0xc0, 0, 0, 0], "three quarters");
    }

    #[test]
    fn after_the_era_ends_seconds_begin_anew() {
        let after: Timestamp = "2036-02-07T06:28:17Z".parse().unwrap();
        let answer = answer(&request(0x23), after, after).unwrap();
        assert_eq!(answer[40..44], [0, 0, 0, 1]);
    }

    #[test]
    fn nothing_else_is_answered() {
        let now: Timestamp = "2026-11-26T00:00:00Z".parse().unwrap();
        for (first, what) in [
            (0x24, "an answer"),
            (0x25, "a broadcast"),
            (0x21, "symmetric active"),
            (0x26, "a control message, as amplifiers are asked with"),
            (0x27, "private mode 7, as monlist was"),
            (0x03, "version 0"),
            (0x2b, "version 5"),
        ] {
            assert_eq!(answer(&request(first), now, now), None, "{what}");
        }
        for length in [0, 1, 47, 49, 68, 1_500] {
            let mut bytes = request(0x23).to_vec();
            bytes.resize(length, 0);
            assert_eq!(answer(&bytes, now, now), None, "{length} bytes");
        }
        for first in 0..=u8::MAX {
            let expected = (0x0b..=0x23).contains(&(first & 0x3f)) && first & 7 == 3;
            assert_eq!(answer(&request(first), now, now).is_some(), expected, "first byte {first:#x}");
        }
    }
}
