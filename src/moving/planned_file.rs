//! One file of an export: where it is, what it is, and its stated digests.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::db::{FileRole, LogEntry, LogEvent};
use crate::gateway::{DOC_ZIP, TOX_RESULT};
use crate::model::{Filename, ProjectName, Sha256, Timestamp, Yanked};
use crate::moving::document::{EntryMapping, FileEntry};
use crate::moving::layout::file_below;
use crate::protocol::{ClaimedDigests, names_version, parse_http_date};

/// A file to be imported.
#[derive(Debug)]
pub struct PlannedFile {
    /// As the export names it, for messages.
    pub relative: String,
    pub path: PathBuf,
    pub bytes: u64,
    pub project: ProjectName,
    pub version: String,
    pub filename: String,
    pub role: FileRole,
    pub claimed: ClaimedDigests,
    pub uploaded_at: Timestamp,
    pub uploader: Option<String>,
    pub requires_python: Option<String>,
    pub yanked: Yanked,
    pub log: Vec<LogEntry>,
    /// Entries of its log that are left out as meaningless here.
    pub log_left_out: usize,
}

impl PlannedFile {
    /// Reads an entry. `versions` are those that the export lists for the project.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn read(
        root: &Path,
        entry: FileEntry,
        project: &ProjectName,
        versions: &[String],
        now: Timestamp,
    ) -> Result<Self, String> {
        let path = file_below(root, &entry.relpath)?;
        let name = Path::new(&entry.relpath).file_name().unwrap_or_default();
        let name = name.to_str().ok_or("its name is not UTF-8")?.to_owned();
        let bytes = path.metadata().map_err(|error| error.to_string())?.len();
        let entries = entry.log.as_deref().unwrap_or_default();
        let log: Vec<LogEntry> = entries.iter().filter_map(log_entry).collect();
        let log_left_out = entries.len() - log.len();
        let ours = entry.cheesecloth.clone();
        let arrived = ours.as_ref().map(|ours| ours.uploaded_at);
        let uploaded_at = arrived.or_else(|| arrival(&log, &entry.entrymapping));
        let uploaded_at = uploaded_at.unwrap_or(now);
        let (role, filename, version) = place(&entry, name, project, versions, uploaded_at)?;
        let mut claimed = if is_digest_of_another_file(&entry) {
            ClaimedDigests::default()
        } else {
            claimed(&entry.entrymapping)?
        };
        if let Some(ours) = &ours {
            claimed.blake2b.clone_from(&ours.blake2b_256);
        }
        let uploader = match &ours {
            Some(ours) => ours.uploader.clone(),
            None => upload(&log).and_then(|entry| entry.who.clone()),
        };
        Ok(Self {
            relative: entry.relpath,
            path,
            bytes,
            project: project.clone(),
            version,
            filename,
            role,
            claimed,
            uploaded_at,
            uploader,
            requires_python: ours.as_ref().and_then(|ours| ours.requires_python.clone()),
            yanked: Yanked::of_text(ours.as_ref().and_then(|ours| ours.yanked.as_deref())),
            log,
            log_left_out,
        })
    }
}

fn log_entry(line: &Value) -> Option<LogEntry> {
    serde_json::from_value(line.clone()).ok()
}

fn upload(log: &[LogEntry]) -> Option<&LogEntry> {
    log.iter()
        .find(|entry| matches!(entry.event, LogEvent::Upload { .. }))
}

/// When it was uploaded or last changed; old test results have neither.
fn arrival(log: &[LogEntry], mapping: &EntryMapping) -> Option<Timestamp> {
    let modified = || mapping.last_modified.as_deref().and_then(parse_http_date);
    upload(log).map(|entry| entry.when).or_else(modified)
}

