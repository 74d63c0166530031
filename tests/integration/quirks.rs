//! What real cameras do otherwise than their interface says, each as a case made by hand, through the whole
//! gateway: what the client gets, and what is recorded.
#![allow(clippy::print_stdout, reason = "the table is shown with --nocapture")]

use std::sync::Arc;

use cordon::schema::Tables;

use crate::{
    bad_input::text_of,
    client, foreign,
    generate::{Tape, message},
    stage::{Part, Stage},
};

/// One thing a camera does.
struct Quirk {
    name: &'static str,
    asked: &'static str,
    status: u16,
    /// The body's content; with an XML declaration or `<html`, the whole answer.
    said: &'static str,
    expected: Expected,
}

enum Expected {
    /// An answer that holds these texts; what is recorded of it, as `kind: place`.
    Answer(&'static [&'static str], &'static [&'static str]),
    /// A fault with these codes, and with a text in its reason.
    Fault(&'static str, &'static str),
}
use Expected::{Answer, Fault};

const QUIRKS: &[Quirk] = &[
    Quirk {
        name: "Boolean words of other languages of programming",
        asked: "trt:GetServiceCapabilities",
        status: 200,
        said: "<trt:GetServiceCapabilitiesResponse><trt:Capabilities SnapshotUri='True' Rotation='FALSE'>\
               <trt:ProfileCapabilities MaximumNumberOfProfiles='4'/><trt:StreamingCapabilities/>\
               </trt:Capabilities></trt:GetServiceCapabilitiesResponse>",
        expected: Answer(
            &["SnapshotUri=\"true\"", "Rotation=\"false\""],
            &["repair: SnapshotUri", "repair: Rotation"],
        ),
    },
    Quirk {
        name: "elements in another order",
        asked: "tds:GetDeviceInformation",
        status: 200,
        said: "<tds:GetDeviceInformationResponse><tds:Model>M</tds:Model><tds:Manufacturer>NONE</tds:Manufacturer>\
               <tds:FirmwareVersion>1</tds:FirmwareVersion><tds:SerialNumber>1</tds:SerialNumber>\
               <tds:HardwareId>h</tds:HardwareId></tds:GetDeviceInformationResponse>",
        expected: Answer(
            &["<tds:Manufacturer>NONE</tds:Manufacturer><tds:Model>M</tds:Model>"],
            &["repair: (order)"],
        ),
    },
    Quirk {
        name: "an element of the maker's own",
        asked: "trt:GetVideoSources",
        status: 200,
        said: "<trt:GetVideoSourcesResponse><trt:VideoSources token='v'><tt:Framerate>25.0</tt:Framerate>\
               <tt:Resolution><tt:Width>1</tt:Width><tt:Height>1</tt:Height></tt:Resolution>\
               <v:Secret xmlns:v='urn:maker'>http://10.1.1.1/</v:Secret></trt:VideoSources>\
               </trt:GetVideoSourcesResponse>",
        expected: Answer(&["<tt:Framerate>25.0</tt:Framerate>"], &["drop: Secret"]),
    },
    Quirk {
        name: "a mandatory element that is missing",
        asked: "trt:GetVideoSources",
        status: 200,
        said: "<trt:GetVideoSourcesResponse><trt:VideoSources token='v'><tt:Resolution><tt:Width>1</tt:Width>\
               <tt:Height>1</tt:Height></tt:Resolution></trt:VideoSources></trt:GetVideoSourcesResponse>",
        expected: Answer(&["token=\"v\""], &["incomplete: Framerate"]),
    },
    Quirk {
        name: "a fraction of zero where an integer is due",
        asked: "trt:GetVideoSources",
        status: 200,
        said: "<trt:GetVideoSourcesResponse><trt:VideoSources token='v'><tt:Framerate>25</tt:Framerate>\
               <tt:Resolution><tt:Width>640.0</tt:Width><tt:Height>1</tt:Height></tt:Resolution>\
               </trt:VideoSources></trt:GetVideoSourcesResponse>",
        expected: Answer(&["<tt:Width>640</tt:Width>"], &["repair: Width"]),
    },
    Quirk {
        name: "comments in the body, and a prefix nobody declared in the header",
        asked: "tds:GetDeviceInformation",
        status: 200,
        said: "<?xml version='1.0'?><s:Envelope xmlns:s='http://www.w3.org/2003/05/soap-envelope' \
               xmlns:tds='http://www.onvif.org/ver10/device/wsdl'><s:Header><wsse:Security><wsse:UsernameToken>\
               <wsse:Username>gateway-service</wsse:Username></wsse:UsernameToken></wsse:Security></s:Header>\
               <s:Body><!-- a --><tds:GetDeviceInformationResponse><!-- b --><tds:Manufacturer>M</tds:Manufacturer>\
               <tds:Model>M</tds:Model><tds:FirmwareVersion>1</tds:FirmwareVersion><tds:SerialNumber>1</tds:SerialNumber>\
               <tds:HardwareId>h</tds:HardwareId></tds:GetDeviceInformationResponse></s:Body></s:Envelope>",
        expected: Answer(&["<tds:HardwareId>h</tds:HardwareId>"], &["repair: undeclared prefix wsse"]),
    },
    Quirk {
        name: "a declaration of UTF-16 before UTF-8",
        asked: "tds:GetRelayOutputs",
        status: 200,
        said: "<?xml version='1.0' encoding='utf-16'?><s:Envelope \
               xmlns:s='http://www.w3.org/2003/05/soap-envelope'><s:Body><tds:GetRelayOutputsResponse \
               xmlns:tds='http://www.onvif.org/ver10/device/wsdl'/></s:Body></s:Envelope>",
        expected: Answer(&["<tds:GetRelayOutputsResponse/>"], &["repair: declared as utf-16, read as UTF-8"]),
    },
    Quirk {
        name: "a declaration of Latin-1 before something else than ASCII",
        asked: "tptz:GetPresets",
        status: 200,
        said: "<?xml version='1.0' encoding='iso-8859-1'?><s:Envelope \
               xmlns:s='http://www.w3.org/2003/05/soap-envelope'><s:Body><tptz:GetPresetsResponse \
               xmlns:tptz='http://www.onvif.org/ver20/ptz/wsdl' xmlns:tt='http://www.onvif.org/ver10/schema'>\
               <tptz:Preset token='1'><tt:Name>T@byte@r</tt:Name></tptz:Preset></tptz:GetPresetsResponse></s:Body>\
               </s:Envelope>",
        expected: Answer(
            &["<tt:Name>T\u{FFFD}r</tt:Name>"],
            &["repair: bytes that are no characters read as U+FFFD"],
        ),
    },
    Quirk {
        name: "a declaration of EBCDIC",
        asked: "tds:GetRelayOutputs",
        status: 200,
        said: "<?xml version='1.0' encoding='ibm037'?><s:Envelope \
               xmlns:s='http://www.w3.org/2003/05/soap-envelope'><s:Body><tds:GetRelayOutputsResponse \
               xmlns:tds='http://www.onvif.org/ver10/device/wsdl'/></s:Body></s:Envelope>",
        expected: Fault("Receiver/ter:Action", "it is not XML the gateway reads"),
    },
    Quirk {
        name: "bytes that are no UTF-8 in a name, and control characters",
        asked: "tptz:GetPresets",
        status: 200,
        said: "<tptz:GetPresetsResponse><tptz:Preset token='1'><tt:Name>@byte@@byte@_A\u{1}&#x7;</tt:Name>\
               </tptz:Preset></tptz:GetPresetsResponse>",
        expected: Answer(
            &["<tptz:Preset token=\"1\"><tt:Name>\u{FFFD}\u{FFFD}_A\u{FFFD}\u{FFFD}</tt:Name>"],
            &[
                "repair: bytes that are no characters read as U+FFFD",
                "repair: characters that XML does not have read as U+FFFD",
            ],
        ),
    },
    Quirk {
        name: "a stream's address with bare ampersands, and the rest of a buffer behind the message",
        asked: "trt:GetStreamUri",
        status: 200,
        said: "<?xml version='1.1'?><s:Envelope xmlns:s='http://www.w3.org/2003/05/soap-envelope'><s:Body>\
               <trt:GetStreamUriResponse xmlns:trt='http://www.onvif.org/ver10/media/wsdl' \
               xmlns:tt='http://www.onvif.org/ver10/schema'><trt:MediaUri><tt:Uri>rtsp://192.168.1.64/live?ch=1&sub=0\
               </tt:Uri><tt:InvalidAfterConnect>false</tt:InvalidAfterConnect><tt:InvalidAfterReboot>false\
               </tt:InvalidAfterReboot><tt:Timeout>PT60S</tt:Timeout></trt:MediaUri></trt:GetStreamUriResponse></s:Body>\
               </s:Envelope>\r\n\0\0",
        expected: Answer(
            &["<tt:Uri>rtsp://127.0.4."],
            &[
                "repair: NUL bytes around the document",
                "repair: declared as XML 1.1",
                "repair: an ampersand that begins no reference",
            ],
        ),
    },
    Quirk {
        name: "attributes without a blank between them, one given twice, and a sign that begins no tag",
        asked: "tptz:GetPresets",
        status: 200,
        said: "<tptz:GetPresetsResponse><tptz:Preset token='1'xmlns:v='urn:v' token='2'><tt:Name><+03>-3</tt:Name>\
               </tptz:Preset></tptz:GetPresetsResponse>",
        expected: Answer(
            &["<tptz:Preset token=\"1\"><tt:Name>&lt;+03&gt;-3</tt:Name>"],
            &[
                "repair: attributes without white space between them",
                "repair: an attribute given twice, the first taken",
                "repair: a less-than sign that begins no tag",
            ],
        ),
    },
    Quirk {
        name: "an entity of its own, and a bare ampersand",
        asked: "tptz:GetPresets",
        status: 200,
        said: "<?xml version='1.0'?><!DOCTYPE s [<!ENTITY a 'http://10.1.1.1/'>]><s:Envelope \
               xmlns:s='http://www.w3.org/2003/05/soap-envelope'><s:Body><tptz:GetPresetsResponse \
               xmlns:tptz='http://www.onvif.org/ver20/ptz/wsdl'>&a;&</tptz:GetPresetsResponse></s:Body></s:Envelope>",
        expected: Fault("Receiver/ter:Action", "not SOAP (HTTP status 200)"),
    },
    Quirk {
        name: "an entity that nobody declared, and a bare ampersand",
        asked: "tptz:GetPresets",
        status: 200,
        said: "<tptz:GetPresetsResponse><tptz:Preset token='1'><tt:Name>&somebodys-own;&</tt:Name></tptz:Preset>\
               </tptz:GetPresetsResponse>",
        expected: Fault("Receiver/ter:Action", "it leaves its interface definition"),
    },
    Quirk {
        name: "an answer in the namespace of another service",
        asked: "tds:GetRelayOutputs",
        status: 200,
        said: "<trt:GetRelayOutputsResponse><trt:RelayOutputs token='r'><tt:Properties><tt:Mode>Bistable</tt:Mode>\
               <tt:DelayTime>PT0S</tt:DelayTime><tt:IdleState>closed</tt:IdleState></tt:Properties></trt:RelayOutputs>\
               </trt:GetRelayOutputsResponse>",
        expected: Answer(
            &["<tds:GetRelayOutputsResponse><tds:RelayOutputs token=\"r\"><tt:Properties><tt:Mode>Bistable"],
            &["repair: GetRelayOutputsResponse (namespace)", "repair: RelayOutputs (namespace)"],
        ),
    },
    Quirk {
        name: "a stream's address with two ports",
        asked: "trt:GetStreamUri",
        status: 200,
        said: "<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>rtsp://192.168.1.64:554:554/s</tt:Uri>\
               <tt:InvalidAfterConnect>false</tt:InvalidAfterConnect><tt:InvalidAfterReboot>false\
               </tt:InvalidAfterReboot><tt:Timeout>PT60S</tt:Timeout></trt:MediaUri></trt:GetStreamUriResponse>",
        expected: Answer(&["<tt:Uri>rtsp://127.0.4."], &["repair: Uri"]),
    },
    Quirk {
        name: "a region in a rule, as the interface has it in a file of its own",
        asked: "tan:GetRules",
        status: 200,
        said: "<tan:GetRulesResponse><tan:Rule Name='r' Type='tt:MotionRegionDetector'><tt:Parameters>\
               <tt:ElementItem Name='MotionRegion'><x:MotionRegionConfig Armed='true' Sensitivity='0.5' \
               xmlns:x='http://www.onvif.org/ver20/analytics'><tt:Polygon><tt:Point x='0' y='0'/><tt:Point x='1' y='0'/>\
               <tt:Point x='1' y='1'/></tt:Polygon><x:PresetToken>p</x:PresetToken></x:MotionRegionConfig></tt:ElementItem>\
               </tt:Parameters></tan:Rule></tan:GetRulesResponse>",
        expected: Answer(
            &[
                "<axt:MotionRegionConfig Armed=\"true\" Sensitivity=\"0.5\"><tt:Polygon>",
                "<axt:PresetToken>p</axt:PresetToken>",
            ],
            &[],
        ),
    },
    Quirk {
        name: "what the parameters of a rule may be",
        asked: "tan:GetRuleOptions",
        status: 200,
        said: "<tan:GetRuleOptionsResponse><tan:RuleOptions Name='Sensitivity'><tt:IntRange><tt:Min>0</tt:Min>\
               <tt:Max>100</tt:Max></tt:IntRange></tan:RuleOptions><tan:RuleOptions Name='Class'><tt:StringItems>\
               <tt:Item>Human</tt:Item></tt:StringItems></tan:RuleOptions><tan:RuleOptions Name='Region'>\
               <x:MotionRegionConfigOptions xmlns:x='http://www.onvif.org/ver20/analytics'><x:PolygonSupport>true\
               </x:PolygonSupport></x:MotionRegionConfigOptions></tan:RuleOptions><tan:RuleOptions Name='Other'>\
               <v:Own xmlns:v='urn:v'>http://10.1.1.1/</v:Own></tan:RuleOptions></tan:GetRuleOptionsResponse>",
        expected: Answer(
            &[
                "<tt:IntRange><tt:Min>0</tt:Min><tt:Max>100</tt:Max></tt:IntRange>",
                "<tt:StringItems><tt:Item>Human</tt:Item></tt:StringItems>",
                "<axt:PolygonSupport>true</axt:PolygonSupport>",
            ],
            &["drop: Own", "incomplete: RuleOptions/*"],
        ),
    },
    Quirk {
        name: "a picture by RTSP",
        asked: "trt:GetSnapshotUri",
        status: 200,
        said: "<trt:GetSnapshotUriResponse><trt:MediaUri><tt:Uri>rtsp://:554/s</tt:Uri><tt:InvalidAfterConnect>false\
               </tt:InvalidAfterConnect><tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT60S\
               </tt:Timeout></trt:MediaUri></trt:GetSnapshotUriResponse>",
        expected: Fault("Receiver/ter:ActionNotSupported", "pictures by other protocols than HTTP"),
    },
    Quirk {
        name: "an address of a network that the camera was in, in a name",
        asked: "tptz:GetPresets",
        status: 200,
        said: "<tptz:GetPresetsResponse><tptz:Preset token='1'><tt:Name>gate 10.4.5.6</tt:Name></tptz:Preset>\
               </tptz:GetPresetsResponse>",
        expected: Answer(
            &["<tptz:Preset token=\"1\"/>"],
            &["drop: tt:Name: an address of the camera's network"],
        ),
    },
    Quirk {
        name: "a style sheet",
        asked: "tds:GetRelayOutputs",
        status: 200,
        said: "<?xml version='1.0'?><?xml-stylesheet href='http://10.1.1.1/x'?><s:Envelope \
               xmlns:s='http://www.w3.org/2003/05/soap-envelope'><s:Body><tds:GetRelayOutputsResponse \
               xmlns:tds='http://www.onvif.org/ver10/device/wsdl'/></s:Body></s:Envelope>",
        expected: Answer(&["<tds:GetRelayOutputsResponse/>"], &["repair: a processing instruction left out"]),
    },
    Quirk {
        name: "an empty body for what is not supported",
        asked: "tds:GetRelayOutputs",
        status: 500,
        said: "",
        expected: Fault("Receiver/ter:Action", "not SOAP (HTTP status 500)"),
    },
    Quirk {
        name: "an HTML page for a service it lacks",
        asked: "tds:GetRelayOutputs",
        status: 404,
        said: "<html><body>Not found at http://10.1.1.1/</body></html>",
        expected: Fault("Receiver/ter:Action", "HTTP status 404"),
    },
    Quirk {
        name: "tags cut short",
        asked: "tds:GetRelayOutputs",
        status: 200,
        said: "<tds:GetRelayOutputsResp onse/><tds:",
        expected: Fault("Receiver/ter:Action", "it is not XML the gateway reads"),
    },
    Quirk {
        name: "the answer of another operation",
        asked: "tds:GetRelayOutputs",
        status: 200,
        said: "<tds:GetUsersResponse/>",
        expected: Fault("Receiver/ter:Action", "the camera answered something else"),
    },
    Quirk {
        name: "a fault without a reason, in the words of SOAP 1.1",
        asked: "tds:GetRelayOutputs",
        status: 400,
        said: "<?xml version='1.0'?><e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Body>\
               <e:Fault><faultcode>e:Client</faultcode><faultstring></faultstring></e:Fault></e:Body></e:Envelope>",
        expected: Fault("Sender", ""),
    },
    Quirk {
        name: "a fault that names the camera",
        asked: "tds:GetRelayOutputs",
        status: 500,
        said: "<s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code><s:Reason><s:Text xml:lang='en'>@camera@ is \
               busy</s:Text></s:Reason></s:Fault>",
        expected: Fault("Receiver", "the camera refused the request"),
    },
    Quirk {
        name: "the camera's address in a mandatory name, which goes with what it names",
        asked: "trt:GetVideoSourceConfigurations",
        status: 200,
        said: "<trt:GetVideoSourceConfigurationsResponse><trt:Configurations token='c'><tt:Name>at @camera@</tt:Name>\
               <tt:UseCount>1</tt:UseCount><tt:SourceToken>s</tt:SourceToken>\
               <tt:Bounds x='0' y='0' width='1' height='1'/></trt:Configurations>\
               </trt:GetVideoSourceConfigurationsResponse>",
        expected: Answer(
            &["<trt:GetVideoSourceConfigurationsResponse/>"],
            &["drop: tt:Name: an address of the camera's network"],
        ),
    },
    Quirk {
        name: "a stream with a login in its address, on a network of the camera's",
        asked: "trt:GetStreamUri",
        status: 200,
        said: "<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>rtsp://admin:12345@192.168.1.64:554/s</tt:Uri>\
               <tt:InvalidAfterConnect>false</tt:InvalidAfterConnect><tt:InvalidAfterReboot>false\
               </tt:InvalidAfterReboot><tt:Timeout>PT60S</tt:Timeout></trt:MediaUri></trt:GetStreamUriResponse>",
        expected: Answer(&["<tt:Uri>rtsp://127.0.4."], &[]),
    },
    Quirk {
        name: "a profile that names a multicast group",
        asked: "trt:GetVideoEncoderConfigurations",
        status: 200,
        said: "<trt:GetVideoEncoderConfigurationsResponse><trt:Configurations token='e'><tt:Name>n</tt:Name>\
               <tt:UseCount>1</tt:UseCount><tt:Encoding>H264</tt:Encoding><tt:Resolution><tt:Width>1</tt:Width>\
               <tt:Height>1</tt:Height></tt:Resolution><tt:Quality>1</tt:Quality><tt:Multicast><tt:Address>\
               <tt:Type>IPv4</tt:Type><tt:IPv4Address>239.1.2.3</tt:IPv4Address></tt:Address><tt:Port>8600</tt:Port>\
               <tt:TTL>1</tt:TTL><tt:AutoStart>false</tt:AutoStart></tt:Multicast><tt:SessionTimeout>PT60S\
               </tt:SessionTimeout></trt:Configurations></trt:GetVideoEncoderConfigurationsResponse>",
        expected: Answer(&["<tt:IPv4Address>0.0.0.0</tt:IPv4Address>", "<tt:Port>0</tt:Port>"], &[]),
    },
    Quirk {
        name: "a list of services with empty capabilities at an address inside",
        asked: "tds:GetServices",
        status: 200,
        said: "<tds:GetServicesResponse><tds:Service><tds:Namespace>http://www.onvif.org/ver10/media/wsdl\
               </tds:Namespace><tds:XAddr>http://192.168.1.100:8100/onvif/Media</tds:XAddr><tds:Capabilities/>\
               <tds:Version><tt:Major>2</tt:Major><tt:Minor>4</tt:Minor></tds:Version></tds:Service>\
               </tds:GetServicesResponse>",
        expected: Answer(
            &["/onvif/media_service</tds:XAddr><tds:Version>"],
            &["incomplete: Service/Capabilities/*"],
        ),
    },
    Quirk {
        name: "two prefixes for one namespace, and one declared anew",
        asked: "tds:GetRelayOutputs",
        status: 200,
        said: "<a:GetRelayOutputsResponse xmlns:a='http://www.onvif.org/ver10/device/wsdl' \
               xmlns:b='http://www.onvif.org/ver10/device/wsdl'><b:RelayOutputs token='r'><a:Properties \
               xmlns:a='http://www.onvif.org/ver10/schema'><a:Mode>Bistable</a:Mode><a:DelayTime>PT0S</a:DelayTime>\
               <a:IdleState>closed</a:IdleState></a:Properties></b:RelayOutputs></a:GetRelayOutputsResponse>",
        expected: Answer(&["<tds:RelayOutputs token=\"r\"><tt:Properties><tt:Mode>Bistable"], &[]),
    },
    Quirk {
        name: "a word that no list has",
        asked: "tds:GetRelayOutputs",
        status: 200,
        said: "<tds:GetRelayOutputsResponse><tds:RelayOutputs token='r'><tt:Properties><tt:Mode>Pulsing</tt:Mode>\
               <tt:DelayTime>PT0S</tt:DelayTime><tt:IdleState>closed</tt:IdleState></tt:Properties>\
               </tds:RelayOutputs></tds:GetRelayOutputsResponse>",
        expected: Answer(&["<tt:Mode>Pulsing</tt:Mode>"], &["incomplete: Mode (value)"]),
    },
];

