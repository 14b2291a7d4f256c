//! TraceQL, as far as people type it.
//!
//! Names and meaning are Tempo's: `&&` and `||` bind alike, from left to right; a comparison with
//! a value of another type is false, `!=` too; a pattern has to fit the whole text; an attribute
//! without a scope is the span's, and if the span has none, its resource's. What is not known here
//! (arithmetic, two fields compared, `by`, metrics) is refused with the place where it stands.

pub(super) mod ast;
mod condition;
mod lex;
mod parse;
mod print;
mod tags;
#[cfg(test)]
mod tests;

pub use ast::Query;
pub(super) use print::{KINDS, status_name};

use crate::backend;

/// Why a query was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (column {})", at + 1)]
pub struct QueryError {
    /// Where, in characters from 0.
    pub at: usize,
    /// What is wrong there and what would be right.
    pub message: String,
}

impl QueryError {
    fn new(at: usize, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { at, message }
    }
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// Where it stops to be TraceQL, or to be the part of it that is known here.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        parse::parse(text)
    }

    /// Tempo's older way to search: `service.name=orders http.route="/a b"`. Each holds somewhere
    /// in the trace; None if there are none.
    ///
    /// # Errors
    /// Where it stops to be logfmt.
    pub fn of_tags(logfmt: &str) -> Result<Option<Self>, QueryError> {
        tags::of_logfmt(logfmt)
    }

    /// Conditions of a search as it is asked of any backend; None if there are none.
    ///
    /// # Errors
    /// As [`Query::parse`], for the TraceQL in it.
    pub fn of(query: &backend::Query) -> Result<Option<Self>, QueryError> {
        tags::of_backend(query)
    }

    /// Traces that fit both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let left = Box::new(self.into_spanset());
        let right = Box::new(other.into_spanset());
        Self {
            root: ast::Spanset::Combined(left, ast::SpansetOp::And, right),
            stages: Vec::new(),
        }
    }

    fn into_spanset(self) -> ast::Spanset {
        if self.stages.is_empty() {
            self.root
        } else {
            ast::Spanset::Piped(Box::new(self))
        }
    }
}
