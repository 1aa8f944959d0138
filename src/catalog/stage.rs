//! What a stage says about a project: its own records, as a page like any other source's.
//!
//! The page is kept, and brought up to what the records say whenever it is asked for: by what has
//! changed since, of which the records' log tells. So it is never older than the records are, whoever
//! changed them, and an upload into a large project does not read the project again.

use std::collections::HashSet;
use std::mem::take;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cache::Weighed;
use crate::catalog::page_copies::learned;
use crate::db::{
    FileChange, FileChanges, FileRecord, FileRole, FilesSince, Serial, provenance_name,
};
use crate::exchange::{Core, Flow, blocking};
use crate::model::{
    CoreMetadata, File, Filename, Hashes, IndexName, ProjectName, UploadTime, UploadTimeSource,
};
use crate::page::{LearnedFiles, ProjectPage};

/// What a page takes besides its files.
const ENTRY_BYTES: usize = 1_000;

/// The pages of stages, as far as they were asked for.
#[derive(Debug)]
pub struct StagePages {
    core: Arc<Core>,
    held: Weighed<(IndexName, ProjectName), Arc<Held>>,
}

/// A page that is kept. It is locked only while it is brought up to date, never across a wait.
#[derive(Debug, Default)]
struct Held {
    known: Mutex<Known>,
    weight: AtomicUsize,
}

/// What is known of a project.
#[derive(Debug, Default)]
struct Known {
    /// Until which change; nothing when nothing is known.
    as_of: Option<Serial>,
    page: Option<Arc<ProjectPage>>,
    /// The release that each file of the page belongs to, as the records spell it.
    versions: Vec<Arc<str>>,
    /// The names of provenances, which tell the files that they are of.
    provenances: HashSet<String>,
}

impl StagePages {
    pub fn new(core: Arc<Core>, bytes_max: u64) -> Self {
        let held = Weighed::new(bytes_max, |_, held: &Arc<Held>| {
            ENTRY_BYTES + held.weight.load(Ordering::Relaxed)
        });
        Self { core, held }
    }

    /// The page of a project that a stage holds, as the records are now.
    pub async fn page(&self, index: &IndexName, project: &ProjectName) -> Flow<Arc<ProjectPage>> {
        let key = (index.clone(), project.clone());
        let held = self.held.get(&key).unwrap_or_default();
        loop {
            let as_of = held.known().as_of;
            let since = self.core.files_since(index, project, as_of).await?;
            let is_made = since.changes != FileChanges::Some(Vec::new());
            let found = match is_made || as_of.is_none() {
                true => found_inside(&self.core, index, project).await?,
                false => LearnedFiles::default(),
            };
            let mut known = held.known();
            if known.as_of != as_of {
                // Another request has followed the records meanwhile; this is what changed before.
                continue;
            }
            if let Some(page) = &known.page
                && !is_made
            {
                return Ok(Arc::clone(page));
            }
            let page = known.follow(since, project, &found);
            held.weight.store(page.weight_bytes(), Ordering::Relaxed);
            drop(known);
            // Also when it was there already: it weighs something else now.
            self.held.insert(key, held);
            return Ok(page);
        }
    }

    /// Forgets a page: something else is known of its files.
    pub fn forget(&self, index: &IndexName, project: &ProjectName) {
        self.held.remove(&(index.clone(), project.clone()));
    }

    pub fn weight_bytes(&self) -> u64 {
        self.held.weight_bytes()
    }
}

/// What was found inside files of a project. Whatever the policies in force ask: `diff` and `explain` judge by
/// others.
async fn found_inside(
    core: &Arc<Core>,
    index: &IndexName,
    project: &ProjectName,
) -> Flow<LearnedFiles> {
    let (core, index, project) = (Arc::clone(core), index.clone(), project.clone());
    let read = move || learned(&core, &index, &project);
    blocking("read what was found inside files", read).await
}

impl Held {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The page after what has changed.
    fn follow(
        &mut self,
        since: FilesSince,
        project: &ProjectName,
        found: &LearnedFiles,
    ) -> Arc<ProjectPage> {
        // Nothing is known until all of it is done.
        self.as_of = None;
        let empty = || Arc::new(ProjectPage::empty(project.clone()));
        let mut page = self.page.take().unwrap_or_else(empty);
        // A copy only where somebody still renders it.
        let files = &mut Arc::make_mut(&mut page).files;
        let mut rows = Rows {
            files: take(files),
            versions: take(&mut self.versions),
            provenances: take(&mut self.provenances),
        };
        match since.changes {
            FileChanges::All(records) => {
                rows = Rows::default();
                rows.learn(&records);
                for record in &records {
                    if let Some(file) = rows.listed(record, project) {
                        rows.files.push(file);
                        rows.versions.push(record.version.as_str().into());
                    }
                }
            }
            FileChanges::Some(changes) => {
                for change in changes {
                    rows.follow(change, project);
                }
            }
        }
        let shown = Arc::make_mut(&mut page);
        shown.files = rows.files;
        found.apply(shown);
        self.versions = rows.versions;
        self.provenances = rows.provenances;
        self.page = Some(Arc::clone(&page));
        self.as_of = Some(since.as_of);
        page
    }
}

