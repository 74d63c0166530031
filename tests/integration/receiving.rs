//! How the gateway receives a camera's packets: what the camera is told of them, and what comes of datagrams that change
//! places on the way or are lost.

use std::{sync::Arc, time::Duration};

use cordon::{
    clock::{Clock, SimulatedClock, SystemClock},
    limits::{STREAM_REPORT_INTERVAL, STREAM_SILENCE_MAX},
    rtsp::Rtcp,
    sim::{Fault, Oddity, Told},
};
use jiff::SignedDuration;
use serde_json::Value;

use crate::{
    house::{House, LOBBY, VIEWER},
    streams::{CAMERAS, Player, address},
};

/// A viewer of pictures and sound, which he has on channels 6 and 10.
fn watch(house: &House, at: &str) -> Player {
    let mut player = Player::connect(house, at, VIEWER);
    let session = format!("Session: {}\r\n", player.set_up());
    let sound = format!("{session}Transport: RTP/AVP/TCP;unicast;interleaved=10-11\r\n");
    assert_eq!(player.ask("SETUP", "/stream=1", &sound).status, 200);
    assert_eq!(player.ask("PLAY", "", &session).status, 200);
    player
}

/// Frames that come in more than the time in which what is waited for comes, or does not.
const FRAMES_MAX: usize = 2_000;

/// A word of a report.
fn word(told: &Told, place: usize) -> u32 {
    u32::from_be_bytes(told.packet[4 * place..][..4].try_into().unwrap())
}

/// What reports say that say anything.
fn reports(house: &House) -> Vec<Told> {
    let all = house.camera(LOBBY).reports();
    // Before a stream begins there is nothing to be told; datagrams go all the same, to be let in.
    all.into_iter().filter(|it| it.packet[..4] != [0x80, 201, 0, 1]).collect()
}

#[test]
fn a_camera_is_told_how_its_packets_come_and_plays_on() {
    // That a camera sends datagrams only is remembered, so that these come last.
    for oddities in [&[Oddity::EndsUnreported][..], &[Oddity::EndsUnreported, Oddity::DatagramsOnly]] {
        let clock = Arc::new(SimulatedClock::new(SystemClock::new().now()));
        let house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
        house.camera(LOBBY).set_oddities(oddities);
        let mut player = watch(&house, &address(&house, LOBBY, CAMERAS[1].1));
        let interval = u32::try_from(STREAM_REPORT_INTERVAL.as_millis() * 65_536 / 1_000).unwrap();
        // Of the two that the viewer has the camera's own first reports have come.
        let mut first = [None; 2];
        while first.contains(&None) {
            let (channel, packet) = player.frame().unwrap();
            if let Some(place) = [9, 11].iter().position(|it| *it == channel) {
                let report = Rtcp::parse(&packet).unwrap().report.unwrap();
                first[place] = first[place].or(Some((report.ntp >> 16 & 0xffff_ffff) as u32));
            }
        }
        assert_eq!(first[0], first[1]);
        // More than twice the time after which it ends a session of which it hears no report.
        for round in 0..4 {
            assert!(player.frame().is_some());
            let before = reports(&house).len();
            clock.advance(STREAM_REPORT_INTERVAL);
            let mut frames = 0;
            while reports(&house).len() < before + 3 {
                assert!(player.frame().is_some(), "{oddities:?}: it ended in round {round}");
                frames += 1;
                assert!(frames < FRAMES_MAX / 4, "{oddities:?}: it was told nothing in round {round}");
            }
            let told = &reports(&house)[before..];
            let mut streams: Vec<_> = told.iter().map(|it| it.stream).collect();
            streams.sort_unstable();
            assert_eq!(streams, [0, 1, 2], "one of each stream");
            for it in told {
                assert_eq!(it.packet[..4], [0x81, 201, 0, 7], "{it:?}");
                assert_eq!((word(it, 2), word(it, 3)), (it.ssrc, 0), "nothing is lost: {it:?}");
                let behind = it.next.wrapping_sub((word(it, 4) & 0xffff) as u16);
                // What was sent meanwhile, or is on its way.
                assert!((1..1_000).contains(&behind), "{behind}: {it:?}");
                assert!(word(it, 7).is_multiple_of(interval), "{it:?}");
                // Reports of the camera's come all five seconds; all first ones say when it began.
                if round == 0 {
                    let means_first = Some(word(it, 6)) == first[0];
                    assert!(means_first || Some(it.reported) != first[0], "{it:?}");
                    // Those that the viewer has came before time went on.
                    assert!(!means_first || it.stream == 2 || word(it, 7) >= interval, "{it:?}");
                }
            }
        }
    }
}

