//! Bounds of events: what cameras tell, and who is told.

use std::time::Duration;

/// Events of one message of a camera that are looked at.
pub const EVENTS_PER_MESSAGE_MAX: usize = 1_024;
/// Memory of one event: of the largest seen, with a picture of cells in it, a quarter.
pub const EVENT_BYTES_MAX: usize = 32 * 1024;
/// Bytes of one topic as it is written.
pub const TOPIC_BYTES_MAX: usize = 512;
/// Names of one topic.
pub const TOPIC_LEVELS_MAX: usize = 16;
/// Events of one camera that are kept for whoever reads them later.
pub const EVENTS_KEPT_PER_CAMERA_MAX: usize = 512;
/// Memory that they may take.
pub const EVENTS_KEPT_BYTES_PER_CAMERA_MAX: usize = 1024 * 1024;
/// Memory that those of all cameras may take together.
pub const EVENTS_KEPT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Properties of one camera whose last state is kept.
pub const PROPERTIES_PER_CAMERA_MAX: usize = 512;
/// Memory that they may take.
pub const PROPERTIES_BYTES_PER_CAMERA_MAX: usize = 1024 * 1024;
/// How long after the last state of a property a camera has told them all, to whoever subscribed anew.
pub const STATES_SETTLE_TIME: Duration = Duration::from_secs(10);
/// Events of one camera that are known again if they come twice.
pub const EVENT_PRINTS_PER_CAMERA_MAX: usize = 512;
/// Events of one camera that may come at once: all its properties, when it is subscribed to.
pub const EVENT_BURST_PER_CAMERA_MAX: u64 = 1_024;
/// Events of one camera that may come in a second, beyond that.
pub const EVENTS_PER_CAMERA_PER_SECOND_MAX: u64 = 50;
/// Bytes of the address by which a camera names a subscription.
pub const SUBSCRIPTION_ADDRESS_BYTES_MAX: usize = 2_048;
/// Bytes of the reference parameters that come with it.
pub const SUBSCRIPTION_PARAMETERS_BYTES_MAX: usize = 4_096;
/// How long a subscription to a camera is asked for at once.
pub const SUBSCRIPTION_LIFE: Duration = Duration::from_secs(120);
/// What is left of it when it is renewed.
pub const SUBSCRIPTION_RENEW_LEFT: Duration = Duration::from_secs(60);
/// A camera that grants less did not understand how long was asked for.
pub const SUBSCRIPTION_LIFE_MIN: Duration = Duration::from_secs(10);
/// How long a camera goes on being subscribed to when nobody wants its events any more.
pub const SUBSCRIPTION_LINGER: Duration = Duration::from_secs(30);
/// Pause before the first new try to subscribe after a failure; it doubles with each.
pub const SUBSCRIPTION_PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest such pause.
pub const SUBSCRIPTION_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Pause where the camera has no way to be subscribed to, as far as it says.
pub const SUBSCRIPTION_HOPELESS_PAUSE: Duration = Duration::from_secs(600);
/// How long a subscription has to last for the next loss to count as the first.
pub const SUBSCRIPTION_STEADY: Duration = Duration::from_secs(60);
/// Failures in a row after which somebody is told that a camera's events cannot be had.
pub const SUBSCRIPTION_FAILURES_ALARM: u32 = 5;
/// How long a camera may wait for an event before it answers that there is none.
pub const EVENT_PULL_TIME: Duration = Duration::from_secs(30);
/// How much later its answer may come.
pub const EVENT_PULL_GRACE: Duration = Duration::from_secs(10);
/// Bytes of an answer about a subscription, with all the events in it.
pub const EVENT_ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of answers and of notices with events that are read of one camera in a second.
pub const EVENT_BYTES_PER_SECOND_MAX: usize = 1024 * 1024;
/// By how much later an event that a camera sends may come than one that happened after it; more is a clock that was set.
pub const EVENT_LATE_MAX: Duration = Duration::from_secs(10);
/// Renewals in a row that a camera does not answer, after which it is only asked for events: that may keep the subscription.
pub const SUBSCRIPTION_SILENT_RENEWALS_MAX: u32 = 3;
/// Events that a camera is asked for at once.
pub const EVENT_PULL_MESSAGES_MAX: usize = 100;
/// The shortest time from one question for events to the next; longer if there was none.
pub const EVENT_PULL_INTERVAL_MIN: Duration = Duration::from_millis(50);
/// The same after an answer without events that came at once.
pub const EVENT_PULL_EMPTY_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// How long one record stands for questions for events that bring nothing else than events.
pub const EVENT_SERIES_TIME_MAX: Duration = Duration::from_secs(3_600);
/// How many such questions one record stands for.
pub const EVENT_SERIES_PULLS_MAX: u32 = 20_000;
/// Notices of one camera that wait to be read.
pub const EVENT_NOTICES_WAITING_MAX: usize = 4;
/// Notices that one camera may send in a second.
pub const EVENT_NOTICES_PER_SECOND_MAX: u32 = 50;
/// How long a camera waits for a notice to be taken.
pub const EVENT_NOTICE_TIME_MAX: Duration = Duration::from_secs(5);
/// How many notices one record stands for.
pub const EVENT_SERIES_NOTICES_MAX: u32 = 20_000;
/// How often zones are looked at for where events are to be taken.
pub const EVENT_SINK_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes of one notice.
pub const EVENT_NOTICE_BYTES_MAX: usize = 256 * 1024;
/// Connections to the event sink of one zone: with a whole notice each, 64 MiB.
pub const EVENT_SINK_CONNECTIONS_MAX: usize = 256;
/// Connections to it from one camera's address.
pub const EVENT_SINK_CONNECTIONS_PER_SOURCE_MAX: usize = 4;
/// Notices of one camera that are known again if they come twice.
pub const EVENT_NOTICE_PRINTS_MAX: usize = 64;
/// How long nothing is taken of a camera whose notices were refused.
pub const EVENT_NOTICE_REFUSED_PAUSE: Duration = Duration::from_secs(10);
/// How long cameras have to be unsubscribed from, and a broker to take what is left, when the gateway stops.
pub const EVENT_CLOSE_TIME_MAX: Duration = Duration::from_secs(3);

