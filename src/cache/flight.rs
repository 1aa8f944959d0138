//! One flight per key: a request that comes while the work is under way shares its result.
//!
//! The work runs as a task of its own, so that it goes on when whoever started it leaves. Whoever has
//! something else to answer waits for a flight no longer than it likes, counted from when the flight
//! began: a flight that has kept one client waiting does not keep the next.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::cache::in_flight::InFlight;

/// Work under way, by key.
pub struct Flights<K, V> {
    under_way: Arc<Board<K, V>>,
    work: Handle,
    flights_max: usize,
}

type Board<K, V> = Mutex<HashMap<K, Flight<V>>>;

/// A result and whether this call started the work.
#[derive(Debug, Clone)]
pub struct Joined<V> {
    /// The result.
    pub value: V,
    /// Whether nobody else had started it.
    pub led: bool,
}

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FlightError {
    /// As many different flights as allowed are under way.
    #[error("{0} different requests are under way already, which is the limit; try again")]
    Busy(usize),
    /// The work ended without a result.
    #[error("the work ended without a result; the log says why")]
    Lost,
}

/// Tells those who wait for a flight a result before its end, while it goes on.
#[derive(Debug)]
pub struct Early<V>(watch::Sender<Telling<V>>);

impl<V> Early<V> {
    /// This is the result for who comes before the end.
    pub fn tell(&self, value: V) {
        self.0.send_replace(Telling::Early(value));
    }
}

/// What a flight has told.
#[derive(Debug, Clone)]
enum Telling<V> {
    Nothing,
    Early(V),
    Last(V),
}

impl<V: Clone> Telling<V> {
    fn value(&self) -> Option<V> {
        match self {
            Self::Nothing => None,
            Self::Early(value) | Self::Last(value) => Some(value.clone()),
        }
    }
}

/// A flight that somebody has started or joined.
#[derive(Debug, Clone)]
pub struct Flight<V> {
    result: watch::Receiver<Telling<V>>,
    began: Instant,
    led: bool,
    /// How far it is.
    pub stage: InFlight,
}

impl<V: Clone> Flight<V> {
    /// Waits for its end, or for what it tells before.
    ///
    /// # Errors
    /// `Lost` when the work panicked.
    pub async fn landed(self) -> Result<Joined<V>, FlightError> {
        self.told(|told| !matches!(told, Telling::Nothing)).await
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// `Lost` when the work panicked.
    pub async fn ended(self) -> Result<Joined<V>, FlightError> {
        self.told(|told| matches!(told, Telling::Last(_))).await
    }

    async fn told(mut self, is_it: fn(&Telling<V>) -> bool) -> Result<Joined<V>, FlightError> {
        let told = self.result.wait_for(is_it).await;
        let value = told.ok().and_then(|told| told.value());
        let led = self.led;
        value
            .map(|value| Joined { value, led })
            .ok_or(FlightError::Lost)
    }

    /// Waits for its end until so long after its beginning, or until it is set back; nothing when it
    /// goes on then. What is told before the end does not count.
    ///
    /// # Errors
    /// `Lost` when the work panicked.
    pub async fn landed_within(self, patience: Duration) -> Result<Option<Joined<V>>, FlightError> {
        // A time that cannot be reckoned never comes.
        let Some(end) = self.began.checked_add(patience) else {
            return self.ended().await.map(Some);
        };
        let stage = self.stage.clone();
        let waiting = async {
            tokio::select! {
                biased;
                ended = self.ended() => ended.map(Some),
                () = stage.until_set_back() => Ok(None),
            }
        };
        timeout_at(end, waiting).await.unwrap_or(Ok(None))
    }
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Runs work on `work`, at most `flights_max` different keys at one time.
    #[must_use]
    pub fn new(work: Handle, flights_max: usize) -> Self {
        Self {
            under_way: Arc::default(),
            work,
            flights_max,
        }
    }

    /// Joins the flight of this key, or starts it, and waits for its end.
    ///
    /// # Errors
    /// `Busy` when there are too many others, `Lost` when the work panicked.
    pub async fn join<F>(&self, key: K, make: impl FnOnce() -> F) -> Result<Joined<V>, FlightError>
    where
        F: Future<Output = V> + Send + 'static,
    {
        self.board(key, |_| make())?.landed().await
    }

    /// Starts the flight of this key unless it is under way already, and does not wait for it.
    ///
    /// # Errors
    /// `Busy` when there are too many others.
    pub fn start<F>(&self, key: K, make: impl FnOnce() -> F) -> Result<(), FlightError>
    where
        F: Future<Output = V> + Send + 'static,
    {
        self.board(key, |_| make()).map(drop)
    }

    /// Joins the flight of this key, or starts it; its work may say that it is set back.
    ///
    /// # Errors
    /// `Busy` when there are too many others.
    pub fn board<F>(
        &self,
        key: K,
        make: impl FnOnce(InFlight) -> F,
    ) -> Result<Flight<V>, FlightError>
    where
        F: Future<Output = V> + Send + 'static,
    {
        self.board_early(key, |stage, _| make(stage))
    }

    /// The same; its work may also tell a result before it ends.
    ///
    /// # Errors
    /// `Busy` when there are too many others.
    pub fn board_early<F>(
        &self,
        key: K,
        make: impl FnOnce(InFlight, Early<V>) -> F,
    ) -> Result<Flight<V>, FlightError>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = under_way.get(&key) {
            return Ok(flight.clone());
        }
        if under_way.len() >= self.flights_max {
            return Err(FlightError::Busy(self.flights_max));
        }
        let (sender, result) = watch::channel(Telling::Nothing);
        let flight = Flight {
            result,
            began: Instant::now(),
            led: false,
            stage: InFlight::default(),
        };
        under_way.insert(key.clone(), flight.clone());
        drop(under_way);
        let landing = Landing {
            key,
            stage: flight.stage.clone(),
            under_way: Arc::clone(&self.under_way),
        };
        let work = make(flight.stage.clone(), Early(sender.clone()));
        self.work.spawn(async move {
            let value = work.await;
            // First removed, then announced: a request that comes after this starts a new flight.
            drop(landing);
            sender.send_replace(Telling::Last(value));
        });
        Ok(Flight {
            led: true,
            ..flight
        })
    }
}

