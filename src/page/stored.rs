//! A source's page as it is kept on disk: a header naming the version, then JSON.
//!
//! The form is ours alone and complete: what is read back is what was written, the time a file was
//! first seen included. A copy of another version, or damaged, is an error that callers treat as if
//! there were no copy: it is only a copy.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::model::{
    CoreMetadata, File, Filename, Hashes, Inside, ProjectName, ProjectState, ProjectStatus,
    Timestamp, UploadTime, UploadTimeSource, Version, Yanked,
};
use crate::page::project_page::ProjectPage;

/// The first line. A change of what follows changes the number.
const HEADER: &[u8] = b"cheesecloth-page 1\n";

/// How a page was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMeta {
    /// Its URL, after redirects.
    pub final_url: String,
    /// When it was fetched, or last found unchanged.
    pub fetched_at: Timestamp,
    /// Its `ETag`, as sent.
    pub etag: Option<String>,
    /// Its `Last-Modified`, as sent.
    pub last_modified: Option<String>,
    /// Its `max-age`, in seconds.
    pub max_age_seconds: Option<u64>,
    /// When upstream was first found without the files that this page still lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vanished_at: Option<Timestamp>,
}

/// Why a stored page cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStored {
    /// Written by another version, or no page at all.
    #[error("page copy has another version")]
    Version,
    /// Cut off or changed.
    #[error("page copy is damaged: {0}")]
    Damaged(String),
}

/// The stored form of a page.
#[must_use]
pub fn to_stored(page: &ProjectPage, meta: &StoredMeta) -> Vec<u8> {
    let wire = StoredPage {
        meta: Cow::Borrowed(meta),
        project: page.project.as_str().into(),
        state: page.status.state.as_str().into(),
        reason: page.status.reason.as_deref().map(Cow::from),
        serial: page.serial,
        dropped: page.dropped,
        versions: page
            .versions
            .iter()
            .map(|version| version.as_str().into())
            .collect(),
        files: page.files.iter().map(StoredFile::of).collect(),
    };
    let mut out = HEADER.to_vec();
    serde_json::to_writer(&mut out, &wire).expect("texts and numbers are written to memory");
    out
}

/// Reads the stored form of a page, whosever it is.
///
/// # Errors
/// As of [`from_stored`].
pub fn read_stored(stored: &[u8]) -> Result<(ProjectPage, StoredMeta), InvalidStored> {
    #[derive(Deserialize)]
    struct Whose<'a> {
        #[serde(borrow)]
        project: Cow<'a, str>,
    }
    let damaged = |error: String| InvalidStored::Damaged(error);
    let json = stored.strip_prefix(HEADER).ok_or(InvalidStored::Version)?;
    let whose: Whose<'_> =
        serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))?;
    let project = ProjectName::parse(&whose.project).map_err(|error| damaged(error.to_string()))?;
    from_stored(stored, &project)
}

/// Reads the stored form of a project's page.
///
/// # Errors
/// When it was written by another version, is damaged, or is another project's.
pub fn from_stored(
    stored: &[u8],
    project: &ProjectName,
) -> Result<(ProjectPage, StoredMeta), InvalidStored> {
    let json = stored.strip_prefix(HEADER).ok_or(InvalidStored::Version)?;
    let wire: StoredPage<'_> =
        serde_json::from_slice(json).map_err(|error| InvalidStored::Damaged(error.to_string()))?;
    if !project.is_spelled(&wire.project) {
        return Err(InvalidStored::Damaged(format!(
            "it is a copy of {:?}",
            wire.project
        )));
    }
    let state = ProjectState::parse(&wire.state);
    let files = wire.files.into_iter().map(|file| {
        let name = file.name.clone().into_owned();
        file.read(project)
            .ok_or_else(|| InvalidStored::Damaged(format!("its file {name:?}")))
    });
    let page = ProjectPage {
        project: project.clone(),
        status: ProjectStatus {
            state: state.ok_or_else(|| InvalidStored::Damaged("its status".to_owned()))?,
            reason: wire.reason.map(|reason| reason.as_ref().into()),
        },
        files: files.collect::<Result<_, _>>()?,
        versions: wire
            .versions
            .iter()
            .map(|text| Version::parse(text))
            .collect(),
        serial: wire.serial,
        dropped: wire.dropped,
    };
    Ok((page, wire.meta.into_owned()))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPage<'a> {
    meta: Cow<'a, StoredMeta>,
    project: Cow<'a, str>,
    state: Cow<'a, str>,
    reason: Option<Cow<'a, str>>,
    serial: Option<u64>,
    dropped: usize,
    versions: Vec<Cow<'a, str>>,
    files: Vec<StoredFile<'a>>,
}

