//! RTSP/1.0 messages (RFC 2326) as values, and how ours are written.
//!
//! A message holds the fields that this program knows and nothing else: what it does not know is counted when it
//! is read and gone afterwards. Nothing read is ever written: messages of ours are made of typed values, and a
//! value that could end a line is refused when it is put in.

use std::fmt::{self, Write as _};

use bytes::Bytes;

/// What is asked of a stream (RFC 2326 §10).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of RFC 2326")]
pub enum Method {
    Options,
    Describe,
    Setup,
    Play,
    Pause,
    Teardown,
    GetParameter,
    SetParameter,
    /// Anything else: ANNOUNCE, RECORD, REDIRECT, and what nobody ever heard of. Always refused.
    Other(Box<str>),
}

impl Method {
    /// The methods that are answered, as `Public` names them.
    pub const KNOWN: [Self; 8] = [
        Self::Options,
        Self::Describe,
        Self::Setup,
        Self::Play,
        Self::Pause,
        Self::Teardown,
        Self::GetParameter,
        Self::SetParameter,
    ];

    /// As it stands in a request line.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Options => "OPTIONS",
            Self::Describe => "DESCRIBE",
            Self::Setup => "SETUP",
            Self::Play => "PLAY",
            Self::Pause => "PAUSE",
            Self::Teardown => "TEARDOWN",
            Self::GetParameter => "GET_PARAMETER",
            Self::SetParameter => "SET_PARAMETER",
            Self::Other(name) => name,
        }
    }

    /// The method of a word; methods are case-sensitive (RFC 2326 §6.1).
    pub(super) fn of_word(word: &str) -> Self {
        Self::KNOWN.into_iter().find(|it| it.as_str() == word).unwrap_or_else(|| Self::Other(word.into()))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! fields {
    ($($variant:ident = $name:literal,)*) => {
        /// A header field that is read or written here.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the names are those of RFC 2326 §12 and the ONVIF Streaming Specification")]
        pub enum Field { $($variant,)* }

        impl Field {
            /// Every field.
            const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As it is written.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

fields! {
    Accept = "Accept",
    Authorization = "Authorization",
    CSeq = "CSeq",
    ContentBase = "Content-Base",
    ContentLength = "Content-Length",
    ContentLocation = "Content-Location",
    ContentType = "Content-Type",
    Frames = "Frames",
    Immediate = "Immediate",
    Location = "Location",
    Public = "Public",
    Range = "Range",
    RateControl = "Rate-Control",
    Require = "Require",
    RtpInfo = "RTP-Info",
    Scale = "Scale",
    Server = "Server",
    Session = "Session",
    Speed = "Speed",
    Transport = "Transport",
    Unsupported = "Unsupported",
    UserAgent = "User-Agent",
    WwwAuthenticate = "WWW-Authenticate",
}

impl Field {
    /// The field of a name; names are compared without regard to case (RFC 2326 §4.2).
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.as_str().eq_ignore_ascii_case(name))
    }

    /// Whether a message may have it more than once: a list, or several challenges.
    pub(super) fn repeats(self) -> bool {
        matches!(
            self,
            Self::Accept | Self::Public | Self::Require | Self::Unsupported | Self::WwwAuthenticate
        )
    }
}

/// The known fields of a message, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    known: Vec<(Field, String)>,
    /// How many fields were not known.
    pub unknown: usize,
}

impl Fields {
    /// The first value of a field.
    pub fn get(&self, field: Field) -> Option<&str> {
        self.all(field).next()
    }

    /// Every value of a field.
    pub fn all(&self, field: Field) -> impl Iterator<Item = &str> {
        self.known.iter().filter(move |(name, _)| *name == field).map(|(_, value)| value.as_str())
    }

    /// Every known field with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.known.iter().map(|(field, value)| (field.as_str(), value.as_str()))
    }

    pub(super) fn push(&mut self, field: Field, value: String) {
        self.known.push((field, value));
    }
}

/// A request that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// Of what: as written, without control characters or spaces.
    pub uri: String,
    /// Its number (RFC 2326 §12.17), which the answer repeats.
    pub cseq: u32,
    /// Its known fields.
    pub fields: Fields,
    /// Its body.
    pub body: Bytes,
}

/// An answer that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code, 100 to 599.
    pub status: u16,
    /// The number of the request it answers; some cameras leave it out.
    pub cseq: Option<u32>,
    /// Its known fields.
    pub fields: Fields,
    /// Its body.
    pub body: Bytes,
}

/// What a status means, for the answers that are written here (RFC 2326 §7.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of RFC 2326 §7.1.1")]
pub enum Status {
    Ok,
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    RequestTimeout,
    RequestEntityTooLarge,
    RequestUriTooLarge,
    UnsupportedMediaType,
    ParameterNotUnderstood,
    NotEnoughBandwidth,
    SessionNotFound,
    MethodNotValidInThisState,
    InvalidRange,
    AggregateOperationNotAllowed,
    OnlyAggregateOperationAllowed,
    UnsupportedTransport,
    InternalServerError,
    NotImplemented,
    BadGateway,
    ServiceUnavailable,
    GatewayTimeout,
    VersionNotSupported,
    OptionNotSupported,
}

