//! The proxy's log on standard error: lines for people, or one JSON object a line for programs.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use serde_json::json;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    /// `timestamp` (RFC 3339), `level`, `target`, `message` and what else is said; of a request, `span` with its
    /// `request_id`, `method` and `path`.
    Json,
}

/// Begins the process's log with what `filter` lets through, in the form of `RUST_LOG`.
pub(crate) fn begin(filter: &str, format: LogFormat) -> Result<(), ParseError> {
    let lines = tracing_subscriber::fmt().with_env_filter(EnvFilter::try_new(filter)?).with_writer(std::io::stderr);
    // A program that embeds the proxy may have its own subscriber.
    let _ = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).try_init(),
    };
    Ok(())
}

/// Says in one line why the proxy ends, whatever the filter leaves out.
pub(crate) fn failed(error: &dyn Display, format: LogFormat) {
    let line = match format {
        LogFormat::Text => format!("violet-proxy: {error}"),
        LogFormat::Json => {
            let mut timestamp = String::new();
            // Writing to a text cannot fail.
            let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
            json!({"timestamp": timestamp, "level": "ERROR", "target": module_path!(), "message": error.to_string()})
                .to_string()
        }
    };
    // A closed pipe leaves the exit code.
    let _ = writeln!(std::io::stderr(), "{line}");
}
