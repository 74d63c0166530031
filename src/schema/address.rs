//! Addresses as text: IP literals, host names, URIs, and both of them inside free text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Who a URI's authority names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Host<'a> {
    /// An IP literal.
    Ip(IpAddr),
    /// A name.
    Name(&'a str),
}

/// A URI with an authority, cut into its parts (RFC 3986 §3). Zone ids are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uri<'a> {
    /// The scheme as written.
    pub scheme: &'a str,
    /// What stands before `@`.
    pub userinfo: Option<&'a str>,
    /// The host.
    pub host: Host<'a>,
    /// The port, where one is given.
    pub port: Option<u16>,
    /// The path, empty or beginning with `/`.
    pub path: &'a str,
    /// What stands after `?`.
    pub query: Option<&'a str>,
    /// What stands after `#`.
    pub fragment: Option<&'a str>,
}

impl<'a> Uri<'a> {
    /// Takes `scheme://authority/path?query#fragment`; none if the text is another kind of URI or none.
    pub fn parse(text: &'a str) -> Option<Self> {
        if !text.chars().all(is_uri_character) {
            return None;
        }
        let (scheme, rest) = text.split_once("://")?;
        if !is_scheme(scheme) {
            return None;
        }
        let (authority, tail) = split_before(rest, &['/', '?', '#']);
        let (userinfo, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, port) = split_port(place)?;
        let (before, fragment) =
            tail.split_once('#').map_or((tail, None), |(it, fragment)| (it, Some(fragment)));
        let (path, query) = before.split_once('?').map_or((before, None), |(it, query)| (it, Some(query)));
        Some(Self { scheme, userinfo, host, port, path, query, fragment })
    }

    /// Path, query and fragment as one text beginning with `/`.
    pub fn path_and_query(&self) -> String {
        let path = if self.path.is_empty() { "/" } else { self.path };
        match self.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }
    }
}

/// An address found in free text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAddress<'a> {
    /// Who is named.
    pub host: Host<'a>,
    /// The port, where one is given.
    pub port: Option<u16>,
    /// The scheme, if it is the authority of a URI.
    pub scheme: Option<&'a str>,
    /// Whether a login stands before it.
    pub userinfo: bool,
    /// Where in the text it stands, in bytes.
    pub at: usize,
}

/// An IPv4 or IPv6 literal, the latter with or without brackets.
pub fn parse_ip_literal(text: &str) -> Option<IpAddr> {
    if let Some(v4) = parse_ipv4(text) {
        return Some(IpAddr::V4(v4));
    }
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
    parse_ipv6(bare).map(IpAddr::V6)
}

/// Four decimal numbers of at most three digits and no leading zero, as RFC 3986 §3.2.2 has it.
pub fn parse_ipv4(text: &str) -> Option<Ipv4Addr> {
    text.parse().ok()
}

/// An IPv6 literal without brackets or zone id.
pub fn parse_ipv6(text: &str) -> Option<Ipv6Addr> {
    text.parse().ok()
}

/// As [`parse_ipv6`], with the prefix length that cameras append.
pub(super) fn parse_ipv6_lenient(text: &str) -> Option<Ipv6Addr> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "0"));
    prefix.parse::<u8>().ok().filter(|it| *it <= 128).and_then(|_| parse_ipv6(address))
}

/// Whether the text is a host name or an IP literal.
pub fn is_host(text: &str) -> bool {
    parse_ip_literal(text).is_some() || is_host_name(text)
}

/// Whether the text is a host name: labels of letters, digits, `-` and `_` with dots between, at most 253
/// bytes.
pub fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    (1..=253).contains(&name.len())
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

/// Whether the text can stand as an `xs:anyURI` whose authority, if it has one, can be read.
pub(super) fn is_uri_reference(text: &str) -> bool {
    text.chars().all(is_uri_character)
        && (!text.contains("://") || Uri::parse(text).is_some() || !has_authority(text))
}

