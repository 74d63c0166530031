//! What comes in from strangers, what goes out, and that the one reads the other.

use std::sync::Arc;

use super::{
    Answer, AnswerError, Body, DecodeError, Detail, Envelope, Fault, FaultCode, FaultName, Headers,
    PASSWORD_DIGEST, Password, Proof, SOAP11, SOAP12, Subcode, Version, WSA, WSSE, WSU, decode_answer,
    decode_request, encode, encode_fault,
};
use crate::schema::{Builder, Document, OperationId, Tables};

const GET: &str = r#"<t:GetHostname xmlns:t="http://www.onvif.org/ver10/device/wsdl"/>"#;
/// Twenty bytes and sixteen bytes.
const DIGEST: &str = "tuOSpGlFlIXsozq4HFNeeGeFLEI=";
const NONCE: &str = "LKqI6G/AikKCQrN0zqZFlg==";

fn tables() -> Arc<Tables> {
    Tables::embedded().unwrap()
}

fn operation(tables: &Tables, name: &str) -> OperationId {
    tables.operation_by_name(name).unwrap()
}

fn envelope(header: &str, body: &str) -> String {
    format!(
        "<e:Envelope xmlns:e=\"{SOAP12}\" xmlns:w=\"{WSSE}\" xmlns:u=\"{WSU}\" xmlns:a=\"{WSA}\">\
         <e:Header>{header}</e:Header><e:Body>{body}</e:Body></e:Envelope>"
    )
}

fn token(digest: &str, nonce: &str) -> String {
    format!(
        "<w:Security e:mustUnderstand=\"1\"><w:UsernameToken><w:Username>guard</w:Username>\
         <w:Password Type=\"{PASSWORD_DIGEST}\">{digest}</w:Password><w:Nonce>{nonce}</w:Nonce>\
         <u:Created>2026-11-23T12:00:00Z</u:Created></w:UsernameToken></w:Security>"
    )
}

fn reply_to(address: &str) -> String {
    format!("<a:ReplyTo><a:Address>{address}</a:Address></a:ReplyTo>")
}

fn refused(tables: &Tables, text: &str) -> DecodeError {
    match decode_request(tables, text.as_bytes()) {
        Err(error) => error,
        Ok(taken) => panic!("taken: {taken:?} from {text}"),
    }
}

fn taken(tables: &Tables, text: &str) -> Envelope {
    decode_request(tables, text.as_bytes()).unwrap_or_else(|error| panic!("{error:?} from {text}"))
}

/// Who asked, and what.
type Known = (Option<&'static str>, Option<&'static str>);
const BOTH: Known = (Some("guard"), Some("tds:GetHostname"));
const WHO: Known = (Some("guard"), None);
const WHAT: Known = (None, Some("tds:GetHostname"));
const NEITHER: Known = (None, None);

const WELL: &str = "Sender/ter:WellFormed";
const ARGS: &str = "Sender/ter:InvalidArgs";

/// Each text is refused with these codes, a reason that contains the words, and this much known.
fn check(cases: &[(String, &str, &str, Known)]) {
    let tables = tables();
    for (text, codes, reason, known) in cases {
        let error = refused(&tables, text);
        assert_eq!(&error.fault.codes(), codes, "{} from {text}", error.fault.reason);
        assert!(error.fault.reason.contains(reason), "`{}` from {text}", error.fault.reason);
        let who = error.security.as_ref().map(|token| token.username.as_str());
        assert_eq!(&(who, error.operation.as_deref()), known, "{text}");
    }
}

