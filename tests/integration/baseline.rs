//! What cameras have been set to before the gateway came, and behind its back: read, shown, approved, compared.

use std::{sync::Arc, time::Duration};

use cordon::{
    clock::{Clock, SimulatedClock, SystemClock},
    sim::{Fault, Said},
};
use serde_json::Value;

use crate::{
    camera_command::cordon,
    house::{CAR_PARK, House, LOBBY, records_of},
    process::Running,
};

fn events(records: &[Value], what: &str, camera: &str) -> Vec<Value> {
    let is = |it: &&Value| it["type"] == "event" && it["what"] == what && it["camera"] == camera;
    records.iter().filter(is).map(|it| it["detail"].clone()).collect()
}

/// Alarms about a camera that were raised, with what they name.
fn alarms(records: &[Value], id: &str, camera: &str) -> Vec<String> {
    let raised = records.iter().filter(|it| it["what"] == "alarm-raised" && it["detail"]["id"] == id);
    let its = raised.filter(|it| it["detail"]["subject"] == format!("camera {camera}").as_str());
    its.map(|it| it["detail"]["found"].as_str().unwrap_or_default().to_owned()).collect()
}

fn wait(what: &str, seconds: u64, is_so: impl Fn() -> bool) {
    let clock = SystemClock::new();
    while !is_so() {
        assert!(clock.monotonic() < Duration::from_secs(seconds), "{what}");
        crate::house::breathe();
    }
}

#[test]
fn what_a_camera_came_with_is_shown_and_approved_from_the_command_line() {
    let mut house = House::open();
    house.acquaint();
    house.stop();
    let running = Running::start(house.dir());
    let (text, well) = cordon(&house, &["probe", "car-park"]);
    assert!(
        well && text.starts_with("camera `car-park` answered in ") && text.ends_with(" ms who it is\n"),
        "{text}"
    );
    let (text, well) = cordon(&house, &["probe", "cellar"]);
    assert!(!well && text.contains("the gateway that runs has no camera `cellar`"), "{text}");
    let (text, well) = cordon(&house, &["baseline", "car-park"]);
    assert!(!text.contains("NOT APPROVED") && well, "{text}");
    let (text, _) = cordon(&house, &["baseline", "car-park", "--approve", "--reason", "unseen"]);
    assert!(text.contains("was not asked yet what it has been set to: add --read"), "{text}");
    let (text, well) = cordon(&house, &["baseline", "car-park", "--read"]);
    for line in [
        "  ntp                198.51.100.123                           NOT APPROVED",
        "  dns                198.51.100.53                            NOT APPROVED",
        "  action             Mail: smtp.cloud.example:465             NOT APPROVED",
        "  event-broker       mqtts://iot.cloud.example:8883           NOT APPROVED",
        "  multicast          239.255.1.3 port 8872                    NOT APPROVED",
        "  multicast          239.255.1.4 port 8862                    NOT APPROVED",
        "  multicast          239.255.1.5 port 8864                    NOT APPROVED",
        "  storage            NFS nfs://198.51.100.200/record          NOT APPROVED",
        "  user               service (User)                           as it came",
        "  not offered        tup:GetUplinks",
        "  not told           tds:GetDPAddresses: the camera answered Receiver/ter:ActionNotSupported",
        "  approved           by nobody yet: --approve --reason TEXT",
    ] {
        assert!(text.contains(line), "`{line}` is missing in {text}");
    }
    assert!(
        !text.contains("Output") && !text.to_lowercase().contains("seldom"),
        "no place, and a password: {text}"
    );
    assert!(!well, "something is not approved");
    let (text, well) =
        cordon(&house, &["baseline", "car-park", "--approve", "--reason", "until it is replaced"]);
    assert!(
        well && !text.contains("NOT APPROVED") && text.contains(" by control, uid 0: until it is replaced"),
        "{text}"
    );
    let (text, _) = cordon(&house, &["baseline", "car-park", "--json"]);
    let shown: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["destinations_not_approved"], Value::Array(Vec::new()), "{shown}");
    assert_eq!(shown["approved"]["reason"], "until it is replaced");
    running.stop();
    let records = records_of(&house.audit_dir());
    let approved = records.iter().find(|it| it["operation"] == "admin:ApproveBaseline").unwrap();
    let named = approved["arguments"]["approved"].to_string();
    assert!(named.contains("event-broker mqtts://iot.cloud.example:8883"), "{approved}");
    let asked = |it: &&Value| it["type"] == "intent" && it["who"]["name"] == "baseline";
    let asked: Vec<&Value> = records.iter().filter(asked).collect();
    assert!(asked.iter().all(|it| it["decision"] == "permitted" && it["camera"] == "car-park"), "{asked:?}");
    assert!(asked.iter().any(|it| it["operation"] == "tds:GetUsers"));
    assert!(!asked.iter().any(|it| it["operation"] == "tup:GetUplinks"), "it does not offer that service");
    assert_eq!(events(&records, "baseline-read", "car-park").len(), 1);
    assert_eq!(events(&records, "baseline-approved", "car-park")[0]["reason"], "until it is replaced");
}

