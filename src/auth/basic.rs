//! HTTP Basic credentials (RFC 7617): a name and a password in clear.

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::limits::AUTH_HEADER_BYTES_MAX;

/// A name and the password it shows.
pub(super) struct Basic {
    text: Zeroizing<String>,
    colon: usize,
}

impl Basic {
    /// Reads an `Authorization` field. None if it is of another scheme; `Some(Err(()))` if it is broken.
    pub(super) fn parse(header: &str) -> Option<Result<Self, ()>> {
        let (scheme, rest) = header.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("Basic").then(|| Self::decode(rest.trim()).ok_or(()))
    }

    fn decode(encoded: &str) -> Option<Self> {
        if encoded.len() > AUTH_HEADER_BYTES_MAX {
            return None;
        }
        let bytes = Zeroizing::new(STANDARD.decode(encoded).ok()?);
        let text = Zeroizing::new(std::str::from_utf8(&bytes).ok()?.to_owned());
        // A name holds no colon, a password may (RFC 7617 §2).
        let colon = text.find(':')?;
        Some(Self { text, colon })
    }

    pub(super) fn username(&self) -> &str {
        self.text.get(..self.colon).unwrap_or_default()
    }

    pub(super) fn password(&self) -> &str {
        self.text.get(self.colon..).and_then(|rest| rest.strip_prefix(':')).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_at_the_first_colon() {
        // RFC 7617 §2 and §2.1.
        for (header, name, password) in [
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"),
            ("basic  dGVzdDoxMjPCow==", "test", "123£"),
            ("Basic YTpiOmM=", "a", "b:c"),
            ("Basic Og==", "", ""),
        ] {
            let Some(Ok(read)) = Basic::parse(header) else { panic!("{header}") };
            assert_eq!((read.username(), read.password()), (name, password));
        }
        for broken in ["Basic QWxhZGRpbg==", "Basic QWx", "Basic //79Og==", "Basic "] {
            assert!(!matches!(Basic::parse(broken), Some(Ok(_))), "{broken}");
        }
        assert!(Basic::parse("Digest username=\"a\"").is_none() && Basic::parse("Basic").is_none());
    }
}
