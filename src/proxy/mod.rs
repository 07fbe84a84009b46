//! The HTTP service between users, miners and validators; its wire contract is `docs/protocol.md`.
//!
//! [`run`] reads the flags, opens the data directory and serves until a signal ends it. Below it: `routes` (what is said
//! on the wire), `store` (tasks and what belongs to them), `blobs` (files, and what is known about them), `homes` (which of both), `auth` (who asks), `metagraph` (who is registered), `reaper` (what
//! time does). The rules themselves are the pure functions of [`crate::subnet`].

mod admin;
mod answer;
mod app;
mod auth;
mod blobs;
mod check_config;
mod clock;
mod config;
mod config_file;
mod door;
mod error;
mod fault;
mod form;
mod gcra;
#[cfg(feature = "firebase")]
mod google;
mod health;
mod homes;
mod hub;
mod identity;
mod inputs;
mod languages;
mod lobby;
mod log;
mod metagraph;
mod metrics;
mod notices;
mod observe;
mod operator;
mod options;
mod presence;
mod quality;
mod reaper;
mod request;
mod reservations;
mod routes;
mod run;
mod serve;
mod sqlite;
mod ss58;
mod store;
mod sweep;
mod tasks;
mod trust;
mod uploads;
mod variants;
mod views;
mod webhooks;

#[cfg(test)]
mod tests;

pub use run::run;
