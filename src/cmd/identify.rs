//! `cordon camera identify`: what an enrolled camera, or whatever answers at an address, is held to be, and why.

use std::{
    io::{self, Write},
    net::{IpAddr, SocketAddr},
};

use serde::Serialize;

use crate::{
    admin::{FindingView, IdentityView},
    camera::probe::{Place, Probed, Question, probe},
    config::Loaded,
    facade::{OwnRequest, device_information, scopes, services, system_date_and_time},
    ids::{CameraId, ZoneId},
    inventory::{Camera, Isolation, Leg, MacAddress, SignalKind, VendorClass, Zone},
    isolation::{Dialler, Neighbour, Netd},
    schema::Tables,
    soap::{self, Headers},
};

/// What is told of one camera or address.
#[derive(Debug, Serialize)]
pub(super) struct Identified {
    /// The camera's name, or the address.
    pub(super) subject: String,
    /// Where this is known from.
    pub(super) source: String,
    /// What each question came to, where something was asked.
    pub(super) steps: Vec<String>,
    /// What it is held to be.
    pub(super) verdict: IdentityView,
    /// What follows from that, or would if it were enrolled.
    pub(super) follows: &'static str,
}

/// What somebody wants identified.
pub(super) enum Subject {
    /// An enrolled camera.
    Camera(CameraId),
    /// Something else, in a zone if it lies in one.
    Address(SocketAddr, Option<ZoneId>),
}

/// Why it is neither.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub(super) enum SubjectError {
    #[error(
        "`{0}` is neither an enrolled camera nor an IP address, with or without a port; `cordon camera list` shows those enrolled"
    )]
    Unknown(String),
    #[error("{1} cameras are enrolled at `{0}`: name one, or give the port or the zone (--zone)")]
    Several(IpAddr, usize),
    #[error("`{0}` lies in several zones ({1}): say in which with --zone")]
    Zones(IpAddr, String),
    #[error("there is no zone `{0}`; there are: {1}")]
    NoZone(String, String),
    #[error("`{0}` lies outside zone `{1}`")]
    Outside(IpAddr, String),
}

impl Subject {
    /// A camera by name or address, else the address: in this zone, or in the only one that it lies in.
    pub(super) fn of(loaded: &Loaded, text: &str, zone: Option<&str>) -> Result<Self, SubjectError> {
        let unknown = || SubjectError::Unknown(text.to_owned());
        if let Some(camera) = CameraId::new(text).ok().filter(|id| loaded.inventory.camera(id).is_some()) {
            return Ok(Self::Camera(camera));
        }
        let (host, port) = match (text.parse::<SocketAddr>(), text.parse::<IpAddr>()) {
            (Ok(address), _) => (address.ip(), Some(address.port())),
            (_, Ok(host)) => (host, None),
            _ => return Err(unknown()),
        };
        let zone = zone.map(|name| in_zone(loaded, name, host)).transpose()?;
        let there = |it: &&Camera| {
            it.address.host == host
                && port.is_none_or(|port| it.address.port == port)
                && zone.is_none_or(|zone| it.zone == zone.id)
        };
        let enrolled: Vec<&Camera> = loaded.inventory.cameras().filter(there).collect();
        match enrolled.as_slice() {
            [] => {
                let zone = zone.map_or_else(|| only_zone(loaded, host), |zone| Ok(Some(zone)))?;
                let address = SocketAddr::new(host, port.unwrap_or(80));
                Ok(Self::Address(address, zone.map(|it| it.id.clone())))
            }
            [camera] => Ok(Self::Camera(camera.id.clone())),
            several => Err(SubjectError::Several(host, several.len())),
        }
    }
}

/// The zone of this name, which must hold the address.
fn in_zone<'a>(loaded: &'a Loaded, name: &str, host: IpAddr) -> Result<&'a Zone, SubjectError> {
    let zones = || names(loaded.inventory.zones());
    let zone = loaded.inventory.zones().find(|zone| zone.id.as_str() == name);
    let zone = zone.ok_or_else(|| SubjectError::NoZone(name.to_owned(), zones()))?;
    zone.contains(host).then_some(zone).ok_or_else(|| SubjectError::Outside(host, name.to_owned()))
}

