//! What recordings of real devices are held to be. Their labels are the truth here, and are known to nothing else.
#![allow(clippy::print_stderr, reason = "what it finds is told, and that it skips")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
};

use bytes::BytesMut;
use cordon::{
    camera::shown,
    inventory::{Block, Evidence, Finding, Judgement, SignalKind, VendorClass, Vendors, Weight, registry},
    rtsp::{Decoder, Peer, Received},
    schema::Tables,
    soap::{Answer, decode_answer},
};

/// Beside devices that nobody knows, whole recordings of unrestricted makers may be held to be restricted in this
/// part of cases.
const WRONGLY_RESTRICTED_PERCENT_MAX: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Truth {
    Restricted,
    Unrestricted,
    NotKnown,
}

/// Makers by what labels contain. Those nobody can vouch for (simulators, "generic", software) are in neither list.
const RESTRICTED: [&str; 14] = [
    "hikvision",
    "dahua",
    "uniview",
    "reolink",
    "amcrest",
    "lorex",
    "annke",
    "xiongmai",
    "longse",
    "anjvision",
    "anpviz",
    "jovision",
    "macro-video",
    "h3c",
];
const UNRESTRICTED: [&str; 14] = [
    "axis",
    "bosch",
    "pelco",
    "hanwha",
    "samsung",
    "mobotix",
    "canon",
    "d-link",
    "ubiquiti",
    "panasonic",
    "siqura",
    "truen",
    "2n telekomunikace",
    "flir",
];

fn truth(label: &str) -> Truth {
    let label = label.to_lowercase();
    let among = |list: &[&str]| list.iter().any(|it| label.contains(it));
    match (among(&RESTRICTED), among(&UNRESTRICTED)) {
        (true, false) => Truth::Restricted,
        (false, true) => Truth::Unrestricted,
        _ => Truth::NotKnown,
    }
}

/// One device: which kind of recording, its label and model, and what it shows.
struct Device {
    kind: &'static str,
    label: String,
    model: String,
    evidence: Evidence,
}

fn corpus() -> Option<PathBuf> {
    let root = env::var("CORDON_SHARED").map_or_else(|_| Path::new("..").join("shared"), PathBuf::from);
    let folder = root.join("corpus");
    if folder.is_dir() {
        return Some(folder);
    }
    crate::skips::skipped(&format!(
        "no recordings at {} (CORDON_SHARED names another place)",
        folder.display()
    ));
    None
}

#[test]
fn no_recorded_restricted_device_passes_for_another() {
    let Some(folder) = corpus() else { return };
    let vendors = Vendors::embedded().unwrap();
    let mut devices = recordings(&folder);
    devices.extend(lines(&folder));
    devices.extend(collected(&folder));
    let judged: Vec<(&Device, Judgement)> =
        devices.iter().map(|it| (it, vendors.judge(None, &it.evidence, None))).collect();
    confusion(&judged);
    let through: Vec<_> = judged
        .iter()
        .filter(|(it, found)| truth(&it.label) == Truth::Restricted && !found.verdict.class.is_restricted())
        .map(|(it, found)| format!("{} {} {}: {:?}", it.kind, it.label, it.model, found.verdict))
        .collect();
    let restricted = judged.iter().filter(|(it, _)| truth(&it.label) == Truth::Restricted).count();
    eprintln!("restricted devices let through: {} of {restricted}", through.len());
    assert_eq!(through, Vec::<String>::new());
    assert!(restricted >= 100, "{restricted}");
    wrongly_restricted(&judged);
    left_one_out(&judged);
    declared_as_another(&vendors, &devices);
}

