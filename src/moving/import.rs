//! An import: read, compared, copied in, and made visible by one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use crate::account::{Checked, Passwords, ROOT};
use crate::db::{
    Cause, Db, Directory, FileFacts, FileRecord, IndexContent, LeftAsIs, ProjectContent,
    ProjectRecord, Restoral, Restoration, Restored, Snapshot,
};
use crate::devpi::{CheckIndexes, DeclaredIndex};
use crate::exchange::Archives;
use crate::model::{IndexName, ProjectName, Timestamp};
use crate::moving::copying::AT_ONCE;
use crate::moving::document::DataIndex;
use crate::moving::layout::{DATA_INDEX, INCOMPLETE};
use crate::moving::plan::{Plan, PlannedIndex, Planner, Skipped};
use crate::moving::report::{ImportReport, MovingError, OnProgress, Progress};
use crate::moving::take::{Taken, Taker};
use crate::protocol::stated_requirement;
use crate::store::FsStore;

/// Where an import goes.
#[derive(Debug)]
pub struct Importer {
    /// Keeps bytes.
    pub store: Arc<FsStore>,
    /// Keeps records.
    pub records: Arc<dyn Db>,
    /// The indexes that YAML declares.
    pub declared: BTreeMap<IndexName, DeclaredIndex>,
    /// Reads the metadata in archives.
    pub archives: Archives,
    /// Decides whether the gateway could work with the indexes.
    pub check: Arc<dyn CheckIndexes>,
    /// Tells whether root has a password.
    pub passwords: Passwords,
    /// The time of the import.
    pub now: Timestamp,
}

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// Compare everything, and change nothing.
    pub check_only: bool,
    /// Types of indexes that are left out.
    pub skipped_types: Vec<String>,
    /// Indexes that are left out.
    pub skipped_indexes: Vec<IndexName>,
}

/// Facts of the files of an index, in the order of its plan.
type Facts = Vec<FileFacts>;

impl Importer {
    /// Imports a directory. If the report has faults, nothing of it is visible.
    ///
    /// # Errors
    /// When disk or records fail, or the directory holds no export; nothing is visible then either.
    pub async fn import(
        &self,
        folder: &Path,
        options: &ImportOptions,
        on_progress: OnProgress<'_>,
    ) -> Result<ImportReport, MovingError> {
        let root = folder.canonicalize();
        let root = root.map_err(MovingError::io("find the export", folder))?;
        let plan = self.plan(&root, options)?;
        let mut report = ImportReport {
            faults: plan.faults,
            notes: plan.notes,
            ..ImportReport::default()
        };
        let mut indexes = plan.indexes;
        self.mind_declared(&mut indexes, &mut report);
        let taker = Taker {
            store: Arc::clone(&self.store),
            archives: self.archives.clone(),
            // After a fault nothing will be imported, but all faults are to be reported.
            verify_only: options.check_only || !report.faults.is_empty(),
        };
        let taken = take_all(&taker, &indexes, on_progress, &mut report).await?;
        if !report.faults.is_empty() {
            return Ok(report);
        }
        let here = self.records.directory().await?;
        let restoration = Restoration {
            replaced_users: self.replaced(&here).await?,
            snapshot: self.snapshot(plan.users, indexes, taken),
            is_rehearsal: options.check_only,
        };
        self.look_ahead(&here, &restoration.snapshot.directory, &mut report);
        if !report.faults.is_empty() {
            return Ok(report);
        }
        let cause = Cause {
            who: Some(ROOT.to_owned()),
            at: self.now,
        };
        match self.records.restore(&cause, &restoration).await? {
            Restored::Done(restoral) => report.tell(restoral),
            Restored::Differs(files) => {
                let faults = files.iter().map(|file| {
                    let (index, name) = (&file.index, &file.filename);
                    format!(
                        "{name} is on {index} already, with other content: remove one of the two"
                    )
                });
                report.faults.extend(faults);
            }
        }
        Ok(report)
    }

