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
        let resent = match self.attribute("http.request.resend_count") {
            Some(Value::Int(count)) => u64::try_from(*count).unwrap_or(0),
            _ => 0,
        };
        resent.saturating_add(1)
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
        let http = match self.attribute("http.response.status_code") {
            Some(Value::Int(code)) => Some(*code),
            _ => None,
        };
        let grpc = self.text("rpc.response.status_code");
        // gRPC answers 200 whatever happened; its own status is the one that tells.
        let status = grpc.map(|text| bounded(text).to_owned());
        let status = status.or_else(|| http.map(|code| code.to_string()));
        let left = self.attribute("edgespan.client_disconnected") == Some(&Value::Bool(true));
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
