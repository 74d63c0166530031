//! How a simulated camera is found by WS-Discovery: in one of the ways that real ones have.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use tokio::{net::UdpSocket, task::JoinHandle};

use super::{message::escaped, server::RunningCamera};
use crate::limits::DISCOVERY_MESSAGE_BYTES_MAX;

/// Which questions a camera answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Every one.
    All,
    /// Those that have the very text `dn:NetworkVideoTransmitter`.
    LiteralPrefix,
    /// Those for `Device`, and none that name another type.
    DeviceOnly,
    /// Those on one line.
    OneLine,
    /// Those that name a type.
    TypesOnly,
}

impl Manner {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::All, Self::LiteralPrefix, Self::DeviceOnly, Self::OneLine, Self::TypesOnly];

    /// Whether a question is answered. Cameras like these look at its text.
    fn answers(self, question: &str) -> bool {
        let typed = question.contains("Types>");
        question.contains("Probe>")
            && match self {
                Self::All => true,
                Self::LiteralPrefix => question.contains(">dn:NetworkVideoTransmitter<"),
                Self::DeviceOnly => question.contains(":Device<") && !question.contains("Transmitter"),
                Self::OneLine => !question.trim().contains('\n'),
                Self::TypesOnly => typed,
            }
    }
}

/// A camera that can be found, until this is dropped.
#[derive(Debug)]
pub struct Findable {
    own: Arc<UdpSocket>,
    hello: String,
    everybody: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

impl Findable {
    /// Has a camera found at its IPv4 address, by the runtime this is called from, and says that it is there. Some of the
    /// addresses it gives lead elsewhere.
    ///
    /// # Errors
    /// Its port is somebody's.
    pub async fn start(camera: &RunningCamera, manner: Manner) -> io::Result<Self> {
        let IpAddr::V4(address) = camera.address().ip() else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let own = socket(SocketAddr::new(address.into(), PORT))?;
        sockopt::set_ip_multicast_if(&own, &address)?;
        let everybody = SocketAddr::new(GROUP.into(), PORT);
        let group = socket(everybody)?;
        sockopt::set_ip_add_membership(&group, &GROUP, &address)?;
        let (own, group) = (Arc::new(UdpSocket::from_std(own)?), Arc::new(UdpSocket::from_std(group)?));
        let described: Arc<str> = described(camera).into();
        let answering = |socket: Arc<UdpSocket>| {
            let (own, described) = (Arc::clone(&own), Arc::clone(&described));
            tokio::spawn(async move { answer(&socket, &own, manner, &described).await })
        };
        let tasks = [answering(Arc::clone(&own)), answering(group)];
        let hello = envelope("Hello", "", &format!("<d:Hello>{described}</d:Hello>"));
        let found = Self { own, hello, everybody, tasks };
        found.say_hello().await?;
        Ok(found)
    }

    /// Says once more that it is there.
    ///
    /// # Errors
    /// It cannot be sent.
    pub async fn say_hello(&self) -> io::Result<()> {
        self.own.send_to(self.hello.as_bytes(), self.everybody).await.map(drop)
    }
}

impl Drop for Findable {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
const PORT: u16 = 3702;

/// Beside others at the same address.
fn socket(at: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    // Not what comes in on interfaces on which others of this machine hear the group.
    socket2::SockRef::from(&socket).set_multicast_all_v4(false)?;
    bind(&socket, &at)?;
    Ok(socket.into())
}

async fn answer(heard: &UdpSocket, own: &UdpSocket, manner: Manner, described: &str) {
    let mut buffer = vec![0; DISCOVERY_MESSAGE_BYTES_MAX];
    while let Ok((length, from)) = heard.recv_from(&mut buffer).await {
        let question = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        let Some(id) = between(&question, "MessageID>", "<").filter(|_| manner.answers(&question)) else {
            continue;
        };
        let relates_to = format!("<a:RelatesTo>{}</a:RelatesTo>", escaped(id.trim()));
        let body = format!("<d:ProbeMatches><d:ProbeMatch>{described}</d:ProbeMatch></d:ProbeMatches>");
        // Whoever asked may have gone.
        let _ = own.send_to(envelope("ProbeMatches", &relates_to, &body).as_bytes(), from).await;
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}

fn envelope(action: &str, header: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\" \
         xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\"><s:Header><a:MessageID>uuid:of-a-camera</a:MessageID>\
         {header}<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/{action}</a:Action></s:Header>\
         <s:Body>{body}</s:Body></s:Envelope>\n"
    )
}

/// What it says of itself: an address of no use stands first, as with many.
fn described(camera: &RunningCamera) -> String {
    let variable = |name: &str| camera.variable(name);
    let word = |name: &str| escaped(&variable(name).replace(' ', "%20"));
    let (serial, path) = (variable("serial"), variable("path.device"));
    format!(
        "<a:EndpointReference><a:Address>urn:uuid:5f5a69c2-e0ae-504f-829b-{serial}c0de</a:Address>\
         </a:EndpointReference><d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>\
         onvif://www.onvif.org/name/{} onvif://www.onvif.org/hardware/{}</d:Scopes>\
         <d:XAddrs>http://169.254.7.7{path} http://{}{path}</d:XAddrs><d:MetadataVersion>10</d:MetadataVersion>",
        word("manufacturer"),
        word("model"),
        camera.address(),
    )
}
