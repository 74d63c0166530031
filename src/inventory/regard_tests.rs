use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use jiff::civil::{Date, date};

use super::*;
use crate::{
    clock::SimulatedClock,
    ids::{SiteId, ZoneId},
    inventory::{CameraAddress, Decision, MacPolicy, SiteException},
};

/// Keeps what is told in text, as the state database does.
#[derive(Clone, Default)]
struct Book {
    kept: Arc<Mutex<BTreeMap<CameraId, String>>>,
    pins: Arc<Mutex<Vec<String>>>,
    is_full: Arc<AtomicBool>,
}

impl RegardBook for Book {
    fn recall(&self, camera: &CameraId) -> Result<Option<Regard>, String> {
        let kept = self.kept.lock().unwrap();
        kept.get(camera).map(|text| serde_json::from_str(text).map_err(|it| it.to_string())).transpose()
    }

    fn keep(&self, camera: &CameraId, regard: &Regard) {
        self.kept.lock().unwrap().insert(camera.clone(), serde_json::to_string(regard).unwrap());
    }

    fn recall_baseline(&self, _: &CameraId) -> Result<Option<Baseline>, String> {
        Ok(None)
    }

    fn keep_baseline(&self, _: &CameraId, _: &Baseline) -> Result<(), String> {
        Ok(())
    }

    fn pin(&self, _: &CameraId, certificate: &SeenCertificate) -> Result<(), String> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err("no space".into());
        }
        self.pins.lock().unwrap().push(certificate.key.clone());
        Ok(())
    }
}

struct House {
    clock: Arc<SimulatedClock>,
    book: Book,
    regards: Regards,
    vendors: Vendors,
}

impl House {
    fn new() -> Self {
        let clock = Arc::new(SimulatedClock::new("2026-11-26T12:00:00Z".parse().unwrap()));
        let book = Book::default();
        let regards = Regards::new(clock.clone(), Box::new(book.clone()));
        Self { clock, book, regards, vendors: Vendors::embedded().unwrap() }
    }

    /// As after a restart.
    fn again(&mut self) {
        self.regards = Regards::new(self.clock.clone(), Box::new(self.book.clone()));
    }

    fn camera(&self, declared: &str) -> Camera {
        let at: SocketAddr = "127.0.0.1:9000".parse().unwrap();
        Camera {
            id: CameraId::new("gate").unwrap(),
            address: CameraAddress { host: at.ip(), port: at.port() },
            certificates: None,
            mount: String::new(),
            device_path: "/onvif/device_service".into(),
            zone: ZoneId::new("yard").unwrap(),
            site: SiteId::new("depot").unwrap(),
            vendor: self.vendors.verdict(declared),
            listen: at,
            advertise: at.to_string(),
            secure: None,
            advertise_rtsp: at.to_string(),
            advertise_rtsps: None,
            mac: MacPolicy::Virtual,
            manufacturer: None,
            model: None,
            quirks: Vec::new(),
            events: Default::default(),
            streams: Default::default(),
            replacement: None,
            exception: None,
            quarantined: false,
            hardware: None,
        }
    }

    fn weigh(&self, camera: &Camera, signals: &[(SignalKind, &str)]) -> Weighed {
        let mut evidence = Evidence::default();
        signals.iter().for_each(|(kind, value)| evidence.add(*kind, value));
        // As a declared camera's configuration has it.
        let declared = camera.vendor.declared.clone().unwrap_or_else(|| camera.vendor.name.clone());
        let mut camera = camera.clone();
        camera.vendor.declared = Some(declared);
        self.regards.weigh(&camera, &self.vendors, &evidence)
    }

    fn expect(&self, camera: &Camera) {
        self.regards.expect(&camera.id, "2026-11-26T13:00:00Z".parse().unwrap(), "control, uid 7");
    }

    /// The device that could be accepted.
    fn device(&self, camera: &Camera) -> Option<Device> {
        self.regards.of(&camera.id).quarantine.as_ref().and_then(|it| it.device.clone())
    }

