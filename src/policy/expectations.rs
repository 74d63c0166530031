//! What policies must decide, in a table of its own, and the walk that compares: every operation, caller,
//! kind of vendor, kind of site and kind of document.
//!
//! The table is a second judgement, made without Cedar. It is read by a person before it is used: see
//! `config/policies/expectations.txt` for its grammar.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    sync::Arc,
};

use super::{Engine, PolicyError};
use crate::{
    auth::{Caller, CameraScope, ClientRecord, Method, Role},
    command::{Command, Destination, DestinationKind, Operation},
    ids::{CameraId, ClientId, NameError, RequestId, SiteId, ZoneId},
    inventory::{
        Camera, CameraAddress, Inventory, InventoryError, Isolation, MacPolicy, Network, Site, SiteException,
        VendorClass, Vendors, Zone,
    },
    schema::{AccessClass, OperationId, Tables, Trait, Traits, UnknownWord, words},
};

/// The table that comes with the program.
pub const EXPECTATIONS: &str = include_str!("../../config/policies/expectations.txt");

/// Why policies could not be compared with a table.
#[derive(Debug, thiserror::Error)]
pub enum ExpectationError {
    /// A line of the table.
    #[error("line {line} of the expectations: {what}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong and what would be right.
        what: String,
    },
    /// The policies.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A name of a camera, client, site or zone to ask about.
    #[error("the cameras to ask about could not be named")]
    Name(#[from] NameError),
    /// The cameras to ask about.
    #[error("the cameras to ask about could not be made")]
    Inventory(#[from] InventoryError),
    /// A camera to ask about is not there.
    #[error("no camera `{0}` was made to ask about")]
    Camera(CameraId),
}

/// What the walk found.
#[derive(Debug, Default)]
pub struct Comparison {
    /// By access class (`none` for operations without one): permitted, denied, otherwise than expected.
    pub classes: BTreeMap<&'static str, [usize; 3]>,
    /// Decisions otherwise than expected, in words.
    pub mismatches: Vec<String>,
    /// Operations that nobody who may use the camera is expected to be denied, as long as the document names no
    /// address: those for which the policies are never seen to refuse.
    pub never_denied: Vec<String>,
    /// Of each operation the policies that were seen to deny it, to anybody at all. A denial because nothing permits
    /// it is `no policy`.
    pub denied_by: BTreeMap<String, BTreeSet<String>>,
    /// Operations.
    pub operations: usize,
    /// Decisions.
    pub decisions: usize,
}

words!(
    /// Who asks.
    Who, "anonymous, User, Operator, Administrator, elsewhere" {
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
    Held, "plain, loaded, named, outside" {
        /// Nothing that matters.
        Plain = "plain",
        /// All that its nodes can speak for, but no address.
        Loaded = "loaded",
        /// The same and an address in a named network.
        Named = "named",
        /// The same and an address in no named network.
        Outside = "outside",
    }
);

/// What a line is about.
#[derive(Debug)]
enum What {
    Any,
    Class(AccessClass),
    Trait(Trait),
    Operation(String),
}

/// One line. An empty list fits everything.
#[derive(Debug)]
struct Line {
    permit: bool,
    what: Vec<What>,
    callers: Vec<Who>,
    vendors: Vec<Maker>,
    sites: Vec<Place>,
    documents: Vec<Held>,
}

/// The lines of a table, checked against the catalogue.
#[derive(Debug)]
pub struct Expectations(Vec<Line>);

impl Expectations {
    /// Reads a table.
    ///
    /// # Errors
    /// The first line that is wrong, and what would be right.
    pub fn parse(text: &str, tables: &Tables) -> Result<Self, ExpectationError> {
        let named = |name: &str| tables.operation_by_name(name).is_some();
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let read =
            |(line, text)| read_line(text, &named).map_err(|what| ExpectationError::Line { line, what });
        lines.map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Asks an engine made of these policies about everything, and compares. Networks, vendors and policies
    /// are those of the configuration; cameras and clients are made for the walk, one of each kind.
    ///
    /// # Errors
    /// The policies are wrong, or name clients or cameras that only the configuration has.
    pub fn compare<A: AsRef<str>, B: AsRef<str>>(
        &self,
        tables: &Tables,
        texts: &[(A, B)],
        configured: &Inventory,
    ) -> Result<Comparison, ExpectationError> {
        let stage = Stage::new(configured)?;
        let engine = Engine::load(tables, texts, &stage.inventory, &stage.clients)?;
        let rows = rows(tables);
        let mut found = Comparison { operations: rows.len(), ..Comparison::default() };
        for (name, row) in &rows {
            let mut ever_denied = false;
            for case in cases() {
                let expected = self.expected(name, row, case);
                let named = matches!(case.held, Held::Named | Held::Outside);
                ever_denied |= !expected && case.who != Who::Elsewhere && !named;
                let (caller, camera) = (stage.caller(case.who)?, stage.camera(case)?);
                let command = command(name, row, camera, case.held);
                let decision = engine.decide(&caller, &command, Some(camera));
                let tally = found.classes.entry(row.class.map_or("none", AccessClass::as_str)).or_default();
                let [permitted, denied, wrong] = tally;
                *(if decision.allow { permitted } else { denied }) += 1;
                if !decision.allow {
                    let deniers = found.denied_by.entry(name.clone()).or_default();
                    let none = decision.policies.is_empty().then(|| NO_POLICY.to_owned());
                    deniers.extend(decision.policies.iter().cloned().chain(none));
                }
                found.decisions += 1;
                if decision.allow != expected {
                    *wrong += 1;
                    found.mismatches.push(mismatch(name, case, expected, &decision.policies));
                }
            }
            if !ever_denied {
                found.never_denied.push(name.clone());
            }
        }
        Ok(found)
    }

    fn expected(&self, name: &str, row: &Row, case: Case) -> bool {
        let traits = row.traits(case.held);
        let is_about = |what: &What| match what {
            What::Any => true,
            What::Class(class) => row.class == Some(*class),
            What::Trait(one) => traits.contains(*one),
            What::Operation(operation) => operation == name,
        };
        let fits = |line: &&Line| {
            line.what.iter().any(is_about)
                && (line.callers.is_empty() || line.callers.contains(&case.who))
                && (line.vendors.is_empty() || line.vendors.contains(&case.maker))
                && (line.sites.is_empty() || line.sites.contains(&case.place))
                && (line.documents.is_empty() || line.documents.contains(&case.held))
        };
        self.0.iter().rev().find(fits).is_some_and(|line| line.permit)
    }
}

fn read_line(text: &str, named: &dyn Fn(&str) -> bool) -> Result<Line, String> {
    let mut words = text.split_whitespace();
    let permit = match words.next() {
        Some("permit") => true,
        Some("deny") => false,
        other => {
            return Err(format!("it begins with `{}`, not with permit or deny", other.unwrap_or_default()));
        }
    };
    let what = words.next().ok_or("it does not say what it is about")?;
    let what = what.split(',').map(|word| read_what(word, named)).collect::<Result<_, _>>()?;
    let mut line = Line { permit, what, callers: vec![], vendors: vec![], sites: vec![], documents: vec![] };
    while let Some(word) = words.next() {
        let list = words.next().ok_or_else(|| format!("nothing stands after `{word}`"))?;
        match word {
            "by" => line.callers = read_list(list)?,
            "on" => line.vendors = read_list(list)?,
            "at" => line.sites = read_list(list)?,
            "holding" => line.documents = read_list(list)?,
            other => return Err(format!("`{other}` is none of by, on, at, holding")),
        }
    }
    Ok(line)
}

fn read_list<T: FromStr<Err = UnknownWord>>(list: &str) -> Result<Vec<T>, String> {
    list.split(',').map(|word| word.parse().map_err(|error: UnknownWord| error.to_string())).collect()
}

fn read_what(word: &str, named: &dyn Fn(&str) -> bool) -> Result<What, String> {
    if word == "any" {
        return Ok(What::Any);
    }
    let unknown = |kind: &str, word: &str| format!("`{word}` is no {kind}; see `cordon policy schema`");
    if let Some(class) = word.strip_prefix("class:") {
        return class.parse().map(What::Class).map_err(|_| unknown("access class", class));
    }
    if let Some(one) = word.strip_prefix("trait:") {
        return one.parse().map(What::Trait).map_err(|_| unknown("trait", one));
    }
    named(word).then(|| What::Operation(word.to_owned())).ok_or_else(|| unknown("operation", word))
}

/// One operation as the catalogue has it, port types of one name together.
pub(super) struct Row {
    pub(super) id: OperationId,
    /// None also where port types of one name differ: the engine refuses what it cannot tell.
    pub(super) class: Option<AccessClass>,
    pub(super) always: Traits,
    pub(super) by_document: Traits,
}

impl Row {
    fn traits(&self, held: Held) -> Traits {
        self.always.union(match held {
            Held::Plain => Traits::NONE,
            Held::Loaded => self.by_document,
            Held::Named | Held::Outside => self.by_document.with(Trait::Egress),
        })
    }
}

/// Operations by name.
pub(super) fn rows(tables: &Tables) -> BTreeMap<String, Row> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for (id, row) in tables.operations() {
        let (class, always, by_document) = (row.class, row.traits, row.traits_by_document);
        rows.entry(format!("{}:{}", row.prefix, row.name))
            .and_modify(|first| {
                first.class = first.class.filter(|first| Some(*first) == class);
                first.always = first.always.union(always);
                first.by_document = first.by_document.union(by_document);
            })
            .or_insert(Row { id, class, always, by_document });
    }
    rows
}

/// One request about an operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) who: Who,
    pub(super) maker: Maker,
    pub(super) place: Place,
    pub(super) held: Held,
}

/// All requests about one operation.
pub(super) fn cases() -> impl Iterator<Item = Case> {
    let held = |who, maker, place| Held::ALL.iter().map(move |held| Case { who, maker, place, held: *held });
    let place = move |who, maker| Place::ALL.iter().flat_map(move |place| held(who, maker, *place));
    let maker = move |who| Maker::ALL.iter().flat_map(move |maker| place(who, *maker));
    Who::ALL.iter().flat_map(move |who| maker(*who))
}

fn mismatch(name: &str, case: Case, expected: bool, policies: &[String]) -> String {
    let word = |permit| if permit { "permitted" } else { "denied" };
    let policies = if policies.is_empty() { NO_POLICY.to_owned() } else { policies.join(", ") };
    let Case { who, maker, place, held } = case;
    format!(
        "{name} by {} on {} at {} holding {}: {} by {policies}, expected {}",
        who.as_str(),
        maker.as_str(),
        place.as_str(),
        held.as_str(),
        word(!expected),
        word(expected)
    )
}

pub(super) fn command(name: &str, row: &Row, camera: &Camera, held: Held) -> Command {
    let host = match held {
        Held::Plain | Held::Loaded => None,
        Held::Named => Some(NAMED),
        Held::Outside => Some(OUTSIDE),
    };
    let destination = |host: &str| Destination {
        kind: DestinationKind::Declared,
        host: host.to_owned(),
        address: host.parse().ok(),
        port: None,
    };
    Command {
        request: RequestId::from_bits(0),
        camera: Some(camera.id.clone()),
        operation: Operation::Onvif { id: row.id, name: name.into() },
        class: row.class.unwrap_or(AccessClass::NotForClients),
        traits: row.traits(held),
        destinations: host.map(destination).into_iter().collect(),
        arguments: serde_json::Value::Null,
    }
}

/// What denies where nothing permits.
const NO_POLICY: &str = "no policy";

/// An address in the network that the walk adds, and one that is in none: of RFC 3849, where no configuration
/// has real networks.
const NAMED: &str = "2001:db8:ffff:1::9";
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
        let prefixes =
            NAMED.parse().map(|address: std::net::IpAddr| vec![address.into()]).unwrap_or_default();
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

    pub(super) fn caller(&self, who: Who) -> Result<Caller, NameError> {
        let source = ([127, 0, 0, 1], 0).into();
        Ok(match who {
            Who::Anonymous => Caller::Anonymous { source, tls: true },
            Who::User | Who::Operator | Who::Administrator | Who::Elsewhere => Caller::Client {
                id: client_id(who)?,
                role: role(who),
                source,
                method: Method::DigestSha256,
                tls: true,
            },
        })
    }

    pub(super) fn camera(&self, case: Case) -> Result<&Camera, ExpectationError> {
        let id = camera_id(case.maker, case.place)?;
        self.inventory.camera(&id).ok_or(ExpectationError::Camera(id))
    }
}

