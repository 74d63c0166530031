//! Metadata of a stream (ONVIF Streaming Specification §5.1.2.1): XML that a camera wrote, in packets. It is put together,
//! read as an answer is read, freed of addresses, and goes on in packets of the gateway's own making.

use std::{
    fmt::{self, Write as _},
    io::{Read, Write as _},
    sync::Arc,
};

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};

use super::{AddressRules, verify::cleansed};
use crate::{
    limits::{METADATA_BYTES_MAX, METADATA_PACKET_BYTES_MAX},
    rtsp::{Codec, RtpHeader, Ssrc},
    schema::{Document, NodeId, Tables, escape},
};

/// How the metadata of one camera is judged.
#[derive(Clone)]
pub struct Screen {
    tables: Arc<Tables>,
    root: Option<NodeId>,
    rules: Arc<AddressRules>,
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").finish_non_exhaustive()
    }
}

/// Why a document does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum MetadataError {
    #[error("it is longer than {METADATA_BYTES_MAX} bytes")]
    Long,
    #[error("a packet of it is missing")]
    Torn,
    #[error("it is not what gzip makes")]
    Packed,
    #[error("it is no text in UTF-8")]
    Text,
    #[error("it is no tt:MetadataStream as declared")]
    Undeclared,
    #[error("it names an address of the camera's side where it cannot do without")]
    Address,
    #[error("its encoding is none that is read here")]
    Encoding,
}

impl Screen {
    /// By the rules for the addresses of a camera.
    pub fn new(tables: &Arc<Tables>, rules: AddressRules) -> Self {
        let name = tables.namespace_by_prefix("tt").and_then(|it| tables.name(it, "MetadataStream"));
        let root = name.and_then(|it| tables.root(it));
        Self { tables: Arc::clone(tables), root, rules: Arc::new(rules) }
    }

    /// What goes on in place of a document.
    pub fn judge(&self, codec: Codec, bytes: &[u8]) -> Result<Vec<u8>, MetadataError> {
        match codec {
            Codec::Metadata => self.written_anew(bytes),
            Codec::MetadataGzip => {
                let mut plain = Vec::new();
                let bound = METADATA_BYTES_MAX as u64 + 1;
                MultiGzDecoder::new(bytes)
                    .take(bound)
                    .read_to_end(&mut plain)
                    .map_err(|_| MetadataError::Packed)?;
                let anew = self.written_anew(&plain)?;
                let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
                packed.write_all(&anew).and_then(|()| packed.finish()).map_err(|_| MetadataError::Packed)
            }
            // What nobody here can read may hold any address.
            _ => Err(MetadataError::Encoding),
        }
    }

    fn written_anew(&self, bytes: &[u8]) -> Result<Vec<u8>, MetadataError> {
        if bytes.len() > METADATA_BYTES_MAX {
            return Err(MetadataError::Long);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| MetadataError::Text)?;
        let root = self.root.ok_or(MetadataError::Undeclared)?;
        let tables = &*self.tables;
        let read = Document::parse_answer(tables, text, root).map_err(|_| MetadataError::Undeclared);
        let (document, _) = read?;
        let document = cleansed(tables, &document, &self.rules).map_err(|_| MetadataError::Address)?;
        let mut written = String::new();
        document.write(tables, &mut written);
        // The tag of the root ends where an attribute begins, or the tag.
        let tag = written.find([' ', '/', '>']).unwrap_or_default();
        let (root, rest) = written.split_at_checked(tag).ok_or(MetadataError::Undeclared)?;
        let mut out = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{root}");
        for (prefix, uri) in document.namespaces(tables) {
            // Writing to a String cannot fail.
            let _ = write!(out, " xmlns:{prefix}=\"");
            escape(&uri, true, &mut out);
            out.push('"');
        }
        out.push_str(rest);
        Ok(out.into_bytes())
    }
}

/// A document on its way, packet by packet.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    bytes: Vec<u8>,
    /// The number that the next packet has.
    next: Option<u16>,
    timestamp: u32,
    /// The extension of the first packet, if it is kept.
    extension: Vec<u8>,
    failed: Option<MetadataError>,
    begun: bool,
    /// The number of the next packet of ours.
    own: Option<u16>,
}

