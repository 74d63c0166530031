//! What an answer's body looks like, before anybody parses it.

use http::{HeaderMap, header};

/// Whether the body may be read as a SOAP envelope: the first element is called `Envelope`, and the content type
/// does not exclude it. A camera's login page is none; some recorders call all their answers HTML.
pub(super) fn looks_like_envelope(headers: &HeaderMap, body: &[u8]) -> bool {
    let kind = media_type(headers);
    let other = ["multipart/", "image/", "application/json", "application/octet-stream"];
    !other.iter().any(|prefix| kind.starts_with(prefix)) && first_element(body) == Some(b"Envelope")
}

/// Whether the body is a web page, by its content type or its beginning.
pub(super) fn is_web_page(headers: &HeaderMap, body: &[u8]) -> bool {
    let begins = body.trim_ascii_start().get(..5).unwrap_or_default().to_ascii_lowercase();
    let is_html = media_type(headers) == "text/html" && !looks_like_envelope(headers, body);
    is_html || begins == b"<html" || begins == b"<!doc"
}

/// Whether the body begins as a JPEG picture does.
pub(super) fn begins_as_jpeg(_: &HeaderMap, body: &[u8]) -> bool {
    body.starts_with(&[0xFF, 0xD8, 0xFF])
}

/// Whether the answer says that it is a JPEG picture.
pub(super) fn says_jpeg(headers: &HeaderMap) -> bool {
    matches!(media_type(headers).as_str(), "image/jpeg" | "image/jpg")
}

/// How far into a body its first element's name may reach.
pub(super) const BEGINNING_BYTES: usize = 1024;

fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The local name of the first element, past padding, byte order mark, white space, declarations and comments.
fn first_element(body: &[u8]) -> Option<&[u8]> {
    let mut rest = body.get(..BEGINNING_BYTES).unwrap_or(body);
    let padding = rest.iter().take_while(|byte| **byte == 0 || byte.is_ascii_whitespace()).count();
    rest = rest.get(padding..)?;
    rest = rest.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(rest);
    loop {
        rest = rest.trim_ascii_start().strip_prefix(b"<")?;
        if let Some(declaration) = rest.strip_prefix(b"?") {
            rest = after(declaration, b"?>")?;
        } else if let Some(comment) = rest.strip_prefix(b"!--") {
            rest = after(comment, b"-->")?;
        } else {
            let name = rest.split(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/')).next()?;
            return name.rsplit(|byte| *byte == b':').next();
        }
    }
}

fn after<'a>(text: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let at = text.windows(mark.len()).position(|window| window == mark)?;
    text.get(at + mark.len()..)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn typed(kind: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))])
    }

    #[test]
    fn only_envelopes_look_like_envelopes() {
        let soap = typed("application/soap+xml; charset=utf-8");
        for yes in [
            "<s:Envelope>",
            "\u{FEFF}<?xml version=\"1.0\"?>\r\n<!-- gSOAP --><SOAP-ENV:Envelope xmlns:x=\"y\">",
            " <Envelope/>",
            "\0\r\n\0<Envelope/>",
        ] {
            assert!(looks_like_envelope(&soap, yes.as_bytes()), "{yes}");
            assert!(looks_like_envelope(&HeaderMap::new(), yes.as_bytes()), "without a content type: {yes}");
            assert!(looks_like_envelope(&typed("text/html"), yes.as_bytes()), "as HTML: {yes}");
            assert!(!is_web_page(&typed("text/html"), yes.as_bytes()), "as HTML: {yes}");
            assert!(!looks_like_envelope(&typed("Multipart/Related; a=b"), yes.as_bytes()), "as MTOM: {yes}");
        }
        for no in ["", "<", "<html>", "<!DOCTYPE html><html>", "{}", "<?xml", "<Enveloped>", "x<Envelope>"] {
            assert!(!looks_like_envelope(&soap, no.as_bytes()), "{no}");
            assert!(is_web_page(&typed("text/html"), no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn only_jpeg_is_a_picture() {
        let jpeg = typed("image/jpeg");
        assert!(says_jpeg(&jpeg) && !says_jpeg(&typed("text/html")));
        assert!(begins_as_jpeg(&jpeg, &[0xFF, 0xD8, 0xFF]) && !begins_as_jpeg(&jpeg, b"GIF89a"));
    }
}
