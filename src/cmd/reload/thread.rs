//! The thread on which the gateway reloads: reading files and opening listeners may take their time.

use std::{
    fmt::Write as _,
    io,
    net::IpAddr,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread::JoinHandle,
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{DecisionError, ReloadError, Reloader, Report};
use crate::{
    auth::Caller,
    inventory::Quarantine,
    limits::{RELOAD_INTERVAL, RELOAD_REQUESTS_MAX},
};

/// What is asked of this thread, as it stands on the control socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::cmd) enum Wish {
    /// Take up what the files say; on trial, if it says for how long.
    Reload { trial_seconds: Option<u64> },
    /// Say what that would change and cut.
    Preview,
    /// Keep what is on trial.
    Keep,
    /// Take the device that was seen in a camera's place for the right one.
    Accept { camera: String, reason: String },
    /// Let one other device take a camera's place until then.
    ExpectChange { camera: String, until: Timestamp },
    /// Decide that a camera which was found is to be enrolled under this name.
    Enrol { zone: String, address: IpAddr, camera: String },
    /// Approve what a camera has been set to, as it was read then.
    ApproveBaseline { camera: String, reason: String, read_at: Timestamp },
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    pub(super) done: bool,
    /// For people.
    pub(super) text: String,
}

/// A wish on its way, or the end.
enum Request {
    Wish { wish: Wish, by: Caller, reply: oneshot::Sender<Answer> },
    End,
}

/// The way to the thread.
#[derive(Clone)]
pub(in crate::cmd) struct Requests(SyncSender<Request>);

impl Requests {
    /// Asks for something; the answer comes in its time. None if too many ask already.
    pub(super) fn ask(&self, wish: Wish, by: Caller) -> Option<oneshot::Receiver<Answer>> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(Request::Wish { wish, by, reply }).ok().map(|()| answer)
    }

    /// Asks for a reload without waiting for what becomes of it: the log says it.
    pub(in crate::cmd) fn reload(&self, by: Caller) {
        if self.ask(Wish::Reload { trial_seconds: None }, by).is_none() {
            tracing::warn!("too many reloads wait for their turn: this one is left out");
        }
    }
}

/// The thread, until it is dropped.
pub(in crate::cmd) struct Thread {
    requests: Requests,
    handle: Option<JoinHandle<()>>,
}

impl Thread {
    /// Begins to take requests, and to look at trials and files.
    pub(in crate::cmd) fn start(mut reloader: Reloader) -> io::Result<Self> {
        let (sender, received) = sync_channel(RELOAD_REQUESTS_MAX);
        let work = move || work(&mut reloader, &received);
        let handle = std::thread::Builder::new().name("reload".into()).spawn(work)?;
        Ok(Self { requests: Requests(sender), handle: Some(handle) })
    }

    /// The way to it.
    pub(in crate::cmd) fn requests(&self) -> Requests {
        self.requests.clone()
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // A thread that is gone takes no end.
        let _ = self.requests.0.send(Request::End);
        if self.handle.take().is_some_and(|handle| handle.join().is_err()) {
            tracing::error!("the thread that reloads panicked");
        }
    }
}

fn work(reloader: &mut Reloader, requests: &Receiver<Request>) {
    let mut looked = reloader.now();
    loop {
        match requests.recv_timeout(RELOAD_INTERVAL) {
            Ok(Request::Wish { wish, by, reply }) => {
                // Whoever asked may have gone.
                let _ = reply.send(carry_out(reloader, wish, &by));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Request::End) | Err(RecvTimeoutError::Disconnected) => return,
        }
        // Whoever asks again and again does not keep a trial from ending.
        if reloader.now().saturating_sub(looked) >= RELOAD_INTERVAL {
            reloader.look();
            looked = reloader.now();
        }
    }
}

fn carry_out(reloader: &mut Reloader, wish: Wish, by: &Caller) -> Answer {
    let outcome = match wish {
        Wish::Reload { trial_seconds } => {
            let trial = trial_seconds.map(Duration::from_secs);
            reloader.reload(by, trial).map(|report| taken_up(&report, trial_seconds))
        }
        Wish::Preview => reloader.preview().map(|report| previewed(&report)),
        Wish::Keep => reloader.keep(by).map(|()| "the configuration is kept\n".to_owned()),
        Wish::Accept { camera, reason } => {
            return decided(reloader.accept(by, &camera, &reason).map(|Quarantine { why, device, .. }| {
                let device = device.map_or_else(String::new, |it| it.to_string());
                format!(
                    "camera `{camera}` is served again; it was in quarantine since {why}\naccepted is the device with {device}; another one goes into quarantine again\n"
                )
            }));
        }
        Wish::ExpectChange { camera, until } => {
            return decided(reloader.expect_change(by, &camera, until).map(|()| {
                format!(
                    "until {until:.0} one other device may take the place of camera `{camera}`: the first that comes\n"
                )
            }));
        }
        Wish::Enrol { zone, address, camera } => {
            let decided = reloader.enrol(by, &zone, address, &camera);
            return self::decided(decided.map(|endpoint| {
                format!("on record: {endpoint} at {address} in zone `{zone}` is to be camera `{camera}`\n")
            }));
        }
        Wish::ApproveBaseline { camera, reason, read_at } => {
            let approved = reloader.approve_baseline(by, &camera, &reason, read_at);
            return decided(
                approved.map(|()| format!("what camera `{camera}` has been set to is approved\n")),
            );
        }
    };
    match outcome {
        Ok(text) => Answer { done: true, text },
        Err(error) => Answer { done: false, text: refused(&error) },
    }
}

pub(super) fn decided(outcome: Result<String, DecisionError>) -> Answer {
    match outcome {
        Ok(text) => Answer { done: true, text },
        Err(error) => Answer { done: false, text: format!("{error}\nnothing has changed\n") },
    }
}

fn previewed(report: &Report) -> String {
    let mut text = told(report);
    text.push_str("nothing has changed yet\n");
    text
}

fn taken_up(report: &Report, trial_seconds: Option<u64>) -> String {
    let mut text = told(report);
    if report.changes.is_empty() {
        return text;
    }
    let _ = match trial_seconds {
        None => writeln!(text, "in force now"),
        Some(seconds) => writeln!(
            text,
            "in force now, on trial: it is given up in {seconds} s unless you keep it (cordon reload --config FILE --keep)"
        ),
    };
    text
}

fn told(report: &Report) -> String {
    let Report { changes, cuts, versions: [old, new] } = report;
    if changes.is_empty() {
        return "the files say what is in force already\n".to_owned();
    }
    let mut text = String::from("changes:\n");
    let mut lines = |title: &str, lines: &[String]| {
        text.push_str(title);
        lines.iter().for_each(|line| {
            let _ = writeln!(text, "  {line}");
        });
    };
    lines("", changes);
    if !cuts.is_empty() {
        lines("this cuts:\n", cuts);
    }
    if old == new {
        let _ = writeln!(text, "policies stay at version {old}");
    } else {
        let _ = writeln!(text, "policies: version {old}, then {new}");
    }
    text
}

fn refused(error: &ReloadError) -> String {
    let mut text = format!("{error}\n");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let _ = writeln!(text, "  because: {inner}");
        cause = inner.source();
    }
    text.push_str("nothing has changed\n");
    text
}
