//! The stream of refusals. Any client can be refused as often as it likes, so repeats are counted
//! instead of written.
//!
//! The first of a kind is written immediately. The same again (from the same client, about the same thing,
//! for the same reason) is counted, and after a while a second line says how often. A client that has used
//! its share of lines in that time is only counted from then on, whatever it asks for: its flood must not
//! push out what others were refused.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use crate::model::{Timestamp, client_network};
use crate::telemetry::event::AuditEvent;
use crate::telemetry::line_writer::Sink;
use crate::telemetry::rotating::Rotating;

/// How long repeats are counted before their number is written.
const COUNT_FOR: Duration = Duration::from_mins(1);

/// Kinds of refusals counted at one time; beyond that the counts so far are written.
const KINDS_MAX: usize = 4096;

/// Lines per client in that time. A build that asks for a few hundred refused files stays below.
const LINES_PER_CLIENT_MAX: u32 = 1000;

/// What is written about the rest of a client's refusals.
const THE_REST: &str = "further refusals of this client, of any kind";

/// Writes refusals down, and counts those that repeat.
#[derive(Debug)]
pub(super) struct Refusals {
    file: Rotating,
    kinds: HashMap<u64, Kind>,
    lines: HashMap<Option<IpAddr>, u32>,
    /// When the first of those now counted was written.
    began: Timestamp,
    hash: RandomState,
}

#[derive(Debug)]
struct Kind {
    first: AuditEvent,
    repeated: u64,
    last: Timestamp,
}

impl Refusals {
    pub(super) fn new(file: Rotating) -> Self {
        Self {
            file,
            kinds: HashMap::new(),
            lines: HashMap::new(),
            began: Timestamp::MIN,
            hash: RandomState::new(),
        }
    }

    /// The event, or its stand-in if its client has used its share.
    fn shared_out(&mut self, event: &AuditEvent) -> AuditEvent {
        let client = event.client.map(client_network);
        let lines = self.lines.entry(client).or_default();
        *lines = lines.saturating_add(1);
        if *lines <= LINES_PER_CLIENT_MAX {
            return event.clone();
        }
        let mut rest = AuditEvent::new(event.time, event.event);
        rest.client = client;
        rest.detail = Some(THE_REST.into());
        rest
    }

    fn key(&self, event: &AuditEvent) -> u64 {
        self.hash.hash_one((
            event.event,
            event.client,
            (&event.user, &event.token),
            (&event.index, &event.project, &event.file),
            (&event.rule, &event.detail),
        ))
    }

    /// Counts the event if it was written in this period already; returns whether it was.
    fn is_counted(&mut self, event: &AuditEvent) -> bool {
        let key = self.key(event);
        let Some(kind) = self.kinds.get_mut(&key) else {
            return false;
        };
        kind.repeated += 1;
        kind.last = event.time;
        true
    }

    fn is_over(&self, now: Timestamp) -> bool {
        Duration::try_from(now.duration_since(self.began)).is_ok_and(|passed| passed >= COUNT_FOR)
    }
}

