//! The gateway's certificate while it serves: read again when its files change, told when that fails.

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use serde_json::json;

use super::settling::Settling;
use crate::{
    admin::Part,
    alarm::Alarm,
    audit::Event,
    auth::Fingerprint,
    clock::Clock,
    limits::TLS_FILES_INTERVAL,
    listener::{
        House,
        pem::{Chain, PemError, PemFiles},
        tls::Identity,
    },
};

/// Looks at the files of certificate and key every `TLS_FILES_INTERVAL`, until it is dropped.
pub(super) struct CertificateWatch {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl CertificateWatch {
    /// Begins to look, on a thread of its own: reading a file may take as long as its disk likes.
    pub(super) fn start(mut looker: Looker) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let look = move || {
            while stopped.recv_timeout(TLS_FILES_INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
                looker.look();
            }
        };
        let thread = std::thread::Builder::new().name("certificate".into()).spawn(look)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for CertificateWatch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that looks after the certificate panicked");
        }
    }
}

/// What readiness says of the certificate.
#[derive(Debug, Clone, Default)]
pub(super) struct CertificateState(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The certificate in use, when it begins and when it ends.
    shown: Option<(Fingerprint, i64, i64)>,
    trouble: Option<String>,
}

impl CertificateState {
    /// A line about the certificate, if there is one. That the files are broken now, or that it has expired,
    /// takes nothing out of service: clients that came in before come in still.
    pub(super) fn part(&self, clock: &dyn Clock) -> Option<Part> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (fingerprint, _, ends) = state.shown?;
        let ends_at =
            jiff::Timestamp::from_second(ends).map_or_else(|_| ends.to_string(), |it| it.to_string());
        let tense = if clock.now().as_second() > ends { "HAS EXPIRED at" } else { "valid until" };
        let mut note = format!("sha256 {fingerprint}, {tense} {ends_at}");
        if let Some(trouble) = &state.trouble {
            note = format!("{note}; THE FILES CANNOT BE USED, the certificate before stays: {trouble}");
        }
        Some(Part { name: "tls certificate".into(), ready: true, note })
    }

    /// When the certificate in use ends, in seconds since 1970.
    pub(super) fn ends(&self) -> Option<i64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).shown.map(|(_, _, ends)| ends)
    }

    /// Every alarm about the certificate, with what is the matter, if something is. `notice` is how long before its
    /// end that is said.
    pub(super) fn alarms(&self, clock: &dyn Clock, notice: Duration) -> [(Alarm, Option<String>); 3] {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock.now().as_second();
        let notice = i64::try_from(notice.as_secs()).unwrap_or(i64::MAX);
        let time = |seconds: i64| {
            jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |it| it.to_string())
        };
        let (expired, expiring) = match state.shown {
            Some((_, _, ends)) if now > ends => (Some(format!("it ended at {}", time(ends))), None),
            Some((_, begins, _)) if now < begins => (Some(format!("it begins at {}", time(begins))), None),
            Some((_, _, ends)) if ends.saturating_sub(now) < notice => {
                (None, Some(format!("it ends at {}", time(ends))))
            }
            Some(_) | None => (None, None),
        };
        [
            (Alarm::CertificateUnusable, state.trouble.clone()),
            (Alarm::CertificateExpiring, expiring),
            (Alarm::CertificateExpired, expired),
        ]
    }

    fn set(&self, chain: &Chain) {
        let shown = chain.shown();
        let state = State { shown: Some((shown.whole, shown.begins, shown.ends)), trouble: None };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    fn trouble(&self, trouble: Option<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).trouble = trouble;
    }
}

/// What looks at the files.
pub(super) struct Looker {
    files: PemFiles,
    identity: Arc<Identity>,
    house: Arc<House>,
    state: CertificateState,
    /// What is in use, or was refused.
    settling: Settling<Look>,
}

/// What one look at the files finds: the same again, or something else.
#[derive(Debug, Clone, PartialEq)]
enum Look {
    Files(Fingerprint),
    Unreadable(String),
}

impl Looker {
    /// Begins with files that were just read, and makes what serves their certificate.
    pub(super) fn new(
        files: &PemFiles,
        house: &Arc<House>,
        state: CertificateState,
    ) -> Result<(Self, Arc<Identity>), PemError> {
        let texts = files.read()?;
        let chain = files.understand(&texts)?;
        let identity = Identity::new(&chain);
        let look = Look::Files(texts.fingerprint());
        let looker = Self {
            files: files.clone(),
            identity: Arc::clone(&identity),
            house: Arc::clone(house),
            state,
            settling: Settling::new(look),
        };
        looker.serves(&chain);
        Ok((looker, identity))
    }

    /// One look. Nobody is alarmed by a certificate whose key is still being written.
    fn look(&mut self) {
        let texts = self.files.read();
        let found = match &texts {
            Ok(texts) => Look::Files(texts.fingerprint()),
            Err(error) => Look::Unreadable(error.to_string()),
        };
        if !self.settling.settles(found) {
            return;
        }
        match texts.and_then(|texts| self.files.understand(&texts)) {
            Ok(chain) => {
                self.identity.replace(&chain);
                self.serves(&chain);
            }
            Err(error) => {
                let reason = error.to_string();
                tracing::error!(
                    reason,
                    "THE NEW CERTIFICATE OR KEY CANNOT BE USED: the one before stays in use; mend the files"
                );
                self.house.gate.note(Event::new("tls-certificate-refused", json!({ "reason": reason })));
                self.state.trouble(Some(reason));
            }
        }
    }

    /// Says which certificate is in use from now on.
    fn serves(&self, chain: &Chain) {
        let shown = chain.shown();
        if let Some(wrong) = chain.out_of_time(self.house.clock.now()) {
            tracing::error!(
                "the gateway's certificate {wrong}: clients may refuse it; put a new one in its place"
            );
        }
        let detail = json!({
            "certificate": shown.whole.to_string(),
            "key": shown.key.to_string(),
            "ends": jiff::Timestamp::from_second(shown.ends).map(|it| it.to_string()).unwrap_or_default(),
        });
        tracing::info!(certificate = %shown.whole, "serving over TLS");
        self.house.gate.note(Event::new("tls-certificate", detail));
        self.state.set(chain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimulatedClock;

    #[test]
    fn a_certificate_is_told_before_it_ends_and_after() {
        let day = 24 * 60 * 60;
        let (begins, ends) = (100 * day, 200 * day);
        let state = State { shown: Some((Fingerprint::of(b"any"), begins, ends)), trouble: None };
        let state = CertificateState(Arc::new(Mutex::new(state)));
        let notice = Duration::from_secs(30 * 24 * 60 * 60);
        for (now, expected) in [
            (99, Some("certificate-expired: it begins at 1970-04-11T00:00:00Z")),
            (170, None),
            (171, Some("certificate-expiring: it ends at 1970-07-20T00:00:00Z")),
            (200, Some("certificate-expiring: it ends at 1970-07-20T00:00:00Z")),
            (201, Some("certificate-expired: it ended at 1970-07-20T00:00:00Z")),
        ] {
            let clock = SimulatedClock::new(jiff::Timestamp::from_second(now * day).unwrap());
            let on = state.alarms(&clock, notice).into_iter();
            let on: Vec<_> =
                on.filter_map(|(alarm, it)| Some(format!("{}: {}", alarm.entry().id, it?))).collect();
            assert_eq!(on, expected.into_iter().collect::<Vec<_>>(), "on day {now}");
        }
    }
}
