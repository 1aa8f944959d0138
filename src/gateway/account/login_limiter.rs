//! Slows down guessing: after a few wrong passwords the next try has to wait, longer each time.
//!
//! Counted are pairs of user and address, so that a stranger cannot lock a user out of everywhere, and
//! addresses by themselves, so that one address cannot try one password on every user.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::model::Timestamp;

/// Wrong passwords of one user from one address before it has to wait.
const FREE_PER_USER: u32 = 5;

/// Wrong passwords from one address before it has to wait: a site behind one address has many users.
const FREE_PER_ADDRESS: u32 = 50;

/// Longest wait of a user at one address; also how long a quiet entry is remembered.
const WAIT_MAX: Duration = Duration::from_mins(15);

/// Longest wait of an address as a whole: one forgotten CI job must not lock out everybody beside it.
const ADDRESS_WAIT_MAX: Duration = Duration::from_secs(10);

/// Entries kept. When there are more, those that wait no longer go first.
const ENTRIES_MAX: usize = 20_000;

/// Who has been guessing.
#[derive(Debug, Default)]
pub struct LoginLimiter {
    guessing: Mutex<HashMap<Guesser, Guesses>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Guesser {
    Pair(String, IpAddr),
    Address(IpAddr),
}

impl Guesser {
    /// How long to wait after so many wrong ones: not at all while they are free, then 1 s, and twice as
    /// long each time.
    fn wait_after(&self, wrong: u32) -> Duration {
        let (free, longest) = match self {
            Self::Pair(..) => (FREE_PER_USER, WAIT_MAX),
            Self::Address(_) => (FREE_PER_ADDRESS, ADDRESS_WAIT_MAX),
        };
        match wrong.checked_sub(free + 1) {
            None => Duration::ZERO,
            Some(doublings) => Duration::from_secs(1 << doublings.min(20)).min(longest),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Guesses {
    wrong: u32,
    /// Before this instant nothing is checked.
    wait_until: Timestamp,
    /// From this instant on it is as if nothing had been.
    forget_at: Timestamp,
}

impl LoginLimiter {
    /// Nothing, or how long to wait before a password of this user is checked for this address.
    #[must_use]
    pub fn wait(&self, user: &str, address: IpAddr, now: Timestamp) -> Option<Duration> {
        let guessing = self.guessing.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = guessers(user, address).into_iter().filter_map(|guesser| {
            let guesses = guessing.get(&guesser)?;
            Duration::try_from(guesses.wait_until.duration_since(now)).ok()
        });
        waits.max().filter(|wait| !wait.is_zero())
    }

    /// Notes a wrong password.
    pub fn wrong(&self, user: &str, address: IpAddr, now: Timestamp) {
        let mut guessing = self.guessing.lock().unwrap_or_else(PoisonError::into_inner);
        if guessing.len() >= ENTRIES_MAX {
            guessing.retain(|_, guesses| now < guesses.forget_at);
        }
        if guessing.len() >= ENTRIES_MAX {
            guessing.retain(|_, guesses| now < guesses.wait_until);
        }
        if guessing.len() >= ENTRIES_MAX {
            guessing.clear();
        }
        for guesser in guessers(user, address) {
            let known = guessing
                .get(&guesser)
                .filter(|guesses| now < guesses.forget_at);
            let wrong = known.map_or(0, |guesses| guesses.wrong).saturating_add(1);
            let wait = guesser.wait_after(wrong);
            let after = |span: Duration| now.checked_add(span).unwrap_or(Timestamp::MAX);
            let guesses = Guesses {
                wrong,
                wait_until: after(wait),
                forget_at: after(wait + WAIT_MAX),
            };
            guessing.insert(guesser, guesses);
        }
    }

    /// Notes a right password: the pair starts afresh, the address does not.
    pub fn right(&self, user: &str, address: IpAddr) {
        let mut guessing = self.guessing.lock().unwrap_or_else(PoisonError::into_inner);
        guessing.remove(&Guesser::Pair(user.to_owned(), address));
    }
}

fn guessers(user: &str, address: IpAddr) -> [Guesser; 2] {
    [
        Guesser::Pair(user.to_owned(), address),
        Guesser::Address(address),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    #[test]
    fn a_few_are_free_then_each_wait_is_twice_as_long() {
        let limiter = LoginLimiter::default();
        let mut waits = Vec::new();
        for _ in 0..9 {
            limiter.wrong("u", HERE, now());
            waits.push(
                limiter
                    .wait("u", HERE, now())
                    .map_or(0, |wait| wait.as_secs()),
            );
        }
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8]);
        assert_eq!(
            limiter.wait("u", HERE, now() + Duration::from_secs(8)),
            None,
            "it is over"
        );
        for _ in 0..40 {
            limiter.wrong("u", HERE, now());
        }
        assert_eq!(limiter.wait("u", HERE, now()), Some(WAIT_MAX));
    }

    #[test]
    fn others_do_not_wait_and_a_right_password_ends_it() {
        let limiter = LoginLimiter::default();
        for _ in 0..8 {
            limiter.wrong("u", HERE, now());
        }
        assert!(limiter.wait("u", HERE, now()).is_some());
        assert_eq!(limiter.wait("v", HERE, now()), None, "another user");
        assert_eq!(limiter.wait("u", THERE, now()), None, "another address");
        limiter.right("u", HERE);
        assert_eq!(limiter.wait("u", HERE, now()), None);
    }

    #[test]
    fn one_password_for_every_user_is_guessing_too() {
        let limiter = LoginLimiter::default();
        for user in 0..=FREE_PER_ADDRESS {
            limiter.wrong(&user.to_string(), HERE, now());
        }
        assert!(limiter.wait("one more", HERE, now()).is_some());
        for user in 0..100 {
            limiter.wrong(&user.to_string(), HERE, now());
        }
        assert_eq!(
            limiter.wait("one more", HERE, now()),
            Some(ADDRESS_WAIT_MAX)
        );
        assert_eq!(limiter.wait("one more", THERE, now()), None);
    }

    #[test]
    fn a_quiet_quarter_of_an_hour_is_forgiven() {
        let limiter = LoginLimiter::default();
        for _ in 0..6 {
            limiter.wrong("u", HERE, now());
        }
        let later = now() + WAIT_MAX + Duration::from_secs(1);
        limiter.wrong("u", HERE, later);
        assert_eq!(
            limiter.wait("u", HERE, later),
            None,
            "that was the first one again"
        );
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let limiter = LoginLimiter::default();
        for user in 0..ENTRIES_MAX + 10 {
            limiter.wrong(&user.to_string(), THERE, now());
        }
        assert!(limiter.guessing.lock().unwrap().len() <= ENTRIES_MAX + 1);
    }
}
