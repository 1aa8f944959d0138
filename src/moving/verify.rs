//! Reads every stored byte and compares it with its digest, at the caller's pace, beside a running server or
//! without one (docs/adr/0034-what-is-kept-is-read-again.md).
//!
//! What can be had again is dropped, or put in place out of the same bytes kept as another's; what only a
//! backup has is told, and left for whoever can still save something of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use crate::db::NeededFile;
use crate::model::Sha256;
use crate::moving::report::{OnProgress, Progress};
use crate::store::{FsStore, Key, StoreError};

/// What opening a file counts as: a disk that has to seek could read as much in that time.
const OPENING_BYTES: u64 = 4 << 10;

/// Longest sidecar read, in bytes; a longer one is damaged.
const SIDECAR_BYTES_MAX: u64 = 64 << 20;

/// What became of something damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// It is gone, and is fetched or made again when it is next asked for.
    Dropped,
    /// It was put in place again: the same bytes were kept twice.
    Healed,
    /// It is still there, and nobody else has it.
    Kept,
}

/// Something damaged, missing or unreadable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DamagedFile {
    /// Its path below the data directory.
    pub path: String,
    /// Whether it was uploaded here.
    pub private: bool,
    /// Its name and index, where a record names it.
    pub name: Option<String>,
    /// Its digest as it should be.
    pub sha256: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What became of it.
    pub remedy: Remedy,
}

/// The outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Files, sidecars and copies read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong.
    pub damaged: Vec<DamagedFile>,
}

/// What is to be read, and how.
pub struct VerifyKept<'a> {
    /// Where the bytes are.
    pub store: &'a FsStore,
    /// What the records need.
    pub needed: &'a [NeededFile],
    /// Bytes a second; `None` for as fast as the disk can.
    pub pace: Option<u64>,
    /// Reads what the depot has of a file, and says what is wrong with it; `None` without a depot.
    pub in_depot: Option<LookInDepot<'a>>,
}

/// Reads what the depot has of a file, and says what is wrong with it.
type LookInDepot<'a> = &'a dyn Fn(Sha256) -> Option<String>;

