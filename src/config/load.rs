//! Reads a configuration whole and collects everything that is wrong with it.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    net::{IpAddr, SocketAddr},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use ipnet::IpNet;
use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use super::{AdminListen, Diagnostic, Loaded, Severity, raw, secret};
use crate::{
    auth::{CameraScope, ClientRecord, Login, Role},
    ids::{CameraId, ClientId, NameError, SiteId, ZoneId},
    inventory::{Camera, CameraAddress, Inventory, Isolation, MacPolicy, Network, Site, Vendors, Zone},
    limits::CONFIG_FILE_BYTES_MAX,
};

const NAME_REMEDY: &str = "use lower-case letters, digits, `-`, `_` and `.`";

/// Loads a configuration, or says everything that is wrong with it. `env` reads the environment.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Vec<Diagnostic>> {
    let mut reader = Reader {
        path,
        base: path.parent().unwrap_or(Path::new(".")),
        env,
        source: "".into(),
        found: Vec::new(),
    };
    let sized = fs::metadata(path).is_ok_and(|data| data.len() <= CONFIG_FILE_BYTES_MAX);
    match fs::read_to_string(path) {
        Ok(text) if sized => reader.source = text.into(),
        Ok(_) => reader.error(0..0, "the file is too long", "split the installation"),
        Err(error) => {
            reader.error(0..0, &format!("cannot read the file: {error}"), "check path and permissions")
        }
    }
    let loaded = reader.whole();
    if reader.found.iter().any(|one| one.severity == Severity::Error) {
        return Err(reader.found);
    }
    match loaded {
        Some(loaded) => Ok(Loaded { warnings: reader.found, ..loaded }),
        None => Err(reader.found),
    }
}

