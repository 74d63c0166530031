//! Why somebody was not recognised: one text outward, the cause for the record.

/// Why credentials were refused. What the caller hears is [`Failure::OUTWARD`] and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// No client has this name.
    #[error("no client has this name")]
    UnknownClient,
    /// The digest is another one.
    #[error("the password is wrong")]
    WrongPassword,
    /// The client exists, but not here.
    #[error("the client called from outside its networks")]
    Network,
    /// The client may not address this camera.
    #[error("the client may not address this camera")]
    Camera,
    /// The token shows its password in clear, which is not allowed here.
    #[error("PasswordText is refused: it is accepted over TLS only, and only where clear_passwords is on")]
    PasswordText,
    /// HTTP Basic, which is not allowed here.
    #[error("HTTP Basic is refused: it is accepted over TLS only, and only where clear_passwords is on")]
    Basic,
    /// The client certificate is in no client's configuration.
    #[error("the client certificate is no configured client's")]
    UnknownCertificate,
    /// The client certificate is not valid yet, or no longer.
    #[error("the client certificate is outside its time of validity")]
    CertificateTime,
    /// The token has no password, nonce or time of creation.
    #[error("the UsernameToken lacks its password, Nonce or Created")]
    Incomplete,
    /// The nonce is longer than the bound.
    #[error("the Nonce is too long")]
    NonceTooLong,
    /// `wsu:Created` is no time.
    #[error("Created is no xs:dateTime")]
    Created,
    /// `wsu:Created` is too far from the gateway's clock.
    #[error("Created is more than 300 s away from the gateway's clock")]
    Skew,
    /// The credentials were used before.
    #[error("the nonce was used before")]
    Replayed,
    /// The credentials are older than the gateway's start, and may have been used before that.
    #[error(
        "Created is before the gateway was started, when the client was pulling events: it may have been used then"
    )]
    BeforeStart,
    /// The client used more nonces than can be remembered.
    #[error("the client used too many nonces at once")]
    TooMany,
    /// The `Authorization` header is no digest with `qop=auth` for this realm.
    #[error("the Authorization header is no usable digest")]
    Header,
    /// The digest is for another address.
    #[error("the digest was made for another address")]
    Uri,
    /// The nonce is too old, or from before a restart.
    #[error("the digest nonce has expired")]
    Stale,
    /// Credentials of two kinds name two clients.
    #[error("the certificate, HTTP and WS-Security credentials name different clients")]
    TwoClients,
    /// Too many logins of the source failed; these were not looked at.
    #[error("too many logins failed: these credentials were not looked at")]
    OverBudget,
}

impl Failure {
    /// What every refused caller hears.
    pub const OUTWARD: &str = "Sender not authorized";

    /// Whether somebody may have guessed: the name or the password is wrong, or cannot be right there.
    pub fn is_guess(self) -> bool {
        matches!(self, Self::UnknownClient | Self::WrongPassword | Self::Network)
    }

    /// The word that stands in records and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownClient => "unknown-client",
            Self::WrongPassword => "wrong-password",
            Self::Network => "network",
            Self::Camera => "camera",
            Self::PasswordText => "password-text",
            Self::Basic => "basic",
            Self::UnknownCertificate => "unknown-certificate",
            Self::CertificateTime => "certificate-time",
            Self::Incomplete => "incomplete",
            Self::NonceTooLong => "nonce-too-long",
            Self::Created => "created",
            Self::Skew => "skew",
            Self::Replayed => "replayed",
            Self::BeforeStart => "before-start",
            Self::TooMany => "too-many-nonces",
            Self::Header => "header",
            Self::Uri => "uri",
            Self::Stale => "stale",
            Self::TwoClients => "two-clients",
            Self::OverBudget => "over-budget",
        }
    }
}

/// Refused credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct AuthError {
    /// The cause, for the record only.
    pub failure: Failure,
    /// The name that was claimed, shortened and without control characters.
    pub claimed: Option<String>,
}

impl AuthError {
    /// What the caller hears.
    pub fn outward(&self) -> &'static str {
        Failure::OUTWARD
    }

    /// Whether new challenges say `stale=true`: the password was right, only the nonce too old.
    pub fn stale(&self) -> bool {
        self.failure == Failure::Stale
    }
}
