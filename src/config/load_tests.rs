use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process};

use super::*;
use crate::auth::{Fingerprint, KnownCertificate};

const EXAMPLE: &str = include_str!("../../config/cordon.example.toml");
/// A password as somebody might write it into a configuration.
const LITERAL: &str = "hunter2";

/// A folder with the example's secrets.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir(folder.path("secrets")).unwrap();
        fs::create_dir(folder.path("bare")).unwrap();
        for (name, mode) in [
            ("gate", 0o600),
            ("lobby", 0o600),
            ("vms", 0o640),
            ("security-office", 0o600),
            ("reception", 0o600),
            ("open", 0o644),
        ] {
            folder.secret(name, mode, format!("{name}-secret\n").as_bytes());
        }
        folder.secret("empty", 0o600, b"\n");
        folder.secret("two-lines", 0o600, b"a\nb\n");
        folder.secret("longest", 0o600, &[b'a'; 1_024]);
        folder.secret("too-long", 0o600, &[b'a'; 1_025]);
        let made = process::Command::new("mkfifo").arg(folder.path("secrets/pipe")).status();
        assert!(made.unwrap().success());
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn secret(&self, name: &str, mode: u32, bytes: &[u8]) {
        let path = self.path("secrets").join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn load(&self, text: &str) -> Result<Loaded, Vec<Diagnostic>> {
        let path = self.path("cordon.toml");
        fs::write(&path, text).unwrap();
        load(&path, &|name| (name == "SET").then(|| "from-environment".to_owned()))
    }

    /// Every error, as `line:column: message (remedy)`.
    fn errors(&self, text: &str) -> Vec<String> {
        let prefix = format!("{}:", self.path("cordon.toml").display());
        let found = self.load(text).unwrap_err();
        found
            .iter()
            .map(|one| one.to_string().replace(&prefix, "").replace(&*self.0.path().to_string_lossy(), "DIR"))
            .collect()
    }
}

/// The example with a change in it, and where the change is: `line:column` of `at` after it.
fn changed(from: &str, to: &str, at: &str) -> (String, String) {
    assert!(EXAMPLE.contains(from), "the example no longer holds {from}");
    let text = EXAMPLE.replacen(from, to, 1);
    let start = EXAMPLE.find(from).unwrap();
    let start = EXAMPLE[..start].rfind('\n').map_or(0, |end| end + 1);
    let offset = start + text[start..].find(at).unwrap_or_else(|| panic!("{at} is not in {to}"));
    let line = text[..offset].matches('\n').count() + 1;
    let column = offset - text[..offset].rfind('\n').map_or(0, |end| end + 1) + 1;
    (text, format!("{line}:{column}"))
}

/// A remedy with the number of the line on which a text ends in the example, for `on line {text}`.
fn with_lines(remedy: &str) -> String {
    let Some((before, text)) = remedy.strip_suffix('}').and_then(|it| it.split_once("on line {")) else {
        return remedy.to_owned();
    };
    let end = EXAMPLE.find(text).unwrap() + text.len();
    format!("{before}on line {}", EXAMPLE[..end].matches('\n').count() + 1)
}

#[test]
fn the_example_loads() {
    let loaded = Folder::new().load(EXAMPLE).unwrap();
    let cameras: Vec<_> = loaded
        .inventory
        .cameras()
        .map(|it| (it.id.as_str(), it.vendor.class.as_str(), it.address.to_string(), it.advertise.as_str()))
        .collect();
    assert_eq!(
        cameras,
        [
            ("gate", "restricted", "192.0.2.10:80".to_owned(), "127.0.0.1:8081"),
            ("lobby", "trusted", "198.51.100.20:8000".to_owned(), "127.0.0.1:8082"),
        ]
    );
    let roles: Vec<_> = loaded.clients.iter().map(|it| it.role.as_str()).collect();
    assert_eq!(roles, ["Operator", "Administrator", "User"]);
    assert_eq!((loaded.inventory.zones().count(), loaded.inventory.networks().len()), (2, 2));
    assert_eq!(loaded.logins.values().next().unwrap().password.expose(), "gate-secret");
    assert_eq!(loaded.warnings, []);
}

#[test]
fn what_the_example_leaves_out_can_be_put_in() {
    let folder = Folder::new();
    fs::write(folder.path("bare/a.cedar"), "").unwrap();
    let mut text = EXAMPLE.replace("# dir = \"policies\"", "dir = \"bare\"");
    for line in [
        "# threads",
        "# advertise",
        "# [policy]",
        "# manufacturer",
        "# model",
        "# keep_days",
        "# reserve_bytes",
        "# quirks",
        "# mode = \"observe\"",
        "# observe_until",
    ] {
        assert!(text.contains(line), "{line}");
        text = text.replace(line, line.trim_start_matches("# "));
    }
    let loaded = folder.load(&text).unwrap();
    let camera = loaded.inventory.cameras().next().unwrap();
    assert_eq!(
        (camera.advertise.as_str(), camera.model.as_deref()),
        ("cctv.example.org:8081", Some("Virtual camera"))
    );
    let quirks: Vec<_> = camera.quirks.iter().map(|it| (it.quirk.as_str(), it.used)).collect();
    assert_eq!(quirks, [("soap-11-only", true), ("closes-silently", false)]);
    assert_eq!((loaded.threads, loaded.policy_dir), (Some(4), Some(folder.path("bare"))));
    let kept = (loaded.retention.keep.unwrap().as_secs() / 86_400, loaded.retention.reserve_bytes);
    assert_eq!(kept, (365, Some(50_000_000_000)));
    assert_eq!(loaded.observe_until, "2026-12-31".parse().ok());
    let told: Vec<_> = loaded.warnings.iter().map(|it| it.message.as_str()).collect();
    let banner = "observe mode: until 2026-12-31 (UTC) some commands that policy denies are let through and recorded \
                  as observed";
    assert_eq!(told, [banner]);
}

#[test]
fn a_camera_listens_at_an_address_of_its_own() {
    let folder = Folder::new();
    let load = |from: &str, to: &str| {
        assert!(EXAMPLE.contains(from), "{from}");
        let loaded = folder.load(&EXAMPLE.replacen(from, to, 1)).unwrap();
        loaded.inventory.cameras().map(|it| (it.listen.to_string(), it.advertise.clone())).collect::<Vec<_>>()
    };
    let of = |listen: &str| (listen.to_owned(), listen.to_owned());
    let gate = of("127.0.0.1:8081");
    let port = load("listen_port = 8082", "listen_address = \"127.0.0.9\"");
    assert_eq!(port, [gate.clone(), of("127.0.0.9:80")]);
    let both = load("listen_port = 8082", "listen_address = \"2001:db8::9\"\nlisten_port = 8090");
    assert_eq!(both, [gate, of("[2001:db8::9]:8090")]);
}

