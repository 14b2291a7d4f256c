//! A query in TraceQL, as Tempo and edgespan are asked.
//!
//! Service, error and tags speak of one span; route, flow and duration of the whole trace, for they
//! are known at its edge and wanted of what happened behind it.

use super::query::Query;
use std::time::Duration;

impl Query {
    /// In TraceQL: what was typed, or what the conditions come to.
    pub fn traceql(&self) -> String {
        if let Some(typed) = &self.traceql {
            return typed.clone();
        }
        let mut here = Vec::new();
        here.extend(
            self.min
                .map(|min| format!("traceDuration >= {}", duration(min))),
        );
        here.extend(
            self.max
                .map(|max| format!("traceDuration <= {}", duration(max))),
        );
        here.extend(self.service.as_ref().map(|name| {
            let name = string(name);
            format!("(resource.service.name = {name} || span.service.peer.name = {name})")
        }));
        here.extend(self.error.then(|| "status = error".to_owned()));
        here.extend(self.tags.iter().map(|(key, value)| tag(key, value)));
        let mut sets = Vec::new();
        if !here.is_empty() {
            sets.push(set(&here.join(" && ")));
        }
        let edge = [("span.http.route", &self.route), ("span.flow", &self.flow)];
        let edge = edge.into_iter().filter_map(|(key, value)| {
            let value = value.as_ref()?;
            Some(set(&format!("{key} = {}", string(value))))
        });
        sets.extend(edge);
        if sets.is_empty() {
            return "{ }".to_owned();
        }
        sets.join(" && ")
    }
}

fn set(conditions: &str) -> String {
    format!("{{ {conditions} }}")
}

/// A tag as it was typed has no type; an attribute has one, and is compared with it.
fn tag(key: &str, value: &str) -> String {
    let key = attribute(key);
    let text = format!("{key} = {}", string(value));
    let is_number = value.parse::<f64>().is_ok_and(f64::is_finite)
        && value.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && value.ends_with(|c: char| c.is_ascii_digit())
        && !value.contains(['e', 'E']);
    if is_number || matches!(value, "true" | "false") {
        format!("({text} || {key} = {value})")
    } else {
        text
    }
}

fn attribute(key: &str) -> String {
    let scopes = ["resource.", "span.", "event.", "link."];
    let scoped = scopes.into_iter().find(|scope| key.starts_with(scope));
    let (scope, name) = match scoped.and_then(|scope| Some((scope, key.strip_prefix(scope)?))) {
        Some(parts) => parts,
        None => (".", key.strip_prefix('.').unwrap_or(key)),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    if !name.is_empty() && name.chars().all(plain) {
        format!("{scope}{name}")
    } else {
        format!("{scope}{}", string(name))
    }
}

/// A string of TraceQL, whose escapes are those of Go.
pub(super) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            other if other.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(other))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// A duration in the largest unit that leaves it whole, as Go and TraceQL read it.
pub(super) fn duration(length: Duration) -> String {
    let nanos = length.as_nanos();
    let units = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)];
    let whole = units
        .into_iter()
        .find(|(_, unit)| nanos.is_multiple_of(*unit));
    match whole {
        Some((name, unit)) => format!("{}{name}", nanos / unit),
        None => format!("{nanos}ns"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> Query {
        Query::default()
    }

    #[test]
    fn nothing_asked_is_every_trace() {
        assert_eq!(query().traceql(), "{ }");
    }

    #[test]
    fn service_error_and_tags_speak_of_one_span_and_route_and_flow_of_the_trace() {
        let asked = Query {
            service: Some("payout".to_owned()),
            route: Some("/api/v1/orders/{order_id}".to_owned()),
            flow: Some("escrow".to_owned()),
            error: true,
            min: Some(Duration::from_millis(500)),
            ..query()
        };
        assert_eq!(
            asked.traceql(),
            "{ traceDuration >= 500ms && (resource.service.name = \"payout\" || \
             span.service.peer.name = \"payout\") && status = error } && \
             { span.http.route = \"/api/v1/orders/{order_id}\" } && { span.flow = \"escrow\" }"
        );
    }

    #[test]
    fn a_tag_is_compared_as_text_and_as_what_it_looks_like() {
        let check = |key: &str, value: &str, expected: &str| {
            assert_eq!(tag(key, value), expected);
        };
        check(
            "http.request.method",
            "GET",
            ".http.request.method = \"GET\"",
        );
        check("code", "502", "(.code = \"502\" || .code = 502)");
        check("ok", "true", "(.ok = \"true\" || .ok = true)");
        check("x", "1e5", ".x = \"1e5\"");
        check("x", "1.", ".x = \"1.\"");
        check(
            "resource.k8s.pod.name",
            "a",
            "resource.k8s.pod.name = \"a\"",
        );
        check("a b", "\"} || {", ".\"a b\" = \"\\\"} || {\"");
        check(
            "a",
            "back\\slash\n\u{1b}",
            ".a = \"back\\\\slash\\n\\u001b\"",
        );
    }

    #[test]
    fn a_duration_has_the_largest_unit_that_leaves_it_whole() {
        assert_eq!(duration(Duration::from_secs(90)), "90s");
        assert_eq!(duration(Duration::from_millis(1_500)), "1500ms");
        assert_eq!(duration(Duration::from_micros(7)), "7us");
        assert_eq!(duration(Duration::from_nanos(1_001)), "1001ns");
    }

    #[test]
    fn what_was_typed_goes_as_it_is() {
        let typed = "{ .a > 1 } | count() > 2";
        let asked = Query {
            traceql: Some(typed.to_owned()),
            ..query()
        };
        assert_eq!(asked.traceql(), typed);
    }
}
