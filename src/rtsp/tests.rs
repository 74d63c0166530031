//! What the decoder makes of bytes, however they arrive.

use bytes::{Bytes, BytesMut};

use super::*;
use crate::limits::{
    RTSP_FIELD_BYTES_MAX, RTSP_FIELDS_MAX, RTSP_HEAD_BYTES_MAX, RTSP_REQUEST_BODY_BYTES_MAX,
    RTSP_REQUEST_LINE_BYTES_MAX, RTSP_STRAY_BYTES_MAX,
};

/// Everything in these bytes, which arrive in pieces of this size.
fn read(peer: Peer, bytes: &[u8], piece: usize) -> Result<Vec<Received>, DecodeError> {
    let (mut decoder, mut buffer, mut found) = (Decoder::new(peer), BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        buffer.extend_from_slice(piece);
        while let Some(received) = decoder.next(&mut buffer)? {
            found.push(received);
        }
    }
    Ok(found)
}

#[track_caller]
fn one_request(bytes: &str) -> Request {
    match read(Peer::Client, bytes.as_bytes(), usize::MAX).unwrap().as_slice() {
        [Received::Request(request)] => request.clone(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn one_answer(bytes: &[u8]) -> Response {
    match read(Peer::Camera, bytes, usize::MAX).unwrap().as_slice() {
        [Received::Response(response)] => response.clone(),
        other => panic!("{other:?}"),
    }
}

const CLIENT: &[u8] = b"OPTIONS rtsp://192.0.2.1:554/a RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: x\r\nX-Own: y\r\n\r\n\
    $\x01\x00\x03abc\r\n\
    SET_PARAMETER rtsp://192.0.2.1/a RTSP/1.0\r\ncseq:2\r\nContent-Length: 4\r\nSession: s1\r\n\r\n$\x00\x00\x09\
    $\x02\x00\x00\
    ANNOUNCE * RTSP/1.0\r\nCSeq: 2147483647\r\nRequire: a\r\nRequire: b\r\n\r\n";

#[test]
fn bytes_are_read_alike_at_every_split() {
    let whole = read(Peer::Client, CLIENT, usize::MAX).unwrap();
    let [Received::Request(options), frame, Received::Request(set), empty, Received::Request(announce)] =
        whole.as_slice()
    else {
        panic!("{whole:?}")
    };
    assert_eq!((options.method.clone(), options.cseq, options.fields.unknown), (Method::Options, 1, 1));
    assert_eq!(options.uri, "rtsp://192.0.2.1:554/a");
    assert_eq!(*frame, Received::Frame { channel: 1, packet: Bytes::from_static(b"abc") });
    assert_eq!((set.cseq, set.fields.get(Field::Session)), (2, Some("s1")));
    assert_eq!(set.body, Bytes::from_static(b"$\0\0\x09"), "a body is no frame");
    assert_eq!(*empty, Received::Frame { channel: 2, packet: Bytes::new() });
    assert_eq!(announce.method, Method::Other("ANNOUNCE".into()));
    assert_eq!(announce.fields.all(Field::Require).collect::<Vec<_>>(), ["a", "b"]);
    for piece in 1..CLIENT.len() {
        assert_eq!(read(Peer::Client, CLIENT, piece).unwrap(), whole, "pieces of {piece}");
    }
    for split in 1..CLIENT.len() {
        let (mut decoder, mut buffer, mut found) = (Decoder::new(Peer::Client), BytesMut::new(), Vec::new());
        for part in [&CLIENT[..split], &CLIENT[split..]] {
            buffer.extend_from_slice(part);
            while let Some(received) = decoder.next(&mut buffer).unwrap() {
                found.push(received);
            }
        }
        assert_eq!(found, whole, "split at {split}");
    }
}

#[test]
fn clients_are_read_strictly() {
    let head = |rest: &str| format!("PLAY rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n{rest}\r\n");
    let fields = |count: usize| head(&"a: b\r\n".repeat(count - 1));
    let line = |bytes: usize| head(&format!("a: {}\r\n", "x".repeat(bytes - 3)));
    let cases: Vec<(String, DecodeError)> = vec![
        (head("").replace("\r\n", "\n"), DecodeError::LineEnd),
        (head("a: b\n"), DecodeError::LineEnd),
        (head("a: b\rc: d\r\n"), DecodeError::LineEnd),
        (head("a: b\0\r\n"), DecodeError::Character),
        (head("a: b\t\r\n"), DecodeError::Character),
        (head("a: \u{e9}\r\n"), DecodeError::Character),
        (head(" folded\r\n"), DecodeError::FieldName),
        (head("no colon\r\n"), DecodeError::FieldName),
        (head("a b: c\r\n"), DecodeError::FieldName),
        (head(": c\r\n"), DecodeError::FieldName),
        (head("CSeq: 1\r\n"), DecodeError::Repeated),
        (head("Content-Length: 0\r\nContent-Length: 0\r\n"), DecodeError::Repeated),
        (head("Session: a\r\nSession: b\r\n"), DecodeError::Repeated),
        (head("Content-Length: +1\r\n"), DecodeError::ContentLength),
        (head("Content-Length: 0x1\r\n"), DecodeError::ContentLength),
        (head("Content-Length: 1, 1\r\n"), DecodeError::ContentLength),
        (head("Content-Length:\r\n"), DecodeError::ContentLength),
        (head("Content-Length: 99999999999\r\n"), DecodeError::ContentLength),
        (head(&format!("Content-Length: {}\r\n", RTSP_REQUEST_BODY_BYTES_MAX + 1)), DecodeError::BodyTooLong),
        ("PLAY rtsp://h/a RTSP/1.0\r\n\r\n".into(), DecodeError::CSeq),
        ("PLAY rtsp://h/a RTSP/1.0\r\nCSeq: x\r\n\r\n".into(), DecodeError::CSeq),
        ("PLAY rtsp://h/a RTSP/1.0\r\nCSeq: 2147483648\r\n\r\n".into(), DecodeError::CSeq),
        ("PLAY rtsp://h/a RTSP/1.0\r\nCSeq: -1\r\n\r\n".into(), DecodeError::CSeq),
        ("PLAY rtsp://h/a RTSP/2.0\r\nCSeq: 1\r\n\r\n".into(), DecodeError::Version),
        ("PLAY rtsp://h/a HTTP/1.1\r\nCSeq: 1\r\n\r\n".into(), DecodeError::FirstLine),
        ("PLAY rtsp://h/a b RTSP/1.0\r\nCSeq: 1\r\n\r\n".into(), DecodeError::FirstLine),
        ("PLAY  RTSP/1.0\r\nCSeq: 1\r\n\r\n".into(), DecodeError::FirstLine),
        ("RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n".into(), DecodeError::Answer),
        (fields(RTSP_FIELDS_MAX + 1), DecodeError::TooManyFields),
        (line(RTSP_FIELD_BYTES_MAX + 1), DecodeError::FieldTooLong),
        ("x".repeat(RTSP_FIELD_BYTES_MAX + 1), DecodeError::FieldTooLong),
        (head(&format!("a: {}\r\n", "x".repeat(4_000)).repeat(5)), DecodeError::HeadTooLong),
        (
            format!("PLAY {} RTSP/1.0\r\nCSeq: 1\r\n\r\n", "x".repeat(RTSP_REQUEST_LINE_BYTES_MAX - 13)),
            DecodeError::FirstLineTooLong,
        ),
        ("\r\n".repeat(RTSP_STRAY_BYTES_MAX / 2 + 1), DecodeError::Stray),
    ];
    for (bytes, error) in &cases {
        for piece in [1, 7, usize::MAX] {
            assert_eq!(
                read(Peer::Client, bytes.as_bytes(), piece),
                Err(*error),
                "{:?}",
                &bytes[..bytes.len().min(80)]
            );
        }
    }
    for bytes in [
        fields(RTSP_FIELDS_MAX),
        line(RTSP_FIELD_BYTES_MAX),
        format!("PLAY {} RTSP/1.0\r\nCSeq: 1\r\n\r\n", "x".repeat(RTSP_REQUEST_LINE_BYTES_MAX - 14)),
        format!("{}{}", "\r\n".repeat(RTSP_STRAY_BYTES_MAX / 2), head("")),
    ] {
        assert_eq!(one_request(&bytes).cseq, 1);
    }
}

#[test]
fn cameras_are_forgiven_what_has_one_reading() {
    let cases: [(&[u8], u16, Option<u32>); 12] = [
        (b"RTSP/1.0 200 OK\nCSeq: 2\n\n", 200, Some(2)),
        (b"\0\0  \r\nRTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n", 200, Some(2)),
        (b"RTSP/1.0  401  Unauthorized\r\nCSeq: 1 \r\n\r\n", 401, Some(1)),
        (b"RTSP/1.1 404\r\n\r\n", 404, None),
        (b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nCSeq: 2\r\n\r\n", 200, Some(2)),
        (b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nServer: \xd6\xd0\r\n\r\n", 200, Some(2)),
        (b"RTSP/1.0 200 OK\r\nCSeq: 2\r\n folded\r\nnothing\r\n\r\n", 200, Some(2)),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\nCSeq: 2\r\nContent-Length: 0\r\n\r\n", 200, Some(2)),
        (b"RTSP/1.0 200 \xff\xfe\r\nCSeq: 0\r\n\r\n", 200, Some(0)),
        (b"RTSP/1.0 200 OK\r\nCSeq:\t2\t\r\n\r\n", 200, Some(2)),
        (b"RTSP/1.0 200 OK\r\nCSeq : 2\r\n\r\n", 200, Some(2)),
        (b"RTSP/1.0 200 OK\r\nCSeq\t: 2\r\n CSeq: 3\r\n\r\n", 200, Some(2)),
    ];
    for (bytes, status, cseq) in cases {
        let answer = one_answer(bytes);
        assert_eq!((answer.status, answer.cseq), (status, cseq), "{}", bytes.escape_ascii());
    }
    let refused: [(&[u8], DecodeError); 7] = [
        (b"RTSP/1.0 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", DecodeError::Repeated),
        (b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n", DecodeError::ContentLength),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 131073\r\n\r\n", DecodeError::BodyTooLong),
        (b"RTSP/1.0 20x OK\r\n\r\n", DecodeError::FirstLine),
        (b"RTSP/1.0 99 OK\r\n\r\n", DecodeError::FirstLine),
        (b"RTSP/1.0 200 OK\r\nServer: \0\r\n\r\n", DecodeError::Character),
        (b"<html><body>404</body></html>\r\n\r\n", DecodeError::FirstLine),
    ];
    for (bytes, error) in refused {
        assert_eq!(read(Peer::Camera, bytes, usize::MAX), Err(error), "{}", bytes.escape_ascii());
    }
    let (mut decoder, mut buffer) =
        (Decoder::new(Peer::Camera), BytesMut::from(&b"RTSP/1.1 200 \xff\nodd\n\n"[..]));
    assert!(decoder.next(&mut buffer).unwrap().is_some());
    assert_eq!(decoder.forgiven, 3, "the version, the reason's letters, the line without a colon");
    let request = b"OPTIONS * RTSP/1.0\r\n\r\n";
    assert!(matches!(&read(Peer::Camera, request, 1).unwrap()[..], [Received::Request(it)] if it.cseq == 0));
}

#[test]
fn a_slow_head_costs_its_bytes_once() {
    // A head that comes byte by byte is searched on from where the last search ended.
    let head = format!("PLAY rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n{}", "a: b\r\n".repeat(60));
    assert!(head.len() < RTSP_HEAD_BYTES_MAX);
    assert_eq!(read(Peer::Client, head.as_bytes(), 1).unwrap(), []);
    let whole = format!("{head}\r\n");
    assert_eq!(read(Peer::Client, whole.as_bytes(), 1).unwrap().len(), 1);
}
