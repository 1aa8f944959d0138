//! Slows down guessing: after a few wrong passwords the next try has to wait, longer each time.
//!
//! Attempts are counted for each pair of user and address, so that a stranger cannot lock a user out
//! everywhere, and for each address, so that one address cannot try one password on every user.
//!
//! An attempt counts from before its password is checked: of guesses made at the same time, only as
//! many are checked as could have been made one after the other; the rest wait for the outcome. So
//! people who log in with the right password from many jobs at once wait only a little.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::account::guesses::{Guesser, Guesses};
use crate::model::Timestamp;
use crate::telemetry::WaitMeter;

/// Entries kept. When there are more, those that no longer have to wait go first.
const ENTRIES_MAX: usize = 20_000;

/// Attempts that may wait for others to be checked; each holds a request.
const QUEUE_MAX: usize = 512;

/// How long an attempt that finds the queue full is told to wait.
const QUEUE_WAIT: Duration = Duration::from_secs(1);

/// Who has been guessing.
#[derive(Debug, Default)]
pub struct LoginLimiter {
    guessing: Mutex<HashMap<Guesser, Guesses>>,
    /// Told whenever it is known how an attempt went.
    settled: Notify,
    queued: AtomicUsize,
    meter: WaitMeter,
}

/// What happens to an attempt.
#[derive(Debug)]
enum Entry<'a> {
    Go(Attempt<'a>),
    /// Others have to be settled first.
    Queue,
    Wait(Duration),
}

/// A password that is being checked. It counts as wrong unless stated otherwise, even when its client
/// leaves first.
#[derive(Debug)]
pub struct Attempt<'a> {
    limiter: &'a LoginLimiter,
    guessers: [Guesser; 2],
    now: Timestamp,
    is_settled: bool,
}

impl LoginLimiter {
    /// With the waits in its queue counted.
    pub fn metered(meter: WaitMeter) -> Self {
        Self {
            meter,
            ..Self::default()
        }
    }

    /// Lets a password of this user be checked for this address, perhaps after others.
    ///
    /// # Errors
    /// How long to wait before it may be tried again.
    pub async fn enter(
        &self,
        user: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Attempt<'_>, Duration> {
        let mut place = None;
        loop {
            let mut settled = pin!(self.settled.notified());
            // From here on no settlement is missed.
            settled.as_mut().enable();
            match self.try_enter(user, address, now) {
                Entry::Go(attempt) => return Ok(attempt),
                Entry::Wait(wait) => return Err(wait),
                Entry::Queue => {}
            }
            if place.is_none() {
                let taken = Place::take(&self.queued).ok_or(QUEUE_WAIT)?;
                place = Some((taken, self.meter.start()));
            }
            settled.await;
        }
    }

    fn try_enter(&self, user: &str, address: IpAddr, now: Timestamp) -> Entry<'_> {
        let guessers = Guesser::both(user, address);
        let mut guessing = self.guessing();
        let known = guessers.each_ref().map(|guesser| {
            let guesses = guessing.get(guesser).copied().unwrap_or(Guesses::NONE);
            guesses.at(now)
        });
        let waits = known
            .iter()
            .filter_map(|guesses| Duration::try_from(guesses.wait_until.duration_since(now)).ok());
        if let Some(wait) = waits.max().filter(|wait| !wait.is_zero()) {
            return Entry::Wait(wait);
        }
        let is_full = guessers.iter().zip(&known).any(|(guesser, guesses)| {
            let left = (guesser.free() + 1).saturating_sub(guesses.wrong).max(1);
            guesses.pending >= left
        });
        if is_full {
            return Entry::Queue;
        }
        make_room(&mut guessing, now);
        for (guesser, guesses) in guessers.iter().zip(known) {
            let pending = guesses.pending + 1;
            guessing.insert(guesser.clone(), Guesses { pending, ..guesses });
        }
        Entry::Go(Attempt {
            limiter: self,
            guessers,
            now,
            is_settled: false,
        })
    }

    fn guessing(&self) -> MutexGuard<'_, HashMap<Guesser, Guesses>> {
        self.guessing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// It was right: the pair starts afresh, the address does not.
    pub fn right(self) {
        self.settle(|guesser, guesses| match guesser {
            Guesser::Pair(..) => guesses.forgotten(),
            Guesser::Address(_) => guesses,
        });
    }

    /// It could not be checked, so it counts as no guess.
    pub fn forgive(self) {
        self.settle(|_, guesses| guesses);
    }

    /// It was wrong.
    pub fn wrong(self) {
        drop(self);
    }

    fn settle(mut self, outcome: impl Fn(&Guesser, Guesses) -> Guesses) {
        self.note(outcome);
        self.is_settled = true;
    }

    fn note(&self, outcome: impl Fn(&Guesser, Guesses) -> Guesses) {
        let mut guessing = self.limiter.guessing();
        for guesser in &self.guessers {
            let known = guessing.get(guesser).copied().unwrap_or(Guesses::NONE);
            let mut guesses = known.at(self.now);
            guesses.pending = guesses.pending.saturating_sub(1);
            let guesses = outcome(guesser, guesses);
            if guesses.is_worth_keeping(self.now) {
                guessing.insert(guesser.clone(), guesses);
            } else {
                guessing.remove(guesser);
            }
        }
        drop(guessing);
        self.limiter.settled.notify_waiters();
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        self.note(|guesser, guesses| guesses.after_a_wrong_one(guesser, self.now));
    }
}