/// The addresses that stand in a text: IP literals, and the hosts of URIs. A literal counts only where no
/// letter, digit or dot touches it, so `v5.55.1.2` and `1.2.3.4.5` hold none; `5.55.1.2` holds one, and the
/// caller knows which addresses matter.
pub fn find_addresses(text: &str) -> impl Iterator<Item = FoundAddress<'_>> {
    Finder { text, at: 0 }
}

/// The IPv4 addresses that words of a text are as inet_aton(3) reads them, with the number of their parts:
/// `0x7f.1.2.3`, `017700000001`, `127.66051`. A number with a leading zero is read as octal and as decimal. Fewer
/// than four parts count only if the last is too large for one, so that `10.5` is none.
pub fn find_numeric_ipv4(text: &str) -> impl Iterator<Item = (Ipv4Addr, usize)> {
    let words = text.split(|it: char| !it.is_alphanumeric() && it != '.');
    words.map(|word| word.trim_matches('.')).flat_map(|word| {
        let octal = numeric_ipv4(word, true);
        let decimal = numeric_ipv4(word, false).filter(|it| Some(*it) != octal);
        let parts = word.split('.').count();
        [octal, decimal].into_iter().flatten().map(move |address| (address, parts))
    })
}

fn numeric_ipv4(word: &str, octal: bool) -> Option<Ipv4Addr> {
    let mut bits = 0_u64;
    let mut width = 32;
    let mut parts = word.split('.').peekable();
    while let Some(part) = parts.next() {
        let number = match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
            Some(digits) => u64::from_str_radix(digits, 16),
            None if octal && part.len() > 1 && part.starts_with('0') => u64::from_str_radix(part, 8),
            None => part.parse(),
        };
        let number = number.ok()?;
        let last = parts.peek().is_none();
        let fits = if last { number >> width == 0 } else { number < 256 && width > 8 };
        let told = !last || width == 8 || number >> (width - 8) != 0;
        if !fits || !told {
            return None;
        }
        bits |= if last { number } else { number << (width - 8) };
        width -= 8;
    }
    u32::try_from(bits).ok().map(Ipv4Addr::from_bits)
}

struct Finder<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Finder<'a> {
    type Item = FoundAddress<'a>;

    fn next(&mut self) -> Option<FoundAddress<'a>> {
        loop {
            let rest = self.text.get(self.at..)?;
            let start = self.at + rest.find(is_address_start)?;
            let run = self.run(start)?;
            let authority = run.find("//").map(|at| start + at + 2);
            let found = read_run(run);
            self.at = match (authority, &found) {
                // What stands before `@`, or makes an authority unreadable, may be an address all the same.
                (Some(inside), None | Some(FoundAddress { userinfo: true, .. })) => inside,
                _ => start + run.len().max(1),
            };
            if let Some(found) = found {
                return Some(FoundAddress { at: start, ..found });
            }
        }
    }
}

impl<'a> Finder<'a> {
    /// The characters from `start` on that an address or a scheme with its authority could be made of.
    fn run(&self, start: usize) -> Option<&'a str> {
        let rest = self.text.get(start..)?;
        let plain = rest.find(|it| !is_run_character(it)).unwrap_or(rest.len());
        // `scheme://` runs on to the end of the authority.
        let after = rest.get(plain..)?;
        if let Some(authority) = after.strip_prefix("//")
            && rest.get(..plain).is_some_and(|it| it.ends_with(':'))
        {
            let length = authority.find(|it| !is_authority_character(it)).unwrap_or(authority.len());
            return rest.get(..plain + 2 + length);
        }
        rest.get(..plain)
    }
}

