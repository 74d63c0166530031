//! The table of bad input: what the peer sees, what is on record, and the memory it cost the gateway, which is a
//! process of its own. Both sides are hostile: clients here, a camera below.
#![allow(clippy::print_stdout, reason = "the table is shown with --nocapture")]

use std::{io::Read, net::SocketAddr, thread};

use cordon::{
    clock::{Clock, SystemClock},
    limits::{
        HTTP_HEADERS_MAX, REQUEST_LIST_ITEMS_MAX, SOAP_ANSWER_BYTES_MAX, SOAP_REQUEST_BYTES_MAX,
        XML_ATTRIBUTES_MAX, XML_DEPTH_MAX, XML_NAME_BYTES_MAX, XML_NAMESPACE_BYTES_MAX,
        XML_NAMESPACES_IN_SCOPE_MAX,
    },
    sim::{Fault, Said},
};
use jiff::SignedDuration;
use serde_json::Value;

use crate::{
    bad_logins,
    client::{self, Reply, SOAP, Token, envelope, tds, tds_with},
    house::{ADMIN, CAMERA_SIDE, CAR_PARK, House, LOBBY, VIEWER, records_of},
    process::Running,
    refusals,
};

pub const TARGET: &str = "/onvif/device_service";

/// What is sent to a virtual camera, and what must come of it.
pub struct Case {
    pub name: String,
    pub bytes: Vec<u8>,
    /// Status and fault; none if the connection is closed without a word.
    pub sees: Option<(u16, &'static str)>,
    /// Parts of the record's fault and note; none if nothing is on record, since nothing was asked.
    pub recorded: Option<(&'static str, &'static str)>,
    /// How many answers come back on the connection.
    pub answers: usize,
}

pub fn case(
    name: &str,
    bytes: Vec<u8>,
    sees: (u16, &'static str),
    recorded: (&'static str, &'static str),
) -> Case {
    Case { name: name.to_owned(), bytes, sees: Some(sees), recorded: Some(recorded), answers: 1 }
}

pub fn posted(message: &[u8]) -> Vec<u8> {
    client::request("POST", TARGET, &[SOAP], message)
}

fn known(body: &str) -> String {
    envelope(&Token::new(ADMIN).header(), body)
}

const WELL_FORMED: &str = "Sender/ter:WellFormed";
pub const NOT_AUTHORIZED: &str = "Sender/ter:NotAuthorized";

/// The messages of `refusals`, which checks more about each.
fn messages() -> Vec<Case> {
    let made = |(name, message, expected): refusals::Case| {
        let sees = (expected.status, expected.fault);
        case(name, posted(message.as_bytes()), sees, (expected.fault, expected.note))
    };
    refusals::messages().map(made).collect()
}

/// XML beyond the bounds.
fn bounds() -> Vec<Case> {
    let name = "n".repeat(XML_NAME_BYTES_MAX + 1);
    let attributes: String = (0..=XML_ATTRIBUTES_MAX).map(|it| format!(" a{it}=\"\"")).collect();
    let namespaces: String =
        (0..=XML_NAMESPACES_IN_SCOPE_MAX).map(|it| format!(" xmlns:p{it}=\"urn:{it}\"")).collect();
    let namespace = "u".repeat(XML_NAMESPACE_BYTES_MAX + 1);
    let deep = format!("{}{}", "<a>".repeat(XML_DEPTH_MAX + 1), "</a>".repeat(XML_DEPTH_MAX + 1));
    let scopes = "<x:Scopes>onvif://www.onvif.org/name/a</x:Scopes>".repeat(REQUEST_LIST_ITEMS_MAX + 1);
    let wide = "<a/>".repeat((SOAP_REQUEST_BYTES_MAX - 2_048) / 4);
    let hostname = |inner: &str| known(&tds_with("SetHostname", inner));
    let deep_header = format!("<h:H xmlns:h=\"urn:h\">{deep}</h:H>");
    let refused = |name: &str, message: String, fault, note| {
        case(name, posted(message.as_bytes()), (400, fault), (fault, note))
    };
    let ntp = tds("GetNTP");
    vec![
        refused("depth, in the body", hostname(&deep), "Sender/ter:Tag", "unknown element"),
        refused(
            "depth, in a header nobody knows",
            envelope(&format!("{deep_header}{}", Token::new(ADMIN).header()), &ntp),
            WELL_FORMED,
            "more than 48 levels",
        ),
        refused("width, 64,000 elements", hostname(&wide), "Sender/ter:Tag", "unknown element"),
        refused(
            "a list of 1,025",
            known(&tds_with("SetScopes", &scopes)),
            "Sender/ter:InvalidArgs",
            "more than 1024 items",
        ),
        refused("a long name", hostname(&format!("<{name}/>")), WELL_FORMED, "more than 256 bytes"),
        refused("a long prefix", hostname(&format!("<{name}:a xmlns:{name}=\"urn:a\"/>")), WELL_FORMED, ""),
        refused("a long namespace", hostname(&format!("<p:a xmlns:p=\"{namespace}\"/>")), WELL_FORMED, ""),
        refused("129 attributes", hostname(&format!("<x:Name{attributes}>a</x:Name>")), WELL_FORMED, ""),
        refused("129 namespaces", hostname(&format!("<x:Name{namespaces}>a</x:Name>")), WELL_FORMED, ""),
        refused("the same attribute twice", hostname("<x:Name a=\"\" a=\"\">a</x:Name>"), WELL_FORMED, ""),
        refused("an undeclared prefix", hostname("<y:Name>a</y:Name>"), WELL_FORMED, ""),
    ]
}

/// Text that is none.
fn encodings() -> Vec<Case> {
    let with = |bytes: &[u8]| {
        let message = known(&tds_with("SetHostname", "<x:Name>@</x:Name>"));
        let (before, after) = message.split_once('@').unwrap();
        posted(&[before.as_bytes(), bytes, after.as_bytes()].concat())
    };
    let refused = |name: &str, bytes: &[u8]| case(name, with(bytes), (400, WELL_FORMED), (WELL_FORMED, ""));
    let utf16: Vec<u8> = known(&tds("GetNTP")).encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        refused("invalid UTF-8", b"gate\xff"),
        refused("overlong UTF-8", b"gate\xc0\xaf"),
        refused("half a surrogate pair in UTF-8", b"gate\xed\xa0\x80"),
        refused("NUL", b"gate\0"),
        refused("a control character", b"gate\x01"),
        refused("a reference to NUL", b"gate&#0;"),
        refused("a reference to half a surrogate pair", b"gate&#xD800;"),
        refused("an entity nobody declared", b"gate&nbsp;"),
        case("UTF-16", posted(&[b"\xff\xfe", &*utf16].concat()), (400, WELL_FORMED), (WELL_FORMED, "")),
    ]
}

/// Logins that were good once, or will be; to the second in `bad_logins`, where no time passes before they are looked at.
fn times() -> Vec<Case> {
    let at = |seconds: i64| {
        let created = SystemClock::new().now() + SignedDuration::from_secs(seconds);
        posted(envelope(&Token::at(ADMIN, &created.to_string()).header(), &tds("GetNTP")).as_bytes())
    };
    let refused = |name, bytes, note| case(name, bytes, (400, NOT_AUTHORIZED), (NOT_AUTHORIZED, note));
    let passed = |name, bytes| case(name, bytes, (200, ""), ("", ""));
    vec![
        passed("created four minutes ago", at(-240)),
        refused("created 301 s ago", at(-301), "Created"),
        passed("created in 299 s", at(299)),
        refused("created in six minutes", at(360), "Created"),
    ]
}

/// HTTP that two parsers could read in two ways: header fields, the body, and whether it is read (once). In
/// fields `LENGTH` stands for the message's, in bodies `MESSAGE` for it, `CHUNKED` for it in one chunk, and
/// `SECOND` for a request that must not be found.
const FRAMINGS: [(&str, &str, &str, bool); 21] = [
    (
        "Content-Length and chunked",
        "Content-Length: LENGTH\r\nTransfer-Encoding: chunked",
        "CHUNKEDSECOND",
        true,
    ),
    (
        "equal Content-Length twice",
        "Connection: close\r\nContent-Length: LENGTH\r\nContent-Length: LENGTH",
        "MESSAGE",
        true,
    ),
    ("bare LF", "Connection: close\nContent-Length: LENGTH", "MESSAGE", true),
    ("Chunked in capitals", "Connection: close\r\nTransfer-Encoding: CHUNKED", "CHUNKED", true),
    ("two Content-Lengths", "Content-Length: LENGTH\r\nContent-Length: 0", "MESSAGESECOND", false),
    ("Content-Length as a list", "Content-Length: LENGTH, LENGTH", "MESSAGESECOND", false),
    ("Content-Length with a sign", "Content-Length: +LENGTH", "MESSAGESECOND", false),
    ("negative Content-Length", "Content-Length: -1", "MESSAGESECOND", false),
    ("hexadecimal Content-Length", "Content-Length: 0x10", "MESSAGESECOND", false),
    ("Content-Length beyond 64 bits", "Content-Length: 18446744073709551617", "MESSAGESECOND", false),
    ("space before the colon", "Content-Length : LENGTH", "MESSAGESECOND", false),
    ("a folded field", "X-A: b\r\n  c\r\nContent-Length: LENGTH", "MESSAGESECOND", false),
    ("NUL in a field", "X-A: b\0c\r\nContent-Length: LENGTH", "MESSAGESECOND", false),
    ("bare CR in a field", "X-A: b\rc\r\nContent-Length: LENGTH", "MESSAGESECOND", false),
    ("chunked twice", "Transfer-Encoding: chunked, chunked", "CHUNKEDSECOND", false),
    (
        "chunked in two fields",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "CHUNKEDSECOND",
        false,
    ),
    ("chunked, then identity", "Transfer-Encoding: chunked, identity", "CHUNKEDSECOND", false),
    ("gzip, then chunked", "Transfer-Encoding: gzip, chunked", "CHUNKEDSECOND", false),
    ("an unknown coding", "Transfer-Encoding: xchunked", "CHUNKEDSECOND", false),
    ("a chunk size with a sign", "Transfer-Encoding: chunked", "+CHUNKEDSECOND", false),
    (
        "a chunk size beyond 64 bits",
        "Transfer-Encoding: chunked",
        "ffffffffffffffff1\r\nMESSAGESECOND",
        false,
    ),
];

fn smuggling() -> Vec<Case> {
    let made = |(name, fields, body, is_read): &(&str, &str, &str, bool)| {
        let message = known(&tds("GetNTP"));
        let second = posted(known(&tds_with("SetHostname", "<x:Name>smuggled</x:Name>")).as_bytes());
        let chunked = format!("{:x}\r\n{message}\r\n0\r\n\r\n", message.len());
        let fields = fields.replace("LENGTH", &message.len().to_string());
        let body = body.replace("CHUNKED", &chunked).replace("MESSAGE", &message);
        let body = body.replace("SECOND", &String::from_utf8(second).unwrap());
        let bytes = format!("POST {TARGET} HTTP/1.1\r\nHost: camera\r\n{SOAP}\r\n{fields}\r\n\r\n{body}");
        let sees = Some(if *is_read { (200, "") } else { (400, "") });
        let recorded = is_read.then_some(("", ""));
        Case { name: (*name).to_owned(), bytes: bytes.into_bytes(), sees, recorded, answers: 1 }
    };
    FRAMINGS.iter().map(made).collect()
}

/// HTTP that is too much, or for nobody.
fn http() -> Vec<Case> {
    let message = known(&tds("GetNTP"));
    let closed = |name: &str, bytes: Vec<u8>, status: u16| Case {
        name: name.to_owned(),
        bytes,
        sees: Some((status, "")),
        recorded: None,
        answers: 1,
    };
    let fields = "X-A: b\r\n".repeat(HTTP_HEADERS_MAX + 1);
    let large = " ".repeat(SOAP_REQUEST_BYTES_MAX + 1);
    let list = "<x:Scopes>onvif://www.onvif.org/name/a</x:Scopes>".repeat(10 * 1024 * 1024 / 49);
    vec![
        closed("too many fields", format!("GET / HTTP/1.1\r\n{fields}\r\n").into_bytes(), 431),
        closed(
            "a field of 1 MiB",
            format!("GET / HTTP/1.1\r\nX-A: {}\r\n\r\n", "a".repeat(1 << 20)).into_bytes(),
            431,
        ),
        closed(
            "a target of 64 KiB",
            format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(65_536)).into_bytes(),
            431,
        ),
        closed("TLS to a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), 400),
        closed(
            "RTSP to the port of the web service",
            b"DESCRIBE rtsp://camera/stream RTSP/1.0\r\nCSeq: 1\r\n\r\n".to_vec(),
            400,
        ),
        Case {
            sees: None,
            ..closed("HTTP/2 without asking", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), 0)
        },
        closed(
            "a body one byte too large",
            posted(format!("{}{}", message, &large[message.len()..]).as_bytes()),
            413,
        ),
        closed("a list of 10 MB", posted(known(&tds_with("SetScopes", &list)).as_bytes()), 413),
        case(
            "a forged locator",
            client::request("GET", "/onvif/snapshot/AAAAAAAAAAAAAAAAAAAAAA", &[], b""),
            (404, ""),
            ("404", "forged"),
        ),
    ]
}

