//! Hardware addresses (IEEE 802): whose frame it is, as far as the frame says.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A hardware address of 48 bits, written `02:00:00:00:00:01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress([u8; 6]);

/// It is no hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hardware address is written as 44:19:b6:00:00:01")]
pub struct NoMacAddress;

impl MacAddress {
    /// Of these bytes.
    pub const fn new(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// Whether one device can have it: it is not one for groups, and not nothing.
    pub fn is_of_a_device(self) -> bool {
        let [first, ..] = self.0;
        first & 1 == 0 && self.0 != [0; 6]
    }
}

impl FromStr for MacAddress {
    type Err = NoMacAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|it| it.len() == 2 && it.bytes().all(|it| it.is_ascii_hexdigit()));
            *byte = part.and_then(|it| u8::from_str_radix(it, 16).ok()).ok_or(NoMacAddress)?;
        }
        parts.next().is_none().then_some(Self(bytes)).ok_or(NoMacAddress)
    }
}

impl TryFrom<String> for MacAddress {
    type Error = NoMacAddress;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<MacAddress> for String {
    fn from(address: MacAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        let address: MacAddress = "44:19:B6:00:00:0f".parse().unwrap();
        assert_eq!(address.to_string(), "44:19:b6:00:00:0f");
        assert!(address.is_of_a_device());
        for text in [
            "",
            "44:19:b6:00:00",
            "44:19:b6:00:00:0f:11",
            "44-19-b6-00-00-0f",
            "44:19:b6:00:00:+f",
            "4419b600000f",
        ] {
            assert_eq!(text.parse::<MacAddress>(), Err(NoMacAddress), "{text}");
        }
        for text in ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"] {
            assert!(!text.parse::<MacAddress>().unwrap().is_of_a_device(), "{text}");
        }
    }
}
