//! Streams at the port of the web service: in two HTTP connections.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::{
    client::{self, trt_with},
    house::{CAR_PARK, House, LOBBY, VIEWER},
    mounts::Shared,
    streams::{CAMERAS, Player, address2, decodes, skipped},
    tls::Secured,
};

/// A tunnel as a client has it.
pub struct Tunnel<S> {
    pub down: S,
    pub up: S,
}

impl<S: Read + Write> Tunnel<S> {
    /// Over two connections to the same port.
    pub fn over(mut down: S, mut up: S, path: &str) -> Self {
        down.write_all(head("GET", path, "Accept: application/x-rtsp-tunnelled\r\n").as_bytes()).unwrap();
        let told = told(&mut down);
        assert!(told.starts_with("HTTP/1.1 200 OK\r\n"), "{told}");
        assert!(told.contains("Content-Type: application/x-rtsp-tunnelled\r\n"), "{told}");
        up.write_all(head("POST", path, POSTED).as_bytes()).unwrap();
        Self { down, up }
    }
}

const POSTED: &str = "Content-Type: application/x-rtsp-tunnelled\r\nContent-Length: 32767\r\n";

fn head(method: &str, path: &str, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: gateway\r\nx-sessioncookie: 0123456789abcdef\r\n{fields}\r\n")
}

impl<S: Read> Read for Tunnel<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.down.read(buffer)
    }
}

impl<S: Write> Write for Tunnel<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.up.write_all(BASE64_STANDARD.encode(bytes).as_bytes())?;
        self.up.flush().map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A WebSocket as a client has it: what is written at once is a message.
pub struct Socket<S> {
    stream: S,
    /// Bytes of the message under way that were not read.
    left: usize,
}

impl<S: Read + Write> Socket<S> {
    pub fn over(mut stream: S, path: &str) -> Self {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: rtsp.onvif.org\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let told = told(&mut stream);
        assert!(told.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{told}");
        assert!(told.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{told}");
        Self { stream, left: 0 }
    }
}

impl<S: Read> Read for Socket<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let mut head = [0; 2];
            self.stream.read_exact(&mut head)?;
            assert_eq!(head[0], 0x82, "binary, whole");
            let more = match head[1] {
                126 => 2,
                127 => 8,
                _ => 0,
            };
            let mut length = [0; 8];
            self.stream.read_exact(&mut length[8 - more..])?;
            let length = if more == 0 { head[1].into() } else { u64::from_be_bytes(length) };
            self.left = usize::try_from(length).unwrap();
        }
        let most = buffer.len().min(self.left);
        let read = self.stream.read(&mut buffer[..most])?;
        self.left -= read;
        Ok(read)
    }
}

impl<S: Write> Write for Socket<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        let mask = [1, 2, 3, 4];
        let masked = bytes.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]);
        let head = [0x82, 0x80 | 126, length[0], length[1]];
        let frame: Vec<u8> = head.into_iter().chain(mask).chain(masked).collect();
        self.stream.write_all(&frame).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// The head of an answer.
fn told(stream: &mut impl Read) -> String {
    let mut told = Vec::new();
    while !told.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        told.extend(byte);
    }
    String::from_utf8(told).unwrap()
}

pub fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// The path of an address.
pub fn path(address: &str) -> &str {
    let rest = address.split_once("://").unwrap().1;
    &rest[rest.find('/').unwrap()..]
}

/// The address as players take it that have a switch for tunnels.
pub fn rtsp(address: &str) -> String {
    format!("rtsp://{}", address.split_once("://").unwrap().1)
}