#[test]
fn datagrams_that_change_places_are_put_in_order_and_those_that_do_not_come_are_lost() {
    let house = House::open();
    house.camera(LOBBY).set_oddities(&[Oddity::DatagramsOnly, Oddity::DisordersDatagrams]);
    let mut player = watch(&house, &address(&house, LOBBY, CAMERAS[1].1));
    let (mut last, mut skipped, mut came) = ([None; 2], 0, 0);
    // The camera loses the tenth of sixteen, and sends the sixth when it is too late for it.
    let lost = |sequence: u16| sequence % 16 == 9;
    let told_lost = || reports(&house).iter().any(|it| it.stream == 1 && word(it, 3) & 0xff_ffff > 1);
    while came < 100 || !told_lost() {
        let (channel, packet) = player.frame().unwrap();
        let Some(last) = [6, 10].iter().position(|it| *it == channel).map(|it| &mut last[it]) else {
            continue;
        };
        came += 1;
        assert!(came < FRAMES_MAX, "it was told of nothing that is lost");
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        assert!(!lost(sequence), "{sequence}");
        let Some(before) = last.replace(sequence) else { continue };
        let step = sequence.wrapping_sub(before);
        assert!((1..1_000).contains(&step), "{before}, then {sequence}");
        for missing in (1..step).map(|it| before.wrapping_add(it)) {
            assert!(lost(missing) || missing % 16 == 5, "{missing} is missing");
            skipped += u32::from(lost(missing));
        }
    }
    assert!(skipped >= 3, "{skipped} of {came}");
    let told = reports(&house).into_iter().rfind(|it| it.stream == 1).unwrap();
    // Of sixteen one is lost for certain, and a second in time or not.
    let fraction = word(&told, 3) >> 24;
    assert!((1..64).contains(&fraction), "{told:?}");
    drop(player);
    let note = |it: &Value| it["note"].as_str().is_some_and(|it| it.starts_with("nobody watches any more; "));
    let records = house.wait_for(|records| records.iter().any(note));
    let note = records.iter().find(|it| note(it)).unwrap()["note"].as_str().unwrap();
    let (_, rest) = note.split_once(" packets passed, ").unwrap();
    let (dropped, missing) = rest.split_once(" dropped, ").unwrap();
    let missing: u32 = missing.strip_suffix(" missing").unwrap().parse().unwrap();
    assert!(dropped.parse::<u32>().unwrap() > 0 && missing >= skipped, "{note}");
}

/// Seconds from 1900 to 1970 (RFC 5905 §6).
const NTP_SECONDS: u64 = 2_208_988_800;

#[test]
fn a_viewer_has_the_cameras_own_time() {
    let begun = SystemClock::new().now();
    let clock = Arc::new(SimulatedClock::new(begun));
    let house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    // An hour, a minute and half a second behind.
    let offset = SignedDuration::from_millis(-3_660_500);
    house.camera(LOBBY).set_clock_skew(offset);
    let mut player = watch(&house, &address(&house, LOBBY, CAMERAS[1].1));
    let (mut pictures, mut reports) = (Vec::new(), Vec::new());
    while reports.len() < 2 {
        let (channel, packet) = player.frame().unwrap();
        match channel {
            6 => pictures.push(packet),
            9 => reports.push(Rtcp::parse(&packet).unwrap().report.unwrap()),
            _ => {}
        }
        // Never so much that its camera seems to be silent, however many frames come at once.
        let may_pass = clock.monotonic() < STREAM_SILENCE_MAX / 2;
        if !pictures.is_empty() && reports.len() == 1 && may_pass {
            clock.advance(Duration::from_millis(100));
        }
    }
    let time = |packet: &Vec<u8>| u32::from_be_bytes(packet[4..8].try_into().unwrap());
    let source = u32::from_be_bytes(pictures[0][8..12].try_into().unwrap());
    let ntp = |report: &cordon::rtsp::SenderReport| report.ntp;
    // The first comes with the first picture, whose time it tells by the camera's clock.
    let at = begun + offset;
    let seconds = u64::try_from(at.as_second()).unwrap() + NTP_SECONDS;
    let fraction = (u64::try_from(at.subsec_nanosecond()).unwrap() << 32) / 1_000_000_000;
    assert_eq!((ntp(&reports[0]), reports[0].rtp), (seconds << 32 | fraction, time(&pictures[0])));
    // Five seconds of pictures are between the two, whatever the clock.
    assert_eq!(reports[1].rtp.wrapping_sub(reports[0].rtp), 5 * 90_000);
    assert!(pictures.iter().any(|it| time(it) == reports[1].rtp), "it is that of a picture, too");
    assert!(ntp(&reports[1]) > ntp(&reports[0]) && ntp(&reports[1]) - ntp(&reports[0]) < 60 << 32);
    assert!(reports.iter().all(|it| it.ssrc.0 == source));
}

#[test]
fn a_stream_of_which_no_datagram_comes_ends_for_that_reason() {
    let clock = Arc::new(SimulatedClock::new(SystemClock::new().now()));
    let house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    let camera = house.camera(LOBBY);
    camera.set_oddities(&[Oddity::DatagramsOnly]);
    camera.set_fault_of("rtsp:playing", Some(Fault::Hang));
    let mut player = watch(&house, &address(&house, LOBBY, CAMERAS[1].1));
    clock.advance(STREAM_SILENCE_MAX + Duration::from_secs(1));
    assert!(player.frame().is_none(), "nothing came");
    let note =
        |it: &Value| it["note"].as_str().is_some_and(|it| it.starts_with("no datagram of the stream came; "));
    house.wait_for(|records| records.iter().any(note));
}
