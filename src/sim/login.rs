//! The camera's own check of logins: HTTP digest (RFC 7616) and WS-Security UsernameToken.
//!
//! Written for itself and not shared with the gateway, so that a mistake there cannot hide behind the same
//! mistake here.

use std::{collections::VecDeque, fmt::Write as _, time::Duration};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

use super::message::Request;
use crate::{clock::Entropy, limits::SIM_NONCES_MAX};

/// How a camera wants to be logged in to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRules {
    /// Digest algorithms it challenges with, in its order of preference. None: UsernameToken only.
    pub digest: Vec<Algorithm>,
    /// Whether a challenge with MD5 says so.
    pub names_md5: bool,
    /// The opaque value of a challenge, which must come back.
    pub opaque: Option<&'static str>,
    /// How far `wsu:Created` may lie from the camera's clock, either way. None: no UsernameToken at all.
    pub username_token: Option<Duration>,
    /// Whether a wrong UsernameToken spoils even operations that need none.
    pub token_spoils_pre_auth: bool,
    /// How long a digest nonce lives.
    pub nonce_life: Duration,
    /// How often it may be used, if that matters.
    pub nonce_uses: Option<u32>,
    /// Whether digest is that of RFC 7616, or else the older one of RFC 2069, which has no quality of protection.
    pub qop: bool,
    /// What a challenge says of staleness where nothing is stale, if it says anything.
    pub not_stale: Option<&'static str>,
}

impl LoginRules {
    /// No way to log in, for a dialect to add its own.
    pub fn strict() -> Self {
        Self {
            digest: Vec::new(),
            names_md5: true,
            opaque: None,
            username_token: None,
            token_spoils_pre_auth: false,
            nonce_life: Duration::from_secs(300),
            nonce_uses: None,
            qop: true,
            not_stale: None,
        }
    }
}

/// A hash of HTTP digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of RFC 7616 §6.1")]
pub enum Algorithm {
    Md5,
    Sha256,
}

/// By what a request was authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP digest.
    Digest(Algorithm),
    /// UsernameToken with a digest.
    UsernameToken,
    /// Both, and both were right.
    Both(Algorithm),
}

/// What a login came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No credentials.
    Nobody,
    /// Logged in.
    User(Scheme),
    /// Wrong HTTP credentials; `stale` if only the nonce was too old.
    WrongDigest {
        /// Whether only the nonce was too old or unknown.
        stale: bool,
    },
    /// Wrong or stale UsernameToken.
    WrongToken,
}

/// The one account of a camera, and what it remembers of logins.
pub struct Login {
    rules: LoginRules,
    realm: String,
    username: String,
    password: Zeroizing<String>,
    challenges: VecDeque<Challenge>,
    used_tokens: VecDeque<Vec<u8>>,
}

struct Challenge {
    nonce: String,
    issued: Duration,
    /// The highest nonce count seen.
    count: u32,
    /// How often it let somebody in.
    uses: u32,
}

impl Login {
    /// An account.
    pub fn new(rules: LoginRules, realm: String, username: String, password: Zeroizing<String>) -> Self {
        Self { rules, realm, username, password, challenges: VecDeque::new(), used_tokens: VecDeque::new() }
    }

    /// What the camera is strict about.
    pub fn rules(&self) -> &LoginRules {
        &self.rules
    }

    /// Is strict about this from now on.
    pub(super) fn set_rules(&mut self, rules: LoginRules) {
        self.rules = rules;
    }

    /// Offers digest with these algorithms from now on.
    pub fn offer(&mut self, digest: Vec<Algorithm>) {
        self.rules.digest = digest;
    }

    /// Values for `WWW-Authenticate`: one challenge per algorithm, all with one fresh nonce.
    pub fn challenge(&mut self, now: Duration, entropy: &dyn Entropy, stale: bool) -> Vec<String> {
        let mut bytes = [0; 16];
        if self.rules.digest.is_empty() || entropy.fill(&mut bytes).is_err() {
            return Vec::new();
        }
        let nonce = hex(&bytes);
        if self.challenges.len() >= SIM_NONCES_MAX {
            self.challenges.pop_front();
        }
        self.challenges.push_back(Challenge { nonce: nonce.clone(), issued: now, count: 0, uses: 0 });
        let one = |algorithm: &Algorithm| {
            let name = match algorithm {
                Algorithm::Md5 if !self.rules.names_md5 => "",
                Algorithm::Md5 => ", algorithm=MD5",
                Algorithm::Sha256 => ", algorithm=SHA-256",
            };
            let stale = if stale { Some("true") } else { self.rules.not_stale };
            let stale = stale.map_or(String::new(), |it| format!(", stale={it}"));
            let qop = if self.rules.qop { ", qop=\"auth\"" } else { "" };
            let opaque = self.rules.opaque.map_or(String::new(), |it| format!(", opaque=\"{it}\""));
            let realm = &self.realm;
            format!("Digest realm=\"{realm}\"{qop}{name}, nonce=\"{nonce}\"{opaque}{stale}")
        };
        self.rules.digest.iter().map(one).collect()
    }

