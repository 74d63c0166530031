//! TLS towards clients: the gateway's certificate, the doors behind it, and the certificates of clients.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    ops::Range,
};

use toml::Spanned;

use super::{
    cameras::Surroundings,
    heads::{Listening, in_uri},
    raw,
    reader::Reader,
};
use crate::{
    auth::{Fingerprint, KnownCertificate},
    inventory::SecureDoor,
    limits::CLIENT_CERTIFICATES_MAX,
    listener::pem::{PemError, PemFiles},
};

/// What certificates are whose.
pub(super) type Certificates = HashMap<KnownCertificate, String>;

const NO_TLS_REMEDY: &str = "set tls_certificate and tls_key under [listener]";

impl Reader<'_> {
    /// The files of certificate and key, if both can be used.
    pub(super) fn pem_files(&mut self, raw: &raw::Listener) -> Option<PemFiles> {
        let (certificate, key) = match (&raw.tls_certificate, &raw.tls_key) {
            (Some(certificate), Some(key)) => (certificate, key),
            (None, None) => return None,
            (Some(alone), None) | (None, Some(alone)) => {
                let remedy = "set both tls_certificate and tls_key, or neither";
                self.error(alone.span(), "a certificate and its key go together", remedy);
                return None;
            }
        };
        let files = PemFiles { certificate: self.folder(certificate), key: self.folder(key) };
        if let Err(error) = files.load() {
            let of_key = match &error {
                PemError::Unreadable { path, .. } | PemError::TooLong(path) => *path == files.key,
                PemError::NoCertificate(_) | PemError::TooMany(_) => false,
                PemError::Open { .. }
                | PemError::NoKey(_)
                | PemError::OtherKey { .. }
                | PemError::Unusable { .. } => true,
            };
            let span = if of_key { key.span() } else { certificate.span() };
            let remedy = "put the certificate with those above it, and its key without a passphrase, into two PEM files";
            self.error(span, &error.to_string(), remedy);
        }
        Some(files)
    }

    /// Whether clients may show their password in clear.
    pub(super) fn clear_passwords(&mut self, raw: &raw::Listener) -> bool {
        let Some(asked) = raw.clear_passwords.as_ref().filter(|it| *it.get_ref()) else { return false };
        if raw.tls_certificate.is_none() {
            self.error(asked.span(), "passwords in clear are taken over TLS only", NO_TLS_REMEDY);
        }
        true
    }

    /// The door of a virtual camera over TLS. Without a port of its own it gets 443 at an address of its own,
    /// else one by its place in the file.
    pub(super) fn secure_door(
        &mut self,
        number: usize,
        raw: &raw::Camera,
        own: Option<IpAddr>,
        around: &mut Surroundings<'_>,
    ) -> Option<SecureDoor> {
        let listening: &Listening = around.listening;
        if !listening.secure {
            if let Some(port) = &raw.tls_port {
                self.error(port.span(), "this gateway has no certificate for TLS", NO_TLS_REMEDY);
            }
            return None;
        }
        let next = || match own {
            Some(_) => Some(443),
            None if raw.listen_path.is_some() => Some(listening.path_tls_port),
            None => u16::try_from(number).ok()?.checked_add(listening.first_tls_port),
        };
        let span = raw.tls_port.as_ref().map_or(raw.name.span(), Spanned::span);
        let asked = raw.tls_port.as_ref().map_or_else(next, |port| Some(*port.get_ref()));
        let host = own.map_or_else(|| listening.host.clone(), |own| in_uri(&own.to_string()));
        let port = self.take_port(asked, span, "tls_port", raw, own, around)?;
        let listen = SocketAddr::new(own.unwrap_or(listening.bind), port);
        Some(SecureDoor { listen, advertise: format!("{host}:{port}") })
    }

    /// The certificates a client is known by, each of which is nobody else's.
    pub(super) fn certificates(
        &mut self,
        raw: &raw::Client,
        secure: bool,
        known: &mut Certificates,
    ) -> Vec<KnownCertificate> {
        let mut certificates = Vec::new();
        for (span, certificate) in self.fingerprints(&raw.certificate_sha256, &raw.key_sha256) {
            if !secure {
                self.error(span.clone(), "this gateway has no certificate for TLS", NO_TLS_REMEDY);
            }
            if let Some(other) = known.insert(certificate, raw.name.get_ref().clone()) {
                let what = format!("this certificate is client `{other}`'s already");
                self.error(span, &what, "give each client a certificate of its own");
            }
            certificates.push(certificate);
        }
        if certificates.len() > CLIENT_CERTIFICATES_MAX {
            let what = format!(
                "client `{}` has more than {CLIENT_CERTIFICATES_MAX} certificates",
                raw.name.get_ref()
            );
            self.error(raw.name.span(), &what, "name the key of a certificate, which outlives its renewal");
        }
        certificates
    }

    /// The certificates a camera may show; none at all where it is not reached over TLS.
    pub(super) fn camera_certificates(&mut self, raw: &raw::Camera) -> Option<Vec<KnownCertificate>> {
        let found = self.fingerprints(&raw.certificate_sha256, &raw.key_sha256);
        if over_tls(raw) {
            return Some(found.into_iter().map(|(_, certificate)| certificate).collect());
        }
        for (span, _) in found {
            let remedy = "set tls = true for the camera, or leave the fingerprint out";
            self.error(span, "this camera is not reached over TLS", remedy);
        }
        None
    }

    /// Fingerprints of certificates and keys, and where they stand.
    fn fingerprints(
        &mut self,
        whole: &Option<Vec<raw::Text>>,
        key: &Option<Vec<raw::Text>>,
    ) -> Vec<(Range<usize>, KnownCertificate)> {
        type Make = fn(Fingerprint) -> KnownCertificate;
        let kinds: [(_, Make); 2] = [(whole, KnownCertificate::Whole), (key, KnownCertificate::Key)];
        let mut found = Vec::new();
        for (texts, make) in kinds {
            for text in texts.iter().flatten() {
                match Fingerprint::parse(text.get_ref()) {
                    Some(fingerprint) => found.push((text.span(), make(fingerprint))),
                    None => {
                        let remedy =
                            "write the 64 digits that `openssl x509 -noout -fingerprint -sha256` prints";
                        self.error(text.span(), "this is no SHA-256 fingerprint", remedy);
                    }
                }
            }
        }
        found
    }
}

/// Whether a camera is reached over TLS.
pub(super) fn over_tls(raw: &raw::Camera) -> bool {
    raw.tls.as_ref().is_some_and(|it| *it.get_ref())
}
