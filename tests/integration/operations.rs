//! Every operation that any simulated camera lists, asked through the whole gateway by each role: what comes of it
//! is what ONVIF's default access policy and the table below say, and nothing else.
#![allow(clippy::print_stdout, reason = "the tally is shown with --nocapture")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cordon::{
    schema::{OperationId, Tables},
    sim::Received,
    soap::{Answer, decode_answer},
};

use serde_json::Value;

use crate::{
    client::{self, Reply, User},
    commands::keeps_the_camera_side_in,
    generate::{self, Tape},
    house::{ADMIN, House, OPERATOR, OTHERS, PLANS, Plan, Recorded, VIEWER},
    walks::role_may,
};

/// Operations that fare otherwise than ONVIF's default access policy lets expect.
const OTHERWISE: &str = include_str!("operations.txt");

/// What the cameras call their things.
const TOKENS: [(&str, &[(&str, &str)]); 6] = [
    (
        "car-park",
        &[
            ("profile", "Profile_1"),
            ("vsc", "VideoSourceToken"),
            ("vs", "VideoSource_1"),
            ("venc", "VideoEncoderToken_1"),
            ("asc", "AudioSourceConfigToken"),
            ("as", "AudioSourceChannel"),
            ("aenc", "MainAudioEncoderToken"),
            ("metadata", "MetaDataToken"),
            ("vac", "VideoAnalyticsToken"),
            ("ptzc", "PTZToken"),
            ("node", "PTZNODETOKEN"),
            ("preset", "1"),
            ("osd", "OsdToken_100"),
            ("relay", "AlarmOut_0"),
            ("input", "DigitInput_0"),
            ("module", "MyCellMotionModule"),
            ("rule", "MyMotionDetectorRule"),
        ],
    ),
    (
        "lobby",
        &[
            ("profile", "profile_1_h264"),
            ("vsc", "0"),
            ("vs", "0"),
            ("venc", "default_1_h264"),
            ("asc", "0"),
            ("as", "0"),
            ("aenc", "default_1_aac"),
            ("metadata", "0"),
            ("vac", "VideoAnalyticsToken"),
            ("ptzc", "0"),
            ("node", "1"),
            ("preset", "1"),
            ("osd", "overlay_0"),
            ("relay", "0"),
            ("input", "DigitInput_0"),
            ("module", "MyCellMotionModule"),
            ("rule", "MyMotionDetectorRule"),
        ],
    ),
    (
        "gate",
        &[
            ("profile", "MediaProfile00000"),
            ("vsc", "00000"),
            ("vs", "00000"),
            ("venc", "00000"),
            ("asc", "00000"),
            ("as", "00000"),
            ("aenc", "00000"),
            ("metadata", "00000"),
            ("vac", "00000"),
            ("ptzc", "00000"),
            ("node", "00000"),
            ("preset", "1"),
            ("osd", "OSD_00000"),
            ("relay", "00000"),
            ("input", "00000"),
            ("module", "MyCellMotion"),
            ("rule", "Region1"),
        ],
    ),
    (
        "hall",
        &[
            ("profile", "0"),
            ("vsc", "1"),
            ("vs", "1"),
            ("venc", "EncCfg_L1S1"),
            ("asc", "1"),
            ("as", "1"),
            ("aenc", "AacEnc"),
            ("metadata", "0"),
            ("vac", "1"),
            ("ptzc", "1"),
            ("node", "1"),
            ("preset", "1"),
            ("osd", "1"),
            ("relay", "0"),
            ("input", "1"),
            ("module", "Viproc"),
            ("rule", "Detect any object"),
        ],
    ),
    (
        "fence",
        &[
            ("profile", "media_profile1"),
            ("vsc", "video_source_config1"),
            ("vs", "video_source1"),
            ("venc", "video_encoder_config"),
            ("metadata", "metadata_config"),
            ("vac", "analytics_video_source"),
            ("osd", "osd_config1"),
            ("input", "input1"),
            ("module", "MyCellMotionModule"),
            ("rule", "MyMotionDetectorRule"),
        ],
    ),
    (
        "shed",
        &[
            ("profile", "000"),
            ("vsc", "000"),
            ("vs", "000"),
            ("venc", "000"),
            ("asc", "000"),
            ("as", "000"),
            ("aenc", "000"),
            ("metadata", "000"),
            ("ptzc", "000"),
            ("node", "000"),
            ("preset", "0"),
            ("osd", "OSD_000"),
            ("input", "DigitInput_0"),
        ],
    ),
];