/// Its role, its release, and the name under which it is kept.
fn place(
    entry: &FileEntry,
    name: String,
    project: &ProjectName,
    versions: &[String],
    uploaded_at: Timestamp,
) -> Result<(FileRole, String, String), String> {
    let stated = entry.version.clone();
    match entry.kind.as_str() {
        "releasefile" => {
            let version = stated.map_or_else(|| version_of_file(&name, project, versions), Ok);
            Ok((FileRole::ReleaseFile, name, version?))
        }
        "doczip" => {
            let version = stated.map_or_else(|| version_of_docs(&name, project, versions), Ok)?;
            let filename = format!("{project}-{version}{DOC_ZIP}");
            Ok((FileRole::DocZip, filename, version))
        }
        "toxresult" => {
            let subject =
                subject_of(entry).ok_or("it does not say which file it is the result of")?;
            let version = stated.map_or_else(|| version_of_file(subject, project, versions), Ok);
            let filename = result_name(&name, subject, uploaded_at);
            let for_file = subject.to_owned();
            Ok((FileRole::ToxResult { for_file }, filename, version?))
        }
        "provenance" => {
            let version = stated.ok_or("it does not say of which release it is")?;
            let subject = subject_of(entry).ok_or("it does not say of which file it is")?;
            let for_file = subject.to_owned();
            Ok((FileRole::Provenance { for_file }, name, version))
        }
        other => Err(format!("{other:?} is no type of file that is known")),
    }
}

/// The name of the release file that an entry is attached to.
fn subject_of(entry: &FileEntry) -> Option<&str> {
    Path::new(entry.for_entrypath.as_deref()?)
        .file_name()?
        .to_str()
}

/// The name of a test result; older servers only counted (`.toxresult0`).
fn result_name(name: &str, subject: &str, uploaded_at: Timestamp) -> String {
    let counted = name.strip_prefix(subject).and_then(|rest| {
        let number = rest.strip_prefix(TOX_RESULT.trim_end_matches('-'))?;
        number.parse::<u32>().ok()
    });
    match counted {
        Some(number) => {
            let at = uploaded_at.strftime("%Y%m%d%H%M%S");
            format!("{subject}{TOX_RESULT}{at}-{number}")
        }
        None => name.to_owned(),
    }
}

/// The version of a file in dump version 1, which only its name tells.
fn version_of_file(
    name: &str,
    project: &ProjectName,
    versions: &[String],
) -> Result<String, String> {
    let filename = Filename::parse(name, project).map_err(|error| error.to_string())?;
    let listed = versions
        .iter()
        .find(|version| names_version(&filename, version));
    Ok(listed.map_or_else(|| filename.version_text().to_owned(), Clone::clone))
}

fn version_of_docs(
    name: &str,
    project: &ProjectName,
    versions: &[String],
) -> Result<String, String> {
    let stem = name.strip_suffix(DOC_ZIP).unwrap_or(name);
    let listed = versions.iter().find(|version| {
        let project_part = stem.strip_suffix(version.as_str());
        project_part
            .and_then(|part| part.strip_suffix('-'))
            .is_some_and(|part| ProjectName::parse(part).as_ref() == Ok(project))
    });
    let listed = listed.cloned();
    listed.ok_or_else(|| format!("{name} names no version that the export lists of {project}"))
}

/// Whether the digests belong to the file that a test result is about: devpi-server 6.5 to 6.8 wrote them
/// that way.
fn is_digest_of_another_file(entry: &FileEntry) -> bool {
    if entry.for_entrypath.is_none() {
        return false;
    }
    let folder = Path::new(&entry.relpath).parent().and_then(Path::file_name);
    let Some((algorithm, hex)) = folder.and_then(|name| name.to_str()?.split_once('=')) else {
        return false;
    };
    let mapping = &entry.entrymapping;
    let in_spec = mapping.hash_spec.as_deref() == Some(&format!("{algorithm}={hex}"));
    in_spec
        || mapping
            .hashes
            .get(algorithm)
            .is_some_and(|stated| stated == hex)
}