const _: () =
    assert!(SUBSCRIPTION_RENEW_LEFT.as_secs() > EVENT_PULL_TIME.as_secs() + EVENT_PULL_GRACE.as_secs());
const _: () = assert!(SUBSCRIPTION_LIFE.as_secs() > SUBSCRIPTION_RENEW_LEFT.as_secs());
const _: () = assert!(EVENT_SINK_CONNECTIONS_PER_SOURCE_MAX < EVENT_SINK_CONNECTIONS_MAX);
const _: () = assert!(EVENT_NOTICE_BYTES_MAX <= EVENT_BYTES_PER_SECOND_MAX);
const _: () = assert!(EVENTS_KEPT_BYTES_PER_CAMERA_MAX < EVENTS_KEPT_BYTES_MAX / 16);
const _: () = assert!(EVENT_PULL_MESSAGES_MAX <= EVENTS_PER_MESSAGE_MAX);

/// Bytes of one topic expression of a filter.
pub const EVENT_TOPIC_BYTES_MAX: usize = 4 * 1024;
/// Topics of one expression.
pub const EVENT_TOPIC_PATHS_MAX: usize = 64;
/// Names of one topic of an expression.
pub const EVENT_TOPIC_STEPS_MAX: usize = 16;
/// Bytes of one filter by content.
pub const EVENT_FILTER_BYTES_MAX: usize = 4 * 1024;
/// Levels of one filter by content.
pub const EVENT_FILTER_DEPTH_MAX: usize = 16;
/// Filters of one subscription, all of which a message has to pass.
pub const EVENT_FILTERS_MAX: usize = 8;
/// Subscriptions of one client to one camera.
pub const SUBSCRIPTIONS_PER_CLIENT_MAX: usize = 8;
/// Subscriptions of all clients to one camera.
pub const SUBSCRIPTIONS_PER_CAMERA_MAX: usize = 32;
/// Subscriptions of one client to all cameras: some to each of as many as there can be.
pub const SUBSCRIPTIONS_PER_CLIENT_EVERYWHERE_MAX: usize = 32_768;
/// Subscriptions that a crash ended whose records wait for the disk together.
pub const SUBSCRIPTIONS_ENDED_AT_ONCE_MAX: usize = 512;
/// How long a subscription lasts whose client names no time.
pub const SUBSCRIPTION_TIME_USUAL: Duration = Duration::from_secs(60);
/// How long a subscription lasts at most, unless it is renewed: longer than any client is seen to ask for.
pub const SUBSCRIPTION_TIME_MAX: Duration = Duration::from_secs(24 * 3_600);
/// A subscription of which its client did not hear for so long gives way to another one of the same client: many end
/// none when they are started anew.
pub const SUBSCRIPTION_IDLE_TIME: Duration = Duration::from_secs(300);
/// How often it is looked whether subscriptions have ended, or are forbidden now.
pub const SUBSCRIPTION_SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is looked whether subscriptions that nobody uses are permitted still, while the rules stay.
pub const SUBSCRIPTION_JUDGE_INTERVAL: Duration = Duration::from_secs(30);
/// How long PullMessages waits for an event (ONVIF Core §9.1.2 demands a minute at least).
pub const PULL_TIME_MAX: Duration = Duration::from_secs(120);
/// Messages of one answer to PullMessages; who asks for more gets so many.
pub const PULL_MESSAGES_MAX: usize = 256;
/// Bytes of events of one answer to PullMessages, and of one notification.
pub const PULL_BYTES_MAX: usize = 1024 * 1024;
/// Messages read from the hub at once.
pub const PULL_READ_EVENTS: usize = 64;
/// How long one line of the log stands for the PullMessages requests of a subscription.
pub const PULL_SERIES_TIME_MAX: Duration = Duration::from_secs(600);
/// How many PullMessages requests one line of the log stands for.
pub const PULL_SERIES_TIMES_MAX: u32 = 10_000;

