//! Passwords that neither print nor linger.

use std::fmt;

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A password or key: wiped from memory when dropped, never shown by `Debug`.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself. Only digests and the wire to a camera have a use for it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// In a time that depends on the lengths only.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose().as_bytes().ct_eq(other.expose().as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// A user name with its password, as a camera wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct Login {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

impl Login {
    /// A fingerprint that changes with the user name and the password, and says nothing about them to whoever
    /// has not the key.
    pub fn version(&self, key: &[u8; 32]) -> String {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
        context.update(&(self.username.len() as u64).to_be_bytes());
        context.update(self.username.as_bytes());
        context.update(self.password.expose().as_bytes());
        context.sign().as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_of_one_user_name_password_and_key() {
        let login =
            |user: &str, word: &str| Login { username: user.into(), password: Secret::new(word.into()) };
        let version = login("root", "hunter2").version(&[7; 32]);
        assert_eq!(version.len(), 32);
        assert_eq!(version, login("root", "hunter2").version(&[7; 32]));
        for other in [login("root", "hunter3"), login("roo", "thunter2"), login("Root", "hunter2")] {
            assert_ne!(version, other.version(&[7; 32]));
        }
        assert_ne!(version, login("root", "hunter2").version(&[8; 32]));
    }

    #[test]
    fn debug_shows_no_password() {
        let login = Login { username: "root".into(), password: Secret::new("hunter2".into()) };
        assert_eq!(format!("{login:?}"), r#"Login { username: "root", password: Secret(***) }"#);
    }
}
