//! Which machines a text names among other words: `evil.example/x.png`, `nas:/export`, `a@b.example`.
//!
//! For nodes where an address may stand or may not: a file's name, a number or a time is none.

use super::destinations::{is_address, is_none};
use crate::schema::{
    address::{Host, find_addresses, find_numeric_ipv4},
    spelling::{folded, unescaped},
};

/// The machines that a text names, as whoever resolves its escapes reads it, each with the port beside it.
pub fn machines(text: &str) -> Vec<(String, Option<u16>)> {
    let lower = folded(&unescaped(text));
    let of_each = lower.split(is_gap).flat_map(|word| {
        let mut found: Vec<_> = find_addresses(word).map(|it| (spelt(it.host), it.port)).collect();
        if found.is_empty() {
            found.extend(of_word(word));
        }
        found
    });
    of_each.filter(|(host, _)| !is_none(host)).collect()
}

/// The machine that a word names otherwise than by an address, as programs guess it.
fn of_word(word: &str) -> Option<(String, Option<u16>)> {
    if is_address(word) {
        return Some((word.to_owned(), None));
    }
    let (authority, path) = word.split_at_checked(word.find(['/', '\\']).unwrap_or(word.len()))?;
    let (user, place) = authority.rsplit_once('@').map_or((None, authority), |(user, it)| (Some(user), it));
    let (host, behind) = place.split_once(':').map_or((place, None), |(host, it)| (host, Some(it)));
    if !is_name(host) {
        return None;
    }
    let port: Option<u16> = behind.and_then(|it| it.parse().ok());
    let (addressed, followed) = (user.is_some(), !path.is_empty());
    if followed && behind == Some("") {
        // A scheme with one slash, which some take for two, or a path on another machine.
        return Some((format!("{place}{path}"), None));
    }
    let number = find_numeric_ipv4(host).find(|(_, parts)| *parts == 4 || followed || addressed);
    if let Some((address, _)) = number {
        return Some((address.to_string(), port));
    }
    let named = match host.trim_end_matches('.').rsplit_once('.') {
        Some((_, last)) => {
            let letters = last.len() > 1 && last.chars().all(char::is_alphabetic);
            letters && (followed || addressed || behind.is_some() || !FILES.contains(&last))
        }
        // `12:30/1` is no machine.
        None => {
            let word = host.contains(|it: char| it.is_alphabetic());
            word && followed && (addressed || port.is_some())
        }
    };
    named.then(|| (host.to_owned(), port))
}

fn spelt(host: Host<'_>) -> String {
    match host {
        Host::Ip(address) => address.to_string(),
        Host::Name(name) => name.to_owned(),
    }
}

/// Names of one letter are drives, not machines. Names beyond ASCII are names all the same (RFC 5890).
fn is_name(host: &str) -> bool {
    let inside = |it: char| it.is_alphanumeric() || matches!(it, '-' | '_');
    let host = host.strip_suffix('.').unwrap_or(host);
    host.len() > 1 && host.split('.').all(|label| !label.is_empty() && label.chars().all(inside))
}

/// What stands between words.
fn is_gap(character: char) -> bool {
    character.is_whitespace()
        || matches!(
            character,
            ',' | ';' | '|' | '"' | '\'' | '<' | '>' | '(' | ')' | '=' | '&' | '?' | '#' | '!'
        )
}

/// How files end that cameras are told of, none of which is a top-level domain.
const FILES: [&str; 19] = [
    "aac", "bmp", "cfg", "conf", "csv", "dat", "gif", "ico", "ini", "jpeg", "jpg", "json", "png", "svg",
    "tif", "tiff", "txt", "wav", "xml",
];
