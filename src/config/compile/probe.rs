//! Probes: from what is written to steps that can be run.

use super::{Compiler, probe_answer, probe_request};
use crate::backend::Address;
use crate::config::decode::{Entries, Spanned};
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::raw;
use crate::config::scalar::Misread;
use crate::config::suggest::nearest;
use crate::probe::{
    Generated, Place, Plan, RANDOM_LENGTH, RANDOM_LENGTH_MAX, Retry, SPANS_WITHIN, STEPS_MAX,
    Source, Step, Template, Traces, is_name,
};
use crate::secret::Secret;
use std::time::Duration;
use url::Url;

/// Longest name of a probe or a step.
const NAME_CHARS_MAX: usize = 100;

/// What holes may be filled with, as far as the file has been read.
#[derive(Default)]
pub(super) struct Names {
    known: Vec<(String, Span)>,
    /// What later steps capture.
    later: Vec<(String, Span)>,
    /// Secrets that stand in requests.
    pub(super) secrets: Vec<Secret>,
}

/// Compiles a probe. `has_base`: the command line gives one. None if it cannot be used, which was
/// told.
pub(in crate::config) fn compile(
    written: &raw::Probe,
    place: &Span,
    has_base: bool,
    compiler: &mut Compiler<'_>,
) -> Option<Plan> {
    let mut names = Names::default();
    for step in &written.steps {
        let captures = step.value.capture.iter();
        names
            .later
            .extend(captures.map(|(name, _)| (name.value.clone(), name.span.clone())));
    }
    let name = name(written.name.as_ref(), compiler);
    let variables = variables(&written.variables, &mut names, compiler);
    let base = base(written.base.as_ref(), &names, compiler);
    let spans_from = written.spans.from.as_ref().and_then(|from| {
        let read = from.value.parse::<Address>();
        let read = read
            .map_err(|error| Misread::new("this is no backend of traces").label(error.to_string()));
        compiler.value(&from.span, Code::Url, read)
    });
    let within = compiler.duration_or(written.spans.within.as_ref(), SPANS_WITHIN);
    if written.steps.len() > STEPS_MAX {
        let message = format!("a probe has at most {STEPS_MAX} steps");
        compiler.tell(Diagnostic::at(Code::OutOfRange, place, message));
    }
    let has_base = has_base || written.base.is_some();
    let steps = steps(&written.steps, has_base, &mut names, compiler);
    Some(Plan {
        name: name?,
        base,
        variables,
        secrets: names.secrets,
        traces: match written.trace.unwrap_or_default() {
            raw::TraceWord::Step => Traces::Step,
            raw::TraceWord::Run => Traces::Run,
        },
        spans_from,
        spans_within: within,
        steps,
    })
}

fn name(written: Option<&Spanned<String>>, compiler: &mut Compiler<'_>) -> Option<String> {
    let written = written?;
    let known = |one: char| one.is_ascii_alphanumeric() || matches!(one, '_' | '-' | '.');
    let fits = !written.value.is_empty() && written.value.chars().all(known);
    let read = if fits && written.value.len() <= NAME_CHARS_MAX {
        Ok(written.value.clone())
    } else {
        let misread = Misread::new("this cannot be a probe's name");
        Err(misread.label("letters, digits, `_`, `-` and `.`, at most 100"))
    };
    compiler.value(&written.span, Code::ProbeText, read)
}

fn base(
    written: Option<&Spanned<String>>,
    names: &Names,
    compiler: &mut Compiler<'_>,
) -> Option<Template> {
    let written = written?;
    let template = compiler.template(&written.span, &written.value, names)?;
    if !template.has_holes() {
        let read = url(&written.value);
        compiler.value(&written.span, Code::Url, read)?;
    }
    Some(template)
}

/// An address that paths can be below.
fn url(text: &str) -> Result<Url, Misread> {
    let no_url = || Misread::new("this is no address that paths can be below");
    let example = "such as http://127.0.0.1:8080";
    let url: Url = text.parse().map_err(|_| no_url().label(example))?;
    crate::client::Target::of(&url).map_err(|error| no_url().label(error.to_string()))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(no_url().label("it has neither a query nor a fragment"));
    }
    Ok(url)
}

fn variables(
    written: &Entries<Spanned<raw::Variable>>,
    names: &mut Names,
    compiler: &mut Compiler<'_>,
) -> Vec<(String, Source)> {
    let mut variables = Vec::with_capacity(written.0.len());
    for (name, variable) in written.iter() {
        let source = match &variable.value {
            raw::Variable::Text(text) => {
                let template = compiler.template(&variable.span, text, names);
                template.map(Source::Text)
            }
            raw::Variable::Elsewhere(source) => elsewhere(&variable.span, source, compiler),
        };
        names.define(name, compiler);
        variables.extend(source.map(|source| (name.value.clone(), source)));
    }
    variables
}

