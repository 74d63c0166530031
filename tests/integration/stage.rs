//! A gateway before cameras that say exactly the bytes they are given, one answer each.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread::JoinHandle,
};

use cordon::{
    clock::{Clock, SystemClock},
    cmd::gateway::Gateway,
    schema::Tables,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::oneshot,
};

use crate::{
    client::{self, Reply},
    house::{ADMIN, CAMERA_PASSWORD, CAMERA_USER, heads, records_of, start},
};

/// What one camera says to one operation; to others only what an introduction needs.
#[derive(Debug, Clone)]
pub struct Part {
    /// The local name of the request's element.
    pub asked: String,
    /// What is answered, and with which status.
    pub answer: Vec<u8>,
    pub status: u16,
}

/// The gateway and its cameras. Camera `n` plays part `n`.
pub struct Stage {
    dir: TempDir,
    gateway: Option<Gateway>,
    doors: Vec<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    cameras: Option<JoinHandle<()>>,
}

impl Stage {
    pub fn open(tables: &Arc<Tables>, parts: Vec<Part>) -> Self {
        Self::open_with(tables, parts.len(), |_| parts)
    }

    /// The same with parts that depend on the addresses of the cameras that play them.
    pub fn open_with(
        tables: &Arc<Tables>,
        count: usize,
        parts: impl FnOnce(&[SocketAddr]) -> Vec<Part>,
    ) -> Self {
        static STAGES: AtomicU8 = AtomicU8::new(0);
        let stage = STAGES.fetch_add(1, Ordering::Relaxed) % STAGES_MAX + 1;
        let bind = Ipv4Addr::new(127, 0, 4, stage);
        let held: Vec<_> = (0..count + 2).map(|_| TcpListener::bind((bind, 0)).unwrap()).collect();
        let doors: Vec<_> = held.iter().map(|it| it.local_addr().unwrap()).collect();
        drop(held);
        let cameras: Vec<_> = (0..count).map(|number| listen(stage, number)).collect();
        let addresses: Vec<_> = cameras.iter().map(|it| it.local_addr().unwrap()).collect();
        let parts = parts(&addresses);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cordon.toml");
        fs::write(&path, configuration(&doors, &addresses)).unwrap();
        let (stop, stopped) = oneshot::channel();
        let tables = Arc::clone(tables);
        let thread = std::thread::spawn(move || play(&tables, cameras, parts, stopped));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let gateway = start(&path, &clock);
        Self { dir, gateway: Some(gateway), doors, stop: Some(stop), cameras: Some(thread) }
    }

    /// Asks camera `number` for an operation of a service.
    pub fn ask(&self, number: usize, service: &str, body: &str) -> Reply {
        client::ask(self.doors[number], service, ADMIN, body)
    }

    /// The gateway's own authorities, `host:port`, as the clients of camera `number` may see them.
    pub fn authorities(&self, number: usize) -> [String; 2] {
        let door = self.doors[number];
        [door.to_string(), self.doors.last().unwrap().to_string()]
    }

    /// Stops all and gives what was recorded of each camera's reply, in their order: the intent's fields and the
    /// outcome's.
    pub fn close(mut self, replies: &[Reply]) -> Vec<(Value, Value)> {
        self.gateway.take().unwrap().stop().unwrap();
        drop(self.stop.take());
        self.cameras.take().unwrap().join().unwrap();
        let records = records_of(&self.dir.path().join("audit"));
        let outcomes: BTreeMap<_, _> = records
            .iter()
            .filter(|it| it["type"] == "outcome")
            .map(|it| (it["intent"].to_string(), it.clone()))
            .collect();
        let told = |(number, reply): (usize, &Reply)| {
            let (camera, source) = (format!("camera-{number}"), reply.source.to_string());
            let own = |it: &&Value| it["camera"] == *camera && it["source"] == *source;
            let intent = records.iter().find(own).cloned().unwrap_or_default();
            let outcome = outcomes.get(&intent["seq"].to_string()).cloned().unwrap_or_default();
            (intent, outcome)
        };
        replies.iter().enumerate().map(told).collect()
    }
}

/// Stages with addresses of their own, all within the zone's prefix; more share them.
const STAGES_MAX: u8 = 60;

