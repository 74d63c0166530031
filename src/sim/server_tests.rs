//! Simulated cameras over their sockets: logins, faults, pictures. The client's side of a digest is another
//! crate's.

use std::io::ErrorKind;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use digest_auth::{AuthContext, HttpMethod};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::{
    clock::{SimulatedClock, SystemEntropy},
    limits::SOAP_ANSWER_BYTES_MAX,
    sim::{Algorithm, Said},
};

const PATH: &str = "/onvif/device_service";
/// The true time, and that of the camera, which is two hours slow.
const NOW: &str = "2026-11-23T12:00:00Z";
const CAMERA_TIME: &str = "2026-11-23T10:00:00Z";

async fn camera(dialect: Dialect) -> RunningCamera {
    let options = Options {
        bind: "127.0.0.1:0".parse().unwrap(),
        username: "admin".to_owned(),
        password: Zeroizing::new("secret".to_owned()),
        clock_skew: SignedDuration::from_secs(-7200),
        clock: Arc::new(SimulatedClock::new(NOW.parse().unwrap())),
        entropy: Arc::new(SystemEntropy),
        serial: 7,
        lan_address: Ipv4Addr::new(192, 0, 2, 10),
    };
    Camera::start(dialect, options).await.unwrap()
}

fn envelope(header: &str, operation: &str) -> String {
    format!(
        "<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\"><e:Header>{header}</e:Header><e:Body>\
         <{operation} xmlns=\"http://www.onvif.org/ver10/device/wsdl\"/></e:Body></e:Envelope>"
    )
}

/// Sends a request on a connection of its own.
async fn send(camera: &RunningCamera, line: &str, authorization: Option<&str>, body: &str) -> TcpStream {
    let authorization = authorization.map(|it| format!("Authorization: {it}\r\n")).unwrap_or_default();
    let length = body.len();
    let text = format!(
        "{line} HTTP/1.1\r\nHost: c\r\nConnection: close\r\n{authorization}Content-Length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(camera.address()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Head and body of the answer.
async fn ask(
    camera: &RunningCamera,
    line: &str,
    authorization: Option<&str>,
    body: &str,
) -> (String, Vec<u8>) {
    let mut answer = Vec::new();
    send(camera, line, authorization, body).await.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let body = answer.split_off(end);
    (String::from_utf8(answer).unwrap(), body)
}

async fn post(camera: &RunningCamera, operation: &str) -> String {
    let (head, body) = ask(camera, &format!("POST {PATH}"), None, &envelope("", operation)).await;
    head + std::str::from_utf8(&body).unwrap()
}

/// Answers every challenge of a head, each in turn.
fn answers(head: &str, method: HttpMethod<'_>, target: &str, password: &str) -> Vec<String> {
    let challenges = head.lines().filter_map(|line| line.strip_prefix("www-authenticate: "));
    let answer = |challenge: &str| {
        let context = AuthContext::new_with_method("admin", password, target, None::<&[u8]>, method.clone());
        digest_auth::parse(challenge).unwrap().respond(&context).unwrap().to_header_string()
    };
    challenges.map(answer).collect()
}

fn token(password: &str, created: &str) -> String {
    let nonce = b"sixteen bytes of";
    let all = [nonce.as_slice(), created.as_bytes(), password.as_bytes()].concat();
    let proof = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &all));
    let nonce = STANDARD.encode(nonce);
    format!(
        "<Security><UsernameToken><Username>admin</Username><Password Type=\"urn:x#PasswordDigest\">{proof}\
         </Password><Nonce>{nonce}</Nonce><Created>{created}</Created></UsernameToken></Security>"
    )
}

#[tokio::test]
async fn without_a_login_only_pre_auth_operations_answer() {
    for (dialect, challenges) in [(Dialect::hikvision(), 1), (Dialect::axis(), 2)] {
        let camera = camera(dialect).await;
        let open = post(&camera, "GetHostname").await;
        assert!(open.starts_with("HTTP/1.1 200 ") && open.contains("GetHostnameResponse>"), "{open}");
        let closed = post(&camera, "GetUsers").await;
        assert!(closed.starts_with("HTTP/1.1 401 ") && closed.contains("ter:NotAuthorized"), "{closed}");
        assert_eq!(closed.matches("www-authenticate: Digest realm=").count(), challenges);
        let log = camera.log();
        let seen: Vec<_> = log.iter().map(|it| (it.operation.as_deref().unwrap(), it.status)).collect();
        assert_eq!(seen, [("tds:GetHostname", 200), ("tds:GetUsers", 401)]);
        assert_eq!(camera.rejected_logins(), 0);
    }
}

