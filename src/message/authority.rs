//! One reading of a host and port.
//!
//! Used by `normalize` for `Host` and `:authority`. A host that passes is spelt in one way only,
//! so that what is matched is what the upstream is told.

use super::refusal::Refusal;
use http::HeaderValue;
use std::borrow::Cow;
use std::net::Ipv6Addr;

/// Longest DNS name in its text form (RFC 1035 section 2.3.4).
const NAME_BYTES_MAX: usize = 253;
/// Longest label of a DNS name.
const LABEL_BYTES_MAX: usize = 63;

/// The host and port that a request is for, as the value of its `Host` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    text: HeaderValue,
    host_bytes: usize,
    port: Option<u16>,
}

impl Authority {
    /// Reads `host` or `host:port`. A canonical value is kept, not copied.
    ///
    /// # Errors
    /// [`Refusal::UserInfo`] and [`Refusal::HostInvalid`].
    pub fn from_header(value: &HeaderValue) -> Result<Self, Refusal> {
        let text = value.to_str().map_err(|_| Refusal::HostInvalid)?;
        let (host, port) = parse(text)?;
        if spelt_as(text, &host, port) {
            return Ok(Self {
                host_bytes: host.len(),
                text: value.clone(),
                port,
            });
        }
        Self::assemble(&host, port)
    }

    /// The same for the authority of a target.
    ///
    /// # Errors
    /// As [`Authority::from_header`].
    pub fn from_target(authority: &http::uri::Authority) -> Result<Self, Refusal> {
        let (host, port) = parse(authority.as_str())?;
        Self::assemble(&host, port)
    }

    fn assemble(host: &str, port: Option<u16>) -> Result<Self, Refusal> {
        let text = match port {
            Some(port) => HeaderValue::try_from(format!("{host}:{port}")),
            None => HeaderValue::from_str(host),
        };
        Ok(Self {
            text: text.map_err(|_| Refusal::HostInvalid)?,
            host_bytes: host.len(),
            port,
        })
    }

    /// The host: lower case, no trailing dot; an IPv6 address in brackets and its shortest form.
    pub fn host(&self) -> &str {
        let text = self.text.to_str().unwrap_or_default();
        text.get(..self.host_bytes).unwrap_or_default()
    }

    /// The port, if one was named.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Host and port, as in a `Host` header.
    pub const fn header(&self) -> &HeaderValue {
        &self.text
    }

    /// Whether both name one origin when a port that is left out is `default_port`.
    pub(super) fn same_as(&self, other: &Self, default_port: Option<u16>) -> bool {
        self.host() == other.host() && self.port.or(default_port) == other.port.or(default_port)
    }
}

/// Whether `name` is a host name: labels of letters, digits, `-` and `_`, none of them empty.
pub fn is_host_name(name: &str) -> bool {
    let mut label_bytes = 0;
    for byte in name.bytes() {
        match byte {
            b'.' if label_bytes == 0 => return false,
            b'.' => label_bytes = 0,
            b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => label_bytes += 1,
            _ => return false,
        }
        if label_bytes > LABEL_BYTES_MAX {
            return false;
        }
    }
    label_bytes > 0 && name.len() <= NAME_BYTES_MAX
}

fn parse(text: &str) -> Result<(Cow<'_, str>, Option<u16>), Refusal> {
    if text.contains('@') {
        return Err(Refusal::UserInfo);
    }
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']').ok_or(Refusal::HostInvalid)?;
        let address: Ipv6Addr = address.parse().map_err(|_| Refusal::HostInvalid)?;
        return Ok((Cow::Owned(format!("[{address}]")), parse_port(port)?));
    }
    let host_bytes = text.find(':').unwrap_or(text.len());
    let (host, port) = text
        .split_at_checked(host_bytes)
        .ok_or(Refusal::HostInvalid)?;
    let host = host.strip_suffix('.').unwrap_or(host);
    if !is_host_name(host) {
        return Err(Refusal::HostInvalid);
    }
    let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    };
    Ok((host, parse_port(port)?))
}

/// What follows the host: nothing, or `:` with a port or with nothing (RFC 3986 section 3.2.3).
fn parse_port(text: &str) -> Result<Option<u16>, Refusal> {
    let digits = match text.strip_prefix(':') {
        Some(digits) => digits,
        None if text.is_empty() => return Ok(None),
        None => return Err(Refusal::HostInvalid),
    };
    if digits.is_empty() {
        return Ok(None);
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::HostInvalid);
    }
    digits.parse().map(Some).map_err(|_| Refusal::HostInvalid)
}

/// Whether `text` is already how [`Authority::assemble`] would write it.
fn spelt_as(text: &str, host: &str, port: Option<u16>) -> bool {
    match (text.strip_prefix(host), port) {
        (Some(""), None) => true,
        (Some(rest), Some(port)) => {
            // Without a leading zero the digits of a number have one spelling.
            rest == ":0" && port == 0 || rest.starts_with(':') && !rest.starts_with(":0")
        }
        (Some(_), None) | (None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(&str, Option<u16>), Refusal>) {
        let found = Authority::from_header(&HeaderValue::from_bytes(text.as_bytes()).unwrap());

        let found = found
            .as_ref()
            .map(|authority| (authority.host(), authority.port()));
        assert_eq!(found, expected.as_ref().copied(), "{text}");
    }

    #[test]
    fn a_host_has_one_spelling() {
        check("app.example.com", Ok(("app.example.com", None)));
        check("App.EXAMPLE.com:8080", Ok(("app.example.com", Some(8080))));
        check("app.example.com.", Ok(("app.example.com", None)));
        check("app.example.com.:80", Ok(("app.example.com", Some(80))));
        check("app.example.com:", Ok(("app.example.com", None)));
        check("app.example.com:0080", Ok(("app.example.com", Some(80))));
        check("127.0.0.1:3000", Ok(("127.0.0.1", Some(3000))));
        check("[::1]", Ok(("[::1]", None)));
        check("[0:0::0:1]:443", Ok(("[::1]", Some(443))));
        check("[2001:DB8::1]", Ok(("[2001:db8::1]", None)));
        check("my_service:1", Ok(("my_service", Some(1))));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            ".",
            ":80",
            "a..b",
            ".a",
            "a..",
            "a b",
            "a/b",
            "a%2eb",
            "a,b",
            "a:65536",
            "a:+1",
            "a:1:2",
            "::1",
            "[::1",
            "[::1]x",
            "[fe80::1%25eth0]",
            "[v1.a]",
            "a\\b",
            "ü.example",
        ] {
            check(text, Err(Refusal::HostInvalid));
        }
        check("user@a", Err(Refusal::UserInfo));
        check("a:80@b", Err(Refusal::UserInfo));
        check(&"a".repeat(64), Err(Refusal::HostInvalid));
        check(&"a.".repeat(200), Err(Refusal::HostInvalid));
    }

    proptest! {
        #[test]
        fn reading_twice_is_the_same_as_once(text in "[a-zA-Z0-9.:\\[\\]_@-]{0,20}") {
            let value = HeaderValue::from_str(&text).unwrap();

            if let Ok(once) = Authority::from_header(&value) {
                let twice = Authority::from_header(once.header());
                prop_assert_eq!(twice, Ok(once));
            }
        }
    }
}
