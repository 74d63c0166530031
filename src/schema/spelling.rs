//! The ways in which a text can name an address so that some program on the core side still finds it: escapes,
//! base64, full-width letters, and an IPv4 address as one number, in hexadecimal, octal, backwards, or with
//! other marks between its parts.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::limits::{ADDRESS_BASE64_CHARS_MIN, ADDRESS_UNFOLDINGS_MAX};

/// The text as whoever resolves its escapes reads it: percent signs, character references, both of them several
/// times over.
pub fn unescaped(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..ADDRESS_UNFOLDINGS_MAX {
        if !text.contains(['%', '&']) {
            break;
        }
        let once = unreferenced(&percent_decoded(&text));
        if *once == *text {
            break;
        }
        text = Cow::Owned(once);
    }
    text
}

/// The text in lower case, full-width letters as usual ones, without characters that do not show.
pub fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().filter(|it| !is_invisible(*it)).map(narrow).flat_map(char::to_lowercase).collect()
}

/// The texts that words of a text begin with the base64 of, of either alphabet, themselves without escapes and
/// folded. Most long words are no base64 of any text, which shows at their first bytes.
pub fn from_base64(text: &str) -> impl Iterator<Item = String> {
    const TOLERANT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    const USUAL: GeneralPurpose = GeneralPurpose::new(&STANDARD, TOLERANT);
    const OF_URLS: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, TOLERANT);
    let words = text.split(|it: char| !u8::try_from(it).is_ok_and(is_base64));
    // Every first of four characters holds the upper bits of a byte, which in text are those of ASCII.
    let begins = |it: &u8| matches!(it, b'I'..=b'Z' | b'a'..=b'f');
    let may_be = move |word: &&str| match word.as_bytes() {
        [one, _, _, _, five, ..] => word.len() >= ADDRESS_BASE64_CHARS_MIN && begins(one) && begins(five),
        _ => false,
    };
    words.filter(may_be).filter_map(|word| {
        let engine = if word.contains(['-', '_']) { OF_URLS } else { USUAL };
        let mut first = [0; 6];
        engine.decode_slice(word.get(..8)?, &mut first).ok()?;
        if !first.iter().all(is_text) {
            return None;
        }
        // One character alone holds no byte.
        let bytes = engine.decode(word.get(..word.len() - usize::from(word.len() % 4 == 1))?).ok()?;
        // Behind what was text may stand anything, another word without padding for one.
        let inside: String = bytes.into_iter().take_while(is_text).map(char::from).collect();
        Some(folded(&unescaped(&inside)))
    })
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

fn is_text(byte: &u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n')
}

/// One address and the ways to write it.
#[derive(Debug, Clone)]
pub struct Spellings {
    /// The address.
    pub address: IpAddr,
    needles: Vec<String>,
}

impl Spellings {
    /// Takes an address.
    pub fn new(address: IpAddr) -> Self {
        let needles = match address {
            IpAddr::V4(v4) => needles_of_v4(v4),
            IpAddr::V6(v6) => needles_of_v6(v6),
        };
        Self { address, needles }
    }

    /// Whether the address stands in a text in lower case, in some spelling, be it stuck to a word.
    pub fn stand_in(&self, lower: &str) -> bool {
        let parted = match self.address {
            IpAddr::V4(v4) => stands_in_parts(lower, v4.octets()),
            IpAddr::V6(_) => false,
        };
        parted || self.needles.iter().any(|one| stands_in(lower, one))
    }
}

fn needles_of_v4(address: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets();
    let forwards = address.to_bits();
    // As Linux shows addresses in /proc/net.
    let backwards = forwards.swap_bytes();
    let mut needles = vec![format!("{d}.{c}.{b}.{a}.in-addr")];
    for number in [forwards, backwards] {
        needles.push(format!("0x{number:08x}"));
        // Without a letter, or with fewer digits, it could be any counter.
        let bare = format!("{number:08x}");
        needles.extend(Some(bare).filter(|it| it.bytes().any(|byte| byte.is_ascii_alphabetic())));
        needles.extend(Some(number.to_string()).filter(|it| it.len() >= 9));
    }
    needles
}

fn needles_of_v6(address: Ipv6Addr) -> Vec<String> {
    let short = address.to_string();
    let groups = address.segments().map(|it| format!("{it:04x}"));
    // The second is how Windows writes it as a host name: `fe80--1.ipv6-literal.net`.
    vec![short.clone(), short.replace(':', "-"), groups.join(":"), groups.join("-"), groups.concat()]
}

/// Whether a needle stands in a text with neither a digit nor, for names, a letter touching it.
pub fn stands_in(text: &str, needle: &str) -> bool {
    let name = needle.bytes().any(|byte| byte.is_ascii_alphabetic());
    let touches =
        |side: Option<char>| side.is_some_and(|it| it.is_ascii_digit() || (name && it.is_alphanumeric()));
    text.match_indices(needle).any(|(at, _)| {
        let before = text.get(..at).and_then(|it| it.chars().next_back());
        let after = text.get(at + needle.len()..).unwrap_or_default();
        !touches(before) && !touches(after.chars().next())
    })
}

