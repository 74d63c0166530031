//! Every bound of the gateway, with its unit as the last word of its name.
//!
//! Full means refuse, never grow. A bound belongs here and nowhere else; relations between bounds are
//! asserted below, at compile time.

use std::time::Duration;

mod discovery;
mod events;
mod streams;

pub use discovery::*;
pub use events::*;
pub use streams::*;

/// One SOAP request from a client. ONVIF sets no size (Core §5); large settings stay well below.
pub const SOAP_REQUEST_BYTES_MAX: usize = 256 * 1024;
/// One SOAP answer from a camera: the largest seen in recordings is below 700 KB.
pub const SOAP_ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Nesting of elements. The deepest message of the interface has 12 levels below its body; topic trees more.
pub const XML_DEPTH_MAX: usize = 48;
/// Attributes of one element, namespace declarations included.
pub const XML_ATTRIBUTES_MAX: usize = 128;
/// Bytes of one name with its prefix.
pub const XML_NAME_BYTES_MAX: usize = 256;
/// Bytes of one namespace name.
pub const XML_NAMESPACE_BYTES_MAX: usize = 512;
/// Namespace declarations in scope at one place.
pub const XML_NAMESPACES_IN_SCOPE_MAX: usize = 128;
/// Bytes of one text node or attribute value.
pub const XML_TEXT_BYTES_MAX: usize = 256 * 1024;
/// Elements and attributes of one message.
pub const XML_NODES_MAX: usize = 200_000;
/// One answer that is put right before it is read again, then and before.
pub const XML_MENDED_BYTES_MAX: usize = 1024 * 1024;
/// Namespaces of one message that the tables do not have (vendors' topics).
pub const DOCUMENT_NAMESPACES_MAX: usize = 32;
/// Deviations of one answer that are named; more are only counted.
pub const DEVIATION_NAMES_MAX: usize = 64;
/// Bytes of the path that names a deviation or the place of a refusal.
pub const PATH_BYTES_MAX: usize = 256;
/// Items of one repeated element in a request.
pub const REQUEST_LIST_ITEMS_MAX: usize = 1_024;

/// Bytes of one WSDL, XSD or overlay file; the largest official one has 600 KB.
pub const TABLE_FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Files of one folder of tables.
pub const TABLE_FILES_MAX: usize = 512;
/// Nodes of the expanded messages; the official ones have some 16,000.
pub const TABLE_NODES_MAX: usize = 200_000;

/// Bytes of one locator path, so that a stream URI stays within the 128 octets of ONVIF Media §5.15.1.
pub const STREAM_URI_BYTES_MAX: usize = 128;
/// Bytes of the profile token that a locator is keyed by (`tt:ReferenceToken` has at most 64 characters).
pub const LOCATOR_FIELD_BYTES_MAX: usize = 256;
/// Permanent locators of one camera and one kind: streams, recordings, pictures.
pub const LOCATORS_PER_CAMERA_MAX: usize = 256;
/// How long a permanent locator that was used keeps its place after that; one that never was makes room for others.
pub const LOCATOR_REST_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How exactly it is known when a locator was used last: each new note is a write.
pub const LOCATOR_USE_EXACTNESS: Duration = Duration::from_secs(24 * 3_600);
/// Locators that one answer of a camera may need; one with more addresses is refused.
pub const LOCATORS_PER_ANSWER_MAX: usize = 32;
/// Answers whose locators wait to be written to the state database.
pub const STORE_ORDERS_MAX: usize = 1_024;
/// How long a command waits for the state database's disk: for new locators, or before a login that may be refused.
pub const STORE_WAIT_TIME_MAX: Duration = Duration::from_millis(900);
/// Pause before what could not be written to the state database is tried again.
pub const STORE_RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How long the gateway waits for the state database's disk when it stops.
pub const STORE_CLOSE_TIME_MAX: Duration = Duration::from_secs(5);
/// Memory of one list of services or capabilities of a camera, which is kept: the largest seen take a tenth.
pub const SERVICE_LIST_BYTES_MAX: usize = 256 * 1024;
/// Path and query of an address that a camera names.
pub const CAMERA_PATH_BYTES_MAX: usize = 2_048;
/// Locators of one camera that end by themselves: those of files.
pub const FILE_LOCATORS_PER_CAMERA_MAX: usize = 64;
/// How long a file's locator stands.
pub const FILE_LOCATOR_LIFE: Duration = Duration::from_secs(3_600);
/// One file of a camera's: logs, backups, exports.
pub const DOWNLOAD_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// One file for a camera: firmware, a backup to restore.
pub const UPLOAD_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Files for cameras that are taken, or on their way, at the same time; each needs its room on the disk.
pub const UPLOADS_MAX: usize = 4;
/// Bytes of one piece of a file that is read from the disk.
pub const TRANSFER_PIECE_BYTES: usize = 64 * 1024;
/// Pieces of a file that wait for whoever reads it.
pub const TRANSFER_PIECES_MAX: usize = 8;
/// Files of one camera that may be under way.
pub const TRANSFERS_PER_CAMERA_MAX: usize = 2;
/// Time for one whole file.
pub const TRANSFER_TIME_MAX: Duration = Duration::from_secs(30 * 60);
/// Time in which some of a file must come, or be taken.
pub const TRANSFER_STALL_MAX: Duration = Duration::from_secs(20);
/// One snapshot picture.
pub const SNAPSHOT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How long a snapshot picture is given to others who ask.
pub const PICTURE_AGE_MAX: Duration = Duration::from_secs(1);
/// How old the latest picture of a camera may be at the admin listener: the camera is asked once in that time, whoever looks.
pub const LATEST_PICTURE_AGE_MAX: Duration = Duration::from_secs(5);
/// Snapshot pictures of one camera that are kept.
pub const PICTURES_KEPT_BYTES_MAX: usize = SNAPSHOT_BYTES_MAX;
/// Those of all cameras, in KiB: what finds no room is given to who asked, and not kept.
pub const PICTURES_KEPT_ALL_KIB_MAX: usize = 256 * 1024;
/// How long a camera is not asked for a picture again that it did not give; twice as long each time, up to
/// `PICTURE_PAUSE_MAX`.
pub const PICTURE_PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest of these pauses. One that is over for as long begins at the shortest again.
pub const PICTURE_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Pictures of one camera of which it is remembered that they were not given.
pub const PICTURE_FAILURES_MAX: usize = 32;