/// The digests that can be compared.
fn claimed(mapping: &EntryMapping) -> Result<ClaimedDigests, String> {
    let spec = mapping
        .hash_spec
        .as_deref()
        .and_then(|spec| spec.split_once('='));
    let old = mapping.md5.as_deref().map(|hex| ("md5", hex));
    let hashes = mapping
        .hashes
        .iter()
        .map(|(name, hex)| (name.as_str(), hex.as_str()));
    let mut claimed = ClaimedDigests::default();
    for (algorithm, hex) in hashes.chain(spec).chain(old) {
        let hex = hex.to_ascii_lowercase();
        match algorithm {
            "sha256" => {
                let digest = Sha256::parse(&hex);
                let digest = digest.map_err(|_| format!("{hex:?} is not a sha256 digest"))?;
                claimed.sha256 = Some(digest);
            }
            "md5" => claimed.md5 = Some(hex),
            // In all that devpi-server writes, others come along with one of these.
            _ => {}
        }
    }
    Ok(claimed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn project() -> ProjectName {
        ProjectName::parse("hello-pkg").unwrap()
    }

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    fn read(entry: Value) -> Result<PlannedFile, String> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let entry: FileEntry = serde_json::from_value(entry).unwrap();
        let path = root.join(&entry.relpath);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
        let versions = ["1.2-3".to_owned(), "2.0".to_owned()];
        PlannedFile::read(&root, entry, &project(), &versions, now())
    }

    #[test]
    fn version_one_tells_versions_by_names() {
        let table = [
            (
                "releasefile",
                "u/i/hello-pkg/Hello.Pkg-1.2_3.tar.gz",
                "1.2-3",
            ),
            (
                "releasefile",
                "u/i/hello-pkg/hello_pkg-2.0.0-py3-none-any.whl",
                "2.0",
            ),
            ("releasefile", "u/i/hello-pkg/hello_pkg-4.tar.gz", "4"),
            ("doczip", "u/i/Hello.Pkg-2.0.doc.zip", "2.0"),
        ];
        for (kind, path, version) in table {
            let entry = json!({ "type": kind, "projectname": "hello-pkg", "relpath": path });
            assert_eq!(read(entry).unwrap().version, version, "{path}");
        }
        let docs = json!({ "type": "doczip", "projectname": "hello-pkg", "relpath": "u/i/x.zip" });
        assert!(read(docs).unwrap_err().contains("names no version"));
    }

    #[test]
    fn results_of_old_get_a_name_of_today_and_no_digest_of_another_file() {
        let digest = Sha256::of(b"the release file").to_hex();
        let entry = json!({
            "type": "toxresult", "projectname": "hello-pkg", "version": "2.0",
            "relpath": format!("u/i/hello-pkg/sha256={digest}/hello-pkg-2.0.zip.toxresult3"),
            "for_entrypath": "u/i/+f/abc/0123456789abc/hello-pkg-2.0.zip",
            "entrymapping": { "hash_spec": format!("sha256={digest}") },
        });
        let planned = read(entry).unwrap();
        assert_eq!(planned.claimed, ClaimedDigests::default());
        assert_eq!(
            planned.filename,
            "hello-pkg-2.0.zip.toxresult-20260102030405-3"
        );
        let for_file = "hello-pkg-2.0.zip".to_owned();
        assert_eq!(planned.role, FileRole::ToxResult { for_file });
    }

    #[test]
    fn every_digest_is_stated_somewhere() {
        let (sha256, md5) = (Sha256::of(b"x"), "9dd4e461268c8034f5c8564e155c67a6");
        let mappings = [
            json!({ "hashes": { "sha256": sha256.to_hex(), "md5": md5, "sha1": "00" } }),
            json!({ "hash_spec": format!("sha256={}", sha256.to_hex()), "md5": md5 }),
        ];
        for mapping in mappings {
            let mapping = serde_json::from_value(mapping).unwrap();
            let claimed = claimed(&mapping).unwrap();
            assert_eq!(claimed.sha256, Some(sha256));
            assert_eq!(claimed.md5.as_deref(), Some(md5));
        }
        let wrong = serde_json::from_value(json!({ "hash_spec": "sha256=12" })).unwrap();
        assert!(claimed(&wrong).is_err());
    }
}
