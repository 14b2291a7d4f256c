//! A line of text that goes on below itself where the terminal ends, at a word, under what it
//! belongs to.

use super::escape;
use super::style::{Painted, Surface};

const INDENT_MIN: usize = 2;

/// One line being put together.
pub struct Line {
    words: Vec<Word>,
    /// Spaces to come before the next word.
    gap: usize,
    /// Where the line goes on.
    indent: usize,
}

struct Word {
    gap: usize,
    columns: usize,
    text: String,
}

impl Line {
    /// An empty line that goes on `indent` columns from the left.
    pub const fn new(indent: usize) -> Self {
        Self {
            words: Vec::new(),
            gap: 0,
            indent,
        }
    }

    /// Words that may be parted; the spaces between them are kept.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        for (at, part) in text.split(' ').enumerate() {
            self.gap += usize::from(at > 0);
            if !part.is_empty() {
                self.push(escape::columns(part), part.to_owned());
            }
        }
        self
    }

    /// One thing that is never parted: an address, a command to copy.
    #[must_use]
    pub fn whole(mut self, text: Painted<'_>) -> Self {
        self.push(text.columns(), text.to_string());
        self
    }

    /// The same for what is put together elsewhere and known to take `columns`.
    #[must_use]
    pub fn styled(mut self, columns: usize, text: String) -> Self {
        self.push(columns, text);
        self
    }

    fn push(&mut self, columns: usize, text: String) {
        let gap = std::mem::take(&mut self.gap);
        match self.words.last_mut().filter(|_| gap == 0) {
            Some(last) => {
                last.columns += columns;
                last.text.push_str(&text);
            }
            None => self.words.push(Word { gap, columns, text }),
        }
    }

    /// The line, ended; in a pipe it is never parted.
    pub fn render(&self, surface: &Surface) -> String {
        let columns = if surface.is_terminal {
            surface.columns()
        } else {
            usize::MAX
        };
        let mut out = String::new();
        let mut used = 0_usize;
        for word in &self.words {
            let next = used + word.gap + word.columns;
            // What does not fit even there goes on further left.
            let has_room = self.indent + word.columns <= columns;
            let indent = if has_room { self.indent } else { INDENT_MIN };
            if next > columns && indent + word.columns < next {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                used = indent + word.columns;
            } else {
                out.push_str(&" ".repeat(word.gap));
                used = next;
            }
            out.push_str(&word.text);
        }
        out.push('\n');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::style::{Glyphs, Paint};

    #[track_caller]
    fn check(line: &Line, columns: usize, expected: &str) {
        let surface = Surface::fixed(columns, Paint::new(true), Glyphs::UNICODE);
        assert_eq!(line.render(&surface).replace('\u{1b}', "\\e"), expected);
    }

    #[test]
    fn a_line_goes_on_under_what_it_belongs_to() {
        let paint = Paint::new(true);
        let line = Line::new(7)
            .text("where  ")
            .whole(paint.bold("http://127.0.0.1:1"))
            .text("   metrics, and health");

        check(
            &line,
            80,
            "where  \\e[1mhttp://127.0.0.1:1\\e[0m   metrics, and health\n",
        );
        check(
            &line,
            38,
            "where  \\e[1mhttp://127.0.0.1:1\\e[0m   metrics,\n       and health\n",
        );
        check(
            &line,
            24,
            "where\n  \\e[1mhttp://127.0.0.1:1\\e[0m\n       metrics, and\n       health\n",
        );
    }
}
