//! Rate limits, the Redis that they share, and overload.

use super::Compiler;
use crate::config::decode::{Entries, Spanned};
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::raw;
use crate::config::scalar::{self, Misread, Purpose};
use crate::listener::ListenerSettings;
use crate::ratelimit::{
    KeyPart, LimitHeaders, MissingKey, OnStoreFailure, Quota, RateLimitSettings, RateLimitStore,
};
use crate::server::MemoryWatermark;
use crate::shared::{RedisSettings, RedisTls};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait of a request for Redis if the file does not say.
const TIMEOUT: Duration = Duration::from_millis(50);
/// What keys begin with if the file does not say.
const PREFIX: &str = "{edgespan}:";
/// Keys that a process remembers if the file does not say: one MiB.
const KEYS: usize = 65_536;
/// Leading bits of an IPv6 address that are one client if the file does not say.
const IPV6_PREFIX: u8 = 64;

pub(super) fn compile(
    limits: &Entries<raw::RateLimit>,
    redis: Option<&Spanned<raw::Redis>>,
    logs_in: bool,
    compiler: &mut Compiler<'_>,
) -> (Vec<RateLimitSettings>, Option<RedisSettings>) {
    let mut used = logs_in;
    let mut compiled = Vec::with_capacity(limits.0.len());
    for (name, limit) in limits.iter() {
        let settings = one(name, limit, compiler);
        if matches!(settings.store, RateLimitStore::Redis { .. }) {
            used = true;
            if let (None, Some(store)) = (redis, &limit.store) {
                let message = format!(
                    "limit `{}` is kept in a Redis that nobody names",
                    name.value
                );
                let diagnostic = Diagnostic::at(Code::UnknownName, &store.span, message);
                compiler.tell(diagnostic.help("give `redis: {url: \"redis://host:6379\"}`"));
            }
        }
        compiled.push(settings);
    }
    if let Some(redis) = redis.filter(|_| !used) {
        let message = "`redis` has no effect";
        let diagnostic = Diagnostic::at(Code::NoEffect, &redis.span, message);
        compiler.tell(diagnostic.label("no rate limit has `store: redis`, and nobody logs in"));
    }
    let redis = redis.and_then(|redis| self::redis(&redis.value, compiler));
    (compiled, redis.filter(|_| used))
}

fn one(
    name: &Spanned<String>,
    limit: &raw::RateLimit,
    compiler: &mut Compiler<'_>,
) -> RateLimitSettings {
    let rate = limit.rate.as_ref();
    let (count, period) = rate
        .and_then(|rate| {
            let read = scalar::request_rate(&rate.value.0);
            compiler.value(&rate.span, Code::RequestRate, read)
        })
        .unwrap_or((1, Duration::from_secs(1)));
    let burst = limit.burst.as_ref();
    let burst = burst.map_or(count, |burst| {
        u32::try_from(burst.value.0).unwrap_or(u32::MAX)
    });
    let key = limit.key.as_ref();
    let of_network = key.is_none_or(|parts| {
        let mut parts = parts.iter();
        parts.any(|part| matches!(&part.value, raw::RateLimitKey::Word(word) if word == "address"))
    });
    if let Some(prefix) = limit.ipv6_prefix.as_ref().filter(|_| !of_network) {
        unfit(
            "ipv6_prefix",
            &prefix.span,
            "the key has no `address`",
            compiler,
        );
    }
    RateLimitSettings {
        name: Arc::from(name.value.as_str()),
        quota: Quota::new(count, period, burst),
        key: key.map_or_else(
            || vec![KeyPart::Address],
            |parts| {
                let parts = parts.iter();
                parts.filter_map(|one| part(one, compiler)).collect()
            },
        ),
        missing: match limit.missing.as_ref().map(|one| one.value) {
            Some(raw::MissingKey::Pass) => MissingKey::Pass,
            Some(raw::MissingKey::Share) | None => MissingKey::Share,
        },
        ipv6_prefix: limit
            .ipv6_prefix
            .as_ref()
            .map_or(IPV6_PREFIX, |one| one.value),
        store: store(limit, compiler),
        keys_max: limit.keys.as_ref().map_or(KEYS, |keys| keys.value.0),
        enforce: limit.enforce.as_ref().is_none_or(|one| one.value),
        preflights: limit.preflights.as_ref().is_none_or(|one| one.value),
        headers: match limit.headers.as_ref().map(|one| one.value) {
            Some(raw::LimitHeaders::Draft) | None => LimitHeaders::Draft,
            Some(raw::LimitHeaders::Separate) => LimitHeaders::Separate,
            Some(raw::LimitHeaders::Both) => LimitHeaders::Both,
            Some(raw::LimitHeaders::Off) => LimitHeaders::Off,
        },
    }
}

