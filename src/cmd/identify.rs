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
    ids::CameraId,
    inventory::{Camera, Isolation, VendorClass, Zone},
    isolation::{Dialler, Netd},
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
    /// Something else.
    Address(SocketAddr),
}

/// Why it is neither.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub(super) enum SubjectError {
    #[error(
        "`{0}` is neither an enrolled camera nor an IP address, with or without a port; `cordon camera list` shows those enrolled"
    )]
    Unknown(String),
    #[error("{1} cameras are enrolled at `{0}`: name one, or give the port")]
    Several(IpAddr, usize),
}

impl Subject {
    /// A camera by name or address, else the address.
    pub(super) fn of(loaded: &Loaded, text: &str) -> Result<Self, SubjectError> {
        let unknown = || SubjectError::Unknown(text.to_owned());
        if let Some(camera) = CameraId::new(text).ok().filter(|id| loaded.inventory.camera(id).is_some()) {
            return Ok(Self::Camera(camera));
        }
        let (host, port) = match (text.parse::<SocketAddr>(), text.parse::<IpAddr>()) {
            (Ok(address), _) => (address.ip(), Some(address.port())),
            (_, Ok(host)) => (host, None),
            _ => return Err(unknown()),
        };
        let there = |it: &&Camera| it.address.host == host && port.is_none_or(|port| it.address.port == port);
        let enrolled: Vec<&Camera> = loaded.inventory.cameras().filter(there).collect();
        match enrolled.as_slice() {
            [] => Ok(Self::Address(SocketAddr::new(host, port.unwrap_or(80)))),
            [camera] => Ok(Self::Camera(camera.id.clone())),
            several => Err(SubjectError::Several(host, several.len())),
        }
    }
}

/// Asks an address that no camera is enrolled at.
pub(super) fn ask(address: SocketAddr, loaded: &Loaded) -> io::Result<Identified> {
    let tables = Tables::embedded().map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let dialler = dialler(loaded, address.ip());
    let place =
        Place { dialler, http: address, device_path: "/onvif/device_service", tls_port: 443, rtsp_port: 554 };
    let Probed { evidence, steps } = runtime.block_on(probe(&place, &tables, &questions(&tables)));
    let verdict = IdentityView::judged(loaded.inventory.vendors().judge(None, &evidence, None), &evidence);
    Ok(Identified {
        subject: address.to_string(),
        source: "asked just now, without a login; no camera is enrolled there".to_owned(),
        steps,
        follows: follows(&verdict.class),
        verdict,
    })
}

/// An address in an isolated zone is reached from there.
fn dialler(loaded: &Loaded, host: IpAddr) -> Dialler {
    match loaded.inventory.zones().find(|zone| zone.contains(host)) {
        Some(Zone { id, isolation: Isolation::Namespace(_), .. }) => {
            Dialler::Inside { netd: Netd::at(&loaded.netd.socket), zone: id.clone() }
        }
        Some(_) | None => Dialler::Here,
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
