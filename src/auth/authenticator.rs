//! Credentials become a caller.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use subtle::ConstantTimeEq;

use super::{
    AuthError, Caller, CameraScope, Certificate, ClientRecord, Failure, Method, Role, Secret,
    basic::Basic,
    digest::{Algorithm, Challenge, Credentials},
    replay::{Counts, Nonces, Refused},
    wsse::{WssePassword, WsseToken, parse_created, password_digest},
};
use crate::{
    clock::{Clock, Entropy, EntropyError},
    ids::{CameraId, ClientId},
    limits::{CLAIMED_NAME_CHARS_MAX, DIGEST_NONCE_LIFE, WSSE_CREATED_SKEW_MAX, WSSE_NONCE_BYTES_MAX},
};

/// The realm of every HTTP digest challenge.
pub const REALM: &str = "Cordon";

const NONCE_TIME_BYTES: usize = 8;
const NONCE_BODY_BYTES: usize = 2 * NONCE_TIME_BYTES;
const NONCE_TAG_BYTES: usize = 16;

/// What one request shows of who sent it.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// Where the request came from.
    pub source: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The certificate with whose key the peer made the connection.
    pub certificate: Option<&'a Certificate>,
    /// The HTTP method.
    pub method: &'a str,
    /// The request target exactly as on the request line.
    pub target: &'a str,
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// Nonces that were issued on the connection it came over, where a digest may do without a count (RFC 2069), as
    /// players of RTSP have it: nobody else can repeat one there.
    pub issued: &'a [String],
    /// The WS-Security UsernameToken.
    pub token: Option<WsseToken<'a>>,
    /// The camera addressed, if any.
    pub camera: Option<&'a CameraId>,
}

impl Shown<'_> {
    /// The name for which a password is shown, shortened: of several that which is looked at first.
    pub fn claimed(&self) -> Option<String> {
        let name = match (self.authorization, &self.token) {
            (Some(header), _) => match Basic::parse(header) {
                Some(basic) => basic.ok()?.username().to_owned(),
                None => Credentials::parse(header).ok()?.username,
            },
            (None, Some(token)) => token.username.to_owned(),
            (None, None) => return None,
        };
        Some(plain(&name))
    }
}

/// An 8-byte keyed fingerprint of a used token. It stands in the audit record, so that a restart is no
/// replay window, and tells nothing about the nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NonceFingerprint(u64);

impl NonceFingerprint {
    /// Reads the 16 hexadecimal digits of a record.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for NonceFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Who called, and what is to be recorded about the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// The caller.
    pub caller: Caller,
    /// The fingerprint for the intent record, if a WS-Security token was used.
    pub nonce: Option<NonceFingerprint>,
}

struct Account {
    record: ClientRecord,
    /// One that nobody knows, for a client without.
    password: Secret,
    used: Arc<Mutex<Used>>,
}

#[derive(Default)]
struct Used {
    nonces: Nonces,
    counts: Counts,
    /// Tokens made before count as used.
    from: Option<Timestamp>,
}

/// Knows the clients of one configuration and recognises them.
pub struct Authenticator {
    accounts: HashMap<String, Account>,
    /// Whether a password may be shown in clear, over TLS.
    clear_passwords: bool,
    lasting: Arc<Lasting>,
}

/// What outlives a configuration.
struct Lasting {
    /// Takes the place of a client nobody has, so that an unknown name costs the same time.
    decoy: Account,
    fingerprint_key: hmac::Key,
    /// New with every start: counts of nonces are not kept, so neither are the nonces.
    nonce_key: hmac::Key,
    /// Makes passwords that nobody knows.
    unknowable: hmac::Key,
    /// What each client used, by its name: one that is taken away and comes back may not use it again.
    used: Mutex<HashMap<String, Arc<Mutex<Used>>>>,
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").field("clients", &self.accounts.len()).finish_non_exhaustive()
    }
}

