//! Live streams through the gateway, to real players.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    process::Command,
    sync::Arc,
    time::Duration,
};

use cordon::clock::{Clock, SimulatedClock, SystemClock};
use serde_json::Value;

use crate::{
    client::{self, Reply, trt_with},
    house::{ADMIN, CAMERA_SIDE, CAR_PARK, House, LOBBY, LOBBY_ONLY, VIEWER},
    reload::{self, SIGNAL},
    tls::Secured,
};

pub const CAMERAS: [(usize, &str); 2] = [(CAR_PARK, "Profile_1"), (LOBBY, "profile_1_h264")];

/// What a VMS is answered that asks for the address of a camera's stream.
pub fn asked(house: &House, camera: usize, profile: &str) -> Reply {
    asked_at(house.door(camera), profile, VIEWER)
}

/// The same, of the camera that is served there.
pub fn asked_at(door: SocketAddr, profile: &str, user: client::User) -> Reply {
    let body = format!(
        "<x:StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>RTSP</tt:Protocol></tt:Transport>\
         </x:StreamSetup><x:ProfileToken>{profile}</x:ProfileToken>"
    );
    client::ask(door, "media", user, &trt_with("GetStreamUri", &body))
}

/// The address of a camera's stream, as a VMS gets it.
pub fn address(house: &House, camera: usize, profile: &str) -> String {
    let reply = asked(house, camera, profile);
    reply.element("Uri").unwrap_or_else(|| panic!("{}", reply.text()))
}

/// The same with a login, as players want it.
pub fn with_login(address: &str, (name, password): (&str, &str)) -> String {
    address.replacen("://", &format!("://{name}:{password}@"), 1)
}

pub fn skipped(player: &str) -> bool {
    let missing = Command::new(player).arg("-version").output().is_err();
    if missing {
        crate::skips::skipped(&format!("{player} is not installed"));
    }
    missing
}

/// The address that Media2 gives for a protocol, or the fault's reason.
pub fn address2(house: &House, camera: usize, profile: &str, protocol: &str) -> Result<String, String> {
    let body = format!("<x:Protocol>{protocol}</x:Protocol><x:ProfileToken>{profile}</x:ProfileToken>");
    let body = client::within("http://www.onvif.org/ver20/media/wsdl", "GetStreamUri", &body);
    let reply = client::ask(house.door(camera), "media2", VIEWER, &body);
    reply.element("Uri").ok_or_else(|| reply.text())
}

/// Has a player decode three seconds, over this transport.
pub fn decodes(address: &str, transport: &str) {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-rtsp_transport", transport, "-count_frames", "-read_intervals", "%+3"])
        .args(["-show_entries", "stream=codec_name,codec_type,nb_read_frames,width,height", "-of", "json"])
        .arg(with_login(address, VIEWER))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{told}"));
    let stream = |kind: &str| {
        let streams = found["streams"].as_array().unwrap_or_else(|| panic!("{address}: {told}")).iter();
        streams
            .clone()
            .find(|it| it["codec_type"] == kind)
            .unwrap_or_else(|| panic!("no {kind}: {found} {told}"))
            .clone()
    };
    let video = stream("video");
    assert_eq!((video["codec_name"].as_str(), video["width"].as_u64()), (Some("h264"), Some(320)), "{found}");
    let frames: u32 = video["nb_read_frames"].as_str().unwrap().parse().unwrap();
    // Ten a second for three seconds, begun at a key frame.
    assert!((20..=40).contains(&frames), "{transport}: {frames} frames: {told}");
    assert_eq!(stream("audio")["codec_name"], "pcm_mulaw");
}

