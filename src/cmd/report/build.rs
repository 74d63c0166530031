//! From configuration and log to the report's values.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{
    super::baseline::Shown,
    attention,
    ledger::{Ledger, OnRecord, Rows, SourceSum},
    model::{
        AttemptsPart, BaselinePart, BaselineRow, DeniedPart, DeniedRow, DestinationRow, Device,
        ExceptionPart, Fact, FoundPart, LogPart, NOT_CLAIMED, NameRow, Observable, QuarantinePart,
        ReplacementPart, Report, Stranger, Summary, Tables, ZonePart,
    },
};
use crate::{
    audit::printable,
    config::Loaded,
    discovery::DeviceFound,
    inventory::{
        Accepted, Answered, Baseline, Camera, Claim, Evidence, FactKind, Inventory, Isolation, Judgement,
        Leg, MacAddress, Parent, Quarantine, Regards, SignalKind, SiteException, Zone, gateways,
    },
    isolation::{CoreDevice, Grade},
    limits::{REPORT_DESTINATIONS_PER_DEVICE_MAX, REPORT_TOP_ROWS_MAX},
};

/// What there is to say now.
pub(super) fn report(
    loaded: &Loaded,
    regards: Option<&Regards>,
    log: LogPart,
    ledger: &Ledger,
    now: Timestamp,
) -> Report {
    let inventory = &*loaded.inventory;
    let today = now.to_zoned(TimeZone::UTC).date();
    let mut devices: Vec<Device> =
        inventory.cameras().map(|camera| configured(camera, regards, inventory, ledger, now)).collect();
    let known = |name: &str| inventory.cameras().any(|camera| camera.id.as_str() == name);
    devices.extend(
        ledger.cameras.iter().filter(|(name, _)| !known(name)).map(|(name, it)| gone(name, it, ledger)),
    );
    let zones = inventory.zones().map(|zone| zone_part(zone, inventory, ledger)).collect();
    let mut report = Report {
        format: FORMAT,
        gateway: loaded.name.clone(),
        made: format!("{now:.0}"),
        program: format!("cordon {}", env!("CARGO_PKG_VERSION")),
        log,
        summary: Summary::default(),
        attention: Vec::new(),
        devices,
        found: found(inventory, ledger),
        found_left_out: ledger.found_left_out,
        strangers: strangers(inventory, ledger),
        core_devices: core_devices(ledger),
        zones,
        attempts: attempts(ledger),
        denied: denied(ledger),
        tables: tables(loaded, today),
        not_claimed: NOT_CLAIMED,
    };
    report.tables.shown = regards.is_some();
    report.tables.sources = sources(&report, inventory);
    report.summary = summary(&report, ledger);
    report.attention = attention::of(&report);
    report
}

/// Zone and address, or hardware address, of every camera that is configured.
pub(super) fn sources_of_cameras(
    inventory: &Inventory,
    regards: Option<&Regards>,
) -> BTreeMap<(String, String), String> {
    let mut all = BTreeMap::new();
    for camera in inventory.cameras() {
        let hardware = regards.and_then(|it| it.hardware(camera)).map(|it| it.to_string());
        let address = camera.address.host.to_canonical().to_string();
        for source in hardware.into_iter().chain([address]) {
            all.insert((camera.zone.to_string(), source), camera.id.to_string());
        }
    }
    all
}