/// One camera never answers.
#[test]
fn whoever_waits_for_a_camera_keeps_nobody_else_waiting() {
    let mut house = House::open();
    house.acquaint();
    house.stop();
    let running = Running::start(house.dir());
    house.camera(LOBBY).set_fault_of("tds:GetDeviceInformation", Some(Fault::Hang));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| cordon(&house, &["probe", "lobby"]));
        house.wait_heard(LOBBY, "tds:GetDeviceInformation");
        let (text, well) = cordon(&house, &["probe", "car-park"]);
        assert!(well && text.starts_with("camera `car-park` answered in "), "{text}");
        let (text, well) = cordon(&house, &["accept", "car-park", "--reason", "seen"]);
        assert!(!well && text.contains("is not in quarantine"), "{text}");
        assert!(!waiting.is_finished(), "the camera never answers");
        let clock = SystemClock::new();
        running.stop();
        assert!(clock.monotonic() < Duration::from_secs(30), "nor is it waited for at the end");
        let (text, well) = waiting.join().unwrap();
        assert!(!well, "{text}");
    });
}

/// Shows the time server it had, whatever it was told meanwhile.
fn lie() -> Fault {
    let body = "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Body><GetNTPResponse \
                xmlns=\"http://www.onvif.org/ver10/device/wsdl\" xmlns:tt=\"http://www.onvif.org/ver10/schema\">\
                <NTPInformation><tt:FromDHCP>false</tt:FromDHCP><tt:NTPManual><tt:Type>IPv4</tt:Type>\
                <tt:IPv4Address>198.51.100.123</tt:IPv4Address></tt:NTPManual></NTPInformation></GetNTPResponse>\
                </s:Body></s:Envelope>";
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml; charset=utf-8\r\nConnection: close";
    let bytes = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    Fault::Say(Said { bytes: bytes.into_bytes().into(), times: 1, stays: false })
}

