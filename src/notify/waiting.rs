//! What waits for a webhook: few different rows, and the number of what did not fit.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;

use crate::notify::notice::{Notice, Subject};

/// Rows that wait, in the order in which they first happened.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    rows: HashMap<Subject, Notice>,
    order: VecDeque<Subject>,
    /// Events that were left out since the last batch.
    left_out: u64,
}

/// What is posted together.
#[derive(Debug, Serialize)]
pub(super) struct Batch {
    /// The same at each attempt, so that a receiver can tell a repetition.
    pub(super) id: String,
    events: Vec<Notice>,
    /// Events that the receiver is not told of, because too many waited.
    left_out: u64,
}

impl Waiting {
    /// Adds a row, or counts it with one that waits; returns whether it fitted among so many.
    pub(super) fn add(&mut self, notice: &Notice, most: usize) -> bool {
        if let Some(known) = self.rows.get_mut(notice.subject()) {
            known.repeat(notice);
            return true;
        }
        if self.rows.len() >= most {
            self.left_out += notice.count();
            return false;
        }
        self.order.push_back(notice.subject().clone());
        self.rows.insert(notice.subject().clone(), notice.clone());
        true
    }

    /// Takes the first rows as a batch, if there are any.
    pub(super) fn take(&mut self, most: usize, id: impl FnOnce() -> String) -> Option<Batch> {
        let first = self.order.len().min(most);
        let subjects = self.order.drain(..first);
        let events = subjects.filter_map(|subject| self.rows.remove(&subject));
        let events: Vec<Notice> = events.collect();
        (!events.is_empty()).then(|| Batch {
            id: id(),
            events,
            left_out: std::mem::take(&mut self.left_out),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The events that all rows stand for.
    pub(super) fn events(&self) -> u64 {
        self.rows.values().map(Notice::count).sum()
    }
}

impl Batch {
    /// The events that its rows stand for.
    pub(super) fn events(&self) -> u64 {
        self.events.iter().map(Notice::count).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::notify::notice::tests::refusal;

    fn id() -> String {
        "one".to_owned()
    }

    #[test]
    fn what_repeats_is_one_row_with_a_count() {
        let mut waiting = Waiting::default();
        for (project, version, second) in [
            ("six", "1.0", 7),
            ("tin", "2.0", 8),
            ("six", "1.0", 3),
            ("six", "2.0", 9),
        ] {
            assert!(waiting.add(&refusal(project, version, second), 10));
        }
        let batch = waiting.take(2, id).unwrap();
        assert_eq!((waiting.len(), waiting.events()), (1, 1));
        assert_eq!(batch.events(), 3);
        let batch = serde_json::to_value(&batch).unwrap();
        let events = &batch["events"];
        assert_eq!(
            (&events[0]["project"], &events[0]["count"]),
            (&"six".into(), &2.into())
        );
        assert_eq!(events[0]["first"], "1970-01-01T00:00:03Z");
        assert_eq!(events[0]["last"], "1970-01-01T00:00:07Z");
        assert_eq!(events[1]["project"], "tin");
        assert!(waiting.take(2, id).is_some() && waiting.take(2, id).is_none());
    }

    proptest! {
        #[test]
        fn every_event_is_told_of_or_counted_as_left_out(
            seen in prop::collection::vec((0..9_u8, 0..3_u8), 0..60),
            most in 1..6_usize,
        ) {
            let mut waiting = Waiting::default();
            let mut told = 0;
            let mut left_out = 0;
            for (at, (project, version)) in seen.iter().enumerate() {
                waiting.add(&refusal(&format!("p{project}"), &version.to_string(), 0), most);
                prop_assert!(waiting.len() <= most);
                if at % 7 == 6
                    && let Some(batch) = waiting.take(2, id)
                {
                    told += batch.events();
                    left_out += batch.left_out;
                }
            }
            while let Some(batch) = waiting.take(2, id) {
                told += batch.events();
                left_out += batch.left_out;
            }
            prop_assert_eq!(told + left_out, seen.len() as u64);
            prop_assert_eq!(waiting.events(), 0);
        }
    }
}
