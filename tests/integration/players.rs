//! Players that nobody of this project wrote, over every way for streams, in front of every simulated maker; and a
//! camera's RTSP server that nobody of this project wrote. Printed by `tests/tables players`.
#![expect(clippy::print_stderr, reason = "the table, and what is skipped, are to be seen")]

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread,
};

use cordon::sim::{Oddity, RunningCamera};

use crate::{
    client::{self, trt, trt_with},
    house::{CAMERA_PASSWORD, CAMERA_USER, House, LOBBY, OTHERS, PLANS, VIEWER, crowd},
    streams::with_login,
    tls::Pair,
};

/// A way for streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Tcp,
    Udp,
    Http,
    Rtsps,
    Https,
}

const WAYS: [Way; 5] = [Way::Tcp, Way::Udp, Way::Http, Way::Rtsps, Way::Https];

/// A player: what it decoded, as the time in nanoseconds at which each picture is to be shown.
struct Player {
    name: &'static str,
    /// Whether it is there.
    version: [&'static str; 2],
    command: fn(Way, &str) -> Command,
    /// The time in a line of what it says, if that is one of a picture.
    time: fn(&str) -> Option<i64>,
}

/// Pictures that are decoded of each stream.
const PICTURES: usize = 15;

const PLAYERS: [Player; 2] = [
    Player {
        name: "FFmpeg",
        version: ["ffprobe", "-version"],
        command: |way, address| {
            let transport = match way {
                Way::Tcp | Way::Rtsps => "tcp",
                Way::Udp => "udp",
                Way::Http => "http",
                Way::Https => "https",
            };
            let mut command = Command::new("ffprobe");
            command
                .args(["-v", "error", "-rtsp_transport", transport, "-select_streams", "v"])
                .args(["-read_intervals", "%+2.5", "-show_entries", "frame=pts_time", "-of", "csv=p=0"])
                .arg(with_login(&player_address(way, address), VIEWER));
            command
        },
        time: |line| {
            let (seconds, rest) = line.trim_end_matches(',').split_once('.')?;
            let seconds: i64 = seconds.parse().ok()?;
            Some(seconds * 1_000_000_000 + format!("{rest:0<9}").parse::<i64>().ok()?)
        },
    },
    Player {
        name: "GStreamer",
        version: ["gst-launch-1.0", "--version"],
        command: |way, address| {
            // Of tunnels it wants to know by the scheme.
            let (protocols, scheme) = match way {
                Way::Tcp => ("tcp", "rtsp"),
                Way::Udp => ("udp", "rtsp"),
                Way::Http => ("tcp", "rtsph"),
                Way::Rtsps => ("tcp", "rtsps"),
                Way::Https => ("tcp", "rtspsh"),
            };
            let location = format!("location={scheme}://{}", address.split_once("://").unwrap().1);
            let (user, password) = (format!("user-id={}", VIEWER.0), format!("user-pw={}", VIEWER.1));
            let mut command = Command::new("gst-launch-1.0");
            command
                .args(["-v", "rtspsrc", &location, &user, &password, &format!("protocols={protocols}")])
                // Times are the packets' own; the certificate is the test's.
                .args(["buffer-mode=none", "latency=100", "tls-validation-flags=0", "!"])
                .args(["rtph264depay", "!", "h264parse", "!", "openh264dec", "!", "fakesink", "silent=false"])
                .args(["sync=false", &format!("num-buffers={PICTURES}")]);
            command
        },
        time: |line| {
            let at = line.split_once("chain").and_then(|(_, it)| it.split_once("pts: "))?.1;
            let [hours, minutes, seconds] = *at.split(',').next()?.split(':').collect::<Vec<_>>() else {
                return None;
            };
            let (seconds, rest) = seconds.split_once('.')?;
            let number = |it: &str| it.parse::<i64>().ok();
            let seconds = (number(hours)? * 60 + number(minutes)?) * 60 + number(seconds)?;
            Some(seconds * 1_000_000_000 + number(rest)?)
        },
    },
];

/// The address as a player takes it that has a switch for tunnels.
fn player_address(way: Way, address: &str) -> String {
    let scheme = if way == Way::Rtsps { "rtsps" } else { "rtsp" };
    format!("{scheme}://{}", address.split_once("://").unwrap().1)
}

impl Player {
    fn is_there(&self) -> bool {
        let there = Command::new(self.version[0]).arg(self.version[1]).output().is_ok();
        if !there {
            crate::skips::skipped(&format!("{} is not installed", self.name));
        }
        there
    }

