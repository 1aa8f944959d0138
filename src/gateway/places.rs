//! Limits how many files are fetched at one time, in total and per upstream.
//!
//! Each fill occupies a writer thread and a connection for as long as its upstream takes to send,
//! so the number of places is limited. A request that finds no free place waits in line, as long as
//! somebody wants the file and other files of the same upstream are given places.
//! `limits.fills_waiting` bounds the line. No upstream may take more places than it leaves free:
//! one that hangs holds half of them at most, a second one half of the rest, and an upstream that
//! answers promptly always finds some.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::model::IndexName;
use crate::telemetry::WaitMeter;

/// The places.
#[derive(Debug)]
pub struct Places {
    most: usize,
    patience: Duration,
    meter: WaitMeter,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: HashMap<IndexName, usize>,
    /// In the order of their numbers.
    waiting: VecDeque<Waiting>,
    last_number: u64,
    /// How many places each upstream was given so far.
    given: HashMap<IndexName, u64>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    upstream: IndexName,
    turn: oneshot::Sender<Place>,
}

/// A place, free again when dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    upstream: IndexName,
}

/// Why no place was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// No file of this upstream was given a place for the length of `patience`.
    #[error(
        "{0} files may be fetched at once (limits.fills) and none came to its end in time; try again later"
    )]
    Crowded(usize),
    /// Nobody wants the file any more.
    #[error("nobody waits for it any more")]
    Deserted,
}

/// What a request in line checks at every interval.
pub trait Waits {
    /// Whether the file is still wanted.
    fn is_wanted(&self) -> bool;
    /// Asks a fill that need not go on to give way; called only by those next in line.
    fn nudge(&self);
}

impl Places {
    /// With this many places. Waiting fails once no file of the same upstream has been given one for
    /// `patience`.
    pub fn new(most: usize, patience: Duration, meter: WaitMeter) -> Arc<Self> {
        Arc::new(Self {
            most: most.max(1),
            patience,
            meter,
            state: Mutex::default(),
        })
    }

