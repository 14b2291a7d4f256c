//! What a step of a probe takes from its answer, and what has to hold.

use super::Compiler;
use super::probe::Names;
use super::probe_request::json;
use crate::config::decode::{Entries, Spanned};
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::raw;
use crate::config::scalar::{self, Misread, Purpose};
use crate::probe::{
    Assertion, Capture, Matcher, Place, Side, SpanPattern, StatusRange, Taken, Test, What,
};
use crate::view::{Kind, Status};
use regex::{Regex, RegexBuilder};

/// Most memory of a compiled expression.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// What has to hold of the answer.
pub(super) fn answer(
    written: &raw::Expect,
    step: Place,
    names: &Names,
    compiler: &mut Compiler<'_>,
) -> Vec<Assertion> {
    let mut assertions = vec![status(&written.status.0, step, compiler)];
    let mut push = |what: Option<What>, place: Place| {
        assertions.extend(what.map(|what| Assertion { what, place }));
    };
    for (name, wanted) in written.headers.iter() {
        let place = compiler.place(&name.span);
        let read = scalar::header_name(&name.value, Purpose::Read);
        let read = compiler.value(&name.span, Code::Header, read);
        let wanted = matcher(wanted, names, compiler);
        push(read.map(|name| What::Header(name, wanted)), place);
    }
    for (at, wanted) in written.json.iter() {
        let place = compiler.place(&at.span);
        let read = compiler.value(&at.span, Code::ProbeText, pointer(&at.value));
        let wanted = matcher(wanted, names, compiler);
        push(read.map(|at| What::Json(at, wanted)), place);
    }
    if let Some(body) = &written.body {
        let place = compiler.place(&body.span);
        push(Some(What::Body(matcher(body, names, compiler))), place);
    }
    if let Some(time) = &written.time {
        let place = compiler.place(&time.span);
        let text = time.value.0.trim_start_matches('<').trim_start();
        let most = compiler.duration(&time.span, text);
        push(most.map(What::Time), place);
    }
    assertions
}

fn status(
    written: &[Spanned<raw::StatusText>],
    step: Place,
    compiler: &mut Compiler<'_>,
) -> Assertion {
    let Some(first) = written.first() else {
        let ranges = [1, 2, 3].map(StatusRange::Class);
        return Assertion {
            what: What::Status(ranges.to_vec()),
            place: step,
        };
    };
    let mut ranges = Vec::with_capacity(written.len());
    for text in written {
        let read = status_range(&text.value.0);
        ranges.extend(compiler.value(&text.span, Code::Status, read));
    }
    Assertion {
        what: What::Status(ranges),
        place: compiler.place(&first.span),
    }
}

fn status_range(text: &str) -> Result<StatusRange, Misread> {
    let misread = || Misread::new("this is not a status").label("such as 200 or 2xx");
    if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
        let class: u16 = class.parse().map_err(|_| misread())?;
        return if (1..=5).contains(&class) {
            Ok(StatusRange::Class(class))
        } else {
            Err(misread())
        };
    }
    let status: u16 = text.parse().map_err(|_| misread())?;
    if (100..=599).contains(&status) {
        Ok(StatusRange::Exactly(status))
    } else {
        Err(misread())
    }
}

/// RFC 6901 section 3: nothing, or parts that each begin with `/`.
fn pointer(text: &str) -> Result<String, Misread> {
    if text.is_empty() || text.starts_with('/') {
        return Ok(text.to_owned());
    }
    let misread = Misread::new("this is not a JSON pointer").label("it starts with `/`");
    Err(misread.write(format!(
        "/{}",
        text.trim_start_matches("$.").replace('.', "/")
    )))
}

fn regex(written: &Spanned<String>, compiler: &mut Compiler<'_>) -> Option<Regex> {
    let built = RegexBuilder::new(&written.value)
        .size_limit(REGEX_BYTES_MAX)
        .build();
    let read = built.map_err(|error| {
        let told = error.to_string();
        let last = told.lines().next_back().unwrap_or_default();
        let last = last.trim_start_matches("error: ").to_owned();
        Misread::new("this is not a regular expression").label(last)
    });
    compiler.value(&written.span, Code::Regex, read)
}

