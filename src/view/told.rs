//! What a span tells a person: by which name, whose time it is, and how it ended.

use super::model::{Kind, Span, Status, Value};

/// Longest piece of span data that is looked at, in characters: a row has no room for more.
const TEXT_MAX: usize = 512;

/// `http.route` of a route that takes every path.
const EVERY_PATH: &str = "/*";

/// How a span ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// HTTP or gRPC status, as written.
    pub status: Option<String>,
    /// `error.type`, unless it only repeats the status.
    pub error: Option<String>,
    /// How loudly it is told.
    pub weight: Weight,
}

/// How loudly an outcome is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weight {
    /// All is well.
    #[default]
    Fine,
    /// The caller's doing: 4xx, or it went away.
    Caution,
    /// A failure.
    Failure,
}

impl Span {
    /// Its name. A SERVER span without a route is named by its method alone, and one whose route
    /// takes every path by that: neither tells a person anything, so the path stands beside it. A
    /// decision for a host proxy is told with what it is about.
    pub fn told_name(&self) -> String {
        let name = bounded(&self.name);
        let original = |part| self.text(&format!("edgespan.original.{part}")).map(bounded);
        if let (Some(method), Some(host), Some(path)) =
            (original("method"), original("host"), original("path"))
        {
            return format!("{name} for {method} {host}{path}");
        }
        let method = match self.text("http.route") {
            None => Some(name),
            Some(EVERY_PATH) => name.strip_suffix(EVERY_PATH).map(str::trim_end),
            Some(_) => None,
        };
        let method = method.filter(|method| {
            self.kind == Kind::Server && self.text("http.request.method") == Some(method)
        });
        let path = self.text("url.path").filter(|path| !path.is_empty());
        match method.zip(path) {
            Some((method, path)) => format!("{method} {}", bounded(path)),
            None => name.to_owned(),
        }
    }

    /// The request method, or its name if it has none.
    pub fn told_method(&self) -> String {
        let method = self.text("http.request.method");
        method.map_or_else(|| self.told_name(), |method| bounded(method).to_owned())
    }

    /// Whom it asked, if it is a CLIENT or PRODUCER span that says so.
    pub fn asked(&self) -> Option<&str> {
        if !matches!(self.kind, Kind::Client | Kind::Producer) {
            return None;
        }
        let keys = ["service.peer.name", "peer.service", "server.address"];
        let told = keys.iter().find_map(|key| self.text(key));
        told.filter(|name| !name.is_empty()).map(bounded)
    }

    /// Whose time it is: its own service's, or that of whom it asked.
    pub fn told_service(&self) -> &str {
        self.asked().unwrap_or_else(|| bounded(&self.service))
    }

    /// Which attempt a CLIENT span is; 1 is the first.
    pub fn attempt(&self) -> u64 {
        let resent = self.int("http.request.resend_count").unwrap_or(0);
        u64::try_from(resent).unwrap_or(0).saturating_add(1)
    }

    /// An attribute that is an integer, or one written out: some backends know only texts.
    fn int(&self, key: &str) -> Option<i64> {
        match self.attribute(key)? {
            Value::Int(number) => Some(*number),
            Value::Text(number) => number.parse().ok(),
            Value::Bool(_)
            | Value::Double(_)
            | Value::Bytes(_)
            | Value::List(_)
            | Value::Map(_)
            | Value::Empty => None,
        }
    }

    /// What a policy decided, on the span of its decision. The SERVER span says the same of all
    /// policies together; what each said is enough.
    pub fn decision(&self) -> Option<&str> {
        let told = self.text("edgespan.auth.decision");
        told.filter(|_| self.kind == Kind::Internal)
    }

    /// Whether it failed, by its status.
    pub fn is_error(&self) -> bool {
        self.status == Status::Error
    }

    /// How it ended.
    pub fn outcome(&self) -> Outcome {
        let failed = self.is_error();
        let http = self.int("http.response.status_code");
        let grpc = self.text("rpc.response.status_code");
        // gRPC answers 200 whatever happened; its own status is the one that tells.
        let status = grpc.map(|text| bounded(text).to_owned());
        let status = status.or_else(|| http.map(|code| code.to_string()));
        let left = match self.attribute("edgespan.client_disconnected") {
            Some(Value::Bool(left)) => *left,
            Some(Value::Text(left)) => left == "true",
            _ => false,
        };
        let decision = self.decision();
        let weight = match http {
            Some(400..=499) => Weight::Caution,
            Some(500..) => Weight::Failure,
            _ if failed => Weight::Failure,
            _ if left => Weight::Caution,
            _ => weight_of_decision(decision),
        };
        let error = self.text("error.type").map(bounded);
        let error = error.filter(|word| Some(*word) != status.as_deref());
        let error = match error {
            Some(word) => Some(word.to_owned()),
            None if left => Some("client left".to_owned()),
            None if failed && status.is_none() => Some("error".to_owned()),
            None => None,
        };
        Outcome {
            status,
            error,
            weight,
        }
    }
}