    /// Accepts it.
    fn accept(&self, camera: &Camera, reason: &str) -> Result<(), NotAccepted> {
        let device = self.device(camera).unwrap_or(Device::Shows(Evidence::default()));
        self.regards.accept(camera, &device, "control, uid 7", reason)
    }
}

const AXIS: [(SignalKind, &str); 4] = [
    (SignalKind::Manufacturer, "AXIS"),
    (SignalKind::Model, "M3045-V"),
    (SignalKind::Serial, "ACCC8E000001"),
    (SignalKind::Firmware, "9.80"),
];
const RELABELLED: [(SignalKind, &str); 4] = [
    (SignalKind::Manufacturer, "AXIS"),
    (SignalKind::Model, "M3045-V"),
    (SignalKind::Serial, "ACCC8E000001"),
    (SignalKind::HttpServer, "App-webs/"),
];
const THIRD: [(SignalKind, &str); 4] = [
    (SignalKind::Manufacturer, "AXIS"),
    (SignalKind::Model, "M3045-V"),
    (SignalKind::Serial, "ACCC8E000003"),
    (SignalKind::Firmware, "9.80"),
];
const OTHER: [(SignalKind, &str); 4] = [
    (SignalKind::Manufacturer, "AXIS"),
    (SignalKind::Model, "M3045-V"),
    (SignalKind::Serial, "ACCC8E000002"),
    (SignalKind::Firmware, "9.80"),
];