/// Change the example, and exactly this is told: at `at`, with this message and this remedy.
const WRONG: &[(&str, &str, &str, &str, &str)] = &[
    // Secrets.
    (
        "{ file = \"secrets/gate\" }",
        "\"hunter2\"",
        "\"hunter2\"",
        "a secret must not stand in the configuration",
        "put it into a file of mode 0600 and write password = { file = \"PATH\" }, { env = \"NAME\" } or { credential = \"NAME\" }",
    ),
    (
        "{ file = \"secrets/gate\" }",
        "{ text = \"hunter2\" }",
        "{ text",
        "`text` is no way to refer to a secret",
        "write password = { file = \"PATH\" }, { env = \"NAME\" } or { credential = \"NAME\" }",
    ),
    (
        "{ file = \"secrets/gate\" }",
        "{ env = \"UNSET\" }",
        "{ env",
        "environment variable UNSET is not set",
        "set it before the gateway starts",
    ),
    (
        "{ file = \"secrets/gate\" }",
        "{ credential = \"gate\" }",
        "{ cred",
        "credential gate is not there: systemd passed no credentials",
        "add LoadCredential=gate:PATH to the service unit",
    ),
    (
        "secrets/gate",
        "secrets/none",
        "{ file",
        "cannot read the secret file DIR/secrets/none: No such file or directory (os error 2)",
        "create it with mode 0600, owned by the gateway's user",
    ),
    (
        "secrets/gate",
        "secrets/open",
        "{ file",
        "the secret file DIR/secrets/open is open to everybody (mode 0644)",
        "run chmod 600 DIR/secrets/open",
    ),
    (
        "secrets/gate",
        "secrets/pipe",
        "{ file",
        "the secret file DIR/secrets/pipe is no file",
        "put the password into a file of mode 0600",
    ),
    (
        "secrets/gate",
        "secrets",
        "{ file",
        "the secret file DIR/secrets is no file",
        "put the password into a file of mode 0600",
    ),
    (
        "secrets/gate",
        "secrets/empty",
        "{ file",
        "the secret file DIR/secrets/empty is empty",
        "put the password into it",
    ),
    (
        "secrets/gate",
        "secrets/too-long",
        "{ file",
        "the secret file DIR/secrets/too-long is longer than 1024 bytes",
        "use a shorter password",
    ),
    (
        "secrets/gate",
        "secrets/two-lines",
        "{ file",
        "the secret file DIR/secrets/two-lines holds more than one line, or control characters",
        "put the password alone into it",
    ),
    // Sections.
    (
        "[admin]",
        "[[absorb]]\noperations = []\n[admin]",
        "[]",
        "this absorbs nothing",
        "list operations such as \"tds:SetNTP\", or remove the section",
    ),
    (
        "[admin]",
        "[[absorb]]\noperations = [\"tds:SetNTP\", \"tds:SetUser\"]\n[admin]",
        "\"tds:SetUser\"",
        "`tds:SetUser` is about users and passwords, which are managed in Cordon",
        "take it out: who changes a password must learn that it did not change",
    ),
    (
        "[admin]",
        "[[absorb]]\noperations = [\"trt:CreateProfile\"]\n[admin]",
        "\"trt:CreateProfile\"",
        "`trt:CreateProfile` has an answer that cannot be empty",
        "take it out: only writes without an answer can be absorbed",
    ),
    (
        "[admin]",
        "[[absorb]]\noperations = [\"tds:GetDPAddresses\"]\n[admin]",
        "\"tds:GetDPAddresses\"",
        "`tds:GetDPAddresses` has an answer that cannot be empty",
        "take it out: only writes without an answer can be absorbed",
    ),
    (
        "[admin]",
        "[[absorb]]\noperations = [\"SetNTP\"]\n[admin]",
        "\"SetNTP\"",
        "there is no operation `SetNTP`",
        "write it with its prefix, as tds:SetNTP",
    ),
    (
        "[admin]",
        "[[absorb]]\noperations = [\"tds:SetNTP\"]\nclients = [\"nobody\"]\n[admin]",
        "\"nobody\"",
        "there is no client `nobody`",
        "correct the name, or add a [[client]] of that name",
    ),
    (
        "[admin]",
        "[discovery]\nlisten = [\"10.1.0.0/24\"]\n[admin]",
        "\"10.1.0.0/24\"",
        "10.1.0.0/24 is no address of the gateway",
        "write its own address and the length: 10.1.0.5/24",
    ),
    (
        "[admin]",
        "[discovery]\nlisten = [\"192.0.2.1/24\"]\n[admin]",
        "\"192.0.2.1/24\"",
        "192.0.2.1/24 is the gateway's in a zone",
        "virtual cameras are found on the core side alone",
    ),
    (
        "[admin]",
        "[discovery]\nlisten = [\"10.1.0.5/24\", \"10.1.0.5/16\"]\n[admin]",
        "\"10.1.0.5/16\"",
        "10.1.0.5/16 stands there twice",
        "remove one",
    ),
    (
        "[admin]",
        "[discovery]\nport = 3703\n[admin]",
        "3703",
        "nothing is answered at this port",
        "add listen = [\"10.1.0.5/24\"], addresses of the gateway on the core side",
    ),
    (
        "address = [\"192.0.2.1/24\"]",
        "sweep = [\"198.51.100.0/24\"]\naddress = [\"192.0.2.1/24\"]",
        "\"198.51.100.0/24\"",
        "198.51.100.0/24 is not in the zone's prefixes",
        "sweep networks of the zone alone, or add it to prefixes",
    ),
    (
        "address = [\"192.0.2.1/24\"]",
        "sweep = [\"fe80::/120\"]\naddress = [\"192.0.2.1/24\"]",
        "[\"fe80::/120\"]",
        "fe80::/120 is on every link, and does not say on which",
        "leave it out: cameras there are found by what everybody is asked",
    ),
    (
        "[admin]",
        "[vault]\n[admin]",
        "vault",
        "there is no section `vault`",
        "use one of gateway, listener, admin, audit, netd, discovery, policy, vendors, network, client, site, zone, camera, absorb, exception, mqtt",
    ),
    (
        "name = \"Cordon\"",
        "name = \"Our gateway\"",
        "\"Our",
        "`Our gateway` is no name for a gateway",
        "use 1 to 63 characters without blanks and `+`",
    ),
    (
        "# threads = 4",
        "threads = 0",
        "0",
        "a gateway without threads serves nobody",
        "leave it out for one per core",
    ),
    (
        "# keep_days = 365",
        "keep_days = 0",
        "0",
        "records cannot be kept for that long",
        "give 1 to 36500 days, or leave it out to delete nothing by age",
    ),
    (
        "# reserve_bytes = 50_000_000_000",
        "reserve_bytes = 268435455",
        "268435455",
        "that is too little disk space for the audit log",
        "reserve at least 268435456 bytes, or leave it out to delete nothing by size",
    ),
    (
        "bind = \"127.0.0.1\"",
        "bind = \"gateway\"",
        "\"gateway\"",
        "`gateway` is no IP address",
        "write the gateway's core-side address",
    ),
    (
        "bind = \"127.0.0.1\"",
        "bind = \"0.0.0.0\"",
        "\"0.0",
        "clients cannot call 0.0.0.0",
        "set advertise to the host name or address clients are to use",
    ),
    (
        "# advertise = \"",
        "advertise = \"http://",
        "\"http",
        "`http://cctv.example.org` is no host",
        "write a host name or IP address alone: scheme, port and path are added per camera",
    ),
    ("rtsp_port = 8554", "rtsp_port = 0", "0", "0 is no port", "leave it out for 8554"),
    (
        "127.0.0.1:9080",
        "0.0.0.0:9080",
        "\"0.0.0.0",
        "the admin interface listens on loopback only",
        "write \"127.0.0.1:port\" or the path of a unix socket",
    ),
    (
        "[[network]]",
        "[policy]\nmode = \"observe\"\n[[network]]",
        "\"observe\"",
        "observe mode must have an end",
        "add its last day, as observe_until = \"2026-12-31\"",
    ),
    (
        "[[network]]",
        "[policy]\nmode = \"observe\"\nobserve_until = \"soon\"\n[[network]]",
        "\"soon\"",
        "`soon` is no day",
        "write the last day of observe mode, as \"2026-12-31\"",
    ),
    (
        "[[network]]",
        "[policy]\nobserve_until = \"2026-12-31\"\n[[network]]",
        "\"2026-12-31\"",
        "observe_until is for observe mode",
        "remove it, or set mode = \"observe\"",
    ),
    (
        "[[network]]",
        "[policy]\nmode = \"watch\"\n[[network]]",
        "\"watch\"",
        "`watch` is no mode of policy",
        "write \"enforce\" or \"observe\"",
    ),
    (
        "[[network]]",
        "[policy]\ndir = \"none\"\n[[network]]",
        "\"none\"",
        "cannot read the policy folder DIR/none: No such file or directory (os error 2)",
        "copy the files of config/policies there, or leave [policy] out for the shipped ones",
    ),
    (
        "[[network]]",
        "[policy]\ndir = \"bare\"\n[[network]]",
        "\"bare\"",
        "the folder DIR/bare holds no .cedar file",
        "copy the files of config/policies there, or leave [policy] out for the shipped ones",
    ),
    // Names.
    (
        "name = \"time\"",
        "name = \"vms\"",
        "\"vms\"",
        "there are two networks named `vms`",
        "rename one; the first stands on line {name = \"vms\"}",
    ),
    (
        "name = \"time\"",
        "name = \"other\"",
        "\"other\"",
        "`other` is every address that is in no network",
        "choose another name",
    ),
    (
        "name = \"security-office\"",
        "name = \"vms\"",
        "\"vms\"",
        "there are two clients named `vms`",
        "rename one; the first stands on line {[[client]]\nname = \"vms\"}",
    ),
    (
        "name = \"security-office\"",
        "name = \"Security\"",
        "\"Security\"",
        "`Security` is no valid name: use 1 to 63 of `a-z 0-9 - _ .`, beginning with a letter or digit",
        "use lower-case letters, digits, `-`, `_` and `.`",
    ),
    (
        "zone = \"restricted\"",
        "zone = \"lost\"",
        "\"lost\"",
        "there is no zone `lost`",
        "correct the name, or add a [[zone]] of that name",
    ),
    (
        "site = \"depot\"",
        "site = \"lost\"",
        "\"lost\"",
        "there is no site `lost`",
        "correct the name, or add a [[site]] of that name",
    ),
    (
        "[\"gate\", \"lobby\"]",
        "[\"gate\", \"yard\"]",
        "\"yard\"",
        "there is no camera `yard`",
        "correct the name, or add a [[camera]] of that name",
    ),
    (
        "camera = \"gate\"\nowner",
        "camera = \"gat\"\nowner",
        "\"gat\"",
        "there is no camera `gat`",
        "correct the name, or add a [[camera]] of that name",
    ),
    (
        "camera = \"gate\"\nowner = \"A. Owner, estates\"\n",
        "camera = \"gate\"\n",
        "\"gate\"\nreason",
        "an exception needs its `owner`",
        "name who answers for it",
    ),
    (
        "owner = \"A. Owner, estates\"\n",
        "owner = \" \"\n",
        "\" \"",
        "an exception needs its `owner`",
        "name who answers for it",
    ),
    (
        "camera = \"gate\"\nowner = \"A. Owner, estates\"\nreason = \"replacement ordered\"\nuntil = \"2027-03-31\"\n",
        "camera = \"gate\"\nowner = \"A. Owner, estates\"\nreason = \"replacement ordered\"\n",
        "\"gate\"\nowner",
        "an exception needs its `until`",
        "write its last day (UTC), as until = \"2026-12-31\"",
    ),
    (
        "until = \"2027-03-31\"\n",
        "until = \"2027-02-29\"\n",
        "\"2027-02-29\"",
        "`2027-02-29` is no day",
        "write the last day (UTC), as \"2026-12-31\"",
    ),
    // Values.
    (
        "mac = ",
        "mack = ",
        "mack",
        "unknown field `mack`, expected one of `name`, `address`, `hardware_address`, `tls`, `certificate_sha256`, `key_sha256`, `device_path`, `zone`, `site`, `vendor`, `vendor_decision`, `username`, `password`, `listen_address`, `listen_path`, `listen_port`, `tls_port`, `mac`, `events`, `unknown_codecs`, `streams_begin`, `plain_streams`, `rtsps_port`, `manufacturer`, `model`, `quirks`, `replacement`, `replace_by`",
        "compare the section with cordon.example.toml",
    ),
    (
        "sensitive = true",
        "sensitive = 1",
        "1",
        "invalid type: integer `1`, expected a boolean",
        "compare the section with cordon.example.toml",
    ),
    (
        "\"namespace\"\n",
        "\"vlan\"\n",
        "\"vlan\"",
        "`vlan` is no isolation",
        "write \"namespace\", or \"none\" for tests",
    ),
    // The gateway's leg in a zone.
    (
        "isolation = \"namespace\"\nprefixes = [\"192.0.2.0/24\"]\ninterface = \"eth1\"  ",
        "isolation = \"namespace\"\nprefixes = [\"192.0.2.0/24\"]\n# ",
        "\"namespace\"",
        "zone `restricted` has no interface",
        "add interface = \"eth1\", or parent = \"eth1\" and vlan = 20 for one tag of it",
    ),
    (
        "interface = \"eth2\"",
        "interface = \"eth1\"",
        "\"eth1\"\naddress = [\"198",
        "zone `restricted` is on `eth1` too",
        "give each zone an interface, or a VLAN tag, of its own",
    ),
    (
        "interface = \"eth2\"",
        "parent = \"eth1\"\nvlan = 20",
        "\"eth1\"\nvlan",
        "zone `restricted` is on `eth1` too",
        "give each zone an interface, or a VLAN tag, of its own",
    ),
    (
        "interface = \"eth2\"",
        "parent = \"eth2\"\nvlan = 4095",
        "4095",
        "4095 is no VLAN tag",
        "write 1 to 4094",
    ),
    (
        "interface = \"eth2\"",
        "interface = \"eth2\"\nvlan = 5",
        "\"eth2\"\nvlan",
        "a zone has an interface of its own or a tag of another, not both",
        "remove interface, or parent and vlan",
    ),
    (
        "interface = \"eth2\"",
        "parent = \"eth2\"",
        "\"eth2\"",
        "a parent carries a tag",
        "add vlan = 20, or write interface",
    ),
    (
        "interface = \"eth2\"",
        "vlan = 7",
        "7\naddress",
        "a tag needs the interface it comes by",
        "add parent = \"eth1\"",
    ),
    (
        "interface = \"eth2\"",
        "interface = \"-bridge\"",
        "\"-bridge\"",
        "`-bridge` is no interface for a zone",
        "write its name as `ip link` shows it: 1 to 15 letters, digits, `-`, `_` and `.`",
    ),
    (
        "isolation = \"namespace\"\nprefixes = [\"198.51.100.0/24\"]\ninterface = \"eth2\"\naddress = [\"198.51.100.1/24\"]",
        "isolation = \"none\"\nprefixes = [\"198.51.100.0/24\"]\ninterface = \"eth2\"",
        "\"eth2\"",
        "a zone without isolation has no interface of its own",
        "set isolation = \"namespace\", or remove this",
    ),
    (
        "isolation = \"namespace\"\nprefixes = [\"198.51.100.0/24\"]\ninterface = \"eth2\"\naddress = [\"198.51.100.1/24\"]",
        "isolation = \"namespace\"\nprefixes = [\"198.51.100.0/24\"]\ninterface = \"eth2\"",
        "\"namespace\"\nprefixes = [\"198",
        "the gateway has no address in zone `trusted`",
        "add address = [\"192.0.2.1/24\"], an address of the zone that no camera has",
    ),
    (
        "\"198.51.100.1/24\"",
        "\"203.0.113.1/24\"",
        "\"203.0.113.1/24\"",
        "203.0.113.1/24 lies outside the zone's prefixes",
        "correct it, or add its network to prefixes",
    ),
    (
        "\"198.51.100.1/24\"",
        "\"198.51.100.0/24\"",
        "\"198.51.100.0/24\"]\n\n# [netd]",
        "198.51.100.0/24 is a network, no address",
        "write the gateway's own address and the length: 192.0.2.1/24",
    ),
    (
        "[\"198.51.100.0/24\"]\ninterface = \"eth2\"\naddress = [\"198.51.100.1/24\"]",
        "[\"198.51.100.0/24\"]\ninterface = \"eth2\"\naddress = [\"198.51.100.1/28\"]",
        "\"198.51.100.0/24\"",
        "nothing leads to 198.51.100.0/24",
        "give the gateway an address in it, or a router: routes = [{ to = …, via = … }]",
    ),
    (
        "address = [\"198.51.100.1/24\"]",
        "address = [\"198.51.100.1/24\"]\nroutes = [{ to = \"0.0.0.0/0\", via = \"198.51.100.2\" }]",
        "\"0.0.0.0/0\"",
        "0.0.0.0/0 is not in the zone's prefixes",
        "add it to prefixes: a zone has no way to anywhere else",
    ),
    (
        "address = [\"198.51.100.1/24\"]",
        "address = [\"198.51.100.1/24\"]\nroutes = [{ to = \"198.51.100.128/25\", via = \"192.0.2.9\" }]",
        "\"192.0.2.9\"",
        "192.0.2.9 is not next to the gateway",
        "name a router within the network of the gateway's address",
    ),
    (
        "\"192.0.2.1/24\"",
        "\"192.0.2.10/24\"",
        "[\"192.0.2.10/24\"",
        "192.0.2.10, the gateway's in zone `restricted`, is a camera's",
        "give the gateway an address in the zone that no camera has",
    ),
    (
        "[\"198.51.100.0/24\"]\ninterface = \"eth2\"\naddress = [\"198.51.100.1/24\"]",
        "[\"198.51.100.0/24\", \"127.0.0.0/8\"]\ninterface = \"eth2\"\naddress = [\"198.51.100.1/24\", \"127.0.0.1/8\"]",
        "[\"198.51.100.1/24\", ",
        "127.0.0.1, the gateway's in zone `trusted`, is served to clients",
        "give the gateway an address that is the zone's alone",
    ),
    (
        "# user = \"cordon\"   ",
        "[netd]\nuser = true",
        "true",
        "that is no user",
        "write the name or number that `cordon run` runs as",
    ),
    ("\"192.0.2.0/24\"", "\"192.0.2\"", "\"192", "`192.0.2` is no network", "write it as 192.0.2.0/24"),
    (
        "\"192.0.2.10\"",
        "\"cam.local\"",
        "\"cam.local\"",
        "`cam.local` is no IP address",
        "write the camera's IP address, or IP:port; names are not dialled",
    ),
    (
        "\"192.0.2.10\"",
        "\"198.51.100.10\"",
        "\"198",
        "198.51.100.10 lies outside zone `restricted`",
        "correct the address or the zone, or add its network to the zone's prefixes",
    ),
    (
        "\"/onvif/device_service\"",
        "\"onvif\"",
        "\"onvif\"",
        "`onvif` is no path of an HTTP address",
        "write it as /onvif/device_service",
    ),
    (
        "mac = \"virtual\"",
        "mac = \"virtual\"\nhardware_address = \"44:19:b6:00:00\"",
        "\"44:19:b6:00:00\"",
        "`44:19:b6:00:00` is no hardware address of a device",
        "write it as 44:19:b6:00:00:01, as the camera's label has it",
    ),
    (
        "mac = \"virtual\"",
        "mac = \"real\"",
        "\"real\"",
        "`real` is no choice of mac",
        "write \"virtual\" or \"camera\"",
    ),
    (
        "mac = \"virtual\"",
        "plain_streams = true",
        "true",
        "the streams of a camera that is not reached over TLS are in clear anyway",
        "leave plain_streams out, or set tls = true",
    ),
    (
        "mac = \"virtual\"",
        "rtsps_port = 0",
        "0",
        "0 is no port",
        "write the port of the camera's streams over TLS, often 322",
    ),
    (
        "mac = \"virtual\"",
        "tls = true\nplain_streams = true\nrtsps_port = 322",
        "322",
        "the streams of this camera are had in clear",
        "leave rtsps_port out, or set tls = true without plain_streams",
    ),
    (
        "mac = \"virtual\"",
        "unknown_codecs = \"allow\"",
        "\"allow\"",
        "`allow` is no choice of unknown_codecs",
        "write \"refuse\" or \"pass\"",
    ),
    (
        "mac = \"virtual\"",
        "streams_begin = \"now\"",
        "\"now\"",
        "`now` is no choice of streams_begin",
        "write \"next-key-frame\", \"last-key-frame\" or \"asked-key-frame\"",
    ),
    (
        "username = \"cordon\"",
        "username = \"\"",
        "\"\"",
        "the user name is empty",
        "name the camera's user for the gateway",
    ),
    (
        "listen_port = 8082",
        "listen_port = 8081",
        "8081",
        "port 8081 is taken by camera `gate`",
        "give the camera a listen_port that nothing else has",
    ),
    (
        "listen_port = 8082",
        "listen_port = 8554",
        "8554",
        "port 8554 is taken by rtsp_port",
        "give the camera a listen_port that nothing else has",
    ),
    (
        "listen_port = 8082",
        "listen_port = 9080",
        "9080",
        "port 9080 is taken by the admin interface",
        "give the camera a listen_port that nothing else has",
    ),
    (
        "listen_port = 8082",
        "listen_address = \"0.0.0.0\"",
        "\"0.0.0.0\"",
        "`0.0.0.0` is no IP address clients can call",
        "write a core-side address of this machine's, without port",
    ),
    (
        "listen_port = 8082",
        "listen_address = \"127.0.0.9\"\nlisten_port = 8081",
        "8081",
        "port 8081 is taken by camera `gate`",
        "give the camera a listen_port that nothing else has",
    ),
    (
        "listen_port = 8082",
        "listen_port = 0",
        "0",
        "0 is no port",
        "give the camera a listen_port that nothing else has",
    ),
    (
        "role = \"Operator\"",
        "role = \"Boss\"",
        "\"Boss\"",
        "`Boss` is no role",
        "write \"Administrator\", \"Operator\" or \"User\"",
    ),
    (
        "networks = [\"10.1.9.9/32\"]",
        "networks = []",
        "[]",
        "client `reception` may call from nowhere",
        "list the networks it calls from, such as \"10.1.0.0/16\"; \"0.0.0.0/0\" and \"::/0\" are all",
    ),
];

