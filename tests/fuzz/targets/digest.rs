//! HTTP digest: the challenges of cameras and the credentials of clients.
#![no_main]

use cordon::auth::digest::{Challenge, Credentials};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines: Vec<_> = text.split('\n').collect();
    let challenges = Challenge::parse_all(&lines);
    if let Some(challenge) = Challenge::preferred(&challenges) {
        let _ = challenge.hash();
    }
    for line in lines {
        if let Ok(credentials) = Credentials::parse(line) {
            let expected = credentials.expected("secret", "POST");
            assert!(matches!(expected.len(), 32 | 64), "a digest in hexadecimal");
        }
    }
});
