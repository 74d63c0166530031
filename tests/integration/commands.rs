//! Commands that are permitted: what the peer gets, what is on record, what the camera heard.

use std::net::TcpStream;

use serde_json::Value;

use cordon::{
    clock::{Clock, SystemClock},
    limits::{
        CAMERA_EXCHANGE_TIME_MAX, CAMERA_SILENCES_MAX, COMMANDS_OF_ONE_PER_CAMERA_MAX,
        COMMANDS_PER_CAMERA_MAX, COMMANDS_PER_SILENT_CAMERA_MAX,
    },
    sim::Fault,
};

use crate::{
    client::{self, Reply, Token, envelope, tds, tds_with, trt, trt_with, within},
    house::{ADMIN, CAMERA_SIDE, CAR_PARK, CLIENT_SIDE, House, LOBBY, OPERATOR, VIEWER},
};

const MEDIA2: &str = "http://www.onvif.org/ver20/media/wsdl";

/// No byte of a reply is of the cameras' side.
pub fn keeps_the_camera_side_in(name: &str, reply: &Reply) {
    let text = format!("{:?} {}", reply.headers, reply.text()).to_lowercase();
    for needle in CAMERA_SIDE {
        assert!(!text.contains(needle), "{name}: `{needle}` in {text}");
    }
}

#[test]
fn what_needs_no_credentials_is_answered_and_recorded() {
    let house = House::open();
    for operation in ["GetSystemDateAndTime", "GetHostname", "GetWsdlUrl", "GetEndpointReference"] {
        let reply = client::ask_anonymously(house.door(CAR_PARK), "device", &tds(operation));
        assert_eq!((reply.status, reply.fault().as_str()), (200, ""), "{operation}: {}", reply.text());
        assert!(reply.text().contains(&format!("{operation}Response>")), "{}", reply.text());
        let recorded = house.record(&reply);
        let intent = &recorded.intent;
        assert_eq!((&intent["who"]["kind"], &intent["decision"]), (&"anonymous".into(), &"permitted".into()));
        assert_eq!(
            (&intent["operation"], recorded.policies()),
            (&format!("tds:{operation}").into(), vec!["onvif.pre-auth"])
        );
        let outcome = recorded.outcome.unwrap();
        assert_eq!((&outcome["what"], &outcome["status"]), (&"answered".into(), &200.into()), "{outcome}");
        assert_eq!(outcome["note"], "answered by the gateway");
        assert_eq!(outcome["bytes"], reply.body.len());
        keeps_the_camera_side_in(operation, &reply);
    }
    assert_eq!(house.heard(), [], "the gateway answers these itself");
}

#[test]
fn a_trusted_camera_takes_a_time_server_of_a_named_network() {
    let house = House::open();
    house.acquaint();
    let inner = "<x:FromDHCP>false</x:FromDHCP><x:NTPManual><tt:Type>IPv4</tt:Type>\
                 <tt:IPv4Address>203.0.113.5</tt:IPv4Address></x:NTPManual>";
    let reply = client::ask(house.door(LOBBY), "device", ADMIN, &tds_with("SetNTP", inner));
    assert_eq!((reply.status, reply.fault().as_str()), (200, ""), "{}", reply.text());
    let recorded = house.record(&reply);
    let intent = &recorded.intent;
    assert_eq!((&intent["operation"], &intent["decision"]), (&"tds:SetNTP".into(), &"permitted".into()));
    assert_eq!(recorded.policies(), ["onvif.administrator"]);
    assert_eq!(intent["destinations"].as_array().map(Vec::len), Some(1), "{intent}");
    assert!(intent["destinations"][0].as_str().unwrap().contains("203.0.113.5"), "{intent}");
    let outcome = recorded.outcome.unwrap();
    assert_eq!((&outcome["what"], &outcome["note"]), (&"answered".into(), &"answered by the camera".into()));
    assert_eq!(house.operations(LOBBY), ["tds:SetNTP"]);
    let heard = &house.camera(LOBBY).log()[0];
    assert!(heard.body.contains("203.0.113.5") && heard.user.is_some(), "{}", heard.body);
    assert!(!heard.body.contains("vms-admin"), "the client's name ends at the gateway: {}", heard.body);
    assert_eq!(house.operations(CAR_PARK), [""; 0]);
}