#[test]
fn a_hostile_envelope_is_refused_with_its_code_and_reason() {
    let good = token(DIGEST, NONCE);
    let whole = envelope(&good, GET);
    let after = |what: &str| whole.replace("</e:Body>", &format!("</e:Body>{what}"));
    check(&[
        (after("<e:Body/>"), WELL, "after its body", BOTH),
        (after("text"), WELL, "text where an element should stand", BOTH),
        (envelope(&good, &format!("{GET}{GET}")), ARGS, "more than one element", BOTH),
        (format!("{whole}<x/>"), WELL, "", BOTH),
        (format!("{whole}text"), WELL, "", BOTH),
        (envelope(&good, ""), ARGS, "the body is empty", WHO),
        (envelope(&good, "text"), WELL, "text where", WHO),
        (whole.replace("<e:Body>", &format!("<x:Body xmlns:x=\"{SOAP11}\">")), WELL, "", WHO),
        (format!("<!DOCTYPE a [<!ENTITY b \"c\">]>{whole}"), WELL, "refused", NEITHER),
        ("<a/>".into(), WELL, "no SOAP envelope", NEITHER),
        (String::new(), WELL, "", NEITHER),
        (format!("<e:Envelope xmlns:e=\"{SOAP12}\"><e:Header/></e:Envelope>"), WELL, "no body", NEITHER),
        (whole.replace("<e:Body>", "<e:Header/><e:Body>"), WELL, "beside header and body", WHO),
    ]);
    let error = decode_request(&tables(), b"\xff").unwrap_err();
    assert_eq!(error.fault.codes(), WELL);
}

#[test]
fn a_hostile_header_is_refused_with_its_code_and_reason() {
    let good = token(DIGEST, NONCE);
    let header = |header: &str| envelope(header, GET);
    let unknown = "<x:Lock xmlns:x=\"urn:x\" e:mustUnderstand=\"true\"/>";
    let elsewhere = reply_to("http://203.0.113.9/");
    let faults = elsewhere.replace("ReplyTo", "FaultTo");
    let long = format!("<a:MessageID>{}</a:MessageID>", "m".repeat(1_025));
    let (lock, value) = ("`Lock` is not understood", "Sender/ter:InvalidArgVal");
    check(&[
        (header(&format!("{good}{good}")), ARGS, "two wsse:Security headers", WHO),
        (header(&format!("{good}text")), WELL, "text between header blocks", WHO),
        (header(&token(DIGEST, &"A".repeat(172))), ARGS, "longer than 128 bytes", NEITHER),
        (header(&token(DIGEST, &"A".repeat(400))), ARGS, "longer than 128 bytes", NEITHER),
        (header(&token(DIGEST, "?")), ARGS, "not base64", NEITHER),
        (header(&token("AAAA", NONCE)), ARGS, "not 20 bytes", NEITHER),
        (header(&format!("{good}{unknown}")), "MustUnderstand", lock, BOTH),
        // Found before who asks is known, and told after.
        (header(&format!("{unknown}{good}")), "MustUnderstand", lock, BOTH),
        (header(unknown), "MustUnderstand", lock, WHAT),
        (header(&format!("{elsewhere}{good}")), value, "wsa:ReplyTo must be anonymous", BOTH),
        (header(&format!("{good}{faults}")), value, "wsa:FaultTo must be anonymous", BOTH),
        (header(&format!("{good}<a:To>b</a:To><a:To>c</a:To>")), ARGS, "two wsa:To headers", WHO),
        (header(&format!("{good}{long}")), ARGS, "wsa:MessageID is too long", WHO),
    ]);
    let twice = ["Username", "Password", "Nonce"].map(|part| {
        let token =
            good.replace("</w:UsernameToken>", &format!("<w:{part}>AAAA</w:{part}></w:UsernameToken>"));
        (header(&token), ARGS, "two wsse:", NEITHER)
    });
    check(&twice);
}

#[test]
fn a_body_that_is_not_as_declared_is_refused_and_still_says_who_asked_what() {
    let set = |inner: &str| {
        let open = "<SetHostname xmlns=\"http://www.onvif.org/ver10/device/wsdl\">";
        envelope(&token(DIGEST, NONCE), &format!("{open}{inner}</SetHostname>"))
    };
    let known = (Some("guard"), Some("tds:SetHostname"));
    check(&[
        (set("<Name>a</Name><Port>1</Port>"), "Sender/ter:Tag", "Port", known),
        (set("<Name b=\"1\">a</Name>"), "Sender/ter:ProhibAttr", "@b", known),
        (set(""), ARGS, "missing element", known),
        (set("<Name>a"), WELL, "", known),
    ]);
}

