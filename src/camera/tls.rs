//! TLS towards one camera. Cameras sign their own certificates, often with old software, so nobody vouches for
//! them but the first connection: its key is pinned, and from then on the camera is whoever has that key.
//!
//! What rustls does not speak (versions before 1.2, RSA key exchange, CBC) is named and not reached: never is
//! anything sent in clear because TLS failed.

use std::{
    cell::{Cell, RefCell},
    fmt, io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::signature;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, PeerIncompatible,
    SignatureScheme, SupportedProtocolVersion,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{self, CryptoProvider, aws_lc_rs as provider},
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
};
use tokio::{net::TcpStream, task::spawn_blocking, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use x509_parser::{
    prelude::{FromDer, X509Certificate},
    public_key::PublicKey,
};

use super::{
    error::{Failure, Phase},
    shown,
};
use crate::{
    auth::{Certificate, Fingerprint, KnownCertificate},
    inventory::Evidence,
    limits::CAMERA_TLS_TIME_MAX,
};

/// What was written down of a camera's certificate when it was seen first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// Its public key: what a connection must have.
    pub key: Fingerprint,
    /// The whole certificate, for people to compare.
    pub whole: Fingerprint,
}

impl Pin {
    /// The pin of a certificate.
    pub fn of(certificate: &Certificate) -> Self {
        Self { key: certificate.key, whole: certificate.whole }
    }
}

/// The pin could neither be read nor kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PinError(pub String);

/// Keeps the pin of one camera. It may take its time: it is asked off the threads that serve cameras.
pub trait PinBook: Send + Sync {
    /// The pin, if there is one.
    fn pin(&self) -> Result<Option<Pin>, PinError>;

    /// Pins what was seen first; durable when this returns. Gives what is pinned then: another pin, if there was
    /// one already.
    fn keep(&self, first: Pin) -> Result<Pin, PinError>;
}

/// What is worth telling of a camera's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateNews {
    /// It was seen first and is pinned.
    Pinned(Pin),
    /// It is not the one that is expected.
    Refused(Pin),
}

/// Makes connections to one camera into TLS connections.
pub(super) struct CameraTls {
    /// Certificates of the configuration; the pin counts where there are none.
    known: Vec<KnownCertificate>,
    book: Arc<dyn PinBook>,
    news: RefCell<Option<CertificateNews>>,
    /// The refused certificate that was told last: once is enough.
    told: Cell<Option<Fingerprint>>,
    short_key: Cell<ShortKey>,
    /// What the certificate of the last connection shows, until somebody asks.
    shown: RefCell<Option<Evidence>>,
}

/// Whether the camera has an RSA key of less than 2,048 bits. Such a key can sign by PKCS #1 v1.5 only, as far as can
/// be checked here, which TLS 1.3 does not have: the camera must not be offered anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum ShortKey {
    #[default]
    No,
    /// Just found out: the next try will do better.
    Found,
    Known,
}

impl CameraTls {
    pub(super) fn new(known: Vec<KnownCertificate>, book: Box<dyn PinBook>) -> Self {
        Self {
            known,
            book: book.into(),
            news: RefCell::default(),
            told: Cell::default(),
            short_key: Cell::default(),
            shown: RefCell::default(),
        }
    }

    /// What happened to the certificate since this was asked last.
    pub(super) fn news(&self) -> Option<CertificateNews> {
        self.news.take()
    }

    /// What the certificate of a connection made since this was asked last shows of the camera's maker.
    pub(super) fn shown(&self) -> Option<Evidence> {
        self.shown.take()
    }

    /// Whether a handshake that just failed is worth another try at once.
    pub(super) fn knows_better(&self) -> bool {
        let found = self.short_key.get() == ShortKey::Found;
        if found {
            self.short_key.set(ShortKey::Known);
        }
        found
    }

