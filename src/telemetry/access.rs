//! One line per request, written out by a thread of its own.
//!
//! If that thread cannot keep up (stderr is a pipe that nobody reads), lines are dropped and counted; a
//! request never waits for its own log line.

use std::io;
use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use prometheus::IntCounter;

use crate::model::{DoorName, Timestamp};
use crate::telemetry::gathered::Gathered;
use crate::telemetry::instant::{BEGIN, thousandth, write_instant};
use crate::telemetry::label::Label;
use crate::telemetry::logging::LogFormat;

/// What is recorded of a request.
#[derive(Debug, Clone)]
pub struct AccessLine<'a> {
    /// When its head was read.
    pub time: Timestamp,
    /// Its id, also sent to the client.
    pub request_id: &'a str,
    /// The door it came in by.
    pub door: DoorName,
    /// The client's address; `None` for a Unix socket.
    pub client: Option<IpAddr>,
    /// The method as sent.
    pub method: &'a str,
    /// The path as sent, without the query, which may hold what nobody should log.
    pub path: &'a str,
    /// The status code; 0 if the connection broke before there was one.
    pub status: u16,
    /// Bytes of content sent.
    pub bytes: u64,
    /// From the end of the head to the end of the answer.
    pub duration: Duration,
    /// The index asked.
    pub index: Option<&'a str>,
    /// The project asked.
    pub project: Option<&'a str>,
    /// The file asked.
    pub file: Option<&'a str>,
    /// What the caches did.
    pub cache: &'static str,
    /// What the policies said.
    pub decision: &'static str,
    /// What the rule is called that said it.
    pub rule: Option<&'a str>,
    /// The client's own name.
    pub user_agent: Option<&'a str>,
}

/// The stream of access lines.
#[derive(Debug)]
pub struct AccessLog {
    format: LogFormat,
    gathered: Gathered,
    dropped: IntCounter,
}

impl AccessLog {
    /// Starts writing to `sink`. `dropped` counts the lines that are dropped.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        format: LogFormat,
        sink: impl Write + Send + 'static,
        dropped: IntCounter,
    ) -> io::Result<Self> {
        Ok(Self {
            format,
            gathered: Gathered::start("access log", sink, dropped.clone())?,
            dropped,
        })
    }

    /// Queues a line, or drops it if too many are waiting.
    pub fn write(&self, line: &AccessLine<'_>) {
        let has_room = self.gathered.line(|text| match self.format {
            // Writing to memory does not fail.
            LogFormat::Text => drop(write_text(text, line)),
            LogFormat::Json => write_json(text, line),
        });
        if !has_room {
            self.dropped.inc();
        }
    }

    /// Waits until all lines are written; later ones are dropped.
    pub fn stop(&self) {
        self.gathered.stop();
    }
}

/// For people. Anything the client chose is escaped, so that one line cannot pretend to be two.
fn write_text(out: &mut Vec<u8>, line: &AccessLine<'_>) -> io::Result<()> {
    write!(out, "{:.3} {} ", line.time, line.door.label())?;
    match line.client {
        Some(client) => write!(out, "{client}")?,
        None => write!(out, "unix")?,
    }
    let (method, path) = (line.method.escape_debug(), line.path.escape_debug());
    write!(out, " \"{method} {path}\" {} {}B ", line.status, line.bytes)?;
    millis(out, line.duration);
    write!(out, "ms cache={} decision={}", line.cache, line.decision)?;
    if let Some(rule) = line.rule {
        write!(out, " rule={}", rule.escape_debug())?;
    }
    if let Some(index) = line.index {
        write!(out, " index={index}")?;
    }
    if let Some(project) = line.project {
        write!(out, " project={project}")?;
    }
    if let Some(file) = line.file {
        write!(out, " file={}", file.escape_debug())?;
    }
    let agent = line.user_agent.unwrap_or("-").escape_debug();
    writeln!(out, " id={} \"{agent}\"", line.request_id)
}