fn store(limit: &raw::RateLimit, compiler: &mut Compiler<'_>) -> RateLimitStore {
    let on_failure = limit.on_failure.as_ref();
    if limit.store.as_ref().map(|store| store.value) == Some(raw::LimitStore::Redis) {
        let on_failure = match on_failure.map(|one| one.value) {
            Some(raw::OnStoreFailure::Open) | None => OnStoreFailure::Open,
            Some(raw::OnStoreFailure::Closed) => OnStoreFailure::Closed,
            Some(raw::OnStoreFailure::Local) => OnStoreFailure::Local,
        };
        if let Some(keys) = limit
            .keys
            .as_ref()
            .filter(|_| on_failure != OnStoreFailure::Local)
        {
            unfit("keys", &keys.span, "Redis keeps the keys", compiler);
        }
        return RateLimitStore::Redis { on_failure };
    }
    if let Some(written) = on_failure {
        unfit(
            "on_failure",
            &written.span,
            "only `store: redis` can fail",
            compiler,
        );
    }
    RateLimitStore::Local
}

fn unfit(key: &str, span: &Span, label: &str, compiler: &mut Compiler<'_>) {
    let message = format!("`{key}` has no effect here");
    compiler.tell(Diagnostic::at(Code::Unfit, span, message).label(label));
}

fn part(written: &Spanned<raw::RateLimitKey>, compiler: &mut Compiler<'_>) -> Option<KeyPart> {
    let value = match &written.value {
        raw::RateLimitKey::Word(word) => {
            return match word.as_str() {
                "address" => Some(KeyPart::Address),
                "route" => Some(KeyPart::Route),
                "listener" => Some(KeyPart::Listener),
                "identity" => Some(KeyPart::Identity),
                "api_key" => Some(KeyPart::ApiKey),
                // Told by the shape pass.
                _ => None,
            };
        }
        raw::RateLimitKey::Value(value) => value,
    };
    let keys = [
        ("header", value.header.is_some()),
        ("cookie", value.cookie.is_some()),
    ];
    compiler.exactly_one(&written.span, &keys);
    if let Some(header) = &value.header {
        let read = scalar::header_name(&header.value.0, Purpose::Read);
        let name = compiler.value(&header.span, Code::Header, read)?;
        return Some(KeyPart::Header(name));
    }
    let cookie = value.cookie.as_ref()?;
    let token = scalar::token(&cookie.value);
    let read = token
        .then(|| Box::from(cookie.value.as_str()))
        .ok_or_else(|| Misread::new("this cannot be a cookie's name"));
    compiler
        .value(&cookie.span, Code::Header, read)
        .map(KeyPart::Cookie)
}

