//! The attack first: what a restricted camera does to pass for another, and what a trusted one must not suffer.

use std::sync::LazyLock;

use jiff::civil::Date;

use super::*;
use SignalKind as K;

fn table() -> &'static Vendors {
    static TABLE: LazyLock<Vendors> = LazyLock::new(|| Vendors::embedded().unwrap());
    &TABLE
}

fn shows(signals: &[(K, &str)]) -> Evidence {
    let mut evidence = Evidence::default();
    for (kind, value) in signals {
        match kind {
            K::Scope => evidence.add_scope(value),
            _ => evidence.add(*kind, value),
        }
    }
    evidence
}

/// A camera that calls itself an Axis in every field it is asked for, and shows this too.
fn relabelled(more: &[(K, &str)]) -> Judgement {
    let label = [
        (K::Manufacturer, "AXIS"),
        (K::Model, "P3818-PVE"),
        (K::Firmware, "11.9.60"),
        (K::Hardware, "7DB"),
        (K::Scope, "onvif://www.onvif.org/name/AXIS%20P3818-PVE"),
        (K::Scope, "onvif://www.onvif.org/hardware/P3818-PVE"),
    ];
    table().judge(Some("Axis"), &shows(&[&label, more].concat()), None)
}

#[test]
fn a_relabelled_camera_is_found_by_each_signal_it_did_not_think_of() {
    for (signal, vendor) in [
        ((K::Serial, "P3818-PVE20180829AAWRC46471435"), "hikvision"),
        ((K::Firmware, "V5.5.3 build 180822"), "hikvision"),
        ((K::Model, "DS-2CD2143G0-I"), "hikvision"),
        ((K::Hardware, "Hikvision 88"), "hikvision"),
        ((K::Mac, "58:03:fb:36:12:2a"), "hikvision"),
        ((K::Scope, "onvif://www.onvif.org/MAC/58:03:fb:36:12:2a"), "hikvision"),
        ((K::Endpoint, "urn:uuid:cea94000-fb96-11b3-8260-686dbcdace56"), "hikvision"),
        ((K::HttpServer, "App-webs/"), "hikvision"),
        ((K::HttpServer, "DNVRS-Webs"), "hikvision"),
        ((K::HttpRealm, "hikvision"), "hikvision"),
        ((K::HttpRealm, "Login to ND011811000000"), "dahua"),
        ((K::RtspServer, "Dahua Rtsp Server"), "dahua"),
        ((K::RtspServer, "H264DVR 1.0"), "xiongmai"),
        ((K::RtspRealm, "IP Camera(L4906)"), "hikvision"),
        ((K::RtspRealm, "c47905000001"), "uniview"),
        ((K::Sdp, "a=packetization-supported:DH"), "dahua"),
        ((K::Sdp, "a=Media_header:MEDIAINFO=494D4B48010100000400010000;"), "hikvision"),
        (
            (K::TlsSubject, "CN=www.hikvision.com,OU=DVRNVR,O=HIKVISION,L=HangZhou,ST=ZheJiang,C=CN"),
            "hikvision",
        ),
        ((K::TlsIssuer, "O=Dahua Technology"), "dahua"),
        ((K::Namespace, "http://www.hikvision.com/2011/event/topics"), "hikvision"),
        ((K::Namespace, "http://www.onvifext.com/onvif/ext/ver10/wsdl"), "hikvision"),
        ((K::Prefix, "hikxsd"), "hikvision"),
        ((K::Scope, "onvif://www.onvif.org/hardware/DS-2CD2143G0-I"), "hikvision"),
        ((K::Scope, "onvif://www.onvif.org/name/HIKVISION%20DS-2CD2143G0-I"), "hikvision"),
        // Two makers at once.
        ((K::Manufacturer, "Hikvision"), "hikvision"),
    ] {
        let found = relabelled(&[signal]);
        assert_eq!(
            (found.verdict.name.as_str(), found.verdict.class),
            (vendor, VendorClass::Restricted),
            "{signal:?}: {found:#?}"
        );
        let reason = found.verdict.reasons.first().unwrap();
        let sources = table().find(vendor).unwrap().sources().count();
        assert!(sources > 0 && reason.contains(vendor) && reason.contains('('), "{reason}");
        assert_eq!(found.contradictions.len(), 1, "{signal:?}: {found:#?}");
        let not_alone = &found.contradictions[0];
        assert!(not_alone.contains("axis") && not_alone.contains(vendor), "{not_alone}");
    }
}

#[test]
fn an_honest_axis_is_trusted() {
    let found = relabelled(&[]);
    assert_eq!((found.verdict.name.as_str(), found.verdict.class), ("axis", VendorClass::Trusted));
    assert_eq!((found.standing, found.contradictions), (Standing::Claimed, Vec::<String>::new()));
    let found =
        relabelled(&[(K::Serial, "B8A44FD0296B"), (K::Namespace, "http://www.axis.com/2009/event/topics")]);
    assert_eq!((found.verdict.class, found.standing), (VendorClass::Trusted, Standing::Corroborated));
}

