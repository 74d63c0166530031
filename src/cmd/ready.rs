//! The ready file: what is served where, for scripts.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{files, gateway::Gateway};
use crate::{config::Loaded, inventory::Camera};

/// What the ready file says, taken down before the configuration is served.
pub(super) struct Description {
    config: PathBuf,
    state_dir: PathBuf,
    audit_dir: PathBuf,
    clients: Vec<Value>,
    cameras: Vec<Value>,
    http: Option<String>,
    https: Option<String>,
    rtsp: Option<String>,
    discovery: Option<String>,
}

impl Description {
    /// Takes down a configuration. Passwords stay out: only the demo, which made them up, adds them.
    pub(super) fn of(loaded: &Loaded, config: PathBuf) -> Self {
        let clients = loaded.clients.iter();
        let cameras: Vec<&Camera> = loaded.inventory.cameras().collect();
        Self {
            config,
            state_dir: loaded.state_dir.clone(),
            audit_dir: loaded.audit_dir.clone(),
            clients: clients.map(|it| json!({ "name": it.id.as_str(), "role": it.role.as_str() })).collect(),
            cameras: cameras.iter().map(|it| camera(it)).collect(),
            https: cameras
                .iter()
                .find_map(|it| it.secure.as_ref())
                .map(|it| format!("https://{}", it.advertise)),
            http: cameras.first().map(|it| format!("http://{}", it.advertise)),
            rtsp: cameras.first().map(|it| format!("rtsp://{}", it.advertise_rtsp)),
            discovery: loaded
                .discovery
                .as_ref()
                .and_then(|it| Some(SocketAddr::new(it.addresses.first()?.addr(), it.port).to_string())),
        }
    }

    /// Adds the clients' passwords, in the order of the configuration.
    pub(super) fn with_passwords<'a>(mut self, passwords: impl Iterator<Item = &'a str>) -> Self {
        for (client, password) in self.clients.iter_mut().zip(passwords) {
            if let Some(client) = client.as_object_mut() {
                client.insert("password".into(), password.into());
            }
        }
        self
    }

    /// Writes the file and renames it into place.
    pub(super) fn write(&self, file: &Path, gateway: &Gateway, admin: &str) -> io::Result<()> {
        let urls = [
            ("http", &self.http),
            ("https", &self.https),
            ("rtsp", &self.rtsp),
            ("discovery", &self.discovery),
        ];
        let core: serde_json::Map<String, Value> = urls
            .into_iter()
            .filter_map(|(key, url)| Some((key.to_owned(), url.as_deref()?.into())))
            .collect();
        let ready = json!({
            "core": core,
            "admin": admin,
            "config": self.config,
            "state_dir": self.state_dir,
            "audit": { "dir": self.audit_dir, "public_key": gateway.public_key_file() },
            "clients": self.clients,
            "cameras": self.cameras,
        });
        files::replace(file, format!("{ready:#}\n").as_bytes())
    }
}

fn camera(camera: &Camera) -> Value {
    let scheme = if camera.certificates.is_some() { "https" } else { "http" };
    json!({
        "name": camera.id.as_str(),
        "vendor": camera.vendor.name,
        "restricted": camera.vendor.class.is_restricted(),
        "xaddr": format!("http://{}{}/onvif/device_service", camera.advertise, camera.mount),
        "upstream": format!("{scheme}://{}{}", camera.address, camera.device_path),
    })
}