    /// The handshake. A certificate that is seen first is pinned before anything is sent.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        host: IpAddr,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let expected = self.expected().await?;
        let provider = Arc::new(provider::default_provider());
        let short_key = self.short_key.get() == ShortKey::Known;
        let verifier = Arc::new(Verifier {
            expected,
            provider: Arc::clone(&provider),
            short_key,
            seen: Mutex::default(),
        });
        let versions = if short_key { ONLY_1_2 } else { rustls::DEFAULT_VERSIONS };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|error| unusable(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        // Each connection shows the certificate anew.
        config.resumption = Resumption::disabled();
        let connecting = TlsConnector::from(Arc::new(config)).connect(ServerName::from(host), stream);
        let outcome = timeout(CAMERA_TLS_TIME_MAX, connecting)
            .await
            .map_err(|_| Failure::TimedOut(Phase::Handshake))?;
        let seen = verifier.seen();
        if let Some((seen, _)) = &seen
            && !verifier.expected.is(seen)
        {
            return Err(self.refuse(seen));
        }
        let stream = outcome.map_err(|error| {
            if !short_key && seen.as_ref().is_some_and(|(_, short)| *short) {
                self.short_key.set(ShortKey::Found);
            }
            match failure(&error) {
                Failure::TlsUnsupported(_) if short_key => Failure::TlsUnsupported(
                    "it has a key of less than 2,048 bits and does not sign with it by PKCS #1 v1.5 in TLS 1.2",
                ),
                other => other,
            }
        })?;
        let (seen, _) = seen.ok_or(Failure::TlsUnsupported("it shows no certificate"))?;
        if matches!(verifier.expected, Expected::First) {
            self.pin_first(&seen).await?;
        }
        let chain = stream.get_ref().1.peer_certificates();
        self.shown.replace(chain.and_then(|it| it.first()).map(|it| shown::of_certificate(it)));
        Ok(stream)
    }

    async fn expected(&self) -> Result<Expected, Failure> {
        if !self.known.is_empty() {
            return Ok(Expected::Known(self.known.clone()));
        }
        Ok(self.look(|book| book.pin()).await?.map_or(Expected::First, Expected::Pinned))
    }

    /// Has the book looked into on another thread: this one serves other cameras, and a disk may be slow.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&dyn PinBook) -> Result<T, PinError> + Send + 'static,
    ) -> Result<T, Failure> {
        let book = Arc::clone(&self.book);
        let looked = timeout(CAMERA_TLS_TIME_MAX, spawn_blocking(move || look(&*book))).await;
        let looked = looked.map_err(|_| PinError("the state database did not answer in time".to_owned()));
        // Nobody looks any more when the gateway stops.
        let looked = looked.and_then(|it| it.unwrap_or_else(|error| Err(PinError(error.to_string()))));
        looked.map_err(pin_failure)
    }

    async fn pin_first(&self, seen: &Certificate) -> Result<(), Failure> {
        let first = Pin::of(seen);
        let pinned = self.look(move |book| book.keep(first)).await?;
        // Two first connections at once may have met two cameras.
        if pinned.key != seen.key {
            return Err(self.refuse(seen));
        }
        self.news.replace(Some(CertificateNews::Pinned(pinned)));
        Ok(())
    }

    fn refuse(&self, seen: &Certificate) -> Failure {
        if self.told.replace(Some(seen.whole)) != Some(seen.whole) {
            self.news.replace(Some(CertificateNews::Refused(Pin::of(seen))));
        }
        Failure::CertificateChanged
    }
}

impl fmt::Debug for CameraTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CameraTls").field("known", &self.known).finish_non_exhaustive()
    }
}

/// Which certificate will do.
#[derive(Debug)]
enum Expected {
    /// Any: it is the first.
    First,
    Pinned(Pin),
    Known(Vec<KnownCertificate>),
}

impl Expected {
    fn is(&self, certificate: &Certificate) -> bool {
        match self {
            Self::First => true,
            Self::Pinned(pin) => pin.key == certificate.key,
            Self::Known(known) => known.iter().any(|it| it.is(certificate)),
        }
    }
}

/// Checks that the certificate is the expected one and that the camera has its key. Who signed it, for whom and
/// until when, does not matter.
#[derive(Debug)]
struct Verifier {
    expected: Expected,
    provider: Arc<CryptoProvider>,
    /// The camera was found to have a key that is short.
    short_key: bool,
    /// What the camera showed, and whether its key is short.
    seen: Mutex<Option<(Certificate, bool)>>,
}

const ONLY_1_2: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];

