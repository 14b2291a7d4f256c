//! Hosts that routes answer for, and hosts that requests are sent on with.

use super::Misread;
use crate::route::HostPattern;
use std::net::IpAddr;

/// Reads a host pattern: a name, an address, or `*.` before a name.
pub(in crate::config) fn host_pattern(text: &str) -> Result<HostPattern, Misread> {
    match text.strip_prefix("*.") {
        Some(rest) => Ok(HostPattern::Wildcard(host_name(rest)?)),
        None if text.contains('*') => Err(Misread::new("`*` stands for the whole first label")
            .label("such as `*.example.com`")
            .help("to take every host, leave `host` out")),
        None => Ok(HostPattern::Exact(host_name(text)?)),
    }
}

/// Reads a host without a port, in lower case and without a dot at the end. IPv6 addresses keep
/// their brackets, as they have them in a request.
pub(in crate::config) fn host_name(text: &str) -> Result<Box<str>, Misread> {
    if text.contains("://") || text.contains('/') {
        return Err(Misread::new("a host has no scheme and no path").label("only the name"));
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if let Ok(IpAddr::V6(address)) = bare.parse() {
        return Ok(format!("[{address}]").into_boxed_str());
    }
    if text.contains(':') {
        return Err(Misread::new("a host has no port here").label("only the name"));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.len() <= 63 && label.bytes().all(letters)
    };
    if name.len() > 253 || !name.split('.').all(label) {
        let misread = Misread::new("this is not a host name");
        return Err(if name.is_ascii() {
            misread.label("letters, digits, `-` and dots")
        } else {
            misread.label("write it as `xn--...` (punycode)")
        });
    }
    Ok(name.to_ascii_lowercase().into_boxed_str())
}

/// Reads a host with or without a port, for a redirect or a rewritten `Host`.
pub(in crate::config) fn authority(text: &str) -> Result<String, Misread> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    // An IPv6 address without brackets has no port that anybody could tell.
    let (host, port) = if host.contains(':') && !host.ends_with(']') { (text, None) } else { (host, port) };
    let name = host_name(host)?;
    match port {
        None => Ok(name.into()),
        Some(port) => match port.parse::<u16>() {
            Ok(port) if port > 0 => Ok(format!("{name}:{port}")),
            _ => Err(Misread::new("this is not a port").label("1 to 65535")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: Option<HostPattern>) {
        assert_eq!(host_pattern(text).ok(), expected, "{text}");
    }

    #[test]
    fn a_host_is_a_name_an_address_or_a_wildcard() {
        check("App.Example.com.", Some(HostPattern::Exact("app.example.com".into())));
        check("*.example.com", Some(HostPattern::Wildcard("example.com".into())));
        check("localhost", Some(HostPattern::Exact("localhost".into())));
        check("127.0.0.1", Some(HostPattern::Exact("127.0.0.1".into())));
        check("[::1]", Some(HostPattern::Exact("[::1]".into())));
        check("0:0::1", Some(HostPattern::Exact("[::1]".into())));
    }

    #[test]
    fn what_is_not_a_host_is_refused() {
        for text in ["", "*", "a.*.b", "*a.b", "http://a", "a/b", "a:80", "a..b", "ä.b", "a b", "."] {
            check(text, None);
        }
    }

    #[test]
    fn an_authority_may_have_a_port() {
        let read = |text: &str| authority(text).ok();

        assert_eq!(read("A.b:8080").as_deref(), Some("a.b:8080"));
        assert_eq!(read("[::1]:1").as_deref(), Some("[::1]:1"));
        assert_eq!(read("::1").as_deref(), Some("[::1]"));
        assert_eq!(read("a.b").as_deref(), Some("a.b"));
        assert_eq!(read("a.b:0"), None);
        assert_eq!(read("a.b:x"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _unused = host_pattern(&text).is_ok() && authority(&text).is_ok();
        }
    }
}
