//! Pull points as clients see them: made, pulled, renewed and ended at the gateway, whoever asks and whatever for.

use std::{net::TcpStream, time::Duration};

use cordon::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::{
    client::{self, Reply, SOAP, Token, User, within},
    house::{ADMIN, CAR_PARK, House, LOBBY, OPERATOR, VIEWER, breathe},
    process::Running,
    reload::BY,
};

const EVENTS: &str = "http://www.onvif.org/ver10/events/wsdl";
const NOTIFICATION: &str = "http://docs.oasis-open.org/wsn/b-2";

/// Asks for a pull point.
pub fn subscribe(house: &House, camera: usize, user: User, inner: &str) -> Reply {
    client::ask(house.door(camera), "events", user, &within(EVENTS, "CreatePullPointSubscription", inner))
}

/// Where the gateway says a subscription is: the path.
pub fn path_of(reply: &Reply) -> String {
    let address = reply.element("Address").unwrap_or_else(|| panic!("{}", reply.text()));
    let prefix = format!("http://{}", reply.door);
    address.strip_prefix(&prefix).unwrap_or_else(|| panic!("{address} is not at {prefix}")).to_owned()
}

/// A pull point that is there.
pub fn subscribed(house: &House, camera: usize, user: User) -> String {
    path_of(&subscribe(house, camera, user, ""))
}

/// One to which nothing is told by itself.
fn quiet(house: &House, camera: usize, user: User) -> String {
    let topic = format!(
        "<x:Filter><n:TopicExpression xmlns:n=\"{NOTIFICATION}\" xmlns:tns1=\"http://www.onvif.org/ver10/topics\" \
         Dialect=\"http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet\">tns1:UserAlarm/Never\
         </n:TopicExpression></x:Filter>"
    );
    path_of(&subscribe(house, camera, user, &topic))
}

/// Asks something of a subscription.
pub fn ask_at(house: &House, camera: usize, path: &str, user: User, body: &str) -> Reply {
    client::send(house.door(camera), &request_at(path, user, body))
}

fn request_at(path: &str, user: User, body: &str) -> Vec<u8> {
    let body = client::envelope(&Token::new(user).header(), body);
    client::request("POST", path, &[SOAP], body.as_bytes())
}

pub fn pull(wait: &str, most: &str) -> String {
    within(
        EVENTS,
        "PullMessages",
        &format!("<x:Timeout>{wait}</x:Timeout><x:MessageLimit>{most}</x:MessageLimit>"),
    )
}

pub fn renew(end: &str) -> String {
    within(NOTIFICATION, "Renew", &format!("<x:TerminationTime>{end}</x:TerminationTime>"))
}

pub fn unsubscribe() -> String {
    within(NOTIFICATION, "Unsubscribe", "")
}

/// How long a subscription lasts yet, as the reply says.
fn lasts(reply: &Reply) -> i64 {
    let time = |local| reply.element(local).unwrap_or_else(|| panic!("{}", reply.text()));
    let [now, end]: [jiff::Timestamp; 2] =
        ["CurrentTime", "TerminationTime"].map(|local| time(local).parse().unwrap());
    end.duration_since(now).as_secs()
}

fn is_answer(reply: &Reply, name: &str) {
    assert!(reply.status == 200 && reply.text().contains(&format!(":{name}")), "{}", reply.text());
}

/// Whether a reply is this fault, with this in its detail.
fn is_fault(reply: &Reply, codes: &str, detail: &str) {
    assert_eq!(reply.fault(), codes, "{}", reply.text());
    assert!(reply.text().contains(&format!("<{detail}>")), "no {detail}: {}", reply.text());
}

const UNKNOWN: &str = "wsrf-r:ResourceUnknownFault";

#[test]
fn a_pull_point_is_made_renewed_and_ended_at_the_gateway() {
    let house = House::open();
    for camera in [CAR_PARK, LOBBY] {
        let made = subscribe(&house, camera, VIEWER, "");
        is_answer(&made, "CreatePullPointSubscriptionResponse");
        assert!((59..=61).contains(&lasts(&made)), "{}", made.text());
        let path = path_of(&made);
        let token = path.strip_prefix("/onvif/subscription/").unwrap();
        assert_eq!(token.len(), 32, "{token}");
        let ask = |body: &str| ask_at(&house, camera, &path, VIEWER, body);
        let renewed = ask(&renew("PT10M"));
        is_answer(&renewed, "RenewResponse");
        assert!((599..=601).contains(&lasts(&renewed)), "{}", renewed.text());
        is_answer(&ask(&within(EVENTS, "SetSynchronizationPoint", "")), "SetSynchronizationPointResponse");
        let pulled = ask(&pull("PT0S", "10"));
        is_answer(&pulled, "PullMessagesResponse");
        assert!(lasts(&pulled) >= 599, "what was promised holds: {}", pulled.text());
        is_answer(&ask(&unsubscribe()), "UnsubscribeResponse");
        is_fault(&ask(&pull("PT0S", "10")), "Sender/ter:InvalidArgVal", UNKNOWN);
        is_fault(&ask(&unsubscribe()), "Sender/ter:InvalidArgVal", UNKNOWN);
        // The token is nobody's to read in the log.
        assert!(house.records().iter().all(|it| !it.to_string().contains(token)));
    }
}