const _: () =
    assert!(PULL_TIME_MAX.as_secs() >= 60 && PULL_TIME_MAX.as_secs() < SUBSCRIPTION_TIME_MAX.as_secs());
const _: () = assert!(SUBSCRIPTIONS_PER_CLIENT_MAX <= SUBSCRIPTIONS_PER_CAMERA_MAX);
const _: () = assert!(SUBSCRIPTIONS_PER_CLIENT_MAX <= SUBSCRIPTIONS_PER_CLIENT_EVERYWHERE_MAX);
const _: () = assert!(PULL_TIME_MAX.as_secs() < SUBSCRIPTION_IDLE_TIME.as_secs());

/// Subscriptions of this process whose events are sent to consumers, each with a connection.
pub const CONSUMERS_MAX: usize = 2_048;
/// Bytes of the address of a consumer of events.
pub const CONSUMER_ADDRESS_BYTES_MAX: usize = 1_024;
/// How long a consumer of events has to take a connection, and to answer a notification.
pub const NOTIFY_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of a consumer's answer, of which nothing but its status counts; a longer one costs it the connection.
pub const NOTIFY_ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Messages of one notification.
pub const NOTIFY_MESSAGES_MAX: usize = 64;
/// The pause before a notification that failed is sent again; each further one is twice as long.
pub const NOTIFY_PAUSE: Duration = Duration::from_secs(1);
/// Failures in a row after which a subscription is given up: after half a minute of pauses and what each try took.
pub const NOTIFY_FAILURES_MAX: u32 = 6;
/// How long an idle connection to a consumer of events stays open.
pub const NOTIFY_IDLE_TIME: Duration = Duration::from_secs(30);

/// Messages that a broker has not acknowledged yet; no more are sent before it does.
pub const MQTT_WINDOW_MESSAGES_MAX: usize = 64;
/// Messages of all cameras that wait to be sent to a broker; what comes then stays in the hubs.
pub const MQTT_QUEUE_MESSAGES_MAX: usize = 1_024;
/// Items of an event's source that stand in its topic at a broker, each as a level.
pub const MQTT_SOURCE_ITEMS_MAX: usize = 8;
/// Characters of one of them; ONVIF's tokens have 64 at most.
pub const MQTT_LEVEL_CHARACTERS_MAX: usize = 128;
/// Sessions in a row that a broker ends without having acknowledged anything, after which the message that was sent first
/// is given up: it may be the reason.
pub const MQTT_FRUITLESS_SESSIONS_MAX: u32 = 2;
/// Bytes of one packet to or from a broker.
pub const MQTT_PACKET_BYTES_MAX: usize = 128 * 1024;
/// How long nothing is said to a broker before it is asked whether it is there.
pub const MQTT_KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long a broker has to take a connection, and to answer what it has to answer.
pub const MQTT_ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// The pause before a broker is tried again; each further one is twice as long.
pub const MQTT_PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest such pause.
pub const MQTT_PAUSE_MAX: Duration = Duration::from_secs(60);
/// How often it is looked which cameras there are, for a broker.
pub const MQTT_CAMERAS_INTERVAL: Duration = Duration::from_secs(2);
