//! Every answer of every dialect, and what requests change.

use std::sync::LazyLock;

use super::*;
use crate::{
    schema::{AccessClass, Document, Tables},
    sim::Dialect,
};

/// Each read once, since there are many answers to look at.
static SCRIPTS: LazyLock<BTreeMap<&str, Script>> = LazyLock::new(|| {
    let read = |dialect: &Dialect| (dialect.name, Script::parse(&dialect.scripts).unwrap());
    Dialect::all().iter().map(read).collect()
});

fn device(dialect: &Dialect) -> Device {
    let script = SCRIPTS[dialect.name].clone();
    let own = [
        ("host", "127.0.0.1"),
        ("port", "8080"),
        ("authority", "127.0.0.1:8080"),
        ("lan.address", "192.0.2.10"),
        ("lan.address.bare", "1920210"),
        ("lan.gateway", "192.0.2.1"),
        ("serial", "00000007"),
        ("mac.tail", "00:00:07"),
        ("mac.tail.dashed", "00-00-07"),
        ("mac.tail.bare", "000007"),
        ("username", "admin"),
    ];
    Device::new(script, own.map(|(name, value)| (name, value.to_owned())).to_vec(), SignedDuration::ZERO)
}

/// A request with the tokens that the operation's steps look for and values that the camera has already; none if
/// it has nothing of the kind.
fn request(device: &Device, operation: &str) -> Option<Request> {
    let (prefix, local) = operation.split_once(':').unwrap();
    let (namespace, _) = SERVICES.iter().find(|(_, known)| *known == prefix).unwrap();
    let mut body =
        Element { namespace: (*namespace).to_owned(), local: local.to_owned(), ..Element::default() };
    fill(device, &mut body, &device.script.operation(operation).unwrap().steps)?;
    Some(Request { headers: Vec::new(), body })
}

fn fill(device: &Device, body: &mut Element, steps: &[Step]) -> Option<()> {
    for step in steps {
        match step {
            Step::Pick { collection, path, .. } => {
                place(body, path, device.list(collection).first()?["token"].clone())
            }
            Step::Make { collection, fields } => {
                for (name, source) in fields.iter().filter(|(name, _)| name != "token") {
                    let known = device.list(collection).first().and_then(|item| item.get(name));
                    if let (Source::Path(path), Some(value)) = (source, known) {
                        place(body, path, value.clone());
                    }
                }
            }
            Step::Set { source: Source::Path(path), .. } => place(body, path, "0".to_owned()),
            Step::Each { path, steps } => {
                let mut element = Element { local: path.clone(), ..Element::default() };
                fill(device, &mut element, steps)?;
                body.children.push(element);
            }
            _ => {}
        }
    }
    Some(())
}

fn place(body: &mut Element, path: &str, text: String) {
    let mut at = body;
    for local in path.split('/').filter(|step| *step != ".") {
        if let Some(name) = local.strip_prefix('@') {
            at.attributes.push((name.to_owned(), text));
            return;
        }
        if !at.children.iter().any(|child| child.local == local) {
            at.children.push(Element { local: local.to_owned(), ..Element::default() });
        }
        at = at.children.iter_mut().find(|child| child.local == local).unwrap();
    }
    at.text = text;
}

/// What the camera says, with every namespace of the envelope declared where the message begins.
fn message(envelope: &str) -> String {
    let (_, envelope) = envelope.split_once("Envelope ").unwrap();
    let (namespaces, _) = envelope.split_once('>').unwrap();
    let (_, body) = envelope.split_once(":Body>").unwrap();
    let (body, _) = body.rsplit_once("</").unwrap().0.rsplit_once("</").unwrap();
    let (name, rest) = body.split_once('>').unwrap();
    let (name, empty) = name.strip_suffix('/').map_or((name, ""), |name| (name, "/"));
    format!("{name} {namespaces}{empty}>{rest}")
}

