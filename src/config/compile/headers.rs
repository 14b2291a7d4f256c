//! Changes of headers, and headers of fixed answers.

use super::Compiler;
use crate::config::decode::{Entries, Spanned};
use crate::config::diagnostic::{Code, is_secret_key};
use crate::config::raw;
use crate::config::scalar::{self, Purpose};
use crate::proxy::plan::HeaderEdits;
use http::{HeaderName, HeaderValue};

pub(super) fn edits(written: &raw::HeaderEdits, compiler: &mut Compiler<'_>) -> HeaderEdits {
    HeaderEdits {
        remove: names(&written.remove, Purpose::Edit, compiler),
        set: fields(&written.set, compiler),
        add: fields(&written.add, compiler),
    }
}

/// Reads a list of header names.
pub(super) fn names(
    written: &[Spanned<raw::HeaderName>],
    purpose: Purpose,
    compiler: &mut Compiler<'_>,
) -> Vec<HeaderName> {
    let names = written.iter().filter_map(|name| {
        let read = scalar::header_name(&name.value.0, purpose);
        compiler.value(&name.span, Code::Header, read)
    });
    names.collect()
}

/// Reads headers that edgespan writes. Values kept elsewhere never show up in a log.
pub(super) fn fields(
    written: &Entries<Spanned<raw::HeaderText>>,
    compiler: &mut Compiler<'_>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut fields = Vec::with_capacity(written.0.len());
    for (name, value) in written.iter() {
        let sensitive =
            is_secret_key(&name.value) || matches!(value.value.0, raw::SecretText::Elsewhere(_));
        let read = scalar::header_name(&name.value, Purpose::Edit);
        let name = compiler.value(&name.span, Code::Header, read);
        let value = header_value(&value.span, &value.value.0, sensitive, compiler);
        fields.extend(name.zip(value));
    }
    fields
}

/// Reads a header's value that may be kept elsewhere.
pub(super) fn header_value(
    span: &crate::config::diagnostic::Span,
    written: &raw::SecretText,
    sensitive: bool,
    compiler: &mut Compiler<'_>,
) -> Option<HeaderValue> {
    let secret = compiler.secret(span, written)?;
    let read = scalar::header_value(secret.expose());
    let mut value = compiler.value(span, Code::Header, read)?;
    value.set_sensitive(sensitive);
    Some(value)
}
