//! What is served while zones are isolated, and to whom: streams, the privileged process's own peers, floods.

use std::{
    fs,
    net::{TcpStream, UdpSocket},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    process::Command,
    time::Duration,
};

use cordon::{
    clock::{Clock, SystemClock},
    ids::ZoneId,
    isolation::{Netd, Request, group::DISCOVERY_PORT},
    limits::ATTEMPTS_PER_SET_MAX,
    sim::{Dialect, Oddity},
};

use super::{
    GATE, LOBBY, SECONDS_MAX, answers,
    network::{CAMERA, Camera, GATEWAY, GATEWAY_CORE, HOSTILE, Hostile, Network, inside, must, run},
    wait_until,
};
use crate::{
    client::{self, trt_with},
    events_up::Subscription,
    house::{ADMIN, records_of},
    streams::Player,
};

fn play(network: &Network, port: u16, profile: &str) -> Player {
    let (mut player, status) = asked_to_play(network, port, profile);
    assert_eq!(status, 200);
    assert!(player.frame().is_some());
    player
}

/// The same, and how PLAY was answered.
fn asked_to_play(network: &Network, port: u16, profile: &str) -> (Player, u16) {
    let body = format!(
        "<x:StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>RTSP</tt:Protocol></tt:Transport>\
         </x:StreamSetup><x:ProfileToken>{profile}</x:ProfileToken>"
    );
    inside(&network.core(), || {
        let door = format!("{GATEWAY_CORE}:{port}").parse().unwrap();
        let reply = client::ask(door, "media", ADMIN, &trt_with("GetStreamUri", &body));
        let address = reply.element("Uri").unwrap_or_else(|| panic!("{}", reply.text()));
        let mut player = Player::at(format!("{GATEWAY_CORE}:8554").parse().unwrap(), &address, ADMIN);
        let session = player.set_up();
        let status = player.ask("PLAY", "", &format!("Session: {session}\r\n")).status;
        (player, status)
    })
}

/// What the program says of itself, and what it refuses to take up.
#[test]
fn a_reload_that_names_files_out_of_reach_waits_for_a_restart() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text);
    let _netd = network.netd();
    let gateway = network.gateway_process();
    let said = fs::read_to_string(network.dir().join("run.txt")).unwrap();
    if said.contains("NOT CONFINED") {
        return crate::skips::skipped("this kernel has no Landlock");
    }
    assert!(said.contains("confined in full: reads below ") || said.contains("confined as far as"), "{said}");
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("secret"), "a password of 20 letters").unwrap();
    let file = elsewhere.path().join("secret").display().to_string();
    network.configure(|text| {
        text.replacen(&format!("{{ env = \"{}\" }}", ADMIN.1), &format!("{{ file = \"{file}\" }}"), 1)
    });
    gateway.signal("HUP");
    let refused = || super::events(&network, "reload-refused").pop();
    super::wait_until("refused", || refused().is_some());
    let reason = refused().unwrap()["detail"]["reason"].to_string();
    assert!(
        reason.contains("lies in no folder that this process has been able to read since it started"),
        "{reason}"
    );
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn open_streams_of_restricted_cameras_end_with_their_isolation() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text);
    let _cameras =
        [Camera::start(&network, 0, Dialect::hikvision), Camera::start(&network, 1, Dialect::axis)];
    let netd = network.netd();
    let gateway = network.gateway_process();
    let mut gate = play(&network, GATE, "Profile_1");
    let mut lobby = play(&network, LOBBY, "profile_1_h264");
    let clock = SystemClock::new();
    let began = clock.monotonic();
    // The network is as it was, but nobody says so any more.
    netd.crash();
    while gate.frame().is_some() {}
    let took = clock.monotonic() - began;
    println!("a restricted camera's stream ended {} ms after netd was killed", took.as_millis());
    assert!(took < SECONDS_MAX, "{took:?}");
    assert!(lobby.frame().is_some(), "a trusted camera's stream goes on");
    drop(lobby);
    assert_eq!(gateway.stop(), Some(0));
    let records = records_of(&network.dir().join("audit"));
    let why = "the isolation of the camera's zone is not in force any more";
    assert!(
        records.iter().any(|it| it["type"] == "outcome" && it["note"].to_string().contains(why)),
        "{records:#?}"
    );
}

