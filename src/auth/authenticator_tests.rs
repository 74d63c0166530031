use super::*;
use crate::{
    auth::{Login, digest::Credentials},
    clock::{SimulatedClock, SystemEntropy},
};

const KEY: [u8; 32] = [7; 32];

struct Bench {
    clock: SimulatedClock,
    auth: Authenticator,
}

fn client(id: &str) -> ClientRecord {
    ClientRecord {
        id: ClientId::new(id).unwrap(),
        role: Role::Operator,
        password: Some(Secret::new(format!("{id}-secret"))),
        certificates: Vec::new(),
        networks: vec!["10.0.0.0/8".parse().unwrap()],
        cameras: CameraScope::Only(vec![CameraId::new("gate").unwrap()]),
    }
}

fn authenticator() -> Authenticator {
    Authenticator::new(vec![client("vms"), client("nvr")], &KEY, &SystemEntropy).unwrap()
}

fn bench() -> Bench {
    Bench { clock: SimulatedClock::new("2026-11-23T22:00:00Z".parse().unwrap()), auth: authenticator() }
}

fn shown(source: &str) -> Shown<'_> {
    Shown {
        source: source.parse().unwrap(),
        tls: false,
        certificate: None,
        method: "POST",
        target: "/onvif/device_service",
        authorization: None,
        issued: &[],
        token: None,
        camera: None,
    }
}

fn token<'a>(username: &'a str, password: &str, nonce: &'a [u8], created: &'a str) -> WsseToken<'a> {
    let password = WssePassword::Digest(password_digest(nonce, created, password));
    WsseToken { username, nonce, created, password }
}

const NOW: &str = "2026-11-23T22:00:00Z";

impl Bench {
    fn try_token(&self, token: WsseToken<'_>) -> Result<Identified, Failure> {
        let shown = Shown { token: Some(token), ..shown("10.1.1.1:999") };
        self.auth.identify(&shown, &self.clock).map_err(|error| error.failure)
    }

    fn challenge(&self, algorithm: Algorithm) -> Challenge {
        let headers = self.auth.challenges(false, false, &self.clock, &SystemEntropy).unwrap();
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        Challenge::parse_all(&headers).into_iter().find(|one| one.algorithm == Some(algorithm)).unwrap()
    }

    fn try_digest(&self, credentials: &Credentials) -> Result<Caller, Failure> {
        let header = credentials.to_string();
        let shown = Shown { authorization: Some(&header), ..shown("10.1.1.1:999") };
        self.auth.identify(&shown, &self.clock).map(|it| it.caller).map_err(|error| error.failure)
    }
}

fn answer(challenge: &Challenge, name: &str, password: &str, nc: u32) -> Credentials {
    let login = Login { username: name.into(), password: Secret::new(password.into()) };
    Credentials::answer(challenge, &login, "POST", "/onvif/device_service", "c", nc)
}

#[test]
fn a_right_token_names_the_client_and_passes_once() {
    let bench = bench();
    let right = token("vms", "vms-secret", b"0123456789abcdef", NOW);
    let Identified { caller, nonce } = bench.try_token(right).unwrap();
    assert_eq!(caller.client().unwrap().as_str(), "vms");
    assert!(matches!(caller, Caller::Client { method: Method::Wsse, role: Role::Operator, .. }));
    assert_eq!(NonceFingerprint::parse(&nonce.unwrap().to_string()), nonce);
    assert_eq!(bench.try_token(right), Err(Failure::Replayed));
}

#[test]
fn bytes_shifted_between_nonce_and_created_are_still_a_replay() {
    let bench = bench();
    let whole = token("vms", "vms-secret", b"abc2026-11", "-23T22:00:00Z");
    assert_eq!(bench.try_token(whole), Err(Failure::Created));
    assert!(bench.try_token(token("vms", "vms-secret", b"abc", NOW)).is_ok());
    let shifted = WsseToken { nonce: b"abc", created: NOW, ..whole };
    assert_eq!(bench.auth.fingerprint(&whole), bench.auth.fingerprint(&shifted));
}

#[test]
fn created_may_be_300_s_away_either_way() {
    for (created, expected) in [
        ("2026-11-23T21:54:59Z", Some(Failure::Skew)),
        ("2026-11-23T21:55:00Z", None),
        ("2026-11-23T21:55:01Z", None),
        ("2026-11-23T22:04:59Z", None),
        ("2026-11-23T22:05:00Z", None),
        ("2026-11-23T22:05:00.001Z", Some(Failure::Skew)),
        ("2026-11-23T22:05:01Z", Some(Failure::Skew)),
    ] {
        let outcome = bench().try_token(token("vms", "vms-secret", b"n", created));
        assert_eq!(outcome.err(), expected, "{created}");
    }
}

