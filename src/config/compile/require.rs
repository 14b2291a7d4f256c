//! What a client has to be, beside being known.

use super::Compiler;
use crate::auth::{EmailPattern, Require};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic};
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

/// Tells what asks nothing of whoever these policies know, what hardly anybody has, and what nobody
/// can have: each of them is held to all of it.
pub(super) fn check(
    written: &Spanned<raw::Require>,
    policies: &[(&Spanned<String>, &raw::Policy)],
    compiler: &mut Compiler<'_>,
) {
    let raw::Require {
        scopes,
        groups,
        emails,
        acr,
        amr,
    } = &written.value;
    let asks_more = [scopes, emails, acr, amr]
        .iter()
        .any(|list| !list.is_empty());
    if groups.is_empty() && !asks_more {
        let message = "`require` has no effect";
        let diagnostic = Diagnostic::at(Code::NoEffect, &written.span, message);
        let label = "it asks nothing: whoever the policy knows passes";
        compiler.tell(diagnostic.label(label));
        return;
    }
    let is_of_login = policies.iter().any(|(_, policy)| policy.oidc.is_some());
    if let Some(scope) = scopes.first().filter(|_| is_of_login) {
        let message = "most logins bring no scopes";
        let diagnostic = Diagnostic::at(Code::LoginScopes, &scope.span, message)
            .label("of a login, scopes are those that its ID token or userinfo names");
        let help = "require `groups`, or ask for a claim in `allow`";
        compiler.tell(diagnostic.help(help));
    }
    for (name, policy) in policies {
        let knows_groups = policy.api_key.is_some() || policy.basic.is_some();
        let knows_nothing = policy.ip.is_some() || policy.client_cert.is_some();
        if !(knows_nothing || knows_groups && asks_more) {
            continue;
        }
        let told = match knows_groups {
            true => "nothing but `groups` of whom it knows",
            false => "nothing of this",
        };
        let diagnostic = Diagnostic::at(Code::NoEffect, &written.span, "nobody passes by this")
            .label(format!("`{}` tells {told}, and is held to it", name.value));
        let help = "`allow` of the route asks for what all policies together have proved";
        compiler.tell(diagnostic.help(help));
    }
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
