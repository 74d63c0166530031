//! Reads a configuration whole and collects everything that is wrong with it.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    net::SocketAddr,
    path::Path,
    sync::Arc,
};

use toml::de::DeTable;

use super::{
    AdminListen, Loaded,
    cameras::{Ports, Surroundings},
    diagnostic::Diagnostic,
    heads::Listening,
    raw,
    reader::Reader,
    secret,
    source::{HEADS, Source},
    vendors::Shipped,
};
use crate::{
    auth::Login,
    ids::CameraId,
    inventory::{Camera, Inventory, Vendors},
    limits::CONFIG_FILE_BYTES_MAX,
};

/// Loads a configuration, or says everything that is wrong with it. `env` reads the environment.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Vec<Diagnostic>> {
    load_with(path, Some(env), &Vendors::embedded)
}

/// The same for whoever needs no secrets, and so gets no clients and no logins: none is read.
pub fn load_without_secrets(path: &Path) -> Result<Loaded, Vec<Diagnostic>> {
    let loaded = load_with(path, None, &Vendors::embedded)?;
    Ok(Loaded { clients: Vec::new(), logins: BTreeMap::new(), ..loaded })
}

fn load_with(
    path: &Path,
    env: Option<secret::Environment<'_>>,
    shipped: Shipped<'_>,
) -> Result<Loaded, Vec<Diagnostic>> {
    let base = path.parent().unwrap_or(Path::new("."));
    let mut reader = Reader { path, base, env, source: Source::plain(""), found: Vec::new() };
    match read(path) {
        Ok(text) => match reader.whole(&text, shipped) {
            Some(loaded) if !reader.is_refused() => return Ok(Loaded { warnings: reader.found, ..loaded }),
            Some(_) | None => {}
        },
        Err(error) => {
            reader.error(
                0..0,
                &format!("cannot read the configuration: {error}"),
                "check path and permissions",
            );
        }
    }
    Err(reader.found)
}

