//! Patterns of simple types: the part of XSD's regular expressions that the interface uses.
//!
//! Classes with ranges, escapes, negation and subtraction; groups; alternatives; `? * + {m,n}`. A pattern this
//! cannot read matches nothing, so that a value it restricts is refused rather than waved through. The work is
//! bounded: a match that takes more steps than [`STEPS_MAX`] is none.

use super::xml::{is_name_character, is_name_start};

/// Steps of one match.
const STEPS_MAX: usize = 100_000;
/// Characters of a text that may match; it bounds the recursion.
const CHARACTERS_MAX: usize = 1_024;
/// Nesting of groups.
const DEPTH_MAX: usize = 16;
/// The largest number in `{m,n}`.
const REPEAT_MAX: u32 = 1_024;

/// Whether the whole text matches the pattern.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some(parsed) = parse(pattern) else { return false };
    let characters: Vec<char> = text.chars().take(CHARACTERS_MAX + 1).collect();
    if characters.len() > CHARACTERS_MAX {
        return false;
    }
    Matcher { characters: &characters, steps: 0 }.alternatives(&parsed, 0, &mut |at| at == characters.len())
}

/// Whether a pattern is one that [`matches`] can read.
pub fn is_readable(pattern: &str) -> bool {
    parse(pattern).is_some()
}

type Alternatives = Vec<Vec<Piece>>;

struct Piece {
    atom: Atom,
    min: u32,
    max: u32,
}

enum Atom {
    Class(Class),
    Group(Alternatives),
}

struct Class {
    negated: bool,
    items: Vec<Item>,
    except: Option<Box<Class>>,
}

enum Item {
    Range(char, char),
    Digit,
    Space,
    NameStart,
    NameCharacter,
    Not(Box<Item>),
}

impl Class {
    fn contains(&self, character: char) -> bool {
        self.items.iter().any(|item| item.contains(character)) != self.negated
            && self.except.as_ref().is_none_or(|it| !it.contains(character))
    }
}

impl Item {
    fn contains(&self, character: char) -> bool {
        match self {
            Self::Range(from, to) => (*from..=*to).contains(&character),
            Self::Digit => character.is_numeric(),
            Self::Space => matches!(character, ' ' | '\t' | '\n' | '\r'),
            Self::NameStart => character == ':' || is_name_start(character),
            Self::NameCharacter => character == ':' || is_name_character(character),
            Self::Not(item) => !item.contains(character),
        }
    }
}

struct Matcher<'a> {
    characters: &'a [char],
    steps: usize,
}

impl Matcher<'_> {
    fn alternatives(&mut self, all: &[Vec<Piece>], at: usize, then: &mut dyn FnMut(usize) -> bool) -> bool {
        all.iter().any(|pieces| self.pieces(pieces, 0, at, then))
    }

    fn pieces(
        &mut self,
        pieces: &[Piece],
        done: u32,
        at: usize,
        then: &mut dyn FnMut(usize) -> bool,
    ) -> bool {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return false;
        }
        let Some((piece, rest)) = pieces.split_first() else { return then(at) };
        if done < piece.max {
            let again = match &piece.atom {
                // Most classes stand alone: take them in a loop instead of by recursion.
                Atom::Class(class) => return self.class(class, piece, rest, at, then),
                Atom::Group(group) => {
                    let mut ends = Vec::new();
                    self.alternatives(group, at, &mut |end| {
                        if end > at && !ends.contains(&end) {
                            ends.push(end);
                        }
                        false
                    });
                    ends.into_iter().any(|end| self.pieces(pieces, done + 1, end, then))
                }
            };
            if again {
                return true;
            }
        }
        done >= piece.min && self.pieces(rest, 0, at, then)
    }

    fn class(
        &mut self,
        class: &Class,
        piece: &Piece,
        rest: &[Piece],
        at: usize,
        then: &mut dyn FnMut(usize) -> bool,
    ) -> bool {
        let available = self.characters.get(at..).unwrap_or(&[]);
        let most = available.iter().take(piece.max as usize).take_while(|it| class.contains(**it)).count();
        (piece.min as usize..=most).rev().any(|taken| self.pieces(rest, 0, at + taken, then))
    }
}

fn parse(pattern: &str) -> Option<Alternatives> {
    let mut parser = Parser { rest: pattern, depth: 0 };
    let parsed = parser.alternatives()?;
    parser.rest.is_empty().then_some(parsed)
}

struct Parser<'p> {
    rest: &'p str,
    depth: usize,
}

