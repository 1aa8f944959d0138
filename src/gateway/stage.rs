//! What a stage says about a project: its own records, as a page like any other source's.

use std::sync::Arc;

use crate::db::{Db, FileRecord, FileRole};
use crate::gateway::error::Error;
use crate::gateway::trouble::records_failed;
use crate::model::{
    CoreMetadata, File, Filename, Hashes, IndexName, ProjectName, UploadTime, UploadTimeSource,
};
use crate::page::ProjectPage;

/// Whether a stage holds a project; a name that is only registered counts (devpi's rule).
pub async fn stage_holds(
    records: &dyn Db,
    index: &IndexName,
    project: &ProjectName,
) -> Result<bool, Error> {
    let held = records.has_project(index, project).await;
    held.map_err(|error| records_failed(&format!("look for {project} in {index}"), error))
}

/// The page of a project that a stage holds.
pub async fn stage_page(
    records: &dyn Db,
    index: &IndexName,
    project: &ProjectName,
) -> Result<Arc<ProjectPage>, Error> {
    let files = records.files(index, project).await;
    let files = files.map_err(|error| {
        records_failed(&format!("read the files of {project} in {index}"), error)
    })?;
    let mut page = ProjectPage::empty(project.clone());
    page.files = files
        .iter()
        .filter_map(|record| listed(record, project))
        .collect();
    Ok(Arc::new(page))
}

/// A record as a page lists it; test results and documentation are not release files.
pub fn listed(record: &FileRecord, project: &ProjectName) -> Option<File> {
    let facts = &record.facts;
    if facts.role != FileRole::ReleaseFile {
        return None;
    }
    let mut file = File::named(Filename::parse(&facts.filename, project).ok()?);
    file.hashes = Hashes::sha256_only(facts.sha256);
    file.size = Some(facts.size);
    file.upload_time = Some(UploadTime {
        at: facts.uploaded_at,
        source: UploadTimeSource::Index,
    });
    file.requires_python = facts.requires_python.as_deref().map(Arc::from);
    file.yanked = facts.yanked.clone();
    // Whoever records a wheel looks for its metadata; where it has none there is none to be listed.
    file.core_metadata = facts
        .metadata_sha256
        .map_or(CoreMetadata::Unobtainable, |digest| {
            CoreMetadata::Hashed(Hashes::sha256_only(digest))
        });
    Some(file)
}
