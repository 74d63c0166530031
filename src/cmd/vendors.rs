//! `cordon vendors`: the table of makers, and its MAC prefixes from the registries of the IEEE.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::files;
use crate::{
    clock::{Clock, SystemClock},
    inventory::{self, Claim, MacPrefix, Producer, RegistryError, Vendor, VendorError, Vendors},
    limits::MAC_REGISTRY_BYTES_MAX,
};

/// Options of `cordon vendors`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    /// Go by the vendors of this configuration, not by the shipped ones.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List every maker with its class, and what the lists of the UK and the US say of it.
    List,
    /// Show what is known about one maker, each claim with its source and how sure it is.
    Show {
        /// Its id, name or one of its other names.
        name: String,
    },
    /// Make the table of MAC prefixes anew from registries of the IEEE, such as /usr/share/ieee-data/*.csv.
    Import(Import),
}

#[derive(Debug, clap::Args)]
struct Import {
    /// Registries: oui, mam, oui36 and iab, as .csv or .txt. Blocks of a length that none of them has are kept.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The folder the table is written to; the one under [vendors] in the configuration if left out.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The day the registries were published; that on which the oldest file was last changed if left out.
    #[arg(long, value_name = "DATE")]
    date: Option<Date>,
    /// Replace a table that is newer.
    #[arg(long)]
    older: bool,
}

/// Why the table cannot be shown or made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum VendorsError {
    #[error("the vendor table of the program cannot be used: {0}; report it")]
    Shipped(VendorError),
    #[error("there is no vendor `{0}`; `cordon vendors list` shows all")]
    NoVendor(String),
    #[error("there is no folder to write to: give --dir, or a --config with a [vendors] dir")]
    NoFolder,
    #[error("{path}: {source}; give a registry as the IEEE publishes it")]
    File { path: String, source: io::Error },
    #[error("{path}: {source}; give a registry as the IEEE publishes it")]
    Registry { path: String, source: RegistryError },
    #[error(
        "the registries are of {new}, the table is of {old}: it would lose blocks; add --older to replace it"
    )]
    Older { new: Date, old: Date },
    #[error("the table cannot be written to {path}: {source}")]
    Write { path: String, source: io::Error },
    #[error("what there is to say cannot be written: {0}")]
    Say(#[from] io::Error),
}

/// The table of a configuration with the owner's folder of it, or the shipped one.
pub(super) struct Table {
    pub(super) vendors: Arc<Vendors>,
    pub(super) dir: Option<PathBuf>,
}

impl Table {
    pub(super) fn shipped() -> Result<Self, VendorsError> {
        let first = |errors: Vec<VendorError>| errors.into_iter().next().map(VendorsError::Shipped);
        match Vendors::embedded() {
            Ok(vendors) => Ok(Self { vendors: Arc::new(vendors), dir: None }),
            Err(errors) => Err(first(errors).unwrap_or(VendorsError::NoFolder)),
        }
    }
}

pub(super) fn run(args: &Args, table: &Table, out: &mut dyn Write) -> Result<(), VendorsError> {
    let today = SystemClock::new().now().to_zoned(TimeZone::UTC).date();
    match &args.what {
        What::List => Ok(list(&table.vendors, today, out)?),
        What::Show { name } => {
            let vendor = table.vendors.find(name).ok_or_else(|| VendorsError::NoVendor(name.clone()))?;
            Ok(show(&table.vendors, vendor, today, out)?)
        }
        What::Import(import) => run_import(import, table, out),
    }
}

fn list(vendors: &Vendors, today: Date, out: &mut dyn Write) -> io::Result<()> {
    let head = ["maker", "class", "seat", "UK order", "US 889", "US FCC"];
    let [maker, class, seat, order, ndaa, fcc] = head;
    writeln!(out, "{maker:<18} {class:<15} {seat:<6} {order:<13} {ndaa:<12} {fcc:<12} MAC blocks")?;
    for it in vendors.iter() {
        let (seat, blocks) = (it.seat.is.join(" "), vendors.prefixes(&it.id).len());
        let (order, ndaa, fcc) = (it.uk_order.is, it.us_889.is, it.us_fcc.is);
        let class = it.class.as_str();
        writeln!(out, "{:<18} {class:<15} {seat:<6} {order:<13} {ndaa:<12} {fcc:<12} {blocks}", it.id)?;
    }
    writeln!(
        out,
        "\n{} makers; whoever is not among them is unknown, and treated as restricted",
        vendors.iter().count()
    )?;
    age(vendors, today, out)
}

/// How old the table of MAC prefixes is.
fn age(vendors: &Vendors, today: Date, out: &mut dyn Write) -> io::Result<()> {
    let macs = vendors.macs();
    let days = macs.age_days(today);
    writeln!(out, "MAC blocks: {} of {}, {days} days old ({})", macs.len(), macs.date, macs.source)
}

