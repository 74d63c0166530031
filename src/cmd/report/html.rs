//! The report as one page without scripts: to read, to print, to keep.
//!
//! Texts of cameras stand in it. `maud` escapes every value; nothing here is marked as safe but the style sheet.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    csv::destination,
    model::{Attention, Device, Fact, LogPart, Report, ZonePart},
};

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Should anything in it ever be taken for more than text, no browser follows it.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="referrer" content="no-referrer";
                title { "Isolation report of " (report.gateway) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (head(report))
                (figures(report))
                (attention(&report.attention))
                (devices(report))
                (zones(report))
                (attempts(report))
                (denied(report))
                (evidence(report))
                (not_claimed(report))
                (basis(report))
            }
        }
    }
    .into_string()
}

fn head(report: &Report) -> Markup {
    let LogPart { from, to, records, verified, since, until, unsigned_lines, .. } = &report.log;
    html! {
        h1 { "Restricted cameras: isolation and evidence" }
        p {
            "Gateway " b { (report.gateway) } " · made " (day_and_time(&report.made)) " by " (report.program)
            " · for the order to UK departments of 24 November 2022"
        }
        p.soft {
            @match (from, to) {
                (Some(from), Some(to)) => {
                    "From " (records) " records, " (day_and_time(from)) " to " (day_and_time(to))
                }
                _ => "From a log without records",
            }
            @if let Some(since) = since { ", limited to those since " (day_and_time(since)) }
            @if let Some(until) = until { ", limited to those before " (day_and_time(until)) }
            "; "
            @if *verified { "every line, sum and signature of the log was verified" }
            @else { b.critical { "THE LOG COULD NOT BE VERIFIED" } }
            @if *unsigned_lines > 0 {
                "; " (unsigned_lines) " lines came after its latest checkpoint and are left out"
            }
            "."
        }
    }
}

fn figures(report: &Report) -> Markup {
    let sum = &report.summary;
    let restricted = format!("{} of {}", sum.restricted, sum.cameras);
    let isolated = format!("{} of {}", sum.zones_isolated, sum.zones);
    html! {
        div.figures {
            (figure(&restricted, "cameras are treated as restricted", ""))
            (figure(&sum.unknown.to_string(), "of these are of unknown makers", ""))
            (figure(&sum.restricted_at_sensitive_sites.to_string(), "restricted at sensitive sites", bad_if(sum.without_exception > 0)))
            (figure(&sum.under_exception.to_string(), "served under a dated exception", ""))
            (figure(&isolated, "zones are configured as isolated", bad_if(sum.zones_isolated < sum.zones)))
            (figure(&sum.packets_blocked.to_string(), "packets were dropped in zones", ""))
            (figure(&sum.commands_denied.to_string(), "commands were denied", ""))
            (figure(&sum.replacement_overdue.to_string(), "replacements are overdue", bad_if(sum.replacement_overdue > 0)))
        }
    }
}

fn figure(value: &str, what: &str, class: &str) -> Markup {
    html! { div class={ "figure " (class) } { b { (value) } span { (what) } } }
}

fn bad_if(bad: bool) -> &'static str {
    if bad { "bad" } else { "" }
}

fn attention(found: &[Attention]) -> Markup {
    html! {
        h2 { "What needs attention" }
        @if found.is_empty() { p { "Nothing that these records show." } }
        @else {
            table {
                thead { tr { th { "Severity" } th { "What" } th { "What to do" } } }
                tbody {
                    @for it in found {
                        tr { td { span class={ "tag " (it.severity) } { (it.severity) } } td { (it.what) } td { (it.remedy) } }
                    }
                }
            }
        }
    }
}

fn devices(report: &Report) -> Markup {
    html! {
        h2 { "Cameras" }
        p.soft {
            "Class is what rules go by. Dropped packets “before” came before reading began, “near” lead \
             nowhere beyond the link (discovery, and what is said to neighbours). Seat, the UK order, section 889 and the FCC's list are separate facts about the \
             maker, each with its confidence. What led to a class stands under “Evidence”."
        }
        table.wide {
            thead {
                tr {
                    th { "Camera" } th { "Site" } th { "Maker" } th { "Class" } th { "Seat" } th { "UK order" }
                    th { "US 889" } th { "US FCC" } th { "Exception" } th { "Replacement" } th.n { "Denied" }
                    th.n { "Dropped packets" } th { "Attempts seen?" }
                }
            }
            tbody { @for it in &report.devices { (device(it)) } }
        }
        (found(report))
        @if !report.strangers.is_empty() {
            h3 { "Addresses in zones that are no enrolled cameras" }
            table {
                thead {
                    tr {
                        th { "Zone" } th { "Address" } th { "Maker" } th { "Class" } th.n { "Dropped packets" }
                        th { "Where to" }
                    }
                }
                tbody {
                    @for it in report.strangers.iter().take(ROWS_SHOWN) {
                        tr {
                            td { (it.zone) } td { (it.address) } td { (it.maker.as_deref().unwrap_or("not known")) }
                            td { (it.class.as_deref().unwrap_or("not known")) } td.n { (it.packets) }
                            td { (it.top_destinations.iter().map(destination).collect::<Vec<_>>().join("; ")) }
                        }
                    }
                }
            }
            (more(report.strangers.len()))
        }
    }
}

