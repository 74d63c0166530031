//! `cordon run`: the gateway, until a signal ends it.

use std::{
    fs::{self, Permissions},
    io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::LocalSet,
};

use super::gateway::{Gateway, StartError};
use crate::{
    admin::{Admin, Fleet, Readiness},
    audit::LogError,
    clock::{SystemClock, SystemEntropy},
    config::{AdminListen, Loaded},
    listener::http::{self, Door},
};

/// Options of `cordon run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Where to write, once every listener accepts, what is served where (JSON).
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

/// Why serving ended otherwise than by a signal.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ServeError {
    #[error("the gateway does not start")]
    Start(#[from] StartError),
    #[error(
        "the gateway has stopped, but the end of its audit log could not be written: outcomes that are missing will be \
         recorded as unknown at the next start"
    )]
    Stop(#[from] LogError),
    #[error("the admin listener cannot be opened at {at}: {source}; choose another address under [admin]")]
    Admin { at: String, source: io::Error },
    #[error("the ready file cannot be written: {0}")]
    Ready(io::Error),
    #[error("signals cannot be watched: {0}")]
    Signals(io::Error),
}

/// Serves a configuration until SIGINT or SIGTERM; `on_ready` runs once every listener accepts.
pub(super) fn serve(
    loaded: Loaded,
    on_ready: impl FnOnce(&Gateway, &str) -> io::Result<()>,
) -> Result<(), ServeError> {
    let admin = loaded.admin.clone();
    let gateway = Gateway::start(loaded, Arc::new(SystemClock::new()), Arc::new(SystemEntropy))?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Signals)?;
    let local = LocalSet::new();
    let outcome = local.block_on(&runtime, async {
        let (stop, stopped) = watch::channel(false);
        let (url, admin) = open_admin(&admin, gateway.readiness(), gateway.fleet(), stopped).await?;
        let admin = tokio::task::spawn_local(admin);
        // Watched before anybody is told that the gateway is ready, so that no signal is lost.
        let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
        on_ready(&gateway, &url).map_err(ServeError::Ready)?;
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
        stop.send_replace(true);
        if let Err(error) = admin.await {
            tracing::error!(%error, "the admin listener ended");
        }
        Ok(())
    });
    gateway.stop()?;
    outcome
}

type Serving = std::pin::Pin<Box<dyn Future<Output = ()>>>;

/// Opens the admin listener: its URL, and what serves it.
async fn open_admin(
    listen: &AdminListen,
    readiness: Arc<dyn Readiness>,
    fleet: Arc<dyn Fleet>,
    stopped: watch::Receiver<bool>,
) -> Result<(String, Serving), ServeError> {
    let service = Rc::new(Admin::new(readiness, fleet));
    match listen {
        AdminListen::Tcp(address) => {
            let failed = |source| ServeError::Admin { at: address.to_string(), source };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            let bound: SocketAddr = listener.local_addr().map_err(failed)?;
            let serving = http::serve(listener, service, Door::Admin, stopped);
            Ok((format!("http://{bound}"), Box::pin(serving)))
        }
        AdminListen::Unix(path) => {
            let failed = |source| ServeError::Admin { at: path.display().to_string(), source };
            remove_socket(path).map_err(failed)?;
            let listener = UnixListener::bind(path).map_err(failed)?;
            fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
            let serving = http::serve(listener, service, Door::Admin, stopped);
            Ok((format!("unix:{}", path.display()), Box::pin(serving)))
        }
    }
}

/// Removes the socket that an earlier run left behind, and nothing but a socket.
fn remove_socket(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Err(io::Error::other("something is there that is no socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_socket_makes_way_for_the_admin_socket() {
        let folder = tempfile::tempdir().unwrap();
        let (socket, file) = (folder.path().join("admin.sock"), folder.path().join("cordon.toml"));
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        fs::write(&file, "kept").unwrap();
        remove_socket(&socket).unwrap();
        assert!(!socket.exists());
        remove_socket(&socket).unwrap();
        assert_eq!(remove_socket(&file).unwrap_err().to_string(), "something is there that is no socket");
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    }
}