impl Parser<'_> {
    fn take(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let first = characters.next()?;
        self.rest = characters.as_str();
        Some(first)
    }

    fn skip(&mut self, expected: char) -> bool {
        self.rest.strip_prefix(expected).map(|rest| self.rest = rest).is_some()
    }

    fn alternatives(&mut self) -> Option<Alternatives> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let mut all = vec![Vec::new()];
        while !self.rest.is_empty() && !self.rest.starts_with(')') {
            if self.skip('|') {
                all.push(Vec::new());
            } else {
                let piece = self.piece()?;
                all.last_mut()?.push(piece);
            }
        }
        self.depth -= 1;
        Some(all)
    }

    fn piece(&mut self) -> Option<Piece> {
        let atom = match self.take()? {
            '(' => {
                let group = self.alternatives()?;
                if !self.skip(')') {
                    return None;
                }
                Atom::Group(group)
            }
            '[' => Atom::Class(self.class()?),
            '.' => Atom::Class(Class {
                negated: true,
                items: vec![Item::Range('\n', '\n'), Item::Range('\r', '\r')],
                except: None,
            }),
            '\\' => Atom::Class(Class { negated: false, items: vec![self.escape()?], except: None }),
            '*' | '+' | '?' | '{' | '}' | ']' => return None,
            plain => {
                Atom::Class(Class { negated: false, items: vec![Item::Range(plain, plain)], except: None })
            }
        };
        let (min, max) = self.quantifier()?;
        Some(Piece { atom, min, max })
    }

    fn quantifier(&mut self) -> Option<(u32, u32)> {
        if self.skip('*') {
            Some((0, u32::MAX))
        } else if self.skip('+') {
            Some((1, u32::MAX))
        } else if self.skip('?') {
            Some((0, 1))
        } else if self.skip('{') {
            let (inside, rest) = self.rest.split_once('}')?;
            self.rest = rest;
            let number = |text: &str| text.parse().ok().filter(|it| *it <= REPEAT_MAX);
            match inside.split_once(',') {
                None => number(inside).map(|it| (it, it)),
                Some((min, "")) => number(min).map(|it| (it, u32::MAX)),
                Some((min, max)) => Some((number(min)?, number(max)?)).filter(|(min, max)| min <= max),
            }
        } else {
            Some((1, 1))
        }
    }

    fn class(&mut self) -> Option<Class> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let mut class = Class { negated: self.skip('^'), items: Vec::new(), except: None };
        loop {
            match self.take()? {
                ']' => break,
                '-' if self.rest.starts_with('[') => {
                    self.skip('[');
                    class.except = Some(Box::new(self.class()?));
                    if !self.skip(']') {
                        return None;
                    }
                    break;
                }
                '\\' => {
                    let item = self.escape()?;
                    class.items.push(self.range(item)?);
                }
                '[' => return None,
                plain => class.items.push(self.range(Item::Range(plain, plain))?),
            }
        }
        self.depth -= 1;
        (!class.items.is_empty()).then_some(class)
    }

    /// A range, if one begins with this item.
    fn range(&mut self, item: Item) -> Option<Item> {
        let Item::Range(from, _) = item else { return Some(item) };
        let mut ahead = self.rest.chars();
        if ahead.next() != Some('-') || matches!(ahead.next(), None | Some(']' | '[')) {
            return Some(item);
        }
        self.skip('-');
        let to = match self.take()? {
            '\\' => match self.escape()? {
                Item::Range(to, _) => to,
                _ => return None,
            },
            plain => plain,
        };
        (from <= to).then_some(Item::Range(from, to))
    }

    fn escape(&mut self) -> Option<Item> {
        Some(match self.take()? {
            'n' => Item::Range('\n', '\n'),
            'r' => Item::Range('\r', '\r'),
            't' => Item::Range('\t', '\t'),
            'd' => Item::Digit,
            's' => Item::Space,
            'i' => Item::NameStart,
            'c' => Item::NameCharacter,
            'D' => Item::Not(Box::new(Item::Digit)),
            'S' => Item::Not(Box::new(Item::Space)),
            'I' => Item::Not(Box::new(Item::NameStart)),
            'C' => Item::Not(Box::new(Item::NameCharacter)),
            plain if plain.is_ascii_punctuation() => Item::Range(plain, plain),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_the_interface_match_as_xsd_says() {
        let cases = [
            ("[ -~]{8,63}", "password1", true),
            ("[ -~]{8,63}", "short", false),
            ("[ -~]{8,63}", "pässword1", false),
            ("[0-9]+(.[0-9]+)*", "1.3.101.110", true),
            ("[0-9]+(.[0-9]+)*", "1.", false),
            ("([Xx]\\-)?[!#A-Z\\^-~]+/([Xx]\\-)?[A-Z\\-a-z]+", "image/x_png", false),
            ("([Xx]\\-)?[!#A-Z\\^-~]+/([Xx]\\-)?[A-Z\\-a-z]+", "image/x-png", true),
            ("[\\i-[:]][\\c-[:]]*", "a:b", false),
            ("[\\i-[:]][\\c-[:]]*", "aB-1", true),
            ("a|b?c", "c", true),
            ("a|b?c", "ac", false),
            ("(", "(", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn every_pattern_of_the_interface_is_understood() {
        let tables = super::super::Tables::embedded().unwrap();
        let patterns: Vec<_> = tables.types.iter().flat_map(|it| &it.facets.patterns).collect();
        assert!(!patterns.is_empty());
        for pattern in patterns {
            assert!(parse(pattern).is_some(), "{pattern}");
        }
    }

    #[test]
    fn an_endless_match_is_none() {
        assert!(!matches("(a*)*b", &"a".repeat(1_000)));
    }
}