/// Which thing an element of a request names; a configuration is of the kind that the operation is about.
const NAMED_BY: [(&str, &str); 15] = [
    ("ProfileToken", "profile"),
    ("VideoSourceToken", "vs"),
    ("AudioSourceToken", "as"),
    ("RelayOutputToken", "relay"),
    ("NodeToken", "node"),
    ("PTZConfigurationToken", "ptzc"),
    ("PresetToken", "preset"),
    ("OSDToken", "osd"),
    ("RuleName", "rule"),
    ("AnalyticsModuleName", "module"),
    ("VideoSourceConfigurationToken", "vsc"),
    ("Username", "user"),
    ("RecordingToken", "recording"),
    ("TrackToken", "track"),
    ("JobToken", "job"),
];

/// What the operations of a kind are about.
const ABOUT: [(&str, &str); 13] = [
    ("VideoSource", "vsc"),
    ("VideoEncoder", "venc"),
    ("AudioSource", "asc"),
    ("AudioEncoder", "aenc"),
    ("Metadata", "metadata"),
    ("PTZConfiguration", "ptzc"),
    ("Analytics", "vac"),
    ("RelayOutput", "relay"),
    ("DigitalInput", "input"),
    ("OSD", "osd"),
    ("tan:", "vac"),
    ("tptz:", "ptzc"),
    ("tr2:DeleteProfile", "profile"),
];

/// A camera of a house, and what it needs to be asked.
struct Asked<'a> {
    tables: &'a Arc<Tables>,
    house: &'a House,
    number: usize,
    plan: &'static Plan,
}

impl Asked<'_> {
    fn token(&self, thing: &str) -> Option<&'static str> {
        match thing {
            "recording" => return Some("OnboardRecording_1"),
            "track" => return Some("VIDEO001"),
            "job" => return Some("RecordJob_1"),
            "user" => return Some("service"),
            "look" => return Some("Night"),
            _ => {}
        }
        let (_, tokens) = TOKENS.iter().find(|(name, _)| *name == self.plan.name).unwrap();
        tokens.iter().find(|(name, _)| *name == thing).map(|(_, token)| *token)
    }

    /// The smallest request that names what the camera has. None where it has nothing of the kind.
    fn request(&self, operation: &str, id: OperationId) -> Option<String> {
        let input = self.tables.operation(id).unwrap().input;
        let mut text = generate::message(self.tables, input, Tape::default()).text;
        for (element, thing) in NAMED_BY {
            let thing =
                if operation == "timg:SetCurrentPreset" && thing == "preset" { "look" } else { thing };
            let empty = format!(":{element}>x</");
            if text.contains(&empty) {
                text = text.replace(&empty, &format!(":{element}>{}</", self.token(thing)?));
            }
        }
        if operation == "tr2:GetStreamUri" {
            text = text.replace(":Protocol>x</", ":Protocol>RtspUnicast</");
        }
        let about = ABOUT.iter().find(|(kind, _)| operation.contains(kind)).map(|(_, thing)| *thing);
        for empty in [":ConfigurationToken>x</", ":Token>x</", " token=\"x\""] {
            if text.contains(empty) {
                text = text.replace(empty, &empty.replace('x', self.token(about?)?));
            }
        }
        let named = if operation.contains("Rule") { "rule" } else { "module" };
        if operation.starts_with("tan:Modify") {
            text = text.replace(" Name=\"x\"", &format!(" Name=\"{}\"", self.token(named)?));
        }
        for (element, maker, made) in [
            ("SearchToken", "tse:FindRecordings", "SearchToken"),
            ("OperationToken", "trc:ExportRecordedData", "OperationToken"),
        ] {
            let empty = format!(":{element}>x</");
            if text.contains(&empty) {
                let maker_id = self.tables.operation_by_name(maker).unwrap();
                let reply = self.ask(ADMIN, maker, &self.request(maker, maker_id)?);
                let token = reply.element(made).unwrap_or_else(|| "none".to_owned());
                text = text.replace(&empty, &format!(":{element}>{token}</"));
            }
        }
        Some(text)
    }

    fn ask(&self, user: User, operation: &str, body: &str) -> Reply {
        let (prefix, _) = operation.split_once(':').unwrap();
        let service = match prefix {
            "tds" => "device",
            "trt" => "media",
            "tr2" => "media2",
            "tptz" => "ptz",
            "tev" | "wsntw" => "events",
            "timg" => "imaging",
            "tan" => "analytics",
            "tmd" => "deviceio",
            "trc" => "recording",
            "tse" => "search",
            "trp" => "replay",
            "tup" => "uplink",
            "tae" => "actionengine",
            other => panic!("no service {other}"),
        };
        client::ask(self.house.door(self.number), service, user, body)
    }
}

