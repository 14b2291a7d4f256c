//! What a decision says on spans, beside its name: on the span of each request that gets it, also
//! of those that it was remembered for.

use crate::trace::span::OpenSpan;

/// Attributes of a decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Notes(Vec<(Box<str>, Note)>);

/// The value of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Note {
    Text(Box<str>),
    Truth(bool),
    Whole(i64),
    Number(f64),
    Texts(Vec<Box<str>>),
}

impl Notes {
    pub(super) fn add(&mut self, key: &str, note: Note) {
        self.0.push((key.into(), note));
    }

    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.add(key, Note::Text(text.into()));
    }

    /// Writes them down.
    pub(super) fn write(&self, span: &mut OpenSpan) {
        for (key, note) in &self.0 {
            match note {
                Note::Text(text) => span.str(key, text),
                Note::Truth(value) => span.bool(key, *value),
                Note::Whole(number) => span.int(key, *number),
                Note::Number(number) => span.double(key, *number),
                Note::Texts(texts) => {
                    let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
                    span.str_array(key, &texts);
                }
            }
        }
    }

    /// About how many bytes they take.
    pub(super) fn bytes(&self) -> usize {
        let note = |note: &Note| match note {
            Note::Text(text) => text.len(),
            Note::Truth(_) | Note::Whole(_) | Note::Number(_) => 8,
            Note::Texts(texts) => texts.iter().map(|text| text.len() + 16).sum(),
        };
        self.0.iter().map(|(key, one)| key.len() + note(one)).sum()
    }
}
