//! Filled in below.

pub mod check;
pub mod schema;
