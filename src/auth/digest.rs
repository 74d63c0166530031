//! HTTP digest (RFC 7616): challenges, credentials and the response, for both sides of the gateway.

use std::fmt::{self, Write};

use aws_lc_rs::digest as aws;
use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

use super::{Login, parameters::Scheme};
use crate::limits::AUTH_CHALLENGES_MAX;

/// Why a header is no challenge and no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// Longer than the bound.
    #[error("authentication header is too long")]
    TooLong,
    /// More challenges or parameters than the bounds.
    #[error("authentication header has too many parts")]
    TooMany,
    /// A name was expected.
    #[error("authentication header has a character where a name is expected")]
    Token,
    /// A parameter stands before any scheme.
    #[error("authentication header names no scheme")]
    NoScheme,
    /// A quoted value does not end.
    #[error("authentication header has an unfinished quoted value")]
    OpenQuote,
    /// A parameter stands twice.
    #[error("authentication parameter `{0}` stands twice")]
    Twice(String),
    /// The scheme is another one.
    #[error("authentication scheme `{0}` is not offered")]
    Scheme(String),
    /// A mandatory parameter is missing.
    #[error("digest parameter `{0}` is missing")]
    Missing(&'static str),
    /// A parameter has a value it cannot have.
    #[error("digest parameter `{0}` has an impossible value")]
    Value(&'static str),
}

/// A hash function for digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// MD5, the default of ONVIF.
    Md5,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    /// The name in headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256].into_iter().find(|known| known.as_str().eq_ignore_ascii_case(text))
    }

    fn hash(self, parts: &[&str]) -> Zeroizing<String> {
        let text = Zeroizing::new(parts.join(":"));
        match self {
            Self::Md5 => hexadecimal(&Md5::digest(text.as_bytes())),
            Self::Sha256 => hexadecimal(aws::digest(&aws::SHA256, text.as_bytes()).as_ref()),
        }
    }
}

/// One challenge of a `WWW-Authenticate` header that can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// What the password belongs to.
    pub realm: String,
    /// The server's nonce.
    pub nonce: String,
    /// To be sent back as it came.
    pub opaque: Option<String>,
    /// The hash; `None` if the challenge names none, which means MD5.
    pub algorithm: Option<Algorithm>,
    /// Whether `qop=auth` is offered; if not, the old form of RFC 2069 is answered.
    pub qop_auth: bool,
    /// Whether only the nonce was too old.
    pub stale: bool,
}

impl Challenge {
    /// Reads all digest challenges out of any number of headers. Schemes, hashes and qualities of
    /// protection that cannot be answered are left out, and so is a header that breaks the grammar.
    pub fn parse_all(headers: &[&str]) -> Vec<Self> {
        headers
            .iter()
            .filter_map(|header| Scheme::read_all(header).ok())
            .flatten()
            .filter_map(|scheme| Self::of(&scheme))
            .take(AUTH_CHALLENGES_MAX)
            .collect()
    }

    /// The strongest of several challenges; the first among equals.
    pub fn preferred(challenges: &[Self]) -> Option<&Self> {
        challenges
            .iter()
            .find(|challenge| challenge.algorithm == Some(Algorithm::Sha256))
            .or_else(|| challenges.first())
    }

    /// The hash to use.
    pub fn hash(&self) -> Algorithm {
        self.algorithm.unwrap_or(Algorithm::Md5)
    }

    fn of(scheme: &Scheme) -> Option<Self> {
        if !scheme.is("Digest") {
            return None;
        }
        let qop_auth = match scheme.get("qop") {
            Some(offered) => {
                let auth = offered.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth"));
                auth.then_some(true)?
            }
            None => false,
        };
        let algorithm = match scheme.get("algorithm") {
            Some(text) => Some(Algorithm::parse(text)?),
            None => None,
        };
        Some(Self {
            realm: scheme.get("realm")?.to_owned(),
            nonce: scheme.get("nonce")?.to_owned(),
            opaque: scheme.get("opaque").map(str::to_owned),
            algorithm,
            qop_auth,
            stale: scheme.get("stale").is_some_and(|text| text.eq_ignore_ascii_case("true")),
        })
    }
}

impl fmt::Display for Challenge {
    /// The value of a `WWW-Authenticate` header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest realm={}, nonce={}", Quoted(&self.realm), Quoted(&self.nonce))?;
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque={}", Quoted(opaque))?;
        }
        if self.qop_auth {
            f.write_str(", qop=\"auth\"")?;
        }
        if let Some(algorithm) = self.algorithm {
            write!(f, ", algorithm={}", algorithm.as_str())?;
        }
        if self.stale {
            f.write_str(", stale=true")?;
        }
        Ok(())
    }
}

/// How often a nonce was used, with the client's own nonce (`qop=auth`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// How often the nonce was used, from 1.
    pub nc: u32,
    /// The client's nonce.
    pub cnonce: String,
}

