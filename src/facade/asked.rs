//! What a client asked, and how it came in.

use crate::schema::Document;

/// How a client came in, which is how it is told to come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Entrance {
    /// By plain HTTP.
    #[default]
    Plain,
    /// By HTTPS.
    Secure,
}

impl Entrance {
    /// The entrance of a connection.
    pub fn of(tls: bool) -> Self {
        if tls { Self::Secure } else { Self::Plain }
    }
}

/// A request as the facade needs it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What was asked.
    pub request: &'a Document,
    /// Where it came in.
    pub entrance: Entrance,
}