    /// Checks what a request brings. HTTP credentials come first, and both must be right where both stand
    /// (ONVIF Core §5.9.1).
    pub fn check(
        &mut self,
        http: Option<&str>,
        method_and_target: (&str, &str),
        request: Option<&Request>,
        monotonic: Duration,
        camera_time: Timestamp,
    ) -> Verdict {
        let by_http = http.filter(|_| !self.rules.digest.is_empty());
        let by_http = match by_http.map(|header| self.check_digest(header, method_and_target, monotonic)) {
            Some(Err(stale)) => return Verdict::WrongDigest { stale },
            Some(Ok(algorithm)) => Some(algorithm),
            None => None,
        };
        let token = request.filter(|_| self.rules.username_token.is_some());
        let token = token.and_then(|request| request.header("Security")?.find("UsernameToken").cloned());
        match (by_http, token) {
            (None, None) => Verdict::Nobody,
            (Some(algorithm), None) => Verdict::User(Scheme::Digest(algorithm)),
            (http, Some(token)) => match (self.check_token(&token, camera_time), http) {
                (None, _) => Verdict::WrongToken,
                (Some(()), None) => Verdict::User(Scheme::UsernameToken),
                (Some(()), Some(algorithm)) => Verdict::User(Scheme::Both(algorithm)),
            },
        }
    }

    fn check_digest(&mut self, header: &str, sent: (&str, &str), now: Duration) -> Result<Algorithm, bool> {
        let fields = header.trim().strip_prefix("Digest ").map(parameters).ok_or(false)?;
        let field =
            |name: &str| fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
        let algorithm = match field("algorithm") {
            None | Some("MD5") => Algorithm::Md5,
            Some("SHA-256") => Algorithm::Sha256,
            Some(_) => return Err(false),
        };
        let named = field("username") == Some(&self.username) && field("realm") == Some(&self.realm);
        let (method, target) = sent;
        let echoed = self.rules.opaque.is_none_or(|opaque| field("opaque") == Some(opaque));
        if !named || !echoed || field("uri") != Some(target) || !self.rules.digest.contains(&algorithm) {
            return Err(false);
        }
        let nonce = field("nonce").ok_or(false)?;
        // What was not offered must not be answered.
        let counted = field("nc").zip(field("cnonce"));
        let well = counted.is_some_and(|(nc, cnonce)| nc.len() == 8 && !cnonce.is_empty());
        if field("qop") != self.rules.qop.then_some("auth") || well != self.rules.qop {
            return Err(false);
        }
        let first = format!("{}:{}:{}", self.username, self.realm, self.password.as_str());
        let first = Zeroizing::new(hash(algorithm, &first));
        let second = hash(algorithm, &format!("{method}:{target}"));
        let counted = counted.map_or(String::new(), |(nc, cnonce)| format!("{nc}:{cnonce}:auth:"));
        let whole = format!("{}:{nonce}:{counted}{second}", first.as_str());
        if field("response") != Some(&hash(algorithm, &whole)) {
            return Err(false);
        }
        let count = field("nc").map_or(Ok(u32::MAX), |nc| u32::from_str_radix(nc, 16)).map_err(|_| false)?;
        let life = self.rules.nonce_life;
        let known = self.challenges.iter_mut().find(|known| known.nonce == nonce).ok_or(true)?;
        if now.saturating_sub(known.issued) > life || (self.rules.qop && count <= known.count) {
            return Err(true);
        }
        // Those that count uses do not say that it is a matter of staleness.
        if self.rules.nonce_uses.is_some_and(|most| known.uses >= most) {
            return Err(false);
        }
        (known.count, known.uses) = (count, known.uses.saturating_add(1));
        Ok(algorithm)
    }

