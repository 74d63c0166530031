//! Who is answered and when, and what is said unasked. Pure: time and chance come from outside.
//!
//! An answer waits for a moment of chance (WS-Discovery §2.4), and many answers are spread over that time, so that no
//! burst fills whoever asked. Each source is answered once in a while, whatever it asks, and all together are held to
//! so many datagrams: a question with a forged source brings no flood upon anybody.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use super::{
    answer::{self, Answer, Stamp, Target},
    message::{Body, Dialect, Kind, Message},
    sought::Rule,
};
use crate::{
    ids::uuid_urn,
    limits::{
        DISCOVERY_ANNOUNCEMENT_PAUSE, DISCOVERY_ANNOUNCEMENTS_MAX, DISCOVERY_ANSWER_INTERVAL,
        DISCOVERY_ANSWER_SOURCES_MAX, DISCOVERY_ANSWERS_WAITING_MAX, DISCOVERY_DELAY_MAX,
        DISCOVERY_TEXT_BYTES_MAX,
    },
    telemetry::Searched,
};

/// Answers on all links.
#[derive(Debug)]
pub struct Responder {
    instance: u32,
    identifier: u64,
    number: u32,
    /// Who was answered when, in monotonic time.
    answered: HashMap<Asker, Duration>,
    replies: BinaryHeap<Reverse<Reply>>,
    /// Datagrams that wait.
    waiting: usize,
    announcements: VecDeque<Announcement>,
    /// When the next one is due.
    announces: Duration,
}

/// Who asks: an address, and the interface where that is anybody's on every link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Asker(IpAddr, u32);

impl From<SocketAddr> for Asker {
    fn from(from: SocketAddr) -> Self {
        let scope = match from {
            SocketAddr::V6(from) if from.ip().is_unicast_link_local() => from.scope_id(),
            SocketAddr::V4(_) | SocketAddr::V6(_) => 0,
        };
        Self(from.ip().to_canonical(), scope)
    }
}

/// A message, and how it came.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The message.
    pub message: &'a Message,
    /// From whom. Nobody else is answered.
    pub from: SocketAddr,
    /// By which link.
    pub link: usize,
    /// Whether it was sent to the gateway alone.
    pub alone: bool,
}

/// A datagram that is due.
#[derive(Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// On which link.
    pub link: usize,
    /// To whom; none for everybody.
    pub to: Option<SocketAddr>,
    /// What it says.
    pub text: String,
}

/// What one source is told, one datagram after the other. The first is the one that is due first.
#[derive(Debug)]
struct Reply {
    due: Duration,
    from: Duration,
    phase: u32,
    sent: u32,
    to: SocketAddr,
    link: usize,
    dialect: Dialect,
    relates_to: String,
    says: Says,
}

#[derive(Debug)]
enum Says {
    Found(Answer, Vec<Arc<Target>>),
    UnknownRule,
}

#[derive(Debug)]
struct Announcement {
    link: usize,
    kind: Kind,
    target: Arc<Target>,
}

impl Responder {
    /// `instance` grows with every start (WS-Discovery §7); `identifier` is a number that nobody else has.
    pub fn new(instance: u32, identifier: u64) -> Self {
        Self {
            instance,
            identifier,
            number: 0,
            answered: HashMap::new(),
            replies: BinaryHeap::new(),
            waiting: 0,
            announcements: VecDeque::new(),
            announces: Duration::ZERO,
        }
    }

    /// Whether a source may be answered again.
    fn may_ask(&self, asker: Asker, now: Duration) -> bool {
        self.answered.get(&asker).is_none_or(|at| now.saturating_sub(*at) >= DISCOVERY_ANSWER_INTERVAL)
    }

    /// Takes a question up. `shown` are the devices that this source may see; `chance` is a number that nobody foresees.
    pub fn take(
        &mut self,
        question: Question<'_>,
        shown: impl FnOnce() -> Vec<Arc<Target>>,
        chance: u64,
        now: Duration,
    ) -> Searched {
        let Question { message, from, link, alone } = question;
        if !self.may_ask(from.into(), now) {
            return Searched::TooOften;
        }
        // An identifier that was cut would be another.
        let id = message.id.as_ref().filter(|it| !it.is_empty() && it.len() < DISCOVERY_TEXT_BYTES_MAX);
        let Some(relates_to) = id.cloned() else { return Searched::NotUnderstood };
        let says = match &message.body {
            Body::Devices(..) => return Searched::NotUnderstood,
            Body::Probe(sought) if sought.rule == Rule::Unknown => {
                if !alone {
                    return Searched::Nothing;
                }
                Says::UnknownRule
            }
            Body::Probe(sought) => {
                Says::found(Answer::Probe, shown(), |target| sought.is_met_by(&target.scopes))
            }
            Body::Resolve(endpoint) => {
                Says::found(Answer::Resolve, shown(), |it| it.endpoint.eq_ignore_ascii_case(endpoint))
            }
        };
        let count = says.len();
        if count == 0 {
            return Searched::Nothing;
        }
        if self.waiting + count > DISCOVERY_ANSWERS_WAITING_MAX || !self.has_place(now) {
            return Searched::Full;
        }
        self.answered.insert(from.into(), now);
        self.waiting += count;
        // Of a number of chance, a part of a thousand.
        let phase = u32::try_from(chance % u64::from(PARTS)).unwrap_or(0);
        let dialect = message.dialect;
        let reply = Reply { due: now, from: now, phase, sent: 0, to: from, link, dialect, relates_to, says };
        self.replies.push(Reverse(reply.timed()));
        Searched::Answered
    }

