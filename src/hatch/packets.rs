//! The verifier of media: frames of a camera's RTSP connection → frames of the gateway's own.
//!
//! Packets are checked and made the gateway's own in place (channel, source, extensions), so that a run of good ones
//! is handed on without a copy. Reports are written anew. What is checked are headers and structure; that a
//! decoder survives the payload is not claimed.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};

use super::{
    metadata::{Assembly, Screen, Taken},
    reception::Heard,
    replayed::{self, Plays},
};
use crate::{
    limits::{
        RTP_LATE_STEP_MAX, RTP_SEQUENCE_STEP_MAX, STREAM_OTHER_SOURCE_PACKETS_MAX,
        STREAM_RESYNC_FORGIVEN_PACKETS, STREAM_RESYNCS_MAX,
    },
    rtsp::{
        Codec, FRAME_HEAD_BYTES, JPEG_EXTENSIONS, Media, MediaKind, REPLAY_EXTENSION, Reception, Rtcp,
        RtpError, RtpHeader, SenderReport, Ssrc, receiver_report, write_frame, write_goodbye,
    },
};

/// One stream of a session, as its packets are judged.
#[derive(Debug)]
struct Track {
    /// Whether it is of pictures.
    pictures: bool,
    /// Payload types that the description declared, with their codecs and how fast their timestamps go.
    formats: Vec<(u8, Codec, u32)>,
    /// The source that viewers see.
    own: Ssrc,
    /// The source that the camera said it would have, and how many packets of others came in a row since it was heard.
    announced: Option<(Ssrc, u32)>,
    /// The camera's source, pinned by the first packet, and its last sequence number and timestamp.
    pinned: Option<(Ssrc, u16, u32)>,
    /// Number and timestamp of its first packet.
    first: Option<(u16, u32)>,
    /// Whether the access unit under way was said to be one that a decoder can begin with.
    keyed: bool,
    resyncs: u32,
    /// Packets since numbering or source began anew last, or since that was forgiven.
    calm: u32,
    packets: u32,
    octets: u32,
    /// Of metadata, the document under way.
    document: Assembly,
    /// Its source has said goodbye, and nothing has come since.
    gone: bool,
    /// How well it is heard.
    heard: Heard,
}

/// What was dropped or noticed, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PacketCounts {
    /// Packets that passed.
    pub passed: u64,
    /// Bytes of frames that passed.
    pub bytes: u64,
    /// Bytes of frames that did not.
    pub dropped_bytes: u64,
    /// Packets on channels that were not set up.
    pub channel: u64,
    /// Packets that are no RTP or RTCP as it must be.
    pub malformed: u64,
    /// Packets of a payload type that was not declared.
    pub payload_type: u64,
    /// Packets of another source than the camera announced and was heard with, or than the pinned one, once it had changed
    /// too often.
    pub source: u64,
    /// Packets of RTCP that hold no sender report, or that of another source: reports of our own stand in for none.
    pub reports: u64,
    /// Documents of metadata that did not pass.
    pub documents: u64,
    /// Bytes of metadata that were looked into, passed or not.
    pub read: u64,
    /// Header extensions that were taken out.
    pub extensions: u64,
    /// Packets missing between two that came, as sequence numbers say, those that came late among them.
    pub missing: u64,
    /// Packets that came after one that follows them.
    pub late: u64,
    /// Datagrams that came when what follows them had been handed on, or came twice: they do not pass, and if they had
    /// been missing, stay so.
    pub overtaken: u64,
    /// Times at which numbering or source began anew.
    pub resyncs: u64,
    /// Times at which a source said goodbye.
    pub byes: u64,
}

impl PacketCounts {
    /// Packets that did not pass.
    pub fn dropped(&self) -> u64 {
        let judged = self.channel + self.malformed + self.payload_type + self.source;
        judged + self.reports + self.documents + self.overtaken
    }

    /// What happened since then.
    pub fn since(&self, then: &Self) -> Self {
        let more = |of: fn(&Self) -> u64| of(self).saturating_sub(of(then));
        Self {
            passed: more(|it| it.passed),
            bytes: more(|it| it.bytes),
            dropped_bytes: more(|it| it.dropped_bytes),
            channel: more(|it| it.channel),
            malformed: more(|it| it.malformed),
            payload_type: more(|it| it.payload_type),
            source: more(|it| it.source),
            reports: more(|it| it.reports),
            documents: more(|it| it.documents),
            read: more(|it| it.read),
            extensions: more(|it| it.extensions),
            missing: more(|it| it.missing),
            late: more(|it| it.late),
            overtaken: more(|it| it.overtaken),
            resyncs: more(|it| it.resyncs),
            byes: more(|it| it.byes),
        }
    }

    /// Packets that did not come at all.
    pub fn lost(&self) -> u64 {
        self.missing.saturating_sub(self.late)
    }
}

/// A run of whole frames, channels `2n` (RTP) and `2n + 1` (RTCP) for the stream `n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The frames.
    pub bytes: Bytes,
    /// Where access units of the leading stream begin in it.
    pub units: Vec<UnitStart>,
}

/// Sequence number and timestamp of a stream's first packet; and the number after its last, with that one's timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positions {
    /// Of the first.
    pub first: (u16, u32),
    /// After the last.
    pub next: (u16, u32),
}

/// Where an access unit begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitStart {
    /// Byte of the segment at which its first frame begins.
    pub at: usize,
    /// Whether a decoder can begin with it.
    pub key: bool,
}

/// Judges the packets of one session.
#[derive(Debug)]
pub struct Packets {
    tracks: Vec<Track>,
    /// The stream of each of the camera's channels, and whether it is RTCP.
    channels: Vec<(u8, usize, bool)>,
    /// The stream whose access units viewers are joined and skipped at: the first with pictures that comes. Where none
    /// does, it is done anywhere.
    leading: Option<usize>,
    /// How metadata is judged; without it none passes.
    screen: Option<Arc<Screen>>,
    /// What was asked of a recording; none if the stream is live.
    plays: Option<Plays>,
    /// When what is taken came, in monotonic time.
    now: Duration,
    /// What happened so far.
    pub counts: PacketCounts,
}

