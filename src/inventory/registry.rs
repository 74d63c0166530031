//! The IEEE registries of MAC address blocks, as the IEEE publishes and Debian's `ieee-data` ships them.

use std::{collections::BTreeMap, fmt::Write as _};

use csv_core::ReadRecordResult;
use jiff::civil::Date;

use super::{
    folded::{Folded, Needle},
    macs::MacPrefix,
    vendors::Vendors,
};

/// One block and who holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The block.
    pub prefix: MacPrefix,
    /// The holder's name.
    pub holder: String,
}

/// Why a file is no registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// It has neither form.
    #[error("it is no registry of the IEEE: it has neither the columns of oui.csv nor the lines of oui.txt")]
    Form,
    /// A row of the table cannot be read.
    #[error("line {line}: {what}")]
    Row {
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
}

/// Reads a registry: `oui.csv`, `mam.csv`, `oui36.csv`, `iab.csv`, or the same as `.txt`.
pub fn registry(text: &str) -> Result<Vec<Block>, RegistryError> {
    let text = text.trim_start_matches('\u{feff}');
    let blocks =
        if text.starts_with("Registry,Assignment,Organization Name") { table(text)? } else { lines(text) };
    if blocks.is_empty() { Err(RegistryError::Form) } else { Ok(blocks) }
}

/// The columns of RFC 4180: registry, assignment, holder, address.
fn table(text: &str) -> Result<Vec<Block>, RegistryError> {
    let (mut blocks, mut reader, mut rest) = (Vec::new(), csv_core::Reader::new(), text.as_bytes());
    // A row holds no more than the text, and one with more columns is none of ours.
    let (mut field, mut ends) = (vec![0; text.len()], [0; COLUMNS]);
    let mut head = true;
    loop {
        let line = reader.line();
        let wrong = |what: &str| RegistryError::Row { line, what: what.to_owned() };
        let (mut written, mut columns) = (0, 0);
        let outcome = loop {
            let (outcome, read, bytes, found) = reader.read_record(
                rest,
                field.get_mut(written..).unwrap_or_default(),
                ends.get_mut(columns..).unwrap_or_default(),
            );
            rest = rest.get(read..).unwrap_or_default();
            (written, columns) = (written + bytes, columns + found);
            match outcome {
                // Nothing left: the next call says where the last row ends.
                ReadRecordResult::InputEmpty => {}
                other => break other,
            }
        };
        match outcome {
            ReadRecordResult::Record if columns == COLUMNS => {}
            ReadRecordResult::End => return Ok(blocks),
            _ => return Err(wrong("it has other columns than registry, assignment, name and address")),
        }
        let column = |number: usize| {
            let from = number.checked_sub(1).and_then(|before| ends.get(before).copied()).unwrap_or(0);
            let bytes = field.get(from..ends.get(number).copied()?)?;
            std::str::from_utf8(bytes).ok().map(str::trim)
        };
        if !std::mem::take(&mut head) {
            let block = column(1).and_then(MacPrefix::parse).zip(column(2));
            let (prefix, holder) = block.ok_or_else(|| wrong("the assignment is no block"))?;
            blocks.push(Block { prefix, holder: holder.to_owned() });
        }
    }
}

/// The printed form: a line `58-03-FB   (hex)` names the first three bytes, the next one the holder after
/// `(base 16)`: behind the same bytes again, or behind the range of the block within them.
fn lines(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut base = String::new();
    for line in text.lines() {
        if let Some((bytes, _)) = line.split_once("(hex)") {
            base = bytes.trim().replace('-', "");
        } else if let Some((range, holder)) = line.split_once("(base 16)") {
            let part = match range.trim().split_once('-') {
                Some((from, to)) => from.bytes().zip(to.bytes()).take_while(|(from, to)| from == to).count(),
                None => 0,
            };
            let digits = base.clone() + range.trim().get(..part).unwrap_or_default();
            let prefix = MacPrefix::parse(&digits);
            blocks.extend(prefix.map(|prefix| Block { prefix, holder: holder.trim().to_owned() }));
        }
    }
    blocks
}

impl Vendors {
    /// Which blocks are whose, going by holders' names, and by the blocks that entries name themselves.
    pub fn allot(&self, blocks: &[Block]) -> BTreeMap<String, Vec<MacPrefix>> {
        let holders: Vec<(Needle, &str)> = self
            .iter()
            .flat_map(|vendor| vendor.mac_holders.iter().map(|name| (Needle::new(name), vendor.id.as_str())))
            .collect();
        let explicit: BTreeMap<MacPrefix, &str> = self
            .iter()
            .flat_map(|it| {
                it.mac_prefixes.iter().filter_map(|text| Some((MacPrefix::parse(text)?, it.id.as_str())))
            })
            .collect();
        let mut allotted: BTreeMap<String, Vec<MacPrefix>> = BTreeMap::new();
        for block in blocks {
            let holder = Folded::new(&block.holder);
            let named = || holders.iter().find(|(name, _)| holder.begins(name)).map(|(_, id)| *id);
            if let Some(id) = explicit.get(&block.prefix).copied().or_else(named) {
                allotted.entry(id.to_owned()).or_default().push(block.prefix);
            }
        }
        allotted
    }
}