    /// Has it said on a link that a device is there or goes. What there is no place for is not said.
    pub fn announce(&mut self, link: usize, kind: Kind, target: Arc<Target>, at: Duration) {
        if self.announcements.is_empty() {
            self.announces = self.announces.max(at);
        }
        if self.announcements.len() < DISCOVERY_ANNOUNCEMENTS_MAX {
            self.announcements.push_back(Announcement { link, kind, target });
        }
    }

    /// Forgets what was to be said, and says only that these go.
    pub fn part(&mut self, goodbyes: impl IntoIterator<Item = (usize, Arc<Target>)>) {
        self.replies.clear();
        self.announcements.clear();
        self.waiting = 0;
        for (link, target) in goodbyes {
            self.announce(link, Kind::Bye, target, Duration::ZERO);
        }
    }

    /// The next goodbye after [`Self::part`], without regard to time.
    pub fn goodbye(&mut self) -> Option<Outgoing> {
        let announcement = self.announcements.pop_front()?;
        Some(self.said(&announcement))
    }

    /// The next datagram that is due.
    pub fn due(&mut self, now: Duration) -> Option<Outgoing> {
        if let Some(mut top) = self.replies.peek_mut()
            && top.0.due <= now
        {
            let stamp = stamp(self.instance, self.identifier, &mut self.number);
            let Reverse(reply) = &mut *top;
            let outgoing = Outgoing { link: reply.link, to: Some(reply.to), text: reply.text(&stamp) };
            reply.sent += 1;
            self.waiting = self.waiting.saturating_sub(1);
            if reply.is_whole() {
                std::collections::binary_heap::PeekMut::pop(top);
            } else {
                reply.due = reply.time();
            }
            return Some(outgoing);
        }
        if self.announcements.is_empty() || self.announces > now {
            return None;
        }
        let announcement = self.announcements.pop_front()?;
        self.announces = now + DISCOVERY_ANNOUNCEMENT_PAUSE;
        Some(self.said(&announcement))
    }

    /// When something is due next, in monotonic time.
    pub fn next(&self) -> Option<Duration> {
        let reply = self.replies.peek().map(|it| it.0.due);
        let announcement = (!self.announcements.is_empty()).then_some(self.announces);
        reply.into_iter().chain(announcement).min()
    }

    fn said(&mut self, it: &Announcement) -> Outgoing {
        let stamp = stamp(self.instance, self.identifier, &mut self.number);
        Outgoing { link: it.link, to: None, text: answer::announcement(it.kind, &stamp, &it.target) }
    }

    /// Whether one more source can be remembered.
    fn has_place(&mut self, now: Duration) -> bool {
        if self.answered.len() >= DISCOVERY_ANSWER_SOURCES_MAX {
            self.answered.retain(|_, at| now.saturating_sub(*at) < DISCOVERY_ANSWER_INTERVAL);
        }
        self.answered.len() < DISCOVERY_ANSWER_SOURCES_MAX
    }
}

fn stamp(instance: u32, identifier: u64, number: &mut u32) -> Stamp {
    *number = number.wrapping_add(1);
    let id = uuid_urn(u128::from(identifier) << 64 | u128::from(*number));
    Stamp { instance, number: *number, id }
}

/// Parts that the time of one answer is divided into by chance.
const PARTS: u32 = 1_000;

impl Says {
    fn found(answer: Answer, shown: Vec<Arc<Target>>, is_meant: impl Fn(&Target) -> bool) -> Self {
        Self::Found(answer, shown.into_iter().filter(|it| is_meant(it)).collect())
    }

    fn len(&self) -> usize {
        match self {
            Self::Found(_, targets) => targets.len(),
            Self::UnknownRule => 1,
        }
    }
}

impl Reply {
    fn timed(self) -> Self {
        Self { due: self.time(), ..self }
    }

    /// When the next datagram is due: the time that an answer may take is shared out among all of them, and each is
    /// sent somewhere within its share.
    fn time(&self) -> Duration {
        let parts = u32::try_from(self.says.len()).unwrap_or(u32::MAX).saturating_mul(PARTS).max(1);
        let part = self.sent.saturating_mul(PARTS).saturating_add(self.phase);
        let micros = DISCOVERY_DELAY_MAX.as_micros() * u128::from(part) / u128::from(parts);
        self.from + Duration::from_micros(u64::try_from(micros).unwrap_or_default())
    }

    fn text(&self, stamp: &Stamp) -> String {
        match &self.says {
            Says::Found(answer, targets) => targets.get(self.sent as usize).map_or_else(String::new, |it| {
                answer::found(*answer, self.dialect, stamp, &self.relates_to, it)
            }),
            Says::UnknownRule => answer::unknown_rule(self.dialect, stamp, &self.relates_to),
        }
    }

    fn is_whole(&self) -> bool {
        self.sent as usize >= self.says.len()
    }
}

impl PartialEq for Reply {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Reply {}

impl PartialOrd for Reply {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Reply {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.to).cmp(&(other.due, other.to))
    }
}

#[cfg(test)]
#[path = "responder_tests.rs"]
mod tests;
