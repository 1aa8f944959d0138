//! What a test states of a file or project; what it does not state is unknown, as for a server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use crate::language::{
    Bytes, Fields, Misread, Moment, Node, Notes, Placed, Value, Word, YamlKey, key, many, one,
};
use crate::model::{
    Fault, File, Filename, Hashes, IndexName, Inside, InvalidFilename, Kind, License,
    LicenseExpression, Location, ProjectName, ProjectState, Requirement, Sha256, StartupFiles,
    Timestamp, UploadTime, UploadTimeSource, VersionSpecifiers, Yanked,
};

/// The keys of a file or project that is given.
#[rustfmt::skip] // a table reads by rows
pub const GIVEN: &[YamlKey] = &[
    key("file", one::<String>(), "", "its name"),
    key("project", one::<ProjectName>(), "", "the project; with a version, a file of it"),
    key("version", one::<String>(), "", "the version of a file whose name does not matter"),
    key("kind", one::<Kind>(), "wheel", "the kind of that file"),
    key("upstream", one::<IndexName>(), "",
        "the mirror that lists it; without it the first of the stack, or the stage that holds it"),
    key("held_by", many::<IndexName>(), "", "stages that hold the project"),
    key("age", one::<Duration>(), "", "how long ago it was uploaded"),
    key("uploaded", one::<Moment>(), "", "when it was uploaded"),
    key("first_seen", one::<Duration>(), "", "how long ago it was first seen here, for one without a date"),
    key("release_began", one::<Duration>(), "",
        "how long ago the first file of its release was uploaded, if that is not among those listed"),
    key("size", one::<Bytes>(), "", "its size"),
    key("sha256", one::<Sha256>(), "", "its digest"),
    key("requires_python", one::<String>(), "", "its Requires-Python"),
    key("yanked", one::<bool>(), "false", "whether it is yanked"),
    key("provenance", one::<bool>(), "false", "whether it has provenance"),
    key("license", one::<GivenLicense>(), "", "its License-Expression, or unknown"),
    key("startup_files", one::<bool>(), "", "whether it has files that every start of Python runs"),
    key("status", one::<ProjectState>(), "active", "the state of its project (PEP 792)"),
    key("advisories", many::<String>(), "",
        "ids of advisories that name its release, besides those that the configuration names"),
];

/// Keys that say where something is, and nothing about a file.
const OF_A_PROJECT: [&str; 3] = ["project", "upstream", "held_by"];

/// What is given.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) location: Location,
    pub(super) about: About,
    pub(super) upstream: Option<Placed<IndexName>>,
    pub(super) held_by: Vec<Placed<IndexName>>,
    pub(super) status: ProjectState,
    pub(super) advisories: Vec<String>,
    stated: Stated,
}

/// A project or a file.
#[derive(Debug)]
pub(super) enum About {
    Requirement(Requirement),
    File(Filename),
}

/// The facts of a file that are independent of the time of the test, and its age.
#[derive(Debug, Default)]
struct Stated {
    age: Option<Duration>,
    uploaded: Option<Timestamp>,
    first_seen: Option<Duration>,
    release_began: Option<Duration>,
    size: Option<u64>,
    sha256: Option<Sha256>,
    requires_python: Option<String>,
    is_yanked: bool,
    has_provenance: bool,
    inside: Inside,
}

/// What is stated of a licence.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GivenLicense(License);

impl Word for GivenLicense {
    fn wanted() -> String {
        "a license expression of SPDX such as \"MIT OR Apache-2.0\", or unknown".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        if text == "unknown" {
            return Ok(Self(License::Unknown));
        }
        let read = LicenseExpression::parse(text).map_err(Misread::new)?;
        Ok(Self(License::Stated(Arc::new(read))))
    }
}

/// One word that says what is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GivenText(String);

impl Word for GivenText {
    fn wanted() -> String {
        "the name of a file, a project or requirement, or what is known of a file".into()
    }

    fn read(text: &str) -> Result<Self, Misread> {
        String::read(text).map(Self)
    }

    fn schema() -> serde_json::Value {
        String::schema()
    }
}

impl Given {
    fn new(location: &Location, about: About) -> Self {
        Self {
            location: location.clone(),
            about,
            upstream: None,
            held_by: Vec::new(),
            status: ProjectState::Active,
            advisories: Vec::new(),
            stated: Stated::default(),
        }
    }

    pub(super) fn project(&self) -> &ProjectName {
        match &self.about {
            About::Requirement(requirement) => &requirement.project,
            About::File(filename) => filename.project(),
        }
    }

