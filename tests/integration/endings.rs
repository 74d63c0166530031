//! Viewers on every transport while the configuration changes: they go on, or lose the stream within a second.
#![expect(clippy::print_stderr, reason = "figures are said")]

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use cordon::clock::{Clock, SystemClock};
use jiff::SignedDuration;

use crate::{
    house::{ADMIN, House, OPERATOR, VIEWER, breathe},
    lateness::Lateness,
    playback,
    reload::{self, SIGNAL},
    streams::{CAMERAS, Player, address, address2},
    tls::Secured,
    tunnels::{self, Socket, Tunnel},
};

/// Who reloads wakes who serves the camera, who wakes whoever serves viewers over TLS and those who read.
const THREADS_BETWEEN: u32 = 4;
/// Packets that a viewer has of a second of a stream at most.
const PACKETS_PER_SECOND_MAX: usize = 30;

/// More than a stream has that ends in time: whoever reads so many after the end was due stops.
const FRAMES_MAX: usize = 2_000;

static CLOCK: LazyLock<SystemClock> = LazyLock::new(SystemClock::new);

/// A viewer who reads all the time, so that what came before a reload is not taken for what came after it.
struct Watching {
    way: &'static str,
    /// What came, and when nothing more could.
    read: Arc<AtomicUsize>,
    reader: JoinHandle<Duration>,
}

impl Watching {
    fn begin(way: &'static str, more: impl FnMut() -> Option<usize> + Send + 'static) -> Self {
        let (read, mut more) = (Arc::new(AtomicUsize::new(0)), more);
        let counted = Arc::clone(&read);
        let reader = std::thread::spawn(move || {
            while let Some(count) = more().filter(|_| counted.load(Ordering::Relaxed) < FRAMES_MAX) {
                counted.fetch_add(count, Ordering::Relaxed);
            }
            CLOCK.monotonic()
        });
        Self { way, read, reader }
    }

    fn over<S: Read + Write + Send + 'static>(way: &'static str, stream: S, address: &str) -> Self {
        let mut player = Player::over(stream, address, VIEWER);
        let session = player.set_up();
        assert_eq!(player.ask("PLAY", "", &format!("Session: {session}\r\n")).status, 200, "{way}");
        Self::begin(way, move || player.frame().map(|_| 1))
    }

    /// A session of its viewer's own at the camera, with this feature.
    fn alone(way: &'static str, mut player: Player, feature: &str, numbers: &[u8]) -> Self {
        let require = format!("Require: {feature}\r\n");
        assert_eq!(player.ask("DESCRIBE", "", &require).status, 200, "{way}");
        let mut fields = require.clone();
        for number in numbers {
            let channels = format!("interleaved={}-{}", number * 2, number * 2 + 1);
            let asked = format!("{fields}Transport: RTP/AVP/TCP;unicast;{channels}\r\n");
            let answer = player.ask("SETUP", &format!("/stream={number}"), &asked);
            let session = answer.field("Session").unwrap().split_once(';').unwrap().0;
            fields = format!("{require}Session: {session}\r\n");
        }
        assert_eq!(player.ask("PLAY", "", &fields).status, 200, "{way}");
        Self::begin(way, move || player.frame().map(|_| 1))
    }

    /// Packets in datagrams, up to the end of the connection.
    fn in_datagrams(house: &House, address: &str) -> Self {
        let mut player = Player::connect(house, address, VIEWER);
        let here = player.stream.get_ref().local_addr().unwrap().ip();
        let sockets = [(); 2].map(|()| UdpSocket::bind((here, 0)).unwrap());
        let [rtp, rtcp] = sockets.each_ref().map(|it| it.local_addr().unwrap().port());
        assert_eq!(player.ask("DESCRIBE", "", "").status, 200);
        let asked = format!("Transport: RTP/AVP;unicast;client_port={rtp}-{rtcp}\r\n");
        let answer = player.ask("SETUP", "/stream=0", &asked);
        let session = answer.field("Session").unwrap().split_once(';').unwrap().0.to_owned();
        assert_eq!(player.ask("PLAY", "", &format!("Session: {session}\r\n")).status, 200);
        player.stream.get_ref().set_nonblocking(true).unwrap();
        sockets[0].set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Self::begin("UDP", move || {
            let came = sockets[0].recv(&mut [0; 2_048]).is_ok();
            let goes_on = player.stream.get_mut().read(&mut [0]);
            let goes_on = goes_on.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
            goes_on.then_some(came.into())
        })
    }

    fn read(&self) -> usize {
        self.read.load(Ordering::Relaxed)
    }
}