#[test]
fn what_is_pulled_all_day_stands_in_two_lines_and_not_in_one_for_each() {
    let house = House::open();
    let path = subscribed(&house, LOBBY, VIEWER);
    for _ in 0..5 {
        is_answer(&ask_at(&house, LOBBY, &path, VIEWER, &pull("PT0S", "10")), "PullMessagesResponse");
    }
    is_answer(&ask_at(&house, LOBBY, &path, VIEWER, &unsubscribe()), "UnsubscribeResponse");
    let is_clients = |it: &&Value| it["type"] == "intent" && it["who"]["kind"] == "client";
    let pulls = |it: &&Value| is_clients(it) && it["operation"] == "tev:PullMessages";
    let records = house.wait_for(|records| {
        let intent = records.iter().find(pulls);
        intent.is_some_and(|intent| {
            records.iter().any(|it| it["type"] == "outcome" && it["intent"] == intent["seq"])
        })
    });
    let intents: Vec<_> = records.iter().filter(pulls).collect();
    assert_eq!(intents.len(), 1, "{intents:?}");
    assert_eq!(
        (&intents[0]["series"]["times_max"], &intents[0]["who"]["name"]),
        (&json!(10_000), &json!(VIEWER.0))
    );
    let outcome =
        records.iter().find(|it| it["type"] == "outcome" && it["intent"] == intents[0]["seq"]).unwrap();
    assert_eq!(outcome["series"], json!({ "times": 5, "answered": 5 }), "{outcome}");
}

#[test]
fn a_subscription_is_its_clients_alone() {
    let house = House::open();
    let path = subscribed(&house, LOBBY, OPERATOR);
    for (user, body) in [
        (VIEWER, pull("PT0S", "1")),
        (ADMIN, pull("PT0S", "1")),
        (VIEWER, renew("PT60S")),
        (ADMIN, unsubscribe()),
        (VIEWER, within(EVENTS, "SetSynchronizationPoint", "")),
    ] {
        let reply = ask_at(&house, LOBBY, &path, user, &body);
        is_fault(&reply, "Sender/ter:InvalidArgVal", UNKNOWN);
        let recorded = house.record(&reply);
        assert_eq!(recorded.intent["decision"], "permitted");
        let fault = "Sender/ter:InvalidArgVal/wsrf-r:ResourceUnknownFault";
        assert_eq!(recorded.outcome.unwrap()["fault"], fault);
    }
    // At another camera's door it is none either, and there is nothing at an address that nobody was given.
    is_fault(
        &ask_at(&house, CAR_PARK, &path, OPERATOR, &pull("PT0S", "1")),
        "Sender/ter:InvalidArgVal",
        UNKNOWN,
    );
    let others = [
        format!("/onvif/subscription/{}", "0".repeat(32)),
        format!("{path}0"),
        "/onvif/subscription/".into(),
    ];
    for other in &others[..1] {
        is_fault(
            &ask_at(&house, LOBBY, other, OPERATOR, &pull("PT0S", "1")),
            "Sender/ter:InvalidArgVal",
            UNKNOWN,
        );
    }
    for other in &others[1..] {
        let reply = ask_at(&house, CAR_PARK, other, OPERATOR, &renew("PT60S"));
        is_fault(&reply, "Sender/ter:InvalidArgVal", UNKNOWN);
    }
    let body = client::envelope("", &pull("PT0S", "1"));
    let nobody = client::send(house.door(LOBBY), &client::request("POST", &path, &[SOAP], body.as_bytes()));
    assert_eq!((nobody.status, nobody.fault().as_str()), (401, "Sender/ter:NotAuthorized"));
    // Its client has it still, also at the event service's own address.
    is_answer(&ask_at(&house, LOBBY, &path, OPERATOR, &pull("PT0S", "1")), "PullMessagesResponse");
    is_answer(&client::ask(house.door(LOBBY), "events", OPERATOR, &unsubscribe()), "UnsubscribeResponse");
}

