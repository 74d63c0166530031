//! Ways to give a camera a place to send to, or to tell it of the core network, that are spelt unusually.

use super::*;

const OSD: &str = "<m:OSD token=''><tt:VideoSourceConfigurationToken>v</tt:VideoSourceConfigurationToken>\
    <tt:Type>Image</tt:Type><tt:Position><tt:Type>UpperLeft</tt:Type></tt:Position>\
    <tt:Image><tt:ImgPath>PATH</tt:ImgPath></tt:Image></m:OSD>";

const RULE: &str = "<m:ConfigurationToken>v</m:ConfigurationToken><m:Rule Name='r' Type='tt:CellMotionDetector'>\
    <tt:Parameters><tt:SimpleItem Name='a' Value='VALUE'/></tt:Parameters></m:Rule>";

/// A camera keeps its group: with no address, or none of meaning, it would send there, over restarts too.
#[test]
fn a_multicast_that_starts_by_itself_is_egress_and_shown_as_none() {
    let bench = bench();
    let address = "<tt:IPv4Address>0.0.0.0</tt:IPv4Address>";
    for name in ["tr2:SetVideoEncoderConfiguration", "trt:SetVideoEncoderConfiguration"] {
        let setting = |starts: &str, given: &str| {
            let setting = encoder("v", "0.0.0.0").replace(address, given);
            let setting = setting.replace("<tt:AutoStart>false", &format!("<tt:AutoStart>{starts}"));
            if name.starts_with("tr2") { setting } else { as_media1_has_it(&setting) }
        };
        for given in ["", "<tt:IPv4Address></tt:IPv4Address>", address, "<tt:IPv6Address>::</tt:IPv6Address>"]
        {
            for starts in ["true", "1", " true "] {
                let (traits, places) = bench.traits(name, &setting(starts, given));
                assert!(traits.contains(&Trait::Egress), "{name} {given} {starts}: {traits:?}");
                assert_eq!(places, [""; 0], "a trusted camera may");
            }
            for quiet in ["false", "0"] {
                let (traits, _) = bench.traits(name, &setting(quiet, given));
                assert!(!traits.contains(&Trait::Egress), "{name} {given} {quiet}: {traits:?}");
            }
        }
    }
    let many = encoder("v", "239.1.2.3").replace("m:Configuration", "m:Configurations");
    let starts = many.replace("<tt:AutoStart>false", "<tt:AutoStart>true");
    let shown = bench.rewritten("tr2:GetVideoEncoderConfigurations", "", &starts).unwrap();
    assert!(shown.contains("<tt:AutoStart>false</tt:AutoStart>"), "{shown}");
}

/// The same setting in the order of Media1.
fn as_media1_has_it(setting: &str) -> String {
    let quality = "<tt:Quality>1</tt:Quality>";
    let behind = "<tt:SessionTimeout>PT60S</tt:SessionTimeout>";
    let setting = setting.replace(" GovLength='25'", "").replace(quality, behind);
    let setting = setting.replace("<tt:Multicast>", &format!("{quality}<tt:Multicast>"));
    format!("{setting}<m:ForcePersistence>true</m:ForcePersistence>")
}

