//! Hosts that routes answer for, and hosts that requests are sent on with.

use super::Misread;
use crate::route::{HostPattern, HostPatternError};

/// Reads a host pattern: a name, an address, or `*.` before a name.
pub(in crate::config) fn host_pattern(text: &str) -> Result<HostPattern, Misread> {
    text.parse()
        .map_err(|error: HostPatternError| Misread::told_by(&error))
}

/// Reads a host without a port, in lower case and without a dot at the end. IPv6 addresses keep
/// their brackets, as they have them in a request.
pub(in crate::config) fn host_name(text: &str) -> Result<Box<str>, Misread> {
    match host_pattern(text)? {
        HostPattern::Exact(name) => Ok(name),
        HostPattern::Wildcard(_) => Err(Misread::new("a wildcard is no host to go to")),
    }
}

/// Reads a host with or without a port, for a redirect or a rewritten `Host`.
pub(in crate::config) fn authority(text: &str) -> Result<String, Misread> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    // An IPv6 address without brackets has no port that anybody could tell.
    let (host, port) = if host.contains(':') && !host.ends_with(']') {
        (text, None)
    } else {
        (host, port)
    };
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

    #[test]
    fn a_host_to_go_to_is_no_wildcard() {
        assert_eq!(host_name("App.example.").as_deref(), Ok("app.example"));
        assert!(host_name("*.example").is_err());
        assert!(host_pattern("*.example").is_ok());
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
