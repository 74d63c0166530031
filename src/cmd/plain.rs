//! Output for people: what cameras and people wrote is made printable on its way to the terminal, wherever it stands.

use std::io::{self, Write};

use crate::audit::printable;

/// Writes on, without what controls a terminal or reorders text.
pub(super) struct Plain<'a>(pub(super) &'a mut dyn Write);

impl Write for Plain<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Formatting writes whole pieces of text; what else is written is no text anyway.
        let text = String::from_utf8_lossy(bytes);
        for line in text.split_inclusive('\n') {
            let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
            self.0.write_all(printable(line).as_bytes())?;
            self.0.write_all(end.as_bytes())?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_a_terminal_is_shown_as_what_it_is() {
        let mut shown = Vec::new();
        let name = "{urn:\u{9b}2J\u{202e}x}A\u{1b}[1m";
        writeln!(Plain(&mut shown), "camera {name}\n  Ümlaut").unwrap();
        let shown = String::from_utf8(shown).unwrap();
        assert_eq!(shown, "camera {urn:\u{fffd}2J\u{fffd}x}A\u{fffd}[1m\n  Ümlaut\n");
    }
}