/// A gateway in a process of its own, and what was found.
pub struct Bench {
    pub house: House,
    pub running: Running,
}

impl Bench {
    pub fn new(house: House) -> Self {
        let running = Running::start(house.dir());
        house.acquaint();
        Self { house, running }
    }

    /// Records of one connection to a camera.
    pub fn recorded(&self, camera: &str, source: SocketAddr) -> Vec<Value> {
        let source = source.to_string();
        let own = |it: &Value| it["camera"] == camera && it["source"] == *source && it["type"] == "intent";
        records_of(&self.house.audit_dir()).into_iter().filter(own).collect()
    }

    /// How a command ended, once that is durable.
    pub fn outcome(&self, intent: &Value) -> Value {
        loop {
            let ended = |it: &Value| it["type"] == "outcome" && it["intent"] == intent["seq"];
            if let Some(outcome) = records_of(&self.house.audit_dir()).into_iter().find(ended) {
                return outcome;
            }
            crate::house::breathe();
        }
    }
}

/// Sends bytes and gives the first answer with the number of all, or nothing if there is none.
fn exchange(door: SocketAddr, bytes: &[u8]) -> (SocketAddr, Option<(Reply, usize)>) {
    let mut stream = client::connect_quietly(door, bytes);
    let source = stream.local_addr().unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is the gateway's way not to read what it refused.
    let _ = stream.read_to_end(&mut answer);
    let count = answer.windows(9).filter(|it| it == b"HTTP/1.1 ").count();
    (source, (count > 0).then(|| (client::parse(source, door, &answer), count)))
}