#[test]
fn a_player_decodes_the_pictures_of_every_camera() {
    if skipped("ffprobe") {
        return;
    }
    let mut house = House::open();
    for (camera, profile) in CAMERAS {
        let address = address(&house, camera, profile);
        decodes(&address, "tcp");
        decodes(&address, "udp");
    }
    house.stop();
    let records = house.records();
    for camera in ["car-park", "lobby"] {
        let intent = |kind: &str, operation: &str| {
            let found = records.iter().find(|it| {
                it["camera"] == camera
                    && it["operation"] == operation
                    && it["who"]["kind"] == kind
                    && it["decision"] == "permitted"
            });
            found.unwrap_or_else(|| panic!("{camera}: no {operation} of a {kind}")).clone()
        };
        for operation in ["rtsp:DESCRIBE", "rtsp:SETUP", "rtsp:PLAY"] {
            assert_eq!(intent("client", operation)["who"]["name"], VIEWER.0);
        }
        let play = intent("gateway", "rtsp:PLAY");
        assert_eq!(play["who"]["name"], "stream");
        let outcome =
            |intent: &Value| records.iter().find(|it| it["intent"] == intent["seq"]).unwrap().clone();
        let watched = outcome(&intent("client", "rtsp:PLAY"));
        assert!(watched["bytes"].as_u64().unwrap() > 10_000, "{watched}");
        assert!(watched["note"].as_str().unwrap().starts_with("the viewer left"), "{watched}");
        let relayed = outcome(&play);
        assert!(
            relayed["note"].as_str().unwrap().contains(" packets passed, 0 dropped, 0 missing"),
            "{relayed}"
        );
    }
}

/// A player of our own, which says what it is told.
pub struct Player<S = TcpStream> {
    pub stream: BufReader<S>,
    address: String,
    pub login: (&'static str, &'static str),
    /// The challenge, with how often it was answered.
    pub challenge: Option<digest_auth::WwwAuthenticateHeader>,
    pub cseq: u32,
    /// What it was given.
    transport: String,
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Player {
    pub fn connect(house: &House, address: &str, login: (&'static str, &'static str)) -> Self {
        Self::at(house.streams(), address, login)
    }

    /// Connects to where streams are.
    pub fn at(streams: SocketAddr, address: &str, login: (&'static str, &'static str)) -> Self {
        let stream = TcpStream::connect(streams).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self::over(stream, address, login)
    }

    /// The next frame that is not there yet: what came before is taken and forgotten.
    pub fn fresh(&mut self) -> Option<(u8, Vec<u8>)> {
        while !self.stream.buffer().is_empty() || self.is_something_there() {
            drop(self.next()?);
        }
        self.frame()
    }

    fn is_something_there(&self) -> bool {
        let stream = self.stream.get_ref();
        stream.set_nonblocking(true).unwrap();
        let there = stream.peek(&mut [0]);
        stream.set_nonblocking(false).unwrap();
        // Of its end it hears when it waits.
        there.is_ok_and(|there| there > 0)
    }
}

impl<S: Read + Write> Player<S> {
    /// Over a connection to where streams are.
    pub fn over(stream: S, address: &str, login: (&'static str, &'static str)) -> Self {
        Self {
            stream: BufReader::new(stream),
            address: address.to_owned(),
            login,
            challenge: None,
            cseq: 0,
            transport: String::new(),
        }
    }

    /// Asks, and asks again with a login if it is to.
    pub fn ask(&mut self, method: &str, path: &str, fields: &str) -> Answer {
        let answer = self.ask_once(method, path, fields);
        if answer.status != 401 || self.challenge.is_some() {
            return answer;
        }
        let challenge = answer.head.lines().find(|it| it.starts_with("WWW-Authenticate: Digest")).unwrap();
        self.challenge = Some(digest_auth::parse(challenge.split_once(": ").unwrap().1).unwrap());
        self.ask_once(method, path, fields)
    }

    pub fn ask_once(&mut self, method: &str, path: &str, fields: &str) -> Answer {
        self.send(method, path, fields);
        loop {
            match self.next() {
                Some(Ok(answer)) => return answer,
                Some(Err(_)) => {}
                None => panic!("the connection ended after {method}"),
            }
        }
    }

