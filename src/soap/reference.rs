//! Where a subscription is: the endpoint reference (WS-Addressing 1.0 Core §2) in an answer to the gateway's own
//! subscription. Its parameters are of whatever kind the camera's maker likes, and go back as they came: to the camera
//! they came from, in the header of the gateway's own messages, and nowhere else.

use serde::{Deserialize, Serialize};

use super::{WSA, decode::text_of};
use crate::{
    limits::{SUBSCRIPTION_ADDRESS_BYTES_MAX, SUBSCRIPTION_PARAMETERS_BYTES_MAX},
    schema::{
        escape,
        mend::mend,
        xml::{XmlEvent, XmlReader, utf8},
    },
};

/// An endpoint reference as a camera wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reference {
    /// Its address, which need not be one: some leave it empty, some write `urn:uuid:`.
    pub address: String,
    /// Its reference parameters.
    pub parameters: Vec<Parameter>,
}

/// A reference parameter: one element as the camera wrote it, to be a header block. What it declares outside itself is
/// declared in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter(String);

impl Parameter {
    /// The element.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The subscription's reference in an answer that was read before; none if there is none, or if it is larger than any.
pub fn subscription_reference(answer: &[u8]) -> Option<Reference> {
    let mended = || mend(answer, utf8(answer).err().as_ref()).and_then(|it| reference_in(&it.text));
    utf8(answer).ok().and_then(reference_in).or_else(mended)
}

fn reference_in(text: &str) -> Option<Reference> {
    // As the reader counts: it passes over these.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_start_matches([' ', '\r', '\n', '\t']);
    let mut reader = XmlReader::tolerant(text).ok()?;
    loop {
        match reader.next_event().ok()? {
            XmlEvent::Start(name) if name.local == "SubscriptionReference" => break,
            XmlEvent::Eof => return None,
            XmlEvent::Start(_) | XmlEvent::End | XmlEvent::Text(_) => {}
        }
    }
    let mut found = Reference::default();
    loop {
        match reader.next_event().ok()? {
            XmlEvent::Start(name) if is_addressing(&reader, name.space) && name.local == "Address" => {
                found.address = text_of(&mut reader).ok()?.trim().to_owned();
            }
            XmlEvent::Start(name)
                if is_addressing(&reader, name.space) && name.local == "ReferenceParameters" =>
            {
                found.parameters = parameters(&mut reader, text)?;
            }
            XmlEvent::Start(_) => reader.skip().ok()?,
            XmlEvent::End => break,
            XmlEvent::Text(_) => {}
            XmlEvent::Eof => return None,
        }
    }
    (found.address.len() <= SUBSCRIPTION_ADDRESS_BYTES_MAX).then_some(found)
}

/// WS-Addressing 1.0, or the draft of 2004 that older firmware has.
fn is_addressing(reader: &XmlReader<'_>, space: crate::schema::xml::SpaceId) -> bool {
    matches!(reader.uri(space), WSA | WSA_OF_2004)
}

/// The elements inside the open one.
fn parameters(reader: &mut XmlReader<'_>, text: &str) -> Option<Vec<Parameter>> {
    let mut found = Vec::new();
    let mut bytes = 0_usize;
    let mut from = usize::try_from(reader.position()).ok()?;
    loop {
        match reader.next_event().ok()? {
            XmlEvent::Start(_) => {
                reader.skip().ok()?;
                let to = usize::try_from(reader.position()).ok()?;
                let element = element_in(text.get(from..to)?)?;
                let mut resolve = |prefix: &str| {
                    let space = reader.resolve(prefix)?;
                    Some(reader.uri(space).to_owned())
                };
                let whole = declared(element, &mut resolve)?;
                bytes = bytes.saturating_add(whole.len());
                if bytes > SUBSCRIPTION_PARAMETERS_BYTES_MAX {
                    return None;
                }
                found.push(Parameter(whole));
                from = to;
            }
            // Once it is told, the tag behind it was looked at, too: the next element begins behind the last all the same.
            XmlEvent::Text(_) => {}
            XmlEvent::End => return Some(found),
            XmlEvent::Eof => return None,
        }
    }
}

/// The element that a piece of a message ends with; white space and comments may stand before it.
fn element_in(mut piece: &str) -> Option<&str> {
    loop {
        piece = piece.get(piece.find('<')?..)?;
        let after = match piece {
            it if it.starts_with("<!--") => it.split_once("-->")?.1,
            it if it.starts_with("<?") => it.split_once("?>")?.1,
            it => return Some(it.trim_end()),
        };
        piece = after;
    }
}

/// An element with the namespaces declared that it has from outside. None if one of its prefixes means nothing.
fn declared(element: &str, resolve: &mut dyn FnMut(&str) -> Option<String>) -> Option<String> {
    let name_end = element.find([' ', '\t', '\r', '\n', '/', '>'])?;
    let (name, rest) = element.split_at_checked(name_end)?;
    let mut out = name.to_owned();
    let mut known: Vec<&str> = Vec::new();
    for prefix in prefixes(element) {
        let own = match prefix {
            "" => "xmlns=".to_owned(),
            _ => format!("xmlns:{prefix}="),
        };
        // What it declares itself, wherever in it, is taken for declared: cameras declare at the top.
        if known.contains(&prefix) || prefix == "xmlns" || prefix == "xml" || element.contains(&own) {
            continue;
        }
        known.push(prefix);
        match resolve(prefix) {
            Some(uri) if !uri.is_empty() => {
                out.push(' ');
                out.push_str(&own);
                out.push('"');
                escape(&uri, true, &mut out);
                out.push('"');
            }
            Some(_) => {}
            None if prefix.is_empty() => {}
            None => return None,
        }
    }
    out.push_str(rest);
    Some(out)
}

/// The prefixes of the names in an element's tags, the empty one if a tag has none.
fn prefixes(element: &str) -> impl Iterator<Item = &str> {
    element.split('<').skip(1).flat_map(|tag| {
        let tag = tag.split('>').next().unwrap_or_default();
        let mut words = tag.trim_start_matches('/').split([' ', '\t', '\r', '\n', '/']);
        let name = words.next().unwrap_or_default();
        let of_name = name.split_once(':').map_or("", |(prefix, _)| prefix);
        let of_attributes = words.filter_map(|word| {
            let (name, _) = word.split_once('=')?;
            name.split_once(':').map(|(prefix, _)| prefix)
        });
        std::iter::once(of_name).chain(of_attributes)
    })
}

/// WS-Addressing as submitted in 2004.
const WSA_OF_2004: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(reference: &str) -> Option<Reference> {
        let text = format!(
            "<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:a=\"{WSA}\" \
             xmlns:dom0=\"http://www.axis.com/2009/event\" xmlns:t=\"urn:t\"><e:Body><t:R>\
             <t:SubscriptionReference>{reference}</t:SubscriptionReference></t:R></e:Body></e:Envelope>"
        );
        subscription_reference(text.as_bytes())
    }