#[test]
fn a_makers_name_may_be_followed_by_its_legal_form() {
    for (label, vendor) in [
        ("i-PRO Co., Ltd.", "ipro"),
        ("D-Link Corporation", "dlink"),
        ("Hanwha Vision", "hanwha"),
        ("2N Telekomunikace a.s.", "2n"),
        ("TVT CO.,LTD", "tvt"),
    ] {
        let found = table().judge(None, &shows(&[(K::Manufacturer, label)]), None);
        assert_eq!(found.verdict.name, vendor, "{label}: {found:?}");
    }
    // Everyday words among names are no names where more follows.
    for label in ["Ringo", "Matrix Reloaded", "Co., Ltd.", "Planet Camera"] {
        let found = table().judge(None, &shows(&[(K::Manufacturer, label)]), None);
        assert_eq!(found.verdict.class, VendorClass::Unknown, "{label}");
    }
}

#[test]
fn a_neutral_label_hides_nothing() {
    for label in ["", "NONE", "ONVIF", "IPCAM", "\u{200b}", "null"] {
        let oem = shows(&[(K::Manufacturer, label), (K::Sdp, "a=rtppayload-supported:DH")]);
        let found = table().judge(Some("Acme"), &oem, None);
        assert_eq!(
            (found.verdict.name.as_str(), found.verdict.class),
            ("dahua", VendorClass::Restricted),
            "{label}"
        );
    }
    for label in ["", "NONE", "ONVIF", "HikvisionCo", "Hlkvislom"] {
        // Nothing else shows, and the configuration says something harmless.
        let found = table().judge(Some("Axis"), &shows(&[(K::Manufacturer, label)]), None);
        assert_eq!(found.verdict.class, VendorClass::Unknown, "{label}: {found:?}");
        let wanted = format!("declared as `axis`, it names an unknown maker: `{label}`");
        assert_eq!(found.contradictions, [wanted]);
    }
}

#[test]
fn letters_that_look_alike_and_padding_do_not_help() {
    let long = format!("{}{}", " ".repeat(2_000), "HIKVISION");
    let buried = format!("AXIS{}Hikvision", "\u{a0}".repeat(200));
    for label in [
        "HІKVІSІОN",
        "ＨＩＫＶＩＳＩＯＮ",
        "hIkViSiOn",
        "H.I.K.V.I.S.I.O.N",
        "Hik\u{200b}vision",
        "H1kv1s10n",
        "Hik\u{301}vision",
        "AXIS (Hikvision)",
        "AXIS\u{0}Hikvision",
        &long,
        &buried,
    ] {
        let found = table().judge(Some("Axis"), &shows(&[(K::Manufacturer, label)]), None);
        assert_eq!(found.verdict.class, VendorClass::Restricted, "{label:?}: {found:?}");
        assert!(found.verdict.reasons.iter().all(|it| !it.contains(char::is_control)), "{found:?}");
    }
    // Too long to be looked at whole.
    let padded = "x".repeat(600) + "Hikvision";
    let found = table().judge(Some("Axis"), &shows(&[(K::HttpServer, &padded)]), None);
    assert_eq!(found.verdict.class, VendorClass::Unknown);
    assert_eq!(found.verdict.reasons[0], "it shows more than is looked at: treated as restricted");
}

#[test]
fn what_speaks_for_the_label_does_not_crowd_out_the_rest() {
    let names: Vec<String> = (0..200).map(|it| format!("http://www.axis.com/{it}")).collect();
    let mut evidence = shows(&[(K::Manufacturer, "AXIS")]);
    names.iter().for_each(|name| evidence.add(K::Namespace, name));
    evidence.add(K::HttpServer, "App-webs/");
    let found = table().judge(Some("Axis"), &evidence, None);
    assert_eq!((found.verdict.class, found.findings[0].kind), (VendorClass::Restricted, K::HttpServer));
    assert!(found.findings.len() <= VERDICT_FINDINGS_MAX);
}

#[test]
fn free_text_of_the_owners_is_a_weak_hint_at_most() {
    for scope in [
        "onvif://www.onvif.org/location/old%20Hikvision%20spot",
        "onvif://www.onvif.org/location/city/hangzhou",
        "onvif://www.onvif.org/name/spare%20for%20the%20Hikvision",
        "onvif://www.onvif.org/note/Dahua",
        "http:Hikvision",
    ] {
        let found = relabelled(&[(K::Scope, scope)]);
        assert_eq!(found.verdict.class, VendorClass::Trusted, "{scope}: {found:#?}");
        assert_eq!(found.contradictions, Vec::<String>::new());
        let hints = found.findings.iter().filter(|it| it.vendor != "axis");
        assert!(hints.clone().all(|it| it.weight == Weight::Weak), "{scope}: {hints:?}");
        assert_eq!(hints.count(), usize::from(!scope.contains("hangzhou")), "{scope}");
    }
    // A realm may be the camera's name, too.
    assert_eq!(relabelled(&[(K::HttpRealm, "gate, was Hikvision")]).verdict.class, VendorClass::Trusted);
    // A part inside says nothing of the maker, nor do addresses that somebody chose or made at random.
    for (kind, value) in [
        (K::Mac, "02:03:fb:36:12:2a"),
        (K::Endpoint, "urn:uuid:cea94000-fb96-41b3-8260-686dbcdace56"),
        (K::Serial, "praxis-dahuan"),
    ] {
        assert_eq!(relabelled(&[(kind, value)]).verdict.class, VendorClass::Trusted, "{value}");
    }
}

