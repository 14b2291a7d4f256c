//! One request, start to finish.

pub mod plan;
