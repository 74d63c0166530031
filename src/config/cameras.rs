//! `[[camera]]`.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    ops::Range,
};

use toml::Spanned;

use super::{
    heads::{Listening, in_uri},
    raw,
    reader::{Declared, Reader},
    secure::over_tls,
};
use crate::{
    auth::Login,
    ids::{CameraId, SiteId, ZoneId},
    inventory::{
        Camera, CameraAddress, EventsWay, Evidence, Isolation, MacAddress, MacPolicy, Replacement,
        ReplacementState, Site, SiteException, VendorClass, VendorVerdict, Vendors, Zone,
    },
};

/// What cameras are put into.
pub(super) struct Surroundings<'a> {
    pub(super) listening: &'a Listening,
    /// The zones without errors.
    pub(super) zones: &'a [Zone],
    pub(super) zone_names: &'a Declared,
    pub(super) site_names: &'a Declared,
    /// The sites without errors.
    pub(super) sites: &'a [Site],
    pub(super) exceptions: BTreeMap<CameraId, SiteException>,
    pub(super) vendors: &'a Vendors,
    pub(super) ports: Ports,
}

/// What cameras are reached by and cannot be had twice.
#[derive(Default)]
pub(super) struct Ports {
    /// Ports in use, and what uses them: at an address of its own, or at the gateway's.
    pub(super) users: HashMap<u16, Vec<(Option<IpAddr>, String)>>,
    /// Paths in use, and whose they are.
    paths: HashMap<String, String>,
}

/// Who uses a port that cameras share.
const SHARED: &str = "cameras with a listen_path,";

