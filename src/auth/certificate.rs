//! Certificates by their fingerprints: which one, whose key, and how long.
//!
//! Nobody signs for anybody here: a certificate is known because its fingerprint was written down.

use std::fmt;

use aws_lc_rs::digest;
use jiff::Timestamp;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut fingerprint = [0; 32];
        // SHA-256 gives 32 bytes; the zip cannot run short.
        let digest = digest::digest(&digest::SHA256, bytes);
        fingerprint.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        Self(fingerprint)
    }

    /// Reads 64 hexadecimal digits, with or without a colon between two bytes as `openssl x509 -fingerprint`
    /// prints them.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = match text.len() {
            64 => text.to_owned(),
            95 if text.split(':').all(|pair| pair.len() == 2) => text.replace(':', ""),
            _ => return None,
        };
        let values: Option<Vec<u8>> =
            digits.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
        let mut fingerprint = [0; 32];
        for (to, pair) in fingerprint.iter_mut().zip(values?.as_chunks::<2>().0) {
            let [high, low] = *pair;
            *to = high << 4 | low;
        }
        Some(Self(fingerprint))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// What is no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the certificate cannot be read (X.509, DER)")]
pub struct CertificateError;

/// What a certificate says that matters here. Any version of X.509 will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The fingerprint of the whole certificate.
    pub whole: Fingerprint,
    /// The fingerprint of its public key (SubjectPublicKeyInfo): the same after a renewal that keeps the key.
    pub key: Fingerprint,
    /// When it begins, in seconds since 1970.
    pub begins: i64,
    /// When it ends, in seconds since 1970.
    pub ends: i64,
}

impl Certificate {
    /// Reads one certificate, and nothing after it.
    pub fn read(der: &[u8]) -> Result<Self, CertificateError> {
        let (rest, read) = X509Certificate::from_der(der).map_err(|_| CertificateError)?;
        if !rest.is_empty() {
            return Err(CertificateError);
        }
        Ok(Self {
            whole: Fingerprint::of(der),
            key: Fingerprint::of(read.public_key().raw),
            begins: read.validity().not_before.timestamp(),
            ends: read.validity().not_after.timestamp(),
        })
    }

    /// Whether it is valid at a time (RFC 5280 §4.1.2.5: both ends included).
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        (self.begins..=self.ends).contains(&now.as_second())
    }
}

/// A certificate that is known in advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KnownCertificate {
    /// This one.
    Whole(Fingerprint),
    /// Any with this public key.
    Key(Fingerprint),
}

impl KnownCertificate {
    /// Whether it is this one.
    pub fn is(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Whole(fingerprint) => *fingerprint == certificate.whole,
            Self::Key(fingerprint) => *fingerprint == certificate.key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_as_openssl_and_we_print_it() {
        let one = Fingerprint::of(b"abc");
        // FIPS 180-2 §B.1.
        let plain = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(one.to_string(), plain);
        let pairs: Vec<_> = plain.as_bytes().chunks(2).map(|it| std::str::from_utf8(it).unwrap()).collect();
        let openssl = pairs.join(":").to_ascii_uppercase();
        assert_eq!((Fingerprint::parse(plain), Fingerprint::parse(&openssl)), (Some(one), Some(one)));
        let shifted = format!("{}:", &openssl[..94]);
        for bad in
            ["", &plain[1..], &format!("{plain}0"), &plain.replace('b', "x"), &shifted, &"é".repeat(32)]
        {
            assert_eq!(Fingerprint::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_certificate_is_known_by_itself_or_by_its_key_and_has_its_time() {
        let key = rcgen::KeyPair::generate().unwrap();
        let make = |until: i32| {
            let mut params = rcgen::CertificateParams::new(vec!["vms".to_owned()]).unwrap();
            params.not_before = rcgen::date_time_ymd(2026, 1, 1);
            params.not_after = rcgen::date_time_ymd(until, 1, 1);
            params.self_signed(&key).unwrap().der().to_vec()
        };
        let (old, renewed) = (make(2027), make(2030));
        let (before, after) = (Certificate::read(&old).unwrap(), Certificate::read(&renewed).unwrap());
        assert!(KnownCertificate::Whole(before.whole).is(&before));
        assert!(!KnownCertificate::Whole(before.whole).is(&after));
        assert!(KnownCertificate::Key(before.key).is(&after));
        assert_ne!(before.whole, before.key);
        for (at, valid) in [
            ("2025-12-31T23:59:59Z", false),
            ("2026-01-01T00:00:00Z", true),
            ("2027-01-01T00:00:00Z", true),
            ("2027-01-01T00:00:01Z", false),
        ] {
            assert_eq!(before.is_valid_at(at.parse().unwrap()), valid, "{at}");
        }
        assert_eq!(Certificate::read(&[&old[..], &[0]].concat()), Err(CertificateError));
        assert_eq!(Certificate::read(&old[1..]), Err(CertificateError));
    }
}
