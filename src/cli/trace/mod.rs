//! `edgespan trace`: traces found, shown, followed and taken away.

pub mod command;
pub mod export;
pub mod filter;
pub mod find;
pub mod json;
pub mod lines;
pub mod live;
pub mod moment;
pub mod one;
pub mod show;
pub mod source;
pub mod svg;
pub mod table;
pub mod tail;
pub mod waiting;
pub mod waterfall;
pub mod zone;

#[cfg(test)]
mod fixtures;

use super::style::Surface;
use command::zone_of;
pub use command::{OutputArgs, TraceArgs, TraceCommand, run};
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
