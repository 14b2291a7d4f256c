//! Where a question goes.

use http::Uri;
use http::uri::Authority;

/// A server and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Host as it is connected to: no brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Host and port as `Host` has them: no default port.
    pub authority: Authority,
    /// Path and query, never empty.
    pub path_and_query: String,
}

/// Why an address cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// Neither `http` nor `https`.
    #[error("only http and https can be asked")]
    Scheme,
    /// No host.
    #[error("there is no host")]
    Host,
    /// User and password in the address.
    #[error("credentials belong into a header, not into the address")]
    Credentials,
}

impl Target {
    /// Of an absolute address. A fragment is no part of a question.
    ///
    /// # Errors
    /// [`BadUrl`].
    pub fn of(url: &url::Url) -> Result<Self, BadUrl> {
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(BadUrl::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadUrl::Credentials);
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or(BadUrl::Host)?;
        let port = url.port_or_known_default().ok_or(BadUrl::Scheme)?;
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let path_and_query = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            tls,
            authority: authority.parse().map_err(|_| BadUrl::Host)?,
            path_and_query,
        })
    }

    /// Host and port, as errors name them.
    pub fn shown(&self) -> String {
        let host = &self.host;
        if host.contains(':') {
            format!("[{host}]:{}", self.port)
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// What stands in the request line of HTTP/1.1.
    pub(super) fn origin_form(&self) -> Result<Uri, http::uri::InvalidUri> {
        self.path_and_query.parse()
    }

    /// What HTTP/2's pseudo-headers are made of.
    pub(super) fn absolute_form(&self) -> Result<Uri, http::uri::InvalidUri> {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.path_and_query).parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Result<Target, BadUrl> {
        Target::of(&text.parse().unwrap())
    }

    #[test]
    fn an_address_says_where_to_connect_and_what_to_ask() {
        let found = target("https://app.example.com/a?b=c#d").unwrap();
        assert_eq!(
            (found.host.as_str(), found.port, found.tls),
            ("app.example.com", 443, true)
        );
        assert_eq!(found.authority, "app.example.com");
        assert_eq!(found.path_and_query, "/a?b=c");
    }

    #[test]
    fn an_address_of_version_6_is_connected_to_without_its_brackets() {
        let found = target("http://[::1]:8080").unwrap();
        assert_eq!((found.host.as_str(), found.port), ("::1", 8080));
        assert_eq!(found.authority, "[::1]:8080");
        assert_eq!(found.shown(), "[::1]:8080");
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        assert_eq!(target("ftp://a/"), Err(BadUrl::Scheme));
        assert_eq!(target("http://user:secret@a/"), Err(BadUrl::Credentials));
    }
}
