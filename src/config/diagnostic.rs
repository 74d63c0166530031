//! What is wrong with a configuration: where, and what to do.

use std::{fmt, ops::Range, path::PathBuf};

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use super::source::Source;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but somebody should know.
    Warning,
}

/// One thing that is wrong. However it is printed, it shows no value that may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub file: PathBuf,
    /// The file's text; empty if it could not be read.
    pub(super) source: Source,
    /// The bytes of the text that are meant.
    pub(super) span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl Diagnostic {
    /// An error on a line, from 1, of a text that holds no secrets.
    pub fn on_line(file: PathBuf, text: &str, line: usize, message: String, remedy: String) -> Self {
        let source = Source::plain(text);
        let span = source.line_span(line);
        Self { severity: Severity::Error, file, source, span, message, remedy }
    }

    /// Line and column, from 1.
    pub fn position(&self) -> (usize, usize) {
        self.source.position(self.span.start)
    }

    /// The message with file, line, the text in question and the remedy, for a terminal.
    pub fn render(&self) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let file = self.file.display().to_string();
        let (line, span) = self.source.excerpt(&self.span);
        let title = level.primary_title(&self.message);
        let placed = if self.source.is_empty() {
            title.element(Origin::path(&file))
        } else {
            let snippet = Snippet::source(&line).line_start(self.position().0).path(&file);
            title.element(snippet.annotation(AnnotationKind::Primary.span(span)))
        };
        Renderer::plain().render(&[placed.element(Level::HELP.message(&self.remedy))])
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.position();
        write!(f, "{}:{line}:{column}: {} ({})", self.file.display(), self.message, self.remedy)
    }
}

/// Without the text: it may hold secrets that somebody wrote into it.
impl fmt::Debug for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {self}", self.severity)
    }
}
