//! Events, the cameras' side: one subscription to each camera, whatever it does otherwise than its interface says.

use std::{net::SocketAddr, time::Duration};

use cordon::{
    clock::{Clock, SystemClock},
    limits::SUBSCRIPTION_PAUSE_MAX,
    sim::RunningCamera,
    store::Store,
};

use crate::{
    client::{self, Reply, SOAP, Token, envelope, request, within},
    house::{ADMIN, CAR_PARK, House, LOBBY},
    process::Running,
    pull_points::unsubscribe,
};

const EVENTS: &str = "http://www.onvif.org/ver10/events/wsdl";

/// A client's subscription at the gateway.
pub struct Subscription {
    door: SocketAddr,
    path: String,
}

/// A camera that was away several times is not asked again before a pause of `SUBSCRIPTION_PAUSE_MAX` at the most is over.
const TOLD_MAX: Duration = Duration::from_secs(150);
const _: () = assert!(TOLD_MAX.as_secs() > 2 * SUBSCRIPTION_PAUSE_MAX.as_secs());

/// What a client is told: the last name of the topic, the operation, the value.
pub type Told = (String, String, String);

impl Subscription {
    fn new(house: &House, camera: usize) -> Self {
        Self::at(house.door(camera))
    }

    pub fn at(door: SocketAddr) -> Self {
        let reply = client::ask(door, "events", ADMIN, &within(EVENTS, "CreatePullPointSubscription", ""));
        let address = reply.element("Address").unwrap_or_else(|| panic!("{}", reply.text()));
        let path =
            address.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| rest[at..].to_owned()));
        Self { door, path: path.unwrap() }
    }

    fn pull(&self, seconds: u64) -> Vec<Told> {
        let inner = format!("<x:Timeout>PT{seconds}S</x:Timeout><x:MessageLimit>100</x:MessageLimit>");
        let body = envelope(&Token::new(ADMIN).header(), &within(EVENTS, "PullMessages", &inner));
        let reply = client::send(self.door, &request("POST", &self.path, &[SOAP], body.as_bytes()));
        assert_eq!(reply.status, 200, "{}", reply.text());
        told(&reply)
    }

    /// Ends it at the gateway.
    pub fn end(&self) {
        let body = envelope(&Token::new(ADMIN).header(), &unsubscribe());
        let reply = client::send(self.door, &request("POST", &self.path, &[SOAP], body.as_bytes()));
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// Pulls until something is told; all that was told on the way.
    pub fn pull_until(&self, is_it: impl Fn(&Told) -> bool) -> Vec<Told> {
        let clock = SystemClock::new();
        let mut all = Vec::new();
        while !all.iter().any(&is_it) {
            assert!(clock.monotonic() < TOLD_MAX, "never told: {all:?}");
            all.extend(self.pull(5));
        }
        all
    }

    /// Has motion seen by a camera, and pulls until that is told.
    pub fn sees(&self, camera: &RunningCamera, value: bool) -> Vec<Told> {
        camera.happens("motion", value);
        let expected = motion("Changed", value);
        self.pull_until(|it| *it == expected)
    }
}

pub fn motion(operation: &str, value: bool) -> Told {
    ("MotionAlarm".to_owned(), operation.to_owned(), value.to_string())
}

fn told(reply: &Reply) -> Vec<Told> {
    let text = String::from_utf8_lossy(&reply.body);
    let document = roxmltree::Document::parse(&text).unwrap();
    let messages = document.descendants().filter(|it| it.tag_name().name() == "NotificationMessage");
    messages
        .map(|message| {
            let find = |name: &str| message.descendants().find(|it| it.tag_name().name() == name);
            let topic =
                find("Topic").and_then(|it| it.text()).unwrap().rsplit('/').next().unwrap().to_owned();
            let inside = message.descendants().filter(|it| it.tag_name().name() == "Message").nth(1).unwrap();
            let operation = inside.attribute("PropertyOperation").unwrap_or_default().to_owned();
            let data = find("Data").and_then(|it| it.first_element_child());
            (topic, operation, data.and_then(|it| it.attribute("Value")).unwrap_or_default().to_owned())
        })
        .collect()
}

/// Nothing happens at a camera but what the test has happen.
pub fn still(camera: &RunningCamera) {
    camera.set_variable("motion.every", "0");
    camera.set_variable("input.every", "0");
}

