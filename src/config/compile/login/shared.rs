//! What cannot be, and what holds within one process only: cookies, their keys, and Redis.

use super::super::decision;
use crate::config::compile::Compiler;
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::raw;
use crate::config::scalar::Misread;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Longest name that a cookie's own is made of: two of them and a mark fit beside a value into
/// what browsers take.
const NAME_CHARS_MAX: usize = 64;
/// Most keys that seal and open.
const KEYS_MAX: usize = 8;
/// What the names of other cookies of a login begin with.
const TAKEN: [&str; 4] = ["flow-", "ticket-", "tries", "choice"];
/// What stands for no endpoint.
const OFF: &str = "off";

/// Tells what does not fit together, once for all policies.
pub(super) fn check(config: &raw::Config, login: &raw::Login, compiler: &mut Compiler<'_>) {
    let policies = config.auth.iter();
    let logging_in: Vec<_> = policies
        .filter(|(_, policy)| policy.oidc.is_some())
        .map(|(name, _)| name)
        .collect();
    for (at, name) in logging_in.iter().enumerate() {
        policy_name(name, compiler);
        let before = logging_in.get(..at).unwrap_or_default();
        let alike = |one: &&&Spanned<String>| one.value.eq_ignore_ascii_case(&name.value);
        if let Some(other) = before.iter().find(alike) {
            let message = "the cookies of two policies differ in case alone";
            let diagnostic = Diagnostic::at(Code::Header, &name.span, message);
            let diagnostic = diagnostic.label("a name of its own in whatever case");
            compiler.tell(diagnostic.beside(&other.span, "as this one"));
        }
    }
    let Some(first) = logging_in.first() else {
        return;
    };
    if let Some(key) = login.keys.get(KEYS_MAX) {
        let message = format!("more than {KEYS_MAX} keys");
        let diagnostic = Diagnostic::at(Code::OutOfRange, &key.span, message);
        compiler.tell(diagnostic.label("old ones leave after `session.absolute`"));
    }
    let place = config.login.as_ref().map_or(&first.span, |one| &one.span);
    alone(config, login, place, compiler);
    by_http(config, compiler);
    behind_nginx(config, login, compiler);
    mixed_up(config, compiler);
}

/// Two providers that lead back to one address can claim each other's answers.
fn mixed_up(config: &raw::Config, compiler: &mut Compiler<'_>) {
    let shared = config.auth.iter().filter_map(|(name, policy)| {
        let oidc = &policy.oidc.as_ref()?.value;
        let is_own = oidc.callback.as_ref().map(|one| one.value) == Some(raw::Callback::Own);
        let issuer = oidc.issuer.as_ref().filter(|_| !is_own)?;
        Some((name, &issuer.value))
    });
    let shared: Vec<_> = shared.collect();
    let Some((first, issuer)) = shared.first() else {
        return;
    };
    if let Some((name, _)) = shared.iter().find(|(_, other)| other != issuer) {
        let message = "several providers lead back to one address";
        let diagnostic = Diagnostic::at(Code::LoginMixUp, &name.span, message)
            .label("of another provider, and with the same callback")
            .beside(&first.span, "as this one");
        let help = "`callback: own` in one of them, unless each names itself (RFC 9207)";
        compiler.tell(diagnostic.help(help));
    }
}

fn alone(config: &raw::Config, login: &raw::Login, place: &Span, compiler: &mut Compiler<'_>) {
    if login.keys.is_empty() {
        let message = "sessions end with the process";
        let diagnostic = Diagnostic::at(Code::LoginAlone, place, message)
            .label("no `login.keys`: a key is made at the start");
        let help = "`login: {keys: [{env: NAME}]}`; `openssl rand -base64 32` makes one";
        compiler.tell(diagnostic.help(help));
    }
    // Of sessions that are to lie in a Redis that is not there it was told.
    if config.redis.is_none() && !in_redis(login) {
        let message = "single use and logout at the provider hold within one process";
        let diagnostic = Diagnostic::at(Code::LoginAlone, place, message)
            .label("no `redis` that replicas share");
        compiler.tell(diagnostic.help("give `redis: {url: \"redis://host:6379\"}`"));
    }
}

/// Whether sessions are to lie in Redis.
fn in_redis(login: &raw::Login) -> bool {
    let store = login.session.store.as_ref();
    store.is_some_and(|store| store.value == raw::LoginStore::Redis)
}