fn configured(
    camera: &Camera,
    regards: Option<&Regards>,
    inventory: &Inventory,
    ledger: &Ledger,
    now: Timestamp,
) -> Device {
    let vendors = inventory.vendors();
    let regard = regards.map(|it| it.of(&camera.id)).unwrap_or_default();
    // As it is treated: what it was found to be may be stricter than what is declared.
    let treated = regards.map_or(Cow::Borrowed(camera), |it| it.treated(camera));
    let verdict = &treated.vendor;
    let Judgement { findings, contradictions, standing, .. } =
        vendors.judge(verdict.declared.as_deref(), &regard.known_by, verdict.decision.as_ref());
    let maker = vendors.find(&verdict.name);
    let replacement = camera.replacement.map(|it| ReplacementPart {
        state: it.state.as_str(),
        by: it.by.map(|by| by.to_string()),
        overdue: it.overdue(now.to_zoned(TimeZone::UTC).date()),
    });
    let mut device = Device {
        name: camera.id.to_string(),
        address: Some(camera.address.to_string()),
        zone: Some(camera.zone.to_string()),
        site: Some(camera.site.to_string()),
        sensitive: inventory.site(&camera.site).map(|site| site.sensitive),
        maker: printable(&verdict.name),
        maker_name: maker.map_or_else(|| printable(&verdict.name), |it| it.name.clone()),
        class: verdict.class.to_string(),
        restricted: verdict.class.is_restricted(),
        standing: standing.to_string(),
        reasons: verdict.reasons.iter().map(|it| printable(it)).collect(),
        contradictions: contradictions.iter().map(|it| printable(it)).collect(),
        evidence: findings.iter().map(|it| printable(&it.to_string())).collect(),
        jurisdiction: maker.map(|it| fact(it.seat.is.join(", "), &it.seat)),
        parent: maker.and_then(|it| it.parent.as_ref()).map(parent),
        uk_order: maker.map(|it| fact(it.uk_order.is.to_string(), &it.uk_order)),
        us_889: maker.map(|it| fact(it.us_889.is.to_string(), &it.us_889)),
        us_fcc: maker.map(|it| fact(it.us_fcc.is.to_string(), &it.us_fcc)),
        exceptions: camera.exception.iter().map(|it| exception(it, now)).collect(),
        quarantine: regard.quarantine.as_ref().map(quarantine),
        accepted: regard.accepted.as_ref().map(accepted),
        baseline: regards.and_then(|it| baseline(camera, &it.baselines().of(&camera.id), inventory)),
        replacement,
        observable: observable(
            camera,
            inventory.zone(&camera.zone),
            regards.map(|it| it.baselines().of(&camera.id)).as_deref(),
        ),
        ..nothing()
    };
    on_record(&mut device, ledger);
    device
}

fn exception(it: &SiteException, now: Timestamp) -> ExceptionPart {
    ExceptionPart {
        owner: printable(&it.owner),
        reason: printable(&it.reason),
        until: it.until.to_string(),
        over: !it.runs(now),
    }
}

fn quarantine(it: &Quarantine) -> QuarantinePart {
    let device = it.device.as_ref().map(|it| printable(&it.to_string()));
    QuarantinePart { since: format!("{:.0}", it.since), why: printable(&it.why), device }
}

fn baseline(camera: &Camera, it: &Baseline, inventory: &Inventory) -> Option<BaselinePart> {
    let last = it.last.as_ref()?;
    let shown = Shown::of(camera, it, inventory);
    let row = |fact: &crate::inventory::Fact| BaselineRow {
        what: fact.kind.as_str(),
        value: printable(&fact.value),
        standing: shown.word(fact),
    };
    let not_told = |(name, answered): (&String, &Answered)| match answered {
        Answered::Read | Answered::NotOffered => None,
        Answered::Untold(why) => Some(printable(&format!("{name}: {why}"))),
    };
    Some(BaselinePart {
        read: format!("{:.0}", last.at),
        facts: last.facts.iter().map(row).collect(),
        destinations_not_approved: shown.standing.outside.len() as u64,
        left_out: shown.standing.left_out,
        not_told: last.questions.iter().filter_map(not_told).collect(),
        approved: it
            .approved
            .as_ref()
            .map(|it| printable(&format!("{:.0} by {}: {}", it.at, it.by, it.reason))),
    })
}

fn accepted(it: &Accepted) -> String {
    printable(&format!("{:.0} by {}: {}", it.at, it.by, it.reason))
}

/// A camera that is in the log and not in the configuration.
fn gone(name: &str, on_record_as: &OnRecord, ledger: &Ledger) -> Device {
    let class = on_record_as.class.clone().unwrap_or_else(|| "unknown".to_owned());
    let maker = printable(on_record_as.vendor.as_deref().unwrap_or("unknown"));
    let mut device = Device {
        name: printable(name),
        maker_name: maker.clone(),
        maker,
        restricted: !matches!(class.as_str(), "trusted" | "review"),
        class: printable(&class),
        standing: "on record".to_owned(),
        observable: Observable { is: "no", why: "it is not in the configuration any more" },
        ..nothing()
    };
    on_record(&mut device, ledger);
    device
}

