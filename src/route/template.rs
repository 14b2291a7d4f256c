//! Path templates and prefixes, read from a configuration.
//!
//! Their literal text is spelt like the path of a normalised request, so that `/straße`,
//! `/stra%c3%9fe` and `/stra%C3%9Fe` are one template.

use super::captures::CAPTURES_MAX;
use crate::message::target::{PathRules, normalize_path};
use std::fmt::Write;
use std::str::FromStr;

/// Most segments of a template or prefix. Also bounds how deep a lookup goes.
const SEGMENTS_MAX: usize = 64;

/// `/api/v1/orders/{order_id}`: a whole path, where a capture is one segment that is not empty,
/// and `{rest...}` as the last segment takes what is left, if only nothing after its slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    text: Box<str>,
    segments: Box<[Segment]>,
    names: Box<[Box<str>]>,
    open: bool,
}

/// `/static`: that path and everything below it, by whole segments. A slash at its end says
/// nothing: `/static/` is the same prefix, and `/` takes every path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPrefix {
    text: Box<str>,
    template: Box<str>,
    segments: Box<[Segment]>,
}

/// One segment of a path rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    /// This text.
    Literal(Box<str>),
    /// Any text but none.
    Capture,
}

/// Why a text is no template or prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It does not start with `/`.
    #[error("a path starts with `/`")]
    NoSlash,
    /// `//`
    #[error("a path has no empty segment (`//`)")]
    EmptySegment,
    /// `.` or `..`
    #[error("a path has no `.` or `..` segment")]
    DotSegment,
    /// `?` or `#`
    #[error("a path has no `{0}`; conditions on the query stand under `query`")]
    Query(char),
    /// A broken or dangerous escape, a backslash, or a control character.
    #[error("`{0}` can stand in no request's path: {1}")]
    Unmatchable(Box<str>, &'static str),
    /// A capture that is only a part of its segment.
    #[error("`{0}`: a capture is a whole segment; a regular expression can take parts")]
    PartialCapture(Box<str>),
    /// A name of something else than letters, digits, `_` and `-`.
    #[error("`{{{0}}}`: a capture's name is made of letters, digits, `_` and `-`")]
    CaptureName(Box<str>),
    /// One name for two captures.
    #[error("`{{{0}}}` stands twice")]
    RepeatedName(Box<str>),
    /// `{rest...}` before the end.
    #[error("`{{{0}...}}` can only be the last segment")]
    RestNotLast(Box<str>),
    /// `*`
    #[error(
        "`*` is no wildcard here; `{{name}}` takes one segment, `{{rest...}}` all that is left"
    )]
    Star,
    /// A capture in a prefix.
    #[error("a prefix has no captures; a template that ends in `{{rest...}}` has")]
    CaptureInPrefix,
    /// `/static/*`
    #[error("a prefix takes everything below it; leave the `*` out")]
    StarInPrefix,
    /// Too many captures.
    #[error("a path has at most {CAPTURES_MAX} captures")]
    TooManyCaptures,
    /// Too many segments.
    #[error("a path has at most {SEGMENTS_MAX} segments")]
    TooManySegments,
}

impl PathTemplate {
    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Names of its captures, from left to right, `rest` without its dots.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    pub(super) const fn captured(&self) -> &[Box<str>] {
        &self.names
    }

    pub(super) const fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether it ends in `{rest...}`, which is not among its segments.
    pub(super) const fn is_open(&self) -> bool {
        self.open
    }
}

impl PathPrefix {
    /// The prefix as it is matched, without a slash at its end; empty if it takes every path.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How it is named in `http.route`: `/static/*`.
    pub fn template(&self) -> &str {
        &self.template
    }

    pub(super) const fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl FromStr for PathTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut segments = Vec::new();
        let mut names: Vec<Box<str>> = Vec::new();
        let mut open = false;
        let mut written = split(text)?.peekable();
        while let Some(segment) = written.next() {
            let last = written.peek().is_none();
            if matches!(segment, "*" | "**") {
                return Err(TemplateError::Star);
            }
            let Some(name) = capture(segment)? else {
                segments.push(literal(segment, last)?);
                continue;
            };
            let name = match name.strip_suffix("...") {
                Some(name) if last => {
                    open = true;
                    name
                }
                Some(name) => return Err(TemplateError::RestNotLast(name.into())),
                None => {
                    segments.push(Segment::Capture);
                    name
                }
            };
            check_name(name, &names)?;
            names.push(name.into());
        }
        if segments.len() > SEGMENTS_MAX {
            return Err(TemplateError::TooManySegments);
        }
        Ok(Self {
            text: text.into(),
            segments: segments.into(),
            names: names.into(),
            open,
        })
    }
}

