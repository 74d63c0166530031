//! Looks for cameras in zones, on a thread of its own: asks everybody in an isolated zone and each address of what is to
//! be swept, and hears who comes and goes. What is found is a candidate; nobody is called or enrolled because of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket as Plain},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ipnet::IpNet;
use jiff::Timestamp;
use rustix::net::{netdevice::name_to_index, sockopt};
use serde_json::{Value, json};
use tokio::{net::UdpSocket, sync::oneshot, task::AbortHandle};

use super::{
    candidates::{self, Judged},
    watcher::{Watcher, look_until},
};
use crate::{
    audit::Event,
    auth::Caller,
    command::{AdminAction, Command, Operation, Reason},
    discovery::{Body, Change, Form, read, swept},
    gate::{Disposal, Ended},
    ids::ZoneId,
    inventory::{Isolation, Leg, Zone},
    isolation::{
        NetdError, Rates,
        group::{DISCOVERY_PORT, GROUP4, GROUP6},
    },
    limits::{
        CANDIDATES_TOLD_MAX, DISCOVERY_MESSAGE_BYTES_MAX, ENDPOINT_CHARS_TOLD_MAX, SEARCH_ANSWER_TIME_MAX,
        SEARCH_FORM_PAUSE, SEARCH_INTERVAL, SEARCH_LOOK_INTERVAL, SUMMARY_PERIOD, SWEEP_PAUSE,
    },
    listener::House,
    schema::{AccessClass, Traits},
};

/// Looks for cameras until it is dropped.
pub(super) fn start(house: Arc<House>) -> io::Result<Watcher> {
    let searches = Searches { house, zones: BTreeMap::new(), judged: Judged::default() };
    Watcher::start("search", |stopped| searches.until(stopped))
}

struct Searches {
    house: Arc<House>,
    zones: BTreeMap<ZoneId, Search>,
    judged: Judged,
}

impl Searches {
    async fn until(mut self, stopped: oneshot::Receiver<()>) {
        look_until(stopped, SEARCH_LOOK_INTERVAL, async || self.look().await).await;
        self.zones.values().for_each(|it| it.tell(&self.house));
    }

    /// One look at every zone that there is now.
    async fn look(&mut self) {
        let edition = self.house.edition.load_full();
        let inventory = edition.rules.inventory();
        self.zones.retain(|id, search| {
            let stays = inventory.zone(id) == Some(&*search.zone);
            if !stays {
                search.tell(&self.house);
            }
            stays
        });
        self.house
            .candidates
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keep(|zone| inventory.zone(zone).is_some());
        let searched = |zone: &&Zone| leg(zone).is_some() || !zone.sweep.is_empty();
        for zone in inventory.zones().filter(searched) {
            let new = || Search::new(zone, self.house.clock.monotonic());
            let search = self.zones.entry(zone.id.clone()).or_insert_with(new);
            search.look(&self.house).await;
        }
        if self.judged.is_due(self.house.clock.monotonic()) {
            let house = Arc::clone(&self.house);
            // It cannot fail but by a panic, which is told as one.
            if let Ok(rows) = tokio::task::spawn_blocking(move || candidates::rows(&house)).await {
                self.judged.take(&rows, &self.house);
            }
        }
    }
}

/// How the gateway stands in a zone that is isolated.
fn leg(zone: &Zone) -> Option<&Leg> {
    match &zone.isolation {
        Isolation::Namespace(leg) => Some(leg),
        Isolation::None => None,
    }
}

/// The search in one zone.
struct Search {
    zone: Arc<Zone>,
    open: Option<Open>,
    failed: bool,
    told: Arc<Mutex<Told>>,
}