/// How far `wsu:Created` may lie from the gateway's clock, either way (WSS UsernameToken Profile §3.1).
pub const WSSE_CREATED_SKEW_MAX: Duration = Duration::from_secs(300);
/// Fingerprints of used nonces kept for one client and bucket of ten seconds.
pub const WSSE_NONCES_PER_BUCKET_MAX: usize = 65_536;
/// Bytes of a decoded WS-Security nonce.
pub const WSSE_NONCE_BYTES_MAX: usize = 128;
/// Life of an HTTP digest nonce before the answer says `stale=true`.
pub const DIGEST_NONCE_LIFE: Duration = Duration::from_secs(300);
/// HTTP digest nonces whose use is counted, for one client; full refuses that client only.
pub const DIGEST_NONCES_PER_CLIENT_MAX: usize = 65_536;
/// Bytes of one `WWW-Authenticate` or `Authorization` header.
pub const AUTH_HEADER_BYTES_MAX: usize = 4_096;
/// Parameters of one challenge or of credentials. RFC 7616 names eleven.
pub const AUTH_PARAMETERS_MAX: usize = 24;
/// Challenges of one answer.
pub const AUTH_CHALLENGES_MAX: usize = 16;
/// Characters of a user name that nobody has, kept for the record.
pub const CLAIMED_NAME_CHARS_MAX: usize = 63;
/// Bytes of one configuration file.
pub const CONFIG_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Characters of the gateway's name. With `/audit` after it, it names the log.
pub const GATEWAY_NAME_CHARS_MAX: usize = 63;
/// Bytes of a host name (RFC 1035 §2.3.4, as text).
pub const HOST_NAME_BYTES_MAX: usize = 253;
/// Bytes of one label of a host name (RFC 1035 §2.3.4).
pub const HOST_LABEL_BYTES_MAX: usize = 63;
/// Bytes of one secret read from a file or the environment.
pub const SECRET_BYTES_MAX: usize = 1_024;

/// Makers in the vendor table.
pub const VENDORS_MAX: usize = 4_096;
/// Items of one list of a vendor's entry, and mistakes told of one set of vendor files.
pub const VENDOR_LIST_ITEMS_MAX: usize = 256;
/// Files of an owner's folder of vendors.
pub const VENDOR_FILES_MAX: usize = 64;
/// MAC prefixes of all vendors; the IEEE has given some 50,000 to everybody.
pub const MAC_PREFIXES_MAX: usize = 100_000;
/// Bytes of one file of an IEEE registry; the largest has 6 MB.
pub const MAC_REGISTRY_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Signals of one camera that its maker is judged by; a camera that shows more is one of an unknown maker.
pub const EVIDENCE_SIGNALS_MAX: usize = 256;
/// Bytes of one signal.
pub const EVIDENCE_VALUE_BYTES_MAX: usize = 512;
/// Bytes of all signals of one camera.
pub const EVIDENCE_BYTES_MAX: usize = 16 * 1024;
/// Signals of one kind that are kept of what a camera shows by turns: servers, realms, lines of session descriptions.
pub const EVIDENCE_BY_TURNS_MAX: usize = 24;
/// Bytes at the beginning of an answer in which namespaces are looked for.
pub const EVIDENCE_SCAN_BYTES_MAX: usize = 8 * 1024;
/// Tags of an answer in which they are looked for: envelope, header, body, and what begins in them.
pub const EVIDENCE_TAGS_MAX: usize = 8;
/// How often what a camera shows of its maker is kept and weighed in `EVIDENCE_TURNS_PERIOD`.
pub const EVIDENCE_TURNS_MAX: u32 = 12;
/// The time to which that refers.
pub const EVIDENCE_TURNS_PERIOD: Duration = Duration::from_secs(60);
/// How often each camera is asked who it is, whether or not somebody uses it.
pub const IDENTITY_LOOK_INTERVAL: Duration = Duration::from_secs(45);
/// Such questions in a row to which a camera that is known by its serial number may tell none before that is an alarm.
pub const IDENTITY_LOOKS_UNSHOWN_MAX: u32 = 3;
/// For how long such questions are told in one record, as long as they bring no news.
pub const IDENTITY_SERIES_TIME_MAX: Duration = Duration::from_secs(60 * 60);
/// How many of them.
pub const IDENTITY_SERIES_LOOKS_MAX: u32 = 80;
/// Over how long the first of these questions are spread, so that not all cameras are asked at once.
pub const IDENTITY_LOOK_SPREAD: Duration = Duration::from_secs(10);
/// How often each camera is asked what it has been set to.
pub const BASELINE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// Cameras that are asked for that at the same time.
pub const BASELINE_READINGS_MAX: usize = 8;
/// Time for one camera's answers, all together.
pub const BASELINE_READING_TIME_MAX: Duration = Duration::from_secs(90);
/// How long somebody at the gateway's machine waits for a camera's thread to begin.
pub const ERRAND_WAIT_MAX: Duration = Duration::from_secs(20);
/// Things that one camera has been set to, as far as they are kept.
pub const BASELINE_FACTS_MAX: usize = 128;
/// Characters of one of them.
pub const BASELINE_VALUE_CHARS_MAX: usize = 256;
/// Time for each question of `cordon camera identify` to an address.
pub const PROBE_TIME_MAX: Duration = Duration::from_secs(10);
/// How far ahead another device may be announced.
pub const EXPECT_CHANGE_TIME_MAX: Duration = Duration::from_secs(31 * 86_400);
/// Characters of the reason for a decision about a camera.
pub const DECISION_REASON_CHARS_MAX: usize = 512;
/// How many days before its end an exception is an alarm.
pub const EXCEPTION_NOTICE_DAYS: i32 = 14;
/// Findings, and reasons, of one verdict: the weightiest.
pub const VERDICT_FINDINGS_MAX: usize = 32;
/// Contradictions of one verdict.
pub const VERDICT_CONTRADICTIONS_MAX: usize = 8;
/// Characters of a camera's text in a verdict.
pub const VERDICT_VALUE_CHARS_MAX: usize = 96;

