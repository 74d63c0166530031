//! The answers that must not depend on the camera.

use jiff::{Timestamp, tz::TimeZone};

use super::{
    asked::Asked,
    services::{DEVICE, ServiceFacts},
    virtual_camera::{Facade, Heard},
};
use crate::{
    limits::CLAIMED_SCOPE_BYTES_MAX,
    schema::{BuildError, Builder, Deviations, Document, NodeId, OperationId, Tables},
    soap::Fault,
};

/// An answer the gateway gives itself.
#[derive(Debug)]
pub enum Own {
    /// A document, and what is missing in it because it is in what the camera said.
    Document(Document, Deviations),
    /// A fault.
    Fault(Fault),
}

/// The client that asks, as it knows itself.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Its user name.
    pub name: &'a str,
    /// Its ONVIF user level.
    pub level: &'a str,
}

impl Facade {
    /// Answers what must not depend on the camera: time, identity, addresses, network, services. None for
    /// everything that is the camera's to answer.
    ///
    /// `offers` says whether any rule lets clients use a service; others are not listed (ONVIF leaves
    /// clients to call what is listed, Core §8.1.2).
    pub fn own_answer(
        &self,
        operation: OperationId,
        asked: Asked<'_>,
        asker: Option<Asker<'_>>,
        now: Timestamp,
        offers: &dyn Fn(&str) -> bool,
    ) -> Result<Option<Own>, BuildError> {
        let (tables, entrance) = (&*self.shared.tables, asked.entrance);
        let Some(row) = tables.operation(operation) else { return Ok(None) };
        let maker = Maker { tables, root: row.output };
        let build = |fill: &Fill<'_>| maker.build(fill);
        match (&*row.service, &*row.name) {
            ("device", "GetSystemDateAndTime") => build(&|to| time(to, now)),
            ("device", "GetEndpointReference") => build(&|to| leaf(to, "GUID", &self.identity.endpoint)),
            ("device", "GetWsdlUrl") => {
                build(&|to| leaf(to, "WsdlUrl", &self.service_address(DEVICE, entrance)))
            }
            ("device", "GetHostname") => build(&|to| self.hostname(to)),
            ("device", "GetScopes") => build(&|to| self.scopes(to)),
            ("device", "GetDiscoveryMode") => build(&|to| leaf(to, "DiscoveryMode", "Discoverable")),
            ("device", "GetRemoteDiscoveryMode") => {
                build(&|to| leaf(to, "RemoteDiscoveryMode", "NonDiscoverable"))
            }
            ("device", "GetDPAddresses" | "GetRemoteUser") => build(&|_| Ok(())),
            ("device", "GetUsers") => build(&|to| users(to, asker)),
            ("device", "GetNetworkInterfaces") => build(&|to| self.interfaces(to)),
            ("device", "GetNetworkProtocols") => build(&|to| self.protocols(to)),
            ("device", "GetNetworkDefaultGateway") => build(&|to| empty(to, "NetworkGateway")),
            ("device", "GetDNS") => build(&|to| manual(to, "DNSInformation")),
            ("device", "GetNTP") => build(&|to| manual(to, "NTPInformation")),
            ("device", "GetDynamicDNS") => build(&|to| {
                to.open("DynamicDNSInformation")?;
                to.leaf("Type", "NoUpdate")?;
                to.close()?;
                Ok(())
            }),
            ("device", "GetZeroConfiguration") => build(&|to| {
                to.open("ZeroConfiguration")?;
                to.leaf("InterfaceToken", INTERFACE)?;
                to.leaf("Enabled", "false")?;
                to.close()?;
                Ok(())
            }),
            ("device", "GetServices") => self.service_list(asked, offers, &maker),
            ("device", "GetCapabilities") => self.capability_list(asked, offers, &maker),
            _ => Ok(None),
        }
    }

    fn hostname(&self, to: &mut Builder<'_>) -> Result<(), BuildError> {
        to.open("HostnameInformation")?;
        to.leaf("FromDHCP", "false")?;
        to.leaf("Name", self.camera.id.as_str())?;
        to.close()?;
        Ok(())
    }

    /// Fixed profile, hardware and name scopes are mandatory (ONVIF Core §7.3.2); Home Assistant reads
    /// `MacAddress`.
    fn scopes(&self, to: &mut Builder<'_>) -> Result<(), BuildError> {
        for scope in self.scope_items() {
            to.open("Scopes")?;
            to.leaf("ScopeDef", "Fixed")?;
            to.leaf("ScopeItem", &scope)?;
            to.close()?;
        }
        Ok(())
    }

