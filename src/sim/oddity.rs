//! Ways of real cameras that leave the interface and work all the same, to be switched on one by one.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::fault::Wire;

/// What a camera does otherwise than its interface says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// Answers SOAP 1.2 with an empty 200.
    EmptyUnlessSoap11,
    /// Hangs up on SOAP 1.2.
    HangsUpUnlessSoap11,
    /// Answers SOAP 1.2 with 415.
    RefusesUnlessSoap11,
    /// Sends remains of the request and zero bytes before each answer.
    RemainsBeforeAnswer,
    /// Sends zero bytes in place of each answer's head.
    NoHead,
    /// Closes a connection when its second request comes.
    ClosesSilently,
    /// Does not understand a Security header that it has to.
    RefusesMustUnderstand,
    /// Offers no digest.
    TokenOnly,
    /// Offers digest with SHA-256 only.
    Sha256Only,
    /// Refuses logins with a web page.
    WebPageForRefusal,
    /// Leaves the challenge out of its first refusal.
    ChallengeLeftOut,
    /// Declares no prefix of its answers' bodies.
    UndeclaredPrefixes,
    /// Sends streams in datagrams only.
    DatagramsOnly,
    /// Names port zero in place of those that its datagrams come from.
    NamesNoPorts,
    /// Names other ports than those that its datagrams come from.
    NamesOtherPorts,
    /// Gives its session a new name with each stream, and goes by the last.
    SessionRenamed,
    /// Sends packets of a session that is over on each new connection.
    StalePackets,
    /// Goes on with packets of a session that is over while another plays.
    GoesOnBeside,
    /// Sends its reports from where it said that packets come, or on channels that nobody asked for.
    ReportsElsewhere,
    /// Ends a session that gives no sign of life for two seconds.
    EndsMuteSessions,
    /// Ends a session of whose client it hears no report for five seconds.
    EndsUnreported,
    /// Its datagrams change places on the way, come much too late or are lost: each second packet of a tick before the
    /// first, the sixth of sixteen after those of the next tick, the tenth never.
    DisordersDatagrams,
    /// Shows no picture that a decoder can begin with but the first, and one when it is asked to
    /// (`SetSynchronizationPoint`).
    KeysWhenAsked,
    /// Has no room for pictures: refuses to set them up.
    KeepsPicturesBack,
    /// Refuses GET_PARAMETER, which it says it knows.
    RefusesGetParameter,
    /// Refuses OPTIONS in a session.
    RefusesOptionsInSession,
    /// States a time this many minutes ahead of the one its logins go by, and none in its answers' heads.
    LocalTime(i32),
}

/// SOAP 1.2 part 1 §5.1 and SOAP 1.1 §4.
const SPACES: (&str, &str) =
    ("http://www.w3.org/2003/05/soap-envelope", "http://schemas.xmlsoap.org/soap/envelope/");

/// Whether a request is an envelope of SOAP 1.2.
pub(super) fn is_soap12(body: &[u8]) -> bool {
    holds(body, SPACES.0)
}

/// Whether a request has a header block that has to be understood.
pub(super) fn must_understand(body: &[u8]) -> bool {
    holds(body, "mustUnderstand=\"1\"")
}

fn holds(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|it| it == text.as_bytes())
}

/// An envelope of SOAP 1.2 as one of SOAP 1.1.
pub(super) fn as_soap11(envelope: &str) -> String {
    envelope.replace(SPACES.0, SPACES.1)
}

/// An envelope without its declarations, that of its own prefix apart.
pub(super) fn undeclared(envelope: &str) -> String {
    let mut parts = envelope.split(" xmlns:");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let Some((declaration, rest)) = part.split_once('"').and_then(|(prefix, rest)| {
            let (space, rest) = rest.split_once('"')?;
            Some(((prefix, space), rest))
        }) else {
            continue;
        };
        if declaration.1 == SPACES.0 {
            text.push_str(&format!(" xmlns:{}\"{}\"", declaration.0, declaration.1));
        }
        text.push_str(rest);
    }
    text
}

/// A connection on which an answer does not begin as it should.
pub(super) struct Garbled<S> {
    stream: S,
    /// What is still to be sent before the answer.
    before: &'static [u8],
    /// Whether the head is still to be left out; how much of its end was seen.
    head: Option<usize>,
}

const REMAINS: &[u8] = b"POST /onvif/service\0HTTP/1.1\0\0Host\0 camera\0\0Accept\0 */*\0\0";
const END: &[u8] = b"\r\n\r\n";

impl<S> Garbled<S> {
    pub(super) fn remains(stream: S) -> Self {
        Self { stream, before: REMAINS, head: None }
    }

    pub(super) fn no_head(stream: S) -> Self {
        Self { stream, before: b"\0\0\0", head: Some(0) }
    }
}

impl<S: Wire> Wire for Garbled<S> {
    fn reset(&self) {
        self.stream.reset();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Garbled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Garbled<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        while !self.before.is_empty() {
            let before = self.before;
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, before))?;
            self.before = before.get(sent..).unwrap_or_default();
        }
        let Some(mut seen) = self.head else {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        };
        let mut left_out = 0;
        for byte in bytes {
            left_out += 1;
            seen = if END.get(seen) == Some(byte) { seen + 1 } else { usize::from(*byte == b'\r') };
            if seen == END.len() {
                self.head = None;
                return Poll::Ready(Ok(left_out));
            }
        }
        self.head = Some(seen);
        Poll::Ready(Ok(left_out))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_envelopes_own_prefix_stays_declared() {
        let space = SPACES.0;
        let declared =
            format!("<s:Envelope xmlns:s=\"{space}\" xmlns:tds=\"urn:t\"><tds:A b=\"1\"/></s:Envelope>");
        let expected = format!("<s:Envelope xmlns:s=\"{space}\"><tds:A b=\"1\"/></s:Envelope>");
        assert_eq!(undeclared(&declared), expected);
        assert!(as_soap11(&declared).contains(SPACES.1));
    }
}
