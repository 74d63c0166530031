//! The values of fields: transports and sessions (RFC 2326 §12).

use std::fmt;

use super::rtp::Ssrc;
use crate::limits::{RTSP_SESSION_BYTES_MAX, RTSP_TRANSPORTS_MAX, SDP_MEDIA_MAX};

/// The feature by which a client may talk back (ONVIF Streaming Specification §5.3).
pub const BACKCHANNEL_FEATURE: &str = "www.onvif.org/ver20/backchannel";

/// How packets travel below RTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lower {
    /// Datagrams.
    Udp,
    /// Interleaved with the messages of the connection.
    Tcp,
}

/// One transport that a client would take, or that a server gives (RFC 2326 §12.39). What neither side has use
/// for (`destination`, `source`, `ttl`) is not in here, so that nobody can be told to send elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transport {
    /// What carries RTP.
    pub lower: Lower,
    /// Whether it is meant for one receiver; without either word RFC 2326 says multicast, and everybody means
    /// unicast.
    pub unicast: bool,
    /// The channels of RTP and RTCP on the connection.
    pub interleaved: Option<(u8, u8)>,
    /// The client's ports of RTP and RTCP.
    pub client_port: Option<(u16, u16)>,
    /// The server's ports of RTP and RTCP.
    pub server_port: Option<(u16, u16)>,
    /// The sender's synchronization source.
    pub ssrc: Option<Ssrc>,
    /// Whether the client would send to the server instead (`mode=record`).
    pub record: bool,
}

impl Transport {
    /// Interleaved on these channels.
    pub fn interleaved(channels: (u8, u8)) -> Self {
        Self {
            lower: Lower::Tcp,
            unicast: true,
            interleaved: Some(channels),
            client_port: None,
            server_port: None,
            ssrc: None,
            record: false,
        }
    }

    /// In datagrams between these ports.
    pub fn datagrams(client_port: (u16, u16), server_port: (u16, u16)) -> Self {
        Self {
            lower: Lower::Udp,
            interleaved: None,
            client_port: Some(client_port),
            server_port: Some(server_port),
            ..Self::interleaved((0, 1))
        }
    }

    /// The transports of a field, the preferred first; those that are not RTP/AVP are left out. At most
    /// `RTSP_TRANSPORTS_MAX` are looked at.
    pub fn parse_list(text: &str) -> Vec<Self> {
        text.split(',').take(RTSP_TRANSPORTS_MAX).filter_map(Self::parse).collect()
    }

    /// One transport; none if it is another profile's, or a parameter it is understood by is malformed.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let lower = match parts.next()?.to_ascii_uppercase().as_str() {
            "RTP/AVP" | "RTP/AVP/UDP" => Lower::Udp,
            "RTP/AVP/TCP" => Lower::Tcp,
            _ => return None,
        };
        let mut transport = Self { lower, interleaved: None, ..Self::interleaved((0, 1)) };
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "multicast" => transport.unicast = false,
                "interleaved" => transport.interleaved = Some(pair(value)?),
                "client_port" => transport.client_port = Some(pair(value)?),
                "server_port" => transport.server_port = Some(pair(value)?),
                // Some cameras write it with spaces, or leave it empty; it is pinned by what comes then.
                "ssrc" => transport.ssrc = u32::from_str_radix(value.trim(), 16).ok().map(Ssrc),
                "mode" => transport.record = value.eq_ignore_ascii_case("record"),
                _ => {}
            }
        }
        Some(transport)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.lower {
            Lower::Tcp => "RTP/AVP/TCP",
            Lower::Udp => "RTP/AVP",
        })?;
        f.write_str(if self.unicast { ";unicast" } else { ";multicast" })?;
        let mut ports = |name: &str, pair: Option<(u16, u16)>| match pair {
            Some((rtp, rtcp)) => write!(f, ";{name}={rtp}-{rtcp}"),
            None => Ok(()),
        };
        ports("interleaved", self.interleaved.map(|(rtp, rtcp)| (rtp.into(), rtcp.into())))?;
        ports("client_port", self.client_port)?;
        ports("server_port", self.server_port)?;
        match self.ssrc {
            Some(Ssrc(ssrc)) => write!(f, ";ssrc={ssrc:08X}"),
            None => Ok(()),
        }
    }
}

