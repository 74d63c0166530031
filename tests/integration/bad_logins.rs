//! Rows of the table of bad input about credentials and locators: used again, made up, of another place, of
//! somebody else, too many.
#![allow(clippy::print_stdout, reason = "the table is shown with --nocapture")]

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use cordon::{
    audit::{Intent, Kind, Log, Options, Who},
    clock::{Clock, SimulatedClock, SystemClock, SystemEntropy},
    limits::{AUDIT_QUEUE_RECORDS_MAX, DIGEST_NONCE_LIFE, FILE_LOCATOR_LIFE, WSSE_NONCES_PER_BUCKET_MAX},
};
use digest_auth::{AuthContext, HttpMethod, WwwAuthenticateHeader};
use jiff::SignedDuration;
use serde_json::Value;
use tokio::task::{JoinSet, LocalSet};

use crate::{
    bad_input::{Bench, Case, NOT_AUTHORIZED, TARGET, case, head, posted, row},
    client::{self, Reply, SOAP, Token, User, envelope, tds},
    house::{ADMIN, CAR_PARK, House, LOBBY, OPERATOR, VIEWER},
    watch::on_record,
};

const ARGS: &str = "Sender/ter:InvalidArgs";

/// Headers with more than one login, and logins that were used before.
pub fn tokens(bench: &Bench) -> Vec<Case> {
    let ntp = tds("GetNTP");
    let token = || Token::new(ADMIN).header();
    let inside = |header: &str| {
        let (_, rest) = header.split_once("<w:UsernameToken>").unwrap();
        format!("<w:UsernameToken>{}", rest.split_once("</w:Security>").unwrap().0)
    };
    let two_tokens = token().replace("</w:Security>", &format!("{}</w:Security>", inside(&token())));
    let of_others = format!("{}{}", token(), Token::new(OPERATOR).header());
    let refused = |name: &str, header: &str, note| {
        case(name, posted(envelope(header, &ntp).as_bytes()), (400, ARGS), (ARGS, note))
    };
    let used = posted(envelope(&token(), &ntp).as_bytes());
    let first = client::send(bench.house.door(CAR_PARK), &used);
    assert_eq!(first.status, 200, "{}", first.text());
    let unauthorized = (400, NOT_AUTHORIZED);
    vec![
        refused("two Security headers of two clients", &of_others, "two wsse:Security headers"),
        refused("two tokens in one header", &two_tokens, "two wsse:UsernameToken"),
        case("a token used again", used, unauthorized, (NOT_AUTHORIZED, "the nonce was used before")),
        // The body says what is asked; an endpoint is no permission.
        case(
            "an operation at another service's endpoint",
            client::request("POST", "/onvif/media_service", &[SOAP], envelope(&token(), &ntp).as_bytes()),
            (200, ""),
            ("", ""),
        ),
        case(
            "another service's operation, without a login",
            posted(envelope("", &client::trt("GetProfiles")).as_bytes()),
            (401, NOT_AUTHORIZED),
            (NOT_AUTHORIZED, ""),
        ),
    ]
}

/// A fresh MD5 challenge.
fn challenge(door: SocketAddr) -> WwwAuthenticateHeader {
    let reply = client::send(
        door,
        &client::request("POST", TARGET, &[SOAP], envelope("", &tds("GetNTP")).as_bytes()),
    );
    assert_eq!(reply.status, 401, "{}", reply.text());
    digest_auth::parse(reply.header_values("www-authenticate")[0]).unwrap()
}

/// A request with an answer to a challenge, for the `nc`-th time, made for a method and target.
fn answering(
    challenge: &WwwAuthenticateHeader,
    nc: u32,
    method: &'static str,
    target: &str,
    user: User,
) -> Vec<u8> {
    let mut challenge = challenge.clone();
    challenge.nc = nc - 1;
    let context =
        AuthContext::new_with_method(user.0, user.1, target, None::<&[u8]>, HttpMethod::from(method));
    let answer = format!("Authorization: {}", challenge.respond(&context).unwrap());
    client::request("POST", TARGET, &[SOAP, &answer], envelope("", &tds("GetNTP")).as_bytes())
}

