//! What a person sees: commands, start-up lines, trees of spans, failures.

pub mod escape;
pub mod style;
pub mod terminal;