/// Where a stream begins that is about to play (RFC 2326 §12.33).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begins {
    /// The address that controls it.
    pub url: String,
    /// The number of its first packet.
    pub sequence: Option<u16>,
    /// The timestamp of its first packet.
    pub timestamp: Option<u32>,
}

impl Begins {
    /// The streams of a field, at most `SDP_MEDIA_MAX`; those of which nothing is said are left out. Addresses are not
    /// quoted, and may hold what stands between streams and between their numbers.
    pub fn parse_list(text: &str) -> Vec<Self> {
        let mut all: Vec<String> = Vec::new();
        for piece in text.split(',').filter(|it| !it.trim().is_empty()) {
            let full = all.len() == SDP_MEDIA_MAX;
            match all.last_mut().filter(|_| value_of("url", piece).is_none()) {
                Some(last) => {
                    last.push(',');
                    last.push_str(piece);
                }
                None if full => break,
                None => all.push(piece.to_owned()),
            }
        }
        all.iter().filter_map(|it| Self::parse(it)).collect()
    }

    fn parse(text: &str) -> Option<Self> {
        let number = |name| text.split(';').find_map(|part| value_of(name, part));
        let sequence = number("seq").and_then(|it| it.parse().ok());
        let timestamp = number("rtptime").and_then(|it| it.parse().ok());
        let is_address = |part: &&str| ["seq", "rtptime"].iter().all(|it| value_of(it, part).is_none());
        let address: Vec<_> = text.split(';').take_while(is_address).collect();
        let url = value_of("url", &address.join(";"))?.to_owned();
        (sequence.is_some() || timestamp.is_some()).then_some(Self { url, sequence, timestamp })
    }

    /// The field's value for these streams; none for none.
    pub fn list(all: impl IntoIterator<Item = Self>) -> Option<String> {
        let all: Vec<_> = all.into_iter().map(|it| it.to_string()).collect();
        (!all.is_empty()).then(|| all.join(","))
    }
}

impl fmt::Display for Begins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "url={}", self.url)?;
        self.sequence.map_or(Ok(()), |it| write!(f, ";seq={it}"))?;
        self.timestamp.map_or(Ok(()), |it| write!(f, ";rtptime={it}"))
    }
}

/// The value in `name=value`.
fn value_of<'a>(name: &str, text: &'a str) -> Option<&'a str> {
    let (it, value) = text.split_once('=')?;
    it.trim().eq_ignore_ascii_case(name).then(|| value.trim())
}

/// `a-b`, or `a` for `a` and the next.
fn pair<N: std::str::FromStr + TryFrom<u32> + Into<u32> + Copy>(text: &str) -> Option<(N, N)> {
    match text.split_once('-') {
        Some((first, second)) => Some((first.trim().parse().ok()?, second.trim().parse().ok()?)),
        None => {
            let first: N = text.trim().parse().ok()?;
            Some((first, N::try_from(first.into() + 1).ok()?))
        }
    }
}

/// A session as its server names it (RFC 2326 §12.37).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub id: String,
    /// Seconds without a sign of life after which the server may end it.
    pub timeout_seconds: u32,
}

impl Session {
    /// Seconds where none are given.
    pub const TIMEOUT_SECONDS: u32 = 60;

