use std::{net::SocketAddr, time::Duration};

use jiff::civil::date;

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
    pins_forgotten: Arc<Mutex<u32>>,
}

impl RegardBook for Book {
    fn recall(&self, camera: &CameraId) -> Result<Option<Regard>, String> {
        let kept = self.kept.lock().unwrap();
        kept.get(camera).map(|text| serde_json::from_str(text).map_err(|it| it.to_string())).transpose()
    }

    fn keep(&self, camera: &CameraId, regard: &Regard) {
        self.kept.lock().unwrap().insert(camera.clone(), serde_json::to_string(regard).unwrap());
    }

    fn forget_pin(&self, _: &CameraId) {
        *self.pins_forgotten.lock().unwrap() += 1;
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
            replacement: None,
            exception: None,
            quarantined: false,
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
const OTHER: [(SignalKind, &str); 4] = [
    (SignalKind::Manufacturer, "AXIS"),
    (SignalKind::Model, "M3045-V"),
    (SignalKind::Serial, "ACCC8E000002"),
    (SignalKind::Firmware, "9.80"),
];

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
    assert!(house.regards.accept(&camera.id, "control, uid 7", "replaced after lightning"));
    assert!(!house.regards.treated(&camera).quarantined);
    assert!(!house.regards.accept(&camera.id, "control, uid 7", "again"), "nothing is left to decide");
    assert_eq!(house.weigh(&camera, &OTHER).outcome, Outcome::Same);
    assert_eq!(house.weigh(&camera, &AXIS).outcome, Outcome::Quarantined, "the old one is another now");
    assert_eq!(*house.book.pins_forgotten.lock().unwrap(), 0);
}

#[test]
fn an_exchange_that_was_announced_is_no_quarantine_until_its_time_is_over() {
    let house = House::new();
    let camera = house.camera("Axis");
    house.weigh(&camera, &AXIS);
    house.regards.expect(&camera.id, "2026-11-26T13:00:00Z".parse().unwrap());
    assert_eq!(house.weigh(&camera, &OTHER).outcome, Outcome::Expected);
    assert_eq!(house.weigh(&camera, &OTHER).outcome, Outcome::Same);
    house.clock.advance(Duration::from_secs(3_601));
    assert_eq!(house.weigh(&camera, &AXIS).outcome, Outcome::Quarantined);
}

#[test]
fn an_exchanged_camera_is_judged_by_what_it_shows_itself() {
    let house = House::new();
    let camera = house.camera("Axis");
    house.weigh(&camera, &RELABELLED);
    house.weigh(&camera, &OTHER);
    house.regards.accept(&camera.id, "control", "a true one now");
    assert!(house.regards.treated(&camera).vendor.class.is_restricted(), "until it has said who it is");
    house.weigh(&camera, &[(SignalKind::HttpServer, "Apache")]);
    assert!(house.regards.treated(&camera).vendor.class.is_restricted());
    house.weigh(&camera, &OTHER);
    assert_eq!(house.regards.treated(&camera).vendor.class, VendorClass::Trusted);
}

#[test]
fn another_certificate_is_quarantine_and_accepting_it_forgets_the_pin() {
    let house = House::new();
    let camera = house.camera("Axis");
    assert_eq!(house.regards.showed_another_certificate(&camera.id, "ab12"), Outcome::Quarantined);
    assert_eq!(house.regards.showed_another_certificate(&camera.id, "ab12"), Outcome::InQuarantine);
    assert!(house.regards.treated(&camera).quarantined);
    assert!(house.regards.accept(&camera.id, "control", "a new certificate"));
    assert_eq!(*house.book.pins_forgotten.lock().unwrap(), 1);
    house.regards.expect(&camera.id, "2026-11-26T13:00:00Z".parse().unwrap());
    assert_eq!(house.regards.showed_another_certificate(&camera.id, "cd34"), Outcome::Expected);
    assert_eq!(*house.book.pins_forgotten.lock().unwrap(), 2);
}

#[test]
fn what_cannot_be_read_is_quarantine() {
    let house = House::new();
    let camera = house.camera("Axis");
    house.book.kept.lock().unwrap().insert(camera.id.clone(), "{".into());
    assert!(house.regards.treated(&camera).quarantined);
    let why = house.regards.of(&camera.id).quarantine.clone().unwrap().why;
    assert!(why.starts_with("what was held of it before cannot be read"), "{why}");
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
