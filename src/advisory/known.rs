//! All advisories together, and whether they may be relied on.
//!
//! A feed that could not be asked for longer than its `max_age`, or never, leaves a doubt: it may name what
//! nobody here has heard of. Rules that ask for advisories then refuse, unless the operator says
//! `stale: allow`.

use std::sync::Arc;
use std::time::Duration;

use crate::advisory::collected::{Advisories, Advisory};
use crate::model::{ProjectName, Timestamp};

/// How far a feed may be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freshness {
    /// The feed's name.
    pub feed: Arc<str>,
    /// When its source last confirmed what is held; `None` if nothing is.
    pub checked: Option<Timestamp>,
    /// For how long that holds.
    pub max_age: Duration,
    /// Whether rules refuse once it is over (`stale: deny`).
    pub denies: bool,
}

impl Freshness {
    /// The instant from which it is stale; `None` if it is already, since nothing is held.
    fn ends(&self) -> Option<Timestamp> {
        let checked = self.checked?;
        Some(checked.checked_add(self.max_age).unwrap_or(Timestamp::MAX))
    }

    /// Whether it may no longer be relied on.
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.ends().is_none_or(|end| now >= end)
    }

    /// What there is to say about a stale one: as "the advisories of feed pypi are 4 days old".
    #[must_use]
    pub fn words(&self, now: Timestamp) -> String {
        let feed = &self.feed;
        let Some(checked) = self.checked else {
            return format!("the advisories of feed {feed} have not been loaded yet");
        };
        let seconds = now.duration_since(checked).as_secs();
        let age = match u64::try_from(seconds).unwrap_or_default() {
            seconds if seconds >= 2 * 86_400 => format!("{} days", seconds / 86_400),
            seconds if seconds >= 2 * 3600 => format!("{} hours", seconds / 3600),
            seconds => format!("{} minutes", seconds / 60),
        };
        format!("the advisories of feed {feed} are {age} old")
    }
}

/// The advisories of one source.
#[derive(Debug, Clone)]
struct Set {
    advisories: Arc<Advisories>,
    freshness: Option<Freshness>,
}

/// The advisories of all sources.
#[derive(Debug, Default)]
pub struct KnownAdvisories {
    sets: Vec<Set>,
}

impl KnownAdvisories {
    /// Adds what a file or folder says.
    pub fn add(&mut self, advisories: &Arc<Advisories>) {
        self.sets.push(Set {
            advisories: Arc::clone(advisories),
            freshness: None,
        });
    }

    /// Adds a feed, and what is held of it.
    pub fn add_feed(&mut self, freshness: Freshness, advisories: Option<&Arc<Advisories>>) {
        self.sets.push(Set {
            advisories: advisories.cloned().unwrap_or_default(),
            freshness: Some(freshness),
        });
    }

    /// Whether there are no sources.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// How many advisories there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sets.iter().map(|set| set.advisories.len()).sum()
    }

    /// The advisories about a project, whatever its version.
    #[must_use]
    pub fn about(&self, project: &ProjectName) -> Vec<Advisory> {
        let sets = self.sets.iter();
        sets.flat_map(|set| set.advisories.about(project)).collect()
    }

    /// The sources, for looking up an original.
    pub fn sources(&self) -> impl Iterator<Item = &Advisories> {
        self.sets.iter().map(|set| &*set.advisories)
    }

    /// Every feed, in the order in which they are configured.
    pub fn feeds(&self) -> impl Iterator<Item = &Freshness> {
        self.sets.iter().filter_map(|set| set.freshness.as_ref())
    }

    /// A feed that may no longer be relied on, and whose operator wants rules to refuse then.
    #[must_use]
    pub fn doubt(&self, now: Timestamp) -> Option<&Freshness> {
        let mut stale = self.stale(now);
        stale.find(|freshness| freshness.denies)
    }

    /// The feeds that may no longer be relied on.
    pub fn stale(&self, now: Timestamp) -> impl Iterator<Item = &Freshness> {
        self.feeds()
            .filter(move |freshness| freshness.is_stale(now))
    }

    /// The earliest instant after `now` at which a doubt begins, if there is none yet.
    #[must_use]
    pub fn next_doubt(&self, now: Timestamp) -> Option<Timestamp> {
        if self.doubt(now).is_some() {
            return None;
        }
        let feeds = self.feeds().filter(|freshness| freshness.denies);
        feeds.filter_map(Freshness::ends).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn feed(checked: Option<&str>, denies: bool) -> Freshness {
        Freshness {
            feed: "pypi".into(),
            checked: checked.map(at),
            max_age: 3 * DAY,
            denies,
        }
    }

    #[test]
    fn a_feed_is_relied_on_until_its_age_is_reached() {
        let (now, end) = (at("2026-01-05T00:00:00Z"), at("2026-01-07T00:00:00Z"));
        let mut known = KnownAdvisories::default();
        assert_eq!((known.doubt(now), known.next_doubt(now)), (None, None));
        known.add_feed(feed(Some("2026-01-04T00:00:00Z"), true), None);
        known.add_feed(feed(None, false), None);
        assert_eq!((known.doubt(now), known.next_doubt(now)), (None, Some(end)));
        assert_eq!(known.stale(now).count(), 1);
        assert!(known.doubt(end).is_some() && known.next_doubt(end).is_none());
        known.add_feed(feed(None, true), None);
        assert!(known.doubt(now).is_some());
    }

    #[test]
    fn the_age_is_told_in_words() {
        let told = |checked| feed(checked, true).words(at("2026-01-05T00:00:00Z"));
        for (checked, words) in [
            ("2026-01-01T00:00:00Z", "4 days"),
            ("2026-01-03T12:00:00Z", "36 hours"),
            ("2026-01-04T23:00:00Z", "60 minutes"),
            // A clock that was put back.
            ("2026-01-06T00:00:00Z", "0 minutes"),
        ] {
            let expected = format!("the advisories of feed pypi are {words} old");
            assert_eq!(told(Some(checked)), expected);
        }
        assert!(told(None).ends_with("have not been loaded yet"));
    }
}
