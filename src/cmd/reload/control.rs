//! The control socket: how the owner's commands reach the gateway that runs.
//!
//! A peer sends one line of JSON and gets one. Only the gateway's own user and root may.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

use super::{
    super::files::remove_socket,
    errands::{Errand, Messenger},
    thread::{Answer, Requests, Wish},
};
use crate::{
    auth::Caller,
    command::Prompt,
    limits::{CONTROL_PEER_TIME_MAX, CONTROL_PEERS_MAX, CONTROL_REQUEST_BYTES_MAX},
};

/// What a peer asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::cmd) enum Asked {
    /// Of the gateway.
    Wish(Wish),
    /// Of a camera.
    Errand(Errand),
}

impl From<Wish> for Asked {
    fn from(wish: Wish) -> Self {
        Self::Wish(wish)
    }
}

impl From<Errand> for Asked {
    fn from(errand: Errand) -> Self {
        Self::Errand(errand)
    }
}

/// The control socket, open.
pub(in crate::cmd) struct Control {
    listener: UnixListener,
    /// The user the gateway runs as.
    owner: u32,
}

impl Control {
    /// Where it is, in the state folder.
    pub(super) fn path(state_dir: &Path) -> PathBuf {
        state_dir.join("control.sock")
    }

    /// Opens it; inside a runtime.
    pub(in crate::cmd) fn open(state_dir: &Path) -> io::Result<Self> {
        let path = Self::path(state_dir);
        remove_socket(&path)?;
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { listener, owner: fs::metadata(&path)?.uid() })
    }

    /// Serves peers until `stop` turns true: so many at once that whoever waits for a camera keeps nobody out. What is
    /// under way then is given up.
    pub(in crate::cmd) async fn serve(
        self,
        requests: Requests,
        messenger: Messenger,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut peers = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                Some(_) = peers.join_next() => continue,
                accepted = self.listener.accept(), if peers.len() < CONTROL_PEERS_MAX => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (requests, messenger, owner) = (requests.clone(), messenger.clone(), self.owner);
                    peers.spawn_local(async move {
                        if let Err(error) = peer(stream, &requests, &messenger, owner).await {
                            tracing::info!(%error, "a peer of the control socket was not served");
                        }
                    });
                }
                Err(error) => {
                    tracing::info!(%error, "a peer of the control socket was not served");
                    tokio::time::sleep(crate::limits::ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn peer(stream: UnixStream, requests: &Requests, messenger: &Messenger, owner: u32) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let mut stream = BufReader::new(stream);
    let answer = if uid == 0 || uid == owner {
        answer(&mut stream, requests, messenger, uid).await?
    } else {
        tracing::warn!(uid, "somebody else's user knocked at the control socket");
        failed("only the gateway's own user and root may control it")
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    timeout(CONTROL_PEER_TIME_MAX, stream.get_mut().write_all(&line)).await?
}

async fn answer(
    stream: &mut BufReader<UnixStream>,
    requests: &Requests,
    messenger: &Messenger,
    uid: u32,
) -> io::Result<Answer> {
    let mut line = Vec::new();
    let mut bounded = stream.take(CONTROL_REQUEST_BYTES_MAX as u64);
    timeout(CONTROL_PEER_TIME_MAX, bounded.read_until(b'\n', &mut line)).await??;
    let asked: Asked = match serde_json::from_slice(&line) {
        Ok(asked) => asked,
        Err(error) => return Ok(failed(&format!("the request is not understood: {error}"))),
    };
    let by = Caller::Local { by: Prompt::Control, uid: Some(uid) };
    let answer = match asked {
        Asked::Errand(errand) => messenger.run(errand, &by).await,
        Asked::Wish(wish) => match requests.ask(wish, by) {
            None => failed("too many requests wait for their turn; try again later"),
            Some(answer) => answer.await.unwrap_or_else(|_| failed("the gateway stops")),
        },
    };
    Ok(messenger.settled(answer).await)
}

fn failed(text: &str) -> Answer {
    Answer { done: false, text: format!("{text}\n") }
}
