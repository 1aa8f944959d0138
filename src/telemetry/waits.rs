//! Permits, and every wait for one counted and timed in the same place.
//!
//! Only a wait is recorded: a permit that is free costs one look and no clock. A wait that is given up,
//! because its time is over or its client has gone, counts like any other. The short locks around tables
//! in memory are not metered; `tests/it/tidy` holds everything else that is waited for to these types.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use prometheus::{Histogram, HistogramTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Why taking a permit cannot fail.
const NEVER_CLOSED: &str = "the semaphore is never closed";

/// Counts and times the waits for one thing. Its clones are one meter. The default one shows nowhere: it
/// is for commands without a metrics door, and for what nobody waits for.
#[derive(Debug, Clone, Default)]
pub struct WaitMeter(Option<Histogram>);

/// So many permits. Its clones share them.
#[derive(Debug, Clone)]
pub struct Permits {
    free: Arc<Semaphore>,
    size: u32,
    meter: WaitMeter,
}

/// One or more permits, given back when dropped.
#[derive(Debug)]
pub struct HeldPermits(OwnedSemaphorePermit);

impl WaitMeter {
    pub(super) fn of(seconds: Histogram) -> Self {
        Self(Some(seconds))
    }

    /// Starts a wait, which ends when the timer is dropped.
    #[must_use]
    pub fn start(&self) -> Option<HistogramTimer> {
        self.0.as_ref().map(Histogram::start_timer)
    }

    /// Locks a mutex that is held while the disk works. A thread that panicked while holding it does not
    /// keep others from it.
    pub fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> MutexGuard<'a, T> {
        match mutex.try_lock() {
            Ok(free) => free,
            Err(TryLockError::Poisoned(free)) => free.into_inner(),
            Err(TryLockError::WouldBlock) => {
                let _timer = self.start();
                mutex.lock().unwrap_or_else(PoisonError::into_inner)
            }
        }
    }
}

impl Permits {
    /// At least one permit, and no more than fit into 32 bits.
    #[must_use]
    pub fn new(size: usize, meter: WaitMeter) -> Self {
        let most = Semaphore::MAX_PERMITS.min(u32::MAX as usize);
        let size = size.clamp(1, most);
        Self {
            free: Arc::new(Semaphore::new(size)),
            size: u32::try_from(size).unwrap_or(u32::MAX),
            meter,
        }
    }

    /// A single permit, whose holder works alone.
    #[must_use]
    pub fn one(meter: WaitMeter) -> Self {
        Self::new(1, meter)
    }

    /// How many there are, held or not.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.size
    }

    /// A permit, if one is free.
    #[must_use]
    pub fn try_take(&self) -> Option<HeldPermits> {
        self.try_take_many(1)
    }

    /// So many permits, if they are free.
    #[must_use]
    pub fn try_take_many(&self, count: u32) -> Option<HeldPermits> {
        let taken = Arc::clone(&self.free).try_acquire_many_owned(count);
        taken.ok().map(HeldPermits)
    }

    /// Takes a permit, first come, first served.
    pub async fn take(&self) -> HeldPermits {
        self.take_many(1).await
    }

    /// Takes `count` permits; waits forever if there are fewer in total.
    pub async fn take_many(&self, count: u32) -> HeldPermits {
        if let Some(taken) = self.try_take_many(count) {
            return taken;
        }
        let _timer = self.meter.start();
        self.queue(count).await
    }

    /// Waits until every permit has been given back. Nobody is kept waiting by that, so it is not counted.
    pub async fn all_returned(&self) {
        drop(self.queue(self.size).await);
    }

    async fn queue(&self, count: u32) -> HeldPermits {
        let taken = Arc::clone(&self.free).acquire_many_owned(count).await;
        HeldPermits(taken.expect(NEVER_CLOSED))
    }
}

impl HeldPermits {
    /// How many permits these are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.num_permits()
    }

    /// Gives some of them back, or all if there are fewer than `count`.
    pub fn give_back(&mut self, count: usize) {
        drop(self.0.split(count.min(self.count())));
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;
    use prometheus::HistogramOpts;

    use super::*;

    fn meter() -> (WaitMeter, Histogram) {
        let seconds = Histogram::with_opts(HistogramOpts::new("waits", "Waits.")).unwrap();
        (WaitMeter::of(seconds.clone()), seconds)
    }

    #[test]
    fn a_free_permit_is_no_wait_and_one_that_is_held_is_one() {
        let (meter, seconds) = meter();
        let permits = Permits::new(2, meter);
        let first = permits.take().now_or_never().unwrap();
        let second = permits.try_take().unwrap();
        assert_eq!(seconds.get_sample_count(), 0);
        let mut third = pin!(permits.take());
        assert!(third.as_mut().now_or_never().is_none());
        assert!(permits.try_take().is_none());
        assert_eq!(seconds.get_sample_count(), 0, "it is not over");
        drop(first);
        assert!(third.now_or_never().is_some());
        assert_eq!(seconds.get_sample_count(), 1);
        drop(second);
    }

    #[test]
    fn a_wait_that_is_given_up_counts_and_one_for_the_end_does_not() {
        let (meter, seconds) = meter();
        let permits = Permits::new(8, meter);
        let mut most = permits.take_many(7).now_or_never().unwrap();
        assert!(permits.take_many(2).now_or_never().is_none());
        assert_eq!(seconds.get_sample_count(), 1);
        assert!(permits.all_returned().now_or_never().is_none());
        most.give_back(2);
        assert_eq!(most.count(), 5);
        assert!(permits.try_take_many(3).is_some());
        most.give_back(9);
        assert!(permits.all_returned().now_or_never().is_some());
        assert_eq!(seconds.get_sample_count(), 1);
    }

    #[test]
    fn a_mutex_that_somebody_holds_is_waited_for_and_counted() {
        let (meter, seconds) = meter();
        let mutex = Mutex::new(0);
        *meter.lock(&mutex) += 1;
        assert_eq!(seconds.get_sample_count(), 0);
        // Nothing shows that the other thread has found it held, so a turn may be too short for that.
        for _ in 0..10_000 {
            let held = meter.lock(&mutex);
            std::thread::scope(|scope| {
                scope.spawn(|| *meter.lock(&mutex) += 1);
                std::thread::sleep(std::time::Duration::from_millis(1));
                drop(held);
            });
            if seconds.get_sample_count() == 1 {
                return;
            }
        }
        panic!("nobody waited");
    }
}
