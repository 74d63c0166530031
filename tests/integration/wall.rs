//! The latest picture of a camera at the admin listener: who may see it, how often the camera is asked for it, and what
//! becomes of pictures that are none.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr},
    os::unix::net::UnixStream,
    time::Duration,
};

use cordon::{
    clock::{Clock, SystemClock},
    sim::{Fault, Said},
};
use serde_json::Value;

use crate::{
    client::{self, Reply, User, trt_with},
    house::{ADMIN, CAR_PARK, House, LOBBY, LOBBY_ONLY, OPERATOR, VIEWER},
    process::Running,
    watch::{served, wait_until},
};

const PICTURE: &[u8] = include_bytes!("../../src/sim/data/picture.jpg");

fn path(house: &House, camera: usize) -> String {
    format!("/cameras/{}/snapshot", house.plans()[camera].name)
}

fn look(house: &House, camera: usize, user: User) -> Reply {
    client::send_with_digest(house.admin(), "GET", &path(house, camera), user, "SHA-256", "")
}

/// How the look of a reply stands in the log: its intent and its outcome.
fn told(house: &House, camera: usize, reply: &Reply) -> (Value, Value) {
    let outcome = house.outcome(camera, reply.source);
    (house.record_at(camera, reply).intent, outcome)
}

/// How often a camera was asked for a picture.
fn asked(house: &House, camera: usize) -> usize {
    house.operations(camera).iter().filter(|it| it.starts_with("GET ")).count()
}

/// How often a camera may have been asked within a time from its first failure on: pauses double.
fn failures_within(time: Duration) -> usize {
    let mut times = 1;
    while Duration::from_secs((1 << times) - 1) <= time {
        times += 1;
    }
    times
}

#[test]
fn whoever_may_have_a_cameras_pictures_sees_the_latest_at_the_admin_listener() {
    let (house, running) = served();
    let nobody = client::send(house.admin(), &client::request("GET", &path(&house, LOBBY), &[], b""));
    assert_eq!((nobody.status, nobody.header_values("www-authenticate").len()), (401, 2));
    assert_eq!(house.record_at(LOBBY, &nobody).intent["decision"], "denied");
    let wrong = look(&house, LOBBY, (VIEWER.0, "another password"));
    assert_eq!(wrong.status, 401, "{}", wrong.text());
    let intent = house.record_at(LOBBY, &wrong).intent;
    let seen = (&intent["operation"], &intent["decision"], &intent["who"]["name"]);
    assert_eq!(seen, (&"http:Snapshot".into(), &"denied".into(), &"claims to be \"vms-viewer\"".into()));
    let other = look(&house, CAR_PARK, LOBBY_ONLY);
    assert_eq!(other.status, 401, "a client of other cameras: {}", other.text());
    assert_eq!(house.record_at(CAR_PARK, &other).intent["decision"], "denied");
    assert_eq!(house.heard(), [], "no camera was asked");

    let began = SystemClock::new().now();
    let reply = look(&house, LOBBY, VIEWER);
    assert_eq!(
        (reply.status, reply.header_values("content-type")),
        (200, vec!["image/jpeg"]),
        "{}",
        reply.text()
    );
    assert!(reply.body == PICTURE, "{} bytes of {}", reply.body.len(), PICTURE.len());
    assert_eq!(reply.header_values("cache-control"), ["no-store"]);
    assert_eq!(reply.header_values("cross-origin-resource-policy"), ["same-origin"]);
    let age: u64 = reply.header_values("age")[0].parse().unwrap();
    assert!(age < 5, "{age}");
    let came =
        jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(reply.header_values("last-modified")[0]);
    let came = came.unwrap();
    assert!(came.as_second() >= began.as_second() && came <= SystemClock::new().now(), "{came}");
    let (intent, outcome) = told(&house, LOBBY, &reply);
    assert_eq!((&intent["operation"], &intent["decision"]), (&"http:Snapshot".into(), &"permitted".into()));
    assert_eq!(
        (&intent["policies"][0], &intent["who"]["name"]),
        (&"onvif.user".into(), &"vms-viewer".into())
    );
    assert_eq!(intent["arguments"]["at"], "the admin listener");
    assert_eq!((&outcome["what"], &outcome["bytes"]), (&"answered".into(), &PICTURE.len().into()));
    // Where it has its picture is what the gateway had to find out, on its own account and on record.
    let heard = house.operations(LOBBY);
    let [profiles, address, pictures @ ..] = &*heard else { panic!("{heard:?}") };
    let place = format!("GET {}", house.camera(LOBBY).variable("snapshot.path"));
    assert_eq!((&**profiles, &**address), ("trt:GetProfiles", "trt:GetSnapshotUri"));
    // The first may be without a login.
    assert!(
        matches!(pictures.len(), 1 | 2) && pictures.iter().all(|it| it.starts_with(&place)),
        "{pictures:?}"
    );
    let records = house.records();
    let own: Vec<_> = records.iter().filter(|it| it["who"]["name"] == "locator-recovery").collect();
    let own: Vec<_> = own.iter().filter(|it| it["type"] == "intent").map(|it| &it["operation"]).collect();
    assert_eq!(own, ["trt:GetProfiles", "trt:GetSnapshotUri"]);

    let unknown = client::send(house.admin(), &client::request("GET", "/cameras/attic/snapshot", &[], b""));
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    let posted = client::send(house.admin(), &client::request("POST", &path(&house, LOBBY), &[], b""));
    assert_eq!(posted.status, 404, "{}", posted.text());
    let door = client::send(house.door(LOBBY), &client::request("GET", &path(&house, LOBBY), &[], b""));
    assert_eq!(door.status, 404, "not at a camera's own door: {}", door.text());
    running.stop();
}

