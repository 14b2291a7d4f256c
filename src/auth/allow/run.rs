//! An expression meets a request.

use super::Allow;
use super::claims::Converter;
use super::meter::{self, METER, METER_TYPE, Meter, USE};
use super::pattern::{MATCHES, PATTERN, matches};
use super::slot::{self, Slot, Variable};
use crate::auth::{Asked, Identity};
use cel::common::types::{CelBool, CelList, CelString, DYN_TYPE, STRING_TYPE};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, Value};
use http::{HeaderMap, HeaderName, Version};
use serde_json::Value as Json;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, OnceLock};

/// What an expression is asked about.
#[derive(Clone, Copy)]
pub struct Inquiry<'a> {
    /// The request.
    pub asked: &'a Asked<'a>,
    /// What was proved of its client.
    pub identity: Option<&'a Identity>,
    /// The flow of its route.
    pub flow: Option<&'a str>,
}

/// Why a request may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The expression is false.
    NotAllowed,
    /// It could not be evaluated.
    Failed(AllowError),
}

/// Why an expression could not be evaluated: `edgespan.auth.allow.error`. Never tells a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowError {
    /// It needs a member or a claim that is not there.
    Missing,
    /// An operator or a function does not take what it was given.
    TypeMismatch,
    /// What it gives is neither true nor false.
    NotBoolean,
    /// A list or map is longer than 1000, or than 100 where comprehensions nest.
    ListTooLong,
    /// A claim has more than 10,000 values, or is nested more than 32 deep.
    ClaimTooLarge,
    /// A query parameter comes several times, so that it has no one value.
    RepeatedParameter,
    /// A header is not UTF-8.
    NotText,
    /// It would take more work than one request is worth.
    TooCostly,
    /// A division by zero, or a number too large.
    Arithmetic,
    /// A list has no such place.
    IndexOutOfBounds,
    /// A function cannot do what it should, such as `int("x")`.
    Function,
    /// The evaluation broke down.
    Internal,
}

impl AllowError {
    /// As spans have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::TypeMismatch => "type_mismatch",
            Self::NotBoolean => "not_boolean",
            Self::ListTooLong => "list_too_long",
            Self::ClaimTooLarge => "claim_too_large",
            Self::RepeatedParameter => "repeated_parameter",
            Self::NotText => "not_text",
            Self::TooCostly => "too_costly",
            Self::Arithmetic => "arithmetic",
            Self::IndexOutOfBounds => "index_out_of_bounds",
            Self::Function => "function",
            Self::Internal => "internal",
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what is left, and what another version adds, is a value that does not fit"
    )]
    fn of(error: &ExecutionError) -> Self {
        match error {
            // A slot that nothing fills is an undeclared name to the interpreter.
            ExecutionError::NoSuchKey(_) | ExecutionError::UndeclaredReference(_) => Self::Missing,
            ExecutionError::DivisionByZero(_)
            | ExecutionError::RemainderByZero(_)
            | ExecutionError::Overflow(..) => Self::Arithmetic,
            ExecutionError::IndexOutOfBounds(_) => Self::IndexOutOfBounds,
            ExecutionError::FunctionError { .. } => Self::Function,
            ExecutionError::InternalError(_) => Self::Internal,
            _ => Self::TypeMismatch,
        }
    }
}

/// What a call of `lowerAscii` becomes.
pub(super) const LOWER: &str = "@lower";

/// Functions are the same for every expression, and a new set costs microseconds.
static FUNCTIONS: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::default().with_optional_support(false).with_stdlib();
    let text = || STRING_TYPE.to_owned();
    let (meter, pattern) = (|| METER_TYPE.to_owned(), PATTERN.to_owned());
    let searched = vec![meter(), text(), pattern];
    let own = env
        .add_overload(MATCHES, "@matches_text", searched, matches)
        .and_then(|()| {
            let taken = vec![meter(), DYN_TYPE.to_owned()];
            env.add_overload(USE, "@use_any", taken, meter::used)
        })
        .and_then(|()| env.add_overload(LOWER, "@lower_text", vec![meter(), text()], lower));
    debug_assert!(own.is_ok(), "a function of that name is there already");
    Arc::new(env)
});

fn lower<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [meter, text] = arguments.as_slice() else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    let text = text.downcast_ref::<CelString<'_>>();
    let text = text.ok_or_else(ExecutionError::missing_argument_or_target)?;
    meter::pay(meter.downcast_ref(), meter::of_text(text.inner().len()))?;
    let lower = text.inner().to_ascii_lowercase();
    Ok(CowVal::owned(CelString::from(lower)))
}

