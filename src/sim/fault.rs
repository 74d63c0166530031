//! How a camera misbehaves, in all it does or in one operation.

use std::{collections::BTreeMap, io, str::FromStr, sync::Arc, time::Duration};

use http::StatusCode;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::{
    device::Device,
    server::{Reply, plain},
};
use crate::limits::{SIM_TRICKLE_TIME, SOAP_ANSWER_BYTES_MAX};

/// How a camera may misbehave. The operation is received, remembered and carried out all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Never answers.
    Hang,
    /// Answers once it is told to behave again.
    Hold,
    /// Answers, but only after a time.
    Slow(Duration),
    /// Sends its answer one byte a second.
    Trickle,
    /// Sends its answer again and again, as fast as it is taken.
    Flood,
    /// Begins an answer that does not end.
    Huge,
    /// Resets the connection.
    Reset,
    /// Sends bytes that are no HTTP.
    Garbage,
    /// Answers under this HTTP status.
    Status(u16),
    /// Promises so many bytes more than its answer has, or fewer.
    Length(i16),
    /// Answers 200 with a web page.
    Html,
    /// Answers 200 with nothing.
    EmptyBody,
    /// Answers more bytes than any answer may have.
    Oversize,
    /// Answers every operation as if it were `tds:GetHostname`.
    WrongOperation,
    /// Takes no password for right.
    BadPassword,
    /// Sends what a test wants.
    Say(Said),
}

/// Bytes in place of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// What is sent.
    pub bytes: Arc<[u8]>,
    /// How often; 0 is without end.
    pub times: usize,
    /// Whether the connection stays open afterwards, for the other side to give up.
    pub stays: bool,
}

impl Fault {
    /// The faults that have a name of their own.
    pub const NAMED: [(&'static str, Self); 14] = [
        ("hang", Self::Hang),
        ("slow", Self::Slow(Duration::from_secs(2))),
        ("trickle", Self::Trickle),
        ("flood", Self::Flood),
        ("huge", Self::Huge),
        ("reset", Self::Reset),
        ("garbage", Self::Garbage),
        ("status", Self::Status(503)),
        ("short", Self::Length(10)),
        ("long", Self::Length(-10)),
        ("html", Self::Html),
        ("empty", Self::EmptyBody),
        ("other", Self::WrongOperation),
        ("password", Self::BadPassword),
    ];

    /// Whether the camera's own HTTP server still answers, be it something else.
    pub(super) fn answers(&self) -> bool {
        match self {
            Self::Hold
            | Self::Slow(_)
            | Self::Status(_)
            | Self::Html
            | Self::EmptyBody
            | Self::Oversize
            | Self::WrongOperation
            | Self::BadPassword => true,
            Self::Hang
            | Self::Trickle
            | Self::Flood
            | Self::Huge
            | Self::Reset
            | Self::Garbage
            | Self::Length(_)
            | Self::Say(_) => false,
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::NAMED.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, fault)| fault).ok_or_else(|| {
            let names = Self::NAMED.map(|(known, _)| known).join(", ");
            format!("`{name}` is no fault; there are {names}")
        })
    }
}

/// The faults a camera has at the moment.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) of_all: Option<Fault>,
    pub(super) of_one: BTreeMap<String, Fault>,
}

impl Faults {
    /// That of an operation; of requests that are none, the fault of all.
    pub(super) fn of(&self, operation: Option<&str>) -> Option<&Fault> {
        operation.and_then(|name| self.of_one.get(name)).or(self.of_all.as_ref())
    }
}

/// A connection that can be reset.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin {
    /// Makes its close a reset.
    fn reset(&self);
}

impl Wire for TcpStream {
    fn reset(&self) {
        // That the socket may be gone already is no failure.
        let _ = self.set_zero_linger();
    }
}

impl Wire for TlsStream<TcpStream> {
    fn reset(&self) {
        self.get_ref().0.reset();
    }
}

/// Ends a connection the way a fault does, where the right answer would have been these head and body.
pub(super) async fn end(stream: &mut impl Wire, fault: &Fault, head: &str, body: &[u8]) -> io::Result<()> {
    let right = || [head.as_bytes(), length(body.len()).as_bytes(), body].concat();
    match fault {
        // Until the other side goes: a connection that nobody waits at must not keep its place.
        Fault::Hang => _ = tokio::io::copy(stream, &mut tokio::io::sink()).await?,
        Fault::Reset => {
            stream.reset();
            return Ok(());
        }
        Fault::Trickle => {
            for byte in right() {
                stream.write_all(&[byte]).await?;
                tokio::time::sleep(SIM_TRICKLE_TIME).await;
            }
        }
        Fault::Flood => say(stream, &right(), 0).await?,
        Fault::Huge => {
            stream.write_all(format!("{head}\r\n").as_bytes()).await?;
            say(stream, &[b' '; 16 * 1024], 0).await?;
        }
        Fault::Garbage => {
            let bytes: Vec<u8> = (0..=u8::MAX).collect();
            say(stream, &bytes, 64).await?;
        }
        Fault::Length(more) => {
            let promised = length(body.len().saturating_add_signed((*more).into()));
            stream.write_all(&[head.as_bytes(), promised.as_bytes(), body].concat()).await?;
        }
        Fault::Say(Said { bytes, times, stays }) => {
            say(stream, bytes, *times).await?;
            if *stays {
                tokio::io::copy(stream, &mut tokio::io::sink()).await?;
            }
        }
        Fault::Hold
        | Fault::Slow(_)
        | Fault::Status(_)
        | Fault::Html
        | Fault::EmptyBody
        | Fault::Oversize
        | Fault::WrongOperation
        | Fault::BadPassword => {}
    }
    stream.shutdown().await
}

/// Bytes, so often; 0 is until nobody takes them.
async fn say(stream: &mut impl Wire, bytes: &[u8], times: usize) -> io::Result<()> {
    let mut said: usize = 0;
    while times == 0 || said < times {
        stream.write_all(bytes).await?;
        said = said.saturating_add(1);
    }
    Ok(())
}

fn length(bytes: usize) -> String {
    format!("Content-Length: {bytes}\r\n\r\n")
}

/// What stands in for the right answer while the camera misbehaves.
pub(super) fn misbehaved(fault: &Fault, right: &Reply, device: &Device) -> Option<Reply> {
    let soap = "application/soap+xml; charset=utf-8";
    match fault {
        Fault::Html => {
            Some(plain(200, "text/html", "<!DOCTYPE html><html><body><h1>Login</h1></body></html>"))
        }
        Fault::WrongOperation => {
            let answer = "<tds:GetHostnameResponse><tds:HostnameInformation><tt:FromDHCP>false</tt:FromDHCP>\
                          </tds:HostnameInformation></tds:GetHostnameResponse>";
            Some(plain(200, soap, device.envelope("", answer)))
        }
        Fault::EmptyBody => Some(plain(200, soap, "")),
        Fault::Oversize => Some(plain(200, soap, " ".repeat(SOAP_ANSWER_BYTES_MAX.saturating_add(1)))),
        Fault::Status(status) => {
            let mut reply = right.clone();
            *reply.status_mut() = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Some(reply)
        }
        Fault::Hang
        | Fault::Hold
        | Fault::Slow(_)
        | Fault::Trickle
        | Fault::Flood
        | Fault::Huge
        | Fault::Reset
        | Fault::Garbage
        | Fault::Length(_)
        | Fault::BadPassword
        | Fault::Say(_) => None,
    }
}
