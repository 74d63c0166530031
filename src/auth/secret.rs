//! Passwords that neither print nor linger.

use std::fmt;

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

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// A user name with its password, as a camera wants it.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_password() {
        let login = Login { username: "root".into(), password: Secret::new("hunter2".into()) };
        assert_eq!(format!("{login:?}"), r#"Login { username: "root", password: Secret(***) }"#);
    }
}
