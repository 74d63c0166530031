//! Why a message is refused.

use crate::schema::{simple::ValueError, xml::XmlError};

/// Why a message is refused. Each names the place as a path of local names from the message's root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not XML this gateway reads.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// Its outermost element is another one.
    #[error("the message is {found}, not {expected}")]
    Root {
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// An element nobody declared there.
    #[error("unknown element {0}")]
    UnknownElement(String),
    /// An attribute nobody declared there.
    #[error("unknown attribute {0}")]
    UnknownAttribute(String),
    /// Text where only elements may stand.
    #[error("text in {0}, which holds none")]
    Text(String),
    /// A mandatory element is missing.
    #[error("missing element {0}")]
    MissingElement(String),
    /// A mandatory attribute is missing.
    #[error("missing attribute {0}")]
    MissingAttribute(String),
    /// An element stands more often than it may.
    #[error("too many of {0}")]
    TooMany(String),
    /// More than one of several alternatives.
    #[error("alternatives together in {0}")]
    Alternatives(String),
    /// A value that its type does not have. The value is not repeated: it may be a secret.
    #[error("the value of {0} {1}")]
    Value(String, ValueError),
    /// A prefix inside a value that nothing declares.
    #[error("the value of {0} has an undeclared prefix")]
    Prefix(String),
    /// Binary data that should come beside the message (`xop:Include`).
    #[error("{0} refers to an attachment, which this gateway does not take")]
    Attachment(String),
    /// More than a limit allows.
    #[error("more than {1} {2} in {0}")]
    Limit(String, usize, &'static str),
}