#[test]
fn each_error_is_told_once_at_its_place_with_its_remedy() {
    let folder = Folder::new();
    for (from, to, at, message, remedy) in WRONG {
        let (text, place) = changed(from, to, at);
        let remedy = with_lines(remedy);
        assert_eq!(folder.errors(&text), [format!("{place}: {message} ({remedy})")], "{to}");
    }
}

#[test]
fn errors_are_collected_and_none_follows_from_another() {
    let text = EXAMPLE
        .replace("\"Operator\"", "\"Boss\"")
        .replace("192.0.2.10", "gate.local")
        .replace("secrets/lobby", "secrets/none")
        .replace("bind = \"127.0.0.1\"", "bind = \"core\"")
        .replace("model", "colour = \"white\" #")
        .replace("mac =", "mack =")
        .replace("vendor = \"Axis\"", "vendor = \"Axis\"\nnot_a = 1\nkey = 2");
    let messages: Vec<_> =
        Folder::new().load(&text).unwrap_err().into_iter().map(|one| one.message).collect();
    let begin = |text: &str| messages.iter().filter(|message| message.starts_with(text)).count();
    assert_eq!(begin("unknown field `mack`"), 1, "{messages:#?}");
    assert_eq!(begin("unknown field `not_a`") + begin("unknown field `key`"), 2, "{messages:#?}");
    assert_eq!(
        begin("`gate.local` is no IP") + begin("`core` is no IP") + begin("cannot read the secret"),
        3
    );
    assert_eq!((begin("`Boss` is no role"), messages.len()), (1, 7), "{messages:#?}");
}