fn nothing() -> Device {
    Device {
        name: String::new(),
        address: None,
        zone: None,
        site: None,
        sensitive: None,
        maker: String::new(),
        maker_name: String::new(),
        class: String::new(),
        restricted: true,
        standing: String::new(),
        reasons: Vec::new(),
        contradictions: Vec::new(),
        evidence: Vec::new(),
        jurisdiction: None,
        parent: None,
        uk_order: None,
        us_889: None,
        us_fcc: None,
        exceptions: Vec::new(),
        baseline: None,
        quarantine: None,
        accepted: None,
        replacement: None,
        class_on_record: None,
        first_record: None,
        last_record: None,
        permitted: 0,
        denied: 0,
        attempts: 0,
        attempts_before_start: 0,
        neighbour_traffic: 0,
        top_destinations: Vec::new(),
        observable: Observable { is: "unknown", why: "" },
    }
}

/// Adds what the log says of a camera.
fn on_record(device: &mut Device, ledger: &Ledger) {
    if let Some(it) = ledger.cameras.get(&device.name) {
        device.class_on_record = it.class.as_deref().map(printable);
        (device.first_record, device.last_record) = (Some(it.first.clone()), Some(it.last.clone()));
        (device.permitted, device.denied) = (it.permitted, it.denied);
    }
    let own = ledger.attempts.sources.values().filter(|it| it.camera.as_deref() == Some(&device.name));
    let mut all = Rows::default();
    for sum in own {
        device.attempts += sum.packets;
        device.attempts_before_start += sum.before_start;
        device.neighbour_traffic += sum.local;
        sum.destinations.iter().for_each(|(to, packets)| all.add(to.clone(), *packets));
    }
    device.top_destinations = destinations(&all, REPORT_DESTINATIONS_PER_DEVICE_MAX);
}

/// Whether attempts are seen: what its zone shows, and by which router it says that it goes.
pub(super) fn observable(camera: &Camera, zone: Option<&Zone>, baseline: Option<&Baseline>) -> Observable {
    let facts = || baseline.and_then(|it| it.last.as_ref()).into_iter().flat_map(|it| it.facts.iter());
    let routers: Vec<&str> =
        facts().filter(|it| it.kind == FactKind::Router).map(|it| it.value.as_str()).collect();
    let own: Vec<String> = zone.map(gateways).unwrap_or_default().iter().map(ToString::to_string).collect();
    let is_own = |it: &&str| own.iter().any(|own| own == it);
    let routed = |leg: &Leg| leg.routes.iter().any(|route| route.to.contains(&camera.address.host));
    match zone.map(|it| &it.isolation) {
        Some(Isolation::Namespace(leg)) if routed(leg) => Observable {
            is: "partly",
            why: "it hangs behind a router in its zone: only what that router sends to the gateway is counted, under \
                  the address that it leaves",
        },
        Some(Isolation::Namespace(_)) if !routers.is_empty() && routers.iter().all(is_own) => Observable {
            is: "yes",
            why: "its router is the gateway, as it said when it was asked last: what it sends beyond its network is \
                  counted",
        },
        Some(Isolation::Namespace(_)) if !routers.is_empty() => Observable {
            is: "no",
            why: "it has been set to a router that is not the gateway: what it sends there is not seen",
        },
        Some(Isolation::Namespace(_)) => Observable {
            is: "partly",
            why: "what it sends to the gateway as its router and name server is counted; whether it uses others is \
                  not shown",
        },
        Some(Isolation::None) => Observable {
            is: "no",
            why: "its zone is not isolated by the gateway, which does not see its traffic",
        },
        None => Observable { is: "unknown", why: "its zone is not in the configuration" },
    }
}

fn fact<T>(is: String, claim: &Claim<T>) -> Fact {
    Fact { is, confidence: claim.confidence.to_string(), sources: claim.source.clone() }
}

fn parent(parent: &Parent) -> Fact {
    Fact { is: parent.is.clone(), confidence: parent.confidence.to_string(), sources: parent.source.clone() }
}

fn zone_part(zone: &Zone, inventory: &Inventory, ledger: &Ledger) -> ZonePart {
    let stood = ledger.uptimes.of(zone.id.as_str());
    ZonePart {
        name: zone.id.to_string(),
        isolation: zone.isolation.as_str(),
        isolated: isolated(zone),
        grade: stood.grade.filter(|_| isolated(zone)).map(Grade::as_str),
        not_shown: match stood.grade {
            _ if !isolated(zone) => "that anything but this program keeps its cameras from the core network",
            Some(grade) => grade.lacks(),
            None => "how it is kept apart: the log does not say by what interface",
        },
        prefixes: zone.prefixes.iter().map(ToString::to_string).collect(),
        cameras: inventory.cameras().filter(|camera| camera.zone == zone.id).count() as u64,
        watched_seconds: ledger.uptimes.running.as_secs(),
        in_force_seconds: stood.lasted.as_secs(),
        interruptions: stood.interruptions,
        drifts: stood.drifts,
        untold_seconds: stood.untold.as_secs(),
    }
}

