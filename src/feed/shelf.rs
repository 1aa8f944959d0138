//! What is kept of one feed on the disk: its bytes, and a note of where they came from.
//!
//! The note names the file and is exchanged by a rename, so after a crash there is the old feed or the new
//! one, never parts of both. The file before stays until the next exchange, for those who still read it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::advisory::{Advisories, InvalidFeed, read_feed};
use crate::language::{Document, Feed, HeldFeed};
use crate::model::{FeedLimits, Timestamp};
use crate::upstream::Validators;

/// The folder of all feeds, below the data folder.
const FOLDER: &str = "advisories";

/// The note.
const NOTE: &str = "held.json";

/// What is being received.
const DRAFT: &str = "incoming.part";

/// How the files of a feed end.
const ENDING: &str = "feed";

/// The note beside a feed's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// Where it came from, without a login.
    pub(super) url: String,
    /// The file.
    pub(super) file: String,
    /// How the source identifies it.
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    /// When the source last confirmed it.
    pub(super) checked: Timestamp,
    /// Since when the source has had much less than this.
    pub(super) shrunk_since: Option<Timestamp>,
}

impl Note {
    pub(super) fn validators(&self) -> Validators {
        Validators {
            etag: self.etag.clone(),
            last_modified: self.last_modified.clone(),
        }
    }
}

/// The place of one feed.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    folder: PathBuf,
    url: String,
}

impl Shelf {
    pub(super) fn of(data: &Path, feed: &Feed) -> Self {
        let mut url = feed.url.clone();
        // A URL that cannot have a login has none.
        let _ = (url.set_username(""), url.set_password(None));
        Self {
            folder: data.join(FOLDER).join(&*feed.name.value),
            url: url.to_string(),
        }
    }

