//! Bytes of a connection → messages and interleaved frames (RFC 2326 §4, §10.12).
//!
//! Clients are read strictly: CR LF ends a line, nothing else does, and what has two readings is refused. Cameras
//! break the grammar in known ways, which are forgiven as long as there is one reading; what was forgiven is
//! counted.

use bytes::{Buf, Bytes, BytesMut};

use super::message::{Field, Fields, Method, Request, Response};
use crate::limits::{
    RTSP_ANSWER_BODY_BYTES_MAX, RTSP_FIELD_BYTES_MAX, RTSP_FIELDS_MAX, RTSP_HEAD_BYTES_MAX,
    RTSP_REQUEST_BODY_BYTES_MAX, RTSP_REQUEST_LINE_BYTES_MAX, RTSP_STRAY_BYTES_MAX,
};

/// Who sends what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A client on the core side: read strictly, sends requests.
    Client,
    /// A camera: read tolerantly, sends answers, now and then a request.
    Camera,
}

/// One thing that stood at the front of a connection's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A request.
    Request(Request),
    /// An answer.
    Response(Response),
    /// A packet between messages, on its channel.
    Frame {
        /// The channel.
        channel: u8,
        /// The packet.
        packet: Bytes,
    },
}

/// Why bytes are no message. The connection cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum DecodeError {
    #[error("the head is longer than {RTSP_HEAD_BYTES_MAX} bytes")]
    HeadTooLong,
    #[error("the first line is longer than {RTSP_REQUEST_LINE_BYTES_MAX} bytes")]
    FirstLineTooLong,
    #[error("a field is longer than {RTSP_FIELD_BYTES_MAX} bytes")]
    FieldTooLong,
    #[error("there are more than {RTSP_FIELDS_MAX} fields")]
    TooManyFields,
    #[error("the body is longer than allowed")]
    BodyTooLong,
    #[error("a line ends otherwise than with CR LF")]
    LineEnd,
    #[error("there is a byte that is no visible ASCII character")]
    Character,
    #[error("the first line is none of RTSP/1.0")]
    FirstLine,
    #[error("the version is not RTSP/1.0")]
    Version,
    #[error("a field has no name, or a name that is none")]
    FieldName,
    #[error("a field that may stand once stands twice")]
    Repeated,
    #[error("there is no CSeq, or one that is no number")]
    CSeq,
    #[error("Content-Length is no number")]
    ContentLength,
    #[error("an answer where only requests are due")]
    Answer,
    #[error("more than {RTSP_STRAY_BYTES_MAX} bytes that belong to no message")]
    Stray,
}

/// Reads one direction of a connection.
#[derive(Debug)]
pub struct Decoder {
    peer: Peer,
    /// Bytes of the buffer's front that were searched for the end of the head and do not have it.
    searched: usize,
    /// A head whose body has not come wholly.
    head: Option<(Head, usize)>,
    /// Stray bytes before the message under way.
    stray: usize,
    /// How often something was forgiven.
    pub forgiven: u64,
}

#[derive(Debug)]
enum Head {
    Request(Method, String, Option<u32>, Fields),
    Response(u16, Option<u32>, Fields),
}

impl Decoder {
    /// Reads what this peer sends.
    pub fn new(peer: Peer) -> Self {
        Self { peer, searched: 0, head: None, stray: 0, forgiven: 0 }
    }

    /// Whether the buffer's front is the body of a message whose head was taken.
    pub fn is_within_message(&self) -> bool {
        self.head.is_some()
    }