/// The row of a case, and what is not as it must be.
fn judge(bench: &Bench, case: &Case) -> (String, Vec<String>) {
    let Case { name, bytes, sees, recorded, answers } = case;
    let before = bench.running.reset_memory();
    let (source, reply) = exchange(bench.house.door(CAR_PARK), bytes);
    let memory = bench.running.peak_memory().saturating_sub(before);
    let count = reply.as_ref().map_or(0, |it| it.1);
    let seen = reply.as_ref().map(|(reply, _)| (reply.status, reply.fault()));
    let found = bench.recorded("car-park", source);
    let mut wrong = Vec::new();
    let same = match (&seen, sees) {
        (Some((status, fault)), Some((wanted, prefix))) => status == wanted && fault.starts_with(prefix),
        (None, None) => true,
        _ => false,
    };
    if !same || count != usize::from(sees.is_some()) * answers {
        let text = reply.as_ref().map(|it| it.0.text()).unwrap_or_default();
        wrong.push(format!("{name}: {sees:?} expected, {count} answers {seen:?} seen: {text}"));
    }
    let permitted = |it: &Value| it["decision"] == "permitted";
    let as_recorded = match (recorded, found.as_slice()) {
        (None, []) => true,
        (Some((fault, note)), [intent]) => {
            text_of(intent, "fault").starts_with(fault)
                && text_of(intent, "note").contains(note)
                && permitted(intent) == sees.is_some_and(|it| it.0 == 200)
                // What was smuggled is no request.
                && !intent.to_string().contains("smuggled")
        }
        _ => false,
    };
    if !as_recorded {
        wrong.push(format!("{name}: {recorded:?} expected on record: {found:?}"));
    }
    wrong.extend(too_dear(name, memory));
    let what = match found.as_slice() {
        [] => "nothing, since nothing was asked".to_owned(),
        [intent] if permitted(intent) => "permitted".to_owned(),
        [intent, ..] => format!("denied: {}", text_of(intent, "note")),
    };
    (row(name, seen, &what, memory), wrong)
}