/// A value, or all of the conditions on it.
fn matcher(
    written: &Spanned<raw::MatchText>,
    names: &Names,
    compiler: &mut Compiler<'_>,
) -> Matcher {
    let fields = match &written.value {
        raw::MatchText::Exactly(value) => {
            let value = Spanned {
                span: written.span.clone(),
                value: value.clone(),
            };
            return Matcher(vec![Test::Equals(json(&value, names, compiler))]);
        }
        raw::MatchText::Fields(fields) => fields,
    };
    let mut tests = Vec::new();
    if let Some(equals) = &fields.equals {
        tests.push(Test::Equals(json(equals, names, compiler)));
    }
    if let Some(matches) = &fields.matches {
        tests.extend(regex(matches, compiler).map(Test::Matches));
    }
    if let Some(contains) = &fields.contains {
        let template = compiler.template(&contains.span, &contains.value, names);
        tests.extend(template.map(Test::Contains));
    }
    let exists = fields.exists.as_ref().map(|exists| exists.value);
    let absent = fields.absent.as_ref().map(|absent| !absent.value);
    tests.extend(exists.or(absent).map(Test::Exists));
    let numbers = [
        (Side::GreaterThan, &fields.greater_than),
        (Side::LessThan, &fields.less_than),
        (Side::AtLeast, &fields.at_least),
        (Side::AtMost, &fields.at_most),
    ];
    for (side, number) in numbers {
        let number = number.as_ref();
        tests.extend(number.map(|number| Test::Number(side, number.value)));
    }
    if tests.is_empty() {
        let diagnostic = Diagnostic::at(Code::Empty, &written.span, "there is no condition");
        compiler.tell(diagnostic.help(
            "conditions: equals, matches, contains, exists, absent, greater_than, less_than, \
             at_least, at_most",
        ));
    }
    let exists_not = exists.or(absent) == Some(false);
    if exists_not && tests.len() > 1 {
        let message = "what is not there fulfils no other condition";
        compiler.tell(Diagnostic::at(Code::Unfit, &written.span, message));
    }
    Matcher(tests)
}

/// What is taken from the answer.
pub(super) fn captures(
    written: &Entries<Spanned<raw::StepCapture>>,
    names: &mut Names,
    compiler: &mut Compiler<'_>,
) -> Vec<Capture> {
    let mut captures = Vec::with_capacity(written.0.len());
    for (name, capture) in written.iter() {
        let from = taken(&capture.value, &capture.span, compiler);
        names.define(name, compiler);
        captures.extend(from.map(|from| Capture {
            name: name.value.clone(),
            is_secret: capture.value.secret || matches!(from, Taken::Cookie(_)),
            from,
            place: compiler.place(&name.span),
        }));
    }
    captures
}

fn taken(written: &raw::StepCapture, place: &Span, compiler: &mut Compiler<'_>) -> Option<Taken> {
    let keys = [
        ("header", written.header.is_some()),
        ("json", written.json.is_some()),
        ("regex", written.regex.is_some()),
        ("cookie", written.cookie.is_some()),
    ];
    compiler.exactly_one(place, &keys);
    if let (Some(group), None) = (&written.group, &written.regex) {
        let diagnostic = Diagnostic::at(Code::Unfit, &group.span, "`group` has no effect here");
        compiler.tell(diagnostic.label("only with `regex`"));
    }
    if let Some(header) = &written.header {
        let read = scalar::header_name(&header.value, Purpose::Read);
        return compiler
            .value(&header.span, Code::Header, read)
            .map(Taken::Header);
    }
    if let Some(json) = &written.json {
        return compiler
            .value(&json.span, Code::ProbeText, pointer(&json.value))
            .map(Taken::Json);
    }
    if let Some(text) = &written.regex {
        let compiled = regex(text, compiler)?;
        let groups = compiled.captures_len();
        let wanted = written.group.as_ref().map(|group| group.value);
        let group = wanted.unwrap_or(usize::from(groups > 1));
        if group >= groups {
            let message = format!("the expression has no group {group}");
            let span = written
                .group
                .as_ref()
                .map_or(&text.span, |group| &group.span);
            compiler.tell(Diagnostic::at(Code::OutOfRange, span, message));
        }
        return Some(Taken::Regex(compiled, group));
    }
    written
        .cookie
        .as_ref()
        .map(|cookie| Taken::Cookie(cookie.value.clone()))
}