#[test]
fn every_wrong_token_is_refused_with_its_own_reason_and_one_text() {
    let bench = bench();
    let right = token("vms", "vms-secret", b"n", NOW);
    let long = [0; WSSE_NONCE_BYTES_MAX + 1];
    for (wrong, failure) in [
        (token("vms", "other", b"n", NOW), Failure::WrongPassword),
        (token("who", "vms-secret", b"n", NOW), Failure::UnknownClient),
        (token("nobody", "", b"n", NOW), Failure::UnknownClient),
        (token("vms", "vms-secret", b"", NOW), Failure::Incomplete),
        (token("vms", "vms-secret", b"n", ""), Failure::Incomplete),
        (token("vms", "vms-secret", &long, NOW), Failure::NonceTooLong),
        (token("vms", "vms-secret", b"n", "now"), Failure::Created),
        (WsseToken { password: WssePassword::Text("vms-secret"), ..right }, Failure::PasswordText),
        (WsseToken { password: WssePassword::Missing, ..right }, Failure::Incomplete),
    ] {
        let shown = Shown { token: Some(wrong), ..shown("10.1.1.1:999") };
        let error = bench.auth.identify(&shown, &bench.clock).unwrap_err();
        assert_eq!((error.failure, error.outward()), (failure, "Sender not authorized"), "{wrong:?}");
        assert_eq!(error.claimed.as_deref(), Some(wrong.username));
    }
    assert!(bench.try_token(right).is_ok(), "a refused nonce is not remembered");
}

#[test]
fn a_client_is_known_only_from_its_networks_and_for_its_cameras() {
    let bench = bench();
    let (gate, yard) = (CameraId::new("gate").unwrap(), CameraId::new("yard").unwrap());
    for (source, camera, expected) in [
        ("192.0.2.1:9", None, Some(Failure::Network)),
        ("[::ffff:10.0.0.1]:9", None, None),
        ("10.0.0.1:9", Some(&gate), None),
        ("10.0.0.1:9", Some(&yard), Some(Failure::Camera)),
    ] {
        let nonce = format!("{source}{camera:?}");
        let token = token("vms", "vms-secret", nonce.as_bytes(), NOW);
        let shown = Shown { token: Some(token), camera, ..shown(source) };
        let outcome = bench.auth.identify(&shown, &bench.clock);
        assert_eq!(outcome.err().map(|error| error.failure), expected, "{source} {camera:?}");
    }
}

#[test]
fn a_restart_is_no_replay_window() {
    let bench = bench();
    let right = token("vms", "vms-secret", b"n", NOW);
    let fingerprint = bench.try_token(right).unwrap().nonce.unwrap();
    let vms = ClientId::new("vms").unwrap();
    let after = Bench { auth: authenticator(), clock: SimulatedClock::new(NOW.parse().unwrap()) };
    after.clock.advance(Duration::from_secs(200));
    assert!(after.auth.restore(&vms, fingerprint, NOW.parse().unwrap(), &after.clock));
    assert_eq!(after.try_token(right), Err(Failure::Replayed));
    after.clock.advance(Duration::from_secs(401));
    assert!(!after.auth.restore(&vms, fingerprint, NOW.parse().unwrap(), &after.clock), "601 s old");
}

