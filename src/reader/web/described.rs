//! What a release says about itself: from the records if it was uploaded here, else from the sidecar of a
//! wheel.
//!
//! A page never waits for an upstream longer than `cache.patience`: who comes first gets it without the
//! description, which is fetched behind the answer, and is there for the next.

use crate::db::{FileRecord, FileRole};
use crate::devpi::TestRun;
use crate::exchange::{Error, records_failed};
use crate::model::{IndexName, ProjectName, Version};
use crate::policy::Stack;
use crate::protocol::ReleaseMetadata;
use crate::reader::look::Look;
use crate::reader::web::judged::ShownRelease;

/// Most test results of a release that are read for its page.
const RESULTS_MAX: usize = 20;

/// Longest test result that is read, in bytes: it holds everything that the tests printed.
const RESULT_BYTES_MAX: u64 = 2 << 20;

/// What is known of a release besides its listing.
#[derive(Debug, Default)]
pub struct Described {
    pub metadata: Option<ReleaseMetadata>,
    /// The release that the metadata is of, if it is another one.
    pub by: Option<Version>,
    /// Why there is no metadata.
    pub note: Option<String>,
    /// The index that holds what was uploaded here, and its records.
    pub files: Vec<FileRecord>,
    /// Whether documentation was uploaded for it.
    pub has_documentation: bool,
    /// Results of test runs, each with the file that has it.
    pub results: Vec<(FileRecord, Option<TestRun>)>,
}

impl Described {
    /// Looks for what describes a release.
    ///
    /// # Errors
    /// When the records cannot be read. What an upstream does not give is noted.
    pub async fn of(
        look: Look<'_>,
        stack: &Stack,
        project: &ProjectName,
        shown: &ShownRelease,
    ) -> Result<Self, Error> {
        let index = &stack.members[shown.member].index;
        if !index.is_mirror() {
            return Self::of_stage(look, &index.name, project, shown).await;
        }
        let mut described = Self::default();
        let Some(wheel) = &shown.wheel else {
            let words = "No wheel of it passes here, so it is not known what it says about itself.";
            described.note = Some(words.to_owned());
            return Ok(described);
        };
        let patience = look.flows.core.settings.cache.patience;
        let sidecars = &look.flows.sidecars;
        match sidecars.sidecar_within(look.cx, wheel, patience).await {
            Ok(Some(bytes)) => {
                let of = wheel.file.item().filename.version();
                described.metadata = Some(ReleaseMetadata::of_file(&bytes));
                described.by = Some(of).filter(|of| *of != shown.version);
            }
            Ok(None) => {
                let owner = &wheel.owner;
                described.note = Some(format!(
                    "What it says about itself is being fetched through {owner}: load the page again to see it."
                ));
            }
            Err(error) => {
                let words = "What it says about itself cannot be had now";
                described.note = Some(format!("{words}: {}.", error.message));
            }
        }
        Ok(described)
    }

    async fn of_stage(
        look: Look<'_>,
        index: &IndexName,
        project: &ProjectName,
        shown: &ShownRelease,
    ) -> Result<Self, Error> {
        let mut described = Self::default();
        if !shown.passes() {
            described.note = Some("What it says about itself is refused with it.".to_owned());
            return Ok(described);
        }
        // As the file spells it: a record may have it in another spelling.
        let own = shown.files.iter().find(|one| one.owner == *index);
        let version = own.map_or(shown.version.as_str(), |one| {
            one.file.filename.version_text()
        });
        let records = &look.flows.core.records;
        let release = records.release(index, project, version).await;
        let release = release.map_err(|error| records_failed("read the release", error))?;
        let Some(release) = release else {
            return Ok(described);
        };
        described.metadata = Some(ReleaseMetadata::of_form(&release.record.metadata));
        let refused = |name: &str| {
            let mut files = shown.files.iter();
            files.any(|one| one.file.filename.as_str() == name && one.refused.is_some())
        };
        for file in release.files {
            match &file.facts.role {
                FileRole::ReleaseFile => described.files.push(file),
                FileRole::ToxResult { for_file } if refused(for_file) => {}
                FileRole::ToxResult { .. } if described.results.len() < RESULTS_MAX => {
                    let run = look.flows.attachments.read(&file, RESULT_BYTES_MAX).await;
                    let run = run.ok().flatten().and_then(|json| TestRun::read(&json));
                    described.results.push((file, run));
                }
                FileRole::DocZip => described.has_documentation = true,
                FileRole::ToxResult { .. } | FileRole::Provenance { .. } => {}
            }
        }
        Ok(described)
    }

    /// The record of a file, if it was uploaded here.
    pub fn record_of(&self, filename: &str) -> Option<&FileRecord> {
        self.files.iter().find(|one| one.facts.filename == filename)
    }
}
