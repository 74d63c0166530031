//! How each camera stands at the moment, and which layer fails if it does not work: in one sentence, with what
//! to do.
//!
//! Each camera's thread writes its own standing down; the admin listener reads.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::trouble::Trouble;
use crate::{
    alarm::Alarm,
    camera::{BreakerMemory, CameraError, CameraMemory, Failure, Phase},
    events::Way,
    gate::Refusal,
    hatch::VerifyError,
    ids::CameraId,
    inventory::MacAddress,
    limits::{CAMERA_LOGIN_REJECTIONS_MAX, DEVIATIONS_LATELY_MAX},
    schema::Deviations,
};

/// How one camera stands.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// How many virtual cameras stand for it: none if its door is closed.
    pub doors: usize,
    /// What was learnt of it.
    pub memory: CameraMemory,
    /// The services it was heard to offer.
    pub services: Vec<String>,
    /// How the gateway is subscribed to its events, and since when.
    pub subscribed: Option<(Way, Timestamp)>,
    /// What the virtual camera says of itself in scopes, once the camera was asked who it is.
    pub scopes: Vec<String>,
    /// When a command to it last came to a good end.
    pub answered: Option<Timestamp>,
    /// The last command that did not.
    pub failed: Option<FailedCommand>,
    /// What its answers did otherwise than declared, the latest last.
    pub deviations: Vec<SeenDeviation>,
}

/// A command that did not come to a good end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCommand {
    /// When.
    pub at: Timestamp,
    /// Which layer failed.
    pub layer: Layer,
    /// In words that name no address and no secret.
    pub note: String,
}

/// Something that an answer did otherwise than declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenDeviation {
    /// `repair`, `drop` or `incomplete`.
    pub kind: String,
    /// Where, and what.
    pub name: String,
    /// How often.
    pub times: u64,
    /// When last.
    pub last: Timestamp,
}

/// The standings of all cameras.
#[derive(Debug, Default)]
pub struct Standings(Mutex<BTreeMap<CameraId, Arc<Mutex<Standing>>>>);

/// What can be in the way between a client and its answer, the nearest to the client first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The gateway does not run.
    Gateway,
    /// The camera is not in the configuration.
    Enrolment,
    /// The audit log cannot be written.
    Log,
    /// The virtual camera accepts no connections.
    Door,
    /// It is restricted, and the isolation of its zone is not in force.
    Isolation,
    /// No client is permitted anything.
    Policy,
    /// Nobody has asked yet.
    NotAsked,
    /// There is no way to the camera's host.
    Network,
    /// Its host refuses connections.
    Port,
    /// TLS cannot be made.
    Tls,
    /// Its certificate is not the one it is known by.
    Pin,
    /// It takes the request and does not answer.
    Silence,
    /// It refuses the login.
    Login,
    /// It refused the login so often that nothing is sent for a while.
    Breaker,
    /// Its clock is not known.
    Clock,
    /// What it answers is not ONVIF.
    Onvif,
    /// It answers with a fault.
    Fault,
    /// Its answer was refused.
    Hatch,
    /// It works.
    Fine,
}

/// Why a camera does not work, or that it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Which layer fails.
    pub layer: Layer,
    /// What is the matter, in one sentence.
    pub sentence: String,
    /// What to do about it.
    pub remedy: String,
}

/// What a camera's standing does not say.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// Why the audit log cannot be written.
    pub log_failure: Option<&'a str>,
    /// Whether any client is permitted anything.
    pub any_client: bool,
    /// The hardware address that the camera's address is held to: what comes from any other is dropped.
    pub held_to: Option<MacAddress>,
    /// The time.
    pub now: Timestamp,
}

impl Standings {
    /// That of one camera; made when it is asked for first.
    pub fn of(&self, camera: &CameraId) -> Arc<Mutex<Standing>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(camera.clone()).or_default())
    }

    /// A copy of it.
    pub fn read(&self, camera: &CameraId) -> Standing {
        lock(&self.of(camera)).clone()
    }
}