impl Status {
    /// Code and reason.
    pub fn parts(self) -> (u16, &'static str) {
        match self {
            Self::Ok => (200, "OK"),
            Self::BadRequest => (400, "Bad Request"),
            Self::Unauthorized => (401, "Unauthorized"),
            Self::Forbidden => (403, "Forbidden"),
            Self::NotFound => (404, "Not Found"),
            Self::MethodNotAllowed => (405, "Method Not Allowed"),
            Self::NotAcceptable => (406, "Not Acceptable"),
            Self::RequestTimeout => (408, "Request Time-out"),
            Self::RequestEntityTooLarge => (413, "Request Entity Too Large"),
            Self::RequestUriTooLarge => (414, "Request-URI Too Large"),
            Self::UnsupportedMediaType => (415, "Unsupported Media Type"),
            Self::ParameterNotUnderstood => (451, "Parameter Not Understood"),
            Self::NotEnoughBandwidth => (453, "Not Enough Bandwidth"),
            Self::SessionNotFound => (454, "Session Not Found"),
            Self::MethodNotValidInThisState => (455, "Method Not Valid in This State"),
            Self::InvalidRange => (457, "Invalid Range"),
            Self::AggregateOperationNotAllowed => (459, "Aggregate operation not allowed"),
            Self::OnlyAggregateOperationAllowed => (460, "Only aggregate operation allowed"),
            Self::UnsupportedTransport => (461, "Unsupported transport"),
            Self::InternalServerError => (500, "Internal Server Error"),
            Self::NotImplemented => (501, "Not Implemented"),
            Self::BadGateway => (502, "Bad Gateway"),
            Self::ServiceUnavailable => (503, "Service Unavailable"),
            Self::GatewayTimeout => (504, "Gateway Time-out"),
            Self::VersionNotSupported => (505, "RTSP Version not supported"),
            Self::OptionNotSupported => (551, "Option not supported"),
        }
    }

    /// The code.
    pub fn code(self) -> u16 {
        self.parts().0
    }
}

/// Why a message of ours is not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A value holds what would end its line or is no text.
    #[error("the value of `{0}` has a control character")]
    Control(&'static str),
}

/// A message of ours, being written.
#[derive(Debug)]
pub struct Writer {
    text: String,
    failed: Option<WriteError>,
}

impl Writer {
    /// A request.
    pub fn request(method: &Method, uri: &str, cseq: u32) -> Self {
        let mut writer = Self { text: String::with_capacity(256), failed: None };
        writer.check("Request-Line", uri);
        if uri.contains(' ') {
            writer.failed = Some(WriteError::Control("Request-Line"));
        }
        let _ = write!(writer.text, "{method} {uri} RTSP/1.0\r\n{}: {cseq}\r\n", Field::CSeq.as_str());
        writer
    }

    /// An answer to the request of this number; one that could not be read has none.
    pub fn response(status: Status, cseq: Option<u32>) -> Self {
        let mut writer = Self { text: String::with_capacity(256), failed: None };
        let (code, reason) = status.parts();
        let _ = write!(writer.text, "RTSP/1.0 {code} {reason}\r\n");
        if let Some(cseq) = cseq {
            let _ = write!(writer.text, "{}: {cseq}\r\n", Field::CSeq.as_str());
        }
        writer
    }

    /// With a field.
    pub fn field(mut self, field: Field, value: impl fmt::Display) -> Self {
        let start = self.text.len();
        let _ = write!(self.text, "{}: {value}", field.as_str());
        let written = self.text.get(start..).unwrap_or_default();
        if written.bytes().any(|byte| byte.is_ascii_control()) {
            self.failed = Some(WriteError::Control(field.as_str()));
        }
        self.text.push_str("\r\n");
        self
    }

    /// With a field, if there is a value.
    pub fn maybe(self, field: Field, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.field(field, value),
            None => self,
        }
    }

    /// Without a body.
    pub fn finish(mut self) -> Result<Bytes, WriteError> {
        self.text.push_str("\r\n");
        self.done()
    }

    /// With a body of this type.
    pub fn body(self, content_type: &str, body: &str) -> Result<Bytes, WriteError> {
        let mut writer = self.field(Field::ContentType, content_type).field(Field::ContentLength, body.len());
        writer.text.push_str("\r\n");
        writer.text.push_str(body);
        writer.done()
    }

    fn check(&mut self, what: &'static str, value: &str) {
        if value.bytes().any(|byte| byte.is_ascii_control()) {
            self.failed = Some(WriteError::Control(what));
        }
    }

    fn done(self) -> Result<Bytes, WriteError> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(Bytes::from(self.text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_written_to_the_byte() {
        let request = Writer::request(&Method::Setup, "rtsp://192.0.2.7/a", 3)
            .field(Field::Transport, "RTP/AVP/TCP;unicast;interleaved=0-1")
            .maybe(Field::Session, None::<&str>)
            .finish();
        let expected = "SETUP rtsp://192.0.2.7/a RTSP/1.0\r\nCSeq: 3\r\n\
                        Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n";
        assert_eq!(request.unwrap(), expected);
        let answer = Writer::response(Status::Ok, Some(7)).body("text/parameters", "a: b\r\n").unwrap();
        let expected = "RTSP/1.0 200 OK\r\nCSeq: 7\r\nContent-Type: text/parameters\r\nContent-Length: 6\r\n\r\na: b\r\n";
        assert_eq!(answer, expected);
    }

    #[test]
    fn no_value_ends_its_line() {
        for value in ["a\r\nPublic: x", "a\nb", "a\rb", "a\0b", "\u{7f}"] {
            let written = Writer::response(Status::Ok, None).field(Field::Session, value).finish();
            assert_eq!(written, Err(WriteError::Control("Session")), "{value:?}");
            let written = Writer::request(&Method::Play, value, 1).finish();
            assert_eq!(written, Err(WriteError::Control("Request-Line")), "{value:?}");
        }
        assert!(Writer::request(&Method::Play, "rtsp://h/a b", 1).finish().is_err());
    }
}
