//! The rules of the subnet as pure functions: what a task may become, who gets work, what a verdict is, what is earned.
//!
//! Nothing here knows a clock, a database or a network: time is an argument, in milliseconds since the Unix epoch.

pub mod assign;
pub mod audit;
pub mod consensus;
pub mod fingerprint;
pub mod miner;
pub mod simulate;
pub mod sortition;
pub mod task;
pub mod turns;
pub mod weights;
pub mod yuma;
