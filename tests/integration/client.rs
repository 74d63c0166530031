//! A client made of bytes: requests that no decent library would send, and what came back.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cordon::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use digest_auth::{AuthContext, HttpMethod};

/// Name and password.
pub type User = (&'static str, &'static str);

pub const SOAP: &str = "Content-Type: application/soap+xml; charset=utf-8";
const SECEXT: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const UTILITY: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
const DIGEST: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest";

/// What came back, from which port it was asked, and of whom: a port alone may be used for two doors at once.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub source: SocketAddr,
    pub door: SocketAddr,
}

impl Reply {
    pub fn text(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body))
    }

    pub fn header_values(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|it| it.0 == name).map(|it| it.1.as_str()).collect()
    }

    /// The codes of its fault in one line, `Sender/ter:NotAuthorized`; empty if it is none.
    pub fn fault(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let values = text.split("Value>").skip(1).step_by(2).map(|it| it.split('<').next().unwrap());
        let codes: Vec<_> = values.map(|it| it.trim_start_matches("env:").to_owned()).collect();
        if text.contains("Fault>") { codes.join("/") } else { String::new() }
    }

    /// The text of the first element of a local name.
    pub fn element(&self, local: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.body);
        let (_, rest) = text.split_once(&format!(":{local}>"))?;
        rest.split('<').next().map(|it| it.replace("&amp;", "&"))
    }
}

/// An empty request of the device service.
pub fn tds(operation: &str) -> String {
    tds_with(operation, "")
}

pub fn tds_with(operation: &str, inner: &str) -> String {
    within("http://www.onvif.org/ver10/device/wsdl", operation, inner)
}

/// An empty request of the media service.
pub fn trt(operation: &str) -> String {
    trt_with(operation, "")
}

pub fn trt_with(operation: &str, inner: &str) -> String {
    within("http://www.onvif.org/ver10/media/wsdl", operation, inner)
}

pub fn within(namespace: &str, operation: &str, inner: &str) -> String {
    format!(
        "<x:{operation} xmlns:x=\"{namespace}\" xmlns:tt=\"http://www.onvif.org/ver10/schema\">{inner}</x:{operation}>"
    )
}

/// A SOAP 1.2 envelope.
pub fn envelope(header: &str, body: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:a=\"http://www.w3.org/2005/08/addressing\"><s:Header>{header}</s:Header><s:Body>{body}</s:Body>\
         </s:Envelope>"
    )
}

/// A UsernameToken as WSS UsernameToken Profile 1.0 §3.1 makes it.
pub struct Token {
    pub user: User,
    pub nonce: Vec<u8>,
    pub created: String,
}

impl Token {
    /// A fresh one, made now.
    pub fn new(user: User) -> Self {
        Self::at(user, &SystemClock::new().now().to_string())
    }

    /// A fresh one, made at some time.
    pub fn at(user: User, created: &str) -> Self {
        let mut nonce = vec![0; 16];
        SystemEntropy.fill(&mut nonce).unwrap();
        Self { user, nonce, created: created.to_owned() }
    }

    /// The password's digest as it is shown.
    pub fn digest(&self) -> String {
        let all = [self.nonce.as_slice(), self.created.as_bytes(), self.user.1.as_bytes()].concat();
        BASE64_STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &all))
    }

    /// The nonce as it is shown.
    pub fn nonce(&self) -> String {
        BASE64_STANDARD.encode(&self.nonce)
    }

    /// As a Security header.
    pub fn header(&self) -> String {
        let (shown, nonce) = (self.digest(), self.nonce());
        let (name, created) = (self.user.0, &self.created);
        format!(
            "<w:Security xmlns:w=\"{SECEXT}\" xmlns:u=\"{UTILITY}\" s:mustUnderstand=\"1\"><w:UsernameToken>\
             <w:Username>{name}</w:Username><w:Password Type=\"{DIGEST}\">{shown}</w:Password>\
             <w:Nonce>{nonce}</w:Nonce><u:Created>{created}</u:Created></w:UsernameToken></w:Security>"
        )
    }
}

/// Asks an operation with a fresh UsernameToken.
pub fn ask(door: SocketAddr, service: &str, user: User, body: &str) -> Reply {
    post(door, service, &[], &envelope(&Token::new(user).header(), body))
}

