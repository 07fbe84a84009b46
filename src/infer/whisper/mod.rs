//! infer/whisper
