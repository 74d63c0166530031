//! What the gateway sets cameras to at somebody's word: nothing, where they came with something that leads out.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    asks::{AskError, OwnRequest, ask},
    baseline::{BaselineQuestion, baseline_questions},
};
use crate::{
    inventory::Facts,
    schema::{Element, Tables},
};

/// One thing that a camera can be set to. None of them names a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Setting {
    /// No time server, and none from DHCP.
    Ntp,
    /// No name server, and none from DHCP.
    Dns,
    /// It is not to be discovered beyond its network.
    RemoteDiscovery,
    /// It registers its address with no name server.
    DynamicDns,
}

/// A text that is no setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is nothing that a camera is set to: there are ntp=none, dns=none, remote-discovery=off and dynamic-dns=off"
)]
pub struct NoSetting(String);

impl FromStr for Setting {
    type Err = NoSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|it| it.as_str() == text);
        known.ok_or_else(|| NoSetting(text.chars().take(40).collect()))
    }
}

impl TryFrom<String> for Setting {
    type Error = NoSetting;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Setting> for String {
    fn from(setting: Setting) -> Self {
        setting.as_str().to_owned()
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How it is set, and what an answer has to say for it to be so.
struct Way {
    sets: &'static str,
    leaves: &'static [(&'static str, &'static str)],
    asks: &'static str,
    at: &'static str,
    says: &'static [&'static str],
}

impl Setting {
    const ALL: [Self; 4] = [Self::Ntp, Self::Dns, Self::RemoteDiscovery, Self::DynamicDns];

    /// As people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ntp => "ntp=none",
            Self::Dns => "dns=none",
            Self::RemoteDiscovery => "remote-discovery=off",
            Self::DynamicDns => "dynamic-dns=off",
        }
    }

    fn way(self) -> Way {
        const FALSE: &[&str] = &["false", "0"];
        match self {
            Self::Ntp => Way {
                sets: "tds:SetNTP",
                leaves: &[("FromDHCP", "false")],
                asks: "tds:GetNTP",
                at: "NTPInformation/FromDHCP",
                says: FALSE,
            },
            Self::Dns => Way {
                sets: "tds:SetDNS",
                leaves: &[("FromDHCP", "false")],
                asks: "tds:GetDNS",
                at: "DNSInformation/FromDHCP",
                says: FALSE,
            },
            Self::RemoteDiscovery => Way {
                sets: "tds:SetRemoteDiscoveryMode",
                leaves: &[("RemoteDiscoveryMode", "NonDiscoverable")],
                asks: "tds:GetRemoteDiscoveryMode",
                at: "RemoteDiscoveryMode",
                says: &["NonDiscoverable"],
            },
            Self::DynamicDns => Way {
                sets: "tds:SetDynamicDNS",
                leaves: &[("Type", "NoUpdate")],
                asks: "tds:GetDynamicDNS",
                at: "DynamicDNSInformation/Type",
                says: &["NoUpdate"],
            },
        }
    }

    /// The request that sets it.
    ///
    /// # Errors
    /// The interface tables do not hold it.
    pub fn request(self, tables: &Tables) -> Result<OwnRequest, AskError> {
        let Way { sets, leaves, .. } = self.way();
        ask(tables, sets, leaves)
    }

    /// The question that shows whether it is so: one of the baseline's.
    ///
    /// # Errors
    /// The interface tables do not hold it.
    pub fn question(self, tables: &Tables) -> Result<BaselineQuestion, AskError> {
        let asks = self.way().asks;
        let found = baseline_questions(tables)?.into_iter().find(|it| it.name == asks);
        found.ok_or(AskError::NoOperation(asks))
    }

    /// What an answer to its question shows instead of it, in words; none if it is so. Silence is no consent: the
    /// answer has to say it.
    pub fn contradicted_by(self, answer: Element<'_>, read: fn(Element<'_>, &mut Facts)) -> Option<String> {
        let mut facts = Facts::default();
        read(answer, &mut facts);
        let shown: Vec<String> = facts.iter().map(ToString::to_string).collect();
        let Way { at, says, asks, .. } = self.way();
        let is_said = answer.find(at).is_some_and(|it| says.contains(&it.text().trim()));
        match (shown.is_empty(), is_said) {
            (true, true) => None,
            (true, false) => Some(format!("its answer to {asks} does not say so")),
            (false, _) => Some(format!("it shows now: {}", shown.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        ids::{CameraId, RequestId},
        onvif,
        schema::Trait,
    };

    #[test]
    fn every_setting_is_a_request_of_the_interface_that_gives_the_camera_no_place() {
        let tables = Arc::new(Tables::embedded().unwrap());
        let catalogue = onvif::Catalogue::new(Arc::clone(&tables));
        let camera = CameraId::new("gate").unwrap();
        for setting in Setting::ALL {
            assert_eq!(setting.as_str().parse(), Ok(setting));
            let OwnRequest { operation, document } = setting.request(&tables).unwrap();
            let request = RequestId::from_bits(0);
            let command = catalogue.command(request, &camera, &[operation], None, &document).unwrap();
            assert_eq!(command.destinations, [], "{setting}");
            let traits: Vec<_> = command.traits.iter().collect();
            assert_eq!(traits, [Trait::Network], "{setting}");
            assert_eq!(setting.question(&tables).unwrap().name, setting.way().asks);
        }
        for text in ["ntp=192.0.2.9", "ntp=gateway", "remote-discovery=none", "ntp", ""] {
            assert!(text.parse::<Setting>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_turns_them_on_gives_the_camera_a_place() {
        let tables = Arc::new(Tables::embedded().unwrap());
        let catalogue = onvif::Catalogue::new(Arc::clone(&tables));
        let camera = CameraId::new("gate").unwrap();
        for (name, leaf, value, place) in [
            (
                "tds:SetRemoteDiscoveryMode",
                "RemoteDiscoveryMode",
                "Discoverable",
                "remotediscoverymode=discoverable",
            ),
            ("tds:SetDynamicDNS", "Type", "ClientUpdates", "type=clientupdates"),
            ("tds:SetDynamicDNS", "Type", "ServerUpdates", "type=serverupdates"),
        ] {
            let OwnRequest { operation, document } = ask(&tables, name, &[(leaf, value)]).unwrap();
            let request = RequestId::from_bits(0);
            let command = catalogue.command(request, &camera, &[operation], None, &document).unwrap();
            assert!(command.traits.contains(Trait::Egress), "{name} {value}");
            let places: Vec<&str> = command.destinations.iter().map(|it| it.host.as_str()).collect();
            assert_eq!(places, [place]);
        }
    }
}
