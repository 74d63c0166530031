//! The end of a gateway: what is under way is answered and on record, and nobody new is let in meanwhile.

use std::{fs, net::TcpStream, thread};

use cordon::{
    audit,
    sim::{Fault, RunningCamera},
};
use serde_json::Value;

use crate::{
    client::{self, tds_with},
    house::{ADMIN, House, LOBBY, records_of},
    process::{Running, SAID},
    watch::wait_until,
};

/// Has a camera answer again, also where a test fails in between.
struct Held<'a>(&'a RunningCamera);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.set_fault_of("tds:SetHostname", None);
    }
}

#[test]
fn a_command_under_way_is_answered_and_on_record_before_the_gateway_ends() {
    let mut house = House::open();
    house.stop();
    let running = Running::start_with(house.dir(), &["--log-json"]);
    house.acquaint();
    let (door, camera) = (house.door(LOBBY), house.camera(LOBBY));
    camera.set_fault_of("tds:SetHostname", Some(Fault::Hold));
    let reply = thread::scope(|scope| {
        let held = Held(camera);
        let body = tds_with("SetHostname", "<x:Name>the-last-one</x:Name>");
        let asking = scope.spawn(move || client::ask(door, "device", ADMIN, &body));
        house.wait_heard(LOBBY, "tds:SetHostname");
        running.signal("TERM");
        wait_until("nobody new is let in", || TcpStream::connect(door).is_err());
        assert!(!asking.is_finished(), "the camera has not answered");
        drop(held);
        asking.join().unwrap()
    });
    assert_eq!(reply.status, 200, "{}", reply.text());
    running.stop();
    // All that it said is JSON, a line each.
    let said = fs::read_to_string(house.dir().join(SAID)).unwrap();
    let said: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let whole = |it: &Value| {
        ["timestamp", "level"].iter().all(|key| it[key].is_string()) && it["fields"]["message"].is_string()
    };
    assert!(said.len() > 2 && said.iter().all(whole), "{said:#?}");
    let records = records_of(&house.audit_dir());
    let source = reply.source.to_string();
    let intent = records.iter().find(|it| it["type"] == "intent" && it["source"] == *source).unwrap();
    let outcome = records.iter().find(|it| it["type"] == "outcome" && it["intent"] == intent["seq"]);
    assert_eq!(outcome.map(|it| &it["what"]), Some(&"answered".into()), "{intent}");
    let verified = audit::verify(&house.audit_dir(), None, None).unwrap();
    assert_eq!((verified.unanswered, verified.signed), (0, verified.lines), "and all of it is signed");
}
