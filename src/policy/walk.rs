//! What is asked when policies are asked about everything: every operation of every front door, caller, kind of vendor,
//! kind of site and kind of document.

use std::{collections::BTreeMap, fmt, net::SocketAddr, str::FromStr, sync::Arc};

use super::{Decision, Engine, ExpectationError, load::Kind, operations::doors};
use crate::{
    auth::{Caller, CameraScope, ClientRecord, Method, Role},
    command::{Command, Destination, DestinationKind, Operation, Prompt, Reason},
    ids::{CameraId, ClientId, NameError, RequestId, SiteId, ZoneId},
    inventory::{
        Camera, CameraAddress, Inventory, Isolation, MacPolicy, Network, Site, SiteException, VendorClass,
        Vendors, Zone,
    },
    schema::{AccessClass, Tables, Trait, Traits, UnknownWord, words},
};

words!(
    /// Who asks.
    Who, "anonymous, User, Operator, Administrator, elsewhere, gateway:REASON, local:PROMPT" {
        /// Nobody who logged in.
        Anonymous = "anonymous",
        /// A client of this role.
        User = "User",
        /// A client of this role.
        Operator = "Operator",
        /// A client of this role.
        Administrator = "Administrator",
        /// An Administrator of other cameras only.
        Elsewhere = "elsewhere",
        /// The gateway of its own accord, for this reason.
        ClockProbe = "gateway:clock-probe",
        /// The gateway of its own accord, for this reason.
        Identity = "gateway:identity",
        /// The gateway of its own accord, for this reason.
        LocatorRecovery = "gateway:locator-recovery",
        /// The gateway of its own accord, for this reason.
        Stream = "gateway:stream",
        /// The gateway of its own accord, for this reason.
        Baseline = "gateway:baseline",
        /// The gateway of its own accord, for this reason.
        Settings = "gateway:settings",
        /// The gateway of its own accord, for this reason.
        Events = "gateway:events",
        /// The gateway of its own accord, for this reason.
        Discovery = "gateway:discovery",
        /// Somebody at the gateway's machine, asking this way.
        Control = "local:control",
        /// Somebody at the gateway's machine, asking this way.
        Signal = "local:signal",
        /// Somebody at the gateway's machine, asking this way.
        Files = "local:files",
        /// Somebody at the gateway's machine, asking this way.
        Trial = "local:trial",
    }
);

words!(
    /// What is held against the maker.
    Maker, "restricted, unrestricted, unknown" {
        /// It is restricted.
        Restricted = "restricted",
        /// Nothing.
        Unrestricted = "unrestricted",
        /// Nobody knows it.
        Unknown = "unknown",
    }
);

words!(
    /// Where the camera looks at.
    Place, "ordinary, sensitive, excepted" {
        /// Any site.
        Ordinary = "ordinary",
        /// A sensitive one.
        Sensitive = "sensitive",
        /// A sensitive one, with an exception for the camera.
        Excepted = "excepted",
    }
);

words!(
    /// What the document holds.
    Held, "plain, loaded, named, outside, consumer, consumer-elsewhere, consumer-outside" {
        /// Nothing that matters.
        Plain = "plain",
        /// All that its nodes can speak for, but no address.
        Loaded = "loaded",
        /// The same and an address in a named network.
        Named = "named",
        /// The same and an address in no named network.
        Outside = "outside",
        /// A consumer of events where the caller is, in a named network.
        Consumer = "consumer",
        /// One elsewhere in a named network.
        ConsumerElsewhere = "consumer-elsewhere",
        /// One in no named network.
        ConsumerOutside = "consumer-outside",
    }
);

words!(
    /// How a client comes.
    Over, "tls, clear" {
        /// Over TLS.
        Tls = "tls",
        /// Not encrypted.
        Clear = "clear",
    }
);

impl Who {
    /// Why the gateway asks, if it does so of its own accord.
    fn reason(self) -> Option<Reason> {
        let word = self.as_str().strip_prefix("gateway:")?;
        Reason::ALL.into_iter().find(|it| it.as_str() == word)
    }

    /// How somebody at the gateway's machine asks.
    fn prompt(self) -> Option<Prompt> {
        let word = self.as_str().strip_prefix("local:")?;
        Prompt::ALL.into_iter().find(|it| it.as_str() == word)
    }

    /// Whether it comes from the core side, and not from the gateway or its machine.
    pub(super) fn comes_from_outside(self) -> bool {
        self.reason().is_none() && self.prompt().is_none()
    }
}

