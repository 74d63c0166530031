//! How RTSP servers of real makers speak, and what a viewer has of them: every simulated maker, and kinds of servers
//! that are no maker's alone. Printed by `tests/tables makers`.
#![expect(clippy::print_stdout, reason = "the table")]

use std::thread;

use cordon::sim::{Oddity, RunningCamera};
use serde_json::Value;

use crate::{
    house::{CAMERA_SIDE, House, OTHERS, PLANS, Plan, VIEWER, crowd},
    streams::{Answer, Player, address},
};

/// A name of its first profile, by maker.
const PROFILES: [(&str, &str); 6] = [
    ("Hikvision", "Profile_1"),
    ("Axis", "profile_1_h264"),
    ("Dahua", "MediaProfile00000"),
    ("Bosch", "0"),
    ("Uniview", "media_profile1"),
    ("Reolink", "000"),
];

/// What no viewer may see: addresses, names and lines that these servers say.
const SAID: [&str; 12] = [
    "1.0.1.113",
    "192.168.168.100",
    "127.0.0.1:554",
    "x.y.z.w",
    "LIVE555",
    "TP-LINK",
    "MEDIAINFO",
    "x-dimensions",
    "track",
    "H264DVR",
    "film.mov",
    "1234567890",
];

/// The kinds that do not say how long a session lasts, so that nobody can know.
const SAY_NO_TIMEOUT: [&str; 2] = ["Reolink", "laureii"];

/// What is described of each stream, beside the pictures' parameters.
const METADATA: &str = "application 107 vnd.onvif.metadata/90000";
const PCMU: &str = "audio 0 PCMU/8000";

/// Kinds, and the streams a viewer is told of.
const KINDS: [(&str, &[&str]); 15] = [
    ("Hikvision", &["video 96 H264/90000", PCMU, METADATA]),
    ("Axis", &["video 96 H264/90000", PCMU, METADATA]),
    ("Dahua", &["video 96 H264/90000", PCMU, METADATA]),
    ("Bosch", &["video 96 H264/90000", "audio 0 PCMU/8000/1", METADATA]),
    ("Uniview", &["video 105 H264/90000", PCMU, METADATA]),
    ("Reolink", &["video 96 H264/90000", PCMU, METADATA]),
    ("anjvision", &["video 96 H264/90000", "audio 0 PCMU/8000/1"]),
    ("hanwha", &["video 96 H264/90000", PCMU]),
    ("laureii", &["video 96 H264/90000", PCMU]),
    ("longse", &["video 96 H264/90000", PCMU]),
    ("mixed", &["video 96 H264/90000", PCMU]),
    ("tp-link", &["video 96 H264/90000", PCMU]),
    ("wanderer", &["video 96 H264/90000", PCMU]),
    ("wowza", &["video 96 H264/90000", PCMU]),
    ("xiongmai", &["video 96 H264/90000", PCMU]),
];

/// The streams of a description: kind, payload type and codec of each.
fn streams(description: &str) -> Vec<String> {
    let lines = |start: &'static str| description.lines().filter_map(move |it| it.strip_prefix(start));
    let kinds = lines("m=").map(|it| it.split_once(" 0 RTP/AVP ").unwrap_or((it, "no RTP")));
    let codecs = lines("a=rtpmap:").map(|it| it.split_once(' ').unwrap_or((it, "")).1);
    kinds.zip(codecs).map(|((kind, number), codec)| format!("{kind} {number} {codec}")).collect()
}

/// Sequence number and timestamp of a packet, or of a stream in `RTP-Info`.
type At = (u16, u32);

fn at_of(packet: &[u8]) -> At {
    let [_, _, s0, s1, t0, t1, t2, t3, ..] = packet else { panic!("{} bytes are no packet", packet.len()) };
    (u16::from_be_bytes([*s0, *s1]), u32::from_be_bytes([*t0, *t1, *t2, *t3]))
}