/// What one case may cost the gateway at its peak, in KiB: some times the longest message that it takes.
const COST_MAX: u64 = 16 * 1_024;

fn too_dear(name: &str, memory: u64) -> Option<String> {
    (memory > COST_MAX).then(|| format!("{name}: it cost {memory} KiB"))
}

pub fn text_of<'a>(record: &'a Value, field: &str) -> &'a str {
    record[field].as_str().unwrap_or_default()
}

pub fn row(
    name: &str,
    seen: Option<(u16, String)>,
    recorded: &str,
    memory: impl std::fmt::Display,
) -> String {
    let seen = seen.map_or("closed".to_owned(), |(status, fault)| format!("{status} {fault}"));
    row_of(name, seen.trim_end(), recorded, memory)
}

/// A row of what is seen in words.
pub fn row_of(name: &str, seen: &str, recorded: &str, memory: impl std::fmt::Display) -> String {
    let recorded: String = recorded.replace('|', "/").chars().take(110).collect();
    format!("| {name} | {seen} | {recorded} | {memory} |")
}

pub fn head(title: &str) {
    println!("\n| {title} | peer sees | on record | KiB |\n|---|---|---|---|");
}

#[test]
fn bad_input_from_clients_is_refused_recorded_and_cheap() {
    let mut house = House::open();
    house.stop();
    let bench = Bench::new(house);
    head("bad input of a client");
    let (mut count, mut wrong) = (0, Vec::new());
    // Made when they are due: some hold for seconds only.
    let groups: [&dyn Fn() -> Vec<Case>; 9] = [
        &messages,
        &bounds,
        &encodings,
        &times,
        &smuggling,
        &http,
        &|| bad_logins::tokens(&bench),
        &|| bad_logins::digests(&bench),
        &|| bad_logins::locators(&bench),
    ];
    for case in groups.iter().flat_map(|it| it()) {
        let (row, complaints) = judge(&bench, &case);
        println!("{row}");
        wrong.extend(complaints);
        count += 1;
    }
    for row in slow(&bench) {
        println!("{row}");
        count += 1;
    }
    println!("{count} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(bench.house.heard(), [], "none of this is any camera's business");
    bench.running.stop();
}

/// A name, what is sent at once, what is trickled, and the status; none if closed without a word.
type Slow<'a> = (&'a str, &'a [u8], &'a [u8], Option<u16>);