/// Who is taken out of the configuration while the gateway stands, and comes back by a reload, was there all the time for
/// whoever recorded its requests.
#[test]
fn a_client_that_is_away_at_a_restart_may_not_use_again_what_it_used() {
    let before = bench();
    let (used, later) = (token("vms", "vms-secret", b"n", NOW), "2026-11-23T22:00:20Z");
    let fingerprint = before.try_token(used).unwrap().nonce.unwrap();
    let vms = ClientId::new("vms").unwrap();
    for series in [false, true] {
        let away = Authenticator::new(vec![client("nvr")], &KEY, &SystemEntropy).unwrap();
        let mut after = Bench { auth: away, clock: SimulatedClock::new(NOW.parse().unwrap()) };
        after.clock.advance(Duration::from_secs(10));
        assert!(after.auth.restore(&vms, fingerprint, NOW.parse().unwrap(), &after.clock));
        if series {
            after.auth.restore_series(&vms, &after.clock);
        }
        after.clock.advance(Duration::from_secs(10));
        after.auth = after.auth.renewed(vec![client("nvr")], &after.clock);
        after.auth = after.auth.renewed(vec![client("nvr"), client("vms")], &after.clock);
        let unrecorded = after.try_token(token("vms", "vms-secret", b"unrecorded", NOW));
        if series {
            assert_eq!(after.try_token(used), Err(Failure::BeforeStart));
            assert_eq!(unrecorded, Err(Failure::BeforeStart));
        } else {
            assert_eq!(after.try_token(used), Err(Failure::Replayed));
            assert!(unrecorded.is_ok(), "{unrecorded:?}");
        }
        assert!(after.try_token(token("vms", "vms-secret", b"m", later)).is_ok(), "what is new is taken");
    }
}

#[test]
fn after_a_restart_tokens_from_before_it_are_used_if_their_client_asked_in_series() {
    let after = bench();
    let vms = ClientId::new("vms").unwrap();
    after.auth.restore_series(&vms, &after.clock);
    after.auth.restore_series(&ClientId::new("gone").unwrap(), &after.clock);
    let before = token("vms", "vms-secret", b"before", "2026-11-23T21:59:59Z");
    assert_eq!(after.try_token(before), Err(Failure::BeforeStart));
    after.clock.advance(Duration::from_secs(2));
    assert_eq!(after.try_token(before), Err(Failure::BeforeStart), "it stays so");
    for (nonce, created) in [(b"n", NOW), (b"m", "2026-11-23T22:00:02Z")] {
        assert!(after.try_token(token("vms", "vms-secret", nonce, created)).is_ok(), "{created}");
    }
}

#[test]
fn no_credentials_make_an_anonymous_caller() {
    let bench = bench();
    let identified = bench.auth.identify(&shown("10.1.1.1:999"), &bench.clock).unwrap();
    assert_eq!(identified.caller, Caller::Anonymous { source: "10.1.1.1:999".parse().unwrap(), tls: false });
}

#[test]
fn both_digests_are_offered_md5_first_and_both_pass() {
    let bench = bench();
    let headers = bench.auth.challenges(true, false, &bench.clock, &SystemEntropy).unwrap();
    let [md5, sha] = headers.as_slice() else { panic!("{headers:?}") };
    assert!(
        md5.starts_with("Digest realm=\"Cordon\", nonce=\"") && md5.ends_with("algorithm=MD5, stale=true")
    );
    assert!(sha.contains("qop=\"auth\", algorithm=SHA-256"), "{sha}");
    for (algorithm, method) in
        [(Algorithm::Md5, Method::DigestMd5), (Algorithm::Sha256, Method::DigestSha256)]
    {
        let caller = bench.try_digest(&answer(&bench.challenge(algorithm), "vms", "vms-secret", 1)).unwrap();
        assert!(matches!(caller, Caller::Client { method: how, .. } if how == method), "{caller:?}");
    }
}

#[test]
fn a_digest_without_a_count_is_taken_on_the_connection_its_nonce_was_issued_on() {
    let bench = bench();
    let challenge = bench.challenge(Algorithm::Md5);
    let bare = Challenge { qop_auth: false, ..challenge.clone() };
    let check = |credentials: &Credentials, issued: &[String]| {
        let header = credentials.to_string();
        let shown = Shown { authorization: Some(&header), issued, ..shown("10.1.1.1:999") };
        bench.auth.http_digest(&header, &shown, &bench.clock).map_err(|error| error.failure)
    };
    let issued = [bench.challenge(Algorithm::Sha256).nonce, challenge.nonce];
    let right = answer(&bare, "vms", "vms-secret", 1);
    // As often as it likes: a player sends many requests.
    assert!(check(&right, &issued).is_ok() && check(&right, &issued).is_ok());
    assert_eq!(check(&right, &issued[..1]).unwrap_err(), Failure::Header, "on another connection");
    assert_eq!(check(&answer(&bare, "vms", "other", 1), &issued).unwrap_err(), Failure::WrongPassword);
    bench.clock.advance(DIGEST_NONCE_LIFE + Duration::from_secs(1));
    assert_eq!(check(&right, &issued).unwrap_err(), Failure::Stale);
}