/// The ports at which the gateway takes datagrams in a zone, its services apart.
fn ports(network: &Network) -> Vec<u16> {
    let table = inside(&network.namespace(0), || fs::read_to_string("/proc/thread-self/net/udp").unwrap());
    let local = table.lines().skip(1).map(|line| line.split_whitespace().nth(1).unwrap());
    let ports = local.map(|it| u16::from_str_radix(it.split_once(':').unwrap().1, 16).unwrap());
    ports.filter(|port| *port >= 1_024 && *port != DISCOVERY_PORT).collect()
}

#[test]
fn a_camera_in_a_zone_is_heard_in_datagrams_and_its_neighbours_are_not() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text);
    let camera = Camera::odd(&network, 0, Dialect::hikvision, &[Oddity::DatagramsOnly]);
    let _netd = network.netd();
    let gateway = network.gateway_process();
    let mut player = play(&network, GATE, "Profile_1");
    let ports = ports(&network);
    assert_eq!(ports.len(), 6, "two for each stream: {ports:?}");
    let forged = [&[0x80, 96, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4][..], b"\x65forged"].concat();
    let (mut last, mut reports, mut sent) = (None, 0, 0);
    for number in 0..60 {
        if number % 6 == 0 {
            inside(&network.side(0), || {
                let socket = UdpSocket::bind((HOSTILE, 0)).unwrap();
                for port in &ports {
                    socket.send_to(&forged, (GATEWAY, *port)).unwrap();
                }
            });
            sent += 1;
        }
        let (channel, packet) = player.frame().unwrap();
        if channel == 9 {
            reports += 1;
            continue;
        }
        assert!(!packet.ends_with(b"forged"), "frame {number}");
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        assert!(last.is_none_or(|last: u16| sequence == last.wrapping_add(1)), "{last:?} {sequence}");
        last = Some(sequence);
    }
    let zone = ZoneId::new(&network.zone(0)).unwrap();
    let attempts = Netd::at(&network.netd_socket()).attempts(&zone).unwrap().packets;
    for port in &ports {
        let of = |source: &str| {
            let own = attempts
                .iter()
                .filter(|it| it.source.to_string() == source && it.protocol == 17 && it.port == *port);
            own.map(|it| it.packets).sum::<u64>()
        };
        assert_eq!((of(HOSTILE), of(CAMERA)), (sent, 0), "port {port}: {attempts:#?}");
    }
    println!(
        "60 frames in datagrams from a zone, {reports} of them reports; a neighbour's: 0 of n = {} heard, all counted",
        sent * ports.len() as u64
    );
    drop(camera);
    while player.frame().is_some() {}
    drop(player);
    // One that does not say where its datagrams come from cannot be heard at all.
    let ways = &[Oddity::DatagramsOnly, Oddity::NamesNoPorts];
    let _camera = Camera::odd(&network, 0, Dialect::hikvision, ways);
    assert_eq!(asked_to_play(&network, GATE, "Profile_1").1, 502);
    assert_eq!(gateway.stop(), Some(0));
    let records = records_of(&network.dir().join("audit"));
    let own = |it: &&serde_json::Value| {
        it["operation"] == "rtsp:PLAY" && it["who"]["kind"] == "gateway" && it["type"] == "intent"
    };
    let play = records.iter().find(own).unwrap();
    let relayed = records.iter().find(|it| it["intent"] == play["seq"]).unwrap();
    assert!(relayed["note"].to_string().contains(" 0 dropped, 0 missing"), "{relayed}");
    let refused = records.iter().rfind(own).unwrap();
    let why = records.iter().find(|it| it["intent"] == refused["seq"]).unwrap();
    let told = "the camera does not name the port that its datagrams come from";
    assert!(why["note"].to_string().contains(told), "{why}");
}