/// Header bytes of one HTTP message.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * 1024;
/// The body of an answer that is not what was asked for, where that would be a file.
pub const HTTP_ERROR_BYTES_MAX: usize = 256 * 1024;
/// Header fields of one HTTP message.
pub const HTTP_HEADERS_MAX: usize = 64;
/// Time for a client to make a TLS connection, from its first byte to its last.
pub const TLS_HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of one file with certificates or a key.
pub const TLS_FILE_BYTES_MAX: usize = 256 * 1024;
/// Certificates of one chain.
pub const TLS_CERTIFICATES_MAX: usize = 8;
/// How often the files of certificate and key are looked at.
pub const TLS_FILES_INTERVAL: Duration = Duration::from_secs(1);
/// Certificates of one client.
pub const CLIENT_CERTIFICATES_MAX: usize = 16;
/// Time for a client to send a request head.
pub const HTTP_HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// What is read at first of a connection's first request.
pub const HTTP_FIRST_READ_BYTES: usize = 2 * 1024;
/// Time for a client to send a request body.
pub const HTTP_BODY_TIME_MAX: Duration = Duration::from_secs(15);
/// Time in which a client must take something of a reply; who takes nothing is cut off.
pub const HTTP_WRITE_STALL_MAX: Duration = Duration::from_secs(20);
/// Pause after a connection could not be accepted for want of file descriptors or memory.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections in a row that cannot be accepted, after which a listener counts as closed until one can.
pub const ACCEPT_FAILURES_MAX: u32 = 10;
/// Orders waiting for one serving thread; whoever gives one waits for the reply.
pub const SERVING_ORDERS_MAX: usize = 1;
/// Names of one kind that the record of a reload tells; the others are counted.
pub const RELOAD_NAMES_MAX: usize = 32;
/// Decisions made to find out what clients lose by a reload.
pub const RELOAD_DECISIONS_MAX: usize = 200_000;
/// How often the files of the configuration are looked at, and whether a trial is over.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(1);
/// Pause after the way back from a trial was barred.
pub const ROLL_BACK_PAUSE: Duration = Duration::from_secs(60);
/// Requests for a reload that wait for their turn.
pub const RELOAD_REQUESTS_MAX: usize = 8;
/// The longest trial of a configuration.
pub const RELOAD_TRIAL_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Peers of the control socket at once: of those who wait for cameras, many.
pub const CONTROL_PEERS_MAX: usize = 32;
/// One request on the control socket.
pub const CONTROL_REQUEST_BYTES_MAX: usize = 4 * 1024;
/// Time for a peer on the control socket to send its request, and to take the reply.
pub const CONTROL_PEER_TIME_MAX: Duration = Duration::from_secs(5);
/// One answer on the control socket.
pub const CONTROL_ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Operations shown of those that a client loses at a camera by a reload; the others are counted.
pub const RELOAD_OPERATIONS_SHOWN_MAX: usize = 16;
/// Time that `cordon reload` waits for the gateway.
pub const CONTROL_REPLY_TIME_MAX: Duration = Duration::from_secs(120);
/// Time that requests under way have to end when the gateway stops; longer than one exchange with a camera.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(25);
/// One request to the admin listener.
pub const ADMIN_REQUEST_BYTES_MAX: usize = 16 * 1024;
/// One answer of the admin listener to a subcommand: a line for each of many thousand cameras.
pub const ADMIN_ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a subcommand waits for it.
pub const ADMIN_ANSWER_TIME_MAX: Duration = Duration::from_secs(20);
/// Connections of all virtual cameras together; the admin listener counts its own.
pub const CONNECTIONS_MAX: usize = 8_192;
/// Of these, connections of one source at all listeners, if some client logs in from there.
pub const CONNECTIONS_OF_EXPECTED_MAX: usize = CONNECTIONS_MAX / 4 * 3;
/// The same of a source that no client logs in from.
pub const CONNECTIONS_OF_STRANGER_MAX: usize = CONNECTIONS_MAX / 4;
/// Connections of one virtual camera's listener.
pub const CONNECTIONS_PER_CAMERA_MAX: usize = 256;
/// Of these, connections from one address, so that no single machine shuts the others out.
pub const CONNECTIONS_PER_SOURCE_MAX: usize = 128;
/// Connections of one listener that several virtual cameras share.
pub const CONNECTIONS_SHARED_MAX: usize = 4_096;
/// Of these, connections from one address: a VMS has some for each camera.
pub const CONNECTIONS_SHARED_PER_SOURCE_MAX: usize = 2_048;
/// Requests on their way from a shared listener to one camera.
pub const MOUNT_QUEUE_REQUESTS_MAX: usize = 64;
/// Commands of one camera that may be under way; more are refused.
pub const COMMANDS_PER_CAMERA_MAX: usize = 64;
/// Of these, commands of one client, or of one source without a login: others still find places.
pub const COMMANDS_OF_ONE_PER_CAMERA_MAX: usize = COMMANDS_PER_CAMERA_MAX / 4 * 3;
/// Commands in a row that a camera leaves without an answer until it is taken for silent.
pub const CAMERA_SILENCES_MAX: u32 = 3;
/// Commands that may wait for a camera taken for silent, until it answers one: others are refused at once, so that many
/// such cameras do not use up what a client may have under way.
pub const COMMANDS_PER_SILENT_CAMERA_MAX: usize = 4;
/// Commands beside these that stop a movement.
pub const STOPS_PER_CAMERA_MAX: usize = 4;
/// Of these, those of one client.
pub const STOPS_OF_ONE_PER_CAMERA_MAX: usize = STOPS_PER_CAMERA_MAX / 4 * 3;
/// Commands of callers who have not logged in that wait for the camera; more are refused, so that
/// nobody without a login takes a camera's turns from those who have one.
pub const ANONYMOUS_ASKS_PER_CAMERA_MAX: usize = 4;
/// Commands of one client that may be under way over all cameras; more are refused. Each holds a place in the audit
/// log's queue until it ends.
pub const COMMANDS_PER_CLIENT_MAX: usize = 2_048;
/// Commands of callers without credentials that may be under way over all cameras.
pub const COMMANDS_ANONYMOUS_MAX: usize = 2_048;
/// Of these, commands from one address.
pub const COMMANDS_ANONYMOUS_PER_SOURCE_MAX: usize = 1_024;