#[test]
fn a_trusted_camera_is_not_told_to_take_its_servers_from_whoever_answers_dhcp() {
    let house = House::open();
    house.acquaint();
    for operation in ["SetNTP", "SetDNS"] {
        let body = tds_with(operation, "<x:FromDHCP>true</x:FromDHCP>");
        let reply = client::ask(house.door(LOBBY), "device", ADMIN, &body);
        assert_eq!(reply.fault(), "Sender/ter:OperationProhibited", "{operation}: {}", reply.text());
        let recorded = house.record(&reply);
        assert_eq!(recorded.policies(), ["appliance.named-networks"], "{operation}");
    }
    assert_eq!(house.heard(), []);
}

#[test]
fn addresses_in_answers_are_the_gateways() {
    let house = House::open();
    let stream = "<x:StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>RTSP</tt:Protocol></tt:Transport>\
                  </x:StreamSetup>";
    for (camera, profile) in [(CAR_PARK, "Profile_1"), (LOBBY, "profile_1_h264")] {
        let door = house.door(camera);
        let token = format!("<x:ProfileToken>{profile}</x:ProfileToken>");
        let http = format!("http://{door}/onvif/");
        let rtsp = format!("rtsp://{}/", house.streams());
        let questions = [
            (
                "device",
                tds_with("GetServices", "<x:IncludeCapability>true</x:IncludeCapability>"),
                "XAddr",
                &http,
            ),
            ("device", tds("GetCapabilities"), "XAddr", &http),
            ("device", tds_with("GetCapabilities", "<x:Category>Media</x:Category>"), "XAddr", &http),
            ("device", tds("GetWsdlUrl"), "WsdlUrl", &http),
            ("media", trt_with("GetStreamUri", &format!("{stream}{token}")), "Uri", &rtsp),
            ("media", trt_with("GetSnapshotUri", &token), "Uri", &http),
            (
                "media2",
                within(MEDIA2, "GetStreamUri", &format!("<x:Protocol>RTSP</x:Protocol>{token}")),
                "Uri",
                &rtsp,
            ),
            ("media2", within(MEDIA2, "GetSnapshotUri", &token), "Uri", &http),
        ];
        for (service, body, element, expected) in questions {
            let reply = client::ask(door, service, VIEWER, &body);
            assert_eq!((reply.status, reply.fault().as_str()), (200, ""), "{body}: {}", reply.text());
            let address = reply.element(element).unwrap_or_else(|| panic!("no {element}: {}", reply.text()));
            assert!(address.starts_with(expected.as_str()), "{body}: {address}");
            keeps_the_camera_side_in(&body, &reply);
            assert_eq!(house.record(&reply).outcome.unwrap()["what"], "answered");
        }
    }
}

#[test]
fn answers_about_the_network_name_nothing_of_the_cameras() {
    let house = House::open();
    house.acquaint();
    let reads = [
        "GetDeviceInformation",
        "GetNetworkInterfaces",
        "GetNetworkProtocols",
        "GetNetworkDefaultGateway",
        "GetDNS",
        "GetNTP",
        "GetHostname",
        "GetDynamicDNS",
        "GetZeroConfiguration",
        "GetScopes",
        "GetDiscoveryMode",
        "GetUsers",
        "GetSystemUris",
        "GetSystemSupportInformation",
        "GetIPAddressFilter",
        "GetStorageConfigurations",
    ];
    for camera in [CAR_PARK, LOBBY] {
        for operation in reads {
            let reply = client::ask(house.door(camera), "device", ADMIN, &tds(operation));
            keeps_the_camera_side_in(operation, &reply);
            assert!([200, 400, 500].contains(&reply.status), "{operation}: {}", reply.text());
        }
        for operation in [
            "GetProfiles",
            "GetVideoEncoderConfigurations",
            "GetMetadataConfigurations",
            "GetAudioEncoderConfigurations",
        ] {
            let reply = client::ask(house.door(camera), "media", ADMIN, &trt(operation));
            assert_eq!(reply.status, 200, "{operation}: {}", reply.text());
            keeps_the_camera_side_in(operation, &reply);
        }
    }
}