struct Reader<'a> {
    path: &'a Path,
    base: &'a Path,
    env: &'a dyn Fn(&str) -> Option<String>,
    source: Arc<str>,
    found: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn whole(&mut self) -> Option<Loaded> {
        let source = self.source.clone();
        let (table, errors) = DeTable::parse_recoverable(&source);
        for error in errors {
            self.error(error.span().unwrap_or(0..0), error.message(), "correct the TOML syntax");
        }
        let table = table.into_inner();
        const HEADS: [&str; 10] = [
            "gateway", "listener", "admin", "audit", "policy", "network", "client", "site", "zone", "camera",
        ];
        for key in table.keys().filter(|key| !HEADS.contains(&key.get_ref().as_ref())) {
            let what = match key.get_ref().as_ref() {
                "absorb" => "[[absorb]] is not built yet".to_owned(),
                other => format!("there is no section `{other}`"),
            };
            self.error(key.span(), &what, "remove the section");
        }
        let gateway: raw::Gateway = self.one(&table, "gateway").unwrap_or_default();
        let listener: raw::Listener = self.one(&table, "listener").unwrap_or_default();
        let admin: raw::Admin = self.one(&table, "admin").unwrap_or_default();
        let audit: raw::Folder = self.one(&table, "audit").unwrap_or_default();
        let policy: raw::Folder = self.one(&table, "policy").unwrap_or_default();
        let networks = self.many(&table, "network", Self::network);
        let sites = self.many(&table, "site", Self::site);
        let zones = self.many(&table, "zone", Self::zone);
        let cameras = self.many(&table, "camera", |reader, camera| reader.camera(camera, &listener));
        let (mut logins, mut list) = (BTreeMap::new(), Vec::new());
        let mut ports = HashSet::new();
        for (index, (camera, login, span)) in cameras.into_iter().enumerate() {
            let mut camera = camera;
            self.settle_port(&mut camera, index, &listener, &span, &mut ports);
            let restricted = camera.vendor.class.is_restricted();
            let open = zones.iter().any(|zone| zone.id == camera.zone && zone.isolation == Isolation::None);
            if restricted && open {
                let what = format!("restricted camera `{}` hangs in a zone without isolation", camera.id);
                self.say(Severity::Warning, span, &what, "set isolation = \"namespace\" on its zone");
            }
            logins.insert(camera.id.clone(), login);
            list.push(camera);
        }
        let clients = self.many(&table, "client", |reader, client: raw::Client| reader.client(client, &list));
        let mut names = HashSet::new();
        for client in clients.iter().filter(|client| !names.insert(client.id.clone())) {
            self.error(0..0, &format!("there are two clients named `{}`", client.id), "rename one");
        }
        let vendors = Arc::new(Vendors::embedded().unwrap_or_default());
        // Dangling names are looked for only if the places themselves could be read.
        let sound = !self.found.iter().any(|one| one.severity == Severity::Error);
        let inventory = match Inventory::new(list, sites, zones, networks, vendors) {
            Ok(inventory) => Arc::new(inventory),
            Err(error) => {
                if sound {
                    self.error(0..0, &error.to_string(), "correct the name or add what is missing");
                }
                return None;
            }
        };
        let state_dir = self.folder(gateway.state_dir, "state");
        Some(Loaded {
            name: gateway.name.map_or_else(|| "Cordon".into(), Spanned::into_inner),
            audit_dir: audit.dir.map_or_else(|| state_dir.join("audit"), |dir| self.base.join(dir.get_ref())),
            policy_dir: policy.dir.map(|dir| self.base.join(dir.get_ref())),
            admin: self.admin(admin.listen),
            state_dir,
            threads: gateway.threads.map(Spanned::into_inner),
            bind: self.bind(&listener),
            rtsp_port: listener.rtsp_port.map_or(8554, Spanned::into_inner),
            clients,
            inventory,
            logins,
            warnings: Vec::new(),
        })
    }

    fn one<T: DeserializeOwned>(&mut self, table: &DeTable<'_>, key: &str) -> Option<T> {
        table.get(key).cloned().and_then(|value| self.shape(value))
    }

    fn many<T: DeserializeOwned, U>(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        mut make: impl FnMut(&mut Self, T) -> Option<U>,
    ) -> Vec<U> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.error(value.span(), &format!("`{key}` is a list"), &format!("write [[{key}]]"));
            return Vec::new();
        };
        let items: Vec<_> = items.iter().cloned().collect();
        items.into_iter().filter_map(|item| self.shape(item).and_then(|raw| make(self, raw))).collect()
    }

    fn shape<T: DeserializeOwned>(&mut self, value: Spanned<DeValue<'_>>) -> Option<T> {
        let span = value.span();
        T::deserialize(ValueDeserializer::from(value))
            .map_err(|error| {
                let remedy = "compare the section with cordon.example.toml";
                self.error(error.span().unwrap_or(span), error.message(), remedy);
            })
            .ok()
    }

    fn network(&mut self, raw: raw::Network) -> Option<Network> {
        Some(Network { prefixes: self.prefixes(&raw.prefixes), name: raw.name.into_inner() })
    }

    fn site(&mut self, raw: raw::Site) -> Option<Site> {
        Some(Site { id: self.name(&raw.name, SiteId::new)?, sensitive: raw.sensitive })
    }

    fn zone(&mut self, raw: raw::Zone) -> Option<Zone> {
        let isolation = match raw.isolation.get_ref().as_str() {
            "namespace" => Isolation::Namespace,
            "none" => Isolation::None,
            other => {
                let what = format!("`{other}` is no isolation");
                self.error(raw.isolation.span(), &what, "write \"namespace\", or \"none\" for tests");
                return None;
            }
        };
        Some(Zone {
            id: self.name(&raw.name, ZoneId::new)?,
            isolation,
            prefixes: self.prefixes(&raw.prefixes),
        })
    }

    fn client(&mut self, raw: raw::Client, cameras: &[Camera]) -> Option<ClientRecord> {
        let role = Role::ALL.into_iter().find(|role| role.as_str() == raw.role.get_ref());
        if role.is_none() {
            let what = format!("`{}` is no role", raw.role.get_ref());
            self.error(raw.role.span(), &what, "write \"Administrator\", \"Operator\" or \"User\"");
        }
        let scope = raw.cameras.map_or(CameraScope::All, |names| {
            let known = |id: &CameraId| cameras.iter().any(|camera| camera.id == *id);
            let mut ids = Vec::new();
            for name in &names {
                let Some(id) = self.name(name, CameraId::new) else { continue };
                if !known(&id) {
                    let what = format!("there is no camera `{id}`");
                    self.error(name.span(), &what, "correct the name or add the camera");
                }
                ids.push(id);
            }
            CameraScope::Only(ids)
        });
        let networks = self.prefixes(&raw.networks);
        let password = self.secret(&raw.password);
        Some(ClientRecord {
            id: self.name(&raw.name, ClientId::new)?,
            role: role?,
            password: password?,
            networks,
            cameras: scope,
        })
    }

    fn camera(
        &mut self,
        raw: raw::Camera,
        listener: &raw::Listener,
    ) -> Option<(Camera, Login, Range<usize>)> {
        let text = raw.address.get_ref();
        let address: Option<SocketAddr> =
            text.parse().ok().or_else(|| text.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, 80)));
        if address.is_none() {
            let remedy = "write the camera's IP address, or IP:port; names are not dialled";
            self.error(raw.address.span(), &format!("`{text}` is no IP address"), remedy);
        }
        let mac = match raw.mac.as_ref().map(|mac| mac.get_ref().as_str()) {
            None | Some("virtual") => MacPolicy::Virtual,
            Some("camera") => MacPolicy::Camera,
            Some(other) => {
                let span = raw.mac.as_ref().map_or(0..0, Spanned::span);
                self.error(
                    span,
                    &format!("`{other}` is no choice of mac"),
                    "write \"virtual\" or \"camera\"",
                );
                MacPolicy::Virtual
            }
        };
        let path = raw.device_path.as_ref().map_or("/onvif/device_service", |path| path.get_ref());
        if !path.starts_with('/') {
            let span = raw.device_path.as_ref().map_or(0..0, Spanned::span);
            self.error(span, "device_path does not begin with `/`", "write it as /onvif/device_service");
        }
        let password = self.secret(&raw.password);
        let (id, zone) = (self.name(&raw.name, CameraId::new), self.name(&raw.zone, ZoneId::new));
        let site = self.name(&raw.site, SiteId::new);
        let (address, host) = (address?, listener.advertise.as_ref().map(|host| host.get_ref().clone()));
        let camera = Camera {
            id: id?,
            address: CameraAddress { host: address.ip(), port: address.port() },
            device_path: path.to_owned(),
            zone: zone?,
            site: site?,
            vendor: Vendors::embedded().unwrap_or_default().verdict(raw.vendor.get_ref()),
            listen: SocketAddr::new(self.bind(listener), raw.listen_port.map_or(0, Spanned::into_inner)),
            advertise: host.unwrap_or_default(),
            advertise_rtsp: String::new(),
            mac,
            manufacturer: raw.manufacturer,
            model: raw.model,
        };
        Some((camera, Login { username: raw.username.into_inner(), password: password? }, raw.name.span()))
    }

    /// Without a port of its own a camera gets the next one; two cameras never share one.
    fn settle_port(
        &mut self,
        camera: &mut Camera,
        index: usize,
        listener: &raw::Listener,
        span: &Range<usize>,
        ports: &mut HashSet<u16>,
    ) {
        if camera.listen.port() == 0 {
            let first = listener.first_camera_port.as_ref().map_or(8081, |port| *port.get_ref());
            let port = u16::try_from(index).ok().and_then(|index| first.checked_add(index));
            camera.listen.set_port(port.unwrap_or(0));
        }
        let port = camera.listen.port();
        if port == 0 || !ports.insert(port) {
            let what = format!("camera `{}` has no port of its own ({port})", camera.id);
            self.error(span.clone(), &what, "give it a listen_port that no other camera has");
        }
        let host = match camera.advertise.as_str() {
            "" => camera.listen.ip().to_string(),
            host => host.to_owned(),
        };
        let host = if host.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{host}]") } else { host };
        let rtsp = listener.rtsp_port.as_ref().map_or(8554, |port| *port.get_ref());
        camera.advertise = format!("{host}:{port}");
        camera.advertise_rtsp = format!("{host}:{rtsp}");
    }

    fn bind(&mut self, listener: &raw::Listener) -> IpAddr {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let Some(bind) = &listener.bind else { return loopback };
        bind.get_ref().parse().unwrap_or_else(|_| {
            let what = format!("`{}` is no IP address", bind.get_ref());
            self.error(bind.span(), &what, "write the gateway's core-side address");
            loopback
        })
    }

    fn admin(&mut self, listen: Option<raw::Text>) -> AdminListen {
        let default = AdminListen::Tcp(SocketAddr::from(([127, 0, 0, 1], 9080)));
        let Some(listen) = listen else { return default };
        match listen.get_ref().parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => AdminListen::Tcp(address),
            Err(_) if listen.get_ref().contains('/') => AdminListen::Unix(self.base.join(listen.get_ref())),
            Ok(_) | Err(_) => {
                let remedy = "write \"127.0.0.1:port\" or the path of a unix socket";
                self.error(listen.span(), "the admin interface listens on loopback only", remedy);
                default
            }
        }
    }

    fn folder(&self, dir: Option<raw::Text>, default: &str) -> PathBuf {
        self.base.join(dir.as_ref().map_or(default, |dir| dir.get_ref()))
    }

    fn name<T>(&mut self, text: &raw::Text, make: impl Fn(&str) -> Result<T, NameError>) -> Option<T> {
        let span = text.span();
        make(text.get_ref()).map_err(|error| self.error(span, &error.to_string(), NAME_REMEDY)).ok()
    }

    fn prefixes(&mut self, texts: &[raw::Text]) -> Vec<IpNet> {
        let mut prefixes = Vec::new();
        for text in texts {
            match text.get_ref().parse() {
                Ok(prefix) => prefixes.push(prefix),
                Err(_) => {
                    let what = format!("`{}` is no network", text.get_ref());
                    self.error(text.span(), &what, "write it as 192.0.2.0/24");
                }
            }
        }
        prefixes
    }

    fn secret(&mut self, value: &Spanned<toml::Value>) -> Option<crate::auth::Secret> {
        let secret = secret::resolve(value.get_ref(), self.base, self.env);
        secret.map_err(|(what, remedy)| self.error(value.span(), &what, &remedy)).ok()
    }

    fn error(&mut self, span: Range<usize>, message: &str, remedy: &str) {
        self.say(Severity::Error, span, message, remedy);
    }

    fn say(&mut self, severity: Severity, span: Range<usize>, message: &str, remedy: &str) {
        let (file, source) = (self.path.to_owned(), self.source.clone());
        self.found.push(Diagnostic {
            severity,
            file,
            source,
            span,
            message: message.into(),
            remedy: remedy.into(),
        });
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
