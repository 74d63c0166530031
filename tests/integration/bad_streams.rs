//! The table of bad input to streams: what the peer sees, what is on record, and the memory it cost the gateway, which
//! is a process of its own. Both sides are hostile: viewers here, a camera below.
#![allow(clippy::print_stdout, reason = "the table is shown with --nocapture")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use cordon::{
    limits::{RTSP_FIELDS_MAX, RTSP_HEAD_BYTES_MAX, RTSP_REQUEST_BODY_BYTES_MAX},
    sim::{Fault, Said},
};
use serde_json::Value;

use crate::{
    bad_input::{Bench, head, row, text_of},
    house::{CAMERA_SIDE, House, LOBBY, VIEWER},
    streams::{Player, address},
};

pub const PROFILE: &str = "profile_1_h264";

/// What is sent at once, the statuses of all answers, and parts of what is on record of this connection: nothing
/// where nothing was asked.
type Sent = (&'static str, Vec<u8>, &'static [u16], &'static str);

/// How long an answer that must come is waited for, and how long it is quiet before no more is expected.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
const QUIET: Duration = Duration::from_millis(1_500);

/// The statuses of the answers on a connection: of so many, which are waited for, and of what comes then until it is closed
/// or quiet.
fn statuses(stream: &mut TcpStream, due: usize) -> Vec<u16> {
    let mut heard = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        let came = heard.windows(ANSWER.len()).filter(|it| *it == ANSWER.as_bytes()).count();
        let patience = if came < due { ANSWER_TIME_MAX } else { QUIET };
        stream.set_read_timeout(Some(patience)).unwrap();
        let Ok(length @ 1..) = stream.read(&mut piece) else { break };
        heard.extend_from_slice(&piece[..length]);
    }
    let text = String::from_utf8_lossy(&heard).into_owned();
    for needle in CAMERA_SIDE {
        assert!(!text.contains(needle), "`{needle}` in {text}");
    }
    text.split(ANSWER).skip(1).map(|it| it[..3].parse().unwrap()).collect()
}

/// How an answer begins.
const ANSWER: &str = "RTSP/1.0 ";