/// Where a packet stands in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It begins an access unit.
    Begins,
    /// It is of the one under way.
    GoesOn,
    /// It was overtaken.
    Late,
}

/// What one look at a frame came to.
enum Judged {
    /// It passes as it now stands in the buffer, perhaps as the first of an access unit.
    Passes(Option<bool>),
    /// It passes without so many bytes at its front, which were an extension.
    Shortened(usize, Option<bool>),
    /// In its place stand these frames, so many, perhaps the first of an access unit.
    Replaced(Vec<u8>, u64, Option<bool>),
    /// Nothing of it passes by itself.
    Kept,
    Dropped,
}

impl Packets {
    /// For streams with these descriptions; each is seen by viewers as the source beside it.
    pub fn new(media: &[(&Media, Ssrc)]) -> Self {
        let track = |(media, own): &(&Media, Ssrc)| Track {
            pictures: media.kind == MediaKind::Video,
            formats: media.formats.iter().map(|it| (it.payload_type, it.codec, it.clock_rate)).collect(),
            own: *own,
            announced: None,
            pinned: None,
            first: None,
            keyed: false,
            resyncs: 0,
            calm: 0,
            packets: 0,
            octets: 0,
            document: Assembly::default(),
            gone: false,
            heard: Heard::default(),
        };
        Self {
            tracks: media.iter().map(track).collect(),
            channels: Vec::new(),
            leading: None,
            screen: None,
            plays: None,
            now: Duration::ZERO,
            counts: PacketCounts::default(),
        }
    }

    /// Says on which channels a stream comes.
    pub fn on_channels(&mut self, track: usize, (rtp, rtcp): (u8, u8)) {
        self.channels.push((rtp, track, false));
        self.channels.push((rtcp, track, true));
        let pictures = |number: &usize| self.tracks.get(*number).is_some_and(|it| it.pictures);
        self.leading = self.channels.iter().map(|it| it.1).filter(pictures).min();
    }

    /// Says which source a stream has, as far as the camera is to be believed.
    pub fn announce(&mut self, track: usize, source: Ssrc) {
        if let Some(track) = self.tracks.get_mut(track) {
            track.announced = Some((source, 0));
        }
    }

    /// Whether viewers are joined and skipped at what comes of this stream.
    fn leads(&self, track: usize) -> bool {
        self.leading.is_none_or(|leading| leading == track)
    }

    /// Lets metadata pass that this screen lets through.
    pub fn screened(mut self, screen: &Arc<Screen>) -> Self {
        self.screen = Some(Arc::clone(screen));
        self
    }

    /// A part of a recording comes from now on, asked of the camera under one number and by the viewer under another.
    pub fn replay(&mut self, camera: u32, viewer: u32) {
        // The extension has room for the low byte.
        self.plays.get_or_insert_default().begin((camera & 0xff) as u8, (viewer & 0xff) as u8);
        for track in &mut self.tracks {
            track.resyncs = 0;
            // What is left of another part is told apart by its number.
            track.announced = None;
        }
    }

