//! `[mqtt]`: the broker that has the events of all cameras.

use toml::de::DeTable;

use super::{MqttBroker, raw, reader::Reader};
use crate::{
    events::BrokerLogin,
    limits::{CONSUMER_ADDRESS_BYTES_MAX, GATEWAY_NAME_CHARS_MAX},
    schema::address::{Host, Uri},
};

/// MQTT's own ports (IANA).
const PORT: u16 = 1883;
const TLS_PORT: u16 = 8883;

impl Reader<'_> {
    /// The broker; none where no events go to one.
    pub(super) fn mqtt(&mut self, table: &DeTable<'_>, gateway: &str) -> Option<MqttBroker> {
        let raw: raw::Mqtt = self.one(table, "mqtt")?;
        let (host, port, secure) = self.broker(&raw.broker)?;
        let topic_prefix = self.word(raw.topic_prefix.as_ref(), "cordon", "topic_prefix");
        let client = self.word(raw.client.as_ref(), gateway, "client");
        let password = raw.password.as_ref().map(|it| self.secret(it));
        let user = match (&raw.username, password) {
            (Some(name), Some(Some(password))) => Some((name.get_ref().clone(), password)),
            (None, None) => None,
            (_, Some(None)) => return None,
            (Some(_), None) | (None, Some(_)) => {
                let what = "a broker wants a user name with its password, or neither";
                self.error(raw.broker.span(), what, "write both username and password, or leave both out");
                return None;
            }
        };
        if secure != raw.ca.is_some() {
            let what = if secure {
                "nothing says which certificates the broker may have"
            } else {
                "ca is for mqtts"
            };
            let remedy = "with mqtts:// write ca = \"FILE\" with the issuers of the broker's certificate, in PEM; else leave it out";
            self.error(raw.broker.span(), what, remedy);
            return None;
        }
        let ca = raw.ca.as_ref().map(|it| self.folder(it));
        Some(MqttBroker { host, port, ca, topic_prefix, login: BrokerLogin { client, user } })
    }

    fn broker(&mut self, raw: &raw::Text) -> Option<(String, u16, bool)> {
        let uri = Some(raw.get_ref().as_str()).filter(|it| it.len() <= CONSUMER_ADDRESS_BYTES_MAX);
        let uri = uri.and_then(Uri::parse);
        let plain = uri.filter(|it| {
            it.userinfo.is_none()
                && matches!(it.path, "" | "/")
                && it.query.is_none()
                && it.fragment.is_none()
        });
        let found = plain.and_then(|it| {
            let secure = match it.scheme {
                "mqtt" => false,
                "mqtts" => true,
                _ => return None,
            };
            let host = match it.host {
                Host::Ip(address) => address.to_string(),
                Host::Name(name) => name.to_owned(),
            };
            Some((host, it.port.unwrap_or(if secure { TLS_PORT } else { PORT }), secure))
        });
        if found.is_none() {
            let what = format!("`{}` is no address of a broker", raw.get_ref().escape_debug());
            self.error(
                raw.span(),
                &what,
                "write mqtt://HOST:PORT or mqtts://HOST:PORT; a login stands apart",
            );
        }
        found
    }

    /// A word that can stand in topics and name a client.
    fn word(&mut self, raw: Option<&raw::Text>, default: &str, key: &str) -> String {
        let Some(raw) = raw else { return default.to_owned() };
        let plain = |letter: char| {
            !letter.is_control() && !letter.is_whitespace() && !matches!(letter, '#' | '+' | '$')
        };
        let word = raw.get_ref();
        if !(1..=GATEWAY_NAME_CHARS_MAX).contains(&word.chars().count()) || !word.chars().all(plain) {
            let what = format!("`{}` cannot be {key}", word.escape_debug());
            let remedy =
                format!("use 1 to {GATEWAY_NAME_CHARS_MAX} characters without blanks, `#`, `+` and `$`");
            self.error(raw.span(), &what, &remedy);
        }
        word.clone()
    }
}
