//! Clients over TLS: what they are told, who they are, and what does not get in.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use cordon::auth::Certificate;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};

use crate::{
    client::{self, Reply, SOAP, Token, User, envelope, tds, trt_with},
    house::{ADMIN, CAR_PARK, House, LOBBY, LOBBY_ONLY, OPERATOR, VIEWER},
};

/// A certificate with its key.
pub struct Pair {
    pub der: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

impl Pair {
    pub fn new(name: &str) -> Self {
        Self::until(name, 2090)
    }

    fn until(name: &str, year: i32) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        Self { der: certificate.der().clone(), pem: certificate.pem(), key }
    }

    pub fn read(&self) -> Certificate {
        Certificate::read(&self.der).unwrap()
    }

    /// Puts both where a gateway finds them.
    pub fn write(&self, dir: &Path) {
        let key = dir.join("key.pem");
        fs::write(&key, self.key.serialize_pem()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(dir.join("chain.pem"), &self.pem).unwrap();
    }
}

/// A gateway that also serves TLS.
pub struct Secured {
    pub house: House,
    own: Pair,
    /// A door over TLS for each camera.
    pub doors: [SocketAddr; 2],
}

impl Secured {
    /// `clients` says what stands beside the name of which client.
    pub fn open(clear_passwords: bool, clients: &[(User, String)]) -> Self {
        let mut house = House::open();
        let host = house.door(LOBBY).ip();
        let own = Pair::new(&host.to_string());
        own.write(house.dir());
        let held = [(); 2].map(|()| TcpListener::bind((host, 0)).unwrap());
        let doors = held.map(|it| it.local_addr().unwrap());
        house.reconfigure(|mut text| {
            let listener = format!(
                "[listener]\ntls_certificate = \"chain.pem\"\ntls_key = \"key.pem\"\nclear_passwords = {clear_passwords}\n"
            );
            text = text.replacen("[listener]\n", &listener, 1);
            for (camera, door) in [("car-park", doors[CAR_PARK]), ("lobby", doors[LOBBY])] {
                let head = format!("[[camera]]\nname = \"{camera}\"\n");
                assert!(text.contains(&head), "{text}");
                text = text.replacen(&head, &format!("{head}tls_port = {}\n", door.port()), 1);
            }
            for ((name, _), keys) in clients {
                let head = format!("[[client]]\nname = \"{name}\"\n");
                assert!(text.contains(&head), "{text}");
                text = text.replacen(&head, &format!("{head}{keys}\n"), 1);
            }
            text
        });
        Self { house, own, doors }
    }

    /// A connection to a camera's door, with a certificate of the client's or without. The gateway's own is
    /// checked as any client checks it.
    pub fn connect(&self, camera: usize, shown: Option<&Pair>) -> StreamOwned<ClientConnection, TcpStream> {
        connect(self.doors[camera], &self.own.der, shown)
    }

    /// A connection to another of the gateway's listeners over TLS.
    pub fn connect_to(&self, at: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
        connect(at, &self.own.der, None)
    }

    pub fn send(&self, camera: usize, shown: Option<&Pair>, bytes: &[u8]) -> Reply {
        send(self.connect(camera, shown), bytes)
    }

    /// Asks an operation over TLS.
    pub fn ask(&self, camera: usize, shown: Option<&Pair>, service: &str, header: &str, body: &str) -> Reply {
        let target = format!("/onvif/{service}_service");
        let body = envelope(header, body);
        self.send(camera, shown, &client::request("POST", &target, &[SOAP], body.as_bytes()))
    }