/// Time to open a connection to a camera.
pub const CAMERA_CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Time to make a connection to a camera a TLS connection; old processors take seconds for RSA.
pub const CAMERA_TLS_TIME_MAX: Duration = Duration::from_secs(8);
/// Time for one whole exchange with a camera, challenge and retry included.
pub const CAMERA_EXCHANGE_TIME_MAX: Duration = Duration::from_secs(20);
/// Time in which a camera must say who it is: four questions.
pub const CAMERA_INTRODUCTION_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a camera that did not say who it is, is not asked again, so that nobody can make the gateway knock
/// at it without end by asking for what needs no credentials.
pub const CAMERA_INTRODUCTION_PAUSE: Duration = Duration::from_secs(10);
/// Addresses, and names, that a camera is known by; it may claim more, which are not looked for.
pub const CAMERA_NAMES_MAX: usize = 16;
/// How often escapes in a text are resolved one inside the other before addresses are looked for in it.
pub const ADDRESS_UNFOLDINGS_MAX: usize = 3;
/// Least characters of base64 that hold an address: `1.1.1.1`, without padding.
pub const ADDRESS_BASE64_CHARS_MIN: usize = 10;
/// Ports of its host, beside the enrolled one, that a camera may be asked at.
pub const CAMERA_PORTS_MAX: usize = 16;
/// Idle connections kept open to one camera: all of a burst, so that the next need not dial.
pub const CAMERA_IDLE_CONNECTIONS_MAX: usize = CAMERA_EXCHANGES_MAX;
/// How long an idle connection to a camera is kept. Many cameras close theirs after 30 seconds or more, silently.
pub const CAMERA_IDLE_TIME_MAX: Duration = Duration::from_secs(15);
/// What the kernel keeps of what a camera sends on one connection and nobody has read yet: a camera that sends
/// without end is held there. The kernel doubles it for its own bookkeeping (socket(7)).
pub const CAMERA_RECEIVE_BUFFER_BYTES: u32 = 128 * 1024;
/// Exchanges with one camera at the same time; more wait their turn within their own deadline.
pub const CAMERA_EXCHANGES_MAX: usize = 8;
/// Digest challenges remembered for one camera, one per port and path.
pub const CAMERA_CHALLENGES_MAX: usize = 32;
/// How long a digest challenge is answered again after it was used last.
pub const CAMERA_CHALLENGE_IDLE_MAX: Duration = Duration::from_secs(60);
/// Answers of one camera that are kept, so that the same bytes need not be read and checked again; and replies
/// made of them.
pub const ANSWER_MEMO_MAX: usize = 8;
/// Bytes of these answers together, as sent and as read; and as much again for the replies, their requests and
/// their documents. What a reply is written as comes on top, a few times its text.
pub const ANSWER_MEMO_BYTES_MAX: usize = 64 * 1024;
/// How long these answers are kept while nobody asks the camera anything.
pub const ANSWER_MEMO_TIME_MAX: Duration = Duration::from_secs(60);
/// Rejected logins of one credential version before the breaker opens.
pub const CAMERA_LOGIN_REJECTIONS_MAX: u32 = 3;
/// How long an open breaker waits before one try.
pub const CAMERA_BREAKER_PAUSE: Duration = Duration::from_secs(15 * 60);
/// How long after a login was accepted others go beside each other; later the first goes alone, since the camera may
/// have been started anew. None does that as fast.
pub const CAMERA_LOGIN_TRUST_MAX: Duration = Duration::from_secs(5);
/// How long a camera takes to boot: meanwhile it may refuse good passwords.
pub const CAMERA_BOOT_TIME_MAX: Duration = Duration::from_secs(120);
/// Pause after the first refusal of a login that the camera took before, or that came while it boots.
pub const CAMERA_LOGIN_FIRST_PAUSE: Duration = Duration::from_secs(45);
/// Pause after the second, so that the third try comes when the camera has booted.
pub const CAMERA_LOGIN_SECOND_PAUSE: Duration = Duration::from_secs(75);

/// How far a camera's clock may be off without being called so.
pub const CAMERA_CLOCK_OFF_MIN: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);
/// How far a camera's clock goes back when it was started anew: none is set back so far otherwise.
pub const CAMERA_REBOOT_CLOCK_MIN: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
/// Bytes before an answer that are passed over, of a camera that is known to send such.
pub const CAMERA_GARBAGE_BYTES_MAX: usize = 2_048;
/// Different deviations of one camera's answers that are shown, the latest.
pub const DEVIATIONS_LATELY_MAX: usize = 16;
/// Sightings after which a quirk holds that a camera without it can look like having once.
pub const QUIRK_DOUBTFUL_SIGHTINGS_MIN: u64 = 2;
/// Characters of the note of a quirk, and of the reason an owner gives for one.
pub const QUIRK_NOTE_CHARS_MAX: usize = 160;
/// Characters of one text by which a camera says who it is.
pub const IDENTITY_CHARS_MAX: usize = 64;