fn with_mac(signals: &[(SignalKind, &'static str)]) -> Vec<(SignalKind, &'static str)> {
    [signals, &[(SignalKind::Mac, "ac:cc:8e:00:00:02")]].concat()
}

/// The first device with other firmware.
fn firmware(version: &'static str) -> Vec<(SignalKind, &'static str)> {
    [&AXIS[..3], &[(SignalKind::Firmware, version)]].concat()
}

#[test]
fn what_a_camera_shows_makes_it_stricter_until_somebody_decides() {
    let mut house = House::new();
    let camera = house.camera("Axis");
    assert!(!house.weigh(&camera, &AXIS).stricter);
    assert_eq!(house.regards.treated(&camera), Cow::<Camera>::Borrowed(&camera));
    let weighed = house.weigh(&camera, &RELABELLED);
    assert_eq!((weighed.stricter, weighed.outcome), (true, Outcome::Same));
    assert_eq!(weighed.judgement.contradictions.len(), 1);
    assert!(!house.weigh(&camera, &RELABELLED).stricter, "told once");
    house.weigh(&camera, &AXIS);
    house.again();
    let treated = house.regards.treated(&camera).into_owned();
    assert_eq!((treated.vendor.name.as_str(), treated.vendor.class), ("hikvision", VendorClass::Restricted));
    let mut decided = camera.clone();
    decided.vendor.decision = Some(Decision {
        class: VendorClass::Trusted,
        because: "looked inside".into(),
        by: "A. Engineer".into(),
        on: date(2026, 11, 26),
    });
    assert_eq!(house.regards.treated(&decided).vendor.class, VendorClass::Trusted);
}

#[test]
fn another_device_is_in_quarantine_until_it_is_accepted() {
    let mut house = House::new();
    let camera = house.camera("Axis");
    house.weigh(&camera, &AXIS);
    assert_eq!(house.weigh(&camera, &OTHER).outcome, Outcome::Quarantined);
    assert!(house.regards.treated(&camera).quarantined);
    assert_eq!(house.weigh(&camera, &AXIS).outcome, Outcome::InQuarantine, "it does not end by itself");
    house.again();
    assert!(house.regards.treated(&camera).quarantined, "nor by a restart");
    let why = house.regards.of(&camera.id).quarantine.clone().unwrap().why;
    assert_eq!(why, "serial was `ACCC8E000001`, is `ACCC8E000002`");
    assert_eq!(house.accept(&camera, "replaced after lightning"), Ok(()));
    assert!(!house.regards.treated(&camera).quarantined);
    assert_eq!(
        house.accept(&camera, "again"),
        Err(NotAccepted::NotInQuarantine),
        "nothing is left to decide"
    );
    assert_eq!(house.weigh(&camera, &OTHER).outcome, Outcome::Same);
    assert_eq!(house.weigh(&camera, &AXIS).outcome, Outcome::Quarantined, "the old one is another now");
    assert_eq!(*house.book.pins.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn the_device_that_was_seen_is_accepted_and_not_the_one_that_took_its_place_meanwhile() {
    let mut house = House::new();
    let camera = house.camera("Axis");
    house.weigh(&camera, &RELABELLED);
    assert_eq!(house.weigh(&camera, &OTHER).outcome, Outcome::Quarantined);
    let seen = house.device(&camera).unwrap();
    let shows = "serial `ACCC8E000002`, manufacturer `AXIS`, model `M3045-V`";
    assert_eq!(seen.to_string(), shows);
    // What the same device shows besides is told; a third device is not what somebody looked at.
    house.weigh(&camera, &with_mac(&OTHER));
    assert_eq!(house.weigh(&camera, &THIRD).outcome, Outcome::InQuarantine);
    let shows = "serial `ACCC8E000002`, mac `ac:cc:8e:00:00:02`, manufacturer `AXIS`, model `M3045-V`";
    assert_eq!(house.device(&camera).unwrap().to_string(), shows);
    house.again();
    assert_eq!(house.accept(&camera, "replaced after lightning"), Ok(()));
    house.again();
    assert_eq!(house.weigh(&camera, &THIRD).outcome, Outcome::Quarantined);
    assert!(house.regards.treated(&camera).vendor.class.is_restricted(), "it takes no verdict away");
    let third = house.device(&camera).unwrap().to_string();
    assert!(third.starts_with("serial `ACCC8E000003`"), "{third}");
    let why = house.regards.of(&camera.id).quarantine.clone().unwrap().why;
    assert_eq!(why, "serial was `ACCC8E000002`, is `ACCC8E000003`");
}

#[test]
fn an_announcement_is_used_up_by_the_first_device_that_comes() {
    let mut house = House::new();
    let camera = house.camera("Axis");
    house.weigh(&camera, &AXIS);
    house.expect(&camera);
    assert_eq!(house.weigh(&camera, &firmware("10.1")).outcome, Outcome::Changed, "still the same device");
    house.again();
    let Outcome::Expected(used) = house.weigh(&camera, &OTHER).outcome else { panic!("it was announced") };
    assert_eq!((used.by.as_str(), used.at), ("control, uid 7", house.clock.now()));
    let accepted = house.regards.of(&camera.id).accepted.clone().unwrap();
    assert_eq!(accepted.by, "announced");
    assert_eq!(
        accepted.reason,
        "another device was expected until 2026-11-26T13:00:00Z (control, uid 7, at 2026-11-26T12:00:00Z)"
    );
    house.again();
    assert_eq!(house.weigh(&camera, &THIRD).outcome, Outcome::Quarantined, "within the announced hour");
    let key = |text: &str| SeenCertificate { key: text.into(), certificate: "c".into() };
    let outcome = house.regards.showed_another_certificate(&camera, &key("ef56"));
    assert_eq!(outcome, Outcome::InQuarantine);
    assert_eq!(*house.book.pins.lock().unwrap(), Vec::<String>::new(), "no key had changed");
}

#[test]
fn a_device_that_was_let_in_by_its_key_says_itself_who_it_is_and_no_third_comes_after_it() {
    let house = House::new();
    let camera = house.camera("Axis");
    house.weigh(&camera, &AXIS);
    house.expect(&camera);
    let key = |text: &str| SeenCertificate { key: text.into(), certificate: "c".into() };
    let outcome = |text: &str| house.regards.showed_another_certificate(&camera, &key(text));
    assert!(matches!(outcome("ab12"), Outcome::Expected(_)));
    assert_eq!(house.weigh(&camera, &OTHER).outcome, Outcome::Same, "the number of the one with that key");
    assert_eq!(outcome("cd34"), Outcome::Quarantined, "a second one within the hour");
    assert_eq!(*house.book.pins.lock().unwrap(), ["ab12"]);
    assert_eq!(house.device(&camera).unwrap().to_string(), "key cd34, certificate c");
    // A pin that cannot be kept is no reason to believe the next certificate.
    house.book.is_full.store(true, Ordering::Relaxed);
    assert_eq!(house.accept(&camera, "another one"), Err(NotAccepted::Pin("no space".into())));
    assert!(house.regards.treated(&camera).quarantined);
    let other = Camera { id: CameraId::new("hall").unwrap(), ..camera.clone() };
    house.expect(&other);
    let seen = house.regards.showed_another_certificate(&other, &key("ef56"));
    assert_eq!(seen, Outcome::Quarantined);
    assert!(house.regards.of(&other.id).expected.is_some(), "nothing came of the announcement");
}

#[test]
fn what_is_in_quarantine_unseen_is_accepted_once_it_has_said_who_it_is() {
    let house = House::new();
    let camera = house.camera("Axis");
    house.book.kept.lock().unwrap().insert(camera.id.clone(), "{".into());
    house.weigh(&camera, &[(SignalKind::HttpServer, "Apache")]);
    assert_eq!(house.device(&camera), None);
    house.weigh(&camera, &OTHER);
    house.accept(&camera, "it is the right one").unwrap();
    assert_eq!(house.weigh(&camera, &AXIS).outcome, Outcome::Quarantined);
}

#[test]
fn an_exchange_that_was_announced_is_no_quarantine_until_its_time_is_over() {
    let house = House::new();
    let camera = house.camera("Axis");
    house.weigh(&camera, &AXIS);
    house.expect(&camera);
    assert!(matches!(house.weigh(&camera, &OTHER).outcome, Outcome::Expected(_)));
    assert_eq!(house.weigh(&camera, &OTHER).outcome, Outcome::Same);
    house.expect(&camera);
    house.clock.advance(Duration::from_secs(3_601));
    assert_eq!(house.weigh(&camera, &AXIS).outcome, Outcome::Quarantined);
}

#[test]
fn an_exchanged_camera_is_judged_by_what_it_shows_itself() {
    let house = House::new();
    let camera = house.camera("Axis");
    house.weigh(&camera, &RELABELLED);
    house.weigh(&camera, &OTHER);
    house.accept(&camera, "a true one now").unwrap();
    assert!(house.regards.treated(&camera).vendor.class.is_restricted(), "until it has said who it is");
    house.weigh(&camera, &[(SignalKind::HttpServer, "Apache")]);
    assert!(house.regards.treated(&camera).vendor.class.is_restricted());
    house.weigh(&camera, &OTHER);
    assert_eq!(house.regards.treated(&camera).vendor.class, VendorClass::Trusted);
}

/// A camera is not asked all at once, and its neighbours' table is read later still.
#[test]
fn what_changes_bit_by_bit_within_a_day_adds_up() {
    let with = |changed: &[(SignalKind, &'static str)]| {
        let mut all = with_mac(&AXIS);
        for (kind, value) in changed {
            all.iter_mut().filter(|(it, _)| it == kind).for_each(|it| it.1 = value);
        }
        all
    };
    let model = (SignalKind::Model, "M1034");
    let (maker, mac) = ((SignalKind::Manufacturer, "Axis AB"), (SignalKind::Mac, "ac:cc:8e:00:00:07"));
    for (first, second, pause, outcome) in [
        (&[model][..], &[model, maker][..], 45, Outcome::Quarantined),
        (&[model], &[model, mac], 60, Outcome::Quarantined),
        (&[model], &[model, maker], 24 * 3_600, Outcome::Changed),
        (&[model], &[(SignalKind::Model, "M1035")], 45, Outcome::Changed),
        (&[model], &[model, (SignalKind::Firmware, "9.81")], 45, Outcome::Changed),
        (&[model], &[model], 45, Outcome::Same),
    ] {
        let mut house = House::new();
        let camera = house.camera("Axis");
        house.weigh(&camera, &with(&[]));
        assert_eq!(house.weigh(&camera, &with(first)).outcome, Outcome::Changed, "{first:?}");
        house.clock.advance(Duration::from_secs(pause));
        house.again();
        let weighed = house.weigh(&camera, &with(second));
        assert_eq!(weighed.outcome, outcome, "{first:?}, {second:?} after {pause} s");
        if outcome == Outcome::Quarantined {
            let why = house.regards.of(&camera.id).quarantine.as_ref().unwrap().why.clone();
            assert!(why.contains("model was `M3045-V`, is `M1034`"), "{why}");
            house.accept(&camera, "it is").unwrap();
            assert_eq!(house.weigh(&camera, &with(second)).outcome, Outcome::Same);
            // What led there is over.
            assert_eq!(house.weigh(&camera, &with(&[model])).outcome, Outcome::Changed);
        }
    }
}

#[test]
fn what_is_again_as_it_was_adds_up_with_nothing() {
    let house = House::new();
    let camera = house.camera("Axis");
    let with = |model, maker| {
        [(SignalKind::Manufacturer, maker), (SignalKind::Model, model), (SignalKind::Serial, "ACCC8E000001")]
    };
    for (model, maker, outcome) in [
        ("M3045-V", "AXIS", Outcome::Same),
        ("M1034", "AXIS", Outcome::Changed),
        ("M3045-V", "AXIS", Outcome::Changed),
        ("M3045-V", "Axis AB", Outcome::Changed),
    ] {
        assert_eq!(house.weigh(&camera, &with(model, maker)).outcome, outcome, "{model} {maker}");
    }
}

/// The class that somebody decided on is the one of the device that they looked at.
#[test]
fn a_decision_is_about_the_device_that_was_there() {
    for announced in [false, true] {
        let mut house = House::new();
        let decided = |on: Date| Decision {
            class: VendorClass::Trusted,
            because: "looked inside".into(),
            by: "A. Engineer".into(),
            on,
        };
        let with = |house: &House, decision: Decision| {
            let vendor =
                house.vendors.judge(Some("Hikvision"), &Evidence::default(), Some(&decision)).verdict;
            Camera { vendor, ..house.camera("Hikvision") }
        };
        let class = |house: &House, camera: &Camera| house.regards.treated(camera).vendor.class;
        let camera = with(&house, decided(date(2026, 11, 25)));
        house.weigh(&camera, &AXIS);
        assert_eq!(class(&house, &camera), VendorClass::Trusted);
        if announced {
            house.expect(&camera);
            assert!(matches!(house.weigh(&camera, &OTHER).outcome, Outcome::Expected(_)));
        } else {
            house.weigh(&camera, &OTHER);
            house.accept(&camera, "the old one was broken").unwrap();
        }
        house.again();
        assert_eq!(class(&house, &camera), VendorClass::Restricted, "as declared");
        assert_eq!(house.regards.treated(&camera).vendor.decision, None);
        assert!(house.weigh(&camera, &OTHER).judgement.verdict.decision.is_none());
        let regard = house.regards.of(&camera.id);
        assert_eq!(regard.superseded(&camera.vendor), camera.vendor.decision.as_ref(), "told");
        // Of the same day, and of a later one.
        for on in [date(2026, 11, 26), date(2026, 11, 27)] {
            let camera = with(&house, decided(on));
            assert_eq!(class(&house, &camera), VendorClass::Trusted, "{on}");
            assert_eq!(regard.superseded(&camera.vendor), None);
        }
    }
}

#[test]
fn a_decision_that_stood_when_another_device_was_accepted_counts_no_more() {
    let house = House::new();
    let decision = Decision {
        class: VendorClass::Trusted,
        because: "looked inside".into(),
        by: "A. Engineer".into(),
        on: date(2026, 11, 26),
    };
    let vendor = house.vendors.judge(Some("Axis"), &Evidence::default(), Some(&decision)).verdict;
    let camera = Camera { vendor, ..house.camera("Axis") };
    house.weigh(&camera, &AXIS);
    house.expect(&camera);
    // Of the same day, but of another device: what this one shows counts.
    let relabelled = [&OTHER[..3], &[(SignalKind::HttpServer, "App-webs/")]].concat();
    assert!(house.weigh(&camera, &relabelled).stricter);
    let treated = house.regards.treated(&camera).into_owned().vendor;
    assert_eq!((treated.name.as_str(), treated.class), ("hikvision", VendorClass::Restricted));
}

#[test]
fn another_certificate_is_quarantine_and_accepting_it_pins_the_one_that_was_seen() {
    let house = House::new();
    let camera = house.camera("Axis");
    house.weigh(&camera, &AXIS);
    let outcome = |text: &str| {
        let seen = SeenCertificate { key: text.into(), certificate: "c".into() };
        house.regards.showed_another_certificate(&camera, &seen)
    };
    assert_eq!(outcome("ab12"), Outcome::Quarantined);
    assert_eq!(outcome("cd34"), Outcome::InQuarantine);
    assert!(house.regards.treated(&camera).quarantined);
    house.accept(&camera, "a new certificate").unwrap();
    assert_eq!(*house.book.pins.lock().unwrap(), ["ab12"]);
    assert_eq!(house.weigh(&camera, &OTHER).outcome, Outcome::Same, "the number of the one with that key");
    assert_eq!(outcome("cd34"), Outcome::Quarantined);
}

#[test]
fn what_cannot_be_read_is_quarantine() {
    let house = House::new();
    let camera = house.camera("Axis");
    house.book.kept.lock().unwrap().insert(camera.id.clone(), "{".into());
    assert!(house.regards.treated(&camera).quarantined);
    let why = house.regards.of(&camera.id).quarantine.clone().unwrap().why;
    assert!(why.starts_with("what was held of it before cannot be read"), "{why}");
    // What stands in for it is not written over it, whatever the camera shows meanwhile.
    house.weigh(&camera, &[(SignalKind::Manufacturer, "AXIS")]);
    house.expect(&camera);
    assert_eq!(house.book.kept.lock().unwrap()[&camera.id], "{");
    assert!(house.device(&camera).is_some(), "it can be accepted");
    // Once it can be read it holds.
    let kept = serde_json::to_string(&Regard::default()).unwrap();
    house.book.kept.lock().unwrap().insert(camera.id.clone(), kept);
    assert!(!house.regards.treated(&camera).quarantined);
}

#[test]
fn an_exception_ends_by_itself() {
    let house = House::new();
    let exception = SiteException {
        owner: "A. Owner".into(),
        reason: "replaced in December".into(),
        until: date(2026, 11, 26),
    };
    let camera = Camera { exception: Some(exception), ..house.camera("Hikvision") };
    house.clock.advance(Duration::from_secs(12 * 3_600 - 1));
    assert!(house.regards.treated(&camera).exception.is_some(), "the last second of its last day");
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(house.regards.treated(&camera).exception, None);
}

#[test]
fn a_camera_is_held_to_the_hardware_address_it_is_known_by() {
    let mut house = House::new();
    let camera = house.camera("Axis");
    let [own, other] = ["ac:cc:8e:00:00:01", "02:66:00:00:00:01"].map(|it| it.parse::<MacAddress>().unwrap());
    assert!(!house.regards.learn_hardware(&camera.id, other), "it has not said who it is");
    assert_eq!(house.regards.hardware(&camera), None);
    house.weigh(&camera, &AXIS);
    assert!(house.regards.learn_hardware(&camera.id, own));
    assert!(!house.regards.learn_hardware(&camera.id, other), "the first is the one");
    house.again();
    assert_eq!(house.regards.hardware(&camera), Some(own), "after a restart too");
    let configured = Camera { hardware: Some(other), ..camera.clone() };
    assert_eq!(house.regards.hardware(&configured), Some(other), "its owner's word");
    house.regards.seen_by(&camera.id, &own.to_string());
    house.regards.expect(&camera.id, house.clock.now() + jiff::SignedDuration::from_mins(10), "alex");
    assert_eq!(house.regards.hardware(&camera), None, "another may come");
    assert!(matches!(house.weigh(&camera, &OTHER).outcome, Outcome::Expected(_)));
    assert_eq!(house.regards.hardware(&camera), None, "it is learnt anew");
    assert_eq!(house.regards.mac(&camera.id), None, "that was the one's before");
    assert!(house.regards.learn_hardware(&camera.id, other));
    assert_eq!(house.regards.hardware(&camera), Some(other));
}