/// Evaluates it. Whatever goes wrong refuses.
pub(super) fn run(allow: &Allow, inquiry: &Inquiry<'_>) -> Result<(), Refused> {
    let view = View {
        allow,
        inquiry: *inquiry,
        values: allow.slots.iter().map(|_| OnceLock::new()).collect(),
        broken: OnceLock::new(),
        meter: Meter::new(),
    };
    // The interpreter is not ours: where it gives up, the request does not pass.
    let evaluated = catch_unwind(AssertUnwindSafe(|| {
        let mut context = Context::with_env(Arc::clone(&FUNCTIONS));
        context.set_variable_resolver(&view);
        let value = Value::resolve_val(&allow.tree, &context);
        let value = value.map_err(|error| AllowError::of(&error))?;
        let holds = value.downcast_ref::<CelBool>().map(|holds| *holds.inner());
        holds.ok_or(AllowError::NotBoolean)
    }));
    // `||` and its like pass over errors of one side. What must not be passed over is kept here.
    if let Some(broken) = view.broken.get() {
        return Err(Refused::Failed(*broken));
    }
    if view.meter.is_exhausted() {
        return Err(Refused::Failed(AllowError::TooCostly));
    }
    match evaluated {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(Refused::NotAllowed),
        Ok(Err(error)) => Err(Refused::Failed(error)),
        Err(_) => Err(Refused::Failed(AllowError::Internal)),
    }
}

/// A request, as an expression sees it. Each slot is filled when it is first asked for.
struct View<'a> {
    allow: &'a Allow,
    inquiry: Inquiry<'a>,
    values: Vec<OnceLock<Option<Filled<'a>>>>,
    broken: OnceLock<AllowError>,
    meter: Meter,
}

/// What fills a slot, and what it costs to look at it.
struct Filled<'a> {
    value: Box<dyn Val + 'a>,
    cost: i64,
}

impl VariableResolver for View<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        if variable == METER {
            return Some(CowVal::Borrowed(&self.meter));
        }
        let index = slot::index(variable)?;
        let slot = self.allow.slots.get(index)?;
        match slot {
            Slot::Pattern(pattern) => return Some(CowVal::Borrowed(pattern)),
            // What is false is not gone into, and `run` knows why.
            Slot::Round(cost) => return Some(CowVal::owned(CelBool::from(self.meter.take(*cost)))),
            Slot::Value(_) | Slot::Has(_) | Slot::Anonymous(_) => {}
        }
        let filled = self.values.get(index)?.get_or_init(|| self.filled(slot));
        let Filled { value, cost } = filled.as_ref()?;
        let paid = self.meter.take(*cost);
        paid.then_some(CowVal::Borrowed(&**value))
    }
}

