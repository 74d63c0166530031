//! `[gateway]`, `[listener]`, `[admin]`, `[audit]` and `[policy]`.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use jiff::civil::Date;
use toml::Spanned;

use super::{AdminListen, raw, reader::Reader};
use crate::{
    audit::Retention,
    limits::{AUDIT_RESERVE_BYTES_MIN, GATEWAY_NAME_CHARS_MAX, HOST_LABEL_BYTES_MAX, HOST_NAME_BYTES_MAX},
};

/// Where virtual cameras listen, and how clients see that.
pub(super) struct Listening {
    pub(super) bind: IpAddr,
    /// As it stands in a URI: an IPv6 address has brackets.
    pub(super) host: String,
    pub(super) first_camera_port: u16,
    pub(super) rtsp_port: u16,
    /// For streams over TLS, if the gateway has a certificate for that.
    pub(super) rtsps_port: Option<u16>,
    /// Whether the gateway has a certificate for TLS.
    pub(super) secure: bool,
    pub(super) first_tls_port: u16,
    /// The ports that cameras with a path share.
    pub(super) path_port: u16,
    pub(super) path_tls_port: u16,
}

impl Reader<'_> {
    /// The gateway's name: also that of its log, which is why it is one word.
    pub(super) fn gateway_name(&mut self, raw: Option<&raw::Text>) -> String {
        let Some(raw) = raw else { return "Cordon".to_owned() };
        let name = raw.get_ref();
        let plain = |letter: char| !letter.is_whitespace() && !letter.is_control() && letter != '+';
        if !(1..=GATEWAY_NAME_CHARS_MAX).contains(&name.chars().count()) || !name.chars().all(plain) {
            let what = format!("`{}` is no name for a gateway", name.escape_debug());
            let remedy = format!("use 1 to {GATEWAY_NAME_CHARS_MAX} characters without blanks and `+`");
            self.error(raw.span(), &what, &remedy);
        }
        name.clone()
    }

    pub(super) fn threads(&mut self, raw: Option<&Spanned<usize>>) -> Option<usize> {
        let raw = raw?;
        if *raw.get_ref() == 0 {
            self.error(
                raw.span(),
                "a gateway without threads serves nobody",
                "leave it out for one per core",
            );
        }
        Some(*raw.get_ref())
    }

    /// What may be deleted of the audit log: nothing if nothing is written.
    pub(super) fn retention(&mut self, raw: &raw::Audit) -> Retention {
        if let Some(days) = raw.keep_days.as_ref().filter(|days| !(1..=36_500).contains(days.get_ref())) {
            self.error(
                days.span(),
                "records cannot be kept for that long",
                "give 1 to 36500 days, or leave it out to delete nothing by age",
            );
        }
        let least = AUDIT_RESERVE_BYTES_MIN;
        if let Some(bytes) = raw.reserve_bytes.as_ref().filter(|bytes| *bytes.get_ref() < least) {
            self.error(
                bytes.span(),
                "that is too little disk space for the audit log",
                &format!("reserve at least {least} bytes, or leave it out to delete nothing by size"),
            );
        }
        let day = |days: u32| Duration::from_secs(u64::from(days) * 86_400);
        Retention {
            keep: raw.keep_days.as_ref().map(|days| day(*days.get_ref())),
            reserve_bytes: raw.reserve_bytes.as_ref().map(|bytes| *bytes.get_ref()),
        }
    }

    pub(super) fn listening(&mut self, raw: &raw::Listener) -> Listening {
        let bind = self.bind(raw);
        Listening {
            bind,
            host: self.advertised(raw, bind),
            first_camera_port: self.port_or(raw.first_camera_port.as_ref(), 8081),
            rtsp_port: self.port_or(raw.rtsp_port.as_ref(), 8554),
            rtsps_port: raw.tls_certificate.is_some().then(|| self.port_or(raw.rtsps_port.as_ref(), 8322)),
            secure: raw.tls_certificate.is_some(),
            first_tls_port: self.port_or(raw.first_tls_port.as_ref(), 20443),
            path_port: self.port_or(raw.path_port.as_ref(), 8080),
            path_tls_port: self.port_or(raw.path_tls_port.as_ref(), 8443),
        }
    }

    fn bind(&mut self, raw: &raw::Listener) -> IpAddr {
        let Some(bind) = &raw.bind else { return Ipv4Addr::LOCALHOST.into() };
        let address: IpAddr = bind.get_ref().parse().unwrap_or_else(|_| {
            let what = format!("`{}` is no IP address", bind.get_ref());
            self.error(bind.span(), &what, "write the gateway's core-side address");
            Ipv4Addr::LOCALHOST.into()
        });
        if address.is_unspecified() && raw.advertise.is_none() {
            let what = format!("clients cannot call {address}");
            self.error(bind.span(), &what, "set advertise to the host name or address clients are to use");
        }
        address
    }

    fn advertised(&mut self, raw: &raw::Listener, bind: IpAddr) -> String {
        let Some(advertise) = &raw.advertise else { return in_uri(&bind.to_string()) };
        let host = advertise.get_ref();
        if !is_host(host) {
            let remedy = "write a host name or IP address alone: scheme, port and path are added per camera";
            self.error(advertise.span(), &format!("`{host}` is no host"), remedy);
        }
        in_uri(host)
    }

    fn port_or(&mut self, raw: Option<&Spanned<u16>>, default: u16) -> u16 {
        let Some(raw) = raw else { return default };
        if *raw.get_ref() == 0 {
            self.error(raw.span(), "0 is no port", &format!("leave it out for {default}"));
        }
        *raw.get_ref()
    }

    pub(super) fn admin(&mut self, listen: Option<&raw::Text>) -> AdminListen {
        let default = AdminListen::Tcp(SocketAddr::from(([127, 0, 0, 1], 9080)));
        let Some(listen) = listen else { return default };
        match listen.get_ref().parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => AdminListen::Tcp(address),
            Err(_) if listen.get_ref().contains('/') => AdminListen::Unix(self.folder(listen)),
            Ok(_) | Err(_) => {
                let remedy = "write \"127.0.0.1:port\" or the path of a unix socket";
                self.error(listen.span(), "the admin interface listens on loopback only", remedy);
                default
            }
        }
    }

    /// The folder of the owner's policies. A folder without any would deny everything.
    pub(super) fn policy_dir(&mut self, raw: Option<&raw::Text>) -> Option<PathBuf> {
        let raw = raw?;
        let dir = self.folder(raw);
        let shown = dir.display();
        let remedy = "copy the files of config/policies there, or leave [policy] out for the shipped ones";
        match fs::read_dir(&dir) {
            Err(error) => {
                self.error(raw.span(), &format!("cannot read the policy folder {shown}: {error}"), remedy)
            }
            Ok(mut entries) => {
                let is_policy = |path: PathBuf| path.extension().is_some_and(|ending| ending == "cedar");
                if !entries.any(|entry| entry.is_ok_and(|entry| is_policy(entry.path()))) {
                    self.error(raw.span(), &format!("the folder {shown} holds no .cedar file"), remedy);
                }
            }
        }
        Some(dir)
    }
}

