//! Vendors' ways of speaking ONVIF, as data.

use std::time::Duration;

use super::login::{Algorithm, LoginRules};

/// How one vendor's cameras speak. Its texts are in `data/`.
#[derive(Debug, Clone)]
pub struct Dialect {
    /// Short name, for logs.
    pub name: &'static str,
    /// Script texts; sections of later ones replace those of earlier ones.
    pub scripts: Vec<&'static str>,
    /// What its RTSP server says otherwise than others.
    pub streams: &'static str,
    /// The HTTP `Server` header, if there is one.
    pub server: Option<&'static str>,
    /// How it wants to be logged in to.
    pub login: LoginRules,
}

/// What every camera has.
const BASE: [&str; 5] = [
    include_str!("data/common/device.txt"),
    include_str!("data/common/media.txt"),
    include_str!("data/common/media2.txt"),
    include_str!("data/common/events.txt"),
    include_str!("data/common/imaging.txt"),
];
const PTZ: &str = include_str!("data/common/ptz.txt");
const ANALYTICS: &str = include_str!("data/common/analytics.txt");
const DEVICE_IO: &str = include_str!("data/common/deviceio.txt");
/// Recordings, how to find them and how to play them.
const STORAGE: [&str; 3] = [
    include_str!("data/common/recording.txt"),
    include_str!("data/common/search.txt"),
    include_str!("data/common/replay.txt"),
];

impl Dialect {
    /// Every dialect there is.
    pub fn all() -> Vec<Self> {
        vec![Self::hikvision(), Self::axis(), Self::dahua(), Self::bosch(), Self::uniview(), Self::reolink()]
    }

    /// Like Hikvision's: HTTP digest with MD5 only (a UsernameToken is not looked at), a path per service,
    /// serial numbers with date and model, a pull point per path.
    pub fn hikvision() -> Self {
        let own = include_str!("data/hikvision/camera.txt");
        let login = LoginRules { digest: vec![Algorithm::Md5], ..LoginRules::strict() };
        Self {
            name: "hikvision",
            streams: include_str!("data/hikvision/rtsp.txt"),
            scripts: full(own),
            server: Some("App-webs/"),
            login,
        }
    }

    /// Like Axis's: UsernameToken near the camera's clock, or digest with SHA-256 and MD5; one path for all
    /// services; pull points told apart by a reference parameter; a wrong token spoils every operation.
    pub fn axis() -> Self {
        let login = LoginRules {
            digest: vec![Algorithm::Sha256, Algorithm::Md5],
            username_token: Some(Duration::from_secs(5)),
            token_spoils_pre_auth: true,
            nonce_life: Duration::from_secs(60),
            ..LoginRules::strict()
        };
        let own = include_str!("data/axis/camera.txt");
        Self {
            name: "axis",
            streams: include_str!("data/axis/rtsp.txt"),
            scripts: full(own),
            server: Some("Apache"),
            login,
        }
    }

    /// Like Dahua's: MD5 without its name and with an opaque value that must come back, or UsernameToken; a path
    /// per service, short prefixes, an encoding the first media service does not know.
    pub fn dahua() -> Self {
        let login = LoginRules {
            digest: vec![Algorithm::Md5],
            names_md5: false,
            opaque: Some("5ccc069c403ebaf9f0171e9517f40e41"),
            username_token: Some(Duration::from_secs(300)),
            ..LoginRules::strict()
        };
        Self {
            name: "dahua",
            streams: include_str!("data/dahua/rtsp.txt"),
            scripts: full(include_str!("data/dahua/camera.txt")),
            server: None,
            login,
        }
    }

    /// Like Bosch's: digest or UsernameToken; an envelope that declares what it uses; two lists of services that
    /// differ; an empty body instead of a fault.
    pub fn bosch() -> Self {
        let login = LoginRules {
            digest: vec![Algorithm::Md5],
            username_token: Some(Duration::from_secs(10)),
            ..LoginRules::strict()
        };
        Self {
            name: "bosch",
            streams: include_str!("data/bosch/rtsp.txt"),
            scripts: full(include_str!("data/bosch/camera.txt")),
            server: None,
            login,
        }
    }

    /// Like a Uniview camera sold under another name: no maker, addresses of its own network, a service that no
    /// interface declares; no recordings, nothing that moves.
    pub fn uniview() -> Self {
        let login = LoginRules {
            digest: vec![Algorithm::Md5],
            names_md5: false,
            username_token: Some(Duration::from_secs(300)),
            ..LoginRules::strict()
        };
        let own = include_str!("data/uniview/camera.txt");
        let scripts = BASE.into_iter().chain([ANALYTICS, DEVICE_IO, own]).collect();
        Self { name: "uniview", streams: include_str!("data/uniview/rtsp.txt"), scripts, server: None, login }
    }

    /// Like Reolink's: UsernameToken only, which comes back in every answer; gSOAP's own words instead of faults;
    /// no analytics, no recordings.
    pub fn reolink() -> Self {
        let login = LoginRules { username_token: Some(Duration::from_secs(10)), ..LoginRules::strict() };
        let own = include_str!("data/reolink/camera.txt");
        let scripts = BASE.into_iter().chain([PTZ, DEVICE_IO, own]).collect();
        Self { name: "reolink", streams: include_str!("data/reolink/rtsp.txt"), scripts, server: None, login }
    }
}

/// A camera with every service.
fn full(own: &'static str) -> Vec<&'static str> {
    BASE.into_iter().chain([PTZ, ANALYTICS, DEVICE_IO]).chain(STORAGE).chain([own]).collect()
}
