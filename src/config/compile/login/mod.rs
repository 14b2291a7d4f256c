//! What logins share.

mod audit;
mod places;
mod shared;

pub(super) use audit::compile as audit;

use super::Compiler;
use crate::auth::oidc::{LoginSettings, PageSettings, ReturnTargets};
use crate::auth::seal::SealKey;
use crate::auth::session::{CookieSettings, SessionSettings, SessionStore};
use crate::auth::{Means, PolicySettings};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw;
use crate::config::scalar::Misread;
use crate::shared::RedisSettings;
use std::sync::Arc;
use std::time::Duration;

/// What cookies are called if the file does not say.
const COOKIE: &str = "edgespan";
/// How long a session lasts that nobody uses, if the file does not say.
const IDLE: Duration = Duration::from_hours(8);
/// How long a session lasts at most, if the file does not say.
const ABSOLUTE: Duration = Duration::from_hours(24);
/// How long a login may take if the file does not say.
const FLOW_TTL: Duration = Duration::from_mins(10);
/// Logins that a browser may have begun, if the file does not say.
const FLOWS_MAX: usize = 7;
/// How often in a row a login may begin, if the file does not say.
const ATTEMPTS_MAX: u32 = 5;

/// Compiles it. None if no policy logs in.
pub(super) fn compile(
    config: &raw::Config,
    policies: &[PolicySettings],
    redis: Option<&RedisSettings>,
    compiler: &mut Compiler<'_>,
) -> Option<LoginSettings> {
    let logs_in = policies
        .iter()
        .any(|policy| matches!(policy.means, Means::Oidc(_)));
    let written = config.login.as_ref();
    if !logs_in {
        let written = written.filter(|_| policies.len() == config.auth.iter().count());
        if let Some(written) = written {
            audit::without_login(written, policies.is_empty(), compiler);
        }
        return None;
    }
    let usual = raw::Login::default();
    let login = written.map_or(&usual, |written| &written.value);
    shared::check(config, login, compiler);
    let count =
        |written: Option<&Spanned<raw::Count>>, usual| written.map_or(usual, |one| one.value.0);
    let attempts = count(login.attempts_max.as_ref(), ATTEMPTS_MAX as usize);
    Some(LoginSettings {
        path: places::path(login, compiler),
        callback_origin: places::callback_origin(login, compiler),
        keys: keys(login, compiler),
        session: session(login, redis, compiler),
        return_to: return_to(&login.return_to, compiler),
        flows_max: count(login.flows_max.as_ref(), FLOWS_MAX),
        flow_ttl: compiler.duration_or(login.flow_ttl.as_ref(), FLOW_TTL),
        attempts_max: u32::try_from(attempts).unwrap_or(u32::MAX),
        pages: PageSettings {
            template: places::template(login.pages.template.as_ref(), compiler),
            site: login
                .pages
                .site
                .as_ref()
                .map(|site| Arc::from(site.value.as_str())),
        },
    })
}

/// Whether a Redis has an effect on logins: sessions, or what ended of them, are shared there.
pub(super) fn uses_redis(config: &raw::Config) -> bool {
    config.auth.iter().any(|(_, policy)| policy.oidc.is_some())
}

fn keys(login: &raw::Login, compiler: &mut Compiler<'_>) -> Vec<SealKey> {
    let keys = login.keys.iter();
    keys.filter_map(|key| self::key(key, compiler)).collect()
}

/// 32 bytes in base64, as text.
fn key(source: &Spanned<raw::SecretSource>, compiler: &mut Compiler<'_>) -> Option<SealKey> {
    let written = raw::SecretText::Elsewhere(source.value.clone());
    let text = compiler.secret(&source.span, &written)?;
    let read = SealKey::parse(text.expose()).map_err(|error| {
        let misread = Misread::new("this key cannot seal").label(error.to_string());
        misread.help("`openssl rand -base64 32` makes one")
    });
    compiler.value(&source.span, Code::Secret, read)
}

fn session(
    login: &raw::Login,
    redis: Option<&RedisSettings>,
    compiler: &mut Compiler<'_>,
) -> SessionSettings {
    let session = &login.session;
    let store = match session.store.as_ref() {
        Some(store) if store.value == raw::LoginStore::Redis => {
            if redis.is_none() {
                let message = "sessions cannot lie in a Redis that the file does not name";
                let diagnostic = Diagnostic::at(Code::Unfit, &store.span, message);
                compiler.tell(diagnostic.help("`redis: {url: \"redis://host:6379\"}` names it"));
            }
            SessionStore::Redis
        }
        Some(_) | None => SessionStore::Cookie,
    };
    let cookie = &login.cookie;
    let idle = compiler.days_or(session.idle.as_ref(), IDLE);
    let absolute = compiler.days_or(session.absolute.as_ref(), ABSOLUTE);
    if let Some(written) = session.idle.as_ref().filter(|_| idle > absolute) {
        let message = "`idle` has no effect";
        let diagnostic = Diagnostic::at(Code::NoEffect, &written.span, message);
        compiler.tell(diagnostic.label("`absolute` ends a session before"));
    }
    SessionSettings {
        store,
        idle,
        absolute,
        cookie: CookieSettings {
            name: shared::cookie_name(cookie.name.as_ref(), compiler)
                .unwrap_or_else(|| COOKIE.into()),
            domain: cookie
                .domain
                .as_ref()
                .and_then(|domain| shared::domain(domain, compiler)),
            same_site: match cookie.same_site.as_ref().map(|one| one.value) {
                Some(raw::SameSite::Strict) => "Strict",
                Some(raw::SameSite::None) => "None",
                Some(raw::SameSite::Lax) | None => "Lax",
            },
        },
    }
}

fn return_to(written: &[Spanned<String>], compiler: &mut Compiler<'_>) -> ReturnTargets {
    let mut targets = ReturnTargets::default();
    for target in written {
        if let Some(domain) = target.value.strip_prefix("*.") {
            if !domain.contains('.') && domain != "localhost" {
                let misread = Misread::new("a login could lead back to anybody")
                    .label("a domain of two labels or more, such as `*.example.com`");
                let _told: Option<()> = compiler.value(&target.span, Code::Unfit, Err(misread));
            }
            targets.domains.push(domain.to_ascii_lowercase().into());
        } else if let Some((_, domain)) = target.value.split_once("://*.") {
            let misread = Misread::new("`*` stands for all hosts of a domain, by https")
                .write(format!("*.{domain}"));
            let _told: Option<()> = compiler.value(&target.span, Code::Url, Err(misread));
        } else {
            let read = places::origin(&target.value);
            let url = compiler.value(&target.span, Code::Url, read);
            targets.origins.extend(url.map(|url| url.origin()));
        }
    }
    targets
}
