//! Observe mode: what it lets through, what it does not, and that it ends by itself.

use std::{sync::Arc, time::Duration};

use cordon::clock::{Clock, SimulatedClock};

use crate::{
    client::{self, Reply, Token, User, envelope, tds, tds_with},
    house::{ADMIN, CAR_PARK, House, LOBBY, OPERATOR, VIEWER},
};

const SCOPES: &str = "<x:Scopes>onvif://www.onvif.org/name/gate</x:Scopes>";
const NTP: &str = "<x:FromDHCP>false</x:FromDHCP><x:NTPManual><tt:Type>IPv4</tt:Type>\
                   <tt:IPv4Address>203.0.113.5</tt:IPv4Address></x:NTPManual>";

#[test]
fn what_policy_denies_is_let_through_and_recorded_until_the_day_is_over() {
    let clock = Arc::new(SimulatedClock::new("2026-12-30T12:00:00Z".parse().unwrap()));
    let mut house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    assert!(house.part("alarm observe-mode").is_none(), "not on");
    house.reconfigure(|text| {
        format!(
            "{text}\n[policy]\nmode = \"observe\"\nobserve_until = \"2026-12-31\"\n\
             [[absorb]]\noperations = [\"tds:SetHostname\"]\n"
        )
    });
    let part = house.part("alarm observe-mode").unwrap();
    assert!(part.ready && part.note.contains("until 2026-12-31 (UTC)"), "{part:?}");
    let ask = |camera, user: User, body: &str| {
        let header = Token::at(user, &clock.now().to_string()).header();
        client::post(house.door(camera), "device", &[], &envelope(&header, body))
    };
    let heard = |camera: usize, operation: &str| house.operations(camera).iter().any(|it| it == operation);
    let denied = |reply: Reply, fault: &str| {
        assert_eq!(reply.fault(), fault, "{}", reply.text());
        assert_eq!(house.record(&reply).intent["decision"], "denied", "{}", reply.text());
    };

    let reply = ask(CAR_PARK, OPERATOR, &tds_with("SetScopes", SCOPES));
    assert_eq!((reply.status, reply.fault().as_str()), (200, ""), "{}", reply.text());
    assert!(heard(CAR_PARK, "tds:SetScopes"));
    let recorded = house.record(&reply);
    let intent = &recorded.intent;
    assert_eq!((&intent["decision"], &intent["policies"]), (&"observed".into(), &serde_json::Value::Null));
    assert_eq!(intent["note"], "no policy permits tds:SetScopes (WRITE_SYSTEM) to the role Operator");
    assert_eq!(recorded.outcome.unwrap()["what"], "answered");

    for (user, body, fault) in [
        (ADMIN, tds_with("SetNTP", NTP), "Sender/ter:OperationProhibited"),
        (OPERATOR, tds_with("SetNTP", NTP), "Sender/ter:OperationProhibited"),
        (VIEWER, tds("SystemReboot"), "Sender/ter:NotAuthorized"),
        (VIEWER, tds("GetUsers"), "Sender/ter:NotAuthorized"),
    ] {
        denied(ask(CAR_PARK, user, &body), fault);
    }
    let name = tds_with("SetHostname", "<x:Name>gate</x:Name>");
    let absorbed = ask(LOBBY, OPERATOR, &name);
    assert_eq!(absorbed.status, 200, "{}", absorbed.text());
    assert_eq!(house.record(&absorbed).intent["decision"], "denied", "what is absorbed is not done");
    let anonymous = client::ask_anonymously(house.door(CAR_PARK), "device", &tds("GetScopes"));
    denied(anonymous, "Sender/ter:NotAuthorized");
    for operation in ["tds:SetNTP", "tds:SystemReboot", "tds:GetUsers", "tds:SetHostname"] {
        assert!(!heard(CAR_PARK, operation) && !heard(LOBBY, operation), "{operation}");
    }

    clock.advance(Duration::from_secs(36 * 3_600));
    denied(ask(CAR_PARK, OPERATOR, &tds_with("SetScopes", SCOPES)), "Sender/ter:NotAuthorized");
    let starts: Vec<_> = house
        .records()
        .into_iter()
        .filter(|it| it["what"] == "start")
        .map(|it| it["detail"].clone())
        .collect();
    let until: Vec<_> = starts.iter().map(|it| it["observe_until"].as_str()).collect();
    assert_eq!(until, [None, Some("2026-12-31")], "{starts:?}");
}
