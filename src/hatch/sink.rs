//! Where a file goes that is too large to be kept: piece by piece through the hatch, counted and hashed on the way.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use tokio::sync::mpsc;

/// The near end of a transfer. A piece is taken when there is room for it, so that a slow reader slows the camera
/// and costs no memory.
pub struct Sink {
    pieces: mpsc::Sender<Bytes>,
    tally: Arc<Mutex<Counted>>,
    bytes_max: u64,
}

/// Why a piece was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkError {
    /// The file is larger than it may be.
    TooLarge,
    /// Nobody takes it any more.
    Gone,
}

struct Counted {
    bytes: u64,
    digest: Context,
}

/// What went through a sink.
#[derive(Clone)]
pub struct Tally(Arc<Mutex<Counted>>);

impl Sink {
    /// A sink for `bytes_max` bytes with room for `pieces` pieces, its far end, and its count.
    pub fn new(bytes_max: u64, pieces: usize) -> (Self, mpsc::Receiver<Bytes>, Tally) {
        let (sender, receiver) = mpsc::channel(pieces);
        let tally = Arc::new(Mutex::new(Counted { bytes: 0, digest: Context::new(&SHA256) }));
        (Self { pieces: sender, tally: Arc::clone(&tally), bytes_max }, receiver, Tally(tally))
    }

    /// The largest file.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Takes a piece, as soon as there is room.
    pub async fn put(&self, piece: Bytes) -> Result<(), SinkError> {
        {
            let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            let bytes = tally.bytes.saturating_add(piece.len() as u64);
            if bytes > self.bytes_max {
                return Err(SinkError::TooLarge);
            }
            tally.bytes = bytes;
            tally.digest.update(&piece);
        }
        self.pieces.send(piece).await.map_err(|_| SinkError::Gone)
    }
}

impl Tally {
    /// How many bytes went through.
    pub fn bytes(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// The SHA-256 of what went through, in hexadecimal.
    pub fn sha256(&self) -> String {
        let digest = self.0.lock().unwrap_or_else(PoisonError::into_inner).digest.clone().finish();
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_goes_through_is_counted_and_hashed_up_to_the_bound() {
        let (sink, mut pieces, tally) = Sink::new(3, 4);
        assert_eq!(sink.put(Bytes::from_static(b"ab")).await, Ok(()));
        assert_eq!(sink.put(Bytes::from_static(b"c")).await, Ok(()));
        // FIPS 180-2 §B.1.
        assert!(tally.bytes() == 3 && tally.sha256().starts_with("ba7816bf8f01cfea"));
        assert_eq!(sink.put(Bytes::from_static(b"d")).await, Err(SinkError::TooLarge));
        assert_eq!((pieces.recv().await.unwrap(), pieces.recv().await.unwrap()), ("ab".into(), "c".into()));
        drop(pieces);
        let (sink, pieces, _) = Sink::new(3, 1);
        drop(pieces);
        assert_eq!(sink.put(Bytes::from_static(b"a")).await, Err(SinkError::Gone));
    }
}