fn show(vendors: &Vendors, vendor: &Vendor, today: Date, out: &mut dyn Write) -> io::Result<()> {
    let Vendor { id, name, class, class_because, seat, parent, own_make, .. } = vendor;
    writeln!(out, "{name} ({id}): {class}: {class_because}")?;
    if !vendor.aliases.is_empty() {
        writeln!(out, "  also called {}", vendor.aliases.join(", "))?;
    }
    let seen = if vendor.names_seen { "seen on its cameras" } else { "a guess: not seen on its cameras" };
    writeln!(out, "  these names are {seen}")?;
    let mut used = BTreeSet::new();
    let mut claim = |what: &str, is: &str, confidence: &dyn std::fmt::Display, source: &[String]| {
        used.extend(source.iter().cloned());
        writeln!(out, "  {what}: {is} ({confidence}: {})", source.join(", "))
    };
    claim("seat", &seat.is.join(", "), &seat.confidence, &seat.source)?;
    if let Some(it) = parent {
        claim("belongs to", &it.is, &it.confidence, &it.source)?;
    }
    if let Some(Claim { is, confidence, source }) = own_make {
        claim("makes its cameras itself", if *is { "yes" } else { "no" }, confidence, source)?;
    }
    for Producer { vendor, which, confidence, source, .. } in &vendor.made_by {
        let which = which.as_deref().map(|it| format!(", {it}")).unwrap_or_default();
        claim("made by", &format!("{vendor}{which}"), confidence, source)?;
    }
    let order = &vendor.uk_order;
    claim("UK order of 24 November 2022", &order.is.to_string(), &order.confidence, &order.source)?;
    for (what, it) in [("US section 889", &vendor.us_889), ("US FCC covered list", &vendor.us_fcc)] {
        claim(what, &it.is.to_string(), &it.confidence, &it.source)?;
    }
    for Claim { is, confidence, source } in &vendor.facts {
        claim("fact", is, confidence, source)?;
    }
    for it in &vendor.fingerprints {
        let note = it.note.as_deref().map(|it| format!(" [{it}]")).unwrap_or_default();
        claim("known by", &format!("{} {}{note}", it.signal, it.rule()), &it.confidence, &it.source)?;
    }
    let blocks: Vec<String> = vendors.prefixes(id).iter().map(MacPrefix::to_string).collect();
    writeln!(
        out,
        "  MAC blocks, on {}: {}",
        vendor.mac_use,
        if blocks.is_empty() { "none".to_owned() } else { blocks.join(" ") }
    )?;
    for source in used {
        writeln!(out, "  source {source}: {}", vendors.source(&source).unwrap_or("not explained"))?;
    }
    age(vendors, today, out)
}

