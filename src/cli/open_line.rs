//! A line on the terminal that has begun and not ended: `draining 3 requests ... `.
//!
//! Trees and log lines may come in between. Each of them then begins on a line of its own.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whether such a line is there now. Clones tell of the same terminal.
#[derive(Clone, Debug, Default)]
pub struct OpenLine(Arc<Mutex<bool>>);

impl OpenLine {
    /// Begins the line.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn begin(&self, text: &str, mut out: impl Write) -> io::Result<()> {
        let mut is_open = self.lock();
        *is_open = true;
        out.write_all(text.as_bytes())
    }

    /// It is being ended, unless somebody else has done so.
    pub fn end(&self) {
        *self.lock() = false;
    }

    /// A writer to the same terminal that ends the line before it writes.
    pub fn before<W: Write>(&self, out: W) -> AfterLine<W> {
        AfterLine {
            line: self.clone(),
            out,
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends an open line, then writes.
pub struct AfterLine<W> {
    line: OpenLine,
    out: W,
}

impl<W: Write> Write for AfterLine<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Held until it is written, so that no line begins in the middle of it.
        let mut is_open = self.line.lock();
        if std::mem::take(&mut *is_open) {
            self.out.write_all(b"\n")?;
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_in_between_begins_a_line_of_its_own() {
        let line = OpenLine::default();
        let mut paper = Vec::new();

        line.before(&mut paper).write_all(b"one\n").unwrap();
        line.begin("begun ... ", &mut paper).unwrap();
        line.before(&mut paper).write_all(b"two\n").unwrap();
        line.before(&mut paper).write_all(b"three\n").unwrap();
        line.begin("begun ... ", &mut paper).unwrap();
        line.end();
        line.before(&mut paper).write_all(b"ended\n").unwrap();

        let paper = String::from_utf8(paper).unwrap();
        assert_eq!(paper, "one\nbegun ... \ntwo\nthree\nbegun ... ended\n");
    }
}
