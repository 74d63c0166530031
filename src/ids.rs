//! Names of things, as types of their own.

use std::{fmt, sync::Arc};

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no valid name: use 1 to 63 of `a-z 0-9 - _ .`, beginning with a letter or digit")]
pub struct NameError(pub String);

fn check(text: &str) -> Result<Arc<str>, NameError> {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = (1..=63).contains(&text.len())
        && text.bytes().next().is_some_and(letter)
        && text.bytes().all(|byte| letter(byte) || matches!(byte, b'-' | b'_' | b'.'));
    if fits { Ok(Arc::from(text)) } else { Err(NameError(text.chars().take(80).collect())) }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Takes a name of 1 to 63 characters of `a-z 0-9 - _ .`, beginning with a letter or digit.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check(text).map(Self)
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($type), self.0)
            }
        }
    };
}

name!(
    /// A camera, as named in the configuration.
    CameraId
);
name!(
    /// A client system (VMS instance, person, script), as named in the configuration.
    ClientId
);
name!(
    /// A network zone that holds cameras.
    ZoneId
);
name!(
    /// A place with a sensitivity.
    SiteId
);

/// One request, from its first byte to its last record: 16 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(u64);

impl RequestId {
    /// Makes an id of random bits.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits it was made of.
    pub fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The URN of a UUID of version 8, whose bits are its maker's own (RFC 9562 §5.8), made of all bits but the six that say
/// so.
pub fn uuid_urn(bits: u128) -> String {
    // Version 8, variant 10.
    let bits = bits & !(0xf << 76) | 0x8 << 76;
    let bits = bits & !(0x3 << 62) | 0x2 << 62;
    let part = |shift: u32, digits: usize| format!("{:0digits$x}", bits >> shift & ((1 << (4 * digits)) - 1));
    format!("urn:uuid:{}-{}-{}-{}-{}", part(96, 8), part(80, 4), part(64, 4), part(48, 4), part(0, 12))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_plain() {
        assert_eq!(CameraId::new("gate-1.north_b").unwrap().as_str(), "gate-1.north_b");
        assert!(CameraId::new(&"a".repeat(63)).is_ok());
        for bad in ["", "-a", "A", "a b", "a/b", "ä", "a\n", &"a".repeat(64)] {
            assert_eq!(CameraId::new(bad), Err(NameError(bad.to_owned())), "{bad:?}");
        }
    }
}
