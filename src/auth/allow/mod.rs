//! The expression of a route's `allow`: CEL over the request, what was proved, and the route.
//!
//! Is read when the configuration is, once for all requests: names, members and functions are
//! known, kinds of values fit, and what it can cost is bounded. Comes after the policies; what it
//! cannot decide, it refuses. The library that reads and evaluates checks neither types nor cost,
//! so `walk` does, on the syntax tree.

mod claims;
mod fault;
mod kind;
mod meter;
mod pattern;
mod place;
mod read;
mod rules;
mod run;
mod slot;
mod variable;
mod walk;

#[cfg(test)]
mod tests;

pub use fault::Fault;
pub use run::{AllowError, Inquiry, Refused};

use cel::IdedExpr;
use slot::Slot;
use std::fmt;

/// Longest expression, in bytes.
const TEXT_BYTES_MAX: usize = 4096;

/// An expression that holds for requests that may pass.
pub struct Allow {
    text: Box<str>,
    /// The tree, every variable of it a slot.
    tree: IdedExpr,
    slots: Vec<Slot>,
    /// Longest list that it may meet.
    list_max: usize,
    uses_proof: bool,
}

impl Allow {
    /// Reads and checks it.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the text.
    pub fn compile(text: &str) -> Result<Self, Vec<Fault>> {
        let checked = read::checked(text)?;
        Ok(Self {
            text: text.into(),
            tree: checked.tree,
            slots: checked.slots,
            list_max: checked.list_max,
            uses_proof: checked.uses_proof,
        })
    }

    /// Whether it asks for anything that only a policy can prove.
    pub const fn uses_proof(&self) -> bool {
        self.uses_proof
    }

    /// As it was written.
    pub const fn text(&self) -> &str {
        &self.text
    }

    /// Whether a request may pass.
    ///
    /// # Errors
    /// It may not: the expression is false, or could not be evaluated.
    pub fn check(&self, inquiry: &Inquiry<'_>) -> Result<(), Refused> {
        run::run(self, inquiry)
    }
}

impl fmt::Debug for Allow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Allow").field(&self.text).finish()
    }
}

impl PartialEq for Allow {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
