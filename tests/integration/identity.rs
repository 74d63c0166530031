//! What cameras show of their makers while they are served, whether they are the devices they were, and cameras at
//! sensitive sites.

use std::{
    net::{Ipv4Addr, TcpListener},
    time::Duration,
};

use cordon::{
    clock::{Clock, SystemClock},
    limits::{IDENTITY_LOOK_INTERVAL, IDENTITY_LOOK_SPREAD},
    sim::{Fault, RunningCamera},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    client::{self, Reply, tds, tds_with},
    house::{ADMIN, CAR_PARK, House, LOBBY, VIEWER, crowd, records_of},
    process::Running,
    reload::{self, BY, SIGNAL},
};

fn ask(house: &House, camera: usize, body: &str) -> Reply {
    client::ask(house.door(camera), "device", ADMIN, body)
}

/// A command that a trusted camera is given and a restricted one is not.
fn set_time_server(house: &House) -> Reply {
    let server = "<x:Type xmlns:x=\"http://www.onvif.org/ver10/schema\">IPv4</x:Type>\
        <x:IPv4Address xmlns:x=\"http://www.onvif.org/ver10/schema\">203.0.113.5</x:IPv4Address>";
    let inner = format!("<x:FromDHCP>false</x:FromDHCP><x:NTPManual>{server}</x:NTPManual>");
    ask(house, LOBBY, &tds_with("SetNTP", &inner))
}

fn events(records: &[Value], what: &str) -> Vec<Value> {
    let is = |it: &&Value| it["type"] == "event" && it["what"] == what;
    records.iter().filter(is).map(|it| it["detail"].clone()).collect()
}

