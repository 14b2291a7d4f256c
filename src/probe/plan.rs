//! A probe as it was compiled: nothing in it can be wrong any more.

use super::matcher::Matcher;
use super::template::{JsonTemplate, Template};
use super::values::Generated;
use crate::backend::Address;
use crate::client::Speak;
use crate::secret::Secret;
use crate::view::{Kind, Status};
use http::{HeaderName, Method};
use regex::Regex;
use std::time::Duration;

/// Longest of one request, unless the step says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// How long spans are waited for, unless the file says otherwise.
pub const SPANS_WITHIN: Duration = Duration::from_secs(10);
/// Most steps of a probe.
pub const STEPS_MAX: usize = 100;
/// Most redirects that a step follows.
pub const FOLLOW_MAX: u8 = 10;

/// A key flow: steps, one after the other.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it is called.
    pub name: String,
    /// What the paths of requests are below; may have holes.
    pub base: Option<Template>,
    /// Names and their values, in their order: a value may name those before it.
    pub variables: Vec<(String, Source)>,
    /// Secrets that stand in the file's requests, masked wherever they show up.
    pub secrets: Vec<Secret>,
    /// How many traces a run makes.
    pub traces: Traces,
    /// Where spans are asked for.
    pub spans_from: Option<Address>,
    /// How long spans are waited for.
    pub spans_within: Duration,
    /// The steps.
    pub steps: Vec<Step>,
}

/// How many traces a run makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Traces {
    /// One for each request.
    #[default]
    Step,
    /// One for all of them.
    Run,
}

/// Where a variable's value is from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A text.
    Text(Template),
    /// A value that nobody may see.
    Secret(Secret),
    /// Made anew for every run.
    Generated(Generated),
}

/// Where something stands in its file, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column in characters.
    pub column: usize,
}

/// One request, what is taken from its answer and what has to hold.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it is called.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// What is sent.
    pub request: Ask,
    /// What is taken from the answer.
    pub captures: Vec<Capture>,
    /// What has to hold.
    pub expect: Expect,
    /// Whether and how long it is tried again.
    pub retry: Option<Retry>,
    /// Whether it runs after a step has failed, too.
    pub always: bool,
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The method.
    pub method: Method,
    /// Where to.
    pub to: Whither,
    /// Header lines, in their order.
    pub headers: Vec<(HeaderName, Template)>,
    /// Added to the address's query.
    pub query: Vec<(String, Template)>,
    /// The body.
    pub payload: Payload,
    /// Which HTTP.
    pub speak: Speak,
    /// Longest of one request.
    pub timeout: Duration,
    /// Redirects that are followed.
    pub follow: u8,
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub enum Whither {
    /// Below the base.
    Path(Template),
    /// Anywhere.
    Url(Template),
}

/// What a body is made of.
#[derive(Clone, Debug)]
pub enum Payload {
    /// There is none.
    Empty,
    /// A text.
    Text(Template),
    /// JSON, with its content type.
    Json(JsonTemplate),
    /// A form, with its content type.
    Form(Vec<(String, Template)>),
}

/// What is taken from an answer under a name.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The name.
    pub name: String,
    /// From where.
    pub from: Taken,
    /// Whether nobody may see it.
    pub is_secret: bool,
    /// Where it stands.
    pub place: Place,
}

/// From where something is taken.
#[derive(Clone, Debug)]
pub enum Taken {
    /// The first line of a header.
    Header(HeaderName),
    /// A member of the body's JSON, by its pointer (RFC 6901).
    Json(String),
    /// A group of the first match in the body.
    Regex(Regex, usize),
    /// A cookie that is there after the answer.
    Cookie(String),
}

/// What has to hold.
#[derive(Clone, Debug, Default)]
pub struct Expect {
    /// Of the answer.
    pub answer: Vec<Assertion>,
    /// Of the trace.
    pub spans: Vec<SpanPattern>,
}

/// One thing that has to hold of an answer.
#[derive(Clone, Debug)]
pub struct Assertion {
    /// What.
    pub what: What,
    /// Where it stands.
    pub place: Place,
}

/// What has to hold of an answer.
#[derive(Clone, Debug)]
pub enum What {
    /// Its status is one of these.
    Status(Vec<StatusRange>),
    /// A header; any of its lines serves.
    Header(HeaderName, Matcher),
    /// A member of the body's JSON, by its pointer (RFC 6901).
    Json(String, Matcher),
    /// The body, as text.
    Body(Matcher),
    /// It took at most this.
    Time(Duration),
}

/// One status, or a hundred of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusRange {
    /// This one.
    Exactly(u16),
    /// Those that begin with this digit.
    Class(u16),
}

/// Spans that have to be in a trace.
#[derive(Clone, Debug)]
pub struct SpanPattern {
    /// `service.name` of the resource.
    pub service: Option<Matcher>,
    /// `service.peer.name`.
    pub peer: Option<Matcher>,
    /// The name.
    pub name: Option<Matcher>,
    /// The kind.
    pub kind: Option<Kind>,
    /// The status.
    pub status: Option<Status>,
    /// Attributes of the span, else of its resource.
    pub attributes: Vec<(String, Matcher)>,
    /// Least that there have to be.
    pub at_least: usize,
    /// Most that there may be.
    pub at_most: Option<usize>,
    /// Where it stands.
    pub place: Place,
}

/// How a step is tried again until it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Between two tries.
    pub every: Duration,
    /// From the first try on.
    pub within: Duration,
}

impl Plan {
    /// Whether anything has to hold of spans.
    pub fn asks_for_spans(&self) -> bool {
        self.steps.iter().any(|step| !step.expect.spans.is_empty())
    }
}

impl StatusRange {
    /// Whether a status is one of it.
    pub const fn has(self, status: u16) -> bool {
        match self {
            Self::Exactly(one) => one == status,
            Self::Class(class) => status / 100 == class,
        }
    }
}

impl std::fmt::Display for StatusRange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(status) => write!(formatter, "{status}"),
            Self::Class(class) => write!(formatter, "{class}xx"),
        }
    }
}
