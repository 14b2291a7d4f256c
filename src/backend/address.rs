//! Which backend is meant, and where it is.

use std::str::FromStr;
use url::Url;

/// Which API is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An edgespan's own: Tempo's, and more.
    Edgespan,
    /// Grafana Tempo.
    Tempo,
    /// Jaeger.
    Jaeger,
    /// Zipkin, version 2 of its API.
    Zipkin,
}

impl Kind {
    /// As it stands before the `+` of an address, and in sentences.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edgespan => "edgespan",
            Self::Tempo => "tempo",
            Self::Jaeger => "jaeger",
            Self::Zipkin => "zipkin",
        }
    }

    fn of(name: &str) -> Option<Self> {
        let all = [Self::Edgespan, Self::Tempo, Self::Jaeger, Self::Zipkin];
        all.into_iter().find(|kind| kind.name() == name)
    }
}

/// Where a backend is: `http://127.0.0.1:9901`, or with its kind, `jaeger+http://127.0.0.1:16686`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Which API; None: it is found out by asking.
    pub kind: Option<Kind>,
    /// The address below which its API is; path without a slash at its end, no query.
    pub base: Url,
}

/// Why a text is no address of a backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Before the `+` stands something else.
    #[error("`{0}` is no backend: write edgespan+, tempo+, jaeger+ or zipkin+, or none of them")]
    Kind(String),
    /// It is no URL.
    #[error("it is no URL such as http://127.0.0.1:9901 ({0})")]
    Url(#[from] url::ParseError),
    /// It is not one that can be asked.
    #[error("{0}")]
    Target(#[from] crate::client::BadUrl),
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        let (kind, rest) = match scheme.split_once('+') {
            Some((name, _)) => {
                let kind = Kind::of(name).ok_or_else(|| BadAddress::Kind(name.to_owned()))?;
                (
                    Some(kind),
                    text.split_once('+').map_or(text, |(_, rest)| rest),
                )
            }
            None => (None, text),
        };
        let mut base = Url::parse(rest)?;
        crate::client::Target::of(&base)?;
        base.set_query(None);
        base.set_fragment(None);
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        Ok(Self { kind, base })
    }
}

impl Address {
    /// As people write it: no slash at its end.
    pub fn shown(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    /// The address of `path` below it, with `query`.
    pub(super) fn below(&self, path: &str, query: &[(&str, String)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn a_kind_may_stand_before_the_scheme() {
        let found = address("jaeger+https://traces.example.com/jaeger/");
        assert_eq!(found.kind, Some(Kind::Jaeger));
        assert_eq!(found.shown(), "https://traces.example.com/jaeger");
        let services = found.below("/api/services", &[]);
        assert_eq!(
            services.as_str(),
            "https://traces.example.com/jaeger/api/services"
        );
        assert_eq!(address("http://127.0.0.1:9901").kind, None);
    }

    #[test]
    fn what_is_asked_is_escaped() {
        let query = [("q", r#"{ .a = "b & c" }"#.to_owned())];
        let url = address("http://127.0.0.1:1").below("/api/search", &query);
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:1/api/search?q=%7B+.a+%3D+%22b+%26+c%22+%7D"
        );
    }

    #[test]
    fn what_is_no_backend_is_refused_with_what_to_write() {
        let refused = |text: &str| text.parse::<Address>().unwrap_err().to_string();
        assert!(refused("loki+http://a").contains("`loki` is no backend"));
        assert!(refused("127.0.0.1:9901").contains("such as http://127.0.0.1:9901"));
        assert!(refused("ftp://a").contains("only http and https"));
        assert!(refused("http://user:secret@a").contains("header"));
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_is_refused(text in any::<String>()) {
            if let Ok(found) = text.parse::<Address>() {
                let again: Address = found.shown().parse().unwrap();
                prop_assert_eq!(again.base, found.base);
            }
        }
    }
}
