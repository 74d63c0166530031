//! Loads the tables: our own files, embedded, or folders with official ones.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use aws_lc_rs::digest;

use super::{
    embedded, expand,
    overlay::{Overlay, OverlayError},
    source::{Source, SourceError, WSDL, XSD},
    tables::Tables,
    wsdl::Services,
    xsd::Declarations,
};
use crate::limits::TABLE_FILES_MAX;

/// Why the tables could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A folder or file that cannot be read.
    #[error("cannot read `{}`; the folder must hold the interface's WSDL and XSD files", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file whose content cannot be taken.
    #[error("`{file}` {source}")]
    File {
        /// Which.
        file: String,
        /// Why.
        source: SourceError,
    },
    /// A line of the overlay.
    #[error("overlay `{file}`, {source}")]
    Overlay {
        /// Which file.
        file: String,
        /// Which line, and why.
        source: OverlayError,
    },
    /// Something is used and declared nowhere.
    #[error("no file declares the {what} {name}; add the file of that namespace to the folders")]
    Undeclared {
        /// Element, type, message …
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// An attribute or simple type is made of a type that holds elements.
    #[error("a type with elements stands where only text can")]
    TextOfComplex,
    /// More than the limits allow.
    #[error("the interface is larger than the tables may be")]
    TooLarge,
    /// The embedded files could not be loaded, as said before.
    #[error("the tables could not be loaded: {0}")]
    Before(String),
}

/// A file of the interface.
pub(super) struct File {
    /// Its path below its folder.
    pub(super) name: String,
    pub(super) text: String,
}

/// Everything read, before it is expanded.
pub(super) struct Interface {
    pub(super) all: Declarations,
    pub(super) services: Services,
}

impl Tables {
    /// The tables of the files built into the program. Loaded once.
    pub fn embedded() -> Result<Arc<Self>, LoadError> {
        static LOADED: OnceLock<Result<Arc<Tables>, String>> = OnceLock::new();
        let load = || Self::from_embedded().map(Arc::new).map_err(|error| error.to_string());
        LOADED.get_or_init(load).clone().map_err(LoadError::Before)
    }

    /// Loads the embedded files anew; [`Self::embedded`] does so once.
    pub fn from_embedded() -> Result<Self, LoadError> {
        let files = embedded::FILES.iter().map(|(name, text)| (*name, *text)).collect();
        let overlays = embedded::OVERLAYS.iter().map(|(name, text)| (*name, *text)).collect();
        Self::from_texts(files, overlays)
    }

    /// Loads the official files of some folders, unchanged, with the overlay of those folders (files that end
    /// in `.overlay`) or else our own. Imports are resolved by namespace: of two files that define the same
    /// services, and of two declarations of one name, the one with the shorter path below its folder counts.
    pub fn from_folders(folders: &[&Path]) -> Result<Self, LoadError> {
        let files = read_folders(folders)?;
        let (overlays, files): (Vec<_>, Vec<_>) = files.iter().partition(|it| it.name.ends_with(".overlay"));
        let overlays = if overlays.is_empty() {
            embedded::OVERLAYS.iter().map(|(name, text)| (*name, *text)).collect()
        } else {
            overlays.iter().map(|file| (&*file.name, &*file.text)).collect()
        };
        Self::from_texts(files.iter().map(|file| (&*file.name, &*file.text)).collect(), overlays)
    }

    fn from_texts(files: Vec<(&str, &str)>, overlays: Vec<(&str, &str)>) -> Result<Self, LoadError> {
        let digest = digest_of(files.iter().chain(&overlays));
        let Interface { mut all, services } = read_interface(&files)?;
        let overlay = read_overlay(&mut all, &overlays)?;
        expand::tables(all, &services, &overlay, digest)
    }
}

/// Reads declarations, in the order given.
pub(super) fn read_interface(files: &[(&str, &str)]) -> Result<Interface, LoadError> {
    let mut all = Declarations::default();
    let mut services = Services::default();
    let mut defined: Vec<String> = Vec::new();
    for (name, text) in files {
        let at = |source| LoadError::File { file: (*name).to_owned(), source };
        let source = Source::read(text).map_err(at)?;
        let root = source.root().map_err(at)?;
        if root.is(XSD, "schema") {
            all.add(root).map_err(at)?;
        } else if root.is(WSDL, "definitions") {
            let target = root.needs("targetNamespace").map_err(at)?;
            if !defined.iter().any(|known| known == target) {
                defined.push(target.to_owned());
                services.add(&mut all, root).map_err(at)?;
            }
        }
    }
    Ok(Interface { all, services })
}

