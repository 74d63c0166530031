//! What clients ask for: filters, for how long, and which messages.

use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp, civil, tz::TimeZone};

use super::{
    filter::{FilterError, ItemFilter},
    subscriptions::Filter,
    topic::{TopicError, TopicExpression},
};
use crate::{
    limits::{EVENT_FILTERS_MAX, PULL_MESSAGES_MAX, PULL_TIME_MAX, SUBSCRIPTION_TIME_MAX},
    schema::{Document, Element, Tables},
};

/// Why a client cannot have what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unacceptable {
    /// For a topic expression.
    #[error("{0}")]
    Topic(#[from] TopicError),
    /// For a filter by content.
    #[error("{0}")]
    Content(#[from] FilterError),
    /// For too many filters.
    #[error("the subscription has more than {EVENT_FILTERS_MAX} filters")]
    Filters,
    /// It is to end before it begins.
    #[error("the subscription is to end in the past, by the gateway's clock")]
    Past,
    /// It is to last too long.
    #[error("the subscription is to last longer than {} hours", SUBSCRIPTION_TIME_MAX.as_secs() / 3_600)]
    Long,
}

/// The filter in a `tev:CreatePullPointSubscription` or `wsnt:Subscribe`.
pub fn filter_of(tables: &Tables, request: &Document) -> Result<Filter, Unacceptable> {
    let spaces = request.namespaces(tables);
    let space = |prefix: &str| {
        let found = spaces.iter().find(|(it, _)| it == prefix);
        found.map(|(_, uri)| uri.as_str().into())
    };
    let mut filter = Filter::default();
    let filters = request.root().child("Filter");
    for (number, one) in filters.iter().flat_map(Element::children).enumerate() {
        if number >= EVENT_FILTERS_MAX {
            return Err(Unacceptable::Filters);
        }
        let dialect = one.attribute("Dialect").unwrap_or_default();
        match one.local() {
            "TopicExpression" => {
                filter.topics.push(TopicExpression::parse(dialect, one.text().trim(), &space)?);
            }
            "MessageContent" => filter.contents.push(ItemFilter::parse(dialect, one.text().trim())?),
            // The tables let nothing else stand there.
            _ => return Err(Unacceptable::Filters),
        }
    }
    filter.changed_only = request.root().find("SubscriptionPolicy/ChangedOnly").is_some();
    Ok(filter)
}

/// For how long a subscription is to last from now on; none where that is left to the gateway.
pub fn lasts(end: Option<Element<'_>>, now: Timestamp) -> Result<Option<Duration>, Unacceptable> {
    let Some(text) = end.map(|it| it.text().trim()).filter(|it| !it.is_empty()) else { return Ok(None) };
    let lasts = if text.starts_with(['P', '-']) {
        duration(text).ok_or(if text.starts_with('-') { Unacceptable::Past } else { Unacceptable::Long })?
    } else {
        // The tables let nothing else stand there than a time; one of a year beyond all is too late.
        moment(text).ok_or(Unacceptable::Long)?.duration_since(now)
    };
    if lasts.is_negative() || lasts.is_zero() {
        return Err(Unacceptable::Past);
    }
    let lasts = lasts.unsigned_abs();
    if lasts > SUBSCRIPTION_TIME_MAX { Err(Unacceptable::Long) } else { Ok(Some(lasts)) }
}

/// What PullMessages asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pull {
    /// How long it waits; none if that is longer than it may.
    pub wait: Option<Duration>,
    /// How many messages it takes at most.
    pub most: usize,
}

impl Pull {
    /// Of a `tev:PullMessages`.
    pub fn of(request: &Document) -> Self {
        let root = request.root();
        let text = |local| root.child(local).map_or("", |it| it.text().trim());
        let wait = duration(text("Timeout"))
            .map(|it| if it.is_negative() { Duration::ZERO } else { it.unsigned_abs() });
        // Whoever asks for too many gets as many as there may be, without a fault (ONVIF Core §9.1.2).
        let most = text("MessageLimit").parse::<i64>().unwrap_or(1);
        let most = usize::try_from(most.max(1)).unwrap_or(usize::MAX).min(PULL_MESSAGES_MAX);
        Self { wait: wait.filter(|it| *it <= PULL_TIME_MAX), most }
    }
}

/// A `xs:duration`; none if it has months or years, whose length nobody knows, or is longer than any.
fn duration(text: &str) -> Option<SignedDuration> {
    let span: Span = text.parse().ok()?;
    span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()
}

