//! Several viewers of a camera's live streams: what each goes on with, what he waits for, and what he is told.

use std::{
    io::{ErrorKind, Read, Write},
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cordon::{
    clock::{Clock, SimulatedClock, SystemClock},
    limits::{
        CAMERA_EXCHANGE_TIME_MAX, STREAM_DESCRIBED_TIME_MAX, STREAM_HEARTBEAT_INTERVAL,
        STREAM_SESSION_TIMEOUT, STREAM_SILENCE_MAX,
    },
    sim::{Fault, Oddity},
};
use serde_json::Value;

use crate::{
    bad_streams::{described, once},
    bad_streams_under_way::{framed, packet},
    house::{ADMIN, CAR_PARK, House, LOBBY, VIEWER, records_of},
    streams::{CAMERAS, Player, address},
    watch::{scrape, served, wait_until},
};

/// Another codec than a simulated camera has.
const OTHERWISE: &str = "v=0\r\nm=video 0 RTP/AVP 98\r\na=rtpmap:98 H265/90000\r\na=control:stream=0\r\n";

/// A viewer who has the pictures play: the name of his session.
fn watch(house: &House, at: &str) -> (Player, String) {
    watch_as(house, at, VIEWER)
}

fn watch_as(house: &House, at: &str, login: (&'static str, &'static str)) -> (Player, String) {
    let (mut player, session) = come_as(house, at, login);
    assert_eq!(player.ask("PLAY", "", &session).status, 200);
    (player, session)
}

/// A viewer who has the pictures set up: the name of his session.
fn come_as(house: &House, at: &str, login: (&'static str, &'static str)) -> (Player, String) {
    let mut player = Player::connect(house, at, login);
    let session = format!("Session: {}\r\n", player.set_up());
    (player, session)
}

/// The source of the next packet.
fn source(player: &mut Player) -> [u8; 4] {
    loop {
        let (channel, packet) = player.frame().unwrap();
        if channel == 6 {
            return packet[8..12].try_into().unwrap();
        }
    }
}

#[test]
fn who_paused_goes_on_with_what_he_was_told_and_with_nothing_else() {
    let mut house = House::open();
    let (camera, profile) = CAMERAS[1];
    let (mut player, session) = watch(&house, &address(&house, camera, profile));
    let first = source(&mut player);
    let left = |house: &House| house.camera(camera).log().iter().filter(|it| it.method == "TEARDOWN").count();
    // While the camera still plays, and after the gateway has left it.
    for pause in 0..2 {
        let before = left(&house);
        assert_eq!(player.ask("PAUSE", "", &session).status, 200);
        if pause == 1 {
            house.wait_for(|_| left(&house) > before);
        }
        let playing = player.ask("PLAY", "", &session);
        assert_eq!(playing.status, 200, "{}", playing.head);
        assert_eq!(source(&mut player), first, "the source that SETUP told, pause {pause}");
    }
    let before = left(&house);
    assert_eq!(player.ask("PAUSE", "", &session).status, 200);
    house.wait_for(|_| left(&house) > before);
    house.camera(camera).set_fault_of("rtsp:DESCRIBE", Some(described(OTHERWISE, "")));
    assert_eq!(player.ask("PLAY", "", &session).status, 454, "its SETUP was of another stream");
    assert_eq!(player.ask("PAUSE", "", &session).status, 454, "the session is over");
    let told = player.ask("DESCRIBE", "", "");
    assert!(told.body.contains("a=rtpmap:98 H265/90000\r\n"), "{}", told.body);
    drop(player);
    house.stop();
    let why = |it: &Value| it["note"] == "the camera describes the stream otherwise than when it was set up";
    assert_eq!(house.records().iter().filter(|it| why(it)).count(), 1);
}

#[test]
fn a_stream_that_hangs_keeps_nobody_waiting_for_another() {
    /// Those who wait for it.
    const WAITING: usize = 3;
    let house = House::open();
    let (good, dead) = (address(&house, CAR_PARK, "Profile_1"), address(&house, CAR_PARK, "Profile_2"));
    let (mut first, _) = watch(&house, &good);
    let camera = house.camera(CAR_PARK);
    camera.set_fault_of("rtsp:DESCRIBE", Some(Fault::Hang));
    camera.clear_log();
    let asked = || camera.log().iter().filter(|it| it.method == "DESCRIBE" && it.user.is_some()).count();
    let (clock, streams) = (SystemClock::new(), house.streams());
    std::thread::scope(|scope| {
        let ask = || Player::at(streams, &dead, VIEWER).ask("DESCRIBE", "", "").status;
        let waiting: Vec<_> = (0..WAITING).map(|_| scope.spawn(ask)).collect();
        house.wait_for(|_| asked() == 1);
        let (mut second, _) = watch(&house, &good);
        assert!(second.frame().is_some() && first.frame().is_some());
        assert!(!waiting.iter().any(|it| it.is_finished()), "nobody had to wait for the camera's answer");
        for one in waiting {
            assert_eq!(one.join().unwrap(), 504);
        }
    });
    assert_eq!(asked(), 1, "what one was told in vain, all were told");
    let took = clock.monotonic();
    assert!(took < CAMERA_EXCHANGE_TIME_MAX * 2, "{WAITING} of them waited {took:?} together");
}

#[test]
fn a_stream_that_takes_long_to_begin_is_still_the_only_one() {
    let house = House::open();
    let (at, other) = (address(&house, CAR_PARK, "Profile_1"), address(&house, CAR_PARK, "Profile_2"));
    let camera = house.camera(CAR_PARK);
    let asked =
        |method: &str| camera.log().iter().filter(|it| it.method == method && it.user.is_some()).count();
    camera.set_fault_of("rtsp:PLAY", Some(Fault::Slow(STREAM_DESCRIBED_TIME_MAX + Duration::from_secs(2))));
    let mut unplayed = Player::connect(&house, &other, VIEWER);
    assert_eq!(unplayed.ask("DESCRIBE", "", "").status, 200);
    let (mut first, _) = watch(&house, &at);
    assert!(first.frame().is_some());
    camera.set_fault_of("rtsp:PLAY", None);
    let (second, _) = watch(&house, &at);
    assert_eq!((asked("DESCRIBE"), asked("PLAY")), (2, 1), "whoever comes later finds it");
    let (mut third, session) = come_as(&house, &at, VIEWER);
    drop((first, second));
    // As does who is back soon, which is all that has to be soon.
    assert_eq!(third.ask("PLAY", "", &session).status, 200);
    assert!(third.frame().is_some());
    assert_eq!((asked("DESCRIBE"), asked("PLAY")), (2, 1));
    // What nobody had play was given back meanwhile.
    assert_eq!(unplayed.ask("DESCRIBE", "", "").status, 200);
    assert_eq!(asked("DESCRIBE"), 3);
}

/// Lets time pass while a stream plays: never so much at once that its camera seems to be silent. `take` takes a packet
/// that was not there yet.
pub fn pass(clock: &SimulatedClock, time: Duration, mut take: impl FnMut()) {
    let mut left = time;
    while !left.is_zero() {
        let step = left.min(STREAM_SILENCE_MAX / 2);
        clock.advance(step);
        left -= step;
        for _ in 0..3 {
            take();
        }
    }
}

#[test]
fn a_report_in_a_datagram_is_a_sign_of_life() {
    let clock = Arc::new(SimulatedClock::new(SystemClock::new().now()));
    let house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    let mut player = Player::connect(&house, &address(&house, LOBBY, CAMERAS[1].1), VIEWER);
    let here = player.stream.get_ref().local_addr().unwrap().ip();
    let [rtp, rtcp] = [(); 2].map(|()| UdpSocket::bind((here, 0)).unwrap());
    rtp.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let [rtp_port, rtcp_port] = [&rtp, &rtcp].map(|it| it.local_addr().unwrap().port());
    assert_eq!(player.ask("DESCRIBE", "", "").status, 200);
    let ports = format!("Transport: RTP/AVP;unicast;client_port={rtp_port}-{rtcp_port}\r\n");
    let answer = player.ask("SETUP", "/stream=0", &ports);
    let session = answer.field("Session").unwrap().split_once(';').unwrap().0.to_owned();
    let (_, theirs) = answer.field("Transport").unwrap().split_once("server_port=").unwrap();
    let (_, theirs) = theirs.split(';').next().unwrap().split_once('-').unwrap();
    let theirs: u16 = theirs.parse().unwrap();
    assert_eq!(player.ask("PLAY", "", &format!("Session: {session}\r\n")).status, 200);
    let take = || {
        rtp.set_nonblocking(true).unwrap();
        while rtp.recv(&mut [0; 2_048]).is_ok() {}
        rtp.set_nonblocking(false).unwrap();
        assert!(rtp.recv(&mut [0; 2_048]).unwrap() > 12);
    };
    let almost = STREAM_SESSION_TIMEOUT - Duration::from_secs(1);
    pass(&clock, almost, take);
    // A report of a receiver that has received nothing (RFC 3550 §6.4.2).
    rtcp.send_to(&[0x80, 201, 0, 1, 1, 2, 3, 4], (house.streams().ip(), theirs)).unwrap();
    // It is looked once a second whether one came.
    (0..30).for_each(|_| take());
    pass(&clock, almost, take);
    (0..30).for_each(|_| take());
    clock.advance(Duration::from_secs(2));
    assert!(player.next().is_none(), "without another it ends");
    let mute =
        |it: &Value| it["note"].as_str().is_some_and(|it| it.starts_with("the viewer gave no sign of life"));
    house.wait_for(|records| records.iter().any(mute));
}

#[test]
fn a_report_on_the_connection_is_a_sign_of_life_too() {
    let clock = Arc::new(SimulatedClock::new(SystemClock::new().now()));
    let house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    let at = address(&house, LOBBY, CAMERAS[1].1);
    let [(mut reports, session), (mut silent, _)] = [(); 2].map(|()| {
        let mut player = Player::connect(&house, &at, VIEWER);
        let session = format!("Session: {}\r\n", player.set_up());
        (player, session)
    });
    let almost = STREAM_SESSION_TIMEOUT - Duration::from_secs(1);
    clock.advance(almost);
    reports.stream.get_mut().write_all(&framed(7, &[0x80, 201, 0, 1, 1, 2, 3, 4])).unwrap();
    // What is answered after it was heard after it.
    assert_eq!(Player::connect(&house, &at, VIEWER).ask("DESCRIBE", "", "").status, 200);
    clock.advance(almost);
    assert!(silent.next().is_none(), "a minute without a sign");
    // It is looked once a second.
    reports.stream.get_ref().set_read_timeout(Some(Duration::from_millis(1_500))).unwrap();
    let read = reports.stream.get_mut().read(&mut [0]);
    assert_eq!(read.unwrap_err().kind(), ErrorKind::WouldBlock, "it is still there");
    reports.stream.get_ref().set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(reports.ask("PLAY", "", &session).status, 200);
}

#[test]
fn a_goodbye_of_the_camera_is_handed_on_and_ends_the_stream() {
    let mut house = House::open();
    let at = address(&house, LOBBY, CAMERAS[1].1);
    // A goodbye (RFC 3550 §6.6) of the source of the packet before it.
    let goodbye = [0x81, 203, 0, 1, 1, 2, 3, 4];
    let both = [framed(0, &packet(96, &[0x65])), framed(1, &goodbye)].concat();
    house.camera(LOBBY).set_fault_of("rtsp:playing", Some(once(both)));
    let (mut player, _) = watch(&house, &at);
    let (channel, picture) = player.frame().unwrap();
    assert_eq!((channel, &picture[12..]), (6, &[0x65][..]));
    let (channel, report) = player.frame().unwrap();
    assert_eq!((channel, &report[..4]), (9, &[0x80, 201, 0, 1][..]), "it begins with a report");
    let source = &picture[8..12];
    assert_eq!(
        report[report.len() - 8..],
        [&[0x81, 203, 0, 1][..], source].concat(),
        "of the source it was told"
    );
    // The camera says the same with each tick until it is looked whether all sources are gone; then comes nothing more.
    while let Some((channel, again)) = player.frame() {
        assert!(
            (channel, &again) == (6, &picture) || (channel, &again) == (9, &report),
            "{channel} {again:?}"
        );
    }
    house.stop();
    let records = house.records();
    let notes: Vec<_> = records.iter().filter_map(|it| it["note"].as_str()).collect();
    assert!(notes.iter().any(|it| it.starts_with("the camera's stream ended")), "{notes:?}");
    assert!(
        notes.iter().any(|it| it.starts_with("the camera said goodbye for all of the streams")),
        "{notes:?}"
    );
}

#[test]
fn a_stream_under_way_is_on_record_each_minute() {
    let clock = Arc::new(SimulatedClock::new(SystemClock::new().now()));
    let house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    let (mut player, _) = watch(&house, &address(&house, LOBBY, CAMERAS[1].1));
    let mut bytes = 0;
    for _ in 0..20 {
        bytes += player.frame().unwrap().1.len() as u64;
    }
    let beats = |records: &[Value]| -> Vec<Value> {
        records.iter().filter(|it| it["what"] == "stream").cloned().collect()
    };
    pass(&clock, STREAM_HEARTBEAT_INTERVAL - Duration::from_secs(1), || assert!(player.fresh().is_some()));
    // It is looked once a second.
    for _ in 0..20 {
        assert!(player.frame().is_some());
    }
    assert_eq!(beats(&house.records()), Vec::<Value>::new(), "not before its time");
    clock.advance(Duration::from_secs(1));
    let records = house.wait_for(|records| !beats(records).is_empty());
    let beat = &beats(&records)[0];
    assert_eq!(beat["camera"], "lobby", "{beat}");
    let play =
        records.iter().find(|it| it["operation"] == "rtsp:PLAY" && it["who"]["name"] == VIEWER.0).unwrap();
    assert_eq!(beat["detail"]["request"], play["request"], "{beat} {play}");
    assert!(beat["detail"]["bytes"].as_u64().unwrap() >= bytes, "{bytes}: {beat}");
    assert_eq!(beat["detail"]["seconds"], STREAM_HEARTBEAT_INTERVAL.as_secs(), "{beat}");
    assert_eq!(
        (&beat["detail"]["lost_bytes"], &beat["detail"]["lost_packets"]),
        (&0.into(), &0.into()),
        "{beat}"
    );
}

#[test]
fn a_camera_that_wants_signs_of_life_is_given_those_that_it_takes() {
    let house = House::open();
    let camera = house.camera(LOBBY);
    let at = address(&house, LOBBY, CAMERAS[1].1);
    let clock = SystemClock::new();
    let cases: [(&[Oddity], &str); 3] = [
        (&[], "GET_PARAMETER"),
        (&[Oddity::RefusesGetParameter], "OPTIONS"),
        (&[Oddity::RefusesGetParameter, Oddity::RefusesOptionsInSession], "SET_PARAMETER"),
    ];
    for (more, sign) in cases {
        camera.set_oddities(&[&[Oddity::EndsMuteSessions][..], more].concat());
        camera.clear_log();
        let (mut player, _) = watch(&house, &at);
        let (mut last, mut packets, began) = (None, 0, clock.monotonic());
        // More than twice the time after which it ends a session that is silent.
        while clock.monotonic() - began < Duration::from_secs(5) {
            let frame = player.frame();
            let (channel, packet) =
                frame.unwrap_or_else(|| panic!("{sign}: it ended after {packets} packets"));
            if channel == 6 {
                let sequence = u16::from_be_bytes([packet[2], packet[3]]);
                assert!(
                    last.is_none_or(|it: u16| sequence == it.wrapping_add(1)),
                    "{sign}: {last:?} {sequence}"
                );
                (last, packets) = (Some(sequence), packets + 1);
            }
        }
        let heard: Vec<_> = camera.log().into_iter().skip_while(|it| it.method != "PLAY").collect();
        let signs: Vec<_> = heard.iter().map(|it| it.method.as_str()).filter(|it| *it != "PLAY").collect();
        let given = signs.iter().filter(|it| **it == sign).count();
        assert!(given >= 3 && signs.last() == Some(&sign), "{sign}: {signs:?}");
        assert!(signs.len() - given <= more.len(), "what it refused it is not told again: {signs:?}");
        drop(player);
        house.wait_for(|_| camera.log().iter().any(|it| it.method == "TEARDOWN"));
    }
}

/// How many signs of life a camera heard, those with a login that it took or the others.
fn signs(house: &House, taken: bool) -> usize {
    let log = house.camera(LOBBY).log();
    log.iter().filter(|it| it.method == "GET_PARAMETER" && it.user.is_some() == taken).count()
}

#[test]
fn a_sign_of_life_with_an_old_nonce_is_given_again_and_a_login_that_is_refused_ends_the_stream() {
    let clock = Arc::new(SimulatedClock::new(SystemClock::new().now()));
    let house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    let camera = house.camera(LOBBY);
    // It is told each second that somebody is there, and nothing without a login tells it that.
    camera.set_oddities(&[Oddity::EndsMuteSessions, Oddity::RefusesOptionsInSession]);
    let at = address(&house, LOBBY, CAMERAS[1].1);
    let (mut player, _) = watch(&house, &at);
    // This maker's nonces live for a minute, and then are stale.
    pass(&clock, Duration::from_secs(61), || assert!(player.fresh().is_some()));
    let before = signs(&house, true);
    // More than twice the time after which it ends a session that is silent.
    while signs(&house, true) < before + 5 {
        assert!(player.frame().is_some());
    }
    assert_eq!((signs(&house, false), camera.rejected_logins()), (1, 0));
    camera.set_fault(Some(Fault::BadPassword));
    while player.frame().is_some() {}
    let note = |it: &Value| {
        it["note"].as_str().is_some_and(|it| it.starts_with("the camera refused the gateway's login"))
    };
    let records = house.wait_for(|records| records.iter().any(note));
    assert_eq!(signs(&house, false), 3, "one with the nonce that it had, one with a new one");
    let ended = records.iter().find(|it| note(it)).unwrap();
    let intent = records.iter().find(|it| it["seq"] == ended["intent"]).unwrap();
    assert_eq!((&intent["operation"], &intent["who"]["kind"]), (&"rtsp:PLAY".into(), &"gateway".into()));
    // It counts: until the pause is over no login is shown to the camera.
    let mut late = Player::connect(&house, &at, VIEWER);
    let heard = camera.log().len();
    assert_eq!(late.ask("DESCRIBE", "", "").status, 502);
    assert_eq!(camera.log().len(), heard);
}

/// Packets of one access unit in what a camera sends in a tick, and its access units, of which the first can be begun
/// with: three megabytes in a second.
const UNIT_PACKETS: u16 = 5;
const UNITS: u16 = 40;

/// What a camera sends again and again: a decoder can begin with its first unit.
fn group() -> Vec<u8> {
    let one = |sequence: u16| {
        let (kind, unit) = (if sequence == 0 { 0x67_u8 } else { 0x41 }, sequence / UNIT_PACKETS);
        let mut packet = packet(96, &[&[kind][..], &[0; 1_399]].concat());
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&u32::from(unit).to_be_bytes());
        framed(0, &packet)
    };
    (0..UNIT_PACKETS * UNITS).flat_map(one).collect()
}

