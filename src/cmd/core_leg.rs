//! Watches, while the gateway serves, who speaks on the core side: a restricted device there hangs in no zone. On a
//! thread of its own, which asks nobody anything but `netd`, and says nothing on the network.

use std::{
    collections::BTreeSet,
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use serde_json::json;
use tokio::{net::UdpSocket, sync::oneshot};

use super::watcher::Watcher;
use crate::{
    alarm::{Alarm, Subject},
    audit::Event,
    config::Discovery,
    discovery::{Device, Ears, read},
    gate::Rules,
    inventory::{Evidence, MacAddress, SignalKind, VendorClass, VendorVerdict},
    isolation::{CORE_DEVICE, Core, CoreDevice, CoreSource, Desired, Rates},
    limits::{CORE_DEVICES_MAX, CORE_READ_INTERVAL, DISCOVERY_MESSAGE_BYTES_MAX},
    listener::House,
};

/// Watches until it is dropped. `discovery` says where virtual cameras speak, who are no devices on the core side.
pub(super) fn start(house: Arc<House>, discovery: &Option<Discovery>) -> io::Result<Watcher> {
    let own = discovery.iter().flat_map(|it| &it.addresses).map(IpNet::addr).collect();
    Watcher::start("core-leg", |stopped| Lookout::new(house, own).until(stopped))
}

/// Who it was that was seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    /// By its frames, at an interface.
    Frames(MacAddress, String),
    /// By what it says of itself, from an address.
    Says(IpAddr, String),
}

struct Lookout {
    house: Arc<House>,
    /// Where virtual cameras say that they are there.
    own: Vec<IpAddr>,
    ears: [Ear; 2],
    rates: Rates,
    /// Those that are on record.
    seen: BTreeSet<Who>,
    /// Packets of restricted makers' hardware addresses, as counted before.
    packets: Vec<CoreSource>,
    /// Changes of the counting rules that are on record.
    mended: u64,
    /// Nobody says who speaks there.
    blind: bool,
}

/// What hears one family, once it is open.
#[derive(Default)]
struct Ear {
    open: Option<(Ears, UdpSocket)>,
    failed: bool,
}

impl Who {
    /// What tells it from others on the core side.
    fn address(&self) -> String {
        match self {
            Self::Frames(mac, _) => mac.to_string(),
            Self::Says(address, _) => address.to_string(),
        }
    }
}

impl Lookout {
    fn new(house: Arc<House>, own: Vec<IpAddr>) -> Self {
        Self {
            house,
            own,
            ears: Default::default(),
            rates: Rates::default(),
            seen: BTreeSet::new(),
            packets: Vec::new(),
            mended: 0,
            blind: false,
        }
    }

    async fn until(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut tick = tokio::time::interval(CORE_READ_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut first, mut second) =
            (vec![0; DISCOVERY_MESSAGE_BYTES_MAX + 1], vec![0; DISCOVERY_MESSAGE_BYTES_MAX + 1]);
        loop {
            let [v4, v6] = &self.ears;
            let (message, from) = tokio::select! {
                _ = &mut stopped => return,
                _ = tick.tick() => {
                    tokio::select! {
                        _ = &mut stopped => return,
                        () = self.look() => continue,
                    }
                }
                heard = v4.hear(&mut first) => (first.get(..heard.0), heard.1),
                heard = v6.hear(&mut second) => (second.get(..heard.0), heard.1),
            };
            let message = message.unwrap_or_default().to_vec();
            if !self.own.contains(&from.ip()) && self.rates.admit(from.ip(), self.house.clock.monotonic()) {
                self.heard(&message, from.ip());
            }
        }
    }

    /// What the kernel counted, and whether there are interfaces to hear at. Only where there is a zone to keep
    /// devices apart.
    async fn look(&mut self) {
        let edition = self.house.edition.load_full();
        if !edition.rules.inventory().zones().any(|zone| Desired::of(zone).is_some()) {
            self.ears = Default::default();
            return self.tell_if_blind(None);
        }
        for (ear, v4) in self.ears.iter_mut().zip([true, false]) {
            ear.prick(v4);
        }
        let netd = self.house.netd.clone();
        match tokio::task::spawn_blocking(move || netd.core()).await {
            Ok(Ok(Core { sources, mended, trouble })) => {
                // What could not be read is not what is not there.
                if trouble.is_none() || !sources.is_empty() {
                    self.frames(&edition.rules, sources);
                }
                self.set_right(mended);
                self.tell_if_blind(trouble.as_deref());
            }
            Ok(Err(error)) => self.tell_if_blind(Some(&error.to_string())),
            Err(error) => self.tell_if_blind(Some(&error.to_string())),
        }
    }

    /// Says whether, and why, nobody sees who speaks on the core side.
    fn tell_if_blind(&mut self, trouble: Option<&str>) {
        let blind = trouble.is_some();
        if std::mem::replace(&mut self.blind, blind) != blind {
            tracing::warn!(
                why = trouble,
                "who speaks on the core side is {}counted",
                if blind { "not " } else { "" }
            );
        }
        self.house.gate.watch().alarms.set(Alarm::CoreUnwatched, Subject::Gateway, trouble);
    }

