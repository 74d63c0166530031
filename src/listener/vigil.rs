//! What is counted and told of virtual cameras and their doors: metrics and alarms.

use std::{
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use ::http::Method;
use tokio::sync::mpsc;

use super::{
    house::House,
    http::{Missed, Reply, Request, Service},
    pipeline::Answer,
    shares::{Full, Share, Shares},
    streaming::Guest,
    trouble::Trouble,
    virtual_camera::VirtualCamera,
};
use crate::{
    alarm::{Alarm, Subject},
    auth::{AuthError, Caller, Failure as LoginFailure},
    camera::{CameraError, Failure, Health},
    command::Operation,
    gate::{Turn, goes_on},
    ids::{CameraId, ClientId},
    limits::{CAMERA_SILENCES_MAX, COMMANDS_PER_SILENT_CAMERA_MAX},
    telemetry::{Budget, CameraHealth},
};

/// The place of a command under way: at its camera, and in its caller's budget over all cameras.
pub(super) struct Place {
    _camera: Share,
    _caller: Turn,
}

impl House {
    /// Takes note of a connection that did not come about.
    pub(super) fn missed(&self, source: SocketAddr, why: Missed<'_>) {
        match why {
            Missed::NoPlace => self.gate.watch().metrics.connection_refused(),
            Missed::Tls(error) => {
                self.gate.handshake_failed(&self.edition.load().rules, source, &error.to_string());
            }
        }
    }

    /// Whether some client may log in from there, as the edition in force has it.
    pub(super) fn expects(&self, source: IpAddr) -> bool {
        self.edition.load().rules.expects(source)
    }
}

/// A service whose connections that did not come about are taken note of.
pub struct Vigil<S> {
    service: Rc<S>,
    house: Arc<House>,
}

impl<S> Vigil<S> {
    /// Over a service of this house.
    pub fn over(service: Rc<S>, house: Arc<House>) -> Rc<Self> {
        Rc::new(Self { service, house })
    }
}

impl<S: Service> Service for Vigil<S> {
    fn missed(&self, source: SocketAddr, why: Missed<'_>) {
        self.house.missed(source, why);
    }

    fn expects(&self, source: IpAddr) -> bool {
        self.house.expects(source)
    }

    fn takes_file(&self, method: &Method, path: &str) -> bool {
        self.service.takes_file(method, path)
    }

    fn tunnel_at(&self, path: &str) -> Option<(CameraId, mpsc::Sender<Guest>)> {
        self.house.tunnel_at(path, None)
    }

    async fn answer(self: Rc<Self>, request: Request) -> Reply {
        Rc::clone(&self.service).answer(request).await
    }
}

impl VirtualCamera {
    /// A place for one more command.
    pub(super) fn place(&self, places: &Rc<Shares>, caller: &Caller) -> Result<Place, Trouble> {
        let gate = &self.house.gate;
        let camera = places.take(caller).map_err(|full| {
            gate.watch().metrics.turned_away(Budget::Camera);
            match full {
                Full::All => Trouble::Busy,
                Full::Share => Trouble::Share,
            }
        })?;
        Ok(Place { _camera: camera, _caller: gate.turn(caller)? })
    }

    /// The same for what goes to the camera. Where it keeps silent few may wait, and what stops a movement has places of
    /// its own.
    pub(super) fn command_place(&self, operation: &Operation, caller: &Caller) -> Result<Place, Trouble> {
        let is_silent = self.silences.get() >= CAMERA_SILENCES_MAX
            && self.places.taken() >= COMMANDS_PER_SILENT_CAMERA_MAX;
        if goes_on(operation) && (is_silent || !self.places.has_room(caller)) {
            return self.place(&self.stops, caller);
        }
        if is_silent {
            self.house.gate.watch().metrics.turned_away(Budget::Camera);
            return Err(Trouble::Silent);
        }
        self.place(&self.places, caller)
    }

    /// Counts credentials that do not hold; that a client's nonces cannot be remembered is an alarm.
    pub(super) fn count_refused_login(&self, error: &AuthError) {
        let watch = self.house.gate.watch();
        watch.metrics.login_refused(error.failure.code());
        if error.failure != LoginFailure::TooMany {
            return;
        }
        // The name was proven: only then is a nonce remembered.
        if let Some(client) = error.claimed.as_deref().and_then(|name| ClientId::new(name).ok()) {
            watch.alarms.raise(Alarm::NoncesFull, Subject::Client(client), &error.to_string());
        }
    }

    /// Counts where the camera's answer left the schema, or that it was refused.
    pub(super) fn count_deviations(&self, outcome: Result<&Answer, &Trouble>) {
        match outcome {
            Ok(Answer::Document { made, .. }) => {
                for deviation in made.deviations.iter() {
                    self.meter.deviated(deviation.kind.as_str(), u64::from(deviation.count));
                }
                if made.deviations.unnamed() > 0 {
                    self.meter.deviated("unnamed", u64::from(made.deviations.unnamed()));
                }
            }
            Ok(Answer::Picture { .. }) => {}
            Err(trouble) if trouble.refuses_answer() => self.meter.deviated("refuse", 1),
            Err(_) => {}
        }
    }

    /// Counts an exchange, if it took a time that counts, and raises or clears what is to be told of the camera.
    pub(super) fn watch(&self, health: Health, error: Option<&CameraError>, took: Option<Duration>) {
        let watch = self.house.gate.watch();
        if let Some(took) = took {
            watch.metrics.exchanged(&self.meter, took);
        }
        self.silences.set(match error {
            Some(error) if error.is_timeout() => self.silences.get().saturating_add(1),
            Some(_) | None => 0,
        });
        self.meter.is(counted(health));
        self.meter.clock_offset(self.connection.clock_offset_milliseconds());
        let found = match (health, error.map(|error| &error.failure)) {
            (Health::LoginRefused { .. }, _) => Some((Alarm::CameraLoginRefused, health.to_string())),
            (Health::Distrusted, Some(failure)) => Some((Alarm::CameraDistrusted, failure.to_string())),
            (Health::Distrusted, None) => Some((Alarm::CameraDistrusted, health.to_string())),
            (Health::Unreachable, _) => Some((Alarm::CameraSilent, health.to_string())),
            (Health::Unknown | Health::Up, Some(failure @ Failure::TimedOut(_))) => {
                Some((Alarm::CameraSilent, failure.to_string()))
            }
            (Health::Unknown | Health::Up, _) => None,
        };
        let alarm = found.as_ref().map(|(alarm, _)| *alarm);
        let before = self.alarm.replace(alarm);
        let often = |health| matches!(health, Health::LoginRefused { often: true, .. });
        if before == alarm && often(health) == often(self.health.get()) {
            return;
        }
        let subject = || Subject::Camera(self.camera.id.clone());
        if let Some(before) = before.filter(|_| before != alarm) {
            watch.alarms.clear(before, &subject());
        }
        if let Some((alarm, detail)) = found {
            watch.alarms.raise(alarm, subject(), &detail);
        }
    }
}

fn counted(health: Health) -> CameraHealth {
    match health {
        Health::Unknown => CameraHealth::Unknown,
        Health::Up => CameraHealth::Up,
        Health::Unreachable => CameraHealth::Unreachable,
        Health::Distrusted => CameraHealth::Distrusted,
        Health::LoginRefused { .. } => CameraHealth::LoginRefused,
    }
}
