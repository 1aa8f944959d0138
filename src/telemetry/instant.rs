//! How every stream of lines states the time: `time`, RFC 3339 in UTC to the millisecond, first in its
//! line.

use std::cell::Cell;
use std::fmt;

use serde::Serializer;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::model::Timestamp;

/// The beginning of every line that is an object, before the instant. A test checks that audit events use
/// the same name.
pub(super) const BEGIN: &str = "{\"time\":\"";

/// The time of a log line: when it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp;

/// A log line as an object, as `tracing` writes it, except for the time.
#[derive(Debug)]
pub(super) struct Stamped(pub(super) Format<Json, ()>);

/// Writes an instant. The date is computed once a second.
pub(super) fn write_instant(out: &mut Vec<u8>, time: Timestamp) {
    thread_local! {
        static LAST: Cell<(i64, [u8; 19])> = const { Cell::new((i64::MIN, [0; 19])) };
    }
    let second = time.as_second();
    let (known, mut date) = LAST.get();
    if known != second {
        let text = format!("{time:.0}");
        match text.as_bytes().first_chunk() {
            Some(chunk) => date = *chunk,
            None => return out.extend_from_slice(text.as_bytes()),
        }
        LAST.set((second, date));
    }
    out.extend_from_slice(&date);
    out.push(b'.');
    thousandth(out, u64::try_from(time.subsec_millisecond()).unwrap_or(0));
    out.push(b'Z');
}

/// Three digits.
pub(super) fn thousandth(out: &mut Vec<u8>, number: u64) {
    for place in [100, 10, 1] {
        out.push(b'0' + (number / place % 10) as u8);
    }
}

/// For members of an event.
pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

/// The same for one that may be absent.
pub(super) fn serialize_some<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serialize(time, serializer),
        None => serializer.serialize_none(),
    }
}

impl FormatTime for Stamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "the logger is one for the process, whatever clock a test gives its server"
    )]
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        write!(out, "{:.3}", Timestamp::now())
    }
}

impl<S, N> FormatEvent<S, N> for Stamped
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        out.write_str(BEGIN)?;
        Stamp.format_time(&mut out)?;
        // Level and message are always there.
        out.write_str("\",")?;
        out.write_str(line.trim_start_matches('{'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DoorName;
    use crate::telemetry::access::{AccessLine, AccessLog};
    use crate::telemetry::event::AuditEvent;
    use crate::telemetry::kept::Written;
    use crate::telemetry::label::AuditKind;
    use crate::telemetry::logging::LogFormat;
    use crate::telemetry::logging::tests::logged;

    fn instant() -> Timestamp {
        "2026-11-20T10:11:12.5678Z".parse().unwrap()
    }

    fn access_line(format: LogFormat) -> String {
        let (kept, dropped) = (Written::default(), prometheus::IntCounter::new("d", "d"));
        let log = AccessLog::start(format, kept.clone(), dropped.unwrap()).unwrap();
        log.write(&AccessLine {
            time: instant(),
            request_id: "abc-1",
            door: DoorName::Public,
            client: None,
            method: "GET",
            path: "/",
            status: 200,
            bytes: 0,
            duration: std::time::Duration::ZERO,
            index: None,
            project: None,
            file: None,
            cache: "hit",
            decision: "allow",
            rule: None,
            user_agent: None,
        });
        log.stop();
        kept.text()
    }

    #[test]
    fn all_streams_say_when_in_one_way() {
        let mut event = AuditEvent::new(instant(), AuditKind::Denied);
        event.since = Some(instant());
        let audit = serde_json::to_string(&event).unwrap();
        assert!(audit.contains(r#""since":"2026-11-20T10:11:12.567Z""#));
        let log = logged(LogFormat::Json, None, || {
            tracing::info!("policies in force")
        });
        for line in [audit, access_line(LogFormat::Json), log] {
            let rest = line.strip_prefix(BEGIN).unwrap_or_else(|| panic!("{line}"));
            is_instant(&rest[..24]);
            assert_eq!(&rest[24..25], "\"", "{line}");
            serde_json::from_str::<serde_json::Value>(&line).unwrap();
        }
        let log = logged(LogFormat::Text, None, || {
            tracing::info!("policies in force")
        });
        // On a terminal the logger's is dimmed.
        let log = log.trim_start_matches("\u{1b}[2m");
        for line in [&access_line(LogFormat::Text), log] {
            is_instant(&line[..24]);
        }
    }

    fn is_instant(text: &str) {
        let time: Timestamp = text.parse().unwrap_or_else(|_| panic!("{text}"));
        assert_eq!(format!("{time:.3}"), text);
    }

    #[test]
    fn what_is_written_by_hand_is_what_others_write() {
        let times = [
            "1969-12-31T23:59:59Z",
            "2026-11-20T10:11:12.999Z",
            "2026-11-20T10:11:13Z",
        ];
        for time in times {
            let time: Timestamp = time.parse().unwrap();
            let mut out = Vec::new();
            write_instant(&mut out, time);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{time:.3}"));
        }
    }
}
