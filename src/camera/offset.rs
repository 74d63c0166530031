//! How far a camera's clock is ahead of ours.

use http::{HeaderMap, header};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};

/// The moment a camera's answer says it was made, by its `Date` field (RFC 9110 §6.6.1).
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(header::DATE)?.to_str().ok()?;
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// Camera time less ours.
pub(super) fn between(camera: Timestamp, ours: Timestamp) -> SignedDuration {
    camera.duration_since(ours)
}

/// The parts of `tt:DateTime` as a moment; none if they are no date.
pub(super) fn moment(date: [&str; 3], time: [&str; 3]) -> Option<Timestamp> {
    let [year, month, day] = date;
    let [hour, minute, second] = time;
    let civil = jiff::civil::DateTime::new(
        year.trim().parse().ok()?,
        month.trim().parse().ok()?,
        day.trim().parse().ok()?,
        hour.trim().parse().ok()?,
        minute.trim().parse().ok()?,
        // ONVIF allows 0 to 61 for leap seconds.
        second.trim().parse::<i8>().ok()?.min(59),
        0,
    )
    .ok()?;
    civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|it| it.timestamp())
}

/// `wsu:Created` as cameras like it best: milliseconds and `Z`. Some refuse nanoseconds or `+00:00`.
pub(super) fn created(ours: Timestamp, offset: SignedDuration) -> String {
    let camera = ours.saturating_add(offset).unwrap_or(ours);
    camera.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn dates_are_read_and_other_text_is_not() {
        let mut headers = HeaderMap::new();
        assert_eq!(date(&headers), None);
        headers.insert(header::DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(date(&headers), Some("1994-11-06T08:49:37Z".parse().unwrap()));
        for bad in ["", "yesterday", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            headers.insert(header::DATE, HeaderValue::from_static(bad));
            assert_eq!(date(&headers), None, "{bad:?}");
        }
    }

    #[test]
    fn civil_parts_become_a_moment() {
        let noon = "2026-02-28T12:00:59Z".parse().unwrap();
        assert_eq!(moment(["2026", "2", "28"], ["12", "0", "61"]), Some(noon), "leap second");
        assert_eq!(moment(["2026", "2", "30"], ["12", "0", "0"]), None);
        assert_eq!(moment(["2026", "x", "28"], ["12", "0", "0"]), None);
    }

    #[test]
    fn created_has_milliseconds_and_z() {
        let ours = "2026-11-23T22:00:00.1239Z".parse().unwrap();
        assert_eq!(created(ours, SignedDuration::from_secs(-3600)), "2026-11-23T21:00:00.123Z");
        assert_eq!(
            created("2026-11-23T22:00:00Z".parse().unwrap(), SignedDuration::ZERO),
            "2026-11-23T22:00:00.000Z"
        );
    }
}
