//! Faults: the codes of SOAP 1.2 §5.4.6 and ONVIF Core §5.8.2.2.

use std::{fmt, time::Duration};

use jiff::Timestamp;

/// Who is to blame, and the three codes about the envelope itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultCode {
    /// The request was wrong.
    Sender,
    /// The receiver could not do it.
    Receiver,
    /// Another version of SOAP.
    VersionMismatch,
    /// A header block that had to be understood was not.
    MustUnderstand,
    /// An encoding nobody knows.
    DataEncodingUnknown,
}

impl FaultCode {
    /// The local name in the envelope namespace.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sender => "Sender",
            Self::Receiver => "Receiver",
            Self::VersionMismatch => "VersionMismatch",
            Self::MustUnderstand => "MustUnderstand",
            Self::DataEncodingUnknown => "DataEncodingUnknown",
        }
    }

    /// The local name in the envelope namespace of SOAP 1.1 (§4.4.1), which has no code for encodings.
    pub fn as_str11(self) -> &'static str {
        match self {
            Self::Sender | Self::DataEncodingUnknown => "Client",
            Self::Receiver => "Server",
            Self::VersionMismatch | Self::MustUnderstand => self.as_str(),
        }
    }

    /// The code of that local name, of SOAP 1.2 or 1.1.
    pub(super) fn from_local(local: &str) -> Option<Self> {
        match local {
            "Sender" | "Client" => Some(Self::Sender),
            "Receiver" | "Server" => Some(Self::Receiver),
            "VersionMismatch" => Some(Self::VersionMismatch),
            "MustUnderstand" => Some(Self::MustUnderstand),
            "DataEncodingUnknown" => Some(Self::DataEncodingUnknown),
            _ => None,
        }
    }
}

macro_rules! subcodes {
    ($($(#[$doc:meta])* $variant:ident),+ $(,)?) => {
        /// A code of ONVIF's, in the namespace `ter`.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum Subcode {
            $($(#[$doc])* $variant,)+
            /// Another one, given by a camera: an XML name of at most 64 characters.
            Other(String),
        }

        impl Subcode {
            /// The local name.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => stringify!($variant),)+
                    Self::Other(name) => name,
                }
            }

            /// The code of that local name; none if it is no plain name of at most 64 characters.
            pub(super) fn from_local(local: &str) -> Option<Self> {
                match local {
                    $(stringify!($variant) => Some(Self::$variant),)+
                    _ => {
                        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
                        let begins = local.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
                        let fits = begins && local.len() <= 64 && local.bytes().all(plain);
                        fits.then(|| Self::Other(local.to_owned()))
                    }
                }
            }
        }
    };
}

subcodes!(
    /// Not well-formed XML.
    WellFormed,
    /// Tags that do not match.
    TagMismatch,
    /// An element that does not belong there.
    Tag,
    /// A namespace that does not belong there.
    Namespace,
    /// A missing attribute.
    MissingAttr,
    /// An attribute that does not belong there.
    ProhibAttr,
    /// Arguments missing, too many or of the wrong type.
    InvalidArgs,
    /// An argument value that is not allowed.
    InvalidArgVal,
    /// An operation nobody knows.
    UnknownAction,
    /// An operation that is not allowed here.
    OperationProhibited,
    /// Credentials or rights are missing.
    NotAuthorized,
    /// An optional operation that is not offered.
    ActionNotSupported,
    /// The operation failed.
    Action,
    /// Out of memory.
    OutofMemory,
    /// A critical error.
    CriticalError,
    /// The device has no such service.
    NoSuchService,
);

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Who is to blame.
    pub code: FaultCode,
    /// What is wrong, the general code first.
    pub subcodes: Vec<Subcode>,
    /// A sentence for people. Of a camera's fault, cleaned and cut.
    pub reason: String,
    /// What else it says to programs. Of a camera's fault, nothing.
    pub detail: Option<Box<Detail>>,
}

/// What a fault about events says beside its codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// A fault that WS-BaseNotification or WS-Resource names; such a one says when it came about (WS-BaseFaults §2.1).
    Named {
        /// Which.
        name: FaultName,
        /// When.
        at: Timestamp,
    },
    /// `tev:PullMessagesFaultResponse` (ONVIF Core §9.1.2): for how long one may wait, and for how many messages.
    Pull {
        /// How long.
        time_max: Duration,
        /// How many.
        messages_max: usize,
    },
}

/// The faults that WS-BaseNotification and WS-Resource name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultName {
    /// There is no such subscription, or not for this client.
    ResourceUnknown,
    /// A filter is not known, or there are too many.
    InvalidFilter,
    /// A topic expression is in another language.
    TopicExpressionDialectUnknown,
    /// A topic expression is none.
    InvalidTopicExpression,
    /// A content filter is none.
    InvalidMessageContentExpression,
    /// A subscription cannot begin with that end; the earliest and the latest it can have.
    UnacceptableInitialTerminationTime(Timestamp, Timestamp),
    /// A subscription cannot be given that end; likewise.
    UnacceptableTerminationTime(Timestamp, Timestamp),
    /// There is no place for another subscription.
    SubscribeCreationFailed,
    /// Somebody else is given the messages at the moment.
    UnableToGetMessages,
}