/// A vendor file with nothing but a table of MAC prefixes.
pub fn mac_file(date: Date, source: &str, of: &BTreeMap<String, Vec<MacPrefix>>) -> String {
    let mut text = String::from(
        "# MAC prefixes of the makers in this folder: 6 digits are an MA-L block, 7 an MA-M, 9 an MA-S or IAB block.\n\
         # `cordon vendors import` makes this file anew from the IEEE registries.\n\n[mac_prefixes]\n",
    );
    let _ = writeln!(text, "date = {date}\nsource = {}\n\n[mac_prefixes.of]", quoted(source));
    for (id, prefixes) in of.iter().filter(|(_, prefixes)| !prefixes.is_empty()) {
        let mut prefixes = prefixes.clone();
        prefixes.sort_unstable();
        prefixes.dedup();
        let _ = writeln!(text, "{} = [", quoted(id));
        for row in prefixes.chunks(PREFIXES_PER_LINE) {
            let row: Vec<String> = row.iter().map(|it| format!("\"{it}\"")).collect();
            let _ = writeln!(text, "  {},", row.join(", "));
        }
        text += "]\n";
    }
    text
}

/// A text as TOML has it, which for texts without control characters is as JSON has it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text.replace(char::is_control, " ")).to_string()
}

const PREFIXES_PER_LINE: usize = 12;
/// Columns of a registry as a table.
const COLUMNS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str = "Registry,Assignment,Organization Name,Organization Address\r\n\
        MA-L,5803FB,\"Hangzhou Hikvision Digital Technology Co.,Ltd.\",\"No.555 \"\"Qianmo\"\" Road\nHangzhou CN\"\r\n\
        MA-M,741AE09,Private,\r\nMA-S,70B3D5F2F,HANGZHOU HIKVISION DIGITAL TECHNOLOGY,x\r\n\
        MA-L,00047D,Motorola Solutions Inc.,x\r\nMA-L,001885,Motorola Solutions Inc.,x\r\n";
    const TXT: &str = "OUI/MA-L   Organization \r\ncompany_id  Organization \r\n\r\n\
        58-03-FB   (hex)\t\tHangzhou Hikvision Digital Technology Co.,Ltd.\r\n\
        5803FB     (base 16)\t\tHangzhou Hikvision Digital Technology Co.,Ltd.\r\n\t\t\t\tHangzhou\r\n\r\n\
        74-1A-E0   (hex)\t\tPrivate\r\n900000-9FFFFF     (base 16)\t\tPrivate\r\n\r\n\
        70-B3-D5   (hex)\t\tTELEPLATFORMS\r\nF2F000-F2FFFF     (base 16)\t\tTELEPLATFORMS\r\n";

    fn read(text: &str) -> Vec<(String, String)> {
        registry(text).unwrap().into_iter().map(|it| (it.prefix.to_string(), it.holder)).collect()
    }

    #[test]
    fn both_forms_of_a_registry_are_read() {
        let hikvision = "Hangzhou Hikvision Digital Technology Co.,Ltd.";
        let csv = read(CSV);
        assert_eq!(csv.first().unwrap(), &("5803FB".to_owned(), hikvision.to_owned()));
        assert_eq!(csv.len(), 5);
        let pair = |prefix: &str, holder: &str| (prefix.to_owned(), holder.to_owned());
        let wanted =
            [pair("5803FB", hikvision), pair("741AE09", "Private"), pair("70B3D5F2F", "TELEPLATFORMS")];
        assert_eq!(read(TXT), wanted);
    }

    #[test]
    fn what_is_no_registry_is_refused() {
        assert_eq!(registry("root:x:0:0"), Err(RegistryError::Form));
        assert_eq!(registry(""), Err(RegistryError::Form));
        let broken = "Registry,Assignment,Organization Name,Organization Address\nMA-L,5803F,x,y\n";
        let wanted = RegistryError::Row { line: 2, what: "the assignment is no block".to_owned() };
        assert_eq!(registry(broken), Err(wanted));
    }

    #[test]
    fn blocks_go_to_holders_and_to_who_names_them() {
        let vendors = Vendors::embedded().unwrap();
        let allotted = vendors.allot(&registry(CSV).unwrap());
        let got: Vec<(&str, String)> = allotted
            .iter()
            .flat_map(|(id, prefixes)| prefixes.iter().map(|it| (id.as_str(), it.to_string())))
            .collect();
        let pair = |id, prefix: &str| (id, prefix.to_owned());
        let wanted = [
            pair("avigilon", "001885"),
            pair("hikvision", "5803FB"),
            pair("hikvision", "70B3D5F2F"),
            pair("pelco", "00047D"),
        ];
        assert_eq!(got, wanted);
        let text = mac_file(Date::constant(2026, 1, 2), "a \"test\"", &allotted);
        let again = Vendors::extended(&[("mac.toml", &text)]).unwrap();
        assert_eq!(
            (again.macs().date, again.macs().source.as_str()),
            (Date::constant(2026, 1, 2), "a \"test\"")
        );
        assert_eq!(again.prefixes("hikvision").len(), 2);
    }
}
