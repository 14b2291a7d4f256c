//! The `edgespan` program.

fn main() {}