#[tokio::test]
async fn each_challenge_is_a_way_to_log_in() {
    let (md5, sha256) = (Algorithm::Md5, Algorithm::Sha256);
    for (dialect, algorithms) in [(Dialect::hikvision(), vec![md5]), (Dialect::axis(), vec![sha256, md5])] {
        let camera = camera(dialect).await;
        let line = format!("POST {PATH}");
        let body = envelope("", "GetUsers");
        for (index, algorithm) in algorithms.into_iter().enumerate() {
            let (head, _) = ask(&camera, &line, None, &body).await;
            let wrong = &answers(&head, HttpMethod::POST, PATH, "guessed")[index];
            let (refused, _) = ask(&camera, &line, Some(wrong), &body).await;
            assert!(refused.starts_with("HTTP/1.1 401 ") && !refused.contains("stale"), "{refused}");
            let right = &answers(&head, HttpMethod::POST, PATH, "secret")[index];
            let (taken, answer) = ask(&camera, &line, Some(right), &body).await;
            assert!(taken.starts_with("HTTP/1.1 200 "), "{taken}");
            assert!(String::from_utf8(answer).unwrap().contains("<tt:Username>admin</tt:Username>"));
            let last = camera.log().pop().unwrap();
            assert_eq!((last.user.as_deref(), last.scheme), (Some("admin"), Some(Scheme::Digest(algorithm))));
            // A nonce count is good once.
            let (again, _) = ask(&camera, &line, Some(right), &body).await;
            assert!(again.starts_with("HTTP/1.1 401 ") && again.contains("stale=true"), "{again}");
            assert_eq!(camera.rejected_logins(), index + 1);
        }
    }
}

#[tokio::test]
async fn a_username_token_logs_in_where_the_dialect_looks_at_it() {
    let line = format!("POST {PATH}");
    let body = |password, created| envelope(&token(password, created), "GetUsers");
    let axis = camera(Dialect::axis()).await;
    for (password, created, status) in [
        ("guessed", CAMERA_TIME, "HTTP/1.1 400 "),
        ("secret", NOW, "HTTP/1.1 400 "),
        ("secret", CAMERA_TIME, "HTTP/1.1 200 "),
        ("secret", CAMERA_TIME, "HTTP/1.1 400 "),
    ] {
        let (head, _) = ask(&axis, &line, None, &body(password, created)).await;
        assert!(head.starts_with(status), "{password} {created}: {head}");
    }
    let seen: Vec<_> = axis.log().iter().map(|it| (it.scheme, it.rejected)).collect();
    let wrong = (None, true);
    assert_eq!(seen, [wrong, wrong, (Some(Scheme::UsernameToken), false), wrong]);
    // A wrong token spoils even what needs none.
    let spoilt = envelope(&token("guessed", CAMERA_TIME), "GetHostname");
    assert!(ask(&axis, &line, None, &spoilt).await.0.starts_with("HTTP/1.1 400 "));
    let hikvision = camera(Dialect::hikvision()).await;
    let (head, _) = ask(&hikvision, &line, None, &body("secret", CAMERA_TIME)).await;
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
    assert_eq!(hikvision.rejected_logins(), 0, "it was not looked at");
}

#[tokio::test]
async fn a_picture_is_shown_to_who_logged_in() {
    for (dialect, target) in [
        (Dialect::hikvision(), "/onvif-http/snapshot?Profile_1"),
        (Dialect::axis(), "/onvif-cgi/jpg/image.cgi?resolution=1920x1080&compression=30"),
    ] {
        let camera = camera(dialect).await;
        let line = format!("GET {target}");
        let (closed, _) = ask(&camera, &line, None, "").await;
        assert!(closed.starts_with("HTTP/1.1 401 "), "{closed}");
        let right = &answers(&closed, HttpMethod::GET, target, "secret")[0];
        let (open, picture) = ask(&camera, &line, Some(right), "").await;
        assert!(open.starts_with("HTTP/1.1 200 ") && open.contains("content-type: image/jpeg"), "{open}");
        assert_eq!(picture, PICTURE);
        assert!(picture.starts_with(&[0xff, 0xd8]), "a JPEG begins so");
        let last = camera.log().pop().unwrap();
        assert_eq!((last.method.as_str(), last.target.as_str(), last.operation), ("GET", target, None));
    }
}