impl VerifyKept<'_> {
    /// Reads everything, uploaded files first.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub fn run(&self, on_progress: OnProgress<'_>) -> Result<VerifyReport, StoreError> {
        let holdings = self.store.holdings()?;
        let all = holdings.kinds().map(|(_, usage)| usage);
        let mut progress = Progress {
            files_in_all: all.iter().map(|usage| usage.files).sum::<u64>()
                - holdings.unfinished.files,
            bytes_in_all: all.iter().map(|usage| usage.bytes).sum::<u64>()
                - holdings.unfinished.bytes,
            ..Progress::default()
        };
        let names: BTreeMap<Sha256, &str> = self
            .needed
            .iter()
            .map(|file| (file.sha256, file.name.as_str()))
            .collect();
        let mut seen = BTreeSet::new();
        let mut report = VerifyReport::default();
        let private = self.store.private_contents();
        let mirrors = self.store.contents();
        let mirrors =
            mirrors.filter(|kept| kept.as_ref().map_or(true, |kept| !kept.key.is_private()));
        for kept in private.chain(mirrors) {
            let kept = kept?;
            if let (true, Some(sha256)) = (kept.key.is_private(), kept.key.sha256()) {
                seen.insert(sha256);
            }
            let under = kept.key.kept_under();
            let name = under.and_then(|digest| names.get(&digest).copied());
            report.damaged.extend(self.one(&kept.key, name)?);
            self.count(kept.bytes, &mut report, &mut progress, on_progress);
        }
        self.copies(&mut report, &mut progress, on_progress)?;
        for file in self
            .needed
            .iter()
            .filter(|file| !seen.contains(&file.sha256))
        {
            if let Some(look) = self.in_depot {
                self.rest_after(file.size);
                report.damaged.extend(self.deposited(look, file));
                self.count(file.size, &mut report, &mut progress, on_progress);
                continue;
            }
            report.damaged.extend(self.missing(file)?);
        }
        Ok(report)
    }

    fn count(
        &self,
        bytes: u64,
        report: &mut VerifyReport,
        progress: &mut Progress,
        on_progress: OnProgress<'_>,
    ) {
        report.files += 1;
        report.bytes += bytes;
        progress.add(bytes);
        on_progress(*progress);
    }

    /// Reads one file or sidecar.
    fn one(&self, key: &Key, name: Option<&str>) -> Result<Option<DamagedFile>, StoreError> {
        let wrong = match key.sha256() {
            Some(_) => self.file(key)?,
            None => {
                self.rest_after(OPENING_BYTES);
                self.store.inspect_small(key, SIDECAR_BYTES_MAX).err()
            }
        };
        let Some(error) = wrong else {
            return Ok(None);
        };
        let remedy = self.mend(key, &error)?;
        let damaged = DamagedFile {
            path: key.path().display().to_string(),
            private: key.is_private(),
            name: name.filter(|_| key.is_private()).map(str::to_owned),
            sha256: key.sha256().map(|digest| digest.to_hex()),
            what: words(&error),
            remedy,
        };
        Ok(Some(damaged))
    }

    /// Reads a file; returns what is wrong with it.
    fn file(&self, key: &Key) -> Result<Option<StoreError>, StoreError> {
        self.rest_after(OPENING_BYTES);
        let mut inspection = match self.store.inspect(key) {
            Ok(Some(inspection)) => inspection,
            // Evicted or deleted since it was listed.
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(error)),
        };
        let (stored, judged) = loop {
            match inspection.read() {
                Ok(0) => break inspection.end(),
                Ok(read) => self.rest_after(read),
                Err(error) => break (inspection.into_stored(), Err(error)),
            }
        };
        let Err(error) = judged else {
            return Ok(None);
        };
        if matches!(error, StoreError::Damaged { .. }) {
            self.store.take_out_of_use(&stored)?;
        }
        Ok(Some(error))
    }

    /// Does what can be done about something damaged.
    fn mend(&self, key: &Key, error: &StoreError) -> Result<Remedy, StoreError> {
        if !matches!(error, StoreError::Damaged { .. }) {
            // What the disk does not give now it may give later.
            return Ok(Remedy::Kept);
        }
        let digest = key.sha256().filter(|_| key.is_private());
        let _held = digest.map(|digest| self.store.hold(&digest)).transpose()?;
        if self.store.heal(key)? {
            return Ok(Remedy::Healed);
        }
        if matches!(key, Key::PrivateFile(_)) {
            return Ok(Remedy::Kept);
        }
        // A sidecar is taken out of its wheel again, or fetched.
        self.store.remove(key)?;
        Ok(Remedy::Dropped)
    }

    /// Reads the copies of what mirrors say.
    fn copies(
        &self,
        report: &mut VerifyReport,
        progress: &mut Progress,
        on_progress: OnProgress<'_>,
    ) -> Result<(), StoreError> {
        for copy in self.store.copies()? {
            let copy = copy?;
            self.rest_after(OPENING_BYTES + copy.bytes);
            if let Err(error) = self.store.read_copy(&copy) {
                let is_damaged = matches!(error, StoreError::Damaged { .. });
                if is_damaged {
                    self.store.remove_copy(&copy)?;
                }
                report.damaged.push(DamagedFile {
                    path: copy.path.display().to_string(),
                    private: false,
                    name: None,
                    sha256: None,
                    what: words(&error),
                    remedy: if is_damaged {
                        Remedy::Dropped
                    } else {
                        Remedy::Kept
                    },
                });
            }
            self.count(copy.bytes, report, progress, on_progress);
        }
        Ok(())
    }

    /// What a record needs, and the depot has otherwise or not at all.
    fn deposited(&self, look: LookInDepot<'_>, file: &NeededFile) -> Option<DamagedFile> {
        Some(DamagedFile {
            what: look(file.sha256)?,
            path: Key::PrivateFile(file.sha256).path().display().to_string(),
            private: true,
            name: Some(file.name.clone()),
            sha256: Some(file.sha256.to_hex()),
            remedy: Remedy::Kept,
        })
    }

    /// What a record needs and the disk does not have.
    fn missing(&self, file: &NeededFile) -> Result<Option<DamagedFile>, StoreError> {
        let key = Key::PrivateFile(file.sha256);
        // Uploaded since the store was listed, or deleted since the records were.
        if self.store.length(&key) > 0 || file.size == 0 {
            return Ok(None);
        }
        let _held = self.store.hold(&file.sha256)?;
        let remedy = match self.store.heal(&key)? {
            true => Remedy::Healed,
            false => Remedy::Kept,
        };
        Ok(Some(DamagedFile {
            path: key.path().display().to_string(),
            private: true,
            name: Some(file.name.clone()),
            sha256: Some(file.sha256.to_hex()),
            what: "it is missing".to_owned(),
            remedy,
        }))
    }

    /// Leaves the disk alone for as long as reading `bytes` may take at this pace.
    fn rest_after(&self, bytes: u64) {
        if let Some(pace) = self.pace {
            let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(pace.max(1));
            let nanoseconds = u64::try_from(nanoseconds).unwrap_or(u64::MAX);
            std::thread::sleep(Duration::from_nanos(nanoseconds));
        }
    }
}