/// Where PLAY says that the streams begin.
fn begins(answer: &Answer) -> Vec<At> {
    let number = |text: &str, name: &str| {
        let found = text.split(';').find_map(|it| it.strip_prefix(name));
        found.unwrap_or_else(|| panic!("no {name} in {text}")).parse::<u32>().unwrap()
    };
    let all = answer.field("RTP-Info").unwrap_or_default().split(',').filter(|it| !it.is_empty());
    all.map(|it| (number(it, "seq=").try_into().unwrap(), number(it, "rtptime="))).collect()
}

/// Has everything play that a camera has, until so many pieces of sound have come: what is not as it should be.
fn watch(house: (&House, &str), kind: &str, pieces: usize) -> Result<String, String> {
    let (house, at) = house;
    let mut player = Player::connect(house, at, VIEWER);
    let described = player.ask("DESCRIBE", "", "");
    let expected = KINDS.iter().find(|it| it.0 == kind).unwrap().1;
    if streams(&described.body) != expected {
        return Err(format!("{} {}", described.head, described.body));
    }
    let parameters = described.body.lines().find(|it| it.starts_with("a=fmtp:")).unwrap_or_default();
    if !["packetization-mode=1", "sprop-parameter-sets=Z", ",a"].iter().all(|it| parameters.contains(it)) {
        return Err(format!("`{parameters}` is not what a decoder needs"));
    }
    let mut session = String::new();
    let mut told = vec![described.head.clone(), described.body.clone()];
    for number in 0..expected.len() {
        let fields = format!(
            "{session}Transport: RTP/AVP/TCP;unicast;interleaved={}-{}\r\n",
            number * 2,
            number * 2 + 1
        );
        let answer = player.ask("SETUP", &format!("/stream={number}"), &fields);
        let Some(id) = answer.field("Session") else {
            return Err(format!("SETUP {number}: {}", answer.head));
        };
        session = format!("Session: {}\r\n", id.split(';').next().unwrap());
        told.push(answer.head);
    }
    let playing = player.ask("PLAY", "", &session);
    let begins = begins(&playing);
    told.push(playing.head.clone());
    if playing.status != 200 {
        return Err(playing.head);
    }
    let mut came: Vec<Vec<At>> = vec![Vec::new(); expected.len()];
    let mut reports = 0;
    while came[1].len() < pieces {
        let (channel, packet) =
            player.frame().ok_or_else(|| format!("it ended after {:?}", came[1].len()))?;
        match channel % 2 {
            0 => came[usize::from(channel / 2)].push(at_of(&packet)),
            _ => reports += 1,
        }
    }
    if (reports == 0) != (kind == "wanderer") {
        return Err(format!("{reports} reports"));
    }
    for needle in CAMERA_SIDE.iter().chain(&SAID) {
        if told.iter().any(|it| it.contains(needle)) {
            return Err(format!("`{needle}` in {told:?}"));
        }
    }
    let first: Vec<At> = came.iter().filter_map(|it| it.first().copied()).collect();
    // Of a stream that comes a moment after the first, and of which the camera does not say it, nothing is told.
    let told_truly = begins.first() == first.first() && begins.iter().all(|it| first.contains(it));
    if first.len() != expected.len() || !told_truly {
        return Err(format!("said to begin at {begins:?}, and began at {first:?}"));
    }
    let gaps =
        came.iter().flat_map(|it| it.windows(2)).filter(|it| it[1].0 != it[0].0.wrapping_add(1)).count();
    if gaps > 0 {
        return Err(format!("{gaps} gaps"));
    }
    let counts: Vec<_> = came.iter().map(Vec::len).collect();
    Ok(format!("{} streams, {} packets, {reports} reports", counts.len(), counts.iter().sum::<usize>()))
}

/// How the gateway's own sessions with a camera ended, in their order.
fn ended(records: &[Value], camera: &str) -> Vec<String> {
    let own = records.iter().filter(|it| {
        it["type"] == "intent"
            && it["camera"] == camera
            && it["operation"] == "rtsp:PLAY"
            && it["who"]["kind"] == "gateway"
    });
    let outcome = |intent: &Value| records.iter().find(|it| it["intent"] == intent["seq"]).cloned();
    own.filter_map(|it| Some(outcome(it)?["note"].as_str().unwrap_or_default().to_owned())).collect()
}