    /// Alarms about every restricted maker's device that has sent something since the look before.
    fn frames(&mut self, rules: &Rules, sources: Vec<CoreSource>) {
        for source in &sources {
            let before =
                self.packets.iter().find(|it| it.mac == source.mac && it.interface == source.interface);
            // A counter that is lower began anew.
            if before.is_some_and(|it| it.packets == source.packets) {
                continue;
            }
            let mut evidence = Evidence::default();
            evidence.add(SignalKind::Mac, &source.mac.to_string());
            let verdict = rules.inventory().vendors().judge(None, &evidence, None).verdict;
            // Most of what is on a core network is no camera: what nobody knows is nothing.
            if matches!(verdict.class, VendorClass::Restricted | VendorClass::OemRestricted) {
                self.found(Who::Frames(source.mac, source.interface.clone()), &verdict);
            }
        }
        self.packets = sources;
    }

    /// Alarms about a restricted device that says that it is there. It is a camera, so that one nobody knows counts as
    /// restricted.
    fn heard(&mut self, message: &[u8], from: IpAddr) {
        let Ok(message) = read(message) else { return };
        let edition = self.house.edition.load_full();
        for device in message.devices().iter().filter(|it| it.is_of_onvif()) {
            let verdict = edition.rules.inventory().vendors().judge(None, &evidence(device), None).verdict;
            if verdict.class.is_restricted() {
                let endpoint = device.endpoint.chars().filter(char::is_ascii_graphic).collect();
                self.found(Who::Says(from, endpoint), &verdict);
            }
        }
    }

    fn found(&mut self, who: Who, verdict: &VendorVerdict) {
        let watch = self.house.gate.watch();
        let found = format!("{who}: {}, {}", verdict.name, verdict.class);
        let is_known = self.seen.contains(&who);
        let has_place = is_known || self.seen.len() < CORE_DEVICES_MAX;
        // Each is an alarm of its own, as long as they are told apart: one that goes on must not hide the next.
        let subject = if has_place { Subject::Device(who.address(), None) } else { Subject::Gateway };
        watch.alarms.raise(Alarm::CoreDevice, subject, &found);
        if is_known || !has_place {
            return;
        }
        let (how, address, at) = match &who {
            Who::Frames(mac, interface) => ("frames", mac.to_string(), interface.clone()),
            Who::Says(address, endpoint) => ("discovery", address.to_string(), endpoint.clone()),
        };
        let told = CoreDevice {
            how: how.to_owned(),
            address,
            at,
            vendor: verdict.name.clone(),
            class: verdict.class.to_string(),
            reasons: verdict.reasons.clone(),
        };
        tracing::warn!(?told, "a restricted device is on the core side");
        self.house.gate.note(Event::new(CORE_DEVICE, json!(told)));
        self.seen.insert(who);
        watch.metrics.core_devices(self.seen.len());
    }

    /// Somebody changed the rules that count.
    fn set_right(&mut self, mended: u64) {
        if mended > self.mended {
            let found = "the rules that count who speaks on the core side were changed, and mended";
            self.house.gate.watch().alarms.raise(Alarm::IsolationDrift, Subject::Gateway, found);
        }
        self.mended = mended;
    }
}

impl Ear {
    /// Opens it, or has it hear on interfaces that came since.
    fn prick(&mut self, v4: bool) {
        if self.open.is_none() {
            let opened = Ears::open(v4).and_then(|ears| {
                let socket = UdpSocket::from_std(ears.socket()?)?;
                Ok((ears, socket))
            });
            match opened {
                Ok(opened) => self.open = Some(opened),
                Err(error) if !std::mem::replace(&mut self.failed, true) => {
                    let family = if v4 { "IPv4" } else { "IPv6" };
                    tracing::warn!(%error, "what devices on the core side say by {family} is not heard");
                }
                Err(_) => {}
            }
        }
        if let Some((ears, _)) = &self.open {
            ears.join();
        }
    }

    /// The next datagram; never, as long as it is not open.
    async fn hear(&self, buffer: &mut [u8]) -> (usize, SocketAddr) {
        match &self.open {
            Some((_, socket)) => match socket.recv_from(buffer).await {
                Ok(heard) => heard,
                Err(_) => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }
}

/// What a device shows by what it says of itself.
fn evidence(device: &Device) -> Evidence {
    let mut evidence = Evidence::default();
    evidence.add(SignalKind::Endpoint, &device.endpoint);
    device.scopes.iter().for_each(|scope| evidence.add_scope(scope));
    evidence
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frames(mac, interface) => write!(f, "{mac}, seen at {interface}"),
            Self::Says(address, endpoint) => write!(f, "{address} says by discovery that it is {endpoint}"),
        }
    }
}
