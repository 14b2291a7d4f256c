//! Names and values of attributes, for editors of queries.

use super::Api;
use super::parameters::Parameters;
use super::reply::{Made, Refused, takes_gzip};
use crate::store::{Scope, TraceStore};
use crate::view::Value as Any;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, Uri};
use serde_json::{Value, json};

/// Names or values in an answer if the question does not say.
const LIMIT: usize = 5_000;
/// Most names or values in an answer.
const LIMIT_MAX: usize = 10_000;

/// Scopes, by the name that TraceQL has for them, in the order in which they are told.
const SCOPES: [(&str, Scope); 5] = [
    ("resource", Scope::Resource),
    ("span", Scope::Span),
    ("intrinsic", Scope::Intrinsic),
    ("event", Scope::Event),
    ("link", Scope::Link),
];
/// Scopes of Tempo that have nothing here.
const EMPTY_SCOPES: [&str; 2] = ["instrumentation", "trace"];

/// What has a few values, all of them known.
const STATUS: [&str; 3] = ["error", "ok", "unset"];
const KIND: [&str; 6] = [
    "client",
    "consumer",
    "internal",
    "producer",
    "server",
    "unspecified",
];
/// Intrinsics that are texts, and of which spans tell.
const TEXTS: [&str; 9] = [
    "name",
    "rootName",
    "rootServiceName",
    "span:name",
    "span:statusMessage",
    "statusMessage",
    "trace:rootName",
    "trace:rootService",
    "event:name",
];
/// Other intrinsics: their values are of no use in a list.
const UNLISTED: [&str; 12] = [
    "duration",
    "traceDuration",
    "span:duration",
    "trace:duration",
    "span:id",
    "trace:id",
    "span:parentID",
    "link:spanID",
    "link:traceID",
    "nestedSetParent",
    "nestedSetLeft",
    "nestedSetRight",
];

/// `/api/search/tags`: the names of all scopes in one list.
pub(super) async fn names(
    State(api): State<Api>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    answer(&api, &uri, &headers, |store, scopes, limit| {
        let scopes = scopes
            .iter()
            .filter(|(_, scope)| *scope != Scope::Intrinsic);
        let names = scopes.flat_map(|(_, scope)| store.tag_names(*scope, limit).items);
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        names.dedup();
        names.truncate(limit);
        json!({"tagNames": names, "metrics": {}})
    })
    .await
}

/// `/api/v2/search/tags`
pub(super) async fn names_by_scope(
    State(api): State<Api>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    answer(&api, &uri, &headers, |store, scopes, limit| {
        let one = |(name, scope): &(&str, Scope)| {
            let tags = store.tag_names(*scope, limit).items;
            (!tags.is_empty()).then(|| json!({"name": name, "tags": tags}))
        };
        json!({"scopes": scopes.iter().filter_map(one).collect::<Value>(), "metrics": {}})
    })
    .await
}