fn elsewhere(
    place: &Span,
    written: &raw::VariableSource,
    compiler: &mut Compiler<'_>,
) -> Option<Source> {
    let keys = [
        ("file", written.file.is_some()),
        ("env", written.env.is_some()),
        ("generate", written.generate.is_some()),
    ];
    let is_random = |one: &Spanned<raw::Generate>| one.value == raw::Generate::Random;
    if let Some(length) = &written.length
        && !written.generate.as_ref().is_some_and(is_random)
    {
        let diagnostic = Diagnostic::at(Code::Unfit, &length.span, "`length` has no effect here");
        compiler.tell(diagnostic.label("only with `generate: random`"));
    }
    let Some(generate) = &written.generate else {
        if written.file.is_none() && written.env.is_none() {
            compiler.exactly_one(place, &keys);
            return None;
        }
        let source = raw::SecretSource {
            file: written.file.clone(),
            env: written.env.clone(),
        };
        let secret = compiler.secret(place, &raw::SecretText::Elsewhere(source))?;
        return Some(Source::Secret(secret));
    };
    compiler.exactly_one(place, &keys);
    let length = written.length.as_ref();
    let length = length.map_or(RANDOM_LENGTH, |length| length.value.min(RANDOM_LENGTH_MAX));
    Some(Source::Generated(match generate.value {
        raw::Generate::Uuid => Generated::Uuid,
        raw::Generate::Random => Generated::Random(length),
        raw::Generate::Now => Generated::Now,
        raw::Generate::Unix => Generated::Unix,
    }))
}

fn steps(
    written: &[Spanned<raw::Step>],
    has_base: bool,
    names: &mut Names,
    compiler: &mut Compiler<'_>,
) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::with_capacity(written.len());
    let mut named: Vec<(&str, &Span)> = Vec::new();
    for step in written {
        let place = compiler.place(&step.span);
        let raw = &step.value;
        if let Some(name) = &raw.name {
            if let Some((_, first)) = named.iter().find(|(other, _)| *other == name.value) {
                let message = format!("two steps are called `{}`", name.value);
                let diagnostic = Diagnostic::at(Code::DuplicateName, &name.span, message);
                compiler.tell(diagnostic.beside(first, "the other one"));
            }
            if name.value.is_empty() || name.value.chars().count() > NAME_CHARS_MAX {
                let diagnostic =
                    Diagnostic::at(Code::ProbeText, &name.span, "this cannot be a step's name");
                compiler.tell(diagnostic.label("1 to 100 characters"));
            }
            named.push((&name.value, &name.span));
        }
        let request = raw.request.as_ref();
        let request =
            request.and_then(|request| probe_request::compile(request, has_base, names, compiler));
        let answer = probe_answer::answer(&raw.expect, place, names, compiler);
        let captures = probe_answer::captures(&raw.capture, names, compiler);
        // Captures come before spans are looked at, so a pattern may name them.
        let spans = probe_answer::spans(&raw.expect.spans, names, compiler);
        let retry = raw
            .retry
            .as_ref()
            .and_then(|retry| retried(retry, compiler));
        let name = raw.name.as_ref().map(|name| name.value.clone());
        if let (Some(request), Some(name)) = (request, name) {
            steps.push(Step {
                name,
                place,
                request,
                captures,
                expect: crate::probe::Expect { answer, spans },
                retry,
                always: raw.always,
            });
        }
    }
    steps
}

fn retried(written: &Spanned<raw::StepRetry>, compiler: &mut Compiler<'_>) -> Option<Retry> {
    let mut read = |text: Option<&Spanned<raw::DurationText>>| {
        text.and_then(|text| compiler.duration(&text.span, &text.value.0))
    };
    let every: Option<Duration> = read(written.value.every.as_ref());
    let within = read(written.value.within.as_ref());
    Some(Retry {
        every: every?,
        within: within?,
    })
}

impl Names {
    /// From here on `name` may fill holes.
    pub(super) fn define(&mut self, name: &Spanned<String>, compiler: &mut Compiler<'_>) {
        if !is_name(&name.value) {
            let message = "this cannot be the name of a variable or a capture";
            let diagnostic = Diagnostic::at(Code::ProbeText, &name.span, message);
            compiler.tell(diagnostic.label("letters, digits, `_` and `-`"));
        }
        self.known.push((name.value.clone(), name.span.clone()));
        if let Some(at) = self.later.iter().position(|(_, span)| *span == name.span) {
            self.later.remove(at);
        }
    }
}

impl Compiler<'_> {
    /// Reads a text with holes; each has to be filled by something that is known by then.
    pub(super) fn template(&mut self, span: &Span, text: &str, names: &Names) -> Option<Template> {
        let read = Template::parse(text).map_err(|error| Misread::told_by(&error));
        let template = self.value(span, Code::ProbeText, read)?;
        for hole in template.names() {
            if names.known.iter().any(|(name, _)| name == hole) {
                continue;
            }
            let place = self.within(span, text, hole);
            let message = format!("nothing is called `{hole}` here");
            let mut diagnostic = Diagnostic::at(Code::UnknownName, &place, message);
            let later = names.later.iter().find(|(name, _)| name == hole);
            let candidates = names.known.iter().map(|(name, _)| name.as_str());
            diagnostic = match (later, nearest(hole, candidates)) {
                (Some((_, captured)), _) => diagnostic.beside(captured, "captured only here"),
                (None, Some(meant)) if place != *span => diagnostic.suggest(meant),
                (None, Some(meant)) => diagnostic.label(format!("did you mean `{meant}`?")),
                (None, None) => {
                    diagnostic.help("name it under `variables`, or capture it in a step before")
                }
            };
            self.tell(diagnostic);
        }
        Some(template)
    }

    /// Where `part` stands within a text, if the text stands there as it is read.
    fn within(&self, span: &Span, text: &str, part: &str) -> Span {
        let written = self.document.get(span.clone());
        let at = written.filter(|written| *written == text);
        let at = at.and_then(|written| {
            let hole = written.find(&format!("{{{{{part}}}}}"))? + 2;
            Some(span.start + hole)
        });
        at.map_or_else(|| span.clone(), |at| at..at + part.len())
    }

    /// Line and column of a place.
    pub(super) fn place(&self, span: &Span) -> Place {
        let before = self.document.get(..span.start).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        Place {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        }
    }
}