/// What a camera sends reaches the gateway at one port of its zone, and no other.
#[test]
fn notices_of_a_camera_reach_the_event_sink_and_nothing_else() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| {
        let sink = format!("isolation = \"namespace\"\nevent_sink = \"{GATEWAY}:8080\"\n");
        text.replacen("isolation = \"namespace\"\n", &sink, 1)
            .replace("name = \"gate\"\n", "name = \"gate\"\nevents = \"push\"\n")
    });
    let _camera = Camera::start(&network, 0, Dialect::hikvision);
    let _netd = network.netd();
    let gateway = network.gateway_process();
    answers(&network, GATE, "HIKVISION");
    inside(&network.core(), || {
        let subscription = Subscription::at(format!("{GATEWAY_CORE}:{GATE}").parse().unwrap());
        subscription.pull_until(|it| it.0 == "MotionAlarm" && it.1 == "Initialized");
    });
    let reached = |port: u16, patience| {
        let to = format!("{GATEWAY}:{port}").parse().unwrap();
        inside(&network.side(0), || TcpStream::connect_timeout(&to, patience).is_ok())
    };
    assert!(reached(8080, SECONDS_MAX));
    assert_eq!([8081, 8554, 80, 22].map(|port| reached(port, Duration::from_secs(1))), [false; 4]);
    assert_eq!(gateway.stop(), Some(0));
    let records = records_of(&network.dir().join("audit"));
    assert!(
        records.iter().any(|it| it["operation"] == "notify:Notify" && it["camera"] == "gate"),
        "{records:#?}"
    );
}

/// A user without any rights.
const NOBODY: &str = "65534";
const STRANGER: &str = "65533";

/// Root gives its socket to a user: in that user's folder it could be something else by then.
#[test]
fn a_socket_in_a_folder_of_somebody_elses_is_not_opened() {
    let Some(network) = Network::build() else { return };
    let folder = network.dir().join("theirs");
    fs::create_dir(&folder).unwrap();
    must(&["chown", NOBODY, &folder.display().to_string()]);
    network.configure(|text| text.replace("netd.sock\"", &format!("theirs/netd.sock\"\nuser = {NOBODY}")));
    let output = inside(&network.gateway(), || network.cordon(&["netd"]).output().unwrap());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let told = format!("{} can be changed by others than root", folder.display());
    assert!(said.contains(&told) && said.contains("name another `socket` under [netd]"), "{said}");
    assert!(!folder.join("netd.sock").exists());
    assert!(!fs::exists(format!("/run/netns/{}", network.namespace(0))).unwrap(), "nothing was begun");
}

/// Says to whoever asks that all zones are isolated.
const IMPOSTOR: &str = r#"
import json, os, socket, sys
answer = json.dumps({"answer": "zones", "process": "2026-01-01T00:00:00Z", "zones": [], "drifts": []}).encode()
served = socket.socket(socket.AF_UNIX)
served.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
served.listen(64)
while True:
    peer, _ = served.accept()
    try:
        peer.sendall(len(answer).to_bytes(4, "big") + answer)
    except OSError:
        pass  # nobody waited for it
    peer.close()
"#;

/// Whoever may write where netd's socket should be, and is not root, is not believed.
#[test]
fn who_is_not_root_is_no_netd() {
    let Some(network) = Network::build() else { return };
    let folder = network.dir().join("open");
    fs::create_dir(&folder).unwrap();
    let (path, shown) = (folder.join("netd.sock"), folder.display().to_string());
    must(&["chmod", "755", &network.dir().display().to_string()]);
    must(&["chmod", "777", &shown]);
    network.configure(|text| text.replace("netd.sock", "open/netd.sock"));
    let socket = path.display().to_string();
    let user =
        ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "/usr/bin/python3", "-c", IMPOSTOR, &socket];
    let _impostor = Hostile::of(Command::new("setpriv").args(user).spawn().unwrap());
    wait_until("the impostor listens", || UnixStream::connect(&path).is_ok());
    let told = Netd::at(&path).ask(&Request::Zones { after: 0 }).unwrap_err().to_string();
    let wanted = format!("{socket} is served by user {NOBODY}, who is not root and so no `cordon netd`");
    assert!(told.starts_with(&wanted), "{told}");
    let _gateway = network.gateway_process();
    let part = super::readiness(&network, 0);
    assert!(part["ready"] == false && part["note"].to_string().contains(&wanted), "{part}");
}

