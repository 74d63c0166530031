//! What the serving process may still reach of the machine's files, held by the kernel (Landlock, landlock(7)).
//!
//! Whoever takes over this process by what a camera or client sent finds its own folders, and little else: nothing of
//! other programs' state, no home, no place to leave anything behind.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, path_beneath_rules,
};

use crate::config::{AdminListen, Loaded, Outline};

/// What is left to this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Confinement {
    /// Folders and files below which it may read.
    pub(super) readable: BTreeSet<PathBuf>,
    /// Folders below which it may write, too.
    pub(super) writable: BTreeSet<PathBuf>,
}

/// Why this process is not confined.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub(super) enum ConfineError {
    #[error("`{path}` cannot be made: {error}")]
    Folder { path: PathBuf, error: io::Error },
    #[error("the kernel refuses: {0}; confine = false under [gateway] serves without")]
    Kernel(#[from] RulesetError),
}

impl Confinement {
    /// As a configuration needs it, its file, what that names and the ready file.
    pub(super) fn of(loaded: &Loaded, config: &Path, ready_file: Option<&Path>) -> Self {
        let outline = Outline::of(config, &|name| std::env::var(name).ok());
        let folder = |path: &Path| {
            let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
            absolute(folder)
        };
        let named = outline.secrets.iter().map(|it| folder(it));
        let pem = loaded.tls.iter().flat_map(|it| [folder(&it.certificate), folder(&it.key)]);
        let pem = pem.chain(loaded.mqtt.iter().filter_map(|it| it.ca.as_deref()).map(folder));
        let folders = [&loaded.policy_dir, &loaded.vendors_dir].into_iter().flatten().map(|it| absolute(it));
        let system = SYSTEM.iter().map(PathBuf::from);
        let readable = named.chain(pem).chain(folders).chain([folder(config)]).chain(system).collect();
        let socket = match &loaded.admin {
            AdminListen::Unix(path) => Some(folder(path)),
            AdminListen::Tcp(_) => None,
        };
        let own =
            [absolute(&loaded.state_dir), absolute(&loaded.audit_dir), folder(&loaded.emergency_journal)];
        let writable = own.into_iter().chain(socket).chain(ready_file.map(folder)).collect();
        Self { readable, writable }
    }

    /// Gives up everything else. To be called before there are other threads: those that are there already keep what
    /// they have. Gives how far the kernel holds it.
    ///
    /// # Errors
    /// A folder is missing and cannot be made, or the kernel refused what it should know.
    pub(super) fn enforce(&self) -> Result<RulesetStatus, ConfineError> {
        for path in &self.writable {
            // The kernel holds folders that are there.
            let made = fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path);
            made.map_err(|error| ConfineError::Folder { path: path.clone(), error })?;
        }
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let status = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(KNOWN))?
            .create()?
            .add_rules(path_beneath_rules(&self.readable, read))?
            .add_rules(path_beneath_rules(&self.writable, AccessFs::from_all(KNOWN)))?
            .add_rules(path_beneath_rules(DEVICES, AccessFs::ReadFile | AccessFs::WriteFile))?
            .restrict_self()?;
        Ok(status.ruleset)
    }

    /// Whether a file may be read.
    pub(super) fn covers(&self, path: &Path) -> bool {
        let path = absolute(path);
        self.readable.iter().chain(&self.writable).any(|it| path.starts_with(it))
    }

    /// For the log.
    pub(super) fn told(&self, status: RulesetStatus) -> String {
        let how = match status {
            RulesetStatus::FullyEnforced => "in full",
            RulesetStatus::PartiallyEnforced => {
                "as far as this kernel can (5.13 or newer; 6.10 for all of it)"
            }
            RulesetStatus::NotEnforced => return "NOT CONFINED: this kernel has no Landlock".to_owned(),
        };
        let list = |of: &BTreeSet<PathBuf>| {
            of.iter().map(|it| it.display().to_string()).collect::<Vec<_>>().join(", ")
        };
        format!(
            "confined {how}: reads below {}; writes below {}; a reload that names files elsewhere needs a restart",
            list(&self.readable),
            list(&self.writable)
        )
    }
}

/// Like those that the gateway makes: closed to others.
const FOLDER_MODE: u32 = 0o750;
/// What every program reads: libraries, names of users, what the kernel tells of this process, and its share of processors.
const SYSTEM: [&str; 6] = ["/etc", "/usr", "/lib", "/lib64", "/proc", "/sys/fs/cgroup"];
const DEVICES: [&str; 3] = ["/dev/null", "/dev/random", "/dev/urandom"];
/// The latest version of the kernel's interface whose rights are given up.
const KNOWN: ABI = ABI::V5;

/// As the kernel knows it, as far as it is there.
fn absolute(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    fs::canonicalize(&whole).unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_confined_thread_finds_its_own_folders_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let [own, named, other] = ["own", "named", "other"].map(|name| dir.path().join(name));
        for folder in [&named, &other] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("file"), "text").unwrap();
        }
        let confinement = Confinement {
            readable: [absolute(&named)].into(),
            writable: [absolute(dir.path()).join("own")].into(),
        };
        assert!(confinement.covers(&named.join("file")) && confinement.covers(&own.join("new")));
        assert!(!confinement.covers(&other.join("file")));
        let held = |what: io::Result<()>| what.unwrap_err().kind() == io::ErrorKind::PermissionDenied;
        // The kernel confines the thread that asks for it, and those that it makes.
        let thread = std::thread::spawn(move || {
            let status = confinement.enforce().unwrap();
            if status == RulesetStatus::NotEnforced {
                return confinement.told(status);
            }
            assert_eq!(fs::read_to_string(named.join("file")).unwrap(), "text");
            assert!(held(fs::write(named.join("file"), "more")), "read only");
            fs::write(own.join("new"), "text").unwrap();
            assert_eq!(fs::metadata(&own).unwrap().permissions().mode() & 0o007, 0, "closed to others");
            fs::rename(own.join("new"), own.join("newer")).unwrap();
            assert!(held(fs::read(other.join("file")).map(drop)), "somebody else's");
            assert!(held(fs::read_dir("/root").map(drop)) && held(fs::write("/tmp/left-behind", "x")));
            confinement.told(status)
        });
        let told = thread.join().unwrap();
        assert!(
            told.starts_with("confined ") || told == "NOT CONFINED: this kernel has no Landlock",
            "{told}"
        );
    }
}