#[test]
fn what_nobody_can_have_is_refused_as_the_standards_say() {
    let house = House::open();
    let topic = |dialect: &str, text: &str| {
        format!(
            "<x:Filter><n:TopicExpression xmlns:n=\"{NOTIFICATION}\" xmlns:tns1=\"http://www.onvif.org/ver10/topics\" \
             Dialect=\"{dialect}\">{text}</n:TopicExpression></x:Filter>"
        )
    };
    let content = |dialect: &str, text: &str| {
        topic(dialect, &text.replace('"', "&quot;")).replace("TopicExpression", "MessageContent")
    };
    let end = |text: &str| format!("<x:InitialTerminationTime>{text}</x:InitialTerminationTime>");
    let set = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet";
    let items = "http://www.onvif.org/ver10/tev/messageContentFilter/ItemFilter";
    let bomb = format!("{}boolean(//tt:SimpleItem[@Name=\"A\"]){}", "not(".repeat(99), ")".repeat(99));
    let wide = vec!["tns1:VideoSource//."; 1_000].join("|");
    let value = "Sender/ter:InvalidArgVal";
    let table = [
        (topic("urn:other", "tns1:A"), "wsnt:TopicExpressionDialectUnknownFault"),
        (topic(set, "tns1:A//B"), "wsnt:InvalidTopicExpressionFault"),
        (topic(set, &wide), "wsnt:InvalidTopicExpressionFault"),
        (content("urn:other", "true()"), "wsnt:InvalidMessageContentExpressionFault"),
        (content(items, &bomb), "wsnt:InvalidMessageContentExpressionFault"),
        (content(items, "count(//*) > 0"), "wsnt:InvalidMessageContentExpressionFault"),
        (end("PT0S"), "wsnt:UnacceptableInitialTerminationTimeFault"),
        (end("1999-12-31T23:59:59Z"), "wsnt:UnacceptableInitialTerminationTimeFault"),
        (end("P9999Y"), "wsnt:UnacceptableInitialTerminationTimeFault"),
    ];
    for (inner, detail) in &table {
        is_fault(&subscribe(&house, LOBBY, VIEWER, inner), value, detail);
    }
    for accepted in [
        topic(set, "tns1:RuleEngine//.|tns1:VideoSource/MotionAlarm"),
        topic("http://docs.oasis-open.org/wsn/t-1/TopicExpression/Concrete", "tns1:VideoSource/MotionAlarm"),
        content(items, "boolean(//tt:SimpleItem[@Name=\"State\"])"),
        "<x:SubscriptionPolicy><x:ChangedOnly/></x:SubscriptionPolicy>".to_owned(),
        end("PT24H"),
    ] {
        is_answer(&subscribe(&house, LOBBY, VIEWER, &accepted), "CreatePullPointSubscriptionResponse");
    }
    let path = subscribed(&house, LOBBY, OPERATOR);
    let ask = |body: &str| ask_at(&house, LOBBY, &path, OPERATOR, body);
    let long = ask(&pull("PT121S", "1"));
    is_fault(&long, value, "tev:PullMessagesFaultResponse");
    assert_eq!(
        (long.element("MaxTimeout"), long.element("MaxMessageLimit")),
        (Some("PT120S".into()), Some("256".into()))
    );
    is_fault(&ask(&pull("P1Y", "1")), value, "tev:PullMessagesFaultResponse");
    is_answer(&ask(&pull("PT0S", "2147483647")), "PullMessagesResponse");
    is_fault(&ask(&renew("1999-12-31T23:59:59Z")), value, "wsnt:UnacceptableTerminationTimeFault");
    is_fault(&ask(&renew("PT25H")), value, "wsnt:UnacceptableTerminationTimeFault");
    let seek = ask(&within(EVENTS, "Seek", "<x:UtcTime>2026-11-26T08:00:00Z</x:UtcTime>"));
    assert_eq!(seek.fault(), "Receiver/ter:ActionNotSupported");
    for operation in ["CreatePullPoint", "GetMessages", "PauseSubscription"] {
        assert_eq!(
            ask(&within(NOTIFICATION, operation, "")).fault(),
            "Receiver/ter:ActionNotSupported",
            "{operation}"
        );
    }
}

