//! What is held, read for the catalogue: the records of stages, pages and lists of mirrors.

use crate::db::{Db, DbError};
use crate::model::{Hashes, IndexName, ProjectName};
use crate::page::ProjectNames;
use crate::protocol::ReleaseMetadata;
use crate::search::about::{ReleaseAbout, rank};
use crate::store::{FsStore, Key, StoreError};

/// Releases named in one answer of the records.
const RELEASES_AT_ONCE: u32 = 1_000;

/// Longest text about a project that is read, in bytes: more than is ever kept of one.
const ABOUT_BYTES_MAX: u64 = 256 << 10;

/// Takes every project of a stage, with what the release says that describes it.
pub async fn staged(
    records: &dyn Db,
    index: &IndexName,
    take: &mut (dyn FnMut(&ProjectName, &ReleaseAbout) + Send),
) -> Result<(), DbError> {
    let mut next = Some((String::new(), String::new()));
    let mut current: Option<(ProjectName, String)> = None;
    while let Some((project, version)) = next.take() {
        let after = (project.as_str(), version.as_str());
        let found = records
            .releases_from(index, after, RELEASES_AT_ONCE)
            .await?;
        let is_last = found.len() < RELEASES_AT_ONCE as usize;
        next = found
            .last()
            .filter(|_| !is_last)
            .map(|(project, version)| (project.to_string(), version.clone()));
        for (project, version) in found {
            current = Some(match current.take() {
                Some((known, best)) if known == project => (known, better(best, version)),
                Some((done, best)) => {
                    take(&done, &described(records, index, &done, &best).await?);
                    (project, version)
                }
                None => (project, version),
            });
        }
    }
    if let Some((done, best)) = current {
        take(&done, &described(records, index, &done, &best).await?);
    }
    Ok(())
}

/// What describes one project of a stage; `None` if the stage has nothing of it.
pub async fn staged_project(
    records: &dyn Db,
    index: &IndexName,
    project: &ProjectName,
) -> Result<Option<ReleaseAbout>, DbError> {
    let mut best: Option<String> = None;
    let mut after = String::new();
    loop {
        let from = (project.as_str(), after.as_str());
        let found = records.releases_from(index, from, RELEASES_AT_ONCE).await?;
        let is_last = found.len() < RELEASES_AT_ONCE as usize
            || found.last().is_some_and(|(of, _)| of != project);
        for (_, version) in found.into_iter().take_while(|(of, _)| of == project) {
            after.clone_from(&version);
            best = Some(match best.take() {
                Some(best) => better(best, version),
                None => version,
            });
        }
        if is_last {
            break;
        }
    }
    match best {
        Some(best) => Ok(Some(described(records, index, project, &best).await?)),
        None => Ok(None),
    }
}

async fn described(
    records: &dyn Db,
    index: &IndexName,
    project: &ProjectName,
    version: &str,
) -> Result<ReleaseAbout, DbError> {
    let metadata = records.release_metadata(index, project, version).await?;
    let metadata = ReleaseMetadata::of_form(&metadata.unwrap_or_default());
    Ok(ReleaseAbout::of(version, &metadata))
}

fn better(one: String, other: String) -> String {
    if rank(&other) > rank(&one) {
        other
    } else {
        one
    }
}

/// The lists that are held of these mirrors; blocking. What is damaged is passed over, and fetched again by
/// whoever needs it.
pub fn lists(store: &FsStore, mirrors: &[(u16, IndexName)]) -> Vec<(u16, ProjectNames)> {
    let mut lists = Vec::new();
    for (number, index) in mirrors {
        let key = Key::ProjectList {
            index: index.clone(),
        };
        let Ok(Some(text)) = store.read_known(&key, u64::MAX, &Hashes::default()) else {
            continue;
        };
        let names = String::from_utf8(text.into()).ok();
        let names = names.and_then(|text| ProjectNames::from_text(text).ok());
        lists.extend(names.map(|names| (*number, names)));
    }
    lists
}

/// What is known of a mirror's project; blocking.
pub fn known(store: &FsStore, index: &IndexName, project: &ProjectName) -> Option<ReleaseAbout> {
    let key = Key::described(index, project);
    let text = store.read_known(&key, ABOUT_BYTES_MAX, &Hashes::default());
    ReleaseAbout::from_stored(&text.ok()??)
}

/// Keeps what a release of a mirror's project says; blocking.
pub fn keep(
    store: &FsStore,
    (index, project): (&IndexName, &ProjectName),
    about: &ReleaseAbout,
) -> Result<(), StoreError> {
    store.put_small(&Key::described(index, project), &about.to_stored())
}
