//! One budget for everything being decompressed and parsed, whoever sent it and however many in parallel.
//!
//! Sixty kilobytes may unpack to sixty megabytes, and twenty of them may come at the same time. Each reader
//! takes a [`Share`] that grows with what it holds, and waits when the budget is spent. Readers that all
//! hold a part and wait for more would deadlock, so half of the budget is reserved for one of them at a
//! time, the last: it waits for nobody any more, and the rest is freed when it is done. So no single answer
//! may take more than half, which `config` ensures.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::model::WorkLimits;
use crate::telemetry::{HeldPermits, Permits, WaitMeter};

/// The unit of shares.
const UNIT_BYTES: u64 = 1 << 10;

/// The budget; clones share it.
#[derive(Debug, Clone)]
pub struct Decoding(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    bytes_max: u64,
    wait: Duration,
    common: Permits,
    last: Permits,
}

/// There was no room in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("as much is being unpacked as limits.decoding allows; try again")]
pub struct Crowded;

/// One reader's part of the budget; given back when dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    units: u64,
    common: Vec<HeldPermits>,
    last: Option<HeldPermits>,
    is_waiting: bool,
}

impl Decoding {
    /// The budget that the limits allow.
    #[must_use]
    pub fn of(limits: &WorkLimits, meter: WaitMeter) -> Self {
        Self::metered(limits.decoding, limits.decoding_wait, meter)
    }

    /// A budget of `bytes_max` in total; [`Decoding::share_of`] waits for a part of it for `wait`.
    #[must_use]
    pub fn new(bytes_max: u64, wait: Duration) -> Self {
        Self::metered(bytes_max, wait, WaitMeter::default())
    }

    fn metered(bytes_max: u64, wait: Duration, meter: WaitMeter) -> Self {
        let units = usize::try_from(units_of(bytes_max / 2)).unwrap_or(usize::MAX);
        Self(Arc::new(Budget {
            bytes_max,
            wait,
            common: Permits::new(units, meter),
            // Waited for together with the others, and counted there.
            last: Permits::one(WaitMeter::default()),
        }))
    }

    /// A share of `bytes`, or the most that one reader can have.
    ///
    /// # Errors
    /// When there is no room in time.
    pub async fn share_of(&self, bytes: u64) -> Result<Share, Crowded> {
        let mut share = self.share();
        let grown = timeout(
            self.0.wait,
            share.grow_to(bytes.min(self.share_bytes_max())),
        );
        grown.await.map_err(|_| Crowded)?;
        Ok(share)
    }

    /// The most bytes that one reader can have.
    #[must_use]
    pub fn share_bytes_max(&self) -> u64 {
        self.0.bytes_max / 2
    }

    /// An empty share.
    #[must_use]
    pub fn share(&self) -> Share {
        Share {
            budget: Arc::clone(&self.0),
            units: 0,
            common: Vec::new(),
            last: None,
            is_waiting: false,
        }
    }
}

/// Two are equal if they allow the same amount.
impl PartialEq for Share {
    fn eq(&self, other: &Self) -> bool {
        self.units == other.units
    }
}

/// Two are equal if they are the same budget.
impl PartialEq for Decoding {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Share {
    /// How much may be held.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.units * UNIT_BYTES
    }

    /// Whether it is waiting to grow, or was when the wait was given up.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// Grows to at least `bytes`, as soon as there is room.
    pub async fn grow_to(&mut self, bytes: u64) {
        let wanted = units_of(bytes);
        let more = wanted.saturating_sub(self.units);
        if more > 0 && self.last.is_none() {
            let (common, last) = (&self.budget.common, &self.budget.last);
            let more = u32::try_from(more).unwrap_or(u32::MAX);
            if let Some(taken) = common.try_take_many(more) {
                self.common.push(taken);
            } else if let Some(taken) = last.try_take() {
                self.last = Some(taken);
            } else {
                self.is_waiting = true;
                tokio::select! {
                    biased;
                    taken = common.take_many(more) => self.common.push(taken),
                    taken = last.take() => self.last = Some(taken),
                }
                self.is_waiting = false;
            }
        }
        self.units = self.units.max(wanted);
    }

