//! Another configuration while the gateway serves: whole or not at all, and without dropping a request.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use cordon::{
    auth::Caller,
    clock::{Clock, SimulatedClock, SystemClock},
    cmd::reload::Reloader,
    command::Prompt,
    limits::ALARM_CALM,
};
use serde_json::Value;

use crate::{
    client::{self, SOAP, Token, envelope, trt},
    house::{ADMIN, CAR_PARK, House, LOBBY, OPERATOR, VIEWER, breathe, records_of},
    process::Running,
};

pub const BY: Caller = Caller::Local { by: Prompt::Control, uid: Some(0) };

/// Who asks this way is not told who would lose what.
pub const SIGNAL: Caller = Caller::Local { by: Prompt::Signal, uid: None };

/// A connection that stays open.
struct Open(TcpStream);

impl Open {
    fn to(door: SocketAddr) -> Self {
        let stream = TcpStream::connect(door).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(45))).unwrap();
        Self(stream)
    }

    /// Status and body of the answer to an operation, and nothing if the gateway has closed the connection.
    fn ask(&mut self, user: client::User, service: &str, body: &str) -> Option<(u16, String)> {
        self.send(user, service, body)?;
        self.receive()
    }

    fn send(&mut self, user: client::User, service: &str, body: &str) -> Option<()> {
        let body = envelope(&Token::new(user).header(), body);
        let head = format!(
            "POST /onvif/{service}_service HTTP/1.1\r\nHost: camera\r\n{SOAP}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.0.write_all(&[head.as_bytes(), body.as_bytes()].concat()).ok()
    }

    fn receive(&mut self) -> Option<(u16, String)> {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).ok()?;
        Some((status, String::from_utf8(body).unwrap()))
    }
}

/// A folder of policies: those that are shipped, and one more file.
pub fn policies(house: &House, name: &str, more: &str) {
    let dir = house.dir().join(name);
    fs::create_dir_all(&dir).unwrap();
    for (file, text) in cordon::policy::SHIPPED {
        fs::write(dir.join(file), text).unwrap();
    }
    fs::write(dir.join("90-more.cedar"), more).unwrap();
}

/// A policy that forbids one operation to one role.
pub fn forbid(role: &str, operation: &str) -> String {
    format!(
        "@id(\"more.{role}\") forbid(principal in Role::\"{role}\", action == Action::\"{operation}\", resource is Camera);\n"
    )
}

pub fn with_policies(text: &str, dir: &str) -> String {
    format!("{text}\n[policy]\ndir = \"{dir}\"\n")
}

/// The text with a value of one client or camera changed.
fn change(text: &str, name: &str, old: &str, new: &str) -> String {
    let (before, section) = text.split_once(&format!("name = \"{name}\"")).unwrap();
    assert!(section.contains(old), "{section}");
    format!("{before}name = \"{name}\"{}", section.replacen(old, new, 1))
}

/// The text without a camera.
fn without(text: &str, camera: &str) -> String {
    let sections = text.split("\n[[");
    let kept = sections.filter(|it| !it.starts_with(&format!("camera]]\nname = \"{camera}\"")));
    kept.collect::<Vec<_>>().join("\n[[")
}

fn events<'a>(records: &'a [Value], what: &str) -> Vec<&'a Value> {
    records.iter().filter(|it| it["type"] == "event" && it["what"] == what).collect()
}

