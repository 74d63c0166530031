//! What each VMS does with a camera it is given, as it does it: its calls in their order, the dialect of its
//! headers, its way to log in; and what it needs to hear for the camera to work in it. Written by hand from what
//! these programs do; the real libraries below some of them walk in `walks`.
//!
//! What they make of live video is in `players`, and that they find cameras in `discovery`.
#![allow(clippy::print_stderr, reason = "the table is what the test shows")]

use std::{
    collections::BTreeMap,
    io::{Read, Write},
};

use cordon::clock::{Clock, SystemClock};
use jiff::{SignedDuration, Timestamp};

use crate::{
    client::{self, Reply, Token, User},
    foreign,
    house::{ADMIN, CAMERA_SIDE, CAR_PARK, House, LOBBY, OPERATOR},
    tls::{Pair, Secured},
};

const SCHEMA: &str = "http://www.onvif.org/ver10/schema";
const SECEXT: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const UTILITY: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
const PROFILE: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0";
const BASE64: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary";
const SOAP12: &str = "http://www.w3.org/2003/05/soap-envelope";
const WSA: &str = "http://www.w3.org/2005/08/addressing";

/// A VMS.
struct Vms {
    name: &'static str,
    dialect: Dialect,
    login: Login,
    user: User,
    tls: bool,
    steps: &'static [Step],
}

/// How envelopes are written.
#[derive(Clone, Copy)]
enum Dialect {
    /// zeep (Home Assistant, Frigate): prefixes `soap-env` and `ns0`, no mustUnderstand, `action=` in the content type.
    Zeep,
    /// agsh's onvif (UniFi Protect, Scrypted): default namespaces, SOAP action nowhere.
    Agsh,
    /// gSOAP (ZoneMinder): every namespace it knows at the root, a time stamp beside the token, addressing that
    /// must be understood.
    GSoap,
    /// Windows Communication Foundation (iSpy, Agent DVR, Milestone): addressing and Security that must be
    /// understood, replies that must relate.
    Wcf,
    /// Surveillance Station: no header at all unless it logs in, `application/xml`.
    Bare,
}

