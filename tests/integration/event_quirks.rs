//! What real cameras do otherwise than they should where events, subscriptions and addresses are concerned, and what a VMS
//! has of them all the same: through the whole gateway, each by a simulated camera that does so.
//!
//! How cameras are found in spite of what they do is in `isolation::discovery`, what they get wrong in their messages in
//! `quirks`, and what each VMS needs in `vms`.
#![allow(clippy::print_stdout, reason = "the table is shown with --nocapture")]

use cordon::sim::Fault;

use crate::{
    client::{self, Reply, envelope, tds},
    events_up::{CREATE, Subscription, motion, still, wait, with_sink},
    house::{ADMIN, CAMERA_SIDE, CAR_PARK, House, LOBBY, crowd},
};

/// One thing a camera does, what it then must have heard, and what it must never hear.
struct Quirk {
    name: &'static str,
    set: &'static [(&'static str, &'static str)],
    heard: &'static [&'static str],
    never: &'static [&'static str],
}

const ADDRESS: &str = "reference.form";

const USUAL: Quirk = Quirk { name: "", set: &[], heard: &[], never: &[] };

const QUIRKS: [Quirk; 11] = [
    Quirk {
        name: "an empty address of the subscription",
        set: &[(ADDRESS, "<wsa:Address/>")],
        heard: &["tev:PullMessages"],
        ..USUAL
    },
    Quirk {
        name: "no host in it",
        set: &[(ADDRESS, "<wsa:Address>http:///onvif/own/%token%</wsa:Address>")],
        heard: &["<wsa:To>http:///onvif/own/subscriptions_1</wsa:To>"],
        ..USUAL
    },
    Quirk {
        name: "its port twice",
        set: &[(ADDRESS, "<wsa:Address>http://192.0.2.69:PORT:PORT/onvif/own/%token%</wsa:Address>")],
        heard: &[":PORT:PORT/onvif/own/subscriptions_1</wsa:To>"],
        ..USUAL
    },
    Quirk {
        name: "another port",
        set: &[(ADDRESS, "<wsa:Address>http://192.0.2.69:OTHER/onvif/own/%token%</wsa:Address>")],
        heard: &["<wsa:To>http://192.0.2.69:OTHER/onvif/own/subscriptions_1</wsa:To>"],
        ..USUAL
    },
    Quirk {
        name: "a name in place of an address",
        set: &[(ADDRESS, "<wsa:Address>urn:uuid:5-%token%</wsa:Address>")],
        heard: &["<wsa:To>urn:uuid:5-subscriptions_1</wsa:To>"],
        ..USUAL
    },
    Quirk {
        name: "parameters of its own",
        set: &[(
            ADDRESS,
            "<wsa:Address>http://192.0.2.69:PORT/onvif/services</wsa:Address><wsa:ReferenceParameters>\
             <v:Id xmlns:v=\"urn:maker\" v:of='7'>%token%</v:Id></wsa:ReferenceParameters>",
        )],
        heard: &["<v:Id xmlns:v=\"urn:maker\" v:of='7'>subscriptions_1</v:Id>"],
        ..USUAL
    },
    Quirk {
        name: "one place only, and no sense of lengths of time",
        set: &[("subscriptions.max", "1"), ("relative.time", "broken")],
        heard: &["<wsnt:TerminationTime>20"],
        ..USUAL
    },
    Quirk {
        name: "a length of its own, whatever is asked for",
        set: &[("lease.seconds", "15")],
        heard: &["tev:PullMessages"],
        ..USUAL
    },
    Quirk {
        name: "a time that is an hour ahead of its clock",
        set: &[("told.ahead", "3600")],
        heard: &["tev:PullMessages"],
        ..USUAL
    },
    Quirk {
        name: "an end in 1970",
        set: &[("termination.named", "1970-01-01T00:00:00Z")],
        heard: &["tev:PullMessages"],
        ..USUAL
    },
    Quirk {
        name: "pull points that crash it: it is to send",
        set: &[],
        heard: &["wsnt:Subscribe"],
        never: &[CREATE, "tev:PullMessages"],
    },
];

/// The last one sends, since its owner says so.
fn house() -> House {
    let mut house = House::with(crowd(QUIRKS.len()));
    let sink = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let last = format!("name = \"{}\"\n", house.plans()[QUIRKS.len() - 1].name);
    house.reconfigure(|text| {
        let zone = "name = \"restricted\"\nisolation = \"none\"\n";
        assert!(text.contains(zone) && text.contains(&last), "{text}");
        let text = text.replace(zone, &format!("{zone}event_sink = \"{sink}\"\n"));
        text.replace(&last, &format!("{last}events = \"push\"\n"))
    });
    house
}

