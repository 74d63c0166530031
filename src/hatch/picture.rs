//! JPEG pictures (ITU-T T.81), walked and written anew: what decodes the picture crosses, and nothing beside it.
//!
//! Cameras write their maker, serial number, addresses and thumbnails into application segments and comments, and
//! whatever they like between segments and behind the end. What cannot be walked is no picture.

use bytes::{BufMut, Bytes, BytesMut};

/// The picture without what does not decode it; none if it is none.
pub fn picture(jpeg: &[u8]) -> Option<Bytes> {
    let mut rest = jpeg.strip_prefix(&[MARK, START])?;
    let mut written = BytesMut::with_capacity(jpeg.len());
    written.put_slice(&[MARK, START]);
    let (mut framed, mut scanned) = (false, false);
    loop {
        let (code, after) = marker(rest)?;
        if code == END {
            written.put_slice(&[MARK, END]);
            return scanned.then(|| written.freeze());
        }
        let length = usize::from(u16::from_be_bytes(*after.first_chunk()?));
        let (content, after) = (after.get(2..length)?, after.get(length..)?);
        rest = after;
        let kept = match code {
            FRAME_FIRST..=FRAME_LAST if ![HUFFMAN, EXTENSION, ARITHMETIC].contains(&code) => {
                // One frame: that of a hierarchical picture, or of a preview, would be another picture.
                let well = !framed && is_frame(content);
                framed = true;
                well.then_some(content)?
            }
            HUFFMAN => huffman(content).then_some(content)?,
            ARITHMETIC => (!content.is_empty() && content.len().is_multiple_of(2)).then_some(content)?,
            QUANTIZATION => quantization(content).then_some(content)?,
            LINES | RESTARTS => (content.len() == 2).then_some(content)?,
            SCAN => {
                let parts = usize::from(*content.first()?);
                let well = framed && (1..=PARTS_MAX).contains(&parts) && content.len() == 4 + 2 * parts;
                well.then_some(content)?
            }
            // JFIF (ITU-T T.871) without its thumbnail: how pixels are shaped.
            APPLICATION_FIRST => match content.strip_prefix(b"JFIF\0") {
                Some(jfif) => {
                    let shape = jfif.get(..JFIF_SHAPE_BYTES)?;
                    segment(&mut written, code, &[b"JFIF\0", shape, &[0, 0]].concat());
                    continue;
                }
                None => continue,
            },
            APPLICATION_FIRST..=APPLICATION_LAST | COMMENT => continue,
            _ => return None,
        };
        segment(&mut written, code, kept);
        if code == SCAN {
            let coded = entropy_coded(rest)?;
            let (coded, after) = rest.split_at_checked(coded)?;
            written.put_slice(coded);
            rest = after;
            scanned = true;
        }
    }
}

/// The next marker, behind any number of fill bytes (§B.1.1.2).
fn marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    bytes.first().filter(|first| **first == MARK)?;
    let at = bytes.iter().position(|byte| *byte != MARK)?;
    Some((*bytes.get(at)?, bytes.get(at + 1..)?))
}

fn segment(written: &mut BytesMut, code: u8, content: &[u8]) {
    written.put_slice(&[MARK, code]);
    // What is kept was no longer when it was read.
    written.put_u16(u16::try_from(content.len() + 2).unwrap_or(u16::MAX));
    written.put_slice(content);
}

/// How many bytes of a scan come before the next marker that is not one of its own (§B.1.1.5).
fn entropy_coded(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == MARK)?;
        match *bytes.get(at + 1)? {
            STUFFED | RESTART_FIRST..=RESTART_LAST => at += 2,
            _ => return Some(at),
        }
    }
}

/// §B.2.2: precision, lines, columns, and three bytes for each component.
fn is_frame(content: &[u8]) -> bool {
    let Some((head, parts)) = content.split_first_chunk::<6>() else { return false };
    let count = usize::from(head[5]);
    (1..=PARTS_MAX).contains(&count) && parts.len() == 3 * count
}

/// §B.2.4.1: tables of 64 values of one or two bytes.
fn quantization(mut content: &[u8]) -> bool {
    let well = !content.is_empty();
    while let Some((kind, after)) = content.split_first() {
        let bytes = if kind >> 4 == 0 { 64 } else { 128 };
        let Some(next) = after.get(bytes..) else { return false };
        content = next;
    }
    well
}

/// §B.2.4.2: tables of sixteen counts and as many values as they add up to.
fn huffman(mut content: &[u8]) -> bool {
    let well = !content.is_empty();
    while let Some((_, after)) = content.split_first() {
        let Some((counts, values)) = after.split_first_chunk::<16>() else { return false };
        let total = counts.iter().map(|count| usize::from(*count)).sum::<usize>();
        let Some(next) = values.get(total..) else { return false };
        content = next;
    }
    well
}