#[tokio::test]
async fn a_fault_is_answered_and_the_request_remembered() {
    let camera = camera(Dialect::axis()).await;
    for (fault, part) in [
        (Fault::Html, "<h1>Login</h1>"),
        (Fault::EmptyBody, "content-length: 0"),
        (Fault::WrongOperation, "GetHostnameResponse>"),
    ] {
        camera.set_fault(Some(fault.clone()));
        let answer = post(&camera, "GetWsdlUrl").await;
        assert!(answer.contains(part), "{fault:?}: {answer}");
    }
    camera.set_fault(Some(Fault::Oversize));
    let (_, body) = ask(&camera, &format!("POST {PATH}"), None, &envelope("", "GetWsdlUrl")).await;
    assert_eq!(body.len(), SOAP_ANSWER_BYTES_MAX + 1);
    assert!(camera.log().iter().all(|it| it.operation.as_deref() == Some("tds:GetWsdlUrl")));
    assert_eq!(camera.log().len(), 4);
}

#[tokio::test]
async fn a_camera_that_takes_no_password_refuses_the_right_one() {
    let line = format!("POST {PATH}");
    for dialect in [Dialect::hikvision(), Dialect::axis()] {
        let camera = camera(dialect).await;
        camera.set_fault(Some(Fault::BadPassword));
        let body = envelope("", "GetUsers");
        let (head, _) = ask(&camera, &line, None, &body).await;
        assert_eq!(camera.rejected_logins(), 0, "nobody tried");
        let right = &answers(&head, HttpMethod::POST, PATH, "secret")[0];
        let (refused, _) = ask(&camera, &line, Some(right), &body).await;
        assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
        assert_eq!(camera.rejected_logins(), 1);
        assert!(post(&camera, "GetHostname").await.starts_with("HTTP/1.1 200 "));
    }
    let axis = camera(Dialect::axis()).await;
    axis.set_fault(Some(Fault::BadPassword));
    let body = envelope(&token("secret", CAMERA_TIME), "GetUsers");
    let (refused, _) = ask(&axis, &line, None, &body).await;
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    assert_eq!(axis.rejected_logins(), 1);
}

