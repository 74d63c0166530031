//! One virtual camera.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use super::{
    asked::Entrance,
    identity::{FacadeKey, Identity},
    locators::LocatorKind,
    rewrite::RewriteRefusal,
    services::{DEVICE, ServiceFacts, ServiceNames, learn_services, own_port},
};
use crate::{
    hatch::Endpoint,
    ids::CameraId,
    inventory::Camera,
    limits::{CAMERA_PATH_BYTES_MAX, CLAIMED_SCOPE_BYTES_MAX, CLAIMED_SCOPES_MAX, SERVICE_LIST_BYTES_MAX},
    schema::{Deviations, Document, OperationId, Tables, address::parse_ip_literal},
};

/// What all virtual cameras share.
#[derive(Debug)]
pub struct FacadeShared {
    pub(super) tables: Arc<Tables>,
    pub(super) names: ServiceNames,
    pub(super) key: FacadeKey,
}

impl FacadeShared {
    /// Prepares what is read off the tables once.
    pub fn new(tables: Arc<Tables>, key: FacadeKey) -> Arc<Self> {
        let names = ServiceNames::new(&tables);
        Arc::new(Self { tables, names, key })
    }

    /// Which namespace is which service.
    pub fn names(&self) -> &ServiceNames {
        &self.names
    }

    /// The key that locators are made with.
    pub fn key(&self) -> &FacadeKey {
        &self.key
    }
}

/// What was heard from the camera behind the virtual one.
#[derive(Debug, Default, Clone)]
pub struct Heard {
    /// Its services, from whichever list it gave.
    pub services: Vec<ServiceFacts>,
    /// What it calls the port at which its device service answers.
    pub own_port: Option<u16>,
    /// Its GetServices answer, verified, and what is missing in it.
    pub service_list: Option<(Document, Deviations)>,
    /// Its GetCapabilities answer, verified, and what is missing in it.
    pub capability_list: Option<(Document, Deviations)>,
    /// The scopes in which it claims profiles and types.
    pub profiles: Vec<String>,
    /// The model it claims.
    pub model: Option<String>,
}

/// One virtual camera: what it answers itself, and how it shows what the camera says.
#[derive(Debug)]
pub struct Facade {
    pub(super) shared: Arc<FacadeShared>,
    pub(super) camera: Camera,
    pub(super) identity: Identity,
    heard: RwLock<Arc<Heard>>,
}

impl Facade {
    /// Makes the virtual camera for an enrolled one.
    pub fn new(shared: &Arc<FacadeShared>, camera: &Camera) -> Self {
        let address = advertised_address(camera);
        Self {
            identity: Identity::derive(&shared.key, &camera.id, address),
            shared: Arc::clone(shared),
            camera: camera.clone(),
            heard: RwLock::default(),
        }
    }

    /// What all virtual cameras share.
    pub fn shared(&self) -> &FacadeShared {
        &self.shared
    }