#[test]
fn cameras_that_do_otherwise_than_they_should_are_heard_all_the_same() {
    let house = house();
    house.camera(QUIRKS.len() - 1).set_fault_of(CREATE, Some(Fault::Reset));
    println!("\n| subscriptions of a camera | its VMS has | messages to the camera |\n|---|---|---|");
    let mut wrong = Vec::new();
    for (number, quirk) in QUIRKS.iter().enumerate() {
        let camera = house.camera(number);
        let other = camera.listen_also().unwrap().port().to_string();
        let own = camera.address().port().to_string();
        let placed = |text: &str| text.replace("OTHER", &other).replace("PORT", &own);
        still(camera);
        for (name, value) in quirk.set {
            camera.set_variable(name, &placed(value));
        }
        camera.clear_log();
        // Two clients, of whom one has enough after a while: that is no affair of the camera's.
        let [one, two] = [(); 2].map(|()| Subscription::at(house.door(number)));
        for subscription in [&one, &two] {
            subscription.pull_until(|it| *it == motion("Initialized", false));
        }
        two.end();
        let news = one.sees(camera, true);
        let log = camera.log();
        let said = |it: &str| {
            let it = placed(it);
            log.iter().any(|request| request.body.contains(&it) || request.operation.as_deref() == Some(&it))
        };
        let heard = quirk.heard.iter().all(|it| said(it));
        let never = quirk.never.iter().chain(&["wsnt:Unsubscribe"]).any(|it| said(it));
        println!("| {} | {} | {} |", quirk.name, told(&news), log.len());
        if !heard || never || news != [motion("Changed", true)] || camera.subscriptions() != 1 {
            let told: Vec<_> =
                log.iter().map(|it| (it.operation.clone(), it.status, it.body.clone())).collect();
            wrong.push(format!("{}: {news:?} {}\n{told:#?}", quirk.name, camera.subscriptions()));
        }
    }
    println!("{} cases", QUIRKS.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), QUIRKS.len(), wrong.join("\n"));
}

fn told(news: &[crate::events_up::Told]) -> String {
    let told = news.iter().map(|(topic, operation, value)| format!("{topic} {operation} {value}"));
    told.collect::<Vec<_>>().join("; ")
}

/// What a camera does when it is asked, what a VMS asks, as whom, and the texts that it has then.
struct Manner {
    name: &'static str,
    does: &'static [(&'static str, Fault)],
    asked: &'static str,
    by_nobody: bool,
    holds: &'static [&'static str],
}

/// What many cameras refuse or lack the gateway answers itself, and no VMS takes that for a wrong password.
const MANNERS: [Manner; 6] = [
    Manner {
        name: "401 to what nobody has to log in for",
        does: &[("tds:GetSystemDateAndTime", Fault::Status(401))],
        asked: "GetSystemDateAndTime",
        by_nobody: true,
        holds: &["<tt:DateTimeType>NTP</tt:DateTimeType>"],
    },
    Manner {
        name: "500 to it",
        does: &[("tds:GetSystemDateAndTime", Fault::Status(500))],
        asked: "GetSystemDateAndTime",
        by_nobody: true,
        holds: &["<tt:DateTimeType>NTP</tt:DateTimeType>"],
    },
    Manner {
        name: "no network interfaces, but a web page",
        does: &[("tds:GetNetworkInterfaces", Fault::Html)],
        asked: "GetNetworkInterfaces",
        by_nobody: false,
        holds: &["<tt:HwAddress>", "<tt:Address>{host}</tt:Address>"],
    },
    Manner {
        name: "no DNS, but an empty body",
        does: &[("tds:GetDNS", Fault::EmptyBody)],
        asked: "GetDNS",
        by_nobody: false,
        holds: &["<tds:GetDNSResponse>"],
    },
    Manner {
        name: "its address on a network of its own",
        does: &[],
        asked: "GetServices",
        by_nobody: false,
        holds: &[
            "<tds:XAddr>http://{door}/onvif/media_service</tds:XAddr>",
            "<tds:XAddr>http://{door}/onvif/events_service",
        ],
    },
    Manner {
        name: "its address in its capabilities",
        does: &[],
        asked: "GetCapabilities",
        by_nobody: false,
        holds: &["<tt:XAddr>http://{door}/onvif/device_service</tt:XAddr>"],
    },
];

