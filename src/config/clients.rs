//! `[[client]]`.

use toml::de::DeTable;

use super::{
    raw,
    reader::{Declared, Reader},
    secure::Certificates,
};
use crate::{
    auth::{CameraScope, ClientRecord, Role},
    gate::AbsorbRule,
    ids::{CameraId, ClientId},
};

impl Reader<'_> {
    /// All clients, and what is absorbed of them; `secure` says whether they can come over TLS.
    pub(super) fn clients(
        &mut self,
        table: &DeTable<'_>,
        cameras: &Declared,
        secure: bool,
    ) -> (Vec<ClientRecord>, Vec<AbsorbRule>) {
        let names = self.declared(table, "client");
        let mut known = Certificates::new();
        let clients =
            self.many(table, "client", |reader, _, raw| reader.client(raw, cameras, secure, &mut known));
        let absorb = self.many(table, "absorb", |reader, _, raw| reader.absorb(raw, &names, cameras));
        (clients, absorb)
    }

    fn client(
        &mut self,
        raw: raw::Client,
        cameras: &Declared,
        secure: bool,
        known: &mut Certificates,
    ) -> Option<ClientRecord> {
        let certificates = self.certificates(&raw, secure, known);
        let role = Role::ALL.into_iter().find(|role| role.as_str() == raw.role.get_ref());
        if role.is_none() {
            let what = format!("`{}` is no role", raw.role.get_ref());
            self.error(raw.role.span(), &what, "write \"Administrator\", \"Operator\" or \"User\"");
        }
        let scope = raw.cameras.map_or(CameraScope::All, |names| {
            CameraScope::Only(
                names.iter().filter_map(|name| self.refer(name, cameras, CameraId::new)).collect(),
            )
        });
        if raw.networks.get_ref().is_empty() {
            let what = format!("client `{}` may call from nowhere", raw.name.get_ref());
            let remedy = "list the networks it calls from, such as \"10.1.0.0/16\"; \"0.0.0.0/0\" and \"::/0\" are all";
            self.error(raw.networks.span(), &what, remedy);
        }
        let networks = self.prefixes(raw.networks.get_ref());
        if raw.password.is_none() && certificates.is_empty() {
            let what = format!("client `{}` has nothing to log in with", raw.name.get_ref());
            self.error(
                raw.name.span(),
                &what,
                "give it a password, or over TLS a certificate_sha256 or key_sha256",
            );
        }
        let password = raw.password.as_ref().map(|it| self.secret(it));
        let id = self.name(&raw.name, ClientId::new);
        Some(ClientRecord {
            id: id?,
            role: role?,
            password: match password {
                Some(password) => Some(password?),
                None => None,
            },
            certificates,
            networks: networks?,
            cameras: scope,
        })
    }
}