/// An answer to an operation, after whatever must come first; none if the camera has nothing to ask it of.
fn answered(dialect: &Dialect, name: &str) -> Option<(Device, Answer)> {
    let mut device = device(dialect);
    device.list_mut("profiles")[0].insert("fixed".to_owned(), "false".to_owned());
    let mut path = "/onvif/x".to_owned();
    let makers = ["tse:FindRecordings", "trc:ExportRecordedData", "tev:CreatePullPointSubscription"];
    for maker in makers {
        if device.script.operation(maker).is_none() {
            continue;
        }
        let made = request(&device, maker).unwrap();
        assert_eq!(device.answer(&made, &path, Timestamp::UNIX_EPOCH).status, 200, "{maker}");
    }
    if let Some(subscription) = device.list("subscriptions").first() {
        path = format!("/onvif/{}", subscription["token"]);
    }
    let asked = request(&device, name)?;
    let answer = device.answer(&asked, &path, Timestamp::UNIX_EPOCH);
    assert_eq!(answer.status, 200, "{}: {name}: {}", dialect.name, answer.envelope);
    Some((device, answer))
}

/// Every operation answers with an envelope that holds its own answer and no hole.
#[test]
fn every_operation_answers_as_itself() {
    for dialect in Dialect::all() {
        let names: Vec<String> = device(&dialect).operations().map(str::to_owned).collect();
        for name in names {
            let Some((_, answer)) = answered(&dialect, &name) else { continue };
            let read = Request::read(answer.envelope.as_bytes());
            let read = read.unwrap_or_else(|_| panic!("{}: {name}: {}", dialect.name, answer.envelope));
            assert_eq!(operation_name(&read.body), format!("{name}Response"));
            assert!(!answer.envelope.contains(['{', '}', '%']) || name == "tds:GetScopes", "{name}");
        }
    }
}