/// Devices that say they are cameras and are none of these.
fn found(report: &Report) -> Markup {
    html! {
        @if !report.found.is_empty() {
            h3 { "Devices found in zones that are not enrolled" }
            p.soft {
                "Judged without a login, by what they said to everybody and by their hardware addresses. Nobody is served by them."
            }
            table {
                thead {
                    tr {
                        th { "Zone" } th { "Address" } th { "Maker" } th { "Class" } th { "Seat" } th { "UK order" }
                        th { "US 889" } th { "US FCC" } th { "Evidence" }
                    }
                }
                tbody {
                    @for it in report.found.iter().take(ROWS_SHOWN) {
                        tr {
                            td { (it.zone) }
                            td { (it.address) @if let Some(mac) = &it.mac { br; span.soft { (mac) } } }
                            td { (it.maker_name) }
                            td { @if it.restricted { span.tag.warning { (it.class) } } @else { (it.class) } }
                            td { (fact(it.jurisdiction.as_ref())) } td { (fact(it.uk_order.as_ref())) }
                            td { (fact(it.us_889.as_ref())) } td { (fact(it.us_fcc.as_ref())) }
                            td { (it.reasons.join("; ")) }
                        }
                    }
                }
            }
            (more(report.found.len()))
        }
    }
}

fn device(it: &Device) -> Markup {
    html! {
        tr {
            td { b { (it.name) } br; span.soft { (it.address.as_deref().unwrap_or("not configured any more")) } }
            td {
                (it.site.as_deref().unwrap_or("–"))
                @if it.sensitive == Some(true) { br; span.tag.critical { "sensitive" } }
                @if let Some(zone) = &it.zone { br; span.soft { "zone " (zone) } }
            }
            td { (it.maker_name) }
            td {
                span class={ "tag " (it.class) } { (it.class) } br; span.soft { (it.standing) }
                @if it.quarantine.is_some() { br; span.tag.critical { "quarantine" } }
            }
            td { (fact(it.jurisdiction.as_ref())) }
            td { (fact(it.uk_order.as_ref())) }
            td { (fact(it.us_889.as_ref())) }
            td { (fact(it.us_fcc.as_ref())) }
            td {
                @if it.exceptions.is_empty() { span.soft { "none" } }
                @for exception in &it.exceptions {
                    @if exception.over { span.critical { "ended " (exception.until) } }
                    @else { "until " (exception.until) }
                    br; span.soft { (exception.owner) ": " (exception.reason) } br;
                }
            }
            td {
                @match &it.replacement {
                    None => span.soft { "not planned" },
                    Some(plan) => {
                        (plan.state)
                        @if let Some(by) = &plan.by { br; "by " (by) }
                        @if plan.overdue { br; span.tag.critical { "overdue" } }
                    }
                }
            }
            td.n { (it.denied) }
            td.n {
                (it.attempts)
                @if it.attempts_before_start > 0 { br; span.soft { "+ " (it.attempts_before_start) " before" } }
                @if it.neighbour_traffic > 0 { br; span.soft { "+ " (it.neighbour_traffic) " near" } }
            }
            td { (it.observable.is) }
        }
    }
}

fn fact(fact: Option<&Fact>) -> Markup {
    html! {
        @match fact {
            Some(it) => { (it.is) br; span.soft { (it.confidence) } }
            None => span.soft { "not known" },
        }
    }
}

fn zones(report: &Report) -> Markup {
    html! {
        h2 { "Zones" }
        table {
            thead {
                tr {
                    th { "Zone" } th { "Isolation" } th { "Not shown" } th { "Prefixes" } th.n { "Cameras" } th.n { "In force" }
                    th.n { "Of watched time" } th.n { "Interruptions / changes" }
                }
            }
            tbody { @for it in &report.zones { (zone(it)) } }
        }
        p.soft {
            "Watched is the time that the gateway ran, as far as the log shows. Isolation counts as in force from where the \
             log says so; what holds while the gateway does not run is not shown by it."
        }
    }
}

