//! What came of a run. Everything in it may be shown: what is secret has been masked.

use super::plan::Place;
use std::time::Duration;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Of each step, in their order.
    pub steps: Vec<StepOutcome>,
    /// From the first step to the last.
    pub took: Duration,
}

/// What came of a step.
#[derive(Clone, Debug)]
pub struct StepOutcome {
    /// What it is called.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// The method.
    pub method: String,
    /// Where the last request went, without its query; None if none was sent.
    pub url: Option<String>,
    /// How the last request was answered.
    pub status: Option<u16>,
    /// How long the last request took, redirects included.
    pub took: Duration,
    /// How often it was tried.
    pub tries: u32,
    /// The trace of the last request, in hex; None if none was sent.
    pub trace: Option<String>,
    /// How it ended.
    pub end: End,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// All of it held.
    Held,
    /// Something did not.
    Failed(Vec<Failed>),
    /// There was no answer.
    Unanswered {
        /// Why, with its causes.
        why: String,
        /// Whether nobody was there, or nobody in time.
        is_unreachable: bool,
    },
    /// A step before had failed.
    Skipped,
}

/// Something that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What was looked at: `status`, `header location`, `span SERVER`.
    pub what: String,
    /// What was wanted.
    pub expected: String,
    /// What was there.
    pub got: String,
    /// Where it stands.
    pub place: Place,
}

impl Outcome {
    /// Whether every step held.
    pub fn held(&self) -> bool {
        self.steps.iter().all(|step| step.end == End::Held)
    }

    /// Whether nothing was ever answered, because nobody was there.
    pub fn is_unreachable(&self) -> bool {
        let answered = self.steps.iter().any(|step| step.status.is_some());
        let mut steps = self.steps.iter();
        !answered && steps.any(|step| !step.was_reached())
    }

    /// The first step that did not hold.
    pub fn first_failed(&self) -> Option<&StepOutcome> {
        self.steps.iter().find(|step| step.failed())
    }
}

impl End {
    /// Why it did not hold, in one line; empty if it did.
    pub fn first_reason(&self) -> String {
        match self {
            Self::Held | Self::Skipped => String::new(),
            Self::Unanswered { why, .. } => why.clone(),
            Self::Failed(failed) => failed.first().map_or_else(String::new, |first| {
                let Failed {
                    what,
                    expected,
                    got,
                    ..
                } = first;
                format!("{what}: expected {expected}, got {got}")
            }),
        }
    }
}

impl StepOutcome {
    /// Whether somebody took its request, as far as that is known: else nobody can have recorded
    /// it.
    pub const fn was_reached(&self) -> bool {
        !matches!(
            self.end,
            End::Unanswered {
                is_unreachable: true,
                ..
            }
        )
    }

    /// Whether it ran and did not hold.
    pub const fn failed(&self) -> bool {
        matches!(self.end, End::Failed(_) | End::Unanswered { .. })
    }
}