    fn plan(&self, root: &Path, options: &ImportOptions) -> Result<Plan, MovingError> {
        let path = root.join(DATA_INDEX);
        if root.join(INCOMPLETE).exists() {
            return Err(MovingError::Directory(format!(
                "{} holds an export that broke off: export again, into another directory",
                root.display()
            )));
        }
        if !path.exists() {
            return Err(MovingError::Directory(format!(
                "there is no {DATA_INDEX} in {}: name a directory that devpi-export or export wrote",
                root.display()
            )));
        }
        let text = std::fs::read(&path).map_err(MovingError::io("read", &path))?;
        let data = match DataIndex::parse(&text) {
            Ok(data) => data,
            Err(fault) => {
                let faults = vec![format!("{DATA_INDEX}: {fault}")];
                return Ok(Plan {
                    faults,
                    ..Plan::default()
                });
            }
        };
        let skipped = Skipped {
            types: options.skipped_types.clone(),
            indexes: options.skipped_indexes.clone(),
        };
        let planner = Planner {
            root,
            skipped: &skipped,
            now: self.now,
            plan: Plan::default(),
        };
        Ok(planner.plan(data))
    }

    /// Takes only the content of an index that YAML declares.
    fn mind_declared(&self, indexes: &mut [PlannedIndex], report: &mut ImportReport) {
        for index in indexes {
            let Some(declared) = self.declared.get(&index.record.name) else {
                continue;
            };
            let (name, location) = (&index.record.name, &declared.location);
            let is_mirror = declared.settings.is_mirror();
            if is_mirror && !index.is_mirror && !index.files.is_empty() {
                report.faults.push(format!(
                    "index {name} is a mirror in {location}, and the export has files that were uploaded to it"
                ));
            }
            report.notes.push(format!(
                "index {name} is declared in {location}: its configuration stays as it is there"
            ));
        }
    }

    /// Root, as long as it has no password here: the export's is wanted then.
    async fn replaced(&self, here: &Directory) -> Result<BTreeSet<String>, MovingError> {
        let mut replaced: BTreeSet<String> = here
            .users
            .iter()
            .filter(|user| user.password_hash.is_none())
            .map(|user| user.name.clone())
            .collect();
        let root = here.users.iter().find(|user| user.name == ROOT);
        if let Some(hash) = root.and_then(|root| root.password_hash.as_deref())
            && self.passwords.check("", Some(hash)).await? != Checked::Wrong
        {
            replaced.insert(ROOT.to_owned());
        }
        Ok(replaced)
    }

    /// Everything that is to be recorded.
    fn snapshot(
        &self,
        users: Vec<crate::db::User>,
        indexes: Vec<PlannedIndex>,
        taken: Vec<Facts>,
    ) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.directory.users = users;
        for (index, facts) in indexes.into_iter().zip(taken) {
            let declared = self.declared.get(&index.record.name);
            let is_mirror_here = declared.is_some_and(|index| index.settings.is_mirror());
            if !index.is_mirror && !is_mirror_here {
                let content = content_of(&index, facts);
                snapshot.contents.extend(content);
            }
            if declared.is_none() {
                snapshot.directory.indexes.push(index.record);
            }
        }
        snapshot
    }

    /// Finds what the records or the next start would refuse.
    fn look_ahead(&self, here: &Directory, coming: &Directory, report: &mut ImportReport) {
        let mut would_be = here.clone();
        for user in &coming.users {
            if !here.users.iter().any(|known| known.name == user.name) {
                would_be.users.push(user.clone());
            }
        }
        for index in &coming.indexes {
            let known = here.indexes.iter().find(|known| known.name == index.name);
            match known {
                Some(known) if known.config.get("type") != index.config.get("type") => {
                    report.faults.push(format!(
                        "index {} is of another type here than in the export: rename one of the two",
                        index.name
                    ));
                }
                Some(_) => {}
                None => would_be.indexes.push(index.clone()),
            }
            let user = index.name.user();
            if !would_be.users.iter().any(|known| known.name == user) {
                let name = &index.name;
                let fault =
                    format!("index {name}: neither the export nor this gateway has a user {user}");
                report.faults.push(fault);
            }
        }
        if let Err(faults) = self.check.check(&would_be) {
            let faults = faults.0.iter().map(ToString::to_string);
            report.faults.extend(faults);
        }
    }
}