impl Reader<'_> {
    /// The last day of observe mode. Without a day there is none: it must end by itself.
    pub(super) fn observe_until(&mut self, raw: &raw::Policy) -> Option<Date> {
        let mode = raw.mode.as_ref().map_or("enforce", |mode| mode.get_ref().as_str());
        match (mode, &raw.mode, &raw.observe_until) {
            ("observe", Some(_), Some(until)) => {
                let day: Result<Date, _> = until.get_ref().parse();
                let Ok(day) = day else {
                    let what = format!("`{}` is no day", until.get_ref());
                    self.error(until.span(), &what, "write the last day of observe mode, as \"2026-12-31\"");
                    return None;
                };
                let what = format!(
                    "observe mode: until {day} (UTC) some commands that policy denies are let through and \
                     recorded as observed"
                );
                self.warn(until.span(), &what, "set mode = \"enforce\" when you have seen enough");
                Some(day)
            }
            ("observe", Some(mode), None) => {
                let remedy = "add its last day, as observe_until = \"2026-12-31\"";
                self.error(mode.span(), "observe mode must have an end", remedy);
                None
            }
            ("enforce", _, Some(until)) => {
                let remedy = "remove it, or set mode = \"observe\"";
                self.error(until.span(), "observe_until is for observe mode", remedy);
                None
            }
            ("enforce", _, None) => None,
            (other, mode, _) => {
                let span = mode.as_ref().map_or(0..0, toml::Spanned::span);
                let what = format!("`{other}` is no mode of policy");
                self.error(span, &what, "write \"enforce\" or \"observe\"");
                None
            }
        }
    }
}

pub(super) fn in_uri(host: &str) -> String {
    if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_owned() }
}

/// An IP literal, or a host name after RFC 1123 §2.1: a last label of digits would be read as an address.
fn is_host(text: &str) -> bool {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if text.parse::<IpAddr>().is_ok() || bracketed.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok()) {
        return true;
    }
    let label = |label: &str| {
        (1..=HOST_LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= HOST_NAME_BYTES_MAX
        && text.split('.').all(label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_alone() {
        for good in ["cctv", "cctv.example.org", "3com.example", "192.0.2.1", "2001:db8::1", "[2001:db8::1]"]
        {
            assert!(is_host(good), "{good}");
        }
        let (long, longer) = ("a".repeat(64), ["a"; 128].join("."));
        for bad in [
            "", "a b", "http://a", "a:80", "a/b", "10.1.2", "-a", "a-", "a..b", "a.", "[a]", "ä", &long,
            &longer,
        ] {
            assert!(!is_host(bad), "{bad}");
        }
        assert!(is_host(&"a".repeat(63)) && is_host(&["a"; 127].join(".")));
    }
}