/// A `xs:dateTime`; without a zone it is UTC.
fn moment(text: &str) -> Option<Timestamp> {
    let zoned = text.parse::<Timestamp>().ok();
    zoned.or_else(|| {
        text.parse::<civil::DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|it| it.timestamp())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEV: &str = "http://www.onvif.org/ver10/events/wsdl";

    fn parse(name: &str, inside: &str) -> Document {
        let tables = Tables::embedded().unwrap();
        let operation = tables.operation_by_name(&format!("tev:{name}")).and_then(|it| tables.operation(it));
        let text = format!(
            "<e:{name} xmlns:e=\"{TEV}\" xmlns:w=\"http://docs.oasis-open.org/wsn/b-2\" \
             xmlns:x=\"http://www.onvif.org/ver10/topics\">{inside}</e:{name}>"
        );
        Document::parse_request(&tables, &text, operation.unwrap().input).unwrap()
    }

    fn until(text: &str) -> Result<Option<Duration>, Unacceptable> {
        let inside = format!("<e:InitialTerminationTime>{text}</e:InitialTerminationTime>");
        let request = parse("CreatePullPointSubscription", &inside);
        lasts(request.root().child("InitialTerminationTime"), "2026-11-26T08:00:00Z".parse().unwrap())
    }

    #[test]
    fn an_end_is_absolute_or_relative_and_within_bounds() {
        let seconds = |seconds| Ok(Some(Duration::from_secs(seconds)));
        let table = [
            ("PT60S", seconds(60)),
            ("PT1M30S", seconds(90)),
            ("P1D", seconds(86_400)),
            ("PT24H", seconds(86_400)),
            ("PT86401S", Err(Unacceptable::Long)),
            ("P1M", Err(Unacceptable::Long)),
            ("P1Y", Err(Unacceptable::Long)),
            ("PT99999999999999999999S", Err(Unacceptable::Long)),
            ("PT0S", Err(Unacceptable::Past)),
            ("-PT60S", Err(Unacceptable::Past)),
            ("2026-11-26T08:01:00Z", seconds(60)),
            ("2026-11-26T09:01:00+01:00", seconds(60)),
            ("2026-11-26T08:01:00", seconds(60)),
            ("2026-11-26T07:59:59Z", Err(Unacceptable::Past)),
            ("2026-11-27T08:00:01Z", Err(Unacceptable::Long)),
        ];
        for (text, expected) in table {
            assert_eq!(until(text), expected, "{text}");
        }
        assert_eq!(until("PT0.5S"), Ok(Some(Duration::from_millis(500))));
        let none = parse("CreatePullPointSubscription", "");
        assert_eq!(lasts(none.root().child("InitialTerminationTime"), Timestamp::MIN), Ok(None));
    }

    #[test]
    fn a_pull_waits_no_longer_than_it_may_and_takes_no_more() {
        let pull = |wait: &str, most: &str| {
            let inside = format!("<e:Timeout>{wait}</e:Timeout><e:MessageLimit>{most}</e:MessageLimit>");
            let Pull { wait, most } = Pull::of(&parse("PullMessages", &inside));
            (wait.map(|it| it.as_secs()), most)
        };
        let most = PULL_TIME_MAX.as_secs();
        assert_eq!(pull("PT60S", "10"), (Some(60), 10));
        assert_eq!(pull(&format!("PT{most}S"), "2147483647"), (Some(most), PULL_MESSAGES_MAX));
        assert_eq!(pull(&format!("PT{}S", most + 1), "0"), (None, 1));
        assert_eq!(pull("P1Y", "-5"), (None, 1));
        assert_eq!(pull("PT0S", "1"), (Some(0), 1));
    }

    #[test]
    fn filters_are_read_whatever_prefixes_they_have() {
        let set = "Dialect=\"http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet\"";
        let items = "Dialect=\"http://www.onvif.org/ver10/tev/messageContentFilter/ItemFilter\"";
        let tables = Tables::embedded().unwrap();
        let read = |inside: &str| filter_of(&tables, &parse("CreatePullPointSubscription", inside));
        let topic = format!("<w:TopicExpression {set}>x:VideoSource//.</w:TopicExpression>");
        let content = format!(
            "<w:MessageContent {items} xmlns:s=\"http://www.onvif.org/ver10/schema\">\
             boolean(//s:SimpleItem[@Name=\"State\"])</w:MessageContent>"
        );
        let policy = "<e:SubscriptionPolicy><e:ChangedOnly/></e:SubscriptionPolicy>";
        let filter = read(&format!("<e:Filter>{topic}{content}</e:Filter>{policy}")).unwrap();
        assert_eq!((filter.topics.len(), filter.contents.len(), filter.changed_only), (1, 1, true));
        assert!(filter.wants(&super::super::samples::motion("v0", true)));
        assert_eq!(read(""), Ok(Filter::default()));
        let many = topic.repeat(EVENT_FILTERS_MAX + 1);
        assert_eq!(read(&format!("<e:Filter>{many}</e:Filter>")), Err(Unacceptable::Filters));
        let other = topic.replace("ConcreteSet", "Other");
        assert_eq!(read(&format!("<e:Filter>{other}</e:Filter>")), Err(TopicError::Dialect.into()));
        let other = content.replace("boolean", "count");
        assert_eq!(read(&format!("<e:Filter>{other}</e:Filter>")), Err(FilterError::Malformed(0).into()));
    }
}
