//! The HTTP service between users, miners and validators; its wire contract is `docs/protocol.md`.
//!
//! [`run`] reads the flags, opens the data directory and serves until a signal ends it. Below it: `routes` (what is said
//! on the wire), `store` (SQLite), `blobs` (files), `auth` (who asks), `metagraph` (who is registered), `reaper` (what
//! time does). The rules themselves are the pure functions of [`crate::subnet`].

mod app;
mod auth;
mod blobs;
mod clock;
mod config;
mod error;
mod form;
mod hub;
mod identity;
mod inputs;
mod languages;
mod metagraph;
mod metrics;
mod options;
mod presence;
mod quality;
mod reaper;
mod request;
mod routes;
mod run;
mod serve;
mod ss58;
mod store;
mod tasks;
mod views;

#[cfg(test)]
mod tests;

pub use run::run;
