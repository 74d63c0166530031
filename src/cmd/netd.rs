//! `cordon netd`: the privileged process.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::{
        fs::{PermissionsExt, lchown},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
};

use super::{
    files::{beside, changed_by_others, remove_socket},
    isolate::keeper,
};
use crate::{
    clock::SystemClock,
    config::{Loaded, NetdUser},
    isolation::{KeeperError, Server},
};

/// Options of `cordon netd`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file: the same as that of `cordon run`.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum NetdStartError {
    #[error("no zone says isolation = \"namespace\": there is nothing to keep")]
    NoZones,
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    #[error("there is no user `{0}` on this machine: correct user under [netd]")]
    NoUser(String),
    #[error("{path}: {error}; `cordon netd` needs root, and the folder must exist or be makeable")]
    Socket { path: PathBuf, error: io::Error },
    #[error(
        "{folder} can be changed by others than root, who could put something else in the place of {path}: let it and \
         all folders above it belong to root and nobody else write there, or name another `socket` under [netd]"
    )]
    OpenFolder { path: PathBuf, folder: PathBuf },
    #[error("a thread cannot be started: {0}")]
    Thread(io::Error),
}

/// Makes zones what they should be, and keeps them so until it is stopped. What is in force then stays.
pub(super) fn run(args: &Args, loaded: &Loaded) -> Result<(), NetdStartError> {
    let mut keeper = keeper(loaded);
    if keeper.zones().is_empty() {
        return Err(NetdStartError::NoZones);
    }
    if let Some(warning) = of_open_configuration(&args.config) {
        tracing::warn!("{warning}");
    }
    let path = &loaded.netd.socket;
    let failed = |error| NetdStartError::Socket { path: path.clone(), error };
    shelter(path)?;
    keeper.hold()?;
    let user = loaded.netd.user.as_ref().map(number).transpose()?;
    let all = keeper.zones().len();
    let server = Server::new(keeper, user, Arc::new(SystemClock::new()));
    let isolated = server.look();
    let listener = open(path, user).map_err(failed)?;
    tracing::info!("{isolated} of {all} zones are isolated; listening at {}", path.display());
    let (_stop, stopped) = mpsc::channel();
    let looking = server.clone();
    let look = move || looking.keep_looking(&stopped);
    std::thread::Builder::new().name("zones".into()).spawn(look).map_err(NetdStartError::Thread)?;
    server.serve(&listener).map_err(failed)
}

/// What to say of a configuration that is not root's alone. It is obeyed all the same: who keeps it may be whom the
/// engineer trusts with it.
fn of_open_configuration(config: &Path) -> Option<String> {
    let place = changed_by_others(config).ok().flatten()?;
    Some(format!(
        "{place} CAN BE CHANGED BY OTHERS THAN ROOT, who so decide which interfaces and addresses root moves: let \
         {config} and all folders above it belong to root, with nobody else writing there",
        place = place.display(),
        config = config.display()
    ))
}

/// Makes the socket's folder, in which root is about to give something away.
fn shelter(path: &Path) -> Result<(), NetdStartError> {
    let failed = |error| NetdStartError::Socket { path: path.to_owned(), error };
    let Some(folder) = path.parent() else { return Ok(()) };
    fs::create_dir_all(folder).map_err(failed)?;
    match changed_by_others(folder).map_err(failed)? {
        None => Ok(()),
        Some(folder) => Err(NetdStartError::OpenFolder { path: path.to_owned(), folder }),
    }
}

/// Opens the socket for its user alone; whoever connects is looked at besides. It comes to its place when it listens and
/// is its user's, so that whoever finds it there is heard.
fn open(path: &Path, user: Option<u32>) -> io::Result<UnixListener> {
    let beside = beside(path);
    remove_socket(path)?;
    remove_socket(&beside)?;
    let listener = UnixListener::bind(&beside)?;
    fs::set_permissions(&beside, Permissions::from_mode(0o600))?;
    if let Some(user) = user {
        lchown(&beside, Some(user), None)?;
    }
    fs::rename(beside, path)?;
    Ok(listener)
}

/// The number of a user of this machine.
fn number(user: &NetdUser) -> Result<u32, NetdStartError> {
    let name = match user {
        NetdUser::Id(id) => return Ok(*id),
        NetdUser::Name(name) => name,
    };
    let users = fs::read_to_string(USERS).unwrap_or_default();
    let mut lines = users.lines().filter_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name.as_str())).then(|| fields.nth(1)?.parse().ok())
    });
    lines.next().flatten().ok_or_else(|| NetdStartError::NoUser(name.clone()))
}

const USERS: &str = "/etc/passwd";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_others_can_change_is_warned_of() {
        let dir = tempfile::tempdir().unwrap();
        let config = fs::canonicalize(dir.path()).unwrap().join("cordon.toml");
        fs::write(&config, "").unwrap();
        let warned = |mode| {
            fs::set_permissions(&config, Permissions::from_mode(mode)).unwrap();
            of_open_configuration(&config)
        };
        assert_eq!(warned(0o644), None);
        let begins = format!("{} CAN BE CHANGED BY OTHERS THAN ROOT", config.display());
        assert!(warned(0o664).unwrap().starts_with(&begins));
    }
}
