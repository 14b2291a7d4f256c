//! First pass: a document becomes a tree in which everything knows its bytes.
//!
//! The tree says what was written, not what it means: a plain `on` stays `on` until somebody
//! knows whether a text or a truth value is wanted. Aliases and merge keys are gone afterwards.

use super::diagnostic::{Code, Diagnostic, Findings, Span};
use granit_parser::{Event, Parser, ScalarStyle, ScanError, Tag};
use std::collections::HashMap;

/// Most levels of a document.
const DEPTH_MAX: usize = 64;
/// Most nodes of a document, those that aliases repeat counted each time.
const NODES_MAX: usize = 1_000_000;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct Node {
    pub(in crate::config) span: Span,
    pub(in crate::config) value: Value,
}

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) enum Value {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A text whose type is not decided yet.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct Scalar {
    pub(in crate::config) text: String,
    /// Written without quotes, so it may be a number, a truth value or nothing.
    pub(in crate::config) plain: bool,
    /// Where the text is from.
    pub(in crate::config) origin: Origin,
}

/// Where a text is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Origin {
    /// It stands in the document.
    Document,
    /// It holds a value of the environment, which no message may quote.
    Environment,
    /// Nowhere: the variable is missing, which was told.
    Missing,
}

impl Scalar {
    /// Whether it is YAML's nothing: empty, `~` or `null` without quotes.
    pub(in crate::config) fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// The truth value of YAML's core schema, if it is one.
    pub(in crate::config) fn as_bool(&self) -> Option<bool> {
        match self.text.as_str() {
            "true" | "True" | "TRUE" if self.plain => Some(true),
            "false" | "False" | "FALSE" if self.plain => Some(false),
            _ => None,
        }
    }

    /// The decimal integer, if it is one. Octal and hexadecimal are not meant in any setting.
    pub(in crate::config) fn as_int(&self) -> Option<i64> {
        let digits = self.text.strip_prefix(['-', '+']).unwrap_or(&self.text);
        let decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        (self.plain && decimal)
            .then(|| self.text.parse().ok())
            .flatten()
    }

    /// The finite number, if it is one.
    pub(in crate::config) fn as_number(&self) -> Option<f64> {
        let numeric = self.text.bytes().any(|byte| byte.is_ascii_digit())
            && self
                .text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        let number: Option<f64> = (self.plain && numeric)
            .then(|| self.text.parse().ok())
            .flatten();
        number.filter(|number| number.is_finite())
    }
}

/// One key of a map and its value.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) struct Entry {
    pub(in crate::config) key: String,
    pub(in crate::config) key_span: Span,
    pub(in crate::config) value: Node,
}

impl Node {
    /// The value of a key, if this is a map that has it.
    pub(in crate::config) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Mapping(entries) = &self.value else {
            return None;
        };
        let entry = entries.iter().find(|entry| entry.key == key)?;
        Some(&entry.value)
    }

    /// The text, if this is one.
    pub(in crate::config) fn text(&self) -> Option<&str> {
        let Value::Scalar(scalar) = &self.value else {
            return None;
        };
        Some(&scalar.text)
    }
}

/// Parses a document. None if there is no sure tree, in which case something was found.
pub(in crate::config) fn parse(text: &str, findings: &mut Findings) -> Option<Node> {
    match build(text, findings) {
        Ok(root) => Some(root),
        Err(diagnostic) => {
            findings.push(*diagnostic);
            None
        }
    }
}

type Refusal = Box<Diagnostic>;

fn build(text: &str, findings: &mut Findings) -> Result<Node, Refusal> {
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    options.simple_key_max_lookahead = 1024;
    let mut builder = Builder {
        text,
        findings,
        open: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        root: None,
    };
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| syntax(text, &error))?;
        let span = span.byte_range().unwrap_or(0..0);
        builder.event(event, span)?;
    }
    builder.root.ok_or_else(|| {
        let help = "`edgespan schema --markdown` lists the keys";
        Box::new(Diagnostic::new(Code::Document, "the file is empty").help(help))
    })
}