/// Reads before writes before what cannot be undone.
fn order(operation: &str) -> u8 {
    let (_, local) = operation.split_once(':').unwrap();
    match local {
        _ if local.starts_with("Get") => 0,
        "DeleteProfile" | "DeleteRecording" => 3,
        _ if ["Delete", "Remove", "End", "Stop"].iter().any(|it| local.starts_with(it)) => 2,
        _ => 1,
    }
}

/// A line of the table.
struct Line {
    fault: &'static str,
    roles: &'static str,
    cameras: &'static str,
    operations: Vec<&'static str>,
}

impl Line {
    fn fits(&self, camera: &Plan, role: &str, operation: &str) -> bool {
        let is_trusted = camera.zone == "trusted";
        let camera_fits = match self.cameras {
            "every" => true,
            "untrusted" => !is_trusted,
            names => names.split(',').any(|name| name == camera.name),
        };
        let role_fits = self.roles == "all" || self.roles.split(',').any(|it| it == role);
        camera_fits && role_fits && self.operations.contains(&operation)
    }
}

fn table() -> Vec<Line> {
    let read = |line: &'static str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [fault, roles, cameras, operations @ ..] = words.as_slice() else { panic!("short line: {line}") };
        Line { fault, roles, cameras, operations: operations.to_vec() }
    };
    OTHERWISE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(read).collect()
}

/// What was asked, what came back, and how often the camera heard of it.
struct Asking {
    operation: String,
    role: &'static str,
    reply: Reply,
    heard: usize,
}

#[test]
fn every_operation_of_every_dialect_is_answered_or_refused_as_it_should_be() {
    let tables = Tables::embedded().unwrap();
    let table = table();
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    let mut tally = BTreeMap::<&str, [usize; 2]>::new();
    for (plans, house) in [(&PLANS[..], House::open()), (&OTHERS[..], House::with(&OTHERS))] {
        house.acquaint();
        for (number, plan) in plans.iter().enumerate() {
            let asked = Asked { tables: &tables, house: &house, number, plan };
            let askings = ask_everything(&asked);
            let records = house.records();
            let mut answered = BTreeSet::new();
            let looked = records.iter().any(|it| it["camera"] == plan.name && is_look(it));
            for asking in askings {
                let line = table.iter().position(|it| it.fits(plan, asking.role, &asking.operation));
                let expected = line.map(|line| table[line].fault);
                let gone = order(&asking.operation) >= 2 && answered.contains(&asking.operation);
                let should = should(&tables, &asking, expected, gone);
                if let Some(line) = line.filter(|_| expected == Some(should)) {
                    used.insert((line, asking.operation.clone()));
                }
                let recorded = recorded(&records, plan.name, &asking);
                let more = usize::from(looked && asking.operation == LOOK);
                if let Err(why) = check(&tables, &asking, &recorded, (should, more)) {
                    wrong.push(format!("{} {} as {}: {why}", plan.name, asking.operation, asking.role));
                }
                let [good, refused] = tally.entry(plan.name).or_default();
                if asking.reply.fault().is_empty() {
                    answered.insert(asking.operation);
                    *good += 1;
                } else {
                    *refused += 1;
                }
            }
        }
    }
    println!("camera: answered, refused {tally:?}");
    let all = table.iter().enumerate().flat_map(|(at, line)| line.operations.iter().map(move |it| (at, *it)));
    let unused: Vec<_> = all.filter(|(at, it)| !used.contains(&(*at, (*it).to_owned()))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(unused.is_empty(), "lines that say nothing: {unused:?}");
    assert_eq!(tally.len(), 6);
}

/// Every operation by each role; those that the camera has nothing for are left out.
fn ask_everything(asked: &Asked) -> Vec<Asking> {
    let camera = asked.house.camera(asked.number);
    // WS-Notification's operations have another prefix in the tables.
    let known = |operation: &str| operation.replace("wsnt:", "wsntw:");
    let mut operations: Vec<_> = camera.operations().iter().map(|it| known(it)).collect();
    operations.sort_by_key(|it| order(it));
    let mut askings = Vec::new();
    for operation in operations {
        let id = asked.tables.operation_by_name(&operation).unwrap();
        for (role, user) in [("User", VIEWER), ("Operator", OPERATOR), ("Administrator", ADMIN)] {
            let Some(body) = asked.request(&operation, id) else { continue };
            camera.clear_log();
            let reply = asked.ask(user, &operation, &body);
            let is_ours = |it: &&Received| it.operation.as_deref().map(known).as_ref() == Some(&operation);
            let heard = camera
                .log()
                .iter()
                .filter(is_ours)
                .filter(|it| it.status == 200 || it.user.is_some())
                .count();
            askings.push(Asking { operation: operation.clone(), role, reply, heard });
        }
    }
    askings
}

/// The beginning of the fault that a client should hear; empty for an answer.
fn should<'a>(tables: &Tables, asking: &Asking, expected: Option<&'a str>, gone: bool) -> &'a str {
    match (role_may(tables, asking.role, &asking.operation), expected) {
        (_, Some(prohibited @ "Sender/ter:OperationProhibited")) => prohibited,
        (false, _) => "Sender/ter:NotAuthorized",
        (true, Some(expected)) => expected,
        (true, None) if gone && !asking.reply.fault().is_empty() => "Sender/ter:InvalidArgVal",
        (true, None) => "",
    }
}

