//! Encodings that are not known here: by name only.

use std::fmt;

use crate::limits::SDP_ENCODING_NAME_BYTES_MAX;

/// The name of an encoding (RFC 4566 §6, `a=rtpmap`) that nothing is known of but its form: letters, digits and signs
/// that leave no room for an address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EncodingName {
    bytes: [u8; SDP_ENCODING_NAME_BYTES_MAX],
    length: usize,
}

impl EncodingName {
    /// A name of that form; none if it has another.
    pub fn new(name: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !name.starts_with(|first: char| first.is_ascii_alphabetic()) || !name.bytes().all(fits) {
            return None;
        }
        let mut bytes = [0; SDP_ENCODING_NAME_BYTES_MAX];
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(Self { bytes, length: name.len() })
    }

    /// The name as the camera writes it.
    pub fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|it| std::str::from_utf8(it).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for EncodingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// What becomes of pictures and sound in an encoding that is not known here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum UnknownCodecs {
    /// They are left out.
    #[default]
    Refused,
    /// They pass, their packets' headers checked like all others'.
    Passed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_room_for_an_address() {
        let longest = "A".repeat(SDP_ENCODING_NAME_BYTES_MAX);
        for name in ["AV1", "AMR-WB", "telephone-event", "x_y", &longest] {
            assert_eq!(EncodingName::new(name).unwrap().as_str(), name);
        }
        let too_long = "A".repeat(SDP_ENCODING_NAME_BYTES_MAX + 1);
        for name in ["", "10-0-0-1", "a.b", "10.0.0.1", "fe80::1", "a b", "a/b", "a\r", "ü", &too_long] {
            assert_eq!(EncodingName::new(name), None, "{name}");
        }
    }
}