fn zone(it: &ZonePart) -> Markup {
    let none = !it.isolated;
    html! {
        tr {
            td { b { (it.name) } }
            td {
                @if none { span.tag.critical { "none" } } @else { (it.isolation) }
                @if let Some(grade) = it.grade { br; span.soft { "by: " (grade) } }
            }
            td { (it.not_shown) }
            td { (it.prefixes.join(", ")) }
            td.n { (it.cameras) }
            td.n {
                @if none { "–" } @else { (percent(it.in_force_seconds, it.watched_seconds)) }
                @if !none && it.untold_seconds > 0 { br; span.soft { "not told for " (duration(it.untold_seconds)) } }
            }
            td.n { (duration(it.watched_seconds)) }
            td.n { @if none { "–" } @else { (it.interruptions) " / " (it.drifts) } }
        }
    }
}

fn attempts(report: &Report) -> Markup {
    let it = &report.attempts;
    html! {
        h2 { "Attempts to get out of a zone" }
        p {
            b { (it.packets) } " packets were dropped while the gateway watched, " (it.before_start)
            " came before it began to (an earlier run that was killed may have recorded some of these too); of "
            (it.of_nobody) " of all these no source is known. " (it.neighbour_traffic)
            " of them are discovery and neighbour traffic, which leads nowhere beyond the link, and in no row below. An \
             attempt is not proof of intent."
        }
        @if !it.destinations.is_empty() {
            h3 { "Where to" }
            table {
                thead { tr { th { "Destination" } th { "Protocol" } th.n { "Port" } th.n { "Packets" } } }
                tbody {
                    @for row in it.destinations.iter().take(ROWS_SHOWN) {
                        tr {
                            td { (row.to) } td { (row.protocol) }
                            td.n { @if row.port > 0 { (row.port) } @else { "–" } } td.n { (row.packets) }
                        }
                    }
                }
            }
            (more(it.destinations.len()))
            p.soft { (it.other_destinations) " packets went to destinations without a row in this report." }
        }
        @if !it.names.is_empty() {
            h3 { "Names that were asked for" }
            p.soft { (it.questions) " questions, each refused; " (it.unanswered) " messages were not answered." }
            table {
                thead { tr { th { "Name" } th { "By" } th.n { "Times" } } }
                tbody {
                    @for row in it.names.iter().take(ROWS_SHOWN) {
                        tr { td { (row.name) } td { (row.by) } td.n { (row.times) } }
                    }
                }
            }
            (more(it.names.len()))
        }
    }
}

fn denied(report: &Report) -> Markup {
    let it = &report.denied;
    html! {
        h2 { "Denied commands" }
        p {
            b { (it.commands) } " commands were denied; " (report.summary.commands_permitted) " were permitted. "
            @if report.summary.asked_again > 0 { "The gateway's own question who a camera is stands in the log once an hour where it brings no news: it was asked " (report.summary.asked_again) " times more. " }
            (it.observed) " denied ones went on in observe mode, " (it.requests_only_counted)
            " requests without credentials were only counted."
        }
        @if !it.rows.is_empty() {
            table {
                thead { tr { th { "Camera" } th { "Operation" } th { "Reason" } th.n { "Times" } } }
                tbody {
                    @for row in it.rows.iter().take(ROWS_SHOWN) {
                        tr { td { (row.camera) } td { (row.operation) } td { (row.reason) } td.n { (row.times) } }
                    }
                }
            }
            (more(it.rows.len()))
        }
    }
}

fn evidence(report: &Report) -> Markup {
    html! {
        h2 { "Evidence" }
        @for it in &report.devices {
            div.card {
                h3 { (it.name) " " span class={ "tag " (it.class) } { (it.class) } }
                dl {
                    dt { "Carried by" } dd { (it.standing) }
                    @if let Some(class) = &it.class_on_record { dt { "Last decided as" } dd { (class) } }
                    @if let (Some(first), Some(last)) = (&it.first_record, &it.last_record) {
                        dt { "On record" } dd { (day_and_time(first)) " to " (day_and_time(last)) ", " (it.permitted) " commands permitted, " (it.denied) " denied" }
                    }
                    @if let Some(why) = &it.quarantine { dt { "Quarantine" } dd.critical { "since " (day_and_time(&why.since)) ": " (why.why) @if let Some(device) = &why.device { br; "there is: " (device) } } }
                    @if let Some(accepted) = &it.accepted { dt { "Device accepted" } dd { (accepted) } }
                    @if let Some(parent) = &it.parent { dt { "Owner of the maker" } dd { (parent.is) " (" (parent.confidence) ")" } }
                    @if !it.top_destinations.is_empty() {
                        dt { "Tried to reach" }
                        dd { (it.top_destinations.iter().map(destination).collect::<Vec<_>>().join("; ")) }
                    }
                    dt { "Attempts seen?" } dd { (it.observable.is) ": " (it.observable.why) }
                    dt { "Sources of facts" } dd { (sources(it)) }
                }
                (baseline(it))
                @if !it.reasons.is_empty() { ul { @for reason in &it.reasons { li { (reason) } } } }
                @if !it.evidence.is_empty() {
                    p.soft { "What it shows, and what that says:" }
                    ul { @for sign in &it.evidence { li { (sign) } } }
                }
                @for contradiction in &it.contradictions { p.critical { "Contradiction: " (contradiction) } }
            }
        }
    }
}