/// What the parser says, at one place and with the hint that most often helps.
fn syntax(text: &str, error: &ScanError) -> Refusal {
    let offset = error
        .marker()
        .byte_offset()
        .unwrap_or(text.len())
        .min(text.len());
    // The end of a file is best shown on the last line that says something.
    let offset = match text.get(offset..) {
        Some(rest) if rest.trim().is_empty() => text.trim_end().len().saturating_sub(1),
        _ => offset,
    };
    let offset = (0..=offset)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    let width = text.get(offset..).and_then(|rest| rest.chars().next());
    let span = offset..offset + width.map_or(0, char::len_utf8);
    let line_start = text.get(..offset).and_then(|before| before.rfind('\n'));
    let line = text
        .get(line_start.map_or(0, |newline| newline + 1)..)
        .unwrap_or_default();
    let line = line.lines().next().unwrap_or_default();
    let mut diagnostic =
        Diagnostic::at(Code::Syntax, &span, "this is not YAML").label(error.info());
    if line.contains("${") {
        diagnostic =
            diagnostic.help("inside `{ }` and `[ ]` put quotes around a placeholder: \"${NAME}\"");
    } else if line.contains('\t') {
        diagnostic = diagnostic.help("indent with spaces; YAML does not take tabs");
    }
    Box::new(diagnostic)
}

/// A map or list whose end was not seen yet.
struct Open {
    anchor: usize,
    start: usize,
    value: Value,
    key: Option<(String, Span)>,
    /// Where each key of a map stands in `value`, so that many keys cost no more than few.
    keys: HashMap<String, usize>,
    merges: Vec<Node>,
    /// Levels of the deepest finished child.
    depth: usize,
}

/// How much a node weighs against the bounds.
#[derive(Clone, Copy)]
struct Weight {
    nodes: usize,
    depth: usize,
}

impl Open {
    /// One more key, and what is wrong with it. A key that stands twice stays in the tree: what it
    /// holds may be a secret that has to be found.
    fn add(&mut self, entry: Entry) -> Option<Diagnostic> {
        let Value::Mapping(entries) = &mut self.value else {
            return None;
        };
        let earlier = self.keys.get(&entry.key).and_then(|at| entries.get(*at));
        let twice = earlier.map(|earlier| {
            let message = format!("`{}` stands twice", entry.key);
            Diagnostic::at(Code::DuplicateKey, &entry.key_span, message)
                .beside(&earlier.key_span, "first here")
        });
        self.keys.entry(entry.key.clone()).or_insert(entries.len());
        entries.push(entry);
        twice
    }

    /// Adds the keys of a `<<` that are not there yet, and says how many nodes that were.
    fn merge(&mut self, merge: Node) -> usize {
        let Value::Mapping(merged) = merge.value else {
            return 0;
        };
        let new: Vec<Entry> = merged
            .into_iter()
            .filter(|entry| !self.keys.contains_key(&entry.key))
            .collect();
        let nodes = new.iter().map(|entry| count(&entry.value)).sum();
        for entry in new {
            // Not there yet, so there is nothing to tell.
            drop(self.add(entry));
        }
        nodes
    }
}

struct Builder<'a> {
    text: &'a str,
    findings: &'a mut Findings,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, Weight)>,
    nodes: usize,
    root: Option<Node>,
}