/// The text of a log is mandatory in its answer: with addresses in it, the answer is refused or the text goes.
#[test]
fn a_log_that_names_addresses_does_not_leak_them() {
    let house = House::open();
    house.acquaint();
    for camera in [CAR_PARK, LOBBY] {
        let body = tds_with("GetSystemLog", "<x:LogType>System</x:LogType>");
        let reply = client::ask(house.door(camera), "device", ADMIN, &body);
        keeps_the_camera_side_in("GetSystemLog", &reply);
        assert_eq!(house.operations(camera), ["tds:GetSystemLog"]);
        let outcome = house.record(&reply).outcome.unwrap();
        let said = format!("{}{}", outcome["deviations"], outcome["note"]);
        assert!(said.contains("address"), "the record says what was taken out: {outcome}");
        for needle in CAMERA_SIDE {
            assert!(!outcome.to_string().contains(needle), "{outcome}");
        }
    }
}

#[test]
fn a_picture_is_the_cameras_and_only_for_those_who_log_in() {
    let house = House::open();
    let place = |camera, profile: &str| {
        let body = trt_with("GetSnapshotUri", &format!("<x:ProfileToken>{profile}</x:ProfileToken>"));
        let reply = client::ask(house.door(camera), "media", VIEWER, &body);
        let address = reply.element("Uri").unwrap_or_else(|| panic!("{}", reply.text()));
        let (_, path) = address.split_once("/onvif/").unwrap();
        format!("/onvif/{path}")
    };
    let pictures = [(CAR_PARK, place(CAR_PARK, "Profile_1")), (LOBBY, place(LOBBY, "profile_1_h264"))];
    let picture = include_bytes!("../../src/sim/data/picture.jpg");
    for camera in [CAR_PARK, LOBBY] {
        house.camera(camera).clear_log();
    }
    let (_, of_car_park) = &pictures[0];
    let forged = format!("{}A", &of_car_park[..of_car_park.len() - 1]);
    let forged = if forged == *of_car_park { forged.replace('A', "B") } else { forged };
    let refused = [
        ("forged", CAR_PARK, forged),
        ("another camera's", LOBBY, of_car_park.clone()),
        ("none", CAR_PARK, "/onvif/snapshot/".to_owned()),
        ("one that climbs", CAR_PARK, "/onvif/snapshot/..%2f..%2fonvif".to_owned()),
        ("a camera's own path", CAR_PARK, "/onvif/snapshot/onvif-http/snapshot?Profile_1".to_owned()),
    ];
    for (name, camera, target) in refused {
        let reply = client::send(house.door(camera), &client::request("GET", &target, &[], b""));
        assert_eq!(reply.status, 404, "{name}: {}", reply.text());
        let intent = house.record(&reply).intent;
        let seen = (&intent["operation"], &intent["decision"], &intent["fault"]);
        assert_eq!(seen, (&"http:Snapshot".into(), &"denied".into(), &"404".into()), "{name}");
    }
    for (camera, target) in &pictures {
        let door = house.door(*camera);
        let nobody = client::send(door, &client::request("GET", target, &[], b""));
        assert_eq!(
            (nobody.status, nobody.header_values("www-authenticate").len()),
            (401, 2),
            "{}",
            nobody.text()
        );
        assert_eq!(house.record(&nobody).intent["decision"], "denied");
        assert_eq!(house.operations(*camera), [""; 0], "without a login the camera is not asked");
        let reply = client::send_with_digest(door, "GET", target, VIEWER, "SHA-256", "");
        assert_eq!(
            (reply.status, reply.header_values("content-type")),
            (200, vec!["image/jpeg"]),
            "{}",
            reply.text()
        );
        assert_eq!(reply.header_values("x-content-type-options"), ["nosniff"]);
        assert!(reply.body == picture, "{} bytes of {}", reply.body.len(), picture.len());
        let recorded = house.record(&reply);
        assert_eq!(
            (&recorded.intent["operation"], recorded.policies()),
            (&"http:Snapshot".into(), vec!["onvif.user"])
        );
        assert_eq!(recorded.outcome.unwrap()["bytes"], picture.len());
        keeps_the_camera_side_in("picture", &Reply { body: Vec::new(), ..reply });
    }
}