#[test]
fn a_machine_named_in_part_of_a_text_is_a_destination() {
    let bench = bench();
    for (path, place) in [
        ("203.0.113.9/x.png", "203.0.113.9"),
        ("u:p@203.0.113.9/x.png", "203.0.113.9"),
        ("evil.example/x.png", "evil.example"),
        ("Evil.Example:8080/x.png", "evil.example"),
        ("evil.example", "evil.example"),
        ("http:/evil.example/x.png", "http:/evil.example/x.png"),
        ("nas:/export/x.png", "nas:/export/x.png"),
        ("nas:8080/x.png", "nas"),
        ("user@nas/x.png", "nas"),
        ("2130706433/x", "127.0.0.1"),
        ("0x7f.0.0.1", "127.0.0.1"),
        ("x?from=ftp.evil.example", "ftp.evil.example"),
        ("evil%2Eexample/x.png", "evil.example"),
        ("evil。example/x.png", "evil.example"),
        ("[2001:db8::9]/x.png", "2001:db8::9"),
    ] {
        let (traits, places) = bench.traits("trt:SetOSD", &OSD.replace("PATH", path));
        assert!(traits.contains(&Trait::Egress), "{path}: {traits:?}");
        assert_eq!(places, [format!("text:{place}")], "{path}");
    }
    for (value, place) in [
        ("ftp.evil.example", "ftp.evil.example"),
        ("host:/export", "host:/export"),
        ("a@b.example", "b.example"),
        ("to=10.1.2.3;port=21", "10.1.2.3"),
        ("see evil.example, please", "evil.example"),
        ("\\\\evil\\share", "\\\\evil\\share"),
        ("at //evil/share", "//evil/share"),
    ] {
        let (_, places) = bench.traits("tan:ModifyRules", &RULE.replace("VALUE", value));
        assert_eq!(places, [format!("text:{place}")], "{value}");
    }
}

/// What cameras call files, and what rules are made of, as far as cameras were heard to.
#[test]
fn a_path_or_a_number_is_no_destination() {
    let bench = bench();
    for path in
        ["/mnt/logo.png", "logo.png", "/tmp/evil.example/x.png", "./logo.BMP", "../osd/1", "osd/logo.png"]
    {
        let (traits, places) = bench.traits("trt:SetOSD", &OSD.replace("PATH", path));
        assert!(!traits.contains(&Trait::Egress) && places.is_empty(), "{path}: {traits:?} {places:?}");
    }
    for value in [
        "12.5",
        "0.860000",
        "1920x1080",
        "100000000",
        "4294967295",
        "1/2",
        "30fps@1080p",
        "1970-01-01T00:00:00Z",
        "10-05-2025T22:41:27Z",
        "12:30",
        "true",
        "Human Vehicle",
        "tns1:RuleEngine/CellMotionDetector",
        "{.token}",
        "/AAeB///3///f//9///3///f//9///3///f//9///3///PsA",
        "Av///PwAAj////wAAw///8D9AAMD///w/AAC///8+wA=",
        "0.0.0.0",
        "00:11:22:33:44:55",
    ] {
        let (_, places) = bench.traits("tan:ModifyRules", &RULE.replace("VALUE", value));
        assert_eq!(places, [""; 0], "{value}");
    }
}

#[test]
fn an_address_of_the_core_network_stands_in_no_text_that_policy_did_not_judge() {
    let bench = bench();
    let check = |name: &str, inside: &str| {
        verify_request(&bench.tables, &bench.request(name, inside), &bench.core).map_err(
            |error| match error {
                VerifyError::CoreAddress(name) => name,
                other => panic!("{other}"),
            },
        )
    };
    let osd = |path: &str| check("trt:SetOSD", &OSD.replace("PATH", path));
    for path in [
        "192.0.2.77/x",
        "/x?from=192.0.2.1",
        "http://203.0.113.9/?from=192.0.2.1",
        "http://192.0.2.1@203.0.113.9/",
    ] {
        assert_eq!(osd(path), Err("tt:ImgPath".to_owned()), "{path}");
    }
    // Whether a camera may fetch from there was decided by who that is.
    assert_eq!(osd("http://192.0.2.77/logo.png"), Ok(()));
    assert_eq!(osd("/mnt/logo.png"), Ok(()));
    let broker = |address: &str| check("tev:DeleteEventBroker", &format!("<m:Address>{address}</m:Address>"));
    assert_eq!(broker("http://192.0.2.1/"), Err("tev:Address".to_owned()));
    assert_eq!(broker("mqtt://203.0.113.9/"), Ok(()));
    let ntp = |host: &str| {
        let manual = format!("<tt:Type>IPv4</tt:Type><tt:IPv4Address>{host}</tt:IPv4Address>");
        check("tds:SetNTP", &format!("<m:FromDHCP>false</m:FromDHCP><m:NTPManual>{manual}</m:NTPManual>"))
    };
    assert_eq!(ntp("192.0.2.77"), Ok(()), "a destination, which policy judged");
}