    /// Sends a request, with a login once it was asked for one; the answer is not waited for.
    pub fn send(&mut self, method: &str, path: &str, fields: &str) {
        self.cseq += 1;
        let uri = format!("{}{path}", self.address);
        let login = self.challenge.as_mut().map(|challenge| {
            let (name, password) = self.login;
            let method = digest_auth::HttpMethod::from(method);
            let context =
                digest_auth::AuthContext::new_with_method(name, password, &uri, None::<&[u8]>, method);
            format!("Authorization: {}\r\n", challenge.respond(&context).unwrap())
        });
        let login = login.unwrap_or_default();
        let request = format!("{method} {uri} RTSP/1.0\r\nCSeq: {}\r\n{login}{fields}\r\n", self.cseq);
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
    }

    /// The next answer, or frame.
    pub fn next(&mut self) -> Option<Result<Answer, (u8, Vec<u8>)>> {
        let mut first = [0];
        self.stream.read_exact(&mut first).ok()?;
        if first == *b"$" {
            let mut head = [0; 3];
            self.stream.read_exact(&mut head).ok()?;
            let mut packet = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
            self.stream.read_exact(&mut packet).ok()?;
            return Some(Err((head[0], packet)));
        }
        let mut head = String::from_utf8(first.to_vec()).unwrap();
        while !head.ends_with("\r\n\r\n") {
            self.stream.read_line(&mut head).unwrap();
        }
        let mut answer = Answer { status: head[9..12].parse().unwrap(), head, body: String::new() };
        let length: usize = answer.field("Content-Length").map_or(0, |it| it.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        answer.body = String::from_utf8(body).unwrap();
        Some(Ok(answer))
    }

    pub fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Err(frame) = self.next()? {
                return Some(frame);
            }
        }
    }

    /// Describes and sets the pictures up; the session's name.
    pub fn set_up(&mut self) -> String {
        assert_eq!(self.ask("DESCRIBE", "", "").status, 200);
        let answer = self.ask("SETUP", "/stream=0", "Transport: RTP/AVP/TCP;unicast;interleaved=6-9\r\n");
        assert_eq!(answer.status, 200, "{}", answer.head);
        let transport = answer.field("Transport").unwrap();
        assert!(transport.starts_with("RTP/AVP/TCP;unicast;interleaved=6-9;ssrc="), "{transport}");
        self.transport = transport.to_owned();
        answer.field("Session").unwrap().split_once(';').unwrap().0.to_owned()
    }
}

#[test]
fn a_viewer_gets_packets_on_its_channels_and_nothing_of_the_camera() {
    let house = House::open();
    for (camera, profile) in CAMERAS {
        let address = address(&house, camera, profile);
        let mut player = Player::connect(&house, &address, VIEWER);
        let options = player.ask("OPTIONS", "", "");
        assert!(options.field("Public").unwrap().contains("PLAY"), "{}", options.head);
        let described = player.ask("DESCRIBE", "", "Accept: application/sdp\r\n");
        assert_eq!(described.field("Content-Base"), Some(format!("{address}/").as_str()));
        for text in CAMERA_SIDE {
            assert!(
                !described.body.contains(text) && !described.head.contains(text),
                "{text}: {}",
                described.body
            );
        }
        let session = player.set_up();
        let playing = player.ask("PLAY", "", &format!("Session: {session}\r\n"));
        assert_eq!(playing.status, 200, "{}", playing.head);
        let (channel, packet) = player.frame().unwrap();
        assert_eq!(channel, 6);
        assert_eq!(packet[12] & 0x1f, 7, "begins with a sequence parameter set");
        begins_as_told(&playing, &address, &packet);
        let source = packet[8..12].to_vec();
        let told = u32::from_str_radix(player.transport.rsplit_once("ssrc=").unwrap().1, 16).unwrap();
        assert_eq!(source, told.to_be_bytes());
        let mut last = u16::from_be_bytes([packet[2], packet[3]]);
        let mut reports = 0;
        for _ in 0..60 {
            let (channel, packet) = player.frame().unwrap();
            match channel {
                6 => {
                    let sequence = u16::from_be_bytes([packet[2], packet[3]]);
                    assert_eq!(sequence, last.wrapping_add(1), "no packet is missing");
                    assert_eq!(packet[8..12], source, "one source");
                    last = sequence;
                }
                9 => {
                    reports += 1;
                    assert_eq!(packet[4..8], source, "a report of the same source");
                }
                other => panic!("channel {other} was not set up"),
            }
        }
        assert!(reports >= 1, "{reports} reports");
        let kept = player.ask("GET_PARAMETER", "", &format!("Session: {session}\r\n"));
        assert_eq!(kept.status, 200);
        assert_eq!(player.ask("TEARDOWN", "", &format!("Session: {session}\r\n")).status, 200);
        assert!(player.next().is_none(), "the connection ends");
    }
}