/// Messages that are none, or are two.
fn framing(at: &str) -> Vec<Sent> {
    let asked = |method: &str, fields: &str| {
        format!("{method} {at} RTSP/1.0\r\nCSeq: 1\r\n{fields}\r\n").into_bytes()
    };
    let raw = |text: &str| text.replace("@", at).into_bytes();
    let many = "X-A: b\r\n".repeat(RTSP_FIELDS_MAX);
    let long = format!("X-A: {}\r\n", "b".repeat(RTSP_HEAD_BYTES_MAX));
    let body = format!("Content-Length: {}\r\n", RTSP_REQUEST_BODY_BYTES_MAX + 1);
    vec![
        ("a login is missing", asked("DESCRIBE", ""), &[401], "have not logged in"),
        ("a bare LF ends a line", raw("DESCRIBE @ RTSP/1.0\nCSeq: 1\n\n"), &[400], ""),
        ("a bare CR within a line", raw("DESCRIBE @ RTSP/1.0\r\nCSeq: 1\rX: y\r\n\r\n"), &[400], ""),
        ("NUL in a field", raw("DESCRIBE @ RTSP/1.0\r\nCSeq: 1\r\nX: a\0b\r\n\r\n"), &[400], ""),
        ("NUL in the address", raw("DESCRIBE @\0 RTSP/1.0\r\nCSeq: 1\r\n\r\n"), &[400], ""),
        ("a folded field", raw("OPTIONS @ RTSP/1.0\r\nCSeq: 1\r\nX: a\r\n b\r\n\r\n"), &[400], ""),
        ("a blank before the colon", raw("OPTIONS @ RTSP/1.0\r\nCSeq : 1\r\n\r\n"), &[400], ""),
        ("no CSeq", raw("OPTIONS @ RTSP/1.0\r\n\r\n"), &[400], ""),
        ("two CSeqs", asked("OPTIONS", "CSeq: 2\r\n"), &[400], ""),
        ("a CSeq with a sign", raw("OPTIONS @ RTSP/1.0\r\nCSeq: +1\r\n\r\n"), &[400], ""),
        ("a CSeq beyond 2^31", raw("OPTIONS @ RTSP/1.0\r\nCSeq: 2147483648\r\n\r\n"), &[400], ""),
        ("two lengths", asked("OPTIONS", "Content-Length: 0\r\nContent-Length: 9\r\n"), &[400], ""),
        ("a length with a sign", asked("OPTIONS", "Content-Length: -1\r\n"), &[400], ""),
        ("a length beyond the bound", asked("OPTIONS", &body), &[400], ""),
        (
            "a length shorter than the body: the rest is a request of its own",
            [asked("OPTIONS", "Content-Length: 4\r\n"), b"abcd".to_vec(), asked("DESCRIBE", "")].concat(),
            &[200, 401],
            "have not logged in",
        ),
        (
            "a length longer than the body: more is waited for",
            asked("OPTIONS", "Content-Length: 9\r\n"),
            &[],
            "",
        ),
        ("more fields than there may be", asked("OPTIONS", &many), &[400], ""),
        ("a head beyond the bound", asked("OPTIONS", &long), &[400], ""),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), &[400], ""),
        ("RTSP/2.0", raw("OPTIONS @ RTSP/2.0\r\nCSeq: 1\r\n\r\n"), &[400], ""),
        ("an answer in place of a request", b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n".to_vec(), &[400], ""),
        ("TLS where none is spoken", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), &[], ""),
        ("a frame before anything", b"$\x00\x00\x04abcd".to_vec(), &[400], ""),
        (
            "frames on channels that nobody set up",
            [asked("OPTIONS", ""), b"$\xff\x00\x04abcd$\x00\x00\x00".to_vec(), asked("OPTIONS", "")].concat(),
            &[200, 200],
            "",
        ),
        (
            "a frame whose length is a lie: what it swallows is no request",
            [asked("OPTIONS", ""), b"$\x00\xff\xff".to_vec(), asked("DESCRIBE", "")].concat(),
            &[200],
            "",
        ),
    ]
}

/// What is asked of what is not there, or may not be.
fn methods(at: &str) -> Vec<Sent> {
    let asked = |method: &str, fields: &str| {
        format!("{method} {at} RTSP/1.0\r\nCSeq: 1\r\n{fields}\r\n").into_bytes()
    };
    let mut forged = at.to_owned().into_bytes();
    // No token ends so: its last letter has two bits.
    *forged.last_mut().unwrap() = b'B';
    let forged = String::from_utf8(forged).unwrap();
    vec![
        (
            "a forged address",
            format!("DESCRIBE {forged} RTSP/1.0\r\nCSeq: 1\r\n\r\n").into_bytes(),
            &[404],
            "",
        ),
        ("no address", b"DESCRIBE * RTSP/1.0\r\nCSeq: 1\r\n\r\n".to_vec(), &[404], ""),
        ("ANNOUNCE", asked("ANNOUNCE", ""), &[405], ""),
        ("RECORD", asked("RECORD", ""), &[405], ""),
        ("REDIRECT", asked("REDIRECT", ""), &[405], ""),
        ("a feature nobody knows", asked("DESCRIBE", "Require: x\r\n"), &[551], ""),
        ("TEARDOWN of a session that is none of its own", asked("TEARDOWN", "Session: 0123\r\n"), &[454], ""),
        (
            "SET_PARAMETER of something",
            [asked("SET_PARAMETER", "Content-Length: 6\r\n"), b"a: b\r\n".to_vec()].concat(),
            &[451],
            "a parameter, of which streams here have none",
        ),
        ("PLAY without a login", asked("PLAY", "Session: 0123\r\n"), &[454], ""),
        (
            "SETUP for a session that was never given",
            asked("SETUP", "Session: 0123\r\nTransport: RTP/AVP/TCP;unicast\r\n"),
            &[454],
            "the session it names is not this client's on this connection",
        ),
    ]
}