async fn answer(
    api: &Api,
    uri: &Uri,
    headers: &HeaderMap,
    write: impl FnOnce(&TraceStore, &[(&'static str, Scope)], usize) -> Value + Send + 'static,
) -> Result<Response, Refused> {
    let parameters = Parameters::of(uri);
    parameters.range()?;
    let scopes = scopes(parameters.text("scope"))?;
    let limit = parameters.count("limit", LIMIT, LIMIT_MAX)?;
    let (store, gzip) = (api.store()?, takes_gzip(headers));
    let work = move || Made::json(&write(&store, &scopes, limit), gzip);
    Ok(api.questions.work(work).await?.response())
}

fn scopes(asked: Option<&str>) -> Result<Vec<(&'static str, Scope)>, Refused> {
    match asked {
        None | Some("none") => Ok(SCOPES.to_vec()),
        Some(name) if EMPTY_SCOPES.contains(&name) => Ok(Vec::new()),
        Some(name) => {
            let found = SCOPES.iter().find(|(known, _)| *known == name);
            let found = found.map(|one| vec![*one]);
            found.ok_or_else(|| Refused::bad(format!("invalid scope: {name}")))
        }
    }
}

/// Whose values are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tag {
    /// An attribute; None: of spans and resources.
    Attribute(Option<Scope>, String),
    /// An intrinsic that is a text.
    Text(String),
    /// These words and no others.
    Words(&'static [&'static str]),
    /// Nothing that a list would help with.
    Nothing,
}

impl Tag {
    /// An identifier of TraceQL: `resource.service.name`, `.service.name`, `status`, `span:kind`.
    fn identifier(text: &str) -> Result<Self, Refused> {
        if let Some(intrinsic) = Self::intrinsic(text) {
            return Ok(intrinsic);
        }
        let attribute = |scope, name: &str| {
            let quoted = name
                .strip_prefix('"')
                .and_then(|name| name.strip_suffix('"'));
            let name = quoted.unwrap_or(name);
            (!name.is_empty()).then(|| Self::Attribute(scope, name.to_owned()))
        };
        let found = if let Some(name) = text.strip_prefix('.') {
            attribute(None, name)
        } else {
            text.split_once('.').and_then(|(scope, name)| {
                if EMPTY_SCOPES.contains(&scope) || scope == "parent" {
                    return Some(Self::Nothing);
                }
                let known = SCOPES.iter().find(|(known, _)| *known == scope)?.1;
                (known != Scope::Intrinsic)
                    .then(|| attribute(Some(known), name))
                    .flatten()
            })
        };
        found.ok_or_else(|| {
            let example = "write `.name`, `span.name` or `resource.name`";
            Refused::bad(format!(
                "tag name is not valid TraceQL identifier: {text}; {example}"
            ))
        })
    }

    /// A name without a scope, as the first version of the API has it.
    fn plain(text: &str) -> Self {
        Self::intrinsic(text).unwrap_or_else(|| Self::Attribute(None, text.to_owned()))
    }

    fn intrinsic(text: &str) -> Option<Self> {
        match text {
            "status" | "span:status" => Some(Self::Words(&STATUS)),
            "kind" | "span:kind" => Some(Self::Words(&KIND)),
            _ if TEXTS.contains(&text) => Some(Self::Text(text.to_owned())),
            _ if UNLISTED.contains(&text) || text.starts_with("instrumentation:") => {
                Some(Self::Nothing)
            }
            _ => None,
        }
    }

    /// Each value with its type.
    fn values(&self, store: &TraceStore, limit: usize) -> Vec<(&'static str, String)> {
        let listed = match self {
            Self::Attribute(scope, name) => store.tag_values(*scope, name, limit),
            Self::Text(name) => store.tag_values(Some(Scope::Intrinsic), name, limit),
            Self::Words(words) => {
                let words = words.iter().map(|word| ("keyword", (*word).to_owned()));
                return words.take(limit).collect();
            }
            Self::Nothing => return Vec::new(),
        };
        listed.items.iter().filter_map(typed).collect()
    }
}

/// Type and text, as TraceQL knows them. Lists are told by their elements, maps and bytes not at
/// all.
fn typed(value: &Any) -> Option<(&'static str, String)> {
    match value {
        Any::Text(text) => Some(("string", text.clone())),
        Any::Bool(truth) => Some(("bool", truth.to_string())),
        Any::Int(number) => Some(("int", number.to_string())),
        Any::Double(number) => Some(("float", number.to_string())),
        Any::Bytes(_) | Any::List(_) | Any::Map(_) | Any::Empty => None,
    }
}

/// `/api/search/tag/{tag}/values`
pub(super) async fn values(
    State(api): State<Api>,
    Path(tag): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    list(&api, Tag::plain(&tag), &uri, &headers, |values| {
        values
            .into_iter()
            .map(|(_, text)| Value::from(text))
            .collect()
    })
    .await
}

/// `/api/v2/search/tag/{tag}/values`
pub(super) async fn typed_values(
    State(api): State<Api>,
    Path(tag): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let typed = |(kind, text)| json!({"type": kind, "value": text});
    list(
        &api,
        Tag::identifier(&tag)?,
        &uri,
        &headers,
        move |values| values.into_iter().map(typed).collect(),
    )
    .await
}

/// A filter in `q` is not applied, as at a Tempo that has filtering off: an editor is helped by
/// more values, too.
async fn list(
    api: &Api,
    tag: Tag,
    uri: &Uri,
    headers: &HeaderMap,
    write: impl FnOnce(Vec<(&'static str, String)>) -> Value + Send + 'static,
) -> Result<Response, Refused> {
    let parameters = Parameters::of(uri);
    parameters.range()?;
    let limit = parameters.count("limit", LIMIT, LIMIT_MAX)?;
    let (store, gzip) = (api.store()?, takes_gzip(headers));
    let work = move || {
        let values = write(tag.values(&store, limit));
        Made::json(&json!({"tagValues": values, "metrics": {}}), gzip)
    };
    Ok(api.questions.work(work).await?.response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_identifier_names_a_scope_or_an_intrinsic() {
        let check = |text: &str, expected: Tag| {
            assert_eq!(Tag::identifier(text), Ok(expected), "{text}");
        };
        let attribute = |scope, name: &str| Tag::Attribute(scope, name.to_owned());
        check(".service.name", attribute(None, "service.name"));
        check(
            "resource.service.name",
            attribute(Some(Scope::Resource), "service.name"),
        );
        check(
            "span.http.route",
            attribute(Some(Scope::Span), "http.route"),
        );
        check("span.\"a b\"", attribute(Some(Scope::Span), "a b"));
        check(
            "event.exception.type",
            attribute(Some(Scope::Event), "exception.type"),
        );
        check("status", Tag::Words(&STATUS));
        check("span:kind", Tag::Words(&KIND));
        check("name", Tag::Text("name".to_owned()));
        check("duration", Tag::Nothing);
        check("instrumentation.x", Tag::Nothing);
        for other in [
            "",
            ".",
            "span.",
            "service",
            "intrinsic.name",
            "nosuch.a",
            "span:nosuch",
        ] {
            assert_eq!(Tag::identifier(other).unwrap_err().status, 400, "{other}");
        }
        assert_eq!(Tag::plain("service.name"), attribute(None, "service.name"));
    }

    #[test]
    fn an_unknown_scope_is_refused_and_an_empty_one_is_empty() {
        assert_eq!(scopes(None).unwrap().len(), 5);
        assert_eq!(scopes(Some("span")), Ok(vec![("span", Scope::Span)]));
        assert_eq!(scopes(Some("instrumentation")), Ok(Vec::new()));
        assert_eq!(scopes(Some("x")).unwrap_err().message, "invalid scope: x");
    }

    proptest! {
        #[test]
        fn whatever_is_named_is_a_tag_or_refused(text in ".{0,40}") {
            drop(Tag::identifier(&text));
            drop(Tag::plain(&text));
        }
    }
}
