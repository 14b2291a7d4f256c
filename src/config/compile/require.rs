//! What a client has to be, beside being known.

use super::Compiler;
use crate::auth::{EmailPattern, Require};
use crate::config::decode::Spanned;
use crate::config::diagnostic::Code;
use crate::config::raw;
use crate::config::scalar::Misread;
use std::sync::Arc;

/// Compiles it; None: nothing is required.
pub(super) fn compile(written: &raw::Require, compiler: &mut Compiler<'_>) -> Option<Arc<Require>> {
    let emails = written.emails.iter().filter_map(|email| {
        let misread = || {
            Misread::new("this is no e-mail address")
                .label("`ada@example.com`, or `@example.com` for all of a domain")
        };
        let read = match email.value.strip_prefix('*') {
            Some(domain) if domain.starts_with('@') => Err(misread().write(domain)),
            _ => EmailPattern::parse(&email.value).ok_or_else(misread),
        };
        compiler.value(&email.span, Code::Unfit, read)
    });
    let require = Require {
        emails: emails.collect(),
        scopes: words(&written.scopes, compiler),
        groups: written
            .groups
            .iter()
            .map(|one| Arc::from(one.value.as_str()))
            .collect(),
        acr: words(&written.acr, compiler),
        amr: words(&written.amr, compiler),
    };
    (!require.is_nothing()).then(|| Arc::new(require))
}

/// Words that a list with spaces between them can hold (RFC 6749, section 3.3).
fn words(written: &[Spanned<String>], compiler: &mut Compiler<'_>) -> Vec<Arc<str>> {
    let read = written.iter().filter_map(|word| {
        let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        let is_word = !word.value.is_empty() && word.value.bytes().all(fits);
        let read = is_word.then(|| Arc::from(word.value.as_str()));
        let misread = || {
            Misread::new("this is no word of its kind")
                .label("printable characters without space, `\"` and `\\`")
        };
        compiler.value(&word.span, Code::Unfit, read.ok_or_else(misread))
    });
    read.collect()
}
