//! The catalogue: one table of all alarms. `cordon alarms` prints it, `src/manual/alarms.md` is made of it.

use std::{fmt::Write, time::Duration};

use crate::limits::{ALARM_CALM, ALARM_QUIET};

/// How bad an alarm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The gateway does not do what it is for.
    Critical,
    /// Something fails and does not mend itself.
    Error,
    /// Something will fail, or is weaker than it should be.
    Warning,
}

impl Severity {
    /// The word that stands in records, metrics and log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }

    /// The severity of syslog (RFC 5424 §6.2.1).
    pub fn syslog(self) -> u8 {
        match self {
            Self::Critical => 2,
            Self::Error => 3,
            Self::Warning => 4,
        }
    }

    /// The severity with this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Critical, Self::Error, Self::Warning].into_iter().find(|it| it.as_str() == word)
    }
}

/// How an alarm ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spell {
    /// When what it is about was well for `ALARM_CALM` without a break.
    State,
    /// When what it is about did not happen again for `ALARM_QUIET`.
    Happening,
}

impl Spell {
    /// How long it must have been well, or quiet, before the alarm is cleared.
    pub(super) const fn calm(self) -> Duration {
        match self {
            Self::State => ALARM_CALM,
            Self::Happening => ALARM_QUIET,
        }
    }
}

/// One row of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Which.
    pub alarm: Alarm,
    /// The word that names it for ever, in records, metrics and runbooks.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// How it ends.
    pub spell: Spell,
    /// What is the matter.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// Makes the enumeration and the table in one, so that neither has what the other lacks.
macro_rules! alarms {
    ($($variant:ident $id:literal $severity:ident $spell:ident $meaning:literal $remedy:literal)+) => {
        /// Every alarm there is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Alarm { $(#[doc = $meaning] $variant),+ }

        /// Every alarm with its severity and remedy, in the order of the enumeration.
        ///
        #[doc = include_str!("../manual/alarms.md")]
        pub const CATALOGUE: &[Entry] = &[$(Entry {
            alarm: Alarm::$variant,
            id: $id,
            severity: Severity::$severity,
            spell: Spell::$spell,
            meaning: $meaning,
            remedy: $remedy,
        }),+];

        impl Alarm {
            /// Its row of the catalogue.
            pub const fn entry(self) -> Entry {
                match self {
                    $(Self::$variant => Entry {
                        alarm: Self::$variant,
                        id: $id,
                        severity: Severity::$severity,
                        spell: Spell::$spell,
                        meaning: $meaning,
                        remedy: $remedy,
                    }),+
                }
            }
        }
    };
}