/// A place in the queue.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(queued: &'a AtomicUsize) -> Option<Self> {
        if queued.fetch_add(1, Ordering::Relaxed) < QUEUE_MAX {
            return Some(Self(queued));
        }
        queued.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn make_room(guessing: &mut HashMap<Guesser, Guesses>, now: Timestamp) {
    if guessing.len() < ENTRIES_MAX {
        return;
    }
    guessing.retain(|_, guesses| guesses.is_worth_keeping(now));
    if guessing.len() >= ENTRIES_MAX {
        guessing.retain(|_, guesses| guesses.pending > 0 || now < guesses.wait_until);
    }
    if guessing.len() >= ENTRIES_MAX {
        guessing.clear();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::account::guesses::{ADDRESS_WAIT_MAX, FREE_PER_ADDRESS, FREE_PER_USER, WAIT_MAX};

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    /// `None`, or how long an attempt has to wait.
    fn wait(
        limiter: &LoginLimiter,
        user: &str,
        address: IpAddr,
        at: Timestamp,
    ) -> Option<Duration> {
        match limiter.try_enter(user, address, at) {
            Entry::Go(attempt) => {
                attempt.forgive();
                None
            }
            Entry::Wait(wait) => Some(wait),
            Entry::Queue => panic!("nothing is being checked"),
        }
    }

    /// Guesses wrong as soon as it may: when that was.
    fn guess(limiter: &LoginLimiter, user: &str, address: IpAddr, from: Timestamp) -> Timestamp {
        let at = from + wait(limiter, user, address, from).unwrap_or_default();
        let Entry::Go(attempt) = limiter.try_enter(user, address, at) else {
            panic!("it has waited")
        };
        attempt.wrong();
        at
    }

    #[test]
    fn a_few_are_free_then_each_wait_is_twice_as_long() {
        let limiter = LoginLimiter::default();
        let (mut at, mut waits) = (now(), Vec::new());
        for _ in 0..9 {
            at = guess(&limiter, "u", HERE, at);
            waits.push(wait(&limiter, "u", HERE, at).map_or(0, |wait| wait.as_secs()));
        }
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8]);
        assert_eq!(
            wait(&limiter, "u", HERE, at + Duration::from_secs(8)),
            None,
            "it is over"
        );
        for _ in 0..20 {
            at = guess(&limiter, "u", HERE, at);
        }
        assert_eq!(wait(&limiter, "u", HERE, at), Some(WAIT_MAX));
    }

    #[test]
    fn others_do_not_wait_and_a_right_password_ends_it() {
        let limiter = LoginLimiter::default();
        let mut at = now();
        for _ in 0..8 {
            at = guess(&limiter, "u", HERE, at);
        }
        let over = at + wait(&limiter, "u", HERE, at).unwrap();
        assert_eq!(wait(&limiter, "v", HERE, at), None, "another user");
        assert_eq!(wait(&limiter, "u", THERE, at), None, "another address");
        let Entry::Go(attempt) = limiter.try_enter("u", HERE, over) else {
            panic!("it has waited")
        };
        attempt.right();
        guess(&limiter, "u", HERE, over);
        assert_eq!(wait(&limiter, "u", HERE, over), None);
    }

    #[test]
    fn a_name_in_another_case_is_no_other_name() {
        let limiter = LoginLimiter::default();
        for name in ["anna", "Anna", "aNna", "anNa", "annA", "ANNA"] {
            assert_eq!(wait(&limiter, name, HERE, now()), None, "{name}");
            guess(&limiter, name, HERE, now());
        }
        assert!(wait(&limiter, "anna", HERE, now()).is_some());
        assert!(wait(&limiter, "AnnA", HERE, now()).is_some());
    }

    #[test]
    fn one_password_for_every_user_is_guessing_too() {
        let limiter = LoginLimiter::default();
        let mut at = now();
        for user in 0..=FREE_PER_ADDRESS {
            at = guess(&limiter, &user.to_string(), HERE, at);
        }
        assert!(wait(&limiter, "one more", HERE, at).is_some());
        for user in 0..100 {
            at = guess(&limiter, &user.to_string(), HERE, at);
        }
        assert_eq!(wait(&limiter, "one more", HERE, at), Some(ADDRESS_WAIT_MAX));
        assert_eq!(wait(&limiter, "one more", THERE, at), None);
    }

    #[test]
    fn a_whole_network_is_one_address() {
        let limiter = LoginLimiter::default();
        for host in 1..=FREE_PER_USER + 1 {
            let address = format!("2001:db8::{host}").parse().unwrap();
            guess(&limiter, "u", address, now());
        }
        let next = "2001:db8::ffff".parse().unwrap();
        assert!(wait(&limiter, "u", next, now()).is_some());
        let other = "2001:db8:0:1::1".parse().unwrap();
        assert_eq!(wait(&limiter, "u", other, now()), None);
    }

    #[test]
    fn a_quiet_quarter_of_an_hour_is_forgiven() {
        let limiter = LoginLimiter::default();
        for _ in 0..6 {
            guess(&limiter, "u", HERE, now());
        }
        let later = now() + WAIT_MAX + Duration::from_secs(1);
        guess(&limiter, "u", HERE, later);
        assert_eq!(
            wait(&limiter, "u", HERE, later),
            None,
            "that was the first one again"
        );
    }

    #[test]
    fn at_the_same_time_no_more_are_checked_than_one_after_the_other() {
        let limiter = LoginLimiter::default();
        let mut attempts = Vec::new();
        let mut queue = 0;
        for _ in 0..60 {
            match limiter.try_enter("u", HERE, now()) {
                Entry::Go(attempt) => attempts.push(attempt),
                Entry::Queue => queue += 1,
                Entry::Wait(wait) => panic!("{wait:?}"),
            }
        }
        assert_eq!((attempts.len(), queue), (6, 54));
        attempts.into_iter().for_each(Attempt::wrong);
        assert_eq!(
            wait(&limiter, "u", HERE, now()),
            Some(Duration::from_secs(1)),
            "the rest hear that they have to wait"
        );
    }

    #[test]
    fn beyond_what_is_free_one_is_checked_at_a_time() {
        let limiter = LoginLimiter::default();
        let mut at = now();
        for _ in 0..10 {
            at = guess(&limiter, "u", HERE, at);
        }
        let at = at + WAIT_MAX;
        let first = limiter.try_enter("u", HERE, at);
        assert!(matches!(first, Entry::Go(_)), "{first:?}");
        assert!(matches!(limiter.try_enter("u", HERE, at), Entry::Queue));
    }

    #[test]
    fn what_could_not_be_checked_is_no_guess_and_what_was_left_is() {
        let limiter = LoginLimiter::default();
        for _ in 0..100 {
            assert_eq!(wait(&limiter, "u", HERE, now()), None);
        }
        assert!(limiter.guessing().is_empty());
        for _ in 0..6 {
            // Its client has gone, and nobody saw the outcome.
            drop(limiter.try_enter("u", HERE, now()));
        }
        assert!(wait(&limiter, "u", HERE, now()).is_some());
    }

    #[test]
    fn who_waits_for_others_goes_on_when_they_are_settled() {
        let limiter = LoginLimiter::default();
        let mut attempts = Vec::new();
        for _ in 0..6 {
            let entered = limiter.enter("u", HERE, now()).now_or_never();
            attempts.push(entered.unwrap().unwrap());
        }
        let mut next = Box::pin(limiter.enter("u", HERE, now()));
        assert!(next.as_mut().now_or_never().is_none());
        attempts.pop().unwrap().right();
        let entered = next.as_mut().now_or_never();
        entered.unwrap().unwrap().forgive();
        drop(next);
        assert_eq!(limiter.queued.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn it_does_not_grow_for_ever_whatever_names_are_sent() {
        let limiter = LoginLimiter::default();
        for user in 0..ENTRIES_MAX + 10 {
            let address = std::net::Ipv4Addr::from_bits(user as u32).into();
            let long = format!("{user}{}", "x".repeat(1 << 10));
            limiter.try_enter(&long, address, now());
        }
        let guessing = limiter.guessing();
        assert!(guessing.len() <= ENTRIES_MAX + 2, "{}", guessing.len());
        let is_short = |guesser: &Guesser| match guesser {
            Guesser::Pair(user, _) => user.len() <= 200,
            Guesser::Address(_) => true,
        };
        assert!(guessing.keys().all(is_short));
    }
}
