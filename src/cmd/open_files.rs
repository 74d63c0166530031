//! How many files the process may have open: each listener and each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Those of the gateway itself, and of some clients, viewers and subscribers.
const OTHERS: u64 = 1_000;
/// Of each camera: its listener, the connection to it, one more that was just used or carries events or a stream.
const OF_A_CAMERA: u64 = 3;

/// Has the process have as many open as it may: the usual limit is a default for programs that cannot count so far
/// (setrlimit(2)). Warns where so many cameras may need more.
pub(super) fn allow(cameras: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised =
        current == maximum || setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let allowed = if raised { maximum } else { current };
    let wanted = wanted(cameras);
    if let Some(allowed) = allowed.filter(|it| *it < wanted) {
        tracing::warn!(
            "{allowed} files may be open, and {cameras} cameras may need {wanted}: connections beyond that are refused; raise \
             LimitNOFILE= of the unit, or the hard limit (`ulimit -Hn`)"
        );
    }
}

fn wanted(cameras: usize) -> u64 {
    OTHERS.saturating_add(OF_A_CAMERA.saturating_mul(u64::try_from(cameras).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_camera_takes_a_few() {
        assert_eq!((wanted(0), wanted(10_000)), (1_000, 31_000));
        assert_eq!(wanted(usize::MAX), u64::MAX);
    }
}
