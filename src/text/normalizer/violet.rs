//! stub
pub(super) fn normalize(text: &str) -> String { super::english::normalize(text) }
