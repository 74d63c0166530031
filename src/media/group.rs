//! What a live stream has sent since the last picture that a decoder can begin with, for viewers who begin there.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use crate::{
    hatch::{Segment, begins_of},
    limits::{STREAM_GROUP_BYTES_MAX, STREAM_GROUP_TIME_MAX},
};

/// Runs since such a picture, shared with those who were sent them. One that grows beyond its bounds is given up: until
/// the next such picture nobody begins with it.
#[derive(Debug, Default)]
pub(super) struct Group {
    runs: VecDeque<Bytes>,
    bytes: usize,
    began: Duration,
}

impl Group {
    /// Takes up runs of frames. `now` is monotonic.
    pub(super) fn push(&mut self, segments: &[Segment], now: Duration) {
        for segment in segments {
            let from = match segment.units.iter().rfind(|unit| unit.key) {
                Some(key) => {
                    self.clear();
                    self.began = now;
                    key.at
                }
                None if self.runs.is_empty() => continue,
                None => 0,
            };
            let run = segment.bytes.slice(from.min(segment.bytes.len())..);
            self.bytes += run.len();
            self.runs.push_back(run);
            if self.bytes > STREAM_GROUP_BYTES_MAX || self.is_old(now) {
                self.clear();
            }
        }
    }

    /// What a viewer begins with at this moment; nothing where there is no such picture.
    pub(super) fn runs(&self, now: Duration) -> impl Iterator<Item = &Bytes> {
        self.runs.iter().filter(move |_| !self.is_old(now))
    }

    /// Number and timestamp of the first packet of each of so many streams, where one has any.
    pub(super) fn begins(&self, streams: usize) -> Vec<Option<(u16, u32)>> {
        let mut begins = vec![None; streams];
        for run in &self.runs {
            begins_of(run, &mut begins);
            if begins.iter().all(Option::is_some) {
                break;
            }
        }
        begins
    }

    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.bytes = 0;
    }

    fn is_old(&self, now: Duration) -> bool {
        now.saturating_sub(self.began) > STREAM_GROUP_TIME_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hatch::UnitStart;

    const NOW: Duration = Duration::from_secs(9);

    fn segment(length: usize, fill: u8, units: &[(usize, bool)]) -> Segment {
        let units = units.iter().map(|(at, key)| UnitStart { at: *at, key: *key }).collect();
        Segment { bytes: vec![fill; length].into(), units }
    }

    fn kept(group: &Group, now: Duration) -> Vec<(u8, usize)> {
        group.runs(now).map(|run| (run[0], run.len())).collect()
    }

    #[test]
    fn what_came_since_the_last_picture_to_begin_with_is_kept() {
        let mut group = Group::default();
        group.push(&[segment(10, 1, &[(0, false)])], NOW);
        assert_eq!(kept(&group, NOW), [], "nothing to begin with yet");
        group.push(&[segment(10, 2, &[(2, true), (6, false)]), segment(10, 3, &[])], NOW);
        assert_eq!(kept(&group, NOW), [(2, 8), (3, 10)]);
        group.push(&[segment(10, 4, &[(1, true), (5, true), (8, false)])], NOW);
        assert_eq!(kept(&group, NOW), [(4, 5)], "from the last of two");
        assert_eq!(group.bytes, 5);
    }

    #[test]
    fn a_group_beyond_its_bounds_is_given_up_until_the_next() {
        let mut group = Group::default();
        let key = segment(1, 1, &[(0, true)]);
        let rest = segment(STREAM_GROUP_BYTES_MAX - 1, 2, &[(0, false)]);
        group.push(&[key.clone(), rest.clone()], NOW);
        assert_eq!(kept(&group, NOW), [(1, 1), (2, STREAM_GROUP_BYTES_MAX - 1)]);
        group.push(&[segment(1, 3, &[])], NOW);
        assert_eq!((kept(&group, NOW), group.bytes), (vec![], 0), "one byte more");
        group.push(&[segment(1, 4, &[(0, false)])], NOW);
        assert_eq!(kept(&group, NOW), [], "it is not begun with in its middle");
        group.push(std::slice::from_ref(&key), NOW);
        let last = NOW + STREAM_GROUP_TIME_MAX;
        group.push(&[segment(1, 5, &[])], last);
        assert_eq!(kept(&group, last), [(1, 1), (5, 1)]);
        let later = last + Duration::from_millis(1);
        assert_eq!(kept(&group, later), [], "nobody begins with what is old, even if nothing comes");
        group.push(&[segment(1, 6, &[])], later);
        assert_eq!(group.bytes, 0);
    }

    #[test]
    fn each_stream_begins_with_its_first_packet() {
        let packet = |channel: u8, sequence: u8, timestamp: u8| {
            [&[b'$', channel, 0, 12, 0x80, 96, 0, sequence, 0, 0, 0, timestamp][..], &[0; 4]].concat()
        };
        let report = [&[b'$', 3, 0, 8, 0x80, 201, 0, 1][..], &[0; 4]].concat();
        let bytes = [packet(2, 7, 70), report, packet(2, 8, 80), packet(0, 5, 50)].concat();
        let mut group = Group::default();
        let units = vec![UnitStart { at: 0, key: true }];
        group.push(&[Segment { bytes: bytes.into(), units }], NOW);
        assert_eq!(group.begins(3), [Some((5, 50)), Some((7, 70)), None]);
    }
}