    /// How many pictures it decoded, and the times between them in milliseconds; else what it said.
    fn play(&self, way: Way, address: &str) -> Result<(usize, Vec<i64>), String> {
        // Whoever does not come to an end is ended.
        let plain = (self.command)(way, address);
        let output = Command::new("timeout")
            .arg("60")
            .arg(plain.get_program())
            .args(plain.get_args())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let times: Vec<i64> = said.lines().filter_map(self.time).collect();
        if times.len() < PICTURES {
            let told = String::from_utf8_lossy(&output.stderr);
            return Err(format!(
                "{} pictures; {}",
                times.len(),
                told.lines().take(4).collect::<Vec<_>>().join(" | ")
            ));
        }
        let steps = times.windows(2).map(|it| (it[1] - it[0] + 500_000) / 1_000_000).collect();
        Ok((times.len(), steps))
    }
}

/// A gateway that serves every camera in each of the ways.
struct Served {
    house: House,
    /// Its port for streams over TLS, and each camera's for HTTPS.
    rtsps: u16,
    https: Vec<u16>,
}

impl Served {
    fn over(mut house: House, names: &[&str]) -> Self {
        let host = house.streams().ip();
        Pair::new(&host.to_string()).write(house.dir());
        // What the configuration names is not free, whether or not it is listened at by now.
        let written = house.configuration();
        let mut held = Vec::new();
        while held.len() <= names.len() {
            let listener = TcpListener::bind((host, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            if !written.contains(&port.to_string()) {
                held.push((listener, port));
            }
        }
        let mut ports: Vec<u16> = held.into_iter().map(|it| it.1).collect();
        let rtsps = ports.pop().unwrap();
        house.reconfigure(|text| {
            let listener = format!(
                "[listener]\ntls_certificate = \"chain.pem\"\ntls_key = \"key.pem\"\nrtsps_port = {rtsps}\n"
            );
            let mut text = text.replacen("[listener]\n", &listener, 1);
            for (name, port) in names.iter().zip(&ports) {
                let head = format!("[[camera]]\nname = \"{name}\"\n");
                assert!(text.contains(&head), "{text}");
                text = text.replacen(&head, &format!("{head}tls_port = {port}\n"), 1);
            }
            text
        });
        Self { house, rtsps, https: ports }
    }

    /// The address of a camera's first stream for a way, as the gateway tells it.
    fn address(&self, camera: usize, way: Way) -> String {
        let ask = |body: &str| client::ask(self.house.door(camera), "media", VIEWER, body);
        let profiles = ask(&trt("GetProfiles")).text();
        let profile = profiles.split("<trt:Profiles").nth(1).unwrap().split_once("token=\"").unwrap().1;
        let profile = profile.split('"').next().unwrap();
        let protocol = if matches!(way, Way::Http | Way::Https) { "HTTP" } else { "RTSP" };
        let setup = format!(
            "<x:StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>{protocol}</tt:Protocol>\
             </tt:Transport></x:StreamSetup><x:ProfileToken>{profile}</x:ProfileToken>"
        );
        let reply = ask(&trt_with("GetStreamUri", &setup));
        let address = reply.element("Uri").unwrap_or_else(|| panic!("{}", reply.text()));
        // A stream has one name whichever way it goes; only Media2 tells it of the ports over TLS, and not every
        // camera has Media2.
        let (plain, secure) = match way {
            Way::Rtsps => (self.house.streams().port(), self.rtsps),
            Way::Https => (self.house.door(camera).port(), self.https[camera]),
            Way::Tcp | Way::Udp | Way::Http => return address,
        };
        address.replacen(&format!(":{plain}/"), &format!(":{secure}/"), 1)
    }

    /// Has every player play a camera in these ways, all at once. What went wrong.
    fn check(&self, camera: usize, maker: &str, ways: &[Way], fit: impl Fn(&[i64]) -> bool) -> Vec<String> {
        let mut wrong = Vec::new();
        for player in PLAYERS.iter().filter(|it| it.is_there()) {
            let addresses: Vec<_> = ways.iter().map(|way| (*way, self.address(camera, *way))).collect();
            let played: Vec<_> = thread::scope(|scope| {
                let playing =
                    addresses.iter().map(|(way, address)| scope.spawn(|| player.play(*way, address)));
                playing.collect::<Vec<_>>().into_iter().map(|it| it.join().unwrap()).collect()
            });
            for (way, came) in ways.iter().zip(played) {
                let row = format!("{:<10} {maker:<18} {way:<6?}", player.name);
                match came {
                    Ok((pictures, steps)) if fit(&steps) => {
                        let (least, most) = (steps.iter().min().unwrap(), steps.iter().max().unwrap());
                        eprintln!("{row} {pictures} pictures, {least} to {most} ms apart");
                    }
                    Ok((_, steps)) => wrong.push(format!("{row} times apart: {steps:?}")),
                    Err(told) => wrong.push(format!("{row} {told}")),
                }
            }
        }
        wrong
    }
}

#[test]
fn every_player_plays_every_maker_in_every_way() {
    let mut wrong = Vec::new();
    for plans in [&PLANS[..], &OTHERS] {
        let names: Vec<_> = plans.iter().map(|it| it.name).collect();
        let served = Served::over(House::with(plans), &names);
        for (camera, plan) in plans.iter().enumerate() {
            // The clip has a picture each 100 ms, by the packets' own clock.
            wrong.extend(served.check(camera, plan.vendor, &WAYS, as_the_clip));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn as_the_clip(steps: &[i64]) -> bool {
    steps.iter().all(|it| *it == 100)
}

#[test]
fn every_player_plays_every_kind_of_server() {
    let kinds = RunningCamera::families();
    let plans = crowd(kinds.len());
    let names: Vec<_> = plans.iter().map(|it| it.name).collect();
    let served = Served::over(House::with(plans), &names);
    let played = |(camera, kind): (usize, &&str)| {
        served.house.camera(camera).speak_as(kind).unwrap();
        served.check(camera, kind, &[Way::Tcp, Way::Udp], as_the_clip)
    };
    let wrong: Vec<_> = kinds.iter().enumerate().flat_map(played).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A camera's RTSP server, until it is dropped.
struct Server {
    process: Child,
    port: String,
}

impl Server {
    fn open(address: &str, path: &str) -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/camera.py");
        let mut process = Command::new("/usr/bin/python3")
            .args([script, address, path, CAMERA_USER, CAMERA_PASSWORD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut port = String::new();
        BufReader::new(process.stdout.take()?).read_line(&mut port).ok()?;
        let server = Self { process, port: port.trim().to_owned() };
        let there = !server.port.is_empty();
        if !there {
            crate::skips::skipped("GStreamer's RTSP server is not installed");
        }
        there.then_some(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_camera_that_nobody_here_wrote_is_played() {
    let house = House::open();
    let host = house.camera(LOBBY).address().ip().to_string();
    let Some(server) = Server::open(&host, "/onvif-media/media.amp") else { return };
    let names: Vec<_> = PLANS.iter().map(|it| it.name).collect();
    let mut served = Served::over(house, &names);
    // The address that a camera gives leads to a port of its own, as it does with many.
    served.house.camera(LOBBY).set_variable("rtsp.port", &server.port);
    // By the server's clock, which measures time: its first report may set the player's clock anew, once.
    let fits = |steps: &[i64]| steps.iter().filter(|it| !(50..=150).contains(*it)).count() <= 1;
    let wrong = served.check(LOBBY, "GStreamer server", &WAYS, fits);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    served.house.stop();
    let records = served.house.records();
    let relayed = |it: &&serde_json::Value| {
        it["note"].as_str().is_some_and(|note| note.contains(" packets passed, 0 dropped, 0 missing"))
    };
    assert!(records.iter().filter(relayed).count() >= 1, "no stream of it passed whole");
}

#[test]
fn a_camera_that_sends_datagrams_only_is_played() {
    let house = House::open();
    house.camera(LOBBY).set_oddities(&[Oddity::DatagramsOnly]);
    let set_up = |house: &House| house.camera(LOBBY).log().iter().filter(|it| it.method == "SETUP").count();
    let names: Vec<_> = PLANS.iter().map(|it| it.name).collect();
    house.acquaint();
    let mut served = Served::over(house, &names);
    let player = &PLAYERS[0];
    if !player.is_there() {
        return;
    }
    let (pictures, steps) = player.play(Way::Tcp, &served.address(LOBBY, Way::Tcp)).unwrap();
    assert!(pictures >= PICTURES && steps.iter().all(|it| *it == 100), "{steps:?}");
    // Three streams, and the first of them was refused once.
    assert_eq!(set_up(&served.house), 4);
    served.house.restart();
    served.house.camera(LOBBY).clear_log();
    player.play(Way::Udp, &served.address(LOBBY, Way::Udp)).unwrap();
    assert_eq!(set_up(&served.house), 3, "it is remembered");
    served.house.stop();
    let records = served.house.records();
    let relayed = |it: &&serde_json::Value| {
        it["note"].as_str().is_some_and(|note| note.contains(" packets passed, 0 dropped, 0 missing"))
    };
    assert_eq!(records.iter().filter(relayed).count(), 2);
}