    /// The scopes of the virtual camera, for GetScopes and for discovery.
    pub fn scope_items(&self) -> Vec<String> {
        let heard = self.heard();
        let told = heard.model.as_deref().filter(|it| it.len() <= CLAIMED_SCOPE_BYTES_MAX);
        let model = self.camera.model.as_deref().or(told).unwrap_or("camera");
        let mut scopes = heard.profiles.clone();
        if !scopes.iter().any(|scope| scope.ends_with("/Profile/Streaming")) {
            scopes.insert(0, "onvif://www.onvif.org/Profile/Streaming".to_owned());
        }
        let mac = self.identity.mac.replace(':', "-");
        let mut own = |kind: &str, value: &str| {
            scopes.push(format!("onvif://www.onvif.org/{kind}/{}", segment(value)));
        };
        own("hardware", model);
        own("name", self.camera.id.as_str());
        own("location", self.camera.site.as_str());
        own("MacAddress", &mac);
        scopes
    }

    fn interfaces(&self, to: &mut Builder<'_>) -> Result<(), BuildError> {
        to.open("NetworkInterfaces")?;
        to.attribute("token", INTERFACE)?;
        to.leaf("Enabled", "true")?;
        to.open("Info")?;
        to.leaf("Name", INTERFACE)?;
        to.leaf("HwAddress", &self.identity.mac)?;
        to.close()?;
        if let Some(address) = self.identity.address {
            let (family, length, dhcp) =
                if address.is_ipv4() { ("IPv4", "32", "false") } else { ("IPv6", "128", "Off") };
            to.open(family)?;
            to.leaf("Enabled", "true")?;
            to.open("Config")?;
            if address.is_ipv6() {
                to.leaf("DHCP", dhcp)?;
            }
            to.open("Manual")?;
            to.leaf("Address", &address.to_string())?;
            to.leaf("PrefixLength", length)?;
            to.close()?;
            if address.is_ipv4() {
                to.leaf("DHCP", dhcp)?;
            }
            to.close()?;
            to.close()?;
        }
        to.close()?;
        Ok(())
    }

    fn protocols(&self, to: &mut Builder<'_>) -> Result<(), BuildError> {
        let http = Self::port(&self.camera.advertise, 80);
        let rtsp = Self::port(&self.camera.advertise_rtsp, 554);
        let https = self.camera.secure.as_ref().map(|it| ("HTTPS", Self::port(&it.advertise, 443)));
        for (name, port) in [("HTTP", http)].into_iter().chain(https).chain([("RTSP", rtsp)]) {
            to.open("NetworkProtocols")?;
            to.leaf("Name", name)?;
            to.leaf("Enabled", "true")?;
            to.leaf("Port", &port.to_string())?;
            to.close()?;
        }
        Ok(())
    }

    fn service_list(
        &self,
        asked: Asked<'_>,
        offers: &dyn Fn(&str) -> bool,
        maker: &Maker<'_>,
    ) -> Result<Option<Own>, BuildError> {
        let heard = self.heard();
        if heard.services.is_empty() {
            return Ok(Some(not_heard_yet()));
        }
        let capabilities =
            asked.request.root().child("IncludeCapability").is_some_and(|it| is_true(it.text()));
        if let Some((list, missing)) = &heard.service_list
            && let Some(shown) = self.show_services(list, asked.entrance, capabilities, offers)
        {
            return Ok(Some(Own::Document(shown, missing.clone())));
        }
        maker.build(&|to| {
            for service in offered(&heard, offers) {
                let (major, minor) = service.version.unwrap_or(VERSION_UNKNOWN);
                to.open("Service")?;
                to.leaf("Namespace", &service.namespace)?;
                to.leaf("XAddr", &self.service_address(&service.service, asked.entrance))?;
                to.open("Version")?;
                to.leaf("Major", &major.to_string())?;
                to.leaf("Minor", &minor.to_string())?;
                to.close()?;
                to.close()?;
            }
            Ok(())
        })
    }

    fn capability_list(
        &self,
        asked: Asked<'_>,
        offers: &dyn Fn(&str) -> bool,
        maker: &Maker<'_>,
    ) -> Result<Option<Own>, BuildError> {
        let heard = self.heard();
        if heard.services.is_empty() {
            return Ok(Some(not_heard_yet()));
        }
        let (root, entrance) = (asked.request.root(), asked.entrance);
        let asked: Vec<&str> = root.children().map(|it| it.text().trim()).collect();
        let wanted =
            |category: &str| asked.is_empty() || asked.iter().any(|one| *one == "All" || *one == category);
        if let Some((list, missing)) = &heard.capability_list
            && let Some(shown) = self.show_capabilities(list, entrance, &wanted, offers)
        {
            return Ok(Some(Own::Document(shown, missing.clone())));
        }
        let has = |category: &str| {
            let service = self.shared.names.category(category);
            wanted(category) && offered(&heard, offers).any(|it| Some(&*it.service) == service)
        };
        maker.build(&|to| {
            to.open("Capabilities")?;
            for (category, flags) in CATEGORIES {
                if !has(category) {
                    continue;
                }
                to.open(category)?;
                to.leaf("XAddr", &self.service_address(&category.to_ascii_lowercase(), entrance))?;
                if *category == "Media" {
                    to.open("StreamingCapabilities")?;
                }
                for (flag, value) in *flags {
                    to.leaf(flag, value)?;
                }
                if *category == "Media" {
                    to.close()?;
                }
                to.close()?;
            }
            to.close()?;
            Ok(())
        })
    }
}

