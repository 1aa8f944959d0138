//! In which order the copies of one page are written.
//!
//! A copy may be written behind the answer that it is a copy of, and upstream may answer again before that
//! is done. So each answer gets a number when it comes, copies are written one after another, and one that
//! is older than what was written is not written any more. Readers wait for a copy that is being written:
//! what they read is what was answered.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{IndexName, ProjectName};
use crate::telemetry::{HeldPermits, Permits, WaitMeter};

/// Of which copies an answer has come that is not on disk yet.
#[derive(Debug)]
pub struct CopyTurns {
    slots: Mutex<HashMap<CopyPlace, CopySlot>>,
    meter: WaitMeter,
}

type CopyPlace = (IndexName, ProjectName);

#[derive(Debug)]
struct CopySlot {
    /// How many turns there are; the slot goes with the last.
    turns: usize,
    /// The number of the last answer.
    last: u64,
    copy: Arc<PageCopy>,
}

#[derive(Debug)]
struct PageCopy {
    /// Held while the copy is, or is about to be, written.
    writing: Permits,
    /// The number of the answer that was written last.
    written: AtomicU64,
}

/// The right to write a copy of one answer.
#[derive(Debug)]
pub struct CopyTurn {
    all: Arc<CopyTurns>,
    place: CopyPlace,
    number: u64,
    copy: Arc<PageCopy>,
}

/// The same, with nobody else writing or reading.
#[derive(Debug)]
pub struct CopyWriting {
    // Dropped in this order: who reads next finds the copy written.
    _alone: HeldPermits,
    turn: CopyTurn,
}

impl CopyTurns {
    /// No answer has come yet.
    pub fn new(meter: WaitMeter) -> Self {
        Self {
            slots: Mutex::default(),
            meter,
        }
    }

    /// A turn for an answer that comes now.
    pub fn take(self: &Arc<Self>, index: &IndexName, project: &ProjectName) -> CopyTurn {
        let place = (index.clone(), project.clone());
        let mut slots = self.slots();
        let slot = slots.entry(place.clone()).or_insert_with(|| CopySlot {
            turns: 0,
            last: 0,
            copy: Arc::new(PageCopy {
                writing: Permits::one(self.meter.clone()),
                written: AtomicU64::new(0),
            }),
        });
        slot.turns += 1;
        slot.last += 1;
        CopyTurn {
            all: Arc::clone(self),
            place,
            number: slot.last,
            copy: Arc::clone(&slot.copy),
        }
    }

    /// Waits until no copy of the page is being written.
    pub async fn written(&self, index: &IndexName, project: &ProjectName) {
        let place = (index.clone(), project.clone());
        let copy = self.slots().get(&place).map(|slot| Arc::clone(&slot.copy));
        if let Some(copy) = copy {
            drop(copy.writing.take().await);
        }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<CopyPlace, CopySlot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CopyTurn {
    /// Waits until nobody else writes the copy; from here on its readers wait.
    pub async fn begin(self) -> CopyWriting {
        let alone = self.copy.writing.take().await;
        CopyWriting {
            _alone: alone,
            turn: self,
        }
    }
}

impl Drop for CopyTurn {
    fn drop(&mut self) {
        let mut slots = self.all.slots();
        if let Some(slot) = slots.get_mut(&self.place) {
            slot.turns -= 1;
            if slot.turns == 0 {
                slots.remove(&self.place);
            }
        }
    }
}

impl CopyWriting {
    /// Does the writing, unless a later answer was written before.
    pub fn write(&self, work: impl FnOnce()) {
        let written = &self.turn.copy.written;
        // Whoever is here is alone.
        if written.load(Ordering::Acquire) < self.turn.number {
            written.store(self.turn.number, Ordering::Release);
            work();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::poll_immediate;

    use super::*;

    fn place() -> (IndexName, ProjectName) {
        let index = IndexName::parse("root/dairy").unwrap();
        (index, ProjectName::parse("six").unwrap())
    }

    #[tokio::test]
    async fn an_older_answer_is_not_written_over_a_newer_one() {
        let turns = Arc::new(CopyTurns::new(WaitMeter::default()));
        let (index, project) = place();
        let [first, second] = [(), ()].map(|()| turns.take(&index, &project));
        let mut written = Vec::new();
        second.begin().await.write(|| written.push("second"));
        first.begin().await.write(|| written.push("first"));
        turns
            .take(&index, &project)
            .begin()
            .await
            .write(|| written.push("third"));
        assert_eq!(written, ["second", "third"]);
        assert!(turns.slots().is_empty());
    }

    #[tokio::test]
    async fn whoever_reads_waits_for_what_is_being_written_and_for_nothing_else() {
        let turns = Arc::new(CopyTurns::new(WaitMeter::default()));
        let (index, project) = place();
        let other = ProjectName::parse("seven").unwrap();
        let turn = turns.take(&index, &project);
        turns.written(&index, &project).await;
        let writing = turn.begin().await;
        let waiting = Box::pin(turns.written(&index, &project));
        assert!(poll_immediate(waiting).await.is_none());
        turns.written(&index, &other).await;
        let next = turns.take(&index, &project);
        assert!(poll_immediate(Box::pin(next.begin())).await.is_none());
        writing.write(|| {});
        drop(writing);
        turns.written(&index, &project).await;
        assert!(turns.slots().is_empty());
    }
}
