//! The proxy as its users, miners and validators meet it: the real program, real sockets, real signatures.
#![cfg(feature = "proxy")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[cfg(feature = "firebase")]
#[path = "proxy/emulators.rs"]
mod emulators;
#[path = "proxy/http.rs"]
mod http;
#[path = "proxy/network.rs"]
mod network;
#[path = "proxy/neuron.rs"]
mod neuron;

#[path = "proxy/admin.rs"]
mod admin;
#[path = "proxy/crashes.rs"]
mod crashes;
#[path = "proxy/deaths.rs"]
mod deaths;
#[path = "proxy/events.rs"]
mod events;
#[path = "proxy/kinds.rs"]
mod kinds;
#[path = "proxy/leases.rs"]
mod leases;
#[path = "proxy/limits.rs"]
mod limits;
#[path = "proxy/openapi.rs"]
mod openapi;
#[path = "proxy/path.rs"]
mod path;
#[path = "proxy/process.rs"]
mod process;
#[path = "proxy/register.rs"]
mod register;
#[cfg(feature = "firebase")]
#[path = "proxy/shared.rs"]
mod shared;
#[path = "proxy/uploads.rs"]
mod uploads;
#[path = "proxy/variants.rs"]
mod variants;
#[path = "proxy/webhooks.rs"]
mod webhooks;