#[test]
fn there_are_few_places_and_they_come_back() {
    let house = House::open();
    let paths: Vec<_> = (0..8).map(|_| subscribed(&house, LOBBY, VIEWER)).collect();
    let full = subscribe(&house, LOBBY, VIEWER, "");
    is_fault(&full, "Receiver/ter:Action", "wsnt:SubscribeCreationFailedFault");
    assert!(full.text().contains("the client has 8 subscriptions"), "{}", full.text());
    // Another client, and another camera, have places of their own.
    subscribed(&house, LOBBY, OPERATOR);
    subscribed(&house, CAR_PARK, VIEWER);
    is_answer(&ask_at(&house, LOBBY, &paths[3], VIEWER, &unsubscribe()), "UnsubscribeResponse");
    subscribed(&house, LOBBY, VIEWER);
    let short = "<x:InitialTerminationTime>PT1S</x:InitialTerminationTime>";
    let path = path_of(&subscribe(&house, LOBBY, OPERATOR, short));
    let ended = |it: &Value| it["what"] == "subscription-ended" && it["detail"]["client"] == OPERATOR.0;
    let records = house.wait_for(|records| records.iter().any(ended));
    let ended = records.iter().find(|it| ended(it)).unwrap();
    assert_eq!((&ended["detail"]["why"], &ended["camera"]), (&json!("expired"), &json!("lobby")));
    is_fault(
        &ask_at(&house, LOBBY, &path, OPERATOR, &pull("PT0S", "1")),
        "Sender/ter:InvalidArgVal",
        UNKNOWN,
    );
}

#[test]
fn what_a_crash_ends_is_on_record_once() {
    let mut house = House::open();
    house.stop();
    let gateway = Running::start(house.dir());
    let path = subscribed(&house, LOBBY, VIEWER);
    subscribed(&house, LOBBY, OPERATOR);
    is_answer(&ask_at(&house, LOBBY, &path, VIEWER, &unsubscribe()), "UnsubscribeResponse");
    // What happened is written a moment later: on record, and with the next subscription among those that there are.
    house.wait_for(|records| records.iter().any(|it| it["what"] == "subscription-ended"));
    subscribed(&house, CAR_PARK, VIEWER);
    drop(gateway);
    house.restart_after_stop();
    let ended = |house: &House, why: &str| {
        let records = house.records().into_iter();
        let ended = records.filter(|it| it["what"] == "subscription-ended" && it["detail"]["why"] == why);
        let mut ended: Vec<_> = ended
            .map(|it| {
                [&it["camera"], &it["detail"]["client"], &it["detail"]["how"]]
                    .map(|it| it.as_str().unwrap().to_owned())
            })
            .collect();
        ended.sort();
        ended
    };
    let cut_short = "the gateway stopped without ending it";
    let two = [["car-park", VIEWER.0, "pulled"], ["lobby", OPERATOR.0, "pulled"]];
    assert_eq!(ended(&house, cut_short), two);
    assert_eq!(ended(&house, "unsubscribed"), [["lobby", VIEWER.0, "pulled"]]);
    // What a gateway ends that stops in order, the next does not end once more.
    subscribed(&house, LOBBY, OPERATOR);
    house.restart();
    assert_eq!(ended(&house, cut_short), two);
    assert_eq!(ended(&house, "the camera is not served any more"), [["lobby", OPERATOR.0, "pulled"]]);
}

/// Begins to pull and waits until that is under way: then nobody else is given anything.
fn pulling(house: &House, path: &str, user: User) -> TcpStream {
    let waiting = client::connect(house.door(LOBBY), &request_at(path, user, &pull("PT100S", "1")));
    // What is on record has its turn already. To ask before that could take it away.
    let source = waiting.local_addr().unwrap().to_string();
    let is = |it: &Value| {
        it["type"] == "intent" && it["operation"] == "tev:PullMessages" && it["source"] == source
    };
    house.wait_for(|records| records.iter().any(|it| it["camera"] == "lobby" && is(it)));
    let second = ask_at(house, LOBBY, path, user, &pull("PT0S", "1"));
    is_fault(&second, "Receiver/ter:Action", "wsnt:UnableToGetMessagesFault");
    waiting
}

#[test]
fn one_pulls_at_a_time_and_ends_with_the_subscription() {
    let house = House::open();
    let path = quiet(&house, LOBBY, VIEWER);
    let waiting = pulling(&house, &path, VIEWER);
    is_answer(&ask_at(&house, LOBBY, &path, VIEWER, &unsubscribe()), "UnsubscribeResponse");
    is_fault(&client::receive(waiting), "Sender/ter:InvalidArgVal", UNKNOWN);
    // Who hangs up makes place for the next.
    let path = quiet(&house, LOBBY, VIEWER);
    drop(pulling(&house, &path, VIEWER));
    let clock = SystemClock::new();
    while ask_at(&house, LOBBY, &path, VIEWER, &pull("PT0S", "1")).status != 200 {
        assert!(clock.monotonic() < Duration::from_secs(30), "it never came back");
        breathe();
    }
}