/// How a client says who it is.
#[derive(Clone, Copy, PartialEq)]
enum Login {
    Token,
    /// The password itself, in the token.
    Clear,
    /// HTTP digest with that algorithm, after the 401.
    Digest(&'static str),
    /// A client certificate, and nothing in the message.
    Certificate,
    Nobody,
}

/// One call and what must be heard.
struct Step {
    /// None is the VMS's usual one.
    login: Option<Login>,
    service: &'static str,
    operation: &'static str,
    /// The kept address that it is asked at, in place of the service's.
    at: &'static str,
    /// `x:` is the service's namespace, `{name}` what was kept.
    inner: &'static str,
    /// The status and the fault's codes, which are empty for an answer.
    hears: (u16, &'static str),
    /// Texts that must be in the reply. `{base}`, `{host}` and `{streams}` are the virtual camera's.
    holds: &'static [&'static str],
    keeps: &'static [Keep],
}

enum Keep {
    /// The token of the first profile with H.264 and, as clients that move cameras need it, with a place for PTZ.
    H264Profile,
    /// The text of the first element of that name.
    Text(&'static str),
    /// The token of the first element of that name.
    TokenOf(&'static str),
    /// The same, and it must be what was kept before.
    Same(&'static str),
    /// The time told is not more than five seconds off.
    Clock,
}

const ANSWER: (u16, &str) = (200, "");
/// An answer, or a fault that says what is the matter.
const ANY: (u16, &str) = (0, "");
const NOT_AUTHORIZED: &str = "Sender/ter:NotAuthorized";
const NOT_SUPPORTED: &str = "Receiver/ter:ActionNotSupported";

const fn step(service: &'static str, operation: &'static str) -> Step {
    Step { login: None, service, operation, at: "", inner: "", hears: ANSWER, holds: &[], keeps: &[] }
}

const TIME: Step = Step {
    login: Some(Login::Nobody),
    holds: &[":UTCDateTime>", "<tt:DateTimeType>NTP</tt:DateTimeType>"],
    keeps: &[Keep::Clock],
    ..step("device", "GetSystemDateAndTime")
};
const CAPABILITIES: Step = Step {
    inner: "<x:Category>All</x:Category>",
    holds: &[
        "<tt:XAddr>{base}/onvif/device_service</tt:XAddr>",
        "<tt:XAddr>{base}/onvif/media_service</tt:XAddr>",
    ],
    ..step("device", "GetCapabilities")
};
const SERVICES: Step = Step {
    inner: "<x:IncludeCapability>false</x:IncludeCapability>",
    holds: &["<tds:XAddr>{base}/onvif/media_service</tds:XAddr>"],
    ..step("device", "GetServices")
};
const INFORMATION: Step = Step {
    holds: &["<tds:SerialNumber>", "<tds:FirmwareVersion>"],
    keeps: &[Keep::Text("SerialNumber")],
    ..step("device", "GetDeviceInformation")
};
const INTERFACES: Step = Step {
    holds: &["<tt:HwAddress>", "<tt:Enabled>true</tt:Enabled>", "<tt:Address>{host}</tt:Address>"],
    keeps: &[Keep::Text("HwAddress")],
    ..step("device", "GetNetworkInterfaces")
};
const PROFILES: Step = Step {
    holds: &["<tt:Encoding>H264</tt:Encoding>"],
    keeps: &[Keep::H264Profile],
    ..step("media", "GetProfiles")
};
const STREAM: Step = Step {
    inner: "<x:StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>RTSP</tt:Protocol>\
            </tt:Transport></x:StreamSetup><x:ProfileToken>{profile}</x:ProfileToken>",
    holds: &["<tt:Uri>rtsp://{streams}/"],
    keeps: &[Keep::Text("Uri")],
    ..step("media", "GetStreamUri")
};
const SNAPSHOT: Step = Step {
    inner: "<x:ProfileToken>{profile}</x:ProfileToken>",
    holds: &["<tt:Uri>{base}/onvif/snapshot/"],
    keeps: &[Keep::Text("Uri")],
    ..step("media", "GetSnapshotUri")
};
const CREATE_PROFILE: Step =
    Step { inner: "<x:Name>SynoTestProfile</x:Name>", ..step("media", "CreateProfile") };
/// The reference leads to the gateway.
const PULL_POINT: Step = Step {
    holds: &["<wsa:Address>{base}/onvif/subscription/", "<wsnt:TerminationTime>"],
    keeps: &[Keep::Text("Address")],
    ..step("events", "CreatePullPointSubscription")
};
/// What the camera's state is, at once.
const PULLED: Step = Step {
    at: "Address",
    inner: "<x:Timeout>PT10S</x:Timeout><x:MessageLimit>10</x:MessageLimit>",
    holds: &["<tev:TerminationTime>", "PropertyOperation=\"Initialized\""],
    ..step("events", "PullMessages")
};
const RENEWED: Step = Step {
    at: "Address",
    inner: "<x:TerminationTime>PT60S</x:TerminationTime>",
    holds: &["<wsnt:TerminationTime>"],
    ..step("notification", "Renew")
};
const ENDED: Step = Step { at: "Address", ..step("notification", "Unsubscribe") };
/// To be sent events, which no policy permits here: a proper fault has it pull them.
const SENT: Step = Step {
    inner: "<x:ConsumerReference><Address xmlns=\"http://www.w3.org/2005/08/addressing\">http://203.0.113.7/hook</Address>\
            </x:ConsumerReference>",
    hears: ANY,
    ..step("notification", "Subscribe")
};

const VMS: &[Vms] = &[
    Vms {
        name: "Home Assistant",
        dialect: Dialect::Zeep,
        login: Login::Token,
        user: OPERATOR,
        tls: false,
        steps: &[
            CAPABILITIES,
            // Off by five seconds and not NTP, it would set the clock.
            Step { login: None, ..TIME },
            INFORMATION,
            // The interface's MAC is what it knows a camera by.
            INTERFACES,
            Step { keeps: &[Keep::Same("HwAddress")], ..INTERFACES },
            Step { holds: &["SnapshotUri=\"true\""], ..step("media", "GetServiceCapabilities") },
            PROFILES,
            SNAPSHOT,
            STREAM,
            step("ptz", "GetServiceCapabilities"),
            Step { inner: "<x:ProfileToken>{profile}</x:ProfileToken>", ..step("ptz", "GetPresets") },
            // It would rather be sent events, tries to pull them whether or not that is advertised, and renews.
            SENT,
            PULL_POINT,
            PULLED,
            RENEWED,
            ENDED,
            step("device", "GetScopes"),
            // Absorbed where it is listed: denied, recorded, and told as a success.
            Step {
                inner: "<x:DateTimeType>Manual</x:DateTimeType><x:DaylightSavings>false</x:DaylightSavings>",
                holds: &["SetSystemDateAndTimeResponse"],
                ..step("device", "SetSystemDateAndTime")
            },
        ],
    },
    Vms {
        name: "Frigate",
        dialect: Dialect::Zeep,
        login: Login::Token,
        user: OPERATOR,
        tls: false,
        steps: &[
            CAPABILITIES,
            // It moves only cameras that say how, in these very words.
            Step {
                holds: &[
                    "<tt:Encoding>H264</tt:Encoding>",
                    "<tt:DefaultContinuousPanTiltVelocitySpace>http://www.onvif.org/ver10/tptz/PanTiltSpaces/\
                     VelocityGenericSpace</tt:DefaultContinuousPanTiltVelocitySpace>",
                ],
                keeps: &[Keep::H264Profile, Keep::TokenOf("PTZConfiguration")],
                ..step("media", "GetProfiles")
            },
            Step {
                inner: "<x:ConfigurationToken>{PTZConfiguration}</x:ConfigurationToken>",
                holds: &[
                    "<tt:URI>http://www.onvif.org/ver10/tptz/PanTiltSpaces/TranslationSpaceFov</tt:URI>",
                ],
                ..step("ptz", "GetConfigurationOptions")
            },
            Step { holds: &["MoveStatus=\"true\""], ..step("ptz", "GetServiceCapabilities") },
            Step {
                inner: "<x:ProfileToken>{profile}</x:ProfileToken>",
                holds: &["<tt:MoveStatus><tt:PanTilt>IDLE</tt:PanTilt>", "<tt:UtcTime>"],
                ..step("ptz", "GetStatus")
            },
            Step {
                inner: "<x:ProfileToken>{profile}</x:ProfileToken><x:Translation><tt:PanTilt x=\"0.1\" y=\"0\" \
                        space=\"http://www.onvif.org/ver10/tptz/PanTiltSpaces/TranslationSpaceFov\"/>\
                        </x:Translation>",
                ..step("ptz", "RelativeMove")
            },
            Step {
                inner: "<x:ProfileToken>{profile}</x:ProfileToken><x:Velocity><tt:PanTilt x=\"0.5\" y=\"0\"/>\
                        </x:Velocity>",
                ..step("ptz", "ContinuousMove")
            },
            Step {
                inner: "<x:ProfileToken>{profile}</x:ProfileToken><x:PanTilt>true</x:PanTilt>\
                        <x:Zoom>true</x:Zoom>",
                ..step("ptz", "Stop")
            },
        ],
    },
    Vms {
        name: "UniFi Protect",
        dialect: Dialect::Agsh,
        login: Login::Token,
        user: OPERATOR,
        tls: false,
        steps: &[
            TIME,
            SERVICES,
            CAPABILITIES,
            INFORMATION,
            PROFILES,
            Step { ..step("media", "GetVideoSources") },
            STREAM,
            SNAPSHOT,
            INTERFACES,
            step("device", "GetHostname"),
            // It knows a camera by its MAC and serial number; both stay.
            Step { keeps: &[Keep::Same("SerialNumber")], ..INFORMATION },
            Step { keeps: &[Keep::Same("HwAddress")], ..INTERFACES },
            PULL_POINT,
            PULLED,
            ENDED,
            // Whatever it asks, it hears XML; anything else reads as "invalid credentials".
            Step { hears: (500, NOT_SUPPORTED), ..step("device", "NobodyDeclaredThis") },
            Step { hears: (404, NOT_SUPPORTED), ..step("nowhere", "GetProfiles") },
        ],
    },
    Vms {
        name: "Scrypted",
        dialect: Dialect::Agsh,
        login: Login::Token,
        user: OPERATOR,
        tls: false,
        steps: &[
            TIME,
            SERVICES,
            CAPABILITIES,
            PROFILES,
            Step {
                keeps: &[Keep::TokenOf("Configurations")],
                ..step("media", "GetVideoEncoderConfigurations")
            },
            SNAPSHOT,
            STREAM,
            PULL_POINT,
            PULLED,
            ENDED,
        ],
    },
    Vms {
        name: "ZoneMinder",
        dialect: Dialect::GSoap,
        login: Login::Token,
        user: OPERATOR,
        tls: false,
        steps: &[
            // Its first words are these, at the address it was given with a path of its own behind it.
            PULL_POINT,
            PULLED,
            RENEWED,
            ENDED,
            // A wrong password, and then the right one in clear: never taken outside TLS, nor written down.
            Step {
                login: Some(Login::Clear),
                hears: (400, NOT_AUTHORIZED),
                ..step("device", "GetDeviceInformation")
            },
            CAPABILITIES,
            PROFILES,
            STREAM,
        ],
    },
    Vms {
        name: "Synology Surveillance Station",
        dialect: Dialect::Bare,
        login: Login::Digest("MD5"),
        user: ADMIN,
        tls: false,
        steps: &[
            TIME,
            CAPABILITIES,
            INFORMATION,
            PROFILES,
            STREAM,
            // It tries to create a profile twice, the second time without saying who it is, and takes the
            // refusal for a wrong password. Nobody may do that unknown: see the next case.
            Step { login: Some(Login::Nobody), hears: (401, NOT_AUTHORIZED), ..CREATE_PROFILE },
        ],
    },
    Vms {
        name: "Synology, by certificate",
        dialect: Dialect::Bare,
        login: Login::Certificate,
        user: ADMIN,
        tls: true,
        // Who is known by the connection need not say so in each message.
        steps: &[
            TIME,
            CAPABILITIES,
            PROFILES,
            Step { keeps: &[Keep::TokenOf("Profile")], ..CREATE_PROFILE },
            Step { inner: "<x:ProfileToken>{Profile}</x:ProfileToken>", ..step("media", "DeleteProfile") },
        ],
    },
    Vms {
        name: "ZoneMinder, over TLS",
        dialect: Dialect::GSoap,
        login: Login::Clear,
        user: OPERATOR,
        tls: true,
        steps: &[PULL_POINT, PULLED, RENEWED, ENDED, CAPABILITIES, PROFILES, STREAM],
    },
    Vms {
        name: "Hikvision recorder",
        dialect: Dialect::Agsh,
        login: Login::Digest("MD5"),
        user: OPERATOR,
        tls: false,
        steps: &[
            TIME,
            CAPABILITIES,
            INFORMATION,
            PROFILES,
            // It sets up UDP whatever it is told; RTSP is where that will be answered.
            Step {
                inner: "<x:StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>UDP\
                        </tt:Protocol></tt:Transport></x:StreamSetup><x:ProfileToken>{profile}</x:ProfileToken>",
                ..STREAM
            },
            STREAM,
        ],
    },
    Vms {
        name: "Agent DVR",
        dialect: Dialect::Wcf,
        login: Login::Token,
        user: OPERATOR,
        tls: false,
        steps: &[
            TIME,
            SERVICES,
            // Where there is no list of services, it asks for capabilities.
            CAPABILITIES,
            PROFILES,
            STREAM,
            SNAPSHOT,
            PULL_POINT,
            PULLED,
            RENEWED,
            ENDED,
            Step { hears: (400, NOT_AUTHORIZED), ..step("device", "GetUsers") },
        ],
    },
    Vms {
        name: "Milestone XProtect",
        dialect: Dialect::Wcf,
        login: Login::Digest("SHA-256"),
        user: ADMIN,
        tls: true,
        steps: &[
            TIME,
            SERVICES,
            INFORMATION,
            PROFILES,
            STREAM,
            // Edge storage (Profile G), where a camera has it.
            Step { hears: ANY, ..step("recording", "GetRecordings") },
            PULL_POINT,
            PULLED,
            ENDED,
        ],
    },
];

fn namespace(service: &str) -> String {
    let versioned = match service {
        "ptz" => "ver20/ptz",
        "events" => "ver10/events",
        "nowhere" => "ver10/media",
        "notification" => return "http://docs.oasis-open.org/wsn/b-2".to_owned(),
        other => return format!("http://www.onvif.org/ver10/{other}/wsdl"),
    };
    format!("http://www.onvif.org/{versioned}/wsdl")
}

impl Dialect {
    fn content_type(self, action: &str) -> String {
        match self {
            Self::Zeep | Self::Wcf | Self::GSoap => {
                format!("Content-Type: application/soap+xml; charset=utf-8; action=\"{action}\"")
            }
            Self::Agsh => "Content-Type: application/soap+xml".to_owned(),
            Self::Bare => "Content-Type: application/xml; charset=UTF-8".to_owned(),
        }
    }

    fn envelope(self, service: &str, step: &Step, inner: &str, login: Login, user: User, id: &str) -> String {
        let uri = namespace(service);
        let operation = step.operation;
        let action = format!("{uri}/{operation}");
        let token = match login {
            Login::Token | Login::Clear => Some(self.token(user, login)),
            Login::Digest(_) | Login::Certificate | Login::Nobody => None,
        };
        let token = token.unwrap_or_default();
        let prefixed = |prefix: &str| {
            let inner = inner.replace("<x:", &format!("<{prefix}:")).replace("</x:", &format!("</{prefix}:"));
            format!(
                "<{prefix}:{operation} xmlns:{prefix}=\"{uri}\" xmlns:tt=\"{SCHEMA}\">{inner}</{prefix}:{operation}>"
            )
        };
        match self {
            Self::Zeep => format!(
                "<?xml version='1.0' encoding='utf-8'?>\n<soap-env:Envelope xmlns:soap-env=\"{SOAP12}\">\
                 <soap-env:Header>{token}</soap-env:Header><soap-env:Body>{}</soap-env:Body></soap-env:Envelope>",
                prefixed("ns0")
            ),
            Self::Agsh | Self::Bare => {
                let header =
                    if token.is_empty() { String::new() } else { format!("<s:Header>{token}</s:Header>") };
                format!(
                    "<s:Envelope xmlns:s=\"{SOAP12}\" xmlns:a=\"{WSA}\">{header}\
                     <s:Body xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
                     xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"><{operation} xmlns=\"{uri}\">{}</{operation}>\
                     </s:Body></s:Envelope>",
                    defaulted(inner)
                )
            }
            Self::GSoap => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"{SOAP12}\" \
                 xmlns:SOAP-ENC=\"http://www.w3.org/2003/05/soap-encoding\" xmlns:wsa5=\"{WSA}\" \
                 xmlns:wsse=\"{SECEXT}\" xmlns:wsu=\"{UTILITY}\" xmlns:tt=\"{SCHEMA}\"><SOAP-ENV:Header>\
                 <wsa5:MessageID>{id}</wsa5:MessageID><wsa5:To SOAP-ENV:mustUnderstand=\"true\">http://camera/\
                 </wsa5:To><wsa5:Action SOAP-ENV:mustUnderstand=\"true\">{action}</wsa5:Action>{token}\
                 </SOAP-ENV:Header><SOAP-ENV:Body>{}</SOAP-ENV:Body></SOAP-ENV:Envelope>",
                prefixed("ns1")
            ),
            Self::Wcf => format!(
                "<s:Envelope xmlns:s=\"{SOAP12}\" xmlns:a=\"{WSA}\"><s:Header><a:Action s:mustUnderstand=\"1\">\
                 {action}</a:Action><a:MessageID>{id}</a:MessageID><a:ReplyTo><a:Address>{WSA}/anonymous\
                 </a:Address></a:ReplyTo>{token}<a:To s:mustUnderstand=\"1\">http://camera/</a:To></s:Header>\
                 <s:Body>{}</s:Body></s:Envelope>",
                prefixed("q1")
            ),
        }
    }

    fn token(self, user: User, login: Login) -> String {
        let (must, prefix, stamp) = match self {
            Self::Zeep | Self::Bare => ("", "wsse:", String::new()),
            Self::Agsh => (" s:mustUnderstand=\"1\"", "", String::new()),
            Self::GSoap => (
                " SOAP-ENV:mustUnderstand=\"true\"",
                "wsse:",
                format!(
                    "<wsu:Timestamp wsu:Id=\"Time\"><wsu:Created>{0}</wsu:Created></wsu:Timestamp>",
                    now()
                ),
            ),
            Self::Wcf => (" s:mustUnderstand=\"1\"", "o:", String::new()),
        };
        let declared = match prefix {
            "" => format!(" xmlns=\"{SECEXT}\""),
            prefix => format!(" xmlns:{}=\"{SECEXT}\"", prefix.trim_end_matches(':')),
        };
        let token = Token::at(user, &now());
        let (kind, shown) = match login {
            Login::Clear => ("PasswordText", user.1.to_owned()),
            _ => ("PasswordDigest", token.digest()),
        };
        format!(
            "<{prefix}Security{must}{declared} xmlns:u=\"{UTILITY}\">{stamp}<{prefix}UsernameToken>\
             <{prefix}Username>{name}</{prefix}Username><{prefix}Password Type=\"{PROFILE}#{kind}\">{shown}\
             </{prefix}Password><{prefix}Nonce EncodingType=\"{BASE64}\">{nonce}</{prefix}Nonce>\
             <u:Created>{created}</u:Created></{prefix}UsernameToken></{prefix}Security>",
            name = user.0,
            nonce = token.nonce(),
            created = token.created,
        )
    }
}

fn now() -> String {
    SystemClock::new().now().round(jiff::Unit::Millisecond).unwrap().to_string()
}

/// Elements with prefixes as elements that declare their namespace themselves.
fn defaulted(inner: &str) -> String {
    let plain = inner.replace("<x:", "<").replace("</x:", "</").replace("</tt:", "</");
    let mut parts = plain.split("<tt:");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find([' ', '>', '/']).unwrap();
        out += &format!("<{} xmlns=\"{SCHEMA}\"{}", &part[..end], &part[end..]);
    }
    out
}

/// One VMS at one camera.
struct Walk<'a> {
    vms: &'a Vms,
    gateway: &'a Secured,
    camera: usize,
    certificate: &'a Pair,
    kept: BTreeMap<String, String>,
    calls: usize,
    /// When it asked last.
    asked: Timestamp,
}

impl Walk<'_> {
    fn call(&mut self, step: &Step) -> Reply {
        self.calls += 1;
        self.asked = SystemClock::new().now();
        let Vms { dialect, user, .. } = self.vms;
        let login = step.login.unwrap_or(self.vms.login);
        let mut inner = step.inner.to_owned();
        for (name, value) in &self.kept {
            inner = inner.replace(&format!("{{{name}}}"), value);
        }
        assert!(!inner.contains('{'), "{}: {inner}", self.vms.name);
        let id = format!("urn:uuid:00000000-0000-4000-8000-{:012}", self.calls);
        let body = dialect.envelope(step.service, step, &inner, login, *user, &id);
        let own = format!("/onvif/{}_service", step.service);
        let at = self.kept.get(step.at).and_then(|it| it.split_once("://")?.1.split_once('/'));
        let target = at.map_or(own, |(_, path)| format!("/{path}"));
        let action = format!("{}/{}", namespace(step.service), step.operation);
        let headers = [dialect.content_type(&action)];
        let ask = |authorization: Option<String>| {
            let fields: Vec<&str> = headers.iter().chain(&authorization).map(String::as_str).collect();
            let bytes = client::request("POST", &target, &fields, body.as_bytes());
            if self.vms.tls {
                let shown = Some(self.certificate).filter(|_| login == Login::Certificate);
                self.gateway.send(self.camera, shown, &bytes)
            } else {
                client::send(self.gateway.house.door(self.camera), &bytes)
            }
        };
        let reply = ask(None);
        // What needs no login is answered at once.
        let Login::Digest(algorithm) = login else { return self.related(reply, &id) };
        if reply.status == 200 {
            return self.related(reply, &id);
        }
        assert_eq!(reply.status, 401, "{}: {}", self.vms.name, reply.text());
        let challenges = reply.header_values("www-authenticate");
        let challenge = challenges.iter().find(|it| it.contains(&format!("algorithm={algorithm}"))).unwrap();
        let authorization = client::authorization(challenge, "POST", &target, *user);
        self.related(ask(Some(authorization)), &id)
    }

