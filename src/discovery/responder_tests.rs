use super::*;
use crate::discovery::{message::read, sought::Sought};

fn targets(count: usize) -> Vec<Arc<Target>> {
    let target = |number| {
        Arc::new(Target {
            endpoint: format!("urn:uuid:{number}"),
            scopes: vec![format!("onvif://www.onvif.org/name/{number}")],
            addresses: vec![format!("http://192.0.2.1:{number}/onvif/device_service")],
            metadata_version: 1,
        })
    };
    (0..count).map(target).collect()
}

fn message(body: Body) -> Message {
    Message { dialect: Dialect::April2005, id: Some("urn:uuid:q".into()), relates_to: None, body }
}

fn probe() -> Message {
    message(Body::Probe(Sought::default()))
}

fn source(last: u32) -> SocketAddr {
    SocketAddr::new(std::net::Ipv4Addr::from_bits(0xc000_0200 + last).into(), 40_000)
}

const BEGAN: Duration = Duration::from_secs(100);

fn asked(
    responder: &mut Responder,
    message: &Message,
    from: SocketAddr,
    count: usize,
    now: Duration,
) -> Searched {
    let question = Question { message, from, link: 0, alone: false };
    responder.take(question, || targets(count), 700, now)
}

/// All that is due until a moment, and when each was.
fn all(responder: &mut Responder, until: Duration) -> Vec<(Duration, Outgoing)> {
    let mut sent = Vec::new();
    while let Some(next) = responder.next().filter(|it| *it <= until) {
        sent.extend(responder.due(next).map(|it| (next, it)));
    }
    sent
}

#[test]
fn one_answer_comes_at_a_moment_of_chance() {
    let mut responder = Responder::new(5, 6);
    assert_eq!(asked(&mut responder, &probe(), source(1), 1, BEGAN), Searched::Answered);
    assert_eq!(responder.due(BEGAN), None);
    let [(at, sent)] = &all(&mut responder, BEGAN + DISCOVERY_DELAY_MAX)[..] else { panic!() };
    assert_eq!((*at - BEGAN, sent.to), (DISCOVERY_DELAY_MAX * 7 / 10, Some(source(1))));
    let answer = read(sent.text.as_bytes()).unwrap();
    assert_eq!((answer.relates_to.as_deref(), answer.devices().len()), (Some("urn:uuid:q"), 1));
    assert!(sent.text.contains("InstanceId=\"5\" MessageNumber=\"1\""), "{}", sent.text);
}

#[test]
fn ten_thousand_answers_fill_the_time_evenly_and_are_numbered() {
    let (mut responder, count) = (Responder::new(5, 6), 10_000);
    assert_eq!(asked(&mut responder, &probe(), source(1), count, BEGAN), Searched::Answered);
    let sent = all(&mut responder, BEGAN + DISCOVERY_DELAY_MAX);
    assert_eq!(sent.len(), count);
    for tenth in 0..10_u32 {
        let span = BEGAN + DISCOVERY_DELAY_MAX * tenth / 10..BEGAN + DISCOVERY_DELAY_MAX * (tenth + 1) / 10;
        let within = sent.iter().filter(|(at, _)| span.contains(at)).count();
        assert!((990..=1_010).contains(&within), "{within} in tenth {tenth}");
    }
    let ids: std::collections::BTreeSet<_> =
        sent.iter().map(|(_, it)| read(it.text.as_bytes()).unwrap().id.unwrap()).collect();
    assert_eq!(ids.len(), count, "each message has an identifier of its own");
    assert!(sent.last().unwrap().1.text.contains("MessageNumber=\"10000\""));
    assert_eq!(responder.next(), None);
}

#[test]
fn a_source_is_answered_once_in_a_while() {
    let mut responder = Responder::new(5, 6);
    let mut ask = |message: &Message, now| asked(&mut responder, message, source(1), 2, now);
    // What found nothing costs nothing.
    let elsewhere = message(Body::Resolve("urn:uuid:7".into()));
    assert_eq!(ask(&elsewhere, BEGAN), Searched::Nothing);
    assert_eq!(ask(&message(Body::Resolve("URN:uuid:1".into())), BEGAN), Searched::Answered);
    let soon = BEGAN + DISCOVERY_ANSWER_INTERVAL - Duration::from_millis(1);
    assert_eq!(ask(&probe(), soon), Searched::TooOften);
    assert_eq!(ask(&probe(), BEGAN + DISCOVERY_ANSWER_INTERVAL), Searched::Answered);
    assert_eq!(asked(&mut responder, &probe(), source(2), 2, soon), Searched::Answered, "another source");
    assert_eq!(all(&mut responder, BEGAN * 2).len(), 1 + 2 + 2);
    // An address that every link has is another's on another one.
    let mut on = |from: &str| asked(&mut responder, &probe(), from.parse().unwrap(), 2, soon);
    assert_eq!(on("[fe80::1%2]:1"), Searched::Answered);
    assert_eq!(on("[fe80::1%2]:2"), Searched::TooOften);
    assert_eq!(on("[fe80::1%3]:1"), Searched::Answered, "on another link");
}