fn run_import(import: &Import, table: &Table, out: &mut dyn Write) -> Result<(), VendorsError> {
    let dir = import.dir.as_ref().or(table.dir.as_ref()).ok_or(VendorsError::NoFolder)?;
    let (mut blocks, mut oldest) = (Vec::new(), None::<Date>);
    for path in &import.files {
        let wrong = |source| VendorsError::File { path: path.display().to_string(), source };
        let (text, changed) = registry_file(path).map_err(wrong)?;
        let read = inventory::registry(&text);
        let wrong = |source| VendorsError::Registry { path: path.display().to_string(), source };
        blocks.extend(read.map_err(wrong)?);
        oldest = Some(oldest.map_or(changed, |it| it.min(changed)));
    }
    let old = table.vendors.macs();
    let date = import.date.or(oldest).unwrap_or(old.date);
    if date < old.date && !import.older {
        return Err(VendorsError::Older { new: date, old: old.date });
    }
    let lengths: BTreeSet<u8> = blocks.iter().map(|it| it.prefix.bits()).collect();
    let mut of = table.vendors.allot(&blocks);
    for vendor in table.vendors.iter() {
        let kept = table.vendors.prefixes(&vendor.id).into_iter().filter(|it| !lengths.contains(&it.bits()));
        of.entry(vendor.id.clone()).or_default().extend(kept);
    }
    let names: Vec<String> = import.files.iter().map(|it| name_of(it)).collect();
    let source = format!("IEEE registries {}", names.join(", "));
    let file = dir.join("mac-prefixes.toml");
    let wrong = |source| VendorsError::Write { path: file.display().to_string(), source };
    files::replace(&file, inventory::mac_file(date, &source, &of).as_bytes()).map_err(wrong)?;
    changes(&table.vendors, &of, out)?;
    let count: usize = of.values().map(Vec::len).sum();
    writeln!(out, "{}: {count} blocks of {date} in place of {} of {}", file.display(), old.len(), old.date)?;
    if table.dir.as_ref() != Some(dir) {
        writeln!(
            out,
            "to use it: [vendors] dir = \"{}\", and shipped = true to keep the makers as shipped",
            dir.display()
        )?;
    }
    Ok(())
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A registry's text, and the day it was last changed.
fn registry_file(path: &Path) -> io::Result<(String, Date)> {
    let file = File::open(path)?;
    let changed = Timestamp::try_from(file.metadata()?.modified()?).map_err(io::Error::other)?;
    let mut text = String::new();
    file.take(MAC_REGISTRY_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAC_REGISTRY_BYTES_MAX {
        return Err(io::Error::other(format!("it is longer than {MAC_REGISTRY_BYTES_MAX} bytes")));
    }
    Ok((text, changed.to_zoned(TimeZone::UTC).date()))
}

/// What changed, by maker.
fn changes(old: &Vendors, new: &BTreeMap<String, Vec<MacPrefix>>, out: &mut dyn Write) -> io::Result<()> {
    for vendor in old.iter() {
        let before: BTreeSet<MacPrefix> = old.prefixes(&vendor.id).into_iter().collect();
        let after: BTreeSet<MacPrefix> = new.get(&vendor.id).into_iter().flatten().copied().collect();
        let (more, less) = (after.difference(&before).count(), before.difference(&after).count());
        if more + less > 0 {
            writeln!(out, "{}: {} blocks ({more} new, {less} gone)", vendor.id, after.len())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const REGISTRY: &str = "Registry,Assignment,Organization Name,Organization Address\n\
        MA-L,5803FB,\"Hangzhou Hikvision Digital Technology Co.,Ltd.\",x\nMA-L,0AB0C0,Axis Communications AB,x\n\
        MA-L,0000AA,XEROX CORPORATION,x\n";

    fn said(args: &[&str], table: &Table) -> Result<String, VendorsError> {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            args: Args,
        }
        let args = <Cli as clap::Parser>::try_parse_from([&["vendors"], args].concat()).unwrap().args;
        let mut out = Vec::new();
        run(&args, table, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn an_imported_registry_takes_the_place_of_the_table() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("oui.csv");
        fs::write(&path, REGISTRY).unwrap();
        let (path, folder) = (path.to_str().unwrap(), dir.path().to_str().unwrap());
        let table = Table::shipped().unwrap();
        let older = said(&["import", path, "--dir", folder, "--date", "2022-08-27"], &table).unwrap_err();
        let wanted = "the registries are of 2022-08-27, the table is of 2026-08-26: it would lose blocks; add \
                      --older to replace it";
        assert_eq!(older.to_string(), wanted);
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
        let out = said(&["import", path, "--dir", folder, "--date", "2026-11-01"], &table).unwrap();
        for line in [
            "hikvision: 1 blocks (0 new, 83 gone)\n",
            "axis: 1 blocks (1 new, 4 gone)\n",
            "mac-prefixes.toml: 74 blocks of 2026-11-01 in place of 3989 of 2026-08-26\n",
            "to use it: [vendors] dir = ",
        ] {
            assert!(out.contains(line), "{line}\n{out}");
        }
        let text = fs::read_to_string(dir.path().join("mac-prefixes.toml")).unwrap();
        let vendors = Vendors::extended(&[("mac-prefixes.toml", &text)]).unwrap();
        let prefixes: Vec<String> = vendors.prefixes("axis").iter().map(ToString::to_string).collect();
        assert_eq!(
            (vendors.macs().date.to_string().as_str(), prefixes),
            ("2026-11-01", vec!["0AB0C0".to_owned()])
        );
        // No registry had blocks of 28 or 36 bits: those are as they were. Two are named by entries themselves.
        assert_eq!(vendors.macs().len(), 74 + 2);
    }

    #[test]
    fn what_is_no_registry_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (path, folder) = (dir.path().join("oui.csv"), dir.path().to_str().unwrap());
        fs::write(&path, "0000AA Xerox").unwrap();
        let table = Table::shipped().unwrap();
        let error =
            said(&["import", path.to_str().unwrap(), "--dir", folder], &table).unwrap_err().to_string();
        assert!(error.contains("oui.csv: it is no registry of the IEEE"), "{error}");
        let error = said(&["import", path.to_str().unwrap()], &table).unwrap_err().to_string();
        assert_eq!(error, "there is no folder to write to: give --dir, or a --config with a [vendors] dir");
        let error = said(&["import", "/nowhere/oui.csv", "--dir", folder], &table).unwrap_err().to_string();
        assert!(error.contains("/nowhere/oui.csv: No such file"), "{error}");
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    }

    #[test]
    fn makers_are_listed_and_shown_with_the_age_of_the_table() {
        let table = Table::shipped().unwrap();
        let (today, mut out) = (Date::constant(2026, 11, 25), Vec::new());
        list(&table.vendors, today, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        for line in [
            "hikvision          restricted      CN     in-scope      named        named        84\n",
            "MAC blocks: 3989 of 2026-08-26, 91 days old (IEEE registries",
            "132 makers; whoever is not among them is unknown, and treated as restricted\n",
        ] {
            assert!(out.contains(line), "{line}\n{out}");
        }
        let out = said(&["show", "CP-PLUS"], &table).unwrap();
        for line in [
            "CP Plus (cpplus): oem-restricted: made by dahua (confirmed)\n",
            "  UK order of 24 November 2022: equipment (inferred: uk-order)\n",
            "  source uk-order: statement of the UK Cabinet Office",
        ] {
            assert!(out.contains(line), "{line}\n{out}");
        }
        assert_eq!(
            said(&["show", "Acme"], &table).unwrap_err().to_string(),
            "there is no vendor `Acme`; `cordon vendors list` shows all"
        );
    }
}
