//! What hostile documents cost in memory, counted by the allocator: the bound is a multiple of the message. And what events
//! cost that are kept, against what they are counted as; and how often something is allocated for packets of a stream.
#![allow(unsafe_code, reason = "an allocator that counts is made of unsafe calls to the system's")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that unwraps wrongly fails, as it should"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    collections::VecDeque,
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use cordon::{
    clock::SimulatedClock,
    events::{Event, Hub, Published},
    hatch::{AddressRules, Packets},
    limits::{
        EVENTS_KEPT_PER_CAMERA_MAX, SOAP_ANSWER_BYTES_MAX, SOAP_REQUEST_BYTES_MAX, STREAM_READ_BYTES,
        XML_NODES_MAX,
    },
    media::Queue,
    rtsp::{Description, Ssrc, UnknownCodecs},
    schema::Tables,
    soap::{self, Answer, Body},
};

/// The system's allocator, which remembers how much was held at once, and how often something was asked for.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Of this thread: others, of the test runner among them, work meanwhile.
    static TIMES: Cell<usize> = const { Cell::new(0) };
}

fn take(bytes: usize) {
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(held, Ordering::Relaxed);
    // While a thread ends it is not there any more.
    let _ = TIMES.try_with(|times| times.set(times.get() + 1));
}

// SAFETY: every call goes to the system's allocator as it came; only numbers are kept beside.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: the caller keeps the rules of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the rules of `dealloc`, and the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new may exist at once.
        take(size);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the rules of `realloc`, and the pointer came from the system's allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Bytes that reading may hold at once for each byte of a message: the shortest element, `<a/>` of a topic tree,
/// becomes a token of 44 bytes in a list that doubles when it is full, old and new held at once.
const PER_BYTE_MAX: usize = 40;
/// Bytes that reading may hold at once, however long the message: `XML_NODES_MAX` tokens in such a list, and texts.
const PEAK_MAX: usize = 24 * 1024 * 1024;
/// Bytes that any message may cost.
const ANY_MAX: usize = 256 * 1024;

/// What is held is everybody's: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

struct Case {
    name: &'static str,
    message: String,
    /// Whether a client sends it, else a camera.
    request: bool,
    /// What comes of it: "taken", or a part of the refusal.
    expected: &'static str,
}

