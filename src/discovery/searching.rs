//! How cameras are looked for: the forms of the question that real ones answer, and whom a sweep asks. Pure.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{message::Dialect, sought::TYPES};
use crate::{ids::uuid_urn, soap::SOAP12};

/// One form of the question. Some cameras look for the very text `dn:NetworkVideoTransmitter`, some know
/// `tds:Device` alone or are put off by two types in one question, some are silent to a question without types, and
/// some read no question of several lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For what ONVIF had first.
    Transmitter,
    /// For what it has now.
    Device,
    /// For anything.
    Any,
}

impl Form {
    /// All forms, the one that most answer first.
    pub const ALL: [Self; 3] = [Self::Transmitter, Self::Device, Self::Any];

    /// The question, on one line, with an identifier made of these bits.
    pub fn probe(self, identifier: u128) -> String {
        let (discovery, addressing) = (Dialect::April2005.namespace(), Dialect::April2005.addressing());
        let [transmitter, device] = TYPES;
        let sought = match self {
            Self::Transmitter => Some(transmitter),
            Self::Device => Some(device),
            Self::Any => None,
        };
        let (declared, types) = sought.map_or_else(Default::default, |(prefix, namespace, local)| {
            let types = format!("<d:Types>{prefix}:{local}</d:Types>");
            (format!(" xmlns:{prefix}=\"{namespace}\""), types)
        });
        let id = uuid_urn(identifier);
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><e:Envelope xmlns:e=\"{SOAP12}\" xmlns:a=\"{addressing}\" \
             xmlns:d=\"{discovery}\"{declared}><e:Header><a:MessageID>{id}</a:MessageID>\
             <a:To e:mustUnderstand=\"true\">urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>\
             <a:Action e:mustUnderstand=\"true\">{discovery}/Probe</a:Action></e:Header><e:Body><d:Probe>{types}\
             </d:Probe></e:Body></e:Envelope>"
        )
    }
}

/// The addresses of networks one by one, but for those of the network itself and of everybody in it.
pub fn swept(networks: &[IpNet]) -> impl Iterator<Item = IpAddr> {
    networks.iter().flat_map(IpNet::hosts)
}

#[cfg(test)]
mod tests {
    use super::{
        super::message::{Body, read},
        *,
    };

    #[test]
    fn each_form_asks_on_one_line_for_at_most_one_type() {
        for (form, types) in Form::ALL.into_iter().zip([
            "<d:Types>dn:NetworkVideoTransmitter</d:Types>",
            "<d:Types>tds:Device</d:Types>",
            "<d:Probe></d:Probe>",
        ]) {
            let text = form.probe(7);
            assert!(text.contains(types) && !text.contains(['\n', '\r']), "{text}");
            let message = read(text.as_bytes()).unwrap();
            assert_eq!(message.id, Some(uuid_urn(7)));
            let Body::Probe(sought) = message.body else { panic!("{text}") };
            // The gateway itself would be found, were it a camera.
            assert!(sought.types.len() <= 1 && sought.is_met_by(&[]), "{text}");
        }
    }

    #[test]
    fn a_sweep_asks_every_host_once() {
        let networks = |texts: &[&str]| texts.iter().map(|it| it.parse().unwrap()).collect::<Vec<IpNet>>();
        let all: Vec<String> =
            swept(&networks(&["192.0.2.0/29", "192.0.2.64/32"])).map(|it| it.to_string()).collect();
        let hosts =
            ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6", "192.0.2.64"];
        assert_eq!(all, hosts);
    }
}