fn isolated(zone: &Zone) -> bool {
    match zone.isolation {
        Isolation::Namespace(_) => true,
        Isolation::None => false,
    }
}

/// Sources that are no enrolled cameras.
fn core_devices(ledger: &Ledger) -> Vec<CoreDevice> {
    let printable_one = |it: &CoreDevice| CoreDevice {
        at: printable(&it.at),
        reasons: it.reasons.iter().map(|it| printable(it)).collect(),
        ..it.clone()
    };
    ledger.core.rows.keys().take(REPORT_TOP_ROWS_MAX).map(printable_one).collect()
}

/// Devices that were found in zones and are enrolled nowhere now either.
fn found(inventory: &Inventory, ledger: &Ledger) -> Vec<FoundPart> {
    let is_enrolled = |it: &DeviceFound| {
        inventory.cameras().any(|camera| camera.zone.as_str() == it.zone && camera.address.host == it.address)
    };
    let part = |(it, time): &(DeviceFound, String)| {
        let maker = inventory.vendors().find(&it.vendor);
        FoundPart {
            zone: printable(&it.zone),
            address: it.address.to_string(),
            mac: it.mac.as_deref().map(printable),
            endpoint: printable(&it.endpoint),
            maker: printable(&it.vendor),
            maker_name: maker.map_or_else(|| printable(&it.vendor), |it| it.name.clone()),
            class: printable(&it.class),
            restricted: it.restricted,
            reasons: it.reasons.iter().map(|it| printable(it)).collect(),
            jurisdiction: maker.map(|it| fact(it.seat.is.join(", "), &it.seat)),
            uk_order: maker.map(|it| fact(it.uk_order.is.to_string(), &it.uk_order)),
            us_889: maker.map(|it| fact(it.us_889.is.to_string(), &it.us_889)),
            us_fcc: maker.map(|it| fact(it.us_fcc.is.to_string(), &it.us_fcc)),
            on_record: time.clone(),
        }
    };
    ledger.found.values().filter(|(it, _)| !is_enrolled(it)).map(part).collect()
}

/// Who a stranger is: as it was found, else by its hardware address.
fn stranger_is(
    zone: &str,
    address: &str,
    inventory: &Inventory,
    ledger: &Ledger,
) -> Option<(String, String)> {
    if let Ok(address) = address.parse() {
        let (it, _) = ledger.found.get(&(zone.to_owned(), address))?;
        return Some((printable(&it.vendor), printable(&it.class)));
    }
    let mac: MacAddress = address.parse().ok()?;
    let mut evidence = Evidence::default();
    evidence.add(SignalKind::Mac, &mac.to_string());
    let verdict = inventory.vendors().judge(None, &evidence, None).verdict;
    Some((printable(&verdict.name), verdict.class.to_string()))
}

fn strangers(inventory: &Inventory, ledger: &Ledger) -> Vec<Stranger> {
    let attempts = &ledger.attempts;
    let stranger = |((zone, address), sum): (&(String, String), &SourceSum)| {
        let mut all = Rows::default();
        sum.destinations.iter().for_each(|(to, packets)| all.add(to.clone(), *packets));
        let (maker, class) = stranger_is(zone, address, inventory, ledger).unzip();
        Stranger {
            zone: printable(zone),
            address: printable(address),
            maker,
            class,
            packets: sum.packets + sum.before_start + sum.local,
            top_destinations: destinations(&all, REPORT_DESTINATIONS_PER_DEVICE_MAX),
        }
    };
    let mut strangers: Vec<Stranger> =
        attempts.sources.iter().filter(|(_, sum)| sum.camera.is_none()).map(stranger).collect();
    strangers.sort_by_key(|it| std::cmp::Reverse(it.packets));
    strangers
}

