//! Bounds of streams and recordings: RTSP on both sides, RTP, and session descriptions.

use std::time::Duration;

/// First line of an RTSP message.
pub const RTSP_REQUEST_LINE_BYTES_MAX: usize = 2 * 1024;
/// One line of an RTSP head.
pub const RTSP_FIELD_BYTES_MAX: usize = 4 * 1024;
/// Fields of an RTSP message.
pub const RTSP_FIELDS_MAX: usize = 64;
/// First line and fields of an RTSP message.
pub const RTSP_HEAD_BYTES_MAX: usize = 16 * 1024;
/// Body of an RTSP request: parameters, or nothing.
pub const RTSP_REQUEST_BODY_BYTES_MAX: usize = 4 * 1024;
/// Body of a camera's RTSP answer: a session description.
pub const RTSP_ANSWER_BODY_BYTES_MAX: usize = 128 * 1024;
/// Line ends and padding between two RTSP messages.
pub const RTSP_STRAY_BYTES_MAX: usize = 1_024;
/// Transports, or streams, of one RTSP field that are looked at.
pub const RTSP_TRANSPORTS_MAX: usize = 16;
/// Bytes of an RTSP session's name.
pub const RTSP_SESSION_BYTES_MAX: usize = 128;
/// One RTP or RTCP packet of a camera. Over TCP some send up to 64 KiB.
pub const RTP_PACKET_BYTES_MAX: usize = 16 * 1024;
/// Sequence numbers that may be missing between two packets of a stream; beyond it the numbering began anew.
pub const RTP_SEQUENCE_STEP_MAX: u16 = 3_000;
/// How far a packet may be behind the last to be one that was overtaken on the way (RFC 3550 §A.1, `MAX_MISORDER`).
pub const RTP_LATE_STEP_MAX: u16 = 100;
/// How often numbering or source of one stream may begin anew before nothing more of it is heard.
pub const STREAM_RESYNCS_MAX: u32 = 64;
/// Packets in order after which one new beginning of numbering or source is forgotten.
pub const STREAM_RESYNC_FORGIVEN_PACKETS: u32 = 1_000;
/// Packets in a row of another source than the camera announced and was heard with, after which it has another.
pub const STREAM_OTHER_SOURCE_PACKETS_MAX: u32 = 100;
/// Packets that a camera may send in a second of one stream, passed or not: more is a flood, which ends the session.
/// Of 1,400 bytes they are 560 Mbit/s.
pub const STREAM_PACKETS_PER_SECOND_MAX: u64 = 50_000;
/// Bytes that a camera may send in a second of one stream: 800 Mbit/s.
pub const STREAM_BYTES_PER_SECOND_MAX: u64 = 100_000_000;
/// Bytes of metadata that a camera may send in a second: each is read and written anew.
pub const METADATA_BYTES_PER_SECOND_MAX: u64 = 2 * 1024 * 1024;
/// How often in turn a camera may send on to another address of its own.
pub const STREAM_REDIRECTS_MAX: usize = 3;
/// Bytes that are read of a camera's stream at once.
pub const STREAM_READ_BYTES: usize = 64 * 1024;
/// How often a camera that plays is told what came of it, at the earliest: it is looked once a second. Some end a session
/// in which they hear nothing for five seconds; the reduced minimum of RFC 3550 §6.2 is below that for pictures.
pub const STREAM_REPORT_INTERVAL: Duration = Duration::from_millis(3_500);
/// How long a camera that plays may say nothing.
pub const STREAM_SILENCE_MAX: Duration = Duration::from_secs(15);
/// Runs of packets that wait while a camera's answer is waited for.
pub const STREAM_WAITING_PACKETS_MAX: usize = 4_096;
/// What they may hold: with a recording, what its camera had sent before it heard the question.
pub const STREAM_WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes that wait for one viewer. A key frame that is larger passes alone.
pub const STREAM_QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long the oldest of them may wait.
pub const STREAM_QUEUE_AGE_MAX: Duration = Duration::from_secs(2);
/// Bytes of a live stream that are on their way to one viewer and not sent yet, with the connection and with the kernel
/// each: what waits there cannot be given up any more.
pub const STREAM_UNSENT_BYTES_MAX: usize = 128 * 1024;
/// Bytes of a stream that are kept since its last key frame, for viewers who begin there. They go into a viewer's queue,
/// together with what comes meanwhile.
pub const STREAM_GROUP_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The time since that key frame.
pub const STREAM_GROUP_TIME_MAX: Duration = Duration::from_secs(10);
/// How often a camera is asked for a key frame of one stream at most, where the configuration has it asked.
pub const STREAM_KEY_FRAME_INTERVAL: Duration = Duration::from_secs(1);
/// How long a stream plays on that nobody watches.
pub const STREAM_LINGER: Duration = Duration::from_secs(5);
/// How long a camera that was told goodbye is waited for to go, too.
pub const STREAM_GOODBYE_TIME_MAX: Duration = Duration::from_secs(1);
/// What it may send meanwhile: more than was on its way.
pub const STREAM_GOODBYE_BYTES_MAX: usize = 1024 * 1024;
/// How long a stream that was described waits for being played.
pub const STREAM_DESCRIBED_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a viewer's session that does not play lives without a sign of life.
pub const STREAM_SESSION_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a client's session may go without a stream under way, whatever signs of life it gives.
pub const STREAM_UNPLAYED_TIME_MAX: Duration = Duration::from_secs(600);
/// How often the log is told that a stream goes on.
pub const STREAM_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(60);
/// After how many bytes it is told before that.
pub const STREAM_HEARTBEAT_BYTES: u64 = 100 * 1024 * 1024;
/// Questions to one recording of one viewer whose packets are told apart.
pub const REPLAY_PLAYS_REMEMBERED_MAX: usize = 16;
/// What one viewer of a recording is still to be sent; with more, the camera is not read.
pub const REPLAY_QUEUE_BYTES_MAX: usize = 1024 * 1024;
/// A session with a recording in which nothing comes and whose viewer gives no sign of life ends after this.
pub const REPLAY_IDLE_MAX: Duration = Duration::from_secs(600);
/// Sessions with recordings of one camera. Cameras have few.
pub const REPLAYS_PER_CAMERA_MAX: usize = 8;
/// One document of metadata of a stream, unpacked. The standard sets no bound.
pub const METADATA_BYTES_MAX: usize = 1024 * 1024;
/// Payload of a packet of metadata of ours, below the MTU of Ethernet.
pub const METADATA_PACKET_BYTES_MAX: usize = 1_400;
/// Sound in one packet of a client who talks.
pub const TALK_PACKET_BYTES_MAX: usize = 4 * 1024;
/// Sound that one client may say in a second: uncompressed speech and room for bursts.
pub const TALK_BYTES_PER_SECOND_MAX: usize = 64 * 1024;
/// Packets of a client that wait for a camera.
pub const TALK_QUEUE_PACKETS_MAX: usize = 64;
/// Packets said to a simulated camera that it remembers.
pub const SIM_SAID_PACKETS_MAX: usize = 256;
/// Connections of the RTSP listener whose camera is not known yet.
pub const STREAM_CONNECTIONS_MAX: usize = 256;
/// As long as there are fewer, one from where no client may log in finds a place, too.
pub const STREAM_CONNECTIONS_OF_STRANGERS_MAX: usize = STREAM_CONNECTIONS_MAX / 2;
/// Of these, connections of one source.
pub const STREAM_CONNECTIONS_PER_SOURCE_MAX: usize = 64;
/// Requests of such a connection that are answered.
pub const STREAM_FIRST_REQUESTS_MAX: usize = 8;
/// Bytes of what the two connections of an RTSP tunnel have in common.
pub const TUNNEL_COOKIE_BYTES_MAX: usize = 128;
/// How long the first connection of a tunnel waits for the second.
pub const TUNNEL_PAIR_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a tunnel lives without its second connection: longer than its client may wait with a sign of life, for which it
/// makes a new one.
pub const TUNNEL_RENEWAL_TIME_MAX: Duration = Duration::from_secs(70);
/// Text that is read of a tunnel at once.
pub const TUNNEL_READ_BYTES: usize = 2 * 1024;
/// One frame of a client's in a WebSocket: nothing that a client may say is larger.
pub const WEBSOCKET_FRAME_BYTES_MAX: usize = 128 * 1024;
/// Bytes that are read of a WebSocket at once.
pub const WEBSOCKET_READ_BYTES: usize = 2 * 1024;
/// Answers to pings that wait to be sent.
pub const WEBSOCKET_REPLIES_BYTES_MAX: usize = 1_024;
/// How long an answer to PLAY waits for the first packets, to name them.
pub const STREAM_POSITION_TIME_MAX: Duration = Duration::from_millis(300);
/// Streams of one camera that are described or play, each over a connection of its own.
pub const STREAMS_PER_CAMERA_MAX: usize = 16;
/// Viewers of one camera.
pub const STREAM_VIEWERS_PER_CAMERA_MAX: usize = 64;
/// Those of them that one client may have: some are left for others, however many it opens.
pub const STREAM_VIEWERS_PER_CLIENT_MAX: usize = 56;
/// As long as there are fewer on which nobody was let in yet, one from where no client may log in finds a place, too. Of
/// a source that some client may log in from, there are no more of them than this.
pub const STREAM_STRANGERS_PER_CAMERA_MAX: usize = 48;
/// Such connections of one source that no client may log in from.
pub const STREAM_STRANGERS_PER_SOURCE_MAX: usize = 16;
/// Least port that a viewer may have packets sent to: those below are of services.
pub const STREAM_VIEWER_PORT_MIN: u16 = 1_024;
/// How often two free ports in a row are looked for.
pub const STREAM_PORT_TRIES_MAX: usize = 32;
/// Datagrams that are taken of one socket at one look, or sent to one at once.
pub const STREAM_DATAGRAMS_AT_ONCE_MAX: usize = 64;
/// How far a datagram of a camera may be ahead of one that is missing, to wait for it; so many wait.
pub const STREAM_REORDER_PACKETS_MAX: u16 = 64;
/// Bytes of one stream that wait so.
pub const STREAM_REORDER_BYTES_MAX: usize = 256 * 1024;
/// How long one waits so: longer than packets of one picture overtake each other on a local network.
pub const STREAM_REORDER_TIME_MAX: Duration = Duration::from_millis(50);
/// Bytes that the kernel keeps of a camera's datagrams, as far as it grants them.
pub const STREAM_RECEIVE_BUFFER_BYTES: usize = 1024 * 1024;
/// Of a viewer's report in a datagram no more is taken.
pub const STREAM_REPORT_BYTES_MAX: usize = 1_500;
/// Reports taken at one look.
pub const STREAM_REPORTS_AT_ONCE_MAX: usize = 32;
/// One session description.
pub const SDP_BYTES_MAX: usize = 64 * 1024;
/// Lines of one session description.
pub const SDP_LINES_MAX: usize = 1_024;
/// Streams of one session description.
pub const SDP_MEDIA_MAX: usize = 32;
/// A control address of one stream.
pub const SDP_CONTROL_BYTES_MAX: usize = 512;
/// One parameter of a codec; the parameter sets of H.265 are the longest.
pub const SDP_PARAMETER_BYTES_MAX: usize = 2 * 1024;
/// The name of an encoding; the longest that is registered has 31.
pub const SDP_ENCODING_NAME_BYTES_MAX: usize = 40;
/// Encodings of one session description that are told not to pass.
pub const SDP_LEFT_OUT_MAX: usize = 16;
