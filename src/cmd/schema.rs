//! `cordon schema distil`: makes the files of `wsdl/` from the official interface definitions.

use std::{fs, io, path::PathBuf};

use crate::schema::{self, LoadError};

/// Arguments of `cordon schema distil`.
#[derive(Debug, clap::Args)]
pub struct DistilArgs {
    /// Folder with the official WSDL and XSD files.
    #[arg(long)]
    wsdl: PathBuf,
    /// Folder with the schemas they import from elsewhere.
    #[arg(long)]
    external: PathBuf,
    /// Folder to write to; its `overlay` folder names the services and prefixes.
    #[arg(long)]
    out: PathBuf,
}

/// Why nothing was distilled.
#[derive(Debug, thiserror::Error)]
pub enum DistilError {
    /// The definitions cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A file cannot be read or written.
    #[error("cannot read or write `{}`", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Writes the files and says how many.
pub fn run(args: &DistilArgs) -> Result<usize, DistilError> {
    let folder = args.out.join("overlay");
    let at = |path: &PathBuf| {
        let path = path.clone();
        move |source| DistilError::Io { path, source }
    };
    let mut overlays = Vec::new();
    for entry in fs::read_dir(&folder).map_err(at(&folder))? {
        let path = entry.map_err(at(&folder))?.path();
        let text = fs::read_to_string(&path).map_err(at(&path))?;
        overlays.push((path.to_string_lossy().into_owned(), text));
    }
    overlays.sort();
    let texts: Vec<_> = overlays.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let made = schema::distil(&[&args.wsdl, &args.external], &texts)?;
    for (name, text) in &made {
        let path = args.out.join(name);
        fs::write(&path, text).map_err(at(&path))?;
    }
    Ok(made.len())
}