#[test]
fn who_waits_is_answered_when_the_gateway_stops_and_has_no_subscription_afterwards() {
    let mut house = House::open();
    let path = quiet(&house, LOBBY, VIEWER);
    let waiting = pulling(&house, &path, VIEWER);
    let clock = SystemClock::new();
    house.stop();
    is_answer(&client::receive(waiting), "PullMessagesResponse");
    assert!(clock.monotonic() < Duration::from_secs(30), "{:?}", clock.monotonic());
    house.restart_after_stop();
    let token = Token::new(VIEWER);
    let body = client::envelope(&token.header(), &pull("PT0S", "1"));
    let reply = client::send(house.door(LOBBY), &client::request("POST", &path, &[SOAP], body.as_bytes()));
    is_fault(&reply, "Sender/ter:InvalidArgVal", UNKNOWN);
}

#[test]
fn tokens_from_before_a_restart_are_used_where_a_client_was_pulling() {
    let mut house = House::open();
    let path = quiet(&house, LOBBY, VIEWER);
    let (first, second, unused) = (Token::new(VIEWER), Token::new(VIEWER), Token::new(VIEWER));
    let other = Token::new(OPERATOR);
    let send = |house: &House, token: &Token, body: &str| {
        let body = client::envelope(&token.header(), body);
        client::send(house.door(LOBBY), &client::request("POST", &path, &[SOAP], body.as_bytes()))
    };
    for token in [&first, &second] {
        is_answer(&send(&house, token, &pull("PT0S", "1")), "PullMessagesResponse");
    }
    house.restart();
    let body = client::tds("GetDeviceInformation");
    for token in [&first, &second, &unused] {
        let reply = send(&house, token, &body);
        assert_eq!(
            (reply.status, reply.fault().as_str()),
            (400, "Sender/ter:NotAuthorized"),
            "{}",
            reply.text()
        );
    }
    for token in [other, Token::new(VIEWER)] {
        assert_eq!(send(&house, &token, &body).status, 200, "{}", token.user.0);
    }
}

#[test]
fn a_subscription_ends_when_its_client_may_have_it_no_more() {
    let house = House::open();
    let path = quiet(&house, LOBBY, VIEWER);
    let waiting = pulling(&house, &path, VIEWER);
    let text = house.configuration();
    let networks = "networks = [\"127.0.0.0/29\"]\n";
    let (before, after) = text.split_once(&format!("name = \"{}\"", VIEWER.0)).unwrap();
    let after = after.replacen(networks, &format!("{networks}cameras = [\"car-park\"]\n"), 1);
    house.write(&format!("{before}name = \"{}\"{after}", VIEWER.0));
    house.reloader().reload(&BY, None).unwrap();
    is_fault(&client::receive(waiting), "Sender/ter:InvalidArgVal", UNKNOWN);
    let ended = |it: &Value| it["what"] == "subscription-ended" && it["detail"]["why"] == "forbidden";
    house.wait_for(|records| records.iter().any(ended));
}

#[test]
fn the_gateway_says_what_it_offers_of_events() {
    let house = House::open();
    for camera in [CAR_PARK, LOBBY] {
        let capabilities =
            client::ask(house.door(camera), "events", VIEWER, &within(EVENTS, "GetServiceCapabilities", ""));
        let text = capabilities.text();
        for said in ["MaxPullPoints=\"8\"", "WSPausableSubscriptionManagerInterfaceSupport=\"false\""] {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert!(!text.contains("PersistentNotificationStorage=\"true\""), "{text}");
        let old = client::tds_with("GetCapabilities", "<x:Category>Events</x:Category>");
        let old = client::ask(house.door(camera), "device", VIEWER, &old);
        assert_eq!(old.element("WSPullPointSupport").as_deref(), Some("true"), "{}", old.text());
        let properties =
            client::ask(house.door(camera), "events", VIEWER, &within(EVENTS, "GetEventProperties", ""))
                .text();
        for dialect in
            ["TopicExpression/Concrete<", "topicExpression/ConcreteSet<", "messageContentFilter/ItemFilter<"]
        {
            assert_eq!(properties.matches(dialect).count(), 1, "{dialect}: {properties}");
        }
    }
}
