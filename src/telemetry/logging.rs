//! The program's own log on stderr: text on a terminal, JSON otherwise.
//!
//! It includes libraries that use `log`, and panics. Access lines and audit events are streams of their own
//! and do not pass through here.
//!
//! The thread that logs does not write: stderr may be a pipe that nobody reads, and a write to a full pipe
//! never returns. Lines are gathered for a thread that may block.

use std::io;
use std::io::Write;
use std::sync::Arc;

use prometheus::IntCounter;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::util::SubscriberInitExt;

use crate::telemetry::gathered::Gathered;
use crate::telemetry::instant::{Stamp, Stamped};

/// What is logged unless the operator says otherwise, apart from what the caller wants quieter. notify
/// warns about missing folders, which is what it is asked to report.
const DEFAULT_FILTER: &str = "info,h2=warn,hyper=warn,notify=error";

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is invalid.
    #[error("{filter:?} is not a log filter such as \"info,cheesecloth=debug\"")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// A logger is installed already.
    #[error("logging is set up already")]
    Installed(#[source] tracing_subscriber::util::TryInitError),
    /// No thread can be started to write the log.
    #[error("start the log")]
    Thread(#[source] io::Error),
}

/// The thread that writes the log. When this is dropped, the last lines are out, or nobody reads them.
#[derive(Debug)]
pub struct LogWriter {
    gathered: Arc<Gathered>,
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.gathered.stop();
    }
}

impl LogFormat {
    /// The format if nothing is configured.
    #[must_use]
    pub fn for_terminal(is_terminal: bool) -> Self {
        if is_terminal { Self::Text } else { Self::Json }
    }
}

/// Installs the program's logger on stderr, once. `filter` is the operator's, in `RUST_LOG`'s language;
/// without it everything from `info` up is logged, except what `quiet` excludes in the same language.
/// `dropped` counts the lines that nobody read.
///
/// # Errors
/// See [`LoggingError`].
pub fn init_logging(
    format: LogFormat,
    quiet: &str,
    filter: Option<&str>,
    dropped: IntCounter,
) -> Result<LogWriter, LoggingError> {
    let gathered = Gathered::start("log", io::stderr(), dropped.clone());
    let gathered = Arc::new(gathered.map_err(LoggingError::Thread)?);
    let lines = Lines {
        gathered: Arc::clone(&gathered),
        dropped,
    };
    subscriber(format, quiet, filter, move || lines.clone())?
        .try_init()
        .map_err(LoggingError::Installed)?;
    // The default hook writes to stderr directly, where a panicking thread could block.
    std::panic::set_hook(Box::new(
        |panic| tracing::error!(%panic, "a bug: please report it"),
    ));
    Ok(LogWriter { gathered })
}

/// Where the logger writes one line.
#[derive(Clone)]
struct Lines {
    gathered: Arc<Gathered>,
    dropped: IntCounter,
}

impl Write for Lines {
    /// The logger hands over each line as a whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !self.gathered.line(|text| text.extend_from_slice(line)) {
            self.dropped.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn subscriber<W>(
    format: LogFormat,
    quiet: &str,
    filter: Option<&str>,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = filter.map_or_else(|| format!("{DEFAULT_FILTER},{quiet}"), str::to_owned);
    let parsed = EnvFilter::builder().parse(&filter);
    let parsed = parsed.map_err(|source| LoggingError::Filter { filter, source })?;
    let shared = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(writer);
    Ok(match format {
        LogFormat::Text => Box::new(shared.with_timer(Stamp).compact().finish()),
        // `flatten_event` puts fields next to the message, where log collectors look for them.
        LogFormat::Json => {
            let json = tracing_subscriber::fmt::format().json().without_time();
            let json = json.flatten_event(true).with_current_span(false);
            let fields = JsonFields::new();
            Box::new(
                shared
                    .fmt_fields(fields)
                    .event_format(Stamped(json))
                    .finish(),
            )
        }
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::telemetry::kept::Written;

    pub(in crate::telemetry) fn logged(
        format: LogFormat,
        filter: Option<&str>,
        speak: impl FnOnce(),
    ) -> String {
        let kept = Written::default();
        let writer = kept.clone();
        let subscriber =
            subscriber(format, "machinery=off", filter, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, speak);
        kept.text()
    }

    #[test]
    fn json_lines_carry_their_fields_at_the_top() {
        let text = logged(LogFormat::Json, None, || {
            tracing::info!(generation = 7, "policies in force")
        });
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(
            (&line["message"], &line["generation"]),
            (&"policies in force".into(), &7.into())
        );
    }

    #[test]
    fn the_machinery_is_quiet_unless_asked() {
        let speak = || tracing::error!(target: "machinery", "broken pipe");
        assert_eq!(logged(LogFormat::Text, None, speak), "");
        assert!(logged(LogFormat::Text, Some("info"), speak).contains("broken pipe"));
    }

    #[test]
    fn a_bad_filter_is_named() {
        let error = subscriber(LogFormat::Text, "", Some("cheesecloth=loud"), io::sink)
            .err()
            .unwrap();
        assert!(error.to_string().contains("cheesecloth=loud"), "{error}");
    }
}