impl Authenticator {
    /// Takes the clients and a key that survives restarts, from which fingerprints are made.
    pub fn new(
        clients: Vec<ClientRecord>,
        persisted_key: &[u8; 32],
        entropy: &dyn Entropy,
    ) -> Result<Self, EntropyError> {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes)?;
        let nonce_key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        entropy.fill(&mut bytes)?;
        let persisted = hmac::Key::new(hmac::HMAC_SHA256, persisted_key);
        let derived = hmac::sign(&persisted, b"cordon wsse nonce fingerprint 1");
        let unknowable = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        // No client has such a name.
        let decoy = Account {
            record: decoy()?,
            password: nobody_knows(&unknowable, "nobody at all"),
            used: Arc::default(),
        };
        let lasting = Lasting {
            decoy,
            fingerprint_key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()),
            nonce_key,
            unknowable,
            used: Mutex::default(),
        };
        Ok(Self::with(clients, Arc::new(lasting)))
    }

    /// Knows other clients, and still what those of before have used. Passwords in clear are not accepted.
    pub fn renewed(&self, clients: Vec<ClientRecord>, clock: &dyn Clock) -> Self {
        let renewed = Self::with(clients, Arc::clone(&self.lasting));
        let now = clock.monotonic();
        let longest = SignedDuration::from_secs(2 * seconds(WSSE_CREATED_SKEW_MAX));
        let is_past = |from: Timestamp| clock.now().duration_since(from) > longest;
        let is_spent = |it: &Arc<Mutex<Used>>| {
            let mut used = it.lock().unwrap_or_else(PoisonError::into_inner);
            used.nonces.is_empty(seconds(now)) && used.counts.is_empty(now) && used.from.is_none_or(is_past)
        };
        let mut used = self.lasting.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, it| Arc::strong_count(it) > 1 || !is_spent(it));
        drop(used);
        renewed
    }

    fn with(clients: Vec<ClientRecord>, lasting: Arc<Lasting>) -> Self {
        let account = |record: ClientRecord| {
            let name = record.id.to_string();
            let unknown = || nobody_knows(&lasting.unknowable, &name);
            let password = record.password.clone().unwrap_or_else(unknown);
            let mut used = lasting.used.lock().unwrap_or_else(PoisonError::into_inner);
            let used = Arc::clone(used.entry(name.clone()).or_default());
            (name, Account { record, password, used })
        };
        let accounts = clients.into_iter().map(account).collect();
        Self { accounts, clear_passwords: false, lasting }
    }

    /// Accepts passwords in clear (PasswordText, HTTP Basic), over TLS, if `allowed`.
    pub fn with_clear_passwords(self, allowed: bool) -> Self {
        Self { clear_passwords: allowed, ..self }
    }

    /// The clients, in no order.
    pub fn clients(&self) -> impl Iterator<Item = &ClientRecord> {
        self.accounts.values().map(|it| &it.record)
    }

    /// Recognises the caller. With credentials at several levels all must pass and name the same client
    /// (Core §5.9.1); without any the caller is anonymous.
    pub fn identify(&self, shown: &Shown<'_>, clock: &dyn Clock) -> Result<Identified, AuthError> {
        let certified = shown.certificate.map(|it| self.certified(it, shown, clock)).transpose()?;
        let http = shown.authorization.map(|header| self.http(header, shown, clock)).transpose()?;
        let name =
            |caller: &Option<Caller>| caller.as_ref().and_then(Caller::client).map(ClientId::to_string);
        if let (Some(one), Some(other)) = (name(&certified), name(&http))
            && one != other
        {
            return Err(refuse(Failure::TwoClients, Some(&other)));
        }
        let proven = certified.or(http);
        let Some(token) = &shown.token else {
            let caller = proven.unwrap_or(Caller::Anonymous { source: shown.source, tls: shown.tls });
            return Ok(Identified { caller, nonce: None });
        };
        if name(&proven).is_some_and(|name| name != token.username) {
            return Err(refuse(Failure::TwoClients, Some(token.username)));
        }
        let (caller, nonce) = self.wsse(token, shown, clock)?;
        Ok(Identified { caller: proven.unwrap_or(caller), nonce })
    }

    /// Recognises the caller by its certificate alone. That it has the key was shown when the connection was
    /// made.
    fn certified(
        &self,
        certificate: &Certificate,
        shown: &Shown<'_>,
        clock: &dyn Clock,
    ) -> Result<Caller, AuthError> {
        let knows = |account: &&Account| account.record.certificates.iter().any(|it| it.is(certificate));
        let account = self.accounts.values().find(knows);
        let account = account.ok_or_else(|| refuse(Failure::UnknownCertificate, None))?;
        let fail = |failure| refuse(failure, Some(account.record.id.as_str()));
        if !certificate.is_valid_at(clock.now()) {
            return Err(fail(Failure::CertificateTime));
        }
        account.admit(true, true, shown).map_err(fail)?;
        Ok(account.caller(shown, Method::Certificate))
    }

    /// Recognises the caller by an `Authorization` header alone, of either kind.
    fn http(&self, header: &str, shown: &Shown<'_>, clock: &dyn Clock) -> Result<Caller, AuthError> {
        match Basic::parse(header) {
            None => self.http_digest(header, shown, clock),
            Some(Err(())) => Err(refuse(Failure::Header, None)),
            Some(Ok(basic)) => {
                let fail = |failure| refuse(failure, Some(basic.username()));
                self.clear(basic.username(), basic.password(), shown, (Method::Basic, Failure::Basic))
                    .map_err(fail)
            }
        }
    }

    /// Recognises the caller by a password in clear. Where that is not allowed nobody learns whether it was
    /// right.
    fn clear(
        &self,
        name: &str,
        password: &str,
        shown: &Shown<'_>,
        (method, refused): (Method, Failure),
    ) -> Result<Caller, Failure> {
        if !shown.tls || !self.clear_passwords {
            return Err(refused);
        }
        let (account, known) = self.account(name);
        // Of one length, so that the comparison does not tell how long the password is.
        let tag = |text: &str| hmac::sign(&self.lasting.nonce_key, text.as_bytes());
        let expected = tag(account.password.expose());
        let right: bool = expected.as_ref().ct_eq(tag(password).as_ref()).into();
        account.admit(known, right, shown)?;
        Ok(account.caller(shown, method))
    }

    /// Recognises the caller by a UsernameToken alone. A password in clear has no nonce that could be used
    /// twice: nobody but the two ends of the connection saw it.
    pub fn wsse(
        &self,
        token: &WsseToken<'_>,
        shown: &Shown<'_>,
        clock: &dyn Clock,
    ) -> Result<(Caller, Option<NonceFingerprint>), AuthError> {
        let fail = |failure| refuse(failure, Some(token.username));
        let digest = match token.password {
            WssePassword::Digest(digest) => digest,
            WssePassword::Text(password) => {
                let how = (Method::PasswordText, Failure::PasswordText);
                let caller = self.clear(token.username, password, shown, how).map_err(fail)?;
                return Ok((caller, None));
            }
            WssePassword::Missing => return Err(fail(Failure::Incomplete)),
        };
        if token.nonce.is_empty() || token.created.is_empty() {
            return Err(fail(Failure::Incomplete));
        }
        if token.nonce.len() > WSSE_NONCE_BYTES_MAX {
            return Err(fail(Failure::NonceTooLong));
        }
        let created = parse_created(token.created).ok_or_else(|| fail(Failure::Created))?;
        let (account, known) = self.account(token.username);
        let password = account.password.expose();
        let expected = password_digest(token.nonce, token.created, password);
        let right: bool = expected.ct_eq(&digest).into();
        account.admit(known, right, shown).map_err(fail)?;
        if created.duration_since(clock.now()).unsigned_abs() > WSSE_CREATED_SKEW_MAX {
            return Err(fail(Failure::Skew));
        }
        let fingerprint = self.fingerprint(token);
        let second = seconds(clock.monotonic());
        if account.used(|used| Ok(used.from.is_some_and(|from| created < from))).map_err(fail)? {
            return Err(fail(Failure::BeforeStart));
        }
        account.used(|used| used.nonces.remember(fingerprint.0, second, second)).map_err(fail)?;
        Ok((account.caller(shown, Method::Wsse), Some(fingerprint)))
    }

    /// Recognises the caller by an `Authorization` header with a digest alone.
    pub fn http_digest(
        &self,
        header: &str,
        shown: &Shown<'_>,
        clock: &dyn Clock,
    ) -> Result<Caller, AuthError> {
        let credentials = Credentials::parse(header).map_err(|_| refuse(Failure::Header, None))?;
        let fail = |failure| refuse(failure, Some(&credentials.username));
        let count = credentials.count.as_ref();
        let counts = count.is_some() || shown.issued.contains(&credentials.nonce);
        if credentials.realm != REALM || !counts {
            return Err(fail(Failure::Header));
        }
        let (account, known) = self.account(&credentials.username);
        let expected = credentials.expected(account.password.expose(), shown.method);
        let response = credentials.response.to_ascii_lowercase();
        let right: bool = expected.as_bytes().ct_eq(response.as_bytes()).into();
        account.admit(known, right, shown).map_err(fail)?;
        if credentials.uri != shown.target {
            return Err(fail(Failure::Uri));
        }
        let now = clock.monotonic();
        let nonce = self.open_nonce(&credentials.nonce).ok_or_else(|| fail(Failure::Stale))?;
        if now > nonce.0 + DIGEST_NONCE_LIFE {
            return Err(fail(Failure::Stale));
        }
        if let Some(count) = count {
            account.used(|used| used.counts.accept(nonce, count.nc, now)).map_err(fail)?;
        }
        let method = match credentials.hash() {
            Algorithm::Md5 => Method::DigestMd5,
            Algorithm::Sha256 => Method::DigestSha256,
        };
        Ok(account.caller(shown, method))
    }

    /// Values of the `WWW-Authenticate` headers of a 401, one header each: MD5 first, since that is all
    /// ONVIF promises a client to know, then SHA-256, then Basic where the connection (`tls`) and the owner
    /// allow it.
    pub fn challenges(
        &self,
        stale: bool,
        tls: bool,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Vec<String>, EntropyError> {
        let mut headers = Vec::with_capacity(3);
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            // A nonce of its own for each: a client may count its uses per challenge.
            let challenge = Challenge {
                realm: REALM.to_owned(),
                nonce: self.seal_nonce(clock.monotonic(), entropy.bits()?),
                opaque: None,
                algorithm: Some(algorithm),
                qop_auth: true,
                stale,
            };
            headers.push(challenge.to_string());
        }
        if tls && self.clear_passwords {
            headers.push(format!("Basic realm=\"{REALM}\", charset=\"UTF-8\""));
        }
        Ok(headers)
    }

    /// Takes up a fingerprint that the audit log recorded before a restart, of a client that is not in the configuration
    /// at the moment, too: it may come back. Says whether it is kept: a time long past needs none.
    pub fn restore(
        &self,
        client: &ClientId,
        fingerprint: NonceFingerprint,
        recorded: Timestamp,
        clock: &dyn Clock,
    ) -> bool {
        let age = clock.now().duration_since(recorded).as_secs().max(0);
        let now = seconds(clock.monotonic());
        let fresh = age <= 2 * seconds(WSSE_CREATED_SKEW_MAX);
        fresh && self.used_by(client, |used| used.nonces.remember(fingerprint.0, now - age, now)).is_ok()
    }

    /// Takes every token of a client made before now for used: before a restart it asked in series, of whose tokens the
    /// log has the first alone. One that a client whose clock is ahead made then is told apart from later ones by nothing;
    /// a client whose clock is behind waits as long as it is.
    pub fn restore_series(&self, client: &ClientId, clock: &dyn Clock) {
        // Nothing in it can fail.
        let _ = self.used_by(client, |used| {
            used.from = Some(clock.now());
            Ok(())
        });
    }

    fn used_by(
        &self,
        client: &ClientId,
        take: impl FnOnce(&mut Used) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let mut all = self.lasting.used.lock().unwrap_or_else(PoisonError::into_inner);
        let used = Arc::clone(all.entry(client.to_string()).or_default());
        drop(all);
        let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
        take(&mut used)
    }

    fn account(&self, name: &str) -> (&Account, bool) {
        self.accounts.get(name).map_or((&self.lasting.decoy, false), |account| (account, true))
    }

    /// Over everything the digest covers but the password, and over the border between nonce and time
    /// not at all: shifting bytes across it keeps the digest and must keep the fingerprint.
    fn fingerprint(&self, token: &WsseToken<'_>) -> NonceFingerprint {
        let mut context = hmac::Context::with_key(&self.lasting.fingerprint_key);
        context.update(token.username.as_bytes());
        context.update(&[0]);
        context.update(token.nonce);
        context.update(token.created.as_bytes());
        let tag = context.sign();
        NonceFingerprint(number(tag.as_ref()))
    }

    /// Time of issue in milliseconds, a random number, and a tag over both.
    fn seal_nonce(&self, issued: Duration, random: u64) -> String {
        let milliseconds = u64::try_from(issued.as_millis()).unwrap_or(u64::MAX);
        let mut bytes = Vec::with_capacity(NONCE_BODY_BYTES + NONCE_TAG_BYTES);
        bytes.extend_from_slice(&milliseconds.to_be_bytes());
        bytes.extend_from_slice(&random.to_be_bytes());
        let tag = hmac::sign(&self.lasting.nonce_key, &bytes);
        bytes.extend(tag.as_ref().iter().take(NONCE_TAG_BYTES));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn open_nonce(&self, nonce: &str) -> Option<(Duration, u64)> {
        let bytes = URL_SAFE_NO_PAD.decode(nonce).ok()?;
        let (body, tag) = bytes.split_at_checked(NONCE_BODY_BYTES)?;
        let expected = hmac::sign(&self.lasting.nonce_key, body);
        let genuine: bool = expected.as_ref().get(..NONCE_TAG_BYTES)?.ct_eq(tag).into();
        let (issued, random) = body.split_at_checked(NONCE_TIME_BYTES)?;
        genuine.then(|| (Duration::from_millis(number(issued)), number(random)))
    }
}