#[test]
fn a_reply_may_be_wanted_where_the_consumer_of_events_is_and_nowhere_else() {
    let tables = tables();
    let hook = "http://203.0.113.9:8080/hook";
    let subscribe = |consumer: &str| {
        format!(
            "<n:Subscribe xmlns:n=\"http://docs.oasis-open.org/wsn/b-2\"><n:ConsumerReference><a:Address>{consumer}\
             </a:Address></n:ConsumerReference></n:Subscribe>"
        )
    };
    let asked = |blocks: &str, body: &str| envelope(&format!("{blocks}{}", token(DIGEST, NONCE)), body);
    let read = taken(&tables, &asked(&reply_to(hook), &subscribe(hook)));
    assert!(matches!(read.body, Body::Operation { .. }));
    let faults_too = reply_to(hook) + &reply_to(hook).replace("ReplyTo", "FaultTo");
    for (blocks, body, block) in [
        (reply_to(hook), subscribe("http://203.0.113.8:8080/hook"), "ReplyTo"),
        (reply_to(hook) + &reply_to("http://203.0.113.8/"), subscribe(hook), "ReplyTo"),
        (reply_to(hook), GET.to_owned(), "ReplyTo"),
        (faults_too, subscribe(hook), "FaultTo"),
    ] {
        let error = refused(&tables, &asked(&blocks, &body));
        let reason = format!("wsa:{block} must be anonymous: answers go back on this connection");
        assert_eq!(
            (error.fault.codes().as_str(), error.fault.reason),
            ("Sender/ter:InvalidArgVal", reason),
            "{blocks}"
        );
    }
}

#[test]
fn what_is_harmless_in_a_header_is_taken() {
    let tables = tables();
    for block in [
        reply_to("http://www.w3.org/2005/08/addressing/anonymous"),
        reply_to(" http://www.w3.org/2005/08/addressing/none "),
        "<a:ReplyTo/>".to_owned(),
        "<x:Lock xmlns:x=\"urn:x\" e:mustUnderstand=\"0\"/>".to_owned(),
        "<x:Lock xmlns:x=\"urn:x\" mustUnderstand=\"1\"/>".to_owned(),
    ] {
        let read = taken(&tables, &envelope(&format!("{}{block}", token(DIGEST, NONCE)), GET));
        assert!(matches!(read.body, Body::Operation { .. }), "{block}");
        assert_eq!(read.security.unwrap().username, "guard");
    }
    let blocks = "<a:To>b</a:To><a:Action>c</a:Action><a:MessageID>d</a:MessageID>";
    let addressing = taken(&tables, &envelope(blocks, GET)).addressing;
    let read = [&addressing.to, &addressing.action, &addressing.message_id].map(|it| it.as_deref());
    assert_eq!(read, [Some("b"), Some("c"), Some("d")]);
    // 171 letters and one sign of padding are 128 bytes: the longest nonce.
    let longest = format!("{}=", "A".repeat(171));
    let read = taken(&tables, &envelope(&token(DIGEST, &longest), GET));
    assert_eq!(read.security.unwrap().nonce, [0; 128]);
}

#[test]
fn an_operation_nobody_declared_is_a_value_not_an_error() {
    let tables = tables();
    let device = "http://www.onvif.org/ver10/device/wsdl";
    for (body, name) in [
        ("<Open xmlns=\"urn:x\"><a/></Open>".to_owned(), "{urn:x}Open".to_owned()),
        ("<Open/>".to_owned(), "{}Open".to_owned()),
        (format!("<GetDNSResponse xmlns=\"{device}\"/>"), format!("{{{device}}}GetDNSResponse")),
    ] {
        match taken(&tables, &envelope("", &body)).body {
            Body::Unknown(found) => assert_eq!(found, name),
            other @ Body::Operation { .. } => panic!("{other:?}"),
        }
    }
}

