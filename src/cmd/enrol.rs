//! `cordon camera discovered` and `enrol`: which cameras were found in zones, and a section of the configuration for one.

use std::{
    fmt::Write as _,
    fs, io,
    io::Write,
    net::IpAddr,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{
    admin_client, columns, files,
    reload::{ReloadCommandError, Wish, carry_out},
};
use crate::{
    admin::CandidateRow,
    clock::{Clock, SystemClock},
    config::{self, Diagnostic, Loaded},
    discovery::DEVICE_PATH,
    ids::CameraId,
};

/// Options of `cordon camera enrol`.
#[derive(Debug, clap::Args)]
pub(super) struct Enrolment {
    /// The configuration file, which gets a section for the camera at its end.
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// The address at which it was found.
    address: IpAddr,
    /// What it is to be called.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Who the gateway logs in as: an administrator on the camera, for the gateway alone.
    #[arg(long, value_name = "USER")]
    username: String,
    /// The file that holds the password of that user, as the configuration is to name it.
    #[arg(long, value_name = "FILE")]
    password_file: PathBuf,
    /// The zone, where it was found in several.
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// The site, where there are several.
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Its maker, in place of what it shows.
    #[arg(long, value_name = "MAKER")]
    vendor: Option<String>,
    /// The virtual camera's port; else that of its place in the list.
    #[arg(long, value_name = "PORT")]
    listen_port: Option<u16>,
}

/// Why nothing is shown or enrolled.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub(super) enum EnrolError {
    #[error(
        "no gateway answers at the admin listener of this configuration: start it; it finds cameras while it runs"
    )]
    NoGateway,
    #[error("what answers at the admin listener is no gateway of this version: {0}")]
    NotUnderstood(String),
    #[error("no camera was found at {0}; `cordon camera discovered` shows those that were")]
    NotFound(IpAddr),
    #[error("cameras were found at {0} in zones {1}: add --zone")]
    SeveralZones(IpAddr, String),
    #[error("the camera at {0} is enrolled as `{1}`")]
    Enrolled(IpAddr, String),
    #[error("{0}")]
    Name(#[from] crate::ids::NameError),
    #[error("there is a camera `{0}` in the configuration: choose another name")]
    NameTaken(CameraId),
    #[error("there are {0} sites: add --site with one of {1}")]
    Site(usize, String),
    #[error(
        "{0} cannot stand in a configuration: it has a quotation mark, a backslash or a control character"
    )]
    Text(&'static str),
    #[error("the configuration would not be right with this section, and is as it was:\n{0}")]
    Refused(String),
    #[error("`{path}` cannot be written: {error}; it is as it was")]
    File { path: PathBuf, error: io::Error },
    #[error("`{0}` was changed by somebody else meanwhile, and is as they left it: try again")]
    Changed(PathBuf),
    #[error(transparent)]
    Decision(#[from] ReloadCommandError),
    #[error("cannot be printed: {0}")]
    Print(#[from] io::Error),
}

/// Shows the cameras that were found, of one zone or all.
pub(super) fn discovered(
    loaded: &Loaded,
    zone: Option<&str>,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), EnrolError> {
    let rows = rows(loaded, zone)?;
    if json {
        writeln!(out, "{:#}", serde_json::json!(rows))?;
    } else {
        list(&rows, out)?;
    }
    Ok(())
}

fn rows(loaded: &Loaded, zone: Option<&str>) -> Result<Vec<CandidateRow>, EnrolError> {
    let (status, body) =
        admin_client::get(&loaded.admin, "/candidates").map_err(|_| EnrolError::NoGateway)?;
    if status != 200 {
        return Err(EnrolError::NotUnderstood(format!("status {status}")));
    }
    let rows: Vec<CandidateRow> =
        serde_json::from_slice(&body).map_err(|error| EnrolError::NotUnderstood(error.to_string()))?;
    Ok(rows.into_iter().filter(|it| zone.is_none_or(|zone| it.zone == zone)).collect())
}

/// For people: a line for each, and what to do.
fn list(rows: &[CandidateRow], out: &mut dyn Write) -> io::Result<()> {
    let heads = ["ADDRESS", "ZONE", "NAME", "VENDOR", "CLASS", "MAC", "ENROLLED", "LAST"].map(str::to_owned);
    let none = || "-".to_owned();
    let cells = |row: &CandidateRow| {
        let enrolled = if row.enrolled.is_empty() { none() } else { row.enrolled.join(",") };
        [
            row.address.to_string(),
            row.zone.clone(),
            scope(row, "name").unwrap_or_else(none),
            row.vendor.clone(),
            row.class.clone(),
            row.mac.map_or_else(none, |it| it.to_string()),
            enrolled,
            format!("{:.0}", row.last),
        ]
    };
    let lines: Vec<[String; 8]> = std::iter::once(heads).chain(rows.iter().map(cells)).collect();
    columns::print(&lines, out)?;
    for row in rows.iter().filter(|it| it.also_at.is_some()) {
        let other = row.also_at.map_or_else(String::new, |it| it.to_string());
        writeln!(out, "{} has the name of the device at {other}: it moved, or one is a copy", row.address)?;
    }
    for row in rows {
        for known in row.known_as.iter().filter(|it| !row.enrolled.contains(&it.camera)) {
            let (camera, by) = (&known.camera, known.by.join(", "));
            writeln!(
                out,
                "{} is known as camera `{camera}` by {by}: it moved, or one is a copy",
                row.address
            )?;
        }
    }
    writeln!(
        out,
        "{} found; what they say of themselves is a claim. To enrol one: cordon camera enrol",
        rows.len()
    )
}

/// Has the running gateway decide that a camera which was found is to be enrolled, and writes a section for it.
pub(super) fn enrol(loaded: &Loaded, it: &Enrolment, out: &mut dyn Write) -> Result<(), EnrolError> {
    let name = CameraId::new(&it.name)?;
    if loaded.inventory.camera(&name).is_some() {
        return Err(EnrolError::NameTaken(name));
    }
    let row = chosen(rows(loaded, it.zone.as_deref())?, it.address)?;
    if let Some(camera) = row.enrolled.first() {
        return Err(EnrolError::Enrolled(row.address, camera.clone()));
    }
    let section = section(it, &name, &row, site(loaded, it)?, SystemClock::new().now())?;
    let path = fs::canonicalize(&it.config).map_err(|error| failed(&it.config, error))?;
    let before = config::read(&path).map_err(|error| failed(&path, error))?;
    let gap = if before.ends_with('\n') { "\n" } else { "\n\n" };
    let beside = files::Beside::write(&path, format!("{before}{gap}{section}").as_bytes())
        .map_err(|error| failed(&path, error))?;
    let fine = config::load(beside.path(), &|name| std::env::var(name).ok());
    let warnings = fine.map_err(|wrong| EnrolError::Refused(rendered(&wrong)))?.warnings;
    let wish = Wish::Enrol { zone: row.zone.clone(), address: row.address, camera: name.to_string() };
    let decided = carry_out(&path, wish)?;
    if config::read(&path).map_err(|error| failed(&path, error))? != before {
        return Err(EnrolError::Changed(path.clone()));
    }
    beside.take_its_place().map_err(|error| failed(&path, error))?;
    write!(out, "{decided}{section}")?;
    for warning in
        warnings.iter().filter(|warning| !loaded.warnings.iter().any(|it| it.message == warning.message))
    {
        writeln!(out, "note: {}", warning.message)?;
    }
    let shown = path.display();
    let next = if loaded.watch {
        "the gateway takes it up by itself".to_owned()
    } else {
        format!("to have the gateway take it up: cordon reload --config {shown}")
    };
    writeln!(out, "written to {shown}; {next}")?;
    Ok(())
}

fn failed(path: &Path, error: io::Error) -> EnrolError {
    EnrolError::File { path: path.to_owned(), error }
}

fn rendered(wrong: &[Diagnostic]) -> String {
    wrong.iter().map(Diagnostic::render).collect::<Vec<_>>().join("\n")
}

fn chosen(rows: Vec<CandidateRow>, address: IpAddr) -> Result<CandidateRow, EnrolError> {
    let mut there: Vec<CandidateRow> = rows.into_iter().filter(|it| it.address == address).collect();
    match there.len() {
        0 => Err(EnrolError::NotFound(address)),
        1 => Ok(there.remove(0)),
        _ => {
            let zones: Vec<_> = there.iter().map(|it| it.zone.as_str()).collect();
            Err(EnrolError::SeveralZones(address, zones.join(", ")))
        }
    }
}

fn site(loaded: &Loaded, it: &Enrolment) -> Result<String, EnrolError> {
    let sites: Vec<String> = loaded.inventory.sites().map(|site| site.id.to_string()).collect();
    match (&it.site, &sites[..]) {
        (Some(site), _) => Ok(site.clone()),
        (None, [site]) => Ok(site.clone()),
        (None, sites) => Err(EnrolError::Site(sites.len(), sites.join(", "))),
    }
}

/// The section, as somebody would write it by hand. Of what the camera says, port, path and TLS stand there, its maker only
/// where that makes it stricter, and the rest as a remark of plain letters.
fn section(
    it: &Enrolment,
    name: &CameraId,
    row: &CandidateRow,
    site: String,
    now: Timestamp,
) -> Result<String, EnrolError> {
    let text = |what: &'static str, text: &str| {
        let bad = |it: char| it.is_control() || it == '"' || it == '\\';
        if text.contains(bad) { Err(EnrolError::Text(what)) } else { Ok(format!("\"{text}\"")) }
    };
    let usual = if row.tls { 443 } else { 80 };
    let address = match (row.address, row.port) {
        (address, port) if port == usual => address.to_string(),
        (address, port) => std::net::SocketAddr::new(address, port).to_string(),
    };
    // A claim can only make it stricter: whoever sends a datagram can say that another made it.
    let claimed = format!(
        "\"{UNKNOWN_MAKER}\" # it claims {}; state the maker once you have looked at it",
        plain(&row.vendor)
    );
    let vendor = match &it.vendor {
        Some(stated) => text("the maker", stated)?,
        None if row.is_strict => text("the maker", &row.vendor)?,
        None => claimed,
    };
    let mut section = format!(
        "# Found by WS-Discovery, enrolled {now:.0}. It said that it is {}, {}; {}: {}.\n[[camera]]\n",
        plain(&scope(row, "name").unwrap_or_else(|| "nameless".to_owned())),
        plain(&row.endpoint),
        plain(&row.class),
        plain(&row.reasons.join("; ")),
    );
    let _ = writeln!(section, "name = {}", text("the name", name.as_str())?);
    let _ = writeln!(section, "address = {}", text("the address", &address)?);
    if row.tls {
        section.push_str("tls = true\n");
    }
    if let Some(mac) = row.mac {
        let _ =
            writeln!(section, "hardware_address = \"{mac}\" # as seen; compare it with the camera's label");
    }
    if row.path != DEVICE_PATH {
        let _ = writeln!(section, "device_path = {}", text("the camera's path", &row.path)?);
    }
    let _ = writeln!(section, "zone = {}", text("the zone", &row.zone)?);
    let _ = writeln!(section, "site = {}", text("the site", &site)?);
    let _ = writeln!(section, "vendor = {vendor}");
    let _ = writeln!(section, "username = {}", text("the user", &it.username)?);
    let password = text("the password's file", &it.password_file.display().to_string())?;
    let _ = writeln!(section, "password = {{ file = {password} }}");
    if let Some(port) = it.listen_port {
        let _ = writeln!(section, "listen_port = {port}");
    }
    Ok(section)
}

/// The first value of a scope of ONVIF's, such as `name`.
fn scope(row: &CandidateRow, kind: &str) -> Option<String> {
    let prefix = format!("onvif://www.onvif.org/{kind}/");
    row.scopes.iter().find_map(|it| it.strip_prefix(&prefix)).map(plain)
}

/// What a camera says, in letters that do nothing on a screen or in a file.
fn plain(text: &str) -> String {
    let letter = |it: char| if it == ' ' || it.is_ascii_graphic() { it } else { '?' };
    text.replace("%20", " ").chars().map(letter).take(PLAIN_CHARS_MAX).collect()
}

const PLAIN_CHARS_MAX: usize = 160;
/// Of no vendor table, and so treated as restricted.
const UNKNOWN_MAKER: &str = "unknown";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::KnownAs;

    fn row() -> CandidateRow {
        CandidateRow {
            zone: "restricted".into(),
            address: "192.0.2.66".parse().unwrap(),
            port: 80,
            path: DEVICE_PATH.into(),
            tls: false,
            endpoint: "urn:uuid:1".into(),
            mac: Some("44:19:b6:00:00:66".parse().unwrap()),
            scopes: vec!["onvif://www.onvif.org/name/Gate%201\nname = \"x\"".into()],
            vendor: "Hikvision".into(),
            class: "restricted".into(),
            is_strict: true,
            reasons: vec!["MAC address".into()],
            first: Timestamp::UNIX_EPOCH,
            last: Timestamp::UNIX_EPOCH,
            by: "hello".into(),
            times: 1,
            also_at: None,
            enrolled: Vec::new(),
            known_as: Vec::new(),
        }
    }

    fn wanted() -> Enrolment {
        Enrolment {
            config: PathBuf::new(),
            address: "192.0.2.66".parse().unwrap(),
            name: "yard".into(),
            username: "cordon".into(),
            password_file: "secrets/yard".into(),
            zone: None,
            site: None,
            vendor: None,
            listen_port: Some(8090),
        }
    }

    fn made(it: &Enrolment, row: &CandidateRow) -> Result<String, EnrolError> {
        section(it, &CameraId::new("yard").unwrap(), row, "depot".into(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_section_holds_nothing_that_a_camera_could_have_written_into_it() {
        assert_eq!(
            made(&wanted(), &row()).unwrap(),
            "# Found by WS-Discovery, enrolled 1970-01-01T00:00:00Z. It said that it is Gate 1?name = \"x\", urn:uuid:1; \
             restricted: MAC address.\n[[camera]]\nname = \"yard\"\naddress = \"192.0.2.66\"\n\
             hardware_address = \"44:19:b6:00:00:66\" # as seen; compare it with the camera's label\n\
             zone = \"restricted\"\nsite = \"depot\"\nvendor = \"Hikvision\"\nusername = \"cordon\"\n\
             password = { file = \"secrets/yard\" }\nlisten_port = 8090\n"
        );
        let elsewhere = CandidateRow { port: 8443, tls: true, path: "/x".into(), mac: None, ..row() };
        let text = made(&wanted(), &elsewhere).unwrap();
        assert!(text.contains("address = \"192.0.2.66:8443\"\ntls = true\ndevice_path = \"/x\"\n"), "{text}");
        let claimed =
            CandidateRow { vendor: "axis".into(), class: "trusted".into(), is_strict: false, ..row() };
        let text = made(&wanted(), &claimed).unwrap();
        assert!(text.contains("vendor = \"unknown\" # it claims axis; state the maker"), "{text}");
        let stated = Enrolment { vendor: Some("axis".into()), ..wanted() };
        assert!(made(&stated, &claimed).unwrap().contains("\nvendor = \"axis\"\n"));
        let hostile = CandidateRow { path: "/x\"\n[[client]]".into(), ..row() };
        let error = made(&wanted(), &hostile).unwrap_err().to_string();
        assert!(error.starts_with("the camera's path cannot stand in a configuration"), "{error}");
    }

    #[test]
    fn one_candidate_is_meant() {
        let other = CandidateRow { zone: "trusted".into(), ..row() };
        let at = row().address;
        assert_eq!(chosen(vec![row()], at).unwrap(), row());
        assert_eq!(
            chosen(vec![row(), other], at).unwrap_err().to_string(),
            "cameras were found at 192.0.2.66 in zones restricted, trusted: add --zone"
        );
        let error = chosen(vec![row()], "192.0.2.67".parse().unwrap()).unwrap_err().to_string();
        assert_eq!(
            error,
            "no camera was found at 192.0.2.67; `cordon camera discovered` shows those that were"
        );
    }

    #[test]
    fn the_list_shows_what_was_found_in_plain_letters() {
        let mut out = Vec::new();
        let known = KnownAs { camera: "gate".into(), by: vec!["mac".into(), "serial".into()] };
        let other = Some("192.0.2.9".parse().unwrap());
        let moved = CandidateRow { also_at: other, known_as: vec![known], ..row() };
        list(&[moved], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains(
                "192.0.2.66  restricted  Gate 1?name = \"x\"  Hikvision  restricted  44:19:b6:00:00:66  -"
            ),
            "{text}"
        );
        assert!(text.contains("192.0.2.66 has the name of the device at 192.0.2.9"), "{text}");
        assert!(text.contains("192.0.2.66 is known as camera `gate` by mac, serial: it moved"), "{text}");
    }
}
