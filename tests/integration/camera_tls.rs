//! Cameras over TLS: pinned when seen first, refused when they change, and named where rustls cannot speak with
//! them.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use cordon::auth::Certificate;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer};
use serde_json::Value;

use crate::{
    client::{self, Reply, tds, trt, trt_with},
    house::{ADMIN, House, LOBBY, OPERATOR},
    reload::BY,
};

/// What a camera shows: a certificate it signed itself, for no name, as openssl makes them by default.
pub struct Shown {
    pub config: Arc<ServerConfig>,
    pub certificate: Certificate,
}

impl Shown {
    pub fn new() -> Self {
        Self::with(&KeyPair::generate().unwrap(), 2021)
    }

    /// One that has expired, too.
    fn with(key: &KeyPair, until: i32) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let made = params.self_signed(key).unwrap();
        let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.der().clone()], secret)
            .unwrap();
        Self { config: Arc::new(config), certificate: Certificate::read(made.der()).unwrap() }
    }
}

/// A house whose lobby camera is reached over TLS, which `keys` of the configuration may say more about.
pub fn house(shown: &Shown, keys: &str) -> House {
    let mut house = House::open();
    house.camera(LOBBY).set_tls(Some(Arc::clone(&shown.config)));
    house.reconfigure(|text| with_keys(&text, &format!("tls = true\n{keys}")));
    house
}

fn with_keys(text: &str, keys: &str) -> String {
    let head = "[[camera]]\nname = \"lobby\"\n";
    assert!(text.contains(head), "{text}");
    text.replacen(head, &format!("{head}{keys}\n"), 1)
}

/// Something only the camera can answer.
fn ask(house: &House) -> Reply {
    client::ask(house.door(LOBBY), "media", ADMIN, &trt("GetProfiles"))
}

/// That a command failed for a reason, and that the camera heard nothing of it.
fn refused(house: &House, told: &str) {
    house.camera(LOBBY).clear_log();
    let asked = client::ask(house.door(LOBBY), "device", ADMIN, &tds("GetSystemUris"));
    assert_eq!(asked.fault(), "Receiver/ter:Action", "{told}: {}", asked.text());
    let outcome = house.outcome(LOBBY, asked.source);
    assert!(outcome["note"].as_str().unwrap().contains(told), "{told}: {outcome}");
    assert_eq!(house.camera(LOBBY).log(), [], "{told}: nothing was sent");
}

/// That a command is denied because another device may be there.
fn quarantined(house: &House) {
    house.camera(LOBBY).clear_log();
    let asked = client::ask(house.door(LOBBY), "device", ADMIN, &tds("GetSystemUris"));
    assert_eq!(asked.fault(), "Sender/ter:OperationProhibited", "{}", asked.text());
    assert_eq!(house.record(&asked).policies(), ["sites.quarantine"]);
    assert_eq!(house.camera(LOBBY).log(), [], "nothing was sent");
}

/// The certificates of events of one kind, oldest first.
pub fn events(records: &[Value], what: &str) -> Vec<String> {
    let of = |it: &&Value| it["what"] == what && it["camera"] == "lobby";
    records.iter().filter(of).map(|it| it["detail"]["certificate"].as_str().unwrap().to_owned()).collect()
}