#[test]
fn a_camera_is_asked_once_however_many_look() {
    const LOOKERS: usize = 12;
    let (house, running) = served();
    let clock = SystemClock::new();
    let house = &house;
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let users = [ADMIN, OPERATOR, VIEWER].into_iter().cycle().take(LOOKERS);
        let looks: Vec<_> = users.map(|user| scope.spawn(move || look(house, CAR_PARK, user))).collect();
        looks.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let log = house.camera(CAR_PARK).log();
    let times = log.iter().filter(|it| it.method == "GET" && it.status == 200).count();
    // Once, unless this machine took longer than the latest picture is good for.
    let may = 1 + clock.monotonic().as_secs() as usize / 5;
    assert!((1..=may).contains(&times), "{times} of {may}: {:?}", house.operations(CAR_PARK));
    let mut notes = Vec::new();
    for reply in &replies {
        assert!(reply.status == 200 && reply.body == PICTURE, "{}", reply.status);
        let (intent, outcome) = told(house, CAR_PARK, reply);
        assert_eq!(
            (&intent["operation"], &intent["decision"]),
            (&"http:Snapshot".into(), &"permitted".into())
        );
        notes.push(outcome["note"].as_str().unwrap_or_default().to_owned());
    }
    let kept = notes.iter().filter(|it| *it == "the picture that was given a moment ago").count();
    assert_eq!(kept, LOOKERS - times, "each is on record: {notes:?}");
    running.stop();
}