/// Requests of callers who proved nothing that are recorded one by one, permitted or refused, for one source
/// address and `NOISE_PERIOD`, whatever is enrolled. A client that logs in anew with HTTP digest for every command
/// is refused once for each.
pub const ANONYMOUS_LINES_PER_SOURCE: u32 = 1_200;
/// As many more for each enrolled camera: a VMS that starts asks each of them for its time, services and profiles,
/// and shows no credentials with a good part of that.
pub const ANONYMOUS_LINES_PER_CAMERA: u32 = 24;
/// But no more than this: some 700 bytes each, of one source, every minute.
pub const ANONYMOUS_LINES_PER_SOURCE_MAX: u32 = 60_000;
/// As many budgets of one source all those together have that no client logs in from.
pub const ANONYMOUS_BUDGETS_OF_STRANGERS: u32 = 4;
/// The same of those that some client logs in from: as many whole VMSs that start at once.
pub const ANONYMOUS_BUDGETS_OF_EXPECTED: u32 = 16;
/// How long a source's budget lasts, and how often what went beyond it is told.
pub const NOISE_PERIOD: Duration = Duration::from_secs(60);
/// Sources whose budgets are kept.
pub const NOISE_SOURCES_MAX: usize = 4_096;
/// Of these, sources that no client logs in from.
pub const NOISE_STRANGERS_MAX: usize = NOISE_SOURCES_MAX / 4 * 3;
/// How much of an IPv6 address counts as the source: whoever has a network has all of its addresses.
pub const SOURCE_NETWORK_V6_BITS: u8 = 64;
/// Logins of one source that may fail in `NOISE_PERIOD` before no more of them are looked at.
pub const LOGINS_FAILED_PER_SOURCE_MAX: u32 = 60;
/// Of these, logins by one name: a VMS with an old password does not shut out the others of its machine.
pub const LOGINS_FAILED_PER_NAME_MAX: u32 = 20;
/// Pairs of a source and a name that are remembered for having logged in.
pub const LOGINS_PROVEN_MAX: usize = 4_096;
/// How long such a pair is remembered after its last login.
pub const LOGIN_PROVEN_LIFE: Duration = Duration::from_secs(24 * 3_600);
/// Logins of such a pair that are looked at though its source or all sources together have failed too often: one more
/// after each pause.
pub const LOGIN_PROVEN_PAUSE: Duration = Duration::from_secs(1);
/// Logins that it can save up.
pub const LOGINS_PROVEN_SAVED_MAX: u32 = 5;
/// Files of what starts cut off the end of the audit log; beyond it the oldest go.
pub const AUDIT_CUTS_MAX: usize = 64;
/// Audit records waiting for the disk; beyond it new commands are refused.
pub const AUDIT_QUEUE_RECORDS_MAX: usize = 8_192;
/// Bytes of one audit line.
pub const AUDIT_LINE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one audit segment before the next is begun.
pub const AUDIT_SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of the file of checkpoints before those that nothing needs are forgotten.
pub const AUDIT_CHECKPOINTS_BYTES_MAX: u64 = 1024 * 1024;
/// The latest checkpoints, which stay whatever they cover.
pub const AUDIT_CHECKPOINTS_KEPT: usize = 1_024;
/// Longest time between two signed checkpoints.
pub const AUDIT_CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);
/// Bytes of the emergency journal: some thousand stops of movements.
pub const AUDIT_EMERGENCY_BYTES_MAX: usize = 1024 * 1024;
/// How long a command waits for the audit log's disk, and as long again for the emergency journal's.
pub const AUDIT_WAIT_TIME_MAX: Duration = Duration::from_millis(900);
/// How long outcomes wait for a record that somebody waits for, to become durable with it.
pub const AUDIT_OUTCOME_WAIT_MAX: Duration = Duration::from_millis(200);
/// How long records of commands are held back at most, on a slow disk, so that more of them share one sync.
pub const AUDIT_GATHER_TIME_MAX: Duration = Duration::from_millis(5);
/// Pause between two tries to go on with a log that could not be written.
pub const AUDIT_HEAL_INTERVAL: Duration = Duration::from_millis(500);
/// How often the whole log is verified while the gateway serves.
pub const AUDIT_REVIEW_INTERVAL: Duration = Duration::from_secs(24 * 3_600);
/// How far back the log is read at start for nonces that must not be used again.
pub const AUDIT_REPLAY_WINDOW: Duration = Duration::from_secs(600);
/// Bytes of the masked arguments of one record.
pub const AUDIT_ARGUMENTS_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a proof's file: a line in base64, its checkpoint and at most 64 hashes.
pub const AUDIT_PROOF_BYTES_MAX: usize = 128 * 1024;
/// Least disk space that can be reserved for the audit log.
pub const AUDIT_RESERVE_BYTES_MIN: u64 = 4 * AUDIT_SEGMENT_BYTES_MAX;
/// Segments of the audit log that are deleted at once.
pub const AUDIT_PRUNE_SEGMENTS_MAX: usize = 16;
/// How long a gateway may have been off, or its clock have been wrong, before nothing is deleted for its age until the next start.
pub const AUDIT_CLOCK_GAP_MAX: Duration = Duration::from_secs(45 * 24 * 3_600);
/// Spans of the audit log that are exempt from deletion.
pub const AUDIT_HOLDS_MAX: usize = 64;
/// How long an export waits for a syslog server: to connect, to take bytes, to close.
pub const AUDIT_EXPORT_TIME_MAX: Duration = Duration::from_secs(10);
/// What a syslog server may say, which has nothing to say.
pub const AUDIT_EXPORT_ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// Different values of one field that the index of an audit segment lists; with more it lists none.
pub const AUDIT_INDEX_VALUES_MAX: usize = 4_096;
/// Bytes of the index of an audit segment; a larger one is not kept.
pub const AUDIT_INDEX_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Destinations named in one record; a command with more is refused.
pub const COMMAND_DESTINATIONS_MAX: usize = 64;
/// Policy decisions that are remembered; each takes some 500 bytes.
pub const POLICY_DECISIONS_MAX: usize = 8_192;
/// Bytes of one destination as policies and records see it; a longer text is cut and matches no rule.
pub const DESTINATION_TEXT_BYTES_MAX: usize = 512;

