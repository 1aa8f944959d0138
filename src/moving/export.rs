//! An export: every file of one snapshot of the records, then their index.
//!
//! It runs beside a serving gateway: what is published meanwhile is not in the snapshot, and what is
//! removed meanwhile keeps its bytes until the export has them. If bytes are missing nevertheless, that is
//! a fault, and the export stays marked as incomplete.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use sha2::Digest as _;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use crate::db::{Db, FileFacts, FileRecord, FileRole, IndexContent, ProjectContent, Snapshot};
use crate::depot::{Depot, DepotError, DepotKey};
use crate::devpi::{DeclaredIndex, IndexSettings};
use crate::model::{IndexName, Sha256};
use crate::moving::document::{DataIndex, IndexEntry, Object, OurIndex};
use crate::moving::export_entry::{file_entry, our_project, path_of, user_entry, versions_of};
use crate::moving::folder::{close, make_folder, must_be_empty, own_file};
use crate::moving::layout::{DATA_INDEX, DUMP_VERSION, INCOMPLETE};
use crate::moving::report::{ExportReport, MovingError, OnProgress, Progress};
use crate::store::{FsStore, Key};

/// Bytes copied at a time.
const CHUNK: usize = 1 << 17;

/// What is exported.
#[derive(Debug)]
pub struct Exporter {
    /// Where the bytes are.
    pub store: Arc<FsStore>,
    /// Has what is not there, where that is a cache before it.
    pub depot: Option<Arc<Depot>>,
    /// Where the records are.
    pub records: Arc<dyn Db>,
    /// The indexes that YAML declares.
    pub declared: BTreeMap<IndexName, DeclaredIndex>,
}

/// An export being written.
struct Writing<'a> {
    exporter: &'a Exporter,
    folder: &'a Path,
    paths: BTreeSet<String>,
    progress: Progress,
    on_progress: OnProgress<'a>,
    report: ExportReport,
}

impl Exporter {
    /// Writes everything into a directory that is new or empty; blocks its thread while it copies.
    ///
    /// # Errors
    /// When it is not empty, or disk or records fail: what has been written is then marked as incomplete.
    pub async fn export(
        &self,
        folder: &Path,
        on_progress: OnProgress<'_>,
    ) -> Result<ExportReport, MovingError> {
        let notes = prepare(folder)?;
        // Before the snapshot is read: what it names is kept until all of it is copied.
        let _held = self.store.hold_all()?;
        let snapshot = self.records.snapshot().await?;
        let files = snapshot.contents.iter().flat_map(files_of);
        let mut writing = Writing {
            exporter: self,
            folder,
            paths: BTreeSet::new(),
            progress: Progress::over(files.map(|file| file.facts.size)),
            on_progress,
            report: ExportReport {
                notes,
                ..ExportReport::default()
            },
        };
        on_progress(writing.progress);
        let indexes = writing.indexes(&snapshot)?;
        let users = writing.users(&snapshot, &indexes);
        if writing.report.faults.is_empty() {
            writing.end(users, indexes)?;
        }
        Ok(writing.report)
    }
}

