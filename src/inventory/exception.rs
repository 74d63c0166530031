//! Exceptions for restricted cameras at sensitive sites.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// On whose word, and until when, a camera is served although it is restricted and its site is sensitive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteException {
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// The last day, in UTC.
    pub until: Date,
}

impl SiteException {
    /// Whether it has not ended.
    pub fn runs(&self, now: Timestamp) -> bool {
        now.to_zoned(TimeZone::UTC).date() <= self.until
    }

    /// How many days it runs beyond today; none once it has ended.
    pub fn days_left(&self, now: Timestamp) -> Option<i32> {
        let today = now.to_zoned(TimeZone::UTC).date();
        let span = today.until(self.until).ok()?;
        Some(span.get_days()).filter(|days| *days >= 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_with_its_last_day_in_utc() {
        let until = jiff::civil::date(2026, 12, 31);
        let exception =
            SiteException { owner: "A. Owner".into(), reason: "replaced in January".into(), until };
        for (now, runs, left) in [
            ("2026-12-01T00:00:00Z", true, Some(30)),
            ("2026-12-31T23:59:59Z", true, Some(0)),
            ("2027-01-01T00:00:00Z", false, None),
            ("2026-12-31T23:30:00-01:00", false, None),
        ] {
            let now: Timestamp = now.parse().unwrap();
            assert_eq!((exception.runs(now), exception.days_left(now)), (runs, left), "{now}");
        }
    }
}
