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
        let force =
            if name.starts_with("trt") { "<m:ForcePersistence>true</m:ForcePersistence>" } else { "" };
        let setting = |starts: &str, address_given: &str| {
            let setting = encoder("v", "0.0.0.0").replace(address, address_given);
            format!("{setting}{force}").replace("<tt:AutoStart>false", &format!("<tt:AutoStart>{starts}"))
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