impl Writing<'_> {
    fn users(&mut self, snapshot: &Snapshot, indexes: &Object) -> Object {
        let mut users = Object::new();
        for user in &snapshot.directory.users {
            users.insert(user.name.clone(), user_entry(&user.name, Some(user)));
        }
        for index in indexes.keys() {
            let owner = index.split('/').next().unwrap_or_default();
            if !users.contains_key(owner) {
                users.insert(owner.to_owned(), user_entry(owner, None));
            }
        }
        self.report.users = users.len() as u64;
        users
    }

    fn indexes(&mut self, snapshot: &Snapshot) -> Result<Object, MovingError> {
        let mut settings: BTreeMap<IndexName, Object> = BTreeMap::new();
        for index in &snapshot.directory.indexes {
            settings.insert(index.name.clone(), index.config.clone());
        }
        for (name, declared) in &self.exporter.declared {
            settings.insert(name.clone(), declared.settings.to_json());
        }
        for content in &snapshot.contents {
            if settings.contains_key(&content.index) {
                continue;
            }
            let plain = IndexSettings::create(&content.index, &Object::new(), &|_| true);
            let plain = plain.map_err(MovingError::Broken)?;
            settings.insert(content.index.clone(), plain.to_json());
            self.report.notes.push(format!(
                "index {} is declared no more, and holds content: it is exported as a plain stage",
                content.index
            ));
        }
        let mut indexes = Object::new();
        for (name, indexconfig) in settings {
            let is_mirror = indexconfig.get("type") == Some(&json!("mirror"));
            let content = snapshot.contents.iter().find(|one| one.index == name);
            let entry = self.index(indexconfig, content.filter(|_| !is_mirror))?;
            let mut entry = serde_json::to_value(entry).map_err(unwritable)?;
            if is_mirror && let Value::Object(keys) = &mut entry {
                keys.remove("files");
            }
            indexes.insert(name.to_string(), entry);
            self.report.indexes += 1;
        }
        Ok(indexes)
    }

    fn index(
        &mut self,
        indexconfig: Object,
        content: Option<&IndexContent>,
    ) -> Result<IndexEntry, MovingError> {
        let mut entry = IndexEntry {
            indexconfig,
            projects: Value::Object(Object::new()),
            files: Vec::new(),
            cheesecloth: None,
        };
        let Some(content) = content else {
            return Ok(entry);
        };
        let (mut projects, mut ours) = (Object::new(), OurIndex::default());
        for project in &content.projects {
            let name = project.name.to_string();
            projects.insert(name.clone(), versions_of(project).into());
            ours.projects.insert(name, our_project(project));
            self.report.releases += project.record.releases.len() as u64;
            self.files(project, &mut entry.files, &mut ours.files)?;
        }
        entry.projects = projects.into();
        entry.cheesecloth = Some(ours);
        Ok(entry)
    }

    /// Release files first: what is about one is imported after it.
    fn files(
        &mut self,
        project: &ProjectContent,
        entries: &mut Vec<Value>,
        ours: &mut Vec<Value>,
    ) -> Result<(), MovingError> {
        let files = &project.record.files;
        let (first, then): (Vec<_>, Vec<_>) = files
            .iter()
            .partition(|file| file.facts.role == FileRole::ReleaseFile);
        for file in first.into_iter().chain(then) {
            let subject = file.facts.role.for_file();
            let subject = subject.and_then(|name| facts_of(files, name));
            let path = self.free_path(path_of(file, subject), file);
            if let Some(fault) = self.copy(&file.facts, &path)? {
                let (index, name) = (&file.index, &file.facts.filename);
                self.report
                    .faults
                    .push(format!("{name} of {index}: {fault}"));
            }
            let entry = serde_json::to_value(file_entry(file, subject, path));
            let entries = match file.facts.role {
                FileRole::Provenance { .. } => &mut *ours,
                FileRole::ReleaseFile | FileRole::ToxResult { .. } | FileRole::DocZip => {
                    &mut *entries
                }
            };
            entries.push(entry.map_err(unwritable)?);
            self.progress.add(file.facts.size);
            (self.report.files, self.report.bytes) = (self.progress.files, self.progress.bytes);
            (self.on_progress)(self.progress);
        }
        Ok(())
    }

    /// The path, or one that includes the file's digest if two names collide.
    fn free_path(&mut self, path: String, file: &FileRecord) -> String {
        let key = path.to_lowercase();
        if self.paths.insert(key) {
            return path;
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let digest = file.facts.sha256.to_hex();
        let (index, project) = (&file.index, &file.project);
        let other = format!(
            "{index}/{project}/+{}/{}/{name}",
            &digest[..16],
            file.facts.role.as_str()
        );
        self.paths.insert(other.to_lowercase());
        other
    }

    /// Copies the bytes and compares them; returns what is wrong with them.
    fn copy(&self, facts: &FileFacts, path: &str) -> Result<Option<String>, MovingError> {
        let key = Key::PrivateFile(facts.sha256);
        let Some(kept) = self.exporter.store.open_file(&key)? else {
            return self.copy_deposited(facts, path);
        };
        let path = self.place(path)?;
        let mut file = create(&path)?;
        let (mut source, mut hasher) = (kept.file(), sha2::Sha256::new());
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = source
                .read(&mut chunk)
                .map_err(MovingError::io("read the bytes for", &path))?;
            if read == 0 {
                break;
            }
            hasher.update(&chunk[..read]);
            file.write_all(&chunk[..read])
                .map_err(MovingError::io("write", &path))?;
        }
        file.sync_data().map_err(MovingError::io("write", &path))?;
        let found = Sha256::from_bytes(hasher.finalize().into());
        Ok((found != facts.sha256).then(|| {
            format!(
                "its bytes in the store are damaged, their sha256 is {}",
                found.to_hex()
            )
        }))
    }

    /// The same for bytes that are in the depot only.
    fn copy_deposited(&self, facts: &FileFacts, path: &str) -> Result<Option<String>, MovingError> {
        let Some(depot) = &self.exporter.depot else {
            return Ok(Some("its bytes are not in the store".to_owned()));
        };
        let path = self.place(path)?;
        let broken = |error: DepotError| MovingError::Broken(error.to_string());
        let copied = async {
            let got = depot.get(DepotKey::File(facts.sha256)).await;
            let Some(mut object) = got.map_err(broken)? else {
                return Ok::<_, MovingError>(None);
            };
            let (mut file, mut hasher) = (create(&path)?, sha2::Sha256::new());
            while let Some(piece) = object.next().await.map_err(broken)? {
                hasher.update(&piece);
                file.write_all(&piece)
                    .map_err(MovingError::io("write", &path))?;
            }
            file.sync_data().map_err(MovingError::io("write", &path))?;
            Ok(Some(Sha256::from_bytes(hasher.finalize().into())))
        };
        let work = Handle::current();
        let copied = block_in_place(|| work.block_on(copied))?;
        Ok(match copied {
            Some(found) if found == facts.sha256 => None,
            Some(found) => Some(format!(
                "its bytes in the depot are damaged, their sha256 is {found}"
            )),
            None => Some("its bytes are missing from the depot".to_owned()),
        })
    }

    /// A path in the export, in a folder that exists.
    fn place(&self, path: &str) -> Result<PathBuf, MovingError> {
        let path = self.folder.join(path);
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        Ok(path)
    }

    /// Writes the index of everything, and removes the mark of an incomplete export.
    fn end(&self, users: Object, indexes: Object) -> Result<(), MovingError> {
        let data = DataIndex {
            dumpversion: DUMP_VERSION.to_string().into(),
            users,
            indexes,
        };
        let (draft, path) = (
            self.folder.join("dataindex.draft"),
            self.folder.join(DATA_INDEX),
        );
        let written = || -> std::io::Result<()> {
            let mut writer = BufWriter::new(own_file().create_new(true).open(&draft)?);
            serde_json::to_writer_pretty(&mut writer, &data)?;
            writer.into_inner()?.sync_all()?;
            std::fs::rename(&draft, &path)?;
            std::fs::remove_file(self.folder.join(INCOMPLETE))?;
            File::open(self.folder)?.sync_all()
        };
        written().map_err(MovingError::io("write", &path))
    }
}

