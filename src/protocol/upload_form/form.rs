//! What an upload form asks for: a file, a registration or documentation — or everything that is wrong
//! with it.
//!
//! The texts are devpi's if it has one (docs/protocol/devpi.md §12): people read them in the status line
//! that twine, flit and distutils print. Unlike in devpi, the file name has to agree with name and version
//! as an installer would read it, and stated digests have to match.

use std::collections::{HashMap, HashSet};

use crate::model::{Filename, ProjectName};
use crate::protocol::attestation::Attestations;
use crate::protocol::upload_form::agreement::{check_archive, filename_of, is_version, name_fault};
use crate::protocol::upload_form::digests::ClaimedDigests;
use crate::protocol::upload_form::fault::{FormFault, FormFaults, quoted};
use crate::protocol::upload_form::fields::{MetadataFields, Sending, UNKNOWN, kept, sending};

/// Most unknown fields that are named: they end up in a status line.
const STRANGE_TOLD_MAX: usize = 5;

/// A form's fields, and the name of its `content` file if it came with one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadForm {
    /// Fields in the order they came.
    pub fields: Vec<(String, String)>,
    /// `filename` of the part called `content`.
    pub content_filename: Option<String>,
}

/// What a form asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submission {
    /// `file_upload`: make the file part of the release.
    File(FileSubmission),
    /// `submit`: make the release known without files.
    Register(SubmittedRelease),
    /// `doc_upload`: documentation of a release.
    Docs {
        /// The project.
        project: ProjectName,
        /// Its name as written.
        spelling: String,
        /// The version; nothing: the latest release.
        version: Option<String>,
        /// The digests that the client states.
        claimed: ClaimedDigests,
    },
}

/// A file to add to a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSubmission {
    /// The release.
    pub release: SubmittedRelease,
    /// The file's name, which agrees with the release.
    pub filename: Filename,
    /// The digests that the client states.
    pub claimed: ClaimedDigests,
    /// What is attested of the file, if anything is.
    pub attestations: Option<Attestations>,
}

/// A release as a form describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmittedRelease {
    /// The project.
    pub project: ProjectName,
    /// Its name as written.
    pub spelling: String,
    /// The version as written.
    pub version: String,
    /// The metadata fields that were sent, `name` and `version` among them.
    pub metadata: MetadataFields,
}