/// A listener that others reach by http, where nobody says that a browser came by https: no login
/// ever begins there. One that it can begin at is enough, since the others may lead there.
fn by_http(config: &raw::Config, compiler: &mut Compiler<'_>) {
    let mut outside = None;
    for (_, listener) in config.listeners.iter() {
        let is_told = !listener.trusted_proxies.is_empty() || listener.cloudflare.is_some();
        let Some(address) = &listener.address else {
            return;
        };
        let read = address.value.0.parse::<SocketAddr>();
        if listener.tls.is_some() || is_told || read.is_ok_and(|one| one.ip().is_loopback()) {
            return;
        }
        outside = outside.or(Some(&address.span));
    }
    let Some(span) = outside else { return };
    let message = "no login begins here: it needs https";
    let diagnostic = Diagnostic::at(Code::LoginInsecure, span, message)
        .label("no `tls`, and no `trusted_proxies` to say that a browser came by https");
    compiler.tell(diagnostic.help("`trusted_proxies: [10.0.0.0/8]` names who ends TLS in front"));
}

/// nginx hands one `Set-Cookie` of an answer on to the browser.
fn behind_nginx(config: &raw::Config, login: &raw::Login, compiler: &mut Compiler<'_>) {
    if in_redis(login) {
        return;
    }
    for (name, listener) in config.listeners.iter() {
        let written = listener.decision.as_ref();
        let nginx = written.and_then(|written| written.value.nginx.as_ref());
        let is_off = nginx.is_some_and(|path| path.value.0 == OFF);
        if decision::is_decision(listener) && !is_off {
            let message = "a session in cookies may be too large for nginx";
            let diagnostic = Diagnostic::at(Code::LoginCookies, &name.span, message)
                .label("nginx asks here, and passes on one cookie of an answer");
            let help =
                "`login: {session: {store: redis}}`, or `decision: {nginx: off}` if it does not";
            compiler.tell(diagnostic.help(help));
        }
    }
}

/// The name of a policy is part of a cookie's. Whoever looks at cookies may fold their case.
fn policy_name(name: &Spanned<String>, compiler: &mut Compiler<'_>) {
    let folded = name.value.to_ascii_lowercase();
    let taken = TAKEN.iter().find(|taken| folded.starts_with(**taken));
    let label = match taken {
        _ if !fits(&name.value) => {
            format!("letters, digits, `_` and `-`, at most {NAME_CHARS_MAX}")
        }
        Some(taken) => format!("cookies of logins begin with `{taken}`"),
        None => return,
    };
    let message = "this name cannot be part of a cookie's";
    compiler.tell(Diagnostic::at(Code::Header, &name.span, message).label(label));
}

/// What cookies are called; None if the file does not say, or says what cannot be. What browsers
/// know marks by is put in front of it, and never a part of it.
pub(super) fn cookie_name(
    written: Option<&Spanned<String>>,
    compiler: &mut Compiler<'_>,
) -> Option<Arc<str>> {
    let written = written?;
    let misread = || {
        let label = format!("letters, digits, `_` and `-`, at most {NAME_CHARS_MAX}");
        let misread = Misread::new("this cannot be a cookie's name").label(label);
        misread.help("no `__` in front: `__Host-` and its kin are added where they belong")
    };
    let read = (fits(&written.value) && !written.value.starts_with("__"))
        .then(|| Arc::from(written.value.as_str()))
        .ok_or_else(misread);
    compiler.value(&written.span, Code::Header, read)
}

fn fits(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(fits)
}

/// The domain whose hosts share cookies.
pub(super) fn domain(written: &Spanned<String>, compiler: &mut Compiler<'_>) -> Option<Arc<str>> {
    let domain = written.value.to_ascii_lowercase();
    let label_fits = |label: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(fits)
    };
    let is_domain = domain.len() <= 253
        && domain.contains('.')
        && domain.split('.').all(label_fits)
        && domain.parse::<IpAddr>().is_err();
    let misread = || {
        let misread = Misread::new("hosts cannot share a cookie by this");
        match written.value.strip_prefix('.') {
            Some(rest) => misread
                .label("all hosts below it are meant anyway")
                .write(rest),
            None => misread.label("a domain of two labels or more, such as `example.com`"),
        }
    };
    let read = is_domain.then(|| Arc::from(&*domain)).ok_or_else(misread);
    compiler.value(&written.span, Code::Host, read)
}
