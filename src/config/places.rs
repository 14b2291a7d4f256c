//! Where the named things of a document stand, for whoever points at its lines.

use super::diagnostic::Findings;
use super::tree::{self, Node, Value};
use std::collections::HashMap;

/// Lines of a document's named things, counted from one.
#[derive(Clone, Debug, Default)]
pub struct Places(HashMap<(&'static str, String), usize>);

/// Sections whose entries are found by their key.
const BY_KEY: [&str; 5] = ["listeners", "upstreams", "flows", "rate_limits", "auth"];

impl Places {
    /// Reads them from a document's text. A text without a tree has none.
    pub fn of(text: &str) -> Self {
        let Some(root) = tree::parse(text, &mut Findings::default()) else {
            return Self::default();
        };
        let lines = Lines::of(text);
        let mut places = HashMap::new();
        for entry in entries(&root) {
            if let Some(section) = BY_KEY.into_iter().find(|name| *name == entry.key) {
                for named in entries(&entry.value) {
                    let line = lines.at(named.key_span.start);
                    places.insert((section, named.key.clone()), line);
                }
            }
            if let ("routes", Value::Sequence(routes)) = (entry.key.as_str(), &entry.value.value) {
                for route in routes {
                    let name = entries(route).iter().find(|field| field.key == "name");
                    if let Some(name) = name.and_then(|field| field.value.text()) {
                        let line = lines.at(route.span.start);
                        places.insert(("routes", name.to_owned()), line);
                    }
                }
            }
        }
        Self(places)
    }

    /// The line of what `section` calls `name`.
    pub fn line(&self, section: &'static str, name: &str) -> Option<usize> {
        self.0.get(&(section, name.to_owned())).copied()
    }
}

fn entries(node: &Node) -> &[tree::Entry] {
    match &node.value {
        Value::Mapping(entries) => entries,
        Value::Sequence(_) | Value::Scalar(_) => &[],
    }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(breaks).collect())
    }

    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
listeners:
  web: {address: \"127.0.0.1:0\"}
upstreams: {app: {endpoints: [\"http://127.0.0.1:3000\"]}}

routes:
  - name: orders
    upstream: app
  - upstream: app
    name: \"rest\"
";

    #[test]
    fn a_named_thing_is_found_by_its_line() {
        let places = Places::of(TEXT);

        assert_eq!(places.line("listeners", "web"), Some(2));
        assert_eq!(places.line("upstreams", "app"), Some(3));
        assert_eq!(places.line("routes", "orders"), Some(6));
        assert_eq!(places.line("routes", "rest"), Some(8));
        assert_eq!(places.line("flows", "rest"), None);
    }

    #[test]
    fn a_text_without_a_tree_has_no_places() {
        assert_eq!(Places::of("a: [").line("routes", "a"), None);
    }
}