#[test]
fn who_asks_for_a_picture_within_a_second_is_given_the_same_one() {
    let house = House::open();
    let body = trt_with("GetSnapshotUri", "<x:ProfileToken>profile_1_h264</x:ProfileToken>");
    let reply = client::ask(house.door(LOBBY), "media", VIEWER, &body);
    let address = reply.element("Uri").unwrap_or_else(|| panic!("{}", reply.text()));
    let target = address.split_once("/onvif/").map(|(_, path)| format!("/onvif/{path}")).unwrap();
    // A busy machine may take longer than the second for two.
    for _ in 0..20 {
        house.camera(LOBBY).clear_log();
        let get = |user| client::send_with_digest(house.door(LOBBY), "GET", &target, user, "MD5", "");
        let (first, second) = (get(VIEWER), get(ADMIN));
        assert!(first.status == 200 && first.body == second.body, "{}", second.text());
        let records = [&first, &second].map(|it| house.record(it));
        for (record, (name, _)) in records.iter().zip([VIEWER, ADMIN]) {
            let who = (&record.intent["operation"], &record.intent["who"]["name"]);
            assert_eq!(who, (&"http:Snapshot".into(), &name.into()), "each is decided and on record");
        }
        let note = |at: usize| records[at].outcome.as_ref().unwrap()["note"].clone();
        if note(1) == "the picture that was given a moment ago" {
            let asked: std::collections::BTreeSet<_> = house.operations(LOBBY).into_iter().collect();
            assert!(asked.len() <= 1 && asked.iter().all(|it| it.starts_with("GET ")), "{asked:?}");
            return;
        }
    }
    panic!("no picture was given twice");
}

#[test]
fn roles_reach_as_far_as_onvif_lets_them() {
    let house = House::open();
    house.acquaint();
    let cases = [
        (VIEWER, "GetDeviceInformation", "onvif.user"),
        (OPERATOR, "GetDeviceInformation", "onvif.operator"),
        (ADMIN, "GetUsers", "onvif.administrator"),
    ];
    for (user, operation, policy) in cases {
        let reply = client::ask(house.door(LOBBY), "device", user, &tds(operation));
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(house.record(&reply).policies(), [policy]);
    }
    assert_eq!(house.camera(LOBBY).rejected_logins(), 0);
}

