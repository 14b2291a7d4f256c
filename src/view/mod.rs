//! A trace as it is read: from OTLP, whoever recorded it.

mod cause;
mod model;
mod path;
mod rows;
mod shares;
mod told;
mod tree;

#[cfg(test)]
mod fixtures;

pub use cause::{Cause, causes};
pub use model::{Event, Kind, Link, Span, Status, Trace, Value};
pub use path::{Gap, Path, Reason, Segment, covered_by, own_times};
pub use rows::{Alike, Folding, Row, Rows, Subject};
pub use shares::{Holder, percents, shares};
pub use told::{Outcome, Weight};
pub use tree::{Hold, Place, Tree};