/// One operation as the catalogue has it, port types of one name together; or one of another front door.
pub(super) struct Row {
    pub(super) operation: Operation,
    /// None also where port types of one name differ: the engine refuses what it cannot tell.
    pub(super) class: Option<AccessClass>,
    pub(super) always: Traits,
    pub(super) by_document: Traits,
    /// Whether it concerns the gateway itself and no camera.
    pub(super) of_appliance: bool,
}

/// Operations of the catalogue by name.
pub(super) fn catalogue(tables: &Tables) -> BTreeMap<String, Row> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for (id, row) in tables.operations() {
        let name = format!("{}:{}", row.prefix, row.name);
        let (class, always, by_document) = (row.class, row.traits, row.traits_by_document);
        let operation = Operation::Onvif { id, name: name.as_str().into() };
        rows.entry(name)
            .and_modify(|first| {
                first.class = first.class.filter(|first| Some(*first) == class);
                first.always = first.always.union(always);
                first.by_document = first.by_document.union(by_document);
            })
            .or_insert(Row { operation, class, always, by_document, of_appliance: false });
    }
    rows
}

/// Operations of every front door by name.
pub(super) fn rows(tables: &Tables) -> BTreeMap<String, Row> {
    let mut rows = catalogue(tables);
    for (operation, service, class, always) in doors() {
        let (name, of_appliance) = (operation.name().to_string(), service == "admin");
        let row = Row { operation, class: Some(class), always, by_document: Traits::NONE, of_appliance };
        rows.insert(name, row);
    }
    rows
}

impl Row {
    pub(super) fn traits(&self, held: Held) -> Traits {
        self.always.union(match held {
            Held::Plain | Held::Consumer | Held::ConsumerElsewhere | Held::ConsumerOutside => Traits::NONE,
            Held::Loaded => self.by_document,
            Held::Named | Held::Outside => self.by_document.with(Trait::Egress),
        })
    }

    /// What there is to ask these engines about it: nothing about callers to whom none can permit it, and over TLS alone
    /// where no policy looks at that.
    pub(super) fn breadth(&self, name: &str, engines: &[&Engine]) -> Breadth {
        Breadth {
            of_appliance: self.of_appliance,
            has_consumers: name == SUBSCRIBE,
            has_clear: engines.iter().any(|it| it.looks_at(name, "tls")),
            has_gateway: engines.iter().any(|it| it.could_permit(name, Kind::Gateway)),
            has_local: engines.iter().any(|it| it.could_permit(name, Kind::Local)),
        }
    }

    /// The command that asks for it.
    pub(super) fn command(&self, camera: Option<&Camera>, held: Held) -> Command {
        let place = match held {
            Held::Plain | Held::Loaded => None,
            Held::Named => Some((DestinationKind::Declared, NAMED)),
            Held::Outside => Some((DestinationKind::Declared, OUTSIDE)),
            Held::Consumer => Some((DestinationKind::Consumer, NAMED)),
            Held::ConsumerElsewhere => Some((DestinationKind::Consumer, NAMED_TOO)),
            Held::ConsumerOutside => Some((DestinationKind::Consumer, OUTSIDE)),
        };
        let destination = |(kind, host): (_, &str)| {
            let (host, address) = (host.to_owned(), host.parse().ok());
            Destination { kind, host, address, port: None }
        };
        Command {
            request: RequestId::from_bits(0),
            camera: camera.map(|it| it.id.clone()),
            operation: self.operation.clone(),
            class: self.class.unwrap_or(AccessClass::NotForClients),
            traits: self.traits(held),
            destinations: place.map(destination).into_iter().collect(),
            arguments: serde_json::Value::Null,
        }
    }
}

/// The one operation whose document names a consumer of events (`AddressEffect::Consumer`).
const SUBSCRIBE: &str = "wsntw:Subscribe";

/// One request about an operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) who: Who,
    pub(super) maker: Maker,
    pub(super) place: Place,
    pub(super) held: Held,
    pub(super) over: Over,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, maker, place, held, over } = self;
        write!(f, "by {who} on {maker} at {place} holding {held}")?;
        if *over == Over::Clear { write!(f, " over {over}") } else { Ok(()) }
    }
}

/// Which requests about an operation there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Breadth {
    pub(super) of_appliance: bool,
    pub(super) has_consumers: bool,
    pub(super) has_clear: bool,
    pub(super) has_gateway: bool,
    pub(super) has_local: bool,
}