#[test]
fn a_camera_that_gives_no_picture_is_asked_less_and_less_often() {
    let (house, running) = served();
    house.camera(LOBBY).set_fault_of("GET", Some(Fault::Status(503)));
    let clock = SystemClock::new();
    let uri = client::ask(
        house.door(LOBBY),
        "media",
        VIEWER,
        &trt_with("GetSnapshotUri", "<x:ProfileToken>profile_1_h264</x:ProfileToken>"),
    );
    let uri = uri.element("Uri").unwrap();
    let target = uri.split_once("/onvif/").map(|(_, path)| format!("/onvif/{path}")).unwrap();
    let began = clock.monotonic();
    let first = look(&house, LOBBY, VIEWER);
    let each = asked(&house, LOBBY);
    assert!(first.status == 502 && each > 0, "{}", first.text());
    // One close upon the other, and judged later: a pause that is over for long enough begins at the shortest again.
    let replies: Vec<_> = (0..8)
        .flat_map(|_| {
            let at_the_door =
                client::send_with_digest(house.door(LOBBY), "GET", &target, VIEWER, "SHA-256", "");
            [look(&house, LOBBY, ADMIN), at_the_door]
        })
        .collect();
    // The camera's one picture has two stories: that of its place, and that of the latest.
    let may = failures_within(clock.monotonic() - began);
    let (times, heard) = (asked(&house, LOBBY), house.operations(LOBBY));
    assert!(times <= 2 * each * may, "asked {times} times; {may} failures for each would do: {heard:?}");
    // Once by the client, and by the gateway whenever it asks for the latest anew.
    let learnt = heard.iter().filter(|it| *it == "trt:GetSnapshotUri").count();
    assert!(learnt <= 1 + may, "{learnt} times where it has its picture; {may} failures: {heard:?}");
    let (_, outcome) = told(&house, LOBBY, &first);
    assert_eq!(outcome["what"], "failed");
    let (fault, note) = (outcome["fault"].clone(), outcome["note"].as_str().unwrap().to_owned());
    let mut spared = [0, 0];
    for (number, reply) in replies.iter().enumerate() {
        assert_eq!(reply.status, 502, "{}", reply.text());
        let (intent, outcome) = told(&house, LOBBY, reply);
        let seen = (&intent["operation"], &intent["decision"], &outcome["fault"]);
        assert_eq!(seen, (&"http:Snapshot".into(), &"permitted".into(), &fault), "decided, and named alike");
        let told = outcome["note"].as_str().unwrap();
        let again = format!("{note}, a moment ago; it is not asked again yet");
        assert!(told == note || told == again, "{told}");
        spared[number % 2] += usize::from(told == again);
    }
    assert!(spared[0] > 0 && spared[1] > 0, "{spared:?}");
    house.camera(LOBBY).set_fault_of("GET", None);
    wait_until("a picture again", || look(&house, LOBBY, VIEWER).status == 200);
    running.stop();
}

/// Each of its answers comes in time, and all of them together do not.
#[test]
fn the_latest_picture_is_waited_for_once_and_not_question_by_question() {
    let (house, running) = served();
    assert_eq!(look(&house, LOBBY, VIEWER).status, 200);
    // What it gives is no picture: it may have it somewhere else by now.
    house.camera(LOBBY).set_fault_of("GET", Some(Fault::Status(503)));
    wait_until("no picture", || look(&house, LOBBY, VIEWER).status == 502);
    let slow = Some(Fault::Slow(Duration::from_secs(15)));
    for operation in ["trt:GetProfiles", "trt:GetSnapshotUri", "GET"] {
        house.camera(LOBBY).set_fault_of(operation, slow.clone());
    }
    let (clock, learnt) =
        (SystemClock::new(), || house.operations(LOBBY).iter().filter(|it| *it == "trt:GetProfiles").count());
    let before = learnt();
    let mut began = clock.monotonic();
    // Those before the pause is over are answered at once.
    let reply = loop {
        let reply = look(&house, LOBBY, VIEWER);
        if learnt() > before {
            break reply;
        }
        crate::house::breathe();
        began = clock.monotonic();
    };
    let took = clock.monotonic() - began;
    assert_eq!(reply.status, 502, "{}", reply.text());
    let (_, outcome) = told(&house, LOBBY, &reply);
    assert_eq!(outcome["note"], "the camera did not answer in time", "{outcome}");
    // One question after the other they would take three quarters of a minute.
    let in_all = Duration::from_secs(30);
    assert!(took >= in_all && took < in_all + Duration::from_secs(10), "{took:?}");
    running.stop();
}

