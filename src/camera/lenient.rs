//! What stands before an answer, passed over: for cameras that are known to send remains of the request, zero
//! bytes or no head at all, and for no others.
//!
//! Such a connection serves one exchange, so that nothing of one answer is taken for the next.

use crate::limits::CAMERA_GARBAGE_BYTES_MAX;

/// Looks for the beginning of the one answer of a connection.
#[derive(Debug, Default)]
pub(super) struct Seeker {
    held: Vec<u8>,
}

/// Where an answer begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The answer from its beginning on, as far as it has come. It has a head, be it the camera's or ours.
    pub(super) answer: Vec<u8>,
    /// How many bytes stood before it.
    pub(super) passed_bytes: usize,
    /// Whether it came without a head.
    pub(super) headless: bool,
}

/// More stands before the answer than is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMuch;

/// The head of an answer that came without one; its end is that of the connection.
const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml; charset=utf-8\r\nConnection: close\r\n\r\n";
const DECLARATION: &[u8] = b"<?xml";
/// `HTTP/1.1 200`
const STATUS_BYTES: usize = 12;

impl Seeker {
    /// Takes what has come, and gives the answer once it begins.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Option<Found>, TooMuch> {
        self.held.extend_from_slice(bytes);
        let begins = |at: &usize| {
            let rest = self.held.get(*at..).unwrap_or_default();
            is_status_line(rest) || rest.starts_with(DECLARATION)
        };
        let Some(at) = (0..self.held.len()).take(CAMERA_GARBAGE_BYTES_MAX + 1).find(begins) else {
            // What may be the beginning of a beginning is not counted.
            let full = self.held.len() > CAMERA_GARBAGE_BYTES_MAX + STATUS_BYTES;
            return if full { Err(TooMuch) } else { Ok(None) };
        };
        let rest = self.held.split_off(at);
        let headless = rest.starts_with(DECLARATION);
        let answer = if headless { [HEAD, &rest].concat() } else { rest };
        Ok(Some(Found { answer, passed_bytes: at, headless }))
    }
}

/// RFC 9112 §4, as far as the status. Remains of a request hold `HTTP/1.1` too, but no status after it.
fn is_status_line(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', a, b, c, ..]
            if [a, b, c].iter().all(|it| it.is_ascii_digit())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found: the answer, how much stood before it, whether it had no head.
    type Told<'a> = Option<(&'a [u8], usize, bool)>;

    /// Feeds an answer in pieces of every size.
    fn check(sent: &[u8], expected: Result<Told<'_>, TooMuch>) {
        for size in [1, 2, 7, sent.len()] {
            let mut seeker = Seeker::default();
            let mut outcome = Ok(None);
            let mut rest = sent.chunks(size);
            for piece in rest.by_ref() {
                outcome = seeker.take(piece);
                if outcome != Ok(None) {
                    break;
                }
            }
            let whole = outcome.map(|found| {
                found.map(|found| {
                    let answer = [found.answer, rest.collect::<Vec<_>>().concat()].concat();
                    (answer, found.passed_bytes, found.headless)
                })
            });
            let expected = expected.map(|it| it.map(|(answer, at, less)| (answer.to_vec(), at, less)));
            assert_eq!(whole, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn an_answer_begins_at_its_status_line_or_its_declaration() {
        let plain = b"HTTP/1.0 500 Oops\r\n\r\n";
        check(plain, Ok(Some((plain, 0, false))));
        let remains = b"POST /onvif/service\0HTTP/1.1\0\0Host\0 cam\0\0HTTP/1.1 200 OK\r\n\r\n<?xml?>";
        check(remains, Ok(Some((b"HTTP/1.1 200 OK\r\n\r\n<?xml?>", 41, false))));
        let declared = [HEAD, b"<?xml version='1.0'?><e/>"].concat();
        check(b"\0\0\0<?xml version='1.0'?><e/>", Ok(Some((&declared, 3, true))));
        check(b"\0\0", Ok(None));
    }

    #[test]
    fn what_is_passed_over_is_bounded() {
        let answer = b"HTTP/1.1 200 OK\r\n\r\n";
        let most = [&vec![0; CAMERA_GARBAGE_BYTES_MAX][..], answer].concat();
        check(&most, Ok(Some((answer, CAMERA_GARBAGE_BYTES_MAX, false))));
        check(&[&[0], &most[..]].concat(), Err(TooMuch));
    }
}