#[tokio::test]
async fn a_camera_that_hangs_keeps_the_connection_and_answers_others() {
    let camera = camera(Dialect::hikvision()).await;
    camera.set_fault(Some(Fault::Hang));
    let mut hung = send(&camera, &format!("POST {PATH}"), None, &envelope("", "GetWsdlUrl")).await;
    while camera.log().is_empty() {
        tokio::task::yield_now().await;
    }
    camera.set_fault(None);
    assert!(post(&camera, "GetHostname").await.starts_with("HTTP/1.1 200 "));
    assert_eq!(hung.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(camera.log()[0].status, 0, "it was never answered");
    camera.stop();
    let mut answer = Vec::new();
    // How a cut connection ends is the system's business; nothing came.
    let _ = hung.read_to_end(&mut answer).await;
    assert_eq!(answer, b"");
}

#[tokio::test]
async fn a_camera_that_resets_takes_the_request_first() {
    let camera = camera(Dialect::axis()).await;
    camera.set_fault(Some(Fault::Reset));
    let mut stream = send(&camera, &format!("POST {PATH}"), None, &envelope("", "GetWsdlUrl")).await;
    let ended = stream.read_to_end(&mut Vec::new()).await;
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let log = camera.log();
    let seen: Vec<_> = log.iter().map(|it| (it.operation.as_deref(), it.status)).collect();
    assert_eq!(seen, [(Some("tds:GetWsdlUrl"), 0)]);
}

/// All that a client hears of one request, and whether the connection ended by itself.
async fn heard(camera: &RunningCamera, operation: &str) -> Vec<u8> {
    let mut stream = send(camera, &format!("POST {PATH}"), None, &envelope("", operation)).await;
    let mut bytes = vec![0; 100_000];
    let mut length = 0;
    while let Ok(count @ 1..) = stream.read(&mut bytes[length..]).await {
        length += count;
    }
    bytes.truncate(length);
    bytes
}

#[tokio::test]
async fn a_fault_of_one_operation_is_a_fault_of_no_other() {
    let camera = camera(Dialect::dahua()).await;
    camera.set_fault_of("tds:GetWsdlUrl", Some(Fault::Status(503)));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let unavailable = text(heard(&camera, "GetWsdlUrl").await);
    assert!(
        unavailable.starts_with("HTTP/1.1 503 ") && unavailable.contains("GetWsdlUrlResponse"),
        "{unavailable}"
    );
    assert!(text(heard(&camera, "GetHostname").await).starts_with("HTTP/1.1 200 "));
    camera.set_fault_of("tds:GetWsdlUrl", None);
    assert!(text(heard(&camera, "GetWsdlUrl").await).starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn faults_of_the_wire_are_sent_as_they_are_called() {
    let camera = camera(Dialect::bosch()).await;
    let right = heard(&camera, "GetWsdlUrl").await;
    let right = String::from_utf8_lossy(&right).into_owned();
    let (head, body) = right.split_once("\r\n\r\n").unwrap();
    let promised = |text: &str| -> usize {
        let (_, after) = text
            .to_lowercase()
            .split_once("content-length: ")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        after.lines().next().unwrap().parse().unwrap()
    };
    assert_eq!(promised(head), body.len());
    for (fault, length) in [(Fault::Length(10), body.len() + 10), (Fault::Length(-10), body.len() - 10)] {
        camera.set_fault(Some(fault.clone()));
        let wrong = heard(&camera, "GetWsdlUrl").await;
        let wrong = String::from_utf8_lossy(&wrong).into_owned();
        let (head, sent) = wrong.split_once("\r\n\r\n").unwrap();
        assert_eq!((promised(head), sent), (length, body), "{fault:?}");
    }
    let said = Said { bytes: b"MOO".as_slice().into(), times: 2, stays: false };
    for (fault, begins) in [(Fault::Garbage, &b"\0\x01\x02\x03"[..]), (Fault::Say(said), &b"MOOMOO"[..])] {
        camera.set_fault(Some(fault.clone()));
        assert!(heard(&camera, "GetWsdlUrl").await.starts_with(begins), "{fault:?}");
    }
    // What does not end is read until nobody wants more of it.
    for (fault, repeats) in [(Fault::Flood, "GetWsdlUrlResponse>"), (Fault::Huge, "      ")] {
        camera.set_fault(Some(fault.clone()));
        let endless = heard(&camera, "GetWsdlUrl").await;
        assert_eq!(endless.len(), 100_000, "{fault:?}");
        assert!(String::from_utf8_lossy(&endless).matches(repeats).count() > 20, "{fault:?}");
    }
    let log = camera.log();
    assert!(log.iter().all(|it| it.operation.as_deref() == Some("tds:GetWsdlUrl")), "{log:?}");
    assert_eq!(
        log.iter().filter(|it| it.status == 0).count(),
        6,
        "those that got no answer of its HTTP server"
    );
}

#[tokio::test]
async fn what_is_held_back_comes_when_it_is_let_go() {
    let camera = camera(Dialect::axis()).await;
    camera.set_fault_of("tds:GetWsdlUrl", Some(Fault::Hold));
    let mut held = send(&camera, &format!("POST {PATH}"), None, &envelope("", "GetWsdlUrl")).await;
    while camera.log().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(post(&camera, "GetHostname").await.starts_with("HTTP/1.1 200 "));
    assert_eq!(held.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    camera.set_fault_of("tds:GetWsdlUrl", None);
    let mut answer = Vec::new();
    held.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn faults_are_called_by_name() {
    assert_eq!("hang".parse(), Ok(Fault::Hang));
    let error = "quirk".parse::<Fault>().unwrap_err();
    assert!(error.starts_with("`quirk` is no fault; there are hang, slow, trickle,"), "{error}");
}