fn files_of(content: &IndexContent) -> impl Iterator<Item = &FileRecord> {
    content
        .projects
        .iter()
        .flat_map(|project| &project.record.files)
}

fn facts_of<'a>(files: &'a [FileRecord], name: &str) -> Option<&'a FileFacts> {
    let found = files.iter().find(|file| file.facts.filename == name);
    found.map(|file| &file.facts)
}

fn unwritable(error: serde_json::Error) -> MovingError {
    MovingError::Broken(error.to_string())
}

/// Creates the directory, marked as incomplete, and closes it; returns what was open.
fn prepare(folder: &Path) -> Result<Vec<String>, MovingError> {
    make_folder(folder)?;
    if folder.join(INCOMPLETE).exists() {
        return Err(MovingError::Directory(format!(
            "{} holds an export that broke off: remove it, or name another directory",
            folder.display()
        )));
    }
    must_be_empty(
        folder,
        "is not empty: name a directory that is new or empty",
    )?;
    let notes = close(folder)?;
    let mark = folder.join(INCOMPLETE);
    let mut file = create(&mark)?;
    file.write_all(b"This export is being written, or broke off: it cannot be imported.\n")
        .map_err(MovingError::io("write", &mark))?;
    Ok(notes)
}

fn create(path: &Path) -> Result<File, MovingError> {
    let created = own_file().create_new(true).open(path);
    created.map_err(MovingError::io("write", path))
}