#[test]
fn a_player_decodes_through_tunnels() {
    if skipped("ffprobe") {
        return;
    }
    let house = House::open();
    for (camera, profile) in CAMERAS {
        let address = address2(&house, camera, profile, "RtspOverHttp").unwrap();
        let expected = format!("http://{}/onvif/stream/", house.door(camera));
        assert!(address.starts_with(&expected) && address.len() <= 128, "{address}");
        decodes(&rtsp(&address), "http");
    }
    let secured = Secured::open(false, &[]);
    let (camera, profile) = CAMERAS[0];
    let body = format!("<x:Protocol>RtspOverHttp</x:Protocol><x:ProfileToken>{profile}</x:ProfileToken>");
    let body = client::within("http://www.onvif.org/ver20/media/wsdl", "GetStreamUri", &body);
    let address = secured
        .ask(camera, None, "media2", &client::Token::new(VIEWER).header(), &body)
        .element("Uri")
        .unwrap();
    assert!(address.starts_with(&format!("https://{}/onvif/stream/", secured.doors[camera])), "{address}");
    decodes(&rtsp(&address), "https");
    let played = secured.house.wait_for(|records| records.iter().any(is_play));
    assert_eq!(played.iter().find(|it| is_play(it)).unwrap()["who"]["tls"], true);
    let shared = Shared::open();
    for (camera, profile, mount) in [(CAR_PARK, CAMERAS[0].1, "/car-park"), (LOBBY, CAMERAS[1].1, "/lobby")] {
        let setup =
            "<tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>HTTP</tt:Protocol></tt:Transport>";
        let body =
            format!("<x:StreamSetup>{setup}</x:StreamSetup><x:ProfileToken>{profile}</x:ProfileToken>");
        let asked = trt_with("GetStreamUri", &body);
        let reply = shared.ask(&format!("{mount}/onvif/media_service"), Some(VIEWER), &asked);
        let address = reply.element("Uri").unwrap_or_else(|| panic!("{camera}: {}", reply.text()));
        assert!(address.starts_with(&format!("http://{}{mount}/onvif/stream/", shared.plain)), "{address}");
        decodes(&rtsp(&address), "http");
    }
}

fn is_play(record: &Value) -> bool {
    record["operation"] == "rtsp:PLAY"
        && record["who"]["name"] == VIEWER.0
        && record["decision"] == "permitted"
}

