//! Streams at the port of the web service: in two HTTP connections.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
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
    down: S,
    up: S,
}

impl<S: Read + Write> Tunnel<S> {
    /// Over two connections to the same port.
    pub fn over(mut down: S, mut up: S, path: &str) -> Self {
        down.write_all(head("GET", path, "Accept: application/x-rtsp-tunnelled\r\n").as_bytes()).unwrap();
        let mut told = Vec::new();
        while !told.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            down.read_exact(&mut byte).unwrap();
            told.extend(byte);
        }
        let told = String::from_utf8(told).unwrap();
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

fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// The path of an address.
fn path(address: &str) -> &str {
    let rest = address.split_once("://").unwrap().1;
    &rest[rest.find('/').unwrap()..]
}

/// The address as players take it that have a switch for tunnels.
fn rtsp(address: &str) -> String {
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
