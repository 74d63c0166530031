//! Cameras that nobody has seen: recorded and made answers in other dialects, with the camera's own address, its
//! neighbours', and those of its former network hidden in them in every way of writing that some program reads.
//! What a client gets is declared XML without any of them, or a fault that says why.
//!
//! `CORDON_STRANGERS` says how many (1,000 without it), `CORDON_SEED` which.
#![allow(clippy::print_stderr, reason = "the table is what the test shows")]

use std::{
    collections::BTreeMap,
    env,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use cordon::schema::{AccessClass, OperationId, Tables};
use serde_json::Value;

use crate::{
    client::{self, Reply, tds},
    dialect::Message,
    foreign,
    generate::{Tape, message},
    mutate::Random,
    stage::{Part, Stage},
    whole_way::{recorded, strictly},
};

const STRANGERS: usize = 1_000;
const CAMERAS_PER_STAGE: usize = 200;
/// Who asks at once: the disk of the log is waited for, not the processor.
const ASKERS: usize = 4;
/// Of what the cameras say, at least this part must be understood, or the rest shows nothing.
const ANSWERED_PERCENT_MIN: usize = 40;

/// How an address is hidden: the way of writing, and what is written.
type Form = (&'static str, String);

/// Writings of any IPv4 address, which are found wherever it lies in the camera's zone.
fn forms_of_a_neighbour(address: Ipv4Addr) -> Vec<Form> {
    let [a, b, c, d] = address.octets();
    let percent: String = address.to_string().bytes().map(|byte| format!("%{byte:02x}")).collect();
    let references: String = address.to_string().chars().map(|it| format!("&#{};", u32::from(it))).collect();
    let full_width: String = address.to_string().chars().map(full_width).collect();
    vec![
        ("plain", address.to_string()),
        ("with a port", format!("{address}:8000")),
        ("URI", format!("HTTP://{address}/ISAPI/x?y=1")),
        ("URI with a login", format!("rtsp://admin:12345@{address}:554/1")),
        ("before the @ of a URI", format!("http://{address}@www.onvif.org/x")),
        ("URI with a port that is none", format!("http://{address}:99999/x")),
        ("network path", format!("//{address}/share")),
        ("UNC path", format!("\\\\{address}\\share")),
        ("percent signs", percent.clone()),
        ("percent signs twice", percent.replace('%', "%25")),
        ("character references", references),
        ("base64", BASE64_STANDARD.encode(format!("http://{address}/"))),
        ("base64 without padding", BASE64_STANDARD.encode(address.to_string()).replace('=', "")),
        ("leading zeros", format!("{a:03}.{b:03}.{c:03}.{d:03}")),
        ("octal parts", format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}")),
        ("hexadecimal parts", format!("0x{a:x}.0X{b:X}.0x{c:x}.0x{d:02x}")),
        ("full width", full_width),
        ("mapped to IPv6", format!("::ffff:{address}")),
        ("mapped, hexadecimal", format!("[::ffff:{a:x}{b:02x}:{c:x}{d:02x}]:80")),
        ("NAT64", format!("64:ff9b::{a:x}{b:02x}:{c:x}{d:02x}")),
        ("between dashes", format!("cam-{address}-main")),
        ("between underscores", format!("cam_{address}_main")),
        ("in a sentence", format!("moved from {address}, ask there.")),
    ]
}

/// Writings of the camera's own address alone.
fn forms_of_its_own(address: Ipv4Addr) -> Vec<Form> {
    let [a, b, c, d] = address.octets();
    let bits = address.to_bits();
    let mut forms = forms_of_a_neighbour(address);
    forms.extend([
        ("decimal", bits.to_string()),
        ("hexadecimal", format!("0x{bits:08X}")),
        ("hexadecimal, backwards", format!("0x{:08x}", bits.swap_bytes())),
        ("octal", format!("0{bits:o}")),
        ("two parts", format!("{a}.{}", bits & 0xff_ffff)),
        ("dashes", format!("{a}-{b}-{c}-{d}")),
        ("underscores", format!("{a}_{b}_{c}_{d}")),
        ("brackets", format!("{a}[.]{b}[.]{c}[.]{d}")),
        ("stuck to words", format!("ip{address}cam")),
        ("invisible characters", format!("{a}.{b}\u{200b}.{c}.{d}")),
        ("in-addr.arpa", format!("{d}.{c}.{b}.{a}.in-addr.arpa")),
    ]);
    forms
}

/// What a camera kept of a network that is not the zone's.
fn forms_of_elsewhere(random: &mut Random) -> Vec<Form> {
    let host = random.below(250) + 1;
    let lan = format!("{}.{host}", random.pick(&["192.168.77", "172.20.3", "169.254.8", "100.72.1"]));
    let v6 = random.pick(&["fe80::1ff:fe23:4567:890a", "FD12:3456:789a::77", "fe80:0:0:0:0:0:0:7b"]);
    let name = random.pick(&["Cam-17.local", "nvr.LAN", "ipc.localdomain", "dome.home.arpa."]);
    vec![
        ("a former address", lan.clone()),
        ("a former address with a port", format!("{lan}:80")),
        ("a former URI", format!("rtsp://{lan}:554/h264")),
        ("a former URI, twice escaped", format!("http:%252F%252F{lan}%252F")),
        ("a former URI, escaped", format!("http%3A%2F%2F{lan}%2F")),
        ("base64 of a former URI", BASE64_STANDARD.encode(format!("rtsp://{lan}/"))),
        ("a former 10/8 URI", format!("http://10.9.8.{host}/")),
        ("a former 10/8 address with a port", format!("10.9.8.{host}:8899")),
        ("IPv6", v6.to_owned()),
        ("IPv6 with a zone id", format!("{v6}%eth0")),
        ("IPv6 URI", format!("http://[{v6}]:80/")),
        ("IPv6 URI with a zone id", format!("http://[{v6}%25eth0]/")),
        ("a local name", name.to_owned()),
        ("a local name as URI", format!("HTTPS://{name}:443/x")),
        ("a bare word as URI", format!("rtsp://camera{host}/x")),
        ("a login for anybody", format!("http://root:pass{host}@www.maker.example/")),
    ]
}

fn full_width(character: char) -> char {
    match character {
        '.' => '。',
        digit => char::from_u32(u32::from(digit) - u32::from('0') + u32::from('０')).unwrap(),
    }
}

/// One answer to be played, and what must not be in the reply.
struct Stranger {
    base: String,
    operation: OperationId,
    part: Part,
    planted: Vec<Form>,
}

/// The name of a base that is a fault.
const FAULT: &str = "made: a fault";

/// What strangers are made of: an operation, what is known to be an answer, and where it is from.
type Base = (String, OperationId, Message);

fn bases(tables: &Tables, random: &mut Random) -> Vec<Base> {
    let mut bases = Vec::new();
    for it in recorded(tables).unwrap_or_default() {
        let Ok(text) = String::from_utf8(it.part.answer) else { continue };
        if it.part.status == 200
            && let Some(message) = Message::read(text.trim_start_matches('\u{feff}').trim_start())
        {
            bases.push((it.name, it.operation, message));
        }
    }
    let reads: Vec<_> = tables
        .operations()
        .filter(|(_, row)| {
            row.name.starts_with("Get")
                && row.output.is_some()
                && !matches!(row.class, None | Some(AccessClass::NotForClients | AccessClass::PreAuth))
        })
        .collect();
    for number in 0..bases.len().max(400) {
        let (id, row) = reads[number % reads.len()];
        let made = message(tables, row.output.unwrap(), Tape::new(random.bytes(400)));
        let text = client::envelope("", &made.text);
        bases.extend(Message::read(&text).map(|it| (format!("made: {}:{}", row.prefix, row.name), id, it)));
    }
    let (asked, _) = reads[0];
    for code in ["Sender", "Receiver"] {
        let fault = format!(
            "<s:Fault><s:Code><s:Value>s:{code}</s:Value><s:Subcode><s:Value>ter:InvalidArgVal</s:Value><s:Subcode>\
             <s:Value>ter:NoProfile</s:Value></s:Subcode></s:Subcode></s:Code><s:Reason><s:Text xml:lang=\"en\">no \
             such profile</s:Text></s:Reason><s:Node>http://www.onvif.org/node</s:Node><s:Detail><x:Text \
             xmlns:x=\"urn:maker\">no</x:Text></s:Detail></s:Fault>"
        );
        // Some of all, not two of a thousand.
        let message = Message::read(&client::envelope("", &fault)).unwrap();
        bases.extend((0..60).map(|_| (FAULT.to_owned(), asked, message.clone())));
    }
    bases
}

fn stranger(
    tables: &Tables,
    (name, operation, message): &Base,
    own: Ipv4Addr,
    random: &mut Random,
) -> Stranger {
    let mut message = message.clone();
    let mut planted = Vec::new();
    for _ in 0..random.below(4) {
        let [a, b, _, _] = own.octets();
        let neighbour = Ipv4Addr::new(a, b, 251, u8::try_from(random.below(250) + 1).unwrap());
        let places = message.places();
        let place = places[random.below(places.len())];
        let version = message.local(place).ends_with("Version");
        let forms = match random.below(3) {
            // In a version, four numbers are an address only if they are the camera's.
            0 => forms_of_its_own(own),
            _ if version => continue,
            1 => forms_of_a_neighbour(neighbour),
            _ => forms_of_elsewhere(random),
        };
        let form = forms[random.below(forms.len())].clone();
        match random.below(5) {
            0 => message.add_own(&form.1, random),
            1 => message.put(place, format!("{} {}", message.text(place), form.1)),
            2 => message.put(place, format!("{} ({})", form.1, message.text(place))),
            _ => message.put(place, form.1.clone()),
        }
        planted.push(form);
    }
    for _ in 0..random.below(3) {
        message.stray(random);
    }
    let asked = tables.operation(*operation).unwrap().name.to_string();
    let status = if name == FAULT { 500 } else { 200 };
    let part = Part { asked, answer: message.say(random), status };
    Stranger { base: name.clone(), operation: *operation, part, planted }
}

/// The texts of a reply, each by a reader that is not the gateway's.
fn texts(reply: &str) -> Result<Vec<String>, String> {
    let document = roxmltree::Document::parse(reply).map_err(|error| format!("not XML: {error}"))?;
    let mut texts = Vec::new();
    for node in document.descendants() {
        texts.extend(node.text().filter(|_| node.is_text()).map(str::to_owned));
        texts.extend(node.attributes().map(|it| it.value().to_owned()));
        texts.extend(node.namespaces().map(|it| it.uri().to_owned()));
    }
    Ok(texts)
}

#[derive(Default)]
struct Found {
    answered: usize,
    refused: BTreeMap<String, usize>,
    forms: BTreeMap<&'static str, usize>,
    wrong: Vec<String>,
}

impl Found {
    fn judge(&mut self, tables: &Tables, it: &Stranger, reply: &Reply, own: &[String], outcome: &Value) {
        let text = String::from_utf8_lossy(&reply.body);
        let mut complaints = Vec::new();
        match texts(&text) {
            Ok(texts) => {
                for (form, written) in &it.planted {
                    *self.forms.entry(form).or_default() += 1;
                    // In another case, base64 is something else.
                    let exact = form.starts_with("base64");
                    let read = |it: &str| if exact { it.to_owned() } else { it.to_lowercase() };
                    let written = read(written);
                    if let Some(text) = texts.iter().find(|it| read(it).contains(&written)) {
                        complaints.push(format!("{form}: `{written}` in `{text}`"));
                    }
                }
            }
            Err(why) => complaints.push(why),
        }
        // What is made holds addresses that are not the camera's side's.
        if !it.base.starts_with("made") {
            complaints.extend(foreign::addresses(&text, own));
        }
        if reply.status == 200 {
            self.answered += 1;
            complaints.extend(strictly(tables, &reply.body, it.operation, outcome).err());
        } else {
            let note = outcome["note"].as_str().unwrap_or_default();
            if reply.fault().is_empty() {
                complaints.push("refused without a name".to_owned());
            }
            let why: String = format!("{} {note}", reply.fault()).chars().take(90).collect();
            *self.refused.entry(why).or_default() += 1;
        }
        if !complaints.is_empty() {
            let said = String::from_utf8_lossy(&it.part.answer);
            let complaints = complaints.join("\n  ");
            self.wrong.push(format!("{}:\n  {complaints}\n  said: {said}\n  reply: {text}", it.base));
        }
    }
}

fn play(tables: &Arc<Tables>, bases: &[Base], count: usize, random: &mut Random, found: &mut Found) {
    let mut strangers = Vec::new();
    let stage = Stage::open_with(tables, count, |cameras| {
        strangers = cameras
            .iter()
            .map(|camera| {
                let IpAddr::V4(own) = camera.ip() else { panic!("{camera}") };
                stranger(tables, &bases[random.below(bases.len())], own, random)
            })
            .collect();
        strangers.iter().map(|it| it.part.clone()).collect()
    });
    let ask = |number: usize| {
        let row = tables.operation(strangers[number].operation).unwrap();
        let service = if row.service.starts_with("events") { "events" } else { &*row.service };
        stage.ask(number, service, &message(tables, row.input, Tape::default()).text)
    };
    let mut replies: Vec<_> = std::thread::scope(|scope| {
        let asker = |first: usize| move || (first..count).step_by(ASKERS).map(|it| (it, ask(it))).collect();
        let askers: Vec<_> = (0..ASKERS).map(|first| scope.spawn(asker(first))).collect();
        askers.into_iter().flat_map(|it| -> Vec<(usize, Reply)> { it.join().unwrap() }).collect()
    });
    replies.sort_by_key(|it| it.0);
    let replies: Vec<_> = replies.into_iter().map(|it| it.1).collect();
    let authorities: Vec<_> = (0..count).map(|it| stage.authorities(it)).collect();
    let records = stage.close(&replies);
    for (number, (it, reply)) in strangers.iter().zip(&replies).enumerate() {
        found.judge(tables, it, reply, &authorities[number], &records[number].1);
    }
}

#[test]
fn strangers_are_answered_for_in_declared_xml_without_their_addresses_or_refused_by_name() {
    let number = |name: &str| env::var(name).ok().map(|it| it.parse::<u64>().unwrap());
    let count = number("CORDON_STRANGERS").map_or(STRANGERS, |it| usize::try_from(it).unwrap());
    let seed = number("CORDON_SEED").unwrap_or(20_261_125);
    let tables = Arc::new(Tables::embedded().unwrap());
    let mut random = Random::new(seed);
    let bases = bases(&tables, &mut random);
    let mut found = Found::default();
    for first in (0..count).step_by(CAMERAS_PER_STAGE) {
        let count = CAMERAS_PER_STAGE.min(count - first);
        play(&tables, &bases, count, &mut random, &mut found);
    }
    let Found { answered, refused, forms, wrong } = found;
    eprintln!("strangers: {count} of {} answers, CORDON_SEED={seed}", bases.len());
    eprintln!("  answered {answered}, refused {}", count - answered);
    let mut reasons: Vec<_> = refused.iter().collect();
    reasons.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), (*name).clone()));
    for (name, count) in reasons.iter().take(20) {
        eprintln!("{count:>6} × {name}");
    }
    let planted: usize = forms.values().sum();
    eprintln!("  planted {planted} addresses in {} ways: {forms:?}", forms.len());
    // Rule of three: with 95 % confidence the rate is below three in n.
    #[expect(clippy::cast_precision_loss, reason = "a percentage")]
    let bound = 300.0 / planted.max(1) as f64;
    eprintln!(
        "  wrong {} of n = {count}; if 0, below {bound:.3} % of addresses with 95 % confidence",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    assert!(answered * 100 >= count * ANSWERED_PERCENT_MIN, "{answered} of {count} answered");
}