    /// How far each stream is; none of one of which nothing came.
    pub fn positions(&self) -> impl Iterator<Item = Option<Positions>> + '_ {
        self.tracks.iter().map(|track| {
            let (_, sequence, timestamp) = track.pinned?;
            // Documents that are written anew are numbered anew.
            let next = track.document.own_next().unwrap_or(sequence.wrapping_add(1));
            Some(Positions { first: track.first?, next: (next, timestamp) })
        })
    }

    /// Whether every source that sent anything has said goodbye, and nothing has come since.
    pub fn have_ended(&self) -> bool {
        let mut heard = self.tracks.iter().filter(|track| track.pinned.is_some()).peekable();
        heard.peek().is_some() && heard.all(|track| track.gone)
    }

    /// Whether packets of a stream have other numbers by now than the camera's.
    pub fn is_renumbered(&self, stream: usize) -> bool {
        self.tracks.get(stream).is_some_and(|track| track.document.own_next().is_some())
    }

    /// Says when what is taken from now on came, in monotonic time.
    pub fn come_at(&mut self, now: Duration) {
        self.now = now;
    }

    /// How well a stream is heard since this was asked last, for its camera; none of one of which nothing came.
    pub fn reception(&mut self, stream: usize, now: Duration) -> Option<Reception> {
        let track = self.tracks.get_mut(stream)?;
        let (source, ..) = track.pinned?;
        Some(track.heard.report(source, now))
    }

    /// Takes whole frames off the front of a buffer, up to what is none.
    pub fn take(&mut self, buffer: &mut BytesMut) -> Vec<Segment> {
        let came = buffer.len();
        let mut segments = Vec::new();
        let (mut run, mut units) = (0, Vec::new());
        while let Some(length) = frame_length(buffer.get(run..).unwrap_or_default()) {
            let Some(frame) = buffer.get_mut(run..run + length) else { break };
            match self.judge(frame) {
                Judged::Passes(unit) => {
                    units.extend(unit.map(|key| UnitStart { at: run, key }));
                    run += length;
                    self.counts.passed += 1;
                    self.counts.bytes += length as u64;
                }
                Judged::Shortened(gone, unit) => {
                    cut(buffer, &mut run, &mut units, &mut segments);
                    buffer.advance(gone);
                    units.extend(unit.map(|key| UnitStart { at: 0, key }));
                    run = length - gone;
                    self.counts.passed += 1;
                    self.counts.bytes += run as u64;
                }
                Judged::Replaced(bytes, frames, unit) => {
                    cut(buffer, &mut run, &mut units, &mut segments);
                    buffer.advance(length);
                    self.counts.passed += frames;
                    self.counts.bytes += bytes.len() as u64;
                    let units = unit.map(|key| UnitStart { at: 0, key }).into_iter().collect();
                    segments.push(Segment { bytes: bytes.into(), units });
                }
                judged @ (Judged::Kept | Judged::Dropped) => {
                    if matches!(judged, Judged::Dropped) {
                        self.counts.dropped_bytes += length as u64;
                    }
                    cut(buffer, &mut run, &mut units, &mut segments);
                    buffer.advance(length);
                }
            }
        }
        cut(buffer, &mut run, &mut units, &mut segments);
        // A run keeps all that it came with for as long as somebody waits for it. Where most of that was dropped, it is
        // kept alone: who counts the bytes of runs would be far off otherwise.
        let kept: usize = segments.iter().map(|it| it.bytes.len()).sum();
        if kept < (came - buffer.len()) / 2 {
            segments.iter_mut().for_each(|it| it.bytes = Bytes::copy_from_slice(&it.bytes));
        }
        segments
    }

    fn judge(&mut self, frame: &mut [u8]) -> Judged {
        let Some((head, packet)) = frame.split_first_chunk_mut::<FRAME_HEAD_BYTES>() else {
            return Judged::Dropped;
        };
        let [_, channel, ..] = head;
        let Some((_, place, rtcp)) = self.channels.iter().find(|it| it.0 == *channel).copied() else {
            self.counts.channel += 1;
            return Judged::Dropped;
        };
        let leads = self.leads(place);
        let Some(track) = self.tracks.get_mut(place) else { return Judged::Dropped };
        // There are at most `SDP_MEDIA_MAX` streams.
        *channel = (place * 2 + usize::from(rtcp)) as u8;
        let channel = *channel;
        if rtcp {
            return self.judge_report((place, channel), packet);
        }
        let header = match RtpHeader::parse(packet) {
            Ok(header) => header,
            Err(
                RtpError::Short
                | RtpError::Long
                | RtpError::Version
                | RtpError::Contributors
                | RtpError::Padding,
            ) => {
                self.counts.malformed += 1;
                return Judged::Dropped;
            }
        };
        let found = track.formats.iter().find(|it| it.0 == header.payload_type).copied();
        let Some((_, codec, rate)) = found else {
            self.counts.payload_type += 1;
            return Judged::Dropped;
        };
        let Some(step) = track.follow(&header, &mut self.counts) else {
            self.counts.source += 1;
            return Judged::Dropped;
        };
        if step == Step::Begins {
            track.heard.arrived(header.timestamp, rate, self.now);
        }
        if is_document(codec) {
            return self.judge_document((place, channel), (&header, codec), packet);
        }
        if let Some(source) = packet.get_mut(8..12) {
            source.copy_from_slice(&track.own.0.to_be_bytes());
        }
        let payload = packet.get(header.payload_start..header.payload_end).unwrap_or_default();
        track.count(payload.len());
        let unit = if leads { track.unit(step, codec, payload) } else { None };
        let Some((profile, (start, end))) = header.extension else { return Judged::Passes(unit) };
        let kept = match (profile, &self.plays) {
            (REPLAY_EXTENSION, Some(plays)) => {
                packet.get_mut(start..end).and_then(|data| replayed::rewrite(data, codec, plays))
            }
            (profile, _) if codec == Codec::Jpeg && JPEG_EXTENSIONS.contains(&profile) => Some(end - start),
            _ => None,
        };
        if kept == Some(end - start) {
            return Judged::Passes(unit);
        }
        self.counts.extensions += 1;
        match without_extension(frame, (start, end), kept) {
            Some(gone) => Judged::Shortened(gone, unit),
            None => Judged::Dropped,
        }
    }

    /// Takes a packet of reports: one of ours stands in its place.
    fn judge_report(&mut self, (place, channel): (usize, u8), packet: &[u8]) -> Judged {
        let Some(track) = self.tracks.get_mut(place) else { return Judged::Dropped };
        let count = match report(track, packet, self.now) {
            Ok(Some((report, bye))) => {
                track.gone |= bye;
                self.counts.byes += u64::from(bye);
                return Judged::Replaced(framed(channel, [&*report]), 1, None);
            }
            Ok(None) => &mut self.counts.reports,
            Err(_) => &mut self.counts.malformed,
        };
        *count += 1;
        Judged::Dropped
    }

    /// Takes a packet of metadata: with the last, the document's packets stand in its place.
    fn judge_document(
        &mut self,
        (place, channel): (usize, u8),
        head: (&RtpHeader, Codec),
        packet: &mut [u8],
    ) -> Judged {
        let leads = self.leads(place);
        let Some(track) = self.tracks.get_mut(place) else { return Judged::Dropped };
        self.counts.read += packet.len() as u64;
        match document(track, self.screen.as_deref(), self.plays.as_ref(), head, packet) {
            Taken::Part => Judged::Kept,
            Taken::Refused(reason) => {
                tracing::debug!(%reason, "a document of metadata does not pass");
                self.counts.documents += 1;
                Judged::Dropped
            }
            Taken::Whole(packets) => {
                let frames = framed(channel, packets.iter().map(|it| &**it));
                Judged::Replaced(frames, packets.len() as u64, leads.then_some(true))
            }
        }
    }
}

impl Track {
    /// Counts a packet with so much payload, for reports.
    fn count(&mut self, octets: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(u32::try_from(octets).unwrap_or_default());
    }