/// Whether a stream begins where the answer to PLAY says, or at the next picture that a decoder can begin with.
fn begins_as_told(playing: &Answer, address: &str, packet: &[u8]) {
    assert_eq!(playing.field("Range"), Some("npt=now-"), "{}", playing.head);
    let told = playing.field("RTP-Info").unwrap_or_else(|| panic!("{}", playing.head));
    let told = told.strip_prefix(&format!("url={address}/stream=0;seq=")).unwrap_or_else(|| panic!("{told}"));
    let (sequence, timestamp) = told.split_once(";rtptime=").unwrap();
    let (sequence, timestamp): (u16, u32) = (sequence.parse().unwrap(), timestamp.parse().unwrap());
    let later = u16::from_be_bytes([packet[2], packet[3]]).wrapping_sub(sequence);
    assert!(later < 100, "{later} packets later than told");
    let later = u32::from_be_bytes(packet[4..8].try_into().unwrap()).wrapping_sub(timestamp);
    assert!(later <= 10 * 90_000, "{later} ticks later than told");
}

/// The first documents of metadata that a viewer gets within so many packets, and what their packets are.
fn metadata(house: &House, camera: usize, profile: &str, packets: usize) -> Vec<String> {
    let address = address(house, camera, profile);
    let mut player = Player::connect(house, &address, VIEWER);
    assert_eq!(player.ask("DESCRIBE", "", "").status, 200);
    let answer = player.ask("SETUP", "/stream=2", "Transport: RTP/AVP/TCP;unicast;interleaved=4-5\r\n");
    let session = answer.field("Session").unwrap().split_once(';').unwrap().0.to_owned();
    let session = format!("Session: {session}\r\n");
    let pictures = player.ask(
        "SETUP",
        "/stream=0",
        &format!("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n{session}"),
    );
    assert_eq!(pictures.status, 200);
    assert_eq!(player.ask("PLAY", "", &session).status, 200);
    let (mut documents, mut document) = (Vec::new(), Vec::new());
    for _ in 0..packets {
        let (channel, packet) = player.frame().unwrap();
        if channel == 4 {
            assert_eq!((packet[0], packet[1] & 0x7f), (0x80, 107));
            document.extend_from_slice(&packet[12..]);
            if packet[1] & 0x80 != 0 {
                documents.push(String::from_utf8(std::mem::take(&mut document)).unwrap());
            }
        }
    }
    documents
}

#[test]
fn metadata_is_read_and_written_anew() {
    let mut house = House::open();
    let (camera, profile) = CAMERAS[0];
    let seen = metadata(&house, camera, profile, 60);
    assert!(seen.len() >= 2, "{seen:?}");
    for document in &seen {
        let begins = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><tt:MetadataStream ";
        assert!(document.starts_with(begins) && document.contains("UtcTime=\""), "{document}");
    }
    house.wait_for(|_| house.camera(camera).log().iter().any(|it| it.method == "TEARDOWN"));
    // What a camera must not say: its address, in words of nobody's, and what is no such document.
    let hidden = "<tt:VideoAnalytics xmlns:v=\"urn:own\"><tt:Frame UtcTime=\"2026-11-26T05:00:00Z\" v:at=\"127.0.1.11\">\
                  <v:Own>http://192.0.2.64/</v:Own></tt:Frame></tt:VideoAnalytics>";
    house.camera(camera).set_variable("rtsp.metadata", hidden);
    let seen = metadata(&house, camera, profile, 60);
    assert!(seen.len() >= 2, "{seen:?}");
    for (document, text) in seen.iter().flat_map(|it| CAMERA_SIDE.map(|text| (it, text))) {
        assert!(!document.contains(text) && document.contains("05:00:00Z"), "{text}: {document}");
    }
    house.wait_for(|_| house.camera(camera).log().iter().filter(|it| it.method == "TEARDOWN").count() == 2);
    house.camera(camera).set_variable("rtsp.metadata", "<!DOCTYPE x><tt:Event>");
    assert_eq!(metadata(&house, camera, profile, 60), Vec::<String>::new());
    house.stop();
    let records = house.records();
    let dropped = |it: &&Value| {
        let note = it["note"].as_str().unwrap_or_default();
        note.starts_with("nobody watches any more") && !note.contains(" 0 dropped,")
    };
    assert_eq!(records.iter().filter(dropped).count(), 1, "the last session's");
}

