//! Named points where a test lets the process die, as a power cut would: nothing is flushed, nothing is dropped.

/// Ends the process here if `VIOLET_PROXY_FAULT` names this point; `NAME:N` at the N-th time. Builds with optimisation,
/// as operators run them, have no such points.
#[cfg(debug_assertions)]
pub(crate) fn point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    static PLAN: OnceLock<Option<(String, AtomicI64)>> = OnceLock::new();
    let plan = PLAN.get_or_init(|| {
        let plan = std::env::var("VIOLET_PROXY_FAULT").ok()?;
        let (name, n) = plan.split_once(':').unwrap_or((&plan, "1"));
        Some((name.to_owned(), AtomicI64::new(n.parse().unwrap_or(1))))
    });
    if let Some((planned, left)) = plan
        && planned == name
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
pub(crate) fn point(_: &str) {}
