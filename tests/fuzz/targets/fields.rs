//! Values of RTSP fields of both sides: transports, sessions, where streams begin, parts of recordings. What is written
//! of one says the same when it is read again.
#![no_main]

use cordon::{
    limits::{RTSP_SESSION_BYTES_MAX, RTSP_TRANSPORTS_MAX, SDP_MEDIA_MAX},
    rtsp::{Begins, Range, Session, Transport},
};
use libfuzzer_sys::fuzz_target;

fn transports(text: &str) {
    let all = Transport::parse_list(text);
    assert!(all.len() <= RTSP_TRANSPORTS_MAX, "no more are looked at");
    for one in all {
        // Nobody is told to record.
        let told = Transport { record: false, ..one };
        let written = one.to_string();
        assert_eq!(Transport::parse_list(&written), [told], "{written}");
        assert!(!written.contains("destination") && !written.contains("source"), "{written}");
    }
}

fn sessions(text: &str) {
    let Some(session) = Session::parse(text) else { return };
    assert!((1..=RTSP_SESSION_BYTES_MAX).contains(&session.id.len()) && session.timeout_seconds > 0);
    assert!(session.id.bytes().all(|byte| byte.is_ascii_graphic()), "{session}");
    assert_eq!(Session::parse(&session.to_string()), Some(session));
}

fn beginnings(text: &str) {
    let all = Begins::parse_list(text);
    assert!(all.len() <= SDP_MEDIA_MAX, "no more are looked at");
    let Some(written) = Begins::list(all.clone()) else { return };
    assert_eq!(Begins::parse_list(&written), all, "{written}");
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.split('\n') {
        transports(line);
        sessions(line);
        beginnings(line);
        if let Ok(range) = Range::parse(line) {
            assert_eq!(Range::parse(&range.to_string()), Ok(range), "{range}");
        }
    }
});