/// The command goes on when nobody waits for it any more, and its end is on record.
#[test]
fn a_client_that_hangs_up_does_not_stop_its_command() {
    let house = House::open();
    house.acquaint();
    let inner = "<x:FromDHCP>false</x:FromDHCP><x:NTPManual><tt:Type>IPv4</tt:Type>\
                 <tt:IPv4Address>203.0.113.5</tt:IPv4Address></x:NTPManual>";
    let message = envelope(&Token::new(ADMIN).header(), &tds_with("SetNTP", inner));
    let bytes = client::request("POST", "/onvif/device_service", &[client::SOAP], message.as_bytes());
    house.camera(LOBBY).set_fault_of("tds:SetNTP", Some(Fault::Hold));
    let stream = client::connect(house.door(LOBBY), &bytes);
    let source = stream.local_addr().unwrap();
    house.wait_heard(LOBBY, "tds:SetNTP");
    drop(stream);
    // The same thread serves this, after it was told of the end of the connection above.
    assert_eq!(client::ask_anonymously(house.door(LOBBY), "device", &tds("GetHostname")).status, 200);
    house.camera(LOBBY).set_fault_of("tds:SetNTP", None);
    let outcome = house.outcome(LOBBY, source);
    assert_eq!((&outcome["what"], &outcome["note"]), (&"answered".into(), &"answered by the camera".into()));
    assert_eq!(house.operations(LOBBY), ["tds:SetNTP"], "asked once");
}

/// Half a request is no command: nothing is asked, and the door stays open for others.
#[test]
fn a_client_that_hangs_up_within_its_request_asked_nothing() {
    let house = House::open();
    let message = envelope(&Token::new(ADMIN).header(), &tds("SystemReboot"));
    let bytes = client::request("POST", "/onvif/device_service", &[client::SOAP], message.as_bytes());
    drop(client::connect(house.door(LOBBY), &bytes[..bytes.len() - 10]));
    let records = house.records();
    assert!(!records.iter().any(|it| it["operation"] == "tds:SystemReboot"), "{records:?}");
    assert_eq!(house.heard(), []);
}

/// Status 500, `ter:Action`; on record permitted, failed, and why.
pub fn gave_up(house: &House, reply: &Reply, note: &str, name: &str) {
    assert_eq!(
        (reply.status, reply.fault().as_str()),
        (500, "Receiver/ter:Action"),
        "{name}: {}",
        reply.text()
    );
    keeps_the_camera_side_in(name, reply);
    let recorded = house.record(reply);
    assert_eq!(recorded.intent["decision"], "permitted", "{name}");
    let outcome = recorded.outcome.unwrap();
    let seen = (&outcome["what"], &outcome["status"], &outcome["fault"]);
    assert_eq!(
        seen,
        (&"failed".into(), &500.into(), &Value::from("Receiver/ter:Action")),
        "{name}: {outcome}"
    );
    assert!(outcome["note"].as_str().unwrap().contains(note), "{name}: {outcome}");
}

/// The first question to a camera, its introduction, is no reason to wait longer.
#[test]
fn a_camera_that_is_silent_from_the_start_costs_one_deadline() {
    let house = House::open();
    let clock = SystemClock::new();
    let faults = [(CAR_PARK, Fault::Trickle), (LOBBY, Fault::Hang)];
    let waiting = faults.map(|(camera, fault)| {
        house.camera(camera).set_fault(Some(fault));
        let message = envelope(&Token::new(VIEWER).header(), &trt("GetProfiles"));
        let bytes = client::request("POST", "/onvif/media_service", &[client::SOAP], message.as_bytes());
        client::connect(house.door(camera), &bytes)
    });
    for stream in waiting {
        gave_up(&house, &client::receive(stream), "did not answer in time", "silence");
    }
    let waited = clock.monotonic();
    assert!(waited < CAMERA_EXCHANGE_TIME_MAX * 3 / 2, "{waited:?}");
}