impl Outcome {
    /// `502`, `200 client left`, `timeout`: a status that is an error by itself needs no second
    /// word.
    pub fn words(&self) -> String {
        let status = self.status.as_deref();
        let error = self.error.as_deref().filter(|_| {
            let code = status.and_then(|text| text.parse::<u16>().ok());
            code.is_none_or(|code| code < 400)
        });
        let words: Vec<_> = [status, error].into_iter().flatten().collect();
        words.join(" ")
    }
}

/// A refusal is a policy's work; that it could not decide is a failure.
fn weight_of_decision(decision: Option<&str>) -> Weight {
    match decision {
        Some("error" | "timeout") => Weight::Failure,
        Some("deny" | "redirect" | "cancelled") => Weight::Caution,
        _ => Weight::Fine,
    }
}

/// The first characters of `text`.
fn bounded(text: &str) -> &str {
    let end = text.char_indices().nth(TEXT_MAX).map(|(end, _)| end);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{call, span};
    use super::*;

    fn with(mut span: Span, key: &str, value: Value) -> Span {
        span.attributes.push((key.to_owned(), value));
        span
    }

    fn text(value: &str) -> Value {
        Value::Text(value.to_owned())
    }

    fn server(name: &str) -> Span {
        let mut span = with(span(1, 0, 0, 1), "http.request.method", text("GET"));
        (span.kind, span.name) = (Kind::Server, name.to_owned());
        with(span, "url.path", text("/hello"))
    }

    #[test]
    fn a_name_that_tells_nothing_has_its_path_beside_it() {
        assert_eq!(server("GET").told_name(), "GET /hello");
        let every = with(server("GET /*"), "http.route", text("/*"));
        assert_eq!(every.told_name(), "GET /hello");
        let routed = with(server("GET /{name}"), "http.route", text("/{name}"));
        assert_eq!(routed.told_name(), "GET /{name}");
        assert_eq!(server("login").told_name(), "login");
    }

    #[test]
    fn time_is_told_as_that_of_whom_a_call_asked() {
        assert_eq!(span(1, 0, 0, 1).told_service(), "shop");
        let call = call(span(1, 0, 0, 1), "payout", 200, 0);
        assert_eq!(call.told_service(), "payout");
        let mut unnamed = call;
        unnamed.attributes.clear();
        assert_eq!(unnamed.told_service(), "shop");
        let known = with(unnamed, "server.address", text("10.0.0.7"));
        assert_eq!(known.told_service(), "10.0.0.7");
    }

    #[track_caller]
    fn check(span: &Span, words: &str, weight: Weight) {
        let outcome = span.outcome();
        assert_eq!((outcome.words().as_str(), outcome.weight), (words, weight));
    }

    #[test]
    fn an_outcome_is_told_once_and_as_loudly_as_it_is_bad() {
        let status = |code: i64| call(span(1, 0, 0, 1), "payout", code, 0);
        check(&status(200), "200", Weight::Fine);
        check(&status(404), "404", Weight::Caution);
        check(
            &with(status(502), "error.type", text("502")),
            "502",
            Weight::Failure,
        );
        check(
            &with(status(502), "error.type", text("reset")),
            "502",
            Weight::Failure,
        );
        let left = with(
            status(200),
            "edgespan.client_disconnected",
            Value::Bool(true),
        );
        check(&left, "200 client left", Weight::Caution);
        let mut failed = span(1, 0, 0, 1);
        failed.status = Status::Error;
        check(&failed, "error", Weight::Failure);
        check(
            &with(failed, "error.type", text("timeout")),
            "timeout",
            Weight::Failure,
        );
    }

    #[test]
    fn numbers_that_a_backend_has_as_texts_are_numbers() {
        let span = with(span(1, 0, 0, 1), "http.response.status_code", text("503"));
        check(&span, "503", Weight::Failure);
        assert_eq!(
            with(span, "http.request.resend_count", text("2")).attempt(),
            3
        );
    }

    #[test]
    fn an_attempt_is_the_first_unless_it_says_otherwise() {
        for (resent, attempt) in [(0, 1), (1, 2), (-1, 1), (i64::MIN, 1)] {
            let span = with(
                span(1, 0, 0, 1),
                "http.request.resend_count",
                Value::Int(resent),
            );
            assert_eq!(span.attempt(), attempt);
        }
    }

    #[test]
    fn a_name_is_looked_at_no_further_than_a_row_reaches() {
        let mut long = span(1, 0, 0, 1);
        long.name = "ä".repeat(64 * 1024);
        assert_eq!(long.told_name().chars().count(), TEXT_MAX);
    }
}
