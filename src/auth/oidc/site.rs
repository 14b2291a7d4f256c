//! Where a browser is, as it sees it: what cookies may be called, and what leads back to it.

use std::net::IpAddr;
use url::Url;

/// Scheme, host and port that a browser asked for, by trusted peers' word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    secure: bool,
    host: Box<str>,
    port: Option<u16>,
}

/// A login would go over `http` to a host that is not this machine: whoever listens on the way
/// could take the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a login needs https, or http on a loopback host")]
pub struct Insecure;

impl Site {
    /// Reads it. `host` is in canonical form, an IPv6 address in brackets.
    ///
    /// # Errors
    /// [`Insecure`]
    pub fn new(scheme: &str, host: &str, port: Option<u16>) -> Result<Self, Insecure> {
        Self::check(scheme, host)?;
        let secure = scheme == "https";
        let usual = if secure { 443 } else { 80 };
        Ok(Self {
            secure,
            host: host.into(),
            port: port.filter(|port| *port != usual),
        })
    }

    /// Whether there may be logins, and sessions, over this scheme with this host.
    ///
    /// # Errors
    /// [`Insecure`]
    pub fn check(scheme: &str, host: &str) -> Result<(), Insecure> {
        if scheme == "https" || is_loopback(host) {
            Ok(())
        } else {
            Err(Insecure)
        }
    }

    /// Of a request that no browser makes.
    pub fn unseen() -> Self {
        Self {
            secure: true,
            host: Box::default(),
            port: None,
        }
    }

    /// Whether it is asked for by `https`: cookies are called and marked accordingly.
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// Its host.
    pub const fn host(&self) -> &str {
        &self.host
    }

    /// Its origin, as `Origin` has it.
    pub fn origin(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        match self.port {
            Some(port) => format!("{scheme}://{}:{port}", self.host),
            None => format!("{scheme}://{}", self.host),
        }
    }

    /// Its front page; None if its host is none that a URL can have.
    pub fn url(&self) -> Option<Url> {
        Url::parse(&self.origin()).ok()
    }
}

/// Whether a host is this machine for every browser: `localhost`, names below it, 127.0.0.0/8, ::1.
fn is_loopback(host: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => {
            let name = bare.strip_suffix("localhost");
            name.is_some_and(|before| before.is_empty() || before.ends_with('.'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_over_http_is_for_loopback_hosts_alone() {
        for host in [
            "localhost",
            "a.localhost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
        ] {
            assert!(Site::new("http", host, Some(8080)).is_ok(), "{host}");
        }
        for host in [
            "app.example.com",
            "10.0.0.1",
            "xlocalhost",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "[::2]",
            "0.0.0.0",
            "",
        ] {
            assert_eq!(Site::new("http", host, None), Err(Insecure), "{host}");
            assert!(Site::new("https", host, None).is_ok(), "{host}");
        }
    }

    #[test]
    fn an_origin_has_no_usual_port() {
        let origin = |scheme, host, port| Site::new(scheme, host, port).unwrap().origin();

        assert_eq!(origin("https", "a.example", Some(443)), "https://a.example");
        assert_eq!(origin("https", "a.example", None), "https://a.example");
        assert_eq!(
            origin("https", "a.example", Some(80)),
            "https://a.example:80"
        );
        assert_eq!(origin("http", "[::1]", Some(80)), "http://[::1]");
        assert_eq!(
            origin("http", "localhost", Some(8080)),
            "http://localhost:8080"
        );
    }
}
