//! Who the virtual camera is: names that stay the same whatever camera stands behind it.

use std::net::IpAddr;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::ids::{CameraId, uuid_urn};

/// The key that identities and locators are made with. The same on every node of the gateway.
pub struct FacadeKey(hmac::Key);

impl std::fmt::Debug for FacadeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FacadeKey(***)")
    }
}

impl FacadeKey {
    /// Makes the key of 32 secret bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// 128 bits that nobody without the key can foresee, for a purpose and the fields it depends on. Lengths
    /// go in too, so that no two lists of fields read the same.
    pub(super) fn mark(&self, purpose: &str, fields: &[&str]) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&self.0);
        for field in std::iter::once(&purpose).chain(fields) {
            context.update(&(field.len() as u64).to_be_bytes());
            context.update(field.as_bytes());
        }
        let tag = context.sign();
        let mut mark = [0; 16];
        mark.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        mark
    }

    /// [`Self::mark`] as 22 characters that may stand in a path.
    pub(super) fn token(&self, purpose: &str, fields: &[&str]) -> String {
        URL_SAFE_NO_PAD.encode(self.mark(purpose, fields))
    }
}

/// What a virtual camera shows of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `urn:uuid:…`, for GetEndpointReference and discovery (ONVIF Core §7.3.1).
    pub endpoint: String,
    /// A locally administered unicast address, `02:…`, as ONVIF writes it.
    pub mac: String,
    /// Twelve hexadecimal digits.
    pub serial: String,
    /// The address it is reached at, if that is known.
    pub address: Option<IpAddr>,
}

impl Identity {
    /// Derives the identity of one virtual camera.
    pub fn derive(key: &FacadeKey, camera: &CameraId, address: Option<IpAddr>) -> Self {
        let fields = [camera.as_str()];
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let endpoint = uuid_urn(u128::from_be_bytes(key.mark("endpoint", &fields)));
        let [first, a, b, c, d, e, ..] = key.mark("mac", &fields);
        // IEEE 802: bit 1 of the first octet says locally administered, bit 0 says group.
        let octets = [first & 0xfc | 0x02, a, b, c, d, e];
        let mac = octets.map(|octet| format!("{octet:02x}")).join(":");
        let serial = key.mark("serial", &fields);
        let serial = hex(serial.first_chunk::<6>().map_or(&[], |six| six.as_slice())).to_ascii_uppercase();
        Self { endpoint, mac, serial, address }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_stable_distinct_and_well_formed() {
        let key = FacadeKey::new(&[7; 32]);
        let one = Identity::derive(&key, &CameraId::new("gate").unwrap(), None);
        assert_eq!(one, Identity::derive(&key, &CameraId::new("gate").unwrap(), None));
        let other = Identity::derive(&key, &CameraId::new("yard").unwrap(), None);
        assert!(one.endpoint != other.endpoint && one.mac != other.mac && one.serial != other.serial);
        let uuid = one.endpoint.strip_prefix("urn:uuid:").unwrap();
        assert_eq!(uuid.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert_eq!(&uuid[14..15], "8", "version of {uuid}");
        assert!(matches!(&uuid[19..20], "8" | "9" | "a" | "b"), "variant of {uuid}");
        let first = u8::from_str_radix(&one.mac[..2], 16).unwrap();
        assert_eq!(first & 3, 2, "{} is locally administered and unicast", one.mac);
        assert_eq!(one.serial.len(), 12);
    }

    #[test]
    fn fields_do_not_run_together() {
        let key = FacadeKey::new(&[7; 32]);
        assert_ne!(key.token("stream", &["ab", "c"]), key.token("stream", &["a", "bc"]));
        assert_ne!(key.token("stream", &["a"]), key.token("snapshot", &["a"]));
        assert_eq!(key.token("stream", &["a"]).len(), 22);
    }
}