/// What a run of address characters names.
fn read_run(run: &str) -> Option<FoundAddress<'_>> {
    let found = |host, port| FoundAddress { host, port, scheme: None, userinfo: false, at: 0 };
    if let Some((scheme, authority)) = run.split_once("//") {
        let place = authority.rsplit_once('@').map(|(_, place)| place);
        let userinfo = place.is_some();
        let place = place.unwrap_or(authority).trim_end_matches(['.', ',', ';', ':']);
        let (host, port) = split_port(place)?;
        let scheme = scheme.trim_end_matches(':').rsplit(':').next();
        return Some(FoundAddress { scheme, userinfo, ..found(host, port) });
    }
    let trimmed = run.trim_end_matches(['.', ':', ',']);
    if let Some(inside) = trimmed.strip_prefix('[') {
        // Where the bracket is not closed, a zone id stands behind the address.
        let (host, rest) = inside.split_once(']').unwrap_or((inside, ""));
        let address = parse_ipv6(host)?;
        let port = rest.strip_prefix(':').and_then(|it| it.parse().ok());
        return Some(found(Host::Ip(address.into()), port));
    }
    if let Some(address) = parse_ip_literal(trimmed.trim_end_matches(']')) {
        return Some(found(Host::Ip(address), None));
    }
    let (host, port) = trimmed.split_once(':')?;
    let port = port.split(':').next().and_then(|it| it.parse().ok());
    Some(found(Host::Ip(parse_ipv4(host)?.into()), port))
}

fn is_address_start(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '[' | ':')
}

fn is_run_character(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '.' | ':' | '[' | ']')
}

fn is_authority_character(character: char) -> bool {
    !matches!(
        character,
        '/' | '\\' | '?' | '#' | ' ' | '\t' | '\r' | '\n' | '"' | '\'' | '<' | '>' | ')' | '|'
    )
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|it: char| it.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

fn has_authority(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme))
}

fn is_uri_character(character: char) -> bool {
    // RFC 3986 with the characters beyond ASCII that XSD lets into anyURI; `{ } | \ ^` and the like stand in
    // cameras' query strings and harm nobody.
    !character.is_control() && !matches!(character, ' ' | '"' | '<' | '>' | '\\')
}

fn split_before<'a>(text: &'a str, stops: &[char]) -> (&'a str, &'a str) {
    text.find(stops).and_then(|at| text.split_at_checked(at)).unwrap_or((text, ""))
}

fn split_port(place: &str) -> Option<(Host<'_>, Option<u16>)> {
    if let Some(inside) = place.strip_prefix('[') {
        let (host, rest) = inside.split_once(']')?;
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            None => return None,
            Some(port) => parse_port(port)?,
        };
        return Some((Host::Ip(parse_ipv6(host)?.into()), port));
    }
    let (host, port) = match place.split_once(':') {
        Some((host, port)) => (host, parse_port(port)?),
        None => (place, None),
    };
    if let Some(address) = parse_ipv4(host) {
        return Some((Host::Ip(address.into()), port));
    }
    is_host_name(host).then_some((Host::Name(host), port))
}

