//! Which endpoint gets the next attempt.
//!
//! Knows members, their weights, zones and standing; does not know HTTP, so it is tested without a
//! socket. What can be computed beforehand is computed when something changes (a [`View`]), so
//! that a pick is a few loads.

mod hash;
mod ring;
mod schedule;
mod settings;
mod shares;
#[cfg(test)]
mod tests;
mod view;

pub use settings::{Algorithm, BalanceSettings, HashSource};
pub(super) use view::{Member, Membership, Picking, View};