impl Verifier {
    fn seen(&self) -> Option<(Certificate, bool)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let is_short = has_short_key(certificate);
        let certificate = Certificate::read(certificate).map_err(|_| CertificateError::BadEncoding)?;
        let is_expected = self.expected.is(&certificate);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((certificate, is_short));
        if is_expected {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let (_, read) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
        let key = &read.public_key().subject_public_key.data;
        let algorithms = self.provider.signature_verification_algorithms.mapping;
        let of_scheme = algorithms.iter().find(|(scheme, _)| *scheme == signed.scheme);
        let strong = of_scheme.is_some_and(|(_, algorithms)| {
            algorithms.iter().any(|it| it.verify_signature(key, message, signed.signature()).is_ok())
        });
        if strong || is_old_signature(signed.scheme, key, message, signed.signature()) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let (_, read) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
        let key = SubjectPublicKeyInfoDer::from(read.public_key().raw);
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        use SignatureScheme::{RSA_PKCS1_SHA1, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512};
        if self.short_key {
            return vec![RSA_PKCS1_SHA512, RSA_PKCS1_SHA256, RSA_PKCS1_SHA1];
        }
        let mut schemes = self.provider.signature_verification_algorithms.supported_schemes();
        // Last, so that nothing signs with it that can do better.
        schemes.push(RSA_PKCS1_SHA1);
        schemes
    }
}

/// Whether a certificate has an RSA key of less than 2,048 bits.
fn has_short_key(certificate: &[u8]) -> bool {
    let read = X509Certificate::from_der(certificate);
    let key = read.as_ref().ok().and_then(|(_, read)| read.public_key().parsed().ok());
    matches!(key, Some(PublicKey::RSA(key)) if key.key_size() < 2_048)
}

/// Whether this is an RSA signature as old cameras make them: with a key from 1,024 bits on, or over SHA-1. Good
/// enough to tell the pinned camera from another device; it does not make an old camera a safe one.
fn is_old_signature(scheme: SignatureScheme, key: &[u8], message: &[u8], signed: &[u8]) -> bool {
    let parameters = match scheme {
        SignatureScheme::RSA_PKCS1_SHA1 => &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        SignatureScheme::RSA_PKCS1_SHA256 => &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        SignatureScheme::RSA_PKCS1_SHA512 => &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        _ => return false,
    };
    signature::UnparsedPublicKey::new(parameters, key).verify(message, signed).is_ok()
}

fn pin_failure(error: PinError) -> Failure {
    tracing::error!(%error, "the pin of a camera's certificate could not be read or kept");
    Failure::PinUnavailable
}

/// Why a handshake failed, by name.
fn failure(error: &io::Error) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => unusable(error),
        // What old cameras do when they are asked for a version they do not know.
        None => Failure::TlsUnsupported("it ends the handshake without a word"),
    }
}

fn unusable(error: &Error) -> Failure {
    tracing::info!(%error, "no TLS connection to a camera came about");
    Failure::TlsUnsupported(match error {
        Error::AlertReceived(AlertDescription::ProtocolVersion)
        | Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => "it speaks no version from 1.2 on",
        Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity)
        | Error::PeerIncompatible(_) => {
            "it shares no cipher suite with the gateway, which speaks ECDHE with AES-GCM or ChaCha20 only (no RSA key exchange, no CBC)"
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "it wants a certificate from the gateway"
        }
        Error::InvalidCertificate(CertificateError::BadEncoding) => "its certificate cannot be read",
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            "it signs with a key that is not its certificate's"
        }
        Error::InvalidMessage(_) => "it answers something that is not TLS",
        Error::PeerMisbehaved(_) => "it breaks the protocol",
        _ => "the handshake failed",
    })
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::{Receiver, channel},
        time::Duration,
    };

    use super::*;

    /// Answers once it is told to.
    struct Slow(Mutex<Receiver<()>>);

    impl PinBook for Slow {
        fn pin(&self) -> Result<Option<Pin>, PinError> {
            let told = self.0.lock().unwrap().recv_timeout(Duration::from_secs(60));
            told.map(|()| None).map_err(|error| PinError(error.to_string()))
        }

        fn keep(&self, first: Pin) -> Result<Pin, PinError> {
            Ok(first)
        }
    }

    #[tokio::test]
    async fn whoever_shares_the_thread_does_not_wait_for_a_slow_book() {
        let (tell, told) = channel();
        let tls = CameraTls::new(Vec::new(), Box::new(Slow(Mutex::new(told))));
        let (expected, ()) = tokio::join!(tls.expected(), async { tell.send(()).unwrap() });
        assert!(matches!(expected, Ok(Expected::First)), "{expected:?}");
    }
}
