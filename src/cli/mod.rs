//! What a person sees: commands, start-up lines, trees of spans, failures.

pub mod banner;
pub mod escape;
pub mod failure;
pub mod layout;
pub mod reach;
pub mod style;
pub mod terminal;