    /// Keeps up with the camera's numbering: where the packet stands; none if it is of a source that is not heard any
    /// more.
    fn follow(&mut self, header: &RtpHeader, counts: &mut PacketCounts) -> Option<Step> {
        if self.is_left_over(header.ssrc) {
            return None;
        }
        let begins = match self.pinned {
            None => {
                self.heard.begin(header.sequence);
                true
            }
            Some((source, sequence, timestamp)) => {
                let step = header.sequence.wrapping_sub(sequence);
                let anew = source != header.ssrc
                    || (step > RTP_SEQUENCE_STEP_MAX && step < RTP_SEQUENCE_STEP_MAX.wrapping_neg());
                if !anew && step >= RTP_LATE_STEP_MAX.wrapping_neg() {
                    // One that was overtaken on the way changes nothing of where the stream is.
                    counts.late += 1;
                    self.heard.came_late();
                    return Some(Step::Late);
                }
                if anew {
                    if self.resyncs >= STREAM_RESYNCS_MAX {
                        return None;
                    }
                    self.resyncs += 1;
                    self.calm = 0;
                    counts.resyncs += 1;
                    self.heard = Heard::default();
                    self.heard.begin(header.sequence);
                } else if step > RTP_SEQUENCE_STEP_MAX {
                    // A little further back than what was overtaken can be.
                    self.heard.begin(header.sequence);
                } else {
                    self.heard.came(step);
                    counts.missing += u64::from(step.saturating_sub(1));
                }
                anew || timestamp != header.timestamp
            }
        };
        self.pinned = Some((header.ssrc, header.sequence, header.timestamp));
        self.gone = false;
        self.first.get_or_insert((header.sequence, header.timestamp));
        self.calm += 1;
        if self.calm >= STREAM_RESYNC_FORGIVEN_PACKETS {
            (self.calm, self.resyncs) = (0, self.resyncs.saturating_sub(1));
        }
        Some(if begins { Step::Begins } else { Step::GoesOn })
    }

    /// Whether a packet is of another session's: since the announced source was heard, others are not, unless they are all
    /// that comes.
    fn is_left_over(&mut self, source: Ssrc) -> bool {
        let Some((announced, others)) = &mut self.announced else { return false };
        if source == *announced {
            *others = 0;
            return false;
        }
        if self.pinned.is_none_or(|(pinned, ..)| pinned != *announced) {
            return false;
        }
        *others += 1;
        if *others > STREAM_OTHER_SOURCE_PACKETS_MAX {
            self.announced = None;
            return false;
        }
        true
    }

    /// Where an access unit begins, or where a decoder can begin with the one under way: what makes that possible may
    /// stand behind a delimiter or messages that say nothing of it.
    fn unit(&mut self, step: Step, codec: Codec, payload: &[u8]) -> Option<bool> {
        let begins = match step {
            Step::Begins => true,
            Step::GoesOn => false,
            // It is of a unit before, which was under way.
            Step::Late => return None,
        };
        if begins {
            self.keyed = false;
        }
        if self.keyed || !(begins || matches!(codec, Codec::H264 | Codec::H265)) {
            return None;
        }
        let key = is_key(codec, payload);
        self.keyed = key;
        (begins || key).then_some(key)
    }
}

fn is_document(codec: Codec) -> bool {
    matches!(codec, Codec::Metadata | Codec::MetadataGzip | Codec::MetadataExi | Codec::MetadataExiExtended)
}

/// Takes a packet of metadata.
fn document(
    track: &mut Track,
    screen: Option<&Screen>,
    plays: Option<&Plays>,
    (header, codec): (&RtpHeader, Codec),
    packet: &mut [u8],
) -> Taken {
    let mut extension = Vec::new();
    if let (Some((REPLAY_EXTENSION, (start, end))), Some(plays)) = (header.extension, plays)
        && let Some(data) = packet.get_mut(start..end)
        && let Some(kept) = replayed::rewrite(data, codec, plays)
    {
        extension.extend_from_slice(&REPLAY_EXTENSION.to_be_bytes());
        extension.extend_from_slice(&((kept / 4) as u16).to_be_bytes());
        extension.extend_from_slice(data.get(..kept).unwrap_or_default());
    }
    let payload = packet.get(header.payload_start..header.payload_end).unwrap_or_default();
    let taken = track.document.take(screen, (header, codec, track.own), &extension, payload);
    if let Taken::Whole(packets) = &taken {
        for (number, packet) in packets.iter().enumerate() {
            let head = RtpHeader::FIXED_BYTES + if number == 0 { extension.len() } else { 0 };
            track.count(packet.len().saturating_sub(head));
        }
    }
    taken
}

/// The report that stands in for a camera's, and whether it says goodbye; none if it holds neither, or not of the pinned
/// source.
fn report(
    track: &mut Track,
    packet: &[u8],
    now: Duration,
) -> Result<Option<(Vec<u8>, bool)>, crate::rtsp::RtcpError> {
    let Rtcp { report, byes, .. } = Rtcp::parse(packet)?;
    let pinned = track.pinned.map(|(source, ..)| source);
    let found = report.filter(|it| pinned.is_none_or(|source| source == it.ssrc));
    if let Some(report) = &found {
        track.heard.told(report, now);
    }
    let bye = pinned.is_some_and(|source| byes.contains(&source));
    let mut written = match found {
        Some(it) => {
            SenderReport { ssrc: track.own, packets: track.packets, octets: track.octets, ..it }.write()
        }
        // A compound packet begins with a report (RFC 3550 §6.1).
        None if bye => receiver_report(track.own),
        None => return Ok(None),
    };
    if bye {
        write_goodbye(&mut written, track.own);
    }
    Ok(Some((written, bye)))
}

/// Frames of packets that are the gateway's own: none of them is long.
fn framed<'a>(channel: u8, packets: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut frames = Vec::new();
    for packet in packets {
        // One that is too long would not be there, and nothing of it.
        let _ = write_frame(&mut frames, channel, packet);
    }
    frames
}

/// The bytes of the frame at the front, if it is one and there wholly.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let [b'$', _, high, low] = *bytes.first_chunk()? else { return None };
    let length = FRAME_HEAD_BYTES + usize::from(u16::from_be_bytes([high, low]));
    (bytes.len() >= length).then_some(length)
}