/// The one camera that the client `elsewhere` is configured for.
const OTHER_CAMERA: &str = "elsewhere";

fn client_id(who: Who) -> Result<ClientId, NameError> {
    ClientId::new(&who.as_str().to_lowercase())
}

fn role(who: Who) -> Role {
    match who {
        Who::Anonymous | Who::User => Role::User,
        Who::Operator => Role::Operator,
        Who::Administrator | Who::Elsewhere => Role::Administrator,
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
    use crate::policy::SHIPPED;

    const NEVER_DENIED_MAX: usize = 33;

    fn configured() -> Inventory {
        Inventory::new(vec![], vec![], vec![], vec![], Arc::new(Vendors::embedded().unwrap())).unwrap()
    }

    #[test]
    fn the_shipped_policies_decide_as_the_shipped_table_expects() {
        let tables = Tables::embedded().unwrap();
        let table = Expectations::parse(EXPECTATIONS, &tables).unwrap();
        let found = table.compare(&tables, &SHIPPED, &configured()).unwrap();
        assert!(found.mismatches.is_empty(), "{}:\n{}", found.mismatches.len(), found.mismatches.join("\n"));
        assert_eq!(found.decisions, found.operations * 5 * 3 * 3 * 4);
        assert_eq!(tables.operations().count(), 652, "port types that share an operation share its name");
        // Every operation is denied to somebody, and a policy says so or none permits it.
        let rows = rows(&tables);
        let never: Vec<_> = rows.keys().filter(|name| !found.denied_by.contains_key(*name)).collect();
        assert!(never.is_empty(), "without a denial: {never:?}");
        // What ONVIF gives to everybody who reaches the camera is denied to the clients of other cameras, and to
        // nobody else. May only shrink.
        for name in &found.never_denied {
            assert_eq!(rows[name].class, Some(AccessClass::PreAuth), "{name}");
            let by: Vec<_> = found.denied_by[name].iter().collect();
            assert!(by.contains(&&"client.cameras".to_owned()), "{name}: {by:?}");
        }
        assert!(found.never_denied.len() <= NEVER_DENIED_MAX, "{:?}", found.never_denied);
        let [permitted, denied, _] = found
            .classes
            .values()
            .fold([0; 3], |sum, one| [sum[0] + one[0], sum[1] + one[1], sum[2] + one[2]]);
        assert!(permitted > 5_000 && denied > 50_000, "{permitted} {denied}: the walk lost its way");
    }

    #[test]
    fn a_policy_that_is_missing_is_found() {
        let tables = Tables::embedded().unwrap();
        let table = Expectations::parse(EXPECTATIONS, &tables).unwrap();
        let without: Vec<_> = SHIPPED.into_iter().filter(|(name, _)| !name.starts_with("30-")).collect();
        let found = table.compare(&tables, &without, &configured()).unwrap();
        let told = "tds:SetNTP by Administrator on restricted at ordinary holding named: permitted by \
                    onvif.administrator, expected denied";
        assert!(found.mismatches.iter().any(|it| it == told), "{:?}", found.mismatches.first());
    }

    #[test]
    fn a_wrong_line_is_named_with_what_would_be_right() {
        let tables = Tables::embedded().unwrap();
        for (text, line, what) in [
            ("# fine\n\nallow any", 3, "it begins with `allow`, not with permit or deny"),
            ("permit", 1, "it does not say what it is about"),
            ("permit class:READ", 1, "`READ` is no access class; see `cordon policy schema`"),
            ("deny trait:egres", 1, "`egres` is no trait; see `cordon policy schema`"),
            ("deny tds:SetNPT", 1, "`tds:SetNPT` is no operation; see `cordon policy schema`"),
            ("deny any by", 1, "nothing stands after `by`"),
            ("deny any near x", 1, "`near` is none of by, on, at, holding"),
            ("deny any at hq", 1, "`hq` is none of ordinary, sensitive, excepted"),
        ] {
            let error = Expectations::parse(text, &tables).unwrap_err().to_string();
            assert_eq!(error, format!("line {line} of the expectations: {what}"));
        }
    }
}
