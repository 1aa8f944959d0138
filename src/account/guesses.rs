//! What counts as guessing at passwords, and how long it makes somebody wait.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::account::new_names::caseless;
use crate::model::{IndexName, Timestamp, client_network};

/// Wrong passwords of one user from one address before it has to wait.
pub const FREE_PER_USER: u32 = 5;

/// Wrong passwords from one address before it has to wait: a site behind one address has many users.
pub const FREE_PER_ADDRESS: u32 = 50;

/// Longest wait of a user at one address; also how long a quiet entry is remembered.
pub const WAIT_MAX: Duration = Duration::from_mins(15);

/// Longest wait of an address as a whole: one forgotten CI job must not lock out everybody beside it.
pub const ADDRESS_WAIT_MAX: Duration = Duration::from_secs(10);

/// Whose guesses are counted together. The name is a possible user name, without regard to case since a
/// directory has none; or empty for anything else: clients may send a name as long as a body.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Guesser {
    Pair(Arc<str>, IpAddr),
    Address(IpAddr),
}

impl Guesser {
    /// The two that an attempt counts for.
    pub fn both(user: &str, address: IpAddr) -> [Self; 2] {
        let user = match IndexName::is_part(user) {
            true => caseless(user),
            false => String::new(),
        };
        let address = client_network(address);
        [Self::Pair(user.into(), address), Self::Address(address)]
    }

    /// How many wrong passwords cost nothing.
    pub fn free(&self) -> u32 {
        match self {
            Self::Pair(..) => FREE_PER_USER,
            Self::Address(_) => FREE_PER_ADDRESS,
        }
    }

    /// How long to wait after this many wrong guesses: not at all while they are free, then 1 s, and
    /// twice as long each time.
    fn wait_after(&self, wrong: u32) -> Duration {
        let longest = match self {
            Self::Pair(..) => WAIT_MAX,
            Self::Address(_) => ADDRESS_WAIT_MAX,
        };
        match wrong.checked_sub(self.free() + 1) {
            None => Duration::ZERO,
            Some(doublings) => Duration::from_secs(1 << doublings.min(20)).min(longest),
        }
    }
}

/// What one of them has done so far.
#[derive(Debug, Clone, Copy)]
pub struct Guesses {
    pub wrong: u32,
    /// Being checked now.
    pub pending: u32,
    /// Before this instant nothing is checked.
    pub wait_until: Timestamp,
    /// From this instant on nothing counts any more.
    pub forget_at: Timestamp,
}

impl Guesses {
    pub const NONE: Self = Self {
        wrong: 0,
        pending: 0,
        wait_until: Timestamp::MIN,
        forget_at: Timestamp::MIN,
    };

    /// What still counts at this instant.
    pub fn at(self, now: Timestamp) -> Self {
        if now < self.forget_at {
            return self;
        }
        self.forgotten()
    }

    /// Forgets everything but what is being checked.
    pub fn forgotten(self) -> Self {
        Self {
            pending: self.pending,
            ..Self::NONE
        }
    }

    /// The same after one more wrong password.
    pub fn after_a_wrong_one(self, guesser: &Guesser, now: Timestamp) -> Self {
        let after = |span: Duration| now.checked_add(span).unwrap_or(Timestamp::MAX);
        let wrong = self.wrong.saturating_add(1);
        let wait = guesser.wait_after(wrong);
        Self {
            wrong,
            pending: self.pending,
            wait_until: after(wait),
            forget_at: after(wait + WAIT_MAX),
        }
    }

    pub fn is_worth_keeping(&self, now: Timestamp) -> bool {
        self.pending > 0 || now < self.forget_at
    }
}