/// What a packet came to.
pub(super) enum Taken {
    /// More is to come.
    Part,
    /// A document, written anew, in packets.
    Whole(Vec<Vec<u8>>),
    /// A document that does not pass.
    Refused(MetadataError),
}

impl Assembly {
    /// The number of the next packet of ours, once there was any.
    pub(super) fn own_next(&self) -> Option<u16> {
        self.own
    }

    /// Takes a packet with its payload and the extension that is kept of it. The marker ends a document (§5.1.2.1.1).
    pub(super) fn take(
        &mut self,
        screen: Option<&Screen>,
        (header, codec, own): (&RtpHeader, Codec, Ssrc),
        extension: &[u8],
        payload: &[u8],
    ) -> Taken {
        let torn = self.next.is_some_and(|it| it != header.sequence);
        self.next = Some(header.sequence.wrapping_add(1));
        let own_sequence = *self.own.get_or_insert(header.sequence);
        if torn && self.begun {
            self.failed = Some(MetadataError::Torn);
        }
        if !self.begun {
            self.begun = true;
            // The end of a document whose beginning is missing will not be read either.
            self.timestamp = header.timestamp;
            self.extension.extend_from_slice(extension);
        } else if self.timestamp != header.timestamp {
            self.failed = Some(MetadataError::Torn);
        }
        if self.bytes.len() + payload.len() > METADATA_BYTES_MAX {
            self.failed = Some(MetadataError::Long);
        }
        if self.failed.is_none() {
            self.bytes.extend_from_slice(payload);
        } else {
            self.bytes.clear();
        }
        if !header.marker {
            return Taken::Part;
        }
        self.begun = false;
        let (bytes, extension) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.extension));
        let judged = match (self.failed.take(), screen) {
            (Some(error), _) => Err(error),
            (None, Some(screen)) => screen.judge(codec, &bytes),
            (None, None) => Err(MetadataError::Encoding),
        };
        match judged {
            Err(error) => Taken::Refused(error),
            Ok(document) => {
                let packets = packets(&document, (header, self.timestamp, own), &extension, own_sequence);
                self.own = Some(own_sequence.wrapping_add((packets.len() & 0xffff) as u16));
                Taken::Whole(packets)
            }
        }
    }
}