impl Breadth {
    /// All of them: the last thing that tells them apart varies first.
    pub(super) fn cases(self) -> Vec<Case> {
        let mut cases = Vec::new();
        let whos = Who::ALL.iter().copied().filter(|who| self.has(*who));
        let (makers, places): (&[_], &[_]) = if self.of_appliance {
            (&[Maker::Unrestricted], &[Place::Ordinary])
        } else {
            (Maker::ALL, Place::ALL)
        };
        let held: &[_] = match (self.of_appliance, self.has_consumers) {
            (true, _) => &[Held::Plain],
            (false, true) => Held::ALL,
            (false, false) => &[Held::Plain, Held::Loaded, Held::Named, Held::Outside],
        };
        let over: &[_] = if self.has_clear { Over::ALL } else { &[Over::Tls] };
        for who in whos {
            for (maker, place) in makers.iter().flat_map(|it| places.iter().map(move |place| (*it, *place))) {
                for (held, over) in held.iter().flat_map(|it| over.iter().map(move |over| (*it, *over))) {
                    cases.push(Case { who, maker, place, held, over });
                }
            }
        }
        cases
    }

    fn has(self, who: Who) -> bool {
        who.comes_from_outside()
            || (self.has_gateway && who.reason().is_some())
            || (self.has_local && who.prompt().is_some())
    }
}

/// Two addresses in the network that the walk adds, and one that is in none: of RFC 3849, where no configuration
/// has real networks.
const NAMED: &str = "2001:db8:ffff:1::9";
const NAMED_TOO: &str = "2001:db8:ffff:1::a";
const NETWORK: &str = "2001:db8:ffff:1::/64";
const OUTSIDE: &str = "2001:db8:ffff:2::9";

/// One camera and one client of each kind.
pub(super) struct Stage {
    pub(super) inventory: Inventory,
    pub(super) clients: Vec<ClientRecord>,
}

impl Stage {
    pub(super) fn new(configured: &Inventory) -> Result<Self, ExpectationError> {
        let (zone, vendors) = (ZoneId::new("walk")?, configured.vendors());
        let mut cameras = Vec::new();
        for maker in Maker::ALL {
            for place in Place::ALL {
                cameras.push(camera(*maker, *place, &zone, vendors, cameras.len())?);
            }
        }
        let other = camera(Maker::Restricted, Place::Ordinary, &zone, vendors, cameras.len())?;
        cameras.push(Camera { id: CameraId::new(OTHER_CAMERA)?, ..other });
        let site = |place: &Place| {
            Ok(Site { id: SiteId::new(place.as_str())?, sensitive: *place != Place::Ordinary })
        };
        let sites = Place::ALL.iter().map(site).collect::<Result<_, NameError>>()?;
        let zones = vec![Zone {
            id: zone,
            isolation: Isolation::None,
            prefixes: Vec::new(),
            event_sink: None,
            sweep: Vec::new(),
        }];
        let mut networks = configured.networks().to_vec();
        let prefixes = NETWORK.parse().map(|it| vec![it]).unwrap_or_default();
        networks.push(Network { name: "expectations-walk".into(), prefixes });
        let inventory = Inventory::new(cameras, sites, zones, networks, Arc::clone(vendors))?;
        let clients = [Who::User, Who::Operator, Who::Administrator, Who::Elsewhere].map(|who| {
            let only = CameraId::new(OTHER_CAMERA).map(|id| CameraScope::Only(vec![id]));
            Ok(ClientRecord {
                certificates: Vec::new(),
                id: client_id(who)?,
                role: role(who),
                password: None,
                networks: Vec::new(),
                cameras: if who == Who::Elsewhere { only? } else { CameraScope::All },
            })
        });
        let clients = clients.into_iter().collect::<Result<_, NameError>>()?;
        Ok(Self { inventory, clients })
    }

    /// What an engine made for this stage decides.
    pub(super) fn decide(
        &self,
        engine: &Engine,
        row: &Row,
        case: Case,
    ) -> Result<Decision, ExpectationError> {
        let (caller, command, camera) = self.question(row, case)?;
        Ok(engine.decide(&caller, &command, camera))
    }

    /// Who asks, for what, and about which camera.
    pub(super) fn question(
        &self,
        row: &Row,
        case: Case,
    ) -> Result<(Caller, Command, Option<&Camera>), ExpectationError> {
        let camera = if row.of_appliance { None } else { Some(self.camera(case)?) };
        Ok((caller(case)?, row.command(camera, case.held), camera))
    }

