//! Records in the form of `dataindex.json`.

use serde_json::Value;

use crate::account::Passwords;
use crate::db::{FileFacts, FileRecord, FileRole, ProjectContent, User};
use crate::devpi::user_object;
use crate::moving::document::{EntryMapping, FileEntry, Object, OurFile, OurProject};
use crate::moving::layout::part;
use crate::page::entry_path;
use crate::protocol::http_date;

/// A user with its password hash; `user` is `None` if only YAML names the user.
pub fn user_entry(name: &str, user: Option<&User>) -> Value {
    let mut entry = user_object(name, user, Object::new());
    if let Value::Object(keys) = &mut entry {
        keys.remove("indexes");
        if let Some(hash) = user.and_then(|user| user.password_hash.as_deref()) {
            let exported = Passwords::export_hash(hash);
            keys.insert("pwhash".to_owned(), exported.pwhash.into());
            if let Some(salt) = exported.pwsalt {
                keys.insert("pwsalt".to_owned(), salt.into());
            }
        }
    }
    entry
}

/// The versions of a project with their metadata.
pub fn versions_of(project: &ProjectContent) -> Object {
    let releases = project.record.releases.iter();
    let versions = releases.map(|release| {
        let metadata = Value::Object(release.metadata.clone());
        (release.version.clone(), metadata)
    });
    versions.collect()
}

/// What devpi's form has no place for, about a project.
pub fn our_project(project: &ProjectContent) -> OurProject {
    let releases = project.record.releases.iter();
    OurProject {
        spelling: project.record.spelling.clone(),
        created: releases
            .map(|release| (release.version.clone(), release.created))
            .collect(),
    }
}

/// Where a file goes in devpi's layout of exports.
pub fn path_of(file: &FileRecord, subject: Option<&FileFacts>) -> String {
    let (index, project) = (&file.index, &file.project);
    let name = part(&file.facts.filename);
    match &file.facts.role {
        FileRole::ReleaseFile | FileRole::Provenance { .. } => {
            format!("{index}/{project}/{}/{name}", part(&file.version))
        }
        FileRole::DocZip => format!("{index}/{name}"),
        FileRole::ToxResult { .. } => {
            let digest = subject.map_or(file.facts.sha256, |subject| subject.sha256);
            format!("{index}/{project}/sha256={}/{name}", digest.to_hex())
        }
    }
}

/// A file's entry.
pub fn file_entry(file: &FileRecord, subject: Option<&FileFacts>, relpath: String) -> FileEntry {
    let facts = &file.facts;
    let sha256 = ("sha256".to_owned(), facts.sha256.to_hex());
    let md5 = facts.md5.clone().map(|hex| ("md5".to_owned(), hex));
    let log = facts
        .log
        .iter()
        .filter_map(|entry| serde_json::to_value(entry).ok());
    FileEntry {
        kind: facts.role.as_str().to_owned(),
        projectname: file.project.to_string(),
        version: Some(file.version.clone()),
        relpath,
        for_entrypath: subject
            .map(|subject| entry_path(&file.index, &subject.sha256, &subject.filename)),
        entrymapping: EntryMapping {
            last_modified: Some(http_date(facts.uploaded_at)),
            hashes: [Some(sha256), md5].into_iter().flatten().collect(),
            hash_spec: Some(format!("sha256={}", facts.sha256.to_hex())),
            md5: None,
        },
        log: Some(log.collect()),
        cheesecloth: Some(OurFile {
            uploaded_at: facts.uploaded_at,
            uploader: facts.uploader.clone(),
            requires_python: facts.requires_python.clone(),
            blake2b_256: facts.blake2b_256.clone(),
            yanked: facts.yanked.to_text().map(str::to_owned),
        }),
    }
}