    pub(super) fn is_requirement(&self) -> bool {
        matches!(self.about, About::Requirement(_))
    }

    pub(super) fn versions(&self) -> Option<&VersionSpecifiers> {
        match &self.about {
            About::Requirement(requirement) => requirement.versions.as_ref(),
            About::File(_) => None,
        }
    }

    /// Whether it takes one of several versions.
    pub(super) fn asks_for_versions(&self) -> bool {
        self.versions()
            .is_some_and(|versions| versions.exact().is_none())
    }

    /// A requirement of one version as that version's wheel; anything else as it is.
    pub(super) fn with_exact_version(mut self) -> Self {
        let exact = self.versions().and_then(VersionSpecifiers::exact);
        if let Some(version) = exact {
            let wheel = Filename::plain(self.project(), version.as_str(), Kind::Wheel);
            if let Ok(filename) = wheel {
                self.about = About::File(filename);
            }
        }
        self
    }

    /// The file as an index would list it at an instant.
    pub(super) fn file(&self, now: Timestamp) -> Option<File> {
        let About::File(filename) = &self.about else {
            return None;
        };
        let stated = &self.stated;
        let uploaded = stated.uploaded.or(stated.age.map(|age| before(now, age)));
        let seen = stated.first_seen.map(|age| before(now, age));
        let time = |at, source| UploadTime { at, source };
        let mut file = File::named(filename.clone());
        file.upload_time = uploaded
            .map(|at| time(at, UploadTimeSource::Index))
            .or(seen.map(|at| time(at, UploadTimeSource::FirstSeen)));
        file.size = stated.size;
        file.hashes = stated.sha256.map(Hashes::sha256_only).unwrap_or_default();
        file.requires_python = stated.requires_python.as_deref().map(Into::into);
        file.yanked = match stated.is_yanked {
            true => Yanked::Yes(None),
            false => Yanked::No,
        };
        // Rules ask whether there is any, not where.
        file.provenance = stated.has_provenance.then(|| "given".into());
        file.inside = stated.inside.clone();
        Some(file)
    }

    /// The first file of its release, if that is stated.
    pub(super) fn first_of_release(&self, now: Timestamp) -> Option<File> {
        let at = before(now, self.stated.release_began?);
        let mut file = self.file(now)?;
        let source = UploadTimeSource::Index;
        file.upload_time = Some(UploadTime { at, source });
        Some(file)
    }
}

/// The instant that was so long ago.
fn before(now: Timestamp, age: Duration) -> Timestamp {
    let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
    now.checked_sub(age).unwrap_or(Timestamp::MIN)
}

impl fmt::Display for Given {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.about {
            About::File(filename) => write!(out, "{filename}"),
            About::Requirement(Requirement { project, versions }) => match versions {
                Some(versions) => write!(out, "{project}{versions}"),
                None => write!(out, "{project}"),
            },
        }
    }
}

/// Reads what is given to a test.
pub(super) fn read_given(node: &Node, notes: &mut Notes) -> Option<Given> {
    let Value::Mapping(_) = &node.value else {
        let text: GivenText = notes.word("given", node)?.value;
        let about = in_words(&text.0, None, &node.location, notes)?;
        return Some(Given::new(&node.location, about));
    };
    read_facts(node, None, notes)
}

/// Reads a file that is listed for a project: its name, its version, or what is known of it.
pub(super) fn read_listed(
    node: &Node,
    project: Option<&ProjectName>,
    notes: &mut Notes,
) -> Option<Given> {
    let read = match &node.value {
        Value::Mapping(_) => read_facts(node, project, notes)?,
        Value::Nothing | Value::Scalar(_) | Value::Sequence(_) => {
            let text: GivenText = notes.word("listed", node)?.value;
            let about = in_words(&text.0, project, &node.location, notes)?;
            Given::new(&node.location, about)
        }
    };
    let fault = match (&read.about, project) {
        (About::Requirement(_), _) => "listed: expected a file, found a project".to_owned(),
        (About::File(filename), Some(project)) if filename.project() != project => {
            format!("{filename} is no file of {project}")
        }
        (About::File(_), _) => return Some(read),
    };
    let hint = "name a file of the project, or its version";
    notes.note(Fault::at(&node.location, fault).hint(hint));
    None
}

/// A file's name; with a project its version; else a project or requirement.
fn in_words(
    text: &str,
    project: Option<&ProjectName>,
    location: &Location,
    notes: &mut Notes,
) -> Option<About> {
    if let Some(first) = Filename::projects(text).first() {
        return named(
            Filename::parse(text, project.unwrap_or(first)),
            location,
            notes,
        );
    }
    if let Some(project) = project {
        return named(Filename::plain(project, text, Kind::Wheel), location, notes);
    }
    let requirement = match Requirement::parse(text) {
        Ok(requirement) => requirement,
        Err(error) => {
            notes.note(Fault::at(location, format!("given: {error}")));
            return None;
        }
    };
    Some(About::Requirement(requirement))
}