/// Removes a flight, however it ends.
struct Landing<K: Eq + Hash, V> {
    key: K,
    stage: InFlight,
    under_way: Arc<Board<K, V>>,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
        // Last: who sees that it is over starts anew, if anything.
        self.stage.end();
    }
}

impl<K, V> fmt::Debug for Flights<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Flights(at most {})", self.flights_max)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;
    use tokio::sync::Notify;

    use super::*;

    fn under_way<K, V>(flights: &Flights<K, V>) -> usize {
        flights.under_way.lock().unwrap().len()
    }

    #[tokio::test]
    async fn all_who_ask_at_once_share_one_run() {
        let flights = Arc::new(Flights::new(Handle::current(), 4));
        let (runs, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let ask = || {
            let (flights, runs, gate) = (flights.clone(), runs.clone(), gate.clone());
            async move {
                let work = move || async move {
                    gate.notified().await;
                    runs.fetch_add(1, Ordering::SeqCst)
                };
                flights.join("key", work).await.unwrap()
            }
        };
        let opener = async {
            while under_way(&flights) == 0 {
                tokio::task::yield_now().await;
            }
            gate.notify_one();
        };
        let (answers, ()) = tokio::join!(join_all((0..32).map(|_| ask())), opener);
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert_eq!(answers.iter().filter(|joined| joined.led).count(), 1);
        assert!(answers.iter().all(|joined| joined.value == 0));
        assert!(under_way(&flights) == 0);
    }

    #[tokio::test]
    async fn work_goes_on_when_its_starter_leaves() {
        let flights = Arc::new(Flights::new(Handle::current(), 4));
        let (gate, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (inner_gate, inner_done) = (gate.clone(), done.clone());
        let starter = flights.join(1, move || async move {
            inner_gate.notified().await;
            inner_done.notify_one();
        });
        // Polled once, so that it starts; then dropped.
        assert!(
            futures_util::future::poll_immediate(Box::pin(starter))
                .await
                .is_none()
        );
        gate.notify_one();
        done.notified().await;
    }

    #[tokio::test]
    async fn a_panic_and_a_crowd_are_errors_for_those_who_wait() {
        let flights: Flights<u8, u8> = Flights::new(Handle::current(), 1);
        let lost = flights.join(1, || async { panic!("on purpose") }).await;
        assert_eq!(lost.unwrap_err(), FlightError::Lost);
        let pending = flights.join(2, std::future::pending);
        assert!(
            futures_util::future::poll_immediate(Box::pin(pending))
                .await
                .is_none()
        );
        let busy = flights.join(3, || async { 0 }).await;
        assert_eq!(busy.unwrap_err(), FlightError::Busy(1));
    }

    #[tokio::test]
    async fn after_a_panic_the_next_one_starts_anew() {
        let flights: Flights<u8, u8> = Flights::new(Handle::current(), 1);
        assert!(
            flights
                .join(1, || async { panic!("on purpose") })
                .await
                .is_err()
        );
        let again = flights.join(1, || async { 7 }).await.unwrap();
        assert_eq!((again.value, again.led), (7, true));
    }

    #[tokio::test]
    async fn whoever_comes_after_the_end_starts_anew() {
        let flights: Flights<u8, u32> = Flights::new(Handle::current(), 1);
        let runs = Arc::new(AtomicU32::new(0));
        for expected in 0..3 {
            let runs = Arc::clone(&runs);
            let work = move || async move { runs.fetch_add(1, Ordering::SeqCst) };
            assert_eq!(flights.join(1, work).await.unwrap().value, expected);
        }
    }

    #[tokio::test]
    async fn one_flight_does_not_wait_for_another() {
        let flights: Flights<u8, u8> = Flights::new(Handle::current(), 2);
        let pending = flights.join(1, std::future::pending);
        assert!(
            futures_util::future::poll_immediate(Box::pin(pending))
                .await
                .is_none()
        );
        assert_eq!(flights.join(2, || async { 2 }).await.unwrap().value, 2);
        assert_eq!(under_way(&flights), 1);
    }

    #[test]
    fn nobody_waits_for_work_on_a_runtime_that_is_gone() {
        let build = || {
            tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap()
        };
        let (waiting, working) = (build(), build());
        let flights: Flights<u8, u8> = Flights::new(working.handle().clone(), 1);
        waiting.block_on(async {
            let mut joined = Box::pin(flights.join(1, std::future::pending));
            assert!(
                futures_util::future::poll_immediate(&mut joined)
                    .await
                    .is_none()
            );
            working.shutdown_background();
            assert_eq!(joined.await.unwrap_err(), FlightError::Lost);
            let after = flights.join(2, || async { 0 }).await;
            assert_eq!(after.unwrap_err(), FlightError::Lost);
        });
        assert!(under_way(&flights) == 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flight_is_waited_for_once() {
        let flights: Flights<u8, u8> = Flights::new(Handle::current(), 1);
        let patience = Duration::from_millis(250);
        let board = || {
            let pending = |_| std::future::pending();
            flights.board(1, pending).unwrap()
        };
        let began = Instant::now();
        assert!(board().landed_within(patience).await.unwrap().is_none());
        assert_eq!(began.elapsed(), patience);
        for _ in 0..3 {
            assert!(board().landed_within(patience).await.unwrap().is_none());
        }
        assert_eq!(
            began.elapsed(),
            patience,
            "the same flight was waited for again"
        );
        assert!(!board().stage.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flight_that_is_set_back_is_not_waited_for_and_goes_on() {
        let flights: Flights<u8, u8> = Flights::new(Handle::current(), 1);
        let gate = Arc::new(Notify::new());
        let inner = Arc::clone(&gate);
        let work = |stage: InFlight| async move {
            stage.set_back();
            inner.notified().await;
            7
        };
        let began = Instant::now();
        let flight = flights.board(1, work).unwrap();
        let stage = flight.stage.clone();
        let hour = Duration::from_hours(1);
        assert!(flight.clone().landed_within(hour).await.unwrap().is_none());
        assert!(flight.clone().landed_within(hour).await.unwrap().is_none());
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(stage.is_set_back() && !stage.is_over());
        gate.notify_one();
        assert_eq!(flight.clone().landed().await.unwrap().value, 7);
        assert!(stage.is_over());
        // What has landed is at hand, whatever came before.
        let landed = flight.landed_within(Duration::ZERO).await.unwrap();
        assert_eq!(landed.map(|joined| joined.value), Some(7));
    }

    #[tokio::test]
    async fn what_a_flight_tells_early_is_the_result_for_who_does_not_wait_for_its_end() {
        let flights: Flights<u8, u8> = Flights::new(Handle::current(), 1);
        let (told, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (inner_told, inner_gate) = (Arc::clone(&told), Arc::clone(&gate));
        let work = |_, early: Early<u8>| async move {
            early.tell(1);
            inner_told.notify_one();
            inner_gate.notified().await;
            2
        };
        let flight = flights.board_early(1, work).unwrap();
        told.notified().await;
        let joined = flights.board(1, |_| std::future::pending()).unwrap();
        assert_eq!(joined.landed().await.unwrap().value, 1);
        let within = flight.clone().landed_within(Duration::ZERO).await;
        assert!(within.unwrap().is_none());
        gate.notify_one();
        assert_eq!(flight.clone().ended().await.unwrap().value, 2);
        assert_eq!(flight.landed().await.unwrap().value, 2);
    }

    #[tokio::test]
    async fn a_flight_that_is_lost_after_it_told_something_has_no_end() {
        let flights: Flights<u8, u8> = Flights::new(Handle::current(), 1);
        let work = |_, early: Early<u8>| async move {
            early.tell(1);
            panic!("on purpose")
        };
        let flight = flights.board_early(1, work).unwrap();
        assert_eq!(flight.ended().await.unwrap_err(), FlightError::Lost);
    }

    #[tokio::test]
    async fn a_flight_is_over_however_it_ends() {
        let flights: Flights<u8, u8> = Flights::new(Handle::current(), 1);
        let flight = flights.board(1, |_| async { panic!("on purpose") });
        let flight = flight.unwrap();
        let stage = flight.stage.clone();
        assert!(flight.landed().await.is_err());
        assert!(stage.is_over());
    }
}
