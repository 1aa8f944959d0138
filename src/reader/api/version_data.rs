//! The data of one version as devpi shows it: metadata and `+links` (docs/protocol/devpi.md §12.1).

use serde_json::{Map, Value, json};

use crate::db::{FileRecord, ReleaseRecord};
use crate::exchange::Outside;
use crate::model::{Hashes, IndexName, ProjectName, Yanked};
use crate::page::{digest_path, encode, file_path};
use crate::protocol::complete;
use crate::reader::api::releases::Shown;

/// A version's data.
pub type VersionData = Map<String, Value>;

/// Writes the data of one index's versions.
#[derive(Debug, Clone)]
pub struct DataWriter {
    /// The URL of the index that holds the files, unless it is not shown: `+links` name the owner's index.
    index: String,
}

impl DataWriter {
    pub fn new(outside: &Outside, owner: &IndexName) -> Self {
        Self {
            index: outside.index(owner),
        }
    }

    /// A stage's release: all metadata fields, and those of its files that are shown.
    pub fn of_stage(
        &self,
        spelling: &str,
        release: &ReleaseRecord,
        files: &[&FileRecord],
    ) -> VersionData {
        let mut data = complete(&release.metadata);
        let own = [("name", spelling), ("version", &release.version)];
        for (key, value) in own {
            if data
                .get(key)
                .and_then(Value::as_str)
                .is_none_or(str::is_empty)
            {
                data.insert(key.to_owned(), value.into());
            }
        }
        if !files.is_empty() {
            let links: Vec<Value> = files
                .iter()
                .map(|file| self.recorded_link(file, files))
                .collect();
            data.insert("+links".to_owned(), links.into());
        }
        data
    }

    /// A mirror's version: only what a simple page says about it. A version is `yanked` if all of its files
    /// are.
    pub fn of_mirror(
        &self,
        project: &ProjectName,
        version: &str,
        files: &[Shown<'_>],
    ) -> VersionData {
        let mut data = VersionData::new();
        data.insert("name".to_owned(), project.as_str().into());
        data.insert("version".to_owned(), version.into());
        if let Some(python) = files
            .iter()
            .find_map(|one| one.file.requires_python.as_deref())
        {
            data.insert("requires_python".to_owned(), python.into());
        }
        if files.iter().all(|one| one.yanked.is_yanked())
            && let Some(Yanked::Yes(reason)) = files.first().map(|one| &one.yanked)
        {
            let yanked = reason.as_deref().map_or(Value::Bool(true), Value::from);
            data.insert("yanked".to_owned(), yanked);
        }
        let served = files.iter().filter(|one| one.is_served);
        let links = served.map(|Shown { file, .. }| {
            let mut link = json!({
                "rel": "releasefile",
                "href": format!("{}/{}", self.index, file_path(file)),
            });
            insert_hashes(&mut link, &file.hashes);
            link
        });
        data.insert("+links".to_owned(), links.collect::<Vec<_>>().into());
        data
    }

    fn recorded_link(&self, file: &FileRecord, all: &[&FileRecord]) -> Value {
        let facts = &file.facts;
        let mut link = json!({
            "rel": facts.role.as_str(),
            "href": self.recorded_href(file),
            "log": facts.log,
        });
        insert_hashes(&mut link, &Hashes::sha256_only(facts.sha256));
        let tested = facts.role.for_file();
        let tested = tested.and_then(|name| all.iter().find(|one| one.facts.filename == name));
        if let Some(tested) = tested {
            link["for_href"] = self.recorded_href(tested).into();
        }
        link
    }

    /// Test results and documentation have names that no release file has, so not [`file_path`].
    fn recorded_href(&self, file: &FileRecord) -> String {
        let facts = &file.facts;
        let path = digest_path(&facts.sha256, &encode(&facts.filename));
        format!("{}/{path}", self.index)
    }
}

fn insert_hashes(link: &mut Value, hashes: &Hashes) {
    let spec = match hashes.sha256() {
        Some(sha256) => format!("sha256={}", sha256.to_hex()),
        None => {
            let first = hashes.iter().next();
            first
                .map(|(algorithm, hex)| format!("{algorithm}={hex}"))
                .unwrap_or_default()
        }
    };
    let all: Map<String, Value> = hashes
        .iter()
        .map(|(algorithm, hex)| (algorithm.to_owned(), hex.into()))
        .collect();
    link["hash_spec"] = spec.into();
    link["hashes"] = all.into();
}