/// Otherwise many silent cameras would use up what a client may have under way.
#[test]
fn few_commands_wait_for_a_camera_that_keeps_silent() {
    let house = House::open();
    house.acquaint();
    house.camera(LOBBY).set_fault(Some(Fault::Hang));
    let ask = || {
        let message = envelope(&Token::new(VIEWER).header(), &trt("GetProfiles"));
        let bytes = client::request("POST", "/onvif/media_service", &[client::SOAP], message.as_bytes());
        client::connect(house.door(LOBBY), &bytes)
    };
    let waiting: Vec<_> = (0..CAMERA_SILENCES_MAX).map(|_| ask()).collect();
    for stream in waiting {
        gave_up(&house, &client::receive(stream), "did not answer in time", "silence");
    }
    house.camera(LOBBY).set_fault(Some(Fault::Hold));
    let waiting: Vec<_> = (0..COMMANDS_PER_SILENT_CAMERA_MAX).map(|_| ask()).collect();
    begun(&house, &waiting);
    let refused = client::receive(ask());
    assert_eq!(
        (refused.status, refused.fault().as_str()),
        (500, "Receiver/ter:Action"),
        "{}",
        refused.text()
    );
    let intent = house.record(&refused).intent;
    assert_eq!(intent["note"], "the camera does not answer, and others wait for it already", "{intent}");
    house.camera(LOBBY).set_fault(None);
    for stream in waiting {
        assert_eq!(client::receive(stream).status, 200);
    }
    // It answers again.
    let waiting: Vec<_> = (0..2 * COMMANDS_PER_SILENT_CAMERA_MAX).map(|_| ask()).collect();
    for stream in waiting {
        assert_eq!(client::receive(stream).status, 200);
    }
}

/// Waits until what was asked on these connections is on record.
fn begun(house: &House, waiting: &[TcpStream]) {
    let sources: Vec<_> = waiting.iter().map(|it| it.local_addr().unwrap().to_string()).collect();
    house.wait_for(|records| {
        let ours = |it: &&Value| it["type"] == "intent" && sources.iter().any(|one| it["source"] == *one);
        records.iter().filter(ours).count() == sources.len()
    });
}

/// Full means refuse; who is turned away is on record too.
#[test]
fn too_many_commands_at_once_are_turned_away_and_recorded() {
    let house = House::open();
    house.acquaint();
    house.camera(LOBBY).set_fault(Some(Fault::Hold));
    let ask = |user: client::User, from: &str| {
        let message = envelope(&Token::new(user).header(), &tds("GetDeviceInformation"));
        let bytes = client::request("POST", "/onvif/device_service", &[client::SOAP], message.as_bytes());
        client::connect_from(from, house.door(LOBBY), &bytes)
    };
    let turned_away = |stream: TcpStream, note: &str| {
        let reply = client::receive(stream);
        assert_eq!((reply.status, &*reply.fault()), (500, "Receiver/ter:Action"), "{}", reply.text());
        let intent = house.record(&reply).intent;
        let seen = (&intent["operation"], &intent["decision"], &intent["fault"]);
        assert_eq!(seen, (&"tds:GetDeviceInformation".into(), &"denied".into(), &reply.fault().into()));
        assert!(intent["note"].as_str().unwrap().contains(note), "{intent}");
    };
    let mut waiting: Vec<_> = (0..COMMANDS_OF_ONE_PER_CAMERA_MAX).map(|_| ask(VIEWER, "127.0.0.1")).collect();
    begun(&house, &waiting);
    turned_away(ask(VIEWER, "127.0.0.2"), "the client has as many commands for this camera");
    let left = COMMANDS_PER_CAMERA_MAX - COMMANDS_OF_ONE_PER_CAMERA_MAX;
    waiting.extend((0..left).map(|_| ask(ADMIN, "127.0.0.1")));
    begun(&house, &waiting);
    // What stops a movement has places of its own.
    let stop = within("http://www.onvif.org/ver20/ptz/wsdl", "Stop", "<x:ProfileToken>any</x:ProfileToken>");
    let stop = envelope(&Token::new(OPERATOR).header(), &stop);
    let stop = client::request("POST", "/onvif/ptz_service", &[client::SOAP], stop.as_bytes());
    let stopping = client::connect_from("127.0.0.2", house.door(LOBBY), &stop);
    begun(&house, std::slice::from_ref(&stopping));
    let intent = house.records().into_iter().rev().find(|it| it["operation"] == "tptz:Stop").unwrap();
    assert_eq!(intent["decision"], "permitted", "{intent}");
    // From another machine: one alone may not have as many connections.
    turned_away(ask(ADMIN, "127.0.0.2"), "too many commands for this camera");
    house.camera(LOBBY).set_fault(None);
    for stream in waiting {
        assert_eq!(client::receive(stream).status, 200, "those that had a place are answered");
    }
}

