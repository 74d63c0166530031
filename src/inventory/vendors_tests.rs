//! What the shipped table says, and what is refused of others.

use super::*;
use crate::inventory::{Listing, OrderScope, SignalKind};

/// An entry with these lines in it.
fn entry(id: &str, lines: &str) -> String {
    let no = "{ is = 'no', confidence = 'inferred', source = ['test'] }";
    let seat = if lines.contains("seat = ") {
        ""
    } else {
        "seat = { is = ['DE'], confidence = 'confirmed', source = [] }\n"
    };
    format!(
        "[[vendor]]\nid = '{id}'\nname = '{id}'\n{seat}{lines}\n\
         uk_order = {{ is = 'uncertain', confidence = 'inferred', source = [] }}\nus_889 = {no}\nus_fcc = {no}\n"
    )
}

const SOURCES: &str = "sources = { test = 'a test' }\n";
const OWN: &str = "own_make = { is = true, confidence = 'inferred', source = [] }";

fn class(vendors: &Vendors, id: &str) -> (VendorClass, String) {
    vendors.find(id).map(|it| (it.class, it.class_because.clone())).unwrap()
}

#[test]
fn the_shipped_table_knows_restricted_and_trusted_makers_by_alias() {
    let vendors = Vendors::embedded().unwrap();
    for (declared, name, class) in [
        ("HIKVISION", "hikvision", VendorClass::Restricted),
        ("UNV", "uniview", VendorClass::Restricted),
        ("Dahua", "dahua", VendorClass::Restricted),
        ("Annke", "annke", VendorClass::Restricted),
        ("Prama", "prama", VendorClass::Restricted),
        ("CP Plus", "cpplus", VendorClass::OemRestricted),
        ("LTS", "lts", VendorClass::OemRestricted),
        ("Neutron", "neutron", VendorClass::OemRestricted),
        ("Honeywell", "honeywell", VendorClass::Review),
        ("Keenfinity", "bosch", VendorClass::Review),
        ("Tapo", "tplink", VendorClass::Review),
        ("Swann", "swann", VendorClass::Review),
        ("Dallmeier", "dallmeier", VendorClass::Review),
        ("Axis Communications", "axis", VendorClass::Trusted),
        ("Wisenet", "hanwha", VendorClass::Trusted),
        ("i-PRO", "ipro", VendorClass::Trusted),
    ] {
        let verdict = vendors.verdict(declared);
        assert_eq!((verdict.name.as_str(), verdict.class), (name, class), "{declared}");
        assert_eq!(verdict.reasons.first(), Some(&format!("declared in configuration as `{declared}`")));
    }
}

#[test]
fn the_shipped_table_is_whole() {
    let vendors = Vendors::embedded().unwrap();
    assert_eq!(vendors.iter().count(), 132);
    assert!(vendors.macs().len() > 3_900, "{}", vendors.macs().len());
    assert_eq!(vendors.macs().date.to_string(), "2026-08-26");
    // 50 blocks in the registry of 2022.
    assert_eq!(vendors.prefixes("hikvision").len(), 84);
    for vendor in vendors.iter() {
        let restricted = vendor.class == VendorClass::Restricted;
        let abroad = ["bilian"].contains(&vendor.id.as_str()) || vendor.seat.is != ["CN"];
        assert!(restricted || abroad, "{}: {}", vendor.id, vendor.class);
        assert_ne!(vendor.class, VendorClass::Unknown, "{}", vendor.id);
        let named = vendor.us_889.is == Listing::Named;
        assert!(!named || restricted, "{} is named by section 889", vendor.id);
        let covered = vendor.uk_order.is == OrderScope::InScope;
        assert!(!covered || vendor.class != VendorClass::Trusted, "{} is under the order", vendor.id);
    }
}

#[test]
fn a_maker_nobody_named_is_unknown_and_restricted() {
    let verdict = Vendors::embedded().unwrap().verdict("Acme");
    assert_eq!((verdict.name.as_str(), verdict.class), ("Acme", VendorClass::Unknown));
    assert!(verdict.class.is_restricted());
    assert_eq!(verdict.reasons.last().unwrap(), "not in the vendor table: treated as restricted");
}