    /// Takes the next thing off the front of a buffer; none until more bytes have come. After an error nothing
    /// more can be read.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Received>, DecodeError> {
        if self.head.is_none() {
            self.skip_empty_lines(buffer)?;
            match buffer.first() {
                None => return Ok(None),
                Some(b'$') => return Ok(frame(buffer)),
                Some(_) => {}
            }
            let Some(end) = self.head_end(buffer)? else { return Ok(None) };
            let head = buffer.split_to(end);
            (self.searched, self.stray) = (0, 0);
            self.head = Some(self.read_head(&head)?);
        }
        let Some((_, length)) = self.head.as_ref().filter(|(_, length)| *length <= buffer.len()) else {
            return Ok(None);
        };
        let body = buffer.split_to(*length).freeze();
        Ok(self.head.take().map(|(head, _)| with_body(head, body)))
    }

    /// Lines without anything may stand before a message (RFC 2616 §4.1, which RFC 2326 §4 takes up).
    fn skip_empty_lines(&mut self, buffer: &mut BytesMut) -> Result<(), DecodeError> {
        let stray = |byte: &u8| match self.peer {
            Peer::Client => matches!(byte, b'\r' | b'\n'),
            // Some pad their answers.
            Peer::Camera => matches!(byte, b'\r' | b'\n' | b' ' | 0),
        };
        let count = buffer.iter().take_while(|byte| stray(byte)).count();
        self.stray += count;
        if self.stray > RTSP_STRAY_BYTES_MAX {
            return Err(DecodeError::Stray);
        }
        buffer.advance(count);
        if count > 0 {
            self.searched = 0;
        }
        Ok(())
    }

    /// Where the body begins, once the head has come wholly.
    fn head_end(&mut self, buffer: &[u8]) -> Result<Option<usize>, DecodeError> {
        // The end may have begun within what was searched already.
        let from = self.searched.saturating_sub(3);
        let strict = self.peer == Peer::Client;
        let mut at = from;
        while let Some(found) = buffer.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
        {
            let line_feed = at + found;
            if line_feed >= RTSP_HEAD_BYTES_MAX {
                return Err(DecodeError::HeadTooLong);
            }
            let before = buffer.get(..line_feed).unwrap_or_default();
            if strict && before.last() != Some(&b'\r') {
                return Err(DecodeError::LineEnd);
            }
            let line = before.strip_suffix(b"\r").unwrap_or(before);
            if line.last() == Some(&b'\n') {
                return Ok(Some(line_feed + 1));
            }
            at = line_feed + 1;
        }
        self.searched = buffer.len();
        if buffer.len() >= RTSP_HEAD_BYTES_MAX {
            return Err(DecodeError::HeadTooLong);
        }
        // Whatever else may come, this line is too long already.
        let line = buffer.len() - buffer.iter().rposition(|byte| *byte == b'\n').map_or(0, |it| it + 1);
        if line > RTSP_FIELD_BYTES_MAX { Err(DecodeError::FieldTooLong) } else { Ok(None) }
    }

    fn read_head(&mut self, head: &[u8]) -> Result<(Head, usize), DecodeError> {
        let text = self.text(head)?;
        let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let first = lines.next().unwrap_or_default();
        if first.len() > RTSP_REQUEST_LINE_BYTES_MAX {
            return Err(DecodeError::FirstLineTooLong);
        }
        if self.peer == Peer::Client && text.replace("\r\n", "").contains(['\r', '\n']) {
            return Err(DecodeError::LineEnd);
        }
        let fields = self.fields(lines)?;
        let cseq = self.number(fields.get(Field::CSeq), DecodeError::CSeq)?;
        let length = self.number(fields.get(Field::ContentLength), DecodeError::ContentLength)?.unwrap_or(0);
        let (head, most) = match first.strip_prefix("RTSP/") {
            Some(rest) => (self.status_line(rest, cseq, fields)?, RTSP_ANSWER_BODY_BYTES_MAX),
            None => (request_line(first, cseq, fields)?, RTSP_REQUEST_BODY_BYTES_MAX),
        };
        let missing = matches!(head, Head::Request(_, _, None, _));
        if missing && self.peer == Peer::Client {
            return Err(DecodeError::CSeq);
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > most { Err(DecodeError::BodyTooLong) } else { Ok((head, length)) }
    }

    /// The head as text: ASCII without control characters but those that end lines.
    fn text(&mut self, head: &[u8]) -> Result<String, DecodeError> {
        let odd = |byte: &u8| !matches!(byte, 0x20..=0x7e | b'\r' | b'\n');
        if !head.iter().any(odd) {
            return Ok(head.iter().copied().map(char::from).collect());
        }
        if self.peer == Peer::Client || head.contains(&0) {
            return Err(DecodeError::Character);
        }
        self.forgiven += 1;
        let forgiven = |byte: &u8| match byte {
            // As good as a blank (RFC 2616 §2.2).
            b'\t' => ' ',
            it if odd(it) => '?',
            it => char::from(*it),
        };
        Ok(head.iter().map(forgiven).collect())
    }

    fn fields<'a>(&mut self, lines: impl Iterator<Item = &'a str>) -> Result<Fields, DecodeError> {
        let mut fields = Fields::default();
        let strict = self.peer == Peer::Client;
        for (number, line) in lines.take_while(|line| !line.is_empty()).enumerate() {
            if number >= RTSP_FIELDS_MAX {
                return Err(DecodeError::TooManyFields);
            }
            if line.len() > RTSP_FIELD_BYTES_MAX {
                return Err(DecodeError::FieldTooLong);
            }
            let split = line.split_once(':').map(|(name, value)| match name.trim_end_matches(' ') {
                bare if strict || bare.len() == name.len() => (name, value),
                bare => {
                    self.forgiven += 1;
                    (bare, value)
                }
            });
            let Some((name, value)) = split.filter(|(name, _)| is_token(name)) else {
                if strict {
                    return Err(DecodeError::FieldName);
                }
                // A continued line, or one without a name: nothing that is needed ever comes so.
                self.forgiven += 1;
                continue;
            };
            let Some(field) = Field::of_name(name) else {
                fields.unknown += 1;
                continue;
            };
            let value = value.trim_matches(' ');
            if let Some(known) = fields.get(field).filter(|_| !field.repeats()) {
                if strict || known != value {
                    return Err(DecodeError::Repeated);
                }
                self.forgiven += 1;
                continue;
            }
            fields.push(field, value.to_owned());
        }
        Ok(fields)
    }

    fn status_line(&mut self, rest: &str, cseq: Option<u32>, fields: Fields) -> Result<Head, DecodeError> {
        if self.peer == Peer::Client {
            return Err(DecodeError::Answer);
        }
        let mut words = rest.split(' ').filter(|word| !word.is_empty());
        if words.next() != Some("1.0") {
            self.forgiven += 1;
        }
        let status = words.next().and_then(|word| word.parse().ok());
        let status = status.filter(|it| (100..600).contains(it)).ok_or(DecodeError::FirstLine)?;
        Ok(Head::Response(status, cseq, fields))
    }

    /// Digits and nothing else, in range.
    fn number(&mut self, text: Option<&str>, error: DecodeError) -> Result<Option<u32>, DecodeError> {
        let Some(text) = text else { return Ok(None) };
        let digits = !text.is_empty() && text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|it: &u32| digits && *it <= i32::MAX.unsigned_abs());
        number.map(Some).ok_or(error)
    }
}

