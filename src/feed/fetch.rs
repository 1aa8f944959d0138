//! Asks the source of one feed once, and exchanges what is kept if there is something new.

use std::sync::Arc;

use crate::advisory::InvalidFeed;
use crate::clock::Clock;
use crate::feed::shelf::{Note, Shelf};
use crate::language::{Feed, HeldFeed};
use crate::model::{FeedLimits, Timestamp};
use crate::upstream::{FeedAnswer, FeedBound, FeedError, Upstream, Validators};

/// What an attempt needs.
pub(super) struct Attempt {
    pub(super) feed: Feed,
    pub(super) shelf: Shelf,
    pub(super) note: Option<Note>,
    pub(super) source: Arc<Upstream>,
    pub(super) limits: FeedLimits,
    pub(super) clock: Clock,
}

/// How an attempt went well.
#[derive(Debug)]
pub(super) enum Fetched {
    /// What is held is still the feed.
    Unchanged(Note),
    /// There is a new one.
    New(Note, HeldFeed),
}

/// Why what is held stays.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotFetched {
    /// It did not come.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// It is of no use.
    #[error("refused: {0}")]
    Invalid(#[from] InvalidFeed),
    /// It has much less in it.
    #[error(
        "refused: it has {now} advisories and {held} are held; it is believed if it stays like that until \
         {until}, or immediately with may_shrink: true"
    )]
    Shrunk {
        held: usize,
        now: usize,
        until: Timestamp,
        note: Box<Note>,
    },
    /// The disk does not take it.
    #[error("keep it: {0}")]
    Disk(std::io::Error),
}

impl Attempt {
    /// Asks, checks and keeps.
    pub(super) async fn run(self) -> Result<Fetched, NotFetched> {
        let Self {
            feed,
            shelf,
            note,
            source,
            limits,
            clock,
        } = self;
        let validators = note.as_ref().map(Note::validators);
        let opened = {
            let shelf = shelf.clone();
            blocking(move || shelf.draft())
                .await
                .map_err(FeedError::Disk)?
        };
        let mut file = tokio::fs::File::from_std(opened);
        let bound = FeedBound {
            bytes_max: limits.feed,
            timeout: limits.feed_timeout,
        };
        let answer = source
            .feed(&feed.url, validators.as_ref(), bound, &mut file)
            .await;
        drop(file);
        let now = clock.now();
        let dropped = shelf.clone();
        let done = match (answer, note) {
            (Ok(FeedAnswer::NotModified), Some(note)) => {
                blocking(move || confirm(&shelf, note, now)).await
            }
            (Ok(FeedAnswer::NotModified), None) => {
                let error = std::io::Error::other("nothing is kept that could be unchanged");
                Err(NotFetched::Disk(error))
            }
            (Ok(FeedAnswer::Written(validators)), note) => {
                blocking(move || exchange(&feed, &shelf, note, validators, &limits, now)).await
            }
            (Err(error), _) => Err(error.into()),
        };
        // Renamed away if it is kept.
        let _ = tokio::task::spawn_blocking(move || dropped.drop_draft()).await;
        done
    }
}

/// Off the threads that answer requests.
async fn blocking<T: Send + 'static, E: From<std::io::Error> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
}

impl From<std::io::Error> for NotFetched {
    fn from(error: std::io::Error) -> Self {
        Self::Disk(error)
    }
}

fn confirm(shelf: &Shelf, note: Note, now: Timestamp) -> Result<Fetched, NotFetched> {
    let note = Note {
        checked: now,
        shrunk_since: None,
        ..note
    };
    shelf.write(&note)?;
    Ok(Fetched::Unchanged(note))
}

fn exchange(
    feed: &Feed,
    shelf: &Shelf,
    before: Option<Note>,
    validators: Validators,
    limits: &FeedLimits,
    now: Timestamp,
) -> Result<Fetched, NotFetched> {
    let file = Shelf::file_name(now);
    let advisories = Arc::new(shelf.received(&file, limits)?);
    let held = feed.held.as_ref().map_or(0, |held| held.advisories.len());
    if !feed.may_shrink
        && advisories.len() * 2 < held
        && let Some(before) = before.clone()
    {
        let since = before.shrunk_since.unwrap_or(now);
        let until = since
            .checked_add(limits.feed_shrunk)
            .unwrap_or(Timestamp::MAX);
        if now < until {
            let note = Note {
                shrunk_since: Some(since),
                ..before
            };
            shelf.write(&note)?;
            return Err(NotFetched::Shrunk {
                held,
                now: advisories.len(),
                until,
                note: note.into(),
            });
        }
    }
    let note = Note {
        url: shelf.url().to_owned(),
        file,
        etag: validators.etag,
        last_modified: validators.last_modified,
        checked: now,
        shrunk_since: None,
    };
    shelf.keep(&note, before.as_ref())?;
    let checked = now;
    Ok(Fetched::New(
        note,
        HeldFeed {
            advisories,
            checked,
        },
    ))
}
