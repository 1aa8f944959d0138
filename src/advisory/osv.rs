//! OSV documents as they are written; unknown keys are ignored.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::{ProjectName, Timestamp};

/// OSV's name for Python's ecosystem.
pub const ECOSYSTEM: &str = "PyPI";

/// An advisory about one release, as an OSV file has it.
#[must_use]
pub fn written(id: &str, project: &ProjectName, version: &str) -> String {
    let package = serde_json::json!({ "ecosystem": ECOSYSTEM, "name": project.as_str() });
    let affected = serde_json::json!([{ "package": package, "versions": [version] }]);
    serde_json::json!({ "id": id, "affected": affected }).to_string()
}

/// The entries of one document, a single one or a list, and where in the text each stands.
pub(super) fn entries(text: &str) -> Result<Vec<(Entry, Range<usize>)>, serde_json::Error> {
    if !text.trim_start().starts_with('[') {
        return Ok(vec![(serde_json::from_str(text)?, 0..text.len())]);
    }
    let listed: Vec<&RawValue> = serde_json::from_str(text)?;
    let entry = |raw: &RawValue| {
        let start = raw.get().as_ptr() as usize - text.as_ptr() as usize;
        let entry = serde_json::from_str(raw.get())?;
        Ok((entry, start..start + raw.get().len()))
    };
    listed.into_iter().map(entry).collect()
}

#[derive(Deserialize)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) modified: Option<Timestamp>,
    pub(super) aliases: Option<Vec<String>>,
    pub(super) withdrawn: Option<String>,
    pub(super) affected: Option<Vec<AffectedEntry>>,
}

#[derive(Deserialize)]
pub(super) struct AffectedEntry {
    pub(super) package: Option<PackageEntry>,
    pub(super) ranges: Option<Vec<RangeEntry>>,
    pub(super) versions: Option<Vec<String>>,
}

#[derive(Deserialize)]
pub(super) struct PackageEntry {
    pub(super) ecosystem: String,
    pub(super) name: String,
}

#[derive(Deserialize)]
pub(super) struct RangeEntry {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) events: Vec<EventEntry>,
}

#[derive(Deserialize)]
pub(super) struct EventEntry {
    pub(super) introduced: Option<String>,
    pub(super) fixed: Option<String>,
    pub(super) last_affected: Option<String>,
}
