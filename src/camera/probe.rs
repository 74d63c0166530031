//! What answers at an address that is no enrolled camera: asked without a login, for nothing that changes anything.
//!
//! No pass is needed, since it is no camera of the gateway and nothing of a client's is sent; whoever may run the
//! program could ask by other means as well.

use std::{fmt::Display, net::SocketAddr};

use bytes::{Bytes, BytesMut};
use http::{Request, header};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    line::{Line, dial},
    link::{HttpAnswer, Into, Link, Wanted},
    sending::Sending,
    shown,
    tls::{CameraTls, Pin, PinBook, PinError},
};
use crate::{
    inventory::Evidence,
    isolation::Dialler,
    limits::{PROBE_TIME_MAX, SOAP_ANSWER_BYTES_MAX, STREAM_READ_BYTES, TRANSFER_STALL_MAX},
    rtsp::{Decoder, Field, Method, Peer, Received, Response, Writer},
    schema::{OperationId, Tables},
    soap::{self, Answer},
};

/// One question of ONVIF that may be asked without a login.
#[derive(Debug, Clone)]
pub struct Question {
    /// The operation.
    pub operation: OperationId,
    /// Its name, for people.
    pub name: String,
    /// The envelope.
    pub envelope: Bytes,
}

/// What was found at an address.
#[derive(Debug, Default)]
pub struct Probed {
    /// What shows there of a maker.
    pub evidence: Evidence,
    /// What each question came to, in words.
    pub steps: Vec<String>,
}

/// Where to ask.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// How its zone is reached.
    pub dialler: Dialler,
    /// Host and port of HTTP.
    pub http: SocketAddr,
    /// Path of the device service.
    pub device_path: &'a str,
    /// The port of HTTPS.
    pub tls_port: u16,
    /// The port of RTSP.
    pub rtsp_port: u16,
}

/// Asks over HTTP, TLS and RTSP, one after the other, each within `PROBE_TIME_MAX`.
pub async fn probe(place: &Place<'_>, tables: &Tables, questions: &[Question]) -> Probed {
    let mut probed = Probed::default();
    let page = within(http(place, "/", None)).await;
    probed.heard("HTTP GET /", page.as_ref().map(|answer| format!("HTTP status {}", answer.status.as_u16())));
    if let Ok(answer) = &page {
        probed.shows(&shown::of_headers(answer.status, &answer.headers, &Evidence::default()));
    }
    for question in questions {
        let answer = within(http(place, place.device_path, Some(&question.envelope))).await;
        let told = answer.as_ref().map(|answer| {
            probed.shows(&shown::of_headers(answer.status, &answer.headers, &Evidence::default()));
            probed.shows(&shown::of_envelope(&answer.body, &Evidence::default()));
            match soap::decode_answer(tables, &answer.body, question.operation) {
                Ok(Answer::Document(document, _)) => {
                    probed.shows(&shown::of_document(&document));
                    "answered".to_owned()
                }
                Ok(Answer::Fault(_)) => "answered with a fault".to_owned(),
                Err(_) => format!("HTTP status {}, no SOAP that can be read", answer.status.as_u16()),
            }
        });
        probed.heard(&question.name, told);
    }
    let tls = within(certificate(place)).await;
    probed.heard("TLS certificate", tls.as_ref().map(|_| "shown".to_owned()));
    probed.shows(&tls.unwrap_or_default());
    let rtsp = within(rtsp(place)).await;
    probed.heard("RTSP OPTIONS and DESCRIBE", rtsp.as_ref().map(|(_, told)| told.clone()));
    probed.shows(&rtsp.map(|(evidence, _)| evidence).unwrap_or_default());
    probed
}

impl Probed {
    fn shows(&mut self, shown: &Evidence) {
        self.evidence.take_up(shown);
    }

    fn heard(&mut self, what: &str, told: Result<String, &String>) {
        self.steps.push(format!("{what}: {}", told.unwrap_or_else(Clone::clone)));
    }
}

async fn within<T>(step: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    timeout(PROBE_TIME_MAX, step).await.unwrap_or_else(|_| Err("it does not answer in time".to_owned()))
}

fn told(error: impl Display) -> String {
    error.to_string()
}

async fn http(place: &Place<'_>, path: &str, envelope: Option<&Bytes>) -> Result<HttpAnswer, String> {
    let at = place.http;
    let line = Line::open(at, &place.dialler, None).await.map_err(told)?;
    let mut link = Link::over(line, at.port(), false).await.map_err(told)?;
    let request = Request::builder()
        .method(if envelope.is_some() { http::Method::POST } else { http::Method::GET })
        .uri(path)
        .header(header::HOST, at.to_string())
        .header(header::CONTENT_TYPE, "application/soap+xml; charset=utf-8")
        .header(header::CONNECTION, "close");
    let request = request.body(Sending::message(envelope.cloned().unwrap_or_default())).map_err(told)?;
    let into = Into::Memory(Wanted { bytes_max: SOAP_ANSWER_BYTES_MAX, begins: |_, _| true });
    link.exchange(request, into, TRANSFER_STALL_MAX, &|_| {}).await.map_err(|broken| told(broken.failure))
}

/// Believes whatever certificate it is shown: nothing is told to whoever shows it.
struct NoPins;

impl PinBook for NoPins {
    fn pin(&self) -> Result<Option<Pin>, PinError> {
        Ok(None)
    }

    fn keep(&self, first: Pin) -> Result<Pin, PinError> {
        Ok(first)
    }
}

async fn certificate(place: &Place<'_>) -> Result<Evidence, String> {
    let at = SocketAddr::new(place.http.ip(), place.tls_port);
    let open = || async { dial(at, &place.dialler).await.map_err(told) };
    let tls = CameraTls::new(Vec::new(), Box::new(NoPins));
    match tls.connect(open().await?, at.ip()).await {
        Err(_) if tls.knows_better() => tls.connect(open().await?, at.ip()).await.map_err(told)?,
        connected => connected.map_err(told)?,
    };
    Ok(tls.shown().unwrap_or_default())
}

async fn rtsp(place: &Place<'_>) -> Result<(Evidence, String), String> {
    let at = SocketAddr::new(place.http.ip(), place.rtsp_port);
    let mut stream = dial(at, &place.dialler).await.map_err(told)?;
    let (mut decoder, mut buffer) = (Decoder::new(Peer::Camera), BytesMut::new());
    let (mut evidence, mut statuses) = (Evidence::default(), Vec::new());
    let uri = format!("rtsp://{at}/");
    for (cseq, method) in (1..).zip([Method::Options, Method::Describe]) {
        let request = Writer::request(&method, &uri, cseq).field(Field::UserAgent, "Cordon");
        stream.write_all(&request.finish().map_err(told)?).await.map_err(told)?;
        let answer = loop {
            match decoder.next(&mut buffer).map_err(told)? {
                Some(Received::Response(answer)) => break answer,
                Some(Received::Request(_) | Received::Frame { .. }) => continue,
                None => {}
            }
            buffer.reserve(STREAM_READ_BYTES);
            if stream.read_buf(&mut buffer).await.map_err(told)? == 0 {
                return Err("it closed the connection".to_owned());
            }
        };
        let Response { status, fields, body, .. } = answer;
        evidence.take_up(&shown::of_fields(&fields));
        if method == Method::Describe {
            evidence.take_up(&shown::of_description(&body));
        }
        statuses.push(status.to_string());
    }
    Ok((evidence, format!("RTSP statuses {}", statuses.join(" and "))))
}