/// Answers to HTTP digest challenges that hold no longer, or never did.
pub fn digests(bench: &Bench) -> Vec<Case> {
    let door = bench.house.door(CAR_PARK);
    let usual = |challenge: &WwwAuthenticateHeader, nc| answering(challenge, nc, "POST", TARGET, ADMIN);
    let used = |nc| {
        let challenge = challenge(door);
        let reply = client::send(door, &usual(&challenge, nc));
        assert_eq!(reply.status, 200, "{}", reply.text());
        challenge
    };
    let refused =
        |name: &str, bytes: Vec<u8>, note| case(name, bytes, (401, NOT_AUTHORIZED), (NOT_AUTHORIZED, note));
    let made_up = WwwAuthenticateHeader { nonce: "A".repeat(64), ..challenge(door) };
    let of_another = WwwAuthenticateHeader { realm: "IP Camera(C1234)".to_owned(), ..challenge(door) };
    let opaque = WwwAuthenticateHeader { opaque: Some("never given".to_owned()), ..challenge(door) };
    let wrong = (ADMIN.0, "another password");
    vec![
        refused("digest, nc used again", usual(&used(1), 1), "the nonce was used before"),
        refused("digest, nc going back by 64", usual(&used(100), 36), "the nonce was used before"),
        // Requests on parallel connections overtake each other.
        case("digest, nc going back by 63, once", usual(&used(100), 37), (200, ""), ("", "")),
        refused("digest, nonce made up", usual(&made_up, 1), "the digest nonce has expired"),
        refused("digest, realm of a camera", usual(&of_another, 1), "no usable digest"),
        // It is an echo that says nothing; none was given, and what proves the challenge is the nonce.
        case("digest, opaque that was never given", usual(&opaque, 1), (200, ""), ("", "")),
        refused(
            "digest, uri of another path",
            answering(&challenge(door), 1, "POST", "/onvif/media_service", ADMIN),
            "made for another address",
        ),
        refused(
            "digest, of another method",
            answering(&challenge(door), 1, "GET", TARGET, ADMIN),
            "the password is wrong",
        ),
        refused(
            "digest, wrong password",
            answering(&challenge(door), 1, "POST", TARGET, wrong),
            "the password is wrong",
        ),
    ]
}

/// A path that an answer of the lobby camera gives to an administrator.
fn locator(house: &House, operation: &str, element: &str, created: &str) -> String {
    let header = Token::at(ADMIN, created).header();
    let reply = client::post(house.door(LOBBY), "device", &[], &envelope(&header, &tds(operation)));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let uri = reply.element(element).unwrap();
    uri.strip_prefix(&format!("http://{}", house.door(LOBBY))).unwrap().to_owned()
}

/// Locators of the wrong kind, camera or client, at the car park's door. The camera they are of hears nothing.
pub fn locators(bench: &Bench) -> Vec<Case> {
    let house = &bench.house;
    let now = SystemClock::new().now().to_string();
    let download = locator(house, "GetSystemUris", "SupportInfoUri", &now);
    let upload = locator(house, "StartFirmwareUpgrade", "UploadUri", &now);
    house.camera(LOBBY).clear_log();
    let of_nobody = |kind: &str| format!("/onvif/{kind}/AAAAAAAAAAAAAAAAAAAAAA");
    let unknown = |name: &str, method: &str, path: &str| {
        case(name, client::request(method, path, &[], b""), (404, ""), ("404", ""))
    };
    let not_there = |name: &str, method: &str, path: &str, status: u16| Case {
        name: name.to_owned(),
        bytes: client::request(method, path, &[], b""),
        sees: Some((status, "")),
        recorded: None,
        answers: 1,
    };
    vec![
        unknown("a download nobody named", "GET", &of_nobody("download")),
        unknown("an upload nobody named", "POST", &of_nobody("upload")),
        unknown("a download of another camera", "GET", &download),
        unknown("an upload to another camera", "POST", &upload),
        unknown("a download as a snapshot", "GET", &download.replace("/download/", "/snapshot/")),
        not_there("an upload, got", "GET", &upload, 405),
        not_there("a stream nobody named, by HTTP", "GET", "/AAAAAAAAAAAAAAAAAAAAAA", 404),
    ]
}

/// What depends on time or is too much for a gateway in a process of its own: by a clock of the test's.
struct Late {
    clock: Arc<SimulatedClock>,
    house: House,
}

impl Late {
    fn open() -> Self {
        let clock = Arc::new(SimulatedClock::new(SystemClock::new().now()));
        let house = House::open_at(Arc::clone(&clock) as Arc<dyn Clock>);
        Self { clock, house }
    }

    fn now(&self) -> String {
        self.clock.now().to_string()
    }

    fn ask(&self, user: User) -> Reply {
        self.ask_created(user, &self.now())
    }

    fn ask_created(&self, user: User, created: &str) -> Reply {
        let header = Token::at(user, created).header();
        client::post(self.house.door(CAR_PARK), "device", &[], &envelope(&header, &tds("GetNTP")))
    }

    /// The row of a reply that was refused for a reason.
    fn refused(&self, name: &str, camera: usize, reply: &Reply, sees: (u16, &str), note: &str) {
        assert_eq!((reply.status, reply.fault().as_str()), sees, "{name}: {}", reply.text());
        let recorded = self.house.record_at(camera, reply).intent;
        assert_eq!(recorded["decision"], "denied", "{name}: {recorded}");
        let why = recorded["note"].as_str().unwrap_or_default();
        assert!(why.contains(note), "{name}: {recorded}");
        println!("{}", row(name, Some((reply.status, reply.fault())), &format!("denied: {why}"), "-"));
    }
}