    /// The session of a field: none if its name is empty, long, or holds what a name may not.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, parameters) = text.split_once(';').unwrap_or((text, ""));
        let id = id.trim();
        let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';');
        if id.is_empty() || id.len() > RTSP_SESSION_BYTES_MAX || !id.bytes().all(fits) {
            return None;
        }
        let timeouts = parameters.split(';').filter_map(|it| value_of("timeout", it));
        let timeout = timeouts.filter_map(|it| it.parse().ok()).find(|seconds: &u32| *seconds > 0);
        Some(Self { id: id.to_owned(), timeout_seconds: timeout.unwrap_or(Self::TIMEOUT_SECONDS) })
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};timeout={}", self.id, self.timeout_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_are_read_and_written() {
        let list = Transport::parse_list(
            "RTP/SAVP;unicast;client_port=1-2, RTP/AVP/TCP;unicast;interleaved=2-3;mode=\"PLAY\",\
             RTP/AVP;unicast;client_port=5000-5001;destination=10.0.0.1",
        );
        assert_eq!(list.len(), 2);
        assert_eq!(list[0], Transport::interleaved((2, 3)));
        assert_eq!(list[1].client_port, Some((5000, 5001)));
        assert_eq!(list[1].to_string(), "RTP/AVP;unicast;client_port=5000-5001", "no destination survives");
        let given = Transport { ssrc: Some(Ssrc(0xABC)), ..list[0] };
        assert_eq!(given.to_string(), "RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=00000ABC");
        assert_eq!(Transport::parse_list("RTP/AVP/TCP;interleaved=7")[0].interleaved, Some((7, 8)));
        for none in
            ["", "RTP/AVP/TCP;interleaved=256-257", "RTP/AVP/TCP;interleaved=255", "RTP/AVP;client_port=x"]
        {
            assert_eq!(Transport::parse_list(none), [], "{none}");
        }
        assert!(Transport::parse_list("RTP/AVP;unicast;client_port=1-2;mode=record")[0].record);
        assert!(!Transport::parse_list("RTP/AVP;multicast")[0].unicast);
        assert_eq!(
            Transport::parse_list("RTP/AVP/TCP;unicast;ssrc= 30a98ee7")[0].ssrc,
            Some(Ssrc(0x30a9_8ee7))
        );
    }

    #[test]
    fn beginnings_are_read_and_written() {
        let one = |url: &str, sequence, timestamp| Begins { url: url.to_owned(), sequence, timestamp };
        let said =
            "url=rtsp://h/a?x=y;seq=65535;rtptime=4294967295, URL=b; rtptime = 7 ;seq=65536,seq=3,url=c";
        let all = Begins::parse_list(said);
        let expected = [one("rtsp://h/a?x=y", Some(65_535), Some(4_294_967_295)), one("b", None, Some(7))];
        assert_eq!(all, expected, "of the last nothing is said");
        let written = "url=rtsp://h/a?x=y;seq=65535;rtptime=4294967295,url=b;rtptime=7";
        assert_eq!(Begins::list(all).as_deref(), Some(written));
        let odd = "url=rtsp://h/a,b;c/track1;seq=1;rtptime=2,url=rtsp://h/a,b;c/track2;rtptime=3,";
        let expected =
            [one("rtsp://h/a,b;c/track1", Some(1), Some(2)), one("rtsp://h/a,b;c/track2", None, Some(3))];
        assert_eq!(Begins::parse_list(odd), expected);
        assert_eq!([Begins::parse_list(""), Begins::parse_list("seq=1")], [[], []]);
        assert_eq!(Begins::list([]), None);
        let many = "url=a;seq=1,".repeat(SDP_MEDIA_MAX + 1);
        assert_eq!(Begins::parse_list(&many).len(), SDP_MEDIA_MAX);
    }

    #[test]
    fn sessions_are_read_and_written() {
        let session = Session::parse("0d6e8f; timeout=20 ").unwrap();
        assert_eq!((session.id.as_str(), session.timeout_seconds), ("0d6e8f", 20));
        assert_eq!(session.to_string(), "0d6e8f;timeout=20");
        assert_eq!(Session::parse("a ;x=1; Timeout = 20").unwrap().timeout_seconds, 20);
        assert_eq!(Session::parse("a;timeout=0").unwrap().timeout_seconds, 60);
        assert_eq!(Session::parse("a;timeout=x").unwrap().timeout_seconds, 60);
        let long = "a".repeat(RTSP_SESSION_BYTES_MAX + 1);
        for none in ["", " ;timeout=3", "a b", "a\"", long.as_str()] {
            assert_eq!(Session::parse(none), None, "{none}");
        }
    }
}
