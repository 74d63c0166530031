//! Texts as names are compared: whatever letters, case, spaces and punctuation they are written with.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_security::skeleton;

/// A text's words, folded so that letters which look alike are the same.
///
/// Cameras write their maker's name in many ways (`CP-PLUS`, `cpplus`, `CP Plus`), and one that wants to pass for
/// another may use letters of other scripts, or put invisible ones between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folded {
    /// Look-alikes are known by case: both ways to lose it are kept.
    ways: [Way; 2],
}

/// A text folded in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Way {
    words: Vec<String>,
    joined: String,
}

/// A name that is looked for: plain letters and digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Needle(String);

impl Needle {
    pub(super) fn new(name: &str) -> Self {
        Self(joined(name))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Folded {
    pub(super) fn new(text: &str) -> Self {
        let plain: String =
            text.nfkd().filter(|letter| !is_combining_mark(*letter) && !is_filler(*letter)).collect();
        let lower: String = plain.chars().flat_map(char::to_lowercase).collect();
        Self { ways: [Way::new(skeleton(&plain)), Way::new(skeleton(&lower))] }
    }

    /// What the text may be without what companies are called by law: all of it first.
    pub(super) fn cores(&self) -> impl Iterator<Item = String> {
        let formal = |word: &String| LEGAL_FORMS.iter().any(|form| joined(form) == *word);
        self.ways.iter().flat_map(move |way| {
            let forms = way.words.iter().rev().take_while(|word| formal(word)).count();
            let fewest = way.words.len() - forms;
            (fewest..=way.words.len()).rev().map(|count| way.words.iter().take(count).cloned().collect())
        })
    }

    /// Whether the text is the name.
    pub(super) fn is(&self, name: &Needle) -> bool {
        self.ways.iter().any(|way| way.joined == name.0)
    }

    /// Whether the text begins with the name, not necessarily with a whole word.
    pub(super) fn starts(&self, name: &Needle) -> bool {
        self.ways.iter().any(|way| way.joined.starts_with(&name.0))
    }

    /// Whether the text's first words are the name.
    pub(super) fn begins(&self, name: &Needle) -> bool {
        self.place(name) == Some(Place::Start)
    }

    /// Whether the name stands in the text as a word, or as words next to each other; and whether at its start.
    pub(super) fn place(&self, name: &Needle) -> Option<Place> {
        let found = self.ways.iter().filter_map(|way| {
            let ends = |at: &usize| adds_up(way.words.get(*at..).unwrap_or_default(), &name.0);
            let at = (0..way.words.len()).find(ends)?;
            Some(if at == 0 { Place::Start } else { Place::Within })
        });
        found.min()
    }
}

impl Way {
    fn new(text: impl Iterator<Item = char>) -> Self {
        let words = words(&text.collect::<String>());
        Self { joined: words.concat(), words }
    }
}

/// Where in a text a name was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Start,
    Within,
}

/// Words at the end of a company's name; "a.s." is two of them.
const LEGAL_FORMS: [&str; 19] = [
    "a",
    "ab",
    "ag",
    "b",
    "bv",
    "co",
    "company",
    "corp",
    "corporation",
    "gmbh",
    "inc",
    "kg",
    "limited",
    "llc",
    "ltd",
    "plc",
    "s",
    "spa",
    "v",
];

/// A name in the form that [`Folded::is`] compares, for tables.
pub(super) fn joined(name: &str) -> String {
    let [_, lower] = Folded::new(name).ways;
    lower.joined
}

/// Whether words, from the first on, make up the name.
fn adds_up(words: &[String], name: &str) -> bool {
    let mut rest = name;
    for word in words {
        match rest.strip_prefix(word.as_str()) {
            Some("") => return true,
            Some(more) => rest = more,
            None => return false,
        }
    }
    false
}

/// Splits at spaces and ASCII punctuation. Other signs join: nobody sees most of them.
fn words(text: &str) -> Vec<String> {
    let apart =
        |letter: char| letter.is_whitespace() || letter.is_ascii_control() || letter.is_ascii_punctuation();
    let split = text
        .split(apart)
        .map(|word| word.chars().filter(|it| it.is_alphanumeric()).flat_map(plain).collect());
    split.filter(|word: &String| !word.is_empty()).collect()
}

/// Lower case, and one form for the letters that stand for each other within ASCII (Unicode TR 39: `I`, `l` and `1`;
/// `0` and `O`; `m` and `rn`).
fn plain(letter: char) -> impl Iterator<Item = char> {
    let small = letter.to_lowercase();
    small
        .flat_map(|letter| match letter {
            'l' | '1' => ['i', '\0'],
            '0' => ['o', '\0'],
            'm' => ['r', 'n'],
            other => [other, '\0'],
        })
        .filter(|letter| *letter != '\0')
}

/// Letters by class that show as nothing.
fn is_filler(letter: char) -> bool {
    matches!(letter, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_however_it_is_written() {
        let name = Needle::new("Hikvision");
        for text in [
            "HIKVISION",
            "hikvision",
            "Hik-Vision",
            "H i k v i s i o n",
            "HlKVISlON",
            "H1KV1S10N",
            "HІKVІSІОN",
            "Hikvisiоn",
            "hіkvіsіon",
            "ＨＩＫＶＩＳＩＯＮ",
            "Hik\u{200b}vision",
            "Hik\u{ad}vi\u{2060}sion",
            "Hi\u{301}kvi\u{308}sion",
            "Hik\u{3164}vision",
            "𝐇𝐢𝐤𝐯𝐢𝐬𝐢𝐨𝐧",
            "Hikv\u{131}sion",
            "  \t\u{a0} Hikvision \u{0}",
        ] {
            assert!(Folded::new(text).is(&name), "{text:?} {:?}", Folded::new(text));
        }
    }

    #[test]
    fn a_word_is_no_part_of_another() {
        let name = Needle::new("Axis");
        for (text, place) in [
            ("AXIS Q6045-E", Some(Place::Start)),
            ("an AXIS camera", Some(Place::Within)),
            ("a-x-i-s", Some(Place::Start)),
            ("praxis", None),
            ("axisymmetric", None),
            ("ax is camera", Some(Place::Start)),
            ("", None),
        ] {
            assert_eq!(Folded::new(text).place(&name), place, "{text}");
        }
    }

    #[test]
    fn ascii_names_fold_to_one_form() {
        for text in
            ["Amcrest", "IMOU", "LILIN", "MOBOTIX", "i-PRO", "3xLOGIC", "JVCKENWOOD", "Geutebrück", "2N"]
        {
            let [one, other] = Folded::new(text).ways;
            assert_eq!(one, other, "{text}");
        }
        assert_eq!(joined("\u{200b} -"), "");
    }
}
