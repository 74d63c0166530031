//! What in a report somebody should look at: it follows from its values alone.

use crate::{isolation::CoreDevice, limits::MAC_TABLE_DAYS_MAX};

use super::model::{Attention, Device, Report, ZonePart};

/// Everything, worst first.
pub(super) fn of(report: &Report) -> Vec<Attention> {
    let mut found: Vec<Attention> =
        [of_the_log(report), of_the_core(report), of_zones(report), of_devices(report), of_tables(report)]
            .into_iter()
            .flatten()
            .map(|(severity, what, remedy)| Attention { severity, what, remedy: remedy.to_owned() })
            .collect();
    let place = |it: &Attention| [CRITICAL, WARNING, NOTICE].iter().position(|word| *word == it.severity);
    found.sort_by_key(place);
    found
}

/// Severity, what there is, what to do.
type Found = (&'static str, String, &'static str);

fn of_the_log(report: &Report) -> Vec<Found> {
    let log = &report.log;
    let damaged = log.damage.as_ref().map(|damage| {
        let what = format!("The audit log is not as it was signed: {damage}");
        (CRITICAL, what, "Believe none of the figures below; keep the folder and run `cordon audit verify`.")
    });
    let strange = (log.not_understood > 0).then(|| {
        let what =
            format!("{} lines of the log are of a form that this program does not know.", log.not_understood);
        (
            CRITICAL,
            what,
            "Make the report with the version of the program that wrote them: figures are too low.",
        )
    });
    let deleted = (log.deleted_lines > 0).then(|| {
        let what = format!("The first {} lines of the log were deleted by retention.", log.deleted_lines);
        (NOTICE, what, "Figures are about what is left; look for older exports.")
    });
    let observed = (report.denied.observed > 0).then(|| {
        let what = format!("{} denied commands went on, in observe mode.", report.denied.observed);
        (WARNING, what, "End the observation: mode = \"enforce\" under [policy].")
    });
    [damaged, strange, deleted, observed].into_iter().flatten().collect()
}

/// What hangs where nothing keeps it apart.
fn of_the_core(report: &Report) -> Vec<Found> {
    let seen = |it: &CoreDevice| {
        let what = format!(
            "A restricted device was seen on the core side, by {}: {} ({}), {} {}.",
            it.how, it.address, it.at, it.vendor, it.class
        );
        (CRITICAL, what, "Unplug it there, and put it into a zone; see the event `core-device` of the log.")
    };
    report.core_devices.iter().map(seen).collect()
}

fn of_zones(report: &Report) -> Vec<Found> {
    let zone = |it: &ZonePart| {
        let not = it.watched_seconds - it.in_force_seconds - it.untold_seconds;
        if !it.isolated {
            let what = format!("Zone {} is not isolated; {} cameras hang in it.", it.name, it.cameras);
            let remedy = "Isolate it: isolation = \"namespace\" in its section of the configuration.";
            Some((CRITICAL, what, remedy))
        } else if it.interruptions > 0 || not > STARTING_SECONDS {
            let what = format!(
                "Isolation of zone {} was not in force for {not} s while the gateway ran, and ended {} times meanwhile.",
                it.name, it.interruptions
            );
            Some((
                CRITICAL,
                what,
                "See the events `isolation` of the log: restricted cameras were not served then.",
            ))
        } else if it.untold_seconds > STARTING_SECONDS {
            let what = format!(
                "The log does not say how the isolation of zone {} stood for {} s while the gateway ran.",
                it.name, it.untold_seconds
            );
            Some((WARNING, what, "The lines that did were deleted by retention: look for older exports."))
        } else if it.drifts > 0 {
            let what = format!(
                "The isolation of zone {} was found changed {} times, and mended.",
                it.name, it.drifts
            );
            Some((
                WARNING,
                what,
                "See the events `isolation-drift` of the log, and who changes the machine's network.",
            ))
        } else {
            None
        }
    };
    report.zones.iter().filter_map(zone).collect()
}