/// Has all cameras of a house watched at once, on the connection and then in datagrams.
fn house(plans: &'static [Plan], kinds: &[&'static str]) -> Vec<Result<String, String>> {
    let house = House::with(plans);
    let cameras = || plans.iter().zip(kinds).enumerate();
    let at: Vec<_> = cameras()
        .map(|(camera, (plan, kind))| {
            if plan.vendor != *kind {
                house.camera(camera).speak_as(kind).unwrap();
            }
            let profile = PROFILES.iter().find(|it| it.0 == plan.vendor).unwrap().1;
            address(&house, camera, profile)
        })
        .collect();
    let mut rows = Vec::new();
    // That a camera sends datagrams only is remembered, so that these come last.
    for (round, way) in ["on the connection", "in datagrams"].into_iter().enumerate() {
        let (house, at) = (&house, &at);
        let seen: Vec<_> = thread::scope(|scope| {
            let watching: Vec<_> = cameras()
                .map(|(camera, (_, kind))| {
                    let odd: &RunningCamera = house.camera(camera);
                    let quiet = (!SAY_NO_TIMEOUT.contains(kind)).then_some(Oddity::EndsMuteSessions);
                    let datagrams = (round == 1).then_some(Oddity::DatagramsOnly);
                    odd.set_oddities(&quiet.into_iter().chain(datagrams).collect::<Vec<_>>());
                    odd.clear_log();
                    // Longer than those bear that hear nothing.
                    scope.spawn(move || watch((house, &at[camera]), kind, 45))
                })
                .collect();
            watching.into_iter().map(|it| it.join().unwrap()).collect()
        });
        // The camera hears of the end a moment after the log.
        let left = |camera: usize| house.camera(camera).log().iter().any(|it| it.method == "TEARDOWN");
        let over = |records: &[Value]| {
            plans.iter().all(|plan| ended(records, plan.name).len() > round) && cameras().all(|it| left(it.0))
        };
        let records = if seen.iter().all(Result::is_ok) { house.wait_for(over) } else { house.records() };
        for ((camera, (plan, kind)), seen) in cameras().zip(seen) {
            let note = ended(&records, plan.name).last().cloned().unwrap_or_default();
            let whole = note.starts_with("nobody watches any more") && note.contains(" 0 dropped, 0 missing");
            let said = house.camera(camera).log();
            let goodbye = said.iter().filter(|it| it.method == "TEARDOWN").count();
            let odd = house.camera(camera).oddness();
            rows.push(match seen {
                Ok(seen) if whole && goodbye == 1 => Ok(format!("| {kind} {way} | {odd} | {seen} |")),
                Ok(seen) => Err(format!("{kind} {way}: {seen}; {note}; {goodbye} times TEARDOWN")),
                Err(why) => Err(format!("{kind} {way}: {why}")),
            });
        }
    }
    rows
}

#[test]
fn streams_of_every_kind_of_server_are_had_whole() {
    let makers: Vec<_> = KINDS[..6].iter().map(|it| it.0).collect();
    let families: Vec<_> = KINDS[6..].iter().map(|it| it.0).collect();
    assert_eq!(families, RunningCamera::families());
    let houses: [(&'static [Plan], &[&'static str]); 3] =
        [(&PLANS, &makers[..2]), (&OTHERS, &makers[2..]), (crowd(families.len()), &families)];
    let rows: Vec<_> = houses.into_iter().flat_map(|(plans, kinds)| house(plans, kinds)).collect();
    println!("| server | what is odd about it | what a viewer had |\n|---|---|---|");
    rows.iter().flatten().for_each(|row| println!("{row}"));
    println!("{} of {} had whole", rows.iter().flatten().count(), rows.len());
    let wrong: Vec<_> = rows.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