    fn check_token(&mut self, token: &super::message::Element, now: Timestamp) -> Option<()> {
        let window = self.rules.username_token?;
        let kind = token.value("Password/@Type")?;
        let created = token.value("Created")?;
        let nonce = STANDARD.decode(token.value("Nonce")?).ok()?;
        let sent = STANDARD.decode(token.value("Password")?).ok()?;
        if token.value("Username") != Some(&self.username) || !kind.ends_with("#PasswordDigest") {
            return None;
        }
        let made: Timestamp = created.parse().ok()?;
        if made.duration_since(now).unsigned_abs() > window || self.used_tokens.contains(&nonce) {
            return None;
        }
        let mut all = Zeroizing::new(nonce.clone());
        all.extend_from_slice(created.as_bytes());
        all.extend_from_slice(self.password.as_bytes());
        if digest(&SHA1_FOR_LEGACY_USE_ONLY, &all).as_ref() != sent.as_slice() {
            return None;
        }
        if self.used_tokens.len() >= SIM_NONCES_MAX {
            self.used_tokens.pop_front();
        }
        self.used_tokens.push_back(nonce);
        Some(())
    }
}

fn hash(algorithm: Algorithm, text: &str) -> String {
    match algorithm {
        Algorithm::Md5 => hex(&Md5::digest(text.as_bytes())),
        Algorithm::Sha256 => hex(digest(&SHA256, text.as_bytes()).as_ref()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `name=value` and `name="value"`, separated by commas; names in lower case.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.push((name, value.trim().to_owned()));
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(realm: &str, username: &str, password: &str) -> Login {
        let rules = LoginRules {
            digest: vec![Algorithm::Sha256, Algorithm::Md5],
            username_token: Some(Duration::from_secs(5)),
            nonce_life: Duration::from_secs(60),
            ..LoginRules::strict()
        };
        Login::new(rules, realm.into(), username.into(), Zeroizing::new(password.into()))
    }

    /// The examples of RFC 7616 §3.9.1.
    #[test]
    fn the_examples_of_rfc_7616_log_in() {
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let header = |rest: &str| {
            format!(
                "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
                 {rest}, nonce=\"{nonce}\", nc=00000001, cnonce=\"{cnonce}\", qop=auth"
            )
        };
        let md5 = header("algorithm=MD5, response=\"8ca523f5e9506fed4657c9700eebdbec\"");
        let sha = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";
        let sha = header(&format!("algorithm=SHA-256, response=\"{sha}\""));
        for (text, algorithm) in [(md5, Algorithm::Md5), (sha, Algorithm::Sha256)] {
            let mut login = login("http-auth@example.org", "Mufasa", "Circle of Life");
            let zero = Duration::ZERO;
            login.challenges.push_back(Challenge { nonce: nonce.into(), issued: zero, count: 0, uses: 0 });
            let mut check = |target: &str, now: u64| {
                let now = Duration::from_secs(now);
                login.check(Some(&text), ("GET", target), None, now, Timestamp::UNIX_EPOCH)
            };
            assert_eq!(check("/dir/other.html", 1), Verdict::WrongDigest { stale: false });
            assert_eq!(check("/dir/index.html", 61), Verdict::WrongDigest { stale: true });
            assert_eq!(check("/dir/index.html", 1), Verdict::User(Scheme::Digest(algorithm)));
            assert_eq!(check("/dir/index.html", 1), Verdict::WrongDigest { stale: true }, "same nonce count");
        }
    }

    /// The example of ONVIF's programmer's guide: a known nonce, time and password.
    #[test]
    fn a_username_token_is_taken_once_and_near_the_cameras_time() {
        let text = r#"<s:Envelope xmlns:s="urn:s"><s:Header><Security><UsernameToken><Username>user</Username>
            <Password Type="urn:x#PasswordDigest">tuOSpGlFlIXsozq4HFNeeGeFLEI=</Password>
            <Nonce>LKqI6G/AikKCQrN0zqZFlg==</Nonce><Created>2010-09-16T07:50:45Z</Created></UsernameToken></Security>
            </s:Header><s:Body><Get/></s:Body></s:Envelope>"#;
        let request = Request::read(text.as_bytes()).unwrap();
        let mut login = login("r", "user", "userpassword");
        let mut check = |time: &str| {
            login.check(None, ("POST", "/"), Some(&request), Duration::ZERO, time.parse().unwrap())
        };
        assert_eq!(check("2010-09-16T07:50:51Z"), Verdict::WrongToken, "six seconds late");
        assert_eq!(check("2010-09-16T07:50:50Z"), Verdict::User(Scheme::UsernameToken));
        assert_eq!(check("2010-09-16T07:50:45Z"), Verdict::WrongToken, "replayed");
    }
}