#[test]
fn an_independent_client_passes() {
    let bench = bench();
    let headers = bench.auth.challenges(false, false, &bench.clock, &SystemEntropy).unwrap();
    for header in headers {
        let mut prompt = digest_auth::parse(&header).unwrap();
        let target = "/onvif/device_service";
        let context = digest_auth::AuthContext::new_post::<_, _, _, &[u8]>("vms", "vms-secret", target, None);
        for _ in 0..3 {
            let credentials = Credentials::parse(&prompt.respond(&context).unwrap().to_string()).unwrap();
            assert_eq!(bench.try_digest(&credentials).unwrap().client().unwrap().as_str(), "vms");
        }
    }
}

#[test]
fn wrong_digests_are_refused_with_their_own_reason() {
    let bench = bench();
    let challenge = bench.challenge(Algorithm::Sha256);
    let right = answer(&challenge, "vms", "vms-secret", 5);
    let foreign = Challenge { nonce: "AAAA".into(), ..challenge.clone() };
    let realm = Challenge { realm: "Else".into(), ..challenge.clone() };
    let bare = Challenge { qop_auth: false, ..challenge.clone() };
    let login = Login { username: "vms".into(), password: Secret::new("vms-secret".into()) };
    for (wrong, failure) in [
        (answer(&challenge, "vms", "other", 1), Failure::WrongPassword),
        (answer(&challenge, "who", "vms-secret", 1), Failure::UnknownClient),
        (answer(&foreign, "vms", "vms-secret", 1), Failure::Stale),
        (answer(&foreign, "vms", "other", 1), Failure::WrongPassword),
        (answer(&realm, "vms", "vms-secret", 1), Failure::Header),
        (answer(&bare, "vms", "vms-secret", 1), Failure::Header),
        (answer(&challenge, "vms", "vms-secret", 0), Failure::Replayed),
        (Credentials::answer(&challenge, &login, "POST", "/other", "c", 1), Failure::Uri),
        (Credentials::answer(&challenge, &login, "GET", &right.uri, "c", 1), Failure::WrongPassword),
    ] {
        assert_eq!(bench.try_digest(&wrong), Err(failure), "{wrong}");
    }
    assert!(bench.try_digest(&right).is_ok());
    assert_eq!(bench.try_digest(&right), Err(Failure::Replayed));
    assert!(bench.try_digest(&answer(&challenge, "vms", "vms-secret", 4)).is_ok(), "overtaken");
}

#[test]
fn a_nonce_lives_300_s_and_then_is_stale() {
    let bench = bench();
    let challenge = bench.challenge(Algorithm::Md5);
    bench.clock.advance(DIGEST_NONCE_LIFE);
    assert!(bench.try_digest(&answer(&challenge, "vms", "vms-secret", 1)).is_ok());
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(bench.try_digest(&answer(&challenge, "vms", "vms-secret", 2)), Err(Failure::Stale));
}

#[test]
fn at_both_levels_both_must_pass_and_agree() {
    let bench = bench();
    let challenge = bench.challenge(Algorithm::Md5);
    for (nc, name, wsse, expected) in [
        (1, "vms", token("vms", "vms-secret", b"1", NOW), None),
        (2, "vms", token("vms", "other", b"2", NOW), Some(Failure::WrongPassword)),
        (3, "nvr", token("vms", "vms-secret", b"3", NOW), Some(Failure::TwoClients)),
    ] {
        let header = answer(&challenge, name, &format!("{name}-secret"), nc).to_string();
        let shown = Shown { authorization: Some(&header), token: Some(wsse), ..shown("10.1.1.1:999") };
        let outcome = bench.auth.identify(&shown, &bench.clock);
        assert_eq!(outcome.err().map(|error| error.failure), expected, "{nc}");
    }
}

