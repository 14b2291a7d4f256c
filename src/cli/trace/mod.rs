//! `edgespan trace`: traces found, shown, followed and taken away.

pub mod json;
pub mod lines;
pub mod svg;
pub mod table;
pub mod waterfall;
pub mod zone;

#[cfg(test)]
mod fixtures;

use super::style::Surface;
pub use zone::Zone;

/// What an answer is drawn for.
#[derive(Clone, Copy, Debug)]
pub struct Canvas<'a> {
    /// The stream.
    pub surface: &'a Surface,
    /// In whose time.
    pub zone: &'a Zone,
    /// The program as it was started, for commands to copy.
    pub program: &'a str,
}
