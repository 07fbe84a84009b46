//! SSML.
