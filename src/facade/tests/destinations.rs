//! Ways to give a camera a place to send to, or to tell it of the core network, that are spelt unusually.

use super::*;

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