#[test]
fn a_section_in_trouble_still_has_its_name() {
    let folder = Folder::new();
    for (from, to) in [
        ("address = \"192.0.2.10\"", "address = 5"),
        ("username = \"cordon\"", ""),
        ("prefixes = [\"192.0.2.0/24\"]", ""),
        ("name = \"restricted\"", "name = 7"),
        ("name = \"gate\"", ""),
    ] {
        let errors = folder.errors(&EXAMPLE.replacen(from, to, 1));
        assert_eq!(errors.len(), 1, "{to}: {errors:#?}");
    }
}

#[test]
fn secrets_come_from_the_environment_and_may_have_1024_bytes() {
    let folder = Folder::new();
    for (to, length) in [("{ env = \"SET\" }", 16), ("{ file = \"secrets/longest\" }", 1_024)] {
        let loaded = folder.load(&EXAMPLE.replacen("{ file = \"secrets/gate\" }", to, 1)).unwrap();
        assert_eq!(loaded.logins.values().next().unwrap().password.expose().len(), length, "{to}");
    }
}

#[test]
fn whoever_needs_no_secrets_reads_none_and_has_no_logins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cordon.toml");
    fs::write(&path, EXAMPLE).unwrap();
    let loaded = load_without_secrets(&path).unwrap();
    assert_eq!((loaded.clients.len(), loaded.logins.len(), loaded.inventory.zones().count()), (0, 0, 2));
    fs::write(&path, EXAMPLE.replacen("{ file = \"secrets/gate\" }", "\"hunter2\"", 1)).unwrap();
    let wrong = load_without_secrets(&path).unwrap_err();
    assert_eq!(wrong[0].message, "a secret must not stand in the configuration");
}

