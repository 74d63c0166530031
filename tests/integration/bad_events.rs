//! The table of bad input to events: what the peer sees, what is on record, and the memory it cost the gateway, which is a
//! process of its own. Cameras lie when they leave notices and when they are asked, clients ask for what nobody can have;
//! nobody else's events are lost by it.
#![allow(clippy::print_stdout, reason = "the table is shown with --nocapture")]

use std::{net::SocketAddr, thread, time::Duration};

use cordon::{
    clock::{Clock, SystemClock},
    limits::EVENTS_PER_MESSAGE_MAX,
    sim::{Fault, Received, Said},
};
use serde_json::Value;

use crate::{
    bad_input::{Bench, head, row, row_of, text_of},
    client::{self, SOAP, connect_from, envelope, receive_from, request, within},
    events_up::{CREATE, Subscription, Told, consumer, heard, motion, pushing, still, wait, with_sink},
    house::{CAMERA_SIDE, CAR_PARK, House, LOBBY, OPERATOR, VIEWER, crowd, records_of},
    pull_points::{ask_at, path_of, pull, renew, subscribe},
};

const EVENTS: &str = "http://www.onvif.org/ver10/events/wsdl";

/// What one message of a camera may cost.
const KIB_MAX: u64 = 64 * 1024;

/// One event of a second of a day, with a value.
fn message(second: u32, value: &str) -> String {
    format!(
        "<w:NotificationMessage><w:Topic>t:VideoSource/MotionAlarm</w:Topic><w:Message><tt:Message \
         UtcTime=\"2026-11-26T00:00:{second:02}Z\" PropertyOperation=\"Changed\"><tt:Source><tt:SimpleItem \
         Name=\"Source\" Value=\"VideoSource_1\"/></tt:Source><tt:Data><tt:SimpleItem Name=\"State\" \
         Value=\"{value}\"/></tt:Data></tt:Message></w:Message></w:NotificationMessage>"
    )
}

/// So many events, each of another source.
fn many(count: usize) -> String {
    let one = |number: usize| message(2, "many").replace("VideoSource_1", &format!("VideoSource_{number}"));
    (0..count).map(one).collect()
}

const DECLARED: &str = "xmlns:w=\"http://docs.oasis-open.org/wsn/b-2\" xmlns:tt=\"http://www.onvif.org/ver10/schema\" \
                        xmlns:t=\"http://www.onvif.org/ver10/topics\"";
const BOMB: &str = "<!DOCTYPE x [<!ENTITY a \"bbbbbbbbbb\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">]>";

fn notify(messages: &str) -> String {
    envelope("", &format!("<w:Notify {DECLARED}>{messages}</w:Notify>"))
}