/// The zone that holds an address. Two may have the same prefixes, and another device at each of their addresses.
fn only_zone(loaded: &Loaded, host: IpAddr) -> Result<Option<&Zone>, SubjectError> {
    let holding: Vec<&Zone> = loaded.inventory.zones().filter(|zone| zone.contains(host)).collect();
    match holding.as_slice() {
        [] => Ok(None),
        [zone] => Ok(Some(zone)),
        several => Err(SubjectError::Zones(host, names(several.iter().copied()))),
    }
}

fn names<'a>(zones: impl Iterator<Item = &'a Zone>) -> String {
    zones.map(|zone| zone.id.to_string()).collect::<Vec<_>>().join(", ")
}

/// Asks an address that no camera is enrolled at.
pub(super) fn ask(address: SocketAddr, zone: Option<&ZoneId>, loaded: &Loaded) -> io::Result<Identified> {
    let tables = Tables::embedded().map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let zone = zone.and_then(|id| loaded.inventory.zone(id));
    let isolated = zone.and_then(|zone| match &zone.isolation {
        Isolation::Namespace(leg) => Some((Netd::at(&loaded.netd.socket), &zone.id, leg)),
        Isolation::None => None,
    });
    // What is in an isolated zone is reached from there.
    let dialler = match &isolated {
        Some((netd, zone, _)) => Dialler::Inside { netd: netd.clone(), zone: (*zone).clone() },
        None => Dialler::Here,
    };
    let place =
        Place { dialler, http: address, device_path: "/onvif/device_service", tls_port: 443, rtsp_port: 554 };
    let Probed { mut evidence, mut steps } = runtime.block_on(probe(&place, &tables, &questions(&tables)));
    if let Some((netd, zone, leg)) = &isolated {
        // It has just been asked, so that its neighbour knows it.
        let (mac, step) = hardware(netd, zone, leg, address.ip());
        mac.iter().for_each(|mac| evidence.add(SignalKind::Mac, &mac.to_string()));
        steps.push(step);
    }
    let verdict = IdentityView::judged(loaded.inventory.vendors().judge(None, &evidence, None), &evidence);
    Ok(Identified {
        subject: address.to_string(),
        source: "asked just now, without a login; no camera is enrolled there".to_owned(),
        steps,
        follows: follows(&verdict.class),
        verdict,
    })
}

/// The hardware address of a neighbour in an isolated zone, and what the question came to.
fn hardware(netd: &Netd, zone: &ZoneId, leg: &Leg, host: IpAddr) -> (Option<MacAddress>, String) {
    if !leg.addresses.iter().any(|network| network.contains(&host)) {
        return (None, "hardware address: not seen, since it hangs behind a router of the zone".to_owned());
    }
    let its =
        |it: &Neighbour| (it.address == host && it.state != "FAILED").then(|| it.mac.as_ref()?.parse().ok());
    match netd.neighbours(zone) {
        Ok(all) => match all.iter().find_map(its).flatten() {
            Some(mac) => {
                (Some(mac), format!("hardware address: {mac}, as the zone's neighbour table has it"))
            }
            None => (None, "hardware address: the zone's neighbour table has none".to_owned()),
        },
        Err(error) => (None, format!("hardware address: {error}")),
    }
}

fn questions(tables: &Tables) -> Vec<Question> {
    let asked = [system_date_and_time(tables), services(tables), device_information(tables), scopes(tables)];
    let question = |OwnRequest { operation, document }: OwnRequest| Question {
        operation,
        name: tables.operation(operation).map_or_else(String::new, |row| row.name.to_string()),
        envelope: soap::encode(tables, &document, &Headers::default()),
    };
    asked.into_iter().flatten().map(question).collect()
}

