//! Who asks: a browser that can be sent elsewhere to log in, or something that cannot.

use crate::message::respond::Form;
use http::header::ACCEPT;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method};

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// A browser that opens a page.
    Navigation,
    /// A browser that sends a form: what is in it cannot be taken along.
    Form,
    /// A script, a client of an API, a WebSocket, gRPC: a redirect would be of no use.
    Program,
}

impl Asker {
    /// Finds out. `Sec-Fetch-*` is the browser's own word, which no page can change; without it
    /// what is accepted has to do.
    pub(super) fn of(parts: &Parts, upgrades: bool) -> Self {
        let headers = &parts.headers;
        let is_call = matches!(Form::of(headers), Form::Grpc(_));
        if upgrades || is_call || headers.contains_key(X_REQUESTED_WITH) || is_ahead(headers) {
            return Self::Program;
        }
        let opens_a_page = match headers.get(SEC_FETCH_MODE) {
            Some(mode) => mode == "navigate" && shows_a_page(headers),
            None => headers.contains_key(ACCEPT) && Form::of(headers) == Form::Page,
        };
        match parts.method {
            _ if !opens_a_page => Self::Program,
            Method::GET | Method::HEAD => Self::Navigation,
            _ => Self::Form,
        }
    }
}

fn shows_a_page(headers: &HeaderMap) -> bool {
    let shown = ["document", "iframe", "frame"];
    headers
        .get(SEC_FETCH_DEST)
        .is_none_or(|dest| shown.iter().any(|one| dest == one))
}

/// A page that is fetched in case somebody opens it: nobody has asked for a login.
fn is_ahead(headers: &HeaderMap) -> bool {
    let purpose = headers.get(SEC_PURPOSE);
    purpose.is_some_and(|purpose| {
        purpose
            .to_str()
            .is_ok_and(|text| text.contains("prefetch") || text.contains("prerender"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const HTML: &str = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";

    fn asker(method: &str, fields: &[(&str, &str)]) -> Asker {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        Asker::of(&request.body(()).unwrap().into_parts().0, false)
    }

    #[test]
    fn a_navigation_is_what_a_browser_says_is_one() {
        let navigate = [
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];

        assert_eq!(asker("GET", &navigate), Asker::Navigation);
        assert_eq!(asker("HEAD", &navigate), Asker::Navigation);
        assert_eq!(asker("POST", &navigate), Asker::Form);
        assert_eq!(asker("GET", &[("accept", HTML)]), Asker::Navigation);
        assert_eq!(asker("POST", &[("accept", HTML)]), Asker::Form);
    }

    #[test]
    fn what_cannot_follow_a_redirect_is_not_sent_on_one() {
        for fields in [
            &[][..],
            &[("accept", "*/*")],
            &[("accept", "application/json")],
            &[("accept", HTML), ("x-requested-with", "XMLHttpRequest")],
            &[("accept", HTML), ("sec-fetch-mode", "cors")],
            &[("accept", HTML), ("sec-fetch-mode", "no-cors")],
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "image")],
            &[("sec-fetch-mode", "websocket"), ("accept", HTML)],
            &[("accept", HTML), ("sec-purpose", "prefetch;prerender")],
            &[("accept", HTML), ("content-type", "application/grpc")],
        ] {
            assert_eq!(asker("GET", fields), Asker::Program, "{fields:?}");
        }
    }

    #[test]
    fn an_upgrade_is_no_navigation_whatever_it_accepts() {
        let request = Request::builder().header("accept", HTML).body(()).unwrap();

        assert_eq!(Asker::of(&request.into_parts().0, true), Asker::Program);
    }
}