impl FromStr for PathPrefix {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let written = text.strip_suffix('/').unwrap_or(text);
        let mut segments = Vec::new();
        let mut matched = String::new();
        if !written.is_empty() || text.is_empty() {
            for segment in split(written)? {
                if matches!(segment, "*" | "**") {
                    return Err(TemplateError::StarInPrefix);
                }
                if segment.contains(['{', '}']) {
                    return Err(TemplateError::CaptureInPrefix);
                }
                let segment = literal(segment, false)?;
                if let Segment::Literal(text) = &segment {
                    matched.push('/');
                    matched.push_str(text);
                }
                segments.push(segment);
            }
        }
        if segments.len() > SEGMENTS_MAX {
            return Err(TemplateError::TooManySegments);
        }
        Ok(Self {
            template: format!("{written}/*").into(),
            text: matched.into(),
            segments: segments.into(),
        })
    }
}

fn split(text: &str) -> Result<impl Iterator<Item = &str>, TemplateError> {
    let segments = text.strip_prefix('/').ok_or(TemplateError::NoSlash)?;
    match text
        .chars()
        .find(|&character| matches!(character, '?' | '#'))
    {
        Some(character) => Err(TemplateError::Query(character)),
        None => Ok(segments.split('/')),
    }
}

/// The inside of `{…}`; `None` for a literal segment.
fn capture(segment: &str) -> Result<Option<&str>, TemplateError> {
    if !segment.contains(['{', '}']) {
        return Ok(None);
    }
    let inside = segment
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .filter(|inside| !inside.contains(['{', '}']));
    match inside {
        Some(inside) => Ok(Some(inside)),
        None => Err(TemplateError::PartialCapture(segment.into())),
    }
}

fn check_name(name: &str, before: &[Box<str>]) -> Result<(), TemplateError> {
    let passes = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if name.is_empty() || !name.bytes().all(passes) {
        return Err(TemplateError::CaptureName(name.into()));
    }
    if before.iter().any(|other| **other == *name) {
        return Err(TemplateError::RepeatedName(name.into()));
    }
    if before.len() == CAPTURES_MAX {
        return Err(TemplateError::TooManyCaptures);
    }
    Ok(())
}

/// A literal segment in the spelling of a normalised request.
fn literal(segment: &str, last: bool) -> Result<Segment, TemplateError> {
    if segment.is_empty() && !last {
        return Err(TemplateError::EmptySegment);
    }
    // Escapes of `/` and `\` may be allowed on a listener, so a rule may hold them.
    let rules = PathRules {
        allow_encoded_slash: true,
        allow_empty_segment: false,
    };
    let path =
        normalize_path(&escaped(segment), rules).map(|path| path.strip_prefix('/').map(Box::from));
    match path {
        Ok(path) => Ok(Segment::Literal(path.unwrap_or_default())),
        Err(crate::message::refusal::Refusal::DotSegment) => Err(TemplateError::DotSegment),
        Err(refusal) => Err(TemplateError::Unmatchable(segment.into(), refusal.id())),
    }
}

