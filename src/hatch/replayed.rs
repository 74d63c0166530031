//! The header extension of packets of a recording (ONVIF Streaming Specification §6.3): it says when they were
//! recorded, and which PLAY they are sent for.

use std::collections::VecDeque;

use crate::{
    limits::REPLAY_PLAYS_REMEMBERED_MAX,
    rtsp::{Codec, JPEG_EXTENSIONS},
};

/// Which PLAY of the viewer each PLAY at the camera stands for, by the low bytes of their numbers.
#[derive(Debug, Default)]
pub(super) struct Plays {
    /// Of the camera and of the viewer, the latest last.
    latest: VecDeque<(u8, u8)>,
}

impl Plays {
    /// The camera is asked under one number for what the viewer asked under another.
    pub(super) fn begin(&mut self, camera: u8, viewer: u8) {
        self.latest.retain(|(it, _)| *it != camera);
        if self.latest.len() >= REPLAY_PLAYS_REMEMBERED_MAX {
            self.latest.pop_front();
        }
        self.latest.push_back((camera, viewer));
    }

    /// The viewer's number. What belongs to no PLAY that was asked is taken for the latest one's: some cameras
    /// number nothing.
    fn viewers(&self, camera: u8) -> u8 {
        let known = self.latest.iter().find(|(it, _)| *it == camera).or(self.latest.back());
        known.map_or(0, |(_, viewer)| *viewer)
    }
}

/// Bytes of the extension: a moment in NTP format, flags, number, padding.
const BYTES: usize = 12;
/// Clean point, end of a contiguous part, discontinuity, end of all.
const FLAGS: u8 = 0xf0;

/// Makes an extension's data the gateway's own: how many bytes of it stay; none if it is no such extension.
pub(super) fn rewrite(data: &mut [u8], codec: Codec, plays: &Plays) -> Option<usize> {
    let (own, more) = data.split_first_chunk_mut::<BYTES>()?;
    let [.., flags, number, padding, last] = own;
    *flags &= FLAGS;
    *number = plays.viewers(*number);
    (*padding, *last) = (0, 0);
    // That of pictures which RFC 2435 cannot describe stands behind it.
    let pictures = more.first_chunk::<4>().is_some_and(|[p0, p1, l0, l1]| {
        codec == Codec::Jpeg
            && JPEG_EXTENSIONS.contains(&u16::from_be_bytes([*p0, *p1]))
            && more.len() == 4 + 4 * usize::from(u16::from_be_bytes([*l0, *l1]))
    });
    Some(if pictures { BYTES + more.len() } else { BYTES })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_say_which_play_of_the_viewer_they_are_for() {
        let mut plays = Plays::default();
        let number = |plays: &Plays, camera: u8| {
            let mut data = [1, 2, 3, 4, 5, 6, 7, 8, 0xaf, camera, 9, 9];
            assert_eq!(rewrite(&mut data, Codec::H264, plays), Some(12));
            assert_eq!(data[..9], [1, 2, 3, 4, 5, 6, 7, 8, 0xa0], "the time stays, and the four flags");
            assert_eq!(data[10..], [0, 0]);
            data[9]
        };
        assert_eq!(number(&plays, 7), 0, "nothing was asked");
        plays.begin(7, 250);
        plays.begin(9, 2);
        assert_eq!([number(&plays, 7), number(&plays, 9), number(&plays, 8)], [250, 2, 2]);
        plays.begin(7, 3);
        assert_eq!([number(&plays, 7), number(&plays, 9), number(&plays, 0)], [3, 2, 3]);
        for later in 0..REPLAY_PLAYS_REMEMBERED_MAX {
            plays.begin(100 + later as u8, 50);
        }
        assert_eq!(number(&plays, 9), 50, "the oldest are forgotten");
    }

    #[test]
    fn nothing_else_stands_behind_it() {
        let plays = Plays::default();
        let mut both = [[0; 12].as_slice(), &[0xff, 0xd8, 0, 1, 1, 2, 3, 4]].concat();
        assert_eq!(rewrite(&mut both, Codec::Jpeg, &plays), Some(20));
        assert_eq!(rewrite(&mut both, Codec::H264, &plays), Some(12));
        both[15] = 2;
        assert_eq!(rewrite(&mut both, Codec::Jpeg, &plays), Some(12), "its length is a lie");
        assert_eq!(rewrite(&mut [0; 11], Codec::Jpeg, &plays), None);
        assert_eq!(rewrite(&mut [], Codec::Jpeg, &plays), None);
    }
}