#[test]
fn fifty_reloads_under_load_lose_no_request_and_mix_no_two_configurations() {
    let house = House::open();
    house.acquaint();
    // Each is permitted what it asks by one configuration or the other; by the role of one and the policies of the
    // other it would be denied.
    policies(&house, "one", &forbid("User", "trt:GetProfiles"));
    policies(&house, "other", &forbid("Operator", "trt:GetProfiles"));
    let text = house.configuration();
    let one = with_policies(&text, "one");
    let other = change(&with_policies(&text, "other"), OPERATOR.0, "\"Operator\"", "\"User\"");
    let mut reloader = house.reloader();
    let mut reload = |text: &str| {
        house.write(text);
        reloader.reload(&SIGNAL, None).unwrap().versions[1].clone()
    };
    let versions = [reload(&one), reload(&other)];
    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for camera in [CAR_PARK, LOBBY, CAR_PARK, LOBBY] {
            let (house, done, asked) = (&house, &done, &asked);
            scope.spawn(move || {
                let mut open = Open::to(house.door(camera));
                while !done.load(Ordering::Relaxed) {
                    let reply = open.ask(OPERATOR, "media", &trt("GetProfiles"));
                    let (status, body) = reply.expect("the connection stays open");
                    assert_eq!(status, 200, "{body}");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for number in 0..50 {
            reload(if number % 2 == 0 { &one } else { &other });
            // Some requests at least are handled by each: all but those that were under way, one of each who asks.
            let before = asked.load(Ordering::Relaxed);
            while asked.load(Ordering::Relaxed) < before + 8 && !thread::panicking() {
                assert!(!done.load(Ordering::Relaxed));
                breathe();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    let mut seen = [0; 2];
    for intent in house.records().iter().filter(|it| it["operation"] == "trt:GetProfiles") {
        if intent["who"]["name"] == OPERATOR.0 && intent["type"] == "intent" {
            let pair = (intent["policy_version"].as_str().unwrap(), intent["who"]["role"].as_str().unwrap());
            let which = [(versions[0].as_str(), "Operator"), (versions[1].as_str(), "User")];
            seen[which.iter().position(|it| *it == pair).unwrap_or_else(|| panic!("a mixture: {pair:?}"))] +=
                1;
        }
    }
    let asked = asked.into_inner();
    assert_eq!(seen[0] + seen[1], asked);
    assert!(seen[0] >= 100 && seen[1] >= 100, "{seen:?}");
    // What was learnt of the cameras, and their logins, outlived all that.
    for camera in [CAR_PARK, LOBBY] {
        // The gateway looks at each every 45 seconds.
        let expected = ["trt:GetProfiles", "tds:GetDeviceInformation"];
        let heard = house.operations(camera);
        assert!(heard.iter().all(|it| expected.contains(&it.as_str())), "camera {camera}: {heard:?}");
    }
    assert_eq!(events(&house.records(), "reload").len(), 52);
}

#[test]
fn what_is_forbidden_is_refused_on_the_next_request_of_an_open_connection() {
    let house = House::open();
    house.acquaint();
    policies(&house, "less", &forbid("User", "trt:GetProfiles"));
    let (mut reloader, text) = (house.reloader(), house.configuration());
    house.write(&with_policies(&text, "less"));
    let report = reloader.preview().unwrap();
    for camera in ["car-park", "lobby"] {
        let loss = format!("client `vms-viewer` loses at camera `{camera}`: trt:GetProfiles");
        assert!(report.cuts.contains(&loss), "{:#?}", report.cuts);
    }
    // At the other front doors, where only the way makes a difference, and in a named network.
    let more = r#"
        @id("own.video") forbid (principal in Role::"User", action == Action::"rtsp:PLAY", resource);
        @id("own.clear") forbid (principal in Role::"User", action == Action::"http:Snapshot", resource)
            when { !context.tls };
        @id("own.time") forbid (principal, action == Action::"tds:SetNTP", resource)
            when { context.networks.contains(Network::"time") };
    "#;
    policies(&house, "lesser", more);
    house.write(&with_policies(&text, "lesser"));
    let cuts = reloader.preview().unwrap().cuts;
    for told in [
        "client `vms-viewer` loses at camera `lobby`: http:Snapshot in clear, rtsp:PLAY",
        "client `vms-admin` loses at camera `lobby`: tds:SetNTP to a host in `time`",
    ] {
        assert!(cuts.iter().any(|it| it == told), "{told}\n{cuts:#?}");
    }
    house.write(&with_policies(&text, "less"));
    let mut open = Open::to(house.door(LOBBY));
    assert_eq!(open.ask(VIEWER, "media", &trt("GetProfiles")).unwrap().0, 200, "a preview changes nothing");
    reloader.reload(&SIGNAL, None).unwrap();
    let (status, body) = open.ask(VIEWER, "media", &trt("GetProfiles")).unwrap();
    assert!(status == 400 && body.contains("OperationProhibited"), "{status} {body}");
    assert_eq!(open.ask(ADMIN, "media", &trt("GetProfiles")).unwrap().0, 200);
    let records = house.records();
    let reload = events(&records, "reload")[0];
    assert_eq!(reload["detail"]["policies_after"], report.versions[1]);
    assert!(reload["detail"]["policies"]["added"].to_string().contains("90-more.cedar"), "{reload}");
    let intent = records.iter().find(|it| it["operation"] == "admin:Reload").unwrap();
    assert_eq!((&intent["who"]["kind"], &intent["who"]["name"]), (&"local".into(), &"signal".into()));
    assert_eq!(intent["policies"][0], "gateway.reload");
}

#[test]
fn an_end_of_observe_mode_and_another_table_of_vendors_are_taken_up_by_themselves() {
    let house = House::open();
    let text = house.configuration();
    let mut reloader = house.reloader();
    let mut reload = |text: &str| {
        house.write(text);
        reloader.reload(&BY, None).unwrap().changes
    };
    let observing = format!("{text}\n[policy]\nmode = \"observe\"\nobserve_until = \"2099-12-31\"\n");
    assert_eq!(reload(&observing), ["~ settings: observe_until"]);
    assert_eq!(reload(&observing), Vec::<String>::new(), "nothing has changed since");
    assert_eq!(reload(&observing.replace("2099", "2098")), ["~ settings: observe_until"]);
    assert_eq!(reload(&text), ["~ settings: observe_until"]);
    let makers = house.dir().join("makers");
    fs::create_dir(&makers).unwrap();
    let unclear = "{ is = 'uncertain', confidence = 'inferred', source = [] }";
    let table = format!(
        "[[vendor]]\nid = 'own'\nname = 'Own'\nseat = {{ is = ['GB'], confidence = 'confirmed', source = [] }}\n\
         uk_order = {unclear}\nus_889 = {unclear}\nus_fcc = {unclear}\n"
    );
    fs::write(makers.join("own.toml"), table).unwrap();
    let with_makers = format!("{text}\n[vendors]\ndir = \"makers\"\nshipped = true\n");
    assert_eq!(reload(&with_makers), ["~ settings: vendors"]);
    let records = house.records();
    let taken: Vec<_> =
        events(&records, "reload").iter().map(|it| it["detail"]["settings"]["changed"][0].clone()).collect();
    assert_eq!(taken, ["observe_until", "observe_until", "observe_until", "vendors"]);
}

#[test]
fn what_cannot_be_taken_up_changes_nothing_and_is_told_with_file_line_and_remedy() {
    let house = House::open();
    house.acquaint();
    let text = house.configuration();
    let taken = TcpListener::bind((house.door(LOBBY).ip(), 0)).unwrap();
    let (port, taken) = (house.door(LOBBY).port(), taken.local_addr().unwrap().port());
    policies(&house, "wrong", "permit (principal,\n  action == Nothing, resource);");
    let secret = "password = { env = \"camera-password-4\" }";
    let lists = |from: &str, to: &str| text.replacen(from, to, 1);
    let cases = [
        ("TOML", lists("[listener]", "[listener"), "[listener", "correct the TOML syntax"),
        ("a role", lists("\"Operator\"", "\"Boss\""), "`Boss` is no role", "write"),
        (
            "a secret",
            lists(secret, "password = { file = \"secrets/none\" }"),
            "cannot read the secret file",
            "create it with mode 0600",
        ),
        (
            "a port",
            lists(&format!("listen_port = {port}"), &format!("listen_port = {taken}")),
            "camera `lobby` cannot be served at",
            "stop what holds this one",
        ),
        ("a policy", with_policies(&text, "wrong"), "action == Nothing", "help"),
        (
            "the name",
            lists("name = \"house\"", "name = \"home\""),
            "name of [gateway] cannot change",
            "restart",
        ),
        ("the state", lists("\"state\"", "\"elsewhere\""), "state_dir of [gateway] cannot change", "restart"),
        ("threads", lists("threads = 2", "threads = 3"), "threads of [gateway] cannot change", "restart"),
        ("the log", lists("dir = \"audit\"", "dir = \"log\""), "dir of [audit] cannot change", "restart"),
        (
            "retention",
            lists("dir = \"audit\"", "dir = \"audit\"\nkeep_days = 3"),
            "keep_days or reserve_bytes of [audit] cannot change",
            "restart",
        ),
    ];
    let mut reloader = house.reloader();
    for (number, (what, wrong, told, remedy)) in cases.iter().enumerate() {
        // Anything else in it is not taken up either.
        house.write(&format!("{wrong}\n[[site]]\nname = \"more\"\nsensitive = false\n"));
        let mut open = Open::to(house.door(LOBBY));
        assert_eq!(open.ask(OPERATOR, "media", &trt("GetProfiles")).unwrap().0, 200, "{what}");
        let error = reloader.reload(&SIGNAL, None).unwrap_err().to_string();
        assert_eq!(open.ask(OPERATOR, "media", &trt("GetProfiles")).unwrap().0, 200, "{what}");
        let file = if *what == "a policy" { "90-more.cedar:2" } else { "cordon.toml:" };
        for part in [told, remedy, file] {
            assert!(error.contains(part), "{what}: {part}\n{error}");
        }
        for camera in [CAR_PARK, LOBBY] {
            let reply = client::ask(house.door(camera), "media", OPERATOR, &trt("GetProfiles"));
            assert_eq!(reply.status, 200, "{what}: {}", reply.text());
        }
        let records = house.records();
        let refused = events(&records, "reload-refused");
        assert_eq!(refused.len(), number + 1, "{what}");
        assert!(refused[number]["detail"]["reason"].as_str().unwrap().contains(told), "{what}: {refused:?}");
        assert!(events(&records, "reload").is_empty(), "{what}");
        let alarm = house.part("alarm reload-refused").unwrap_or_else(|| panic!("{what}: no alarm"));
        assert!(alarm.note.contains("cordon check") && alarm.ready, "{what}: {alarm:?}");
    }
    house.write(&text);
    assert_eq!(reloader.reload(&BY, None).unwrap().changes, Vec::<String>::new());
}

#[test]
fn a_camera_goes_when_it_has_answered_and_comes_back_elsewhere() {
    let house = House::with_valves();
    house.acquaint();
    let text = house.configuration();
    let mut reloader = house.reloader();
    let mut open = Open::to(house.door(LOBBY));
    house.valves[LOBBY].close();
    open.send(OPERATOR, "media", &trt("GetProfiles")).unwrap();
    house.valves[LOBBY].wait_held();
    // The client that is for this camera alone would name a camera that is not there.
    house.write(&without(&text, "lobby").replace("cameras = [\"lobby\"]\n", "cameras = [\"car-park\"]\n"));
    let report = reloader.preview().unwrap();
    let gone = format!("camera `lobby` vanishes: it is not reached at {} any more", house.door(LOBBY));
    assert!(report.cuts.contains(&gone), "{:#?}", report.cuts);
    reloader.reload(&BY, None).unwrap();
    assert!(TcpStream::connect(house.door(LOBBY)).is_err(), "nobody new comes in");
    house.valves[LOBBY].release();
    assert_eq!(open.receive().unwrap().0, 200, "what was under way is answered");
    assert_eq!(open.ask(OPERATOR, "media", &trt("GetProfiles")), None, "and the connection closed");
    let free = TcpListener::bind((house.door(LOBBY).ip(), 0)).unwrap().local_addr().unwrap();
    house.write(&text.replace(
        &format!("listen_port = {}", house.door(LOBBY).port()),
        &format!("listen_port = {}", free.port()),
    ));
    reloader.reload(&BY, None).unwrap();
    let reply = client::ask(free, "media", OPERATOR, &trt("GetProfiles"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    // The other camera was never asked who it is again.
    assert_eq!(house.operations(CAR_PARK), Vec::<String>::new());
    let reply = client::ask(house.door(CAR_PARK), "media", OPERATOR, &trt("GetProfiles"));
    assert_eq!(reply.status, 200);
    assert_eq!(house.operations(CAR_PARK), ["trt:GetProfiles"]);
    let records = house.records();
    let told: Vec<_> =
        events(&records, "reload").iter().map(|it| it["detail"]["cameras"].to_string()).collect();
    assert_eq!(told, ["{\"removed\":[\"lobby\"]}", "{\"added\":[\"lobby\"]}"]);
}

#[test]
fn two_cameras_change_places() {
    let house = House::open();
    house.acquaint();
    let text = house.configuration();
    let [one, other] = [CAR_PARK, LOBBY].map(|it| format!("listen_port = {}", house.door(it).port()));
    house.write(&text.replace(&one, "PLACE").replace(&other, &one).replace("PLACE", &other));
    house.reloader().reload(&BY, None).unwrap();
    for (door, camera) in [(CAR_PARK, LOBBY), (LOBBY, CAR_PARK)] {
        for camera in [CAR_PARK, LOBBY] {
            house.camera(camera).clear_log();
        }
        let reply = client::ask(house.door(door), "media", ADMIN, &trt("GetProfiles"));
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(house.operations(camera).last().unwrap(), "trt:GetProfiles");
        assert_eq!(house.operations(door), Vec::<String>::new(), "the one that was here before");
    }
}

#[test]
fn a_camera_is_reached_as_it_is_configured_now() {
    let house = House::open();
    house.acquaint();
    let ask = || client::ask(house.door(LOBBY), "media", OPERATOR, &trt("GetProfiles")).status;
    let address = |it: usize| format!("address = \"{}\"", house.camera(it).address());
    // Nobody is there.
    let moved = house.configuration().replace(&address(LOBBY), "address = \"127.0.2.99:9\"");
    let mut reloader = house.reloader();
    house.write(&moved);
    assert_eq!(reloader.reload(&BY, None).unwrap().changes, ["~ cameras: lobby (address)"]);
    assert_ne!(ask(), 200);
    house.write(&moved.replace("address = \"127.0.2.99:9\"", &address(LOBBY)));
    reloader.reload(&BY, None).unwrap();
    assert_eq!(ask(), 200);
    assert!(house.operations(LOBBY).iter().any(|it| it == "tds:GetServices"), "it may be another camera");
}

#[test]
fn alarms_about_a_camera_go_with_it() {
    let house = House::open();
    house.acquaint();
    let text = house.configuration();
    let at = format!("address = \"{}\"", house.camera(LOBBY).address());
    let mut reloader = house.reloader();
    // Nobody is there.
    house.write(&text.replace(&at, "address = \"127.0.2.99:9\""));
    reloader.reload(&BY, None).unwrap();
    assert_ne!(client::ask(house.door(LOBBY), "media", OPERATOR, &trt("GetProfiles")).status, 200);
    let is = |records: &[Value], what: &str| {
        let told = events(records, what);
        told.iter().any(|it| it["camera"] == "lobby" && it["detail"]["id"] == "camera-silent")
    };
    house.wait_for(|records| is(records, "alarm-raised"));
    house.write(&without(&text, "lobby").replace("cameras = [\"lobby\"]\n", "cameras = [\"car-park\"]\n"));
    reloader.reload(&BY, None).unwrap();
    assert!(is(&house.records(), "alarm-cleared"));
}

#[test]
fn a_configuration_on_trial_goes_unless_it_is_kept() {
    let clock = Arc::new(SimulatedClock::new("2026-11-25T12:00:00Z".parse().unwrap()));
    let house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    let text = house.configuration();
    let fewer = without(&text, "lobby").replace("cameras = [\"lobby\"]\n", "cameras = [\"car-park\"]\n");
    let is_open = || TcpStream::connect(house.door(LOBBY)).is_ok();
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let mut reloader = house.reloader();
    house.write(&fewer);
    reloader.reload(&BY, Some(minutes(10))).unwrap();
    assert!(!is_open());
    assert_eq!(
        reloader.reload(&BY, None).unwrap_err().to_string(),
        "another configuration is on trial: keep it, or wait until it is given up"
    );
    clock.advance(minutes(10) - Duration::from_secs(1));
    reloader.look();
    assert!(!is_open());
    clock.advance(Duration::from_secs(1));
    reloader.look();
    assert!(is_open(), "the one before is back");
    // What was refused for the trial is no trouble any more.
    let refusal = |records: &[Value], what: &str| {
        events(records, what).iter().filter(|it| it["detail"]["id"] == "reload-refused").count()
    };
    assert_eq!(refusal(&house.records(), "alarm-raised"), 1);
    clock.advance(ALARM_CALM);
    house.wait_for(|records| refusal(records, "alarm-cleared") == 1);
    // The files still say what was given up, and are not taken up for it.
    reloader.look();
    reloader.look();
    assert!(is_open());
    assert_eq!(reloader.keep(&BY).unwrap_err().to_string(), "no configuration is on trial");
    reloader.reload(&BY, Some(minutes(10))).unwrap();
    reloader.keep(&BY).unwrap();
    clock.advance(minutes(11));
    reloader.look();
    assert!(!is_open(), "what was kept stays");
    // Whoever keeps it too late finds the one before back, also where nobody has looked yet.
    house.write(&text);
    reloader.reload(&BY, Some(minutes(10))).unwrap();
    clock.advance(minutes(10));
    assert_eq!(reloader.keep(&BY).unwrap_err().to_string(), "no configuration is on trial");
    assert!(!is_open());
    let records = house.records();
    let of = |operation: &str| records.iter().filter(|it| it["operation"] == operation).count();
    assert_eq!([of("admin:Reload"), of("admin:RollBack"), of("admin:Keep")], [3, 2, 1]);
    assert_eq!(events(&records, "reload-rolled-back")[0]["detail"]["cameras"]["added"][0], "lobby");
}

/// The trial of policies that permit no reload ends all the same, by the rules before them.
#[test]
fn a_trial_that_locks_the_owner_out_ends() {
    let clock = Arc::new(SimulatedClock::new("2026-11-25T12:00:00Z".parse().unwrap()));
    let house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
    let text = house.configuration();
    policies(&house, "locked", "forbid(principal is Local, action, resource is Appliance);\n");
    let mut reloader = house.reloader();
    house.write(&with_policies(&text, "locked"));
    let report = reloader.reload(&BY, Some(Duration::from_secs(60))).unwrap();
    assert!(
        report.cuts.iter().any(|it| it.contains("permitted admin:Reload no longer")),
        "{:#?}",
        report.cuts
    );
    let refused = reloader.keep(&BY).unwrap_err().to_string();
    assert!(refused.starts_with("a policy forbids it: the policies need"), "{refused}");
    clock.advance(Duration::from_secs(60));
    reloader.look();
    house.write(&text);
    assert_eq!(reloader.reload(&BY, None).unwrap().changes, Vec::<String>::new(), "it is back");
}

#[test]
fn a_file_that_changes_is_taken_up_once_it_stands_still() {
    let house = House::open();
    let text = house.configuration();
    let mut reloader: Reloader = house.reloader();
    let reloads = || events(&house.records(), "reload").len();
    house.write(&format!("{text}\n[[site]]\nname = \"yard\"\nsensitive = false\n"));
    reloader.look();
    assert_eq!(reloads(), 0, "it may still be being written");
    reloader.look();
    assert_eq!(reloads(), 1);
    house.write("[gateway");
    reloader.look();
    reloader.look();
    reloader.look();
    let records = house.records();
    assert_eq!(events(&records, "reload-refused").len(), 1, "told once");
    assert_eq!(events(&records, "reload-refused")[0]["detail"]["by"], "files");
    house.write(&text.replace("state_dir = \"state\"", "state_dir = \"state\"\nwatch = false"));
    reloader.look();
    reloader.look();
    assert_eq!(reloads(), 2);
    house.write(&text);
    reloader.look();
    reloader.look();
    assert_eq!(reloads(), 2, "nobody watches any more");
    reloader.reload(&BY, None).unwrap();
    assert_eq!(reloads(), 3);
}

/// `cordon reload` with the configuration of a house.
fn cordon_reload(house: &House, options: &[&str]) -> Output {
    let config = house.dir().join("cordon.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
    command.args(["reload", "--config"]).arg(config).args(options).output().unwrap()
}

#[test]
fn the_program_reloads_by_signal_by_file_and_by_command() {
    let mut house = House::open();
    let text = house.configuration();
    house.stop();
    let quiet = text.replace("state_dir = \"state\"", "state_dir = \"state\"\nwatch = false");
    house.write(&quiet);
    let running = Running::start(house.dir());
    let site = |text: &str, name: &str| format!("{text}\n[[site]]\nname = \"{name}\"\nsensitive = false\n");
    let clock = SystemClock::new();
    let wait = |by: &str, what: &str| {
        let done = |it: &Value| it["detail"]["by"] == by && it["detail"].to_string().contains(what);
        while !events(&records_of(&house.audit_dir()), "reload").iter().any(|it| done(it)) {
            assert!(clock.monotonic() < Duration::from_secs(45), "no reload by {by}");
            breathe();
        }
    };
    house.write(&site(&quiet, "by-signal"));
    running.signal("HUP");
    wait("signal", "by-signal");
    house.write(&site(&text, "by-command"));
    let output = cordon_reload(&house, &["--dry-run"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success()
            && told.contains("+ sites: by-command")
            && told.contains("nothing has changed yet"),
        "{told}"
    );
    let output = cordon_reload(&house, &["--confirm", "10m"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("- sites: by-signal") && told.contains("given up in 600 s"), "{told}");
    let output = cordon_reload(&house, &["--keep"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "the configuration is kept\n");
    house.write("[gateway");
    let output = cordon_reload(&house, &[]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && told.contains("cordon.toml:1") && told.contains("nothing has changed"),
        "{told}"
    );
    house.write(&site(&text, "by-file"));
    wait("files", "by-file");
    let reply = client::ask(house.door(LOBBY), "media", OPERATOR, &trt("GetProfiles"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    running.stop();
    let output = cordon_reload(&house, &[]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("no gateway answers at"), "{told}");
}
