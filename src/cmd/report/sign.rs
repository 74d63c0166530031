//! A report's signature: a C2SP signed note beside it, with the audit log's key.
//!
//! ```text
//! cordon-report/1
//! <name of the log>
//! sha256 <SHA-256 of the report's bytes, in hexadecimal>
//! checkpoint <lines> <root in base64>
//!
//! — <name of the log> <signature>
//! ```

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::ReportError;
use crate::audit::{Checkpoint, PublicKey, SigningKey};

/// Signs a report that was made at a checkpoint.
pub(super) fn sign(report: &[u8], checkpoint: &Checkpoint, key: &SigningKey) -> Result<String, ReportError> {
    let (name, root) = (key.public().name().to_owned(), STANDARD.encode(checkpoint.root));
    let text = format!("{KIND}\n{name}\nsha256 {}\ncheckpoint {} {root}\n", digest(report), checkpoint.size);
    key.attest(&text).map_err(ReportError::Sign)
}

/// Checks that a note is about a report; the lines of the log that it was made from.
pub(super) fn check(report: &[u8], note: &str, key: &PublicKey) -> Result<u64, ReportError> {
    let text = key.attested(note).map_err(ReportError::Signature)?;
    let lines: Vec<&str> = text.lines().collect();
    let [KIND, name, sha256, checkpoint] = lines.as_slice() else { return Err(ReportError::NoReport) };
    if *name != key.name() {
        return Err(ReportError::NoReport);
    }
    if sha256.strip_prefix("sha256 ") != Some(&digest(report)) {
        return Err(ReportError::Changed);
    }
    let size = checkpoint.strip_prefix("checkpoint ").and_then(|it| it.split_once(' '));
    size.and_then(|(size, _)| size.parse().ok()).ok_or(ReportError::NoReport)
}

fn digest(report: &[u8]) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, report);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

const KIND: &str = "cordon-report/1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_the_report_and_for_nothing_else() {
        let key = SigningKey::from_seed("test/audit", &[7; 32]).unwrap();
        let checkpoint = Checkpoint { size: 42, root: [9; 32] };
        let note = sign(b"report", &checkpoint, &key).unwrap();
        assert!(note.starts_with("cordon-report/1\ntest/audit\nsha256 "));
        assert_eq!(check(b"report", &note, &key.public()).unwrap(), 42);
        let refused = |report: &[u8], note: &str, key: &SigningKey| {
            check(report, note, &key.public()).unwrap_err().to_string()
        };
        assert!(refused(b"report.", &note, &key).contains("is not the one that was signed"));
        assert!(refused(b"report", &note.replace(" 42 ", " 43 "), &key).contains("does not hold"));
        let other = SigningKey::from_seed("test/audit", &[8; 32]).unwrap();
        assert!(refused(b"report", &note, &other).contains("does not hold"));
        assert!(
            refused(b"report", &key.sign(42, &[9; 32]), &key).contains("does not hold"),
            "a checkpoint is none"
        );
        let elsewhere = key.attest("another-kind/1\ntest/audit\nsha256 0\ncheckpoint 1 x\n").unwrap();
        assert!(refused(b"report", &elsewhere, &key).contains("no report"));
        assert!(
            key.attest("test/audit\n5\nxxx\n").is_err(),
            "what could be taken for a checkpoint is not signed"
        );
    }
}