#[test]
fn a_brand_and_who_makes_its_cameras_do_not_contradict() {
    let evidence = shows(&[(K::Manufacturer, "Amcrest"), (K::Sdp, "a=packetization-supported:DH")]);
    let found = table().judge(Some("Amcrest"), &evidence, None);
    assert_eq!((found.verdict.name.as_str(), found.verdict.class), ("dahua", VendorClass::Restricted));
    assert_eq!(found.contradictions, Vec::<String>::new());
    // One of the lines that somebody had to look at.
    let found = table().judge(Some("Honeywell"), &shows(&[(K::Sdp, "a=packetization-supported:DH")]), None);
    assert_eq!((found.verdict.class, found.contradictions.len()), (VendorClass::Restricted, 0));
}

#[test]
fn evidence_never_makes_a_class_laxer() {
    let axis = shows(&[(K::Manufacturer, "AXIS"), (K::Namespace, "http://www.axis.com/2009/event")]);
    for (declared, class) in [("Hikvision", VendorClass::Restricted), ("Acme", VendorClass::Unknown)] {
        let found = table().judge(Some(declared), &axis, None);
        assert_eq!(found.verdict.class, class, "{found:?}");
    }
    let found = table().judge(None, &axis, None);
    assert_eq!((found.verdict.class, found.standing), (VendorClass::Trusted, Standing::Corroborated));
    let nothing = table().judge(None, &Evidence::default(), None);
    assert_eq!((nothing.verdict.class, nothing.standing), (VendorClass::Unknown, Standing::Nothing));
    let alone = table().judge(Some("Axis"), &Evidence::default(), None);
    assert_eq!((alone.verdict.class, alone.standing), (VendorClass::Trusted, Standing::Declared));
    assert_eq!(alone.verdict.reasons, [table().verdict("Axis").reasons.join("; ")]);
}

#[test]
fn a_persons_decision_overrides_and_is_named() {
    let decision = Decision {
        class: VendorClass::Trusted,
        because: "opened and looked at".to_owned(),
        by: "A. Engineer".to_owned(),
        on: Date::constant(2026, 11, 25),
    };
    let evidence = shows(&[(K::Manufacturer, "AXIS"), (K::HttpServer, "App-webs/")]);
    let found = table().judge(Some("Axis"), &evidence, Some(&decision));
    assert_eq!((found.verdict.class, found.standing), (VendorClass::Trusted, Standing::Decided));
    assert_eq!(
        found.verdict.reasons[0],
        "trusted, decided by A. Engineer on 2026-11-25: opened and looked at"
    );
    assert!(found.verdict.reasons[1].contains("App-webs"), "{:?}", found.verdict.reasons);
    assert_eq!(found.contradictions.len(), 1);
}

proptest::proptest! {
    /// Whatever a camera shows: a declared restricted one stays restricted, and the verdict is bounded.
    #[test]
    fn any_evidence_gives_a_bounded_verdict(values in proptest::collection::vec((0usize..19, ".{0,80}"), 0..40)) {
        const KINDS: [K; 19] = [
            K::Manufacturer, K::Model, K::Firmware, K::Serial, K::Hardware, K::Endpoint, K::ScopeName,
            K::ScopeHardware, K::Scope, K::Mac, K::HttpServer, K::HttpRealm, K::RtspServer, K::RtspRealm, K::Sdp,
            K::TlsSubject, K::TlsIssuer, K::Namespace, K::Prefix,
        ];
        let mut evidence = Evidence::default();
        values.iter().for_each(|(kind, value)| evidence.add(KINDS[*kind], value));
        let vendors = table();
        let found = vendors.judge(Some("Hikvision"), &evidence, None);
        proptest::prop_assert_eq!(found.verdict.class, VendorClass::Restricted);
        proptest::prop_assert!(found.findings.len() <= VERDICT_FINDINGS_MAX);
        let axis = vendors.judge(Some("Axis"), &evidence, None);
        let restricted = axis.findings.iter().any(|it| it.weight > Weight::Weak && it.class.is_restricted());
        proptest::prop_assert!(!restricted || axis.verdict.class.is_restricted());
    }
}