alarms! {
    AuditUnwritable "audit-unwritable" Critical State
        "The audit log cannot be written: new commands are refused, stops of movements go to the emergency journal."
        "Free or mend the disk of the audit folder; service resumes by itself within a second."
    AuditDamaged "audit-damaged" Critical State
        "A line or checkpoint of the audit log is not as it was signed."
        "Keep a copy of the folder as evidence, run `cordon audit verify` on it to see where, and find out who could write there."
    CheckpointOverdue "checkpoint-overdue" Error State
        "Lines of the audit log have waited for their signed checkpoint for more than twice the usual time."
        "Look at the log for what the audit thread says; if it says nothing, the disk hangs: mend it, or restart the gateway."
    AuditQueueFilling "audit-queue-filling" Warning State
        "More than three quarters of the places in the audit log's queue are taken: soon commands will be refused."
        "Find out which cameras or clients leave commands open (metrics by camera), and whether the log's disk is slow."
    EmergencyJournalUsed "emergency-journal-used" Warning State
        "Commands stand in the emergency journal that are not yet carried over to the audit log."
        "Mend what keeps the audit log from being written; the lines are carried over by themselves."
    EmergencyJournalFilling "emergency-journal-filling" Critical State
        "More than three quarters of the emergency journal are used: soon even stops of movements will be refused."
        "Mend the audit log's disk now; the journal is emptied once its lines are in the log."
    RetentionEarly "retention-early" Warning Happening
        "The space reserved for the audit log made it delete lines that are younger than keep_days."
        "Raise reserve_bytes or lower keep_days under [audit]; export what must be kept, or put it under `cordon audit hold`."
    RetentionStopped "retention-stopped" Error State
        "Nothing of the audit log is deleted by keep_days (or at all) at the moment, since the clock or the files cannot be gone by."
        "Compare the machine's clock: if it is right, restart the gateway once; if not, set it right first. If files fail, see whether all in the folder belong to the gateway's user."
    ClockJumped "clock-jumped" Warning Happening
        "The machine's clock jumped by a minute or more. Exceptions, observe mode and logins go by it: set back, what had ended may hold again."
        "Find out who or what set it (`journalctl -u chrony`, the hypervisor), and look whether exceptions and observe mode still stand as you mean them."
    DoorClosed "door-closed" Critical State
        "A virtual camera that is configured accepts no connections."
        "The log says why its listener ended or accepts nobody (file descriptors: `LimitNOFILE` of its unit); restart the gateway."
    CameraSilent "camera-silent" Warning State
        "The camera could not be reached, or did not answer in time, when it was last asked."
        "Check its power, cable, load and enrolled address."
    CameraLoginRefused "camera-login-refused" Error State
        "The camera refused the gateway's login: it is left alone for a while, after three refusals with one try every 15 minutes."
        "Check the user and password enrolled for it, and whether the camera has locked the account."
    EventsLost "events-lost" Warning State
        "Somebody wants the camera's events, and the gateway cannot have them, or loses them again and again."
        "See what the camera answers (`cordon audit search --camera NAME`, operations of `tev` and `wsntw`); where its firmware has only one way to tell events, set `events` of the camera to \"pull\" or \"push\"."
    EventsFlood "events-flood" Warning Happening
        "The camera tells more events than are passed on; some are lost."
        "Find out which rule or input of the camera fires all the time, and set it to do so less often."
    CameraDistrusted "camera-distrusted" Error State
        "The camera is there, but TLS cannot be made with it, or its certificate is not the pinned one."
        "If the camera or its certificate was exchanged on purpose, run `cordon camera accept CAMERA --reason TEXT`; else find out what answers at its address."
    CameraQuarantined "camera-quarantined" Error State
        "Another device may be in the camera's place: its serial number or its key changed, or several other things at once. Nobody is served by it."
        "Find out what answers at its address; if it is the right device, `cordon camera accept CAMERA --reason TEXT`. Announce exchanges with `cordon camera expect-change`."
    CameraChanged "camera-changed" Warning Happening
        "The camera shows something else than before (a name, a server, a certificate's subject), which new firmware may do and another device, too."
        "If nobody has changed the camera, find out what answers at its address; `cordon camera show CAMERA` has what it shows."
    IdentityUnshown "identity-unshown" Error State
        "The camera is known by its serial number and does not tell it any more when it is asked, while it answers other things: another device may be in its place."
        "Find out what answers at its address (`cordon camera identify CAMERA`); if its firmware just tells no number any more, have it mended: until then an exchange is not found by the number."
    CameraStricter "camera-stricter" Warning State
        "The camera shows signs of a stricter class of makers than its configuration says, and is treated so."
        "Look at the signs with `cordon camera identify CAMERA`; correct its `vendor`, or decide with `vendor_decision`."
    VendorDecisionOld "vendor-decision-old" Error State
        "The camera has a `vendor_decision` that was made about the device before: another was accepted since. It counts no more."
        "Look at the device that is there (`cordon camera identify CAMERA`), and decide again, with the day of that; or take the decision out of the configuration."
    VendorContradiction "vendor-contradiction" Warning State
        "What the camera shows speaks for makers that have nothing to do with each other: it may be relabelled."
        "Look at the signs with `cordon camera identify CAMERA`, and at the camera; decide with `vendor_decision` if need be."
    BaselineDestination "baseline-destination" Error State
        "The camera has been set to a destination that nobody approved: a server, a broker, a router, or more than is kept."
        "See which with `cordon camera baseline CAMERA`; set the camera right, or approve it with `--approve --reason TEXT`."
    BaselineChanged "baseline-changed" Warning State
        "The camera has an account or serves a protocol that nobody approved, or does not tell any more what it told before."
        "See which with `cordon camera baseline CAMERA`; set the camera right, or approve it with `--approve --reason TEXT`."
    SiteRestricted "site-restricted" Error State
        "A restricted camera is at a sensitive site without an exception: nobody is served by it."
        "Replace it; if it was there before and may stay for a while, give it an [[exception]] with owner, reason and last day."
    ExceptionEnding "exception-ending" Warning State
        "The exception for a restricted camera at a sensitive site ends within 14 days; from then on nobody is served by it."
        "Replace the camera before that day, or have its owner extend the [[exception]]."
    CertificateUnusable "certificate-unusable" Error State
        "The files of the gateway's certificate and key changed and cannot be used; the certificate before stays in use."
        "Mend the files named by tls_certificate and tls_key; they are read again by themselves."
    CertificateExpiring "certificate-expiring" Warning State
        "The gateway's certificate ends within 14 days."
        "Put a new certificate in its place; it is taken up while the gateway serves."
    CertificateExpired "certificate-expired" Error State
        "The gateway's certificate has ended, or has not begun: clients may refuse it."
        "Put a new certificate in its place, or set the machine's clock."
    IsolationOff "isolation-off" Warning State
        "The zone is configured without network isolation: nothing but this program keeps its cameras from the core network."
        "For anything but a trial, isolate the zone."
    IsolationBroken "isolation-broken" Critical State
        "The network isolation that the zone should have is not in force, or nobody says so: its restricted cameras are not served."
        "See what the detail names; `cordon netd` mends what it can by itself, and `cordon isolate check` names every difference."
    IsolationDrift "isolation-drift" Error Happening
        "Somebody or something changed the network of the zone, and `cordon netd` set it right."
        "Find out who did it (event `isolation-drift` names each difference): nothing but `cordon netd` should touch these namespaces."
    RequestsLeftOut "requests-left-out" Warning Happening
        "A source came without credentials so often that its requests are counted instead of recorded one by one."
        "Find out what calls from that address (event `requests-left-out`); a VMS with an old password does this too."
    LoginsLeftOut "logins-left-out" Warning Happening
        "A source failed to log in so often that for the rest of the minute nothing it shows is looked at, right or wrong."
        "Find out what tries passwords there (event `logins-left-out`); a VMS with an old password does this too."
    NoncesFull "nonces-full" Warning Happening
        "The client used more nonces at once than are remembered, and further logins of it are refused for a while."
        "Find out why the client logs in so often; other clients are not affected."
    TripwireFull "tripwire-full" Error State
        "More was dropped in the zone than can be told apart: of some packets of the last minute it is not known whither they went, or not even whose they are. Nothing got out."
        "Find who sends to ever new destinations or as ever new sources (`cordon report`, event `egress-blocked`), and take that device off the zone: beside it little is seen of others."
    EgressAttempt "egress-attempt" Warning Happening
        "The camera, or somebody else in the zone, tried for the first time to reach something beyond it: what it sent was dropped."
        "See where to (event `egress-blocked`, and `cordon report`); an attempt is not proof of intent. Take from the camera what makes it, or look at it more closely."
    AddressClaimed "address-claimed" Error Happening
        "The camera, or somebody else in the zone, says that the address of an enrolled camera, or the gateway's, is its own. What it sent was dropped; the camera whose address it is is served as before. What cameras mean for the gateway may go to it."
        "Find the device with the hardware address that the detail names. If the enrolled camera was exchanged, announce that with `cordon camera expect-change`: then another hardware address may answer."
    RogueDirections "rogue-directions" Warning Happening
        "The camera, or somebody else in the zone, says that it is a router, or gives out addresses (DHCP): cameras that believe it send it what they would send to the gateway, where nobody counts it. The gateway believes none of it."
        "Find the device that the detail names. If it is the zone's own router or DHCP server, see that it names the gateway as router and name server; else take it off the zone."
    TripwireUnreadable "tripwire-unreadable" Error State
        "The counters of what cameras of the zone try to reach cannot be read: attempts are dropped, and not put on record."
        "See that `cordon netd` runs and what it says, and run `cordon isolate check`; what is counted meanwhile is told when they can be read."
    CoreDevice "core-device" Error Happening
        "A device of a restricted maker, or a camera of a maker that nobody knows, is on the core side of the gateway: it hangs in no zone, and nothing keeps it from the core network."
        "Find it by the address that the detail and the event `core-device` name, unplug it there, and put it into a zone."
    DeviceNotEnrolled "device-not-enrolled" Warning State
        "A device that is enrolled nowhere says of itself in the zone that it is a camera, and its maker is restricted, or nobody knows it. Nobody is served by it."
        "See `cordon camera discovered` and the event `device-found`; enrol it (`cordon camera enrol`), or take it off the zone."
    CoreUnwatched "core-unwatched" Error State
        "Who speaks on the core side of the gateway is not counted, or cannot be read: a restricted device that is plugged in there is found by what it says of itself alone."
        "See what the detail names, and that `cordon netd` runs and what it says; it sets its counting rules right by itself."
    ClientOverBudget "client-over-budget" Warning Happening
        "The client has as many commands under way over all cameras as one client may have; more of it are refused."
        "Find out which cameras answer it slowly, or make the client ask less at once."
    ConsumerGivenUp "consumer-given-up" Warning Happening
        "A consumer to which a client has a camera's events sent did not take them: its subscription was ended."
        "See that the consumer which the detail names is reachable from the gateway and answers; the client has to subscribe again."
    BrokerLost "broker-lost" Warning State
        "The MQTT broker that has the cameras' events cannot be reached, or refuses the gateway; events beyond what is kept are lost to it."
        "See that the broker runs and what its log says, and compare `[mqtt]` with its address, certificate and login."
    ObserveMode "observe-mode" Warning State
        "Some of what policies deny to clients goes on and is recorded as observed; nothing about isolation does."
        "Set mode = \"enforce\" under [policy] when the observation is over."
    ReloadRefused "reload-refused" Error State
        "The configuration or the policies changed and cannot be used; the gateway goes on with those before."
        "Run `cordon check` on the configuration and mend what it names; a reload that succeeds clears this."
}