/// Why, without the path, which stands beside it.
fn words(error: &StoreError) -> String {
    match error {
        StoreError::Damaged { why, .. } => why.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Usage;

    fn needed(content: &[u8], name: &str) -> NeededFile {
        NeededFile {
            name: name.to_owned(),
            sha256: Sha256::of(content),
            size: content.len() as u64,
            metadata: None,
        }
    }

    #[test]
    fn damage_is_told_healed_or_dropped_by_whose_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path(), 1 << 30).unwrap();
        let key = |content: &[u8]| {
            (
                Key::MirrorFile(Sha256::of(content)),
                Key::PrivateFile(Sha256::of(content)),
            )
        };
        let (dropped, _) = key(b"of a mirror");
        let (twin, healed) = key(b"kept twice");
        let (_, kept) = key(b"of a stage");
        let (right, _) = key(b"right");
        for key in [&dropped, &healed, &kept] {
            store.put_small(key, b"changed").unwrap();
        }
        store.put_small(&twin, b"kept twice").unwrap();
        store.put_small(&right, b"right").unwrap();
        let needed = [
            needed(b"kept twice", "a of u/i"),
            needed(b"of a stage", "b of u/i"),
            needed(b"lost", "c of u/i"),
        ];
        let verify = VerifyKept {
            store: &store,
            needed: &needed,
            in_depot: None,
            pace: None,
        };
        let last = std::sync::Mutex::new(Progress::default());
        let report = verify
            .run(&|progress| *last.lock().unwrap() = progress)
            .unwrap();
        let told: BTreeMap<String, (Remedy, Option<&str>)> = report
            .damaged
            .iter()
            .map(|one| (one.path.clone(), (one.remedy, one.name.as_deref())))
            .collect();
        let path = |key: &Key| key.path().display().to_string();
        let lost = Key::PrivateFile(Sha256::of(b"lost"));
        let expected = [
            (path(&dropped), (Remedy::Dropped, None)),
            (path(&healed), (Remedy::Healed, Some("a of u/i"))),
            (path(&kept), (Remedy::Kept, Some("b of u/i"))),
            (path(&lost), (Remedy::Kept, Some("c of u/i"))),
        ];
        assert_eq!(told, expected.into_iter().collect());
        assert_eq!(report.files, 5);
        let last = *last.lock().unwrap();
        assert_eq!(
            (last.files, last.bytes),
            (last.files_in_all, last.bytes_in_all)
        );
        assert_eq!(
            store.read_small(&healed, 99).unwrap().unwrap(),
            "kept twice"
        );
        assert_eq!(store.length(&dropped), 0);
        assert_eq!(store.read_small(&kept, 99).unwrap().unwrap(), "changed");
        let again = verify.run(&|_| {}).unwrap();
        assert_eq!(again.damaged.len(), 2);
        let held = Usage {
            files: 2,
            bytes: 15,
        };
        assert_eq!(store.holdings().unwrap().mirror_files, held);
    }
}
