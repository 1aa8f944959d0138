//! `dataindex.json` as it is written: what devpi-server puts there, and our additions, which devpi
//! ignores.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::Timestamp;
use crate::moving::layout::DUMP_VERSIONS;

/// A JSON object.
pub type Object = Map<String, Value>;

/// The whole file. Users and indexes are parsed one by one, so that each may have its own faults.
#[derive(Debug, Serialize, Deserialize)]
pub struct DataIndex {
    /// A text or a number.
    pub dumpversion: Value,
    /// Users by name, with their password hashes.
    pub users: Object,
    /// Indexes by `user/index`.
    pub indexes: Object,
}

impl DataIndex {
    /// Reads the file.
    ///
    /// # Errors
    /// In words: no JSON, cut short, or an unknown form.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let read: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let version = match &read.dumpversion {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        };
        if version.is_some_and(|version| DUMP_VERSIONS.contains(&version)) {
            return Ok(read);
        }
        Err(format!(
            "dumpversion {} is not known; exports of version 1 and 2 are read",
            read.dumpversion
        ))
    }
}

/// One index.
#[derive(Debug, Serialize, Deserialize)]
pub struct IndexEntry {
    pub indexconfig: Object,
    /// Versions by project, and their metadata by version; an empty list if there are none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub projects: Value,
    #[serde(default)]
    pub files: Vec<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cheesecloth: Option<OurIndex>,
}

/// What devpi's form has no place for, about an index.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct OurIndex {
    /// By normalised project name.
    pub projects: BTreeMap<String, OurProject>,
    /// Files of which devpi knows no such type, with entries like those of the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Value>,
}

/// What devpi's form has no place for, about a project.
#[derive(Debug, Serialize, Deserialize)]
pub struct OurProject {
    /// As first uploaded.
    pub spelling: String,
    /// When each release was first known.
    pub created: BTreeMap<String, Timestamp>,
}

/// One file.
#[derive(Debug, Serialize, Deserialize)]
pub struct FileEntry {
    #[serde(rename = "type")]
    pub kind: String,
    pub projectname: String,
    /// Absent in version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    pub relpath: String,
    /// For test results: where the file they are about stood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_entrypath: Option<String>,
    #[serde(default)]
    pub entrymapping: EntryMapping,
    #[serde(default)]
    pub log: Option<Vec<Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cheesecloth: Option<OurFile>,
}

/// What devpi knows about a file; its other keys repeat what stands elsewhere.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct EntryMapping {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// Digests by algorithm; since 6.6.
    #[serde(default)]
    pub hashes: BTreeMap<String, String>,
    /// `sha256=…`; before 6.6, and besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_spec: Option<String>,
    /// In version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
}

/// What devpi's form has no place for, about a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OurFile {
    pub uploaded_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploader: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_python: Option<String>,
    /// devpi knows no algorithm of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blake2b_256: Option<String>,
    /// Its reason, or empty; absent if it is not yanked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yanked: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_one_and_two_are_read_and_no_others() {
        let of = |version: &str| {
            let text = format!(r#"{{"dumpversion": {version}, "users": {{}}, "indexes": {{}}}}"#);
            DataIndex::parse(text.as_bytes()).map(drop)
        };
        for version in ["\"1\"", "\"2\"", "1", "2"] {
            assert_eq!(of(version), Ok(()), "{version}");
        }
        for version in ["\"3\"", "0", "null", "\"two\"", "[2]"] {
            let told = of(version).unwrap_err();
            assert!(told.contains(&format!("dumpversion {version} is not known")));
        }
    }

    #[test]
    fn what_is_cut_short_says_where() {
        let told = DataIndex::parse(br#"{"dumpversion": "2", "users": {"#).unwrap_err();
        assert!(told.contains("line 1 column"), "{told}");
    }
}