/// The files of a page in their order, each with its release.
#[derive(Debug, Default)]
struct Rows {
    files: Vec<File>,
    versions: Vec<Arc<str>>,
    provenances: HashSet<String>,
}

impl Rows {
    /// Notes of which files there is a provenance.
    fn learn(&mut self, records: &[FileRecord]) {
        let all = records.iter().map(|record| &record.facts);
        let all = all.filter(|facts| matches!(facts.role, FileRole::Provenance { .. }));
        self.provenances
            .extend(all.map(|facts| facts.filename.clone()));
    }

    /// A record as the page lists it, with its provenance if there is one.
    fn listed(&self, record: &FileRecord, project: &ProjectName) -> Option<File> {
        let mut file = listed(record, project)?;
        let name = provenance_of(record);
        // Where it is answered is the same for every file: this only says that there is one.
        file.provenance = self.provenances.get(&name).map(|name| name.as_str().into());
        Some(file)
    }

    fn follow(&mut self, change: FileChange, project: &ProjectName) {
        match change {
            FileChange::Release { version, files } => {
                let names = files.iter().map(|record| record.facts.filename.as_str());
                let names: HashSet<&str> = names.collect();
                self.remove(|of, file| of == version || names.contains(file.filename.as_str()));
                self.learn(&files);
                for record in &files {
                    self.add(record, project);
                }
            }
            FileChange::File { filename, file } => {
                let name = file.as_ref().map(|record| provenance_of(record));
                let name = name.filter(|name| self.provenances.contains(name));
                self.remove(|_, file| file.filename.as_str() == filename);
                self.provenances.extend(name);
                if let Some(record) = file {
                    self.add(&record, project);
                }
            }
        }
    }

    /// Removes files, given their releases; mostly late ones.
    fn remove(&mut self, is_gone: impl Fn(&str, &File) -> bool) {
        for at in (0..self.files.len()).rev() {
            if is_gone(&self.versions[at], &self.files[at]) {
                let file = self.files.remove(at);
                self.versions.remove(at);
                if let Some(name) = &file.provenance {
                    self.provenances.remove(&**name);
                }
            }
        }
    }

    /// Adds a file where the records would list it: by its arrival, then by name.
    fn add(&mut self, record: &FileRecord, project: &ProjectName) {
        let Some(file) = self.listed(record, project) else {
            return;
        };
        let order = |file: &File| file.upload_time.map(|time| time.at);
        let is_before = |one: &File| {
            let (left, right) = (order(one), order(&file));
            (left, one.filename.as_str()) < (right, file.filename.as_str())
        };
        let at = self.files.partition_point(is_before);
        self.files.insert(at, file);
        self.versions.insert(at, record.version.as_str().into());
    }
}

/// The name that the provenance of a file would have.
fn provenance_of(record: &FileRecord) -> String {
    provenance_name(&record.facts.filename, &record.facts.sha256)
}