/// Takes up number and timestamp of the first packet of each stream in a run of whole frames, where none is known yet.
pub fn begins_of(mut run: &[u8], begins: &mut [Option<(u16, u32)>]) {
    while let Some((frame, rest)) = frame_length(run).and_then(|length| run.split_at_checked(length)) {
        run = rest;
        let Some(([_, channel, ..], packet)) = frame.split_first_chunk::<FRAME_HEAD_BYTES>() else { return };
        if channel % 2 == 0
            && let Some(begin) = begins.get_mut(usize::from(channel / 2)).filter(|it| it.is_none())
        {
            *begin = RtpHeader::parse(packet).ok().map(|it| (it.sequence, it.timestamp));
        }
    }
}

/// Ends the run of frames at the buffer's front.
fn cut(buffer: &mut BytesMut, run: &mut usize, units: &mut Vec<UnitStart>, segments: &mut Vec<Segment>) {
    if *run > 0 {
        let bytes = buffer.split_to(std::mem::take(run)).freeze();
        segments.push(Segment { bytes, units: std::mem::take(units) });
    }
}

/// Takes an extension out, or what is behind the first bytes of its data, by moving up what is before; how many bytes
/// at the front are then nothing. `start` and `end` are those of its data in the packet.
fn without_extension(frame: &mut [u8], (start, end): (usize, usize), kept: Option<usize>) -> Option<usize> {
    let from = match kept {
        Some(kept) => {
            let words = u16::try_from(kept / 4).ok()?.to_be_bytes();
            let at = FRAME_HEAD_BYTES + start;
            frame.get_mut(at.checked_sub(2)?..at)?.copy_from_slice(&words);
            start + kept
        }
        None => {
            *frame.get_mut(FRAME_HEAD_BYTES)? &= !0x10;
            RtpHeader::FIXED_BYTES
        }
    };
    let gone = end.checked_sub(from)?;
    let length = u16::try_from(frame.len().checked_sub(FRAME_HEAD_BYTES + gone)?).ok()?.to_be_bytes();
    frame.get_mut(2..FRAME_HEAD_BYTES)?.copy_from_slice(&length);
    frame.copy_within(..FRAME_HEAD_BYTES + from, gone);
    Some(gone)
}

/// The first byte of each unit of an aggregate: as many as are there whole.
fn aggregated(mut units: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (size, rest) = units.split_first_chunk()?;
        let (unit, next) = rest.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
        units = next;
        unit.first().copied()
    })
}

