//! What an evaluation costs, counted while it runs.
//!
//! The walk bounds how often something happens. How large values are only a request can tell: a
//! long header in each of ten thousand rounds is seconds of work. So every value that is read,
//! every round of a comprehension and every search takes from a budget, and at its end the request
//! is refused. It goes by sizes and not by the clock, so that a busy machine decides no other way
//! than an idle one.

use super::pattern::MATCHES;
use cel::ExecutionError;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr};
use cel::common::types::{CelList, CelMap, CelString, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The variable that it is to functions of ours. No text can spell it.
pub(super) const METER: &str = "@meter";
/// What a variable of a comprehension becomes: a call that pays for it.
pub(super) const USE: &str = "@use";
/// What a round of a comprehension takes beside its condition.
pub(super) const ROUND: i64 = 4;
/// What one evaluation may take, in units of about 50 ns: a hundred times a hundred short rounds.
const BUDGET: i64 = 150_000;
/// Bytes of a text that are looked at in one unit.
const BYTES_A_UNIT: usize = 32;

/// The type of meters. No expression can name it.
pub(super) static METER_TYPE: Type = Type::new_unspecified_type("@meter");

/// What is left of a budget. Below zero: it did not do.
#[derive(Clone, Debug)]
pub(super) struct Meter(Arc<AtomicI64>);

impl Meter {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(BUDGET)))
    }

    /// Whether it does. Once it did not, it never does again.
    pub(super) fn take(&self, cost: i64) -> bool {
        let left = self.0.load(Ordering::Relaxed);
        if left < 0 {
            return false;
        }
        // One thread evaluates.
        let left = left.saturating_sub(cost);
        self.0.store(left, Ordering::Relaxed);
        left >= 0
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.0.load(Ordering::Relaxed) < 0
    }
}

impl Val for Meter {
    fn get_type(&self) -> &Type {
        &METER_TYPE
    }

    fn cel_type() -> &'static Type {
        &METER_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Meter {}

/// What it costs to look at all of a text.
pub(super) fn of_text(bytes: usize) -> i64 {
    1 + i64::try_from(bytes / BYTES_A_UNIT).unwrap_or(i64::MAX / 2)
}

/// What it costs to look at all of a value.
pub(super) fn of_value(value: &dyn Val) -> i64 {
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        of_text(text.inner().len())
    } else if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        let values = list.inner().iter();
        1 + values.map(|value| of_value(&**value)).sum::<i64>()
    } else if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        let members = map.inner().iter();
        let members = members.map(|(name, value)| of_value(name.inner()) + of_value(&**value));
        1 + members.sum::<i64>()
    } else {
        1
    }
}

/// `@use(meter, value)`: the value, paid for.
pub(super) fn used<'b, 'v>(
    arguments: Vec<CowVal<'b, 'v>>,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let Ok([meter, value]) = <[CowVal<'b, 'v>; 2]>::try_from(arguments) else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    let cost = of_value(&*value);
    pay(meter.downcast_ref::<Meter>(), cost)?;
    Ok(value)
}

/// Takes from a meter.
///
/// # Errors
/// It does not do.
pub(super) fn pay(meter: Option<&Meter>, cost: i64) -> Result<(), ExecutionError> {
    if meter.is_some_and(|meter| meter.take(cost)) {
        Ok(())
    } else {
        Err(ExecutionError::function_error(MATCHES, "too costly"))
    }
}

/// A call of a function of ours that takes the meter first.
pub(super) fn call(id: u64, name: &str, arguments: impl IntoIterator<Item = IdedExpr>) -> Expr {
    let mut args = vec![IdedExpr {
        id,
        expr: Expr::Ident(METER.to_owned()),
    }];
    args.extend(arguments);
    Expr::Call(CallExpr {
        func_name: name.to_owned(),
        target: None,
        args,
    })
}
