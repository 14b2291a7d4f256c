//! What is remembered of decisions.

use super::Compiler;
use crate::auth::{CacheKeyPart, CacheSettings};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw;
use crate::config::scalar::{self, Misread, Purpose};
use http::HeaderName;

/// Most decisions that may be remembered: with the largest ones that are 8 GB.
const ENTRIES_MAX: usize = 1_000_000;

pub(super) fn compile(
    written: &Spanned<raw::AuthCache>,
    compiler: &mut Compiler<'_>,
) -> CacheSettings {
    let (span, written) = (&written.span, &written.value);
    let tells_apart = |part: &Spanned<raw::AuthCacheKey>| match &part.value {
        raw::AuthCacheKey::Word(word) => {
            // What is no word at all is told below.
            !["method", "host", "path", "query"].contains(&word.as_str())
        }
        raw::AuthCacheKey::Value(_) => true,
    };
    let all_alike = |key: &Vec<_>| !key.is_empty() && !key.iter().any(tells_apart);
    if written.key.as_ref().is_some_and(all_alike) {
        let message = "this `key` would give one client's answer to all";
        let diagnostic = Diagnostic::at(Code::Unfit, span, message);
        let diagnostic = diagnostic.label("name what tells clients apart");
        compiler.tell(diagnostic.help("`{header: NAME}`, `{cookie: NAME}` or `address`"));
    }
    let default = CacheSettings::default();
    let entries = written.entries.as_ref();
    if let Some(entries) = entries.filter(|entries| !(1..=ENTRIES_MAX).contains(&entries.value.0)) {
        let message = "these are too many or too few decisions to remember";
        let diagnostic = Diagnostic::at(Code::OutOfRange, &entries.span, message);
        compiler.tell(diagnostic.label("1 to 1000000"));
    }
    let negative_ttl = compiler.off_or_duration(written.negative_ttl.as_ref());
    let ttl = compiler.duration_or(written.ttl.as_ref(), default.ttl);
    CacheSettings {
        ttl,
        // A refusal is not remembered for longer than a permission, unless somebody says so.
        negative_ttl: negative_ttl
            .unwrap_or_else(|| default.negative_ttl.map(|negative| negative.min(ttl))),
        key: written.key.as_ref().map(|parts| {
            let parts = parts.iter();
            parts.filter_map(|part| one(part, compiler)).collect()
        }),
        entries_max: entries.map_or(default.entries_max, |entries| entries.value.0),
    }
}

fn one(part: &Spanned<raw::AuthCacheKey>, compiler: &mut Compiler<'_>) -> Option<CacheKeyPart> {
    let value = match &part.value {
        raw::AuthCacheKey::Word(word) => {
            let read = match word.as_str() {
                "method" => Ok(CacheKeyPart::Method),
                "host" => Ok(CacheKeyPart::Host),
                "path" => Ok(CacheKeyPart::Path),
                "query" => Ok(CacheKeyPart::Query),
                "address" => Ok(CacheKeyPart::Address),
                _ => Err(Misread::new("this is no part of a key").help(
                    "`method`, `host`, `path`, `query`, `address`, `{header: NAME}` or `{cookie: NAME}`",
                )),
            };
            return compiler.value(&part.span, Code::UnknownValue, read);
        }
        raw::AuthCacheKey::Value(value) => value,
    };
    let given = [
        ("header", value.header.is_some()),
        ("cookie", value.cookie.is_some()),
    ];
    compiler.exactly_one(&part.span, &given);
    if let Some(header) = &value.header {
        let read = scalar::header_name(&header.value.0, Purpose::Read);
        let name = compiler.value(&header.span, Code::Header, read)?;
        return Some(CacheKeyPart::Header(name));
    }
    cookie_name(value.cookie.as_ref()?, compiler).map(CacheKeyPart::Cookie)
}

/// A cookie's name is a token (RFC 6265 section 4.1.1), which is what a header's name is, too.
pub(super) fn cookie_name(
    written: &Spanned<String>,
    compiler: &mut Compiler<'_>,
) -> Option<Box<str>> {
    let read = match HeaderName::from_bytes(written.value.as_bytes()) {
        Ok(_) => Ok(Box::from(written.value.as_str())),
        Err(_) => Err(Misread::new("this is not a cookie's name").label("a token of RFC 9110")),
    };
    compiler.value(&written.span, Code::Header, read)
}