#[test]
fn passwords_never_show() {
    let clear = "<w:Security><w:UsernameToken><w:Username>guard</w:Username><w:Password>open sesame\
                 </w:Password></w:UsernameToken></w:Security>";
    let read = taken(&tables(), &envelope(clear, GET));
    assert!(!format!("{read:?}").contains("sesame"));
    match read.security.unwrap().password {
        Password::Text(text) => assert_eq!(text.as_str(), "open sesame"),
        other => panic!("{other:?}"),
    }
}

fn hostname(tables: &Tables) -> Document {
    let row = tables.operation(operation(tables, "tds:SetHostname")).unwrap();
    let mut builder = Builder::new(tables, row.input);
    builder.leaf("Name", "gate-1").unwrap();
    builder.finish().unwrap()
}

#[test]
fn a_message_is_written_on_one_line_with_its_namespaces_at_the_root() {
    let tables = tables();
    let text = encode(&tables, &hostname(&tables), &Headers::default());
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
        <env:Envelope xmlns:env=\"http://www.w3.org/2003/05/soap-envelope\" \
        xmlns:tds=\"http://www.onvif.org/ver10/device/wsdl\"><env:Body><tds:SetHostname>\
        <tds:Name>gate-1</tds:Name></tds:SetHostname></env:Body></env:Envelope>";
    assert_eq!(std::str::from_utf8(&text).unwrap(), expected);
}

#[test]
fn what_is_written_reads_back() {
    let tables = tables();
    let proof = Proof {
        must_understand: true,
        username: "gu<&>\"ard".into(),
        digest: [7; 20],
        nonce: vec![0, 255, 1],
        created: "2026-11-23T12:00:00.5Z".into(),
    };
    let headers = Headers {
        version: Version::Soap12,
        security: Some(proof.clone()),
        action: Some("urn:a&b".into()),
        to: Some("http://192.0.2.1/?a=1&b=2".into()),
        message_id: Some("urn:uuid:1".into()),
        relates_to: Some("urn:uuid:0".into()),
        ..Headers::default()
    };
    let document = hostname(&tables);
    let read = decode_request(&tables, &encode(&tables, &document, &headers)).unwrap();
    let token = read.security.unwrap();
    assert_eq!((token.username, token.nonce, token.created), (proof.username, proof.nonce, proof.created));
    assert!(matches!(token.password, Password::Digest(digest) if digest == proof.digest));
    assert_eq!(read.addressing.action, headers.action);
    assert_eq!(read.addressing.to, headers.to);
    assert_eq!(read.addressing.message_id, headers.message_id);
    match read.body {
        Body::Operation { candidates, document: back } => {
            assert_eq!(candidates, [operation(&tables, "tds:SetHostname")]);
            assert_eq!(back, document);
        }
        Body::Unknown(name) => panic!("{name}"),
    }
}

/// Each header block alone brings the namespace it needs.
#[test]
fn each_header_block_alone_makes_a_whole_message() {
    let tables = tables();
    let one = || Some("urn:x".to_owned());
    for headers in [
        Headers { action: one(), ..Headers::default() },
        Headers { to: one(), ..Headers::default() },
        Headers { message_id: one(), ..Headers::default() },
        Headers { relates_to: one(), ..Headers::default() },
    ] {
        let text = encode(&tables, &hostname(&tables), &headers);
        taken(&tables, std::str::from_utf8(&text).unwrap());
    }
}