    /// Who addresses a message must hear which message was answered.
    fn related(&self, reply: Reply, id: &str) -> Reply {
        let addressed = matches!(self.vms.dialect, Dialect::Wcf | Dialect::GSoap);
        let text = reply.text();
        // A message that was not taken is related to none.
        if addressed && reply.status == 200 {
            assert!(text.contains(&format!("RelatesTo>{id}<")), "{}: {text}", self.vms.name);
            assert!(!text.contains("mustUnderstand"), "{}: {text}", self.vms.name);
        }
        reply
    }

    fn keep(&mut self, keep: &Keep, reply: &Reply) -> Result<(), String> {
        let text = String::from_utf8_lossy(&reply.body);
        let document = roxmltree::Document::parse(&text).map_err(|error| error.to_string())?;
        let named = |name: &'static str| {
            move |it: &roxmltree::Node<'_, '_>| it.is_element() && it.tag_name().name() == name
        };
        let token = |it: roxmltree::Node<'_, '_>| it.attribute("token").map(str::to_owned);
        let element = |name: &'static str| document.descendants().find(named(name));
        let (name, value) = match keep {
            Keep::H264Profile => {
                let is_h264 = |it: &roxmltree::Node<'_, '_>| {
                    let mut inside = it.descendants();
                    inside.any(|it| it.tag_name().name() == "Encoding" && it.text() == Some("H264"))
                };
                let found = document.descendants().filter(named("Profiles")).find(is_h264);
                ("profile", found.and_then(token))
            }
            Keep::Text(name) => (*name, element(name).and_then(|it| it.text().map(str::to_owned))),
            Keep::TokenOf(name) => (*name, element(name).and_then(token)),
            Keep::Same(name) => {
                let text = element(name).and_then(|it| it.text());
                let before = self.kept.get(*name);
                return if text == before.map(String::as_str) {
                    Ok(())
                } else {
                    Err(format!("{before:?} became {text:?}"))
                };
            }
            Keep::Clock => {
                let utc = element("UTCDateTime").ok_or("no UTCDateTime")?;
                let number = |name: &'static str| {
                    let text = utc.descendants().find(named(name)).and_then(|it| it.text());
                    text.and_then(|it| it.parse::<i64>().ok()).ok_or(format!("no {name}"))
                };
                let date = [number("Year")?, number("Month")?, number("Day")?];
                let time = [number("Hour")?, number("Minute")?, number("Second")?];
                let told = format!(
                    "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
                    date[0], date[1], date[2], time[0], time[1], time[2]
                );
                let told: Timestamp = told.parse().map_err(|error| format!("{told}: {error}"))?;
                // Whole seconds are told, of a time between question and now.
                let times = self.asked - SignedDuration::from_secs(1)..=SystemClock::new().now();
                return if times.contains(&told) {
                    Ok(())
                } else {
                    Err(format!("{told} is none of {times:?}"))
                };
            }
        };
        let value = value.ok_or_else(|| format!("no {name}"))?;
        self.kept.insert(name.to_owned(), value);
        Ok(())
    }

    /// What is not as the VMS needs it.
    fn judge(&mut self, step: &Step, reply: &Reply) -> Vec<String> {
        let mut wrong = Vec::new();
        let (scheme, door) = if self.vms.tls {
            ("https", self.gateway.doors[self.camera])
        } else {
            ("http", self.gateway.house.door(self.camera))
        };
        let (host, streams) = (door.ip().to_string(), self.gateway.house.streams().to_string());
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        let (status, fault) = step.hears;
        let named = (reply.status == 200) == reply.fault().is_empty();
        let as_said = (reply.status, reply.fault().as_str()) == (status, fault);
        if !(as_said || (step.hears == ANY && named)) {
            wrong.push(format!("{status} {fault} expected"));
        }
        for needed in step.holds {
            let base = format!("{scheme}://{door}");
            let needed =
                needed.replace("{host}", &host).replace("{base}", &base).replace("{streams}", &streams);
            if !text.contains(&needed) {
                wrong.push(format!("`{needed}` is not in the reply"));
            }
        }
        wrong.extend(step.keeps.iter().filter_map(|it| self.keep(it, reply).err()));
        wrong.extend(foreign::addresses(&text, &[door.to_string(), streams.clone()]));
        wrong.extend(CAMERA_SIDE.iter().filter(|it| text.contains(**it)).map(|it| format!("`{it}`")));
        wrong
            .iter_mut()
            .for_each(|it| *it = format!("{} {}: {it}\n  {}", self.vms.name, step.operation, reply.text()));
        wrong
    }
}

