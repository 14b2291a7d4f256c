//! Whether headers survive the way: what is sent, what arrived, and what that means.

pub mod allow;
pub mod arrival;
pub mod check;
pub mod compare;
mod context;
#[cfg(test)]
mod tests;
pub mod verdict;
