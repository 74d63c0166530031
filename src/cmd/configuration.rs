//! A configuration read whole, policies included, and what requests are handled by that is made from it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    auth::{Authenticator, Caller, Method},
    config::{self, Diagnostic, Loaded},
    gate::Rules,
    ids::CameraId,
    inventory::Regards,
    listener::Edition,
    policy::{Engine, PolicyError, SHIPPED},
    schema::Tables,
    telemetry::Metrics,
};

/// What files say at one moment.
#[derive(Debug)]
pub(super) struct Configuration {
    pub(super) loaded: Loaded,
    /// Names and texts of the policies.
    pub(super) policies: Vec<(String, String)>,
}

/// Everything that is wrong with a configuration, each with file, line and remedy.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(Diagnostic::render).collect::<Vec<_>>().join("\n\n"))]
pub struct Wrong(pub Vec<Diagnostic>);

impl Configuration {
    /// Reads the file and all it names. `env` reads the environment.
    pub(super) fn read(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Wrong> {
        Self::with_policies(config::load(path, env).map_err(Wrong)?)
    }

    /// Reads the policies that a configuration names.
    pub(super) fn with_policies(loaded: Loaded) -> Result<Self, Wrong> {
        let policies = match &loaded.policy_dir {
            None => shipped_policies(),
            Some(dir) => policies_in(dir).map_err(|error| Wrong(vec![unreadable(dir, &error)]))?,
        };
        Ok(Self { loaded, policies })
    }

    /// What decides by its policies.
    pub(super) fn engine(&self, tables: &Tables) -> Result<Engine, Wrong> {
        let Self { loaded, policies } = self;
        let engine = Engine::load(tables, policies, &loaded.inventory, &loaded.clients);
        engine.and_then(|engine| engine.observing(loaded.observe_until)).map_err(|error| self.accuse(&error))
    }

    /// What requests are handled by, with the engine of this configuration.
    pub(super) fn edition(
        &self,
        engine: Engine,
        authenticator: Authenticator,
        regards: Regards,
        metrics: &Metrics,
    ) -> Edition {
        let loaded = &self.loaded;
        Edition {
            rules: Rules::new(engine, loaded.inventory.clone(), regards, metrics)
                .absorbing(loaded.absorb.clone())
                .expecting(loaded.clients.iter().flat_map(|it| it.networks.iter().copied())),
            authenticator: authenticator.with_clear_passwords(loaded.clear_passwords),
            callers: callers(loaded),
            logins: loaded.logins.clone(),
        }
    }

    /// A camera that has no login; a configuration that was loaded has none such.
    pub(super) fn without_login(&self) -> Option<&CameraId> {
        let logins = &self.loaded.logins;
        self.loaded.inventory.cameras().map(|camera| &camera.id).find(|id| !logins.contains_key(*id))
    }

    /// Policy errors look like those of the configuration.
    fn accuse(&self, error: &PolicyError) -> Wrong {
        let PolicyError::Policies(problems) = error else {
            let what = format!("the policies cannot be used: {error}");
            let file = self.loaded.policy_dir.clone().unwrap_or_else(|| "policies".into());
            let remedy = "correct the names that the message tells".to_owned();
            return Wrong(vec![Diagnostic::on_line(file, "", 1, what, remedy)]);
        };
        let told = problems.iter().map(|problem| {
            let text = self.policies.iter().find(|(name, _)| *name == problem.file);
            let text = text.map_or("", |(_, text)| text);
            let (what, remedy) = (problem.what.clone(), problem.remedy.clone());
            Diagnostic::on_line(problem.file.clone().into(), text, problem.line, what, remedy)
        });
        Wrong(told.collect())
    }
}

/// Names and texts of the policies that come with the program.
pub(super) fn shipped_policies() -> Vec<(String, String)> {
    SHIPPED.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// Names and texts of the `.cedar` files of a folder, in the order of their names.
pub(super) fn policies_in(dir: &Path) -> io::Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for path in policy_files(dir)? {
        texts.push((path.display().to_string(), config::read(&path)?));
    }
    Ok(texts)
}

/// The `.cedar` files of a folder, in the order of their names.
pub(super) fn policy_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    files_of(dir, "cedar")
}

/// The files of a folder whose names end so, in the order of their names.
pub(super) fn files_of(dir: &Path, ending: &str) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == ending) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn unreadable(dir: &Path, error: &io::Error) -> Diagnostic {
    let what = format!("the policies cannot be read: {error}");
    let remedy =
        "the folder and its .cedar files must be readable by the gateway's user, as UTF-8".to_owned();
    Diagnostic::on_line(dir.to_owned(), "", 1, what, remedy)
}

/// One caller for each client, to ask what could be permitted at all.
fn callers(loaded: &Loaded) -> Vec<Caller> {
    let caller = |client: &crate::auth::ClientRecord| {
        let network = client.networks.first()?;
        Some(Caller::Client {
            id: client.id.clone(),
            role: client.role,
            source: std::net::SocketAddr::new(network.addr(), 0),
            method: Method::DigestSha256,
            tls: false,
        })
    };
    loaded.clients.iter().filter_map(caller).collect()
}
