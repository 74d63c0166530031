//! TLS on the core side: versions 1.2 and 1.3, one certificate for all virtual cameras, which can be exchanged
//! while they serve.
//!
//! Certificates of clients are asked for where a client is configured with one. That the peer has the key is
//! shown in the handshake; whose certificate it is, is found out with each request, so that a wrong one is
//! refused like any other wrong credentials, on record.

use std::{
    fmt, io,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{self, CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, UnixTime},
    server::{
        ClientHello, NoClientAuth, ResolvesServerCert,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::pem::Chain;
use crate::{auth::Certificate, limits};

/// What a request came over.
#[derive(Debug, Clone, Default)]
pub enum Channel {
    /// A connection that anybody on its way can read.
    #[default]
    Plain,
    /// TLS, with the certificate that the peer showed.
    Tls(Option<Arc<Certificate>>),
}

impl Channel {
    /// Whether it is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// The certificate with whose key the peer made the connection.
    pub fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Tls(certificate) => certificate.as_deref(),
            Self::Plain => None,
        }
    }
}

/// The gateway's certificate and key, as handshakes take them.
pub struct Identity(RwLock<Arc<CertifiedKey>>);

impl Identity {
    /// Begins with a chain.
    pub fn new(chain: &Chain) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Arc::clone(chain.certified()))))
    }

    /// From now on handshakes get another chain; connections that are open keep theirs.
    pub fn replace(&self, chain: &Chain) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(chain.certified());
    }
}

/// Without the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(***)")
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Makes connections into TLS connections.
#[derive(Clone)]
pub struct Tls {
    identity: Arc<Identity>,
    /// As handshakes take it that begin now.
    config: Arc<ArcSwap<ServerConfig>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Shows the gateway's certificate, and asks for the peer's where `asks` says so.
    pub fn new(identity: &Arc<Identity>, asks: bool) -> Result<Self, Error> {
        let config = Arc::new(ArcSwap::from_pointee(config(identity, asks)?));
        Ok(Self { identity: Arc::clone(identity), config })
    }

    /// From now on asks for the peer's certificate, or no longer does; connections that are open stay as they
    /// are.
    pub fn ask(&self, asks: bool) -> Result<(), Error> {
        self.config.store(Arc::new(config(&self.identity, asks)?));
        Ok(())
    }

    /// The handshake, within a time.
    pub(super) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        time_max: Duration,
    ) -> io::Result<(TlsStream<S>, Channel)> {
        let acceptor = TlsAcceptor::from(self.config.load_full());
        let stream = timeout(time_max, acceptor.accept(stream)).await??;
        let (_, session) = stream.get_ref();
        let shown = session.peer_certificates().and_then(|chain| chain.first());
        let certificate = shown.map(|it| Certificate::read(it).map(Arc::new)).transpose();
        Ok((stream, Channel::Tls(certificate.map_err(io::Error::other)?)))
    }
}

fn config(identity: &Arc<Identity>, asks: bool) -> Result<ServerConfig, Error> {
    let provider = provider();
    let verifier: Arc<dyn ClientCertVerifier> =
        if asks { Arc::new(AnyCertificate(Arc::clone(&provider))) } else { Arc::new(NoClientAuth) };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::clone(identity) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The one provider of this program: rustls would else look for one that nobody installed.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Takes any certificate that can be read, and checks that the peer has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if above.len() >= limits::TLS_CERTIFICATES_MAX {
            return Err(Error::General("the chain of certificates is too long".to_owned()));
        }
        match Certificate::read(certificate) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(_) => Err(rustls::CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