/// Spans that have to be there.
pub(super) fn spans(
    written: &[Spanned<raw::ExpectSpan>],
    names: &Names,
    compiler: &mut Compiler<'_>,
) -> Vec<SpanPattern> {
    let mut patterns = Vec::with_capacity(written.len());
    for pattern in written {
        let raw = &pattern.value;
        let mut one = |wanted: &Option<Spanned<raw::MatchText>>| {
            let wanted = wanted.as_ref();
            wanted.map(|wanted| matcher(wanted, names, compiler))
        };
        let (service, peer, name) = (one(&raw.service), one(&raw.peer), one(&raw.name));
        let attributes = raw.attributes.iter();
        let attributes = attributes
            .map(|(key, wanted)| (key.value.clone(), matcher(wanted, names, compiler)))
            .collect();
        let (at_least, at_most) = count(raw.count.as_ref(), compiler);
        patterns.push(SpanPattern {
            service,
            peer,
            name,
            kind: raw.kind.map(kind),
            status: raw.status.map(span_status),
            attributes,
            at_least,
            at_most,
            place: compiler.place(&pattern.span),
        });
    }
    patterns
}

fn count(
    written: Option<&Spanned<raw::CountText>>,
    compiler: &mut Compiler<'_>,
) -> (usize, Option<usize>) {
    let Some(written) = written else {
        return (1, None);
    };
    let (least, most) = match &written.value {
        raw::CountText::Exactly(text) => {
            // Its shape has been looked at.
            let exactly = text.parse().unwrap_or(1);
            (exactly, Some(exactly))
        }
        raw::CountText::Fields(fields) => {
            let least = fields.at_least.as_ref().map(|least| least.value);
            let most = fields.at_most.as_ref().map(|most| most.value);
            (least.unwrap_or(usize::from(most.is_none())), most)
        }
    };
    if most.is_some_and(|most| most < least) {
        let message = "no count is within these bounds";
        compiler.tell(Diagnostic::at(Code::OutOfRange, &written.span, message));
    }
    (least, most)
}

const fn kind(word: raw::SpanKindWord) -> Kind {
    match word {
        raw::SpanKindWord::Internal => Kind::Internal,
        raw::SpanKindWord::Server => Kind::Server,
        raw::SpanKindWord::Client => Kind::Client,
        raw::SpanKindWord::Producer => Kind::Producer,
        raw::SpanKindWord::Consumer => Kind::Consumer,
    }
}

const fn span_status(word: raw::SpanStatusWord) -> Status {
    match word {
        raw::SpanStatusWord::Unset => Status::Unset,
        raw::SpanStatusWord::Ok => Status::Ok,
        raw::SpanStatusWord::Error => Status::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_status_is_one_or_a_hundred() {
        assert_eq!(status_range("200"), Ok(StatusRange::Exactly(200)));
        assert_eq!(status_range("2xx"), Ok(StatusRange::Class(2)));
        for text in ["99", "600", "0xx", "6xx", "xx", "ok", "2x"] {
            assert!(status_range(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_of_another_language_is_shown_as_a_pointer() {
        assert_eq!(
            pointer("$.order.id").unwrap_err().replacement.unwrap(),
            "/order/id"
        );
        assert_eq!(pointer(""), Ok(String::new()));
    }

    proptest! {
        #[test]
        fn no_status_makes_it_panic(text in any::<String>()) {
            prop_assert!(status_range(&text).is_err() || text.len() == 3);
        }
    }
}
