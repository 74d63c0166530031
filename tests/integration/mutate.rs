//! Spoils a message in one way.

/// A repeatable stream of numbers (SplitMix64, Steele et al. 2014).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    /// Up to `most` bytes, fewer more often.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let bound = self.below(most) + 1;
        let length = self.below(bound);
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Texts that are values of some types and of others not.
const TEXTS: [&str; 44] = [
    "",
    " ",
    "x",
    "x y",
    " x  y ",
    "maybe",
    "true",
    "TRUE",
    " 1 ",
    "1",
    "-1",
    "+1",
    "007",
    "-0",
    "1.5",
    "1.0",
    ".5",
    "5.",
    "1e3",
    "1e400",
    "INF",
    "+INF",
    "inf",
    "NaN",
    "0x10",
    "2147483648",
    "99999999999999999999",
    "PT",
    "PT1S",
    "P1D",
    "P1.5D",
    "2026-02-30",
    "2026-01-02T24:00:00Z",
    "2026-01-02T24:00:01Z",
    "2026-01-02T03:04:60Z",
    "2026-01-02T03:04:05+14:01",
    "12026-01-02T03:04:05Z",
    "0000-01-02T00:00:00Z",
    "AQ",
    "AQ==",
    "abc",
    "tt:x",
    "1a",
    "192.0.2.1",
];

/// A child that nothing declares, from another vocabulary, or known elsewhere.
const CHILDREN: [&str; 5] = [
    "<tt:Unheard xmlns:tt=\"http://www.onvif.org/ver10/schema\">1</tt:Unheard>",
    "<x:Unheard xmlns:x=\"urn:vendor\"><x:Inside/></x:Unheard>",
    "<Unheard xmlns=\"\"/>",
    "<tt:Name xmlns:tt=\"http://www.onvif.org/ver10/schema\">x</tt:Name>",
    "<tt:Extension xmlns:tt=\"http://www.onvif.org/ver10/schema\"/>",
];

const ATTRIBUTES: [&str; 8] = [
    " unheard=\"1\"",
    " xmlns:x=\"urn:vendor\" x:unheard=\"1\"",
    " token=\"x\"",
    " xml:lang=\"en\"",
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:nil=\"true\"",
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:nil=\"false\"",
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"x\"",
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" \
     xsi:type=\"xs:string\"",
];

/// Spoils a message in one way; what was done, and the message. It may still be as declared.
pub fn mutate(text: &str, random: &mut Random) -> (String, String) {
    let mut pieces = pieces(text);
    let starts: Vec<_> = (0..pieces.len()).filter(|at| is_start(&pieces[*at])).collect();
    let at = starts[random.below(starts.len())];
    let end = end_of(&pieces, at);
    let what = match random.below(12) {
        0 => {
            rename(&mut pieces, at, end, "tt:Unheard");
            "element renamed"
        }
        1 => {
            let child = random.pick(&CHILDREN).to_owned();
            pieces.insert(at + 1, child);
            "element added first"
        }
        2 => {
            let child = random.pick(&CHILDREN).to_owned();
            pieces.insert(end, child);
            "element added last"
        }
        3 => {
            let attribute = random.pick(&ATTRIBUTES);
            let close = pieces[at].len() - 1;
            pieces[at].insert_str(close, attribute);
            "attribute added"
        }
        4..=6 => {
            replace_text(&mut pieces, &starts, random);
            "text replaced"
        }
        7 if at > 0 => {
            pieces.drain(at..=end);
            "element left out"
        }
        8 if at > 0 => {
            let again: Vec<_> = pieces[at..=end].to_vec();
            pieces.splice(at..at, again);
            "element doubled"
        }
        9 if at > 0 && pieces.get(end + 1).is_some_and(|it| is_start(it)) => {
            let next = end_of(&pieces, end + 1);
            pieces[at..=next].rotate_left(end + 1 - at);
            "elements swapped"
        }
        10 => {
            let texts = ["stray", "<!-- a remark -->", "<![CDATA[1]]>", "<![CDATA[]]>", "&#49;", "\n\t"];
            let text = random.pick(&texts).to_owned();
            pieces.insert(end, text);
            "text added"
        }
        11 if pieces[at].contains("=\"") => {
            attribute(&mut pieces[at], random);
            "attribute's value replaced"
        }
        _ => {
            let prefix = pieces[at].split([':', ' ', '>']).next().unwrap_or_default().to_owned();
            let other = if prefix == "<tt" { "tds" } else { "tt" };
            let local = local(&pieces[at]).to_owned();
            rename(&mut pieces, at, end, &format!("{other}:{local}"));
            "element in another namespace"
        }
    };
    let mut spoilt = pieces.concat();
    declare(&mut spoilt);
    (what.to_owned(), spoilt)
}

/// Replaces the text of an element that holds no others, or all that the outermost holds.
fn replace_text(pieces: &mut Vec<String>, starts: &[usize], random: &mut Random) {
    let leaves: Vec<_> = starts.iter().filter(|at| end_of(pieces, **at) <= **at + 2).copied().collect();
    let at = leaves.get(random.below(leaves.len())).copied().unwrap_or(0);
    let end = end_of(pieces, at);
    let text = random.pick(&TEXTS).to_owned();
    pieces.splice(at + 1..end, [text]);
}

/// Tags and the texts between them. A made message has no `>` inside an attribute.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    for part in text.split_inclusive('>') {
        let at = part.find('<').unwrap();
        pieces.extend([&part[..at], &part[at..]].into_iter().filter(|it| !it.is_empty()).map(str::to_owned));
    }
    pieces
}

fn is_start(piece: &str) -> bool {
    piece.starts_with('<') && !piece.starts_with("</")
}

/// Where the end tag of a start tag stands.
fn end_of(pieces: &[String], start: usize) -> usize {
    let mut depth = 0;
    for (at, piece) in pieces.iter().enumerate().skip(start) {
        depth += i32::from(is_start(piece)) - i32::from(piece.starts_with("</"));
        if depth == 0 {
            return at;
        }
    }
    panic!("an element does not end")
}

fn local(tag: &str) -> &str {
    let name = tag.trim_start_matches('<').split([' ', '>']).next().unwrap();
    name.rsplit(':').next().unwrap()
}

fn rename(pieces: &mut [String], start: usize, end: usize, name: &str) {
    let rest = pieces[start].find([' ', '>']).unwrap();
    pieces[start] = format!("<{name}{}", &pieces[start][rest..]);
    pieces[end] = format!("</{name}>");
}

/// Replaces the value of one attribute, namespace declarations aside.
fn attribute(tag: &mut String, random: &mut Random) {
    let own = |at: &usize| !tag[..*at].rsplit(' ').next().unwrap().starts_with("xmlns");
    let places: Vec<_> = tag.match_indices("=\"").map(|(at, _)| at).filter(own).collect();
    let Some(at) = places.get(random.below(places.len())) else { return };
    let end = at + 2 + tag[at + 2..].find('"').unwrap();
    tag.replace_range(at + 2..end, random.pick(&TEXTS));
}

/// Declares what renamed elements may need, at the root.
fn declare(text: &mut String) {
    let root = text.find('>').unwrap();
    for (prefix, uri) in
        [("tt", "http://www.onvif.org/ver10/schema"), ("tds", "http://www.onvif.org/ver10/device/wsdl")]
    {
        if !text[..root].contains(&format!("xmlns:{prefix}=")) {
            text.insert_str(text.find([' ', '>']).unwrap(), &format!(" xmlns:{prefix}=\"{uri}\""));
        }
    }
}