#[test]
fn what_cameras_refuse_or_lack_the_gateway_answers_itself() {
    let house = House::with(crowd(MANNERS.len()));
    println!("\n| a camera | its VMS asks | its VMS has |\n|---|---|---|");
    let mut wrong = Vec::new();
    for (number, manner) in MANNERS.iter().enumerate() {
        for (operation, fault) in manner.does {
            house.camera(number).set_fault_of(operation, Some(fault.clone()));
        }
        let door = house.door(number);
        let body = match manner.asked {
            "GetServices" => {
                client::tds_with("GetServices", "<x:IncludeCapability>false</x:IncludeCapability>")
            }
            asked => tds(asked),
        };
        // Whatever address it calls, the gateway names its own.
        let header = if manner.by_nobody { String::new() } else { client::Token::new(ADMIN).header() };
        let reply = asked_of(door, "192.0.2.69:8080", &envelope(&header, &body));
        let text = reply.text();
        let placed = |it: &&&str| {
            let host = door.ip().to_string();
            text.contains(&it.replace("{door}", &door.to_string()).replace("{host}", &host))
        };
        let own = CAMERA_SIDE.iter().chain(&["192.0.2.69"]).all(|it| !text.contains(it));
        println!("| {} | {} | {} |", manner.name, manner.asked, reply.status);
        if reply.status != 200 || !own || !manner.holds.iter().all(|it| placed(&it)) {
            wrong.push(format!("{}: {text}", manner.name));
        }
    }
    println!("{} cases", MANNERS.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Asks the device service under another host's name.
fn asked_of(door: std::net::SocketAddr, host: &str, body: &str) -> Reply {
    let bytes = client::request("POST", "/onvif/device_service", &[client::SOAP], body.as_bytes());
    let text = String::from_utf8(bytes).unwrap().replace("Host: camera\r\n", &format!("Host: {host}\r\n"));
    client::send(door, text.as_bytes())
}

/// Two cameras that say that they are one: a VMS that knows cameras by that would take the second for the first.
#[test]
fn cameras_with_one_number_and_one_hardware_address_are_two_to_a_vms() {
    let house = House::with(crowd(2));
    for camera in 0..2 {
        for (name, value) in [("serial.number", "0000000001"), ("mac.tail", "33:44:55")] {
            house.camera(camera).set_variable(name, value);
        }
    }
    println!("\n| two cameras say one | the first is | the second is |\n|---|---|---|");
    for (asked, told) in [
        ("GetDeviceInformation", "SerialNumber"),
        ("GetNetworkInterfaces", "HwAddress"),
        ("GetEndpointReference", "GUID"),
    ] {
        let [one, two] = [0, 1].map(|camera| {
            let reply = client::ask(house.door(camera), "device", ADMIN, &tds(asked));
            reply.element(told).unwrap_or_else(|| panic!("{}", reply.text()))
        });
        println!("| {told} | {one} | {two} |");
        assert!(one != two && !one.is_empty(), "{told}: {one} {two}");
        let again = client::ask(house.door(0), "device", ADMIN, &tds(asked));
        assert_eq!(again.element(told), Some(one), "it stays");
    }
    wait("both are served", || (0..2).all(|it| !house.operations(it).is_empty()));
}

/// What it learnt of a camera the gateway knows when it starts again, and does not try again what failed.
#[test]
fn what_was_learnt_of_a_camera_is_used_after_a_start() {
    let (mut house, _) = with_sink(|text| text);
    still(house.camera(CAR_PARK));
    house.camera(CAR_PARK).set_variable("relative.time", "broken");
    house.camera(LOBBY).set_variable("pull.points", "none");
    for start in 0..2 {
        for camera in [CAR_PARK, LOBBY] {
            house.camera(camera).clear_log();
            let subscription = Subscription::at(house.door(camera));
            subscription.pull_until(|it| *it == motion("Initialized", false));
        }
        let asked = |camera: usize, text: &str| {
            let log = house.camera(camera).log();
            log.iter().any(|it| it.operation.as_deref() == Some(CREATE) && it.body.contains(text))
        };
        assert_eq!(
            asked(CAR_PARK, "InitialTerminationTime>PT"),
            start == 0,
            "a length of time, start {start}"
        );
        assert_eq!(asked(LOBBY, ""), start == 0, "a pull point, start {start}");
        house.restart();
    }
}
