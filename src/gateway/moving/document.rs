//! `dataindex.json` as it is written: what devpi-server puts there, and what only we do, which devpi
//! passes over.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;

use super::layout::DUMP_VERSIONS;
use crate::model::Timestamp;

/// An object, as JSON has it.
pub(super) type Object = Map<String, Value>;

/// The whole file. Users and indexes are looked at one by one, so that each may have its own faults.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DataIndex {
    /// A text or a number.
    pub(super) dumpversion: Value,
    /// Users by name, with their password hashes.
    pub(super) users: Object,
    /// Indexes by `user/index`.
    pub(super) indexes: Object,
}

impl DataIndex {
    /// Reads the file.
    ///
    /// # Errors
    /// In words: no JSON, cut short, or of a form that is not known.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
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
pub(super) struct IndexEntry {
    pub(super) indexconfig: Object,
    /// Versions by project, and their metadata by version; an empty list where there are none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(super) projects: Value,
    #[serde(default)]
    pub(super) files: Vec<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cheesecloth: Option<OurIndex>,
}

/// What devpi's form has no place for, of an index.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct OurIndex {
    /// By normalised name.
    pub(super) projects: BTreeMap<String, OurProject>,
}

/// What devpi's form has no place for, of a project.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OurProject {
    /// As first uploaded.
    pub(super) spelling: String,
    /// When each release was first known.
    pub(super) created: BTreeMap<String, Timestamp>,
}

/// One file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FileEntry {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) projectname: String,
    /// Not in version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    pub(super) relpath: String,
    /// Of test results: where the file they are about stood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) for_entrypath: Option<String>,
    #[serde(default)]
    pub(super) entrymapping: EntryMapping,
    #[serde(default)]
    pub(super) log: Option<Vec<Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cheesecloth: Option<OurFile>,
}

/// What devpi knows of a file; its other keys repeat what stands elsewhere.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct EntryMapping {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_modified: Option<String>,
    /// Digests by algorithm; since 6.6.
    #[serde(default)]
    pub(super) hashes: BTreeMap<String, String>,
    /// `sha256=…`; before, and beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hash_spec: Option<String>,
    /// Of version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) md5: Option<String>,
}

/// What devpi's form has no place for, of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OurFile {
    pub(super) uploaded_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) uploader: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) requires_python: Option<String>,
    /// devpi knows no algorithm of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) blake2b_256: Option<String>,
    /// Its reason, or empty; absent: not yanked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) yanked: Option<String>,
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