/// A standing, to be read or changed for a moment.
pub fn lock(standing: &Mutex<Standing>) -> MutexGuard<'_, Standing> {
    standing.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Standing {
    /// A command to the camera ended.
    pub(super) fn ended(&mut self, now: Timestamp, trouble: Option<&Trouble>) {
        match trouble {
            None => self.answered = Some(now),
            Some(trouble) => {
                if let Some(layer) = layer(trouble) {
                    self.failed = Some(FailedCommand { at: now, layer, note: trouble.to_string() });
                }
            }
        }
    }

    /// An answer left its declaration.
    pub(super) fn deviated(&mut self, now: Timestamp, deviations: &Deviations) {
        for it in deviations.iter() {
            let times = u64::from(it.count);
            let same = |known: &SeenDeviation| known.name == it.name && known.kind == it.kind.as_str();
            let times = match self.deviations.iter().position(same) {
                Some(at) => self.deviations.remove(at).times.saturating_add(times),
                None => times,
            };
            if self.deviations.len() >= DEVIATIONS_LATELY_MAX {
                self.deviations.remove(0);
            }
            let kind = it.kind.as_str().to_owned();
            self.deviations.push(SeenDeviation { kind, name: it.name.clone(), times, last: now });
        }
    }
}

/// Which layer fails for a camera, if one does.
pub fn diagnose(standing: &Standing, around: Surroundings<'_>) -> Diagnosis {
    if let Some(failure) = around.log_failure {
        let what = format!("commands are refused, since the audit log cannot be written: {failure}");
        return Layer::Log.because(what);
    }
    if standing.doors == 0 {
        return Layer::Door.because("its virtual camera accepts no connections");
    }
    if !around.any_client {
        return Layer::Policy.because("no policy permits any client anything at this camera");
    }
    if let Some(diagnosis) = breaker(standing.memory.breaker, around.now) {
        return diagnosis;
    }
    match (standing.answered, &standing.failed) {
        (None, None) => Layer::NotAsked.because("nobody has asked it anything since the gateway started"),
        (answered, Some(failed)) if answered.is_none_or(|it| it < failed.at) => {
            let told = failed.layer.because(format!("{} (at {:.0})", failed.note, failed.at));
            // Another device shows nothing of itself then, so that none is found in the camera's place.
            match around.held_to.filter(|_| matches!(failed.layer, Layer::Network | Layer::Silence)) {
                Some(mac) => told.of_held(mac),
                None => told,
            }
        }
        (Some(at), _) => Layer::Fine.because(format!("it works: it answered at {at:.0}")),
        (None, Some(failed)) => failed.layer.because(failed.note.clone()),
    }
}

/// The open breaker, if it is open.
pub fn breaker(kept: BreakerMemory, now: Timestamp) -> Option<Diagnosis> {
    let until = kept.waiting_until().filter(|until| *until > now);
    match until {
        Some(until) => Some(Layer::Breaker.because(format!(
            "it refused the gateway's login {} times; nothing is sent until {until:.0}",
            kept.rejections
        ))),
        None if kept.rejections >= CAMERA_LOGIN_REJECTIONS_MAX => Some(Layer::Breaker.because(format!(
            "it refused the gateway's login {} times; the next command tries once more",
            kept.rejections
        ))),
        None => None,
    }
}

impl Diagnosis {
    /// The same of a camera whose address is held to a hardware address.
    fn of_held(self, mac: MacAddress) -> Self {
        let Self { layer, sentence, remedy } = self;
        Self {
            layer,
            sentence: format!(
                "{sentence}; its address is held to {mac}, and another device there is not heard"
            ),
            remedy: format!(
                "{remedy}; if the device was exchanged, announce that with `cordon camera expect-change` (the alarm \
                 `address-claimed` names the hardware address of one that is there)"
            ),
        }
    }
}

impl Layer {
    /// A diagnosis with what is to be done where this layer fails.
    pub fn because(self, sentence: impl Into<String>) -> Diagnosis {
        Diagnosis { layer: self, sentence: sentence.into(), remedy: self.remedy().to_owned() }
    }

