//! What an export says, as planned records, with everything that is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::account::{ExportedHash, Passwords};
use crate::db::{IndexRecord, ReleaseRecord, Serial, User};
use crate::devpi::{IndexSettings, UserRequest};
use crate::model::{IndexName, ProjectName, Timestamp};
use crate::moving::document::{DataIndex, FileEntry, IndexEntry, Object, OurProject};
use crate::moving::planned_file::PlannedFile;
use crate::protocol::is_version;

/// Keys of a user that are not details.
const NO_DETAILS: [&str; 6] = [
    "username", "pwhash", "pwsalt", "created", "modified", "indexes",
];

/// What is left out on request.
#[derive(Debug, Clone, Default)]
pub struct Skipped {
    /// Types of indexes.
    pub types: Vec<String>,
    /// Indexes.
    pub indexes: Vec<IndexName>,
}

/// The planned records.
#[derive(Debug, Default)]
pub struct Plan {
    pub users: Vec<User>,
    pub indexes: Vec<PlannedIndex>,
    pub faults: Vec<String>,
    pub notes: Vec<String>,
}

/// A planned index.
#[derive(Debug)]
pub struct PlannedIndex {
    pub record: IndexRecord,
    pub is_mirror: bool,
    pub projects: BTreeMap<ProjectName, PlannedProject>,
    pub files: Vec<PlannedFile>,
}

/// A planned project.
#[derive(Debug)]
pub struct PlannedProject {
    pub spelling: String,
    pub releases: BTreeMap<String, ReleaseRecord>,
}

/// Makes the plan of an export that was read.
pub struct Planner<'a> {
    /// The export's directory, without links in its path.
    pub root: &'a Path,
    pub skipped: &'a Skipped,
    pub now: Timestamp,
    pub plan: Plan,
}

impl Planner<'_> {
    /// The plan of the whole export.
    pub fn plan(mut self, data: DataIndex) -> Plan {
        for (name, user) in &data.users {
            self.user(name, user);
        }
        for (name, entry) in data.indexes {
            if let Err(fault) = self.index(&name, entry) {
                self.plan.faults.push(format!("index {name}: {fault}"));
            }
        }
        self.plan
    }

    fn user(&mut self, name: &str, user: &Value) {
        let Some(user) = user.as_object().filter(|_| IndexName::is_part(name)) else {
            self.plan.faults.push(format!(
                "user {name:?}: names hold letters, digits and -.@_ and stand before an object"
            ));
            return;
        };
        let details: Object = user
            .iter()
            .filter(|(key, _)| !NO_DETAILS.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let details = match UserRequest::modify(&details) {
            Ok(request) => request.new_details(),
            Err(fault) => {
                self.plan.faults.push(format!("user {name}: {fault}"));
                return;
            }
        };
        let instant = |key: &str| user.get(key)?.as_str()?.parse::<Timestamp>().ok();
        let password_hash = self.password_of(name, user);
        self.plan.users.push(User {
            name: name.to_owned(),
            password_hash,
            generation: 0,
            details,
            // devpi-server's own value for users from before it noted that.
            created: instant("created").unwrap_or(Timestamp::UNIX_EPOCH),
            modified: instant("modified"),
        });
    }

    fn password_of(&mut self, name: &str, user: &Object) -> Option<String> {
        let text = |key: &str| user.get(key).and_then(Value::as_str).map(str::to_owned);
        let exported = ExportedHash {
            pwhash: text("pwhash").filter(|hash| !hash.is_empty())?,
            pwsalt: text("pwsalt"),
        };
        match Passwords::import_hash(&exported) {
            Ok(kept) => Some(kept),
            Err(error) => {
                self.plan.notes.push(format!(
                    "user {name} comes without a password, root has to give one: {error}"
                ));
                None
            }
        }
    }

    fn index(&mut self, name: &str, entry: Value) -> Result<(), String> {
        let entry: IndexEntry = serde_json::from_value(entry).map_err(|error| error.to_string())?;
        let kind = entry.indexconfig.get("type").and_then(Value::as_str);
        let kind = kind.unwrap_or("stage").to_owned();
        if self.skipped.types.contains(&kind) {
            self.note(name, &format!("left out, as indexes of type {kind} are"));
            return Ok(());
        }
        if !["stage", "mirror"].contains(&kind.as_str()) {
            return Err(format!(
                "indexes of type {kind:?} are not known here; leave them out with --skip-import-type {kind}"
            ));
        }
        let index = IndexName::parse(name).map_err(|error| error.to_string())?;
        if self.skipped.indexes.contains(&index) {
            self.note(name, "left out");
            return Ok(());
        }
        let is_mirror = kind == "mirror";
        let settings = self.settings(&index, &entry.indexconfig)?;
        let ours = entry.cheesecloth.unwrap_or_default();
        let mut projects = BTreeMap::new();
        if let Value::Object(listed) = &entry.projects {
            for (spelling, versions) in listed {
                self.project(name, &mut projects, (spelling, versions));
            }
        }
        for (name, ours) in ours.projects {
            remember(&mut projects, &name, ours);
        }
        let mut files = entry.files;
        files.extend(ours.files);
        let files = self.files(name, files, &mut projects);
        self.plan.indexes.push(PlannedIndex {
            record: settings.to_record(Serial::default(), self.now),
            is_mirror,
            projects,
            files,
        });
        Ok(())
    }

    /// The configuration. Keys of plugins are ignored; bases may be missing, as in devpi.
    fn settings(&mut self, name: &IndexName, keys: &Object) -> Result<IndexSettings, String> {
        let mut known = keys.clone();
        let unknown = IndexSettings::unknown_keys(keys);
        for key in &unknown {
            let value = known.remove(key);
            if value.is_some_and(|value| !value.is_null()) {
                let words = format!("its key {key} is not known here and is left out");
                self.note(name.as_str(), &words);
            }
        }
        IndexSettings::create(name, &known, &|_| true)
    }

    fn project(
        &mut self,
        index: &str,
        projects: &mut BTreeMap<ProjectName, PlannedProject>,
        (spelling, versions): (&str, &Value),
    ) {
        let Ok(name) = ProjectName::parse(spelling) else {
            let fault = format!("index {index}: {spelling:?} is no project's name");
            self.plan.faults.push(fault);
            return;
        };
        let project = projects.entry(name).or_insert_with(|| PlannedProject {
            spelling: spelling.to_owned(),
            releases: BTreeMap::new(),
        });
        for (version, metadata) in versions.as_object().into_iter().flatten() {
            if !is_version(version) {
                let fault = format!("index {index}: {version:?} of {spelling} is no version");
                self.plan.faults.push(fault);
                continue;
            }
            let release = release(spelling, version, metadata, self.now);
            if let Some(name) = release.metadata.get("name").and_then(Value::as_str) {
                name.clone_into(&mut project.spelling);
            }
            project.releases.insert(version.clone(), release);
        }
    }

    fn files(
        &mut self,
        index: &str,
        entries: Vec<Value>,
        projects: &mut BTreeMap<ProjectName, PlannedProject>,
    ) -> Vec<PlannedFile> {
        let mut files: Vec<PlannedFile> = Vec::new();
        for entry in entries {
            match self.file(entry, projects) {
                Ok(file) => files.push(file),
                Err(fault) => self.plan.faults.push(format!("index {index}: {fault}")),
            }
        }
        let faults = inconsistencies(&files);
        let faults = faults
            .into_iter()
            .map(|fault| format!("index {index}: {fault}"));
        self.plan.faults.extend(faults);
        let left_out: usize = files.iter().map(|file| file.log_left_out).sum();
        if left_out > 0 {
            self.note(
                index,
                &format!("{left_out} entries of files' logs are left out"),
            );
        }
        files
    }

    fn file(
        &mut self,
        entry: Value,
        projects: &mut BTreeMap<ProjectName, PlannedProject>,
    ) -> Result<PlannedFile, String> {
        let what = entry.get("relpath").and_then(Value::as_str);
        let what = what.unwrap_or("a file without relpath").to_owned();
        let named = |fault: String| format!("{what}: {fault}");
        let entry: FileEntry =
            serde_json::from_value(entry).map_err(|error| named(error.to_string()))?;
        let name = ProjectName::parse(&entry.projectname);
        let name = name.map_err(|error| named(error.to_string()))?;
        let spelling = entry.projectname.clone();
        let project = projects
            .entry(name.clone())
            .or_insert_with(|| PlannedProject {
                spelling: spelling.clone(),
                releases: BTreeMap::new(),
            });
        let versions: Vec<String> = project.releases.keys().cloned().collect();
        let file = PlannedFile::read(self.root, entry, &name, &versions, self.now);
        let file = file.map_err(named)?;
        if !is_version(&file.version) {
            return Err(named(format!("{:?} is no version", file.version)));
        }
        let version = file.version.clone();
        let now = self.now;
        project
            .releases
            .entry(version)
            .or_insert_with_key(|version| release(&spelling, version, &Value::Null, now));
        Ok(file)
    }

    fn note(&mut self, index: &str, words: &str) {
        self.plan.notes.push(format!("index {index}: {words}"));
    }
}