    fn camera(&self, case: Case) -> Result<&Camera, ExpectationError> {
        let id = camera_id(case.maker, case.place)?;
        self.inventory.camera(&id).ok_or(ExpectationError::Camera(id))
    }
}

fn caller(case: Case) -> Result<Caller, NameError> {
    let Case { who, held, over, .. } = case;
    let source: SocketAddr = match (held, NAMED.parse()) {
        (Held::Consumer, Ok(named)) => SocketAddr::new(named, 0),
        _ => ([127, 0, 0, 1], 0).into(),
    };
    let tls = over == Over::Tls;
    if let Some(reason) = who.reason() {
        return Ok(Caller::Gateway(reason));
    }
    if let Some(by) = who.prompt() {
        return Ok(Caller::Local { by, uid: None });
    }
    if who == Who::Anonymous {
        return Ok(Caller::Anonymous { source, tls });
    }
    let (id, role) = (client_id(who)?, role(who));
    Ok(Caller::Client { id, role, source, method: Method::DigestSha256, tls })
}

/// The one camera that the client `elsewhere` is configured for.
const OTHER_CAMERA: &str = "elsewhere";

fn client_id(who: Who) -> Result<ClientId, NameError> {
    ClientId::new(&who.as_str().to_lowercase())
}

/// The role of the client that is made for this caller; the lowest where none is.
fn role(who: Who) -> Role {
    match who {
        Who::Administrator | Who::Elsewhere => Role::Administrator,
        Who::Operator => Role::Operator,
        _ => Role::User,
    }
}

fn camera_id(maker: Maker, place: Place) -> Result<CameraId, NameError> {
    CameraId::new(&format!("{}-{}", maker.as_str(), place.as_str()))
}

fn camera(
    maker: Maker,
    place: Place,
    zone: &ZoneId,
    vendors: &Vendors,
    index: usize,
) -> Result<Camera, ExpectationError> {
    let wanted = |it: &&crate::inventory::Vendor| match maker {
        Maker::Restricted => it.class.is_restricted(),
        Maker::Unrestricted | Maker::Unknown => it.class == VendorClass::Trusted,
    };
    let declared = match maker {
        Maker::Unknown => "a maker nobody knows",
        Maker::Restricted | Maker::Unrestricted => vendors.iter().find(wanted).map_or("", |it| &*it.name),
    };
    let port = u16::try_from(index + 2).unwrap_or(u16::MAX);
    Ok(Camera {
        id: camera_id(maker, place)?,
        address: CameraAddress { host: [127, 0, 0, 1].into(), port },
        certificates: None,
        mount: String::new(),
        device_path: "/onvif/device_service".into(),
        zone: zone.clone(),
        site: SiteId::new(place.as_str())?,
        vendor: vendors.verdict(declared),
        listen: ([127, 0, 0, 1], port).into(),
        advertise: format!("127.0.0.1:{port}"),
        secure: None,
        advertise_rtsp: "127.0.0.1:554".into(),
        advertise_rtsps: None,
        mac: MacPolicy::Virtual,
        manufacturer: None,
        model: None,
        quirks: Vec::new(),
        events: Default::default(),
        streams: Default::default(),
        replacement: None,
        exception: (place == Place::Excepted).then(|| SiteException {
            owner: "the walk".into(),
            reason: "to be asked about".into(),
            until: jiff::civil::Date::MAX,
        }),
        quarantined: false,
        hardware: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_and_way_of_asking_is_a_caller_of_the_walk() {
        let reasons: Vec<_> = Who::ALL.iter().filter_map(|it| it.reason()).collect();
        assert_eq!(reasons, Reason::ALL);
        let prompts: Vec<_> = Who::ALL.iter().filter_map(|it| it.prompt()).collect();
        assert_eq!(prompts, Prompt::ALL);
        assert_eq!(Who::ALL.iter().filter(|it| it.comes_from_outside()).count(), 5);
    }

    #[test]
    fn every_operation_of_the_schema_is_asked_about() {
        let tables = Tables::embedded().unwrap();
        let all: std::collections::BTreeSet<_> =
            super::super::operations::all(&tables).into_iter().map(|it| it.name).collect();
        assert_eq!(rows(&tables).into_keys().collect::<std::collections::BTreeSet<_>>(), all);
    }
}
