//! Synthetic requests for key flows, with what they must get and which spans must come of them.
//!
//! A [`Plan`] comes compiled and cannot be wrong; a [`Runner`] sends its steps one after the other
//! over [`crate::client`], each under a trace of its own, and asks a [`SpanSource`] what came of
//! it. Everything in an [`Outcome`] may be shown.

mod answer;
mod jar;
mod matcher;
mod origins;
mod outcome;
mod plan;
mod remote;
mod request;
mod runner;
mod schedule;
mod spans;
mod template;
mod values;

pub use matcher::{Matcher, Side, Test};
pub use outcome::{End, Failed, Outcome, StepOutcome};
pub use plan::{
    Ask, Assertion, Capture, Expect, FOLLOW_MAX, Payload, Place, Plan, Retry, SPANS_WITHIN,
    STEPS_MAX, Source, SpanPattern, StatusRange, Step, TIMEOUT, Taken, Traces, What, Whither,
};
pub use remote::RemoteSpans;
pub use request::AGENT;
pub use runner::{Progress, Runner};
pub use schedule::Schedule;
pub use spans::{SpanSource, Wait};
pub use template::{BadTemplate, JsonTemplate, Template, is_name};
pub use values::{Generated, RANDOM_LENGTH, RANDOM_LENGTH_MAX, Secret, Values};
