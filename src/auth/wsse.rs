//! WS-Security UsernameToken with a password digest (WSS UsernameToken Profile 1.1 §3.1).

use aws_lc_rs::digest as aws;
use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{Offset, TimeZone},
};

/// A UsernameToken as read from a SOAP header.
#[derive(Debug, Clone, Copy)]
pub struct WsseToken<'a> {
    /// Who claims to call.
    pub username: &'a str,
    /// The decoded nonce; empty if missing.
    pub nonce: &'a [u8],
    /// `wsu:Created` as written; empty if missing.
    pub created: &'a str,
    /// How the password was shown.
    pub password: WssePassword<'a>,
}

/// How a UsernameToken shows its password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum WssePassword<'a> {
    /// As a digest, decoded.
    Digest([u8; 20]),
    /// In clear.
    Text(&'a str),
    /// Not at all.
    Missing,
}

/// Without what it shows.
impl std::fmt::Debug for WssePassword<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Digest(_) => "Digest(***)",
            Self::Text(_) => "Text(***)",
            Self::Missing => "Missing",
        })
    }
}

/// SHA-1 over nonce, `Created` exactly as written, and password.
pub fn password_digest(nonce: &[u8], created: &str, password: &str) -> [u8; 20] {
    let mut context = aws::Context::new(&aws::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(nonce);
    context.update(created.as_bytes());
    context.update(password.as_bytes());
    let mut digest = [0; 20];
    // SHA-1 gives 20 bytes; the zip cannot run short.
    for (to, from) in digest.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    digest
}

/// Reads an `xs:dateTime` of a four-digit year, with or without a fraction, `Z` or an offset. Without a
/// zone it is UTC, as the profile demands of `Created`. Nothing around it is forgiven.
pub fn parse_created(text: &str) -> Option<Timestamp> {
    let (civil, rest) = text.split_at_checked(19)?;
    let parts = [(0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19)];
    let mut numbers = parts.iter().map(|(from, to)| digits(civil.get(*from..*to)?));
    let separators: Vec<&u8> = [4, 7, 10, 13, 16].iter().filter_map(|at| civil.as_bytes().get(*at)).collect();
    if !separators.into_iter().eq(b"--T::") {
        return None;
    }
    let mut next = || numbers.next().flatten();
    let year = i16::try_from(next()?).ok()?;
    let mut small = || i8::try_from(next()?).ok();
    let (month, day, hour, minute, second) = (small()?, small()?, small()?, small()?, small()?);
    let (nanosecond, zone) = fraction(rest)?;
    let time = DateTime::new(year, month, day, hour, minute, second, nanosecond).ok()?;
    TimeZone::fixed(offset(zone)?).to_timestamp(time).ok()
}

fn digits(text: &str) -> Option<i32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Nanoseconds of a fraction, and what follows it. Digits beyond the ninth are dropped.
fn fraction(text: &str) -> Option<(i32, &str)> {
    let Some(after) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let end = after.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(after.len());
    let (fraction, rest) = after.split_at_checked(end)?;
    if fraction.is_empty() {
        return None;
    }
    let nanoseconds = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    Some((nanoseconds.fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0')), rest))
}

fn offset(zone: &str) -> Option<Offset> {
    if zone.is_empty() || zone == "Z" {
        return Some(Offset::UTC);
    }
    let (sign, rest) = match zone.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, zone.strip_prefix('+')?),
    };
    let (hours, minutes) = rest.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    let fits = minutes < 60 && hours * 60 + minutes <= 14 * 60;
    fits.then(|| Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};

    #[test]
    fn the_digest_of_the_onvif_programmers_guide_holds() {
        let nonce = STANDARD.decode("LKqI6G/AikKCQrN0zqZFlg==").unwrap();
        let digest = password_digest(&nonce, "2010-09-16T07:50:45Z", "userpassword");
        assert_eq!(STANDARD.encode(digest), "tuOSpGlFlIXsozq4HFNeeGeFLEI=");
    }

    #[test]
    fn created_is_a_date_time_and_nothing_else() {
        for (text, instant) in [
            ("2026-11-23T22:00:00Z", "2026-11-23T22:00:00Z"),
            ("2026-11-23T22:00:00", "2026-11-23T22:00:00Z"),
            ("2026-11-23T22:00:00.25Z", "2026-11-23T22:00:00.25Z"),
            ("2026-11-23T22:00:00.123456789012Z", "2026-11-23T22:00:00.123456789Z"),
            ("2026-11-23T23:30:00+01:30", "2026-11-23T22:00:00Z"),
            ("2026-11-23T14:00:00.5-08:00", "2026-11-23T22:00:00.5Z"),
        ] {
            assert_eq!(parse_created(text), Some(instant.parse().unwrap()), "{text}");
        }
        for bad in [
            "",
            " 2026-11-23T22:00:00Z",
            "2026-11-23T22:00:00Z ",
            "2026-11-23 22:00:00Z",
            "2026-11-23T22:00:00z",
            "2026-11-23T22:00:00.Z",
            "2026-13-23T22:00:00Z",
            "2026-02-30T22:00:00Z",
            "2026-11-23T22:00:60Z",
            "2026-11-23T22:00:00+1:00",
            "2026-11-23T22:00:00+14:01",
            "2026-11-23Z",
            "12026-11-23T22:00:00Z",
            "-026-11-23T22:00:00Z",
            "+026-11-23T22:00:00Z",
            "2026-11-23T22:00:0éZ",
        ] {
            assert_eq!(parse_created(bad), None, "{bad:?}");
        }
    }
}
