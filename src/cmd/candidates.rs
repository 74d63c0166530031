//! Devices that were found in zones: judged by what is known of them without a login; those that are enrolled nowhere are
//! put on record, so that the report has every device that was seen, and told while they are there.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::PoisonError,
    time::Duration,
};

use serde_json::json;

use crate::{
    admin::CandidateRow,
    alarm::{Alarm, Subject},
    audit::Event,
    discovery::{Candidate, DEVICE_FOUND, DeviceFound},
    ids::ZoneId,
    inventory::{Acquaintances, Isolation},
    isolation::Neighbour,
    limits::{
        CANDIDATES_JUDGE_INTERVAL, DEVICES_FOUND_TOLD_PER_PERIOD_MAX, ENDPOINT_CHARS_TOLD_MAX, SUMMARY_PERIOD,
    },
    listener::House,
};

/// All that were found, as they are judged now. Asks the privileged process who has which hardware address.
pub(super) fn rows(house: &House) -> Vec<CandidateRow> {
    let edition = house.edition.load_full();
    let inventory = edition.rules.inventory();
    let found: Vec<_> = {
        let candidates = house.candidates.lock().unwrap_or_else(PoisonError::into_inner);
        candidates.iter().map(|(zone, address, it)| (zone.clone(), address, it.clone())).collect()
    };
    let isolated = |zone: &ZoneId| inventory.zone(zone).is_some_and(|it| it.isolation != Isolation::None);
    let zones: BTreeSet<&ZoneId> = found.iter().map(|(zone, ..)| zone).filter(|it| isolated(it)).collect();
    // Without the privileged process nothing is known of hardware addresses, and the rest is shown.
    let neighbours: BTreeMap<&ZoneId, Vec<Neighbour>> =
        zones.into_iter().map(|zone| (zone, house.netd.neighbours(zone).unwrap_or_default())).collect();
    let mac = |zone: &ZoneId, address: IpAddr| {
        let its = |it: &&Neighbour| it.address == address && it.state != "FAILED";
        neighbours.get(zone)?.iter().find(its)?.mac.as_ref()?.parse().ok()
    };
    let regards = edition.rules.regards();
    let known = Acquaintances::of(inventory.cameras().map(|it| (&it.id, regards.of(&it.id))));
    let row = |(zone, address, it): &(ZoneId, IpAddr, Candidate)| {
        CandidateRow::of(zone, *address, it, mac(zone, *address), inventory, &known)
    };
    found.iter().map(row).collect()
}

/// What is on record of those that are enrolled nowhere.
#[derive(Default)]
pub(super) struct Judged {
    /// When to look next, and since when records are counted, in monotonic time.
    next: Duration,
    since: Duration,
    told: usize,
    /// By zone and address, as long as they are there.
    known: BTreeMap<(String, IpAddr), DeviceFound>,
}

impl Judged {
    /// Whether it is time to look.
    pub(super) fn is_due(&mut self, now: Duration) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now + CANDIDATES_JUDGE_INTERVAL;
        }
        due
    }

    /// Takes all that are there now. What is new, or judged otherwise than before, is put on record; what there is no
    /// place for in a period, in the next.
    pub(super) fn take(&mut self, rows: &[CandidateRow], house: &House) {
        let now = house.clock.monotonic();
        if now.saturating_sub(self.since) >= SUMMARY_PERIOD {
            (self.since, self.told) = (now, 0);
        }
        let strangers = || rows.iter().filter(|it| it.enrolled.is_empty());
        let there: BTreeSet<_> = strangers().map(|it| (it.zone.clone(), it.address)).collect();
        self.known.retain(|key, _| there.contains(key));
        for row in strangers() {
            let (key, found) = ((row.zone.clone(), row.address), found(row));
            // Another name alone is no other device to judge, and is made up easily.
            let is_known = self.known.get(&key).is_some_and(|it| it.is_judged_like(&found));
            if !is_known && self.told < DEVICES_FOUND_TOLD_PER_PERIOD_MAX {
                self.told += 1;
                house.gate.note(Event::new(DEVICE_FOUND, json!(found)));
                self.known.insert(key, found);
            }
        }
        for zone in house.edition.load().rules.inventory().zones() {
            let strict: Vec<_> =
                strangers().filter(|it| it.is_strict && it.zone == zone.id.as_str()).collect();
            let told = strict.first().map(|it| {
                let more = strict.len() - 1;
                let more = if more > 0 { format!(", and {more} more") } else { String::new() };
                format!("{} ({}, {}){more}", it.address, it.vendor, it.class)
            });
            let subject = Subject::Zone(zone.id.clone());
            house.gate.watch().alarms.set(Alarm::DeviceNotEnrolled, subject, told.as_deref());
        }
    }
}

fn found(row: &CandidateRow) -> DeviceFound {
    let endpoint = row.endpoint.chars().filter(char::is_ascii_graphic).take(ENDPOINT_CHARS_TOLD_MAX);
    DeviceFound {
        zone: row.zone.clone(),
        address: row.address,
        mac: row.mac.map(|it| it.to_string()),
        endpoint: endpoint.collect(),
        vendor: row.vendor.clone(),
        class: row.class.clone(),
        restricted: row.is_strict,
        reasons: row.reasons.clone(),
    }
}