/// What a camera has been set to, and what of it is approved.
fn baseline(it: &Device) -> Markup {
    let Some(it) = &it.baseline else { return html! {} };
    html! {
        p.soft {
            "Set to, as read " (day_and_time(&it.read)) "; "
            @match &it.approved { Some(approved) => { "approved " (approved) } None => { "approved by nobody" } } ":"
        }
        table {
            tbody {
                @for row in &it.facts {
                    tr {
                        td { (row.what) } td { (row.value) }
                        td class=[(row.standing == "NOT APPROVED").then_some("critical")] { (row.standing) }
                    }
                }
            }
        }
        @if it.left_out { p.critical { "There is more than is kept." } }
        @if !it.not_told.is_empty() { p.soft { "Not told: " (it.not_told.join("; ")) } }
    }
}

/// Names of all sources that facts about a device come from.
fn sources(it: &Device) -> String {
    let mut all: Vec<&str> = it.facts().flat_map(|it| it.sources.iter().map(String::as_str)).collect();
    all.sort_unstable();
    all.dedup();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

fn not_claimed(report: &Report) -> Markup {
    html! {
        h2 { "What this does not claim" }
        ul { @for it in report.not_claimed { li { (it) } } }
    }
}

fn basis(report: &Report) -> Markup {
    let (log, tables) = (&report.log, &report.tables);
    html! {
        h2 { "What it rests on" }
        dl {
            dt { "Makers" }
            dd {
                (tables.makers) " in the table"
                @if let Some(folder) = &tables.owner_folder { ", with those in " (folder) }
            }
            dt { "MAC prefixes" }
            dd { (tables.mac_blocks) " blocks of " (tables.mac_date) ", " (tables.mac_age_days) " days old (" (tables.mac_source) ")" }
            dt { "Audit log" } dd { (log.name) ", " (log.signed_lines) " signed lines, " (log.deleted_lines) " of them deleted by retention" }
            dt { "Public key" } dd { (log.public_key) }
            @for (name, source) in &tables.sources { dt { "Source " (name) } dd { (source) } }
            @if let Some(damage) = &log.damage { dt { "Damage" } dd.critical { (damage) } }
        }
        p { "The report was made at this checkpoint of the log. Whoever keeps it can show later that the log only grew since." }
        pre { (log.checkpoint) }
        p {
            "The signature stands in a file beside this one: " code { "cordon report verify REPORT --public-key FILE" }
            " checks it with nothing but the key, " code { "cordon audit verify DIR --checkpoint FILE" }
            " checks the log against the checkpoint."
        }
        footer { "Made by " (report.program) ". One file, no scripts, nothing loaded from elsewhere." }
    }
}

/// Says that a table is longer.
fn more(rows: usize) -> Markup {
    html! {
        @if rows > ROWS_SHOWN {
            p.soft { (rows - ROWS_SHOWN) " more rows are in the report as JSON." }
        }
    }
}

/// A time in RFC 3339 for people: to the second, in UTC.
fn day_and_time(text: &str) -> String {
    match text.get(..19).zip(text.get(10..11)) {
        Some((whole, "T")) => whole.replacen('T', " ", 1) + " UTC",
        _ => text.to_owned(),
    }
}

fn percent(part: i64, whole: i64) -> String {
    // Cut, not rounded: 100 % is said of what was in force all the time.
    match (part * 10_000).checked_div(whole) {
        Some(share) => format!("{}.{:02} %", share / 100, share % 100),
        None => "–".to_owned(),
    }
}

fn duration(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min {} s", seconds % 60),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

const STYLE: &str = include_str!("style.css");
const ROWS_SHOWN: usize = 50;
