//! Where viewers begin who come to a stream that others watch already.
#![expect(clippy::print_stderr, reason = "figures are said")]

use std::{
    process::Command,
    sync::{Arc, Mutex},
};

use cordon::{
    clock::{Clock, SystemClock},
    sim::Oddity,
};

use crate::{
    house::{House, LOBBY, VIEWER, breathe},
    streams::{Answer, CAMERAS, Player, address, skipped, with_login},
};

/// Viewers whose wait is measured, each way.
const VIEWERS: usize = 5;
/// How often a viewer comes anew who was too late for the picture that others got.
const TRIES: usize = 5;

fn house(begin: &str) -> (House, String) {
    let mut house = House::open();
    let more = format!("name = \"lobby\"\nstreams_begin = \"{begin}\"\n");
    house.reconfigure(|text| text.replacen("name = \"lobby\"\n", &more, 1));
    let at = address(&house, LOBBY, CAMERAS[1].1);
    (house, at)
}

/// A viewer who is let in and has the pictures set up: his session.
fn come(house: &House, at: &str) -> (Player, String) {
    let mut player = Player::connect(house, at, VIEWER);
    let session = format!("Session: {}\r\n", player.set_up());
    (player, session)
}

/// Has them play: what he is told.
fn play(player: &mut Player, session: &str) -> Answer {
    let playing = player.ask("PLAY", "", session);
    assert_eq!(playing.status, 200, "{}", playing.head);
    playing
}

/// A viewer who watches.
fn watch(house: &House, at: &str) -> Player {
    let (mut player, session) = come(house, at);
    play(&mut player, &session);
    player
}

/// The next packet of the pictures.
fn picture(player: &mut Player) -> Vec<u8> {
    loop {
        let (channel, packet) = player.frame().unwrap();
        if channel == 6 {
            return packet;
        }
    }
}

fn timestamp(packet: &[u8]) -> u32 {
    u32::from_be_bytes(packet[4..8].try_into().unwrap())
}

fn sequence(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[2], packet[3]])
}

/// Whether a key frame begins here: the simulated camera sends its parameter sets before each.
fn begins(packet: &[u8]) -> bool {
    packet[12] & 0x1f == 7
}

/// A viewer who reads all the time, and what he got.
struct First(Arc<Mutex<Vec<Vec<u8>>>>);

impl First {
    fn begin(house: &House, at: &str) -> Self {
        let mut player = watch(house, at);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::downgrade(&seen);
        // It ends with the test, which has the pictures.
        std::thread::spawn(move || {
            while let (Some(all), Some((channel, packet))) = (all.upgrade(), player.frame()) {
                if channel == 6 {
                    all.lock().unwrap().push(packet);
                }
            }
        });
        Self(seen)
    }

    /// Waits until so many pictures have come after the last key frame.
    fn wait_for(&self, after: usize) {
        loop {
            let seen = self.0.lock().unwrap().clone();
            let group = seen.rsplit(|it| begins(it)).next().unwrap_or_default();
            let mut moments: Vec<_> = group.iter().map(|it| timestamp(it)).collect();
            moments.dedup();
            // The key frame itself has the moment of its parameter sets.
            if group.len() < seen.len() && moments.len() == after + 1 {
                return;
            }
            breathe();
        }
    }
}

#[test]
fn a_new_viewer_begins_with_what_another_got_since_the_last_key_frame() {
    let (house, at) = house("last-key-frame");
    let first = First::begin(&house, &at);
    let mut tries = 0..TRIES;
    let (mut second, playing, session, mut got, before) = loop {
        // However long that takes: only PLAY has to be answered before the next key frame.
        let (mut second, session) = come(&house, &at);
        first.wait_for(3);
        let before = first.0.lock().unwrap().len();
        let playing = play(&mut second, &session);
        let got = vec![picture(&mut second)];
        // On a busy machine it comes all the same.
        if first.0.lock().unwrap()[..before].contains(&got[0]) || tries.next().is_none() {
            break (second, playing, session, got, before);
        }
    };
    assert!(begins(&got[0]), "{:?}", &got[0][..16]);
    let told = format!("url={at}/stream=0;seq={};rtptime={}", sequence(&got[0]), timestamp(&got[0]));
    assert_eq!(playing.field("RTP-Info"), Some(told.as_str()));
    while got.len() < 60 {
        got.push(picture(&mut second));
    }
    let seen = loop {
        let seen = first.0.lock().unwrap().clone();
        if seen.iter().any(|it| it == got.last().unwrap()) {
            break seen;
        }
        breathe();
    };
    // These are the very packets that the first viewer got, from one on that he had before.
    let from = seen.iter().position(|it| *it == got[0]).unwrap();
    assert!(from < before, "begins with packet {from} of {before} that had come");
    assert_eq!(seen[from..from + got.len()], got);
    // Who goes on after a pause has seen what came before.
    let last = sequence(got.last().unwrap());
    assert_eq!(second.ask("PAUSE", "", &session).status, 200);
    first.wait_for(3);
    assert_eq!(second.ask("PLAY", "", &session).status, 200);
    let next = picture(&mut second);
    let had = first.0.lock().unwrap().iter().rposition(|it| *it == next);
    assert!(begins(&next) && sequence(&next).wrapping_sub(last) < 0x7fff, "{last} {}", sequence(&next));
    assert!(had.is_none_or(|it| it > from + got.len()), "{had:?}");
}