/// Slow in each phase, all at once.
fn slow(bench: &Bench) -> Vec<String> {
    let message = posted(known(&tds("GetNTP")).as_bytes());
    let body = message.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
    let cases: [Slow; 5] = [
        ("nothing is sent", b"", b"", None),
        ("half a head, then nothing", &message[..40], b"", None),
        ("a head, one byte after the other", b"", &message[..body], None),
        ("half a body, then nothing", &message[..body + 40], b"", Some(408)),
        ("a body, one byte after the other", &message[..body], &message[body..], Some(408)),
    ];
    let door = bench.house.door(CAR_PARK);
    let before = bench.running.reset_memory();
    let results: Vec<_> = thread::scope(|scope| {
        let send = |at_once: &[u8], trickled: &[u8]| {
            let mut stream = client::connect_quietly(door, at_once);
            let mut writer = stream.try_clone().unwrap();
            let trickled = trickled.to_owned();
            // The pace of the attack, far slower than any deadline allows for so many bytes.
            let trickle = thread::spawn(move || {
                for byte in trickled {
                    if std::io::Write::write_all(&mut writer, &[byte]).is_err() {
                        return;
                    }
                    thread::sleep(std::time::Duration::from_millis(200));
                }
            });
            let source = stream.local_addr().unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            trickle.join().unwrap();
            (source, (!answer.is_empty()).then(|| client::parse(source, door, &answer)))
        };
        let threads: Vec<_> = cases.iter().map(|case| scope.spawn(move || send(case.1, case.2))).collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let memory = bench.running.peak_memory().saturating_sub(before);
    assert_eq!(too_dear("all that are slow", memory), None);
    let rows = cases.iter().zip(results).map(|((name, _, _, status), (source, reply))| {
        let seen = reply.map(|it| (it.status, it.fault()));
        assert_eq!(seen.as_ref().map(|it| it.0), *status, "{name}");
        assert_eq!(bench.recorded("car-park", source), Vec::<Value>::new(), "{name}");
        row(name, seen, "nothing, since nothing was asked", memory)
    });
    rows.collect()
}

/// The operation that is answered with a lie.
const LIED_ABOUT: &str = "tds:GetDeviceInformation";

/// What a camera says instead of an answer, and what the record says of it; nothing where it is taken.
type Told = (&'static str, Said, &'static str);

fn once(bytes: Vec<u8>) -> Said {
    Said { bytes: bytes.into(), times: 1, stays: false }
}

/// An HTTP answer with its true length.
fn spoken(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\n{SOAP}\r\n");
    for header in headers {
        head += &format!("{header}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// An answer with some bytes for the model.
fn device(model: &[u8]) -> Vec<u8> {
    let text = envelope(
        "",
        "<t:GetDeviceInformationResponse xmlns:t=\"http://www.onvif.org/ver10/device/wsdl\">\
         <t:Manufacturer>Axis</t:Manufacturer><t:Model>@</t:Model><t:FirmwareVersion>1</t:FirmwareVersion>\
         <t:SerialNumber>2</t:SerialNumber><t:HardwareId>3</t:HardwareId></t:GetDeviceInformationResponse>",
    );
    let (before, after) = text.split_once('@').unwrap();
    [before.as_bytes(), model, after.as_bytes()].concat()
}

fn answered(body: &[u8]) -> Said {
    once(spoken("200 OK", &[], body))
}

/// HTTP that is none, or another.
fn framing_lies(core: SocketAddr) -> Vec<Told> {
    let good = device(b"P3245");
    let raw = |head: &str, body: &[u8]| {
        once([format!("HTTP/1.1 200 OK\r\n{SOAP}\r\n{head}\r\n\r\n").as_bytes(), body].concat())
    };
    let long = format!("Content-Length: {}", good.len() + 10);
    let short = format!("Content-Length: {}", good.len() - 10);
    let huge = "x".repeat(SOAP_ANSWER_BYTES_MAX + 1);
    let list = device(&"<t:Item>http://10.1.1.1/</t:Item>".repeat(10 * 1024 * 1024 / 34).into_bytes());
    let core = format!("Location: http://{core}/onvif/device_service");
    let endless = |bytes: &[u8]| Said { bytes: bytes.into(), times: 0, stays: true };
    let again = spoken("200 OK", &[], &device(b"the second"));
    vec![
        (
            "an answer that was not asked for, behind the one that was",
            Said { stays: true, ..once([spoken("200 OK", &[], &good), again].concat()) },
            "",
        ),
        ("a body shorter than its length", raw(&long, &good), "cut the connection"),
        ("a body longer than its length", raw(&short, &good), "cannot be understood"),
        ("two lengths", raw("Content-Length: 5\r\nContent-Length: 6", &good), "not valid HTTP"),
        ("no HTTP", once(b"HELLO, I AM A CAMERA\r\n\r\n".to_vec()), "not valid HTTP"),
        ("garbage", once((0..=255).cycle().take(20_000).collect()), "not valid HTTP"),
        ("closed without a word", once(Vec::new()), "cut the connection"),
        ("half a chunk", raw("Transfer-Encoding: chunked", b"ff\r\n<s:Env"), "cut the connection"),
        (
            "a chunk size that is none",
            raw("Transfer-Encoding: chunked", b"zz\r\n<s:Env\r\n0\r\n\r\n"),
            "cut the connection",
        ),
        (
            "a redirect to elsewhere",
            once(spoken("302 Found", &["Location: http://203.0.113.66/onvif/device_service"], b"")),
            "redirected",
        ),
        ("a redirect into the core network", once(spoken("302 Found", &[&core], b"")), "redirected"),
        (
            "a redirect into the core network, with an answer",
            once(spoken("307 Temporary Redirect", &[&core], &good)),
            "redirected",
        ),
        ("a list of 10 MB", answered(&list), "larger than"),
        (
            "status 200, a page of a login",
            once(spoken("200 OK", &[], b"<html><body>login</body></html>")),
            "not SOAP",
        ),
        ("status 503 without a word", once(spoken("503 Busy", &[], b"")), "HTTP status 503"),
        ("status 600", once(b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n".to_vec()), "HTTP status 600"),
        ("a length and no body", once(spoken("200 OK", &[], b"")), "is empty"),
        ("a body beyond the bound", once(spoken("200 OK", &[], huge.as_bytes())), "larger than"),
        ("10 MB of an endless body", Said { times: 640, ..raw("", &vec![b'x'; 16 * 1024]) }, "larger than"),
        ("header fields without end", endless(b"X-A: b\r\n"), "not valid HTTP"),
        ("interim answers without end", endless(b"HTTP/1.1 100 Continue\r\n\r\n"), "did not answer in time"),
        ("gzip", once(spoken("200 OK", &["Content-Encoding: gzip"], b"\x1f\x8b\x08\0\0")), "not SOAP"),
    ]
}

/// Documents that are none, or say what they must not.
fn content_lies() -> Vec<Told> {
    let good = device(b"P3245");
    let bytes = |model: &[u8]| answered(&device(model));
    let with = |prefix: &str, suffix: &[u8]| answered(&[prefix.as_bytes(), &good, suffix].concat());
    let deep = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
    vec![
        ("an entity nobody declared", bytes(b"&leak;"), "leaves its interface definition"),
        ("DTD", with("<!DOCTYPE x>", b""), "not SOAP"),
        (
            "external entity",
            with("<!DOCTYPE x [<!ENTITY f SYSTEM \"file:///etc/passwd\">]>", b""),
            "not SOAP",
        ),
        ("two documents", with("", &good), "not XML"),
        // Put right, and recorded so: some name themselves in encodings that they do not declare.
        ("invalid UTF-8", bytes(b"P32\xff45"), ""),
        ("NUL", bytes(b"P32\x0045"), ""),
        ("depth", once(spoken("200 OK", &[], &device(deep.as_bytes()))), "leaves its interface definition"),
        (
            "a list of 80,000 elements nobody declared",
            answered(&device("<t:Item/>".repeat(80_000).as_bytes())),
            // Left out, and counted.
            "",
        ),
        ("its own address in free text", bytes(b"at 127.0.2.12"), "names an address of the camera's network"),
        (
            "an address of its zone in free text",
            bytes(b"see http://198.51.100.90/x"),
            "names an address of the camera's network",
        ),
        (
            "the answer to something else",
            once(spoken(
                "200 OK",
                &[],
                envelope("", "<t:GetHostnameResponse xmlns:t=\"http://www.onvif.org/ver10/device/wsdl\"/>")
                    .as_bytes(),
            )),
            "something else",
        ),
    ]
}

#[test]
fn a_camera_that_lies_is_refused_by_name_and_costs_its_neighbour_nothing() {
    let mut house = House::open();
    house.stop();
    // Who it is in its lies is who it is: it would be taken for an exchanged one else.
    for (name, value) in [
        ("manufacturer", "Axis"),
        ("model", "P3245"),
        ("firmware", "1"),
        ("serial.number", "2"),
        ("hardware", "3"),
    ] {
        house.camera(LOBBY).set_variable(name, value);
    }
    let bench = Bench::new(house);
    head("bad input of a camera");
    let lies = [framing_lies(bench.house.door(CAR_PARK)), content_lies()].concat();
    let mut wrong = Vec::new();
    for (name, lie, note) in &lies {
        bench.house.camera(LOBBY).set_fault_of(LIED_ABOUT, Some(Fault::Say(lie.clone())));
        let before = bench.running.reset_memory();
        let reply = client::ask(bench.house.door(LOBBY), "device", VIEWER, &tds("GetDeviceInformation"));
        let memory = bench.running.peak_memory().saturating_sub(before);
        let neighbour =
            client::ask(bench.house.door(CAR_PARK), "device", VIEWER, &tds("GetDeviceInformation"));
        assert_eq!(neighbour.status, 200, "{name}");
        let text = format!("{:?} {}", reply.headers, reply.text());
        for needle in CAMERA_SIDE {
            assert!(!text.contains(needle), "{name}: `{needle}` in {text}");
        }
        let found = bench.recorded("lobby", reply.source);
        let [intent] = found.as_slice() else { panic!("{name}: {found:?}") };
        assert_eq!(intent["decision"], "permitted", "{name}: {intent}");
        let outcome = bench.outcome(intent);
        let why = text_of(&outcome, "note");
        let what = text_of(&outcome, "what");
        println!("{}", row(name, Some((reply.status, reply.fault())), &format!("{what}: {why}"), memory));
        wrong.extend(too_dear(name, memory));
        let (status, fault, ending) =
            if note.is_empty() { (200, "", "answered") } else { (500, "Receiver/ter:Action", "failed") };
        let seen = (reply.status, reply.fault(), what);
        if seen != (status, fault.to_owned(), ending) || !why.contains(note) || text.contains("the second") {
            wrong.push(format!("{name}: {seen:?} {outcome} {text}"));
        }
    }
    bench.house.camera(LOBBY).set_fault_of(LIED_ABOUT, None);
    let after = client::ask(bench.house.door(LOBBY), "device", VIEWER, &tds("GetDeviceInformation"));
    assert_eq!(after.status, 200, "it is believed again once it tells the truth: {}", after.text());
    println!("{} cases", lies.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    bench.running.stop();
}