/// Digests as (algorithm, hex).
type StoredHashes<'a> = Vec<(Cow<'a, str>, String)>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredFile<'a> {
    name: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hashes: StoredHashes<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uploaded: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_seen: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requires_python: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "is_false")]
    yanked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    yanked_reason: Option<Cow<'a, str>>,
    /// Nothing: no sidecar; empty: a sidecar without digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    core_metadata: Option<StoredHashes<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provenance: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "is_false")]
    gpg_sig: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl<'a> StoredFile<'a> {
    fn of(file: &'a File) -> Self {
        let time = |source| {
            file.upload_time
                .filter(|time| time.source == source)
                .map(|time| time.at)
        };
        let (yanked, yanked_reason) = match &file.yanked {
            Yanked::No => (false, None),
            Yanked::Yes(reason) => (true, reason.as_deref().map(Cow::from)),
        };
        Self {
            name: file.filename.as_str().into(),
            url: file.url.as_deref().map(Cow::from),
            hashes: store_hashes(&file.hashes),
            size: file.size,
            uploaded: time(UploadTimeSource::Index),
            first_seen: time(UploadTimeSource::FirstSeen),
            requires_python: file.requires_python.as_deref().map(Cow::from),
            yanked,
            yanked_reason,
            core_metadata: match &file.core_metadata {
                // What was found out of it is kept apart (`learned`).
                CoreMetadata::Absent | CoreMetadata::Unobtainable => None,
                CoreMetadata::Present => Some(Vec::new()),
                CoreMetadata::Hashed(hashes) => Some(store_hashes(hashes)),
            },
            provenance: file.provenance.as_deref().map(Cow::from),
            gpg_sig: file.gpg_sig,
        }
    }

    /// Nothing when a value is not what [`StoredFile::of`] writes.
    fn read(self, project: &ProjectName) -> Option<File> {
        let shared = |text: Option<Cow<'_, str>>| text.map(|text| text.as_ref().into());
        let upload_time = match (self.uploaded, self.first_seen) {
            (Some(at), None) => Some(UploadTime {
                at,
                source: UploadTimeSource::Index,
            }),
            (None, Some(at)) => Some(UploadTime {
                at,
                source: UploadTimeSource::FirstSeen,
            }),
            (None, None) => None,
            (Some(_), Some(_)) => return None,
        };
        Some(File {
            filename: Filename::parse(&self.name, project).ok()?,
            url: shared(self.url),
            hashes: read_hashes(&self.hashes)?,
            size: self.size,
            upload_time,
            requires_python: shared(self.requires_python),
            yanked: match (self.yanked, self.yanked_reason) {
                (true, reason) => Yanked::Yes(shared(reason)),
                (false, None) => Yanked::No,
                (false, Some(_)) => return None,
            },
            core_metadata: match self.core_metadata {
                None => CoreMetadata::Absent,
                Some(hashes) if hashes.is_empty() => CoreMetadata::Present,
                Some(hashes) => CoreMetadata::Hashed(read_hashes(&hashes)?),
            },
            provenance: shared(self.provenance),
            gpg_sig: self.gpg_sig,
            inside: Inside::default(),
        })
    }
}

fn store_hashes(hashes: &Hashes) -> StoredHashes<'_> {
    hashes
        .iter()
        .map(|(algorithm, hex)| (algorithm.into(), hex))
        .collect()
}

fn read_hashes(stored: &StoredHashes<'_>) -> Option<Hashes> {
    let mut hashes = Hashes::default();
    for (algorithm, hex) in stored {
        hashes.insert(algorithm, hex).ok()?;
    }
    Some(hashes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::page::samples;

    fn meta() -> StoredMeta {
        StoredMeta {
            final_url: "https://upstream.example/simple/six/".to_owned(),
            fetched_at: "2026-05-04T10:11:12.123456789Z".parse().unwrap(),
            etag: Some("W/\"x\"".to_owned()),
            last_modified: None,
            max_age_seconds: Some(600),
            vanished_at: None,
        }
    }

    fn six() -> ProjectName {
        ProjectName::parse("six").unwrap()
    }

    #[test]
    fn the_form_on_disk() {
        let mut page = samples::page("six", &["six-1.zip"]);
        page.files[0].upload_time = Some(UploadTime {
            at: meta().fetched_at,
            source: UploadTimeSource::FirstSeen,
        });
        page.files[0].yanked = Yanked::Yes(None);
        page.files[0].core_metadata = CoreMetadata::Present;
        let stored = String::from_utf8(to_stored(&page, &meta())).unwrap();
        insta::assert_snapshot!(stored, @r#"
        cheesecloth-page 1
        {"meta":{"final_url":"https://upstream.example/simple/six/","fetched_at":"2026-05-04T10:11:12.123456789Z","etag":"W/\"x\"","last_modified":null,"max_age_seconds":600},"project":"six","state":"active","reason":null,"serial":null,"dropped":0,"versions":[],"files":[{"name":"six-1.zip","url":"https://files.example/f/six-1.zip","hashes":[["sha256","cf29a12acd81282eaa9a4ac7d68ef6dd5eac5dcca60ca004b386472488e1d42b"]],"first_seen":"2026-05-04T10:11:12.123456789Z","yanked":true,"core_metadata":[]}]}
        "#);
    }

    #[test]
    fn another_version_or_damage_is_an_error() {
        let page = samples::page("six", &["six-1.zip"]);
        let stored = String::from_utf8(to_stored(&page, &meta())).unwrap();
        let of = |text: String| from_stored(text.as_bytes(), &six()).unwrap_err();
        for text in [String::new(), "{}".to_owned(), stored.replacen('1', "2", 1)] {
            assert_eq!(of(text), InvalidStored::Version);
        }
        for text in [
            stored[..stored.len() - 1].to_owned(),
            stored.replace("six-1.zip", "seven-1.zip"),
            stored.replace("active", "actve"),
            stored.replace("\"sha256\",\"", "\"sha256\",\"g"),
            stored.replace("\"name\"", "\"nom\""),
            stored.replace("\"url\"", "\"yanked_reason\""),
        ] {
            assert!(
                matches!(of(text.clone()), InvalidStored::Damaged(_)),
                "{text}"
            );
        }
        let empty = to_stored(&samples::page("seven", &[]), &meta());
        assert!(matches!(
            from_stored(&empty, &six()),
            Err(InvalidStored::Damaged(_))
        ));
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read_back(page in samples::any_page(), nanos in any::<u32>(), vanished in any::<bool>()) {
            let mut meta = meta();
            meta.vanished_at = vanished.then_some(meta.fetched_at);
            meta.fetched_at = Timestamp::from_nanosecond(i128::from(nanos)).unwrap();
            let read = from_stored(&to_stored(&page, &meta), &six());
            prop_assert_eq!(read, Ok((page, meta)));
        }
    }
}