#[test]
fn no_message_shows_a_password_that_stands_in_the_file() {
    let folder = Folder::new();
    for line in [
        "password = \"hunter2\"",
        "password = 'hunter2' # why not",
        "password = \"\"\"\nhunter2\"\"\"",
        "password = \"\"\"\n\\q hunter2\"\"\"",
        "password = [\"hunter2\"]",
        "password = { file = \"secrets/gate\", text = \"hunter2\" }",
        "password = { text = \"hunter2\" }",
        "password.text = \"hunter2\"",
        "passwort = \"hunter2\"",
        "pwd = \"hunter2\"",
        "Password = \"hunter2\"\nzone = 5",
        "password = \"hunter2",
        "password = hunter2",
        "password = hunter2 hunter2",
        "password = \"hunter2\" hunter2",
        "password = \"hunter2\"\npassword = \"hunter2\"",
        "password: hunter2",
        "password \"hunter2\"",
        "password = { text = \"hunter2\"",
        "password = { text = hunter2 }",
        "zone = { password = \"hunter2\" }",
        "secret = [{ name = \"hunter2\" }]",
        "\"\"\"\nhunter2",
    ] {
        let text = EXAMPLE.replacen("password = { file = \"secrets/gate\" }", line, 1);
        let found = folder.load(&text).unwrap_err();
        assert!(!found.is_empty(), "{line}");
        for one in &found {
            for shown in [one.render(), one.to_string(), format!("{one:?}"), format!("{found:#?}")] {
                assert!(!shown.contains(LITERAL), "{line}\n{shown}");
            }
        }
    }
}

