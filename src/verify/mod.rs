//! Whether headers survive the way: what is sent, what arrived, and what that means.

pub mod allow;
pub mod arrival;
pub mod changes;
pub mod check;
pub mod choice;
pub mod compare;
mod context;
pub mod echo;
mod hints;
pub mod hops;
mod message;
pub mod obstacle;
pub mod report;
pub mod run;
pub mod send;
pub mod verdict;
pub mod watch;
pub mod way;

#[cfg(test)]
mod tests;