impl Builder<'_> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what else a parser tells makes no node"
    )]
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Refusal> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let string_tag = self.check_tag(tag.as_deref(), &span)?;
                let span = self.trimmed(span);
                let node = Node {
                    span: match style {
                        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => unquoted(span),
                        ScalarStyle::Plain | ScalarStyle::Literal | ScalarStyle::Folded => span,
                    },
                    value: Value::Scalar(Scalar {
                        text: text.into_owned(),
                        plain: style == ScalarStyle::Plain && !string_tag,
                        origin: Origin::Document,
                    }),
                };
                self.take(node, anchor, Weight { nodes: 1, depth: 1 })
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), &span)?;
                self.enter(anchor, span, Value::Sequence(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), &span)?;
                self.enter(anchor, span, Value::Mapping(Vec::new()))
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(span),
            Event::Alias(id) => {
                let Some((node, weight)) = self.anchors.get(&id).cloned() else {
                    let message = "an alias stands inside the node that it names";
                    return Err(Box::new(Diagnostic::at(Code::Alias, &span, message)));
                };
                self.take(node, 0, weight)
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                let message = "the file holds more than one YAML document";
                let diagnostic = Diagnostic::at(Code::Document, &span, message);
                Err(Box::new(
                    diagnostic.help("keep one of them; `---` starts a document"),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Only YAML's own tags are known. True for `!!str`, which makes a text of anything.
    fn check_tag(&self, tag: Option<&Tag>, span: &Span) -> Result<bool, Refusal> {
        let Some(tag) = tag else { return Ok(false) };
        match tag.core_suffix() {
            Some("str") => Ok(true),
            Some("int" | "float" | "bool" | "null" | "map" | "seq") => Ok(false),
            _ => {
                let message = format!("the tag `{}` is not known", tag.original());
                Err(Box::new(Diagnostic::at(Code::Document, span, message)))
            }
        }
    }

    fn enter(&mut self, anchor: usize, span: Span, value: Value) -> Result<(), Refusal> {
        if self.open.len() >= DEPTH_MAX {
            return Err(too_deep(&span));
        }
        self.open.push(Open {
            anchor,
            start: span.start,
            value,
            key: None,
            keys: HashMap::new(),
            merges: Vec::new(),
            depth: 0,
        });
        Ok(())
    }

    fn leave(&mut self, span: Span) -> Result<(), Refusal> {
        let Some(mut done) = self.open.pop() else {
            return Ok(());
        };
        for merge in std::mem::take(&mut done.merges) {
            self.nodes += done.merge(merge);
        }
        let node = Node {
            span: self.trimmed(done.start..span.end.max(done.start)),
            value: done.value,
        };
        let depth = done.depth + 1;
        if done.anchor > 0 {
            let nodes = count(&node);
            self.anchors
                .insert(done.anchor, (node.clone(), Weight { nodes, depth }));
        }
        self.take(node, 0, Weight { nodes: 1, depth })
    }

    /// A finished node goes to its parent.
    fn take(&mut self, node: Node, anchor: usize, weight: Weight) -> Result<(), Refusal> {
        self.nodes += weight.nodes;
        if self.nodes > NODES_MAX {
            let message = format!("the document has more than {NODES_MAX} nodes, aliases expanded");
            return Err(Box::new(Diagnostic::at(
                Code::TooLarge,
                &node.span,
                message,
            )));
        }
        if self.open.len() + weight.depth > DEPTH_MAX {
            return Err(too_deep(&node.span));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        parent.depth = parent.depth.max(weight.depth);
        if let Value::Sequence(items) = &mut parent.value {
            items.push(node);
            return Ok(());
        }
        match parent.key.take() {
            None => parent.key = Some(key_of(node)?),
            Some((key, span)) if key == "<<" => parent.merges.extend(merge_list(node, &span)?),
            Some((key, key_span)) => {
                if let Some(twice) = parent.add(Entry {
                    key,
                    key_span,
                    value: node,
                }) {
                    self.findings.push(twice);
                }
            }
        }
        Ok(())
    }

    /// The span less the blanks and line breaks that the parser counts in at its end.
    fn trimmed(&self, span: Span) -> Span {
        let covered = self.text.get(span.clone()).unwrap_or_default();
        span.start..span.start + covered.trim_end().len()
    }
}

/// What stands between the quotes: a problem is one of the text, and so is its remedy.
fn unquoted(span: Span) -> Span {
    if span.len() >= 2 {
        span.start + 1..span.end - 1
    } else {
        span
    }
}

fn too_deep(span: &Span) -> Refusal {
    let message = format!("the document is more than {DEPTH_MAX} levels deep");
    Box::new(Diagnostic::at(Code::TooLarge, span, message))
}

fn key_of(node: Node) -> Result<(String, Span), Refusal> {
    match node.value {
        Value::Scalar(scalar) => Ok((scalar.text, node.span)),
        Value::Sequence(_) | Value::Mapping(_) => {
            let message = "a key has to be a plain text";
            Err(Box::new(Diagnostic::at(
                Code::Document,
                &node.span,
                message,
            )))
        }
    }
}

/// `<<: *a` or `<<: [*a, *b]`; earlier ones win.
fn merge_list(node: Node, key_span: &Span) -> Result<Vec<Node>, Refusal> {
    let nodes = match node.value {
        Value::Mapping(_) => vec![node],
        Value::Sequence(items) => items,
        Value::Scalar(_) => Vec::new(),
    };
    let maps = |node: &Node| matches!(node.value, Value::Mapping(_));
    if nodes.is_empty() || !nodes.iter().all(maps) {
        let message = "`<<` takes a map or a list of maps";
        return Err(Box::new(Diagnostic::at(Code::Alias, key_span, message)));
    }
    Ok(nodes)
}

/// Nodes of a tree.
fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::Scalar(_) => 0,
        Value::Sequence(items) => items.iter().map(count).sum(),
        Value::Mapping(entries) => entries.iter().map(|entry| count(&entry.value)).sum(),
    }
}
