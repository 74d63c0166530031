//! The gateway's certificate and key, from PEM files.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

use super::tls::provider;
use crate::{
    auth::{Certificate, Fingerprint},
    limits::{TLS_CERTIFICATES_MAX, TLS_FILE_BYTES_MAX},
};

/// Where certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PemFiles {
    /// The gateway's certificate, and after it those that lead to a root.
    pub certificate: PathBuf,
    /// Its private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// Why two files are no certificate with its key.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum PemError {
    #[error("cannot read `{path}`: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("`{0}` is longer than {TLS_FILE_BYTES_MAX} bytes")]
    TooLong(PathBuf),
    #[error("`{path}` is open to everybody (mode {mode:04o}); run chmod 600 on it")]
    Open { path: PathBuf, mode: u32 },
    #[error("`{0}` holds no certificate that can be read (PEM, BEGIN CERTIFICATE)")]
    NoCertificate(PathBuf),
    #[error("`{0}` holds more than {TLS_CERTIFICATES_MAX} certificates")]
    TooMany(PathBuf),
    #[error("`{0}` holds no private key that can be read (PEM, without a passphrase)")]
    NoKey(PathBuf),
    #[error("the key in `{key}` is not that of the certificate in `{certificate}`")]
    OtherKey { certificate: PathBuf, key: PathBuf },
    #[error("the key in `{key}` is of a kind that TLS does not use: {source}")]
    Unusable { key: PathBuf, source: rustls::Error },
}

/// What both files hold, unread.
pub struct PemTexts {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl PemTexts {
    /// What tells one state of the files from another.
    pub fn fingerprint(&self) -> Fingerprint {
        let lengths = (self.certificate.len() as u64).to_be_bytes();
        Fingerprint::of(&Zeroizing::new([&lengths, &*self.certificate, &*self.key].concat()))
    }
}

impl PemFiles {
    /// Reads both files.
    pub fn read(&self) -> Result<PemTexts, PemError> {
        let key = Zeroizing::new(bytes(&self.key, true)?);
        Ok(PemTexts { certificate: bytes(&self.certificate, false)?, key })
    }

    /// Reads both files and what they hold.
    pub fn load(&self) -> Result<Chain, PemError> {
        self.understand(&self.read()?)
    }

    /// What both files hold, if it is a certificate with its key.
    pub fn understand(&self, texts: &PemTexts) -> Result<Chain, PemError> {
        let unread = || PemError::NoCertificate(self.certificate.clone());
        let mut chain = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(&texts.certificate) {
            if chain.len() == TLS_CERTIFICATES_MAX {
                return Err(PemError::TooMany(self.certificate.clone()));
            }
            chain.push(certificate.map_err(|_| unread())?);
        }
        let shown = chain.first().ok_or_else(unread)?;
        let shown = Certificate::read(shown).map_err(|_| unread())?;
        let no_key = |_| PemError::NoKey(self.key.clone());
        let key = PrivateKeyDer::from_pem_slice(&texts.key).map_err(no_key)?;
        match CertifiedKey::from_der(chain, key, &provider()) {
            Ok(certified) => Ok(Chain { shown, certified: Arc::new(certified) }),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(PemError::OtherKey { certificate: self.certificate.clone(), key: self.key.clone() })
            }
            Err(source) => Err(PemError::Unusable { key: self.key.clone(), source }),
        }
    }
}

/// Reads a file of `TLS_FILE_BYTES_MAX` at most; a secret one only if it is not open to everybody.
fn bytes(path: &Path, secret: bool) -> Result<Vec<u8>, PemError> {
    let failed = |source| PemError::Unreadable { path: path.to_owned(), source };
    // Looked at before it is opened: to open a pipe waits for whoever writes to it.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is no file")));
    }
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if secret && mode & 0o007 != 0 {
        return Err(PemError::Open { path: path.to_owned(), mode });
    }
    // Room for all of it, so that a key never moves and leaves a copy behind.
    let mut bytes = Vec::with_capacity(TLS_FILE_BYTES_MAX + 64);
    file.take(TLS_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > TLS_FILE_BYTES_MAX { Err(PemError::TooLong(path.to_owned())) } else { Ok(bytes) }
}

/// A certificate with those above it, and its key.
pub struct Chain {
    shown: Certificate,
    certified: Arc<CertifiedKey>,
}

impl Chain {
    /// The gateway's own certificate.
    pub fn shown(&self) -> &Certificate {
        &self.shown
    }

    /// As rustls takes it.
    pub(super) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// What is wrong with its time, if something is. Clients may refuse such a certificate.
    pub fn out_of_time(&self, now: Timestamp) -> Option<&'static str> {
        match now.as_second() {
            now if now < self.shown.begins => Some("is not valid yet"),
            now if now > self.shown.ends => Some("has expired"),
            _ => None,
        }
    }
}

/// Without the key.
impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("shown", &self.shown).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn files(&self, certificate: &str, key: &str, mode: u32) -> PemFiles {
            let files =
                PemFiles { certificate: self.0.path().join("chain.pem"), key: self.0.path().join("key.pem") };
            fs::write(&files.certificate, certificate).unwrap();
            fs::write(&files.key, key).unwrap();
            fs::set_permissions(&files.key, fs::Permissions::from_mode(mode)).unwrap();
            files
        }
    }

    #[test]
    fn what_is_wrong_with_the_files_is_said() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let make = || rcgen::generate_simple_self_signed(["gateway".to_owned()]).unwrap();
        let (one, other) = (make(), make());
        let (certificate, key) = (one.cert.pem(), one.signing_key.serialize_pem());
        let chain = folder.files(&certificate, &key, 0o600).load().unwrap();
        assert_eq!(chain.shown(), &Certificate::read(one.cert.der()).unwrap());
        let long = " ".repeat(TLS_FILE_BYTES_MAX + 1);
        for (certificate, key, mode, told) in [
            (certificate.as_str(), key.as_str(), 0o604, "key.pem` is open to everybody (mode 0604)"),
            ("", &key, 0o600, "chain.pem` holds no certificate"),
            (&certificate[..200], &key, 0o600, "chain.pem` holds no certificate"),
            (&certificate.repeat(TLS_CERTIFICATES_MAX + 1), &key, 0o600, "holds more than 8 certificates"),
            (&certificate, &certificate, 0o600, "key.pem` holds no private key"),
            (&certificate, &other.signing_key.serialize_pem(), 0o600, "is not that of the certificate"),
            (&long, &key, 0o600, "chain.pem` is longer than"),
        ] {
            let error = folder.files(certificate, key, mode).load().unwrap_err().to_string();
            assert!(error.contains(told), "{told}: {error}");
        }
        let gone =
            PemFiles { certificate: folder.0.path().join("gone"), key: folder.0.path().join("key.pem") };
        assert!(gone.load().unwrap_err().to_string().contains("gone`: No such file"));
    }

    #[test]
    fn a_certificate_out_of_its_time_is_known() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["gateway".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        let chain = folder.files(&certificate.pem(), &key.serialize_pem(), 0o600).load().unwrap();
        for (now, told) in [
            ("2025-12-31T00:00:00Z", Some("is not valid yet")),
            ("2026-06-01T00:00:00Z", None),
            ("2027-01-02T00:00:00Z", Some("has expired")),
        ] {
            assert_eq!(chain.out_of_time(now.parse().unwrap()), told, "{now}");
        }
    }
}