    /// Where it comes from, without a login.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The note, if something of this source is kept.
    ///
    /// # Errors
    /// When it cannot be read. A damaged one counts as none: the feed is fetched again.
    pub(super) fn note(&self) -> io::Result<Option<Note>> {
        let text = match fs::read(self.folder.join(NOTE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let note: Option<Note> = serde_json::from_slice(&text).ok();
        let is_plain = |note: &Note| !note.file.contains(['/', '\\']);
        Ok(note.filter(|note| note.url == self.url && is_plain(note)))
    }

    /// The advisories that a note names.
    ///
    /// # Errors
    /// When they are damaged or gone.
    pub(super) fn load(&self, note: &Note, limits: &FeedLimits) -> Result<Advisories, InvalidFeed> {
        self.read(&note.file, &note.file, limits)
    }

    /// What has been received, to be called `file` once it is kept.
    ///
    /// # Errors
    /// When it is of no use.
    pub(super) fn received(
        &self,
        file: &str,
        limits: &FeedLimits,
    ) -> Result<Advisories, InvalidFeed> {
        self.read(DRAFT, file, limits)
    }

    fn read(
        &self,
        from: &str,
        called: &str,
        limits: &FeedLimits,
    ) -> Result<Advisories, InvalidFeed> {
        let file = fs::File::open(self.folder.join(from))?;
        let length = file.metadata()?.len();
        read_feed(file, length, &self.folder.join(called), limits)
    }

    /// A new file for what is about to be received.
    ///
    /// # Errors
    /// When there can be none.
    pub(super) fn draft(&self) -> io::Result<fs::File> {
        fs::create_dir_all(&self.folder)?;
        fs::File::create(self.folder.join(DRAFT))
    }

    /// Drops what was received.
    pub(super) fn drop_draft(&self) {
        // If it stays, the next one overwrites it.
        let _ = fs::remove_file(self.folder.join(DRAFT));
    }

    /// A name for what was received now.
    pub(super) fn file_name(now: Timestamp) -> String {
        format!("{}.{ENDING}", now.as_microsecond())
    }

    /// Keeps what was received under the name that the note has, in place of what was kept before.
    ///
    /// # Errors
    /// When the disk does not take it; what was kept before stays.
    pub(super) fn keep(&self, note: &Note, before: Option<&Note>) -> io::Result<()> {
        let draft = self.folder.join(DRAFT);
        fs::File::open(&draft)?.sync_all()?;
        fs::rename(&draft, self.folder.join(&note.file))?;
        self.write(note)?;
        let is_needed = |name: &str| {
            let is_of = |note: &Note| note.file == name;
            !name.ends_with(ENDING) || is_of(note) || before.is_some_and(is_of)
        };
        for entry in fs::read_dir(&self.folder)?.flatten() {
            let name = entry.file_name();
            if !name.to_str().is_none_or(is_needed) {
                // What stays takes room until the next exchange.
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// Writes the note in place of the one before.
    ///
    /// # Errors
    /// When the disk does not take it; the one before stays.
    pub(super) fn write(&self, note: &Note) -> io::Result<()> {
        let draft = self.folder.join(format!("{NOTE}.part"));
        let mut file = fs::File::create(&draft)?;
        file.write_all(&serde_json::to_vec(note)?)?;
        file.sync_all()?;
        fs::rename(&draft, self.folder.join(NOTE))?;
        fs::File::open(&self.folder)?.sync_all()
    }
}

/// Gives the feeds of these documents what is kept of them below a data folder, for commands that run
/// without a keeper. Returns what cannot be read, in words.
pub fn give_held(documents: &mut [Document], data: &Path, limits: &FeedLimits) -> Vec<String> {
    let mut words = Vec::new();
    for feed in documents.iter_mut().flat_map(|one| &mut one.feeds) {
        match held(feed, data, limits) {
            Ok(held) => feed.held = held.map(|(_, held)| held),
            Err(why) => words.push(why),
        }
    }
    words
}

/// What is kept of a feed.
pub(super) fn held(
    feed: &Feed,
    data: &Path,
    limits: &FeedLimits,
) -> Result<Option<(Note, HeldFeed)>, String> {
    let shelf = Shelf::of(data, feed);
    let name = &feed.name.value;
    let note = shelf.note();
    let note = note.map_err(|error| format!("feed {name}: read {NOTE}: {error}"))?;
    let Some(note) = note else {
        return Ok(None);
    };
    let advisories = shelf.load(&note, limits);
    let advisories = advisories
        .map_err(|error| format!("feed {name}: what is kept of it is of no use: {error}"))?;
    let checked = note.checked;
    let advisories = Arc::new(advisories);
    Ok(Some((
        note,
        HeldFeed {
            advisories,
            checked,
        },
    )))
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::language::{Placed, WhenStale};
    use crate::model::Location;

    fn feed(url: &str) -> Feed {
        let location = Location {
            file: "c.yaml".into(),
            line: 1,
            column: 1,
        };
        Feed {
            name: Placed::at(&location, "pypi".into()),
            url: Url::parse(url).unwrap(),
            every: std::time::Duration::from_hours(1),
            max_age: std::time::Duration::from_hours(72),
            stale: WhenStale::Deny,
            may_shrink: false,
            held: None,
        }
    }

    fn receive(shelf: &Shelf, id: &str) {
        let text = format!(
            r#"{{"id": "{id}", "affected": [{{"package": {{"ecosystem": "PyPI", "name": "six"}}}}]}}"#
        );
        shelf.draft().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn note(shelf: &Shelf, file: &str) -> Note {
        Note {
            url: shelf.url().to_owned(),
            file: file.to_owned(),
            etag: Some("\"1\"".to_owned()),
            last_modified: None,
            checked: Timestamp::UNIX_EPOCH,
            shrunk_since: None,
        }
    }

    #[test]
    fn whenever_it_is_interrupted_there_is_the_old_feed_or_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let feed = feed("https://me:secret@advisories.example/PyPI/all.zip");
        let (shelf, limits) = (Shelf::of(folder.path(), &feed), FeedLimits::default());
        let named = |id: &str| {
            let held = held(&feed, folder.path(), &limits).unwrap();
            held.is_some_and(|(_, held)| held.advisories.original(id).is_some())
        };
        assert!(!named("MAL-1"));
        receive(&shelf, "MAL-1");
        assert!(!named("MAL-1"), "what is received is not kept yet");
        let old = note(&shelf, "1.feed");
        shelf.keep(&old, None).unwrap();
        assert!(named("MAL-1"));
        // Killed after the new bytes have their name, and after half a note.
        receive(&shelf, "MAL-2");
        fs::rename(shelf.folder.join(DRAFT), shelf.folder.join("2.feed")).unwrap();
        fs::write(shelf.folder.join("held.json.part"), "{\"url\": ").unwrap();
        assert!(named("MAL-1") && !named("MAL-2"));
        receive(&shelf, "MAL-3");
        let new = note(&shelf, "3.feed");
        shelf.keep(&new, Some(&old)).unwrap();
        assert!(named("MAL-3"));
        let kept: Vec<bool> = ["1", "2", "3"]
            .map(|name| shelf.folder.join(format!("{name}.feed")).exists())
            .into();
        assert_eq!(
            kept,
            [true, false, true],
            "the one before stays for its readers"
        );
        let text = fs::read_to_string(shelf.folder.join(NOTE)).unwrap();
        assert!(!text.contains("secret"), "{text}");
        // A damaged note counts as none, and another source's advisories are not used.
        fs::write(shelf.folder.join(NOTE), "{").unwrap();
        assert_eq!(shelf.note().unwrap(), None);
        shelf.write(&new).unwrap();
        let other = self::feed("https://other.example/PyPI/all.zip");
        assert!(held(&other, folder.path(), &limits).unwrap().is_none());
        // Damaged bytes are said to be so.
        fs::write(shelf.folder.join("3.feed"), "PK").unwrap();
        assert!(
            held(&feed, folder.path(), &limits)
                .unwrap_err()
                .contains("of no use")
        );
    }
}
