//! `cordon policy replay` over the log of a gateway that serves.

use std::fs;

use cordon::policy::SHIPPED;

use crate::{
    client::{self, tds, tds_with, trt},
    house::{CAR_PARK, House, LOBBY, LOBBY_ONLY, OPERATOR, VIEWER},
    process,
};

const OWN: &str = r#"
@id("own.fewer") @reason("profiles are nobody's business")
forbid (principal in Role::"Operator", action == Action::"trt:GetProfiles", resource is Camera);
@id("own.more") @reason("names may change")
permit (principal in Role::"Operator", action == Action::"tds:SetScopes", resource is Camera);
"#;

#[test]
fn recorded_commands_are_decided_anew_and_what_would_change_is_named() {
    let mut house = House::open();
    house.acquaint();
    let scopes = tds_with("SetScopes", "<x:Scopes>onvif://www.onvif.org/name/gate</x:Scopes>");
    let ask = |camera, service, user, body: &str| client::ask(house.door(camera), service, user, body).status;
    for camera in [CAR_PARK, LOBBY] {
        assert_eq!(ask(camera, "media", OPERATOR, &trt("GetProfiles")), 200);
        assert_eq!(ask(camera, "media", VIEWER, &trt("GetProfiles")), 200);
        assert_eq!(ask(camera, "device", OPERATOR, &scopes), 400);
    }
    assert_eq!(ask(LOBBY, "media", LOBBY_ONLY, &trt("GetProfiles")), 200);
    assert_eq!(ask(LOBBY, "device", (OPERATOR.0, "wrong"), &tds("GetScopes")), 400);
    assert_eq!(client::ask_anonymously(house.door(LOBBY), "device", &tds("GetHostname")).status, 200);
    // Read while the gateway writes.
    let _ = house.records();

    let (fine, out, _) = process::policy(house.dir(), &["replay", "shipped", "--since", "14d"]);
    assert!(fine, "{out}");
    assert!(out.contains(" 0 denied now, 0 permitted now, the others as recorded\n"), "{out}");
    assert!(out.contains("not decided anew: 1 refused before they were commands\n"), "{out}");

    let new = house.dir().join("new");
    fs::create_dir(&new).unwrap();
    for (name, text) in SHIPPED.into_iter().chain([("90-own.cedar", OWN)]) {
        fs::write(new.join(name), text).unwrap();
    }
    let (fine, out, err) = process::policy(house.dir(), &["replay", "new", "--since", "14d"]);
    assert!(!fine, "{out}");
    let told = "permitted now, permitted by own.more:\n  \
        by vms-operator (Operator) on car-park (hikvision, restricted)\n    tds:SetScopes: 1, the first in record ";
    assert!(out.starts_with(told), "{out}");
    for line in [
        "denied now, forbidden by own.fewer: profiles are nobody's business:\n",
        "  by vms-lobby (Operator) on lobby (axis, trusted)\n    trt:GetProfiles: 1, the first in record ",
        "  by vms-operator (Operator) on car-park (hikvision, restricted)\n    trt:GetProfiles: 1, ",
        " 3 denied now, 2 permitted now, the others as recorded\n",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    assert_eq!(err, "cordon: 5 recorded commands would be decided otherwise\n");

    // A client with another role is another one: nothing is said about what it did.
    house.reconfigure(|text| text.replacen("role = \"User\"", "role = \"Operator\"", 1));
    let (_, out, _) = process::policy(house.dir(), &["replay", "new", "--since", "14d"]);
    assert!(
        out.contains("not decided anew: 2 whose client is not configured any more, or has another role\n"),
        "{out}"
    );
    let (fine, out, _) = process::policy(house.dir(), &["replay", "new", "--since", "2099-01-01"]);
    assert!(fine && out.starts_with("0 commands decided anew"), "{out}");
}