/// A packet between messages: `$`, channel, length, and so many bytes (RFC 2326 §10.12).
fn frame(buffer: &mut BytesMut) -> Option<Received> {
    let [_, channel, high, low] = *buffer.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if buffer.len() < FRAME_HEAD_BYTES + length {
        return None;
    }
    buffer.advance(FRAME_HEAD_BYTES);
    Some(Received::Frame { channel, packet: buffer.split_to(length).freeze() })
}

/// Bytes before the packet of an interleaved frame.
pub const FRAME_HEAD_BYTES: usize = 4;

/// Appends a packet as a frame of a channel (RFC 2326 §10.12). False, and nothing is appended, if it has more than 65,535
/// bytes.
#[must_use = "a packet that is too long is not there"]
pub fn write_frame(into: &mut Vec<u8>, channel: u8, packet: &[u8]) -> bool {
    let Ok(length) = u16::try_from(packet.len()) else { return false };
    let [high, low] = length.to_be_bytes();
    into.reserve(FRAME_HEAD_BYTES + packet.len());
    into.extend_from_slice(&[b'$', channel, high, low]);
    into.extend_from_slice(packet);
    true
}

fn request_line(line: &str, cseq: Option<u32>, fields: Fields) -> Result<Head, DecodeError> {
    let mut words = line.split(' ');
    let (method, uri, version, more) = (words.next(), words.next(), words.next(), words.next());
    let (Some(method), Some(uri), Some(version), None) = (method, uri, version, more) else {
        return Err(DecodeError::FirstLine);
    };
    if !is_token(method) || uri.is_empty() {
        return Err(DecodeError::FirstLine);
    }
    match version {
        "RTSP/1.0" => Ok(Head::Request(Method::of_word(method), uri.to_owned(), cseq, fields)),
        other if other.starts_with("RTSP/") => Err(DecodeError::Version),
        _ => Err(DecodeError::FirstLine),
    }
}

fn with_body(head: Head, body: Bytes) -> Received {
    match head {
        Head::Request(method, uri, cseq, fields) => {
            Received::Request(Request { method, uri, cseq: cseq.unwrap_or_default(), fields, body })
        }
        Head::Response(status, cseq, fields) => Received::Response(Response { status, cseq, fields, body }),
    }
}

/// RFC 2616 §2.2, which RFC 2326 §15.1 repeats.
fn is_token(text: &str) -> bool {
    let separator = |byte| b"()<>@,;:\\\"/[]?={} \t".contains(&byte);
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !separator(byte))
}