/// The catalogue as a table in Markdown: the manual's chapter.
pub fn markdown() -> String {
    let mut text = String::from("| id | severity | what it means | what to do |\n|---|---|---|---|\n");
    for entry in CATALOGUE {
        let Entry { id, severity, meaning, remedy, .. } = entry;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| `{id}` | {} | {meaning} | {remedy} |", severity.as_str());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_alarm_has_one_row_a_name_of_its_own_and_says_what_to_do() {
        let ids: BTreeSet<_> = CATALOGUE.iter().map(|it| it.id).collect();
        assert_eq!(ids.len(), CATALOGUE.len());
        for entry in CATALOGUE {
            assert_eq!(entry.alarm.entry(), *entry);
            let plain = |letter: char| letter.is_ascii_lowercase() || letter == '-';
            assert!(entry.id.chars().all(plain), "{}", entry.id);
            for text in [entry.meaning, entry.remedy] {
                assert!(text.ends_with('.') && !text.contains('|'), "{}: {text}", entry.id);
            }
        }
    }

    #[test]
    fn the_manual_has_the_table_as_it_is() {
        let chapter = include_str!("../manual/alarms.md");
        let table = chapter.find("| id |").map(|at| &chapter[at..]).unwrap();
        assert!(
            table == markdown(),
            "replace the table in src/manual/alarms.md by what `cordon alarms` prints"
        );
    }

    #[test]
    fn severities_are_those_of_rfc_5424() {
        for (word, number) in [("critical", 2), ("error", 3), ("warning", 4)] {
            assert_eq!(Severity::parse(word).map(Severity::syslog), Some(number));
        }
        assert_eq!(Severity::parse("alarming"), None);
    }
}
