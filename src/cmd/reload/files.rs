//! The files a configuration is made of, as far as it takes to see that they have changed.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::super::{
    configuration::{files_of, policy_files},
    confine::Confinement,
    settling::Settling,
};
use crate::config::Outline;

/// Reads a variable of the environment.
pub type Environment = Box<dyn Fn(&str) -> Option<String> + Send>;

/// Where a configuration comes from.
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// The environment.
    pub env: Environment,
    /// What this process may read, if the kernel holds it to that.
    pub(in super::super) confinement: Option<Confinement>,
}

impl Source {
    /// A file, and the environment of this process.
    pub fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), env: Box::new(|name| std::env::var(name).ok()), confinement: None }
    }

    /// A file that the configuration names and this process may not read, since it was not named when it started.
    pub(super) fn out_of_reach(&self) -> Option<PathBuf> {
        let confinement = self.confinement.as_ref()?;
        let Outline { policy_dir, vendors_dir, secrets, .. } = Outline::of(&self.path, &self.env);
        secrets.into_iter().chain(policy_dir).chain(vendors_dir).find(|it| !confinement.covers(it))
    }
}

/// Which file it was, when it was last written and how long it was. Contents are not looked at: there may be
/// many, and some are secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    number: u64,
    bytes: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            number: found.ino(),
            bytes: found.size(),
            written: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

/// One look at all files.
type Look = BTreeMap<PathBuf, Option<Stamp>>;

/// Notices that the files of a configuration have changed, and that they stand still since.
pub(super) struct Watch {
    settling: Settling<Look>,
    /// What the file named when it had this stamp.
    outline: (Option<Stamp>, Outline),
}

impl Watch {
    /// Counts what the files say now as taken up.
    pub(super) fn new(source: &Source) -> Self {
        let mut outline = (None, Outline::default());
        Self { settling: Settling::new(look(source, &mut outline)), outline }
    }

    /// Whether the files have changed and stand still since.
    pub(super) fn has_changed(&mut self, source: &Source) -> bool {
        let found = look(source, &mut self.outline);
        self.settling.settles(found)
    }

    /// Counts what the files say now as taken up.
    pub(super) fn settle(&mut self, source: &Source) {
        let found = look(source, &mut self.outline);
        self.settling.settle(found);
    }
}

fn look(source: &Source, outline: &mut (Option<Stamp>, Outline)) -> Look {
    let stamp = Stamp::of(&source.path);
    if stamp.is_none() || outline.0 != stamp {
        *outline = (stamp, Outline::of(&source.path, &source.env));
    }
    let Outline { policy_dir, vendors_dir, secrets, .. } = &outline.1;
    let policies = policy_dir.iter().flat_map(|dir| policy_files(dir).unwrap_or_default());
    let vendors = vendors_dir.iter().flat_map(|dir| files_of(dir, "toml").unwrap_or_default());
    let folders = policy_dir.iter().chain(vendors_dir).cloned();
    let files = secrets.iter().cloned().chain(policies).chain(vendors).chain(folders);
    let mut found: Look = files.map(|path| (path.clone(), Stamp::of(&path))).collect();
    found.insert(source.path.clone(), stamp);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_its_policies_and_its_secrets_are_watched() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("policies")).unwrap();
        fs::write(at("policies/a.cedar"), "a").unwrap();
        fs::write(at("secret"), "old").unwrap();
        fs::create_dir(at("makers")).unwrap();
        fs::write(at("makers/own.toml"), "a").unwrap();
        let text = "[policy]\ndir = \"policies\"\n[vendors]\ndir = \"makers\"\n[[camera]]\nname = \"gate\"\npassword = { file = \"secret\" }\n";
        fs::write(at("cordon.toml"), text).unwrap();
        let source = Source::of(&at("cordon.toml"));
        let mut watch = Watch::new(&source);
        assert!(!watch.has_changed(&source) && !watch.has_changed(&source), "nothing was written");
        let changes: [(&str, &dyn Fn()); 7] = [
            ("the file", &|| fs::write(at("cordon.toml"), format!("{text}# more\n")).unwrap()),
            ("a secret", &|| fs::write(at("secret"), "new one").unwrap()),
            ("a secret that goes", &|| fs::remove_file(at("secret")).unwrap()),
            ("a policy", &|| fs::write(at("policies/a.cedar"), "ab").unwrap()),
            ("a vendor", &|| fs::write(at("makers/own.toml"), "ab").unwrap()),
            ("another policy", &|| fs::write(at("policies/b.cedar"), "b").unwrap()),
            ("a file put in its place", &|| {
                fs::write(at("next"), text).unwrap();
                fs::rename(at("next"), at("cordon.toml")).unwrap();
            }),
        ];
        for (what, change) in changes {
            change();
            assert!(!watch.has_changed(&source), "{what}: it may still be being written");
            assert!(watch.has_changed(&source), "{what}");
            assert!(!watch.has_changed(&source), "{what}: once is enough");
        }
        fs::write(at("secret"), "old").unwrap();
        watch.settle(&source);
        assert!(!watch.has_changed(&source) && !watch.has_changed(&source), "taken up by other means");
    }
}