/// What looks like an address and is none, or is nobody's on the camera's side.
const HARMLESS: [&str; 24] = [
    "5.55.1.2",
    "V5.5.82.1 build 220614",
    "10.12.114",
    "10.2.3.4",
    "1.0.0.0.3",
    "3.10.0.5-b",
    "2.800.0000000.25.R",
    "10.5",
    "10.0.5",
    "1920x1080",
    "12:30:45",
    "00:11:22:33:44:55",
    "urn:uuid:4d454930-0000-1000-8000-bcad28a1b2c3",
    "DS-2CD2143G0-I20190912AAWRD12345678",
    "2130706433",
    "http://www.maker.example/support",
    "www.onvif.org/ver20/HalfDuplex/Server",
    "VideoSourceConfiguration_1_h264",
    "100%",
    "A&B; 50%25",
    "std::chrono",
    "255.255.255.0",
    "Preset.Home",
    "tns1:Device.internal",
];

#[test]
fn what_only_looks_like_an_address_stays() {
    let tables = Arc::new(Tables::embedded().unwrap());
    let said = |text: &str| {
        let text = text.replace('&', "&amp;");
        let inside = format!(
            "<t:Manufacturer>M</t:Manufacturer><t:Model>M</t:Model><t:FirmwareVersion>{text}</t:FirmwareVersion>\
             <t:SerialNumber>1</t:SerialNumber><t:HardwareId>{text}</t:HardwareId>"
        );
        client::envelope(
            "",
            &format!(
                "<t:GetDeviceInformationResponse xmlns:t=\"http://www.onvif.org/ver10/device/wsdl\">{inside}\
             </t:GetDeviceInformationResponse>"
            ),
        )
    };
    let part = |text: &&str| Part {
        asked: "GetDeviceInformation".to_owned(),
        answer: said(text).into_bytes(),
        status: 200,
    };
    let stage = Stage::open(&tables, HARMLESS.iter().map(part).collect());
    let asked = (0..HARMLESS.len()).map(|number| stage.ask(number, "device", &tds("GetDeviceInformation")));
    let replies: Vec<_> = asked.collect();
    stage.close(&replies);
    for (text, reply) in HARMLESS.iter().zip(&replies) {
        for place in ["FirmwareVersion", "HardwareId"] {
            assert_eq!(reply.element(place).as_deref(), Some(*text), "{}", reply.text());
        }
    }
}