/// Alarms that may be active at the same time; more are only counted.
pub const ALARMS_MAX: usize = 32_768;
/// Characters of what an alarm says it found.
pub const ALARM_DETAIL_CHARS_MAX: usize = 512;
/// How long what an alarm is about must be well without a break before the alarm is cleared.
pub const ALARM_CALM: Duration = Duration::from_secs(10);
/// How long what an alarm is about must not happen again before the alarm is cleared.
pub const ALARM_QUIET: Duration = Duration::from_secs(120);
/// How often what cannot tell by itself is looked at for alarms.
pub const ALARM_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How far the machine's clock must leave the time that passed between two looks to count as a jump: services that keep it
/// right steer it by less.
pub const CLOCK_JUMP_MIN: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);
/// Active alarms that readiness names; `/alarms` has all of them.
pub const ALARMS_IN_READINESS_MAX: usize = 32;
/// How long before its end a certificate is an alarm.
pub const CERTIFICATE_NOTICE: Duration = Duration::from_secs(14 * 24 * 3_600);
/// Words of one label of metrics that get a series of their own; what comes after them shares one.
pub const METRIC_WORDS_MAX: usize = 24;

/// The name of a network interface (Linux: IFNAMSIZ less its NUL).
pub const INTERFACE_NAME_BYTES_MAX: usize = 15;
/// The highest VLAN tag (IEEE 802.1Q: 4095 is reserved).
pub const VLAN_ID_MAX: u16 = 4094;
/// Addresses of the gateway in one zone.
pub const ZONE_ADDRESSES_MAX: usize = 8;
/// Routes within one zone.
pub const ZONE_ROUTES_MAX: usize = 64;
/// Attempts of one kind that the kernel remembers in one zone; what does not fit is counted in one sum.
pub const ATTEMPTS_PER_SET_MAX: usize = 16_384;
/// How long the kernel remembers an attempt that is not repeated.
pub const ATTEMPT_KEPT_TIME: Duration = Duration::from_secs(3_600);
/// How many addresses a zone may have for its neighbours not to be held back.
pub const NEIGHBOURS_UNBOUNDED_MAX: u128 = 256;
/// How often neighbours of one zone may say where they are; the kernel's table of all namespaces has 1024 places, and
/// takes back those that were not used for five seconds once half are taken (`gc_thresh2`).
pub const NEIGHBOUR_CLAIMS_PER_SECOND: u32 = 100;
/// How many of them may come at once.
pub const NEIGHBOUR_CLAIMS_BURST: u32 = 200;
/// How often one hardware address may, so that the others have room.
pub const NEIGHBOUR_CLAIMS_PER_SOURCE: u32 = 5;
/// How many of one may come at once.
pub const NEIGHBOUR_CLAIMS_PER_SOURCE_BURST: u32 = 10;
/// Hardware addresses of one zone that have a share each.
pub const NEIGHBOUR_SOURCES_MAX: usize = 16_384;
/// How long one that says nothing more is remembered.
pub const NEIGHBOUR_SOURCE_KEPT_TIME: Duration = Duration::from_secs(10);
/// Cameras of one zone that are held to their hardware addresses.
pub const RESIDENTS_PER_ZONE_MAX: usize = 4_096;
/// Cameras of one zone and family whose packets are counted apart: those that are held, and those that were an hour ago.
pub const RESIDENT_COUNTS_PER_SET_MAX: usize = 2 * RESIDENTS_PER_ZONE_MAX;
/// False claims of one kind that the kernel remembers in one zone.
pub const CLAIMS_PER_SET_MAX: usize = 2_048;
/// Interfaces of the core side that are watched.
pub const CORE_INTERFACES_MAX: usize = 64;
/// Hardware addresses on the core side that the kernel counts apart.
pub const CORE_SOURCES_MAX: usize = 16_384;
/// How long it remembers one that says nothing more.
pub const CORE_SOURCE_KEPT_TIME: Duration = Duration::from_secs(300);
/// How often these counts are read.
pub const CORE_READ_INTERVAL: Duration = Duration::from_secs(5);
/// Days after which a table of MAC prefixes is old: makers get new blocks all the time.
pub const MAC_TABLE_DAYS_MAX: i64 = 365;
/// How long a change that is half a sign of another device adds up with the next one.
pub const HALF_SIGN_TIME: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
/// How often devices that were found in zones are judged.
pub const CANDIDATES_JUDGE_INTERVAL: Duration = Duration::from_secs(5);
/// Of these, records of those that are enrolled nowhere in a `SUMMARY_PERIOD`; the rest waits.
pub const DEVICES_FOUND_TOLD_PER_PERIOD_MAX: usize = 16;
/// Devices of a zone that are enrolled nowhere and have alarms of their own in a `SUMMARY_PERIOD`.
pub const STRANGERS_ALARMED_PER_PERIOD_MAX: usize = 8;
/// Restricted devices on the core side that are put on record from one start to the next.
pub const CORE_DEVICES_MAX: usize = 1_024;
/// How often it is looked for hardware addresses of cameras that have none yet.
pub const RESIDENTS_LEARN_INTERVAL: Duration = Duration::from_secs(2);
/// How long `ip` or `nft` may take for one step.
pub const NET_TOOL_TIME_MAX: Duration = Duration::from_secs(20);
/// What `ip` or `nft` may answer: all attempts of one zone, at some 200 bytes each.
pub const NET_TOOL_ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often netd compares each zone with what it should be.
pub const ISOLATION_CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// How often the gateway asks netd what it found.
pub const ISOLATION_ASK_INTERVAL: Duration = Duration::from_secs(1);
/// The same while it does not answer.
pub const ISOLATION_RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// How long a zone counts as isolated after netd said so last.
pub const ISOLATION_WORD_TIME_MAX: Duration = Duration::from_secs(5);
/// Differences that one finding names.
pub const ISOLATION_DIFFERENCES_MAX: usize = 32;
/// Drifts of one zone that netd remembers for a gateway that asks later.
pub const ISOLATION_DRIFTS_MAX: usize = 64;
/// Requests that netd deals with at once.
pub const NETD_REQUESTS_MAX: usize = 32;
/// A request to netd: all residents of one zone.
pub const NETD_REQUEST_BYTES_MAX: usize = 512 * 1024;
/// An answer of netd: all attempts of one zone, and those that rules before had counted.
pub const NETD_ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long netd may take to say how zones stand, which it knows, or who is in one.
pub const NETD_WORD_TIME_MAX: Duration = Duration::from_secs(2);
/// How old netd's last look at a zone may be; what is older says nothing.
pub const ISOLATION_LOOK_AGE_MAX: Duration = Duration::from_secs(10);
/// How long netd may take over a request, a look at all zones included.
pub const NETD_TIME_MAX: Duration = Duration::from_secs(30);

