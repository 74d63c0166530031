//! `[vendors]`: the table that makers are looked up in.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use toml::de::DeTable;

use super::{Diagnostic, load::read, raw, reader::Reader};
use crate::{
    inventory::{VendorError, Vendors},
    limits::VENDOR_FILES_MAX,
};

const REMEDY: &str = "report it: this program is broken, the configuration is not";

/// Makes the table that comes with the program.
pub(super) type Shipped<'a> = &'a dyn Fn() -> Result<Vendors, Vec<VendorError>>;

impl Reader<'_> {
    /// The owner's table with its folder, or the shipped one if there is none or it cannot be used: the rest of
    /// the configuration is read on. Nothing if the program itself is broken.
    pub(super) fn vendors(
        &mut self,
        table: &DeTable<'_>,
        shipped: Shipped<'_>,
    ) -> Option<(Arc<Vendors>, Option<PathBuf>)> {
        let raw: raw::Vendors = self.one(table, "vendors").unwrap_or_default();
        if let (None, Some(shipped)) = (&raw.dir, &raw.shipped) {
            let remedy = "name a folder as dir, or leave [vendors] out for the shipped table";
            self.error(shipped.span(), "there is no folder of vendors beside the shipped table", remedy);
        }
        if let Some(dir) = &raw.dir {
            let folder = self.folder(dir);
            let beside = raw.shipped.as_ref().is_some_and(|it| *it.get_ref());
            if let Some(vendors) = self.owners(dir, &folder, beside) {
                return Some((Arc::new(vendors), Some(folder)));
            }
        }
        let told = |error: &VendorError| format!("the vendor table of the program cannot be used: {error}");
        let vendors =
            shipped().map_err(|errors| errors.iter().for_each(|it| self.error(0..0, &told(it), REMEDY)));
        Some((Arc::new(vendors.ok()?), None))
    }

    fn owners(&mut self, raw: &raw::Text, folder: &Path, beside_shipped: bool) -> Option<Vendors> {
        match texts(folder) {
            Ok(texts) => {
                let read = table(&texts, beside_shipped);
                read.map_err(|errors| self.found.extend(errors.into_iter().map(|it| shown(&texts, it)))).ok()
            }
            Err(error) => {
                let what = format!("cannot read the vendors in {}: {error}", folder.display());
                let remedy =
                    "put vendor files there, such as those of config/vendors, or leave [vendors] out";
                self.error(raw.span(), &what, remedy);
                None
            }
        }
    }
}

fn table(texts: &[(String, String)], beside_shipped: bool) -> Result<Vendors, Vec<VendorError>> {
    let texts: Vec<(&str, &str)> = texts.iter().map(|(file, text)| (file.as_str(), text.as_str())).collect();
    if beside_shipped { Vendors::extended(&texts) } else { Vendors::from_texts(&texts) }
}

/// Names and texts of the `.toml` files of a folder, in the order of their names.
fn texts(dir: &Path) -> io::Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        if texts.len() == VENDOR_FILES_MAX {
            return Err(io::Error::other(format!("there are more than {VENDOR_FILES_MAX} files")));
        }
        let text = read(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        texts.push((path.display().to_string(), text));
    }
    if texts.is_empty() {
        return Err(io::Error::other("there is no .toml file"));
    }
    texts.sort();
    Ok(texts)
}

fn shown(texts: &[(String, String)], error: VendorError) -> Diagnostic {
    let text = texts.iter().find(|(file, _)| *file == error.file).map_or("", |(_, text)| text);
    Diagnostic::on_line(error.file.into(), text, error.line, error.what, error.remedy)
}