#[test]
fn bad_input_that_comes_late_is_refused_and_recorded() {
    let late = Late::open();
    late.house.acquaint_at(&late.now());
    let door = late.house.door(LOBBY);
    let download = locator(&late.house, "GetSystemUris", "SupportInfoUri", &late.now());
    let upload = locator(&late.house, "StartFirmwareUpgrade", "UploadUri", &late.now());
    late.house.camera(LOBBY).clear_log();
    let challenge = challenge(late.house.door(CAR_PARK));
    head("bad input that comes late");
    for (seconds, good) in [(-300, true), (-301, false), (300, true), (301, false)] {
        let created = (late.clock.now() + SignedDuration::from_secs(seconds)).to_string();
        let reply = late.ask_created(ADMIN, &created);
        if good {
            assert_eq!(reply.status, 200, "created {seconds} s from now: {}", reply.text());
        } else {
            let name = format!("created {seconds} s from now");
            late.refused(&name, CAR_PARK, &reply, (400, NOT_AUTHORIZED), "Created");
        }
    }
    // Whoever may not ask for an address may not use one that somebody else was told, either.
    let ask = |user: User| {
        let first = client::send(door, &client::request("GET", &download, &[], b""));
        let answer =
            client::authorization(first.header_values("www-authenticate")[0], "GET", &download, user);
        client::send(door, &client::request("GET", &download, &[&answer], b""))
    };
    let denied = ask(OPERATOR);
    assert_eq!(denied.text(), "403 the file may not be had; the gateway's log says why\n");
    late.refused("a download another client was told of", LOBBY, &denied, (403, ""), "");
    late.clock.advance(DIGEST_NONCE_LIFE + Duration::from_secs(1));
    let bytes = answering(&challenge, 1, "POST", TARGET, ADMIN);
    let reply = client::send(late.house.door(CAR_PARK), &bytes);
    assert!(reply.header_values("www-authenticate").iter().all(|it| it.contains("stale=true")), "{reply:?}");
    let expected = (401, NOT_AUTHORIZED);
    late.refused("a digest nonce of 301 s", CAR_PARK, &reply, expected, "the digest nonce has expired");
    late.clock.advance(FILE_LOCATOR_LIFE);
    for (name, method, path) in
        [("an expired download", "GET", &download), ("an expired upload", "POST", &upload)]
    {
        let reply = client::send(door, &client::request(method, path, &[], b""));
        late.refused(name, LOBBY, &reply, (404, ""), "");
    }
    assert_eq!(late.house.heard(), [], "no camera heard of it");
}

/// Puts so many logins of a client on record, as of now.
fn logins(audit: &Path, clock: &Arc<SimulatedClock>, user: User, count: usize) {
    let shared = Arc::clone(clock) as Arc<dyn Clock>;
    let (log, _) = Log::open(&Options::new(audit, "house/audit"), shared, &SystemEntropy).unwrap();
    let intent = |number: usize| Intent {
        request: format!("{number:016x}"),
        who: Who { kind: Kind::Client, name: user.0.to_owned(), ..Who::default() },
        operation: "tds:GetNTP".to_owned(),
        nonce: Some(format!("{number:016x}")),
        ..Intent::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        for part in (0..count).step_by(AUDIT_QUEUE_RECORDS_MAX / 4) {
            let mut writing = JoinSet::new();
            for number in part..count.min(part + AUDIT_QUEUE_RECORDS_MAX / 4) {
                let (log, intent) = (log.clone(), intent(number));
                writing.spawn_local(async move { log.refusal(intent).await });
            }
            while let Some(written) = writing.join_next().await {
                written.unwrap().unwrap();
            }
        }
    });
    log.close().unwrap();
}

/// Ten thousands of logins would take minutes; a gateway that is started anew has those on record for used.
#[test]
fn a_client_whose_nonces_are_full_is_refused_and_nobody_else() {
    let mut late = Late::open();
    head("too many nonces");
    late.house.stop();
    logins(&late.house.audit_dir(), &late.clock, VIEWER, WSSE_NONCES_PER_BUCKET_MAX - 1);
    late.house.restart_after_stop();
    let last = late.ask(VIEWER);
    assert_eq!(last.status, 200, "as many as are remembered: {}", last.text());
    assert_eq!(on_record(&late.house, "nonces-full"), Vec::<Value>::new());
    let name = format!("{} nonces in ten seconds, and one more", WSSE_NONCES_PER_BUCKET_MAX);
    let expected = (400, NOT_AUTHORIZED);
    late.refused(&name, CAR_PARK, &late.ask(VIEWER), expected, "too many nonces at once");
    let other = late.ask(ADMIN);
    assert_eq!(other.status, 200, "another client is served: {}", other.text());
    late.house.wait_for(|_| !on_record(&late.house, "nonces-full").is_empty());
    let told = on_record(&late.house, "nonces-full").swap_remove(0)["detail"].clone();
    assert_eq!((&told["subject"], &told["severity"]), (&"client vms-viewer".into(), &"warning".into()));
    late.clock.advance(Duration::from_secs(10));
    let later = late.ask(VIEWER);
    assert_eq!(later.status, 200, "ten seconds later it is served again: {}", later.text());
}
