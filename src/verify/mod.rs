//! Whether headers survive the way: what is sent, what arrived, and what that means.

pub mod arrival;
