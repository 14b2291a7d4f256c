//! `redis://host:6379/0`, `rediss://host:6380`.

use super::Misread;
use std::sync::Arc;
use url::{Host, Url};

/// The port of Redis where none is written.
const PORT: u16 = 6379;

/// Where a Redis is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct RedisAddress {
    pub(in crate::config) encrypted: bool,
    pub(in crate::config) host: Arc<str>,
    pub(in crate::config) port: u16,
    pub(in crate::config) database: u16,
}

/// Reads the URL of a Redis. Credentials have keys of their own.
pub(in crate::config) fn redis(text: &str) -> Result<RedisAddress, Misread> {
    let misread = || {
        Misread::new("this is not the URL of a Redis")
            .label("redis://host:6379 or rediss://host:6379")
    };
    let url = Url::parse(text).map_err(|_| misread())?;
    let encrypted = match url.scheme() {
        "redis" => false,
        "rediss" => true,
        _ => return Err(misread()),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Misread::new("a URL with credentials gets into logs")
            .label("without the part before `@`")
            .help("give `username` and `password` beside `url`"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(misread());
    }
    let host: Arc<str> = match url.host() {
        Some(Host::Ipv6(address)) => Arc::from(address.to_string()),
        Some(Host::Ipv4(address)) => Arc::from(address.to_string()),
        Some(Host::Domain(name)) if !name.is_empty() => Arc::from(name),
        Some(Host::Domain(_)) | None => return Err(misread()),
    };
    let database = match url.path().trim_start_matches('/') {
        "" => 0,
        number => number.parse().map_err(|_| {
            Misread::new("this is not the number of a database").label("such as /0 at the end")
        })?,
    };
    Ok(RedisAddress {
        encrypted,
        host,
        port: url.port().unwrap_or(PORT),
        database,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(bool, &str, u16, u16)>) {
        let read = redis(text).ok();
        let seen = read
            .as_ref()
            .map(|one| (one.encrypted, &*one.host, one.port, one.database));
        assert_eq!(seen, expected, "{text}");
    }

    #[test]
    fn a_redis_has_a_host_and_perhaps_a_port_and_a_database() {
        check("redis://127.0.0.1", Some((false, "127.0.0.1", 6379, 0)));
        check("redis://cache:7000/3", Some((false, "cache", 7000, 3)));
        check(
            "rediss://cache.example.com/",
            Some((true, "cache.example.com", 6379, 0)),
        );
        check("redis://[::1]:1/0", Some((false, "::1", 1, 0)));
    }

    #[test]
    fn what_is_no_redis_is_refused() {
        check("http://cache:6379", None);
        check("cache:6379", None);
        check("redis://", None);
        check("redis://:secret@cache", None);
        check("redis://cache/zero", None);
        check("redis://cache/70000", None);
        check("redis://cache/0?protocol=resp3", None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _unused = redis(&text).is_ok();
        }
    }
}
