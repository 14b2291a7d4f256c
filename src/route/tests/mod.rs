//! Promises of the whole folder. `oracle` holds a second, naive reading of the ranking.

mod finding;
mod oracle;
mod shadows;

use super::*;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// A route that takes everything, to be narrowed.
fn route(name: &str, path: PathRule) -> RouteSpec {
    RouteSpec {
        name: name.into(),
        hosts: Vec::new(),
        path,
        methods: Vec::new(),
        headers: Vec::new(),
        query: Vec::new(),
    }
}

/// A route by its template, `prefix:` or `regex:` text, which is its name as well.
fn at(path: &str) -> RouteSpec {
    let rule = match path.split_once(':') {
        Some(("prefix", prefix)) => PathRule::prefix(prefix).unwrap(),
        Some(("regex", source)) => PathRule::regex(source).unwrap(),
        _ if path == "any" => PathRule::Any,
        _ => PathRule::template(path).unwrap(),
    };
    route(path, rule)
}

impl RouteSpec {
    fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    fn host(mut self, pattern: &str) -> Self {
        self.hosts.push(pattern.parse().unwrap());
        self
    }

    fn method(mut self, method: Method) -> Self {
        self.methods.push(method);
        self
    }

    fn header(mut self, name: &'static str, value: ValueRule) -> Self {
        self.headers.push(HeaderRule {
            name: HeaderName::from_static(name),
            value,
        });
        self
    }

    fn query(mut self, name: &str, value: ValueRule) -> Self {
        self.query.push(QueryRule {
            name: name.into(),
            value,
        });
        self
    }
}

/// A request of its own.
#[derive(Clone, Debug)]
struct Asked {
    host: String,
    path: String,
    query: Option<String>,
    method: Method,
    headers: HeaderMap,
}

impl Asked {
    /// `GET http://host/path?query`
    fn get(host: &str, target: &str) -> Self {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        Self {
            host: host.to_owned(),
            path: path.to_owned(),
            query,
            method: Method::GET,
            headers: HeaderMap::new(),
        }
    }

    fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers
            .append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    fn request(&self) -> RouteRequest<'_> {
        RouteRequest {
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            method: &self.method,
            headers: &self.headers,
        }
    }
}

/// A table whose values are the names of its routes.
fn table(specs: &[RouteSpec]) -> RouteTable<String> {
    let routes = specs
        .iter()
        .map(|spec| (spec.clone(), spec.name.to_string()))
        .collect();
    RouteTable::build(routes).unwrap()
}
