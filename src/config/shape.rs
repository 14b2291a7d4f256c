//! Second pass: the tree is held against the schema, and everything that does not fit is told.
//!
//! What comes out is a repaired tree: a misspelt key under its right name, a value of the wrong
//! kind left out. So the passes behind it see all the rest, and a wrong shape hides no dangling
//! name.

use super::diagnostic::{Code, Diagnostic, Findings, Mask, Span, is_secret_key};
use super::schema::{Keys, List, Shape, Single};
use super::suggest::nearest;
use super::tree::{Entry, Node, Origin, Scalar, Value};
use std::collections::HashSet;

/// Maps of at most so many keys are shown to whoever wrote a single value in their place.
const FEW_KEYS: usize = 4;

/// Checks a document and gives what of it has the right shape.
pub(in crate::config) fn check(
    root: &Node,
    shape: &Shape,
    findings: &mut Findings,
    mask: &mut Mask,
) -> Node {
    if !matches!(root.value, Value::Mapping(_)) {
        let message = "the top level of a configuration is a map of keys";
        findings.push(Diagnostic::at(Code::Document, &root.span, message));
        return Node {
            span: root.span.clone(),
            value: Value::Mapping(Vec::new()),
        };
    }
    let mut walk = Walk {
        findings,
        mask,
        path: Vec::new(),
    };
    let empty = Node {
        span: root.span.clone(),
        value: Value::Mapping(Vec::new()),
    };
    walk.node(root, shape, &(root.span.start..root.span.start))
        .unwrap_or(empty)
}

struct Walk<'a> {
    findings: &'a mut Findings,
    mask: &'a mut Mask,
    path: Vec<String>,
}