/// A camera that takes no password is not asked to lock the account.
#[test]
fn a_refused_login_is_tried_three_times_at_most() {
    for camera in [CAR_PARK, LOBBY] {
        let house = House::open();
        house.camera(camera).set_fault(Some(Fault::BadPassword));
        let mut refusals = Vec::new();
        for _ in 0..8 {
            let reply = client::ask(house.door(camera), "media", VIEWER, &trt("GetProfiles"));
            refusals.push(reply.fault());
            gave_up(&house, &reply, "refused the gateway's login", "BadPassword");
        }
        assert!(house.camera(camera).rejected_logins() <= 3, "{}", house.camera(camera).rejected_logins());
        let heard = house.operations(camera).len();
        let reply = client::ask(house.door(camera), "media", VIEWER, &trt("GetProfiles"));
        gave_up(&house, &reply, "it is tried again in", "breaker");
        assert_eq!(house.operations(camera).len(), heard, "with the breaker open nothing is sent");
        assert!(
            !refusals.iter().any(|it| it.contains("NotAuthorized")),
            "the client's own login is right: {refusals:?}"
        );
    }
}

/// What a camera may have done already is not asked of it twice; a read is, once, on a new connection.
#[test]
fn a_command_that_may_have_acted_is_not_asked_twice() {
    let house = House::open();
    house.acquaint();
    house.camera(LOBBY).set_fault(Some(Fault::Reset));
    let reply = client::ask(house.door(LOBBY), "device", ADMIN, &tds("SystemReboot"));
    gave_up(&house, &reply, "cut the connection", "SystemReboot");
    assert_eq!(house.operations(LOBBY), ["tds:SystemReboot"], "asked once");
    house.camera(LOBBY).clear_log();
    let reply = client::ask(house.door(LOBBY), "device", ADMIN, &tds("GetDeviceInformation"));
    gave_up(&house, &reply, "cut the connection", "GetDeviceInformation");
    assert!(house.operations(LOBBY).len() <= 2, "{:?}", house.operations(LOBBY));
}

/// The camera's own fault is the answer, with its codes; what it says of itself is not passed on.
#[test]
fn a_cameras_fault_is_an_answer() {
    let house = House::open();
    house.acquaint();
    for camera in [CAR_PARK, LOBBY] {
        let body = trt_with("GetProfile", "<x:ProfileToken>no-such-profile</x:ProfileToken>");
        let reply = client::ask(house.door(camera), "media", VIEWER, &body);
        assert_eq!(
            (reply.status, reply.fault().as_str()),
            (400, "Sender/ter:InvalidArgVal/ter:NoProfile"),
            "{}",
            reply.text()
        );
        keeps_the_camera_side_in("fault", &reply);
        let outcome = house.record(&reply).outcome.unwrap();
        assert_eq!(
            (&outcome["what"], &outcome["fault"]),
            (&"answered".into(), &reply.fault().into()),
            "{outcome}"
        );
        assert_eq!(house.operations(camera), ["trt:GetProfile"]);
    }
}