/// A path of one segment, with characters that a client would escape escaped.
fn escaped(segment: &str) -> String {
    let mut path = String::with_capacity(segment.len() + 1);
    path.push('/');
    for character in segment.chars() {
        if character.is_ascii() && character != ' ' {
            path.push(character);
            continue;
        }
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            // Writing to a string cannot fail.
            write!(path, "%{byte:02X}").unwrap_or_default();
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[&str], TemplateError>) {
        let found: Result<PathTemplate, _> = text.parse();

        let found = found.as_ref().map(|template| {
            let mut shown: Vec<&str> = template
                .segments
                .iter()
                .map(|segment| match segment {
                    Segment::Literal(text) => text,
                    Segment::Capture => "{}",
                })
                .collect();
            shown.extend(template.open.then_some("{...}"));
            shown
        });
        assert_eq!(
            found,
            expected.as_ref().map(|shown| shown.to_vec()),
            "{text}"
        );
    }

    #[test]
    fn a_template_is_literal_text_and_captures() {
        check("/", Ok(&[""]));
        check("/a", Ok(&["a"]));
        check("/a/", Ok(&["a", ""]));
        check("/a/{b}/c", Ok(&["a", "{}", "c"]));
        check("/{rest...}", Ok(&["{...}"]));
        check("/a/{b}/{rest...}", Ok(&["a", "{}", "{...}"]));
        check("/a:b;c", Ok(&["a:b;c"]));
    }

    #[test]
    fn literal_text_is_spelt_like_a_normalised_path() {
        check("/straße", Ok(&["stra%C3%9Fe"]));
        check("/stra%c3%9fe", Ok(&["stra%C3%9Fe"]));
        check("/%61 b", Ok(&["a%20b"]));
        check("/a%2fb", Ok(&["a%2Fb"]));
    }

    #[test]
    fn what_no_request_can_match_is_refused_by_reason() {
        check("", Err(TemplateError::NoSlash));
        check("a", Err(TemplateError::NoSlash));
        check("//a", Err(TemplateError::EmptySegment));
        check("/a/../b", Err(TemplateError::DotSegment));
        check("/%2e", Err(TemplateError::DotSegment));
        check("/a?b", Err(TemplateError::Query('?')));
        check("/a#b", Err(TemplateError::Query('#')));
        check("/a/{b}c", Err(TemplateError::PartialCapture("{b}c".into())));
        check("/{a", Err(TemplateError::PartialCapture("{a".into())));
        check("/a}", Err(TemplateError::PartialCapture("a}".into())));
        check("/{{a}}", Err(TemplateError::PartialCapture("{{a}}".into())));
        check("/{}", Err(TemplateError::CaptureName("".into())));
        check("/{...}", Err(TemplateError::CaptureName("".into())));
        check("/{a b}", Err(TemplateError::CaptureName("a b".into())));
        check("/{a}/{a}", Err(TemplateError::RepeatedName("a".into())));
        check("/{a...}/b", Err(TemplateError::RestNotLast("a".into())));
        check("/{a...}/", Err(TemplateError::RestNotLast("a".into())));
        check("/a/*", Err(TemplateError::Star));
        check(
            "/%zz",
            Err(TemplateError::Unmatchable("%zz".into(), "percent_escape")),
        );
        check(
            "/a\\b",
            Err(TemplateError::Unmatchable(
                "a\\b".into(),
                "target_character",
            )),
        );
        check(&"/a".repeat(65), Err(TemplateError::TooManySegments));
        let captures: String = (0..17).map(|n| format!("/{{c{n}}}")).collect();
        check(&captures, Err(TemplateError::TooManyCaptures));
    }

    #[test]
    fn a_prefix_ends_with_a_whole_segment() {
        let prefix = |text: &str| {
            let prefix: PathPrefix = text.parse()?;
            Ok::<_, TemplateError>((prefix.text.into_string(), prefix.template.into_string()))
        };
        let pair = |text: &str, template: &str| Ok((text.to_owned(), template.to_owned()));

        assert_eq!(prefix("/static"), pair("/static", "/static/*"));
        assert_eq!(prefix("/static/"), pair("/static", "/static/*"));
        assert_eq!(prefix("/"), pair("", "/*"));
        assert_eq!(prefix("/ü/b"), pair("/%C3%BC/b", "/ü/b/*"));
        assert_eq!(prefix(""), Err(TemplateError::NoSlash));
        assert_eq!(prefix("static"), Err(TemplateError::NoSlash));
        assert_eq!(prefix("/static//"), Err(TemplateError::EmptySegment));
        assert_eq!(prefix("/static/*"), Err(TemplateError::StarInPrefix));
        assert_eq!(prefix("/{a}"), Err(TemplateError::CaptureInPrefix));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(/|\\{|\\}|\\.|%|\\PC){0,24}") {
            let template = text.parse::<PathTemplate>();
            let prefix = text.parse::<PathPrefix>();

            prop_assert!(template.is_ok() || template.is_err());
            prop_assert!(prefix.is_ok() || prefix.is_err());
        }
    }
}