/// A release; keys that begin with a plus are devpi's own, others are part of the form.
fn release(spelling: &str, version: &str, metadata: &Value, now: Timestamp) -> ReleaseRecord {
    let fields = metadata.as_object().into_iter().flatten();
    let mut metadata: Object = fields
        .filter(|(key, _)| !key.starts_with(['+', ':']))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for (key, value) in [("name", spelling), ("version", version)] {
        let is_there = metadata.get(key).and_then(Value::as_str);
        if is_there.is_none_or(str::is_empty) {
            metadata.insert(key.to_owned(), value.into());
        }
    }
    ReleaseRecord {
        version: version.to_owned(),
        metadata,
        created: now,
    }
}

/// Applies our additions about a project on top of devpi's form.
fn remember(projects: &mut BTreeMap<ProjectName, PlannedProject>, name: &str, ours: OurProject) {
    let project = projects
        .iter_mut()
        .find(|(known, _)| known.is_spelled(name));
    let Some((_, project)) = project else {
        return;
    };
    project.spelling = ours.spelling;
    for (version, created) in ours.created {
        if let Some(release) = project.releases.get_mut(&version) {
            release.created = created;
        }
    }
}

/// Names that occur twice, and results for missing files.
fn inconsistencies(files: &[PlannedFile]) -> Vec<String> {
    let mut names = BTreeSet::new();
    let mut faults = Vec::new();
    for file in files {
        if !names.insert((&file.project, file.filename.as_str())) {
            faults.push(format!(
                "{}: {} is there twice",
                file.relative, file.filename
            ));
        }
    }
    for file in files {
        let Some(subject) = file.role.for_file() else {
            continue;
        };
        if !names.contains(&(&file.project, subject)) {
            let path = &file.relative;
            faults.push(format!(
                "{path}: it is the result of {subject}, which is not there"
            ));
        }
    }
    faults
}