    /// Takes a place for a file of this upstream, waiting for one if necessary; `waits` is checked
    /// at every `interval` meanwhile.
    ///
    /// # Errors
    /// When the line does not move, or nobody wants the file any more.
    pub async fn take(
        self: &Arc<Self>,
        upstream: &IndexName,
        interval: Duration,
        waits: impl Waits,
    ) -> Result<Place, NoPlace> {
        let (number, mut given, turn) = {
            let mut state = self.state();
            if state.has_room_for(upstream, self.most) {
                return Ok(self.seat(&mut state, upstream));
            }
            let (sender, turn) = oneshot::channel();
            state.last_number += 1;
            let number = state.last_number;
            state.waiting.push_back(Waiting {
                number,
                upstream: upstream.clone(),
                turn: sender,
            });
            (number, state.given_to(upstream), turn)
        };
        let _timer = self.meter.start();
        tokio::pin!(turn);
        let mut moved = Instant::now();
        loop {
            tokio::select! {
                biased;
                // The other end is dropped only with the places themselves.
                place = &mut turn => return place.map_err(|_| NoPlace::Crowded(self.most)),
                () = sleep(interval.min(self.patience)) => {}
            }
            if !waits.is_wanted() {
                return Err(NoPlace::Deserted);
            }
            let (is_next, now_given) = {
                let state = self.state();
                (state.ahead_of(number) < self.most, state.given_to(upstream))
            };
            if is_next {
                waits.nudge();
            }
            if now_given != given {
                (given, moved) = (now_given, Instant::now());
            } else if moved.elapsed() >= self.patience {
                return Err(NoPlace::Crowded(self.most));
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seat(self: &Arc<Self>, state: &mut State, upstream: &IndexName) -> Place {
        *state.taken.entry(upstream.clone()).or_default() += 1;
        *state.given.entry(upstream.clone()).or_default() += 1;
        Place {
            places: Arc::clone(self),
            upstream: upstream.clone(),
        }
    }

    /// Gives free places to those in line, in order, as far as their upstreams may have more.
    fn seat_waiting(self: &Arc<Self>) {
        loop {
            let mut state = self.state();
            // A waiter that has left must not hold up the line.
            state.waiting.retain(|waiting| !waiting.turn.is_closed());
            let most = self.most;
            let next = state
                .waiting
                .iter()
                .position(|waiting| state.has_room_for(&waiting.upstream, most));
            let Some(Waiting { upstream, turn, .. }) = next.and_then(|at| state.waiting.remove(at))
            else {
                return;
            };
            let place = self.seat(&mut state, &upstream);
            drop(state);
            // A waiter that leaves right now drops the place, which seats the next one.
            let _ = turn.send(place);
        }
    }
}

impl State {
    fn has_room_for(&self, upstream: &IndexName, most: usize) -> bool {
        let free = most.saturating_sub(self.taken.values().sum());
        let own = self.taken.get(upstream).copied().unwrap_or(0);
        own < free
    }

    fn given_to(&self, upstream: &IndexName) -> u64 {
        self.given.get(upstream).copied().unwrap_or(0)
    }

    /// How many are ahead of this number in the line.
    fn ahead_of(&self, number: u64) -> usize {
        self.waiting.partition_point(|one| one.number < number)
    }

    fn leave(&mut self, upstream: &IndexName) {
        if let Some(own) = self.taken.get_mut(upstream) {
            *own -= 1;
            if *own == 0 {
                self.taken.remove(upstream);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.state().leave(&self.upstream);
        self.places.seat_waiting();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::FutureExt as _;

    use super::*;

    const EVERY: Duration = Duration::from_secs(1);

    fn upstream(name: &str) -> IndexName {
        IndexName::parse(name).unwrap()
    }

    /// Wants a file for a number of checks, and counts the nudges.
    #[derive(Default)]
    struct Wants {
        looks_left: Cell<Option<usize>>,
        nudges: Cell<usize>,
    }

    impl Waits for &Wants {
        fn is_wanted(&self) -> bool {
            let left = self.looks_left.get();
            self.looks_left.set(left.map(|left| left.saturating_sub(1)));
            left != Some(0)
        }

        fn nudge(&self) {
            self.nudges.set(self.nudges.get() + 1);
        }
    }

    async fn take(places: &Arc<Places>, name: &str) -> Result<Place, NoPlace> {
        places.take(&upstream(name), EVERY, &Wants::default()).await
    }

    /// Takes all the places that an upstream can get.
    fn taken_by(places: &Arc<Places>, name: &str) -> Vec<Place> {
        let mut taken = Vec::new();
        while let Some(Ok(place)) = take(places, name).now_or_never() {
            taken.push(place);
        }
        taken
    }

    #[tokio::test]
    async fn no_upstream_takes_more_than_it_leaves_free() {
        let places = Places::new(64, EVERY, WaitMeter::default());
        let names = [
            "m/one", "m/two", "m/three", "m/four", "m/five", "m/six", "m/seven",
        ];
        let taken: Vec<_> = names.iter().map(|name| taken_by(&places, name)).collect();
        let counts: Vec<_> = taken.iter().map(Vec::len).collect();
        assert_eq!(counts, [32, 16, 8, 4, 2, 1, 1]);
        for most in [0, 1, 2, 3] {
            assert_eq!(
                taken_by(&Places::new(most, EVERY, WaitMeter::default()), "m/one").len(),
                most.div_ceil(2).max(1)
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_seated_in_order_as_far_as_its_upstream_may_have_more() {
        let places = Places::new(4, 60 * EVERY, WaitMeter::default());
        let mut slow = taken_by(&places, "m/slow");
        let mut fast = taken_by(&places, "m/fast");
        assert_eq!((slow.len(), fast.len()), (2, 1));
        let mut third_slow = Box::pin(take(&places, "m/slow"));
        let mut second_fast = Box::pin(take(&places, "m/fast"));
        let mut third_fast = Box::pin(take(&places, "m/fast"));
        for waiting in [&mut third_slow, &mut second_fast, &mut third_fast] {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        fast.clear();
        let seated = second_fast.as_mut().now_or_never().unwrap().unwrap();
        assert!(third_slow.as_mut().now_or_never().is_none());
        assert!(third_fast.as_mut().now_or_never().is_none());
        // A waiter that leaves must not hold up the line.
        drop(third_fast);
        slow.clear();
        assert!(third_slow.as_mut().now_or_never().unwrap().is_ok());
        drop(seated);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_and_others_are_nudged_meanwhile() {
        let places = Places::new(1, 5 * EVERY, WaitMeter::default());
        let first = take(&places, "m/one").await.unwrap();
        let wants = Wants::default();
        let refused = places.take(&upstream("m/one"), EVERY, &wants).await;
        assert_eq!(refused.unwrap_err(), NoPlace::Crowded(1));
        let nudges = wants.nudges.get();
        assert!((4..=5).contains(&nudges), "{nudges}");
        drop(first);
        assert!(take(&places, "m/two").await.is_ok());
    }

    #[tokio::test]
    async fn a_place_that_nobody_fetches_from_the_line_is_free_again() {
        let places = Places::new(1, EVERY, WaitMeter::default());
        let first = take(&places, "m/one").await.unwrap();
        let mut leaving = Box::pin(take(&places, "m/one"));
        assert!(leaving.as_mut().now_or_never().is_none());
        drop(first);
        // It was given its turn, and leaves without having seen it.
        drop(leaving);
        assert_eq!(taken_by(&places, "m/two").len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_goes_on_as_long_as_the_line_moves_and_the_file_is_wanted() {
        let places = Places::new(1, 5 * EVERY, WaitMeter::default());
        let mut held = take(&places, "m/one").await.unwrap();
        let mut line: VecDeque<_> = (0..20).map(|_| Box::pin(take(&places, "m/one"))).collect();
        for waiting in &mut line {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        let leaver = Wants::default();
        leaver.looks_left.set(Some(3));
        let one = upstream("m/one");
        let mut left = Box::pin(places.take(&one, EVERY, &leaver));
        assert!(left.as_mut().now_or_never().is_none());
        // The last one waits sixteen times as long as the line may stand still.
        while let Some(next) = line.pop_front() {
            tokio::time::advance(4 * EVERY).await;
            for waiting in &mut line {
                assert!(waiting.as_mut().now_or_never().is_none());
            }
            drop(held);
            held = next.await.unwrap();
        }
        assert_eq!(left.await.unwrap_err(), NoPlace::Deserted);
        assert_eq!(leaver.nudges.get(), 3);
    }
}