/// What is on record of a notice.
enum Noted {
    /// It was refused at the door, for this reason.
    Refused(&'static str),
    /// It is one of the camera's notices, and this much is told of it, if anything.
    Counted(&'static str),
    Nothing,
}
use Noted::{Counted, Nothing, Refused};

/// What is sent from where; the status it is answered with.
type Notice = (&'static str, String, Vec<u8>, u16, Noted);

fn notices(lobby: &str, path: &str) -> Vec<Notice> {
    let sent = |source: &str, method: &str, path: &str, body: &str| {
        (source.to_owned(), request(method, path, &[SOAP], body.as_bytes()))
    };
    let good = notify(&message(1, "a"));
    let nobody = "no camera of the zone has this address";
    let unknown = "no camera of this address was told this path";
    let other = path.replace("/events/", "/events/A");
    let made = |name, (source, bytes): (String, Vec<u8>), status, noted| (name, source, bytes, status, noted);
    let own = |name, body: &str, status, noted| made(name, sent(lobby, "POST", path, body), status, noted);
    // It is told so before anything of its body is read.
    let begun = format!("POST {other} HTTP/1.1\r\nHost: sink\r\n{SOAP}\r\nContent-Length: 200000\r\n\r\n");
    vec![
        made("of another token, as begun", (lobby.to_owned(), begun.into_bytes()), 404, Refused(unknown)),
        made("from elsewhere", sent("127.0.0.1", "POST", path, &good), 404, Refused(nobody)),
        made("from another camera", sent("127.0.1.11", "POST", path, &good), 404, Refused(nobody)),
        made("with another token", sent(lobby, "POST", &other, &good), 404, Refused(unknown)),
        made("without a token", sent(lobby, "POST", "/events/", &good), 404, Refused(unknown)),
        made("not by POST", sent(lobby, "PUT", path, &good), 405, Nothing),
        own("of 10,000 messages", &notify(&many(10_000)), 413, Refused("it is larger than 262144 bytes")),
        own("a bomb", &format!("{BOMB}{}", notify("&b;")), 400, Counted("")),
        own("deeper than any", &notify(&"<a>".repeat(1_000)), 400, Counted("")),
        own("no notice", "hello", 400, Counted("")),
        own("without a topic", &notify("<w:NotificationMessage/>"), 200, Counted("1 left out")),
        own("out of order", &notify(&(message(9, "c") + &message(3, "d"))), 200, Counted("")),
        own("a good one", &good, 200, Counted("")),
        own("the same again", &good, 200, Counted("a notice came twice")),
    ]
}

/// What stands on record of a source that was refused, as soon as it does.
fn refusal_of(bench: &Bench, source: SocketAddr) -> Value {
    let is =
        |it: &Value| it["what"] == "event-notice-refused" && it["detail"]["source"] == source.to_string();
    let clock = SystemClock::new();
    loop {
        if let Some(found) = records_of(&bench.house.audit_dir()).into_iter().find(is) {
            return found;
        }
        assert!(clock.monotonic() < Duration::from_secs(30), "never on record: {source}");
        crate::house::breathe();
    }
}

#[test]
fn bad_notices_are_refused_recorded_and_cheap() {
    let (mut house, sink) = with_sink(pushing);
    house.stop();
    still(house.camera(CAR_PARK));
    let bench = Bench::new(house);
    let [lobby, neighbour] = [LOBBY, CAR_PARK].map(|it| Subscription::at(bench.house.door(it)));
    for subscription in [&lobby, &neighbour] {
        subscription.pull_until(|it| *it == motion("Initialized", false));
    }
    let address = consumer(bench.house.camera(LOBBY));
    let path = address.strip_prefix(&format!("http://{sink}")).unwrap_or_else(|| panic!("{address}"));
    let own = bench.house.camera(LOBBY).address().ip().to_string();
    head("bad input of a camera that leaves events");
    let (cases, mut wrong, mut counted) = (notices(&own, path), Vec::new(), 0);
    for (name, source, bytes, expected, noted) in &cases {
        let before = bench.running.reset_memory();
        let stream = connect_from(source, sink, bytes);
        let source = stream.local_addr();
        let status = receive_from(sink, stream).status;
        let memory = bench.running.peak_memory().saturating_sub(before);
        let recorded = match noted {
            Refused(why) => {
                let found = refusal_of(&bench, source.unwrap());
                assert_eq!(
                    (&found["detail"]["reason"], &found["detail"]["zone"]),
                    (&(*why).into(), &"trusted".into())
                );
                format!("event-notice-refused: {why}")
            }
            Counted(note) => {
                counted += 1;
                let how = if *expected == 200 { "taken" } else { "not taken" };
                format!("one of its notices, {how}{}{note}", if note.is_empty() { "" } else { ": " })
            }
            Nothing => "nothing, since nothing was asked".to_owned(),
        };
        println!("{}", row(name, Some((status, String::new())), &recorded, memory));
        if status != *expected || memory > KIB_MAX {
            wrong.push(format!("{name}: {expected} expected, {status} seen, {memory} KiB"));
        }
    }
    println!("{} cases", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let told = lobby.pull_until(|it| it.2 == "a");
    let values: Vec<&str> = told.iter().map(|it| it.2.as_str()).collect();
    assert_eq!(values, ["c", "d", "a"], "in the order in which they came, and none twice");
    let later = Subscription::at(bench.house.door(LOBBY)).pull_until(|it| it.0 == "MotionAlarm");
    let state = ["MotionAlarm", "Initialized", "c"].map(str::to_owned);
    assert!(later.contains(&state.into()), "the others were overtaken on their way: {later:?}");
    for (subscription, camera) in [(&lobby, LOBBY), (&neighbour, CAR_PARK)] {
        let seen = subscription.sees(bench.house.camera(camera), true);
        assert_eq!(seen, [motion("Changed", true)], "nobody's events are lost");
    }
    let Bench { house, running } = bench;
    running.stop();
    let records = records_of(&house.audit_dir());
    let intents: Vec<_> = records
        .iter()
        .filter(|it| it["type"] == "intent" && it["operation"] == "notify:Notify" && it["camera"] == "lobby")
        .collect();
    let [intent] = intents.as_slice() else { panic!("{intents:#?}") };
    let outcome = records.iter().find(|it| it["type"] == "outcome" && it["intent"] == intent["seq"]).unwrap();
    // The camera itself left its state, and that motion began.
    let (times, answered) = (&outcome["series"]["times"], &outcome["series"]["answered"]);
    let (times, answered) = (times.as_u64().unwrap(), answered.as_u64().unwrap());
    assert!(times > counted && times - answered == 3, "{outcome}");
    assert_eq!(outcome["note"], "a notice came twice", "what was wrong last: {outcome}");
}

/// What a camera says when it is asked for events, and what is made of it.
type Lie = (&'static str, String, Made);

enum Made {
    /// It is no answer, and this stands on record.
    NoAnswer(&'static str),
    /// Of what is in it, clients are told these values; of what is left out this stands on record.
    Tells(&'static [&'static str], &'static str),
}
use Made::{NoAnswer, Tells};

fn pulled(prefix: &str, messages: &str) -> String {
    let times = "<e:CurrentTime>2026-11-26T00:00:00Z</e:CurrentTime>\
                 <e:TerminationTime>2026-11-26T00:02:00Z</e:TerminationTime>";
    let body = format!(
        "<e:PullMessagesResponse xmlns:e=\"{EVENTS}\" {DECLARED}>{times}{messages}</e:PullMessagesResponse>"
    );
    format!("{prefix}{}", envelope("", &body))
}

fn spoken(body: &str) -> Said {
    let head = format!("HTTP/1.1 200 OK\r\n{SOAP}\r\nContent-Length: {}\r\n\r\n", body.len());
    Said { bytes: [head.as_bytes(), body.as_bytes()].concat().into(), times: 1, stays: false }
}

fn lies() -> Vec<Lie> {
    let large = format!("{}<!-- {} -->", message(1, "large"), "x".repeat(5_000_000));
    let addressed = message(4, "at 192.0.2.69").replace("VideoSource_1", "http://192.0.2.69/onvif");
    vec![
        ("a bomb", pulled(BOMB, "&b;"), NoAnswer("not SOAP")),
        ("5 MB", pulled("", &large), NoAnswer("larger than")),
        (
            "half a message",
            pulled("", &message(1, "half"))[..600].to_owned(),
            NoAnswer("leaves its interface definition"),
        ),
        ("10,000 messages", pulled("", &many(10_000)), NoAnswer("larger than")),
        ("2,000 messages", pulled("", &many(2_000)), Tells(&["many"], "left out")),
        (
            "without a topic",
            pulled("", &format!("<w:NotificationMessage/>{}", message(5, "e"))),
            Tells(&["e"], "1 left out"),
        ),
        ("out of order", pulled("", &(message(9, "c") + &message(3, "d"))), Tells(&["c", "d"], "")),
        ("the same twice", pulled("", &message(1, "a").repeat(2)), Tells(&["a"], "")),
        ("its network's addresses", pulled("", &(addressed + &message(6, "f"))), Tells(&["f"], "")),
    ]
}

/// How the gateway's own questions for events to a camera ended so far.
fn ends(house: &House, camera: &str) -> Vec<Value> {
    let records = records_of(&house.audit_dir());
    let is_its = |it: &&Value| {
        it["type"] == "intent"
            && it["camera"] == camera
            && it["operation"] == "tev:PullMessages"
            && it["who"]["name"] == "events"
    };
    let asked: Vec<_> = records.iter().filter(is_its).map(|it| it["seq"].clone()).collect();
    let ended = |it: &&Value| it["type"] == "outcome" && asked.contains(&it["intent"]);
    records.iter().filter(ended).cloned().collect()
}

/// How often a camera is to be asked for events while it lies.
const ASKED: usize = 3;

#[test]
fn bad_events_of_a_camera_are_refused_recorded_and_cheap() {
    let cases = lies();
    let mut house = House::with(crowd(cases.len() + 1));
    house.stop();
    (0..=cases.len()).for_each(|it| still(house.camera(it)));
    let bench = Bench::new(house);
    let neighbour = Subscription::at(bench.house.door(cases.len()));
    neighbour.pull_until(|it| *it == motion("Initialized", false));
    head("bad input of a camera that is asked for events");
    let mut wrong = Vec::new();
    for (number, (name, said, made)) in cases.iter().enumerate() {
        let (camera, plan) = (bench.house.camera(number), bench.house.plans()[number].name);
        let subscription = Subscription::at(bench.house.door(number));
        subscription.pull_until(|it| *it == motion("Initialized", false));
        let pulls = |it: &Received| it.operation.as_deref() == Some("tev:PullMessages");
        let asked = || camera.log().iter().filter(|it| pulls(it)).count();
        // One question brought the state, the next one waits for what happens.
        wait("it is asked", || asked() >= 2);
        camera.set_fault_of("tev:PullMessages", Some(Fault::Say(spoken(said))));
        camera.clear_log();
        let before = bench.running.reset_memory();
        let mut told = subscription.sees(camera, true);
        let times = match made {
            NoAnswer(_) => 1,
            Tells(values, _) => {
                let is_last = |it: &Told| values.last() == Some(&it.2.as_str());
                if !told.iter().any(is_last) {
                    told.extend(subscription.pull_until(is_last));
                }
                ASKED
            }
        };
        wait("it is asked again", || asked() >= times);
        let memory = bench.running.peak_memory().saturating_sub(before);
        camera.set_fault_of("tev:PullMessages", None);
        let values: Vec<&str> = told.iter().filter(|it| it.1 == "Changed").map(|it| it.2.as_str()).collect();
        // Believed again as soon as it tells the truth, and nobody else lost anything.
        subscription.sees(camera, false);
        let other = neighbour.sees(bench.house.camera(cases.len()), number % 2 == 0);
        let seen = match made {
            NoAnswer(_) => "nothing, and events again afterwards".to_owned(),
            Tells(..) => format!("{} events", values.len()),
        };
        let (holds, note) = judge(&bench, plan, made, &values);
        println!("{}", row_of(name, &seen, &note, memory));
        let right = holds && other.len() == 1 && memory <= KIB_MAX;
        if !right {
            wrong.push(format!("{name}, asked {times} times: {values:?} {other:?} {note} {memory} KiB"));
        }
    }
    println!("{} cases", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let Bench { house, running } = bench;
    running.stop();
    for ((name, _, made), plan) in cases.iter().zip(house.plans()) {
        let (NoAnswer(note) | Tells(_, note)) = made;
        let told = ends(&house, plan.name).iter().any(|it| text_of(it, "note").contains(note));
        assert!(told, "{name}: `{note}` is not on record");
    }
}

/// Whether clients were told and it was recorded as it has to be, and what stands on record.
fn judge(bench: &Bench, camera: &str, made: &Made, values: &[&str]) -> (bool, String) {
    match made {
        NoAnswer(why) => {
            let is_it = |it: &Value| text_of(it, "note").contains(why);
            wait(&format!("{why} stands on record"), || ends(&bench.house, camera).iter().any(is_it));
            let found = ends(&bench.house, camera).into_iter().find(|it| is_it(it)).unwrap();
            (values == ["true"], format!("{}: {}", text_of(&found, "what"), text_of(&found, "note")))
        }
        // It goes on as it was, and what comes twice counts twice: how many are taken at once is what bounds it.
        Tells(expected, note) => {
            let told =
                expected.iter().all(|it| values.contains(it)) && values.len() <= EVENTS_PER_MESSAGE_MAX;
            // Of an event without its address nothing may be left to tell.
            let strange =
                values.iter().filter(|it| !expected.contains(it) && !["true", ""].contains(it)).count();
            (
                told && strange == 0,
                format!("one of its questions{}{note}", if note.is_empty() { "" } else { ": " }),
            )
        }
    }
}

/// Topics, more than there is room for or not.
fn topics(count: usize) -> String {
    let topics: String = (0..count).map(|it| format!("<t:Topic{it} wstop:topic=\"true\"/>")).collect();
    let set = format!(
        "<wstop:TopicSet xmlns:wstop=\"http://docs.oasis-open.org/wsn/t-1\">{topics}</wstop:TopicSet>"
    );
    topic_set(&set)
}

fn topic_set(set: &str) -> String {
    let body = format!(
        "<e:GetEventPropertiesResponse xmlns:e=\"{EVENTS}\" {DECLARED}><e:TopicNamespaceLocation>\
         http://www.onvif.org/onvif/ver10/topics/topicns.xml</e:TopicNamespaceLocation>\
         <w:FixedTopicSet>true</w:FixedTopicSet>{set}<w:TopicExpressionDialect>\
         http://docs.oasis-open.org/wsn/t-1/TopicExpression/Concrete</w:TopicExpressionDialect>\
         <e:MessageContentFilterDialect>http://www.onvif.org/ver10/tev/messageContentFilter/ItemFilter\
         </e:MessageContentFilterDialect><e:MessageContentSchemaLocation>http://www.onvif.org/onvif/ver10/schema/onvif.xsd\
         </e:MessageContentSchemaLocation></e:GetEventPropertiesResponse>"
    );
    envelope("", &body)
}

#[test]
fn bad_topic_sets_of_a_camera_are_refused_recorded_and_cheap() {
    let mut house = House::open();
    house.stop();
    let bench = Bench::new(house);
    head("bad topic sets of a camera");
    let deep = format!(
        "<wstop:TopicSet xmlns:wstop=\"http://docs.oasis-open.org/wsn/t-1\">{}{}</wstop:TopicSet>",
        "<t:A>".repeat(100),
        "</t:A>".repeat(100)
    );
    let failed = (500, "Receiver/ter:Action");
    let cases = [
        ("of 5 MB", topics(160_000), failed, "larger than"),
        ("of 100 levels", topic_set(&deep), failed, "leaves its interface definition"),
        ("a bomb", format!("{BOMB}{}", topic_set("&b;")), failed, "not SOAP"),
        ("cut short", topics(1_000)[..20_000].to_owned(), failed, "leaves its interface definition"),
        ("of 1,000 topics", topics(1_000), (200, ""), ""),
    ];
    let mut wrong = Vec::new();
    let asked = within(EVENTS, "GetEventProperties", "");
    for (name, said, (status, fault), note) in &cases {
        bench.house.camera(LOBBY).set_fault_of("tev:GetEventProperties", Some(Fault::Say(spoken(said))));
        let before = bench.running.reset_memory();
        let reply = client::ask(bench.house.door(LOBBY), "events", VIEWER, &asked);
        let memory = bench.running.peak_memory().saturating_sub(before);
        let neighbour = client::ask(bench.house.door(CAR_PARK), "events", VIEWER, &asked);
        assert_eq!(neighbour.status, 200, "{name}: {}", neighbour.text());
        for needle in CAMERA_SIDE {
            assert!(!reply.text().contains(needle), "{name}: `{needle}`");
        }
        let found = bench.recorded("lobby", reply.source);
        let [intent] = found.as_slice() else { panic!("{name}: {found:?}") };
        let outcome = bench.outcome(intent);
        let why = format!("{}: {}", text_of(&outcome, "what"), text_of(&outcome, "note"));
        println!("{}", row(name, Some((reply.status, reply.fault())), &why, memory));
        if (reply.status, reply.fault().as_str()) != (*status, *fault)
            || !why.contains(note)
            || memory > KIB_MAX
        {
            wrong.push(format!("{name}: {} {outcome} {memory} KiB", reply.status));
        }
    }
    println!("{} cases", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    bench.house.camera(LOBBY).set_fault_of("tev:GetEventProperties", None);
    let after = client::ask(bench.house.door(LOBBY), "events", VIEWER, &asked);
    assert_eq!(after.status, 200, "it is believed again: {}", after.text());
    bench.running.stop();
}

/// What a client asks of its subscription: status, fault, and the fault's detail.
type Asked = (&'static str, String, u16, &'static str, &'static str);

fn absurd() -> Vec<Asked> {
    let (value, refused) = ("Sender/ter:InvalidArgVal", 400);
    let limits = "tev:PullMessagesFaultResponse";
    let end = "wsnt:UnacceptableTerminationTimeFault";
    vec![
        ("PullMessages for 121 s", pull("PT121S", "1"), refused, value, limits),
        ("for a thousand years", pull("P1000Y", "1"), refused, value, limits),
        ("for more seconds than 64 bits have", pull("PT18446744073709551617S", "1"), refused, value, limits),
        ("for less than no time", pull("-PT60S", "1"), 200, "", ""),
        ("for no length of time", pull("soon", "1"), refused, value, ""),
        ("2,147,483,647 messages", pull("PT0S", "2147483647"), 200, "", ""),
        ("2,147,483,648 messages", pull("PT0S", "2147483648"), refused, value, ""),
        ("no message", pull("PT0S", "0"), 200, "", ""),
        ("less than none", pull("PT0S", "-1"), 200, "", ""),
        ("Renew until long ago", renew("1999-12-31T23:59:59Z"), refused, value, end),
        ("for ten thousand years", renew("P9999Y"), refused, value, end),
        ("until the end of time", renew("999999-12-31T23:59:59Z"), refused, value, end),
        (
            "Seek to the beginning of time",
            within(EVENTS, "Seek", "<x:UtcTime>0001-01-01T00:00:00Z</x:UtcTime>"),
            500,
            "Receiver/ter:ActionNotSupported",
            "",
        ),
    ]
}

#[test]
fn absurd_questions_of_clients_are_answered_as_the_standards_say() {
    let mut house = House::open();
    house.stop();
    [CAR_PARK, LOBBY].into_iter().for_each(|it| still(house.camera(it)));
    let bench = Bench::new(house);
    let path = path_of(&subscribe(&bench.house, LOBBY, OPERATOR, ""));
    let [lobby, neighbour] = [LOBBY, CAR_PARK].map(|it| Subscription::at(bench.house.door(it)));
    for subscription in [&lobby, &neighbour] {
        subscription.pull_until(|it| *it == motion("Initialized", false));
    }
    head("absurd questions of a client");
    let (cases, mut wrong) = (absurd(), Vec::new());
    for (name, body, status, fault, detail) in &cases {
        let before = bench.running.reset_memory();
        let reply = ask_at(&bench.house, LOBBY, &path, OPERATOR, body);
        let memory = bench.running.peak_memory().saturating_sub(before);
        let found = bench.recorded("lobby", reply.source);
        let recorded = match found.as_slice() {
            [] => "one of its questions for events".to_owned(),
            // The first one, which stands for all.
            [intent] if intent["series"].is_object() => "its questions for events".to_owned(),
            [intent] if intent["decision"] == "permitted" => {
                format!("permitted; {}", text_of(&bench.outcome(intent), "fault"))
            }
            [intent, ..] => format!("denied: {}", text_of(intent, "note")),
        };
        println!("{}", row(name, Some((reply.status, reply.fault())), &recorded, memory));
        let seen = (reply.status, reply.fault());
        if seen.0 != *status || seen.1 != *fault || !reply.text().contains(detail) || memory > 4 * 1024 {
            wrong.push(format!("{name}: {status} {fault} {detail} expected, {memory} KiB: {}", reply.text()));
        }
    }
    println!("{} cases", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (subscription, camera) in [(&lobby, LOBBY), (&neighbour, CAR_PARK)] {
        assert_eq!(subscription.sees(bench.house.camera(camera), true), [motion("Changed", true)]);
    }
    bench.running.stop();
}

/// How often it starts anew, how long it is away, and how long it is there in between: faster than one in ten seconds, of
/// which an hour is played by `events::Upstream`.
const STARTS: usize = 4;
const AWAY: Duration = Duration::from_millis(400);
const THERE: Duration = Duration::from_millis(1_600);

#[test]
fn a_camera_that_starts_anew_again_and_again_is_asked_little_and_costs_its_neighbour_nothing() {
    let mut house = House::open();
    house.stop();
    [CAR_PARK, LOBBY].into_iter().for_each(|it| still(house.camera(it)));
    let bench = Bench::new(house);
    let [lobby, neighbour] = [LOBBY, CAR_PARK].map(|it| Subscription::at(bench.house.door(it)));
    for subscription in [&lobby, &neighbour] {
        subscription.pull_until(|it| *it == motion("Initialized", false));
    }
    let camera = bench.house.camera(LOBBY);
    camera.clear_log();
    let before = bench.running.reset_memory();
    for number in 0..STARTS {
        camera.set_fault(Some(Fault::Reset));
        camera.forget_subscriptions();
        // The pace of the trouble.
        thread::sleep(AWAY);
        // What it was asked while it started, which it carries out though it answers nothing, it knows nothing of.
        camera.forget_subscriptions();
        camera.set_fault(None);
        let other: Vec<Told> = neighbour.sees(bench.house.camera(CAR_PARK), number % 2 == 0);
        assert_eq!(other, [motion("Changed", number % 2 == 0)], "another camera's events come meanwhile");
        thread::sleep(THERE);
    }
    let asked = camera.log().len();
    let memory = bench.running.peak_memory().saturating_sub(before);
    assert_eq!(lobby.sees(camera, true).last(), Some(&motion("Changed", true)), "and it is heard again");
    let subscribed = heard(&bench.house, LOBBY, CREATE);
    let Bench { house, running } = bench;
    running.stop();
    let records = records_of(&house.audit_dir());
    let is_its = |it: &&Value| it["what"] == "events-subscribed" && it["camera"] == "lobby";
    let recorded = records.iter().filter(is_its).count();
    head("a camera that starts anew again and again");
    let name = format!("{STARTS} times in {} s", ((AWAY + THERE) * u32::try_from(STARTS).unwrap()).as_secs());
    let (seen, noted) = (format!("{asked} messages"), format!("events-subscribed, {recorded} times"));
    println!("{}", row_of(&name, &seen, &noted, memory));
    assert!(asked <= 16 * STARTS, "{asked} messages");
    assert_eq!(recorded, 1 + subscribed, "each subscription is on record");
    assert!(subscribed <= 1 + STARTS && memory <= 8 * 1024, "{subscribed} subscriptions, {memory} KiB");
    assert_eq!(house.camera(LOBBY).subscriptions(), 0, "no place is left behind");
}