impl ImportReport {
    fn tell(&mut self, restoral: Restoral) {
        self.users = restoral.users;
        self.indexes = restoral.indexes;
        self.releases = restoral.releases;
        self.files = restoral.files;
        self.files_already = restoral.files_already;
        let notes = restoral.kept.into_iter().map(|kept| match kept {
            LeftAsIs::User(name) => format!("user {name} is here already and stays as it is"),
            LeftAsIs::Index(name) => {
                format!("index {name} is here already, and its configuration stays as it is")
            }
            LeftAsIs::Release {
                index,
                project,
                version,
            } => format!("{project} {version} on {index} is here already, and its metadata stays"),
        });
        self.notes.extend(notes);
    }
}

/// Copies all files in; faults and notes go to the report, in the order of the export.
async fn take_all(
    taker: &Taker,
    indexes: &[PlannedIndex],
    on_progress: OnProgress<'_>,
    report: &mut ImportReport,
) -> Result<Vec<Facts>, MovingError> {
    let all: Vec<_> = indexes
        .iter()
        .enumerate()
        .flat_map(|(at, index)| index.files.iter().map(move |file| (at, index, file)))
        .collect();
    let mut progress = Progress::over(all.iter().map(|(_, _, file)| file.bytes));
    report.bytes = progress.bytes_in_all;
    on_progress(progress);
    let takes = all.into_iter().map(|(at, index, file)| async move {
        let taken = taker.take(file, index.is_mirror).await;
        taken.map(|taken| (at, index.is_mirror, file.bytes, taken))
    });
    let mut takes = stream::iter(takes).buffered(AT_ONCE);
    let mut facts: Vec<Facts> = indexes.iter().map(|_| Facts::new()).collect();
    while let Some(taken) = takes.next().await {
        let (at, is_mirror, bytes, taken) = taken?;
        progress.add(bytes);
        match taken {
            Taken::Whole(taken, note) => {
                facts[at].push(*taken);
                report.notes.extend(note);
                report.mirror_files += u64::from(is_mirror);
            }
            Taken::Fault(fault) => report.faults.push(fault),
        }
        on_progress(progress);
    }
    Ok(facts)
}

/// The content of a stage; `None` if there is none.
fn content_of(index: &PlannedIndex, facts: Facts) -> Option<IndexContent> {
    let mut files: BTreeMap<&ProjectName, Vec<FileRecord>> = BTreeMap::new();
    for (file, mut facts) in index.files.iter().zip(facts) {
        let release = index.projects.get(&file.project);
        let release = release.and_then(|project| project.releases.get(&file.version));
        if facts.requires_python.is_none() && facts.role == crate::db::FileRole::ReleaseFile {
            facts.requires_python =
                release.and_then(|release| stated_requirement(&release.metadata));
        }
        files.entry(&file.project).or_default().push(FileRecord {
            index: index.record.name.clone(),
            project: file.project.clone(),
            version: file.version.clone(),
            facts,
        });
    }
    let projects = index.projects.iter().map(|(name, project)| ProjectContent {
        name: name.clone(),
        record: ProjectRecord {
            spelling: project.spelling.clone(),
            releases: project.releases.values().cloned().collect(),
            files: files.remove(name).unwrap_or_default(),
        },
    });
    let projects: Vec<_> = projects.collect();
    let index = index.record.name.clone();
    (!projects.is_empty()).then_some(IndexContent { index, projects })
}
