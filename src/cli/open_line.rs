//! A line on the terminal that has begun and not ended: `draining 3 requests ... `.
//!
//! Trees and log lines may come in between. Each of them then begins on a line of its own.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether such a line is there now. Clones tell of the same terminal.
#[derive(Clone, Debug, Default)]
pub struct OpenLine(Arc<AtomicBool>);

impl OpenLine {
    /// It was begun.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// It ends here, or somebody else has ended it already.
    pub fn end(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// A writer to the same terminal that ends the line before it writes.
    pub fn before<W: Write>(&self, out: W) -> AfterLine<W> {
        AfterLine {
            line: self.clone(),
            out,
        }
    }
}

/// Ends an open line, then writes.
pub struct AfterLine<W> {
    line: OpenLine,
    out: W,
}

impl<W: Write> Write for AfterLine<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() && self.line.0.swap(false, Ordering::AcqRel) {
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
        let mut out = line.before(&mut paper);

        out.write_all(b"one\n").unwrap();
        line.begin();
        out.write_all(b"two\n").unwrap();
        out.write_all(b"three\n").unwrap();
        line.begin();
        line.end();
        out.write_all(b"four\n").unwrap();

        assert_eq!(paper, b"one\n\ntwo\nthree\nfour\n");
    }
}