#[test]
fn a_decoder_begins_with_a_key_frame_and_finds_no_error() {
    if skipped("ffprobe") {
        return;
    }
    let (house, at) = house("last-key-frame");
    let first = First::begin(&house, &at);
    first.wait_for(3);
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-rtsp_transport", "tcp", "-select_streams", "v", "-read_intervals", "%+#15"])
        .args(["-show_frames", "-show_entries", "frame=key_frame,pict_type", "-of", "csv=p=0"])
        .arg(with_login(&at, VIEWER))
        .output()
        .unwrap();
    let (told, frames) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(told.is_empty(), "{told}");
    let frames: Vec<_> = frames.lines().filter(|it| !it.is_empty()).collect();
    assert!(frames.len() >= 15 && frames[0].starts_with("1,I"), "{frames:?}");
}

#[test]
fn who_begins_at_the_last_key_frame_waits_less() {
    let clock = SystemClock::new();
    let opened = ["next-key-frame", "last-key-frame"].map(|begin| {
        let (house, at) = house(begin);
        let first = First::begin(&house, &at);
        (house, at, first)
    });
    let mut waits = [const { Vec::new() }; 2];
    // In turns, so that both fare alike on a machine that is busy for a while.
    for _ in 0..VIEWERS {
        for ((house, at, first), waits) in opened.iter().zip(&mut waits) {
            let (mut second, session) = come(house, at);
            first.wait_for(3);
            let began = clock.monotonic();
            play(&mut second, &session);
            picture(&mut second);
            waits.push(clock.monotonic() - began);
        }
    }
    let [next, last] = waits.map(|mut waits| {
        waits.sort();
        waits[VIEWERS / 2]
    });
    eprintln!("to the first picture: {next:.0?} at the next key frame, {last:.0?} at the last one");
    // Key frames come once a second, and each viewer comes some three tenths after one.
    assert!(last < next, "{last:?} {next:?}");
}

#[test]
fn who_comes_has_the_camera_asked_for_a_key_frame_once_a_second_at_most() {
    let (house, at) = house("asked-key-frame");
    // One that shows none by itself.
    house.camera(LOBBY).set_oddities(&[Oddity::KeysWhenAsked]);
    let asked = || {
        let log = house.camera(LOBBY).log();
        let operations = log.iter().filter_map(|it| it.operation.as_deref().zip(it.user.as_deref()));
        operations.filter(|(it, _)| it.ends_with(":SetSynchronizationPoint")).count()
    };
    let clock = SystemClock::new();
    let begun = clock.monotonic();
    let mut first = watch(&house, &at);
    assert!(begins(&picture(&mut first)));
    for _ in 0..3 {
        let mut others: Vec<_> = (0..VIEWERS).map(|_| watch(&house, &at)).collect();
        for other in &mut others {
            assert!(begins(&picture(other)), "a key frame, which nobody gets who does not ask");
        }
    }
    let (times, seconds) = (asked(), usize::try_from((clock.monotonic() - begun).as_secs()).unwrap());
    assert!((2..=seconds + 2).contains(&times), "{times} times in {seconds} s");
    let mut house = house;
    house.stop();
    let records = house.records();
    let intent =
        |it: &&serde_json::Value| it["operation"] == "tr2:SetSynchronizationPoint" && it["type"] == "intent";
    let intents: Vec<_> = records.iter().filter(intent).collect();
    assert!(intents.len() >= times, "{}", intents.len());
    for it in intents {
        assert_eq!((&it["decision"], &it["who"]["name"]), (&"permitted".into(), &"stream".into()), "{it}");
        assert_eq!(it["arguments"]["ProfileToken"], CAMERAS[1].1, "{it}");
    }
}
