//! What became of a request's headers between client and upstream.

use super::{Question, TraceFact};
use http::HeaderMap;

/// One field that came, left, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderChange {
    /// Lower-case name.
    pub name: String,
    /// What became of it.
    pub fate: Fate,
    /// What leaves, several lines joined by `, `; what is secret is hidden.
    pub value: String,
    /// Why, where a reader would ask.
    pub reason: &'static str,
}

/// What became of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It came as it leaves.
    Kept,
    /// It leaves and did not come.
    Added,
    /// It leaves otherwise than it came.
    Changed,
    /// It came and does not leave.
    Removed,
}

/// Compares what was sent with what left.
pub(super) fn changes(question: &Question, left: &HeaderMap) -> Vec<HeaderChange> {
    let mut sent: Vec<(String, Vec<String>)> = Vec::new();
    for (name, value) in question.fields() {
        let name = name.to_ascii_lowercase();
        match sent.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value.to_owned()),
            None => sent.push((name, vec![value.to_owned()])),
        }
    }
    let leaving = |name: &str| -> Vec<String> {
        let values = left.get_all(name).iter();
        values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    };
    let mut changes = Vec::new();
    for name in left.keys() {
        let came = sent.iter().find(|(known, _)| known == name.as_str());
        let leaves = leaving(name.as_str());
        let fate = match came {
            None => Fate::Added,
            Some((_, values)) if *values == leaves => Fate::Kept,
            Some(_) => Fate::Changed,
        };
        changes.push(HeaderChange {
            name: name.as_str().to_owned(),
            fate,
            value: shown(name.as_str(), &leaves.join(", ")),
            reason: "",
        });
    }
    for (name, values) in &sent {
        if !left.contains_key(name.as_str()) {
            changes.push(HeaderChange {
                name: name.clone(),
                fate: Fate::Removed,
                value: shown(name, &values.join(", ")),
                reason: reason_of_removal(name),
            });
        }
    }
    changes
}

/// In a trace that begins here the ids are new each time, and where chance decides, the flag and
/// the threshold that leave are not known beforehand.
pub(super) fn undecided(mut changes: Vec<HeaderChange>, trace: &TraceFact) -> Vec<HeaderChange> {
    if trace.joins.is_some() {
        return changes;
    }
    let (id, flags) = match (&trace.root, trace.kept) {
        (Some((id, _)), Some(true)) => (id.as_str(), "01"),
        (Some((id, _)), _) => (id.as_str(), "00"),
        (None, Some(true)) => ("(new)", "03"),
        (None, Some(false)) => ("(new)", "02"),
        (None, None) => ("(new)", "03, or -02 if not kept"),
    };
    if trace.kept != Some(true) {
        changes.retain(|change| change.name != "tracestate" || change.fate != Fate::Added);
    }
    for change in &mut changes {
        if change.name == "traceparent" && change.fate != Fate::Removed {
            change.value = format!("00-{id}-(new)-{flags}");
        }
    }
    changes
}

/// Why a field that came does not leave, where its name tells.
fn reason_of_removal(name: &str) -> &'static str {
    match name {
        "connection" | "keep-alive" | "proxy-connection" | "te" | "transfer-encoding"
        | "upgrade" | "http2-settings" => "ends at each hop",
        "forwarded" | "via" | "x-real-ip" | "true-client-ip" | "cf-connecting-ip" | "cf-ray"
        | "cf-ipcountry" | "cf-visitor" => "clients may not say who they are",
        name if name.starts_with("x-forwarded-") || name.starts_with("x-original-") => {
            "clients may not say who they are"
        }
        _ => "",
    }
}

/// A value that may be shown: credentials are not.
fn shown(name: &str, value: &str) -> String {
    const SECRET: [&str; 8] = [
        "authorization",
        "cookie",
        "token",
        "secret",
        "password",
        "api-key",
        "apikey",
        "assertion",
    ];
    if SECRET.iter().any(|part| name.contains(part)) {
        "(hidden)".to_owned()
    } else {
        value.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn question(headers: &[(&str, &str)]) -> Question {
        Question {
            host_proxy: None,
            method: "GET".to_owned(),
            secure: false,
            authority: "a.example".to_owned(),
            path: "/".to_owned(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            listener: None,
            peer: "127.0.0.1:9".parse().unwrap(),
        }
    }

    #[test]
    fn each_field_is_told_once_with_what_became_of_it() {
        let asked = question(&[
            ("X-Forwarded-For", "1.2.3.4"),
            ("Accept", "*/*"),
            ("X-Old", "1"),
            ("Authorization", "Bearer abc"),
        ]);
        let mut left = HeaderMap::new();
        for (name, value) in [
            ("host", "a.example"),
            ("accept", "*/*"),
            ("x-old", "2"),
            ("via", "1.1 edgespan"),
            ("authorization", "Bearer abc"),
        ] {
            left.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }

        let told = changes(&asked, &left);

        let fate = |name: &str| {
            let change = told.iter().find(|change| change.name == name).unwrap();
            (change.fate, change.value.as_str(), change.reason)
        };
        assert_eq!(fate("host"), (Fate::Kept, "a.example", ""));
        assert_eq!(fate("accept"), (Fate::Kept, "*/*", ""));
        assert_eq!(fate("x-old"), (Fate::Changed, "2", ""));
        assert_eq!(fate("via"), (Fate::Added, "1.1 edgespan", ""));
        assert_eq!(fate("authorization"), (Fate::Kept, "(hidden)", ""));
        assert_eq!(
            fate("x-forwarded-for"),
            (Fate::Removed, "1.2.3.4", "clients may not say who they are")
        );
        assert_eq!(told.len(), 6);
    }
}