impl Reader<'_> {
    pub(super) fn camera(
        &mut self,
        number: usize,
        raw: raw::Camera,
        around: &mut Surroundings<'_>,
    ) -> Option<(Camera, Login)> {
        let vendor = self.vendor(&raw, around);
        let address = self.address(&raw, around, &vendor);
        let certificates = self.camera_certificates(&raw);
        let mac = self.mac(raw.mac.as_ref());
        let hardware = self.hardware(&raw, around);
        let device_path = self.device_path(raw.device_path.as_ref());
        let quirks = self.quirks(raw.quirks.as_ref());
        let events = self.events_way(raw.events.as_ref());
        let streams = self.stream_ways(&raw, &vendor);
        let replacement = replacement(&raw);
        let own = self.own_address(&raw);
        let mount = self.mount(&raw, around);
        let port = self.port(number, &raw, own, around);
        let secure = self.secure_door(number, &raw, own, around);
        if raw.username.get_ref().is_empty() {
            self.error(
                raw.username.span(),
                "the user name is empty",
                "name the camera's user for the gateway",
            );
        }
        let password = self.secret(&raw.password);
        let id = self.name(&raw.name, CameraId::new);
        let zone = self.refer(&raw.zone, around.zone_names, ZoneId::new);
        let site = self.refer(&raw.site, around.site_names, SiteId::new);
        let (listening, port) = (around.listening, port?);
        let host = own.map_or_else(|| listening.host.clone(), |own| in_uri(&own.to_string()));
        let camera = Camera {
            id: id?,
            address: address?,
            certificates,
            mount,
            device_path,
            zone: zone?,
            site: site?,
            vendor,
            listen: SocketAddr::new(own.unwrap_or(listening.bind), port),
            advertise: format!("{host}:{port}"),
            secure,
            advertise_rtsp: format!("{}:{}", listening.host, listening.rtsp_port),
            advertise_rtsps: listening.rtsps_port.map(|port| format!("{}:{port}", listening.host)),
            hardware,
            mac,
            manufacturer: raw.manufacturer,
            model: raw.model,
            quirks,
            events,
            streams,
            replacement,
            exception: None,
            quarantined: false,
        };
        let exception = around.exceptions.get(&camera.id).cloned();
        let camera = Camera { exception, ..camera };
        self.judge_exceptions(&raw.name, &camera, around.sites);
        Some((camera, Login { username: raw.username.into_inner(), password: password? }))
    }

    fn vendor(&mut self, raw: &raw::Camera, around: &Surroundings<'_>) -> VendorVerdict {
        let decision = raw.vendor_decision.as_ref();
        if let Some((decision, lack)) = decision.and_then(|it| Some((it, it.get_ref().lack()?))) {
            self.error(decision.span(), lack, "fill in `by` and `because` of vendor_decision");
        }
        let (declared, decision) = (raw.vendor.get_ref(), decision.map(|it| it.get_ref()));
        let verdict = around.vendors.judge(Some(declared), &Evidence::default(), decision).verdict;
        if verdict.class == VendorClass::Unknown && decision.is_none() {
            let what = format!("maker `{}` is not in the vendor table: treated as restricted", verdict.name);
            self.warn(raw.vendor.span(), &what, "correct the name, if it is misspelt");
        }
        verdict
    }

    /// The address must be the camera's own, in its zone: anything else would be reached past the isolation.
    fn address(
        &mut self,
        raw: &raw::Camera,
        around: &Surroundings<'_>,
        vendor: &VendorVerdict,
    ) -> Option<CameraAddress> {
        let text = raw.address.get_ref();
        let usual = if over_tls(raw) { 443 } else { 80 };
        let host = text.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, usual));
        let Some(address) = host.or_else(|| text.parse().ok()).filter(|address| address.port() != 0) else {
            let remedy = "write the camera's IP address, or IP:port; names are not dialled";
            self.error(raw.address.span(), &format!("`{text}` is no IP address"), remedy);
            return None;
        };
        let zone = around.zones.iter().find(|zone| zone.id.as_str() == raw.zone.get_ref());
        if zone.is_some_and(|zone| !zone.contains(address.ip())) {
            let what = format!("{} lies outside zone `{}`", address.ip(), raw.zone.get_ref());
            self.error(
                raw.address.span(),
                &what,
                "correct the address or the zone, or add its network to the zone's prefixes",
            );
        }
        if vendor.class.is_restricted() && zone.is_some_and(|zone| zone.isolation == Isolation::None) {
            let what =
                format!("restricted camera `{}` hangs in a zone without isolation", raw.name.get_ref());
            self.warn(raw.zone.span(), &what, "set isolation = \"namespace\" on its zone");
        }
        Some(CameraAddress { host: address.ip(), port: address.port() })
    }

    fn mac(&mut self, raw: Option<&raw::Text>) -> MacPolicy {
        let Some(raw) = raw else { return MacPolicy::Virtual };
        match raw.get_ref().as_str() {
            "virtual" => MacPolicy::Virtual,
            "camera" => MacPolicy::Camera,
            other => {
                let what = format!("`{other}` is no choice of mac");
                self.error(raw.span(), &what, "write \"virtual\" or \"camera\"");
                MacPolicy::Virtual
            }
        }
    }

    fn events_way(&mut self, raw: Option<&raw::Text>) -> EventsWay {
        let Some(raw) = raw else { return EventsWay::default() };
        match raw.get_ref().as_str() {
            "pull" => EventsWay::Pull,
            "push" => EventsWay::Push,
            "off" => EventsWay::Off,
            other => {
                let what = format!("`{other}` is no choice of events");
                self.error(raw.span(), &what, "write \"pull\", \"push\" or \"off\"");
                EventsWay::Off
            }
        }
    }

    /// The camera's hardware address, which has a meaning only where its zone is isolated and no router is between.
    fn hardware(&mut self, raw: &raw::Camera, around: &Surroundings<'_>) -> Option<MacAddress> {
        let text = raw.hardware_address.as_ref()?;
        let read =
            text.get_ref().to_ascii_lowercase().parse().ok().filter(|it: &MacAddress| it.is_of_a_device());
        if read.is_none() {
            let what = format!("`{}` is no hardware address of a device", text.get_ref().escape_debug());
            self.error(text.span(), &what, "write it as 44:19:b6:00:00:01, as the camera's label has it");
        }
        let zone = around.zones.iter().find(|zone| zone.id.as_str() == raw.zone.get_ref());
        if zone.is_some_and(|zone| zone.isolation == Isolation::None) {
            let what = "a hardware address is not held to in a zone without isolation";
            self.warn(text.span(), what, "set isolation = \"namespace\" on its zone, or leave it out");
        }
        read
    }

    fn device_path(&mut self, raw: Option<&raw::Text>) -> String {
        let Some(raw) = raw else { return "/onvif/device_service".to_owned() };
        let path = raw.get_ref();
        if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            let what = format!("`{path}` is no path of an HTTP address");
            self.error(raw.span(), &what, "write it as /onvif/device_service");
        }
        path.clone()
    }

    /// The core-side address that is this virtual camera's alone.
    fn own_address(&mut self, raw: &raw::Camera) -> Option<IpAddr> {
        let text = raw.listen_address.as_ref()?;
        let address: Option<IpAddr> = text.get_ref().parse().ok();
        let usable = address.filter(|it| !it.is_unspecified() && !it.is_multicast());
        if usable.is_none() {
            let what = format!("`{}` is no IP address clients can call", text.get_ref());
            self.error(text.span(), &what, "write a core-side address of this machine's, without port");
        }
        usable
    }

    /// The path of a camera that shares its listeners; empty for one that has its own.
    fn mount(&mut self, raw: &raw::Camera, around: &mut Surroundings<'_>) -> String {
        let Some(path) = &raw.listen_path else { return String::new() };
        let text = path.get_ref();
        let segment = text.strip_prefix('/').filter(|it| CameraId::new(it).is_ok() && *it != "onvif");
        if segment.is_none() {
            let what = format!("`{}` is no path for a camera", text.escape_debug());
            self.error(
                path.span(),
                &what,
                "write one segment such as \"/gate\", of `a-z 0-9 - _ .`; not \"/onvif\"",
            );
        }
        if let Some(own) = &raw.listen_address {
            let remedy = "leave out listen_address or listen_path";
            self.error(own.span(), "a camera has an address of its own or shares one by path", remedy);
        }
        if let Some(other) = around.ports.paths.insert(text.clone(), raw.name.get_ref().clone()) {
            let what = format!("path {text} is taken by camera `{other}`");
            self.error(path.span(), &what, "give each camera a listen_path of its own");
        }
        text.clone()
    }

    /// Without a port of its own, the camera gets 80 at an address of its own, else one by its place in the
    /// file. Two never share a port at one address.
    fn port(
        &mut self,
        number: usize,
        raw: &raw::Camera,
        own: Option<IpAddr>,
        around: &mut Surroundings<'_>,
    ) -> Option<u16> {
        let span = raw.listen_port.as_ref().map_or(raw.name.span(), Spanned::span);
        let next = || match own {
            Some(_) => Some(80),
            None if raw.listen_path.is_some() => Some(around.listening.path_port),
            None => u16::try_from(number).ok()?.checked_add(around.listening.first_camera_port),
        };
        let asked = raw.listen_port.as_ref().map_or_else(next, |port| Some(*port.get_ref()));
        self.take_port(asked, span, "listen_port", raw, own, around)
    }

    /// Takes a port for a camera, unless something else has it; the camera's own key for it is `key`.
    pub(super) fn take_port(
        &mut self,
        asked: Option<u16>,
        span: Range<usize>,
        key: &str,
        raw: &raw::Camera,
        own: Option<IpAddr>,
        around: &mut Surroundings<'_>,
    ) -> Option<u16> {
        let remedy = &format!("give the camera a {key} that nothing else has");
        let Some(port) = asked else {
            self.error(span, "there are more cameras than ports", "spread them over more gateways");
            return None;
        };
        if port == 0 {
            self.error(span, "0 is no port", remedy);
            return None;
        }
        // The gateway's address may be every address of the machine.
        let users = around.ports.users.entry(port).or_default();
        let mut taken = users.iter().filter(|(at, _)| at.is_none() || own.is_none() || *at == own);
        let shared = raw.listen_path.is_some();
        let name =
            if shared { format!("{SHARED} for `{key}`") } else { format!("camera `{}`", raw.name.get_ref()) };
        if shared && users.iter().any(|(at, user)| *at == own && *user == name) {
            return Some(port);
        }
        if let Some((_, user)) = taken.next() {
            self.error(span, &format!("port {port} is taken by {user}"), remedy);
            return None;
        }
        users.push((own, name));
        Some(port)
    }
}

/// A day without a word about it is a plan.
fn replacement(raw: &raw::Camera) -> Option<Replacement> {
    let by = raw.replace_by.as_ref().map(|it| it.get_ref().0);
    let state = raw.replacement.as_ref().map(|it| *it.get_ref());
    let state = state.or_else(|| by.map(|_| ReplacementState::Planned))?;
    Some(Replacement { state, by })
}
