//! Header blocks: WS-Security UsernameToken and WS-Addressing.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use super::{
    PASSWORD_DIGEST, SOAP11, WSA, WSSE, WSU,
    decode::{Trouble, text_of},
    fault::{Fault, FaultCode},
};
use crate::{
    limits::WSSE_NONCE_BYTES_MAX,
    schema::xml::{XmlEvent, XmlReader},
};

/// Credentials of the WSS UsernameToken Profile.
#[derive(Debug, Clone)]
pub struct UsernameToken {
    /// The name claimed.
    pub username: String,
    /// How it is proven.
    pub password: Password,
    /// The nonce, decoded.
    pub nonce: Vec<u8>,
    /// The time of making, as sent.
    pub created: String,
}

/// The proof of a UsernameToken.
#[derive(Clone)]
pub enum Password {
    /// SHA-1 over nonce, time and password.
    Digest([u8; 20]),
    /// The password itself.
    Text(Zeroizing<String>),
    /// None.
    Missing,
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Digest(_) => "Digest(***)",
            Self::Text(_) => "Text(***)",
            Self::Missing => "Missing",
        })
    }
}

/// The WS-Addressing blocks that matter to a gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addressing {
    /// Where the message says it goes.
    pub to: Option<String>,
    /// The action.
    pub action: Option<String>,
    /// The message's id, to relate the reply to.
    pub message_id: Option<String>,
}

/// What the header held.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) security: Option<UsernameToken>,
    pub(super) addressing: Addressing,
    /// Where answers are to go in place of this connection.
    pub(super) reply_to: Option<String>,
    /// Why the request cannot be taken, found while reading; the rest is read all the same, so that whoever
    /// asks is known.
    pub(super) fault: Option<Fault>,
}

/// Reads the header up to its end tag; the start tag has been read.
pub(super) fn read(reader: &mut XmlReader<'_>, envelope: &str, header: &mut Header) -> Result<(), Trouble> {
    loop {
        let name = match reader.next_event()? {
            XmlEvent::Start(name) => name,
            XmlEvent::Text(text) if text.trim().is_empty() => continue,
            XmlEvent::Text(_) => return Err(Fault::well_formed("text between header blocks").into()),
            XmlEvent::End => return Ok(()),
            XmlEvent::Eof => return Err(Fault::well_formed("the header does not end").into()),
        };
        let must_understand = must_understand(reader, envelope);
        let uri = reader.uri(name.space).to_owned();
        match (uri.as_str(), name.local) {
            (WSSE, "Security") => {
                if header.security.is_some() {
                    return Err(Fault::invalid_args("two wsse:Security headers").into());
                }
                header.security = security(reader)?;
            }
            (WSA, block) => addressing(reader, block, must_understand, header)?,
            (_, local) => {
                if must_understand {
                    let reason = format!("the header block `{}` is not understood", shown(local));
                    header.fault.get_or_insert(Fault::envelope(FaultCode::MustUnderstand, reason));
                }
                reader.skip()?;
            }
        }
    }
}

/// Whether the open block must be understood by this node. SOAP 1.1 §4.2.3 knows the value 1 only; `true` is
/// taken for it. A block of 1.1 for another `actor` (§4.2.2) is not this node's to understand.
fn must_understand(reader: &XmlReader<'_>, envelope: &str) -> bool {
    let attribute = |local: &str| {
        let found = reader
            .attributes()
            .iter()
            .find(|it| it.name.local == local && reader.uri(it.name.space) == envelope);
        found.map(|it| it.value.trim())
    };
    let for_another = envelope == SOAP11 && !matches!(attribute("actor"), None | Some("" | NEXT_ACTOR));
    matches!(attribute("mustUnderstand"), Some("1" | "true")) && !for_another
}

fn addressing(
    reader: &mut XmlReader<'_>,
    block: &str,
    must_understand: bool,
    header: &mut Header,
) -> Result<(), Trouble> {
    let slot = match block {
        "To" => &mut header.addressing.to,
        "Action" => &mut header.addressing.action,
        "MessageID" => &mut header.addressing.message_id,
        "ReplyTo" => {
            let before = header.reply_to.take();
            header.reply_to = reply_address(reader)?.or(before);
            return Ok(());
        }
        "FaultTo" => {
            if reply_address(reader)?.is_some() {
                header.fault.get_or_insert(not_anonymous(block));
            }
            return Ok(());
        }
        "From" | "RelatesTo" => return Ok(reader.skip()?),
        _ => {
            if must_understand {
                let reason = format!("the header block `wsa:{}` is not understood", shown(block));
                header.fault.get_or_insert(Fault::envelope(FaultCode::MustUnderstand, reason));
            }
            return Ok(reader.skip()?);
        }
    };
    let text = text_of(reader)?.trim().to_owned();
    if text.len() > ADDRESSING_BYTES_MAX {
        return Err(Fault::invalid_args(format!("wsa:{block} is too long")).into());
    }
    if slot.replace(text).is_some() {
        return Err(Fault::invalid_args(format!("two wsa:{block} headers")).into());
    }
    Ok(())
}

/// The address in the open block, if it is not that of the connection: replies go back on the one they were asked on,
/// nowhere else (Core §5.8; a destination in a header would make the device send its answer to a third party).
fn reply_address(reader: &mut XmlReader<'_>) -> Result<Option<String>, Trouble> {
    let mut elsewhere = None;
    loop {
        match reader.next_event()? {
            XmlEvent::Start(name) if name.local == "Address" && reader.uri(name.space) == WSA => {
                let address = text_of(reader)?;
                if !ANONYMOUS.contains(&address.trim()) {
                    elsewhere = Some(address.trim().to_owned());
                }
            }
            XmlEvent::Start(_) => reader.skip()?,
            XmlEvent::End => return Ok(elsewhere),
            XmlEvent::Text(_) => {}
            XmlEvent::Eof => return Err(Fault::well_formed("the header does not end").into()),
        }
    }
}