#[test]
fn no_document_costs_more_than_a_multiple_of_its_bytes() {
    let _alone = ALONE.lock();
    let tables = Tables::embedded().unwrap();
    println!("{:44}{:>10}{:>14}{:>10}  result", "bad input: documents", "bytes", "peak bytes", "per byte");
    let mut wrong = Vec::new();
    for Case { name, message, request, expected } in requests().into_iter().chain(answers()) {
        let before = HELD.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let result = read(&tables, &message, request);
        let peak = PEAK.load(Ordering::Relaxed) - before;
        let bytes = message.len();
        let shown: String = result.chars().take(70).collect();
        println!("{name:44}{bytes:>10}{peak:>14}{:>10.1}  {shown}", peak as f64 / bytes as f64);
        if !result.contains(expected) {
            wrong.push(format!("{name}: {result}, not {expected}"));
        }
        if peak > PEAK_MAX.min(ANY_MAX + bytes * PER_BYTE_MAX) {
            wrong.push(format!("{name}: {peak} bytes for {bytes}"));
        }
        let kept = HELD.load(Ordering::Relaxed).saturating_sub(before + result.capacity());
        if kept > ANY_MAX {
            wrong.push(format!("{name}: {kept} bytes are kept"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The bound of all that is kept counts events as they count themselves.
#[test]
fn a_kept_event_takes_little_more_than_it_counts_as() {
    let _alone = ALONE.lock();
    let tables = Tables::embedded().unwrap();
    let operation = tables.operation_by_name("wsntw:Notify").unwrap();
    let tell = |hub: &Hub, number: usize| {
        let message = format!(
            "<w:Notify xmlns:w=\"http://docs.oasis-open.org/wsn/b-2\" xmlns:t=\"http://www.onvif.org/ver10/topics\">\
             <w:NotificationMessage><w:Topic>t:RuleEngine/CellMotionDetector/Motion</w:Topic><w:Message><tt:Message \
             UtcTime=\"2026-11-26T10:{:02}:{:02}Z\" PropertyOperation=\"Changed\"><tt:Source><tt:SimpleItem \
             Name=\"VideoSourceConfigurationToken\" Value=\"VideoSourceToken\"/><tt:SimpleItem \
             Name=\"VideoAnalyticsConfigurationToken\" Value=\"VideoAnalyticsToken\"/><tt:SimpleItem Name=\"Rule\" \
             Value=\"MyMotionDetectorRule\"/></tt:Source><tt:Data><tt:SimpleItem Name=\"IsMotion\" Value=\"true\"/>\
             </tt:Data></tt:Message></w:Message></w:NotificationMessage></w:Notify>",
            number / 60,
            number % 60
        );
        let message = envelope("", &message);
        let Ok(Answer::Document(document, _)) = soap::decode_notice(&tables, message.as_bytes(), operation)
        else {
            panic!("{message}")
        };
        let at = "2026-11-26T10:00:00Z".parse().unwrap();
        let events = Event::read_all(&tables, &document, &AddressRules::default(), at).events;
        for event in events {
            assert_eq!(hub.publish(event), Published::Told);
        }
    };
    let hub = Hub::new(Arc::new(SimulatedClock::new("2026-11-26T10:00:00Z".parse().unwrap())));
    // What is made once.
    tell(&hub, 0);
    let before = HELD.load(Ordering::Relaxed);
    for number in 1..EVENTS_KEPT_PER_CAMERA_MAX {
        tell(&hub, number);
    }
    let kept = EVENTS_KEPT_PER_CAMERA_MAX - 1;
    let held = (HELD.load(Ordering::Relaxed) - before) / kept;
    let counted = hub.read(1, kept).events.iter().map(|it| it.bytes()).sum::<usize>() / kept;
    println!("an event that is kept: {held} bytes held, counted as {counted}, n = {kept}");
    assert!(held * 4 <= counted * 5 && counted <= held * 2, "{held} bytes held, counted as {counted}");
}

/// Packets that are read at once pass to all who watch without an allocation for each: there are as many for one as for
/// all that one read can bring.
#[test]
fn nothing_is_allocated_for_a_packet() {
    let _alone = ALONE.lock();
    const VIEWERS: usize = 8;
    const NOW: Duration = Duration::from_secs(1);
    let text = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n";
    let description = Description::parse(text.as_bytes(), UnknownCodecs::Refused).unwrap();
    let mut packets = Packets::new(&[(&description.media[0], Ssrc(7))]);
    packets.on_channels(0, (0, 1));
    let queues: Vec<_> = (0..VIEWERS).map(|_| Queue::default()).collect();
    let mut taken = VecDeque::with_capacity(64);
    let most = STREAM_READ_BYTES / 1_416;
    let mut sequence = 0_u16;
    let mut costs = Vec::new();
    println!("packets read at once, for {VIEWERS} viewers: allocations");
    // What is made once is made in the first round.
    for count in [most, 1, 2, most / 2, most] {
        // One picture that a decoder can begin with, in so many packets.
        let mut read = Vec::with_capacity(STREAM_READ_BYTES);
        for _ in 0..count {
            sequence += 1;
            let [high, low] = sequence.to_be_bytes();
            read.extend_from_slice(&[
                b'$',
                0,
                5,
                132,
                0x80,
                96,
                high,
                low,
                0,
                0,
                count as u8,
                0,
                0,
                0,
                0,
                9,
                0x65,
            ]);
            read.resize(read.len() + 1_399, 0);
        }
        let mut read = BytesMut::from(Bytes::from(read));
        let before = TIMES.get();
        let segments = packets.take(&mut read);
        for queue in &queues {
            queue.push(&segments, NOW);
            queue.take(&mut taken);
            taken.clear();
        }
        drop(segments);
        let times = TIMES.get() - before;
        println!("{count:>4} {times}");
        costs.push(times);
    }
    assert_eq!(packets.counts.passed, u64::from(sequence));
    let alike = costs[1..].windows(2).all(|it| it[0] == it[1]);
    assert!(alike && costs[1] <= 8, "{costs:?}");
}

/// Reads a message as the gateway does, and says what came of it.
fn read(tables: &Tables, message: &str, request: bool) -> String {
    if request {
        return match soap::decode_request(tables, message.as_bytes()) {
            Ok(envelope) => match envelope.body {
                Body::Operation { .. } => "taken".to_owned(),
                Body::Unknown(_) => "unknown".to_owned(),
            },
            Err(error) => error.fault.reason,
        };
    }
    let asked = if message.contains("TopicSet") { "tev:GetEventProperties" } else { "tds:GetServices" };
    let operation = tables.operation_by_name(asked).unwrap();
    match soap::decode_answer(tables, message.as_bytes(), operation) {
        Ok(Answer::Document(..)) => "taken".to_owned(),
        Ok(Answer::Fault(_)) => "a fault".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn envelope(head: &str, body: &str) -> String {
    format!(
        "{head}<s:Envelope xmlns:s=\"{}\" xmlns:d=\"http://www.onvif.org/ver10/device/wsdl\" \
         xmlns:tt=\"http://www.onvif.org/ver10/schema\"><s:Body>{body}</s:Body></s:Envelope>",
        soap::SOAP12
    )
}

fn request(name: &'static str, inside: &str, expected: &'static str) -> Case {
    let message = envelope("", &format!("<d:SetScopes>{inside}</d:SetScopes>"));
    Case { name, message, request: true, expected }
}

fn answer(name: &'static str, inside: &str, expected: &'static str) -> Case {
    let body = format!("<d:GetServicesResponse>{inside}</d:GetServicesResponse>");
    Case { name, message: envelope("", &body), request: false, expected }
}

/// Topics, in a tree that may hold any name.
fn topics(name: &'static str, inside: &str, expected: &'static str) -> Case {
    let body = format!(
        "<e:GetEventPropertiesResponse xmlns:e=\"http://www.onvif.org/ver10/events/wsdl\"><w:TopicSet \
         xmlns:w=\"http://docs.oasis-open.org/wsn/t-1\">{inside}</w:TopicSet></e:GetEventPropertiesResponse>"
    );
    Case { name, message: envelope("", &body), request: false, expected }
}

/// As many copies as a message of that size holds.
fn filled(part: &str, bytes: usize) -> String {
    part.repeat((bytes - 2_048) / part.len())
}

/// Copies with a number each, as many as a message of that size holds.
fn numbered(make: &dyn Fn(usize) -> String, bytes: usize) -> String {
    let mut all = String::new();
    let mut number = 0;
    while all.len() < bytes - 2_048 {
        let _ = write!(all, "{}", make(number));
        number += 1;
    }
    all
}

fn requests() -> Vec<Case> {
    let small = SOAP_REQUEST_BYTES_MAX;
    let name = "n".repeat(64 * 1024);
    let billion = "<!DOCTYPE a [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>";
    vec![
        request(
            "a list, as long as a request may be",
            &filled("<d:Scopes>a</d:Scopes>", small),
            "1024 items",
        ),
        request("depth", &filled("<d:Scopes>", small), "unknown element"),
        request("width, of nobody's elements", &filled("<a/>", small), "unknown element"),
        request("one text", &format!("<d:Scopes>{}</d:Scopes>", "a".repeat(small - 2_048)), "taken"),
        request(
            "references to characters",
            &format!("<d:Scopes>{}</d:Scopes>", filled("&#65;", small)),
            "taken",
        ),
        request(
            "CDATA in pieces",
            &format!("<d:Scopes>{}</d:Scopes>", filled("<![CDATA[a]]>", small)),
            "taken",
        ),
        request("remarks", &filled("<!---->", small), "missing element"),
        request("a name of 64 KiB", &format!("<{name}/>"), "bytes of a name"),
        request("a prefix of 64 KiB", &format!("<{name}:a xmlns:{name}=\"u\"/>"), "bytes of a name"),
        request(
            "attributes",
            &format!("<d:Scopes{}/>", numbered(&|it| format!(" a{it}=\"\""), small)),
            "attributes",
        ),
        request(
            "namespaces",
            &format!("<d:Scopes{}/>", numbered(&|it| format!(" xmlns:a{it}=\"u\""), small)),
            "",
        ),
        Case {
            name: "entities within entities",
            message: envelope(billion, "<d:SetScopes><d:Scopes>&b;</d:Scopes></d:SetScopes>"),
            request: true,
            expected: "document type",
        },
    ]
}

fn answers() -> Vec<Case> {
    let large = SOAP_ANSWER_BYTES_MAX;
    let service = "<d:Service><d:Namespace>urn:a</d:Namespace><d:XAddr>http://192.0.2.1/</d:XAddr><d:Version>\
                   <tt:Major>1</tt:Major><tt:Minor>0</tt:Minor></d:Version></d:Service>";
    vec![
        answer("a list, as long as an answer may be", &filled(service, large), "taken"),
        answer("a list of 10 MB", &filled(service, 10_000_000), "elements and attributes"),
        answer("empty elements, 10 MB", &filled("<d:Service/>", 10_000_000), "elements and attributes"),
        answer("empty elements, no more than allowed", &"<d:Service/>".repeat(XML_NODES_MAX - 8), "taken"),
        topics("topics", &"<a/>".repeat(XML_NODES_MAX - 8), "taken"),
        topics("topics, 4 MB", &filled("<a/>", large), "elements and attributes"),
        topics("topics, each another", &numbered(&|it| format!("<a{it}/>"), 1_600_000), "taken"),
        answer("depth", &filled("<d:Service>", large), "levels"),
        answer("nobody's elements", &filled("<a/>", large), "elements and attributes"),
        answer("nobody's elements, each another", &numbered(&|it| format!("<a{it}/>"), large), ""),
        answer("as many namespaces", &numbered(&|it| format!("<a xmlns=\"u{it}\"/>"), large), ""),
        answer("undeclared prefixes", &numbered(&|it| format!("<p{it}:a/>"), large), ""),
        answer("values of no type", &filled("<d:Service><d:Version>x</d:Version></d:Service>", large), ""),
        answer(
            "turned order",
            &filled("<d:Service><d:XAddr>u</d:XAddr><d:Namespace>u</d:Namespace></d:Service>", large),
            "",
        ),
        answer("stray texts", &filled("<d:Service>x</d:Service>", large), ""),
        answer(
            "one text of 4 MB",
            &format!("<d:Service><d:Namespace>{}", "a".repeat(large - 2_048)),
            "bytes of text",
        ),
        answer(
            "wide, in a namespace each",
            &numbered(&|it| format!("<p:a xmlns:p=\"{}{it}\"/>", "u".repeat(500)), large),
            "",
        ),
    ]
}