/// What stands in an `Authorization: Digest` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Who claims to call.
    pub username: String,
    /// The realm of the challenge.
    pub realm: String,
    /// The nonce of the challenge.
    pub nonce: String,
    /// The request target.
    pub uri: String,
    /// The response, in hexadecimal.
    pub response: String,
    /// The hash; `None` means MD5 and is not written.
    pub algorithm: Option<Algorithm>,
    /// Present with `qop=auth`.
    pub count: Option<Count>,
    /// Sent back as it came.
    pub opaque: Option<String>,
}

impl Credentials {
    /// Reads the value of an `Authorization` header.
    pub fn parse(header: &str) -> Result<Self, GrammarError> {
        let schemes = Scheme::read_all(header)?;
        let [scheme] = schemes.as_slice() else {
            return Err(if schemes.is_empty() { GrammarError::NoScheme } else { GrammarError::TooMany });
        };
        if !scheme.is("Digest") {
            return Err(GrammarError::Scheme(scheme.name.clone()));
        }
        let needed = |name| scheme.get(name).map(str::to_owned).ok_or(GrammarError::Missing(name));
        let algorithm = match scheme.get("algorithm") {
            Some(text) => Some(Algorithm::parse(text).ok_or(GrammarError::Value("algorithm"))?),
            None => None,
        };
        Ok(Self {
            username: needed("username")?,
            realm: needed("realm")?,
            nonce: needed("nonce")?,
            uri: needed("uri")?,
            response: needed("response")?,
            algorithm,
            count: count(scheme)?,
            opaque: scheme.get("opaque").map(str::to_owned),
        })
    }

    /// Answers a challenge. `nc` counts the uses of its nonce from 1; `cnonce` must be unpredictable.
    pub fn answer(
        challenge: &Challenge,
        login: &Login,
        method: &str,
        uri: &str,
        cnonce: &str,
        nc: u32,
    ) -> Self {
        let mut credentials = Self {
            username: login.username.clone(),
            realm: challenge.realm.clone(),
            nonce: challenge.nonce.clone(),
            uri: uri.to_owned(),
            response: String::new(),
            algorithm: challenge.algorithm,
            count: challenge.qop_auth.then(|| Count { nc, cnonce: cnonce.to_owned() }),
            opaque: challenge.opaque.clone(),
        };
        credentials.response = credentials.expected(login.password.expose(), method);
        credentials
    }

    /// The hash used.
    pub fn hash(&self) -> Algorithm {
        self.algorithm.unwrap_or(Algorithm::Md5)
    }

    /// The response that these credentials have if the password is this one (RFC 7616 §3.4.1).
    pub fn expected(&self, password: &str, method: &str) -> String {
        let hash = self.hash();
        let secret = hash.hash(&[&self.username, &self.realm, password]);
        let request = hash.hash(&[method, &self.uri]);
        let response = match &self.count {
            Some(Count { nc, cnonce }) => {
                hash.hash(&[&secret, &self.nonce, &format!("{nc:08x}"), cnonce, "auth", &request])
            }
            None => hash.hash(&[&secret, &self.nonce, &request]),
        };
        response.as_str().to_owned()
    }
}

impl fmt::Display for Credentials {
    /// The value of an `Authorization` header, quoted exactly as RFC 7616 §3.4 wants it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, realm) = (Quoted(&self.username), Quoted(&self.realm));
        write!(f, "Digest username={name}, realm={realm}, nonce={}", Quoted(&self.nonce))?;
        write!(f, ", uri={}", Quoted(&self.uri))?;
        if let Some(algorithm) = self.algorithm {
            write!(f, ", algorithm={}", algorithm.as_str())?;
        }
        if let Some(Count { nc, cnonce }) = &self.count {
            write!(f, ", qop=auth, nc={nc:08x}, cnonce={}", Quoted(cnonce))?;
        }
        write!(f, ", response={}", Quoted(&self.response))?;
        match &self.opaque {
            Some(opaque) => write!(f, ", opaque={}", Quoted(opaque)),
            None => Ok(()),
        }
    }
}

fn count(scheme: &Scheme) -> Result<Option<Count>, GrammarError> {
    let Some(qop) = scheme.get("qop") else {
        return Ok(None);
    };
    if !qop.eq_ignore_ascii_case("auth") {
        return Err(GrammarError::Value("qop"));
    }
    let nc = scheme.get("nc").ok_or(GrammarError::Missing("nc"))?;
    let hexadecimal = nc.len() == 8 && nc.bytes().all(|byte| byte.is_ascii_hexdigit());
    let nc = hexadecimal.then(|| u32::from_str_radix(nc, 16).ok()).flatten();
    let cnonce = scheme.get("cnonce").ok_or(GrammarError::Missing("cnonce"))?.to_owned();
    Ok(Some(Count { nc: nc.ok_or(GrammarError::Value("nc"))?, cnonce }))
}

