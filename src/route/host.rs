//! Which hosts a route answers for.

use crate::message::authority::is_host_name;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// A host pattern from a route. Lower case, no port; `*` only as the whole first label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// `app.example.com`, `127.0.0.1`, `[::1]`
    Exact(Box<str>),
    /// `*.example.com` takes exactly one label before `example.com`; kept without the `*.`.
    Wildcard(Box<str>),
}

/// Why a text is no host pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    /// Nothing there.
    #[error("a host is empty; leave the key out to take every host")]
    Empty,
    /// `*`, which no key says as well.
    #[error("`*` alone takes every host; leave the key out for that")]
    Every,
    /// A `*` that is not the whole first label.
    #[error("`*` can only stand as the whole first label, as in `*.example.com`")]
    Wildcard,
    /// `https://…` or a path.
    #[error("a host has no scheme and no path, only a name or an address")]
    Url,
    /// `host:port`
    #[error("a host is written without its port; a rule answers on every port")]
    Port,
    /// Something that is no name.
    #[error("`{0}` is not a host name or an IP address")]
    Name(Box<str>),
}

impl HostPattern {
    /// Whether a request's host (lower case, no port) is meant.
    pub fn takes(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => **name == *host,
            Self::Wildcard(suffix) => parent_domain(host).is_some_and(|parent| parent == &**suffix),
        }
    }
}

/// What is left of a host without its first label; `None` for an address or a single label.
pub(super) fn parent_domain(host: &str) -> Option<&str> {
    let (label, parent) = host.split_once('.')?;
    (!label.is_empty()).then_some(parent)
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    /// Names beyond ASCII are turned into their `xn--` form, as clients do before they ask.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => return Err(HostPatternError::Empty),
            "*" => return Err(HostPatternError::Every),
            _ if text.contains('/') => return Err(HostPatternError::Url),
            _ => {}
        }
        if let Some(address) = text.strip_prefix('[') {
            return address_pattern(text, address);
        }
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Self::Exact(format!("[{address}]").into_boxed_str()));
        }
        if text.contains(':') {
            return Err(HostPatternError::Port);
        }
        match text.strip_prefix("*.") {
            Some(suffix) => Ok(Self::Wildcard(host_name(suffix)?)),
            None => Ok(Self::Exact(host_name(text)?)),
        }
    }
}

fn address_pattern(text: &str, bracketed: &str) -> Result<HostPattern, HostPatternError> {
    let invalid = || HostPatternError::Name(text.into());
    let (address, port) = bracketed.split_once(']').ok_or_else(invalid)?;
    if port.starts_with(':') {
        return Err(HostPatternError::Port);
    }
    let address: Ipv6Addr = address.parse().map_err(|_| invalid())?;
    if !port.is_empty() {
        return Err(invalid());
    }
    Ok(HostPattern::Exact(format!("[{address}]").into_boxed_str()))
}

fn host_name(text: &str) -> Result<Box<str>, HostPatternError> {
    if text.contains('*') {
        return Err(HostPatternError::Wildcard);
    }
    let invalid = || HostPatternError::Name(text.into());
    let name = if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        url::Host::parse(text).map_err(|_| invalid())?.to_string()
    };
    let name = name.strip_suffix('.').unwrap_or(&name);
    if is_host_name(name) {
        Ok(name.into())
    } else {
        Err(invalid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(name: &str) -> Result<HostPattern, HostPatternError> {
        Ok(HostPattern::Exact(name.into()))
    }

    #[track_caller]
    fn check(text: &str, expected: Result<HostPattern, HostPatternError>) {
        assert_eq!(text.parse(), expected, "{text}");
    }

    #[test]
    fn a_pattern_is_a_name_an_address_or_a_wildcard() {
        check("App.Example.com.", exact("app.example.com"));
        check("127.0.0.1", exact("127.0.0.1"));
        check("::1", exact("[::1]"));
        check("[0::1]", exact("[::1]"));
        check("Bücher.example", exact("xn--bcher-kva.example"));
        check(
            "*.Example.com",
            Ok(HostPattern::Wildcard("example.com".into())),
        );
    }

    #[test]
    fn what_is_no_host_is_told_by_reason() {
        check("", Err(HostPatternError::Empty));
        check("*", Err(HostPatternError::Every));
        check("https://a", Err(HostPatternError::Url));
        check("a/b", Err(HostPatternError::Url));
        check("a:80", Err(HostPatternError::Port));
        check("[::1]:80", Err(HostPatternError::Port));
        check("a.*.b", Err(HostPatternError::Wildcard));
        check("*a.b", Err(HostPatternError::Wildcard));
        check("*.*.b", Err(HostPatternError::Wildcard));
        check("a b", Err(HostPatternError::Name("a b".into())));
        check("a..b", Err(HostPatternError::Name("a..b".into())));
        check("*.", Err(HostPatternError::Name("".into())));
        check("[::1", Err(HostPatternError::Name("[::1".into())));
    }

    #[test]
    fn a_wildcard_takes_exactly_one_label() {
        let pattern: HostPattern = "*.example.com".parse().unwrap();

        assert!(pattern.takes("a.example.com"));
        assert!(!pattern.takes("example.com"));
        assert!(!pattern.takes("a.b.example.com"));
        assert!(!pattern.takes("badexample.com"));
        assert!(!pattern.takes(".example.com"));
    }

    proptest! {
        #[test]
        fn a_pattern_takes_itself(text in "[a-zA-Z0-9-]{1,8}(\\.[a-zA-Z0-9-]{1,8}){0,3}") {
            let pattern: HostPattern = text.parse().unwrap();

            prop_assert!(pattern.takes(&text.to_lowercase()));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,20}") {
            let parsed = text.parse::<HostPattern>();

            prop_assert!(parsed.is_ok() || parsed.is_err());
        }
    }
}