#[test]
fn one_session_at_the_camera_feeds_several_viewers() {
    let house = House::open();
    let (camera, profile) = CAMERAS[1];
    let address = address(&house, camera, profile);
    let mut players = Vec::new();
    for _ in 0..5 {
        let mut player = Player::connect(&house, &address, VIEWER);
        let session = player.set_up();
        let playing = player.ask("PLAY", "", &format!("Session: {session}\r\n"));
        assert_eq!(playing.status, 200);
        begins_as_told(&playing, &address, &player.frame().unwrap().1);
        players.push(player);
    }
    let asked = |method: &str| house.camera(camera).log().iter().filter(|it| it.method == method).count();
    assert_eq!((asked("PLAY"), asked("SETUP")), (1, 3));
    drop(players);
    house.wait_for(|_| asked("TEARDOWN") == 1);
}

#[test]
fn what_observe_mode_lets_through_goes_on() {
    let mut house = House::open();
    let (camera, profile) = CAMERAS[1];
    let address = address(&house, camera, profile);
    reload::policies(&house, "trial", &format!("@observable\n{}", reload::forbid("User", "rtsp:PLAY")));
    let text = reload::with_policies(&house.configuration(), "trial");
    house.write(&format!("{text}mode = \"observe\"\nobserve_until = \"2099-12-31\"\n"));
    house.reloader().reload(&SIGNAL, None).unwrap();
    let mut player = Player::connect(&house, &address, VIEWER);
    let session = player.set_up();
    assert_eq!(player.ask("PLAY", "", &format!("Session: {session}\r\n")).status, 200);
    // More than a second of pictures, so that it was asked again whether they may go on.
    for number in 0..30 {
        assert!(player.frame().is_some(), "frame {number}");
    }
    house.stop();
    let observed = |it: &&Value| it["operation"] == "rtsp:PLAY" && it["decision"] == "observed";
    assert_eq!(house.records().iter().filter(observed).count(), 1);
}

#[test]
fn who_may_not_watch_is_told_so_and_it_is_on_record() {
    let mut house = House::open();
    let (camera, profile) = CAMERAS[0];
    let address = address(&house, camera, profile);
    let ask = |address: &str, login| Player::connect(&house, address, login).ask("DESCRIBE", "", "").status;
    assert_eq!(ask(&address, (VIEWER.0, "wrong")), 401);
    assert_eq!(ask(&address, ("nobody", "wrong")), 401);
    assert_eq!(ask(&address, LOBBY_ONLY), 401, "it may not address this camera");
    // No token ends so: its last letter has two bits.
    let forged = format!("{}B", &address[..address.len() - 1]);
    assert_eq!(ask(&forged, VIEWER), 404);
    assert_eq!(ask(&format!("rtsp://{}/", house.streams()), VIEWER), 404);
    let mut stranger = Player::connect(&house, &address, VIEWER);
    assert_eq!(stranger.ask_once("DESCRIBE", "", "").status, 401, "without a login");
    let heard = house.camera(camera).log().iter().filter(|it| it.method == "DESCRIBE").count();
    assert_eq!(heard, 0, "the camera hears of none of them");
    house.stop();
    let records = house.records();
    let refused: Vec<_> = records
        .iter()
        .filter(|it| it["operation"] == "rtsp:DESCRIBE" && it["decision"] == "denied")
        .collect();
    for note in ["the password is wrong", "no client has this name", "the client may not address this camera"]
    {
        assert!(refused.iter().any(|it| it["note"] == note), "{note}: {refused:?}");
    }
}