#[test]
fn viewers_survive_a_reload_and_go_when_policy_forbids_it() {
    let secured = Secured::open(false, &[]);
    let (camera, profile) = CAMERAS[1];
    let mut viewers = all(&secured, camera, profile);
    let house = &secured.house;
    let mut reloader = house.reloader();
    let text = house.configuration();
    house.write(&format!("{text}\n[[site]]\nname = \"more\"\nsensitive = true\n"));
    reloader.reload(&SIGNAL, None).unwrap();
    let before: Vec<_> = viewers.iter().map(Watching::read).collect();
    // More than a second of pictures, so that it was asked again whether they may go on.
    for (viewer, before) in viewers.iter().zip(before) {
        while viewer.read() < before + 30 {
            assert!(
                !viewer.reader.is_finished(),
                "{}: a reload that does not concern it ends no stream",
                viewer.way
            );
            breathe();
        }
    }
    let lateness = Lateness::measured();
    let forbidden = [("User", "rtsp:PLAY"), ("Operator", "rtsp:TALK"), ("Administrator", "rtsp:REPLAY")];
    let forbidden: String = forbidden.map(|(role, operation)| reload::forbid(role, operation)).concat();
    reload::policies(house, "none", &forbidden);
    house.write(&reload::with_policies(&text, "none"));
    reloader.reload(&SIGNAL, None).unwrap();
    let before: Vec<_> = viewers.iter().map(Watching::read).collect();
    let reloaded = CLOCK.monotonic();
    let count = viewers.len();
    let drained = viewers.drain(..).zip(before).map(|(viewer, before)| {
        let Watching { way, read, reader } = viewer;
        let took = reader.join().unwrap().saturating_sub(reloaded);
        let after = read.load(Ordering::Relaxed) - before;
        eprintln!("{way}: {after} packets and {took:.2?} after the reload");
        (way, after)
    });
    let drained: Vec<_> = drained.collect();
    let late = lateness.of(THREADS_BETWEEN);
    eprintln!("this machine is {late:.2?} late at most");
    for (way, after) in drained {
        // One second of ten pictures, key frames in three packets more, and what was on its way: of what the reader is late,
        // too.
        let most = 60 + PACKETS_PER_SECOND_MAX * usize::try_from(late.as_millis()).unwrap() / 1_000;
        assert!(after < most, "{way}: {after} packets after the reload");
    }
    let ended = |it: &serde_json::Value| {
        it["note"].as_str().is_some_and(|it| it.starts_with("policy does not permit it any more"))
    };
    let mut secured = secured;
    secured.house.stop();
    let records = secured.house.records();
    let ends: Vec<_> = records.iter().filter(|it| ended(it)).collect();
    assert_eq!(ends.len(), count);
    // By the gateway's own clock: when the rule was in force, and when each lost the stream.
    let time = |it: &serde_json::Value| it["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let reload = records.iter().rfind(|it| it["operation"] == "admin:Reload").unwrap();
    let in_force = time(records.iter().find(|it| it["intent"] == reload["seq"]).unwrap());
    let latest = ends.iter().map(|it| time(it).duration_since(in_force)).max().unwrap();
    let millis = latest.as_millis();
    eprintln!("the last of {count} lost the stream {millis} ms after the reload was on record");
    let late = SignedDuration::try_from(late).unwrap();
    assert!(latest <= SignedDuration::from_secs(1) + late, "{latest:#}, on a machine that is {late:#} late");
}

/// One viewer of a camera on each transport there is, one who is heard, and one who has a recording played.
fn all(secured: &Secured, camera: usize, profile: &str) -> Vec<Watching> {
    let house = &secured.house;
    let (door, plain) = (house.door(camera), address(house, camera, profile));
    let streams = SocketAddr::new(door.ip(), 8322);
    let rtsps = address2(house, camera, profile, "RtspsUnicast").unwrap();
    let http = address2(house, camera, profile, "RtspOverHttp").unwrap();
    let place = tunnels::path(&http);
    let connect = || tunnels::connect(door);
    let secure = || secured.connect(camera, None);
    vec![
        Watching::over("TCP", tunnels::connect(house.streams()), &plain),
        Watching::in_datagrams(house, &plain),
        Watching::over("RTSPS", secured.connect_to(streams), &rtsps),
        Watching::over("HTTP", Tunnel::over(connect(), connect(), place), &tunnels::rtsp(&http)),
        Watching::over("HTTPS", Tunnel::over(secure(), secure(), place), &tunnels::rtsp(&http)),
        Watching::over("WebSocket", Socket::over(connect(), "/onvif/streams"), &plain),
        Watching::over("secure WebSocket", Socket::over(secure(), "/onvif/streams"), &plain),
        Watching::alone(
            "talk",
            Player::connect(house, &plain, OPERATOR),
            "www.onvif.org/ver20/backchannel",
            &[0, 3],
        ),
        Watching::alone(
            "recording",
            Player::connect(house, &playback::address(house, "RTSP"), ADMIN),
            "onvif-replay",
            &[0],
        ),
    ]
}