/// How often a camera carried out an operation.
pub fn heard(house: &House, camera: usize, operation: &str) -> usize {
    let log = house.camera(camera).log();
    log.iter().filter(|it| it.operation.as_deref() == Some(operation) && it.status == 200).count()
}

pub const CREATE: &str = "tev:CreatePullPointSubscription";

/// Waits for something.
pub fn wait(what: &str, is_so: impl Fn() -> bool) {
    let clock = SystemClock::new();
    while !is_so() {
        assert!(clock.monotonic() < Duration::from_secs(45), "{what}");
        crate::house::breathe();
    }
}

#[test]
fn whoever_wants_a_cameras_events_has_them_by_one_subscription() {
    let mut house = House::open();
    for camera in [CAR_PARK, LOBBY] {
        still(house.camera(camera));
        let (one, two) = (Subscription::new(&house, camera), Subscription::new(&house, camera));
        for subscription in [&one, &two] {
            let state = subscription.pull_until(|it| *it == motion("Initialized", false));
            assert!(state.iter().any(|it| it.0 == "DigitalInput"), "{state:?}");
        }
        let three = Subscription::new(&house, camera);
        assert!(
            three.pull(5).contains(&motion("Initialized", false)),
            "the state is kept for whoever comes later"
        );
        for value in [true, false] {
            assert_eq!(one.sees(house.camera(camera), value), [motion("Changed", value)]);
            for other in [&two, &three] {
                assert_eq!(other.pull_until(|it| it.1 == "Changed"), [motion("Changed", value)]);
            }
        }
        assert_eq!(heard(&house, camera, CREATE), 1, "{:?}", house.operations(camera));
        assert_eq!(house.camera(camera).subscriptions(), 1);
    }
    let records = house.records();
    let of_gateway = |operation: &str| {
        let is = |it: &&serde_json::Value| {
            it["who"]["name"] == "events" && it["operation"] == operation && it["camera"] == "lobby"
        };
        records.iter().filter(is).count()
    };
    assert_eq!((of_gateway(CREATE), of_gateway("tev:PullMessages")), (1, 1), "{records:#?}");
    house.stop();
    for camera in [CAR_PARK, LOBBY] {
        assert_eq!(house.camera(camera).subscriptions(), 0, "{:?}", house.operations(camera));
    }
}

#[test]
fn a_camera_that_was_started_anew_is_subscribed_to_anew_and_tells_nothing_twice() {
    let house = House::open();
    let camera = house.camera(LOBBY);
    still(camera);
    let subscription = Subscription::new(&house, LOBBY);
    subscription.pull_until(|it| *it == motion("Initialized", false));
    subscription.sees(camera, true);
    camera.forget_subscriptions();
    wait("it is subscribed to again", || heard(&house, LOBBY, CREATE) == 2);
    wait("it tells its state", || heard(&house, LOBBY, "tev:SetSynchronizationPoint") >= 2);
    assert_eq!(subscription.sees(camera, false), [motion("Changed", false)], "and nothing that was known");
    assert_eq!(camera.subscriptions(), 1);
}

#[test]
fn a_property_that_vanished_while_its_camera_was_not_heard_is_told_to_be_no_more() {
    let house = House::open();
    let camera = house.camera(LOBBY);
    still(camera);
    let subscription = Subscription::new(&house, LOBBY);
    let is_input = |it: &Told| it.0 == "DigitalInput";
    subscription.pull_until(|it| is_input(it) && it.1 == "Initialized");
    camera.set_variable("input.absent", "true");
    camera.forget_subscriptions();
    let told = subscription.pull_until(|it| it.1 == "Deleted");
    assert_eq!(told, [("DigitalInput".to_owned(), "Deleted".to_owned(), "false".to_owned())]);
    let later = Subscription::new(&house, LOBBY).pull(5);
    assert!(later.contains(&motion("Initialized", false)) && !later.iter().any(is_input), "{later:?}");
}

#[test]
fn how_things_stood_when_nobody_heard_is_not_told_as_how_they_stand() {
    let house = House::open();
    let camera = house.camera(LOBBY);
    still(camera);
    let first = Subscription::new(&house, LOBBY);
    first.pull_until(|it| *it == motion("Initialized", false));
    first.sees(camera, true);
    first.end();
    wait("it is left", || camera.subscriptions() == 0);
    camera.happens("motion", false);
    let state = Subscription::new(&house, LOBBY).pull_until(|it| it.0 == "MotionAlarm");
    assert!(state.contains(&motion("Initialized", false)), "{state:?}");
    assert!(!state.iter().any(|it| it.2 == "true" && it.0 == "MotionAlarm"), "{state:?}");
}

