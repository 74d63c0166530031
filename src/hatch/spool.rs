//! A file on its way to a camera: taken whole, so that it is known what it is before anything is sent.

use std::{
    fmt,
    fs::{File, OpenOptions, remove_file},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;

/// A file that is being taken. It has no name any more, so that nothing of it is left when the gateway stops,
/// however it stops. Every call blocks on the disk.
pub struct SpoolWriter {
    file: File,
    bytes: u64,
    digest: Context,
}

impl SpoolWriter {
    /// Begins in a folder; `name` must be new there.
    pub fn open(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        remove_file(&path)?;
        Ok(Self { file, bytes: 0, digest: Context::new(&SHA256) })
    }

    /// Takes a piece.
    pub fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all(piece)?;
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        self.digest.update(piece);
        Ok(())
    }

    /// The whole file.
    pub fn finish(self) -> Spool {
        let digest = self.digest.finish();
        let sha256 = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Spool { file: Arc::new(self.file), bytes: self.bytes, sha256 }
    }
}

/// A whole file. Copies are the same file, which goes with the last of them.
#[derive(Clone)]
pub struct Spool {
    file: Arc<File>,
    bytes: u64,
    sha256: String,
}

impl Spool {
    /// How long it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its SHA-256 in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// A piece of `length` bytes at most, from a place on; empty at the end. Blocks on the disk.
    pub fn piece(&self, from: u64, length: usize) -> io::Result<Bytes> {
        let left = usize::try_from(self.bytes.saturating_sub(from)).unwrap_or(usize::MAX);
        let mut piece = vec![0; length.min(left)];
        self.file.read_exact_at(&mut piece, from)?;
        Ok(piece.into())
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool")
            .field("bytes", &self.bytes)
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_gives_back_what_it_took_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = SpoolWriter::open(folder.path(), "one").unwrap();
        writer.write(b"a").unwrap();
        writer.write(b"bc").unwrap();
        let spool = writer.finish();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        // FIPS 180-2 §B.1.
        assert!(spool.bytes() == 3 && spool.sha256().starts_with("ba7816bf8f01cfea"));
        for (from, length, piece) in [(0, 2, "ab"), (2, 2, "c"), (3, 2, ""), (9, 2, ""), (0, 9, "abc")] {
            assert_eq!(spool.piece(from, length).unwrap(), piece, "{from} {length}");
        }
    }
}