#[test]
fn a_fault_reads_back_with_its_codes_and_reason() {
    let tables = tables();
    let get = operation(&tables, "tds:GetHostname");
    let other = Fault {
        code: FaultCode::Receiver,
        subcodes: vec![Subcode::Action, Subcode::Other("EmailFailed".into())],
        reason: "it is 3 < 4 & \"so on\"".into(),
        detail: None,
    };
    for fault in [
        Fault::not_authorized("no"),
        Fault::operation_prohibited("forbidden by restricted.egress"),
        Fault::envelope(FaultCode::VersionMismatch, "1.1"),
        other,
    ] {
        match decode_answer(&tables, &encode_fault(&fault, &Headers::default()), get) {
            Ok(Answer::Fault(back)) => assert_eq!(back, fault),
            read => panic!("{read:?}"),
        }
    }
    let silent = encode_fault(&Fault::envelope(FaultCode::Sender, ""), &Headers::default());
    assert!(std::str::from_utf8(&silent).unwrap().contains(">the request was refused</env:Text>"));
}

fn fault_of(text: &str) -> (String, String) {
    let tables = tables();
    match decode_answer(&tables, text.as_bytes(), operation(&tables, "tds:GetHostname")) {
        Ok(Answer::Fault(fault)) => (fault.codes(), fault.reason),
        read => panic!("{read:?} from {text}"),
    }
}

#[test]
fn a_cameras_fault_is_read_whatever_its_version() {
    let nested = envelope(
        "",
        "<e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode><e:Value> ter:InvalidArgVal </e:Value>\
         <e:Subcode><e:Value>ter:NoProfile</e:Value></e:Subcode></e:Subcode></e:Code><e:Reason>\
         <e:Text xml:lang=\"en\">No&#10;such <![CDATA[profile]]> &amp; no other</e:Text>\
         <e:Text xml:lang=\"de\">Nein</e:Text></e:Reason>\
         <e:Detail><e:Text>http://192.0.2.9/</e:Text><e:Value>x:y</e:Value></e:Detail></e:Fault>",
    );
    let expected = "No such profile & no other";
    assert_eq!(fault_of(&nested), ("Sender/ter:InvalidArgVal/ter:NoProfile".into(), expected.into()));
    let old = |code: &str| {
        format!(
            "<s:Envelope xmlns:s=\"{SOAP11}\"><s:Body><s:Fault><faultcode>{code}</faultcode>\
             <faultstring>Go away</faultstring><detail><a/></detail></s:Fault></s:Body></s:Envelope>"
        )
    };
    assert_eq!(fault_of(&old("s:Client")), ("Sender".into(), "Go away".into()));
    assert_eq!(fault_of(&old("s:Client.Authentication")).0, "Sender");
    assert_eq!(fault_of(&old("s:Server")).0, "Receiver");
    // A code that is none of SOAP's is kept as it is, and the camera is to blame.
    assert_eq!(fault_of(&old("ter:NotAuthorized")).0, "Receiver/ter:NotAuthorized");
    assert_eq!(fault_of(&envelope("", "<e:Fault/>")), ("Receiver".into(), String::new()));
}

#[test]
fn an_answer_is_that_of_the_operation_asked_or_an_error() {
    let tables = tables();
    let decode = |text: &str| decode_answer(&tables, text.as_bytes(), operation(&tables, "tds:GetHostname"));
    let named = |name: &str| {
        format!(
            "<t:{name} xmlns:t=\"http://www.onvif.org/ver10/device/wsdl\" \
             xmlns:tt=\"http://www.onvif.org/ver10/schema\"><t:HostnameInformation><tt:FromDHCP>false\
             </tt:FromDHCP></t:HostnameInformation></t:{name}>"
        )
    };
    let good = named("GetHostnameResponse");
    // Header blocks of a camera decide nothing, however odd.
    let odd = "<a:To>x</a:To><a:To>y</a:To><x:z xmlns:x=\"urn:x\" e:mustUnderstand=\"1\"/>text";
    for text in [envelope("", &good), envelope(odd, &good), envelope("", &good).replace(SOAP12, SOAP11)] {
        match decode(&text).unwrap() {
            Answer::Document(document, deviations) => {
                assert_eq!(document.root().find("HostnameInformation/FromDHCP").unwrap().text(), "false");
                assert!(deviations.is_empty(), "{deviations:?}");
            }
            Answer::Fault(fault) => panic!("{fault}"),
        }
    }
    let other = "{http://www.onvif.org/ver10/device/wsdl}GetDNSResponse";
    for (text, error) in [
        (envelope("", &named("GetDNSResponse")), AnswerError::Other(other.into())),
        (envelope("", ""), AnswerError::NotSoap("an empty body")),
        (envelope("", &format!("{good}{good}")), AnswerError::NotSoap("more than one element in the body")),
        ("<html/>".into(), AnswerError::NotSoap("another root element")),
    ] {
        assert_eq!(decode(&text).unwrap_err(), error, "{text}");
    }
    assert!(matches!(decode("").unwrap_err(), AnswerError::Xml(_) | AnswerError::NotSoap(_)));
    assert!(matches!(decode("<!DOCTYPE html><html/>").unwrap_err(), AnswerError::Xml(_)));
}

