//! Conditions that are not typed as TraceQL: Tempo's older `tags=`, and a search as it is asked of
//! any backend. Both become TraceQL, by its text, so that there is one reading.

use super::QueryError;
use super::ast::{AttributeScope, Field, Literal, Query};
use crate::backend;

/// Most tags.
const TAGS_MAX: usize = 16;

/// `service.name=orders error=true http.route="/a b"`.
pub(super) fn of_logfmt(text: &str) -> Result<Option<Query>, QueryError> {
    let mut filters = Vec::new();
    let mut rest = text.chars().enumerate().peekable();
    loop {
        while rest.next_if(|(_, one)| one.is_whitespace()).is_some() {}
        let Some((at, _)) = rest.peek().copied() else {
            return joined(&filters);
        };
        if filters.len() == TAGS_MAX {
            return Err(QueryError::new(at, format!("at most {TAGS_MAX} tags")));
        }
        let mut key = String::new();
        while let Some((_, one)) = rest.next_if(|(_, one)| !one.is_whitespace() && *one != '=') {
            key.push(one);
        }
        if key.is_empty() || rest.next_if(|(_, one)| *one == '=').is_none() {
            return Err(QueryError::new(at, "a tag is written key=value"));
        }
        let mut value = String::new();
        if rest.next_if(|(_, one)| *one == '"').is_some() {
            loop {
                match rest.next() {
                    None => return Err(QueryError::new(at, "this quote is never closed")),
                    Some((_, '"')) => break,
                    Some((_, '\\')) => value.extend(rest.next().map(|(_, one)| one)),
                    Some((_, one)) => value.push(one),
                }
            }
        } else {
            while let Some((_, one)) = rest.next_if(|(_, one)| !one.is_whitespace()) {
                value.push(one);
            }
        }
        filters.push(tag(&key, &value));
    }
}

/// All conditions of a search as it is asked of any backend.
pub(super) fn of_backend(query: &backend::Query) -> Result<Option<Query>, QueryError> {
    let mut filters = Vec::new();
    if let Some(service) = &query.service {
        let service = Literal::Text(service.clone());
        filters.push(format!(
            "{{ resource.service.name = {service} || span.service.peer.name = {service} }}"
        ));
    }
    // Flow and route are asked of one span, since a span has both.
    let of_span: Vec<String> = [("http.route", &query.route), ("flow", &query.flow)]
        .into_iter()
        .filter_map(|(key, value)| {
            let value = Literal::Text(value.clone()?);
            Some(format!("span.{key} = {value}"))
        })
        .collect();
    if !of_span.is_empty() {
        filters.push(format!("{{ {} }}", of_span.join(" && ")));
    }
    if query.error {
        filters.push("{ status = error }".to_owned());
    }
    if query.tags.len() > TAGS_MAX {
        return Err(QueryError::new(0, format!("at most {TAGS_MAX} tags")));
    }
    filters.extend(query.tags.iter().map(|(key, value)| tag(key, value)));
    let conditions = joined(&filters)?;
    let typed = query.traceql.as_deref().map(Query::parse).transpose()?;
    Ok(match (conditions, typed) {
        (Some(conditions), Some(typed)) => Some(conditions.and(typed)),
        (one, other) => one.or(other),
    })
}

/// A filter for a value whose type nobody wrote: a text, and whatever else it may mean.
fn tag(key: &str, value: &str) -> String {
    let text = Literal::Text(value.to_owned());
    let field = match key {
        "name" | "root.name" | "root.service.name" => {
            let name = match key {
                "root.name" => "rootName",
                "root.service.name" => "rootServiceName",
                _ => "name",
            };
            return format!("{{ {name} = {text} }}");
        }
        "status" if matches!(value, "error" | "ok" | "unset") => {
            return format!("{{ status = {value} }}");
        }
        "error" if value == "true" => {
            return "{ status = error || .error = true || .error = \"true\" }".to_owned();
        }
        _ => Field::Attribute(AttributeScope::Any, key.to_owned()),
    };
    let mut either = format!("{field} = {text}");
    if let Ok(number) = value.parse::<i64>() {
        either.push_str(&format!(" || {field} = {number}"));
    } else if let Ok(number) = value.parse::<f64>()
        && number.is_finite()
    {
        either.push_str(&format!(" || {field} = {}", Literal::Float(number)));
    } else if let Ok(truth) = value.parse::<bool>() {
        either.push_str(&format!(" || {field} = {truth}"));
    }
    format!("{{ {either} }}")
}

fn joined(filters: &[String]) -> Result<Option<Query>, QueryError> {
    if filters.is_empty() {
        return Ok(None);
    }
    Query::parse(&filters.join(" && ")).map(Some)
}
