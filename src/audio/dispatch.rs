//! Code compiled for the vector instructions that the processor has.

/// Moved into a closure that is dispatched, so that it can be called only once: one that could be called again is called
/// through a shim, which is compiled for the oldest processors and not inlined.
pub(crate) struct Once;

impl Once {
    #[allow(clippy::inline_always, clippy::unused_self, reason = "it is moved, and nothing else")]
    #[inline(always)]
    pub(crate) fn spend(self) {}
}
