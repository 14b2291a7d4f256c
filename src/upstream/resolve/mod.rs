//! From names to addresses: asked again when an answer has run out, kept when nobody answers.

mod addresses;
mod lookup;
mod memory;
mod refresh;
mod settings;

pub(super) use addresses::Target;
pub(super) use lookup::{LookupError, Lookups, Question, known};
pub(super) use refresh::{Listen, spawn};
pub use settings::{DnsSettings, Families};