/// Rows of one kind that are told apart while a report is made; the rest is only counted.
pub const REPORT_ROWS_MAX: usize = 20_000;
/// Rows of one table of a report.
pub const REPORT_TOP_ROWS_MAX: usize = 1_000;
/// Destinations that a report names of one camera.
pub const REPORT_DESTINATIONS_PER_DEVICE_MAX: usize = 5;

/// Sets of counters of one zone: of IPv4 and IPv6 in two tables each, and of other frames.
pub const ATTEMPT_SETS: usize = 5;
/// Sets of false claims of one zone.
pub const CLAIM_SETS: usize = 5;
/// Counters of one zone's tripwire that are read: all that fit.
pub const ATTEMPT_ENTRIES_MAX: usize = ATTEMPT_SETS * ATTEMPTS_PER_SET_MAX + CLAIM_SETS * CLAIMS_PER_SET_MAX;
/// Sets of counts of residents of one zone: of IPv4 and IPv6 in two tables each.
pub const RESIDENT_SETS: usize = 4;
/// Counters of one zone that are kept over a restart; if there are more, what they counted is told once more, and marked.
pub const ATTEMPTS_KEPT_MAX: usize = 4_096;
/// False claims of one zone and period that have a record of their own; all are in the exact counts.
pub const CLAIMS_TOLD_PER_PERIOD_MAX: usize = 16;
/// How often they are read, if rules are loaded meanwhile, before that is given up.
pub const ATTEMPTS_READ_TRIES_MAX: usize = 3;
/// Rules of one zone that are gone, and of which it is remembered what they counted.
pub const RULES_BEFORE_MAX: usize = 4;
/// How often the tripwire's counters are read; a reading that takes long makes the next wait for ten times as long.
pub const ATTEMPTS_READ_INTERVAL: Duration = Duration::from_secs(2);
/// How often it is looked for zones that should be given names and time, and for what they asked.
pub const ZONE_SERVICES_INTERVAL: Duration = Duration::from_millis(500);
/// Bytes of a message to the zone's name server or clock that are read.
pub const ZONE_MESSAGE_BYTES_MAX: usize = 1_500;
/// How long the same is summed up before it is told again.
pub const SUMMARY_PERIOD: Duration = Duration::from_secs(60);
/// Sources of a zone that are told apart.
pub const SUMMARY_SOURCES_MAX: usize = 16_384;
/// What they did that is counted apart in one period, all together.
pub const SUMMARY_KEYS_MAX: usize = 262_144;
/// Lines of one zone and period: one for a source.
pub const SUMMARY_LINES_MAX: usize = 64;
/// Of these, lines that do not wait for the end of the period, for what is seen the first time.
pub const SUMMARY_AT_ONCE_MAX: usize = 32;
/// What one line names; more is only counted.
pub const SUMMARY_KEYS_PER_LINE_MAX: usize = 12;
/// Sources that one line for all others names, each with its count.
pub const SUMMARY_OTHERS_PER_LINE_MAX: usize = 90;
/// Sources that such lines of one period name; of more only the sum is told.
pub const SUMMARY_OTHERS_MAX: usize = 10 * SUMMARY_OTHERS_PER_LINE_MAX;
/// What is remembered of one source, so that it is news only once.
pub const SUMMARY_KNOWN_PER_SOURCE_MAX: usize = 64;
/// Questions for names, or for the time, of one source that are answered within a second.
pub const ZONE_ANSWERS_PER_SECOND_MAX: u32 = 20;
/// Characters of a name that a camera asks for.
pub const DNS_NAME_CHARS_MAX: usize = 255;

/// Messages a simulated camera remembers; the oldest go first.
pub const SIM_LOG_MESSAGES_MAX: usize = 16_384;
/// Items of one list of a simulated camera (profiles, presets, pull points …).
pub const SIM_ITEMS_MAX: usize = 64;
/// Nonces a simulated camera remembers, of digest and of tokens each.
pub const SIM_NONCES_MAX: usize = 512;
/// Connections to one simulated camera.
pub const SIM_CONNECTIONS_MAX: usize = 64;
/// The file of support information of a simulated camera: more than any answer may have.
pub const SIM_SUPPORT_FILE_BYTES: usize = 32 * 1024 * 1024;
/// A file for a simulated camera.
pub const SIM_UPLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest wait of a simulated camera's PullMessages.
pub const SIM_PULL_TIME_MAX: Duration = Duration::from_secs(60);
/// Events that a simulated camera remembers for whoever is slow.
pub const SIM_EVENTS_MAX: usize = 4_096;
/// How long a simulated camera waits for a consumer to take a notification.
pub const SIM_NOTIFY_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a simulated camera that trickles waits between two bytes.
pub const SIM_TRICKLE_TIME: Duration = Duration::from_secs(1);