pub(super) fn read_overlay(all: &mut Declarations, files: &[(&str, &str)]) -> Result<Overlay, LoadError> {
    let mut overlay = Overlay::default();
    let at = |file: &str| {
        let file = file.to_owned();
        move |source| LoadError::Overlay { file, source }
    };
    for (name, text) in files {
        overlay.read_names(text).map_err(at(name))?;
    }
    for (name, text) in files {
        overlay.read_facts(&mut all.names, text).map_err(at(name))?;
    }
    for (name, of) in &overlay.elements {
        all.declare(*name, *of);
    }
    Ok(overlay)
}

/// All WSDL, XSD and overlay files below some folders, those with the shortest path first.
pub(super) fn read_folders(folders: &[&Path]) -> Result<Vec<File>, LoadError> {
    let mut files = Vec::new();
    for folder in folders {
        read_folder(folder, folder, &mut files)?;
    }
    files.sort_by(|one, other| (one.name.len(), &one.name).cmp(&(other.name.len(), &other.name)));
    Ok(files)
}

fn read_folder(top: &Path, folder: &Path, files: &mut Vec<File>) -> Result<(), LoadError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| LoadError::Io { path, source }
    };
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if path.is_dir() {
            read_folder(top, &path, files)?;
        } else if is_table_file(&path) {
            if files.len() >= TABLE_FILES_MAX {
                return Err(LoadError::TooLarge);
            }
            let text = fs::read_to_string(&path).map_err(at(&path))?;
            let name = path.strip_prefix(top).unwrap_or(&path).to_string_lossy().into_owned();
            files.push(File { name, text });
        }
    }
    Ok(())
}

/// Some official schemas (`xmlmime`, `include`) have no extension.
fn is_table_file(path: &Path) -> bool {
    path.extension().is_none_or(|ending| ["wsdl", "xsd", "overlay"].iter().any(|known| ending == *known))
}

fn digest_of<'t>(files: impl Iterator<Item = &'t (&'t str, &'t str)>) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for (name, text) in files {
        for part in [name, text] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
    }
    context.finish().as_ref().try_into().unwrap_or([0; 32])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{AccessClass, AddressEffect, Trait};

    fn operation(name: &str) -> (Arc<Tables>, crate::schema::Operation) {
        let tables = Tables::embedded().unwrap();
        let found = tables.operation(tables.operation_by_name(name).unwrap()).unwrap().clone();
        (tables, found)
    }

    #[test]
    fn the_embedded_files_hold_every_operation_with_its_class() {
        let (tables, set_ntp) = operation("tds:SetNTP");
        assert_eq!(tables.operations().count(), 652);
        let without: Vec<_> = tables.operations_without_class().map(|(_, it)| &it.name).collect();
        assert!(without.is_empty(), "{without:?}");
        assert_eq!(&*set_ntp.soap_action, "http://www.onvif.org/ver10/device/wsdl/SetNTP");
        assert_eq!(set_ntp.class, Some(AccessClass::WriteSystem));
        assert!(set_ntp.traits_by_document.contains(Trait::Egress));
        let mut destinations = Vec::new();
        tables.walk(set_ntp.input, &mut |id, node| {
            if node.effect == AddressEffect::Destination {
                destinations.push(tables.path(id));
            }
        });
        destinations.sort();
        assert_eq!(
            destinations,
            ["DNSname", "IPv4Address", "IPv6Address"].map(|it| format!("tds:SetNTP/tds:NTPManual/tt:{it}"))
        );
    }

    #[test]
    fn every_address_has_an_effect_of_its_own() {
        let tables = Tables::embedded().unwrap();
        let paths: Vec<_> = tables.addresses_without_effect().iter().map(|id| tables.path(*id)).collect();
        assert!(paths.is_empty(), "give these an `effect` line: {paths:#?}");
    }

    #[test]
    fn passwords_are_secret_and_mask_the_trait() {
        let (tables, create_users) = operation("tds:CreateUsers");
        let mut secret = Vec::new();
        tables.walk(create_users.input, &mut |id, node| secret.extend(node.secret.then(|| tables.path(id))));
        assert_eq!(secret, ["tds:CreateUsers/tds:User/tt:Password"]);
        assert!(create_users.traits.contains(Trait::Users));
        assert!(create_users.traits_by_document.contains(Trait::SecretRequest));
    }
}