/// Each camera has an address of its own, so that what one names is not what another has.
fn listen(stage: u8, number: usize) -> TcpListener {
    let last = u8::try_from(number % 250).unwrap() + 1;
    let third = u8::try_from(number / 250).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::new(127, 64 + stage, third, last), 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

fn play(tables: &Arc<Tables>, cameras: Vec<TcpListener>, parts: Vec<Part>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for (camera, part) in cameras.into_iter().zip(parts) {
            let listener = tokio::net::TcpListener::from_std(camera).unwrap();
            let (tables, part) = (Arc::clone(tables), Arc::new(part));
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let own = listener.local_addr().unwrap();
                    tokio::spawn(serve(stream, Arc::clone(&tables), Arc::clone(&part), own));
                }
            });
        }
        // Whichever way the other end goes, the play is over.
        let _ = stopped.await;
    });
}

/// One request and its answer; the connection is closed, as cameras do.
async fn serve(mut stream: tokio::net::TcpStream, tables: Arc<Tables>, part: Arc<Part>, own: SocketAddr) {
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    while !is_whole(&heard) {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => heard.extend_from_slice(&buffer[..read]),
        }
    }
    let text = String::from_utf8(heard).unwrap();
    let asked = asked(text.split_once("\r\n\r\n").unwrap().1);
    let (status, answer) = if asked == part.asked {
        (part.status, placed(&part.answer, own))
    } else {
        let (status, text) = introduction(&tables, &asked, part.asked == "GetCapabilities", own);
        (status, text.into_bytes())
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/soap+xml; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        answer.len()
    );
    // A gateway that hangs up has heard enough.
    let _ = stream.write_all(&[head.as_bytes(), &answer].concat()).await;
}

/// An answer may name the camera it comes from, as `@camera@`.
fn placed(answer: &[u8], own: SocketAddr) -> Vec<u8> {
    match std::str::from_utf8(answer) {
        Ok(text) => text.replace("@camera@", &own.ip().to_string()).into_bytes(),
        Err(_) => answer.to_owned(),
    }
}

fn is_whole(heard: &[u8]) -> bool {
    let Some(end) = heard.windows(4).position(|it| it == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&heard[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|it| it.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |it| it.trim().parse().unwrap());
    heard.len() >= end + 4 + length
}

/// The local name of what the gateway asks, read by a reader that is not the gateway's.
fn asked(envelope: &str) -> String {
    let document = roxmltree::Document::parse(envelope).unwrap();
    let body = document.descendants().find(|it| it.tag_name().name() == "Body").unwrap();
    body.first_element_child().unwrap().tag_name().name().to_owned()
}

/// What the gateway asks before it asks for a client: which services there are, and where.
fn introduction(tables: &Tables, asked: &str, only_capabilities: bool, own: SocketAddr) -> (u16, String) {
    if asked == "GetServices" && !only_capabilities {
        let mut named = BTreeMap::new();
        for (_, row) in tables.operations() {
            let space = tables.namespace_of(tables.node(row.input).unwrap().name);
            if tables.prefix(space) == &*row.prefix {
                named.insert(tables.namespace_uri(space).to_owned(), row.service.to_string());
            }
        }
        let services: String = named
            .iter()
            .map(|(uri, service)| {
                format!(
                    "<x:Service><x:Namespace>{uri}</x:Namespace><x:XAddr>http://{own}/onvif/{service}</x:XAddr>\
                     <x:Version><tt:Major>2</tt:Major><tt:Minor>0</tt:Minor></x:Version></x:Service>"
                )
            })
            .collect();
        return (200, client::envelope("", &client::tds_with("GetServicesResponse", &services)));
    }
    let fault = "<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value \
                 xmlns:ter=\"http://www.onvif.org/ver10/error\">ter:ActionNotSupported</s:Value></s:Subcode>\
                 </s:Code><s:Reason><s:Text xml:lang=\"en\">no</s:Text></s:Reason></s:Fault>";
    (500, client::envelope("", fault))
}

fn configuration(doors: &[SocketAddr], cameras: &[SocketAddr]) -> String {
    let (name, password) = ADMIN;
    let [.., admin, streams] = doors else { panic!("too few doors") };
    let mut text = heads("stage", *admin, *streams);
    let _ = write!(
        text,
        r#"
[[zone]]
name = "cameras"
isolation = "none"
prefixes = ["127.64.0.0/10"]

[[client]]
name = "{name}"
role = "Administrator"
password = {{ env = "{password}" }}
networks = ["127.0.0.0/29"]
"#
    );
    for (number, (camera, door)) in cameras.iter().zip(doors).enumerate() {
        let _ = write!(
            text,
            "\n[[camera]]\nname = \"camera-{number}\"\naddress = \"{camera}\"\nvendor = \"Axis\"\nzone = \"cameras\"\n\
             site = \"headquarters\"\nlisten_port = {}\nusername = \"{CAMERA_USER}\"\n\
             password = {{ env = \"{CAMERA_PASSWORD}\" }}\n",
            door.port()
        );
    }
    text
}