impl Walk<'_> {
    /// `name` is where the node is named: its key, or itself in a list.
    fn node(&mut self, node: &Node, shape: &Shape, name: &Span) -> Option<Node> {
        if shape.secret && shape.map.is_none() {
            self.mask.hide(&node.span);
        }
        if shape.any {
            self.hide_all(node, false);
            return Some(node.clone());
        }
        match (&node.value, shape) {
            (Value::Scalar(scalar), _) if scalar.origin == Origin::Missing => None,
            (
                Value::Scalar(scalar),
                Shape {
                    single: Some(single),
                    ..
                },
            ) => {
                if shape.secret {
                    self.mask.hide(&node.span);
                }
                self.single(node, scalar, single, shape)
            }
            (
                Value::Sequence(items),
                Shape {
                    list: Some(list), ..
                },
            ) => self.list(node, items, list, name),
            (
                Value::Mapping(entries),
                Shape {
                    map: Some(keys), ..
                },
            ) => {
                let entries = match keys {
                    Keys::Known { keys, required } => self.known(entries, keys, required, name),
                    Keys::Chosen(shape) => self.chosen(entries, shape),
                };
                Some(Node {
                    span: node.span.clone(),
                    value: Value::Mapping(entries),
                })
            }
            _ => {
                self.hide_all(node, shape.secret);
                self.wrong_kind(node, shape, name);
                // Its name stays defined, so that references to it do not dangle.
                let empty = || Node {
                    span: node.span.clone(),
                    value: Value::Mapping(Vec::new()),
                };
                (shape.map.is_some() && shape.single.is_none()).then(empty)
            }
        }
    }

    fn known(
        &mut self,
        entries: &[Entry],
        keys: &[(String, Shape)],
        required: &[String],
        name: &Span,
    ) -> Vec<Entry> {
        let mut kept: Vec<Entry> = Vec::with_capacity(entries.len());
        // Keys that stand there, refused values included: such a key is not missing as well.
        let mut seen: Vec<&str> = Vec::with_capacity(entries.len());
        for entry in entries {
            let known = keys.iter().find(|(key, _)| *key == entry.key);
            let meant = known.or_else(|| self.unknown(entry, entries, keys, &seen));
            let Some((key, shape)) = meant else {
                let near_secrets =
                    !self.path.is_empty() && keys.iter().any(|(_, one)| one.holds_secret());
                let secret = near_secrets || entry.key == "headers" || is_secret_key(&entry.key);
                self.hide_all(&entry.value, secret);
                continue;
            };
            let twice = seen.contains(&key.as_str());
            seen.push(key);
            self.path.push(key.clone());
            let value = self.node(&entry.value, shape, &entry.key_span);
            kept.extend(value.filter(|_| !twice).map(|value| Entry {
                key: key.clone(),
                key_span: entry.key_span.clone(),
                value,
            }));
            self.path.pop();
        }
        for key in required {
            if !seen.contains(&key.as_str()) {
                self.missing(key, name);
            }
        }
        kept
    }

    fn chosen(&mut self, entries: &[Entry], shape: &Shape) -> Vec<Entry> {
        let mut kept = Vec::with_capacity(entries.len());
        let mut seen: HashSet<&str> = HashSet::with_capacity(entries.len());
        for entry in entries {
            if is_secret_key(&entry.key) {
                self.hide_single(&entry.value);
            }
            self.path.push(entry.key.clone());
            let value = self.node(&entry.value, shape, &entry.key_span);
            let first = seen.insert(&entry.key);
            kept.extend(value.filter(|_| first).map(|value| Entry {
                key: entry.key.clone(),
                key_span: entry.key_span.clone(),
                value,
            }));
            self.path.pop();
        }
        kept
    }

    fn list(&mut self, node: &Node, items: &[Node], list: &List, name: &Span) -> Option<Node> {
        if items.is_empty() && list.filled {
            let message = format!("{} is an empty list", self.here());
            let diagnostic = Diagnostic::at(Code::Empty, &node.span, message);
            self.findings.push(diagnostic.label("at least one"));
        }
        let mut kept = Vec::with_capacity(items.len());
        for (position, item) in items.iter().enumerate() {
            let own_name = item
                .get("name")
                .and_then(Node::text)
                .filter(|name| !name.is_empty());
            let own_name = own_name.map_or_else(|| format!("[{position}]"), str::to_owned);
            self.path.push(own_name);
            kept.extend(self.node(
                item,
                &list.item,
                &first_key(item).unwrap_or_else(|| name.clone()),
            ));
            self.path.pop();
        }
        Some(Node {
            span: node.span.clone(),
            value: Value::Sequence(kept),
        })
    }

    fn single(
        &mut self,
        node: &Node,
        scalar: &Scalar,
        single: &Single,
        shape: &Shape,
    ) -> Option<Node> {
        if scalar.is_null() {
            self.empty(node, shape);
            return None;
        }
        let refused = match single {
            Single::Text => None,
            Single::Bool => scalar
                .as_bool()
                .is_none()
                .then(|| self.not_bool(node, scalar)),
            Single::Integer { least, most } => match scalar.as_int() {
                None => Some(self.not_number(node, scalar, "whole number")),
                Some(number) => (number < *least || number > *most)
                    .then(|| self.out_of_range(node, &format!("{least} to {most}"))),
            },
            Single::Number { least, most } => match scalar.as_number() {
                None => Some(self.not_number(node, scalar, "number")),
                Some(number) => (number < *least || number > *most)
                    .then(|| self.out_of_range(node, &format!("{least} to {most}"))),
            },
            Single::Word { words, plural } => (!words.contains(&scalar.text))
                .then(|| self.not_a_word(node, scalar, words, plural, shape)),
        };
        match refused {
            None => Some(node.clone()),
            Some(diagnostic) => {
                self.findings.push(diagnostic);
                None
            }
        }
    }

    /// Tells an unknown key, and says which one is meant if that is plain.
    fn unknown<'k>(
        &mut self,
        entry: &Entry,
        entries: &[Entry],
        keys: &'k [(String, Shape)],
        seen: &[&str],
    ) -> Option<&'k (String, Shape)> {
        let free =
            |key: &str| !entries.iter().any(|other| other.key == key) && !seen.contains(&key);
        let candidates = || keys.iter().map(|(key, _)| key.as_str());
        let meant = nearest(&entry.key, candidates().filter(|key| free(key)));
        let place = if self.path.is_empty() {
            "at the top level".to_owned()
        } else {
            format!("in {}", self.here())
        };
        let message = format!("unknown key `{}` {place}", entry.key);
        let diagnostic = Diagnostic::at(Code::UnknownKey, &entry.key_span, message);
        self.findings.push(match meant {
            Some(meant) => diagnostic.suggest(meant),
            None => diagnostic.help(format!(
                "keys: {}",
                candidates().collect::<Vec<_>>().join(", ")
            )),
        });
        meant.and_then(|meant| keys.iter().find(|(key, _)| key == meant))
    }

    fn missing(&mut self, key: &str, name: &Span) {
        let message = if self.path.is_empty() {
            format!("the file has no `{key}`")
        } else {
            format!("{} has no `{key}`", self.here())
        };
        let diagnostic = Diagnostic::at(Code::MissingKey, name, message);
        self.findings
            .push(diagnostic.label(format!("needs `{key}`")));
    }

    fn wrong_kind(&mut self, node: &Node, shape: &Shape, name: &Span) {
        if let Value::Scalar(scalar) = &node.value
            && scalar.is_null()
        {
            return self.empty(
                &Node {
                    span: name.clone(),
                    value: node.value.clone(),
                },
                shape,
            );
        }
        let found = match &node.value {
            Value::Scalar(_) => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a map",
        };
        let message = format!("{} has to be {}", self.here(), wanted(shape));
        let mut diagnostic =
            Diagnostic::at(Code::WrongKind, &node.span, message).label(format!("this is {found}"));
        let single = node.text().filter(|text| text.len() <= 60 && !shape.secret);
        if let (Some(text), Some(list)) = (single, &shape.list)
            && list.item.single.is_some()
            && is_plain(node)
        {
            diagnostic = diagnostic.help(format!("write `[{text}]`"));
            diagnostic.replacement = Some(format!("[{text}]"));
        } else if let Some(help) = few_keys(node, shape) {
            diagnostic = diagnostic.help(help);
        }
        self.findings.push(diagnostic);
    }

    fn empty(&mut self, node: &Node, shape: &Shape) {
        let message = format!("{} has no value", self.here());
        let diagnostic = Diagnostic::at(Code::Empty, &node.span, message);
        self.findings.push(
            diagnostic
                .label(format!("{} is expected", wanted(shape)))
                .help("to leave it at its default, remove the key"),
        );
    }

    fn not_bool(&self, node: &Node, scalar: &Scalar) -> Diagnostic {
        let message = format!("{} has to be true or false", self.here());
        let diagnostic = Diagnostic::at(Code::WrongKind, &node.span, message);
        match scalar.text.to_ascii_lowercase().as_str() {
            "on" | "yes" | "y" | "true" | "1" => diagnostic.suggest("true"),
            "off" | "no" | "n" | "false" | "0" => diagnostic.suggest("false"),
            _ => diagnostic.label("not a truth value"),
        }
    }

    fn not_number(&self, node: &Node, scalar: &Scalar, noun: &str) -> Diagnostic {
        let message = format!("{} has to be a {noun}", self.here());
        let diagnostic = Diagnostic::at(Code::WrongKind, &node.span, message);
        let bare = Scalar {
            plain: true,
            ..scalar.clone()
        };
        if !scalar.plain && bare.as_number().is_some() {
            return diagnostic
                .label("a text, since it is quoted")
                .help("remove the quotes");
        }
        match scalar
            .text
            .strip_suffix('%')
            .and_then(|share| share.trim().parse::<f64>().ok())
        {
            Some(share) if scalar.origin == Origin::Document => {
                diagnostic.suggest(&(share / 100.0).to_string())
            }
            _ => diagnostic.label(format!("not a {noun}")),
        }
    }

    fn out_of_range(&self, node: &Node, range: &str) -> Diagnostic {
        let message = format!("{} is out of its range", self.here());
        Diagnostic::at(Code::OutOfRange, &node.span, message).label(range)
    }

    fn not_a_word(
        &self,
        node: &Node,
        scalar: &Scalar,
        words: &[String],
        plural: &str,
        shape: &Shape,
    ) -> Diagnostic {
        let title = shape.title.as_deref().unwrap_or("value");
        let message = if scalar.origin == Origin::Environment {
            format!(
                "the value of {} is not {}",
                self.here(),
                with_article(title)
            )
        } else {
            format!(
                "`{}` is not {}",
                shortened(&scalar.text),
                with_article(title)
            )
        };
        let diagnostic = Diagnostic::at(Code::UnknownValue, &node.span, message)
            .help(format!("{plural}: {}", words.join(", ")));
        match nearest(&scalar.text, words.iter().map(String::as_str)) {
            Some(meant) => diagnostic.suggest(meant),
            None => diagnostic,
        }
    }

    /// The place, as a reader would say it.
    fn here(&self) -> String {
        if self.path.is_empty() {
            return "the document".to_owned();
        }
        format!("`{}`", self.path.join(".").replace(".[", "["))
    }

    /// Hides what looks like a secret below a place that has no schema.
    fn hide_all(&mut self, node: &Node, secret: bool) {
        match &node.value {
            Value::Scalar(_) if secret => self.mask.hide(&node.span),
            Value::Scalar(_) => {}
            Value::Sequence(items) => items.iter().for_each(|item| self.hide_all(item, secret)),
            Value::Mapping(entries) => {
                for entry in entries {
                    self.hide_all(&entry.value, secret || is_secret_key(&entry.key));
                }
            }
        }
    }

    /// A single value under a telling key is hidden wherever it stands.
    fn hide_single(&mut self, node: &Node) {
        if matches!(node.value, Value::Scalar(_)) {
            self.mask.hide(&node.span);
        }
    }
}