    fn token(&self, user: User) -> String {
        Token::new(user).header()
    }
}

pub fn connect(
    door: SocketAddr,
    trusted: &CertificateDer<'static>,
    shown: Option<&Pair>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match shown {
        None => config.with_no_client_auth(),
        Some(pair) => {
            let key = PrivateKeyDer::try_from(pair.key.serialize_der()).unwrap();
            config.with_client_auth_cert(vec![pair.der.clone()], key).unwrap()
        }
    };
    let session = ClientConnection::new(Arc::new(config), ServerName::from(door.ip())).unwrap();
    let stream = TcpStream::connect(door).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    StreamOwned::new(session, stream)
}

pub fn send(mut stream: StreamOwned<ClientConnection, TcpStream>, bytes: &[u8]) -> Reply {
    // A connection that has been reset does not know its other end any more.
    let [source, door] = [stream.sock.local_addr(), stream.sock.peer_addr()].map(Result::unwrap);
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an end that TLS vouches for");
    client::parse(source, door, &answer)
}

/// All addresses of an answer.
fn addresses(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let text = reply.text();
    let parts = text.split("XAddr>").skip(1).step_by(2).map(|it| it.split('<').next().unwrap().to_owned());
    parts.collect()
}

#[test]
fn who_comes_over_tls_is_told_https_addresses_and_who_does_not_is_not() {
    let gateway = Secured::open(false, &[]);
    let Secured { house, doors, .. } = &gateway;
    let (secure, plain) = (format!("https://{}/", doors[LOBBY]), format!("http://{}/", house.door(LOBBY)));
    for operation in ["GetServices", "GetCapabilities"] {
        let inner =
            if operation == "GetServices" { "<x:IncludeCapability>true</x:IncludeCapability>" } else { "" };
        let asked = client::tds_with(operation, inner);
        // Nobody has logged in, and the list is told all the same.
        let over_tls = addresses(&gateway.ask(LOBBY, None, "device", "", &asked));
        let in_clear = addresses(&client::ask_anonymously(house.door(LOBBY), "device", &asked));
        assert!(over_tls.len() >= 3 && over_tls.iter().all(|it| it.starts_with(&secure)), "{over_tls:?}");
        assert!(in_clear.len() >= 3 && in_clear.iter().all(|it| it.starts_with(&plain)), "{in_clear:?}");
    }
    let asked = trt_with("GetSnapshotUri", "<x:ProfileToken>profile_1_h264</x:ProfileToken>");
    // The second of each is made from what is remembered.
    for _ in 0..2 {
        let header = gateway.token(OPERATOR);
        let over_tls = gateway.ask(LOBBY, None, "media", &header, &asked).element("Uri").unwrap();
        let in_clear = client::ask(house.door(LOBBY), "media", OPERATOR, &asked).element("Uri").unwrap();
        assert!(over_tls.starts_with(&secure) && in_clear.starts_with(&plain), "{over_tls} {in_clear}");
        let path = over_tls.strip_prefix(&format!("https://{}", doors[LOBBY])).unwrap();
        assert_eq!(in_clear, format!("http://{}{path}", house.door(LOBBY)), "one locator for both");
    }
    let protocols = gateway.ask(LOBBY, None, "device", &gateway.token(ADMIN), &tds("GetNetworkProtocols"));
    let port = format!("HTTPS</tt:Name><tt:Enabled>true</tt:Enabled><tt:Port>{}<", doors[LOBBY].port());
    assert!(protocols.text().contains(&port), "{}", protocols.text());
    let who = |reply| house.record_at(LOBBY, reply).intent["who"].clone();
    assert_eq!((&who(&protocols)["tls"], &who(&protocols)["method"]), (&true.into(), &"wsse".into()));
    let in_clear = client::ask(house.door(LOBBY), "device", ADMIN, &tds("GetNetworkProtocols"));
    assert_eq!(who(&in_clear)["tls"], serde_json::Value::Null);
}

#[test]
fn a_certificate_is_its_clients_login() {
    let (admin, lobby, strange) = (Pair::new("admin"), Pair::new("lobby"), Pair::new("admin"));
    let expired = Pair::until("viewer", 2021);
    let gateway = Secured::open(
        false,
        &[
            (ADMIN, format!("certificate_sha256 = [\"{}\"]", admin.read().whole)),
            (LOBBY_ONLY, format!("key_sha256 = [\"{}\"]", lobby.read().key)),
            (VIEWER, format!("key_sha256 = [\"{}\"]", expired.read().key)),
        ],
    );
    let house = &gateway.house;
    let users = tds("GetUsers");
    let reply = gateway.ask(LOBBY, Some(&admin), "device", "", &users);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let who = &house.record_at(LOBBY, &reply).intent["who"];
    assert_eq!((&who["name"], &who["method"]), (&ADMIN.0.into(), &"certificate".into()));
    let reply = gateway.ask(LOBBY, Some(&admin), "device", &gateway.token(ADMIN), &users);
    assert_eq!(reply.status, 200, "a certificate and a password of one client: {}", reply.text());
    let reply = gateway.ask(LOBBY, Some(&lobby), "device", "", &tds("GetHostname"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    house.acquaint();
    let lobby_token = gateway.token(LOBBY_ONLY);
    for (name, camera, shown, header, told) in [
        ("nobody's", LOBBY, &strange, "", "the client certificate is no configured client's"),
        (
            "nobody's, with a password",
            LOBBY,
            &strange,
            &*lobby_token,
            "the client certificate is no configured",
        ),
        ("expired", LOBBY, &expired, "", "outside its time of validity"),
        ("of another camera", CAR_PARK, &lobby, "", "the client may not address this camera"),
        ("with another's password", LOBBY, &admin, &*lobby_token, "name different clients"),
    ] {
        let reply = gateway.ask(camera, Some(shown), "device", header, &users);
        assert_eq!(reply.fault(), "Sender/ter:NotAuthorized", "{name}: {}", reply.text());
        let intent = &house.record_at(camera, &reply).intent;
        assert_eq!((&intent["decision"], &intent["who"]["tls"]), (&"denied".into(), &true.into()), "{name}");
        assert!(intent["note"].as_str().unwrap().contains(told), "{name}: {intent}");
    }
    assert_eq!(house.heard(), [], "no camera heard of it");
    // A certificate is no secret: without its key it opens nothing.
    let forged = Pair { der: admin.der.clone(), pem: String::new(), key: KeyPair::generate().unwrap() };
    let key = PrivateKeyDer::try_from(forged.key.serialize_der()).unwrap();
    let (certified, provider) = (vec![forged.der.clone()], aws_lc_rs::default_provider());
    let signer = provider.key_provider.load_private_key(key).unwrap();
    let certified = Arc::new(rustls::sign::CertifiedKey::new(certified, signer));
    let mut roots = RootCertStore::empty();
    roots.add(gateway.own.der.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    let door = gateway.doors[LOBBY];
    let session = ClientConnection::new(Arc::new(config), ServerName::from(door.ip())).unwrap();
    let mut stream = StreamOwned::new(session, TcpStream::connect(door).unwrap());
    let request = client::request("POST", "/onvif/device_service", &[SOAP], envelope("", &users).as_bytes());
    let outcome = stream.write_all(&request).and_then(|()| stream.read_to_end(&mut Vec::new()));
    assert!(outcome.unwrap_err().to_string().contains("DecryptError"), "the handshake was refused");
}

fn password_text((name, password): User) -> String {
    format!(
        "<w:Security xmlns:w=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd\">\
         <w:UsernameToken><w:Username>{name}</w:Username><w:Password Type=\"http://docs.oasis-open.org/wss/2004/01/\
         oasis-200401-wss-username-token-profile-1.0#PasswordText\">{password}</w:Password></w:UsernameToken>\
         </w:Security>"
    )
}

fn basic((name, password): User) -> Vec<u8> {
    let authorization =
        format!("Authorization: Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")));
    let body = envelope("", &tds("GetUsers"));
    client::request("POST", "/onvif/device_service", &[SOAP, &authorization], body.as_bytes())
}

#[test]
fn a_password_in_clear_is_taken_over_tls_only_and_only_if_that_is_switched_on() {
    let wrong = (ADMIN.0, "wrong");
    for on in [true, false] {
        let gateway = Secured::open(on, &[]);
        let house = &gateway.house;
        let token = |user| envelope(&password_text(user), &tds("GetUsers"));
        let post = |user| client::request("POST", "/onvif/device_service", &[SOAP], token(user).as_bytes());
        let refused = |reply: &Reply, told: &str| {
            assert_eq!(reply.fault(), "Sender/ter:NotAuthorized", "{told}: {}", reply.text());
            let intent = &house.record_at(LOBBY, reply).intent;
            assert_eq!(intent["decision"], "denied");
            assert!(intent["note"].as_str().unwrap().contains(told), "{intent}");
        };
        for (bytes, method, told) in [
            (basic(ADMIN), "basic", "HTTP Basic is refused"),
            (post(ADMIN), "wsse-text", "PasswordText is refused"),
        ] {
            refused(&client::send(house.door(LOBBY), &bytes), told);
            let over_tls = gateway.send(LOBBY, None, &bytes);
            if !on {
                refused(&over_tls, told);
                continue;
            }
            assert_eq!(over_tls.status, 200, "{}", over_tls.text());
            let who = &house.record_at(LOBBY, &over_tls).intent["who"];
            assert_eq!((&who["name"], &who["method"]), (&ADMIN.0.into(), &method.into()));
        }
        if on {
            for bytes in [basic(wrong), post(wrong)] {
                refused(&gateway.send(LOBBY, None, &bytes), "the password is wrong");
            }
        }
        let challenged = gateway.ask(LOBBY, None, "device", "", &tds("GetUsers"));
        let offers =
            |reply: &Reply| reply.header_values("www-authenticate").iter().any(|it| it.starts_with("Basic "));
        assert_eq!((challenged.status, offers(&challenged)), (401, on));
        let in_clear = client::ask_anonymously(house.door(LOBBY), "device", &tds("GetUsers"));
        assert_eq!((in_clear.status, offers(&in_clear)), (401, false), "never offered in clear");
    }
}

/// The certificate a new connection is shown.
fn shown(gateway: &Secured, trusted: &Pair) -> Option<Vec<u8>> {
    let mut stream = connect(gateway.doors[LOBBY], &trusted.der, None);
    let handshake = stream.conn.complete_io(&mut stream.sock);
    handshake.ok().map(|_| stream.conn.peer_certificates().unwrap()[0].to_vec())
}

#[test]
fn a_new_certificate_is_taken_up_and_a_broken_one_is_not() {
    let gateway = Secured::open(false, &[]);
    let Secured { house, own, .. } = &gateway;
    let mut open = gateway.connect(LOBBY, None);
    open.conn.complete_io(&mut open.sock).unwrap();
    let renewed = Pair::new(&gateway.doors[LOBBY].ip().to_string());
    renewed.write(house.dir());
    let of = |pair: &Pair| pair.read().whole.to_string();
    let serves = |it: &serde_json::Value, pair: &Pair| {
        it["what"] == "tls-certificate" && it["detail"]["certificate"] == of(pair)
    };
    let records = house.wait_for(|records| records.iter().any(|it| serves(it, &renewed)));
    assert!(records.iter().any(|it| serves(it, own)), "the first is on record too");
    assert_eq!(shown(&gateway, &renewed), Some(renewed.der.to_vec()));
    assert_eq!(shown(&gateway, own), None, "the old one is shown no more");
    let time = envelope("", &tds("GetSystemDateAndTime"));
    let request = client::request("POST", "/onvif/device_service", &[SOAP], time.as_bytes());
    assert_eq!(send(open, &request).status, 200, "a connection that is open goes on");
    // A certificate without its key.
    fs::write(house.dir().join("chain.pem"), Pair::new("other").pem).unwrap();
    let refused = |it: &&serde_json::Value| it["what"] == "tls-certificate-refused";
    let records = house.wait_for(|records| records.iter().any(|it| refused(&it)));
    let reason = &records.iter().find(refused).unwrap()["detail"]["reason"];
    assert!(reason.as_str().unwrap().contains("is not that of the certificate"), "{reason}");
    assert_eq!(shown(&gateway, &renewed), Some(renewed.der.to_vec()), "the one before stays");
    // Gone altogether, and back again.
    fs::remove_file(house.dir().join("chain.pem")).unwrap();
    house.wait_for(|records| records.iter().filter(refused).count() == 2);
    assert_eq!(shown(&gateway, &renewed), Some(renewed.der.to_vec()), "the one before stays");
    own.write(house.dir());
    house.wait_for(|records| records.iter().filter(|it| serves(it, own)).count() == 2);
    assert_eq!(shown(&gateway, own), Some(own.der.to_vec()));
}

/// Everything that comes back until the gateway closes.
fn heard(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    // A reset is as good as an end.
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn what_is_no_tls_of_today_gets_no_further_than_the_handshake() {
    let gateway = Secured::open(true, &[]);
    let door = gateway.doors[LOBBY];
    let hello_of = |version: u8| {
        let mut hello = vec![3, version];
        hello.extend([7; 32]);
        // No session, ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 and the renegotiation SCSV, no compression.
        hello.extend([0, 0, 4, 0xc0, 0x2b, 0, 0xff, 1, 0]);
        // ecdsa_secp256r1_sha256, secp256r1, uncompressed points.
        hello.extend([0, 22, 0, 13, 0, 4, 0, 2, 4, 3, 0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0]);
        let length = u8::try_from(hello.len()).unwrap();
        [&[22, 3, 1, 0, length + 4, 1, 0, 0, length], hello.as_slice()].concat()
    };
    // RFC 8446 §6: alert 21, fatal 2, protocol_version 70.
    for version in [0, 1, 2] {
        let answer = heard(client::connect(door, &hello_of(version)));
        assert_eq!((answer[0], &answer[3..]), (21, [0, 2, 2, 70].as_slice()), "3.{version}: {answer:?}");
    }
    let mut today = client::connect(door, &hello_of(3));
    let mut answer = [0; 1];
    today.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [22], "the same with version 1.2 is answered");
    let plain = client::request(
        "POST",
        "/onvif/device_service",
        &[SOAP],
        envelope("", &tds("GetHostname")).as_bytes(),
    );
    let answer = heard(client::connect(door, &plain));
    assert!(!answer.windows(4).any(|it| it == b"HTTP"), "plain HTTP to a TLS door: {answer:?}");
    let hello = heard(client::connect(gateway.house.door(LOBBY), &hello_of(3)));
    assert!(!hello.starts_with(&[22]), "TLS to a plain door: {hello:?}");
    let noise = heard(client::connect(door, &[22, 3, 3, 0xff, 0xff, 1, 0, 0, 0]));
    assert!(noise.is_empty() || noise[0] == 21, "a record longer than records are: {noise:?}");
    assert_eq!(gateway.house.heard(), [], "no camera heard of it");
    let reply = gateway.ask(LOBBY, None, "device", &gateway.token(VIEWER), &tds("GetHostname"));
    assert_eq!(reply.status, 200, "others are served: {}", reply.text());
}