#[test]
fn bad_input_of_viewers_is_refused_recorded_and_cheap() {
    let house = House::open();
    let at = address(&house, LOBBY, PROFILE);
    let mut house = house;
    house.stop();
    let bench = Bench::new(house);
    head("bad input of a viewer");
    let cases = [framing(&at), methods(&at)].concat();
    let mut wrong = Vec::new();
    for (name, bytes, expected, note) in &cases {
        let before = bench.running.reset_memory();
        let mut stream = TcpStream::connect(bench.house.streams()).unwrap();
        let source = stream.local_addr().unwrap();
        stream.write_all(bytes).unwrap();
        let seen = statuses(&mut stream, expected.len());
        drop(stream);
        let memory = bench.running.peak_memory().saturating_sub(before);
        let found = bench.recorded("lobby", source);
        let notes: Vec<_> = found.iter().map(|it| text_of(it, "note").to_owned()).collect();
        let told = seen.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
        let shown = seen.first().map(|status| (*status, told.get(3..).unwrap_or_default().to_owned()));
        let recorded =
            if notes.is_empty() { "nothing, since nothing was asked".to_owned() } else { notes.join("; ") };
        println!("{}", row(name, shown, &recorded, memory));
        let denied = found.iter().all(|it| it["decision"] == "denied");
        if seen != *expected || !denied || (!note.is_empty() && !notes.iter().any(|it| it.contains(note))) {
            wrong.push(format!("{name}: {expected:?} expected, {seen:?} seen, {found:?}"));
        }
        if memory > 4 * 1024 {
            wrong.push(format!("{name}: {memory} KiB"));
        }
    }
    println!("{} cases", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(bench.house.heard(), [], "none of this is any camera's business");
    bench.running.stop();
}

/// What a camera says in place of its answer to a method, the status that a viewer's request is answered with, and what
/// the record says of it.
type Lie = (&'static str, &'static str, Fault, u16, &'static str);

pub fn once(bytes: impl Into<Vec<u8>>) -> Fault {
    Fault::Say(Said { bytes: bytes.into().into(), times: 1, stays: true })
}

/// Packets without end on a channel that nobody set up.
pub fn flood() -> Fault {
    Fault::Say(Said { bytes: b"$\x40\x00\x00".repeat(16_384).into(), times: 0, stays: true })
}

pub fn described(description: &str, fields: &str) -> Fault {
    once(format!(
        "RTSP/1.0 200 OK\r\n{fields}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{description}",
        description.len()
    ))
}

fn lies(core: std::net::SocketAddr, own: &str) -> Vec<Lie> {
    let good = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:stream=0\r\n";
    let elsewhere = format!("{good}m=audio 0 RTP/AVP 0\r\na=control:rtsp://{core}/stream=1\r\n");
    let endless = |bytes: &[u8]| Fault::Say(Said { bytes: bytes.into(), times: 0, stays: true });
    let status = |line: &str| once(format!("RTSP/1.0 {line}\r\n\r\n"));
    let moved = |to: &str| status(&format!("302 Found\r\nLocation: rtsp://{to}"));
    let host = own.split_once(':').unwrap().0;
    let many = "m=video 0 RTP/AVP 26\r\n".repeat(100);
    vec![
        ("453 to SETUP", "SETUP", status("453 Not Enough Bandwidth"), 453, "RTSP status 453"),
        ("a redirect to SETUP", "SETUP", status("301 Moved"), 502, "redirected"),
        ("453 to PLAY", "PLAY", status("453 Not Enough Bandwidth"), 453, "RTSP status 453"),
        ("silence after PLAY", "PLAY", Fault::Hang, 504, "did not answer in time"),
        (
            "a flood before the answer to PLAY",
            "PLAY",
            endless(&[&b"$\x00\x40\x00"[..], &[0x80; 0x4000]].concat()),
            504,
            "",
        ),
        ("silence", "DESCRIBE", Fault::Hang, 504, "did not answer in time"),
        ("a reset", "DESCRIBE", Fault::Reset, 502, "cut the connection"),
        ("garbage", "DESCRIBE", once([0x81; 20_000]), 502, "not valid RTSP"),
        ("a head without end", "DESCRIBE", endless(b"X-A: b\r\n"), 502, "not valid RTSP"),
        (
            "a body beyond the bound",
            "DESCRIBE",
            described(&"a=x\r\n".repeat(40_000), ""),
            502,
            "not valid RTSP",
        ),
        ("a description without streams", "DESCRIBE", described("v=0\r\n", ""), 502, "no stream"),
        ("a description of 100 streams", "DESCRIBE", described(&many, ""), 502, "streams"),
        ("a redirect into the core network", "DESCRIBE", moved(&format!("{core}/")), 502, "redirected"),
        ("a redirect to another camera", "DESCRIBE", moved("127.0.1.11/onvif"), 502, "redirected"),
        (
            "a redirect to another port of its own",
            "DESCRIBE",
            moved(&format!("{host}:22/")),
            502,
            "redirected",
        ),
        ("redirects in a circle", "DESCRIBE", moved(&format!("{own}/again")), 502, "redirected"),
        (
            "a login in clear",
            "DESCRIBE",
            status("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"IPC\""),
            502,
            "no kind of login that the gateway uses",
        ),
        ("453", "DESCRIBE", status("453 Not Enough Bandwidth"), 453, "RTSP status 453"),
        (
            "a giant frame before the answer",
            "DESCRIBE",
            once([&b"$\x07\xff\xff"[..], &[0x80; 65_535]].concat()),
            504,
            "did not answer in time",
        ),
        (
            "Content-Base and control addresses elsewhere",
            "DESCRIBE",
            described(&elsewhere, "Content-Base: rtsp://203.0.113.66/other/\r\n"),
            200,
            "",
        ),
    ]
}

#[test]
fn a_camera_that_lies_about_streams_is_refused_by_name() {
    let mut house = House::open();
    let at = address(&house, LOBBY, PROFILE);
    house.stop();
    let bench = Bench::new(house);
    head("bad input of a camera's streams");
    let camera = bench.house.camera(LOBBY);
    let own = format!("{}:{}", camera.address().ip(), camera.variable("rtsp.port"));
    let cases = lies(bench.house.door(LOBBY), &own);
    let mut wrong = Vec::new();
    for (name, method, lie, status, note) in &cases {
        let camera = bench.house.camera(LOBBY);
        camera.set_fault_of(&format!("rtsp:{method}"), Some(lie.clone()));
        let before = bench.running.reset_memory();
        let mut player = Player::connect(&bench.house, &at, VIEWER);
        let source = player.stream.get_ref().local_addr().unwrap();
        let mut answer = player.ask("DESCRIBE", "", "");
        if answer.status == 200 && *method != "DESCRIBE" {
            let set_up =
                player.ask("SETUP", "/stream=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n");
            let session = set_up.field("Session").unwrap().to_owned();
            answer = player.ask("PLAY", "", &format!("Session: {session}\r\n"));
        }
        let memory = bench.running.peak_memory().saturating_sub(before);
        camera.set_fault_of(&format!("rtsp:{method}"), None);
        for needle in CAMERA_SIDE.iter().chain(&["203.0.113.66"]) {
            assert!(!answer.head.contains(needle) && !answer.body.contains(needle), "{name}: `{needle}`");
        }
        let found = bench.recorded("lobby", source);
        let intent: &Value = found.last().unwrap();
        drop(player);
        let outcome = bench.outcome(intent);
        let why = text_of(&outcome, "note");
        println!(
            "{}",
            row(
                name,
                Some((answer.status, String::new())),
                &format!("{}: {why}", text_of(&outcome, "what")),
                memory
            )
        );
        if answer.status != *status || !why.contains(note) {
            wrong.push(format!("{name}: {status} {note:?} expected: {} {outcome}", answer.status));
        }
        // Twice what may wait of a camera before it has answered.
        if memory > 32 * 1024 {
            wrong.push(format!("{name}: {memory} KiB"));
        }
    }
    let mut player = Player::connect(&bench.house, &at, VIEWER);
    let session = player.set_up();
    assert_eq!(
        player.ask("PLAY", "", &format!("Session: {session}\r\n")).status,
        200,
        "it is believed again"
    );
    assert!(player.frame().is_some());
    println!("{} cases", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    bench.running.stop();
}