#[test]
fn each_quirk_is_put_right_or_refused_and_recorded() {
    let tables = Arc::new(Tables::embedded().unwrap());
    let ids: Vec<_> = QUIRKS.iter().map(|it| tables.operation_by_name(it.asked).unwrap()).collect();
    let part = |it: &Quirk| Part {
        asked: it.asked.split_once(':').unwrap().1.to_owned(),
        answer: bytes(&whole(it.said)),
        status: it.status,
    };
    let stage = Stage::open(&tables, QUIRKS.iter().map(part).collect());
    let asked = ids.iter().enumerate().map(|(number, id)| {
        let row = tables.operation(*id).unwrap();
        stage.ask(number, &row.service, &message(&tables, row.input, Tape::default()).text)
    });
    let replies: Vec<_> = asked.collect();
    let own: Vec<_> = (0..QUIRKS.len()).map(|number| stage.authorities(number)).collect();
    let records = stage.close(&replies);
    println!("\n| messages of a camera | its VMS has | on record |\n|---|---|---|");
    let mut wrong = Vec::new();
    for (((quirk, reply), own), (_, outcome)) in QUIRKS.iter().zip(&replies).zip(&own).zip(&records) {
        let text = reply.text();
        let deviations: Vec<_> = outcome["deviations"].as_array().into_iter().flatten().collect();
        let fits = |wanted: &str| {
            let (kind, place) = wanted.split_once(": ").unwrap();
            deviations.iter().any(|it| it["kind"] == kind && it["name"].as_str().unwrap().ends_with(place))
        };
        let foreign = foreign::addresses(&String::from_utf8_lossy(&reply.body), own);
        let good = foreign.is_empty()
            && match &quirk.expected {
                Answer(holds, recorded) => {
                    reply.status == 200
                        && holds.iter().all(|it| text.contains(it))
                        && recorded.len() == deviations.len()
                        && recorded.iter().all(|it| fits(it))
                }
                Fault(codes, reason) => {
                    reply.status >= 400 && reply.fault() == *codes && text.contains(reason)
                }
            };
        let told = deviations.iter().map(|it| format!("{}: {}", text_of(it, "kind"), text_of(it, "name")));
        let told: Vec<_> = told.chain(outcome["note"].as_str().map(str::to_owned)).collect();
        println!(
            "| {} | {} {} | {} |",
            quirk.name,
            reply.status,
            reply.fault(),
            told.join("; ").replace('|', "/")
        );
        if !good {
            wrong.push(format!("{}: {text}\n  recorded {outcome}\n  foreign {foreign:?}", quirk.name));
        }
    }
    println!("{} cases", QUIRKS.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), QUIRKS.len(), wrong.join("\n"));
}

/// A text as bytes, with one that is no character of UTF-8 for each `@byte@`.
fn bytes(text: &str) -> Vec<u8> {
    text.split("@byte@").map(str::as_bytes).collect::<Vec<_>>().join(&0xce)
}

fn whole(said: &str) -> String {
    if said.starts_with("<?xml") || said.starts_with("<html") {
        return said.to_owned();
    }
    let spaces = "<s:Body xmlns:tds='http://www.onvif.org/ver10/device/wsdl' \
                  xmlns:tptz='http://www.onvif.org/ver20/ptz/wsdl' \
                  xmlns:tan='http://www.onvif.org/ver20/analytics/wsdl' \
                  xmlns:trt='http://www.onvif.org/ver10/media/wsdl' xmlns:tt='http://www.onvif.org/ver10/schema'>";
    client::envelope("", said).replace("<s:Body>", spaces)
}
