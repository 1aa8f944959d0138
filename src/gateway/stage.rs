//! What a stage says about a project: its own records, as a page like that of any other source.

use std::sync::Arc;

use crate::db::{FileRecord, FileRole};
use crate::gateway::core::Core;
use crate::gateway::error::Flow;
use crate::model::{
    CoreMetadata, File, Filename, Hashes, IndexName, ProjectName, UploadTime, UploadTimeSource,
};
use crate::page::ProjectPage;

/// The page of a project that a stage holds.
pub async fn stage_page(
    core: &Core,
    index: &IndexName,
    project: &ProjectName,
) -> Flow<Arc<ProjectPage>> {
    let files = core.files(index, project).await?;
    let mut page = ProjectPage::empty(project.clone());
    let listed = files.iter().filter_map(|record| listed(record, project));
    page.files = listed.collect();
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
    // Metadata is looked for when a wheel is recorded; if there is none, none is listed.
    file.core_metadata = facts
        .metadata_sha256
        .map_or(CoreMetadata::Unobtainable, |digest| {
            CoreMetadata::Hashed(Hashes::sha256_only(digest))
        });
    Some(file)
}