fn read_facts(node: &Node, project: Option<&ProjectName>, notes: &mut Notes) -> Option<Given> {
    let fields = notes.fields(node, &[GIVEN]);
    let about = read_about(&fields, node, project, notes);
    if let Some(About::Requirement(_)) = &about {
        let mut strange = fields.entries();
        let strange = strange.find(|entry| !OF_A_PROJECT.contains(&entry.key.as_str()));
        if let Some(entry) = strange {
            let what = format!("{} is about a file, and a project is given", entry.key);
            notes.note(Fault::at(&entry.location, what).hint("give it a file or a version"));
        }
    }
    let held_by: Option<Vec<Placed<IndexName>>> = fields.many("held_by", notes);
    let advisories: Option<Vec<Placed<String>>> = fields.many("advisories", notes);
    let advisories = advisories.unwrap_or_default().into_iter();
    let upstream = fields.placed("upstream", notes);
    let status = fields.one("status", notes);
    let stated = read_stated(&fields, notes);
    Some(Given {
        upstream,
        held_by: held_by.unwrap_or_default(),
        status: status.unwrap_or(ProjectState::Active),
        advisories: advisories.map(|id| id.value).collect(),
        stated,
        ..Given::new(&node.location, about?)
    })
}

fn read_stated(fields: &Fields<'_>, notes: &mut Notes) -> Stated {
    let license: Option<GivenLicense> = fields.one("license", notes);
    Stated {
        age: fields.one("age", notes),
        uploaded: fields.one("uploaded", notes).map(|Moment(at)| at),
        first_seen: fields.one("first_seen", notes),
        release_began: fields.one("release_began", notes),
        size: fields.one("size", notes).map(|Bytes(size)| size),
        sha256: fields.one("sha256", notes),
        requires_python: fields.one("requires_python", notes),
        is_yanked: fields.one("yanked", notes).unwrap_or(false),
        has_provenance: fields.one("provenance", notes).unwrap_or(false),
        inside: Inside {
            license: license.map_or(License::Unread, |GivenLicense(license)| license),
            startup_files: match fields.one("startup_files", notes) {
                None => StartupFiles::Unread,
                Some(false) => StartupFiles::Absent,
                Some(true) => StartupFiles::Present,
            },
        },
    }
}

fn read_about(
    fields: &Fields<'_>,
    node: &Node,
    listed_for: Option<&ProjectName>,
    notes: &mut Notes,
) -> Option<About> {
    let file: Option<Placed<String>> = fields.placed("file", notes);
    let project: Option<ProjectName> = fields.one("project", notes);
    let version: Option<Placed<String>> = fields.placed("version", notes);
    let kind: Option<Kind> = fields.one("kind", notes);
    let project = project.or(listed_for.cloned());
    match (file, project, version) {
        (Some(file), project, None) => {
            let project = project.or_else(|| Filename::projects(&file.value).into_iter().next());
            let Some(project) = project else {
                let what = format!("file: {:?} is no name of a file", file.value);
                let hint = "write it as an index lists it: six-1.17.0.tar.gz";
                notes.note(Fault::at(&file.location, what).hint(hint));
                return None;
            };
            named(
                Filename::parse(&file.value, &project),
                &file.location,
                notes,
            )
        }
        (Some(_), _, Some(version)) => {
            let what = "version: the name of the file states it";
            notes.note(Fault::at(&version.location, what).hint("leave one of them out"));
            None
        }
        (None, Some(project), Some(version)) => {
            let kind = kind.unwrap_or(Kind::Wheel);
            named(
                Filename::plain(&project, &version.value, kind),
                &version.location,
                notes,
            )
        }
        (None, Some(project), None) => Some(About::Requirement(Requirement {
            project,
            versions: None,
        })),
        (None, None, _) => {
            let what = "neither a file nor a project is given";
            notes.note(Fault::at(&node.location, what).hint("say file: or project:"));
            None
        }
    }
}

fn named(
    parsed: Result<Filename, InvalidFilename>,
    location: &Location,
    notes: &mut Notes,
) -> Option<About> {
    match parsed {
        Ok(filename) => Some(About::File(filename)),
        Err(error) => {
            notes.note(Fault::at(location, error.to_string()));
            None
        }
    }
}