    /// The camera it stands for.
    pub fn camera(&self) -> &CameraId {
        &self.camera.id
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What was heard from the camera so far.
    pub fn heard(&self) -> Arc<Heard> {
        Arc::clone(&self.heard.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes up a verified answer of the camera to one of the gateway's own requests: GetServices,
    /// GetCapabilities, GetScopes, GetDeviceInformation. Others are ignored; a list that is longer than any is not
    /// taken up, since it is kept for as long as the camera is configured.
    pub fn learn(&self, answer: Document, deviations: &Deviations) -> Result<(), RewriteRefusal> {
        if answer.bytes() > SERVICE_LIST_BYTES_MAX {
            return Err(RewriteRefusal::LongList);
        }
        let mut heard = (*self.heard()).clone();
        let root = answer.root();
        let text = |local| root.child(local).map(|it| it.text().trim().to_owned());
        let secure = self.camera.certificates.is_some();
        if matches!(root.local(), "GetServicesResponse" | "GetCapabilitiesResponse") {
            heard.own_port = own_port(&self.shared.names, &answer, secure).or(heard.own_port);
        }
        match root.local() {
            "GetServicesResponse" => {
                let services = learn_services(&self.shared.names, &answer, secure);
                // Some answer with a list of nothing, and say in the older one what they have.
                if services.is_empty() {
                    return Ok(());
                }
                heard.services = services;
                heard.service_list = Some((answer, deviations.incomplete()));
            }
            "GetCapabilitiesResponse" => {
                if heard.service_list.is_none() {
                    heard.services = learn_services(&self.shared.names, &answer, secure);
                }
                heard.capability_list = Some((answer, deviations.incomplete()));
            }
            "GetScopesResponse" => heard.profiles = claimed_profiles(&answer),
            "GetDeviceInformationResponse" => heard.model = text("Model"),
            _ => return Ok(()),
        }
        *self.heard.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(heard);
        Ok(())
    }

    /// Where on the camera an operation is asked: the endpoint it named for the service, the enrolled one
    /// for the device service. None if the camera was not heard to offer the service.
    pub fn endpoint(&self, operation: OperationId) -> Option<Endpoint> {
        let service = &*self.shared.tables.operation(operation)?.service;
        let service = if service.starts_with("events") { "events" } else { service };
        if service == DEVICE {
            return Some(Endpoint { port: None, path_and_query: self.camera.device_path.clone() });
        }
        let heard = self.heard();
        heard.services.iter().find(|it| &*it.service == service).map(|it| it.endpoint.clone())
    }

    /// Where on the camera a subscription is asked that it named so. Of an address only port, path and query count,
    /// however the rest of it is; what is no address leads to the event service.
    pub fn subscription_endpoint(&self, named: &str, operation: OperationId) -> Option<Endpoint> {
        let service = || self.endpoint(operation);
        let named = named.trim();
        let rest = ["http://", "https://"].iter().find_map(|scheme| {
            let (start, rest) = named.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        });
        let Some(rest) = rest else { return service() };
        let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(at)?;
        let path = path.split('#').next().unwrap_or_default();
        let is_plain = path.starts_with('/')
            && path.len() <= CAMERA_PATH_BYTES_MAX
            && path.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_plain {
            return service();
        }
        // The port may stand there twice; that of the service is told by the same camera.
        let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).filter(|it| *it != 0);
        let usual = if self.camera.certificates.is_some() { 443 } else { 80 };
        let port = match (port, authority.is_empty()) {
            (Some(port), _) => Some(port),
            (None, true) => None,
            (None, false) => Some(usual),
        };
        // What the camera calls the port of its device service is the enrolled one, however it is mapped.
        let own = self.heard().own_port.unwrap_or(self.camera.address.port);
        let port = port.filter(|it| *it != own);
        Some(Endpoint { port, path_and_query: path.to_owned() })
    }

    /// The service whose endpoint is at a path of this virtual camera.
    pub fn service_at(&self, path: &str) -> Option<&str> {
        self.shared.names.at_path(path)
    }

    /// Where clients find a service.
    pub fn service_address(&self, service: &str, entrance: Entrance) -> String {
        format!("{}{}", self.origin(entrance), ServiceNames::path(service))
    }

    /// What the HTTP addresses of the virtual camera begin with.
    fn origin(&self, entrance: Entrance) -> String {
        let Camera { secure, advertise, mount, .. } = &self.camera;
        match (entrance, secure) {
            (Entrance::Secure, Some(door)) => format!("https://{}{mount}", door.advertise),
            (Entrance::Plain, _) | (Entrance::Secure, None) => format!("http://{advertise}{mount}"),
        }
    }

    /// Where clients find a stream; over TLS if they are to and can.
    pub fn stream_address(&self, token: &str, over_tls: bool) -> String {
        match self.camera.advertise_rtsps.as_ref().filter(|_| over_tls) {
            Some(secure) => format!("rtsps://{secure}/{token}"),
            None => format!("rtsp://{}/{token}", self.camera.advertise_rtsp),
        }
    }

    /// Where clients find a stream in a tunnel (ONVIF Media §5.15.1: at the port of the web service).
    pub fn tunnel_address(&self, token: &str, entrance: Entrance) -> String {
        format!("{}{STREAM_PATH}{token}", self.origin(entrance))
    }

    /// What stands before the place of tunnels in a path, and the token after it with all that follows.
    pub fn tunnel_at(path: &str) -> Option<(&str, &str)> {
        path.split_once(STREAM_PATH)
    }

    /// Where a WebSocket carries streams, as ONVIF writes it: a path without an authority (Streaming Specification
    /// §5.1.1.6). Streams have their usual addresses within.
    pub fn sockets_address(&self) -> String {
        format!("ws:{}{SOCKETS_PATH}", self.camera.mount)
    }

    /// What stands before the place of WebSockets in a path, if that is where it leads.
    pub fn sockets_at(path: &str) -> Option<&str> {
        path.strip_suffix(SOCKETS_PATH)
    }

    /// Where clients find a snapshot.
    pub fn snapshot_address(&self, token: &str, entrance: Entrance) -> String {
        format!("{}{SNAPSHOT_PATH}{token}", self.origin(entrance))
    }

    /// Where clients find a file.
    pub fn download_address(&self, token: &str, entrance: Entrance) -> String {
        format!("{}{DOWNLOAD_PATH}{token}", self.origin(entrance))
    }

    /// Where clients send a file.
    pub fn upload_address(&self, token: &str, entrance: Entrance) -> String {
        format!("{}{UPLOAD_PATH}{token}", self.origin(entrance))
    }

    /// Where clients pull the events of a subscription, renew it and end it.
    pub fn subscription_address(&self, token: &str, entrance: Entrance) -> String {
        format!("{}{SUBSCRIPTION_PATH}{token}", self.origin(entrance))
    }

    /// The token in the path of a request about a subscription.
    pub fn subscription_at(path: &str) -> Option<&str> {
        path.strip_prefix(SUBSCRIPTION_PATH)
    }

    /// The token in the path of a request for a picture or a file.
    pub fn token_at(path: &str) -> Option<(LocatorKind, &str)> {
        let places = [
            (LocatorKind::Snapshot, SNAPSHOT_PATH),
            (LocatorKind::Download, DOWNLOAD_PATH),
            (LocatorKind::Upload, UPLOAD_PATH),
        ];
        places.into_iter().find_map(|(kind, place)| Some((kind, path.strip_prefix(place)?)))
    }

    /// The port in a `host:port` of the configuration; the scheme's where it names none.
    pub(super) fn port(authority: &str, default: u16) -> u16 {
        let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        port.unwrap_or(default)
    }
}

const STREAM_PATH: &str = "/onvif/stream/";
const SOCKETS_PATH: &str = "/onvif/streams";
const SNAPSHOT_PATH: &str = "/onvif/snapshot/";
const UPLOAD_PATH: &str = "/onvif/upload/";
const DOWNLOAD_PATH: &str = "/onvif/download/";
const SUBSCRIPTION_PATH: &str = "/onvif/subscription/";

/// The address clients dial, if it is a literal; else the one listened on, if that is a single one.
fn advertised_address(camera: &Camera) -> Option<IpAddr> {
    let authority = camera.advertise.as_str();
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    let listened = Some(camera.listen.ip()).filter(|ip| !ip.is_unspecified());
    parse_ip_literal(host).or(listened)
}

/// The scopes that say what a device can do; those that say where and who it is are the gateway's own.
fn claimed_profiles(answer: &Document) -> Vec<String> {
    let items = answer.root().children().filter_map(|scope| scope.child("ScopeItem"));
    let texts = items.map(|item| item.text().trim().to_owned());
    let claims = |text: &String| {
        let kind = text.strip_prefix("onvif://www.onvif.org/");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-');
        kind.is_some_and(|kind| {
            (kind.starts_with("Profile/") || kind.starts_with("type/"))
                && text.len() <= CLAIMED_SCOPE_BYTES_MAX
                && kind.bytes().all(plain)
        })
    };
    texts.filter(claims).take(CLAIMED_SCOPES_MAX).collect()
}