#[test]
fn an_error_is_rendered_with_its_line_and_what_may_be_a_secret_masked() {
    let folder = Folder::new();
    let (text, place) = changed("{ file = \"secrets/gate\" }", "\"hunter2\"", "\"");
    let line = place.split(':').next().unwrap();
    let rendered = folder.load(&text).unwrap_err()[0].render();
    let wanted = [
        "error: a secret must not stand in the configuration",
        &format!("cordon.toml:{place}"),
        &format!("{line} | password = ***"),
        "   |            ^^^",
        "help: put it into a file of mode 0600",
    ];
    for part in wanted {
        assert!(rendered.contains(part), "{part}\n{rendered}");
    }
}

#[test]
fn a_file_that_is_not_there_is_told_with_its_name() {
    let folder = Folder::new();
    let found = load(&folder.path("none.toml"), &|_| None).unwrap_err();
    let rendered = found[0].render();
    for part in ["error: cannot read the configuration: No such file", "none.toml", "help: check path"] {
        assert!(rendered.contains(part), "{part}\n{rendered}");
    }
}

#[test]
fn a_broken_vendor_table_ends_the_start() {
    let folder = Folder::new();
    fs::write(folder.path("cordon.toml"), EXAMPLE).unwrap();
    let found =
        load_with(&folder.path("cordon.toml"), Some(&|_| None), &|| Vendors::from_texts(&[("v.toml", "x")]));
    let message = found.unwrap_err()[0].message.clone();
    assert!(message.starts_with("the vendor table of the program cannot be used: v.toml:1"), "{message}");
}

#[test]
fn what_somebody_should_know_is_a_warning() {
    let folder = Folder::new();
    for (from, to, message) in [
        (
            "isolation = \"namespace\"\nprefixes = [\"192.0.2.0/24\"]\ninterface = \"eth1\"         # carries nothing \
             else; or one tag of another: parent = \"eth1\", vlan = 20\naddress = [\"192.0.2.1/24\"]",
            "isolation = \"none\"\nprefixes = [\"192.0.2.0/24\"]",
            "restricted camera `gate` hangs in a zone without isolation",
        ),
        ("\"Hikvision\"", "\"Acme\"", "maker `Acme` is not in the vendor table: treated as restricted"),
        (
            "# unknown_codecs = \"refuse\"",
            "unknown_codecs = \"pass\"",
            "encodings that nobody here can check pass at a restricted camera",
        ),
    ] {
        let loaded = folder.load(&EXAMPLE.replacen(from, to, 1)).unwrap();
        let messages: Vec<_> = loaded.warnings.iter().map(|warning| warning.message.as_str()).collect();
        assert_eq!(messages, [message]);
    }
}