#[test]
fn what_a_restricted_camera_came_with_is_taken_away_at_somebodys_word_and_read_back() {
    let mut house = House::open();
    house.acquaint();
    house.stop();
    let camera = house.camera(CAR_PARK);
    camera.set_variable("remote.discovery", "Discoverable");
    camera.set_variable("dynamic.dns", "ClientUpdates");
    let running = Running::start(house.dir());
    let set = |settings: &[&str]| {
        let mut arguments = vec!["baseline", "car-park", "--reason", "taken over from another owner"];
        settings.iter().for_each(|it| arguments.extend(["--set", it]));
        cordon(&house, &arguments)
    };
    // It says yes to the one and shows what it had, and fails at the other; the third is done all the same.
    camera.set_fault_of("tds:GetNTP", Some(lie()));
    camera.set_fault_of("tds:SetDynamicDNS", Some(Fault::Status(503)));
    let (text, well) = set(&["ntp=none", "dynamic-dns=off", "remote-discovery=off"]);
    for line in [
        "ntp=none: NOT DONE: it took it, but it shows now: ntp 198.51.100.123\n",
        "remote-discovery=off: done, and read back\n",
        "dynamic-dns=off: NOT DONE: ",
    ] {
        assert!(text.contains(line), "`{line}` is missing in {text}");
    }
    assert!(!well);
    // What is kept is what it shows now.
    let (text, _) = cordon(&house, &["baseline", "car-park"]);
    assert!(text.contains("  ntp  ") && !text.contains("  remote-discovery  "), "{text}");
    camera.set_fault_of("tds:GetNTP", None);
    camera.set_fault_of("tds:SetDynamicDNS", None);
    let (text, _) = set(&["ntp=none", "dns=none", "dynamic-dns=off"]);
    let done = "ntp=none: done, and read back\ndns=none: done, and read back\ndynamic-dns=off: done, and read back\n";
    assert!(text.starts_with(done), "{text}");
    for gone in ["  ntp  ", "  dns  ", "  dynamic-dns  ", "  remote-discovery  "] {
        assert!(!text.contains(gone), "`{gone}` is still in {text}");
    }
    assert!(text.contains("  event-broker "), "{text}");
    for other in ["ntp=203.0.113.5", "router=none"] {
        let (text, well) = set(&[other]);
        assert!(!well && text.contains(&format!("`{other}` is nothing that a camera is set to")), "{text}");
    }
    running.stop();
    let records = records_of(&house.audit_dir());
    let intents = |operation: &str| -> Vec<(usize, Value)> {
        let is = |it: &(usize, &Value)| it.1["type"] == "intent" && it.1["operation"] == operation;
        records.iter().enumerate().filter(is).map(|(at, it)| (at, it.clone())).collect()
    };
    let (asked, sent) = (intents("admin:SetBaseline"), intents("tds:SetNTP"));
    assert_eq!((asked.len(), sent.len()), (2, 2));
    assert_eq!(asked[0].1["arguments"]["reason"], "taken over from another owner");
    assert_eq!(
        (&sent[0].1["who"]["name"], &sent[0].1["decision"]),
        (&"settings".into(), &"permitted".into())
    );
    assert!(asked[0].0 < sent[0].0, "the wish is on record before what comes of it");
    let told = events(&records, "baseline-set", "car-park");
    assert_eq!(told[0]["not_set"].as_array().unwrap().len(), 2, "{told:?}");
    assert_eq!(told[1]["not_set"], Value::Array(Vec::new()));
}

#[test]
fn a_destination_that_comes_behind_the_gateways_back_is_an_alarm_within_a_day() {
    let clock = Arc::new(SimulatedClock::new(SystemClock::new().now()));
    let mut house = House::open_at(clock.clone());
    house.acquaint_at(&clock.now().to_string());
    let reloader = house.reloader();
    let by = cordon::auth::Caller::Local { by: cordon::command::Prompt::Control, uid: Some(0) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let read = runtime.block_on(house.messenger().read_baseline("lobby")).unwrap();
    reloader.approve_baseline(&by, "lobby", "looked at", read.at).unwrap();
    let records = || records_of(&house.audit_dir());
    // What was an alarm before it was approved has to be over first.
    wait("not cleared", 60, || {
        clock.advance(Duration::from_secs(90));
        let of = |what: &str| {
            let told = |it: &&Value| {
                it["what"] == what
                    && it["detail"]["id"] == "baseline-destination"
                    && it["detail"]["subject"] == "camera lobby"
            };
            records().iter().filter(told).count()
        };
        of("alarm-raised") == of("alarm-cleared")
    });
    house.camera(LOBBY).set_variable("lan.gateway", "198.51.100.77");
    clock.advance(Duration::from_secs(24 * 60 * 60));
    wait("no alarm", 150, || {
        let found = alarms(&records(), "baseline-destination", "lobby");
        found.iter().any(|it| it.contains("router 198.51.100.77"))
    });
    // The other was looked at somewhat earlier.
    wait("no alarm of the other", 60, || !alarms(&records(), "baseline-destination", "car-park").is_empty());
    let changed = events(&records(), "baseline-changed", "lobby");
    assert_eq!(changed[0]["added"], serde_json::json!(["router 198.51.100.77"]));
    assert_eq!(changed[0]["removed"].as_array().unwrap().len(), 1, "{changed:?}");
    assert_eq!(events(&records(), "baseline-read", "car-park").len(), 1, "taken up by itself");
    let outside = alarms(&records(), "baseline-destination", "car-park");
    assert!(outside[0].contains("ntp 198.51.100.123"), "{outside:?}");
    house.stop();
}
