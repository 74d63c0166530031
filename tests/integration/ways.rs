//! Ways of cameras that are found out, remembered and gone along with (`config/quirks`), each through the whole
//! gateway: what the client gets, what the camera heard, what is remembered.

use cordon::{
    sim::{Oddity, Received},
    store::Store,
};
use jiff::SignedDuration;
use serde_json::Value;

use crate::{
    client::{self, Reply, tds, tds_with},
    house::{ADMIN, CAR_PARK, House, LOBBY},
};

/// A question that may be asked twice.
const READ: &str = "GetDeviceInformation";
/// A command that may not.
const WRITE: &str = "SetHostname";

fn read(house: &House, camera: usize) -> Reply {
    client::ask(house.door(camera), "device", ADMIN, &tds(READ))
}

fn write(house: &House, camera: usize) -> Reply {
    client::ask(house.door(camera), "device", ADMIN, &tds_with(WRITE, "<x:Name>way</x:Name>"))
}

/// What a camera heard of an operation, as `status content-type`.
fn heard(house: &House, camera: usize, operation: &str) -> Vec<String> {
    let log = house.camera(camera).log();
    let of = |it: &&Received| it.operation.as_deref() == Some(&*format!("tds:{operation}"));
    let told = |it: &Received| {
        let kind = it.headers.iter().find(|(name, _)| name == "content-type").unwrap();
        format!("{} {}", it.status, kind.1.split(';').next().unwrap())
    };
    log.iter().filter(of).map(told).collect()
}

/// What is remembered of a camera, once the gateway has stopped.
fn remembered(house: &mut House, name: &str) -> Value {
    house.stop();
    let store = Store::open(&house.dir().join("state/state.sqlite")).unwrap();
    serde_json::from_str(&store.state_get(name, "memory").unwrap().unwrap()).unwrap()
}

/// The quirks in it that matter here: the clocks of the two cameras are off on purpose.
fn quirks(memory: &Value) -> Vec<&str> {
    let quirks = memory["quirks"].as_object().unwrap();
    quirks.keys().map(String::as_str).filter(|it| *it != "clock-off").collect()
}

#[track_caller]
fn good(reply: &Reply) {
    assert_eq!((reply.status, reply.fault().as_str()), (200, ""), "{}", reply.text());
}

#[test]
fn soap_1_1_is_spoken_with_a_camera_that_speaks_nothing_else() {
    for (oddity, first) in [
        (Oddity::EmptyUnlessSoap11, 200),
        (Oddity::HangsUpUnlessSoap11, 0),
        (Oddity::RefusesUnlessSoap11, 415),
    ] {
        let mut house = House::open();
        house.camera(LOBBY).set_oddities(&[oddity]);
        good(&read(&house, LOBBY));
        let asked = heard(&house, LOBBY, READ);
        assert_eq!(asked[0], format!("{first} application/soap+xml"), "{oddity:?}: {asked:?}");
        assert!(asked[1..].iter().all(|it| it.ends_with(" text/xml")), "{asked:?}");
        good(&write(&house, LOBBY));
        assert_eq!(heard(&house, LOBBY, WRITE), ["200 text/xml"], "no command is sent twice");
        let sent = house.camera(LOBBY).log().into_iter().rfind(|it| it.operation.is_some()).unwrap();
        assert_eq!(sent.action.as_deref(), Some("http://www.onvif.org/ver10/device/wsdl/SetHostname"));
        let memory = remembered(&mut house, "lobby");
        assert_eq!(quirks(&memory), ["soap-11-only"], "{oddity:?}");
        let sighting = &memory["quirks"]["soap-11-only"];
        assert_eq!(sighting["firmware"], "10.12.182", "{sighting}");
        assert!(sighting["note"].as_str().unwrap().contains("SOAP"), "{sighting}");
        assert!(sighting["first"].as_str() <= sighting["last"].as_str(), "{sighting}");
    }
}

#[test]
fn a_command_that_was_perhaps_understood_is_not_sent_again() {
    for (oddity, again) in [(Oddity::EmptyUnlessSoap11, false), (Oddity::RefusesUnlessSoap11, true)] {
        let house = House::open();
        house.camera(LOBBY).set_oddities(&[oddity]);
        let reply = write(&house, LOBBY);
        let sent = heard(&house, LOBBY, WRITE);
        if again {
            good(&reply);
            assert_eq!(sent.iter().filter(|it| *it == "200 text/xml").count(), 1, "{sent:?}");
        } else {
            assert!(reply.text().contains("the camera's answer is empty"), "{}", reply.text());
            assert_eq!(sent, ["200 application/soap+xml"], "who knows what it did");
        }
    }
}

#[test]
fn what_stands_before_an_answer_is_passed_over() {
    for (oddity, note) in [
        (Oddity::RemainsBeforeAnswer, "bytes before the status line"),
        (Oddity::NoHead, "no status line, and 3 bytes before the XML declaration"),
    ] {
        let mut house = House::open();
        // Without a head there is no challenge either, and a login needs one or the other.
        let odd = if oddity == Oddity::NoHead { [oddity, Oddity::TokenOnly] } else { [oddity, oddity] };
        house.camera(LOBBY).set_oddities(&odd);
        good(&read(&house, LOBBY));
        good(&write(&house, LOBBY));
        assert_eq!(heard(&house, LOBBY, WRITE).iter().filter(|it| it.starts_with("200")).count(), 1);
        let memory = remembered(&mut house, "lobby");
        assert_eq!(quirks(&memory), ["garbled-status-line"], "{oddity:?}");
        let sighting = &memory["quirks"]["garbled-status-line"];
        assert!(sighting["note"].as_str().unwrap().ends_with(note), "{sighting}");
        assert!(sighting["times"].as_u64() >= Some(2), "{sighting}");
    }
}