/// Debian's registries of 2022 in both forms; the shipped table is of 2026 and knows more.
#[test]
fn the_registries_that_debian_ships_are_read_alike_in_both_forms() {
    let folder = Path::new("/usr/share/ieee-data");
    if !folder.is_dir() {
        return crate::skips::skipped(&format!(
            "no registries at {} (apt-get install ieee-data)",
            folder.display()
        ));
    }
    let vendors = Vendors::embedded().unwrap();
    let read = |ending: &str| -> BTreeSet<(String, String)> {
        let texts = ["oui", "mam", "oui36", "iab"].map(|it| {
            let path = folder.join(format!("{it}.{ending}"));
            String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
        });
        let blocks: Vec<Block> = texts.iter().flat_map(|it| registry(it).unwrap()).collect();
        eprintln!("{} blocks in the registries as .{ending}", blocks.len());
        let allotted = vendors.allot(&blocks).into_iter();
        allotted.flat_map(|(id, of)| of.into_iter().map(move |it| (id.clone(), it.to_string()))).collect()
    };
    let (csv, txt) = (read("csv"), read("txt"));
    assert_eq!(csv, txt);
    let shipped: BTreeSet<(String, String)> = vendors
        .iter()
        .flat_map(|it| vendors.prefixes(&it.id).into_iter().map(|prefix| (it.id.clone(), prefix.to_string())))
        .collect();
    let unknown: Vec<_> = csv.difference(&shipped).collect();
    eprintln!(
        "{} blocks of makers; {} of them not in the shipped table: {unknown:?}",
        csv.len(),
        unknown.len()
    );
    assert!(csv.len() > 2_000, "{}", csv.len());
}

/// Truth by verdict, for each kind of recording.
fn confusion(judged: &[(&Device, Judgement)]) {
    let mut table: BTreeMap<(&str, Truth), BTreeMap<&str, usize>> = BTreeMap::new();
    for (device, found) in judged {
        let row = table.entry((device.kind, truth(&device.label))).or_default();
        *row.entry(found.verdict.class.as_str()).or_default() += 1;
    }
    let classes = VendorClass::ALL.map(VendorClass::as_str);
    eprintln!("{:<24} {:<13} {}", "recording", "truth", classes.map(|it| format!("{it:>15}")).concat());
    for ((kind, truth), row) in table {
        let cells = classes.map(|it| format!("{:>15}", row.get(it).copied().unwrap_or(0))).concat();
        eprintln!("{kind:<24} {:<13} {cells}", format!("{truth:?}"));
    }
}

/// Whole devices only: a single line seldom tells a maker, and then the maker is unknown.
fn wrongly_restricted(judged: &[(&Device, Judgement)]) {
    let whole = judged.iter().filter(|(it, _)| it.kind == SOAP && truth(&it.label) == Truth::Unrestricted);
    let (wrong, right): (Vec<_>, Vec<_>) = whole.partition(|(_, found)| found.verdict.class.is_restricted());
    for (device, found) in &wrong {
        eprintln!("wrongly restricted: {} {}: {}", device.label, device.model, found.verdict.reasons[0]);
    }
    let all = wrong.len() + right.len();
    eprintln!("wrongly restricted: {} of {all} whole recordings of unrestricted makers", wrong.len());
    assert!(
        wrong.len() * 100 <= all * WRONGLY_RESTRICTED_PERCENT_MAX && all >= 8,
        "{} of {all}",
        wrong.len()
    );
}