/// What follows from a class.
pub(super) fn follows(class: &str) -> &'static str {
    match VendorClass::ALL.into_iter().find(|it| it.as_str() == class) {
        Some(VendorClass::Trusted) => "it is served as the roles of clients permit",
        Some(VendorClass::Review) => {
            "it is given no destination, listener or code; somebody has to look at the model and decide"
        }
        Some(VendorClass::Restricted | VendorClass::OemRestricted | VendorClass::Unknown) | None => {
            "it is given no destination, listener or code, and at a sensitive site nobody is served without an [[exception]]"
        }
    }
}

/// For people.
pub(super) fn show(it: &Identified, out: &mut dyn Write) -> io::Result<()> {
    let verdict = &it.verdict;
    writeln!(out, "{} ({})", it.subject, it.source)?;
    for step in &it.steps {
        writeln!(out, "  asked     {step}")?;
    }
    writeln!(out, "  verdict   {}, {} ({})", verdict.vendor, verdict.class, verdict.standing)?;
    writeln!(out, "  follows   {}", it.follows)?;
    if let Some(decision) = &verdict.decision {
        writeln!(out, "  decision  {decision}")?;
    }
    for reason in &verdict.reasons {
        writeln!(out, "  because   {reason}")?;
    }
    for contradiction in &verdict.contradictions {
        writeln!(out, "  against   {contradiction}")?;
    }
    for FindingView { signal, value, vendor, class, weight, confidence, rule, source } in &verdict.findings {
        writeln!(out, "  signal    {signal} `{value}` {rule}")?;
        writeln!(
            out,
            "            speaks for {vendor}, {class}; weight {weight}; {confidence}: {}",
            source.join(", ")
        )?;
    }
    for signal in &verdict.signals {
        let value: String =
            signal.value.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect();
        writeln!(out, "  shows     {} `{value}`", signal.kind)?;
    }
    if verdict.left_out {
        writeln!(out, "  shows     more than is looked at")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sites with the same prefixes, and one camera.
    fn loaded() -> Loaded {
        let text = "[gateway]\nname = \"twins\"\nstate_dir = \"state\"\n[[site]]\nname = \"depot\"\nsensitive = false\n\
            [[zone]]\nname = \"north\"\nisolation = \"none\"\nprefixes = [\"192.0.2.0/24\"]\n\
            [[zone]]\nname = \"south\"\nisolation = \"none\"\nprefixes = [\"192.0.2.0/24\", \"198.51.100.0/24\"]\n\
            [[camera]]\nname = \"gate\"\naddress = \"192.0.2.10\"\nvendor = \"Axis\"\nzone = \"north\"\nsite = \"depot\"\n\
            username = \"u\"\npassword = { env = \"SECRET\" }\n";
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cordon.toml");
        std::fs::write(&path, text).unwrap();
        crate::config::load(&path, &|_| Some("secret".to_owned())).unwrap_or_else(|wrong| panic!("{wrong:?}"))
    }

    #[test]
    fn an_address_of_two_zones_is_asked_for_with_the_zone() {
        let loaded = loaded();
        let of = |text: &str, zone: Option<&str>| match Subject::of(&loaded, text, zone) {
            Ok(Subject::Camera(camera)) => format!("camera {camera}"),
            Ok(Subject::Address(address, zone)) => format!("{address} {}", zone.unwrap().as_str()),
            Err(error) => error.to_string(),
        };
        let both = "`192.0.2.9` lies in several zones (north, south): say in which with --zone";
        for (text, zone, wanted) in [
            ("192.0.2.9", None, both),
            ("192.0.2.9", Some("north"), "192.0.2.9:80 north"),
            ("192.0.2.9:8000", Some("south"), "192.0.2.9:8000 south"),
            ("198.51.100.9", None, "198.51.100.9:80 south"),
            ("198.51.100.9", Some("north"), "`198.51.100.9` lies outside zone `north`"),
            ("192.0.2.9", Some("east"), "there is no zone `east`; there are: north, south"),
            ("192.0.2.10", None, "camera gate"),
            ("192.0.2.10", Some("south"), "192.0.2.10:80 south"),
            ("gate", None, "camera gate"),
        ] {
            assert_eq!(of(text, zone), wanted, "{text} {zone:?}");
        }
    }
}