/// A port; an empty one is none (RFC 3986 §3.2.3).
fn parse_port(text: &str) -> Option<Option<u16>> {
    if text.is_empty() {
        return Some(None);
    }
    let digits = text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok().map(Some) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Host<'static> {
        Host::Ip(text.parse().unwrap())
    }

    #[test]
    fn uris_are_cut_into_their_parts() {
        let uri = Uri::parse("rtsp://u:p@10.0.0.9:554/a/b?c=d&e#f").unwrap();
        assert_eq!(
            (uri.scheme, uri.userinfo, uri.host, uri.port),
            ("rtsp", Some("u:p"), ip("10.0.0.9"), Some(554))
        );
        assert_eq!((uri.path, uri.query, uri.fragment), ("/a/b", Some("c=d&e"), Some("f")));
        assert_eq!(Uri::parse("http://[fe80::1]:80/").unwrap().host, ip("fe80::1"));
        assert_eq!(Uri::parse("http://cam-1.lan").unwrap().host, Host::Name("cam-1.lan"));
        for bad in [
            "http://[fe80::1%25eth0]/",
            "http://a b/",
            "http://a:99999/",
            "//a/",
            "1http://a/",
            "http:///x",
            "http://a:b:c/",
        ] {
            assert_eq!(Uri::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn literals_are_strict() {
        assert_eq!(parse_ip_literal("[::1]"), Some("::1".parse().unwrap()));
        for bad in ["1.2.3", "01.2.3.4", "1.2.3.256", "0x7f.0.0.1", "fe80::1%eth0", "", "[1.2.3.4]x"] {
            assert_eq!(parse_ip_literal(bad), None, "{bad}");
        }
    }

    #[test]
    fn addresses_are_found_on_word_boundaries() {
        let hosts = |text| find_addresses(text).map(|it| (it.host, it.port)).collect::<Vec<_>>();
        assert_eq!(hosts("5.55.1.2"), [(ip("5.55.1.2"), None)]);
        assert_eq!(hosts("V5.55.1.2"), []);
        assert_eq!(hosts("1.2.3.4.5"), []);
        assert_eq!(
            hosts("see 10.0.0.9, or 10.0.0.8:80."),
            [(ip("10.0.0.9"), None), (ip("10.0.0.8"), Some(80))]
        );
        assert_eq!(
            hosts("at http://admin:x@cam.lan:81/p?u=rtsp://10.1.1.1/"),
            [(Host::Name("cam.lan"), Some(81)), (ip("10.1.1.1"), None)]
        );
        assert_eq!(hosts("fe80::1 [::2]:99"), [(ip("fe80::1"), None), (ip("::2"), Some(99))]);
        assert_eq!(hosts("12:30:45 a::b::c MAC 00:11:22:33:44:55"), []);
        assert_eq!(hosts("ip=192.168.1.64&x"), [(ip("192.168.1.64"), None)]);
        assert_eq!(hosts("ä10.0.0.1 (10.0.0.2)"), [(ip("10.0.0.2"), None)]);
        assert_eq!(hosts("cam-10.0.0.1-main_10.0.0.2+x"), [(ip("10.0.0.1"), None), (ip("10.0.0.2"), None)]);
        assert_eq!(hosts("fe80::1%eth0 [fe80::2%eth0]"), [(ip("fe80::1"), None), (ip("fe80::2"), None)]);
    }

    #[test]
    fn an_authority_that_cannot_be_read_is_searched_all_the_same() {
        let hosts = |text| find_addresses(text).map(|it| it.host).collect::<Vec<_>>();
        assert_eq!(hosts("http://10.0.0.1:99999/ http://10.0.0.2:80:80/"), [ip("10.0.0.1"), ip("10.0.0.2")]);
        assert_eq!(hosts("http://[fe80::1%25eth0]:80/"), [ip("fe80::1")]);
        assert_eq!(hosts("rtsp://rtsp://10.0.0.3/"), [Host::Name("rtsp"), ip("10.0.0.3")]);
        assert_eq!(hosts("http://10.0.0.4@cam.lan/"), [Host::Name("cam.lan"), ip("10.0.0.4")]);
        let found = find_addresses("at rtsp://u:p@cam.lan:554/").next().unwrap();
        assert_eq!((found.scheme, found.userinfo, found.port), (Some("rtsp"), true, Some(554)));
    }

    #[test]
    fn numbers_are_addresses_where_inet_aton_takes_them_for_one() {
        let found = |text| find_numeric_ipv4(text).map(|(it, _)| it.to_string()).collect::<Vec<_>>();
        assert_eq!(found("0x7f.0.0.1"), ["127.0.0.1"]);
        assert_eq!(found("at 0xC0A80140."), ["192.168.1.64"]);
        assert_eq!(found("0300.0250.01.0100"), ["192.168.1.64"]);
        assert_eq!(found("192.168.001.064"), ["192.168.1.52", "192.168.1.64"]);
        assert_eq!(found("030052000500"), ["192.168.1.64"]);
        assert_eq!(found("192.11010368 192.168.320"), ["192.168.1.64", "192.168.1.64"]);
        assert_eq!(found("10.5 10.0.5 25 1920.1080 5.0 0x12 V5.5.0 1.2.3.4.5 2026"), [""; 0]);
    }
}
