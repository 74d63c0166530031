//! What cameras show of their makers while they are served, whether they are the devices they were, and cameras at
//! sensitive sites.

use serde_json::Value;

use crate::{
    client::{self, Reply, tds, tds_with},
    house::{ADMIN, CAR_PARK, House, LOBBY, VIEWER, records_of},
    reload::SIGNAL,
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
    // It endures, before the camera has said anything.
    house.restart();
    let record = house.record(&set_time_server(&house));
    assert!(record.policies().contains(&"restricted.egress"), "{record:?}");
    // A person's decision stands.
    house.reconfigure(|text| {
        let decision = "vendor_decision = { is = \"trusted\", because = \"looked inside\", by = \"A. Engineer\", on = 2026-11-25 }";
        text.replace("vendor = \"Axis\"", &format!("vendor = \"Axis\"\n{decision}"))
    });
    assert_eq!(set_time_server(&house).status, 200);
    assert_eq!(events(&house.records(), "vendor-verdict").len(), 1, "nothing new was found");
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
    house.stop();
    let records = records_of(&house.audit_dir());
    assert_eq!(alarms(&records, "site-restricted"), ["camera car-park"]);
}