// Markers (§B.1.1.3, table B.1).
const MARK: u8 = 0xFF;
const STUFFED: u8 = 0x00;
const FRAME_FIRST: u8 = 0xC0;
const FRAME_LAST: u8 = 0xCF;
const HUFFMAN: u8 = 0xC4;
const EXTENSION: u8 = 0xC8;
const ARITHMETIC: u8 = 0xCC;
const RESTART_FIRST: u8 = 0xD0;
const RESTART_LAST: u8 = 0xD7;
const START: u8 = 0xD8;
const END: u8 = 0xD9;
const SCAN: u8 = 0xDA;
const QUANTIZATION: u8 = 0xDB;
const LINES: u8 = 0xDC;
const RESTARTS: u8 = 0xDD;
const APPLICATION_FIRST: u8 = 0xE0;
const APPLICATION_LAST: u8 = 0xEF;
const COMMENT: u8 = 0xFE;
/// Components of a frame; its scans have as many at most (§B.2.3).
const PARTS_MAX: usize = 4;
/// Version, unit and density of JFIF.
const JFIF_SHAPE_BYTES: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    const CAMERA: &[u8] = include_bytes!("../sim/data/picture.jpg");

    /// The camera's picture with segments right behind its start.
    fn with(more: &[u8]) -> Vec<u8> {
        [&CAMERA[..2], more, &CAMERA[2..]].concat()
    }

    fn made(code: u8, content: &[u8]) -> Vec<u8> {
        let mut written = BytesMut::new();
        segment(&mut written, code, content);
        written.to_vec()
    }

    #[test]
    fn what_decodes_a_picture_stays_as_it_is_and_nothing_else_does() {
        assert_eq!(picture(CAMERA).as_deref(), Some(CAMERA), "there is nothing else in it");
        for code in (0xE1..=0xEF).chain([COMMENT]) {
            let told = with(&made(code, b"Exif\0\0serial 4711, 192.0.2.64"));
            assert_eq!(picture(&told).as_deref(), Some(CAMERA), "{code:02X}");
        }
        let other = with(&made(0xE0, b"AVI1 192.0.2.64"));
        assert_eq!(picture(&other).as_deref(), Some(CAMERA), "an APP0 that is no JFIF");
        let behind = [CAMERA, b"\0\0 192.0.2.64 ", CAMERA].concat();
        assert_eq!(picture(&behind).as_deref(), Some(CAMERA), "behind its end");
        let filled = with(&[0xFF, 0xFF, 0xFF]);
        assert_eq!(picture(&filled).as_deref(), Some(CAMERA), "fill bytes");
    }

    #[test]
    fn a_jfif_head_keeps_its_shape_and_loses_its_thumbnail() {
        let thumbnail = [&b"JFIF\0\x01\x02\x01\0\x48\0\x48\x01\x01"[..], b"abc, and more"].concat();
        let head = made(0xE0, b"JFIF\0\x01\x02\x01\0\x48\0\x48\0\0");
        assert_eq!(picture(&with(&made(0xE0, &thumbnail))).unwrap(), with(&head));
        assert_eq!(picture(&with(&made(0xE0, b"JFIF\0\x01"))), None, "cut short");
    }

    #[test]
    fn what_cannot_be_walked_is_no_picture() {
        let table = |bytes: &[u8]| with(&made(QUANTIZATION, bytes));
        for (bad, why) in [
            (Vec::new(), "nothing"),
            (b"GIF89a".to_vec(), "another format"),
            (vec![0xFF, 0xD8, 0xFF, 0xD9], "a picture of nothing"),
            (CAMERA[..CAMERA.len() - 2].to_vec(), "no end"),
            (CAMERA[..40].to_vec(), "half a segment"),
            (with(b"192.0.2.64"), "text between segments"),
            (with(&[0xFF, 0xD8]), "a second start"),
            (with(&[0xFF, 0xD0]), "a restart outside a scan"),
            (with(&[0xFF, 0xF0, 0, 2]), "a marker nobody knows"),
            (with(&[0xFF, 0xFE, 0, 1]), "a length shorter than itself"),
            (with(&[0xFF, 0xFE, 0xFF, 0xFF]), "a length beyond the end"),
            (table(&[]), "no table"),
            (table(&[0; 66]), "text behind a table"),
            (
                with(&made(HUFFMAN, &[[0].as_slice(), &[1; 16], &[0; 17]].concat())),
                "text behind a table of codes",
            ),
            (with(&made(RESTARTS, b"\0\x08 and more")), "text behind an interval"),
            (with(&made(0xC0, b"\x08\0\x01\0\x01\x01\x01\x11\0")), "two frames"),
            (with(&made(SCAN, b"\x01\x01\0\0\x3F\0")), "a scan before its frame"),
        ] {
            assert_eq!(picture(&bad), None, "{why}");
        }
        assert!(picture(&table(&[0; 65])).is_some(), "a table that is well");
    }
}
