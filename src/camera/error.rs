//! What can go wrong between the gateway and a camera.

use std::{fmt, time::Duration};

/// Why a camera's answer could not be had, and whether it may have heard the question.
///
/// The text names neither an address nor a secret nor anything the camera said, a bounded element name apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct CameraError {
    /// What happened.
    pub failure: Failure,
    /// Whether a byte of the request may have reached the camera.
    pub sent: bool,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No connection: refused, or no way to the host.
    #[error("the camera cannot be reached")]
    Unreachable,
    /// The gateway has no socket in the camera's zone.
    #[error(
        "there is no socket in the camera's zone: `cordon netd` does not run, or does not know the zone; the log says why"
    )]
    NoSocket,
    /// Its host is there and refuses the connection.
    #[error("the camera cannot be reached: nothing listens at its port")]
    NotListening,
    /// The camera took too long.
    #[error("the camera did not {0} in time")]
    TimedOut(Phase),
    /// TLS cannot be made with this camera, and nothing else is tried.
    #[error(
        "no TLS connection can be made with the camera: {0}; set tls = false for it to be reached in clear, or plain_streams = true for its streams alone"
    )]
    TlsUnsupported(&'static str),
    /// The camera shows another certificate than the one that is pinned or configured.
    #[error(
        "the camera shows another certificate than before: somebody may stand between; if it was exchanged or reset, run `cordon camera accept`"
    )]
    CertificateChanged,
    /// The pin of the camera's certificate could neither be read nor kept.
    #[error("the pin of the camera's certificate could not be read or kept; the log says why")]
    PinUnavailable,
    /// The connection ended before the answer did.
    #[error("the camera cut the connection before it had answered")]
    Reset,
    /// The answer is not HTTP/1.x as it should be.
    #[error("the camera's answer is not valid HTTP: {0}")]
    NotHttp(&'static str),
    /// The answer is not RTSP/1.0 as it should be.
    #[error("the camera's answer is not valid RTSP: {0}")]
    NotRtsp(crate::rtsp::DecodeError),
    /// An RTSP status other than success.
    #[error("the camera answered with RTSP status {0}")]
    BadRtspStatus(u16),
    /// The answer's body is no SOAP envelope.
    #[error("the camera's answer is not SOAP (HTTP status {0})")]
    NotSoap(u16),
    /// A success without a body where an envelope was due.
    #[error("the camera's answer is empty")]
    Empty,
    /// Nobody waits for the file any more.
    #[error("whoever asked for the file went away")]
    Unwanted,
    /// The answer exceeds a bound.
    #[error("the camera's answer is larger than {0} bytes")]
    TooLarge(usize),
    /// More packets or bytes than any stream has.
    #[error("the camera floods: more packets, bytes or metadata in a second than any stream has")]
    Flooding,
    /// All its sources have left the session.
    #[error("the camera said goodbye for all of the streams (RTCP BYE)")]
    Goodbye,
    /// A recording without a pace of its own is asked of a camera that sends datagrams only.
    #[error("the camera sends datagrams only: a recording cannot be had from it faster than it plays")]
    NotHeldBack,
    /// Datagrams come from where nothing was sent, which a zone's own rules let in from nowhere.
    #[error(
        "the camera does not name the port that its datagrams come from, and the isolation of its zone lets in none but \
         those that answer: have it send streams over TCP"
    )]
    PortNotNamed,
    /// A stream in datagrams of which none came.
    #[error(
        "no datagram of the stream came; in a zone of its own only those are let in that come from the ports that the \
         camera names: have it send streams over TCP"
    )]
    NoDatagrams,
    /// An envelope that holds the answer to something else.
    #[error("the camera answered something else: {0}")]
    WrongAnswer(String),
    /// An envelope the tables cannot read.
    #[error("the camera's answer cannot be understood: {0}")]
    Malformed(String),
    /// The camera refused the credentials, or the breaker is open because it did.
    #[error("the camera refused the gateway's login{0}")]
    LoginRefused(Retry),
    /// The camera asks for a login of a kind the gateway does not use (Basic, bearer tokens).
    #[error("the camera offers no kind of login that the gateway uses")]
    LoginUnsupported,
    /// WS-Security is needed and nobody knows how far the camera's clock is off: probe it, then ask again.
    #[error("the camera's clock is not known, and its login needs it")]
    ClockUnknown,
    /// The camera wants the question asked elsewhere, which the gateway never does.
    #[error("the camera redirected the request, which is not followed")]
    Redirected,
    /// An HTTP status without a SOAP fault.
    #[error("the camera answered with HTTP status {0}")]
    BadStatus(u16),
    /// A snapshot that is no JPEG picture.
    #[error("the camera's answer is not a JPEG picture")]
    NotPicture,
    /// The question is another camera's, or its document another operation's: a defect of the gateway.
    #[error("the question is not for this camera")]
    Misdirected,
    /// The endpoint cannot be written as an HTTP request target.
    #[error("the endpoint is no valid request target")]
    BadEndpoint,
    /// The gateway itself has no randomness for a nonce.
    #[error("the system's random generator failed")]
    NoEntropy,
}

impl CameraError {
    /// Whether nothing came from the camera: it will not answer the next question either.
    pub fn is_silence(&self) -> bool {
        matches!(
            self.failure,
            Failure::Unreachable
                | Failure::NoSocket
                | Failure::NotListening
                | Failure::TimedOut(_)
                | Failure::TlsUnsupported(_)
                | Failure::CertificateChanged
                | Failure::PinUnavailable
        )
    }

    /// Whether it came of the camera, or of the way to it, and not of the gateway itself: without having been asked, the
    /// camera refuses no login and lacks no clock, and keeps nobody waiting for a turn.
    pub fn is_of_camera(&self) -> bool {
        match self.failure {
            Failure::NoSocket
            | Failure::PinUnavailable
            | Failure::Unwanted
            | Failure::NotHeldBack
            | Failure::Misdirected
            | Failure::NoEntropy => false,
            Failure::LoginRefused(_) | Failure::ClockUnknown | Failure::TimedOut(Phase::Turn) => self.sent,
            _ => true,
        }
    }

    /// Whether the camera took too long.
    pub fn is_timeout(&self) -> bool {
        matches!(self.failure, Failure::TimedOut(_))
    }
}

/// How far an exchange had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for a turn, or for another login to end.
    Turn,
    /// Opening the connection.
    Connect,
    /// Making it a TLS connection.
    Handshake,
    /// Sending a file.
    File,
    /// Waiting for the answer.
    Answer,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Turn => "become free",
            Self::Connect => "accept a connection",
            Self::Handshake => "make a TLS connection",
            Self::File => "take the file",
            Self::Answer => "answer",
        })
    }
}

/// When a login is tried again; none: with the next command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retry(pub Option<Duration>);

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some(wait) => write!(f, "; it is tried again in {} s", wait.as_secs().max(1)),
        }
    }
}