/// The powers that a unit leaves its program, as `setpriv` takes them.
fn powers(unit: &str, field: &str) -> String {
    let path = format!("{}/config/systemd/{unit}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix('=')).unwrap();
    let names = line.split(' ').map(|it| it.strip_prefix("CAP_").unwrap().to_lowercase());
    names.fold("-all".to_owned(), |all, name| format!("{all},+{name}"))
}

/// What the units take away by capabilities, nothing misses: zones are made, kept and read, cameras are served.
#[test]
fn the_powers_that_the_units_leave_are_enough() {
    let Some(network) = Network::build() else { return };
    let bound = |unit: &str| powers(unit, "CapabilityBoundingSet");
    let netd = bound("cordon-netd.service");
    let netd = ["setpriv", "--bounding-set", &netd, "--no-new-privs"];
    let (gateway, ambient) = (bound("cordon.service"), powers("cordon.service", "AmbientCapabilities"));
    let user = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--no-new-privs"];
    let sets = ["--bounding-set", &gateway, "--inh-caps", &ambient, "--ambient-caps", &ambient];
    let gateway = [&user[..], &sets].concat();
    if [&netd[..], &gateway]
        .iter()
        .any(|it| !run(&[it, &[env!("CARGO_BIN_EXE_cordon"), "--version"][..]].concat()))
    {
        crate::skips::skipped("powers cannot be taken away here (setpriv)");
        return;
    }
    network.configure(|text| text.replace("netd.sock\"", &format!("netd.sock\"\nuser = {NOBODY}")));
    let _cameras =
        [Camera::start(&network, 0, Dialect::hikvision), Camera::start(&network, 1, Dialect::axis)];
    let netd = network.netd_as(&netd);
    let few = u64::from_str_radix(&netd.status("CapBnd:"), 16).unwrap();
    assert_eq!(few.count_ones(), 6, "{few:x}");
    must(&["chown", "-R", NOBODY, &network.dir().display().to_string()]);
    let gateway = network.gateway_process_as(&gateway);
    // Low ports (bit 10), and nothing else.
    assert_eq!((gateway.status("CapEff:"), gateway.status("CapBnd:")), (LOW_PORTS.into(), LOW_PORTS.into()));
    answers(&network, GATE, "HIKVISION");
    answers(&network, LOBBY, "AXIS");
    let place = network.namespace(0);
    inside(&place, || must(&["nft", "flush", "ruleset"]));
    let drift = || super::events(&network, "isolation-drift").pop();
    wait_until("a drift is mended", || drift().is_some());
    assert_eq!(drift().unwrap()["detail"]["not_mended"], serde_json::Value::Null);
    network.hostile(0, 1).stop();
    wait_until("attempts are read", || !super::events(&network, "egress-blocked").is_empty());
    assert_eq!(gateway.stop(), Some(0));
    netd.crash();
}

const LOW_PORTS: &str = "0000000000000400";

#[test]
fn the_gateway_needs_no_powers_and_nobody_else_is_heard_by_netd() {
    let Some(network) = Network::build() else { return };
    let program = env!("CARGO_BIN_EXE_cordon");
    let as_user = |user: &'static str| ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"];
    if !run(&[&as_user(NOBODY)[..], &[program, "--version"]].concat()) {
        crate::skips::skipped(&format!("{program} cannot be run by another user here"));
        return;
    }
    network.configure(|text| text);
    let _cameras =
        [Camera::start(&network, 0, Dialect::hikvision), Camera::start(&network, 1, Dialect::axis)];
    let netd = network.netd();
    let root = network.gateway_process();
    // Of root's powers it keeps that of low ports (bit 10).
    let powers = (root.status("CapEff:"), root.status("NoNewPrivs:"));
    assert_eq!(powers, (LOW_PORTS.into(), "1".into()));
    // Filtered, as seccomp(2) calls it.
    assert_eq!(root.status("Seccomp:"), "2");
    answers(&network, GATE, "HIKVISION");
    assert_eq!(root.stop(), Some(0));
    netd.crash();
    network.configure(|text| text.replace("netd.sock\"", &format!("netd.sock\"\nuser = {NOBODY}")));
    let netd = network.netd();
    must(&["chown", "-R", NOBODY, &network.dir().display().to_string()]);
    let gateway = network.gateway_process_as(&as_user(NOBODY));
    assert_eq!(
        (gateway.status("CapEff:"), gateway.status("CapPrm:")),
        ("0000000000000000".into(), "0000000000000000".into())
    );
    answers(&network, GATE, "HIKVISION");
    answers(&network, LOBBY, "AXIS");
    // Even if anybody could open the socket.
    fs::set_permissions(network.netd_socket(), fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(network.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    let ask = format!(
        r#"
import socket
s = socket.socket(socket.AF_UNIX)
s.connect("{}")
question = b'{{"ask":"zones","after":0}}'
try:
    s.sendall(len(question).to_bytes(4, "big") + question)
except OSError:
    pass  # refused before it was asked
length = int.from_bytes(s.recv(4), "big")
print(s.recv(length, socket.MSG_WAITALL).decode())
"#,
        network.netd_socket().display()
    );
    let asked = |user| {
        let command = [&as_user(user)[..], &["/usr/bin/python3", "-c", &ask]].concat();
        let output = Command::new(command[0]).args(&command[1..]).output().unwrap();
        [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap()).concat()
    };
    let refused = asked(STRANGER);
    assert!(refused.contains("only the user of `cordon run` and root may ask"), "{refused}");
    assert!(asked(NOBODY).contains("\"answer\":\"zones\""));
    netd.crash();
}

#[test]
fn a_flood_to_more_places_than_are_remembered_is_dropped_and_counted_to_the_last() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text);
    let _netd = network.netd();
    let flood = 80_000;
    let sent = network.flood(0, flood).stop();
    assert_eq!((&sent["sent"]["flood"], &sent["sent"]["neighbours"]), (&flood.into(), &(flood / 4).into()));
    let netd = Netd::at(&network.netd_socket());
    let zone = ZoneId::new(&network.zone(0)).unwrap();
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let attempts = netd.attempts(&zone).unwrap();
    let took = clock.monotonic() - began;
    let remembered = attempts.packets.len();
    println!(
        "{flood} frames to as many places: {remembered} remembered, {} dropped, read in {took:?}",
        attempts.dropped
    );
    assert!((ATTEMPTS_PER_SET_MAX / 2..=2 * ATTEMPTS_PER_SET_MAX).contains(&remembered), "{remembered}");
    assert!(attempts.dropped >= u64::from(flood), "{}", attempts.dropped);
    let mut neighbours = 0;
    // While much goes on, its word may come later than it is waited for.
    wait_until("neighbours are told", || netd.neighbours(&zone).map(|it| neighbours = it.len()).is_ok());
    println!("{} addresses claimed: {neighbours} neighbours known", flood / 4);
    assert!((2..1_000).contains(&neighbours), "{neighbours}");
    wait_until("still isolated", || network.isolate("check").0);
}

#[test]
fn a_camera_that_sends_from_other_ports_than_it_names_is_not_heard_for_that_reason() {
    let Some(network) = Network::build() else { return };
    network.configure(|text| text);
    let ways = &[Oddity::DatagramsOnly, Oddity::NamesOtherPorts];
    let _camera = Camera::odd(&network, 0, Dialect::hikvision, ways);
    let _netd = network.netd();
    let gateway = network.gateway_process();
    let (mut player, status) = asked_to_play(&network, GATE, "Profile_1");
    assert_eq!((status, player.frame()), (200, None));
    assert_eq!(gateway.stop(), Some(0));
    let records = records_of(&network.dir().join("audit"));
    let unheard =
        |it: &&serde_json::Value| it["note"].to_string().contains("no datagram of the stream came; ");
    assert_eq!(records.iter().filter(unheard).count(), 1, "{records:#?}");
}
