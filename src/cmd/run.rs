//! `cordon run`: the gateway, until a signal ends it.

use std::{
    fs::{self, Permissions},
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
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

use super::{
    files::remove_socket,
    gateway::{Gateway, StartError},
    open_files,
    reload::{Control, Messenger, Reloader, Requests, Source, Thread},
};
use crate::{
    admin::{Admin, Fleet, Readiness},
    audit::LogError,
    auth::Caller,
    clock::{SystemClock, SystemEntropy},
    command::Prompt,
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
    #[error("the thread that reloads cannot be started: {0}")]
    Reload(io::Error),
}

/// Serves what a source says until SIGINT or SIGTERM, and by SIGHUP what it says then; `on_ready` runs once every
/// listener accepts.
pub(super) fn serve(
    loaded: Loaded,
    source: Source,
    on_ready: impl FnOnce(&Gateway, &str) -> io::Result<()>,
) -> Result<(), ServeError> {
    let (admin, state_dir) = (loaded.admin.clone(), loaded.state_dir.clone());
    open_files::allow(loaded.inventory.cameras().count());
    let gateway = Gateway::start(loaded, Arc::new(SystemClock::new()), Arc::new(SystemEntropy))?;
    let reloader = Reloader::new(&gateway, source).and_then(Thread::start).map_err(ServeError::Reload)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Signals)?;
    let local = LocalSet::new();
    let outcome = local.block_on(&runtime, async {
        let (stop, stopped) = watch::channel(false);
        let (url, admin) = open_admin(&admin, gateway.readiness(), gateway.fleet(), stopped.clone()).await?;
        let admin = tokio::task::spawn_local(admin);
        // Watched before anybody is told that the gateway is ready, so that no signal is lost.
        let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(ServeError::Signals)?;
        // So is the control socket open by then.
        let control = open_control(&state_dir, reloader.requests(), Messenger::new(&gateway), stopped);
        let control = tokio::task::spawn_local(control);
        on_ready(&gateway, &url).map_err(ServeError::Ready)?;
        loop {
            tokio::select! {
                _ = terminate.recv() => break tracing::info!("SIGTERM: stopping"),
                _ = interrupt.recv() => break tracing::info!("SIGINT: stopping"),
                _ = hangup.recv() => {
                    tracing::info!("SIGHUP: reloading");
                    reloader.requests().reload(Caller::Local { by: Prompt::Signal, uid: None });
                }
            }
        }
        stop.send_replace(true);
        for (task, name) in [(admin, "admin listener"), (control, "control socket")] {
            if let Err(error) = task.await {
                tracing::error!(%error, "the {name} ended");
            }
        }
        Ok(())
    });
    drop(local);
    drop(reloader);
    gateway.stop()?;
    outcome
}

/// Opens the control socket: what serves it. Without it the gateway serves on: a signal makes it reload too.
fn open_control(
    state_dir: &Path,
    requests: Requests,
    messenger: Messenger,
    stop: watch::Receiver<bool>,
) -> Serving {
    match Control::open(state_dir) {
        Ok(control) => Box::pin(control.serve(requests, messenger, stop)),
        Err(error) => {
            tracing::error!(%error, "THE CONTROL SOCKET CANNOT BE OPENED in {}: `cordon reload` will not work", state_dir.display());
            Box::pin(std::future::ready(()))
        }
    }
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::config;

    #[test]
    fn whoever_is_told_that_the_gateway_is_ready_finds_its_control_socket() {
        let dir = tempfile::tempdir().unwrap();
        let held = [(); 3].map(|()| std::net::TcpListener::bind(("127.0.9.1", 0)).unwrap());
        let [door, streams, admin] = held.map(|it| it.local_addr().unwrap().port());
        let text = format!(
            "[gateway]\nname = \"g\"\nstate_dir = \"state\"\nthreads = 1\n[listener]\nbind = \"127.0.9.1\"\n\
             rtsp_port = {streams}\n[admin]\nlisten = \"127.0.9.1:{admin}\"\n[audit]\ndir = \"audit\"\n[[site]]\n\
             name = \"s\"\nsensitive = false\n[[zone]]\nname = \"z\"\nisolation = \"none\"\nprefixes = \
             [\"192.0.2.0/24\"]\n[[camera]]\nname = \"k\"\naddress = \"192.0.2.1\"\nvendor = \"Axis\"\nzone = \"z\"\n\
             site = \"s\"\nlisten_port = {door}\nusername = \"u\"\npassword = {{ env = \"X\" }}\n"
        );
        let path = dir.path().join("cordon.toml");
        fs::write(&path, text).unwrap();
        let loaded = config::load(&path, &|_| Some("secret".to_owned())).unwrap();
        let control = dir.path().join("state/control.sock");
        let mut found = None;
        let served = serve(loaded, Source::of(&path), |_, _| {
            found = Some(UnixStream::connect(&control).map(drop));
            Err(io::Error::other("seen"))
        });
        assert!(matches!(served, Err(ServeError::Ready(_))), "{served:?}");
        found.unwrap().unwrap();
    }
}