/// What is on record about an asking. A port of this machine's is used for several, so that it tells too little.
fn recorded(records: &[Value], camera: &str, asking: &Asking) -> Recorded {
    let Asking { operation, role, reply, .. } = asking;
    let source = reply.source.to_string();
    let own = |it: &&Value| it["camera"] == *camera && it["source"] == *source && it["type"] == "intent";
    // Of WS-Notification's operations some are the event service's too.
    let local = |name: &str| name.split_once(':').map(|(_, local)| local.to_owned());
    let same = |it: &&Value| {
        it["operation"].as_str().and_then(local) == local(operation) && it["who"]["role"] == **role
    };
    let intent = records.iter().filter(own).find(same);
    let intent = intent.unwrap_or_else(|| panic!("{camera}: {operation} as {role} is not on record"));
    let ended = |it: &&Value| it["type"] == "outcome" && it["intent"] == intent["seq"];
    Recorded { intent: intent.clone(), outcome: records.iter().find(ended).cloned() }
}

/// What is read as if a camera had said it has no attribute that the gateway alone writes.
fn without_gateway_time(text: &str) -> String {
    let mut parts = text.split(" cordon:GatewayTime=\"");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('"').unwrap().1)
}

/// What the gateway asks each camera by itself if this lasts long enough.
const LOOK: &str = "tds:GetDeviceInformation";

fn is_look(record: &Value) -> bool {
    record["operation"] == LOOK && record["series"]["every_seconds"].is_number()
}

/// Compares with what should be heard, and how often more the camera may have heard of it by the gateway itself.
fn check(
    tables: &Arc<Tables>,
    asking: &Asking,
    recorded: &Recorded,
    (should, more): (&str, usize),
) -> Result<(), String> {
    let Asking { operation, reply, heard, .. } = asking;
    let (intent, outcome) = (&recorded.intent, &recorded.outcome);
    let fault = reply.fault();
    let incomplete = should == "incomplete";
    let should = if incomplete { "" } else { should };
    if !fault.starts_with(should) || should.is_empty() != fault.is_empty() {
        let said = format!("{} `{fault}`, not `{should}`", reply.status);
        return Err(format!("{said}: {} {} {outcome:?}", intent["policies"], intent["note"]));
    }
    keeps_the_camera_side_in(operation, reply);
    let answered = |by: &str| outcome.as_ref().is_some_and(|it| it["what"] == "answered" && it["note"] == by);
    let denied = intent["decision"] == "denied";
    // The gateway subscribes to the camera by the same operations.
    let is_its_own = operation.starts_with("tev:") || operation.starts_with("wsntw:");
    let unheard = (denied || answered("answered by the gateway")) && !is_its_own;
    if denied == outcome.is_some() || unheard && *heard > more {
        return Err(format!("heard {heard} times, {intent} {outcome:?}"));
    }
    if answered("answered by the camera") && !(1..=1 + more).contains(heard) {
        return Err(format!("heard {heard} times, {outcome:?}"));
    }
    let id = tables.operation_by_name(operation).unwrap();
    match decode_answer(tables, without_gateway_time(&String::from_utf8_lossy(&reply.body)).as_bytes(), id) {
        Ok(Answer::Document(_, deviations)) if deviations.is_empty() != incomplete => Ok(()),
        Ok(Answer::Fault(_)) if !fault.is_empty() => Ok(()),
        other => Err(format!("{other:?} {}", reply.text())),
    }
}