fn alarms(records: &[Value], id: &str) -> Vec<String> {
    let raised = events(records, "alarm-raised").into_iter().filter(|it| it["id"] == id);
    raised.map(|it| it["subject"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_relabelled_camera_is_held_for_what_it_shows_from_the_next_command_on() {
    let mut house = House::open();
    assert_eq!(ask(&house, LOBBY, &tds("GetDeviceInformation")).status, 200);
    assert_eq!(set_time_server(&house).status, 200, "an Axis, as far as anybody knows");
    house.camera(LOBBY).set_variable("model", "DS-2CD2143G0-I");
    assert_eq!(ask(&house, LOBBY, &tds("GetDeviceInformation")).status, 200);
    let refused = set_time_server(&house);
    let record = house.record(&refused);
    assert!(record.policies().contains(&"restricted.egress"), "{record:?}");
    assert_eq!(
        (&record.intent["vendor"], &record.intent["vendor_class"]),
        (&"hikvision".into(), &"restricted".into())
    );
    let records = house.records();
    let verdicts = events(&records, "vendor-verdict");
    assert_eq!(verdicts.len(), 1, "{verdicts:?}");
    assert_eq!((&verdicts[0]["vendor"], &verdicts[0]["declared"]), (&"hikvision".into(), &"Axis".into()));
    assert_eq!(alarms(&records, "vendor-contradiction"), ["camera lobby"]);
    assert_eq!(alarms(&records, "camera-changed"), ["camera lobby"], "its model is another");
    // Whoever looks for alarms does so every second.
    house.wait_for(|records| alarms(records, "camera-stricter") == ["camera lobby"]);
    // It endures, before the camera has said anything.
    house.restart();
    let record = house.record(&set_time_server(&house));
    assert!(record.policies().contains(&"restricted.egress"), "{record:?}");
    // What it was refused is decided anew for what it was held to be, not for what the configuration says.
    write_permit_all(&house);
    let (_, replayed, _) = crate::process::policy(house.dir(), &["replay", "own"]);
    let told = "  by vms-admin (Administrator) on lobby (hikvision, restricted)\n    tds:SetNTP: 2, ";
    assert!(replayed.contains(told), "{replayed}");
    // A person's decision stands, and is on record.
    let undecided = house.configuration();
    house.reconfigure(|text| {
        let decision = "vendor_decision = { is = \"trusted\", because = \"looked inside\", by = \"A. Engineer\", on = 2026-11-25 }";
        text.replace("vendor = \"Axis\"", &format!("vendor = \"Axis\"\n{decision}"))
    });
    assert_eq!(set_time_server(&house).status, 200);
    let records = house.records();
    assert_eq!(events(&records, "vendor-verdict").len(), 1, "nothing new was found");
    let decision = serde_json::json!(
        { "class": "trusted", "reason": "looked inside", "by": "A. Engineer", "on": "2026-11-25" }
    );
    assert_eq!(events(&records, "vendor-decided"), std::slice::from_ref(&decision));
    house.write(&undecided);
    house.reloader().reload(&SIGNAL, None).unwrap();
    assert_ne!(set_time_server(&house).status, 200, "it is withdrawn");
    assert_eq!(events(&house.records(), "vendor-decision-withdrawn"), [decision]);
}

#[test]
fn what_honest_cameras_show_changes_nothing() {
    let house = House::open();
    house.acquaint();
    let records = house.records();
    for what in ["vendor-verdict", "camera-changed", "camera-quarantined"] {
        assert_eq!(events(&records, what), Vec::<Value>::new(), "{what}");
    }
    assert_eq!(alarms(&records, "vendor-contradiction"), Vec::<String>::new());
}

#[test]
fn a_restricted_camera_at_a_sensitive_site_is_served_under_an_exception_only_and_until_it_ends() {
    let mut house = House::open();
    let mut reloader = house.reloader();
    let text = house.configuration().replace("sensitive = false", "sensitive = true");
    let exception = |until: &str| {
        format!(
            "{text}\n[[exception]]\ncamera = \"car-park\"\nowner = \"A. Owner\"\nreason = \"until spring\"\nuntil = \"{until}\"\n"
        )
    };
    for (text, policies) in [
        (text.clone(), Some("sites.unexcepted")),
        (exception("2999-12-31"), None),
        (exception("2020-12-31"), Some("sites.unexcepted")),
    ] {
        house.write(&text);
        reloader.reload(&SIGNAL, None).unwrap();
        let reply = client::ask(house.door(CAR_PARK), "device", VIEWER, &tds("GetDeviceInformation"));
        assert_eq!(reply.status == 200, policies.is_none(), "{}", reply.text());
        // Trusted cameras go on, and with their lines all before are durable.
        assert_eq!(ask(&house, LOBBY, &tds("GetDeviceInformation")).status, 200);
        let records = records_of(&house.audit_dir());
        let is_its = |it: &&Value| it["type"] == "intent" && it["source"] == *reply.source.to_string();
        let denied_by = records.iter().find(is_its).filter(|it| it["decision"] == "denied");
        assert_eq!(denied_by.map(|it| &it["policies"]), policies.map(|it| serde_json::json!([it])).as_ref());
        let strangers = client::ask_anonymously(house.door(CAR_PARK), "device", &tds("GetSystemDateAndTime"));
        assert_eq!(strangers.status == 200, policies.is_none(), "{}", strangers.text());
    }
    // Whoever looks for alarms does so now and then. The camera itself cannot be asked any more.
    let clock = SystemClock::new();
    while alarms(&records_of(&house.audit_dir()), "site-restricted").is_empty() {
        assert!(clock.monotonic() < Duration::from_secs(45), "no alarm");
        crate::house::breathe();
    }
    house.stop();
    let records = records_of(&house.audit_dir());
    assert_eq!(alarms(&records, "site-restricted"), ["camera car-park"]);
    let granted = events(&records, "exception-granted");
    let told: Vec<_> = granted.iter().map(|it| (&it["owner"], &it["reason"], &it["until"])).collect();
    let (owner, reason) = (Value::from("A. Owner"), Value::from("until spring"));
    let (long, over) = (Value::from("2999-12-31"), Value::from("2020-12-31"));
    assert_eq!(told, [(&owner, &reason, &long), (&owner, &reason, &over)]);
}

#[test]
fn no_policy_of_an_owners_serves_a_camera_in_quarantine_or_one_without_its_exception() {
    let house = House::open();
    house.acquaint();
    write_permit_all(&house);
    let text = reload::with_policies(&house.configuration(), "own");
    let denied = |camera: usize, bar: &str, why: &str| {
        let reply = ask(&house, camera, &tds("GetHostname"));
        let found = records_of(&house.audit_dir());
        let own = |it: &&Value| it["type"] == "intent" && it["source"] == *reply.source.to_string();
        let intent = found.iter().find(own).unwrap();
        assert_eq!((reply.status, intent["note"].as_str()), (400, Some(why)), "{intent}");
        assert_eq!(intent["barred"], *bar, "{intent}");
        assert_eq!(client::ask_anonymously(house.door(camera), "device", &tds("GetHostname")).status, 401);
    };
    house.write(&text);
    house.reloader().reload(&SIGNAL, None).unwrap();
    assert_eq!(ask(&house, CAR_PARK, &tds("GetHostname")).status, 200, "the policies permit it");
    house.write(&text.replace("sensitive = false", "sensitive = true"));
    house.reloader().reload(&SIGNAL, None).unwrap();
    denied(CAR_PARK, "exception", "the camera is restricted, and its sensitive site has no exception for it");
    house.camera(LOBBY).set_variable("serial.number", "B8A44F000000");
    ask(&house, LOBBY, &tds("GetDeviceInformation"));
    denied(LOBBY, "quarantine", "the camera is in quarantine");
    // What no policy refused, no policy changes; and no policy serves them now.
    let (fine, told, _) = crate::process::policy(house.dir(), &["replay", "own"]);
    assert!(fine && told.contains(" 0 denied now, 0 permitted now, the others as recorded\n"), "{told}");
    assert!(told.contains("not decided anew: 4 refused for what is no policy's"), "{told}");
    assert!(told.contains(" whose camera is served to nobody now"), "{told}");
}

fn write_permit_all(house: &House) {
    let dir = house.dir().join("own");
    std::fs::create_dir_all(&dir).unwrap();
    let all = "@id(\"own.all\") permit (principal, action, resource);\n";
    std::fs::write(dir.join("10-all.cedar"), all).unwrap();
}

/// What does not say who the camera is.
fn served(house: &House, camera: usize) -> bool {
    let reply = ask(house, camera, &tds("GetHostname"));
    assert!([200, 400].contains(&reply.status), "{}", reply.text());
    reply.status == 200
}

const SWAPPED: usize = 20;

/// Firmware, clocks, letters, and one thing that two models of a maker may share or not.
fn changes_for_good(camera: &RunningCamera, number: usize) {
    match number % 5 {
        0 => camera.set_variable("firmware", &format!("V6.{number}.0 build 261101")),
        1 => camera.set_clock_skew(SignedDuration::from_hours(number as i64)),
        2 => camera.set_variable("model", &format!("with a suffix {number}")),
        3 => camera.set_variable("hardware", &format!("{number}.1")),
        _ => camera.set_variable("manufacturer", "HiKViSiON"),
    }
}

/// Another unit of the same model, one with other firmware, one of another model, one of another maker.
fn is_exchanged(camera: &RunningCamera, number: usize) {
    match number % 4 {
        0 => camera.set_variable("serial.number", &format!("DS-OTHER-{number}")),
        1 => {
            camera.set_variable("serial.number", &format!("9H0{number}PAG"));
            camera.set_variable("firmware", "2.9");
        }
        2 => {
            camera.set_variable("model", &format!("another model {number}"));
            camera.set_variable("hardware", "9.9");
        }
        _ => {
            camera.set_variable("manufacturer", "Milesight");
            camera.set_variable("model", "MS-C2964");
        }
    }
}

/// The first look of each camera comes within a minute. On a busy machine what it finds is known a while later; that is
/// before the second look, which might find what the first did not.
const FIRST_LOOK_MAX: Duration = Duration::from_secs(85);
const _: () = {
    let (interval, spread) = (IDENTITY_LOOK_INTERVAL.as_secs(), IDENTITY_LOOK_SPREAD.as_secs());
    assert!(interval + spread < 60 && FIRST_LOOK_MAX.as_secs() < 2 * interval);
};

#[test]
#[allow(clippy::print_stdout, reason = "how long it took is worth seeing")]
fn twenty_swaps_are_found_within_a_minute_and_twenty_benign_changes_darken_none() {
    // The first ones change for good: the first is asked by the house, too.
    let house = House::with(crowd(2 * SWAPPED));
    house.acquaint();
    let clock = SystemClock::new();
    for number in 0..SWAPPED {
        changes_for_good(house.camera(number), number);
        is_exchanged(house.camera(SWAPPED + number), number);
    }
    let began = clock.monotonic();
    for camera in SWAPPED..2 * SWAPPED {
        while served(&house, camera) {
            let took = clock.monotonic().saturating_sub(began);
            assert!(took < FIRST_LOOK_MAX, "the swap of camera {camera} was not found");
            crate::house::breathe();
        }
    }
    println!("20 swaps found within {:?}", clock.monotonic().saturating_sub(began));
    // Until the benign ones were looked at, too.
    house.wait_for(|records| events(records, "camera-changed").len() >= SWAPPED / 5 * 3);
    let dark: Vec<usize> = (0..SWAPPED).filter(|camera| !served(&house, *camera)).collect();
    assert_eq!(dark, Vec::<usize>::new(), "of {SWAPPED}");
    let records = house.records();
    assert_eq!(events(&records, "camera-quarantined").len(), SWAPPED);
    let first = events(&records, "camera-quarantined").swap_remove(0);
    assert_eq!(
        first["changes"][0]["bearing"].as_str().map(|it| ["certain", "half"].contains(&it)),
        Some(true)
    );
}

#[test]
fn another_device_is_served_once_somebody_has_accepted_it_and_nobody_is_before() {
    let mut house = House::open();
    house.acquaint();
    house.camera(LOBBY).set_variable("serial.number", "B8A44F000000");
    assert_eq!(
        ask(&house, LOBBY, &tds("GetDeviceInformation")).status,
        200,
        "it shows itself by this answer"
    );
    assert!(!served(&house, LOBBY));
    let stranger = client::ask_anonymously(house.door(LOBBY), "device", &tds("GetSystemDateAndTime"));
    assert_eq!(stranger.status, 401, "{}", stranger.text());
    house.restart();
    let refused = ask(&house, LOBBY, &tds("GetHostname"));
    assert_eq!(house.record(&refused).policies(), ["sites.quarantine"]);
    let reloader = house.reloader();
    for (camera, reason, told) in [
        (
            "cellar",
            "exchanged",
            "the gateway that runs has no camera `cellar`; `cordon camera list` shows those it has",
        ),
        (
            "car-park",
            "exchanged",
            "camera `car-park` is not in quarantine: there is nothing to accept; if the device was exchanged and is not reached, announce that with `cordon camera expect-change`",
        ),
        ("lobby", " ", "give a reason of 1 to 512 characters: it is put on record"),
    ] {
        assert_eq!(reloader.accept(&BY, camera, reason).unwrap_err().to_string(), told);
    }
    assert!(reloader.accept(&SIGNAL, "lobby", "exchanged").is_err(), "a signal decides nothing");
    // Before somebody decides, a third device takes its place: nobody has looked at that one.
    house.camera(LOBBY).set_variable("serial.number", "B8A44F777777");
    let was = reloader.accept(&BY, "lobby", "exchanged after lightning").unwrap();
    let (why, device) = (was.why, was.device.unwrap().to_string());
    assert!(why.starts_with("serial was `B8A44F") && why.ends_with("is `B8A44F000000`"), "{why}");
    assert!(device.starts_with("serial `B8A44F000000`, "), "{device}");
    assert_eq!(ask(&house, LOBBY, &tds("GetDeviceInformation")).status, 200, "by this it shows itself");
    assert!(!served(&house, LOBBY), "the third one was not accepted");
    house.camera(LOBBY).set_variable("serial.number", "B8A44F000000");
    reloader.accept(&BY, "lobby", "the wrong one, taken away again").unwrap();
    assert_eq!(ask(&house, LOBBY, &tds("GetDeviceInformation")).status, 200);
    assert!(!served(&house, LOBBY), "and what was accepted now was the third one");
    reloader.accept(&BY, "lobby", "this one stays").unwrap();
    assert_eq!(ask(&house, LOBBY, &tds("GetDeviceInformation")).status, 200);
    assert!(served(&house, LOBBY), "it is known by its new number");
    let records = house.records();
    let intents = records.iter().filter(|it| it["operation"] == "admin:AcceptCamera");
    let decisions: Vec<_> = intents.map(|it| (&it["decision"], &it["arguments"]["reason"])).collect();
    let (denied, permitted) = ("denied".into(), "permitted".into());
    let reasons =
        ["exchanged", "exchanged after lightning", "the wrong one, taken away again", "this one stays"];
    let reasons = reasons.map(Value::from);
    let [first, second, third, last] = &reasons;
    let expected = [(&denied, first), (&permitted, second), (&permitted, third), (&permitted, last)];
    assert_eq!(decisions, expected);
    let accepted = events(&records, "camera-accepted");
    assert_eq!(accepted[0]["by"], "control, uid 0");
    assert!(accepted[0]["device"].as_str().unwrap().starts_with("serial `B8A44F000000`, "), "{accepted:?}");
    assert_eq!(events(&records, "camera-quarantined")[0]["device"], accepted[0]["device"]);
}

#[test]
fn an_announced_device_needs_nobody_and_the_next_one_within_the_hour_does() {
    let house = House::open();
    house.acquaint();
    let reloader = house.reloader();
    let hour = SystemClock::new().now() + SignedDuration::from_hours(1);
    reloader.expect_change(&BY, "lobby", hour).unwrap();
    assert!(reloader.expect_change(&BY, "lobby", Timestamp::UNIX_EPOCH).is_err());
    house.camera(LOBBY).set_variable("serial.number", "B8A44F000009");
    assert_eq!(ask(&house, LOBBY, &tds("GetDeviceInformation")).status, 200);
    assert!(served(&house, LOBBY));
    // One, and no second one within the hour.
    house.camera(LOBBY).set_variable("serial.number", "B8A44F000010");
    assert_eq!(ask(&house, LOBBY, &tds("GetDeviceInformation")).status, 200);
    assert!(!served(&house, LOBBY));
    let exchanged = events(&house.records(), "camera-exchanged");
    assert_eq!(exchanged.len(), 1);
    assert_eq!(
        (&exchanged[0]["expected"]["by"], &exchanged[0]["changes"][0]["now"]),
        (&"control, uid 0".into(), &"B8A44F000009".into())
    );
}

/// How often a camera was asked who it is, and answered: a question of its own for a login is none of these.
fn heard_of(house: &House, camera: usize) -> u64 {
    let heard = house.camera(camera).log();
    let answered = heard
        .iter()
        .filter(|it| it.operation.as_deref() == Some("tds:GetDeviceInformation") && it.status == 200);
    answered.count() as u64
}

#[test]
fn looks_without_news_are_told_together_before_and_after_and_news_at_once() {
    let mut house = House::open();
    // By this they are introduced, so that the first look is one of a series.
    assert!(served(&house, LOBBY) && served(&house, CAR_PARK));
    let clock = SystemClock::new();
    let wait = |what: &str, is_so: &dyn Fn(&[Value]) -> bool| {
        loop {
            let records = records_of(&house.audit_dir());
            if is_so(&records) {
                return records;
            }
            assert!(clock.monotonic() < Duration::from_secs(150), "{what}");
            crate::house::breathe();
        }
    };
    let is_series =
        |it: &&Value| it["type"] == "intent" && it["camera"] == "lobby" && !it["series"].is_null();
    let records = wait("no look", &|records| records.iter().any(|it| is_series(&it)));
    let first = records.iter().find(is_series).unwrap().clone();
    assert_eq!((&first["series"]["every_seconds"], &first["series"]["times_max"]), (&45.into(), &80.into()));
    let of_first = |it: &&Value| it["type"] == "outcome" && it["intent"] == first["seq"];
    wait("the look was recorded and not sent", &|_| heard_of(&house, LOBBY) == 2);
    assert_eq!(records_of(&house.audit_dir()).iter().find(of_first), None, "it is under way");
    house.camera(LOBBY).set_variable("serial.number", "B8A44F000000");
    // Nobody asks meanwhile: the second look finds another device.
    wait("the swap was not found", &|records| !events(records, "camera-quarantined").is_empty());
    house.stop();
    let heard = heard_of(&house, LOBBY) + heard_of(&house, CAR_PARK);
    let records = records_of(&house.audit_dir());
    let outcome = records.iter().find(of_first).unwrap();
    assert_eq!(
        (&outcome["what"], &outcome["series"]),
        (&"answered".into(), &serde_json::json!({ "times": 2, "answered": 2 }))
    );
    let times =
        records.iter().filter(|it| it["type"] == "outcome").filter_map(|it| it["series"]["times"].as_u64());
    let is_single = |it: &&Value| {
        it["type"] == "intent" && it["operation"] == "tds:GetDeviceInformation" && it["series"].is_null()
    };
    let single = records.iter().filter(is_single).count() as u64;
    assert_eq!(times.sum::<u64>() + single, heard, "what the cameras heard is on record, and nothing else");
}

#[test]
fn a_camera_that_does_not_tell_its_serial_number_any_more_is_alarmed_until_it_does() {
    let mut house = House::open();
    house.acquaint();
    let operation = "tds:GetDeviceInformation";
    for camera in [LOBBY, CAR_PARK] {
        assert!(served(&house, camera));
    }
    house.camera(LOBBY).set_fault_of(operation, Some(Fault::Status(500)));
    let clock = SystemClock::new();
    let wait = |what: &str| loop {
        let found = events(&records_of(&house.audit_dir()), what);
        let mut its =
            found.into_iter().filter(|it| what.starts_with("camera") || it["id"] == "identity-unshown");
        if let Some(found) = its.next_back() {
            return found;
        }
        assert!(clock.monotonic() < Duration::from_secs(300), "no {what}");
        crate::house::breathe();
    };
    let raised = wait("alarm-raised");
    assert_eq!(raised["subject"], "camera lobby");
    let told = wait("camera-identity-unshown");
    assert_eq!(told["looks"], 3, "{told}");
    let serial = told["serial"].as_str().unwrap();
    assert!(!serial.is_empty() && raised["found"].as_str().unwrap().ends_with(serial), "{raised}");
    assert!(served(&house, LOBBY), "it is told, no more");
    house.camera(LOBBY).set_fault_of(operation, None);
    assert_eq!(wait("alarm-cleared")["subject"], "camera lobby");
    house.stop();
    assert_eq!(
        alarms(&records_of(&house.audit_dir()), "identity-unshown"),
        ["camera lobby"],
        "the other tells"
    );
}

#[test]
fn what_answers_at_an_address_is_identified_and_quarantine_is_ended_from_the_command_line() {
    let mut house = House::open();
    house.acquaint();
    let address = house.camera(CAR_PARK).address();
    let nowhere = TcpListener::bind((Ipv4Addr::new(127, 0, 1, 99), 0)).unwrap().local_addr().unwrap();
    house.enrol(CAR_PARK, nowhere);
    house.stop();
    let running = Running::start(house.dir());
    let (text, well) = crate::camera_command::cordon(&house, &["identify", &address.to_string()]);
    for line in [
        "(asked just now, without a login; no camera is enrolled there)",
        "  asked     GetSystemDateAndTime: answered",
        "  asked     RTSP OPTIONS and DESCRIBE: the camera cannot be reached: nothing listens at its port",
        "  verdict   hikvision, restricted (corroborated)",
        "  signal    http-server `App-webs/` begins with `App-webs`",
        "at a sensitive site nobody is served without an [[exception]]",
    ] {
        assert!(text.contains(line), "`{line}` is missing in {text}");
    }
    assert!(well);
    let (text, _) = crate::camera_command::cordon(&house, &["identify", "lobby", "--json"]);
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&found["verdict"]["vendor"], &found["subject"]),
        (&"axis".into(), &"lobby".into()),
        "{found}"
    );
    assert!(found["verdict"]["findings"][0]["weight"].is_string(), "{found}");
    house.camera(LOBBY).set_variable("serial.number", "B8A44F000000");
    assert_eq!(ask(&house, LOBBY, &tds("GetDeviceInformation")).status, 200);
    let (text, _) = crate::camera_command::cordon(&house, &["list"]);
    assert!(text.lines().any(|it| it.starts_with("lobby") && it.contains("  quarantine  ")), "{text}");
    let (text, _) = crate::camera_command::cordon(&house, &["why", "lobby"]);
    assert!(
        text.starts_with("policy: it is in quarantine, another device may be there: serial was `B8A44F"),
        "{text}"
    );
    let (text, well) = crate::camera_command::cordon(&house, &["accept", "lobby", "--reason", "exchanged"]);
    assert!(
        well && text.starts_with("camera `lobby` is served again; it was in quarantine since serial was"),
        "{text}"
    );
    assert!(
        text.contains("accepted is the device with serial `B8A44F000000`, manufacturer `AXIS`"),
        "{text}"
    );
    assert!(served(&house, LOBBY));
    let (text, well) =
        crate::camera_command::cordon(&house, &["expect-change", "lobby", "--until", "2020-01-01T00:00:00Z"]);
    assert!(!well && text.contains("2020-01-01T00:00:00Z is over"), "{text}");
    running.stop();
}