/// As `envelope`, in SOAP 1.1.
fn envelope11(header: &str, body: &str) -> String {
    envelope(header, body).replace(SOAP12, SOAP11)
}

#[test]
fn soap_1_1_is_taken_as_1_2_is() {
    let tables = tables();
    for (text, version) in [(envelope("", GET), Version::Soap12), (envelope11("", GET), Version::Soap11)] {
        assert_eq!(taken(&tables, &text).version, version, "{text}");
    }
    let known = taken(&tables, &envelope11(&token(DIGEST, NONCE), GET));
    assert_eq!(known.security.unwrap().username, "guard");
    let error = refused(&tables, &envelope11("", ""));
    assert_eq!((error.version, error.fault.codes().as_str()), (Version::Soap11, ARGS));
    // The envelope's version is that of its parts too.
    let mixed = envelope("", GET).replacen("<e:Body>", &format!("<e:Body xmlns:e=\"{SOAP11}\">"), 1);
    assert_eq!(refused(&tables, &mixed).fault.codes(), WELL);
}

#[test]
fn a_block_of_soap_1_1_must_be_understood_by_its_actor() {
    let tables = tables();
    let lock = |attributes: &str| format!("<x:Lock xmlns:x=\"urn:x\" {attributes}/>");
    for mandatory in [
        "e:mustUnderstand=\"1\"",
        "e:mustUnderstand=\"1\" e:actor=\"\"",
        "e:mustUnderstand=\"1\" e:actor=\"http://schemas.xmlsoap.org/soap/actor/next\"",
    ] {
        let error = refused(&tables, &envelope11(&lock(mandatory), GET));
        assert_eq!((error.version, error.fault.codes().as_str()), (Version::Soap11, "MustUnderstand"));
    }
    for passed in ["", "e:mustUnderstand=\"0\"", "e:mustUnderstand=\"1\" e:actor=\"urn:printer\""] {
        taken(&tables, &envelope11(&lock(passed), GET));
    }
    // SOAP 1.2 has no actor.
    let error = refused(&tables, &envelope(&lock("e:mustUnderstand=\"1\" e:actor=\"urn:printer\""), GET));
    assert_eq!(error.fault.codes(), "MustUnderstand");
}

