//! `kill -9` under load: the gateway is a process of its own, the cameras live on and remember what they heard.
//!
//! `CORDON_CRASHES=200` for how often, `CORDON_CRASH_SEED=N` for the moments of an earlier run.
#![allow(clippy::print_stdout, reason = "what was found is shown with --nocapture")]

use std::{
    collections::HashSet,
    env,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use cordon::{
    audit,
    clock::{Clock, Entropy, SystemClock, SystemEntropy},
};

use crate::{
    client::{self, Reply, SOAP, Token, envelope, request, tds, tds_with},
    house::{ADMIN, House, LOBBY, records_of},
    process::Running,
};

/// Sends a command that can be told from all others, or a file, and does not mind if the gateway dies meanwhile.
fn command(door: SocketAddr, place: &str, number: u64) -> Option<()> {
    let mark = format!("crash-{number}-end");
    if number.is_multiple_of(FILES_EACH) {
        let file = |field: &str| request("POST", place, &[BINARY, field], mark.repeat(FILE_MARKS).as_bytes());
        let first = exchange(door, &request("POST", place, &[BINARY], b""))?;
        let challenge = first.header_values("www-authenticate").first().copied()?.to_owned();
        exchange(door, &file(&client::authorization(&challenge, "POST", place, ADMIN)))?;
    } else {
        let body = tds_with("SetHostname", &format!("<x:Name>{mark}</x:Name>"));
        let body = envelope(&Token::new(ADMIN).header(), &body);
        exchange(door, &request("POST", "/onvif/device_service", &[SOAP], body.as_bytes()))?;
    }
    Some(())
}

const BINARY: &str = "Content-Type: application/octet-stream";
/// One of so many is a file.
const FILES_EACH: u64 = 7;
/// How often its mark stands in a file: so long that it goes in several pieces.
const FILE_MARKS: usize = 10_000;

fn exchange(door: SocketAddr, bytes: &[u8]) -> Option<Reply> {
    let mut stream = TcpStream::connect(door).ok()?;
    stream.write_all(bytes).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let whole = answer.starts_with(b"HTTP/1.1 ") && answer.windows(4).any(|it| it == b"\r\n\r\n");
    whole.then(|| client::parse(stream.local_addr().unwrap(), door, &answer))
}

/// Where the lobby camera takes firmware.
fn place(house: &House) -> String {
    let reply = client::ask(house.door(LOBBY), "device", ADMIN, &tds("StartFirmwareUpgrade"));
    let uri = reply.element("UploadUri").unwrap_or_else(|| panic!("{}", reply.text()));
    uri.strip_prefix(&format!("http://{}", house.door(LOBBY))).unwrap().to_owned()
}

/// What tells commands from all others in a text: marks, and the hashes of files with more in them than nothing.
fn marks(text: &str) -> impl Iterator<Item = String> {
    let numbers = text.split("crash-").skip(1).filter_map(|rest| Some(rest.split_once("-end")?.0.to_owned()));
    let hashes = text.split("sha256").skip(1).map(|rest| {
        rest.chars().skip_while(|it| !it.is_ascii_hexdigit()).take_while(char::is_ascii_hexdigit).collect()
    });
    numbers.chain(hashes.filter(|it: &String| it.len() == 64 && *it != NOTHING))
}

/// The SHA-256 of nothing, which is what a request for a challenge brings.
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn a_gateway_killed_under_load_sent_nothing_that_is_not_on_record() {
    let crashes: u64 = env::var("CORDON_CRASHES").map_or(5, |count| count.parse().unwrap());
    let mut seed = [0; 8];
    SystemEntropy.fill(&mut seed).unwrap();
    let seed = env::var("CORDON_CRASH_SEED").map_or(u64::from_le_bytes(seed) >> 1, |it| it.parse().unwrap());
    println!("CORDON_CRASHES={crashes} CORDON_CRASH_SEED={seed}");
    let clock = SystemClock::new();
    let mut house = House::open();
    house.acquaint();
    let place = place(&house);
    house.stop();
    let door = house.door(LOBBY);
    let number = AtomicU64::new(0);
    let mut random = seed;
    let mut draw = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for _ in 0..crashes {
        let running = Running::start(house.dir());
        let (until, moment) = (number.load(Ordering::Relaxed) + 5 + draw(60), draw(20_000));
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        command(door, &place, number.fetch_add(1, Ordering::Relaxed));
                    }
                });
            }
            while number.load(Ordering::Relaxed) < until {
                thread::yield_now();
            }
            // Not to wait for anything: somewhere within the commands under way.
            thread::sleep(Duration::from_micros(moment));
            drop(running);
            over.store(true, Ordering::Relaxed);
        });
        let recorded = permitted(&house);
        for heard in house.camera(LOBBY).log() {
            for mark in marks(&heard.body) {
                assert!(recorded.contains(&mark), "seed {seed}: {mark} was heard and is not on record");
            }
        }
        // What a crash leaves is repaired by the next start.
        Running::start(house.dir()).stop();
        audit::verify(&house.audit_dir(), None, None).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    let heard: HashSet<_> =
        house.camera(LOBBY).log().iter().flat_map(|it| marks(&it.body).collect::<Vec<_>>()).collect();
    assert!(!heard.is_empty(), "the cameras heard nothing: nothing was tried");
    let files = heard.iter().filter(|it| it.len() == 64).count();
    assert!(files > 0, "the cameras got no file");
    let took = clock.monotonic();
    let bound = |n: usize| 300.0 / n as f64;
    let (commands, rounds) = (heard.len(), usize::try_from(crashes).unwrap());
    println!(
        "commands heard without a record: 0 of n = {commands}, {files} of them files, in {took:?}, 95 % bound {:.2} %",
        bound(commands)
    );
    println!("logs that do not verify: 0 of n = {rounds} in {took:?}, 95 % bound {:.2} %", bound(rounds));
}

/// The marks of all commands whose permitted intent is on record.
fn permitted(house: &House) -> HashSet<String> {
    let records = records_of(&house.audit_dir());
    let intents = records.iter().filter(|it| it["type"] == "intent" && it["decision"] == "permitted");
    intents.flat_map(|it| marks(&it["arguments"].to_string()).collect::<Vec<_>>()).collect()
}