/// Makes the answer of one operation.
struct Maker<'a> {
    tables: &'a Tables,
    root: Option<NodeId>,
}

impl Maker<'_> {
    fn build(&self, fill: &Fill<'_>) -> Result<Option<Own>, BuildError> {
        let Some(root) = self.root else { return Ok(None) };
        let mut answer = Builder::new(self.tables, root);
        fill(&mut answer)?;
        Ok(Some(Own::Document(answer.finish()?, Deviations::default())))
    }
}

type Fill<'a> = dyn Fn(&mut Builder<'_>) -> Result<(), BuildError> + 'a;

/// The token of the one interface a virtual camera has.
const INTERFACE: &str = "eth0";

/// Shown for a service whose version a camera did not tell (GetCapabilities has none).
const VERSION_UNKNOWN: (u16, u16) = (2, 0);

/// The categories of GetCapabilities in the order of the schema, with the flags that are mandatory there,
/// for cameras that answered GetServices alone.
const CATEGORIES: &[(&str, &[(&str, &str)])] = &[
    ("Analytics", &[("RuleSupport", "true"), ("AnalyticsModuleSupport", "true")]),
    ("Device", &[]),
    (
        "Events",
        &[
            ("WSSubscriptionPolicySupport", "false"),
            ("WSPullPointSupport", "true"),
            ("WSPausableSubscriptionManagerInterfaceSupport", "false"),
        ],
    ),
    ("Imaging", &[]),
    ("Media", &[("RTPMulticast", "false"), ("RTP_TCP", "false"), ("RTP_RTSP_TCP", "true")]),
    ("PTZ", &[]),
];

fn offered<'a>(heard: &'a Heard, offers: &'a dyn Fn(&str) -> bool) -> impl Iterator<Item = &'a ServiceFacts> {
    heard.services.iter().filter(move |it| offers(&it.service))
}

/// A short list would be remembered by a VMS; a fault makes it ask again.
fn not_heard_yet() -> Own {
    Own::Fault(Fault::action_failed("the camera has not been reached yet"))
}

/// The camera's users are the camera's: a client is shown the one user it is. Users are managed in the
/// gateway's configuration.
fn users(to: &mut Builder<'_>, asker: Option<Asker<'_>>) -> Result<(), BuildError> {
    let Some(asker) = asker else { return Ok(()) };
    to.open("User")?;
    to.leaf("Username", asker.name)?;
    to.leaf("UserLevel", asker.level)?;
    to.close()?;
    Ok(())
}

/// `DateTimeType=NTP` keeps clients from setting the clock (Home Assistant does if it reads `Manual`).
fn time(to: &mut Builder<'_>, now: Timestamp) -> Result<(), BuildError> {
    to.open("SystemDateAndTime")?;
    to.leaf("DateTimeType", "NTP")?;
    to.leaf("DaylightSavings", "false")?;
    to.open("TimeZone")?;
    to.leaf("TZ", "UTC0")?;
    to.close()?;
    let civil = now.to_zoned(TimeZone::UTC).datetime();
    for local in ["UTCDateTime", "LocalDateTime"] {
        to.open(local)?;
        to.open("Time")?;
        to.leaf("Hour", &civil.hour().to_string())?;
        to.leaf("Minute", &civil.minute().to_string())?;
        to.leaf("Second", &civil.second().to_string())?;
        to.close()?;
        to.open("Date")?;
        to.leaf("Year", &civil.year().to_string())?;
        to.leaf("Month", &civil.month().to_string())?;
        to.leaf("Day", &civil.day().to_string())?;
        to.close()?;
        to.close()?;
    }
    to.close()?;
    Ok(())
}

fn leaf(to: &mut Builder<'_>, local: &str, text: &str) -> Result<(), BuildError> {
    to.leaf(local, text)?;
    Ok(())
}

/// Network settings that name no server.
fn manual(to: &mut Builder<'_>, local: &str) -> Result<(), BuildError> {
    to.open(local)?;
    to.leaf("FromDHCP", "false")?;
    to.close()?;
    Ok(())
}

fn empty(to: &mut Builder<'_>, local: &str) -> Result<(), BuildError> {
    to.open(local)?;
    to.close()?;
    Ok(())
}

fn is_true(text: &str) -> bool {
    matches!(text.trim(), "true" | "1")
}

/// A text as one path segment: what is not unreserved is percent-encoded (RFC 3986 §2.1).
fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