#[test]
fn a_client_that_takes_no_answers_is_not_heard_for_ever() {
    let house = House::open();
    let (camera, profile) = CAMERAS[1];
    let request = format!("OPTIONS {} RTSP/1.0\r\nCSeq: 1\r\n\r\n", address(&house, camera, profile));
    let mut stream = TcpStream::connect(house.streams()).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let many = request.repeat(1_000);
    let mut heard = 0;
    while heard < 128 * 1024 * 1024 {
        match stream.write(many.as_bytes()) {
            Ok(written) => heard += written,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                return;
            }
        }
    }
    panic!("{heard} bytes of requests were heard, and no answer was taken");
}

#[test]
fn whoever_is_not_let_in_keeps_no_place() {
    let clock = Arc::new(SimulatedClock::new(SystemClock::new().now()));
    let house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    let (camera, profile) = CAMERAS[1];
    let address = address(&house, camera, profile);
    let mut stranger = Player::connect(&house, &address, (VIEWER.0, "wrong"));
    let mut viewer = Player::connect(&house, &address, VIEWER);
    assert_eq!(stranger.ask_once("OPTIONS", "", "").status, 200);
    assert_eq!(viewer.ask("DESCRIBE", "", "").status, 200);
    for _ in 0..2 {
        clock.advance(Duration::from_secs(30));
        assert_eq!(stranger.ask("DESCRIBE", "", "").status, 401);
        assert_eq!(stranger.ask_once("OPTIONS", "", "").status, 200);
        assert_eq!(viewer.ask("DESCRIBE", "", "").status, 200);
    }
    clock.advance(Duration::from_secs(1));
    let mut rest = Vec::new();
    stranger.stream.read_to_end(&mut rest).expect("it is put out though it never was silent");
    assert!(rest.is_empty());
    assert_eq!(viewer.ask("DESCRIBE", "", "").status, 200);
}

