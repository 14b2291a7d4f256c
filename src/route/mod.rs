//! Which rule applies to a request. Knows nothing of what a rule routes to.
//!
//! Comes after `message::normalize`, whose one reading of host and path is what is matched.
//! Rules are ranked by how specific they are and never by their order:
//!
//! 1. An exact host goes before `*.host`, and that before any host. If no rule of the closer host
//!    matches, the next one is asked.
//! 2. Paths are compared segment by segment from the left: literal text goes before a capture, a
//!    capture before an open end (`{rest...}`, then a prefix). Expressions come after all of
//!    these. A rule that takes every path comes last, however it is written.
//! 3. Of rules for one path, the one with fewer methods goes first, then the one with more header
//!    conditions, then with more query conditions; exact values go before expressions, and these
//!    before mere presence.
//! 4. What is still alike is ranked by name, so that moving a rule in a file changes nothing.
//!
//! A rule that takes a part of another one's requests always goes before it. A rule that does not
//! match in full (wrong method, say) is passed over, and the next one is asked.

mod captures;
mod host;
mod near;
mod pattern;
mod rank;
mod rewrite;
mod shadow;
mod spec;
mod table;
mod template;
mod trie;
#[cfg(test)]
mod tests;

pub use captures::{CAPTURES_MAX, Captures};
pub use host::{HostPattern, HostPatternError};
pub use near::{Missed, NearMiss};
pub use pattern::{Pattern, PatternError};
pub use rewrite::rewrite_path;
pub use shadow::{Shadow, shadowed};
pub use spec::{HeaderRule, PathRule, QueryRule, RouteSpec, ValueRule};
pub use table::{BuildError, RouteMatch, RouteRequest, RouteTable};
pub use template::{PathPrefix, PathTemplate, TemplateError};