#[test]
fn commands_go_on_fresh_connections_to_a_camera_that_closes_kept_ones() {
    let mut house = House::open();
    house.camera(LOBBY).set_oddities(&[Oddity::ClosesSilently, Oddity::TokenOnly]);
    for _ in 0..4 {
        good(&read(&house, LOBBY));
    }
    for _ in 0..2 {
        good(&write(&house, LOBBY));
    }
    assert_eq!(heard(&house, LOBBY, WRITE), ["200 application/soap+xml"; 2]);
    assert_eq!(quirks(&remembered(&mut house, "lobby")), ["closes-silently"]);
}

#[test]
fn a_security_header_need_not_be_understood_where_that_is_refused() {
    let mut house = House::open();
    house.camera(LOBBY).set_oddities(&[Oddity::RefusesMustUnderstand, Oddity::TokenOnly]);
    house.camera(LOBBY).set_clock_skew(SignedDuration::ZERO);
    good(&write(&house, LOBBY));
    let sent = heard(&house, LOBBY, WRITE);
    let refused = sent.iter().filter(|it| it.starts_with("500")).count();
    assert_eq!(refused, 1, "nothing was done, so it is sent again: {sent:?}");
    assert_eq!(house.camera(LOBBY).rejected_logins(), 0, "that was no wrong password");
    good(&write(&house, LOBBY));
    let refused = heard(&house, LOBBY, WRITE).iter().filter(|it| it.starts_with("500")).count();
    assert_eq!(refused, 1, "the second command went out right at once");
    assert_eq!(quirks(&remembered(&mut house, "lobby")), ["security-not-understood"]);
}

#[test]
fn ways_that_make_no_difference_are_noted_all_the_same() {
    for (camera, name, oddity, quirk) in [
        (CAR_PARK, "car-park", Oddity::WebPageForRefusal, "web-page-for-refusal"),
        (CAR_PARK, "car-park", Oddity::ChallengeLeftOut, "challenge-left-out"),
        (LOBBY, "lobby", Oddity::Sha256Only, "sha-256-only"),
        (CAR_PARK, "car-park", Oddity::UndeclaredPrefixes, "undeclared-prefixes"),
    ] {
        let mut house = House::open();
        house.camera(camera).set_oddities(&[oddity]);
        good(&read(&house, camera));
        assert_eq!(house.camera(camera).rejected_logins(), 0, "{quirk}");
        assert_eq!(quirks(&remembered(&mut house, name)), [quirk]);
    }
}

#[test]
fn a_camera_that_states_local_time_is_logged_in_to_by_the_true_one() {
    let mut house = House::open();
    let camera = house.camera(LOBBY);
    camera.set_oddities(&[Oddity::LocalTime(120), Oddity::TokenOnly]);
    camera.set_clock_skew(SignedDuration::ZERO);
    good(&read(&house, LOBBY));
    assert_eq!(camera.rejected_logins(), 1, "one token in the time it states");
    let memory = remembered(&mut house, "lobby");
    assert_eq!(quirks(&memory), ["local-time-as-utc"]);
    assert_eq!(memory["clock_shift_milliseconds"], -7_200_000);
    assert_eq!(memory["scheme"], "wsse");
    house.camera(LOBBY).clear_log();
    house.camera(LOBBY).set_clock_skew(SignedDuration::from_hours(-400_000));
    house.restart_after_stop();
    good(&read(&house, LOBBY));
    assert_eq!(house.camera(LOBBY).rejected_logins(), 0, "the difference is known, the clock measured anew");
}

#[test]
fn a_clock_that_no_head_tells_is_measured() {
    let mut house = House::open();
    house.camera(LOBBY).set_oddities(&[Oddity::TokenOnly, Oddity::LocalTime(0)]);
    good(&read(&house, LOBBY));
    assert_eq!(house.camera(LOBBY).rejected_logins(), 0);
    let memory = remembered(&mut house, "lobby");
    assert!(memory["quirks"]["clock-off"]["note"].as_str().unwrap().ends_with("s behind"), "{memory}");
}

#[test]
fn another_firmware_begins_anew_and_the_owner_has_the_last_word() {
    let mut house = House::open();
    house.camera(LOBBY).set_oddities(&[Oddity::EmptyUnlessSoap11]);
    good(&read(&house, LOBBY));
    house.camera(LOBBY).set_variable("firmware", "11.0.1");
    good(&read(&house, LOBBY));
    let memory = remembered(&mut house, "lobby");
    assert_eq!(memory["identity"]["firmware"], "11.0.1");
    assert!(!quirks(&memory).contains(&"soap-11-only"), "{memory}");

    let line = |word: &str| {
        format!(
            "username = \"gateway-service\"\nquirks = [{{ {word} = \"soap-11-only\", reason = \"a test\" }}]"
        )
    };
    for (word, status, first) in [("forbid", 500, "application/soap+xml"), ("use", 200, "text/xml")] {
        house.restart_after_stop();
        house.camera(LOBBY).clear_log();
        house.reconfigure(|text| {
            let plain: String = text
                .lines()
                .filter(|it| !it.starts_with("quirks"))
                .fold(String::new(), |all, it| all + it + "\n");
            plain.replace("username = \"gateway-service\"", &line(word))
        });
        assert_eq!(read(&house, LOBBY).status, status, "{word}");
        let asked = heard(&house, LOBBY, READ);
        assert!(asked.iter().all(|it| it.ends_with(first)), "{word}: {asked:?}");
        house.stop();
    }
}