/// The example over TLS, with one text in it for another.
fn over_tls(from: &str, to: &str) -> String {
    let mut text = EXAMPLE.to_owned();
    for line in ["# tls_certificate", "# tls_key", "# clear_passwords"] {
        assert!(text.contains(line), "{line}");
        text = text.replacen(line, line.trim_start_matches("# "), 1);
    }
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

impl Folder {
    fn with_certificate() -> Self {
        let folder = Self::new();
        fs::create_dir(folder.path("tls")).unwrap();
        let made = rcgen::generate_simple_self_signed(["cctv.example.org".to_owned()]).unwrap();
        fs::write(folder.path("tls/chain.pem"), made.cert.pem()).unwrap();
        folder.secret("../tls/key.pem", 0o600, made.signing_key.serialize_pem().as_bytes());
        folder.secret("../tls/open.pem", 0o644, made.signing_key.serialize_pem().as_bytes());
        folder
    }
}

#[test]
fn tls_gives_each_camera_a_door_and_clients_their_certificates() {
    let folder = Folder::with_certificate();
    let digits = "0123456789abcdef".repeat(4);
    let known =
        format!("certificate_sha256 = [\"{digits}\"]\nkey_sha256 = [\"{digits}\"]\nname = \"vms\"\nrole");
    let loaded = folder.load(&over_tls("name = \"vms\"\nrole", &known)).unwrap();
    let doors = |loaded: &Loaded| {
        let of = |it: &Camera| it.secure.clone().map(|it| (it.listen.to_string(), it.advertise));
        loaded.inventory.cameras().map(of).collect::<Vec<_>>()
    };
    let at = |listen: &str, advertise: &str| Some((listen.to_owned(), advertise.to_owned()));
    assert_eq!(
        doors(&loaded),
        [at("127.0.0.1:20443", "127.0.0.1:20443"), at("127.0.0.1:20444", "127.0.0.1:20444")]
    );
    assert_eq!((loaded.tls.is_some(), loaded.clear_passwords), (true, true));
    let fingerprint = Fingerprint::parse(&digits).unwrap();
    let both = [KnownCertificate::Whole(fingerprint), KnownCertificate::Key(fingerprint)];
    assert_eq!((&*loaded.clients[0].certificates, loaded.clients[1].certificates.len()), (&both[..], 0));
    let own = folder.load(&over_tls("# listen_address", "listen_address")).unwrap();
    assert_eq!(doors(&own)[0], at("192.0.2.80:443", "192.0.2.80:443"));
    let named = folder.load(&over_tls("# tls_port = 20443", "tls_port = 9443")).unwrap();
    assert_eq!(doors(&named)[0], at("127.0.0.1:9443", "127.0.0.1:9443"));
    let only = format!("key_sha256 = [\"{digits}\"]\n#");
    let reception = folder.load(&over_tls("password = { file = \"secrets/reception\" }", &only)).unwrap();
    assert!(reception.clients[2].password.is_none() && reception.clients[0].password.is_some());
    let plain = folder.load(EXAMPLE).unwrap();
    assert_eq!((doors(&plain), plain.tls, plain.clear_passwords), (vec![None, None], None, false));
}

#[test]
fn what_is_wrong_about_tls_is_told() {
    let folder = Folder::with_certificate();
    let digits = "0123456789abcdef".repeat(4);
    let twice = format!("key_sha256 = [\"{digits}\", \"{digits}\"]\nname = \"vms\"\nrole");
    for (from, to, told) in [
        ("\"tls/chain.pem\"", "\"tls/none.pem\"", "cannot read `DIR/tls/none.pem`: No such file"),
        ("\"tls/key.pem\"", "\"tls/open.pem\"", "`DIR/tls/open.pem` is open to everybody (mode 0644)"),
        ("\"tls/key.pem\"", "\"tls/chain.pem\"", "is open to everybody"),
        ("tls_key =", "# tls_key =", "a certificate and its key go together"),
        ("# tls_port = 20443", "tls_port = 8081", "port 8081 is taken by camera `gate`"),
        ("# tls_port = 20443", "tls_port = 0", "0 is no port (give the camera a tls_port"),
        ("name = \"vms\"\nrole", "key_sha256 = [\"ab\"]\nname = \"vms\"\nrole", "no SHA-256 fingerprint"),
        ("name = \"vms\"\nrole", &twice, "this certificate is client `vms`'s already"),
        ("password = { file = \"secrets/reception\" }", "", "client `reception` has nothing to log in with"),
    ] {
        let errors = folder.errors(&over_tls(from, to));
        assert!(errors.len() == 1 && errors[0].contains(told), "{to}: {errors:#?}");
    }
    let plain = |from: &str, to: &str| folder.errors(&EXAMPLE.replacen(from, to, 1));
    let known = format!("key_sha256 = [\"{digits}\"]\nname = \"vms\"\nrole");
    for (from, to, told) in [
        ("# clear_passwords", "clear_passwords", "passwords in clear are taken over TLS only"),
        ("# tls_port", "tls_port", "this gateway has no certificate for TLS"),
        ("name = \"vms\"\nrole", &known, "this gateway has no certificate for TLS"),
    ] {
        let errors = plain(from, to);
        assert!(errors.len() == 1 && errors[0].contains(told), "{to}: {errors:#?}");
    }
}

#[test]
fn a_camera_may_be_reached_over_tls() {
    let folder = Folder::new();
    let digits = "0123456789abcdef".repeat(4);
    let camera = |to: &str| {
        let loaded =
            folder.load(&EXAMPLE.replacen("name = \"gate\"", &format!("name = \"gate\"\n{to}"), 1)).unwrap();
        let camera = loaded.inventory.cameras().next().unwrap().clone();
        (camera.address.port, camera.certificates)
    };
    let key = KnownCertificate::Key(Fingerprint::parse(&digits).unwrap());
    for (to, port, certificates) in [
        ("", 80, None),
        ("tls = false", 80, None),
        ("tls = true", 443, Some(vec![])),
        (&*format!("tls = true\nkey_sha256 = [\"{digits}\"]"), 443, Some(vec![key])),
    ] {
        assert_eq!(camera(to), (port, certificates), "{to}");
    }
    let to = format!("name = \"gate\"\nkey_sha256 = [\"{digits}\"]");
    let errors = folder.errors(&EXAMPLE.replacen("name = \"gate\"", &to, 1));
    assert!(errors.len() == 1 && errors[0].contains("this camera is not reached over TLS"), "{errors:#?}");
}

#[test]
fn cameras_may_share_a_port_by_path() {
    let folder = Folder::with_certificate();
    let both = |text: &str, one: &str, other: &str| {
        let text = text.replacen("listen_port = 8081        #", &format!("{one}\n#"), 1);
        text.replacen("listen_port = 8082\n", &format!("{other}\n"), 1)
    };
    let (gate, lobby) = ("listen_path = \"/gate\"", "listen_path = \"/lobby\"");
    let loaded = folder.load(&both(&over_tls("[listener]", "[listener]"), gate, lobby)).unwrap();
    let of = |it: &Camera| {
        let secure = it.secure.as_ref().map(|it| it.advertise.clone());
        (it.mount.clone(), it.listen.to_string(), it.advertise.clone(), secure)
    };
    let at = |mount: &str| {
        let plain = "127.0.0.1:8080".to_owned();
        (mount.to_owned(), plain.clone(), plain, Some("127.0.0.1:8443".to_owned()))
    };
    assert_eq!(loaded.inventory.cameras().map(of).collect::<Vec<_>>(), [at("/gate"), at("/lobby")]);
    for (one, other, told) in [
        (gate, gate, "path /gate is taken by camera `gate`"),
        (gate, "listen_path = \"lobby\"", "`lobby` is no path for a camera"),
        (gate, "listen_path = \"/a/b\"", "`/a/b` is no path for a camera"),
        (gate, "listen_path = \"/..\"", "`/..` is no path for a camera"),
        (gate, "listen_path = \"/onvif\"", "`/onvif` is no path for a camera"),
        (gate, "listen_port = 8080", "port 8080 is taken by cameras with a listen_path"),
        ("listen_port = 8080", lobby, "port 8080 is taken by camera `gate`"),
        (
            gate,
            "listen_path = \"/lobby\"\nlisten_address = \"127.0.0.9\"",
            "has an address of its own or shares one",
        ),
    ] {
        let errors = folder.errors(&both(EXAMPLE, one, other));
        assert!(errors.len() == 1 && errors[0].contains(told), "{one} {other}: {errors:#?}");
    }
}

#[test]
fn what_is_wrong_about_quirks_is_told() {
    let names = "security-not-understood, soap-11-only, closes-silently, garbled-status-line, datagrams-only, \
                 relative-time-broken, no-pull-point";
    let both = "write { use = \"NAME\", reason = \"…\" } or { forbid = \"NAME\", reason = \"…\" }";
    for (list, at, message, remedy) in [
        (
            "[{ use = \"clock-off\", reason = \"r\" }]",
            "\"clock-off\"",
            "`clock-off` is no quirk that can be used or forbidden",
            format!("use one of {names}"),
        ),
        (
            "[{ use = \"soap-11-only\", reason = \" \" }]",
            "\" \"",
            "a quirk needs a reason",
            "say in 1 to 160 characters how you know".to_owned(),
        ),
        (
            "[{ reason = \"r\" }]",
            "[{ reason = \"r\" }]",
            "a quirk is used or forbidden, one of both",
            both.to_owned(),
        ),
        (
            "[{ use = \"soap-11-only\", reason = \"r\" }, { forbid = \"soap-11-only\", reason = \"s\" }]",
            "[{ use",
            "quirk `soap-11-only` stands here twice",
            "leave one of them out".to_owned(),
        ),
    ] {
        let (text, place) = changed("mac = \"virtual\"", &format!("quirks = {list}"), at);
        assert_eq!(Folder::new().errors(&text), [format!("{place}: {message} ({remedy})")], "{list}");
    }
}

#[test]
fn an_owners_vendors_stand_alone_or_over_the_shipped_ones() {
    let folder = Folder::new();
    fs::create_dir(folder.path("vendors")).unwrap();
    let entry = |class: &str| {
        let no = "{ is = 'no', confidence = 'inferred', source = [] }";
        format!(
            "[[vendor]]\nid = 'axis'\nname = 'Axis'\nseat = {{ is = ['SE'], confidence = 'confirmed', source = [] }}\n\
             uk_order = {{ is = 'uncertain', confidence = 'inferred', source = [] }}\nus_889 = {no}\nus_fcc = {no}\n{class}"
        )
    };
    let decided = "class = { is = 'restricted', because = 'house rule', by = 'A. Owner', on = 2026-11-25 }\n";
    fs::write(folder.path("vendors/mine.toml"), entry(decided)).unwrap();
    let classes = |section: &str| {
        let loaded =
            folder.load(&EXAMPLE.replacen("[[network]]", &format!("{section}\n[[network]]"), 1)).unwrap();
        loaded.inventory.cameras().map(|it| it.vendor.class.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(classes(""), ["restricted", "trusted"]);
    assert_eq!(classes("[vendors]\ndir = 'vendors'\nshipped = true"), ["restricted", "restricted"]);
    assert_eq!(classes("[vendors]\ndir = 'vendors'"), ["unknown", "restricted"]);

    fs::write(folder.path("vendors/mine.toml"), entry("colour = 'red'\n")).unwrap();
    let with = |section: &str| {
        folder.errors(&EXAMPLE.replacen("[[network]]", &format!("{section}\n[[network]]"), 1))
    };
    let wrong = with("[vendors]\ndir = 'vendors'");
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].contains("DIR/vendors/mine.toml:8:1: unknown field `colour`"), "{wrong:?}");
    assert!(
        with("[vendors]\ndir = 'bare'")[0]
            .contains("cannot read the vendors in DIR/bare: there is no .toml file")
    );
    assert!(
        with("[vendors]\nshipped = true")[0]
            .contains("there is no folder of vendors beside the shipped table")
    );
}

#[test]
fn a_decision_about_a_camera_needs_a_name_and_a_reason() {
    let folder = Folder::new();
    let with = |decision: &str| {
        EXAMPLE.replacen(
            "vendor = \"Hikvision\"",
            &format!("vendor = \"Hikvision\"\nvendor_decision = {decision}"),
            1,
        )
    };
    let good = "{ is = \"review\", because = \"opened\", by = \"A. Engineer\", on = 2026-11-25 }";
    let loaded = folder.load(&with(good)).unwrap();
    let vendor = &loaded.inventory.cameras().next().unwrap().vendor;
    assert_eq!((vendor.name.as_str(), vendor.class.as_str()), ("hikvision", "review"));
    assert_eq!(vendor.reasons[0], "review, decided by A. Engineer on 2026-11-25: opened");
    for (decision, message) in [
        (good.replace("A. Engineer", ""), "a decision needs the name of whoever decided"),
        (good.replace("opened", " "), "a decision needs a reason"),
        (
            good.replace("2026-11-25", "2026-11-25T10:00:00Z"),
            "write a date such as 2026-11-25, without quotes and time",
        ),
        (good.replace("\"review\"", "\"fine\""), "unknown variant `fine`"),
        (good.replace(", by = \"A. Engineer\"", ""), "missing field `by`"),
    ] {
        let errors = folder.errors(&with(&decision));
        assert!(errors[0].contains(message), "{decision}: {errors:?}");
    }
}

#[test]
fn replacements_are_dated_and_their_words_known() {
    let folder = Folder::new();
    let with = |keys: &str| {
        EXAMPLE.replacen("vendor = \"Hikvision\"", &format!("vendor = \"Hikvision\"\n{keys}"), 1)
    };
    for (keys, state, by) in [
        ("replace_by = 2027-03-31", "planned", Some("2027-03-31")),
        ("replacement = \"ordered\"\nreplace_by = 2027-03-31", "ordered", Some("2027-03-31")),
        ("replacement = \"done\"", "done", None),
    ] {
        let loaded = folder.load(&with(keys)).unwrap();
        let found = loaded.inventory.cameras().next().unwrap().replacement.unwrap();
        assert_eq!(
            (found.state.as_str(), found.by.map(|it| it.to_string()).as_deref()),
            (state, by),
            "{keys}"
        );
    }
    for (keys, message) in [
        ("replace_by = \"2027-03-31\"", "invalid type: string"),
        ("replace_by = 2027-03-31T10:00:00Z", "write a date such as 2026-11-25, without quotes and time"),
        ("replacement = \"soon\"", "unknown variant `soon`, expected one of `planned`, `ordered`, `done`"),
    ] {
        let errors = folder.errors(&with(keys));
        assert!(errors[0].contains(message), "{keys}: {errors:?}");
    }
}