#[test]
fn a_tunnel_carries_a_session_and_nothing_beside_it() {
    let house = House::open();
    let (camera, profile) = CAMERAS[1];
    let address = address2(&house, camera, profile, "RtspOverHttp").unwrap();
    let open = || Tunnel::over(connect(house.door(camera)), connect(house.door(camera)), path(&address));
    // Some clients keep the scheme in what they ask within.
    for asked in [&rtsp(&address), &address] {
        let mut player = Player::over(open(), asked, VIEWER);
        let described = player.ask("DESCRIBE", "", "");
        assert_eq!(described.field("Content-Base"), Some(format!("{}/", rtsp(&address)).as_str()));
        let datagrams = "Transport: RTP/AVP;unicast;client_port=9000-9001\r\n";
        assert_eq!(player.ask("SETUP", "/stream=0", datagrams).status, 461);
        let session = player.set_up();
        assert_eq!(player.ask("PLAY", "", &format!("Session: {session}\r\n")).status, 200);
        for _ in 0..20 {
            assert!(player.frame().is_some());
        }
        // The client may go on with another POST.
        player.stream.get_mut().up = connect(house.door(camera));
        player.stream.get_mut().up.write_all(head("POST", path(&address), POSTED).as_bytes()).unwrap();
        assert_eq!(player.ask("GET_PARAMETER", "", &format!("Session: {session}\r\n")).status, 200);
        assert_eq!(player.ask("TEARDOWN", "", &format!("Session: {session}\r\n")).status, 200);
        while player.frame().is_some() {}
    }
    // No request of HTTP follows a tunnel's.
    let mut tunnel = open();
    tunnel.up.write_all(b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n").unwrap();
    assert_eq!(tunnel.down.read_to_end(&mut Vec::new()).unwrap_or_default(), 0);
}

#[test]
fn what_is_no_tunnel_is_answered_by_http_or_refused() {
    let house = House::open();
    let (camera, profile) = CAMERAS[1];
    let address = address2(&house, camera, profile, "RtspOverHttp").unwrap();
    let other = house.door(CAMERAS[0].0);
    let told = |at: SocketAddr, request: &str| {
        let mut stream = connect(at);
        stream.write_all(request.as_bytes()).unwrap();
        let mut told = vec![0; 12];
        stream.read_exact(&mut told).unwrap();
        String::from_utf8(told).unwrap()
    };
    let place = path(&address);
    let (get, post) = (head("GET", place, ""), head("POST", place, ""));
    let door = house.door(camera);
    assert_eq!(told(door, &post), "HTTP/1.1 400", "no GET came before it");
    assert_eq!(told(other, &get), "HTTP/1.1 400", "the stream is another camera's");
    assert_eq!(told(door, &head("GET", "/onvif/stream/", "")), "HTTP/1.1 400");
    assert_eq!(told(door, &head("GET", place, "x-sessioncookie: b\r\n")), "HTTP/1.1 400");
    assert_eq!(told(door, &head("GET", "/onvif/device_service", "")), "HTTP/1.1 400");
    assert_eq!(told(door, &format!("GET {place} HTTP/1.1\r\nHost: gateway\r\n\r\n")), "HTTP/1.1 404");
    // A request that comes octet by octet reaches HTTP whole.
    let body = client::envelope("", &client::tds("GetSystemDateAndTime"));
    let request = client::request("POST", "/onvif/device_service", &[client::SOAP], body.as_bytes());
    let mut stream = connect(door);
    stream.set_nodelay(true).unwrap();
    for byte in &request {
        stream.write_all(&[*byte]).unwrap();
    }
    let mut told = vec![0; 12];
    stream.read_exact(&mut told).unwrap();
    assert_eq!(told, b"HTTP/1.1 200");
}

/// Where a camera's streams are had in WebSockets, as Media2 tells it.
fn sockets_path(house: &House, camera: usize) -> String {
    let body = client::within("http://www.onvif.org/ver20/media/wsdl", "GetServiceCapabilities", "");
    let told = client::ask(house.door(camera), "media2", VIEWER, &body).text();
    let uri = told.split_once("RTSPWebSocketUri=\"ws:").unwrap_or_else(|| panic!("{told}")).1;
    uri.split_once('"').unwrap().0.to_owned()
}

#[test]
fn a_web_socket_carries_a_session() {
    let house = House::open();
    for (camera, profile) in CAMERAS {
        let place = sockets_path(&house, camera);
        assert_eq!(place, "/onvif/streams");
        let address = address2(&house, camera, profile, "RTSP").unwrap();
        let socket = Socket::over(connect(house.door(camera)), &place);
        let mut player = Player::over(socket, &address, VIEWER);
        let described = player.ask("DESCRIBE", "", "");
        assert_eq!(described.field("Content-Base"), Some(format!("{address}/").as_str()));
        let session = player.set_up();
        assert_eq!(player.ask("PLAY", "", &format!("Session: {session}\r\n")).status, 200);
        let mut last = None;
        for _ in 0..40 {
            let (channel, packet) = player.frame().unwrap();
            if channel == 6 {
                let sequence = u16::from_be_bytes([packet[2], packet[3]]);
                assert!(last.is_none_or(|last: u16| sequence == last.wrapping_add(1)), "{last:?} {sequence}");
                last = Some(sequence);
            }
        }
        assert_eq!(player.ask("TEARDOWN", "", &format!("Session: {session}\r\n")).status, 200);
        // Another camera's stream is none here.
        let (other, profile) = if camera == CAR_PARK { CAMERAS[1] } else { CAMERAS[0] };
        let address = address2(&house, other, profile, "RTSP").unwrap();
        let socket = Socket::over(connect(house.door(camera)), &place);
        assert_eq!(Player::over(socket, &address, VIEWER).ask("DESCRIBE", "", "").status, 404);
    }
    let secured = Secured::open(false, &[]);
    let (camera, profile) = CAMERAS[0];
    let address = address2(&secured.house, camera, profile, "RTSP").unwrap();
    let socket = Socket::over(secured.connect(camera, None), "/onvif/streams");
    assert_eq!(Player::over(socket, &address, VIEWER).ask("DESCRIBE", "", "").status, 200);
}

#[test]
fn a_web_socket_of_somebody_elses_making_is_understood() {
    if skipped("node") {
        return;
    }
    let shared = Shared::open();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/socket.js");
    let url = format!("ws://{}/lobby/onvif/streams", shared.plain);
    let ask = |url: &str| {
        let mut node = Command::new("node");
        node.args(["--experimental-websocket", script, url, "rtsp://gateway/x"]);
        String::from_utf8(node.output().unwrap().stdout).unwrap()
    };
    let told = ask(&url);
    assert!(
        told.starts_with("rtsp.onvif.org \"RTSP/1.0 200 OK\\r\\nCSeq: 7\\r\\nPublic: OPTIONS, DESCRIBE"),
        "{told}"
    );
    assert!(told.ends_with("closed 1000\n"), "{told}");
    // Where no camera is, there is no socket.
    let told = ask(&url.replace("/lobby", "/nowhere"));
    assert!(told.starts_with("failed\n"), "{told}");
}
