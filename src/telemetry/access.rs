//! One line per request, written off the request's thread (product.md §13, Logs).
//!
//! When the writer cannot keep up — stderr goes to a pipe that nobody empties — lines are left out
//! and counted; a request never waits for its own log line.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use serde::Serialize;

use super::label::{DoorName, Label};
use super::line_writer::{LineWriter, Sink};
use super::logging::LogFormat;
use crate::model::IndexName;
use crate::model::ProjectName;
use crate::model::Timestamp;

/// Most lines that wait: a second of a busy gateway, a few megabytes.
const QUEUE_MAX: usize = 16_384;

/// How long lines are gathered before they are written: people do not notice it, and the queue holds
/// what a core can answer meanwhile several times over.
const GATHER: Duration = Duration::from_millis(20);

/// What is recorded of a request.
#[derive(Debug, Clone)]
pub struct AccessLine {
    /// When its head was read.
    pub time: Timestamp,
    /// Its id, also sent to the client.
    pub request_id: Arc<str>,
    /// The door it came in by.
    pub door: DoorName,
    /// The client's address; nothing for a Unix socket.
    pub client: Option<IpAddr>,
    /// The method as sent.
    pub method: Cow<'static, str>,
    /// The path as sent, without query: that may hold what nobody should log.
    pub path: String,
    /// The status code; 0 when the connection broke before any.
    pub status: u16,
    /// Bytes of content sent.
    pub bytes: u64,
    /// From the end of the head to the end of the answer.
    pub duration: Duration,
    /// The index asked.
    pub index: Option<IndexName>,
    /// The project asked.
    pub project: Option<ProjectName>,
    /// The file asked.
    pub file: Option<Arc<str>>,
    /// What the caches did.
    pub cache: &'static str,
    /// What the policies said.
    pub decision: &'static str,
    /// The rule that said it.
    pub rule: Option<Arc<str>>,
    /// The client's own name.
    pub user_agent: Option<String>,
}

/// The stream of access lines.
#[derive(Debug)]
pub struct AccessLog {
    writer: LineWriter<AccessLine>,
    dropped: IntCounter,
}

impl AccessLog {
    /// Starts writing to `sink`. `dropped` counts the lines that are left out.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        format: LogFormat,
        sink: impl Write + Send + 'static,
        dropped: IntCounter,
    ) -> io::Result<Self> {
        Self::with_queue(QUEUE_MAX, format, sink, dropped)
    }

    fn with_queue(
        capacity: usize,
        format: LogFormat,
        sink: impl Write + Send + 'static,
        dropped: IntCounter,
    ) -> io::Result<Self> {
        let sink = AccessSink {
            format,
            out: BufWriter::new(sink),
        };
        let writer = LineWriter::start("access log", capacity, GATHER, sink, dropped.clone())?;
        Ok(Self { writer, dropped })
    }

    /// Writes a line soon, or leaves it out when too many wait already.
    pub fn write(&self, line: AccessLine) {
        if !self.writer.offer(line) {
            self.dropped.inc();
        }
    }

    /// Waits until all lines are out; those that come later are dropped.
    pub fn stop(&self) {
        self.writer.stop();
    }
}

struct AccessSink<W: Write> {
    format: LogFormat,
    out: BufWriter<W>,
}