impl UploadForm {
    /// The project's name as written, if the form got that far.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.stated("name")
    }

    /// Reads what the form asks for.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(&self) -> Result<Submission, FormFaults> {
        let strange = self.strange_fields();
        match self.read_action() {
            Ok(submission) if strange.is_empty() => Ok(submission),
            Ok(_) => Err(FormFaults(strange)),
            // A client that sends a name twice is told that, and not what is wrong with the second.
            Err(FormFaults(faults)) => Err(FormFaults(strange.into_iter().chain(faults).collect())),
        }
    }

    fn read_action(&self) -> Result<Submission, FormFaults> {
        match self.last(":action") {
            Some("file_upload") => self.read_file(),
            Some("submit") => self.read_registration(),
            Some("doc_upload") => self.read_docs(),
            Some(other) => Err(only(format!("action '{}' not supported", quoted(other)))),
            None => Err(only("the form has no field :action".to_owned())),
        }
    }

    fn read_file(&self) -> Result<Submission, FormFaults> {
        let mut faults = Vec::new();
        let release = self.release(&mut faults);
        let claimed = ClaimedDigests::read(|field| self.last(field), &mut faults);
        let attestations = self.attestations(&mut faults);
        // devpi's order: what is wrong with the file comes first.
        match self.filename(release.as_ref()) {
            Ok(Some(filename)) => {
                if let (Some(release), []) = (release, faults.as_slice()) {
                    return Ok(Submission::File(FileSubmission {
                        release,
                        filename,
                        claimed,
                        attestations,
                    }));
                }
            }
            Ok(None) => {}
            Err(fault) => faults.insert(0, fault),
        }
        Err(FormFaults(faults))
    }

    fn attestations(&self, faults: &mut Vec<FormFault>) -> Option<Attestations> {
        let read = Attestations::parse(self.stated("attestations")?);
        let read = read.map_err(|fault| faults.push(FormFault(fault.to_string())));
        read.ok()
    }

    fn read_registration(&self) -> Result<Submission, FormFaults> {
        let mut faults = Vec::new();
        let release = self.release(&mut faults);
        release.map(Submission::Register).ok_or(FormFaults(faults))
    }

    fn read_docs(&self) -> Result<Submission, FormFaults> {
        let mut faults = Vec::new();
        if self.content_filename.is_none() {
            faults.push(content_missing());
        }
        let project = self.project(&mut faults);
        let version = self.stated("version");
        if version.is_some_and(|version| !is_version(version)) {
            faults.push(unsafe_version());
        }
        let claimed = ClaimedDigests::read(|field| self.last(field), &mut faults);
        match (project, faults.as_slice()) {
            (Some((project, spelling)), []) => {
                let version = version.map(str::to_owned);
                Ok(Submission::Docs {
                    project,
                    spelling,
                    version,
                    claimed,
                })
            }
            _ => Err(FormFaults(faults)),
        }
    }

    fn release(&self, faults: &mut Vec<FormFault>) -> Option<SubmittedRelease> {
        let project = self.project(faults);
        let version = self.stated("version");
        match version {
            None => faults.push(missing("version")),
            Some(version) if !is_version(version) => faults.push(unsafe_version()),
            Some(_) => {}
        }
        let (project, spelling) = project?;
        let version = version.filter(|version| is_version(version))?.to_owned();
        let metadata = kept(self.fields.iter().map(|(name, value)| (&**name, &**value)));
        Some(SubmittedRelease {
            project,
            spelling,
            version,
            metadata,
        })
    }

    fn project(&self, faults: &mut Vec<FormFault>) -> Option<(ProjectName, String)> {
        let Some(spelling) = self.stated("name") else {
            faults.push(missing("name"));
            return None;
        };
        match ProjectName::parse(spelling) {
            Ok(project) => Some((project, spelling.to_owned())),
            Err(_) => {
                faults.push(FormFault(format!(
                    "invalid metadata: {}",
                    name_fault(spelling)
                )));
                None
            }
        }
    }

    /// The file's name, if it belongs to the release; `None` if that cannot be judged without a release.
    fn filename(&self, release: Option<&SubmittedRelease>) -> Result<Option<Filename>, FormFault> {
        let raw = self
            .content_filename
            .as_deref()
            .filter(|raw| !raw.is_empty());
        let raw = raw.ok_or_else(content_missing)?;
        check_archive(raw)?;
        let named = release
            .map(|release| filename_of(raw, &release.project, &release.spelling, &release.version));
        named.transpose()
    }

    /// Fields that no metadata version has, and those of which two readers may take different values.
    fn strange_fields(&self) -> Vec<FormFault> {
        let mut values: HashMap<&str, &str> = HashMap::new();
        let mut told = HashSet::new();
        let mut faults = Vec::new();
        for (name, value) in &self.fields {
            let fault = match sending(name) {
                Sending::Repeatedly => None,
                Sending::Never => Some(format!("unknown field '{}'", quoted(name))),
                Sending::Once => {
                    let first = *values.entry(name).or_insert(value);
                    let differs = first != value;
                    differs.then(|| format!("field '{name}' was sent twice and not the same"))
                }
            };
            if let Some(fault) = fault
                && faults.len() < STRANGE_TOLD_MAX
                && told.insert(name)
            {
                faults.push(FormFault(fault));
            }
        }
        faults
    }

    /// A field that is not empty.
    fn stated(&self, name: &str) -> Option<&str> {
        self.last(name)
            .filter(|value| !value.is_empty() && *value != UNKNOWN)
    }

    fn last(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().rev().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    }
}

fn unsafe_version() -> FormFault {
    FormFault("invalid metadata: Invalid package name or version (URL safety)".to_owned())
}

fn missing(field: &str) -> FormFault {
    FormFault(format!(
        "invalid metadata: Missing required field \"{field}\""
    ))
}

fn content_missing() -> FormFault {
    FormFault("content file field not found".to_owned())
}

fn only(text: String) -> FormFaults {
    FormFaults(vec![FormFault(text)])
}

#[cfg(test)]
mod tests;