impl<'a> View<'a> {
    /// To make a value costs more than to look at it.
    fn filled(&self, slot: &'a Slot) -> Option<Filled<'a>> {
        if self.meter.is_exhausted() {
            return None;
        }
        let value = self.fill(slot)?;
        let cost = meter::of_value(&*value);
        self.meter.take(2 * cost);
        Some(Filled { value, cost })
    }

    fn fill(&self, slot: &'a Slot) -> Option<Box<dyn Val + 'a>> {
        match slot {
            Slot::Value(variable) => self.value(variable),
            Slot::Has(variable) => Some(boolean(self.has(variable))),
            Slot::Anonymous(wanted) => Some(boolean(self.inquiry.identity.is_none() == *wanted)),
            Slot::Pattern(_) | Slot::Round(_) => None,
        }
    }

    /// The value cannot be had, and no other part of the expression makes up for that.
    fn fail<T>(&self, error: AllowError) -> Option<T> {
        // The first reason counts.
        self.broken.get_or_init(|| error);
        None
    }

    fn value(&self, variable: &'a Variable) -> Option<Box<dyn Val + 'a>> {
        let Inquiry {
            asked,
            identity,
            flow,
        } = self.inquiry;
        match variable {
            Variable::Method => Some(text(asked.method.as_str())),
            Variable::Path => Some(text(asked.target.path())),
            Variable::Host => Some(text(asked.host)),
            Variable::Scheme => Some(text(asked.scheme)),
            Variable::Protocol => Some(text(protocol(asked.version))),
            Variable::ClientIp => Some(owned(asked.client.to_string())),
            Variable::Header(name) => self.header(asked.headers, name),
            Variable::Query(name) => self.parameter(asked.target.query(), name),
            Variable::Claim(way) => {
                let mut converter = Converter::new(self.allow.list_max);
                match claim(identity?, way)? {
                    Claimed::Value(value) => match converter.value(value) {
                        Ok(value) => Some(value),
                        Err(error) => self.fail(error),
                    },
                    Claimed::Text(subject) => Some(text(subject)),
                    Claimed::Groups(groups) => self.groups(groups),
                }
            }
            Variable::Subject => identity?.subject.as_deref().map(text),
            Variable::Groups => self.groups(&identity?.groups),
            Variable::Proof => Some(text(identity?.proof.name())),
            Variable::Policy => Some(text(&identity?.policy)),
            Variable::RouteName => Some(text(asked.route)),
            Variable::Flow => flow.map(text),
        }
    }

    fn has(&self, variable: &Variable) -> bool {
        let Inquiry {
            asked,
            identity,
            flow,
        } = self.inquiry;
        match variable {
            Variable::Header(name) => asked.headers.contains_key(name),
            Variable::Query(name) => parameters(asked.target.query(), name).next().is_some(),
            Variable::Claim(way) => identity.is_some_and(|identity| claim(identity, way).is_some()),
            Variable::Subject => identity.is_some_and(|identity| identity.subject.is_some()),
            Variable::Groups | Variable::Proof | Variable::Policy => identity.is_some(),
            Variable::Flow => flow.is_some(),
            Variable::Method
            | Variable::Path
            | Variable::Host
            | Variable::Scheme
            | Variable::Protocol
            | Variable::ClientIp
            | Variable::RouteName => true,
        }
    }

    fn groups(&self, groups: &'a [Arc<str>]) -> Option<Box<dyn Val + 'a>> {
        if groups.len() > self.allow.list_max {
            return self.fail(AllowError::ListTooLong);
        }
        let groups: Vec<Box<dyn Val + 'a>> = groups.iter().map(|group| text(group)).collect();
        Some(Box::new(CelList::from(groups)))
    }

    /// A header's value; several fields of one name are one list (RFC 9110, section 5.3).
    fn header(&self, headers: &'a HeaderMap, name: &HeaderName) -> Option<Box<dyn Val + 'a>> {
        let mut values = headers.get_all(name).iter();
        let first = values.next()?;
        let Ok(first) = std::str::from_utf8(first.as_bytes()) else {
            return self.fail(AllowError::NotText);
        };
        let Some(second) = values.next() else {
            return Some(text(first));
        };
        // Crumbs of a cookie are no list: RFC 9113, section 8.2.3.
        let between = if *name == http::header::COOKIE {
            "; "
        } else {
            ", "
        };
        let mut joined = first.to_owned();
        for value in std::iter::once(second).chain(values) {
            let Ok(value) = std::str::from_utf8(value.as_bytes()) else {
                return self.fail(AllowError::NotText);
            };
            joined.push_str(between);
            joined.push_str(value);
        }
        Some(owned(joined))
    }

    /// A query parameter. One that comes twice is read differently by different servers.
    fn parameter(&self, query: Option<&'a str>, name: &str) -> Option<Box<dyn Val + 'a>> {
        let mut values = parameters(query, name);
        let value = values.next()?;
        if values.next().is_some() {
            return self.fail(AllowError::RepeatedParameter);
        }
        Some(owned(value))
    }
}

/// A claim, or what stands for it.
enum Claimed<'a> {
    Value(&'a Json),
    Text(&'a str),
    Groups(&'a [Arc<str>]),
}

/// `sub` and `groups` are the subject and the groups where a proof has no claims of these names.
fn claim<'a>(identity: &'a Identity, way: &[Box<str>]) -> Option<Claimed<'a>> {
    let (first, rest) = way.split_first()?;
    let Some(mut value) = identity.claims.get(&**first) else {
        return match (&**first, rest) {
            ("sub", []) => identity.subject.as_deref().map(Claimed::Text),
            ("groups", []) => Some(Claimed::Groups(&identity.groups)),
            _ => None,
        };
    };
    for name in rest {
        value = value.as_object()?.get(&**name)?;
    }
    Some(Claimed::Value(value))
}

fn parameters<'q>(query: Option<&'q str>, name: &str) -> impl Iterator<Item = String> + use<'q> {
    let name: Box<str> = name.into();
    url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .filter(move |(other, _)| **other == *name)
        .map(|(_, value)| value.into_owned())
}

fn protocol(version: Version) -> &'static str {
    if version == Version::HTTP_2 {
        "HTTP/2"
    } else if version == Version::HTTP_3 {
        "HTTP/3"
    } else if version == Version::HTTP_10 {
        "HTTP/1.0"
    } else {
        "HTTP/1.1"
    }
}

fn text(value: &str) -> Box<dyn Val + '_> {
    Box::new(CelString::from(value))
}

fn owned<'a>(value: String) -> Box<dyn Val + 'a> {
    Box::new(CelString::from(value))
}

fn boolean<'a>(value: bool) -> Box<dyn Val + 'a> {
    Box::new(CelBool::from(value))
}