#[test]
fn what_was_asked_in_soap_1_1_is_answered_in_it() {
    let tables = tables();
    let headers = Headers { version: Version::Soap11, ..Headers::default() };
    let fault = Fault {
        subcodes: vec![Subcode::ActionNotSupported, Subcode::NoSuchService],
        ..Fault::action_not_supported("a < b")
    };
    let text = String::from_utf8(encode_fault(&fault, &headers).to_vec()).unwrap();
    let body = "<env:Body><env:Fault><faultcode>env:Server</faultcode>\
                <faultstring xml:lang=\"en\">a &lt; b</faultstring>\
                <detail><ter:ActionNotSupported/><ter:NoSuchService/></detail></env:Fault></env:Body>";
    assert!(text.contains(body), "{text}");
    assert!(text.contains(&format!("xmlns:env=\"{SOAP11}\"")) && !text.contains(SOAP12), "{text}");
    let get = operation(&tables, "tds:GetHostname");
    for (code, expected) in [
        (FaultCode::Sender, "env:Client<"),
        (FaultCode::MustUnderstand, "env:MustUnderstand<"),
        (FaultCode::VersionMismatch, "env:VersionMismatch<"),
        (FaultCode::DataEncodingUnknown, "env:Client<"),
    ] {
        let bytes = encode_fault(&Fault::envelope(code, "no"), &headers);
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(text.contains(expected) && !text.contains("<detail>"), "{text}");
        let Ok(Answer::Fault(read)) = decode_answer(&tables, &bytes, get) else { panic!("{text}") };
        assert_eq!(read.reason, "no");
    }
}

#[test]
fn faults_about_events_say_what_their_standards_want() {
    let at: jiff::Timestamp = "2026-11-26T08:00:00Z".parse().unwrap();
    let until: jiff::Timestamp = "2026-11-27T08:00:00Z".parse().unwrap();
    let tables = tables();
    let get = operation(&tables, "tds:GetHostname");
    let unknown = Fault::named(FaultName::ResourceUnknown, at, "no < such");
    let late = Fault::named(FaultName::UnacceptableTerminationTime(at, until), at, "too late");
    let filter = Fault::named(FaultName::InvalidFilter, at, "too many");
    let pull = Detail::Pull { time_max: std::time::Duration::from_secs(120), messages_max: 256 };
    let pull = Fault { detail: Some(Box::new(pull)), ..Fault::invalid_argument_value("too long") };
    let table = [
        (
            &unknown,
            "Sender/ter:InvalidArgVal/wsrf-r:ResourceUnknownFault",
            "<wsrf-r:ResourceUnknownFault><wsrf-bf:Timestamp>2026-11-26T08:00:00Z</wsrf-bf:Timestamp>\
             <wsrf-bf:Description>no &lt; such</wsrf-bf:Description></wsrf-r:ResourceUnknownFault>",
        ),
        (
            &late,
            "Sender/ter:InvalidArgVal/wsnt:UnacceptableTerminationTimeFault",
            "<wsrf-bf:Description>too late</wsrf-bf:Description><wsnt:MinimumTime>2026-11-26T08:00:00Z</wsnt:MinimumTime>\
             <wsnt:MaximumTime>2026-11-27T08:00:00Z</wsnt:MaximumTime></wsnt:UnacceptableTerminationTimeFault>",
        ),
        (
            &filter,
            "Sender/ter:InvalidArgVal/wsnt:InvalidFilterFault",
            "<wsnt:UnknownFilter>wsnt:Filter</wsnt:UnknownFilter></wsnt:InvalidFilterFault>",
        ),
        (
            &pull,
            "Sender/ter:InvalidArgVal/tev:PullMessagesFaultResponse",
            "<tev:PullMessagesFaultResponse><tev:MaxTimeout>PT120S</tev:MaxTimeout>\
             <tev:MaxMessageLimit>256</tev:MaxMessageLimit></tev:PullMessagesFaultResponse>",
        ),
    ];
    for (fault, codes, detail) in table {
        assert_eq!(fault.codes(), codes);
        for (version, around) in [(Version::Soap12, "env:Detail"), (Version::Soap11, "detail")] {
            let headers = Headers { version, ..Headers::default() };
            let bytes = encode_fault(fault, &headers);
            let text = std::str::from_utf8(&bytes).unwrap();
            assert!(text.contains(detail) && text.contains(&format!("<{around}>")), "{text}");
            let Ok(Answer::Fault(read)) = decode_answer(&tables, &bytes, get) else { panic!("{text}") };
            assert_eq!((read.reason.as_str(), read.detail), (fault.reason.as_str(), None));
        }
    }
}