/// The same of a gateway that may be gone before it answers.
pub fn try_ask(door: SocketAddr, service: &str, user: User, body: &str) -> Option<Reply> {
    let body = envelope(&Token::new(user).header(), body);
    let bytes = request("POST", &format!("/onvif/{service}_service"), &[SOAP], body.as_bytes());
    let mut stream = TcpStream::connect(door).ok()?;
    stream.write_all(&bytes).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    (!answer.is_empty()).then(|| parse(stream.local_addr().unwrap(), door, &answer))
}

/// Asks an operation without credentials.
pub fn ask_anonymously(door: SocketAddr, service: &str, body: &str) -> Reply {
    post(door, service, &[], &envelope("", body))
}

/// Posts an envelope to a service with header fields of the test's.
pub fn post(door: SocketAddr, service: &str, headers: &[&str], body: &str) -> Reply {
    let headers = [&[SOAP], headers].concat();
    send(door, &request("POST", &format!("/onvif/{service}_service"), &headers, body.as_bytes()))
}

/// The bytes of a request.
pub fn request(method: &str, target: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: camera\r\nConnection: close\r\n");
    for header in headers {
        head += &format!("{header}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Sends bytes on a connection of their own and leaves it open.
pub fn connect(door: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(door).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// The same to a peer that may hang up before it has read everything.
pub fn connect_quietly(door: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(door).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let _ = stream.write_all(bytes);
    stream
}

/// The same from an address of this machine's.
pub fn connect_from(address: &str, door: SocketAddr, bytes: &[u8]) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connected = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
        socket.connect(door).await.unwrap().into_std().unwrap()
    });
    connected.set_nonblocking(false).unwrap();
    let mut stream = connected;
    // Who answers that it is too much does not wait for the rest.
    let _ = stream.write_all(bytes);
    stream
}

/// Sends bytes and reads what comes back.
pub fn send(door: SocketAddr, bytes: &[u8]) -> Reply {
    receive_from(door, connect(door, bytes))
}

/// Reads a reply up to the end of its connection.
pub fn receive(stream: TcpStream) -> Reply {
    receive_from(stream.peer_addr().unwrap(), stream)
}

/// The same of a connection to this door, which may be reset already: then it does not know its other end any more.
pub fn receive_from(door: SocketAddr, mut stream: TcpStream) -> Reply {
    let mut answer = Vec::new();
    // What was answered before a reset, which comes where more was sent than is read, is an answer.
    let read = stream.read_to_end(&mut answer);
    assert!(read.is_ok() || !answer.is_empty(), "{read:?}");
    let reply = parse(stream.local_addr().unwrap(), door, &answer);
    // The gateway has closed; whether it has gone already does not matter.
    let _ = stream.shutdown(Shutdown::Both);
    reply
}

/// The first reply of what came back on a connection, with everything after its head as its body.
pub fn parse(source: SocketAddr, door: SocketAddr, answer: &[u8]) -> Reply {
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n").expect("a reply with a head");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let (status, fields) = head.split_once("\r\n").unwrap();
    let split = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    Reply {
        status: status.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: fields.lines().map(split).collect(),
        body: answer[end + 4..].to_vec(),
        source,
        door,
    }
}

/// The `Authorization` field that answers a challenge.
pub fn authorization(challenge: &str, method: &str, target: &str, user: User) -> String {
    let method = HttpMethod::from(method.to_owned());
    let context = AuthContext::new_with_method(user.0, user.1, target, None::<&[u8]>, method);
    format!("Authorization: {}", digest_auth::parse(challenge).unwrap().respond(&context).unwrap())
}

/// Sends a request, answers the challenge of its 401, and gives what came back then.
pub fn send_with_digest(
    door: SocketAddr,
    method: &str,
    target: &str,
    user: User,
    algorithm: &str,
    body: &str,
) -> Reply {
    let first = send(door, &request(method, target, &[SOAP], body.as_bytes()));
    assert_eq!(first.status, 401, "{}", first.text());
    let challenges = first.header_values("www-authenticate");
    let challenge = challenges.iter().find(|it| it.contains(&format!("algorithm={algorithm}"))).unwrap();
    let answer = authorization(challenge, method, target, user);
    send(door, &request(method, target, &[SOAP, &answer], body.as_bytes()))
}
