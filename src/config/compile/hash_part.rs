//! The part of a request that a hash goes by: a header or a cookie.

use super::Compiler;
use crate::config::diagnostic::{Code, Span};
use crate::config::raw;
use crate::config::scalar::{self, Misread, Purpose};
use http::HeaderName;
use std::sync::Arc;

/// Which part.
pub(super) enum Part {
    Header(HeaderName),
    Cookie(Arc<str>),
}

/// Reads it; exactly one of the two has to be there.
pub(super) fn compile(
    span: &Span,
    written: &raw::HashPart,
    compiler: &mut Compiler<'_>,
) -> Option<Part> {
    let given = [
        ("header", written.header.is_some()),
        ("cookie", written.cookie.is_some()),
    ];
    compiler.exactly_one(span, &given);
    if let Some(header) = &written.header {
        let read = scalar::header_name(&header.value.0, Purpose::Read);
        let name = compiler.value(&header.span, Code::Header, read)?;
        return Some(Part::Header(name));
    }
    let cookie = written.cookie.as_ref()?;
    // A token (RFC 6265 section 4.1.1), which is what a header's name is, too.
    let read = match HeaderName::from_bytes(cookie.value.as_bytes()) {
        Ok(_) => Ok(Arc::from(cookie.value.as_str())),
        Err(_) => Err(Misread::new("this is not a cookie's name").label("a token of RFC 9110")),
    };
    let name = compiler.value(&cookie.span, Code::Header, read)?;
    Some(Part::Cookie(name))
}