fn attempts(ledger: &Ledger) -> AttemptsPart {
    let Ledger { attempts, asked, asked_unnamed, .. } = ledger;
    let destinations = destinations(&attempts.destinations, REPORT_TOP_ROWS_MAX);
    let shown: u64 = destinations.iter().map(|it| it.packets).sum();
    let name = |((name, by), times): (&(String, String), u64)| NameRow {
        name: printable(name),
        by: printable(by),
        times,
    };
    AttemptsPart {
        packets: attempts.packets,
        before_start: attempts.before_start,
        neighbour_traffic: attempts.local,
        of_nobody: attempts.of_nobody + attempts.sources_left_out,
        other_destinations: attempts.destinations.total.saturating_sub(shown),
        destinations,
        names: asked.top(REPORT_TOP_ROWS_MAX).into_iter().map(name).collect(),
        questions: asked.total,
        unanswered: *asked_unnamed,
    }
}

fn destinations(rows: &Rows<(String, String, u16)>, count: usize) -> Vec<DestinationRow> {
    let row = |((to, protocol, port), packets): (&(String, String, u16), u64)| DestinationRow {
        to: printable(to),
        protocol: printable(protocol),
        port: *port,
        packets,
    };
    rows.top(count).into_iter().map(row).collect()
}

fn denied(ledger: &Ledger) -> DeniedPart {
    let row = |((camera, operation, reason), times): (&(String, String, String), u64)| DeniedRow {
        camera: printable(camera),
        operation: printable(operation),
        reason: printable(reason),
        times,
    };
    let rows: Vec<DeniedRow> = ledger.denied.top(REPORT_TOP_ROWS_MAX).into_iter().map(row).collect();
    let shown: u64 = rows.iter().map(|it| it.times).sum();
    DeniedPart {
        commands: ledger.denied.total,
        observed: ledger.observed,
        requests_only_counted: ledger.left_out,
        others: ledger.denied.total.saturating_sub(shown),
        rows,
    }
}

fn tables(loaded: &Loaded, today: Date) -> Tables {
    let vendors = loaded.inventory.vendors();
    let macs = vendors.macs();
    Tables {
        makers: vendors.iter().count() as u64,
        owner_folder: loaded.vendors_dir.as_ref().map(|it| it.display().to_string()),
        shown: false,
        mac_blocks: macs.len() as u64,
        mac_date: macs.date.to_string(),
        mac_age_days: macs.age_days(today),
        mac_source: macs.source.clone(),
        sources: BTreeMap::new(),
    }
}

/// What the sources that facts name stand for.
fn sources(report: &Report, inventory: &Inventory) -> BTreeMap<String, String> {
    let found = report.found.iter().flat_map(FoundPart::facts);
    let facts = report.devices.iter().flat_map(Device::facts).chain(found);
    let named = facts.flat_map(|it| &it.sources);
    named.filter_map(|it| Some((it.clone(), inventory.vendors().source(it)?.to_owned()))).collect()
}

fn summary(report: &Report, ledger: &Ledger) -> Summary {
    let count = |of: &dyn Fn(&Device) -> bool| report.devices.iter().filter(|it| of(it)).count() as u64;
    let here = |it: &Device| it.address.is_some();
    let restricted = |it: &Device| here(it) && it.restricted;
    let excepted = |it: &Device| it.exceptions.iter().any(|it| !it.over);
    let replaced = |it: &Device| it.replacement.as_ref().is_some_and(|it| it.state == "done");
    Summary {
        cameras: count(&here),
        restricted: count(&restricted),
        unknown: count(&|it| here(it) && it.class == "unknown"),
        restricted_at_sensitive_sites: count(&|it| restricted(it) && it.sensitive == Some(true)),
        without_exception: count(&|it| restricted(it) && it.sensitive == Some(true) && !excepted(it)),
        under_exception: count(&excepted),
        replaced: count(&replaced),
        replacement_overdue: count(&|it| it.replacement.as_ref().is_some_and(|it| it.overdue)),
        on_record_only: count(&|it| !here(it)),
        commands_permitted: ledger.permitted,
        destinations_not_approved: count(&|it| {
            it.baseline.as_ref().is_some_and(|it| it.destinations_not_approved > 0 || it.left_out)
        }),
        asked_again: ledger.asked_again,
        commands_denied: report.denied.commands,
        packets_blocked: report.attempts.packets,
        zones: report.zones.len() as u64,
        zones_isolated: report.zones.iter().filter(|it| it.isolated).count() as u64,
    }
}

const FORMAT: &str = "cordon-report/1";