const _: () = assert!(ISOLATION_ASK_INTERVAL.as_secs() + ISOLATION_CHECK_INTERVAL.as_secs() < 5);
// An entry takes up to 220 bytes of JSON, a resident's count 100.
const _: () = assert!(
    // Those of the rules that are gone have together no more than one set of rules can.
    2 * ATTEMPT_ENTRIES_MAX * 220
        + (1 + RULES_BEFORE_MAX) * RESIDENT_SETS * RESIDENT_COUNTS_PER_SET_MAX * 100
        < NETD_ANSWER_BYTES_MAX
);
const _: () = assert!(SUMMARY_AT_ONCE_MAX < SUMMARY_LINES_MAX);
// An address takes 39 characters at most, its two counts 20 each, and seven signs are around them.
const _: () = assert!(SUMMARY_OTHERS_PER_LINE_MAX * (39 + 20 + 20 + 7) < AUDIT_ARGUMENTS_BYTES_MAX);
// A resident takes up to 90 bytes of JSON.
const _: () = assert!(RESIDENTS_PER_ZONE_MAX * 90 + 1_024 < NETD_REQUEST_BYTES_MAX);
const _: () = assert!(5 * NEIGHBOUR_CLAIMS_PER_SECOND + NEIGHBOUR_CLAIMS_BURST < 1_024);
const _: () = assert!(
    IDENTITY_LOOK_INTERVAL.as_secs() * IDENTITY_SERIES_LOOKS_MAX as u64 >= IDENTITY_SERIES_TIME_MAX.as_secs()
);
// Whoever waits at the control socket hears what came of a reading.
const _: () = assert!(
    BASELINE_READING_TIME_MAX.as_secs() + ERRAND_WAIT_MAX.as_secs() < CONTROL_REPLY_TIME_MAX.as_secs()
);
const _: () = assert!(XML_TEXT_BYTES_MAX <= SOAP_ANSWER_BYTES_MAX);
const _: () = assert!(XML_MENDED_BYTES_MAX <= SOAP_ANSWER_BYTES_MAX);
const _: () = assert!(RTSP_FIELD_BYTES_MAX < RTSP_HEAD_BYTES_MAX);
const _: () = assert!(SDP_BYTES_MAX <= RTSP_ANSWER_BODY_BYTES_MAX);
const _: () = assert!(2 * STREAM_GROUP_BYTES_MAX <= STREAM_QUEUE_BYTES_MAX);
const _: () = assert!(AUDIT_ARGUMENTS_BYTES_MAX < AUDIT_LINE_BYTES_MAX);
const _: () = assert!(AUDIT_PROOF_BYTES_MAX > AUDIT_LINE_BYTES_MAX * 4 / 3 + 64 * 45 + 1_024);
const _: () = assert!(AUDIT_REPLAY_WINDOW.as_secs() >= 2 * WSSE_CREATED_SKEW_MAX.as_secs());
// What is told once a minute must not end an alarm in between.
const _: () = assert!(ALARM_QUIET.as_secs() >= 2 * NOISE_PERIOD.as_secs());
const _: () = assert!(TRANSFERS_PER_CAMERA_MAX < CAMERA_EXCHANGES_MAX);
const _: () = assert!(PICTURES_KEPT_BYTES_MAX / 1024 <= PICTURES_KEPT_ALL_KIB_MAX);
const _: () = assert!(PICTURE_AGE_MAX.as_secs() <= LATEST_PICTURE_AGE_MAX.as_secs());
const _: () = assert!(CONNECTIONS_PER_CAMERA_MAX < CONNECTIONS_MAX);
const _: () = assert!(CONNECTIONS_PER_SOURCE_MAX < CONNECTIONS_PER_CAMERA_MAX);
const _: () = assert!(CONNECTIONS_SHARED_MAX < CONNECTIONS_MAX);
const _: () = assert!(CONNECTIONS_SHARED_PER_SOURCE_MAX < CONNECTIONS_SHARED_MAX);
const _: () = assert!(COMMANDS_PER_CAMERA_MAX < CONNECTIONS_PER_SOURCE_MAX);
const _: () = assert!(COMMANDS_PER_SILENT_CAMERA_MAX < COMMANDS_OF_ONE_PER_CAMERA_MAX);
const _: () = assert!(COMMANDS_OF_ONE_PER_CAMERA_MAX < COMMANDS_PER_CAMERA_MAX);
const _: () = assert!(0 < STOPS_OF_ONE_PER_CAMERA_MAX && STOPS_OF_ONE_PER_CAMERA_MAX < STOPS_PER_CAMERA_MAX);
const _: () = assert!(COMMANDS_PER_CLIENT_MAX + COMMANDS_ANONYMOUS_MAX <= AUDIT_QUEUE_RECORDS_MAX / 2);
const _: () = assert!(COMMANDS_ANONYMOUS_PER_SOURCE_MAX < COMMANDS_ANONYMOUS_MAX);
const _: () = assert!(COMMANDS_PER_CAMERA_MAX < COMMANDS_PER_CLIENT_MAX);
const _: () = assert!(STREAM_CONNECTIONS_PER_SOURCE_MAX < STREAM_CONNECTIONS_MAX);
const _: () = assert!(TUNNEL_RENEWAL_TIME_MAX.as_secs() > STREAM_SESSION_TIMEOUT.as_secs());
const _: () = assert!(STREAM_STRANGERS_PER_SOURCE_MAX < STREAM_STRANGERS_PER_CAMERA_MAX);
const _: () = assert!(STREAM_STRANGERS_PER_CAMERA_MAX < STREAM_VIEWERS_PER_CAMERA_MAX);
const _: () = assert!(STREAM_VIEWERS_PER_CLIENT_MAX < STREAM_VIEWERS_PER_CAMERA_MAX);
const _: () = assert!(LOGINS_FAILED_PER_NAME_MAX < LOGINS_FAILED_PER_SOURCE_MAX);
const _: () = assert!(ANONYMOUS_LINES_PER_SOURCE < ANONYMOUS_LINES_PER_SOURCE_MAX);
const _: () = assert!(ANONYMOUS_ASKS_PER_CAMERA_MAX < CAMERA_EXCHANGES_MAX);
const _: () = assert!(CAMERA_EXCHANGE_TIME_MAX.as_secs() < CAMERA_INTRODUCTION_TIME_MAX.as_secs());
const _: () = assert!(CAMERA_EXCHANGE_TIME_MAX.as_secs() < DRAIN_TIME_MAX.as_secs());
const _: () = assert!(
    CAMERA_CONNECT_TIME_MAX.as_secs() + CAMERA_TLS_TIME_MAX.as_secs() < CAMERA_EXCHANGE_TIME_MAX.as_secs()
);
const _: () = assert!(
    CAMERA_LOGIN_FIRST_PAUSE.as_secs() + CAMERA_LOGIN_SECOND_PAUSE.as_secs()
        >= CAMERA_BOOT_TIME_MAX.as_secs()
);