/// Takes pictures up to a packet that does not follow the one before: both their numbers.
fn gap(player: &mut Player, packets_max: usize) -> Option<(u16, u16)> {
    let mut last = None;
    for _ in 0..packets_max {
        let (channel, packet) = player.frame().unwrap();
        if channel != 6 || packet.len() < 1_400 {
            continue;
        }
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        if let Some(before) = last.replace(sequence)
            && sequence != (before + 1) % (UNIT_PACKETS * UNITS)
        {
            return Some((before, sequence));
        }
    }
    None
}

#[test]
fn a_slow_viewer_loses_whole_units_up_to_one_to_begin_with_and_is_told_apart() {
    let (house, running) = served();
    let at = address(&house, LOBBY, CAMERAS[1].1);
    house.camera(LOBBY).set_fault_of("rtsp:playing", Some(once(group())));
    let (mut fast, _) = watch(&house, &at);
    let (mut slow, session) = watch_as(&house, &at, ADMIN);
    let admin = house.admin();
    let series = |name: &str, client: &str| {
        scrape(admin).value(&format!("{name}{{camera=\"lobby\",client=\"{client}\"}}"))
    };
    // One takes what comes all the time, the other nothing at first.
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let taking = scope.spawn(|| {
            let mut gaps = 0;
            while !done.load(Ordering::Relaxed) {
                gaps += usize::from(gap(&mut fast, 200).is_some());
            }
            gaps
        });
        let behind = scope.spawn(|| {
            wait_until("the slow one falls behind", || {
                series("cordon_viewer_fell_behind_total", ADMIN.0) >= 1.0
            });
            // What waits is taken, and then it goes on with a unit that a decoder can begin with.
            // A gap that begins where a group ends looks like none: one of forty.
            (gap(&mut slow, 20_000), slow.ask("TEARDOWN", "", &session).status)
        });
        let behind = behind.join();
        done.store(true, Ordering::Relaxed);
        assert_eq!(taking.join().unwrap(), 0, "who takes what comes misses nothing");
        let (found, left) = behind.unwrap();
        if let Some((before, after)) = found {
            assert_eq!(
                ((before + 1) % UNIT_PACKETS, after),
                (0, 0),
                "after a whole unit, with the first of a group"
            );
        }
        assert_eq!(left, 200);
    });
    drop((slow, fast));
    wait_until("both are gone", || [VIEWER.0, ADMIN.0].iter().all(|it| series("cordon_viewers", it) == 0.0));
    assert!(series("cordon_viewer_lost_bytes_total", ADMIN.0) > 1_400.0);
    assert_eq!(series("cordon_viewer_fell_behind_total", VIEWER.0), 0.0);
    assert_eq!(series("cordon_viewer_lost_bytes_total", VIEWER.0), 0.0);
    let sent = series("cordon_viewer_bytes_total", VIEWER.0);
    assert!(sent > 1_000_000.0, "{sent}");
    let passed = || scrape(admin).value("cordon_stream_packets_total{camera=\"lobby\",result=\"passed\"}");
    // Metrics hear of them once a second.
    wait_until("all that was sent has come from the camera", || passed() * 1_500.0 > sent);
    let noted = |client: &str| {
        let records = records_of(&house.audit_dir());
        let play =
            records.iter().find(|it| it["operation"] == "rtsp:PLAY" && it["who"]["name"] == client).unwrap();
        let outcome = records.iter().find(|it| it["intent"] == play["seq"]);
        outcome.map_or_else(String::new, |it| it["note"].as_str().unwrap().to_owned())
    };
    wait_until("both are on record", || [VIEWER.0, ADMIN.0].iter().all(|it| !noted(it).is_empty()));
    assert!(noted(VIEWER.0).ends_with("; fell behind 0 times, 0 bytes lost"), "{}", noted(VIEWER.0));
    assert!(!noted(ADMIN.0).contains("fell behind 0 times"), "{}", noted(ADMIN.0));
    running.stop();
}

#[test]
fn who_takes_nothing_is_cut_off() {
    let clock = Arc::new(SimulatedClock::new(SystemClock::new().now()));
    let house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    house.camera(LOBBY).set_fault_of("rtsp:playing", Some(once(group())));
    let (player, _) = watch(&house, &address(&house, LOBBY, CAMERAS[1].1));
    let ended = |records: &[Value]| {
        let mut notes = records.iter().filter_map(|it| it["note"].as_str());
        notes.any(|it| it.starts_with("the viewer takes nothing; fell behind "))
    };
    // The way to it has to be full first; no more time passes at once than until the camera sends again.
    house.wait_for(|records| {
        clock.advance(Duration::from_millis(100));
        ended(records)
    });
    drop(player);
}
