//! The environment as a value. Nothing else in the configuration reads the process's own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// Variables and their values, as they were when this was made.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// The variables of this process.
    pub fn of_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
        }
    }

    /// The value of a variable. None if it is unset, or not UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(OsStr::new(name))?.to_str()
    }

    /// The value of a variable, less surrounding blanks; an empty one counts as unset, as the
    /// OpenTelemetry specification asks.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name)
            .map(str::trim)
            .filter(|value| !value.is_empty())
    }

    /// Whether a variable holds `true`, in whatever case. Anything else is false.
    pub fn is_true(&self, name: &str) -> bool {
        self.filled(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

/// Values may be secrets: only the names are told.
impl std::fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_set()
            .entries(self.variables.keys())
            .finish()
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let into_os = |(name, value): (N, V)| (name.into(), value.into());
        Self {
            variables: variables.into_iter().map(into_os).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_counts_as_unset_for_the_standard_ones() {
        let environment: Environment = [("A", ""), ("B", " x ")].into_iter().collect();

        assert_eq!(environment.get("A"), Some(""));
        assert_eq!(environment.filled("A"), None);
        assert_eq!(environment.filled("B"), Some("x"));
    }

    #[test]
    fn values_are_never_in_the_debug_text() {
        let environment: Environment = [("TOKEN", "hunter2")].into_iter().collect();

        assert_eq!(format!("{environment:?}"), r#"{"TOKEN"}"#);
    }
}
