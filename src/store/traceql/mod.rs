//! TraceQL, as far as people type it.

use crate::backend;

/// A query that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    text: String,
}

/// Why a query was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (column {})", at + 1)]
pub struct QueryError {
    /// Where, in characters from 0.
    pub at: usize,
    /// What is wrong there and what would be right.
    pub message: String,
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// Where it stops to be TraceQL, or to be the part of it that is known here.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let text = text.to_owned();
        Ok(Self { text })
    }

    /// Tempo's older way to search: `service.name=orders http.route="/a b"`.
    ///
    /// # Errors
    /// Where it stops to be logfmt.
    pub fn of_tags(logfmt: &str) -> Result<Self, QueryError> {
        Self::parse(logfmt)
    }

    /// Conditions of a search as it is asked of any backend; None if there are none.
    ///
    /// # Errors
    /// As [`Query::parse`], for the TraceQL in it.
    pub fn of(query: &backend::Query) -> Result<Option<Self>, QueryError> {
        query.traceql.as_deref().map(Self::parse).transpose()
    }

    /// Traces that fit both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            text: format!("({}) && ({})", self.text, other.text),
        }
    }
}

impl std::fmt::Display for Query {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.text)
    }
}