fn redis(written: &raw::Redis, compiler: &mut Compiler<'_>) -> Option<RedisSettings> {
    let password = written
        .password
        .as_ref()
        .and_then(|password| compiler.secret(&password.span, &password.value));
    let timeout = compiler.duration_or(written.timeout.as_ref(), TIMEOUT);
    let tls = written.tls.as_ref().map(|tls| RedisTls {
        ca: compiler.authority(tls.value.ca.as_ref()),
        identity: tls
            .value
            .certificate
            .as_ref()
            .and_then(|files| compiler.certificate(files)),
    });
    let url = written.url.as_ref()?;
    let address = compiler.value(&url.span, Code::Url, scalar::redis(&url.value.0))?;
    if let Some(tls) = written.tls.as_ref().filter(|_| !address.encrypted) {
        unfit("tls", &tls.span, "the URL is not `rediss`", compiler);
    }
    Some(RedisSettings {
        host: address.host,
        port: address.port,
        database: address.database,
        tls: address.encrypted.then(|| tls.unwrap_or_default()),
        username: written
            .username
            .as_ref()
            .map(|username| Arc::from(username.value.as_str())),
        password,
        timeout,
        prefix: written
            .prefix
            .as_ref()
            .map_or_else(|| Arc::from(PREFIX), |prefix| Arc::from(&*prefix.value)),
    })
}

/// Names of limits that a route or a listener has; each has to exist.
pub(super) fn names(
    written: &[Spanned<String>],
    limits: &Entries<raw::RateLimit>,
    compiler: &mut Compiler<'_>,
) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = Vec::with_capacity(written.len());
    for name in written {
        if !limits.iter().any(|(limit, _)| limit.value == name.value) {
            let defined: Vec<_> = limits
                .iter()
                .map(|(name, _)| (name.value.as_str(), &name.span))
                .collect();
            compiler.dangling("rate limit", name, &defined);
        } else if !names.iter().any(|one| **one == *name.value) {
            names.push(Arc::from(name.value.as_str()));
        }
    }
    names
}

/// Refuses limits that go by who the client is, where nobody is known.
pub(super) fn refuse_identity(
    written: &[Spanned<String>],
    limits: &Entries<raw::RateLimit>,
    why: &str,
    compiler: &mut Compiler<'_>,
) {
    let proved = |part: &Spanned<raw::RateLimitKey>| match &part.value {
        raw::RateLimitKey::Word(word) => matches!(word.as_str(), "identity" | "api_key"),
        raw::RateLimitKey::Value(_) => false,
    };
    for name in written {
        let mut limits = limits.iter();
        let found = limits.find_map(|(limit, settings)| {
            let key = settings.key.iter().flatten();
            (limit.value == name.value).then_some(key)
        });
        if let Some(part) = found.and_then(|mut key| key.find(|part| proved(part))) {
            let message = format!("limit `{}` cannot be asked here", name.value);
            let diagnostic = Diagnostic::at(Code::Unfit, &name.span, message).label(why);
            let diagnostic = diagnostic.beside(&part.span, "it goes by who the client is");
            compiler.tell(diagnostic.help("name it in the `rate_limits` of routes with `auth`"));
        }
    }
}

/// Gives each listener the limits that its part of the file names.
pub(super) fn of_listeners(
    config: &raw::Config,
    listeners: &mut [ListenerSettings],
    compiler: &mut Compiler<'_>,
) {
    for (name, written) in config.listeners.iter() {
        let limits = names(&written.rate_limits, &config.rate_limits, compiler);
        let why = "a listener's limits are asked before it is known who the client is";
        refuse_identity(&written.rate_limits, &config.rate_limits, why, compiler);
        let mut compiled = listeners.iter_mut();
        if let Some(listener) = compiled.find(|one| *one.name == *name.value) {
            listener.rate_limits = limits;
        }
    }
}

pub(super) fn overload(written: &raw::Overload, compiler: &mut Compiler<'_>) -> MemoryWatermark {
    let Some(memory) = &written.memory else {
        return MemoryWatermark::OfControlGroup;
    };
    if memory.value.0 == "off" {
        return MemoryWatermark::Off;
    }
    let read = scalar::size(&memory.value.0);
    match compiler.value(&memory.span, Code::Size, read) {
        Some(bytes) => MemoryWatermark::Bytes(bytes),
        None => MemoryWatermark::Off,
    }
}
