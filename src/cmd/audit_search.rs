//! `cordon audit search`: finds records and shows them.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};

use crate::{
    audit::{Field, Query, Renderer, SearchError, Searched, search},
    clock::Clock,
};

/// Arguments of `cordon audit search`. Values of one option are alternatives; a `*` may end a value.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The log's folder
    pub dir: PathBuf,
    /// Not before: a time (RFC 3339), a day (UTC), or how long ago, such as 90m, 12h or 14d
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before: likewise
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// The camera
    #[arg(long, value_name = "NAME")]
    pub camera: Vec<String>,
    /// The client, or `anonymous`
    #[arg(long, value_name = "NAME")]
    pub caller: Vec<String>,
    /// The operation, such as tds:SetNTP or tptz:*
    #[arg(long, value_name = "NAME")]
    pub operation: Vec<String>,
    /// What was decided: permitted, denied, or observed (denied, and let through by observe mode)
    #[arg(long, value_parser = ["permitted", "denied", "observed"])]
    pub decision: Vec<String>,
    /// The verdict on the camera's maker, such as restricted
    #[arg(long, value_name = "VERDICT")]
    pub verdict: Vec<String>,
    /// The kind of record; an outcome is found by what its intent says
    #[arg(long, value_parser = ["intent", "outcome", "event"])]
    pub kind: Vec<String>,
    /// What happened, of events, such as log-open
    #[arg(long, value_name = "WHAT")]
    pub event: Vec<String>,
    /// The request's id, as clients are told it
    #[arg(long, value_name = "ID")]
    pub request: Option<String>,
    /// Show at most so many records
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<u64>,
    /// Show lines as they are in the log
    #[arg(long)]
    pub json: bool,
    /// Read every line, believing no index
    #[arg(long)]
    pub no_index: bool,
}

impl Arguments {
    /// Shows what is found, and says beside it what was read.
    pub(super) fn run(
        &self,
        clock: &dyn Clock,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<(), SearchError> {
        let query = self.query(clock.now()).map_err(SearchError::Output)?;
        let mut renderer = Renderer::default();
        let done = search(&self.dir, &query, !self.no_index, &mut |line| {
            if self.json {
                out.write_all(line)?;
                out.write_all(b"\n")
            } else {
                writeln!(out, "{}", renderer.line(line))
            }
        })?;
        let Searched { found, segments, read, indexed } = done;
        out.flush().map_err(SearchError::Output)?;
        // If this cannot be written there is nobody who would read it.
        let _ = writeln!(err, "{found} records; {read} of {segments} segments read, {indexed} indexed anew");
        Ok(())
    }

    fn query(&self, now: Timestamp) -> io::Result<Query> {
        let moment = |text: &Option<String>| text.as_deref().map(|text| moment(text, now)).transpose();
        let fields = [
            (Field::Camera, &self.camera),
            (Field::Caller, &self.caller),
            (Field::Operation, &self.operation),
            (Field::Verdict, &self.verdict),
            (Field::Decision, &self.decision),
            (Field::Kind, &self.kind),
            (Field::Event, &self.event),
        ];
        let given = fields.into_iter().filter(|(_, values)| !values.is_empty());
        Ok(Query {
            since: moment(&self.since)?,
            until: moment(&self.until)?,
            fields: given.map(|(field, values)| (field, values.clone())).collect(),
            request: self.request.clone(),
            limit: self.limit,
        })
    }
}

/// A time as people give it.
pub(super) fn moment(text: &str, now: Timestamp) -> io::Result<Timestamp> {
    let day = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok().map(|it| it.timestamp());
    text.parse().ok().or_else(day).or_else(|| now.checked_sub(ago(text)?).ok()).ok_or_else(|| {
        io::Error::other(format!(
            "`{text}` is no time: give one like 2026-01-31T08:00:00Z, a day like 2026-01-31, or how long ago \
             like 90m, 12h or 14d"
        ))
    })
}

fn ago(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let count: u32 = text.strip_suffix(unit)?.parse().ok()?;
    Some(SignedDuration::from_secs(i64::from(count) * seconds))
}