#[test]
fn classes_follow_from_seats_owners_and_makers() {
    let made = |vendor: &str, lines: &str, confidence: &str| {
        format!(
            "made_by = [{{ vendor = '{vendor}', lines = '{lines}', confidence = '{confidence}', source = [] }}]"
        )
    };
    let seat = |seat: &str, confidence: &str| {
        format!("seat = {{ is = [{seat}], confidence = '{confidence}', source = [] }}\n{OWN}")
    };
    let parent = |confidence: &str| {
        format!("parent = {{ is = 'it', vendor = 'prc', confidence = '{confidence}', source = [] }}\n{OWN}")
    };
    let entries = [
        ("prc", seat("'CN'", "uncertain"), VendorClass::Restricted),
        ("split", seat("'CN', 'US'", "confirmed"), VendorClass::Review),
        ("nowhere", seat("", "confirmed"), VendorClass::Unknown),
        ("unsure", seat("'GB'", "uncertain"), VendorClass::Review),
        ("owned", parent("reported"), VendorClass::Restricted),
        ("said-owned", parent("uncertain"), VendorClass::Review),
        ("label", made("prc", "all", "contested"), VendorClass::OemRestricted),
        ("label-of-label", made("label", "all", "confirmed"), VendorClass::OemRestricted),
        ("some-lines", made("prc", "some", "confirmed"), VendorClass::Review),
        ("said-label", made("prc", "all", "uncertain"), VendorClass::Review),
        ("own", OWN.to_owned(), VendorClass::Trusted),
        ("not-found", String::new(), VendorClass::Review),
        ("sold", made("own", "all", "confirmed") + "\n" + OWN, VendorClass::Review),
        ("egg", made("hen", "all", "confirmed"), VendorClass::OemRestricted),
        ("hen", made("egg", "all", "confirmed"), VendorClass::OemRestricted),
    ];
    let text = entries.iter().fold(SOURCES.to_owned(), |text, (id, lines, _)| text + &entry(id, lines));
    let vendors = Vendors::from_texts(&[("test.toml", &text)]).unwrap();
    for (id, _, wanted) in &entries {
        let (got, because) = class(&vendors, id);
        assert_eq!(got, *wanted, "{id}: {because}");
    }
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_line_and_remedy() {
    let decided =
        |decision: &str| format!("{OWN}\nclass = {{ is = 'trusted', {decision}, on = 2026-11-25 }}");
    let print = |how: &str| {
        format!("{OWN}\nfingerprint = [{{ signal = 'serial', {how}, confidence = 'reported', source = [] }}]")
    };
    let sound = SOURCES.to_owned() + &entry("a", OWN) + &entry("b", "aliases = ['TWIN']");
    assert!(Vendors::from_texts(&[("my.toml", &sound)]).is_ok());
    for (lines, line, wanted) in [
        ("aliases = ['Twin']", 10, "`TWIN` names both `a` and `b`; give each name to one vendor"),
        (
            "parent = { is = 'x', vendor = 'x', confidence = 'reported', source = [] }",
            2,
            "`a` names vendor `x`, which has no entry; correct the id or add the vendor",
        ),
        (
            "made_by = [{ vendor = 'A', lines = 'all', confidence = 'reported', source = [] }]",
            2,
            "`a` names vendor `A`, which has no entry; correct the id or add the vendor",
        ),
        (
            "facts = [{ is = 'x', confidence = 'reported', source = ['rumour'] }]",
            2,
            "`a` names source `rumour`, which is not explained; correct the name or add it to [sources]",
        ),
        (
            "seat = { is = ['China'], confidence = 'reported', source = [] }",
            2,
            "seat `China` of `a` is no country code; write the two capitals of ISO 3166-1",
        ),
        (
            "words = ['HIK']",
            2,
            "`HIK` is too short to be looked for in longer texts; leave it among the aliases alone",
        ),
        ("mac_prefixes = ['58:03:FB']", 2, "`58:03:FB` is no MAC prefix; write 6, 7 or 9 hexadecimal digits"),
        (
            &decided("because = 'x', by = ' '"),
            2,
            "class of `a`: a decision needs the name of whoever decided; fill in `by` and `because`",
        ),
        (
            &decided("because = '', by = 'x'"),
            2,
            "class of `a`: a decision needs a reason; fill in `by` and `because`",
        ),
        (&print("form = '['"), 7, "`[` is no pattern of XML Schema"),
        (&print("starts = '-x'"), 7, "`-x` is too short to tell anything"),
        (&print("starts = 'abc', is = 'abc'"), 7, "a fingerprint has one of is, starts, word and form"),
        ("colour = 'red'", 6, "unknown field `colour`"),
    ] {
        let text = SOURCES.to_owned() + &entry("a", lines) + &entry("b", "aliases = ['TWIN']");
        let errors = Vendors::from_texts(&[("my.toml", &text)]).unwrap_err();
        let told = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(told.contains(wanted), "{lines}: {told}");
        assert!(told.contains(&format!("my.toml:{line}: ")), "{lines}: line {line}: {told}");
    }
}

#[test]
fn an_owners_files_lie_over_the_shipped_ones() {
    let decided = "class = { is = 'restricted', because = 'house rule', by = 'A. Owner', on = 2026-11-25 }";
    let own = SOURCES.to_owned()
        + &entry("axis", decided)
        + &entry("acme", OWN)
        + "[mac_prefixes]\ndate = 2026-11-01\nsource = 'test'\nof = { acme = ['0200AA'], somebody = ['0200AB'] }\n";
    let vendors = Vendors::extended(&[("my.toml", &own)]).unwrap();
    assert_eq!(vendors.iter().count(), 133);
    let wanted = "restricted, decided by A. Owner on 2026-11-25: house rule";
    assert_eq!(class(&vendors, "axis"), (VendorClass::Restricted, wanted.to_owned()));
    assert_eq!(class(&vendors, "acme").0, VendorClass::Trusted);
    assert_eq!(class(&vendors, "hikvision").0, VendorClass::Restricted);
    assert_eq!((vendors.macs().date.to_string().as_str(), vendors.macs().len()), ("2026-11-01", 3));
    let alone = Vendors::from_texts(&[("my.toml", &own)]).unwrap();
    assert_eq!(alone.iter().count(), 2);
    let twice = Vendors::extended(&[("my.toml", &own), ("more.toml", &own)]).unwrap_err();
    let told: Vec<String> = twice.iter().map(ToString::to_string).collect();
    assert!(told.contains(&"more.toml:2: there are two vendors `axis`; merge them".to_owned()), "{told:?}");
    assert!(told.iter().any(|it| it.contains("there are two tables of MAC prefixes")), "{told:?}");
}

#[test]
fn one_mac_prefix_cannot_be_of_two_makers() {
    let prefixes = format!("{OWN}\nmac_prefixes = ['0050C2DD6']");
    let text = SOURCES.to_owned() + &entry("a", &prefixes) + &entry("b", &prefixes);
    let errors = Vendors::from_texts(&[("my.toml", &text)]).unwrap_err();
    let wanted = "my.toml:11: MAC prefix 0050C2DD6 is of both `a` and `b`; give it to one";
    assert_eq!(errors.first().unwrap().to_string(), wanted);
}

#[test]
fn every_signal_has_the_word_that_files_use() {
    #[derive(Deserialize)]
    struct One {
        kind: SignalKind,
    }
    for word in [
        "manufacturer",
        "model",
        "firmware",
        "serial",
        "hardware",
        "endpoint",
        "scope-name",
        "scope-hardware",
        "scope",
        "mac",
        "http-server",
        "http-realm",
        "rtsp-server",
        "rtsp-realm",
        "sdp",
        "tls-subject",
        "tls-issuer",
        "namespace",
        "prefix",
    ] {
        let one: One = toml::from_str(&format!("kind = '{word}'")).unwrap();
        assert_eq!(one.kind.to_string(), word);
    }
}
