//! What commands write, and how they end.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

/// How a command writes what it found.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct OutputOptions {
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// 0, or 1 when a command found what it looks for.
pub(super) fn code(is_good: bool) -> ExitCode {
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}

/// Writes an object to standard output.
pub(super) fn say_json(shown: &impl Serialize) -> anyhow::Result<()> {
    Ok(say(&serde_json::to_string_pretty(shown)?)?)
}

/// Writes lines to standard output; a closed pipe ends the program quietly.
pub(super) fn say(text: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{text}")?;
    output.flush()
}

/// Writes lines to standard error.
pub(super) fn say_error(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