    /// The word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Enrolment => "enrolment",
            Self::Log => "log",
            Self::Door => "door",
            Self::Isolation => "isolation",
            Self::Policy => "policy",
            Self::NotAsked => "not-asked",
            Self::Network => "network",
            Self::Port => "port",
            Self::Tls => "tls",
            Self::Pin => "pin",
            Self::Silence => "silence",
            Self::Login => "login",
            Self::Breaker => "breaker",
            Self::Clock => "clock",
            Self::Onvif => "onvif",
            Self::Fault => "fault",
            Self::Hatch => "hatch",
            Self::Fine => "fine",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Gateway => "start it with `cordon run`, or correct [admin] listen",
            Self::Enrolment => "add a [[camera]] of that name, or correct the name",
            Self::Log => "make room on the log's disk or mend it; commands pass again by themselves",
            Self::Door => "restart the gateway; its log says why the door closed",
            Self::Isolation => Alarm::IsolationBroken.entry().remedy,
            Self::Policy => {
                "look at the clients' cameras and roles, and ask `cordon policy explain` which rule forbids it"
            }
            Self::NotAsked => "let a client ask it something, then look again",
            Self::Network => "check its power, its cable, and the enrolled address and zone",
            Self::Port => "check the enrolled port, and that ONVIF is switched on in the camera",
            Self::Tls => {
                "renew the camera's firmware or certificate; tls = false reaches it in clear, inside its zone"
            }
            Self::Pin => Alarm::CameraDistrusted.entry().remedy,
            Self::Silence => "restart the camera; if it stays so, its web server hangs",
            Self::Login => {
                "check the user and password enrolled, and that the user is an administrator on the camera"
            }
            Self::Breaker => {
                "correct the user or password enrolled: a changed one is tried at once; the account may be locked"
            }
            Self::Clock => "let the camera tell its time without a login, or give it a time server",
            Self::Onvif => {
                "check that the enrolled address is a camera's and that ONVIF is switched on in it"
            }
            Self::Fault => "ask for something else: the camera says that it does not do this",
            Self::Hatch => "the outcome record names what was refused of its answer; report it",
            Self::Fine => "nothing",
        }
    }
}

/// The layer that a trouble is of; none if it says nothing about the way to the camera.
fn layer(trouble: &Trouble) -> Option<Layer> {
    Some(match trouble {
        Trouble::Camera(CameraError { failure, .. }) => return of_failure(failure),
        Trouble::Fault(_) => Layer::Fault,
        Trouble::Verify(VerifyError::CameraAddress(_) | VerifyError::OtherOperation(_))
        | Trouble::Rewrite(_)
        | Trouble::ForeignPort => Layer::Hatch,
        Trouble::NoEndpoint => Layer::Onvif,
        Trouble::Refused(Refusal::Unrecordable(_)) => Layer::Log,
        Trouble::Refused(_)
        | Trouble::Command(_)
        | Trouble::Verify(VerifyError::CoreAddress(_))
        | Trouble::Own(_)
        | Trouble::NotIntroduced
        | Trouble::Earlier(_)
        | Trouble::NotKept
        | Trouble::Busy
        | Trouble::Share
        | Trouble::Silent
        | Trouble::OverBudget(_)
        | Trouble::Build(_)
        | Trouble::Edit(_)
        | Trouble::Ask(_)
        | Trouble::Locator(_)
        | Trouble::Pass(_)
        | Trouble::Lost => return None,
    })
}

