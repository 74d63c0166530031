//! The table of misbehaving cameras: what the peer hears, what is on record, and that the neighbour answers
//! meanwhile.
#![allow(clippy::print_stdout, reason = "the table is shown with --nocapture")]

use std::net::TcpStream;

use cordon::sim::Fault;

use crate::{
    client::{self, Reply, Token, envelope, tds, trt},
    commands::{gave_up, keeps_the_camera_side_in},
    house::{CAR_PARK, House, LOBBY, VIEWER},
};

const FAULTY: &str = "tds:GetDeviceInformation";

/// What the record says of a fault; nothing where the peer gets the answer nevertheless.
fn told(fault: &Fault) -> &'static str {
    match fault {
        Fault::Hang | Fault::Hold | Fault::Trickle => "did not answer in time",
        // The right answer is taken, and what comes behind it is not waited for.
        Fault::Slow(_) | Fault::Flood => "",
        Fault::Huge | Fault::Oversize => "is larger than",
        Fault::Reset => "cut the connection before it had answered",
        Fault::Garbage => "not valid HTTP",
        Fault::Status(_) => "HTTP status 503",
        Fault::Length(0..) => "cut the connection",
        Fault::Length(_) => "cannot be understood",
        Fault::Html => "is not SOAP (HTTP status 200)",
        Fault::EmptyBody => "is empty",
        Fault::WrongOperation => "answered something else",
        Fault::BadPassword => "refused the gateway's login",
        Fault::Say(_) => "whatever a test says",
    }
}

fn begin(house: &House, camera: usize, service: &str, body: &str) -> TcpStream {
    let message = envelope(&Token::new(VIEWER).header(), body);
    let target = format!("/onvif/{service}_service");
    let bytes = client::request("POST", &target, &[client::SOAP], message.as_bytes());
    client::connect(house.door(camera), &bytes)
}

/// Checks the reply, and shows it.
fn check(house: &House, name: &str, fault: &Fault, reply: &Reply) {
    let note = told(fault);
    if note.is_empty() {
        assert_eq!((reply.status, reply.fault().as_str()), (200, ""), "{name}: {}", reply.text());
        assert_eq!(house.record(reply).outcome.unwrap()["what"], "answered", "{name}");
        keeps_the_camera_side_in(name, reply);
    } else {
        gave_up(house, reply, note, name);
    }
    let outcome = house.record(reply).outcome.unwrap();
    println!("| {name} | {} {} | {}: {} |", reply.status, reply.fault(), outcome["what"], outcome["note"]);
}

/// One named fault after the other, on a camera of either kind. Those that take as long as an exchange may are in
/// the next test, all at once.
#[test]
fn a_camera_that_misbehaves_is_told_on_and_its_neighbour_answers() {
    let house = House::open();
    house.acquaint();
    let named = Fault::NAMED.into_iter().chain([("oversize", Fault::Oversize)]);
    for (name, fault) in
        named.filter(|(_, fault)| !matches!(fault, Fault::Hang | Fault::Trickle | Fault::BadPassword))
    {
        for (camera, neighbour) in [(CAR_PARK, LOBBY), (LOBBY, CAR_PARK)] {
            house.camera(camera).set_fault_of(FAULTY, Some(fault.clone()));
            let asked = begin(&house, camera, "device", &tds("GetDeviceInformation"));
            house.wait_heard(camera, FAULTY);
            let other = client::ask(house.door(neighbour), "device", VIEWER, &tds("GetDeviceInformation"));
            assert_eq!(other.status, 200, "{name}: the neighbour: {}", other.text());
            let same = client::ask(house.door(camera), "media", VIEWER, &trt("GetProfiles"));
            assert_eq!(same.status, 200, "{name}: another operation: {}", same.text());
            check(&house, name, &fault, &client::receive(asked));
            house.camera(camera).set_fault_of(FAULTY, None);
            let after = client::ask(house.door(camera), "device", VIEWER, &tds("GetDeviceInformation"));
            assert_eq!(after.status, 200, "after {name}: {}", after.text());
            house.camera(camera).clear_log();
            house.camera(neighbour).clear_log();
        }
    }
}

/// Takes as long as an exchange with a camera may take.
#[test]
fn a_camera_that_hangs_costs_its_own_command_only() {
    let house = House::open();
    house.acquaint();
    let information = (FAULTY, "device", tds("GetDeviceInformation"));
    let sources = ("trt:GetVideoSources", "media", trt("GetVideoSources"));
    let faults = [
        (LOBBY, "hang", Fault::Hang, &information),
        (LOBBY, "trickle", Fault::Trickle, &sources),
        (CAR_PARK, "hang", Fault::Hang, &sources),
    ];
    let waiting: Vec<_> = faults
        .into_iter()
        .map(|(camera, name, fault, (operation, service, body))| {
            house.camera(camera).set_fault_of(operation, Some(fault.clone()));
            let asked = begin(&house, camera, service, body);
            house.wait_heard(camera, operation);
            (name, fault, asked)
        })
        .collect();
    for camera in [CAR_PARK, LOBBY] {
        let other = client::ask(house.door(camera), "media", VIEWER, &trt("GetProfiles"));
        assert_eq!(other.status, 200, "what does not hang is served meanwhile: {}", other.text());
        let own = client::ask(house.door(camera), "device", VIEWER, &tds("GetNTP"));
        assert_eq!(own.status, 200, "the gateway's own answers too: {}", own.text());
    }
    for (name, fault, asked) in waiting {
        check(&house, name, &fault, &client::receive(asked));
    }
}
