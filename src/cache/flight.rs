//! One flight per key: a request that comes while the work is under way shares its result.
//!
//! The work runs as a task of its own, so that it continues when the request that started it ends.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;

/// Work under way, by key.
pub struct Flights<K, V> {
    under_way: Arc<Mutex<HashMap<K, watch::Receiver<Option<V>>>>>,
    work: Handle,
    flights_max: usize,
}

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

    /// Joins the flight of this key, or starts it.
    ///
    /// # Errors
    /// `Busy` when there are too many others, `Lost` when the work panicked.
    pub async fn join<F>(&self, key: K, make: impl FnOnce() -> F) -> Result<Joined<V>, FlightError>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (mut result, led) = self.enter(key, make)?;
        let value = match result.wait_for(Option::is_some).await {
            Ok(value) => value.clone(),
            Err(_) => None,
        };
        value
            .map(|value| Joined { value, led })
            .ok_or(FlightError::Lost)
    }

    /// Starts the flight of this key unless it is under way already, and does not wait for it.
    ///
    /// # Errors
    /// `Busy` when there are too many others.
    pub fn start<F>(&self, key: K, make: impl FnOnce() -> F) -> Result<(), FlightError>
    where
        F: Future<Output = V> + Send + 'static,
    {
        self.enter(key, make).map(drop)
    }

    fn enter<F>(
        &self,
        key: K,
        make: impl FnOnce() -> F,
    ) -> Result<(watch::Receiver<Option<V>>, bool), FlightError>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(result) = under_way.get(&key) {
            return Ok((result.clone(), false));
        }
        if under_way.len() >= self.flights_max {
            return Err(FlightError::Busy(self.flights_max));
        }
        let (sender, result) = watch::channel(None);
        under_way.insert(key.clone(), result.clone());
        drop(under_way);
        let landing = Landing {
            key,
            under_way: Arc::clone(&self.under_way),
        };
        let work = make();
        self.work.spawn(async move {
            let value = work.await;
            // First removed, then announced: a request that comes after this starts a new flight.
            drop(landing);
            sender.send_replace(Some(value));
        });
        Ok((result, true))
    }
}

/// Removes a flight, however it ends.
struct Landing<K: Eq + Hash, V> {
    key: K,
    under_way: Arc<Mutex<HashMap<K, watch::Receiver<Option<V>>>>>,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
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
}
