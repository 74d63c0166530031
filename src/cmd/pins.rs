//! Pins of cameras' certificates: kept in the state database, shown and forgotten by `cordon pins`.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    auth::Fingerprint,
    camera::{Pin, PinBook, PinError},
    clock::Clock,
    config::Loaded,
    ids::CameraId,
    store::{self, Store, StoreError},
};

/// The pin of one camera in the state database. Read with every connection that is opened, so that a pin that
/// somebody forgets is forgotten at once.
pub(super) struct StoredPins {
    store: Arc<Mutex<Store>>,
    clock: Arc<dyn Clock>,
    camera: String,
}

impl StoredPins {
    pub(super) fn new(store: &Arc<Mutex<Store>>, clock: &Arc<dyn Clock>, camera: &CameraId) -> Self {
        Self { store: Arc::clone(store), clock: Arc::clone(clock), camera: camera.to_string() }
    }
}

impl PinBook for StoredPins {
    fn pin(&self) -> Result<Option<Pin>, PinError> {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.pin_get(&self.camera).map_err(broken)?.map(|row| pin(&row)).transpose()
    }

    fn keep(&self, first: Pin) -> Result<Pin, PinError> {
        let row = store::Pin {
            camera: self.camera.clone(),
            key: first.key.to_string(),
            certificate: first.whole.to_string(),
            pinned: self.clock.now().as_second(),
        };
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        pin(&store.pin_first(&row).map_err(broken)?)
    }
}

/// The fingerprint of the key a camera is known by, if it is pinned.
pub(super) fn pinned(store: &Mutex<Store>, camera: &CameraId) -> Result<Option<String>, StoreError> {
    let store = store.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(store.pin_get(camera.as_str())?.map(|row| row.key))
}

fn broken(error: StoreError) -> PinError {
    PinError(error.to_string())
}

/// A row that does not read is no pin, and no reason to pin anew.
fn pin(row: &store::Pin) -> Result<Pin, PinError> {
    let read = Fingerprint::parse(&row.key).zip(Fingerprint::parse(&row.certificate));
    let (key, whole) =
        read.ok_or_else(|| PinError(format!("the pin of camera `{}` is damaged", row.camera)))?;
    Ok(Pin { key, whole })
}

/// Options of `cordon pins`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Forgets the pin of this camera: the next certificate it shows is pinned.
    #[arg(long, value_name = "CAMERA")]
    forget: Option<String>,
}

/// Why `cordon pins` failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub(super) enum PinsError {
    #[error("the state database cannot be used")]
    Store(#[from] StoreError),
    #[error("there is no state in `{0}`; has the gateway run with this configuration?")]
    NoState(PathBuf),
    #[error("camera `{0}` has no pin; `cordon pins` without --forget shows those there are")]
    NoPin(String),
    #[error("cannot be printed: {0}")]
    Print(#[from] io::Error),
}

/// Shows the pins of a configuration's state, or forgets one. The gateway may run meanwhile.
pub(super) fn run(args: &Args, loaded: &Loaded, out: &mut dyn Write) -> Result<(), PinsError> {
    let path = loaded.state_dir.join("state.sqlite");
    if !path.is_file() {
        return Err(PinsError::NoState(loaded.state_dir.clone()));
    }
    let mut store = Store::open(&path)?;
    if let Some(camera) = &args.forget {
        if !store.pin_remove(camera)? {
            return Err(PinsError::NoPin(camera.clone()));
        }
        writeln!(
            out,
            "forgotten: the next certificate that camera `{camera}` shows is pinned, and told in the log"
        )?;
        return Ok(());
    }
    for row in store.pin_all()? {
        let since = jiff::Timestamp::from_second(row.pinned).map(|it| it.to_string()).unwrap_or_default();
        writeln!(out, "{}: key {}, certificate {}, pinned {since}", row.camera, row.key, row.certificate)?;
    }
    Ok(())
}