#[test]
fn each_vms_hears_what_it_needs() {
    let certificate = Pair::new("vms");
    // Clear passwords are switched on, and not taken outside TLS.
    let mut gateway =
        Secured::open(true, &[(ADMIN, format!("certificate_sha256 = [\"{}\"]", certificate.read().whole))]);
    gateway.house.reconfigure(|text| {
        let absorbed = "operations = [\"tds:SetSystemDateAndTime\"]";
        format!("{text}\n[[absorb]]\n{absorbed}\nclients = [\"{}\"]\n", OPERATOR.0)
    });
    let mut wrong = Vec::new();
    for vms in VMS {
        let mut calls = 0;
        for camera in [CAR_PARK, LOBBY] {
            let kept = BTreeMap::new();
            let asked = Timestamp::UNIX_EPOCH;
            let mut walk =
                Walk { vms, gateway: &gateway, camera, certificate: &certificate, kept, calls: 0, asked };
            for step in vms.steps {
                let reply = walk.call(step);
                wrong.extend(walk.judge(step, &reply));
            }
            calls += walk.calls;
        }
        eprintln!("{:<30} {calls:>3} calls at a restricted and a trusted camera", vms.name);
    }
    assert!(wrong.is_empty(), "{} complaints:\n{}", wrong.len(), wrong.join("\n"));
    let records: String = gateway.house.records().iter().map(ToString::to_string).collect();
    for (_, password) in [ADMIN, OPERATOR] {
        assert!(!records.contains(password), "a password is on record");
    }
}

