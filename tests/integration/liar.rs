//! A camera that answers one operation with bytes of the test's, and everything else as a simulated camera does.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use crate::client;

/// The operation that is answered with a lie.
pub const LIED_ABOUT: &str = "GetDeviceInformation";

/// What is said instead of an answer.
#[derive(Debug, Clone)]
pub struct Lie {
    pub bytes: Vec<u8>,
    /// How often the bytes are said; 0 is without end.
    pub times: usize,
    /// Whether the connection stays open afterwards, for the gateway to give up.
    pub stays: bool,
}

pub struct Liar {
    address: SocketAddr,
    lie: Arc<Mutex<Option<Lie>>>,
}

impl Liar {
    /// Stands before a camera until the process ends.
    pub fn before(at: Ipv4Addr, camera: SocketAddr) -> Self {
        let listener = TcpListener::bind((at, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let lie: Arc<Mutex<Option<Lie>>> = Arc::default();
        let told = Arc::clone(&lie);
        thread::spawn(move || {
            for gateway in listener.incoming() {
                let Ok(gateway) = gateway else { return };
                let told = Arc::clone(&told);
                thread::spawn(move || serve(gateway, camera, &told));
            }
        });
        Self { address, lie }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn tell(&self, lie: Option<Lie>) {
        *self.lie.lock().unwrap() = lie;
    }
}

/// Ends with the connection, whoever ends it.
fn serve(mut gateway: TcpStream, camera: SocketAddr, lie: &Mutex<Option<Lie>>) -> Option<()> {
    loop {
        let request = request(&mut gateway)?;
        let lied = lie.lock().unwrap().clone().filter(|_| contains(&request, LIED_ABOUT.as_bytes()));
        let Some(lie) = lied else {
            let closing = String::from_utf8(request).ok()?.replacen("\r\n", "\r\nConnection: close\r\n", 1);
            let mut truth = TcpStream::connect(camera).ok()?;
            truth.write_all(closing.as_bytes()).ok()?;
            let mut answer = Vec::new();
            truth.read_to_end(&mut answer).ok()?;
            gateway.write_all(&answer).ok()?;
            return None;
        };
        let mut said = 0;
        while lie.times == 0 || said < lie.times {
            gateway.write_all(&lie.bytes).ok()?;
            said += 1;
        }
        if !lie.stays {
            return None;
        }
    }
}

fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8_192];
    loop {
        if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.split("content-length:").nth(1).and_then(|it| it.lines().next());
            let length: usize = length.map_or(0, |it| it.trim().parse().unwrap());
            if bytes.len() >= end + 4 + length {
                return Some(bytes);
            }
        }
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|it| it == part)
}

/// An HTTP answer with its true length.
pub fn answer(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\n{}\r\n", client::SOAP);
    for header in headers {
        head += &format!("{header}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