/// What is known of a whole recording without the fingerprints that no other recording shows: those were learnt
/// from it.
fn left_one_out(judged: &[(&Device, Judgement)]) {
    let rule = |it: &Finding| (it.vendor.clone(), it.kind, it.rule.clone());
    let who = |it: &Device| (it.label.clone(), it.model.clone());
    let whole: Vec<_> = judged.iter().filter(|(it, _)| [SOAP, DISCOVERY, RTSP].contains(&it.kind)).collect();
    let mut shown: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (device, found) in &whole {
        for it in &found.findings {
            shown.entry(rule(it)).or_default().insert(who(device));
        }
    }
    let mut tally = [0; 3];
    for (device, found) in whole.iter().filter(|(it, _)| truth(&it.label) == Truth::Restricted) {
        let credible =
            || found.findings.iter().filter(|it| it.weight > Weight::Weak && it.class.is_restricted());
        let general = |it: &Finding| it.rule.contains("maker's");
        let elsewhere = |it: &Finding| shown[&rule(it)].iter().any(|other| *other != who(device));
        let place = match (credible().next(), credible().any(|it| general(it) || elsewhere(it))) {
            (None, _) => 0,
            (Some(_), true) => 2,
            (Some(it), false) => {
                eprintln!("only by what no other recording shows: {} {}: {it}", device.label, device.model);
                1
            }
        };
        tally[place] += 1;
    }
    let [unknown, own, others] = tally;
    eprintln!(
        "whole recordings of restricted devices: {others} recognised by names, MAC blocks or what other recordings show \
         too, {own} only by what no other shows, {unknown} not recognised (unknown, so restricted)"
    );
    assert!(others >= 12, "{others}");
}

/// The engineer was told it was an Axis. What shows nothing of its maker passes then; no device does that says who
/// it is.
fn declared_as_another(vendors: &Vendors, devices: &[Device]) {
    let passes =
        |it: &&&Device| !vendors.judge(Some("Axis"), &it.evidence, None).verdict.class.is_restricted();
    for kinds in [&[SOAP, DISCOVERY][..], &[RTSP], &[COLLECTED], &[BANNER, FINGERPRINT]] {
        let restricted = |it: &&Device| truth(&it.label) == Truth::Restricted && kinds.contains(&it.kind);
        let all: Vec<&Device> = devices.iter().filter(restricted).collect();
        let through: Vec<&&Device> = all.iter().filter(passes).collect();
        eprintln!("declared as Axis, let through: {} of {} ({})", through.len(), all.len(), kinds.join(", "));
        for device in through.iter().filter(|_| kinds != [BANNER, FINGERPRINT]) {
            eprintln!("  {} {} shows nothing of its maker", device.label, device.model);
            let says = device.evidence.signals().iter().find(|it| it.kind.is_label());
            assert_eq!(says, None, "{} {}", device.label, device.model);
        }
    }
}

const SOAP: &str = "soap";
const DISCOVERY: &str = "discovery";
const RTSP: &str = "rtsp";
const BANNER: &str = "banner";
const FINGERPRINT: &str = "fingerprint";
const COLLECTED: &str = "as collected";

/// The same recordings as the gateway takes them from a running camera: through its own readers, with its own limits,
/// and only what it keeps.
fn collected(folder: &Path) -> Vec<Device> {
    let tables = Tables::embedded().unwrap();
    let mut devices: BTreeMap<(String, String), Evidence> = BTreeMap::new();
    for row in fs::read_to_string(folder.join("SOURCES.tsv")).unwrap().lines().skip(1) {
        let [file, label, model, ..] = row.split('\t').collect::<Vec<_>>()[..] else { continue };
        let is_answer = file.starts_with("soap/") && file.ends_with(".response.xml");
        if !is_answer && !file.starts_with("rtsp/") {
            continue;
        }
        let bytes = fs::read(folder.join(file)).unwrap();
        let evidence = devices.entry((label.to_owned(), model.to_owned())).or_default();
        if is_answer {
            collect_answer(&tables, &bytes, evidence);
        } else {
            collect_stream(&bytes, evidence);
        }
    }
    let made = devices.into_iter();
    made.map(|((label, model), evidence)| Device { kind: COLLECTED, label, model, evidence }).collect()
}

fn collect_answer(tables: &Tables, bytes: &[u8], evidence: &mut Evidence) {
    evidence.take_up(&shown::of_envelope(bytes, &Evidence::default()));
    let asked = ["GetDeviceInformation", "GetScopes"];
    for (id, _) in tables.operations().filter(|(_, row)| asked.contains(&&*row.name)) {
        if let Ok(Answer::Document(document, _)) = decode_answer(tables, bytes, id) {
            evidence.take_up(&shown::of_document(&document));
        }
    }
}