/// Whether four numbers stand in a text one after the other, with the same mark between them, of those that
/// people put there: `10.0.0.5`, `010.000.000.005`, `10-0-0-5`, `10[.]0[.]0[.]5`. `10.0.0.5.1` goes on and is none.
fn stands_in_parts(text: &str, octets: [u8; 4]) -> bool {
    // The last numbers, each with the mark that joins it to the one before.
    let mut window: [(Option<u16>, Option<&str>); 5] = [(None, None); 5];
    let mut rest = Some(text);
    while let Some(text) = rest {
        let is_digit = |it: char| it.is_ascii_digit();
        let (between, tail) =
            text.find(is_digit).and_then(|at| text.split_at_checked(at)).unwrap_or((text, ""));
        let end = tail.find(|it| !is_digit(it)).unwrap_or(tail.len());
        let (number, after) = tail.split_at_checked(end).unwrap_or((tail, ""));
        let mark = MARKS.iter().find(|it| **it == between && !number.is_empty()).copied();
        window.rotate_left(1);
        let [.., slot] = &mut window;
        *slot = (number.parse().ok(), mark);
        let [(one, before), (two, mark), (three, second), (four, third), (_, behind)] = window;
        let same =
            [one, two, three, four].into_iter().zip(octets).all(|(it, octet)| it == Some(octet.into()));
        if same && mark.is_some() && [second, third] == [mark; 2] && ![before, behind].contains(&mark) {
            return true;
        }
        // Once more after the last number, to see that none goes on.
        rest = (!number.is_empty()).then_some(after);
    }
    false
}

/// What stands between two numbers that are parts of one address.
const MARKS: [&str; 12] = [".", "-", "_", ",", "·", "[.]", "(.)", "{.}", " . ", ". ", " .", "\\."];

/// The text with `%31` as `1`; what is no escape stays, and so does what does not decode to a character.
fn percent_decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let digits = after.get(..2).filter(|it| it.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = digits.and_then(|it| u8::from_str_radix(it, 16).ok()).filter(u8::is_ascii);
        match byte {
            Some(byte) => {
                out.push(byte.into());
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push('%');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// The text with `&#49;`, `&#x31;` and `&period;` as what they stand for in HTML.
fn unreferenced(text: &str) -> String {
    const NAMES: [(&str, char); 10] = [
        ("amp", '&'),
        ("period", '.'),
        ("colon", ':'),
        ("sol", '/'),
        ("num", '#'),
        ("percnt", '%'),
        ("lsqb", '['),
        ("rsqb", ']'),
        ("commat", '@'),
        ("hyphen", '-'),
    ];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let end = after.find(|it: char| !(it.is_ascii_alphanumeric() || it == '#')).unwrap_or(after.len());
        let (name, tail) = after.split_at_checked(end).unwrap_or((after, ""));
        let number = name.strip_prefix('#').and_then(|digits| match digits.strip_prefix(['x', 'X']) {
            Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok(),
            None => digits.parse().ok(),
        });
        let named = || NAMES.iter().find(|it| it.0.eq_ignore_ascii_case(name)).map(|it| it.1);
        match number.and_then(char::from_u32).or_else(named) {
            Some(character) => {
                out.push(character);
                rest = tail.strip_prefix(';').unwrap_or(tail);
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Letters, digits and stops as IDNA maps them to ASCII (UTS #46).
fn narrow(character: char) -> char {
    match character {
        '。' | '｡' | '．' => '.',
        // The full-width forms stand in the order of ASCII.
        '！'..='～' => char::from_u32(u32::from(character) - 0xFEE0).unwrap_or(character),
        other => other,
    }
}

/// Characters that IDNA takes out.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_resolved_however_often_they_were_made() {
        for (text, expected) in [
            ("10%2E0%2e0.5", "10.0.0.5"),
            ("%2531%2530.0.0.5", "10.0.0.5"),
            ("10&#46;0&#x2e;0&period;5", "10.0.0.5"),
            ("10&amp;#46;0.0.5", "10.0.0.5"),
            ("１０．０。０.5", "10.0.0.5"),
            ("10.\u{200b}0.0.\u{ad}5", "10.0.0.5"),
            ("A % B & C &unknown; %zz", "a % b & c &unknown; %zz"),
            ("KÄSE", "käse"),
        ] {
            assert_eq!(folded(&unescaped(text)), expected, "{text}");
        }
    }

    #[test]
    fn base64_is_found_in_words_and_most_words_are_none() {
        let found = |text: &str| from_base64(text).collect::<Vec<_>>();
        assert_eq!(found("see MTAuMC4wLjU= there"), ["10.0.0.5"]);
        assert_eq!(found("aHR0cDovLzEwLjAuMC41Lz94"), ["http://10.0.0.5/?x"]);
        assert!(found("MTAuMC4wLjUMTAuMC4wLjU")[0].starts_with("10.0.0.5"));
        assert_eq!(found("VideoSourceConfiguration profile_1_h264 onvif/device_service"), [""; 0]);
    }

    #[test]
    fn an_address_is_found_in_its_spellings_and_not_in_numbers_like_it() {
        let own = Spellings::new("192.168.1.64".parse().unwrap());
        for text in [
            "192.168.1.64",
            "cam192.168.1.64x",
            "192-168-001-064",
            "192_168_1_64",
            "192[.]168[.]1[.]64",
            "192.168.1.64.",
            "192.168.1.64, 5",
            "at 7 192.168.1.64",
            "3232235840",
            "0xc0a80140",
            "c0a80140",
            "4001a8c0",
            "64.1.168.192.in-addr.arpa",
        ] {
            assert!(own.stand_in(text), "{text}");
        }
        for text in [
            "192.168.1.640",
            "1192.168.1.64",
            "192.168.1.64.1",
            "7.192.168.1.64",
            "192.168.1",
            "192 168 1 64",
            "13232235840",
            "ac0a80140",
            "0.0.0.0",
            "",
        ] {
            assert!(!own.stand_in(text), "{text}");
        }
        let own = Spellings::new("fe80::12".parse().unwrap());
        assert!(own.stand_in("fe80--12.ipv6-literal.net") && own.stand_in("x fe80::12%eth0"));
        assert!(!own.stand_in("fe80::123") && !own.stand_in("afe80::12"));
    }
}