impl Sink<AuditEvent> for Refusals {
    fn write(&mut self, event: &AuditEvent) -> io::Result<()> {
        let told = if !self.kinds.is_empty()
            && (self.is_over(event.time) || self.kinds.len() >= KINDS_MAX)
        {
            self.settle()
        } else {
            Ok(())
        };
        if self.kinds.is_empty() {
            self.began = event.time;
        }
        if self.is_counted(event) {
            return told;
        }
        let event = self.shared_out(event);
        if self.is_counted(&event) {
            return told;
        }
        let key = self.key(&event);
        let written = self.file.write(&event);
        let last = event.time;
        let kind = Kind {
            first: event,
            repeated: 0,
            last,
        };
        self.kinds.insert(key, kind);
        told.and(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    fn settles_after(&self) -> Option<Duration> {
        (!self.kinds.is_empty()).then_some(COUNT_FOR)
    }

    /// Writes how often each repeated, and starts over.
    fn settle(&mut self) -> io::Result<()> {
        let mut told = Ok(());
        self.lines.clear();
        for (_, kind) in self.kinds.drain().filter(|(_, kind)| kind.repeated > 0) {
            let mut event = kind.first;
            event.since = Some(event.time);
            event.time = kind.last;
            event.request_id = None;
            event.repeated = Some(kind.repeated);
            told = told.and(self.file.write(&event));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::telemetry::label::AuditKind;
    use crate::telemetry::rotating::Rotation;

    const PLENTY: Rotation = Rotation {
        size_max: 1 << 20,
        kept: 1,
    };

    fn event(client: &str, file: &str, second: i64) -> AuditEvent {
        let time = Timestamp::from_second(second).unwrap();
        let mut event = AuditEvent::new(time, AuditKind::Denied);
        event.request_id = Some(second.to_string().into());
        event.client = Some(client.parse().unwrap());
        event.file = Some(file.into());
        event
    }

    fn refusals(folder: &Path) -> Refusals {
        Refusals::new(Rotating::open(&folder.join("refusals.jsonl"), PLENTY).unwrap())
    }

    fn lines(folder: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(folder.join("refusals.jsonl")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    }

    #[test]
    fn what_repeats_is_written_once_and_then_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut refusals = refusals(folder.path());
        for second in 0..30 {
            refusals
                .write(&event("192.0.2.1", "a-1.zip", second))
                .unwrap();
        }
        refusals.write(&event("192.0.2.1", "b-1.zip", 30)).unwrap();
        refusals.write(&event("192.0.2.2", "a-1.zip", 31)).unwrap();
        assert_eq!(lines(folder.path()).len(), 3, "each kind at once");
        // The next one, after a while, causes the counts to be written.
        refusals.write(&event("192.0.2.1", "a-1.zip", 60)).unwrap();
        let told = lines(folder.path());
        assert_eq!(told.len(), 5);
        let count = &told[3];
        assert_eq!(count["repeated"], 29);
        assert_eq!(count["since"], "1970-01-01T00:00:00.000Z");
        assert_eq!(count["time"], "1970-01-01T00:00:29.000Z");
        assert_eq!(count["file"], "a-1.zip");
        assert_eq!(
            told[4]["repeated"],
            Value::Null,
            "the first of the next while"
        );
    }

    #[test]
    fn counts_are_said_when_nothing_more_comes() {
        let folder = tempfile::tempdir().unwrap();
        let mut refusals = refusals(folder.path());
        assert_eq!(refusals.settles_after(), None);
        for _ in 0..2 {
            refusals.write(&event("192.0.2.1", "a-1.zip", 0)).unwrap();
        }
        assert_eq!(refusals.settles_after(), Some(COUNT_FOR));
        refusals.settle().unwrap();
        assert_eq!(lines(folder.path())[1]["repeated"], 1);
        assert_eq!(refusals.settles_after(), None);
    }

    #[test]
    fn a_flood_of_one_client_leaves_room_for_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let mut refusals = refusals(folder.path());
        let flood = LINES_PER_CLIENT_MAX * 3;
        for number in 0..flood {
            // One network, with as many addresses as it likes.
            let client = format!("2001:db8::{:x}", number + 1);
            let file = format!("a-{number}.zip");
            refusals.write(&event(&client, &file, 0)).unwrap();
        }
        refusals.write(&event("192.0.2.1", "b-1.zip", 1)).unwrap();
        refusals.settle().unwrap();
        let told = lines(folder.path());
        let most = LINES_PER_CLIENT_MAX as usize;
        assert_eq!(told.len(), most + 3);
        assert_eq!(told[most]["detail"], THE_REST);
        assert_eq!(told[most]["client"], "2001:db8::");
        assert_eq!(told[most + 1]["file"], "b-1.zip");
        assert_eq!(told[most + 2]["repeated"], flood - LINES_PER_CLIENT_MAX - 1);
    }
}