/// Whether a decoder can begin with the access unit that begins with this payload. Of what is not known, with any.
fn is_key(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::H264 => {
            let kind = |byte: u8| matches!(byte & 0x1f, 5 | 7 | 8);
            match payload {
                // STAP-A (RFC 6184 §5.7.1): sizes, each with a unit.
                [head, units @ ..] if head & 0x1f == 24 => aggregated(units).any(kind),
                // FU-A (§5.8): its first fragment.
                [head, bits, ..] if head & 0x1f == 28 => bits & 0x80 != 0 && kind(*bits),
                // An access unit delimiter says nothing of what follows.
                [head, ..] => kind(*head),
                [] => false,
            }
        }
        Codec::H265 => {
            let kind = |byte: u8| matches!(byte >> 1 & 0x3f, 16..=21 | 32..=34);
            match payload {
                // Aggregation packet (RFC 7798 §4.4.2): two bytes of head, then sizes, each with a unit.
                [head, _, units @ ..] if head >> 1 & 0x3f == 48 => aggregated(units).any(kind),
                // Fragmentation unit (§4.4.3).
                [head, _, bits, ..] if head >> 1 & 0x3f == 49 => bits & 0x80 != 0 && kind((bits & 0x3f) << 1),
                [head, ..] => kind(*head),
                [] => false,
            }
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtsp::{Description, UnknownCodecs};

    const OWN: Ssrc = Ssrc(0x0102_0304);

    fn packets() -> Packets {
        let text = "m=audio 0 RTP/AVP 0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n";
        let description = Description::parse(text.as_bytes(), UnknownCodecs::Passed).unwrap();
        let media: Vec<_> = description.media.iter().map(|it| (it, OWN)).collect();
        let mut packets = Packets::new(&media);
        packets.on_channels(0, (10, 11));
        packets.on_channels(1, (0, 1));
        packets
    }

    fn rtp(payload_type: u8, sequence: u16, timestamp: u32, ssrc: u32, payload: &[u8]) -> Vec<u8> {
        let head = [
            &[0x80, payload_type][..],
            &sequence.to_be_bytes(),
            &timestamp.to_be_bytes(),
            &ssrc.to_be_bytes(),
        ];
        [&head.concat()[..], payload].concat()
    }

    fn frames(packets: &[(u8, Vec<u8>)]) -> BytesMut {
        let framed = packets.iter().flat_map(|(channel, packet)| framed(*channel, [&**packet]));
        framed.collect::<Vec<_>>().as_slice().into()
    }

    #[test]
    fn good_packets_pass_in_place_and_become_the_gateways_own() {
        let mut packets = packets();
        let mut buffer = frames(&[
            (0, rtp(96, 1, 9, 7, &[0x67, 1])),
            (0, rtp(96, 2, 9, 7, &[0x65, 2])),
            (10, rtp(0, 5, 5, 8, b"sound")),
            (0, rtp(96, 3, 18, 7, &[0x41, 3])),
        ]);
        let tail = b"RTSP/1.0 200 OK\r\n";
        buffer.extend_from_slice(tail);
        let at = buffer.as_ptr();
        let segments = packets.take(&mut buffer);
        assert_eq!(&buffer[..], tail, "a message stays");
        let [segment] = segments.as_slice() else { panic!("{segments:?}") };
        assert_eq!(segment.bytes.as_ptr(), at, "nothing was copied");
        let expected = frames(&[
            (2, rtp(96, 1, 9, OWN.0, &[0x67, 1])),
            (2, rtp(96, 2, 9, OWN.0, &[0x65, 2])),
            (0, rtp(0, 5, 5, OWN.0, b"sound")),
            (2, rtp(96, 3, 18, OWN.0, &[0x41, 3])),
        ]);
        assert_eq!(segment.bytes, expected);
        let second = expected.len() - 18;
        assert_eq!(segment.units, [UnitStart { at: 0, key: true }, UnitStart { at: second, key: false }]);
        assert_eq!(
            packets.counts,
            PacketCounts { passed: 4, bytes: expected.len() as u64, ..Default::default() }
        );
    }

    #[test]
    fn an_announced_source_is_preferred_once_it_was_heard() {
        let mut packets = packets();
        packets.announce(1, Ssrc(7));
        let mut passes = |source, sequence| {
            let came = packets.take(&mut frames(&[(0, rtp(96, sequence, 9, source, &[0x41]))]));
            !came.is_empty()
        };
        assert!(passes(9, 500), "a camera may have said what is not so");
        assert!(passes(7, 1) && !passes(9, 501) && passes(7, 2), "what is left of another session");
        for sequence in 0..STREAM_OTHER_SOURCE_PACKETS_MAX as u16 {
            assert!(!passes(9, 502 + sequence), "{sequence}");
        }
        assert!(passes(9, 700) && passes(9, 701), "or have another source by now");
        assert_eq!((packets.counts.source, packets.counts.resyncs), (1 + 100, 2));
    }

    #[test]
    fn sound_without_pictures_is_joined_anywhere() {
        let (mut all, mut none) = (packets(), packets());
        none.channels.clear();
        none.on_channels(0, (10, 11));
        let units = |packets: &mut Packets| {
            let came = packets.take(&mut frames(&[(10, rtp(0, 5, 5, 8, b"sound"))]));
            came.iter().flat_map(|it| it.units.clone()).collect::<Vec<_>>()
        };
        assert_eq!(units(&mut all), [], "where pictures come, they are waited for");
        assert_eq!(units(&mut none), [UnitStart { at: 0, key: true }]);
    }

    #[test]
    fn a_run_does_not_keep_what_was_dropped_beside_it() {
        let mut packets = packets();
        for (noise, kept_alone) in [(10, false), (100, true)] {
            let mut buffer = frames(&[(0, rtp(96, noise, 9, 7, &[0x41; 40])), (77, vec![0; noise.into()])]);
            // What is left holds the buffer, too.
            buffer.extend_from_slice(b"RTSP");
            let segments = packets.take(&mut buffer);
            let [segment] = segments.as_slice() else { panic!("{segments:?}") };
            assert_eq!((segment.bytes.len(), segment.bytes.is_unique()), (56, kept_alone), "{noise}");
            assert_eq!(&buffer[..], b"RTSP");
        }
    }

    #[test]
    fn what_does_not_belong_is_dropped_and_counted() {
        let mut packets = packets();
        let good = |sequence| (0, rtp(96, sequence, 9, 7, &[0x41]));
        let mut buffer = frames(&[
            good(1),
            (77, rtp(96, 2, 9, 7, b"x")),
            (0, rtp(97, 2, 9, 7, b"x")),
            (0, vec![0x80; 11]),
            (1, vec![0x80, 200, 0, 9]),
            (0, vec![]),
            good(4),
        ]);
        let passed: usize = packets.take(&mut buffer).iter().map(|it| it.bytes.len()).sum();
        assert_eq!(passed, 2 * 17);
        let counts = PacketCounts {
            passed: 2,
            bytes: 34,
            dropped_bytes: 2 * 17 + 15 + 8 + 4,
            channel: 1,
            malformed: 3,
            payload_type: 1,
            missing: 2,
            ..Default::default()
        };
        assert_eq!(packets.counts, counts);
        assert_eq!(packets.counts.dropped(), 5);
    }

    #[test]
    fn what_was_overtaken_passes_and_is_not_missing() {
        let mut packets = packets();
        let unit = |sequence: u16, timestamp, kind: u8| (0, rtp(96, sequence, timestamp, 7, &[kind]));
        // Two change places around the end of the numbers; one never comes.
        let mut buffer = frames(&[
            unit(u16::MAX - 1, 9, 0x67),
            unit(0, 18, 0x41),
            unit(u16::MAX, 9, 0x65),
            unit(1, 18, 0x41),
            unit(3, 27, 0x41),
        ]);
        let segments = packets.take(&mut buffer);
        let [segment] = segments.as_slice() else { panic!("{segments:?}") };
        let begins: Vec<_> = segment.units.iter().map(|it| (it.at / 17, it.key)).collect();
        assert_eq!(begins, [(0, true), (1, false), (4, false)], "the late one begins nothing");
        let PacketCounts { passed, missing, late, .. } = packets.counts;
        assert_eq!((passed, missing, late, packets.counts.lost()), (5, 2, 1, 1));
        // Numbers that begin anew a little earlier are late only until they have caught up.
        for sequence in (3..=3 + RTP_LATE_STEP_MAX).map(|it: u16| it.wrapping_sub(RTP_LATE_STEP_MAX)) {
            packets.take(&mut frames(&[unit(sequence, 36, 0x67)]));
        }
        let units = packets.take(&mut frames(&[unit(4, 45, 0x67)]));
        assert_eq!(units[0].units, [UnitStart { at: 0, key: true }]);
    }

    #[test]
    fn documents_are_numbered_anew_and_positions_go_by_that() {
        let text = "m=application 0 RTP/AVP 107\na=rtpmap:107 vnd.onvif.metadata/90000\n";
        let description = Description::parse(text.as_bytes(), UnknownCodecs::Passed).unwrap();
        let mut packets = Packets::new(&[(&description.media[0], OWN)]);
        packets.on_channels(0, (0, 1));
        assert!(!packets.is_renumbered(0));
        for sequence in 10..13 {
            packets.take(&mut frames(&[(0, rtp(107 | 0x80, sequence, 9, 7, b"<x/>"))]));
        }
        assert_eq!(packets.counts.documents, 3, "nobody has said what may pass");
        let positions: Vec<_> = packets.positions().collect();
        assert_eq!(positions, [Some(Positions { first: (10, 9), next: (10, 9) })]);
        assert!(packets.is_renumbered(0));
    }

    #[test]
    fn a_source_that_changes_too_often_is_not_heard() {
        let mut packets = packets();
        for source in 0..STREAM_RESYNCS_MAX + 3 {
            packets.take(&mut frames(&[(0, rtp(96, 1, 9, source, &[0x41]))]));
        }
        assert_eq!(packets.counts.resyncs, u64::from(STREAM_RESYNCS_MAX));
        assert_eq!((packets.counts.passed, packets.counts.source), (u64::from(STREAM_RESYNCS_MAX) + 1, 2));
    }

    #[test]
    fn a_decoder_can_begin_behind_a_delimiter() {
        let mut packets = packets();
        let unit = |sequence, timestamp, kind: u8| (0, rtp(96, sequence, timestamp, 7, &[kind, 1]));
        let mut buffer = frames(&[
            unit(1, 9, 9),
            unit(2, 9, 6),
            unit(3, 9, 0x67),
            unit(4, 9, 0x65),
            unit(5, 9, 0x65),
            unit(6, 18, 9),
            unit(7, 18, 0x41),
        ]);
        let segments = packets.take(&mut buffer);
        let [segment] = segments.as_slice() else { panic!("{segments:?}") };
        let at = |number: usize, key| UnitStart { at: number * 18, key };
        assert_eq!(segment.units, [at(0, false), at(2, true), at(5, false)]);
    }

    #[test]
    fn what_begins_anew_now_and_then_is_forgiven() {
        let mut packets = packets();
        let mut sequence = 0u16;
        let mut send = |packets: &mut Packets, source: u32, count: u32| {
            for _ in 0..count {
                sequence = sequence.wrapping_add(1);
                packets.take(&mut frames(&[(0, rtp(96, sequence, 9, source, &[0x41]))]));
            }
        };
        for source in 0..STREAM_RESYNCS_MAX * 2 {
            send(&mut packets, source, STREAM_RESYNC_FORGIVEN_PACKETS + 1);
        }
        assert_eq!(packets.counts.source, 0);
        assert_eq!(packets.counts.resyncs, u64::from(STREAM_RESYNCS_MAX * 2) - 1);
    }

    #[test]
    fn extensions_are_taken_out() {
        let mut packets = packets();
        let mut extended = rtp(96, 1, 9, 7, &[0xAB, 0xAC, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 0x65, 9]);
        extended[0] |= 0x10;
        let mut buffer =
            frames(&[(0, rtp(96, 0, 9, 7, &[0x67])), (0, extended), (0, rtp(96, 2, 9, 7, &[0x65]))]);
        let segments = packets.take(&mut buffer);
        let bytes: Vec<u8> = segments.iter().flat_map(|it| it.bytes.to_vec()).collect();
        let own = |sequence, payload: &[u8]| (2, rtp(96, sequence, 9, OWN.0, payload));
        assert_eq!(bytes, frames(&[own(0, &[0x67]), own(1, &[0x65, 9]), own(2, &[0x65])]));
        assert_eq!(packets.counts.extensions, 1);
    }

    #[test]
    fn reports_are_written_anew() {
        let mut packets = packets();
        packets.take(&mut frames(&[(0, rtp(96, 1, 9, 7, &[0x67, 1]))]));
        let theirs = SenderReport { ssrc: Ssrc(7), ntp: 5, rtp: 9, packets: 900, octets: 901 };
        let foreign = SenderReport { ssrc: Ssrc(8), ..theirs };
        let segments = packets.take(&mut frames(&[(1, foreign.write()), (1, theirs.write())]));
        let [segment] = segments.as_slice() else { panic!("{segments:?}") };
        let ours = SenderReport { ssrc: OWN, packets: 1, octets: 2, ..theirs };
        assert_eq!(segment.bytes, framed(3, [&*ours.write()]));
        assert_eq!((packets.counts.reports, packets.counts.dropped()), (1, 1), "the foreign one");
        // Those that a receiver sends, or nobody.
        packets.take(&mut frames(&[(1, crate::rtsp::receiver_report(Ssrc(7))), (1, Vec::new())]));
        assert_eq!((packets.counts.reports, packets.counts.dropped()), (3, 3));
    }

    #[test]
    fn a_camera_is_told_what_came_of_its_source() {
        let (mut packets, second) = (packets(), Duration::from_secs);
        assert_eq!(packets.reception(1, second(1)), None, "nothing came");
        packets.come_at(second(1));
        let report =
            SenderReport { ssrc: Ssrc(7), ntp: 0x0123_4567_89ab_cdef, rtp: 9, packets: 2, octets: 2 };
        // Two are missing where the numbers begin anew.
        packets.take(&mut frames(&[
            (0, rtp(96, u16::MAX, 9, 7, &[0x67])),
            (0, rtp(96, 2, 9, 7, &[0x65])),
            (1, report.write()),
        ]));
        let told = Reception {
            ssrc: Ssrc(7),
            fraction_lost: 128,
            lost: 2,
            highest: 0x0001_0002,
            jitter: 0,
            last_report: 0x4567_89ab,
            delay: 2 << 16,
        };
        assert_eq!(packets.reception(1, second(3)), Some(told));
        assert_eq!(packets.reception(0, second(3)), None, "of the sound nothing came");
        packets.take(&mut frames(&[(0, rtp(96, 5, 18, 8, &[0x67]))]));
        let other = Reception {
            ssrc: Ssrc(8),
            fraction_lost: 0,
            lost: 0,
            highest: 5,
            last_report: 0,
            delay: 0,
            ..told
        };
        assert_eq!(packets.reception(1, second(4)), Some(other), "of another source it begins anew");
    }

    #[test]
    fn a_goodbye_is_the_gateways_own_and_ends_what_nothing_follows() {
        let mut packets = packets();
        let picture = |sequence| (0, rtp(96, sequence, 9, 7, &[0x67, 1]));
        let bye = |source| {
            let mut bytes = Vec::new();
            write_goodbye(&mut bytes, Ssrc(source));
            (1, bytes)
        };
        packets.take(&mut frames(&[bye(7)]));
        assert_eq!((packets.counts.byes, packets.have_ended()), (0, false), "of nobody yet");
        packets.take(&mut frames(&[picture(1), bye(8)]));
        assert_eq!((packets.counts.byes, packets.have_ended()), (0, false), "of somebody else");
        let segments = packets.take(&mut frames(&[bye(7)]));
        let mut expected = receiver_report(OWN);
        write_goodbye(&mut expected, OWN);
        assert_eq!(segments[0].bytes, framed(3, [&*expected]));
        assert_eq!((packets.counts.byes, packets.have_ended()), (1, true));
        packets.take(&mut frames(&[picture(2)]));
        assert!(!packets.have_ended(), "it goes on");
        let report = SenderReport { ssrc: Ssrc(7), ntp: 5, rtp: 9, packets: 2, octets: 4 };
        let both = (1, [report.write(), bye(7).1].concat());
        let segments = packets.take(&mut frames(&[(10, rtp(0, 5, 5, 8, b"sound")), both]));
        let mut expected = SenderReport { ssrc: OWN, ..report }.write();
        write_goodbye(&mut expected, OWN);
        assert_eq!(segments[1].bytes, framed(3, [&*expected]));
        assert!(!packets.have_ended(), "the sound is there");
        packets.take(&mut frames(&[(11, bye(8).1)]));
        assert_eq!((packets.counts.byes, packets.have_ended()), (3, true));
        assert_eq!((packets.counts.reports, packets.counts.dropped()), (2, 2), "the first two");
    }

    #[test]
    fn the_extension_of_recordings_stays_and_is_the_gateways_own() {
        let mut packets = packets();
        packets.replay(0x107, 0x3fb);
        let extended = |profile: [u8; 2], data: &[u8]| {
            let mut packet = rtp(96, 1, 9, 7, &[]);
            packet[0] |= 0x10;
            let words = (data.len() / 4) as u8;
            [&packet[..], &profile, &[0, words], data, &[0x67, 1]].concat()
        };
        let recorded = [1, 2, 3, 4, 5, 6, 7, 8, 0x8f, 7, 0xee, 0xee];
        let more = [&recorded[..], b"10.20.0.5..."].concat();
        let own = [1, 2, 3, 4, 5, 6, 7, 8, 0x80, 0xfb, 0, 0];
        let mut passed = |profile, data: &[u8]| {
            let taken = packets.take(&mut frames(&[(0, extended(profile, data))]));
            RtpHeader::parse(&taken[0].bytes[4..]).unwrap();
            taken[0].bytes[16..].to_vec()
        };
        let expected = [&[0xab, 0xac, 0, 3][..], &own, &[0x67, 1]].concat();
        assert_eq!(passed([0xab, 0xac], &recorded), expected);
        assert_eq!(passed([0xab, 0xac], &more), expected, "nothing behind it passes");
        assert_eq!(passed([0xab, 0xac], &recorded[..8]), [0x67, 1], "cut off");
        assert_eq!(passed([0xab, 0xad], &recorded), [0x67, 1], "another");
        assert_eq!(packets.counts.extensions, 3);
    }

    #[test]
    fn frames_are_taken_alike_at_every_split() {
        let all = frames(&[
            (0, rtp(96, 1, 9, 7, &[0x67, 1])),
            (10, rtp(0, 5, 5, 8, b"sound")),
            (0, rtp(96, 2, 9, 7, b"")),
        ]);
        let whole: Vec<u8> =
            packets().take(&mut all.clone()).iter().flat_map(|it| it.bytes.to_vec()).collect();
        for split in 0..all.len() {
            let (mut packets, mut buffer) = (packets(), BytesMut::from(&all[..split]));
            let mut taken = packets.take(&mut buffer);
            buffer.extend_from_slice(&all[split..]);
            taken.extend(packets.take(&mut buffer));
            assert_eq!(taken.iter().flat_map(|it| it.bytes.to_vec()).collect::<Vec<_>>(), whole, "{split}");
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn key_frames_are_told() {
        let cases: [(Codec, &[u8], bool); 16] = [
            (Codec::H264, &[0x67], true),
            (Codec::H264, &[0x65], true),
            (Codec::H264, &[0x41], false),
            (Codec::H264, &[24, 0, 1, 0x67], true),
            (Codec::H264, &[24, 0, 2, 9, 0xf0, 0, 1, 6, 0, 1, 0x67], true),
            (Codec::H264, &[24, 0, 2, 9, 0xf0, 0, 1, 6, 0, 1, 0x41], false),
            (Codec::H264, &[24, 0, 9, 0x67], false),
            (Codec::H264, &[0x7c, 0x85], true),
            (Codec::H264, &[0x7c, 0x05], false),
            (Codec::H264, &[], false),
            (Codec::H265, &[32 << 1, 1], true),
            (Codec::H265, &[1 << 1, 1], false),
            (Codec::H265, &[49 << 1, 1, 0x80 | 19], true),
            (Codec::H265, &[48 << 1, 1, 0, 1, 33 << 1], true),
            (Codec::H265, &[48 << 1, 1, 0, 1, 35 << 1, 0, 1, 32 << 1], true),
            (Codec::Jpeg, &[], true),
        ];
        for (codec, payload, key) in cases {
            assert_eq!(is_key(codec, payload), key, "{codec:?} {payload:?}");
        }
    }
}