/// A picture without an end, and text that begins as one: refused, and nothing of it goes out.
#[test]
fn what_is_no_picture_is_not_shown() {
    let (house, running) = served();
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n\xFF\xD8\xFF\xE0";
    let said =
        |bytes: &[u8], times| Fault::Say(Said { bytes: [head, bytes].concat().into(), times, stays: false });
    let endless = said(&[0; 64 * 1024], 0);
    let text = said(b"\0\x10JFIF\0 http://192.0.2.64/ is where I am", 1);
    for (camera, fault, why) in
        [(CAR_PARK, endless, "larger than"), (LOBBY, text, "the camera's answer is not a JPEG picture")]
    {
        house.camera(camera).set_fault_of("GET", Some(fault));
        let reply = look(&house, camera, VIEWER);
        assert_eq!(
            (reply.status, reply.header_values("content-type")[0]),
            (502, "text/plain; charset=utf-8")
        );
        assert_eq!(reply.text(), "502 the picture could not be had; the gateway's log says why\n");
        assert_eq!(reply.header_values("last-modified"), [""; 0]);
        let (_, outcome) = told(&house, camera, &reply);
        let note = outcome["note"].as_str().unwrap();
        assert!(outcome["what"] == "failed" && note.contains(why), "{outcome}");
    }
    running.stop();
}

/// Whoever is not served at a camera's door is not served here.
#[test]
fn a_restricted_camera_whose_exception_has_ended_is_not_shown() {
    let mut house = House::open();
    house.stop();
    let text = house.configuration().replace("sensitive = false", "sensitive = true");
    let ended = "\n[[exception]]\ncamera = \"car-park\"\nowner = \"A. Owner\"\nreason = \"until spring\"\nuntil = \"2020-12-31\"\n";
    house.write(&format!("{text}{ended}"));
    let running = Running::start(house.dir());
    let reply = look(&house, CAR_PARK, ADMIN);
    assert_eq!(reply.text(), "403 the picture may not be had; the gateway's log says why\n");
    let recorded = house.record_at(CAR_PARK, &reply);
    assert_eq!(
        (&recorded.intent["operation"], &recorded.intent["decision"]),
        (&"http:Snapshot".into(), &"denied".into())
    );
    assert!(recorded.policies().contains(&"sites.unexcepted"), "{recorded:?}");
    assert_eq!(asked(&house, CAR_PARK), 0);
    assert_eq!(look(&house, LOBBY, ADMIN).status, 200, "what is not restricted is shown");
    running.stop();
}

/// Where the admin listener is a unix socket, too: whoever opens it is on this machine, and logs in from there.
#[test]
fn over_a_unix_socket_a_client_logs_in_like_anywhere_else() {
    let mut house = House::open();
    house.stop();
    let socket = house.dir().join("admin.sock");
    let listen = |at: &str| format!("listen = \"{at}\"\n");
    let (before, text) = (listen(&house.admin().to_string()), house.configuration());
    assert!(text.contains(&before), "{text}");
    house.write(&text.replace(&before, &listen(&socket.display().to_string())));
    let running = Running::start(house.dir());
    let ask = |fields: &[&str]| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(&client::request("GET", &path(&house, LOBBY), fields, b"")).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let here = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        client::parse(here, here, &answer)
    };
    let nobody = ask(&[]);
    assert_eq!(nobody.status, 401, "{}", nobody.text());
    let challenge = nobody.header_values("www-authenticate")[0];
    let login = client::authorization(challenge, "GET", &path(&house, LOBBY), VIEWER);
    let reply = ask(&[&login]);
    assert!(reply.status == 200 && reply.body == PICTURE, "{}", reply.status);
    let (intent, _) = told(&house, LOBBY, &reply);
    assert_eq!((&intent["who"]["name"], &intent["source"]), (&"vms-viewer".into(), &"127.0.0.1:0".into()));
    running.stop();
}