fn of_failure(failure: &Failure) -> Option<Layer> {
    Some(match failure {
        Failure::Unreachable | Failure::NoSocket | Failure::TimedOut(Phase::Connect) => Layer::Network,
        Failure::NotListening => Layer::Port,
        Failure::TlsUnsupported(_) | Failure::TimedOut(Phase::Handshake) => Layer::Tls,
        Failure::CertificateChanged | Failure::PinUnavailable => Layer::Pin,
        Failure::TimedOut(Phase::Turn | Phase::File | Phase::Answer) | Failure::NoDatagrams => Layer::Silence,
        Failure::LoginRefused(_) | Failure::LoginUnsupported => Layer::Login,
        Failure::ClockUnknown => Layer::Clock,
        Failure::Reset
        | Failure::NotHttp(_)
        | Failure::NotSoap(_)
        | Failure::Empty
        | Failure::TooLarge(_)
        | Failure::Flooding
        | Failure::WrongAnswer(_)
        | Failure::Malformed(_)
        | Failure::Redirected
        | Failure::BadStatus(_)
        | Failure::NotRtsp(_)
        | Failure::BadRtspStatus(_)
        | Failure::NotPicture => Layer::Onvif,
        Failure::Unwanted
        | Failure::Goodbye
        | Failure::NotHeldBack
        | Failure::PortNotNamed
        | Failure::Misdirected
        | Failure::BadEndpoint
        | Failure::NoEntropy => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::DeviationKind;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn failed(failure: Failure) -> Trouble {
        Trouble::Camera(CameraError { failure, sent: true })
    }

    #[test]
    fn the_nearest_layer_that_fails_is_named() {
        let well = Surroundings { log_failure: None, any_client: true, held_to: None, now: at(100) };
        let mut standing = Standing::default();
        let layer = |standing: &Standing, around| diagnose(standing, around).layer;
        assert_eq!(layer(&standing, well), Layer::Door);
        standing.doors = 1;
        assert_eq!(layer(&standing, well), Layer::NotAsked);
        standing.ended(at(1), Some(&failed(Failure::NotListening)));
        assert_eq!(layer(&standing, well), Layer::Port);
        standing.ended(at(2), Some(&failed(Failure::TimedOut(Phase::Answer))));
        assert_eq!(layer(&standing, well), Layer::Silence);
        let held = Surroundings { held_to: Some("44:19:b6:00:00:01".parse().unwrap()), ..well };
        let told = diagnose(&standing, held);
        assert_eq!(told.layer, Layer::Silence);
        assert!(
            told.sentence.ends_with(
                "; its address is held to 44:19:b6:00:00:01, and another device there is not heard"
            )
        );
        assert!(told.remedy.contains("`cordon camera expect-change`"), "{}", told.remedy);
        standing.ended(at(3), Some(&Trouble::Busy));
        assert_eq!(layer(&standing, well), Layer::Silence, "that was the client's doing");
        standing.ended(at(4), None);
        let fine = diagnose(&standing, held);
        assert_eq!(fine.sentence, "it works: it answered at 1970-01-01T00:00:04Z");
        standing.memory.breaker = BreakerMemory { rejections: 3, proven: true, waiting_since: Some(at(50)) };
        let open = diagnose(&standing, well);
        assert_eq!(
            open.sentence,
            "it refused the gateway's login 3 times; nothing is sent until 1970-01-01T00:15:50Z"
        );
        assert_eq!(layer(&standing, Surroundings { now: at(5_000), ..well }), Layer::Breaker, "half-open");
        assert_eq!(layer(&standing, Surroundings { any_client: false, ..well }), Layer::Policy);
        let full = Surroundings { log_failure: Some("no space"), ..well };
        assert_eq!(layer(&standing, full), Layer::Log);
    }

    #[test]
    fn the_latest_deviations_are_kept_with_their_number() {
        let mut standing = Standing::default();
        let one = |name: String| {
            let mut deviations = Deviations::default();
            deviations.add(DeviationKind::Repair, name);
            deviations
        };
        standing.deviated(at(0), &one("first".into()));
        for number in 0..DEVIATIONS_LATELY_MAX {
            standing.deviated(at(1), &one(number.to_string()));
        }
        assert_eq!(standing.deviations.len(), DEVIATIONS_LATELY_MAX);
        assert!(!standing.deviations.iter().any(|it| it.name == "first"), "the oldest makes room");
        standing.deviated(at(2), &one("0".into()));
        let last = standing.deviations.last().unwrap();
        assert_eq!((last.name.as_str(), last.times, last.last), ("0", 2, at(2)));
    }
}