#[test]
fn a_password_in_clear_counts_over_tls_and_if_that_is_switched_on_and_for_its_client() {
    let basic = |name: &str, password: &str| {
        format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(format!("{name}:{password}")))
    };
    for (tls, on) in [(false, false), (false, true), (true, false), (true, true)] {
        let bench = Bench { auth: authenticator().with_clear_passwords(on), ..bench() };
        for (name, password, refused) in [
            ("vms", "vms-secret", None),
            ("vms", "other", Some(Failure::WrongPassword)),
            ("vms", "", Some(Failure::WrongPassword)),
            ("who", "vms-secret", Some(Failure::UnknownClient)),
        ] {
            let header = basic(name, password);
            let password = WssePassword::Text(password);
            let token = WsseToken { username: name, nonce: b"", created: "", password };
            let shown = Shown { tls, ..shown("10.1.1.1:999") };
            for (shown, method, off) in [
                (Shown { authorization: Some(&header), ..shown }, Method::Basic, Failure::Basic),
                (Shown { token: Some(token), ..shown }, Method::PasswordText, Failure::PasswordText),
            ] {
                let outcome = bench.auth.identify(&shown, &bench.clock).map(|it| it.caller);
                let outcome = outcome.map_err(|error| error.failure);
                let found = if tls && on { refused } else { Some(off) };
                match found {
                    Some(failure) => assert_eq!(outcome, Err(failure), "{tls} {on} {name}"),
                    None => assert!(
                        matches!(outcome, Ok(Caller::Client { method: by, tls: true, .. }) if by == method),
                        "{outcome:?}"
                    ),
                }
            }
        }
        let offered = |tls| bench.auth.challenges(false, tls, &bench.clock, &SystemEntropy).unwrap().len();
        assert_eq!((offered(tls), offered(false)), (if tls && on { 3 } else { 2 }, 2));
    }
    let outside =
        Shown { tls: true, authorization: Some(&basic("vms", "vms-secret")), ..shown("192.0.2.1:9") };
    let bench = Bench { auth: authenticator().with_clear_passwords(true), ..bench() };
    assert_eq!(bench.auth.identify(&outside, &bench.clock).unwrap_err().failure, Failure::Network);
}

#[test]
fn a_client_with_certificates_only_has_no_password_at_all() {
    let made = rcgen::generate_simple_self_signed(["vms".to_owned()]).unwrap();
    let certificate = crate::auth::Certificate::read(made.cert.der()).unwrap();
    let record = ClientRecord {
        password: None,
        certificates: vec![crate::auth::KnownCertificate::Key(certificate.key)],
        ..client("vms")
    };
    let auth = Authenticator::new(vec![record], &KEY, &SystemEntropy).unwrap();
    let bench = Bench { auth: auth.with_clear_passwords(true), ..bench() };
    for password in ["", "vms", "vms-secret"] {
        assert_eq!(bench.try_token(token("vms", password, b"n", NOW)).unwrap_err(), Failure::WrongPassword);
        let header = format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(format!("vms:{password}")));
        let shown = Shown { tls: true, authorization: Some(&header), ..shown("10.1.1.1:999") };
        assert_eq!(bench.auth.identify(&shown, &bench.clock).unwrap_err().failure, Failure::WrongPassword);
    }
    let shown = Shown { tls: true, certificate: Some(&certificate), ..shown("10.1.1.1:999") };
    let caller = bench.auth.identify(&shown, &bench.clock).unwrap().caller;
    assert!(matches!(caller, Caller::Client { method: Method::Certificate, .. }), "{caller:?}");
}

#[test]
fn what_was_used_stays_used_whoever_the_clients_are_now() {
    let mut bench = bench();
    let challenge = bench.challenge(Algorithm::Sha256);
    bench.try_token(token("vms", "vms-secret", b"nonce", NOW)).unwrap();
    bench.try_digest(&answer(&challenge, "vms", "vms-secret", 1)).unwrap();
    for clients in [vec![client("vms")], vec![client("nvr")], vec![client("vms"), client("nvr")]] {
        let refused = if clients.iter().any(|it| it.id.as_str() == "vms") {
            Failure::Replayed
        } else {
            Failure::UnknownClient
        };
        bench.auth = bench.auth.renewed(clients, &bench.clock);
        assert_eq!(bench.try_token(token("vms", "vms-secret", b"nonce", NOW)), Err(refused));
        assert_eq!(bench.try_digest(&answer(&challenge, "vms", "vms-secret", 1)), Err(refused));
    }
    assert!(bench.try_digest(&answer(&challenge, "vms", "vms-secret", 2)).is_ok(), "the challenge holds");
    // Once there is nothing left to remember of it, a client that is gone costs nothing more.
    let remembered = |bench: &Bench| bench.auth.lasting.used.lock().unwrap().contains_key("vms");
    bench.auth = bench.auth.renewed(vec![client("nvr")], &bench.clock);
    assert!(remembered(&bench));
    bench.clock.advance(Duration::from_secs(621));
    bench.auth = bench.auth.renewed(vec![client("nvr")], &bench.clock);
    assert!(!remembered(&bench));
}
