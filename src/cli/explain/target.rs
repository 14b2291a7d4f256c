//! The request that is asked about, as typed: `METHOD URL`.
//!
//! Nothing is normalised here. What edgespan makes of a strange path is a part of the answer.

use std::fmt;

/// Longest request line that is taken.
pub(super) const TEXT_BYTES_MAX: usize = 64 * 1024;

/// A request to explain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// Method; as typed.
    pub(super) method: String,
    /// Whether the URL begins with `https` or `wss`.
    pub(super) secure: bool,
    /// Host and port as they stand in the URL; empty where only a path was given.
    pub(super) authority: String,
    /// Path and query, with every escape as typed.
    pub(super) path: String,
    /// Header fields in order.
    pub(super) headers: Vec<(String, String)>,
}

/// Why a text is no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoTarget(String);

impl fmt::Display for NoTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoTarget {}

pub(super) fn no(message: impl Into<String>) -> NoTarget {
    NoTarget(message.into())
}

impl Target {
    /// Reads `METHOD URL`, or `URL` alone for a `GET`.
    ///
    /// # Errors
    /// If it is neither, in words that say what is needed.
    pub(super) fn parse(text: &str) -> Result<Self, NoTarget> {
        let text = text.trim();
        if text.len() > TEXT_BYTES_MAX {
            return Err(no("the request is longer than 64 KiB"));
        }
        let (method, url) = match text.split_once(char::is_whitespace) {
            Some((method, url)) => (method, url.trim_start()),
            None => ("GET", text),
        };
        if url.is_empty() {
            return Err(no(
                "a request is needed, such as 'GET https://app.example.com/api'",
            ));
        }
        if let Some(space) = url.split_whitespace().nth(1) {
            return Err(no(format!(
                "a URL has no spaces, but `{space}` follows; write a space as %20"
            )));
        }
        let mut target = Self::of_url(url)?;
        target.method = checked_method(method)?;
        Ok(target)
    }

    pub(super) fn of_url(url: &str) -> Result<Self, NoTarget> {
        if url.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(no("a URL has no control characters"));
        }
        let (secure, rest) = match url.split_once("://") {
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "http" | "ws" => (false, rest),
                "https" | "wss" => (true, rest),
                other => return Err(no(format!("`{other}` is no scheme of a web request"))),
            },
            None if url.starts_with('/') || url == "*" => (false, url),
            None => {
                let url = url.rsplit_once('@').map_or(url, |(_, after)| after);
                return Err(no(format!(
                    "`{url}` is no URL: write `http://{url}`, or a path that begins with `/`"
                )));
            }
        };
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = if rest == "*" {
            ("", rest)
        } else {
            rest.split_at(end)
        };
        let authority = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let path = match path {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            path => path.to_owned(),
        };
        Ok(Self {
            secure,
            authority: authority.to_owned(),
            path,
            ..Self::default()
        })
    }

    /// Adds a header field as typed after `-H`: `name: value`.
    ///
    /// # Errors
    /// If it has no name, or a value that no field can have.
    pub(super) fn add_header(&mut self, line: &str) -> Result<(), NoTarget> {
        let Some((name, value)) = line.split_once(':') else {
            // It may be a token as it is, so it is not repeated.
            return Err(no("a header without a colon is none: write `name: value`"));
        };
        let (name, value) = (name.trim(), value.trim());
        if http::HeaderName::try_from(name).is_err() {
            return Err(no(format!("`{name}` is no name of a header")));
        }
        if http::HeaderValue::try_from(value).is_err() {
            return Err(no(format!(
                "the value of `{name}` cannot stand in a header"
            )));
        }
        self.headers.push((name.to_owned(), value.to_owned()));
        Ok(())
    }
}

pub(super) fn checked_method(method: &str) -> Result<String, NoTarget> {
    match http::Method::from_bytes(method.as_bytes()) {
        Ok(_) => Ok(method.to_owned()),
        Err(_) => Err(no(format!("`{method}` is no method"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, method: &str, secure: bool, authority: &str, path: &str) {
        let target = Target::parse(text).unwrap();

        assert_eq!(
            (
                target.method.as_str(),
                target.secure,
                target.authority.as_str(),
                target.path.as_str()
            ),
            (method, secure, authority, path)
        );
    }

    #[track_caller]
    fn refuse(text: &str, reason: &str) {
        let error = Target::parse(text).unwrap_err().to_string();

        assert!(error.contains(reason), "{error}");
    }

    #[test]
    fn a_request_is_a_method_and_a_url_whose_path_stays_as_typed() {
        check("GET https://a.example/x", "GET", true, "a.example", "/x");
        check(
            "POST http://a.example:81/a/../%2e?b=c#d",
            "POST",
            false,
            "a.example:81",
            "/a/../%2e?b=c",
        );
        check("https://a.example", "GET", true, "a.example", "/");
        check("https://a.example?q", "GET", true, "a.example", "/?q");
        check("wss://[::1]:1/ws", "GET", true, "[::1]:1", "/ws");
        check("/only/path", "GET", false, "", "/only/path");
        check("OPTIONS *", "OPTIONS", false, "", "*");
        check("get http://u:p@a/", "get", false, "a", "/");
    }

    #[test]
    fn what_is_no_request_is_refused_in_words() {
        refuse("", "a request is needed");
        refuse("GET ", "is no URL: write `http://GET`");
        refuse("GET app.example.com/x", "write `http://app.example.com/x`");
        refuse("GET me:hunter2@a/x", "`a/x` is no URL: write `http://a/x`");
        refuse("GET ftp://a/", "`ftp` is no scheme");
        refuse("G(T http://a/", "`G(T` is no method");
        refuse("GET http://a/b c", "a URL has no spaces");
    }

    #[test]
    fn a_header_needs_a_name_and_a_value_that_can_be_sent() {
        let mut target = Target::default();

        target.add_header("X-User:  root ").unwrap();
        let nameless = target.add_header("root").unwrap_err().to_string();
        let spaced = target.add_header("a b: c").unwrap_err().to_string();

        assert_eq!(target.headers, [("X-User".to_owned(), "root".to_owned())]);
        assert!(nameless.contains("write `name: value`"), "{nameless}");
        assert!(spaced.contains("`a b` is no name"), "{spaced}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            drop(Target::parse(&text));
        }
    }
}