/// Some follow the addresses they are told, some keep the one they were given, some come under a name of their
/// own making: all are told the same, which is the gateway's.
#[test]
fn the_address_told_is_the_gateways_whatever_a_client_calls_it() {
    let house = House::open();
    let door = house.door(LOBBY);
    let body = client::envelope("", &client::tds("GetCapabilities"));
    let usual = client::request("POST", "/onvif/device_service", &[client::SOAP], body.as_bytes());
    let usual = String::from_utf8(usual).unwrap();
    for host in ["127.0.1.1", "127.0.1.1:80", "camera.example:8080", "198.51.100.90", "[fe80::1]", "&:80"] {
        let bytes = usual.replacen("Host: camera", &format!("Host: {host}"), 1);
        let reply = client::send(door, bytes.as_bytes());
        assert_eq!(reply.status, 200, "{host}: {}", reply.text());
        assert_eq!(foreign::addresses(&String::from_utf8_lossy(&reply.body), &[door.to_string()]), [""; 0]);
        let address = format!("<tt:XAddr>http://{door}/onvif/device_service</tt:XAddr>");
        assert!(reply.text().contains(&address), "{host}: {}", reply.text());
    }
    let target = usual.replacen("POST /", &format!("POST http://{door}/"), 1);
    assert_eq!(client::send(door, target.as_bytes()).status, 200, "a target in absolute form");
}

/// .NET waits for `100 Continue` before it sends a body, a second for each command where none comes.
#[test]
fn a_client_that_waits_for_100_continue_hears_it() {
    let house = House::open();
    let body = client::envelope("", &client::tds("GetSystemDateAndTime"));
    let fields = [client::SOAP, "Expect: 100-continue"];
    let bytes = client::request("POST", "/onvif/device_service", &fields, body.as_bytes());
    let (head, body) = bytes.split_at(bytes.len() - body.len());
    let mut stream = client::connect(house.door(CAR_PARK), head);
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(String::from_utf8_lossy(&interim), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body).unwrap();
    let reply = client::receive(stream);
    assert_eq!(reply.status, 200, "{}", reply.text());
    // Others do not wait for it.
    let mut heard = String::new();
    client::connect(house.door(CAR_PARK), &bytes).read_to_string(&mut heard).unwrap();
    assert!(heard.contains("HTTP/1.1 200 OK\r\n") && heard.contains("UTCDateTime"), "{heard}");
}
