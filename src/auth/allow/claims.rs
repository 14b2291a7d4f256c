//! Claims as values of the expression's language. Texts are borrowed, lists and maps are built.

use super::run::AllowError;
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::Val;
use serde_json::Value;
use std::collections::HashMap;

/// Values in one claim, those in lists and maps counted.
const VALUES_MAX: usize = 10_000;
/// Deepest nesting of one claim.
const DEPTH_MAX: usize = 32;

/// Converts claims, and refuses what is too large rather than leaving a part of it out.
pub(super) struct Converter {
    list_max: usize,
    left: usize,
    depth: usize,
}

impl Converter {
    pub(super) const fn new(list_max: usize) -> Self {
        Self {
            list_max,
            left: VALUES_MAX,
            depth: DEPTH_MAX,
        }
    }

    /// A claim as a value.
    pub(super) fn value<'a>(&mut self, json: &'a Value) -> Result<Box<dyn Val + 'a>, AllowError> {
        let left = self.left.checked_sub(1);
        self.left = left.ok_or(AllowError::ClaimTooLarge)?;
        Ok(match json {
            Value::Null => Box::new(CelNull),
            Value::Bool(value) => Box::new(CelBool::from(*value)),
            Value::Number(number) => {
                if let Some(int) = number.as_i64() {
                    Box::new(CelInt::from(int))
                } else if let Some(uint) = number.as_u64() {
                    Box::new(CelUInt::from(uint))
                } else {
                    Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN)))
                }
            }
            Value::String(text) => Box::new(CelString::from(text.as_str())),
            Value::Array(values) => {
                self.enter(values.len())?;
                let values = values.iter().map(|value| self.value(value));
                let values = values.collect::<Result<Vec<_>, _>>()?;
                self.depth += 1;
                Box::new(CelList::from(values))
            }
            Value::Object(members) => {
                self.enter(members.len())?;
                let members = members
                    .iter()
                    .map(|(name, value)| Ok((CelMapKey::from(name.as_str()), self.value(value)?)));
                let members = members.collect::<Result<HashMap<_, _>, AllowError>>()?;
                self.depth += 1;
                Box::new(CelMap::from(members))
            }
        })
    }

    fn enter(&mut self, length: usize) -> Result<(), AllowError> {
        if length > self.list_max {
            return Err(AllowError::ListTooLong);
        }
        let depth = self.depth.checked_sub(1);
        self.depth = depth.ok_or(AllowError::ClaimTooLarge)?;
        Ok(())
    }
}