/// How a small map is written, where its value stands alone.
fn few_keys(node: &Node, shape: &Shape) -> Option<String> {
    let Some(Keys::Known { keys, .. }) = &shape.map else {
        return None;
    };
    let (first, _) = keys.first()?;
    let is_single = matches!(node.value, Value::Scalar(_));
    (is_single && keys.len() <= FEW_KEYS).then(|| {
        let names: Vec<&str> = keys.iter().map(|(key, _)| key.as_str()).collect();
        format!("write `{{{first}: ...}}`; keys: {}", names.join(", "))
    })
}

/// Whether a value stands in the document as it is, without quotes.
fn is_plain(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar(scalar) if scalar.plain && scalar.origin == Origin::Document)
}

fn first_key(node: &Node) -> Option<Span> {
    let Value::Mapping(entries) = &node.value else {
        return Some(node.span.clone());
    };
    entries.first().map(|entry| entry.key_span.clone())
}

/// What is expected somewhere, with its article.
fn wanted(shape: &Shape) -> String {
    let mut kinds = Vec::new();
    if let Some(single) = &shape.single {
        let noun = match single {
            Single::Text => "text",
            Single::Integer { .. } => "whole number",
            Single::Number { .. } => "number",
            Single::Bool => "truth value",
            Single::Word { .. } => "word",
        };
        kinds.push(with_article(shape.title.as_deref().unwrap_or(noun)));
    }
    if shape.list.is_some() {
        kinds.push("a list".to_owned());
    }
    if shape.map.is_some() && (shape.single.is_none() || kinds.len() > 1) {
        kinds.push("a map".to_owned());
    }
    kinds.join(" or ")
}

/// A title that is the words themselves, such as `` `on` or `off` ``, has none.
fn with_article(noun: &str) -> String {
    let article = match noun.chars().next() {
        Some('`') => return noun.to_owned(),
        Some('a' | 'e' | 'i' | 'o' | 'A' | 'E' | 'I' | 'O') => "an",
        _ => "a",
    };
    format!("{article} {noun}")
}

/// A value as a message may quote it.
fn shortened(text: &str) -> String {
    let first: String = text.chars().take(40).collect();
    if first.len() < text.len() {
        format!("{first}...")
    } else {
        first
    }
}
