//! The proxy's only clock; everything below the routes gets the time as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    i64::try_from(since_epoch().as_millis()).unwrap_or(i64::MAX)
}

/// Nanoseconds since the Unix epoch.
pub(crate) fn now_ns() -> u64 {
    u64::try_from(since_epoch().as_nanos()).unwrap_or(u64::MAX)
}

fn since_epoch() -> std::time::Duration {
    // A clock before 1970 is a broken machine: time 0 makes every signature stale, which is the safe side.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