#[test]
fn what_is_no_good_request_is_refused() {
    let house = House::open();
    let (camera, profile) = CAMERAS[1];
    let address = address(&house, camera, profile);
    let mut player = Player::connect(&house, &address, ADMIN);
    let session = player.set_up();
    let named = format!("Session: {session}\r\n");
    let cases = [
        ("ANNOUNCE", "", named.as_str(), 405),
        ("RECORD", "", &named, 405),
        ("PLAY", "", "", 454),
        ("PLAY", "", "Session: other\r\n", 454),
        ("GET_PARAMETER", "", "Session: other\r\n", 454),
        ("DESCRIBE", "", "Require: onvif-replay\r\n", 551),
        ("SETUP", "/stream=7", "Transport: RTP/AVP/TCP;unicast\r\n", 404),
        ("SETUP", "/stream=1", "Session: other\r\nTransport: RTP/AVP/TCP;unicast\r\n", 454),
    ];
    for (method, path, fields, status) in cases {
        assert_eq!(player.ask(method, path, fields).status, status, "{method} {path} {fields}");
    }
    // A session is the connection's on which it began: elsewhere nobody goes on with it, nor begins one of its name.
    let mut other = Player::connect(&house, &address, ADMIN);
    let answer = other.ask("SETUP", "/stream=0", &format!("{named}Transport: RTP/AVP/TCP;unicast\r\n"));
    assert_eq!((answer.status, answer.field("Session")), (454, None), "{}", answer.head);
    assert_eq!(other.ask("PLAY", "", &named).status, 454);
    for transport in [
        "RTP/AVP;unicast;client_port=5000-5001",
        "RTP/AVP/TCP;unicast;interleaved=6-7",
        "RTP/AVP/TCP;unicast;interleaved=3-3",
        "RTP/AVP/TCP;multicast",
        "RTP/SAVP/TCP;unicast;interleaved=0-1",
        "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record",
    ] {
        let fields = format!("{named}Transport: {transport}\r\n");
        assert_eq!(player.ask("SETUP", "/stream=1", &fields).status, 461, "{transport}");
    }
    // Whoever names no session begins one, in another manner if need be: FFmpeg goes over from datagrams so.
    let here = player.stream.get_ref().local_addr().unwrap().ip();
    let ports = [(); 2].map(|()| UdpSocket::bind((here, 0)).unwrap());
    let [rtp, rtcp] = ports.each_ref().map(|it| it.local_addr().unwrap().port());
    for transport in [
        format!("RTP/AVP;unicast;client_port={rtp}-{rtcp}"),
        "RTP/AVP/TCP;unicast;interleaved=0-1".to_owned(),
    ] {
        let answer = player.ask("SETUP", "/stream=0", &format!("Transport: {transport}\r\n"));
        assert_eq!(answer.status, 200, "{transport}: {}", answer.head);
        let now = answer.field("Session").unwrap().split_once(';').unwrap().0.to_owned();
        assert_ne!(now, session);
        assert_eq!(player.ask("PLAY", "", &named).status, 454, "the one before is over");
        assert_eq!(player.ask("PAUSE", "", &format!("Session: {now}\r\n")).status, 200);
    }
    let refused = |operation: &str| {
        house.records().iter().filter(|it| it["operation"] == operation && it["decision"] == "denied").count()
    };
    assert_eq!([refused("rtsp:unsupported"), refused("rtsp:SETUP"), refused("rtsp:PLAY")], [2, 2, 5]);
    for unreadable in
        ["DESCRIBE x RTSP/1.0\nCSeq: 1\n\n", "GET / HTTP/1.1\r\n\r\n", "RTSP/1.0 200 OK\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(house.streams()).unwrap();
        stream.write_all(unreadable.as_bytes()).unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).unwrap();
        assert_eq!(told, "RTSP/1.0 400 Bad Request\r\n\r\n", "{unreadable}");
    }
}

#[test]
fn a_player_decodes_over_tls_and_transports_that_are_not_there_are_refused() {
    if skipped("ffprobe") {
        return;
    }
    let secured = Secured::open(false, &[]);
    let house = &secured.house;
    let (camera, profile) = CAMERAS[0];
    let address = address2(house, camera, profile, "RtspsUnicast").unwrap();
    assert!(address.starts_with(&format!("rtsps://{}:8322/", house.door(camera).ip())), "{address}");
    decodes(&address, "tcp");
    let streams = |it: &Value| it["operation"] == "rtsp:PLAY" && it["who"]["name"] == VIEWER.0;
    let played =
        house.wait_for(|records| records.iter().any(|it| streams(it) && it["decision"] == "permitted"));
    let played = played.iter().find(|it| streams(it)).unwrap();
    assert_eq!(played["who"]["tls"], true, "{played}");
    for (protocol, told) in [
        ("RtspMulticast", "multicast streams"),
        ("RtspsMulticast", "multicast streams"),
        ("SrtpUnicast", "streams by this protocol"),
    ] {
        let fault = address2(house, camera, profile, protocol).unwrap_err();
        assert!(fault.contains(told), "{protocol}: {fault}");
    }
    // Nor are there pictures in clear for whoever calls over TLS.
    let streams = SocketAddr::new(house.door(camera).ip(), 8322);
    let mut player = Player::over(secured.connect_to(streams), &address, VIEWER);
    assert_eq!(player.ask("DESCRIBE", "", "").status, 200);
    for (transport, status) in
        [("RTP/AVP;unicast;client_port=9000-9001", 461), ("RTP/AVP/TCP;unicast;interleaved=0-1", 200)]
    {
        let answer = player.ask("SETUP", "/stream=0", &format!("Transport: {transport}\r\n"));
        assert_eq!(answer.status, status, "{transport}: {}", answer.head);
    }
    // The camera is asked for what the gateway takes, and knows of no other.
    let plain = address2(house, camera, profile, "RTSP").unwrap();
    assert!(plain.starts_with("rtsp://"), "{plain}");
    let house = House::open();
    let fault = address2(&house, camera, profile, "RtspsUnicast").unwrap_err();
    assert!(fault.contains("it has no certificate for that"), "{fault}");
}

