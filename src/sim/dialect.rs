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
    /// The HTTP `Server` header.
    pub server: &'static str,
    /// How it wants to be logged in to.
    pub login: LoginRules,
}

const COMMON: [&str; 5] = [
    include_str!("data/common/device.txt"),
    include_str!("data/common/media.txt"),
    include_str!("data/common/media2.txt"),
    include_str!("data/common/ptz.txt"),
    include_str!("data/common/events.txt"),
];

impl Dialect {
    /// Like Hikvision's: HTTP digest with MD5 only (a UsernameToken is not looked at), a path per service,
    /// serial numbers with date and model, a pull point per path.
    pub fn hikvision() -> Self {
        let login = LoginRules {
            digest: vec![Algorithm::Md5],
            username_token: None,
            token_spoils_pre_auth: false,
            nonce_life: Duration::from_secs(300),
        };
        Self::new("hikvision", include_str!("data/hikvision/camera.txt"), "App-webs/", login)
    }

    /// Like Axis's: UsernameToken near the camera's clock, or digest with SHA-256 and MD5; one path for all
    /// services; pull points told apart by a reference parameter; a wrong token spoils every operation.
    pub fn axis() -> Self {
        let login = LoginRules {
            digest: vec![Algorithm::Sha256, Algorithm::Md5],
            username_token: Some(Duration::from_secs(5)),
            token_spoils_pre_auth: true,
            nonce_life: Duration::from_secs(60),
        };
        Self::new("axis", include_str!("data/axis/camera.txt"), "Apache", login)
    }

    fn new(name: &'static str, own: &'static str, server: &'static str, login: LoginRules) -> Self {
        let scripts = COMMON.into_iter().chain([own]).collect();
        Self { name, scripts, server, login }
    }
}