    /// Grows to `bytes`, or to the most that one reader can have, waiting for room no longer than the
    /// budget allows.
    ///
    /// # Errors
    /// When there is no room in time.
    pub async fn widen_to(&mut self, bytes: u64) -> Result<(), Crowded> {
        let wait = self.budget.wait;
        let bytes = bytes.min(self.budget.bytes_max / 2);
        let grown = timeout(wait, self.grow_to(bytes));
        grown.await.map_err(|_| Crowded)
    }

    /// Gives back what exceeds `bytes`.
    pub fn shrink_to(&mut self, bytes: u64) {
        let wanted = units_of(bytes).min(self.units);
        let mut surplus = usize::try_from(self.units - wanted).unwrap_or(usize::MAX);
        // The last reader has more than its permits cover, and cannot give that back.
        if self.last.is_some() {
            return;
        }
        while surplus > 0
            && let Some(mut permit) = self.common.pop()
        {
            let held = permit.count();
            permit.give_back(surplus);
            surplus = surplus.saturating_sub(held);
            if permit.count() > 0 {
                self.common.push(permit);
            }
        }
        self.units = wanted;
    }
}

fn units_of(bytes: u64) -> u64 {
    bytes.div_ceil(UNIT_BYTES)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const KIB: u64 = 1 << 10;

    fn budget_of(bytes_max: u64) -> Decoding {
        Decoding::new(bytes_max, Duration::from_secs(30))
    }

    /// A share of `kib` KiB, if there is one without waiting.
    fn taken(budget: &Decoding, kib: u64) -> Option<Share> {
        let mut share = budget.share();
        share.grow_to(kib * KIB).now_or_never()?;
        Some(share)
    }

    #[test]
    fn who_finds_the_budget_spent_waits_until_somebody_is_done() {
        let budget = budget_of(20 * KIB);
        let first = taken(&budget, 10).unwrap();
        // The other half is reserved for one reader.
        let second = taken(&budget, 1).unwrap();
        assert!(taken(&budget, 1).is_none());
        drop(first);
        let third = taken(&budget, 10).unwrap();
        drop(second);
        assert!(taken(&budget, 10).is_some());
        drop(third);
    }

    #[test]
    fn those_who_all_want_more_are_done_one_after_the_other() {
        let budget = budget_of(20 * KIB);
        let mut shares: Vec<Share> = (0..10).map(|_| taken(&budget, 1).unwrap()).collect();
        while let Some(mut share) = shares.pop() {
            assert!(share.grow_to(10 * KIB).now_or_never().is_some());
            assert_eq!(share.bytes(), 10 * KIB);
            if let Some(other) = shares.last_mut() {
                assert!(other.grow_to(10 * KIB).now_or_never().is_none());
                assert!(other.is_waiting());
            }
        }
        assert!(taken(&budget, 10).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_is_waited_for_within_a_bound_and_never_more_than_there_is() {
        let budget = budget_of(20 * KIB);
        let all = [
            budget.share_of(KIB << 20).await,
            budget.share_of(KIB << 20).await,
        ];
        assert!(
            all.iter()
                .all(|share| share.as_ref().is_ok_and(|share| share.bytes() == 10 * KIB))
        );
        assert_eq!(budget.share_of(1).await.map(drop), Err(Crowded));
        drop(all);
        assert!(budget.share_of(1).await.is_ok());
    }

    #[test]
    fn what_is_given_back_is_there_for_others() {
        let budget = budget_of(20 * KIB);
        let mut share = taken(&budget, 3).unwrap();
        assert!(share.grow_to(10 * KIB).now_or_never().is_some());
        share.shrink_to(2 * KIB);
        assert_eq!(share.bytes(), 2 * KIB);
        let others = (taken(&budget, 8).unwrap(), taken(&budget, 9).unwrap());
        assert!(taken(&budget, 1).is_none());
        drop((others, share));
        assert!(taken(&budget, 10).is_some());
    }
}