impl Account {
    /// The checks that come after the digest was computed, whatever it was.
    fn admit(&self, known: bool, right: bool, shown: &Shown<'_>) -> Result<(), Failure> {
        let source: IpAddr = shown.source.ip().to_canonical();
        if !known {
            Err(Failure::UnknownClient)
        } else if !right {
            Err(Failure::WrongPassword)
        } else if !self.record.networks.iter().any(|network| network.contains(&source)) {
            Err(Failure::Network)
        } else if shown.camera.is_some_and(|camera| !self.record.cameras.contains(camera)) {
            Err(Failure::Camera)
        } else {
            Ok(())
        }
    }

    fn used<T>(&self, take: impl FnOnce(&mut Used) -> Result<T, Refused>) -> Result<T, Failure> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        take(&mut used).map_err(|refused| match refused {
            Refused::Used => Failure::Replayed,
            Refused::Full => Failure::TooMany,
        })
    }

    fn caller(&self, shown: &Shown<'_>, method: Method) -> Caller {
        let Shown { source, tls, .. } = *shown;
        Caller::Client { id: self.record.id.clone(), role: self.record.role, source, method, tls }
    }
}

/// A password for who has none.
fn nobody_knows(unknowable: &hmac::Key, purpose: &str) -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(hmac::sign(unknowable, purpose.as_bytes()).as_ref()))
}

fn decoy() -> Result<ClientRecord, EntropyError> {
    Ok(ClientRecord {
        id: ClientId::new("nobody").map_err(|_| EntropyError)?,
        role: Role::User,
        password: None,
        certificates: Vec::new(),
        networks: Vec::new(),
        cameras: CameraScope::Only(Vec::new()),
    })
}

fn refuse(failure: Failure, claimed: Option<&str>) -> AuthError {
    AuthError { failure, claimed: claimed.map(plain) }
}

/// A name as records have it.
fn plain(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control()).take(CLAIMED_NAME_CHARS_MAX).collect()
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// The first eight bytes as a number.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
#[path = "authenticator_tests.rs"]
mod tests;
