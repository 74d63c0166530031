//! The tables of a report as comma-separated values (RFC 4180), for spreadsheets.

use csv_core::WriteResult;

use super::model::{DestinationRow, Device, Fact, FoundPart, Report, ZonePart};

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Table {
    /// A row for each camera
    Devices,
    /// A row for each destination that cameras tried to reach
    Destinations,
    /// A row for each device that was found in a zone and is not enrolled
    Found,
    /// A row for each zone
    Zones,
    /// A row for each camera, operation and reason of denials
    Denied,
}

/// One table as text.
pub(super) fn text(report: &Report, table: Table) -> String {
    match table {
        Table::Devices => devices(report),
        Table::Destinations => destinations(report),
        Table::Found => found(report),
        Table::Zones => zones(report),
        Table::Denied => denied(report),
    }
}

fn devices(report: &Report) -> String {
    let head = [
        "name",
        "address",
        "zone",
        "site",
        "sensitive",
        "maker",
        "class",
        "restricted",
        "standing",
        "reasons",
        "jurisdiction",
        "uk_order",
        "us_889",
        "us_fcc",
        "exception_until",
        "exception_owner",
        "replacement",
        "replace_by",
        "overdue",
        "permitted",
        "denied",
        "attempts",
        "attempts_before_start",
        "neighbour_traffic",
        "top_destinations",
        "observable",
        "destinations_not_approved",
        "first_record",
        "last_record",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(report.devices.iter().map(device));
    sheet(&rows)
}

fn device(it: &Device) -> Vec<String> {
    let own = |text: &Option<String>| text.clone().unwrap_or_default();
    let exception = it.exceptions.iter().find(|it| !it.over).or(it.exceptions.first());
    let replacement = it.replacement.as_ref();
    vec![
        it.name.clone(),
        own(&it.address),
        own(&it.zone),
        own(&it.site),
        it.sensitive.map(|it| it.to_string()).unwrap_or_default(),
        it.maker_name.clone(),
        it.class.clone(),
        it.restricted.to_string(),
        it.standing.clone(),
        it.reasons.join("; "),
        stated(&it.jurisdiction),
        stated(&it.uk_order),
        stated(&it.us_889),
        stated(&it.us_fcc),
        exception.map(|it| it.until.clone()).unwrap_or_default(),
        exception.map(|it| it.owner.clone()).unwrap_or_default(),
        replacement.map(|it| it.state.to_owned()).unwrap_or_default(),
        replacement.and_then(|it| it.by.clone()).unwrap_or_default(),
        replacement.map(|it| it.overdue.to_string()).unwrap_or_default(),
        it.permitted.to_string(),
        it.denied.to_string(),
        it.attempts.to_string(),
        it.attempts_before_start.to_string(),
        it.neighbour_traffic.to_string(),
        it.top_destinations.iter().map(destination).collect::<Vec<_>>().join("; "),
        it.observable.is.to_owned(),
        it.baseline.as_ref().map(|it| it.destinations_not_approved.to_string()).unwrap_or_default(),
        own(&it.first_record),
        own(&it.last_record),
    ]
}

fn stated(fact: &Option<Fact>) -> String {
    fact.as_ref().map(|it| format!("{} ({})", it.is, it.confidence)).unwrap_or_default()
}

/// A destination as people write it.
pub(super) fn destination(it: &DestinationRow) -> String {
    match it.port {
        0 => format!("{} {} ({})", it.to, it.protocol, it.packets),
        port => format!("{} {}/{port} ({})", it.to, it.protocol, it.packets),
    }
}

fn destinations(report: &Report) -> String {
    let mut rows = vec![["to", "protocol", "port", "packets"].map(str::to_owned).to_vec()];
    let row = |it: &DestinationRow| {
        vec![it.to.clone(), it.protocol.clone(), it.port.to_string(), it.packets.to_string()]
    };
    rows.extend(report.attempts.destinations.iter().map(row));
    let rest = report.attempts.other_destinations.to_string();
    rows.push(vec!["other destinations".to_owned(), String::new(), String::new(), rest]);
    sheet(&rows)
}

fn found(report: &Report) -> String {
    let head = [
        "zone",
        "address",
        "mac",
        "endpoint",
        "maker",
        "class",
        "restricted",
        "reasons",
        "jurisdiction",
        "uk_order",
        "us_889",
        "us_fcc",
        "on_record",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let row = |it: &FoundPart| {
        let who = [&it.zone, &it.address, it.mac.as_ref().unwrap_or(&String::new()), &it.endpoint]
            .map(String::clone);
        let judged =
            [it.maker_name.clone(), it.class.clone(), it.restricted.to_string(), it.reasons.join("; ")];
        let facts = [&it.jurisdiction, &it.uk_order, &it.us_889, &it.us_fcc].map(stated);
        who.into_iter().chain(judged).chain(facts).chain([it.on_record.clone()]).collect()
    };
    rows.extend(report.found.iter().map(row));
    sheet(&rows)
}

fn zones(report: &Report) -> String {
    let head = [
        "name",
        "isolation",
        "grade",
        "not_shown",
        "prefixes",
        "cameras",
        "watched_seconds",
        "in_force_seconds",
        "interruptions",
        "drifts",
        "untold_seconds",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let row = |it: &ZonePart| {
        let grade = it.grade.unwrap_or_default().to_owned();
        let words = [it.name.clone(), it.isolation.to_owned(), grade, it.not_shown.to_owned()];
        let times = [it.watched_seconds, it.in_force_seconds].map(|it| it.to_string());
        let counts = [it.interruptions, it.drifts].map(|it| it.to_string());
        let [watched, in_force] = times;
        let [interruptions, drifts] = counts;
        let figures = [it.cameras.to_string(), watched, in_force, interruptions, drifts];
        let untold = it.untold_seconds.to_string();
        words.into_iter().chain([it.prefixes.join(" ")]).chain(figures).chain([untold]).collect()
    };
    rows.extend(report.zones.iter().map(row));
    sheet(&rows)
}

fn denied(report: &Report) -> String {
    let mut rows = vec![["camera", "operation", "reason", "times"].map(str::to_owned).to_vec()];
    rows.extend(
        report
            .denied
            .rows
            .iter()
            .map(|it| vec![it.camera.clone(), it.operation.clone(), it.reason.clone(), it.times.to_string()]),
    );
    let others = report.denied.others.to_string();
    rows.push(vec!["others".to_owned(), String::new(), String::new(), others]);
    sheet(&rows)
}

fn sheet(rows: &[Vec<String>]) -> String {
    let mut writer = csv_core::WriterBuilder::new().terminator(csv_core::Terminator::CRLF).build();
    let mut out = Vec::new();
    for row in rows {
        for (at, cell) in row.iter().enumerate() {
            if at > 0 {
                put(&mut out, |room| {
                    let (result, written) = writer.delimiter(room);
                    (result, 0, written)
                });
            }
            let text = harmless(cell);
            let mut rest = text.as_bytes();
            put(&mut out, |room| {
                let (result, read, written) = writer.field(rest, room);
                rest = rest.get(read..).unwrap_or_default();
                (result, read, written)
            });
        }
        put(&mut out, |room| {
            let (result, written) = writer.terminator(room);
            (result, 0, written)
        });
    }
    String::from_utf8(out).unwrap_or_default()
}

/// Has the writer write until it needs no more room.
fn put(out: &mut Vec<u8>, mut write: impl FnMut(&mut [u8]) -> (WriteResult, usize, usize)) {
    let mut room = [0; 1_024];
    loop {
        let (result, _, written) = write(&mut room);
        out.extend(room.iter().take(written));
        if result == WriteResult::InputEmpty {
            return;
        }
    }
}

/// A cell that no spreadsheet takes for a formula.
fn harmless(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_no_formulas() {
        let row = |cells: &[&str]| cells.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let long = "x".repeat(5_000) + "\"";
        let text = sheet(&[
            row(&["a", "", "b,c"]),
            row(&["say \"hi\"", "two\nlines", "=HYPERLINK(\"http://203.0.113.9\")"]),
            row(&["-2+3", "@x", "+1", &long]),
        ]);
        let quoted = format!("'-2+3,'@x,'+1,\"{}\"\"\"\r\n", "x".repeat(5_000));
        let wanted =
            "a,,\"b,c\"\r\n\"say \"\"hi\"\"\",\"two\nlines\",\"'=HYPERLINK(\"\"http://203.0.113.9\"\")\"\r\n";
        assert_eq!(text, wanted.to_owned() + &quoted);
    }
}
