//! The grammar below `WWW-Authenticate` and `Authorization`: schemes and their parameters (RFC 9110 §11).
//!
//! Forgiving where cameras err: commas may be missing or doubled, values quoted or not.

use super::digest::GrammarError;
use crate::limits::{AUTH_CHALLENGES_MAX, AUTH_HEADER_BYTES_MAX, AUTH_PARAMETERS_MAX};

/// One scheme with the parameters that follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scheme {
    /// As written.
    pub(super) name: String,
    parameters: Vec<(String, String)>,
}

impl Scheme {
    /// Reads every scheme of one header.
    pub(super) fn read_all(header: &str) -> Result<Vec<Self>, GrammarError> {
        if header.len() > AUTH_HEADER_BYTES_MAX {
            return Err(GrammarError::TooLong);
        }
        let mut schemes: Vec<Self> = Vec::new();
        let mut rest = header;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return Ok(schemes);
            }
            let name = token(&mut rest)?;
            rest = rest.trim_start_matches([' ', '\t']);
            let Some(after) = rest.strip_prefix('=') else {
                if schemes.len() == AUTH_CHALLENGES_MAX {
                    return Err(GrammarError::TooMany);
                }
                schemes.push(Self { name, parameters: Vec::new() });
                continue;
            };
            rest = after.trim_start_matches([' ', '\t']);
            let value = value(&mut rest)?;
            schemes.last_mut().ok_or(GrammarError::NoScheme)?.add(name.to_ascii_lowercase(), value)?;
        }
    }

    /// Whether this is the named scheme; case does not matter.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// One parameter, by its lower-case name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn add(&mut self, name: String, value: String) -> Result<(), GrammarError> {
        if self.parameters.len() == AUTH_PARAMETERS_MAX {
            return Err(GrammarError::TooMany);
        }
        if self.get(&name).is_some() {
            return Err(GrammarError::Twice(name));
        }
        self.parameters.push((name, value));
        Ok(())
    }
}

/// A token of RFC 9110 §5.6.2; never empty.
fn token(rest: &mut &str) -> Result<String, GrammarError> {
    let end = rest.find(|letter: char| !is_token(letter)).unwrap_or(rest.len());
    let (token, after) = rest.split_at_checked(end).ok_or(GrammarError::Token)?;
    if token.is_empty() {
        return Err(GrammarError::Token);
    }
    *rest = after;
    Ok(token.to_owned())
}

fn is_token(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(letter)
}

fn value(rest: &mut &str) -> Result<String, GrammarError> {
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find([',', ' ', '\t']).unwrap_or(rest.len());
        let (value, after) = rest.split_at_checked(end).ok_or(GrammarError::Token)?;
        *rest = after;
        return Ok(value.to_owned());
    };
    let mut value = String::new();
    let mut letters = quoted.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                *rest = letters.as_str();
                return Ok(value);
            }
            '\\' => value.push(letters.next().ok_or(GrammarError::OpenQuote)?),
            letter => value.push(letter),
        }
    }
    Err(GrammarError::OpenQuote)
}
