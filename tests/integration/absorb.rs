//! Reflex writes that are denied and told as successes.

use crate::{
    client::{self, Reply, User, tds_with},
    house::{ADMIN, CAR_PARK, House, LOBBY, OPERATOR, VIEWER},
};

fn ntp(address: &str) -> String {
    let server = format!("<tt:Type>IPv4</tt:Type><tt:IPv4Address>{address}</tt:IPv4Address>");
    tds_with("SetNTP", &format!("<x:FromDHCP>false</x:FromDHCP><x:NTPManual>{server}</x:NTPManual>"))
}

#[test]
fn a_denied_reflex_write_is_told_as_a_success_and_is_none() {
    let mut house = House::open();
    house.reconfigure(|text| {
        format!(
            "{text}\n[[absorb]]\noperations = [\"tds:SetNTP\", \"tds:SetHostname\"]\n\
             clients = [\"{}\", \"{}\"]\ncameras = [\"car-park\"]\n",
            ADMIN.0, OPERATOR.0
        )
    });
    house.acquaint();
    let ask = |camera, user: User, body: &str| client::ask(house.door(camera), "device", user, body);
    // Permitted to nobody at a camera that is restricted, since it names a destination.
    for (user, policy) in [(ADMIN, "restricted."), (OPERATOR, "")] {
        let reply = ask(CAR_PARK, user, &ntp("203.0.113.5"));
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.text().contains("<tds:SetNTPResponse"), "{}", reply.text());
        let recorded = house.record(&reply);
        let intent = &recorded.intent;
        assert_eq!((&intent["decision"], &recorded.outcome), (&"denied".into(), &None), "{intent}");
        assert!(intent["note"].as_str().unwrap().starts_with("absorbed"), "{intent}");
        assert_eq!(intent["fault"], serde_json::Value::Null, "nobody was told of a fault: {intent}");
        assert!(recorded.policies().iter().any(|it| it.starts_with(policy)) || policy.is_empty(), "{intent}");
    }
    let refused = |reply: Reply, fault: &str| {
        assert_eq!(reply.fault(), fault, "{}", reply.text());
        let intent = house.record(&reply).intent;
        assert!(!intent["note"].as_str().unwrap_or_default().contains("absorbed"), "{intent}");
    };
    refused(ask(CAR_PARK, VIEWER, &ntp("203.0.113.5")), "Sender/ter:OperationProhibited");
    refused(ask(LOBBY, ADMIN, &ntp("198.18.0.1")), "Sender/ter:OperationProhibited");
    refused(
        client::ask_anonymously(house.door(CAR_PARK), "device", &ntp("203.0.113.5")),
        "Sender/ter:NotAuthorized",
    );
    let user = "<tt:Username>x</tt:Username><tt:Password>y</tt:Password><tt:UserLevel>User</tt:UserLevel>";
    let reply = ask(CAR_PARK, ADMIN, &tds_with("CreateUsers", &format!("<x:User>{user}</x:User>")));
    assert!(
        reply.text().contains("users and passwords of cameras are managed in Cordon"),
        "{}",
        reply.text()
    );
    refused(reply, "Sender/ter:OperationProhibited");
    assert_eq!(house.heard(), [], "no camera heard of it");
    // Whoever would have a reload take that away is told what it takes.
    let text = house.configuration();
    house.write(text.split("\n[[absorb]]").next().unwrap());
    let cuts = house.reloader().preview().unwrap().cuts;
    let told = "[[absorb]] of tds:SetHostname, tds:SetNTP is not there as it was: ";
    assert!(cuts.iter().any(|it| it.starts_with(told)), "{cuts:?}");
    house.write(&text);
    // What is permitted goes on as before.
    let reply = ask(LOBBY, ADMIN, &ntp("203.0.113.5"));
    assert_eq!(
        (reply.status, house.operations(LOBBY)),
        (200, vec!["tds:SetNTP".to_owned()]),
        "{}",
        reply.text()
    );
}
