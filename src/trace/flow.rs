//! A flow: routes of one business process, with the attributes its spans have to carry.

use http::HeaderName;
use std::sync::Arc;

/// A named flow and what its spans say.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The value of the span attribute `flow`.
    pub name: Arc<str>,
    /// Attributes to take from each request or answer.
    pub attributes: Vec<FlowAttribute>,
}

/// One attribute of a flow.
#[derive(Clone, Debug)]
pub struct FlowAttribute {
    /// The span attribute's key.
    pub key: Arc<str>,
    /// Where its value comes from.
    pub source: FlowSource,
    /// What type the text becomes; text that does not parse stays a string.
    pub kind: ValueKind,
}

/// Where a flow attribute's value comes from.
#[derive(Clone, Debug)]
pub enum FlowSource {
    /// A capture of the route's path template.
    Path(Arc<str>),
    /// A request header's first value.
    RequestHeader(HeaderName),
    /// A response header's first value.
    ResponseHeader(HeaderName),
}

/// The type of a value taken from text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValueKind {
    /// As it is.
    #[default]
    String,
    /// A 64-bit integer.
    Int,
    /// A 64-bit float.
    Double,
    /// `true` or `false`.
    Bool,
}