    #[test]
    fn a_reference_is_taken_as_the_camera_wrote_it() {
        let axis = of(
            "<a:Address>http://192.0.2.5/onvif/services</a:Address><a:ReferenceParameters> <!-- its own -->\n \
             <dom0:SubscriptionId dom0:kind='x'> 7&amp;8 </dom0:SubscriptionId><b:Idx xmlns:b=\"urn:b\"/>\
             </a:ReferenceParameters>",
        );
        let axis = axis.unwrap();
        assert_eq!(axis.address, "http://192.0.2.5/onvif/services");
        let blocks: Vec<&str> = axis.parameters.iter().map(Parameter::as_str).collect();
        assert_eq!(
            blocks,
            [
                "<dom0:SubscriptionId xmlns:dom0=\"http://www.axis.com/2009/event\" dom0:kind='x'> 7&amp;8 \
                 </dom0:SubscriptionId>",
                "<b:Idx xmlns:b=\"urn:b\"/>"
            ]
        );
        for (text, address) in [
            ("<a:Address/>", ""),
            ("<a:Address></a:Address>", ""),
            ("<a:Address>urn:uuid:5</a:Address><a:Metadata><t:x/></a:Metadata>", "urn:uuid:5"),
            ("", ""),
        ] {
            let expected = Reference { address: address.to_owned(), parameters: Vec::new() };
            assert_eq!(of(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_larger_than_any_reference_is_none() {
        let address = |bytes: usize| of(&format!("<a:Address>{}</a:Address>", "x".repeat(bytes)));
        assert!(address(SUBSCRIPTION_ADDRESS_BYTES_MAX).is_some());
        assert_eq!(address(SUBSCRIPTION_ADDRESS_BYTES_MAX + 1), None);
        let inside = |bytes: usize| {
            let element = format!("<t:p xmlns:t=\"urn:t\">{}</t:p>", "x".repeat(bytes));
            of(&format!("<a:ReferenceParameters>{element}</a:ReferenceParameters>"))
        };
        assert!(inside(SUBSCRIPTION_PARAMETERS_BYTES_MAX - 64).is_some());
        assert_eq!(inside(SUBSCRIPTION_PARAMETERS_BYTES_MAX), None);
    }
}
