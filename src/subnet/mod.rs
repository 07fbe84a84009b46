//! The subnet's rules as pure functions: time is an argument, there is no I/O.

pub mod weights;
pub mod yuma;