#[test]
fn no_more_waits_than_there_is_place_for() {
    let mut responder = Responder::new(5, 6);
    let most = DISCOVERY_ANSWERS_WAITING_MAX;
    assert_eq!(asked(&mut responder, &probe(), source(1), most, BEGAN), Searched::Answered);
    assert_eq!(asked(&mut responder, &probe(), source(2), 1, BEGAN), Searched::Full);
    assert!(responder.due(BEGAN + DISCOVERY_DELAY_MAX).is_some());
    assert_eq!(asked(&mut responder, &probe(), source(2), 1, BEGAN), Searched::Answered, "a place is free");
}

#[test]
fn no_more_sources_are_remembered_than_there_is_place_for() {
    let mut responder = Responder::new(5, 6);
    for number in 0..u32::try_from(DISCOVERY_ANSWER_SOURCES_MAX).unwrap() {
        assert_eq!(asked(&mut responder, &probe(), source(number), 1, BEGAN), Searched::Answered);
    }
    all(&mut responder, BEGAN + DISCOVERY_DELAY_MAX);
    let one_more = source(1 << 24);
    assert_eq!(asked(&mut responder, &probe(), one_more, 1, BEGAN + DISCOVERY_DELAY_MAX), Searched::Full);
    assert_eq!(
        asked(&mut responder, &probe(), one_more, 1, BEGAN + DISCOVERY_ANSWER_INTERVAL),
        Searched::Answered
    );
}

#[test]
fn an_unknown_rule_is_a_fault_to_who_asks_alone_and_nothing_to_a_group() {
    let mut responder = Responder::new(5, 6);
    let sought = Sought { rule: Rule::Unknown, scopes: vec!["ldap:///x".into()], ..Sought::default() };
    let odd = message(Body::Probe(sought));
    assert_eq!(asked(&mut responder, &odd, source(1), 3, BEGAN), Searched::Nothing);
    let question = Question { message: &odd, from: source(1), link: 4, alone: true };
    assert_eq!(responder.take(question, || targets(3), 0, BEGAN), Searched::Answered);
    let [(_, sent)] = &all(&mut responder, BEGAN + DISCOVERY_DELAY_MAX)[..] else { panic!() };
    assert!(sent.text.contains("<env:Value>d:MatchingRuleNotSupported</env:Value>"), "{}", sent.text);
    assert_eq!((sent.link, sent.to), (4, Some(source(1))));
}

#[test]
fn a_question_without_an_identifier_cannot_be_answered() {
    let mut responder = Responder::new(5, 6);
    for id in [None, Some(String::new()), Some("x".repeat(DISCOVERY_TEXT_BYTES_MAX))] {
        let unnamed = Message { id, ..probe() };
        assert_eq!(asked(&mut responder, &unnamed, source(1), 1, BEGAN), Searched::NotUnderstood);
    }
}

#[test]
fn announcements_come_one_by_one_and_goodbyes_take_their_place() {
    let mut responder = Responder::new(5, 6);
    for target in targets(3) {
        responder.announce(1, Kind::Hello, target, BEGAN);
    }
    let sent = all(&mut responder, BEGAN + DISCOVERY_ANNOUNCEMENT_PAUSE);
    let times: Vec<_> = sent.iter().map(|(at, it)| (*at - BEGAN, it.to, it.link)).collect();
    assert_eq!(times, [(Duration::ZERO, None, 1), (DISCOVERY_ANNOUNCEMENT_PAUSE, None, 1)]);
    assert!(sent.iter().all(|(_, it)| it.text.contains("<d:Hello>")));
    responder.part(targets(2).into_iter().map(|it| (2, it)));
    let byes: Vec<_> = std::iter::from_fn(|| responder.goodbye()).collect();
    assert_eq!(byes.len(), 2);
    assert!(byes.iter().all(|it| it.link == 2 && it.text.contains("<d:Bye>")), "{byes:?}");
    for target in targets(DISCOVERY_ANNOUNCEMENTS_MAX + 5) {
        responder.announce(0, Kind::Hello, target, BEGAN);
    }
    assert_eq!(std::iter::from_fn(|| responder.goodbye()).count(), DISCOVERY_ANNOUNCEMENTS_MAX);
}