fn hexadecimal(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A quoted string: quotes and backslashes escaped, control characters left out so that no value can
/// begin a header of its own.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for letter in self.0.chars().filter(|letter| !letter.is_control()) {
            if matches!(letter, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(letter)?;
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Secret;

    const RFC_MD5: &str = r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;
    const RFC_CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

    fn login(username: &str, password: &str) -> Login {
        Login { username: username.into(), password: Secret::new(password.into()) }
    }

    #[test]
    fn the_examples_of_rfc_7616_3_9_1_hold() {
        let sha = RFC_MD5.replace("MD5", "SHA-256");
        let challenges = Challenge::parse_all(&[&format!("{RFC_MD5}, {sha}")]);
        let responses: Vec<String> = challenges
            .iter()
            .map(|challenge| {
                let login = login("Mufasa", "Circle of Life");
                Credentials::answer(challenge, &login, "GET", "/dir/index.html", RFC_CNONCE, 1).response
            })
            .collect();
        assert_eq!(
            responses,
            [
                "8ca523f5e9506fed4657c9700eebdbec",
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
            ]
        );
        assert_eq!(Challenge::preferred(&challenges).unwrap().hash(), Algorithm::Sha256);
    }

    #[test]
    fn responses_are_those_of_an_independent_client() {
        for (realm, qop, algorithm, user) in [
            ("DS-2CD2042", r#", qop="auth""#, "", "admin"),
            ("Login to 3A0", r#", qop="auth,auth-int""#, ", algorithm=MD5", r#"o"brien\x"#),
            ("AXIS_00408C", r#", qop="auth""#, ", algorithm=SHA-256", "root"),
            ("old", "", "", "root"),
        ] {
            let header = format!(r#"Digest realm="{realm}", nonce="abc/12=="{qop}{algorithm}, opaque="""#);
            let mut oracle = digest_auth::parse(&header).unwrap();
            let uri = "/onvif/device_service?x=1";
            let mut context = digest_auth::AuthContext::new_post::<_, _, _, &[u8]>(user, "p:ss", uri, None);
            context.set_custom_cnonce("0a4f113b");
            let theirs = Credentials::parse(&oracle.respond(&context).unwrap().to_string()).unwrap();
            let challenges = Challenge::parse_all(&[&header]);
            let ours = Credentials::answer(&challenges[0], &login(user, "p:ss"), "POST", uri, "0a4f113b", 1);
            assert_eq!(ours.response, theirs.response, "{header}");
            assert_eq!(Credentials::parse(&ours.to_string()).unwrap(), ours, "{header}");
        }
    }

    #[test]
    fn credentials_are_written_as_the_rfc_quotes_them() {
        let challenge = &Challenge::parse_all(&[RFC_MD5])[0];
        let login = login("Mufasa", "Circle of Life");
        let text = Credentials::answer(challenge, &login, "GET", "/dir/index.html", "c", 0x1f).to_string();
        assert!(text.contains("algorithm=MD5, qop=auth, nc=0000001f, cnonce=\"c\""), "{text}");
        assert!(text.contains(r#"uri="/dir/index.html""#), "{text}");
    }

    #[test]
    fn what_cannot_be_answered_is_passed_over() {
        let read = |headers: &[&str]| {
            Challenge::parse_all(headers).into_iter().map(|challenge| challenge.realm).collect::<Vec<_>>()
        };
        assert_eq!(
            read(&[
                r#"Basic realm="b", Digest realm=c, nonce=1 qop="auth", Bearer"#,
                r#"Digest realm="int", nonce="1", qop="auth-int""#,
                r#"Digest realm="sha512", nonce="1", algorithm=SHA-512-256"#,
                r#"Digest realm="open"#,
                "Negotiate a==",
                r#"digest realm="d",, nonce="2", algorithm="md5", stale=TRUE"#,
            ]),
            ["c", "d"]
        );
    }

    #[test]
    fn broken_credentials_name_what_breaks_them() {
        let whole = r#"Digest username="u", realm="r", nonce="n", uri="/", response="x", qop=auth, nc=00000001, cnonce="c""#;
        assert_eq!(Credentials::parse(whole).unwrap().count.unwrap().nc, 1);
        for (from, to, error) in [
            ("nc=00000001", "nc=1", GrammarError::Value("nc")),
            ("nc=00000001", "nc=+0000001", GrammarError::Value("nc")),
            ("qop=auth", "qop=auth-int", GrammarError::Value("qop")),
            (r#"uri="/""#, r#"url="/""#, GrammarError::Missing("uri")),
            (r#"realm="r""#, r#"nonce="n""#, GrammarError::Twice("nonce".into())),
            ("Digest", "Basic", GrammarError::Scheme("Basic".into())),
            (r#""c""#, r#""c"#, GrammarError::OpenQuote),
        ] {
            assert_eq!(Credentials::parse(&whole.replace(from, to)), Err(error), "{to}");
        }
        assert_eq!(Credentials::parse(&"a".repeat(4_097)), Err(GrammarError::TooLong));
    }
}
