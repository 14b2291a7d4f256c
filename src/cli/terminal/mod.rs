//! The spans of each request, shown as they finish: a tree for a person, a line a span for a
//! pipe.
//!
//! Comes last on the path, beside `export/`. Without a collector the terminal is the exporter.

mod lines;
mod pace;
mod printer;
mod request;
mod rows;
mod tree;

#[cfg(test)]
pub(crate) mod fixtures;

pub use printer::{AfterFirst, PrintedAccount, SpanPrinter};
