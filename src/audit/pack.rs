//! Sealed segments are packed: gzip (RFC 1952), the plain file's lines and nothing else.
//!
//! A thread of its own packs, so that no command waits for it. It writes the packed file beside, syncs it, reads it
//! back and compares it with the plain one, octet for octet, then renames it into place, and only then removes the
//! plain one. A crash in between leaves the plain file, with or without the packed one; while it is there it counts,
//! and the next pass does the rest.
//!
//! The comment in the gzip header says how the lines end, so that an index can be told to fit without unpacking.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, SyncSender},
    },
    thread::{self, JoinHandle},
};

use flate2::{Compression, GzBuilder, bufread::MultiGzDecoder, write::GzEncoder};

use super::{
    files::{Appending, Files},
    segment::{self, Segment},
};

/// Packs what is sealed, from when it is told until it is dropped.
pub(super) struct Packer {
    work: Option<SyncSender<()>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Packer {
    /// Begins its thread, and with what was sealed before. `sealed` is held while files change their names.
    pub(super) fn start(files: Box<dyn Files>, dir: &Path, sealed: Sealed) -> io::Result<Self> {
        let (work, told) = mpsc::sync_channel(1);
        let (dir, stopping) = (dir.to_owned(), Arc::new(AtomicBool::new(false)));
        let mut packing = Packing { files, sealed, stopping: Arc::clone(&stopping) };
        let thread = thread::Builder::new().name("audit-pack".to_owned()).spawn(move || {
            while told.recv().is_ok() {
                if let Err(error) = packing.all(&dir) {
                    // Tried again when the next segment is sealed; until then it takes more space and nothing else.
                    tracing::warn!(dir = %dir.display(), %error, "a sealed audit segment was not packed");
                }
            }
        })?;
        let packer = Self { work: Some(work), stopping, thread: Some(thread) };
        packer.tell();
        Ok(packer)
    }

    /// Says that a segment was sealed.
    pub(super) fn tell(&self) {
        // Full means that it is told already.
        let _ = self.work.as_ref().map(|work| work.try_send(()));
    }
}

impl Drop for Packer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.work = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("packing audit segments panicked");
        }
    }
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Packer")
    }
}

/// Held by whoever renames or removes files of sealed segments.
#[derive(Debug, Clone, Default)]
pub(super) struct Sealed(Arc<Mutex<()>>);

impl Sealed {
    fn wait(&self) -> MutexGuard<'_, ()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For whoever must not wait for a disk; none if somebody else is at it.
    pub(super) fn at_once(&self) -> Option<MutexGuard<'_, ()>> {
        match self.0.try_lock() {
            Ok(held) => Some(held),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}

struct Packing {
    files: Box<dyn Files>,
    sealed: Sealed,
    stopping: Arc<AtomicBool>,
}

impl Packing {
    fn all(&mut self, dir: &Path) -> io::Result<()> {
        let all = segment::segments(dir)?;
        let sealed = all.split_last().map_or(&[] as &[Segment], |(_, sealed)| sealed);
        let mut failure = None;
        for segment in sealed.iter().filter(|segment| !segment.is_packed()) {
            if self.stopping.load(Ordering::Relaxed) {
                break;
            }
            let [_, packed] = segment.forms();
            let beside = packed.with_extension("gz.new");
            let done = self.pack(dir, segment, &packed, &beside);
            if done.is_err() && beside.exists() {
                // The log may need the space. What cannot be removed now is by the next pass.
                let _ = self.files.remove(&beside);
            }
            match done {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => break,
                // Retention was faster.
                Err(_) if !segment.path.exists() => {}
                // One that cannot be packed keeps no other from it.
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn pack(&mut self, dir: &Path, segment: &Segment, packed: &Path, beside: &Path) -> io::Result<()> {
        if beside.exists() {
            // Left by a crash.
            self.files.remove(beside)?;
        }
        let (bytes, sum) = segment.end()?;
        let file = Beside { file: self.files.create(beside)?, waiting: Vec::new() };
        let mut encoder =
            GzBuilder::new().comment(format!("{bytes} {sum}")).write(file, Compression::default());
        self.copy(&mut BufReader::new(File::open(&segment.path)?), &mut encoder)?;
        let mut file = encoder.finish()?;
        file.flush()?;
        file.file.sync()?;
        self.compare(segment, beside)?;
        let _held = self.sealed.wait();
        if !segment.path.exists() {
            return self.files.remove(beside);
        }
        self.files.rename(beside, packed)?;
        self.files.remove(&segment.path)?;
        self.files.settle(dir)?;
        tracing::info!(
            segment = segment.name,
            bytes,
            packed = fs::metadata(packed)?.len(),
            "an audit segment was packed"
        );
        Ok(())
    }

    fn copy(&self, from: &mut dyn BufRead, to: &mut GzEncoder<Beside>) -> io::Result<()> {
        loop {
            self.go_on()?;
            let block = from.fill_buf()?;
            let read = block.len();
            if read == 0 {
                return Ok(());
            }
            to.write_all(block)?;
            from.consume(read);
        }
    }

    /// Evidence is removed only where it was read elsewhere.
    fn compare(&self, segment: &Segment, beside: &Path) -> io::Result<()> {
        let mut plain = BufReader::new(File::open(&segment.path)?);
        let mut packed = BufReader::new(unpacked(File::open(beside)?));
        loop {
            self.go_on()?;
            let (one, other) = (plain.fill_buf()?, packed.fill_buf()?);
            let same = one.len().min(other.len());
            if one.get(..same) != other.get(..same) || (same == 0 && one.len() != other.len()) {
                return Err(io::Error::other(format!(
                    "{} does not unpack to what was packed",
                    beside.display()
                )));
            }
            if same == 0 {
                return Ok(());
            }
            plain.consume(same);
            packed.consume(same);
        }
    }

    fn go_on(&self) -> io::Result<()> {
        if self.stopping.load(Ordering::Relaxed) { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}

/// What is written beside, in blocks.
struct Beside {
    file: Box<dyn Appending>,
    waiting: Vec<u8>,
}

impl Write for Beside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= BLOCK_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.append(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }
}

/// The lines of a packed file.
pub(super) fn unpacked(file: File) -> impl Read {
    MultiGzDecoder::new(BufReader::with_capacity(BLOCK_BYTES, file))
}

/// Length and last sum of the lines of a packed file, as its header says.
pub(super) fn says(path: &Path) -> io::Result<(u64, String)> {
    let mut decoder = MultiGzDecoder::new(BufReader::new(File::open(path)?));
    // The header is read with the first octet.
    decoder.read_exact(&mut [0])?;
    let comment = decoder.header().and_then(|it| it.comment()).unwrap_or_default();
    let told = std::str::from_utf8(comment).ok().and_then(|text| {
        let (bytes, sum) = text.split_once(' ')?;
        Some((bytes.parse().ok()?, sum.to_owned()))
    });
    told.ok_or_else(|| io::Error::other(format!("the header of {} does not say how it ends", path.display())))
}

const BLOCK_BYTES: usize = 64 * 1024;