/// The JSON object. Written by hand, because every request's own thread writes it, and a serializer takes
/// several times as long.
fn write_json(out: &mut Vec<u8>, line: &AccessLine<'_>) {
    out.extend_from_slice(BEGIN.as_bytes());
    write_instant(out, line.time);
    out.push(b'"');
    word(out, b",\"request_id\":\"", line.request_id);
    word(out, b",\"door\":\"", line.door.label());
    out.extend_from_slice(b",\"client\":");
    address(out, line.client);
    text(out, b",\"method\":", Some(line.method));
    text(out, b",\"path\":", Some(line.path));
    out.extend_from_slice(b",\"status\":");
    number(out, u64::from(line.status));
    out.extend_from_slice(b",\"bytes\":");
    number(out, line.bytes);
    out.extend_from_slice(b",\"duration_ms\":");
    millis(out, line.duration);
    text(out, b",\"index\":", line.index);
    text(out, b",\"project\":", line.project);
    text(out, b",\"file\":", line.file);
    word(out, b",\"cache\":\"", line.cache);
    word(out, b",\"decision\":\"", line.decision);
    text(out, b",\"rule\":", line.rule);
    text(out, b",\"user_agent\":", line.user_agent);
    out.extend_from_slice(b"}\n");
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn address(out: &mut Vec<u8>, client: Option<IpAddr>) {
    match client {
        None => out.extend_from_slice(b"null"),
        Some(IpAddr::V4(client)) => {
            let mut before = b'"';
            for part in client.octets() {
                out.push(before);
                number(out, u64::from(part));
                before = b'.';
            }
            out.push(b'"');
        }
        // Writing to memory does not fail.
        Some(IpAddr::V6(client)) => drop(write!(out, "\"{client}\"")),
    }
}

/// A member whose value is one of our own words, or an id, which hold nothing that JSON escapes;
/// `begin` is everything before it.
fn word(out: &mut Vec<u8>, begin: &[u8], value: &str) {
    debug_assert!(stands_for_itself(value), "{value:?} is to be escaped");
    out.extend_from_slice(begin);
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

/// A member whose value is text or null.
fn text(out: &mut Vec<u8>, begin: &[u8], value: Option<&str>) {
    out.extend_from_slice(begin);
    match value {
        None => out.extend_from_slice(b"null"),
        Some(value) if stands_for_itself(value) => {
            out.push(b'"');
            out.extend_from_slice(value.as_bytes());
            out.push(b'"');
        }
        // Writing text to memory does not fail.
        Some(value) => drop(serde_json::to_writer(out, value)),
    }
}

/// Whether a text is printable ASCII without characters that JSON escapes. Every byte is checked, which a
/// processor does many at a time.
fn stands_for_itself(text: &str) -> bool {
    let is_odd = |byte: u8| !matches!(byte, b' '..=b'~') | (byte == b'"') | (byte == b'\\');
    !text.bytes().fold(false, |odd, byte| odd | is_odd(byte))
}

/// To the microsecond.
fn millis(out: &mut Vec<u8>, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    number(out, micros / 1000);
    out.push(b'.');
    thousandth(out, micros % 1000);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::kept::Written;

    fn line() -> AccessLine<'static> {
        AccessLine {
            time: "2026-11-20T10:11:12.5Z".parse().unwrap(),
            request_id: "abc-1",
            door: DoorName::Public,
            client: Some("192.0.2.7".parse().unwrap()),
            method: "GET",
            path: "/u/i/+simple/six/\n\"",
            status: 200,
            bytes: 3120,
            duration: Duration::from_micros(412),
            index: Some("u/i"),
            project: Some("six"),
            file: None,
            cache: "hit",
            decision: "allow",
            rule: Some("corporate/cool-down"),
            user_agent: Some("pip/26.3\u{1b}[2J"),
        }
    }

    fn written(format: LogFormat, lines: &[AccessLine<'_>]) -> String {
        let kept = Written::default();
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let log = AccessLog::start(format, kept.clone(), dropped.clone()).unwrap();
        lines.iter().for_each(|line| log.write(line));
        log.stop();
        assert_eq!(dropped.get(), 0);
        log.write(&line());
        assert_eq!(dropped.get(), 1);
        kept.text()
    }

    #[test]
    fn people_read_one_line() {
        insta::assert_snapshot!(written(LogFormat::Text, &[line()]), @r#"2026-11-20T10:11:12.500Z public 192.0.2.7 "GET /u/i/+simple/six/\n\"" 200 3120B 0.412ms cache=hit decision=allow rule=corporate/cool-down index=u/i project=six id=abc-1 "pip/26.3\u{1b}[2J""#);
    }

    #[test]
    fn programs_read_one_object() {
        insta::assert_snapshot!(written(LogFormat::Json, &[line()]), @r#"{"time":"2026-11-20T10:11:12.500Z","request_id":"abc-1","door":"public","client":"192.0.2.7","method":"GET","path":"/u/i/+simple/six/\n\"","status":200,"bytes":3120,"duration_ms":0.412,"index":"u/i","project":"six","file":null,"cache":"hit","decision":"allow","rule":"corporate/cool-down","user_agent":"pip/26.3\u001b[2J"}"#);
    }

    #[test]
    fn whatever_a_client_says_the_line_is_json_and_says_it() {
        for said in ["", "plain", "é", "a\"b\\c", "\u{0}\u{7f}\t", "\u{2028}"] {
            let mut line = line();
            (line.path, line.user_agent) = (said, None);
            let text = written(LogFormat::Json, &[line]);
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["path"], said);
            assert_eq!(value["user_agent"], serde_json::Value::Null);
        }
    }

    #[test]
    fn instants_are_told_across_a_second() {
        let times = [
            "1969-12-31T23:59:59Z",
            "2026-11-20T10:11:12.999Z",
            "2026-11-20T10:11:13Z",
        ];
        let lines = times.map(|time| AccessLine {
            time: time.parse().unwrap(),
            ..line()
        });
        let text = written(LogFormat::Json, &lines);
        let told: Vec<Timestamp> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|line| line["time"].as_str().unwrap().parse().unwrap())
            .collect();
        assert_eq!(told, lines.map(|line| line.time));
    }
}
