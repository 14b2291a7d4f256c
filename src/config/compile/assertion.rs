//! Signed assertions: keys that sign, and what they say.

use super::Compiler;
use crate::auth::IdentitySettings;
use crate::auth::assertion::{AssertionSettings, OWN_CLAIMS, SigningKey};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw;
use crate::config::scalar::Misread;
use crate::message::forwarded;
use http::HeaderName;
use std::sync::Arc;
use std::time::Duration;

/// How long an assertion is valid if the file does not say.
const TTL: Duration = Duration::from_secs(60);
/// Shorter, and clocks that differ by seconds refuse it.
const TTL_MIN: Duration = Duration::from_secs(10);
/// Longer, and it outlives what it says.
const TTL_MAX: Duration = Duration::from_secs(600);
/// Longest issuer or audience, in bytes.
const TEXT_BYTES_MAX: usize = 500;
/// Its header if the file does not say.
const HEADER: HeaderName = HeaderName::from_static("x-edgespan-assertion");

/// Compiles the file's assertions.
pub(super) fn of_file(
    config: &raw::Config,
    identity: Option<&IdentitySettings>,
    compiler: &mut Compiler<'_>,
) -> Option<AssertionSettings> {
    let (place, written) = config
        .assertion
        .as_ref()
        .map(|one| (&one.span, &one.value))?;
    let mut keys: Vec<Arc<SigningKey>> = Vec::with_capacity(written.keys.len());
    for source in &written.keys {
        let Some(key) = key(source, compiler) else {
            continue;
        };
        if keys.contains(&key) {
            let message = "this key is there twice";
            compiler.tell(Diagnostic::at(Code::DuplicateName, &source.span, message));
        }
        keys.push(key);
    }
    let mut text = |written: &Spanned<String>| text(written, compiler);
    let issuer = written.issuer.as_ref().map(&mut text);
    let audience = written.audience.as_ref().map(&mut text);
    let claims = written.claims.iter().map(&mut text).collect();
    for claim in &written.claims {
        if OWN_CLAIMS.contains(&claim.value.as_str()) {
            let message = format!("edgespan writes `{}` itself", claim.value);
            compiler.tell(Diagnostic::at(Code::DuplicateName, &claim.span, message));
        }
    }
    let header = written.header.as_ref();
    let header = header.and_then(|header| compiler.identity_header(&header.span, &header.value.0));
    let header = header.unwrap_or(HEADER);
    let named = identity.into_iter().flat_map(|identity| &identity.headers);
    let mut named = named.map(|(name, _)| name);
    if named.any(|name| forwarded::is_spelling_of(name.as_str(), header.as_str())) {
        let place = written.header.as_ref().map_or(place, |header| &header.span);
        let message = format!("`{header}` is a field of `identity`, too");
        let diagnostic = Diagnostic::at(Code::DuplicateName, place, message);
        compiler.tell(diagnostic.label("an origin would get one of the two"));
    }
    Some(AssertionSettings {
        keys,
        issuer: issuer.unwrap_or_default(),
        audience,
        ttl: ttl(written, compiler),
        header,
        claims,
    })
}

/// Whether a route's requests carry the assertion.
pub(super) fn of_route(
    route: &raw::Route,
    has_auth: bool,
    config: &raw::Config,
    compiler: &mut Compiler<'_>,
) -> bool {
    let Some(written) = &route.assertion else {
        return has_auth && config.assertion.is_some();
    };
    let is_on = written.value == raw::RouteAssertion::On;
    if config.assertion.is_none() {
        let (code, message) = if is_on {
            (Code::Unfit, "nothing signs this assertion")
        } else {
            (Code::NoEffect, "`assertion` has no effect")
        };
        let diagnostic = Diagnostic::at(code, &written.span, message);
        compiler.tell(diagnostic.help("the file's `assertion` names the keys"));
    } else if !has_auth {
        let message = "`assertion` has no effect";
        let diagnostic = Diagnostic::at(Code::NoEffect, &written.span, message);
        compiler.tell(diagnostic.label("the route has no `auth`"));
    }
    is_on && has_auth && config.assertion.is_some()
}

fn key(
    source: &Spanned<raw::SecretSource>,
    compiler: &mut Compiler<'_>,
) -> Option<Arc<SigningKey>> {
    let written = raw::SecretText::Elsewhere(source.value.clone());
    let pem = compiler.secret(&source.span, &written)?;
    let read = SigningKey::from_pem(pem.expose().as_bytes()).map_err(|error| {
        let misread = Misread::new("this is no key that signs assertions").label(error.to_string());
        misread.help("`openssl genpkey -algorithm ed25519` makes one")
    });
    compiler
        .value(&source.span, Code::SigningKey, read)
        .map(Arc::new)
}

fn text(written: &Spanned<String>, compiler: &mut Compiler<'_>) -> Arc<str> {
    let text = &written.value;
    let printable = !text.contains(char::is_control);
    if text.trim().is_empty() || text.len() > TEXT_BYTES_MAX || !printable {
        let diagnostic = Diagnostic::at(Code::Empty, &written.span, "this says nothing");
        compiler.tell(diagnostic.label(format!("1 to {TEXT_BYTES_MAX} printable bytes")));
    }
    Arc::from(text.as_str())
}

fn ttl(written: &raw::Assertion, compiler: &mut Compiler<'_>) -> Duration {
    let ttl = compiler.duration_or(written.ttl.as_ref(), TTL);
    if let Some(written) = &written.ttl
        && !(TTL_MIN..=TTL_MAX).contains(&ttl)
    {
        let message = "an assertion is not valid for so long";
        let message = if ttl < TTL_MIN {
            "an assertion is valid for longer"
        } else {
            message
        };
        let diagnostic = Diagnostic::at(Code::OutOfRange, &written.span, message);
        compiler.tell(diagnostic.label("10s to 10m"));
    }
    ttl
}
