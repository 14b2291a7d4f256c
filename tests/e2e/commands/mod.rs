//! The binary as a person meets it: what it prints, where, and how it ends.
//!
//! Each test runs the real program, with an environment of its own and an empty home folder.

mod bulk;
mod completions;
mod demo;
mod ending;
mod exec;
mod handover;
mod logs;
mod probe;
mod program;
mod refusals;
mod reload;
mod run;
mod service;
mod span;
mod terminal;
mod trace;
mod usage;
mod verify;