/// No answer holds anything its interface does not declare, in the strict sense that clients are held to, but where
/// the dialect says that it does, on purpose.
#[test]
fn every_answer_is_as_its_interface_declares_it() {
    let tables = Tables::embedded().unwrap();
    let mut wrong = Vec::new();
    for dialect in Dialect::all() {
        let oddities = device(&dialect).script.oddities;
        let names: Vec<String> = device(&dialect).operations().map(str::to_owned).collect();
        let mut asked = 0;
        for name in names {
            let Some((_, answer)) = answered(&dialect, &name) else { continue };
            asked += 1;
            match (strictly(&tables, &name, &answer.envelope), oddities.get(&name)) {
                (Ok(()), None) | (Err(_), Some(_)) => {}
                (Ok(()), Some(oddity)) => wrong.push(format!("{}: {name}: no {oddity}", dialect.name)),
                (Err(refusal), None) => {
                    wrong.push(format!("{}: {name}: {refusal}\n  {}", dialect.name, answer.envelope));
                }
            }
        }
        assert!(asked >= 150, "{} answers only {asked} operations", dialect.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn strictly(tables: &Tables, name: &str, envelope: &str) -> Result<(), String> {
    let (prefix, local) = name.split_once(':').unwrap();
    let (namespace, _) = SERVICES.iter().find(|(_, known)| *known == prefix).unwrap();
    let output = tables.name(tables.namespace(namespace).unwrap(), &format!("{local}Response"));
    let root = output.and_then(|output| tables.root(output)).ok_or("no operation of its service")?;
    let text = message(envelope);
    // The reference of a pull point holds what its vendor likes; it is the one place that does.
    let text = match text.split_once("<wsa:ReferenceParameters>") {
        Some((before, _)) if ["tev:CreatePullPointSubscription", "wsnt:Subscribe"].contains(&name) => {
            let (_, after) = text.split_once("</wsa:ReferenceParameters>").unwrap();
            format!("{before}{after}")
        }
        _ => text,
    };
    Document::parse_request(tables, &text, root).map(drop).map_err(|refusal| refusal.to_string())
}

/// The cameras' own list of what needs no login is that of ONVIF's default access policy.
#[test]
fn what_needs_no_login_is_what_onvif_says_needs_none() {
    let tables = Tables::embedded().unwrap();
    for name in Dialect::all()
        .iter()
        .flat_map(|it| device(it).script.operations().map(str::to_owned).collect::<Vec<_>>())
    {
        // WS-Notification's operations have another prefix in the tables; none is open.
        let class =
            tables.operation_by_name(&name).and_then(|id| tables.operation(id)).and_then(|it| it.class);
        assert_eq!(is_pre_auth(&name), class == Some(AccessClass::PreAuth), "{name}: {class:?}");
    }
}

/// The description of a topic's messages is read as such, not as one more topic.
#[test]
fn topics_keep_the_description_of_their_messages() {
    let tables = Tables::embedded().unwrap();
    let (_, answer) = answered(&Dialect::axis(), "tev:GetEventProperties").unwrap();
    let operation = tables.operation_by_name("tev:GetEventProperties").and_then(|id| tables.operation(id));
    let text = message(&answer.envelope);
    let (document, deviations) =
        Document::parse_answer(&tables, &text, operation.unwrap().output.unwrap()).unwrap();
    assert!(deviations.is_empty(), "{deviations:?}");
    let path = "TopicSet/VideoSource/MotionAlarm/MessageDescription";
    let description = document.root().find(path).unwrap();
    assert_eq!(description.attribute("IsProperty"), Some("true"));
    let item = description.find("Source/SimpleItemDescription").unwrap();
    assert_eq!((item.attribute("Name"), item.attribute("Type")), (Some("Source"), Some("tt:ReferenceToken")));
}

fn read(inner: &str, local: &str) -> Request {
    read_of("tds", inner, local)
}

fn read_of(prefix: &str, inner: &str, local: &str) -> Request {
    let (namespace, _) = SERVICES.iter().find(|(_, known)| *known == prefix).unwrap();
    let text = format!(
        "<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\"><e:Body><{local} xmlns=\"{namespace}\" \
         xmlns:tt=\"http://www.onvif.org/ver10/schema\">{inner}</{local}></e:Body></e:Envelope>"
    );
    Request::read(text.as_bytes()).unwrap()
}

#[test]
fn capabilities_of_services_stand_only_where_they_are_asked_for() {
    // One has a service of which it tells no capabilities.
    for (dialect, all) in [(Dialect::hikvision(), 12), (Dialect::axis(), 11)] {
        for (word, services) in [("true", 11), ("1", 11), ("false", 0), ("0", 0)] {
            let asked = read(&format!("<IncludeCapability>{word}</IncludeCapability>"), "GetServices");
            let answer = device(&dialect).answer(&asked, "/", Timestamp::UNIX_EPOCH).envelope;
            assert_eq!(answer.matches("<tds:Service>").count(), all, "{word}");
            assert_eq!(answer.matches("</tds:XAddr><tds:Capabilities><").count(), services, "{word}");
        }
    }
}

#[test]
fn a_time_server_answers_back_as_it_was_set() {
    for (kind, tag, value) in [
        ("IPv4", "IPv4Address", "203.0.113.9"),
        ("IPv6", "IPv6Address", "2001:db8::9"),
        ("DNS", "DNSname", "ntp.example.org"),
    ] {
        let mut device = device(&Dialect::hikvision());
        let inner = format!(
            "<FromDHCP>false</FromDHCP><NTPManual><Type>{kind}</Type><{tag}>{value}</{tag}></NTPManual>"
        );
        assert_eq!(device.answer(&read(&inner, "SetNTP"), "/", Timestamp::UNIX_EPOCH).status, 200);
        let answer = device.answer(&read("", "GetNTP"), "/", Timestamp::UNIX_EPOCH).envelope;
        let expected =
            format!("<tt:NTPManual><tt:Type>{kind}</tt:Type><tt:{tag}>{value}</tt:{tag}></tt:NTPManual>");
        assert!(answer.contains(&expected), "{answer}");
    }
}

#[test]
fn a_storage_configuration_is_asked_for_by_its_token() {
    let mut device = device(&Dialect::axis());
    let mut status = |token: &str| {
        let asked = read(&format!("<Token>{token}</Token>"), "GetStorageConfiguration");
        device.answer(&asked, "/", Timestamp::UNIX_EPOCH).status
    };
    assert_eq!((status("nas"), status("nas2")), (200, 400));
}

#[test]
fn what_is_set_is_answered_and_what_is_unknown_is_refused() {
    let mut device = device(&Dialect::hikvision());
    let set = request(&device, "tds:SetHostname").unwrap();
    assert_eq!(device.answer(&set, "/", Timestamp::UNIX_EPOCH).status, 200);
    let get = request(&device, "tds:GetHostname").unwrap();
    assert!(device.answer(&get, "/", Timestamp::UNIX_EPOCH).envelope.contains("<tt:Name>0</tt:Name>"));
    let mut unknown = get.clone();
    unknown.body.local = "SetDPAddresses".to_owned();
    assert_eq!(device.answer(&unknown, "/", Timestamp::UNIX_EPOCH).status, 500);
}

/// What writes, with what; what reads it again, asked how; and what the answer holds then, or, behind a `!`, not.
const WRITES: &str = r#"
timg:SetImagingSettings | @source@<ImagingSettings><tt:Brightness>7</tt:Brightness><tt:IrCutFilter>OFF</tt:IrCutFilter></ImagingSettings> | timg:GetImagingSettings | @source@ | <tt:Brightness>7</tt:Brightness> ; <tt:IrCutFilter>OFF</tt:IrCutFilter> ; <tt:Contrast>50</tt:Contrast>
timg:Move | @source@<Focus><tt:Absolute><tt:Position>0.5</tt:Position></tt:Absolute></Focus> | timg:GetStatus | @source@ | <tt:Position>0.5</tt:Position><tt:MoveStatus>IDLE<
timg:Move | @source@<Focus><tt:Relative><tt:Distance>-0.25</tt:Distance></tt:Relative></Focus> | timg:GetStatus | @source@ | <tt:Position>0.25</tt:Position><tt:MoveStatus>IDLE<
timg:Move | @source@<Focus><tt:Continuous><tt:Speed>1</tt:Speed></tt:Continuous></Focus> | timg:GetStatus | @source@ | <tt:MoveStatus>MOVING<
timg:Stop | @source@ | timg:GetStatus | @source@ | <tt:MoveStatus>IDLE<
timg:SetCurrentPreset | @source@<PresetToken>Night</PresetToken> | timg:GetCurrentPreset | @source@ | <timg:Preset token="Night"
tptz:ContinuousMove | @profile@ | tptz:GetStatus | @profile@ | <tt:PanTilt>MOVING<
tptz:Stop | @profile@ | tptz:GetStatus | @profile@ | <tt:PanTilt>IDLE<
tmd:SetRelayOutputSettings | <RelayOutput token="AlarmOut_0"><tt:Properties><tt:Mode>Monostable</tt:Mode></tt:Properties></RelayOutput> | tds:GetRelayOutputs | | <tt:Mode>Monostable</tt:Mode><tt:DelayTime>PT5S<
tmd:SetDigitalInputConfigurations | <DigitalInputs token="DigitInput_0" IdleState="closed"/> | tmd:GetDigitalInputs | | token="DigitInput_0" IdleState="closed"
tan:CreateAnalyticsModules | @analytics@<AnalyticsModule Name="one" Type="tt:CellMotionEngine"><tt:Parameters>@layout@</tt:Parameters></AnalyticsModule><AnalyticsModule Name="two" Type="tt:CellMotionEngine"><Parameters/></AnalyticsModule> | tan:GetAnalyticsModules | @analytics@ | Name="one" ; Name="two" ; Columns="4" Rows="3" ; Name="MyCellMotionModule"
tan:DeleteAnalyticsModules | @analytics@<AnalyticsModuleName>MyCellMotionModule</AnalyticsModuleName> | trt:GetVideoAnalyticsConfigurations | | <tt:AnalyticsModule Name="one" ; <tt:RuleEngineConfiguration><tt:Rule Name= ; !MyCellMotionModule
trc:CreateTrack | @recording@<TrackConfiguration><tt:TrackType>Audio</tt:TrackType><tt:Description>d</tt:Description></TrackConfiguration> | trc:GetRecordings | | <tt:TrackType>Audio</tt:TrackType><tt:Description>d</tt:Description>
trc:SetRecordingJobMode | <JobToken>RecordJob_1</JobToken><Mode>Idle</Mode> | trc:GetRecordingJobState | <JobToken>RecordJob_1</JobToken> | <tt:State>Idle<
trc:DeleteRecording | @recording@ | trc:GetRecordings | | OnboardRecording_1 ; !OnboardRecording_2 ; !VIDEO002
trc:DeleteRecordingJob | <JobToken>RecordJob_1</JobToken> | tse:GetRecordingSummary | | <tt:NumberRecordings>1</tt:NumberRecordings>
tse:FindRecordings | | tse:GetRecordingSearchResults | <SearchToken>searches_4</SearchToken> | <tt:SearchState>Completed< ; <tt:RecordingToken>OnboardRecording_1< ; <tt:TrackToken>META001<
trp:SetReplayConfiguration | <Configuration><tt:SessionTimeout>PT7S</tt:SessionTimeout></Configuration> | trp:GetReplayConfiguration | | <tt:SessionTimeout>PT7S<
"#;

#[test]
fn what_is_written_is_read_again() {
    let named = [
        ("@source@", "<VideoSourceToken>VideoSource_1</VideoSourceToken>"),
        ("@profile@", "<ProfileToken>Profile_1</ProfileToken>"),
        ("@analytics@", "<ConfigurationToken>VideoAnalyticsToken</ConfigurationToken>"),
        ("@recording@", "<RecordingToken>OnboardRecording_2</RecordingToken>"),
        (
            "@layout@",
            "<tt:ElementItem Name=\"Layout\"><tt:CellLayout Columns=\"4\" Rows=\"3\"><tt:Transformation/>\
             </tt:CellLayout></tt:ElementItem>",
        ),
    ];
    let mut device = device(&Dialect::hikvision());
    let mut ask = |name: &str, inner: &str| {
        let inner = named.iter().fold(inner.to_owned(), |text, (name, value)| text.replace(name, value));
        let (prefix, local) = name.split_once(':').unwrap();
        let answer = device.answer(&read_of(prefix, &inner, local), "/", Timestamp::UNIX_EPOCH);
        assert_eq!(answer.status, 200, "{name}: {}", answer.envelope);
        answer.envelope
    };
    for line in WRITES.trim().lines() {
        let columns: Vec<_> = line.split('|').map(str::trim).collect();
        let [write, written, read, asked, parts] = columns[..] else { panic!("{line}") };
        ask(write, written);
        let answer = ask(read, asked);
        for part in parts.split(" ; ") {
            match part.strip_prefix('!') {
                Some(part) => assert!(!answer.contains(part), "{write}: `{part}` is in {answer}"),
                None => assert!(answer.contains(part), "{write}: `{part}` is not in {answer}"),
            }
        }
    }
}

/// How each dialect says no, and what it adds to what it says.
#[test]
fn dialects_differ_in_their_envelopes_and_faults() {
    let login = Element { local: "Security".to_owned(), ..Element::default() };
    let ask = |dialect: Dialect, local: &str| {
        let mut asked = read("", local);
        asked.headers.push(login.clone());
        let answer = device(&dialect).answer(&asked, "/", Timestamp::UNIX_EPOCH);
        (answer.status, answer.envelope)
    };
    let parts: [(Dialect, u16, &str); 4] = [
        (Dialect::hikvision(), 500, "<env:Value>ter:ActionNotSupported</env:Value>"),
        (Dialect::bosch(), 500, "<SOAP-ENV:Body></SOAP-ENV:Body>"),
        (Dialect::reolink(), 400, "lang=\"en\">Method &apos;tds:SetDPAddresses&apos; not implemented"),
        (Dialect::dahua(), 500, "<s:Header></s:Header><s:Body><s:Fault>"),
    ];
    for (dialect, status, part) in parts {
        let name = dialect.name;
        let (seen, text) = ask(dialect, "SetDPAddresses");
        assert!(seen == status && text.contains(part), "{name}: {seen} {text}");
    }
    let (_, echoed) = ask(Dialect::reolink(), "GetHostname");
    assert!(
        echoed.contains("<SOAP-ENV:Header><Security xmlns=\"\"></Security></SOAP-ENV:Header>"),
        "{echoed}"
    );
    let (_, bare) = ask(Dialect::bosch(), "GetHostname");
    assert_eq!(bare.matches("xmlns:").count(), 3, "{bare}");
    let (_, elsewhere) = ask(Dialect::uniview(), "GetWsdlUrl");
    assert!(elsewhere.contains("http://192.0.2.10:8080/onvif/wsdl"), "{elsewhere}");
}