impl<W: Write + Send + 'static> Sink<AccessLine> for AccessSink<W> {
    fn write(&mut self, line: &AccessLine) -> io::Result<()> {
        match self.format {
            LogFormat::Text => write_text(&mut self.out, line),
            LogFormat::Json => {
                serde_json::to_writer(&mut self.out, &Fields::of(line))?;
                self.out.write_all(b"\n")
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// For people. Whatever the client chose is escaped, so that no line can pretend to be two.
fn write_text(out: &mut impl Write, line: &AccessLine) -> io::Result<()> {
    write!(out, "{:.3} {} ", line.time, line.door.label())?;
    match line.client {
        Some(client) => write!(out, "{client}")?,
        None => write!(out, "unix")?,
    }
    let (method, path) = (line.method.escape_debug(), line.path.escape_debug());
    write!(
        out,
        " \"{method} {path}\" {} {}B {}ms",
        line.status,
        line.bytes,
        millis(line.duration)
    )?;
    write!(out, " cache={} decision={}", line.cache, line.decision)?;
    if let Some(rule) = &line.rule {
        write!(out, " rule={}", rule.escape_debug())?;
    }
    if let Some(index) = &line.index {
        write!(out, " index={index}")?;
    }
    if let Some(project) = &line.project {
        write!(out, " project={project}")?;
    }
    if let Some(file) = &line.file {
        write!(out, " file={}", file.escape_debug())?;
    }
    let agent = line.user_agent.as_deref().unwrap_or("-").escape_debug();
    writeln!(out, " id={} \"{agent}\"", line.request_id)
}

/// The JSON object; the names are product.md's.
#[derive(Serialize)]
struct Fields<'a> {
    time: Timestamp,
    request_id: &'a str,
    door: &'static str,
    client: Option<IpAddr>,
    method: &'a str,
    path: &'a str,
    status: u16,
    bytes: u64,
    duration_ms: f64,
    index: Option<&'a str>,
    project: Option<&'a str>,
    file: Option<&'a str>,
    cache: &'static str,
    decision: &'static str,
    rule: Option<&'a str>,
    user_agent: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn of(line: &'a AccessLine) -> Self {
        Self {
            time: line.time,
            request_id: &line.request_id,
            door: line.door.label(),
            client: line.client,
            method: &line.method,
            path: &line.path,
            status: line.status,
            bytes: line.bytes,
            duration_ms: millis(line.duration),
            index: line.index.as_ref().map(IndexName::as_str),
            project: line.project.as_ref().map(ProjectName::as_str),
            file: line.file.as_deref(),
            cache: line.cache,
            decision: line.decision,
            rule: line.rule.as_deref(),
            user_agent: line.user_agent.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line() -> AccessLine {
        AccessLine {
            time: "2026-11-20T10:11:12.5Z".parse().unwrap(),
            request_id: "abc-1".into(),
            door: DoorName::Public,
            client: Some("192.0.2.7".parse().unwrap()),
            method: "GET".into(),
            path: "/u/i/+simple/six/\n\"".into(),
            status: 200,
            bytes: 3120,
            duration: Duration::from_micros(412),
            index: Some(IndexName::parse("u/i").unwrap()),
            project: Some(ProjectName::parse("six").unwrap()),
            file: None,
            cache: "hit",
            decision: "allow",
            rule: Some("web.yaml:14".into()),
            user_agent: Some("pip/26.3\u{1b}[2J".into()),
        }
    }

    fn written(format: LogFormat) -> String {
        let kept = Kept::default();
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let log = AccessLog::start(format, kept.clone(), dropped).unwrap();
        log.write(line());
        log.stop();
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn people_read_one_line() {
        insta::assert_snapshot!(written(LogFormat::Text), @r#"2026-11-20T10:11:12.500Z public 192.0.2.7 "GET /u/i/+simple/six/\n\"" 200 3120B 0.412ms cache=hit decision=allow rule=web.yaml:14 index=u/i project=six id=abc-1 "pip/26.3\u{1b}[2J""#);
    }

    #[test]
    fn programs_read_one_object() {
        insta::assert_snapshot!(written(LogFormat::Json), @r#"{"time":"2026-11-20T10:11:12.5Z","request_id":"abc-1","door":"public","client":"192.0.2.7","method":"GET","path":"/u/i/+simple/six/\n\"","status":200,"bytes":3120,"duration_ms":0.412,"index":"u/i","project":"six","file":null,"cache":"hit","decision":"allow","rule":"web.yaml:14","user_agent":"pip/26.3\u001b[2J"}"#);
    }

    /// A disk that stands still until it is told to go on.
    struct Stuck {
        arrived: Sender<()>,
        go_on: Receiver<()>,
        kept: Kept,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.arrived.send(());
            let _ = self.go_on.recv();
            self.kept.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_writer_costs_lines_but_never_a_wait() {
        let (arrived, arrives) = channel();
        let (go, go_on) = channel();
        let kept = Kept::default();
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let stuck = Stuck {
            arrived,
            go_on,
            kept: kept.clone(),
        };
        let log = AccessLog::with_queue(4, LogFormat::Json, stuck, dropped.clone()).unwrap();
        log.write(line());
        arrives.recv().unwrap(); // The first line is being written, the queue is empty.
        for _ in 0..10 {
            log.write(line());
        }
        assert_eq!(dropped.get(), 6);
        drop(go); // From now on the disk is quick.
        log.stop();
        let lines = kept
            .0
            .lock()
            .unwrap()
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        assert_eq!(lines, 5);
        log.write(line());
        assert_eq!(dropped.get(), 7);
    }
}