impl FaultName {
    /// As records have it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ResourceUnknown => "wsrf-r:ResourceUnknownFault",
            Self::InvalidFilter => "wsnt:InvalidFilterFault",
            Self::TopicExpressionDialectUnknown => "wsnt:TopicExpressionDialectUnknownFault",
            Self::InvalidTopicExpression => "wsnt:InvalidTopicExpressionFault",
            Self::InvalidMessageContentExpression => "wsnt:InvalidMessageContentExpressionFault",
            Self::UnacceptableInitialTerminationTime(..) => "wsnt:UnacceptableInitialTerminationTimeFault",
            Self::UnacceptableTerminationTime(..) => "wsnt:UnacceptableTerminationTimeFault",
            Self::SubscribeCreationFailed => "wsnt:SubscribeCreationFailedFault",
            Self::UnableToGetMessages => "wsnt:UnableToGetMessagesFault",
        }
    }
}

impl Fault {
    /// A fault with one subcode.
    pub fn new(code: FaultCode, subcode: Subcode, reason: impl Into<String>) -> Self {
        Self { code, subcodes: vec![subcode], reason: reason.into(), detail: None }
    }

    /// A fault of WS-BaseNotification or WS-Resource.
    pub fn named(name: FaultName, at: Timestamp, reason: impl Into<String>) -> Self {
        let fault = match name {
            FaultName::SubscribeCreationFailed | FaultName::UnableToGetMessages => {
                Self::action_failed(reason)
            }
            _ => Self::invalid_argument_value(reason),
        };
        Self { detail: Some(Box::new(Detail::Named { name, at })), ..fault }
    }

    /// The caller may not, or is not known.
    pub fn not_authorized(reason: impl Into<String>) -> Self {
        Self::new(FaultCode::Sender, Subcode::NotAuthorized, reason)
    }

    /// A rule forbids it.
    pub fn operation_prohibited(reason: impl Into<String>) -> Self {
        Self::new(FaultCode::Sender, Subcode::OperationProhibited, reason)
    }

    /// Not offered.
    pub fn action_not_supported(reason: impl Into<String>) -> Self {
        Self::new(FaultCode::Receiver, Subcode::ActionNotSupported, reason)
    }

    /// Nobody knows that operation.
    pub fn unknown_action(reason: impl Into<String>) -> Self {
        Self::new(FaultCode::Sender, Subcode::UnknownAction, reason)
    }

    /// Arguments that do not fit the declaration.
    pub fn invalid_args(reason: impl Into<String>) -> Self {
        Self::new(FaultCode::Sender, Subcode::InvalidArgs, reason)
    }

    /// An argument value that is not allowed.
    pub fn invalid_argument_value(reason: impl Into<String>) -> Self {
        Self::new(FaultCode::Sender, Subcode::InvalidArgVal, reason)
    }

    /// Not XML this gateway reads.
    pub fn well_formed(reason: impl Into<String>) -> Self {
        Self::new(FaultCode::Sender, Subcode::WellFormed, reason)
    }

    /// It was tried and failed.
    pub fn action_failed(reason: impl Into<String>) -> Self {
        Self::new(FaultCode::Receiver, Subcode::Action, reason)
    }

    /// A fault of the envelope, without subcode.
    pub fn envelope(code: FaultCode, reason: impl Into<String>) -> Self {
        Self { code, subcodes: Vec::new(), reason: reason.into(), detail: None }
    }

    /// The codes in one line, as records have them: `Sender/ter:NotAuthorized`; with the name of what else it says.
    pub fn codes(&self) -> String {
        let mut codes = self.code.as_str().to_owned();
        for subcode in &self.subcodes {
            codes.push_str("/ter:");
            codes.push_str(subcode.as_str());
        }
        match self.detail.as_deref() {
            Some(Detail::Named { name, .. }) => codes.extend(["/", name.as_str()]),
            Some(Detail::Pull { .. }) => codes.push_str("/tev:PullMessagesFaultResponse"),
            None => {}
        }
        codes
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.codes(), self.reason)
    }
}

/// Text of a camera's for people: control characters become spaces, cut at 256 characters.
pub(super) fn cleaned(text: &str) -> String {
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    text.trim().chars().map(plain).take(REASON_CHARS_MAX).collect()
}

/// Characters kept of a camera's reason.
const REASON_CHARS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_as_people_write_them() {
        assert_eq!(Fault::not_authorized("no").codes(), "Sender/ter:NotAuthorized");
        assert_eq!(Fault::envelope(FaultCode::VersionMismatch, "1.1").codes(), "VersionMismatch");
    }

    #[test]
    fn a_cameras_subcode_must_be_a_plain_name() {
        assert_eq!(Subcode::from_local("NotAuthorized"), Some(Subcode::NotAuthorized));
        assert_eq!(Subcode::from_local("ConfigModify"), Some(Subcode::Other("ConfigModify".into())));
        for bad in ["", "1x", "a b", "http://192.0.2.1/", &"a".repeat(65)] {
            assert_eq!(Subcode::from_local(bad), None, "{bad:?}");
        }
        assert_eq!(cleaned(" a\u{1b}[31m\r\nb "), "a [31m  b");
    }
}