#[test]
fn datagrams_go_to_whoever_logged_in_and_nowhere_else() {
    let mut house = House::open();
    let (camera, profile) = CAMERAS[1];
    let address = address(&house, camera, profile);
    let mut player = Player::connect(&house, &address, VIEWER);
    let here = player.stream.get_ref().local_addr().unwrap().ip();
    let (rtp, rtcp) = (UdpSocket::bind((here, 0)).unwrap(), UdpSocket::bind((here, 0)).unwrap());
    let other = UdpSocket::bind("127.0.0.7:0").unwrap();
    let [rtp_port, rtcp_port, other_port] = [&rtp, &rtcp, &other].map(|it| it.local_addr().unwrap().port());
    assert_eq!(player.ask("DESCRIBE", "", "").status, 200);
    for refused in [
        "RTP/AVP;unicast;client_port=53-54".to_owned(),
        "RTP/AVP;unicast".to_owned(),
        "RTP/AVP;multicast;client_port=9000-9001".to_owned(),
        format!("RTP/AVP;unicast;client_port={rtp_port}-{rtp_port}"),
    ] {
        let answer = player.ask("SETUP", "/stream=0", &format!("Transport: {refused}\r\n"));
        assert_eq!(answer.status, 461, "{refused}: {}", answer.head);
    }
    let ports = format!("{rtp_port}-{rtcp_port}");
    let asked = format!("Transport: RTP/AVP;unicast;destination=127.0.0.7;client_port={ports}\r\n");
    let answer = player.ask("SETUP", "/stream=0", &asked);
    let transport = answer.field("Transport").unwrap();
    assert!(
        transport.starts_with(&format!("RTP/AVP;unicast;client_port={ports};server_port=")),
        "{transport}"
    );
    let session = answer.field("Session").unwrap().split_once(';').unwrap().0.to_owned();
    let session = format!("Session: {session}\r\n");
    // All streams of a session in one manner.
    let mixed = player.ask(
        "SETUP",
        "/stream=1",
        &format!("Transport: RTP/AVP/TCP;unicast;interleaved=2-3\r\n{session}"),
    );
    assert_eq!(mixed.status, 461, "{}", mixed.head);
    assert_eq!(player.ask("PLAY", "", &session).status, 200);
    let from: u16 =
        transport.split_once("server_port=").unwrap().1.split('-').next().unwrap().parse().unwrap();
    let mut packet = [0; 2_048];
    let mut last = None;
    for number in 0..60 {
        rtp.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let (length, source) = rtp.recv_from(&mut packet).unwrap();
        assert_eq!((source.ip(), source.port()), (house.streams().ip(), from));
        if number == 0 {
            assert_eq!(packet[12] & 0x1f, 7, "begins with a sequence parameter set");
        }
        assert!(length > 12);
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        assert!(last.is_none_or(|last: u16| sequence == last.wrapping_add(1)), "{last:?} {sequence}");
        last = Some(sequence);
    }
    rtcp.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let (_, source) = rtcp.recv_from(&mut packet).unwrap();
    assert_eq!((packet[1], source.port()), (200, from + 1), "a sender's report");
    other.set_nonblocking(true).unwrap();
    assert!(other.recv_from(&mut packet).is_err(), "port {other_port}: nobody else is sent anything");
    assert_eq!(player.ask("TEARDOWN", "", &session).status, 200);
    drop(player);
    house.stop();
    let records = house.records();
    let watched = |it: &&Value| it["note"].as_str().is_some_and(|it| it.starts_with("the viewer left"));
    let watched = records.iter().find(watched).unwrap();
    assert!(watched["bytes"].as_u64().unwrap() > 10_000, "{watched}");
}