#[test]
fn a_place_at_a_camera_outlives_a_gateway_that_was_killed() {
    let mut house = House::open();
    still(house.camera(LOBBY));
    house.stop();
    let running = Running::start(house.dir());
    let subscription = Subscription::at(house.door(LOBBY));
    subscription.pull_until(|it| *it == motion("Initialized", false));
    let is_kept = || {
        let store = Store::open(&house.dir().join("state/state.sqlite")).unwrap();
        let memory = store.state_get("lobby", "memory").unwrap();
        memory.is_some_and(|it| {
            serde_json::from_str::<serde_json::Value>(&it).unwrap()["subscription"].is_object()
        })
    };
    wait("where it is subscribed is kept", is_kept);
    // Killed, not stopped.
    drop(running);
    assert_eq!(house.camera(LOBBY).subscriptions(), 1);
    let running = Running::start(house.dir());
    let subscription = Subscription::at(house.door(LOBBY));
    subscription.pull_until(|it| *it == motion("Initialized", false));
    assert_eq!(subscription.sees(house.camera(LOBBY), true), [motion("Changed", true)]);
    assert_eq!((heard(&house, LOBBY, CREATE), house.camera(LOBBY).subscriptions()), (1, 1));
    running.stop();
    assert_eq!(house.camera(LOBBY).subscriptions(), 0);
}

#[test]
fn a_camera_that_floods_is_told_of_and_takes_nothing_from_another() {
    let house = House::open();
    let (flood, lobby) = (house.camera(CAR_PARK), house.camera(LOBBY));
    still(flood);
    still(lobby);
    let (one, two) = (Subscription::new(&house, CAR_PARK), Subscription::new(&house, LOBBY));
    one.pull_until(|it| *it == motion("Initialized", false));
    two.pull_until(|it| *it == motion("Initialized", false));
    for number in 0..3_000 {
        flood.happens("motion", number % 2 == 0);
    }
    let raised = |it: &serde_json::Value| {
        it["what"] == "alarm-raised"
            && it["detail"]["id"] == "events-flood"
            && it["detail"]["subject"] == "camera car-park"
    };
    house.wait_for(|records| records.iter().any(raised));
    assert_eq!(two.sees(lobby, true), [motion("Changed", true)]);
}

/// The house with a place for notices, and a camera that sends.
pub fn with_sink(edit: impl Fn(String) -> String) -> (House, SocketAddr) {
    let mut house = House::open();
    let sink = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    house.reconfigure(|text| {
        let zone = "name = \"trusted\"\nisolation = \"none\"\n";
        assert!(text.contains(zone), "{text}");
        edit(text.replace(zone, &format!("{zone}event_sink = \"{sink}\"\n")))
    });
    still(house.camera(LOBBY));
    (house, sink)
}

/// What the camera was told to send to.
pub fn consumer(camera: &RunningCamera) -> String {
    let log = camera.log();
    let asked = log.iter().find(|it| it.operation.as_deref() == Some("wsnt:Subscribe")).unwrap();
    let (_, rest) = asked.body.split_once("Address>").unwrap();
    rest.split('<').next().unwrap().to_owned()
}

pub fn pushing(text: String) -> String {
    text.replace("name = \"lobby\"\n", "name = \"lobby\"\nevents = \"push\"\n")
}

#[test]
fn a_camera_sends_its_events_where_it_is_configured_so_or_has_no_other_way() {
    for (name, edit, pull_points) in
        [("configured", pushing as fn(String) -> String, ""), ("no other way", |text| text, "none")]
    {
        let (mut house, _) = with_sink(edit);
        house.camera(LOBBY).set_variable("pull.points", pull_points);
        let subscription = Subscription::new(&house, LOBBY);
        subscription.pull_until(|it| *it == motion("Initialized", false));
        assert_eq!(subscription.sees(house.camera(LOBBY), true), [motion("Changed", true)], "{name}");
        assert_eq!(heard(&house, LOBBY, "tev:PullMessages"), 0, "{name}");
        let records = house.records();
        let notices =
            records.iter().filter(|it| it["operation"] == "notify:Notify" && it["camera"] == "lobby");
        assert_eq!(notices.count(), 1, "{name}: {records:#?}");
        house.stop();
        assert_eq!(house.camera(LOBBY).subscriptions(), 0, "{name}");
    }
}