/// Messages to cameras are written anew: nothing of the client's comes along.
#[test]
fn nothing_of_the_client_reaches_the_camera() {
    let house = House::open();
    let marked = [
        "User-Agent: marked-agent",
        "X-Forwarded-For: marked-peer",
        "Cookie: marked=1",
        "Referer: http://marked.example/",
    ];
    let blocks = "<a:MessageID>urn:marked:1</a:MessageID><a:From><a:Address>http://marked.example/</a:Address></a:From>\
                  <z:Trace xmlns:z=\"urn:marked\">marked</z:Trace>";
    for camera in [CAR_PARK, LOBBY] {
        for (service, body) in [
            ("device", tds("GetDeviceInformation")),
            ("media", format!("<!-- marked -->{}", trt("GetProfiles"))),
            ("device", tds_with("GetServices", "<x:IncludeCapability>true</x:IncludeCapability>")),
        ] {
            let message = envelope(&format!("{blocks}{}", Token::new(ADMIN).header()), &body);
            let reply = client::post(house.door(camera), service, &marked, &message);
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        let door = house.door(camera);
        let heard = house.camera(camera).log();
        assert!(heard.len() >= 3, "{heard:?}");
        for message in heard {
            let text = format!("{} {:?} {}", message.target, message.headers, message.body);
            assert!(!text.contains("marked") && !text.contains(&door.port().to_string()), "{text}");
            for needle in CLIENT_SIDE {
                assert!(!text.contains(needle), "`{needle}` in {text}");
            }
        }
    }
}

/// A VMS keeps the address of a picture; it works after a restart too.
#[test]
fn a_locator_outlives_a_restart() {
    let mut house = House::open();
    let body = trt_with("GetSnapshotUri", "<x:ProfileToken>profile_1_h264</x:ProfileToken>");
    let uri = |house: &House| {
        let reply = client::ask(house.door(LOBBY), "media", VIEWER, &body);
        reply.element("Uri").unwrap_or_else(|| panic!("{}", reply.text()))
    };
    let before = uri(&house);
    house.restart();
    let target = before.split_once("/onvif/").map(|(_, path)| format!("/onvif/{path}")).unwrap();
    let reply = client::send_with_digest(house.door(LOBBY), "GET", &target, VIEWER, "MD5", "");
    assert_eq!(
        (reply.status, reply.header_values("content-type")),
        (200, vec!["image/jpeg"]),
        "{}",
        reply.text()
    );
    assert_eq!(uri(&house), before, "asked again it is the same");
}

#[test]
fn the_same_answer_twice_is_the_same_reply_twice_and_the_camera_is_asked_each_time() {
    let house = House::open();
    house.acquaint();
    let ask = || client::ask(house.door(CAR_PARK), "media", VIEWER, &trt("GetProfiles"));
    let replies = [ask(), ask(), ask()];
    let outcomes = replies.each_ref().map(|reply| {
        assert_eq!(reply.status, 200, "{}", reply.text());
        keeps_the_camera_side_in("GetProfiles", reply);
        let outcome = house.record(reply).outcome.unwrap();
        (
            outcome["what"].clone(),
            outcome["note"].clone(),
            outcome["bytes"].clone(),
            outcome["deviations"].clone(),
        )
    });
    assert_eq!([&replies[1].body, &replies[2].body], [&replies[0].body; 2]);
    assert_eq!(outcomes[1..], [outcomes[0].clone(), outcomes[0].clone()]);
    assert_eq!(house.operations(CAR_PARK).iter().filter(|it| it.ends_with("GetProfiles")).count(), 3);
    // A client that addresses its message gets the same body behind a header that relates to it.
    let header = "<a:MessageID xmlns:a=\"http://www.w3.org/2005/08/addressing\">urn:uuid:1</a:MessageID>";
    let body = envelope(&format!("{}{header}", Token::new(VIEWER).header()), &trt("GetProfiles"));
    let addressed = client::post(house.door(CAR_PARK), "media", &[], &body);
    assert_eq!(addressed.status, 200, "{}", addressed.text());
    let inside = |reply: &Reply| reply.text().split_once("<env:Body>").unwrap().1.to_owned();
    assert_eq!(inside(&addressed), inside(&replies[0]));
    assert!(addressed.text().contains("RelatesTo>urn:uuid:1</"), "{}", addressed.text());
}