/// What hangs in zones and nobody has decided about.
fn not_enrolled(report: &Report) -> Option<Found> {
    let all: Vec<_> = report.found.iter().filter(|it| it.restricted).collect();
    let first = all.first()?;
    let what = format!(
        "{} devices of restricted or unknown makers were found in zones and are not enrolled; the first is {} in zone {} ({}).",
        all.len(),
        first.address,
        first.zone,
        first.maker_name
    );
    Some((WARNING, what, "Enrol each of them (`cordon camera enrol`), or take it off the zone."))
}

fn of_devices(report: &Report) -> Vec<Found> {
    let restricted = |it: &Device| it.restricted && it.address.is_some();
    let excepted = |it: &Device| it.exceptions.iter().any(|it| !it.over);
    let named = |severity, which: &dyn Fn(&Device) -> bool, what, remedy| {
        let names = names(report.devices.iter().filter(|it| which(it)), what)?;
        Some((severity, names, remedy))
    };
    [
        named(
            CRITICAL,
            &|it| restricted(it) && it.sensitive == Some(true) && !excepted(it),
            "restricted cameras look at sensitive sites without an exception",
            "Take them out, or have somebody answer for each until a day.",
        ),
        named(
            CRITICAL,
            &|it| it.quarantine.is_some(),
            "cameras are in quarantine, since they seem to be other devices",
            "Look at each of them; nobody is served until somebody decides.",
        ),
        named(
            WARNING,
            &|it| it.baseline.as_ref().is_some_and(|it| it.destinations_not_approved > 0 || it.left_out),
            "cameras have been set to destinations that nobody approved",
            "See which below; set the cameras right, or approve with `cordon camera baseline`.",
        ),
        not_enrolled(report),
        named(
            WARNING,
            &|it| it.replacement.as_ref().is_some_and(|it| it.overdue),
            "replacements are overdue",
            "Replace the cameras, or correct `replace_by`.",
        ),
        named(
            WARNING,
            &|it| restricted(it) && it.replacement.is_none(),
            "restricted cameras have no plan for their replacement",
            "Say in the configuration when each is to be replaced (`replace_by`).",
        ),
        named(
            WARNING,
            &|it| !it.contradictions.is_empty(),
            "cameras show signs of makers that have nothing to do with each other",
            "Look at each of them on its wall.",
        ),
        named(
            NOTICE,
            &|it| it.attempts + it.attempts_before_start > 0,
            "cameras tried to reach what they may not",
            "See where to; an attempt is not proof of intent.",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_tables(report: &Report) -> Vec<Found> {
    let days = report.tables.mac_age_days;
    let what = format!("The table of MAC prefixes is {days} days old.");
    let remedy = "Renew it with `cordon vendors import`: makers get new blocks all the time.";
    let old = (days > MAC_TABLE_DAYS_MAX).then_some((WARNING, what, remedy));
    let what = "Verdicts go by the configuration alone: there is no state database that could be read.";
    let remedy = "Run this as the gateway's user, once the gateway has run.";
    let unread = (!report.tables.shown).then(|| (NOTICE, what.to_owned(), remedy));
    [old, unread].into_iter().flatten().collect()
}

/// How many devices are so, naming a few of them.
fn names<'a>(devices: impl Iterator<Item = &'a Device>, what: &str) -> Option<String> {
    let names: Vec<&str> = devices.map(|it| it.name.as_str()).collect();
    let shown = names.iter().take(NAMES_SHOWN).copied().collect::<Vec<_>>().join(", ");
    let more = match names.len().saturating_sub(NAMES_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!names.is_empty()).then(|| format!("{} {what}: {shown}{more}.", names.len()))
}

const CRITICAL: &str = "critical";
const WARNING: &str = "warning";
const NOTICE: &str = "notice";
/// A registry older than this lacks many of a maker's newer blocks.
const NAMES_SHOWN: usize = 8;
/// A gateway that starts has not looked at its zones for a moment; all starts together.
const STARTING_SECONDS: i64 = 60;