/// Reads a text file of a configuration, of `CONFIG_FILE_BYTES_MAX` at most.
pub fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(CONFIG_FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > CONFIG_FILE_BYTES_MAX {
        let what = format!("it is longer than {CONFIG_FILE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(text)
}

impl Reader<'_> {
    fn whole(&mut self, text: &str, shipped: Shipped<'_>) -> Option<Loaded> {
        let table = self.toml(text)?;
        let gateway: raw::Gateway = self.one(&table, "gateway").unwrap_or_default();
        let listener: raw::Listener = self.one(&table, "listener").unwrap_or_default();
        let admin: raw::Admin = self.one(&table, "admin").unwrap_or_default();
        let audit: raw::Audit = self.one(&table, "audit").unwrap_or_default();
        let policy: raw::Policy = self.one(&table, "policy").unwrap_or_default();
        let (vendors, vendors_dir) = self.vendors(&table, shipped)?;
        let (listening, admin) = (self.listening(&listener), self.admin(admin.listen.as_ref()));
        let doors = doors(&listening, &admin);
        let (tls, clear_passwords) = (self.pem_files(&listener), self.clear_passwords(&listener));
        self.declared(&table, "network");
        let networks = self.many(&table, "network", |reader, _, raw| reader.network(raw));
        let [site_names, zone_names, camera_names] =
            ["site", "zone", "camera"].map(|kind| self.declared(&table, kind));
        let sites = self.many(&table, "site", |reader, _, raw| reader.site(raw));
        let zones = self.zones(&table);
        let mut around = Surroundings {
            listening: &listening,
            zones: &zones,
            zone_names: &zone_names,
            site_names: &site_names,
            sites: &sites,
            vendors: &vendors,
            exceptions: self.exceptions(&table, &camera_names),
            ports: ports(&listening, &admin),
        };
        let cameras =
            self.many(&table, "camera", |reader, number, raw| reader.camera(number, raw, &mut around));
        let (clients, absorb) = self.clients(&table, &camera_names, listening.secure);
        let state_dir = self.path_or(gateway.state_dir, self.base.join("state"));
        let (name, observe_until) = (self.gateway_name(gateway.name.as_ref()), self.observe_until(&policy));
        let (retention, policy_dir) = (self.retention(&audit), self.policy_dir(policy.dir.as_ref()));
        let (threads, mqtt) = (self.threads(gateway.threads.as_ref()), self.mqtt(&table, &name));
        let (netd, discovery) = (self.netd(&table), self.discovery(&table, &zones));
        (!self.is_refused()).then_some(())?;
        let (cameras, logins) = apart(cameras);
        self.legs_apart(&table, &zones, listening.bind, &cameras);
        (!self.is_refused()).then_some(())?;
        let inventory = Inventory::new(cameras, sites, zones, networks, vendors)
            .map_err(|error| self.error(0..0, &error.to_string(), "correct the name or add what is missing"));
        Some(Loaded {
            name,
            retention,
            audit_compress: audit.compress.unwrap_or(true),
            audit_dir: self.path_or(audit.dir, state_dir.join("audit")),
            emergency_journal: self.path_or(audit.emergency_journal, state_dir.join("emergency.journal")),
            policy_dir,
            observe_until,
            vendors_dir,
            discovery,
            admin,
            state_dir,
            threads,
            watch: gateway.watch.unwrap_or(true),
            confine: gateway.confine.unwrap_or(true),
            bind: listening.bind,
            tls,
            clear_passwords,
            rtsp_port: listening.rtsp_port,
            rtsps_port: listening.rtsps_port,
            netd,
            clients,
            absorb,
            inventory: Arc::new(inventory.ok()?.with_doors(doors)),
            logins,
            mqtt,
            warnings: Vec::new(),
        })
    }

    /// The text as TOML, with sections that are known.
    fn toml<'t>(&mut self, text: &'t str) -> Option<DeTable<'t>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            self.source = Source::broken(text);
            for error in errors {
                self.error(error.span().unwrap_or(0..0), error.message(), "correct the TOML syntax");
            }
            // Half a configuration would be wrong in ways its author never wrote.
            return None;
        }
        let table = table.into_inner();
        self.source = Source::parsed(text, &table);
        self.heads(&table);
        Some(table)
    }

    fn heads(&mut self, table: &DeTable<'_>) {
        for key in table.keys().filter(|key| !HEADS.contains(&key.get_ref().as_ref())) {
            let remedy = format!("use one of {}", HEADS.join(", "));
            self.error(key.span(), &format!("there is no section `{}`", key.get_ref()), &remedy);
        }
    }
}

/// Cameras without their logins, and the logins.
fn apart(cameras: Vec<(Camera, Login)>) -> (Vec<Camera>, BTreeMap<CameraId, Login>) {
    cameras.into_iter().map(|(camera, login)| (camera.clone(), (camera.id, login))).unzip()
}

/// Where the gateway listens beside what it does on behalf of cameras.
fn doors(listening: &Listening, admin: &AdminListen) -> impl Iterator<Item = SocketAddr> + use<> {
    let streams = [Some(listening.rtsp_port), listening.rtsps_port].into_iter().flatten();
    let bind = listening.bind;
    let own = match admin {
        AdminListen::Tcp(address) => Some(*address),
        AdminListen::Unix(_) => None,
    };
    streams.map(move |port| SocketAddr::new(bind, port)).chain(own)
}

/// The ports cameras cannot have.
fn ports(listening: &Listening, admin: &AdminListen) -> Ports {
    let mut ports = Ports::default();
    ports.users.insert(listening.rtsp_port, vec![(None, "rtsp_port".to_owned())]);
    if let Some(port) = listening.rtsps_port {
        ports.users.entry(port).or_default().push((None, "rtsps_port".to_owned()));
    }
    match admin {
        AdminListen::Tcp(address) if address.ip() == listening.bind || listening.bind.is_unspecified() => {
            ports.users.entry(address.port()).or_default().push((None, "the admin interface".to_owned()));
        }
        AdminListen::Tcp(_) | AdminListen::Unix(_) => {}
    }
    ports
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
