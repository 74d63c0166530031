//! Checkpoints: what a log signs, as C2SP `tlog-checkpoint` in a C2SP `signed-note` with Ed25519.
//!
//! A checkpoint of ours has exactly five lines: origin, number of lines, root in base64, nothing, signature.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::tree::{Hash, sha256};

/// Why text is no key or no checkpoint of this log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The log's name cannot stand in a key.
    #[error("`{0}` is no name for a log: use 1 to 128 characters without blanks, control characters and `+`")]
    Name(String),
    /// Not a private key.
    #[error("not an Ed25519 private key (PKCS#8, PEM)")]
    PrivateKey,
    /// Not a public key.
    #[error("not a public key of the form `name+hash+key`, or changed")]
    PublicKey,
    /// Not a checkpoint.
    #[error("not a checkpoint: {0}")]
    Form(&'static str),
    /// Another log's checkpoint.
    #[error("the checkpoint is of the log `{0}`")]
    Origin(String),
    /// Signed by another key.
    #[error("the checkpoint is not signed by this key")]
    Key,
    /// Changed after signing.
    #[error("the signature does not match: the checkpoint was changed, or another key made it")]
    Signature,
}

/// The pair of keys that signs checkpoints.
pub struct SigningKey {
    name: String,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// Makes a pair of keys of 32 unpredictable bytes.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::PrivateKey)?;
        Ok(Self { name: name.to_owned(), pair })
    }

    /// Reads a private key as [`SigningKey::to_pem`] writes it.
    pub fn from_pem(name: &str, pem: &str) -> Result<Self, NoteError> {
        check_name(name)?;
        let body = pem.trim().strip_prefix(PEM_BEGIN).and_then(|rest| rest.strip_suffix(PEM_END));
        let text: String = body.ok_or(NoteError::PrivateKey)?.split_ascii_whitespace().collect();
        let der = zeroize::Zeroizing::new(STANDARD.decode(text).map_err(|_| NoteError::PrivateKey)?);
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| NoteError::PrivateKey)?;
        Ok(Self { name: name.to_owned(), pair })
    }

    /// The private key as PKCS#8 in PEM.
    pub fn to_pem(&self) -> Result<zeroize::Zeroizing<String>, NoteError> {
        let der = self.pair.to_pkcs8v1().map_err(|_| NoteError::PrivateKey)?;
        let text = zeroize::Zeroizing::new(STANDARD.encode(der.as_ref()));
        Ok(zeroize::Zeroizing::new(format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", text.as_str())))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey { name: self.name.clone(), bytes }
    }

    /// Signs that the log has this size and root.
    pub fn sign(&self, size: u64, root: &Hash) -> String {
        self.note(&format!("{}\n{size}\n{}\n", self.name, STANDARD.encode(root)))
    }

    /// Signs a text that is no checkpoint: lines with an LF each, of which the first, its kind, is not the log's
    /// name, so that nobody can take it for one.
    pub fn attest(&self, text: &str) -> Result<String, NoteError> {
        check_statement(&self.name, text)?;
        Ok(self.note(text))
    }

    fn note(&self, text: &str) -> String {
        let signature = self.pair.sign(text.as_bytes());
        let mut bytes = self.public().id().to_vec();
        bytes.extend_from_slice(signature.as_ref());
        format!("{text}\n\u{2014} {} {}\n", self.name, STANDARD.encode(bytes))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.name)
    }
}

/// The key that checks checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    bytes: [u8; 32],
}

impl PublicKey {
    /// Reads `name+hash+key` (C2SP signed-note, verifier key), exactly.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::PublicKey);
        };
        check_name(name)?;
        let key = STANDARD.decode(key).map_err(|_| NoteError::PublicKey)?;
        let key = key.strip_prefix(&[ED25519_TYPE]).ok_or(NoteError::PublicKey)?;
        let bytes = key.try_into().map_err(|_| NoteError::PublicKey)?;
        let found = Self { name: name.to_owned(), bytes };
        // The id in the text is checked by writing the key again.
        if found.to_string() == text { Ok(found) } else { Err(NoteError::PublicKey) }
    }

    /// The name of the log this key belongs to.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads what [`SigningKey::attest`] signed, and checks it.
    pub fn attested<'n>(&self, note: &'n str) -> Result<&'n str, NoteError> {
        let lacks = || NoteError::Form("it needs a text, an empty line and a signature");
        let (text, rest) =
            note.rfind("\n\n").and_then(|at| note.split_at_checked(at + 1)).ok_or_else(lacks)?;
        let signature = rest.strip_prefix('\n').and_then(|it| it.strip_suffix('\n')).ok_or_else(lacks)?;
        check_statement(&self.name, text)?;
        self.check(text, signature)?;
        Ok(text)
    }

    /// Reads a checkpoint of this log and checks its signature. The text must be exactly one checkpoint.
    pub fn open(&self, note: &str) -> Result<Checkpoint, NoteError> {
        let lines: Vec<&str> = note.split('\n').collect();
        let [origin, size, root, "", signature, ""] = lines.as_slice() else {
            return Err(NoteError::Form("it needs five lines: origin, size, root, nothing, signature"));
        };
        if *origin != self.name {
            return Err(NoteError::Origin(origin.chars().take(128).collect()));
        }
        let number: u64 = size.parse().map_err(|_| NoteError::Form("the size is no number"))?;
        if number.to_string() != *size {
            return Err(NoteError::Form("the size is no plain decimal number"));
        }
        let root_bytes = STANDARD.decode(root).ok().and_then(|bytes| Hash::try_from(bytes).ok());
        let root_bytes = root_bytes.ok_or(NoteError::Form("the root is no hash in base64"))?;
        self.check(&format!("{origin}\n{size}\n{root}\n"), signature)?;
        Ok(Checkpoint { size: number, root: root_bytes })
    }

    /// Checks the line of a signature.
    fn check(&self, text: &str, signature: &str) -> Result<(), NoteError> {
        let encoded = signature
            .strip_prefix("\u{2014} ")
            .and_then(|rest| rest.strip_prefix(self.name.as_str()))
            .and_then(|rest| rest.strip_prefix(' '))
            .ok_or(NoteError::Key)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| NoteError::Signature)?;
        let bytes = bytes.strip_prefix(&self.id()).ok_or(NoteError::Key)?;
        let key = UnparsedPublicKey::new(&ED25519, &self.bytes);
        key.verify(text.as_bytes(), bytes).map_err(|_| NoteError::Signature)
    }

    fn id(&self) -> [u8; 4] {
        let hash = sha256(&[self.name.as_bytes(), b"\n", &[ED25519_TYPE], &self.bytes]);
        let [a, b, c, d, ..] = hash;
        [a, b, c, d]
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519_TYPE];
        key.extend_from_slice(&self.bytes);
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id()), STANDARD.encode(key))
    }
}

/// What a checkpoint says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of lines it covers.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
}

fn check_statement(name: &str, text: &str) -> Result<(), NoteError> {
    let kind = text.lines().next().unwrap_or_default();
    if kind.is_empty() || kind == name || !text.ends_with('\n') || text.contains("\n\n") {
        return Err(NoteError::Form("it is no statement: whole lines, of which the first says its kind"));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), NoteError> {
    let plain = |letter: char| !letter.is_whitespace() && !letter.is_control() && letter != '+';
    if (1..=128).contains(&name.len()) && name.chars().all(plain) {
        Ok(())
    } else {
        Err(NoteError::Name(name.chars().take(128).collect()))
    }
}

/// Signature type of Ed25519 in C2SP signed-note.
const ED25519_TYPE: u8 = 1;
const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";