/// A recorded answer, or the session description of one.
fn collect_stream(bytes: &[u8], evidence: &mut Evidence) {
    let (mut decoder, mut buffer) = (Decoder::new(Peer::Camera), BytesMut::from(bytes));
    match decoder.next(&mut buffer) {
        Ok(Some(Received::Response(answer))) => {
            evidence.take_up(&shown::of_fields(&answer.fields));
            evidence.take_up(&shown::of_description(&answer.body));
        }
        _ => drop(evidence.take_up(&shown::of_description(bytes))),
    }
}

/// Every device of which messages are recorded, put together by vendor and model as `SOURCES.tsv` has them.
fn recordings(folder: &Path) -> Vec<Device> {
    let mut devices: BTreeMap<(&'static str, String, String), Evidence> = BTreeMap::new();
    for row in fs::read_to_string(folder.join("SOURCES.tsv")).unwrap().lines().skip(1) {
        let [file, label, model, ..] = row.split('\t').collect::<Vec<_>>()[..] else { continue };
        let kind = match file.split('/').next() {
            Some("soap") if file.ends_with(".response.xml") => SOAP,
            Some("discovery") => DISCOVERY,
            Some("rtsp") => RTSP,
            _ => continue,
        };
        let text = String::from_utf8_lossy(&fs::read(folder.join(file)).unwrap()).into_owned();
        let evidence = devices.entry((kind, label.to_owned(), model.to_owned())).or_default();
        match kind {
            RTSP => rtsp(&text, evidence),
            _ if file.ends_with(".xml") => xml(&text, evidence),
            _ => drop(devices.remove(&(kind, label.to_owned(), model.to_owned()))),
        }
        if file.ends_with(".log.txt") {
            devices.extend(log(&text));
        }
    }
    let made = devices.into_iter();
    made.map(|((kind, label, model), evidence)| Device { kind, label, model, evidence }).collect()
}

/// A list of discovered cameras. Which maker each has is not labelled, so the truth is not known.
fn log(text: &str) -> Vec<((&'static str, String, String), Evidence)> {
    let blocks = text.split("\nCamera ").skip(1).enumerate();
    blocks
        .map(|(number, block)| {
            let mut evidence = Evidence::default();
            for line in block.lines().map(str::trim) {
                if let Some(endpoint) = line.strip_prefix("Endpoint:") {
                    evidence.add(SignalKind::Endpoint, endpoint);
                } else if let Some(scope) = line.strip_prefix("- ") {
                    evidence.add_scope(scope);
                }
            }
            ((DISCOVERY, "in a list".to_owned(), number.to_string()), evidence)
        })
        .collect()
}

/// What an answer shows: the device's information, its scopes, and the dialect. Some recordings are no XML any more,
/// so tags are taken as they come.
fn xml(text: &str, evidence: &mut Evidence) {
    for piece in text.split('<').skip(1) {
        let Some((tag, value)) = piece.split_once('>') else { continue };
        for declared in tag.split("xmlns").skip(1) {
            let (prefix, rest) = declared.split_once('=').unwrap_or_default();
            let name = rest.trim_start().trim_start_matches(['"', '\'']).split(['"', '\'']).next();
            evidence.add(SignalKind::Namespace, name.unwrap_or_default());
            evidence.add(SignalKind::Prefix, prefix.trim().trim_start_matches(':'));
        }
        let name = tag.split_whitespace().next().unwrap_or_default();
        let kind = match name.rsplit(':').next().unwrap_or_default() {
            _ if name.starts_with('/') => continue,
            "Manufacturer" => SignalKind::Manufacturer,
            "Model" => SignalKind::Model,
            "FirmwareVersion" => SignalKind::Firmware,
            "SerialNumber" => SignalKind::Serial,
            "HardwareId" => SignalKind::Hardware,
            "Address" if value.contains("uuid:") => SignalKind::Endpoint,
            "Scopes" | "ScopeItem" => {
                value.split_whitespace().for_each(|scope| evidence.add_scope(scope));
                continue;
            }
            _ => continue,
        };
        evidence.add(kind, value);
    }
}

/// An RTSP answer's header fields and session description.
fn rtsp(text: &str, evidence: &mut Evidence) {
    for line in text.lines() {
        if let Some(server) = line.strip_prefix("Server:") {
            evidence.add(SignalKind::RtspServer, server);
        }
        if line.starts_with("WWW-Authenticate:") {
            evidence.add(SignalKind::RtspRealm, realm(line));
        }
    }
    evidence.add_session_description(text);
}

fn realm(challenge: &str) -> &str {
    challenge.split_once("realm=\"").and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default()
}

/// Single lines: banners of servers, and what tables of fingerprints give as examples.
fn lines(folder: &Path) -> Vec<Device> {
    let mut devices = Vec::new();
    let mut one = |kind, row: &str, signal: SignalKind, value: &str| {
        let [label, ..] = row.split('\t').collect::<Vec<_>>()[..] else { return };
        let mut evidence = Evidence::default();
        match signal {
            SignalKind::Scope => value.split_whitespace().for_each(|it| evidence.add_scope(it)),
            SignalKind::Prefix => value.split([' ', ',']).for_each(|it| evidence.add(signal, it)),
            _ => evidence.add(signal, value),
        }
        let (label, model) = (label.to_owned(), format!("{signal} {value}"));
        devices.push(Device { kind, label, model, evidence });
    };
    for row in fs::read_to_string(folder.join("http-banners.tsv")).unwrap().lines().skip(1) {
        let [_, header, value, ..] = row.split('\t').collect::<Vec<_>>()[..] else { continue };
        match header {
            "Server" => one(BANNER, row, SignalKind::HttpServer, value),
            "Server (RTSP)" => one(BANNER, row, SignalKind::RtspServer, value),
            "WWW-Authenticate" => one(BANNER, row, SignalKind::HttpRealm, realm(value)),
            "WWW-Authenticate (RTSP)" => one(BANNER, row, SignalKind::RtspRealm, realm(value)),
            _ => {}
        }
    }
    for row in fs::read_to_string(folder.join("fingerprints.tsv")).unwrap().lines().skip(1) {
        let [_, kind, value, ..] = row.split('\t').collect::<Vec<_>>()[..] else { continue };
        let (signal, start) = match kind {
            "http header Server (example)" | "http header Server (word)" | "http server header" => {
                (SignalKind::HttpServer, "")
            }
            "rtsp server header" | "rtsp header Server (example)" => (SignalKind::RtspServer, ""),
            "rtsp auth realm" => (SignalKind::RtspRealm, ""),
            "tls cert subject (example)" => (SignalKind::TlsSubject, ""),
            "onvif manufacturer string" | "onvif manufacturer" => (SignalKind::Manufacturer, ""),
            "onvif model" => (SignalKind::Model, ""),
            "onvif firmware pattern" => (SignalKind::Firmware, ""),
            "onvif hardware id" => (SignalKind::Hardware, ""),
            "onvif serial pattern (tail masked)" => (SignalKind::Serial, ""),
            "onvif scope" | "onvif scopes (ProbeMatch)" => (SignalKind::Scope, ""),
            "SDP s= line" => (SignalKind::Sdp, "s="),
            "SDP o= line" => (SignalKind::Sdp, "o="),
            "SDP e= line" => (SignalKind::Sdp, "e="),
            "SDP attribute" => (SignalKind::Sdp, ""),
            "soap envelope prefix + namespace table" => (SignalKind::Prefix, ""),
            _ => continue,
        };
        one(FINGERPRINT, row, signal, &format!("{start}{value}"));
    }
    devices
}