/// Runs `cordon pins` on the configuration of a house.
fn pins(house: &House, more: &[&str]) -> String {
    let config = house.dir().join("cordon.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
    command.args(["pins", "--config"]).arg(&config).args(more);
    // In a house a secret is found under its own text.
    let text = fs::read_to_string(&config).unwrap();
    for name in text.split("{ env = \"").skip(1).map(|it| it.split('"').next().unwrap()) {
        command.env(name, name);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_camera_is_pinned_when_seen_first_and_no_other_is_told_anything() {
    let key = KeyPair::generate().unwrap();
    let (first, renewed, other) = (Shown::with(&key, 2021), Shown::with(&key, 2090), Shown::new());
    let mut house = house(&first, "");
    let of = |shown: &Shown| shown.certificate.whole.to_string();
    let reply = ask(&house);
    assert_eq!(reply.status, 200, "{}", reply.text());
    // The camera says `http://` of its picture, and is asked over TLS all the same.
    let asked = trt_with("GetSnapshotUri", "<x:ProfileToken>profile_1_h264</x:ProfileToken>");
    let uri = client::ask(house.door(LOBBY), "media", OPERATOR, &asked).element("Uri").unwrap();
    let path = uri.strip_prefix(&format!("http://{}", house.door(LOBBY))).unwrap();
    let picture = client::send_with_digest(house.door(LOBBY), "GET", path, OPERATOR, "SHA-256", "");
    assert_eq!((picture.status, &picture.body[..2]), (200, [0xff, 0xd8].as_slice()));
    assert_eq!(events(&house.records(), "camera-certificate-pinned"), [of(&first)]);
    // The pin outlives a restart, and a renewal that keeps the key.
    house.camera(LOBBY).set_tls(Some(Arc::clone(&renewed.config)));
    house.restart();
    assert_eq!(ask(&house).status, 200);
    // No TLS at all, and another key: then nobody is served until somebody has decided.
    house.camera(LOBBY).set_tls(None);
    house.restart();
    refused(&house, "it answers something that is not TLS");
    house.camera(LOBBY).set_tls(Some(Arc::clone(&other.config)));
    refused(&house, "another certificate than before");
    quarantined(&house);
    let records = house.records();
    let distrusted = |it: &&Value| it["what"] == "alarm-raised" && it["detail"]["id"] == "camera-distrusted";
    let found: Vec<_> = records.iter().filter(distrusted).map(|it| it["detail"]["subject"].clone()).collect();
    assert_eq!(found, ["camera lobby"]);
    assert_eq!(events(&records, "camera-certificate-refused"), [of(&other)]);
    assert_eq!(events(&records, "camera-certificate-pinned"), [of(&first)]);
    // To forget the pin decides nothing.
    assert!(pins(&house, &[]).contains(&format!("lobby: key {}", first.certificate.key)));
    assert!(pins(&house, &["--forget", "lobby"]).starts_with("forgotten"));
    house.restart();
    quarantined(&house);
    // What is accepted is the certificate that was seen, and no third one.
    let third = Shown::new();
    house.camera(LOBBY).set_tls(Some(Arc::clone(&third.config)));
    let accepted = house.reloader().accept(&BY, "lobby", "it was given another certificate").unwrap();
    let device = accepted.device.unwrap().to_string();
    assert_eq!(device, format!("key {}, certificate {}", other.certificate.key, of(&other)));
    assert!(pins(&house, &[]).contains(&of(&other)));
    refused(&house, "another certificate than before");
    quarantined(&house);
    house.camera(LOBBY).set_tls(Some(Arc::clone(&other.config)));
    house.reloader().accept(&BY, "lobby", "the third one, by mistake").unwrap();
    refused(&house, "another certificate than before");
    quarantined(&house);
    house.reloader().accept(&BY, "lobby", "the right one again").unwrap();
    assert_eq!(ask(&house).status, 200);
    assert_eq!(
        events(&house.records(), "camera-certificate-pinned"),
        [of(&first)],
        "the others were decided"
    );
    assert_eq!(events(&house.records(), "camera-certificate-refused"), [of(&other), of(&third), of(&other)]);
}

#[test]
fn what_the_configuration_says_of_a_certificate_counts_in_place_of_a_pin() {
    let (right, wrong) = (Shown::new(), Shown::new());
    let keys = |shown: &Shown| format!("key_sha256 = [\"{}\"]", shown.certificate.key);
    let mut house = house(&right, &keys(&wrong));
    refused(&house, "another certificate than before");
    house.reconfigure(|text| text.replace(&keys(&wrong), &keys(&right)));
    assert_eq!(ask(&house).status, 200);
    assert_eq!(events(&house.records(), "camera-certificate-pinned"), Vec::<String>::new());
    assert_eq!(pins(&house, &[]), "");
}

/// `openssl s_server` in the camera's place.
struct Openssl {
    child: Child,
    address: String,
}

impl Openssl {
    fn start(dir: &Path, bits: &str, more: &[&str]) -> Self {
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.2.12:0", "-rev", "-cert", &format!("v1-{bits}.pem")])
            .args(["-key", &format!("key-{bits}.pem")])
            .args(more)
            .current_dir(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| Some(line.unwrap().strip_prefix("ACCEPT ")?.to_owned())).unwrap();
        // Whoever stops reading stops a server that goes on writing.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }
}

impl Drop for Openssl {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

/// Certificates of X.509 version 1, signed by themselves.
fn old_certificates(dir: &Path) {
    let run = |line: &str| {
        let output = Command::new("openssl").args(line.split(' ')).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    for bits in ["1024", "2048"] {
        run(&format!("genrsa -out key-{bits}.pem {bits}"));
        run(&format!("req -new -key key-{bits}.pem -subj /CN=camera -out {bits}.csr"));
        run(&format!("x509 -req -in {bits}.csr -signkey key-{bits}.pem -out v1-{bits}.pem"));
    }
}

#[test]
fn old_cameras_are_reached_where_that_can_be_and_named_where_it_cannot() {
    if Command::new("openssl").arg("version").output().is_err() {
        crate::skips::skipped("openssl is not installed, so no old camera could be played");
        return;
    }
    let old = tempfile::tempdir().unwrap();
    old_certificates(old.path());
    let weak = "DEFAULT@SECLEVEL=0";
    let cases: [(&str, &[&str], Option<&str>); 11] = [
        ("2048", &["-tls1_2"], None),
        ("2048", &["-tls1_3"], None),
        ("2048", &["-tls1_2", "-cipher", weak, "-sigalgs", "RSA+SHA1"], None),
        ("1024", &["-tls1_2", "-cipher", weak, "-sigalgs", "RSA+SHA256"], None),
        // These would rather sign by RSA-PSS, which cannot be checked with so short a key.
        ("1024", &["-tls1_2", "-cipher", weak], None),
        ("1024", &["-cipher", weak], None),
        (
            "1024",
            &["-tls1_2", "-cipher", weak, "-sigalgs", "RSA-PSS+SHA256"],
            Some("does not sign with it by"),
        ),
        ("2048", &["-tls1_1", "-cipher", weak], Some("it speaks no version from 1.2 on")),
        ("2048", &["-tls1", "-cipher", weak], Some("it speaks no version from 1.2 on")),
        ("2048", &["-tls1_2", "-cipher", "AES128-GCM-SHA256"], Some("it shares no cipher suite")),
        ("2048", &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"], Some("it shares no cipher suite")),
    ];
    let mut house = House::open();
    let enrolled = format!("address = \"{}\"", house.camera(LOBBY).address());
    house.reconfigure(|text| with_keys(&text, "tls = true"));
    let mut address = enrolled;
    for (bits, options, told) in cases {
        let server = Openssl::start(old.path(), bits, options);
        pins_forgotten(&house);
        let before = events(&house.records(), "camera-certificate-pinned").len();
        house.reconfigure(|text| {
            assert!(text.contains(&address), "{address}: {text}");
            let next = format!("address = \"{}\"", server.address);
            let text = text.replacen(&address, &next, 1);
            address = next;
            text
        });
        let reply = client::ask(house.door(LOBBY), "device", ADMIN, &tds("GetSystemUris"));
        let note = house.outcome(LOBBY, reply.source)["note"].clone();
        let note = note.as_str().unwrap();
        let pinned = events(&house.records(), "camera-certificate-pinned").len() - before;
        match told {
            // What openssl answers (each line reversed) is no HTTP; TLS brought it here.
            None => assert!(pinned == 1 && note.contains("not valid HTTP"), "{bits} {options:?}: {note}"),
            Some(told) => assert!(pinned == 0 && note.contains(told), "{bits} {options:?}: {note}"),
        }
    }
}

/// Forgets the lobby camera's pin, if it has one.
fn pins_forgotten(house: &House) {
    if pins(house, &[]).contains("lobby") {
        pins(house, &["--forget", "lobby"]);
    }
}