/// The fault for answers that are to go elsewhere.
pub(super) fn not_anonymous(block: &str) -> Fault {
    let reason = format!("wsa:{block} must be anonymous: answers go back on this connection");
    Fault::invalid_argument_value(reason)
}

/// Reads a Security header: at most one UsernameToken; time stamps and the like are passed over.
fn security(reader: &mut XmlReader<'_>) -> Result<Option<UsernameToken>, Trouble> {
    let mut found = None;
    loop {
        match reader.next_event()? {
            XmlEvent::Start(name) if name.local == "UsernameToken" && reader.uri(name.space) == WSSE => {
                if found.is_some() {
                    return Err(Fault::invalid_args("two wsse:UsernameToken in one header").into());
                }
                found = Some(username_token(reader)?);
            }
            XmlEvent::Start(_) => reader.skip()?,
            XmlEvent::End => return Ok(found),
            XmlEvent::Text(_) => {}
            XmlEvent::Eof => return Err(Fault::well_formed("the header does not end").into()),
        }
    }
}

fn username_token(reader: &mut XmlReader<'_>) -> Result<UsernameToken, Trouble> {
    let mut token = UsernameToken {
        username: String::new(),
        password: Password::Missing,
        nonce: Vec::new(),
        created: String::new(),
    };
    let mut seen: Vec<&str> = Vec::new();
    loop {
        let name = match reader.next_event()? {
            XmlEvent::Start(name) => name,
            XmlEvent::End => return Ok(token),
            XmlEvent::Text(_) => continue,
            XmlEvent::Eof => return Err(Fault::well_formed("the header does not end").into()),
        };
        let uri = reader.uri(name.space).to_owned();
        if seen.contains(&name.local) {
            // Which of two counts is not for us to guess.
            return Err(Fault::invalid_args(format!("two wsse:{} in one token", shown(name.local))).into());
        }
        seen.extend(TOKEN_PARTS.iter().find(|part| **part == name.local));
        match (uri.as_str(), name.local) {
            (WSSE, "Username") => token.username = bounded(text_of(reader)?, "Username")?,
            (WSSE, "Password") => {
                let digest = reader
                    .attributes()
                    .iter()
                    .any(|it| it.name.local == "Type" && *it.value == *PASSWORD_DIGEST);
                token.password = password(Zeroizing::new(text_of(reader)?), digest)?;
            }
            (WSSE, "Nonce") => token.nonce = nonce(&text_of(reader)?)?,
            (WSU, "Created") => token.created = bounded(text_of(reader)?, "Created")?,
            _ => reader.skip()?,
        }
    }
}

fn password(text: Zeroizing<String>, digest: bool) -> Result<Password, Trouble> {
    if !digest {
        return Ok(Password::Text(text));
    }
    let wrong = || Fault::invalid_args("the password digest is not 20 bytes of base64");
    let bytes = BASE64_STANDARD.decode(text.trim()).map_err(|_| wrong())?;
    Ok(Password::Digest(bytes.try_into().map_err(|_| wrong())?))
}

fn nonce(text: &str) -> Result<Vec<u8>, Trouble> {
    // Four characters of base64 hold three bytes.
    if text.len() > WSSE_NONCE_BYTES_MAX / 3 * 4 + 8 {
        return Err(
            Fault::invalid_args(format!("the nonce is longer than {WSSE_NONCE_BYTES_MAX} bytes")).into()
        );
    }
    let bytes =
        BASE64_STANDARD.decode(text.trim()).map_err(|_| Fault::invalid_args("the nonce is not base64"))?;
    if bytes.len() > WSSE_NONCE_BYTES_MAX {
        return Err(
            Fault::invalid_args(format!("the nonce is longer than {WSSE_NONCE_BYTES_MAX} bytes")).into()
        );
    }
    Ok(bytes)
}

fn bounded(text: String, what: &str) -> Result<String, Trouble> {
    if text.len() > CREDENTIAL_BYTES_MAX {
        return Err(
            Fault::invalid_args(format!("wsse:{what} is longer than {CREDENTIAL_BYTES_MAX} bytes")).into()
        );
    }
    Ok(text.trim().to_owned())
}

/// A name of the peer's in a sentence of ours.
fn shown(local: &str) -> String {
    local.chars().take(64).collect()
}

/// Addresses that mean "back on this connection" or "not at all" (WS-Addressing Core §2.1).
const ANONYMOUS: [&str; 2] =
    ["http://www.w3.org/2005/08/addressing/anonymous", "http://www.w3.org/2005/08/addressing/none"];
/// The actor that is whoever gets the message next (SOAP 1.1 §4.2.2).
const NEXT_ACTOR: &str = "http://schemas.xmlsoap.org/soap/actor/next";
/// The parts of a UsernameToken; each stands once.
const TOKEN_PARTS: [&str; 4] = ["Username", "Password", "Nonce", "Created"];
/// Bytes of one WS-Addressing value.
const ADDRESSING_BYTES_MAX: usize = 1_024;
/// Bytes of a user name or time of making.
const CREDENTIAL_BYTES_MAX: usize = 256;