/// The tasks that hear and ask.
struct Open(Vec<AbortHandle>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Search {
    fn new(zone: &Zone, now: Duration) -> Self {
        let told = Arc::new(Mutex::new(Told { since: now, ..Told::default() }));
        Self { zone: Arc::new(zone.clone()), open: None, failed: false, told }
    }

    /// Opens what is not open, while the zone is isolated; its sockets would be another namespace's otherwise.
    async fn look(&mut self, house: &Arc<House>) {
        let now = house.clock.monotonic();
        if now.saturating_sub(self.told().since) >= SUMMARY_PERIOD {
            self.tell(house);
        }
        if house.gate.watch().zones.trouble(&self.zone).is_some() {
            self.open = None;
            return;
        }
        if self.open.is_some() {
            return;
        }
        match self.sockets(house).await {
            Ok(sockets) => {
                self.failed = false;
                self.open = Some(self.begin(house, sockets));
            }
            Err(error) if !std::mem::replace(&mut self.failed, true) => {
                tracing::warn!(zone = %self.zone.id, %error, "no camera is looked for in the zone");
            }
            Err(_) => {}
        }
    }

    /// One socket for each family, and one that hears the group, where the zone has it for itself.
    async fn sockets(&self, house: &House) -> Result<Vec<Mouth>, NetdError> {
        let zone = Arc::clone(&self.zone);
        let netd = house.netd.clone();
        let made = tokio::task::spawn_blocking(move || {
            let Some(leg) = leg(&zone) else { return Mouth::plain(&zone.sweep) };
            let mut mouths = Vec::new();
            for v4 in [true, false] {
                let mut own = leg.addresses.iter().map(ipnet::IpNet::addr);
                let Some(own) = own.find(|it| it.is_ipv4() == v4) else { continue };
                let socket = netd.datagrams(&zone.id, SocketAddr::new(own, DISCOVERY_PORT))?;
                let group = netd.group(&zone.id, v4)?;
                let interface = leg.attachment.interface();
                mouths.push(Mouth::in_zone(socket, group, own, &interface).map_err(|_| NetdError::Other)?);
            }
            Ok(mouths)
        });
        made.await.map_err(|_| NetdError::Other)?
    }

    fn begin(&self, house: &Arc<House>, mouths: Vec<Mouth>) -> Open {
        let (mut tasks, mut voices) = (Vec::new(), Vec::new());
        for Mouth { socket, group, everybody } in mouths {
            let opened = UdpSocket::from_std(socket).and_then(|socket| {
                Ok((Arc::new(socket), group.map(UdpSocket::from_std).transpose()?.map(Arc::new)))
            });
            let Ok((socket, group)) = opened else { continue };
            for socket in std::iter::once(&socket).chain(&group) {
                let ear = Ear {
                    house: Arc::clone(house),
                    zone: Arc::clone(&self.zone),
                    told: Arc::clone(&self.told),
                };
                tasks.push(tokio::spawn(ear.hear(Arc::clone(socket))).abort_handle());
            }
            voices.push(Voice { socket, everybody });
        }
        let asker = Asker { house: Arc::clone(house), zone: Arc::clone(&self.zone), voices };
        tasks.push(tokio::spawn(asker.ask_for_ever()).abort_handle());
        Open(tasks)
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, house: &House) {
        self.told().tell(house, &self.zone.id);
    }
}

/// Sockets of one family, before they are a runtime's.
struct Mouth {
    socket: Plain,
    group: Option<Plain>,
    everybody: Option<SocketAddr>,
}

impl Mouth {
    /// For a zone that is not isolated: each address is asked, and nobody in general. One for each family that is swept;
    /// where one cannot be had, the other is asked all the same.
    fn plain(sweep: &[IpNet]) -> Result<Vec<Self>, NetdError> {
        let families: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let swept =
            families.into_iter().filter(|any| sweep.iter().any(|it| it.addr().is_ipv4() == any.is_ipv4()));
        let open = |any: IpAddr| Plain::bind((any, 0)).and_then(|it| it.set_nonblocking(true).map(|()| it));
        let sockets = swept.filter_map(|any| {
            open(any)
                .inspect_err(
                    |error| tracing::warn!(%error, %any, "cameras of this family are not looked for"),
                )
                .ok()
        });
        let mouths: Vec<_> = sockets.map(|socket| Self { socket, group: None, everybody: None }).collect();
        if mouths.is_empty() { Err(NetdError::Other) } else { Ok(mouths) }
    }

    /// On sockets that were made in the zone's namespace, whose interfaces they know.
    fn in_zone(socket: Plain, group: Plain, own: IpAddr, interface: &str) -> io::Result<Self> {
        let everybody = match own {
            IpAddr::V4(own) => {
                sockopt::set_ip_multicast_if(&socket, &own)?;
                SocketAddr::new(GROUP4.into(), DISCOVERY_PORT)
            }
            IpAddr::V6(_) => {
                let index = name_to_index(&socket, interface)?;
                sockopt::set_ipv6_multicast_if(&socket, index)?;
                SocketAddrV6::new(GROUP6, DISCOVERY_PORT, 0, index).into()
            }
        };
        Ok(Self { socket, group: Some(group), everybody: Some(everybody) })
    }
}

/// Hears what cameras of a zone say.
struct Ear {
    house: Arc<House>,
    zone: Arc<Zone>,
    told: Arc<Mutex<Told>>,
}

impl Ear {
    async fn hear(self, socket: Arc<UdpSocket>) {
        let mut buffer = vec![0; DISCOVERY_MESSAGE_BYTES_MAX + 1];
        let mut rates = Rates::default();
        loop {
            // An error is about something that was sent, and over with this call.
            let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
            if rates.admit(from.ip(), self.house.clock.monotonic()) {
                self.take(buffer.get(..length).unwrap_or_default(), from.ip());
            } else {
                self.told.lock().unwrap_or_else(PoisonError::into_inner).over_rate += 1;
            }
        }
    }

    fn take(&self, bytes: &[u8], from: IpAddr) {
        let from = from.to_canonical();
        let own = leg(&self.zone).is_some_and(|leg| leg.addresses.iter().any(|it| it.addr() == from));
        let message = match read(bytes) {
            _ if own || !self.zone.contains(from) => None,
            read => read.ok(),
        };
        let Some(Body::Devices(kind, devices)) = message.map(|it| it.body) else {
            self.told.lock().unwrap_or_else(PoisonError::into_inner).not_taken += 1;
            return;
        };
        let now = self.house.clock.now();
        // Who speaks at an address is one device.
        for device in devices.iter().take(1) {
            let mut candidates = self.house.candidates.lock().unwrap_or_else(PoisonError::into_inner);
            let change = candidates.hear(&self.zone.id, from, kind, device, now);
            drop(candidates);
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.take(from, change, &device.endpoint, now);
        }
    }
}

/// Asks in a zone, by one family.
struct Voice {
    socket: Arc<UdpSocket>,
    everybody: Option<SocketAddr>,
}

/// Asks in a zone.
struct Asker {
    house: Arc<House>,
    zone: Arc<Zone>,
    voices: Vec<Voice>,
}

impl Asker {
    async fn ask_for_ever(self) {
        let mut number = 0;
        loop {
            self.round(&mut number).await;
            tokio::time::sleep(SEARCH_INTERVAL).await;
        }
    }

    /// Asks everybody, then each address that is to be swept. On record before the first question and after the last.
    async fn round(&self, number: &mut u64) {
        let edition = self.house.edition.load_full();
        let sweep: Vec<String> = self.zone.sweep.iter().map(ToString::to_string).collect();
        let everybody = self.voices.iter().any(|it| it.everybody.is_some());
        let arguments = json!({ "zone": self.zone.id.as_str(), "everybody": everybody, "sweep": sweep });
        let command = Command {
            request: self.house.request_id(),
            camera: None,
            operation: Operation::Admin(AdminAction::Discover),
            class: AccessClass::WriteSystem,
            traits: Traits::NONE,
            destinations: Vec::new(),
            arguments,
        };
        let caller = Caller::Gateway(Reason::Discovery);
        let mut pass = match self.house.gate.decide(&edition.rules, command, &caller, None).await {
            Ok(pass) => pass,
            Err(refusal) => {
                tracing::warn!(zone = %self.zone.id, %refusal, "cameras are not looked for in the zone");
                return;
            }
        };
        // The policies may change; the question is the same.
        drop(edition);
        if !pass.sending() {
            return;
        }
        let began = self.house.clock.now();
        let identifier = u128::from(self.house.request_id().bits()) << 64;
        let mut sent = 0_u64;
        for form in Form::ALL {
            for voice in &self.voices {
                let Some(everybody) = voice.everybody else { continue };
                *number += 1;
                let text = form.probe(identifier | u128::from(*number));
                sent += u64::from(voice.socket.send_to(text.as_bytes(), everybody).await.is_ok());
            }
            tokio::time::sleep(SEARCH_FORM_PAUSE).await;
        }
        for address in swept(&self.zone.sweep) {
            let alike =
                |it: &&Voice| it.socket.local_addr().is_ok_and(|own| own.is_ipv4() == address.is_ipv4());
            let Some(voice) = self.voices.iter().find(alike) else { continue };
            if voice.socket.local_addr().is_ok_and(|own| own.ip() == address) {
                continue;
            }
            for form in Form::ALL {
                *number += 1;
                let text = form.probe(identifier | u128::from(*number));
                let to = SocketAddr::new(address, DISCOVERY_PORT);
                sent += u64::from(voice.socket.send_to(text.as_bytes(), to).await.is_ok());
            }
            tokio::time::sleep(SWEEP_PAUSE).await;
        }
        tokio::time::sleep(SEARCH_ANSWER_TIME_MAX).await;
        let note = format!("{sent} questions sent; {} devices heard meanwhile", self.heard_since(began));
        pass.finish(Ended {
            disposal: Disposal::Answered,
            status: None,
            fault: None,
            deviations: Vec::new(),
            bytes: 0,
            note: Some(note),
        });
    }

    fn heard_since(&self, began: Timestamp) -> usize {
        let candidates = self.house.candidates.lock().unwrap_or_else(PoisonError::into_inner);
        candidates.iter().filter(|(zone, _, it)| **zone == self.zone.id && it.last >= began).count()
    }
}

/// What is to be recorded of who came and went in a zone.
#[derive(Debug, Default)]
struct Told {
    since: Duration,
    /// Messages of devices, and how many of them changed something.
    heard: u64,
    changed: u64,
    /// Messages that were of no device, or of none of the zone.
    not_taken: u64,
    /// Messages that were not read, since too many came.
    over_rate: u64,
    named: Vec<Value>,
    addresses: BTreeSet<IpAddr>,
}

impl Told {
    fn take(&mut self, from: IpAddr, change: Change, endpoint: &str, now: Timestamp) {
        self.heard += 1;
        let what = match change {
            Change::New => "new",
            Change::Other => "another device",
            Change::Gone => "gone",
            Change::Same | Change::Nothing => return,
        };
        self.changed += 1;
        // Who changes all the time is named once a period.
        if self.named.len() < CANDIDATES_TOLD_MAX && self.addresses.insert(from) {
            let endpoint: String =
                endpoint.chars().filter(char::is_ascii_graphic).take(ENDPOINT_CHARS_TOLD_MAX).collect();
            self.named.push(
                json!({ "at": now.to_string(), "address": from.to_string(), "what": what, "endpoint": endpoint }),
            );
        }
    }

    /// Puts on record what was not told yet, exactly counted, in one line; nothing, if nobody came or went and nothing was
    /// out of order.
    fn tell(&mut self, house: &House, zone: &ZoneId) {
        let now = house.clock.monotonic();
        let told = std::mem::replace(self, Self { since: now, ..Self::default() });
        if told.changed + told.not_taken + told.over_rate == 0 {
            return;
        }
        let detail = json!({
            "zone": zone.as_str(), "seconds": now.saturating_sub(told.since).as_secs(), "messages": told.heard,
            "not_taken": told.not_taken, "over_rate": told.over_rate, "changes": told.changed, "devices": told.named,
        });
        house.gate.note(Event::new("candidates", detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_that_is_swept_without_isolation_has_a_socket() {
        let families = |sweep: &[&str]| {
            let sweep: Vec<IpNet> = sweep.iter().map(|it| it.parse().unwrap()).collect();
            let mouths = Mouth::plain(&sweep).unwrap();
            mouths.iter().map(|it| it.socket.local_addr().unwrap().is_ipv4()).collect::<Vec<_>>()
        };
        assert_eq!(families(&["192.0.2.0/30", "198.51.100.0/30"]), [true]);
        assert_eq!(families(&["2001:db8::/126", "192.0.2.0/30"]), [true, false]);
        assert_eq!(families(&["2001:db8::/126"]), [false]);
    }
}