/// A document in packets of one timestamp, the last with the marker.
fn packets(
    document: &[u8],
    (like, timestamp, own): (&RtpHeader, u32, Ssrc),
    extension: &[u8],
    first: u16,
) -> Vec<Vec<u8>> {
    let pieces = document.chunks(METADATA_PACKET_BYTES_MAX);
    let last = pieces.len().saturating_sub(1);
    let packet = |(number, piece): (usize, &[u8])| {
        let extension = if number == 0 { extension } else { &[] };
        let mut packet = Vec::with_capacity(RtpHeader::FIXED_BYTES + extension.len() + piece.len());
        packet.push(if extension.is_empty() { 0x80 } else { 0x90 });
        packet.push(like.payload_type | if number == last { 0x80 } else { 0 });
        packet.extend_from_slice(&first.wrapping_add((number & 0xffff) as u16).to_be_bytes());
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(&own.0.to_be_bytes());
        packet.extend_from_slice(extension);
        packet.extend_from_slice(piece);
        packet
    };
    pieces.enumerate().map(packet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hatch::AddressRules;

    fn screen() -> Screen {
        let mut rules = AddressRules::default();
        rules.add_address("10.20.0.5".parse().unwrap());
        rules.add_name("axis-b8a44f");
        Screen::new(&Tables::embedded().unwrap(), rules)
    }

    fn stream(inside: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><m:MetadataStream xmlns:m=\"http://www.onvif.org/ver10/schema\" \
             xmlns:w=\"http://docs.oasis-open.org/wsn/b-2\" xmlns:a=\"http://www.w3.org/2005/08/addressing\" \
             xmlns:v=\"urn:vendor\">{inside}</m:MetadataStream>"
        )
    }

    fn passed(inside: &str) -> String {
        String::from_utf8(screen().judge(Codec::Metadata, stream(inside).as_bytes()).unwrap()).unwrap()
    }

    /// An object that was seen.
    const SEEN: &str = "<m:VideoAnalytics><m:Frame UtcTime=\"2026-11-26T05:00:00Z\"><m:Object ObjectId=\"7\">\
        <m:Appearance><m:Shape><m:BoundingBox left=\"0\" top=\"1\" right=\"1\" bottom=\"0\"/>\
        <m:CenterOfGravity x=\"0.5\" y=\"0.5\"/></m:Shape></m:Appearance></m:Object></m:Frame></m:VideoAnalytics>";

    #[test]
    fn what_is_declared_is_written_anew() {
        let text = passed(SEEN);
        let begins = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><tt:MetadataStream \
                      xmlns:tt=\"http://www.onvif.org/ver10/schema\">";
        assert!(text.starts_with(begins), "{text}");
        for part in ["UtcTime=\"2026-11-26T05:00:00Z\"", "ObjectId=\"7\"", "x=\"0.5\""] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("m:"), "{text}");
        assert_eq!(screen().judge(Codec::Metadata, text.as_bytes()).unwrap(), text.as_bytes());
    }

    #[test]
    fn nothing_of_the_cameras_side_is_hidden_in_it() {
        let event = |inside: &str| {
            format!(
                "<m:Event><w:NotificationMessage>{inside}<w:Message><m:Message UtcTime=\"2026-11-26T05:00:00Z\">\
                 <m:Data><m:SimpleItem Name=\"State\" Value=\"VALUE\"/></m:Data></m:Message></w:Message>\
                 </w:NotificationMessage></m:Event>"
            )
        };
        let topic = "<w:Topic Dialect=\"http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet\">\
                     tns1:VideoSource/MotionAlarm</w:Topic>";
        let producer =
            "<w:ProducerReference><a:Address>http://10.20.0.5/onvif</a:Address></w:ProducerReference>";
        let hidden = [
            event(&format!("{topic}{producer}")),
            event(topic).replace("VALUE", "http://10.20.0.5/x"),
            event(topic).replace("VALUE", "seen by 10.20.0.5"),
            event(topic).replace("VALUE", "seen by 0x0a140005"),
            event(topic).replace("VALUE", "10.20.0&#46;5"),
            event(topic).replace("VALUE", "http://axis-b8a44f/"),
            event(topic).replace("VALUE", "aHR0cDovLzEwLjIwLjAuNS94"),
            format!("{SEEN}<!-- 10.20.0.5 -->"),
            format!("{SEEN}<?camera 10.20.0.5?>"),
            format!("{SEEN}<v:Own at=\"10.20.0.5\">10.20.0.5</v:Own>"),
            SEEN.replace("<m:Appearance>", "<m:Appearance><m:ImageRef>http://10.20.0.5/7.jpg</m:ImageRef>"),
            SEEN.replace("ObjectId=\"7\"", "ObjectId=\"7\" v:at=\"10.20.0.5\""),
            SEEN.replace("<m:Object ", "<m:Extension><v:Own>10.20.0.5</v:Own></m:Extension><m:Object "),
        ];
        let spelt = ["10.20.0.5", "0x0a140005", "axis-b8a44f", "aHR0cDovLzEwLjIwLjAuNS94"];
        for inside in &hidden {
            match screen().judge(Codec::Metadata, stream(inside).as_bytes()) {
                Ok(bytes) => {
                    let text = String::from_utf8(bytes).unwrap();
                    assert!(!spelt.iter().any(|it| text.contains(it)), "{inside}\n{text}");
                }
                Err(error) => assert!(
                    matches!(error, MetadataError::Address | MetadataError::Undeclared),
                    "{inside}: {error}"
                ),
            }
        }
    }

    #[test]
    fn what_is_no_such_document_does_not_pass() {
        let judge = |bytes: &[u8]| screen().judge(Codec::Metadata, bytes).unwrap_err();
        let bomb = format!("<!DOCTYPE x [<!ENTITY a \"{}\">]>{}", "b".repeat(99), stream("&a;"));
        let other =
            "<m:Frame xmlns:m=\"http://www.onvif.org/ver10/schema\" UtcTime=\"2026-11-26T05:00:00Z\"/>";
        for text in ["", "no XML", other, bomb.as_str(), &stream(SEEN)[..300], &stream("&a;")] {
            assert_eq!(judge(text.as_bytes()), MetadataError::Undeclared, "{text}");
        }
        assert_eq!(judge(b"\xff\xfe<\0"), MetadataError::Text);
        assert_eq!(judge(&vec![b' '; METADATA_BYTES_MAX + 1]), MetadataError::Long);
        for codec in [Codec::MetadataExi, Codec::MetadataExiExtended] {
            assert_eq!(screen().judge(codec, b"$EXI"), Err(MetadataError::Encoding));
        }
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn packed_documents_are_unpacked_within_a_bound() {
        let judge = |bytes: &[u8]| screen().judge(Codec::MetadataGzip, bytes);
        let anew = judge(&packed(stream(SEEN).as_bytes())).unwrap();
        let mut text = String::new();
        MultiGzDecoder::new(&anew[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, passed(SEEN));
        let bomb = packed(&vec![b' '; 256 * METADATA_BYTES_MAX]);
        assert!(bomb.len() < METADATA_BYTES_MAX / 2, "{} bytes unpack to 256 MiB", bomb.len());
        assert_eq!(judge(&bomb), Err(MetadataError::Long));
        let whole = packed(stream(SEEN).as_bytes());
        assert_eq!(judge(&whole[..whole.len() / 2]), Err(MetadataError::Packed));
        assert_eq!(judge(stream(SEEN).as_bytes()), Err(MetadataError::Packed));
    }

    fn header(sequence: u16, timestamp: u32, marker: bool) -> RtpHeader {
        let mut packet = vec![0x80, 107 | if marker { 0x80 } else { 0 }];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(&[0; 4]);
        RtpHeader::parse(&packet).unwrap()
    }

    /// The payloads of a document's packets, put together.
    fn whole(taken: Taken) -> Result<Vec<u8>, Option<MetadataError>> {
        match taken {
            Taken::Part => Err(None),
            Taken::Refused(error) => Err(Some(error)),
            Taken::Whole(packets) => Ok(packets.iter().flat_map(|it| it[12..].to_vec()).collect()),
        }
    }

    #[test]
    fn documents_are_put_together_and_go_on_in_packets_in_a_row() {
        let (screen, document) = (screen(), stream(&SEEN.repeat(20)));
        let mut assembly = Assembly::default();
        let mut take = |sequence, timestamp, marker, payload: &[u8]| {
            let header = header(sequence, timestamp, marker);
            assembly.take(Some(&screen), (&header, Codec::Metadata, Ssrc(9)), &[], payload)
        };
        let (first, second) = document.as_bytes().split_at(700);
        assert!(matches!(take(65_535, 5, false, first), Taken::Part));
        let Taken::Whole(packets) = take(0, 5, true, second) else { panic!("refused") };
        let headers: Vec<_> = packets.iter().map(|it| RtpHeader::parse(it).unwrap()).collect();
        let numbers: Vec<u16> = (0..packets.len()).map(|it| (it as u16).wrapping_sub(1)).collect();
        assert_eq!(headers.iter().map(|it| it.sequence).collect::<Vec<_>>(), numbers);
        assert!(headers.iter().all(|it| (it.timestamp, it.ssrc, it.payload_type) == (5, Ssrc(9), 107)));
        assert_eq!(headers.iter().filter(|it| it.marker).count(), 1);
        assert!(headers.last().unwrap().marker && packets.len() > 3, "{}", packets.len());
        let next = (packets.len() as u16).wrapping_sub(1);
        // One that is torn is lost alone, and leaves no gap.
        assert_eq!(whole(take(1, 6, false, first)), Err(None));
        assert_eq!(whole(take(3, 6, true, second)), Err(Some(MetadataError::Torn)));
        assert_eq!(whole(take(4, 7, false, first)), Err(None));
        assert_eq!(whole(take(5, 8, true, second)), Err(Some(MetadataError::Torn)), "of another moment");
        let Taken::Whole(packets) = take(6, 9, true, document.as_bytes()) else { panic!("refused") };
        assert_eq!(RtpHeader::parse(&packets[0]).unwrap().sequence, next);
        let large = vec![b' '; METADATA_BYTES_MAX / 2 + 1];
        assert_eq!(whole(take(7, 10, false, &large)), Err(None));
        assert_eq!(whole(take(8, 10, true, &large)), Err(Some(MetadataError::Long)));
    }
}
