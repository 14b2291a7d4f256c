//! What the spans are from: the resource of the service edgespan stands for.

use std::sync::Arc;

/// A resource attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub enum ResourceValue {
    /// Text.
    String(Arc<str>),
    /// An integer.
    Int(i64),
    /// A float.
    Double(f64),
    /// A truth value.
    Bool(bool),
}
