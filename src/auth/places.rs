//! Where a request carries what proves who its client is. Every spelling of a name is looked at, so
//! that nobody behind us finds another value than was checked.

use crate::message::cookie;
use crate::trace::percent::decoded_bytes;
use http::HeaderMap;
use std::borrow::Cow;

/// Values of a query parameter, under every spelling of its name.
pub(super) fn in_query<'a>(
    name: &str,
    query: Option<&'a str>,
) -> impl Iterator<Item = Cow<'a, [u8]>> {
    let pairs = query.unwrap_or_default().split('&');
    pairs.filter_map(move |pair| {
        let (key, value) = pair.split_once('=')?;
        let key = decoded_bytes(key).map(plus_is_space);
        key.eq(name.bytes()).then(|| {
            let value = decoded_bytes(value).map(plus_is_space);
            Cow::Owned(value.collect())
        })
    })
}

const fn plus_is_space(byte: u8) -> u8 {
    if byte == b'+' { b' ' } else { byte }
}

/// Values of a cookie (RFC 6265 section 5.4 has the form; names are case-sensitive).
pub(super) fn in_cookies<'a>(
    name: &str,
    headers: &'a HeaderMap,
) -> impl Iterator<Item = Cow<'a, [u8]>> {
    cookie::values(headers, name).map(Cow::Borrowed)
}