/// A record as a page lists it; test results and documentation are not release files.
pub fn listed(record: &FileRecord, project: &ProjectName) -> Option<File> {
    let facts = &record.facts;
    if facts.role != FileRole::ReleaseFile {
        return None;
    }
    let mut file = File::named(Filename::parse(&facts.filename, project).ok()?);
    file.hashes = Hashes::sha256_only(facts.sha256);
    file.size = Some(facts.size);
    file.upload_time = Some(UploadTime {
        at: facts.uploaded_at,
        source: UploadTimeSource::Index,
    });
    file.requires_python = facts.requires_python.as_deref().map(Arc::from);
    file.yanked = facts.yanked.clone();
    // Metadata is looked for when a wheel is recorded; if there is none, none is listed.
    file.core_metadata = facts
        .metadata_sha256
        .map_or(CoreMetadata::Unobtainable, |digest| {
            CoreMetadata::Hashed(Hashes::sha256_only(digest))
        });
    Some(file)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::db::{Cause, Db as _, FileFacts, OnConflict, Publication, Removal, Sqlite};
    use crate::model::{Sha256, Timestamp, Yanked};

    const VERSIONS: [&str; 3] = ["1.0", "2.0", "3.0"];
    const NAMES: [&str; 5] = [
        "six-1.0.zip",
        "six-2.0.zip",
        "six-2.0-py3-none-any.whl",
        "six-3.0-py3-none-any.whl",
        "Six-1.0.tar.gz",
    ];

    /// What somebody does to the project, by numbers that choose.
    #[derive(Debug, Clone, Copy)]
    enum Deed {
        /// Uploads a file, or again with another content: a release, a name, when, whether yanked.
        Upload(usize, usize, u64, bool),
        RemoveFile(usize),
        RemoveRelease(usize),
        RemoveProject,
        /// Looks at the page.
        Look,
    }

    fn deeds() -> impl Strategy<Value = Vec<Deed>> {
        let deed = prop_oneof![
            6 => (0..3_usize, 0..5_usize, 0..3_u64, any::<bool>())
                .prop_map(|(version, name, at, yanked)| Deed::Upload(version, name, at, yanked)),
            2 => (0..5_usize).prop_map(Deed::RemoveFile),
            1 => (0..3_usize).prop_map(Deed::RemoveRelease),
            1 => Just(Deed::RemoveProject),
            4 => Just(Deed::Look),
        ];
        prop::collection::vec(deed, 0..40)
    }

    fn facts(name: &str, content: usize, at: u64, yanked: bool) -> FileFacts {
        FileFacts {
            filename: name.to_owned(),
            role: FileRole::ReleaseFile,
            sha256: Sha256::of(&content.to_le_bytes()),
            size: 7,
            md5: None,
            blake2b_256: None,
            uploaded_at: Timestamp::UNIX_EPOCH + Duration::from_secs(at),
            uploader: None,
            requires_python: None,
            metadata_sha256: None,
            yanked: if yanked {
                Yanked::Yes(None)
            } else {
                Yanked::No
            },
            log: Vec::new(),
        }
    }

    /// Records without anything in them, and the project that a test is about.
    async fn records() -> (tempfile::TempDir, Sqlite, (IndexName, ProjectName)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        let db = Sqlite::open(&path, Timestamp::UNIX_EPOCH).await.unwrap();
        let index = IndexName::parse("packages/stable").unwrap();
        let project = ProjectName::parse("six").unwrap();
        (folder, db, (index, project))
    }

    async fn carry_out(db: &Sqlite, place: (&IndexName, &ProjectName), number: usize, deed: Deed) {
        let cause = Cause {
            who: None,
            at: Timestamp::UNIX_EPOCH,
        };
        let removal = match deed {
            Deed::Look => return,
            Deed::Upload(version, name, at, yanked) => {
                let publication = Publication {
                    index: place.0.clone(),
                    project: place.1.clone(),
                    spelling: "six".to_owned(),
                    version: VERSIONS[version].to_owned(),
                    metadata: serde_json::Map::new(),
                    files: vec![facts(NAMES[name], number, at, yanked)],
                    on_conflict: OnConflict::Replace,
                };
                db.publish(&cause, &publication).await.unwrap();
                return;
            }
            Deed::RemoveFile(name) => Removal::File(NAMES[name]),
            Deed::RemoveRelease(version) => Removal::Release(VERSIONS[version]),
            Deed::RemoveProject => Removal::Project,
        };
        db.remove(&cause, place, removal).await.unwrap();
    }

    async fn look(
        db: &Sqlite,
        place: (&IndexName, &ProjectName),
        known: &mut Known,
    ) -> ProjectPage {
        let since = db.files_since(place.0, place.1, known.as_of).await.unwrap();
        ProjectPage::clone(&known.follow(since, place.1, &LearnedFiles::default()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_page_that_follows_the_changes_is_the_page_made_again(deeds in deeds()) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let (_folder, db, (index, project)) = records().await;
                let place = (&index, &project);
                let mut known = Known::default();
                for (number, deed) in deeds.into_iter().chain([Deed::Look]).enumerate() {
                    carry_out(&db, place, number, deed).await;
                    if let Deed::Look = deed {
                        let followed = look(&db, place, &mut known).await;
                        let made_again = look(&db, place, &mut Known::default()).await;
                        assert_eq!(followed, made_again);
                        assert_eq!(known.versions.len(), followed.files.len());
                    }
                }
            });
        }
    }

    #[tokio::test]
    async fn a_page_that_somebody_still_renders_stays_as_it_is() {
        let (_folder, db, (index, project)) = records().await;
        let place = (&index, &project);
        let mut known = Known::default();
        carry_out(&db, place, 0, Deed::Upload(0, 0, 0, false)).await;
        let since = db.files_since(&index, &project, None).await.unwrap();
        let rendered = known.follow(since, &project, &LearnedFiles::default());
        carry_out(&db, place, 1, Deed::Upload(1, 1, 0, false)).await;
        assert_eq!(look(&db, place, &mut known).await.files.len(), 2);
        assert_eq!(rendered.files.len(), 1);
    }
}
