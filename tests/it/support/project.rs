//! What a fake index holds: projects with files, and what the page states about each file.

use bytes::Bytes;
use cheesecloth::testing::model::Sha256;

use super::{Content, Wheel, sdist};

#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(super) name: String,
    pub(super) files: Vec<Listed>,
    pub(super) status: Option<String>,
}

/// A file and what its page states about it.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(super) filename: String,
    pub(super) version: String,
    pub(super) content: Content,
    pub(super) sha256: Sha256,
    pub(super) metadata: Option<Bytes>,
    pub(super) requires_python: Option<String>,
    pub(super) upload_time: String,
    pub(super) yanked: Option<String>,
    pub(super) provenance: Option<String>,
    /// Its length, as the page states it.
    pub(super) stated_size: u64,
}

impl Project {
    /// A project without files, by its normalised name.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            files: Vec::new(),
            status: None,
        }
    }

    /// Adds a plain wheel of this version.
    pub(crate) fn wheel(self, version: &str) -> Self {
        let wheel = Wheel::new(&self.name, version);
        self.file(Listed::wheel(&wheel, version))
    }

    /// Adds an sdist of this version.
    pub(crate) fn sdist(self, version: &str) -> Self {
        let (filename, bytes) = sdist(&self.name, version);
        self.file(Listed::new(
            &filename,
            version,
            Content::Bytes(bytes.into()),
        ))
    }

    /// Adds any file.
    pub(crate) fn file(mut self, file: Listed) -> Self {
        self.files.push(file);
        self
    }

    /// Sets its status (PEP 792), which is shown from API 1.4 on.
    pub(crate) fn status(mut self, status: &str) -> Self {
        self.status = Some(status.to_owned());
        self
    }
}

impl Listed {
    /// A file with this content.
    pub(crate) fn new(filename: &str, version: &str, content: Content) -> Self {
        let stated_size = content.length();
        Self {
            filename: filename.to_owned(),
            version: version.to_owned(),
            sha256: content.sha256(),
            content,
            metadata: None,
            requires_python: None,
            upload_time: "2024-01-02T03:04:05.000000Z".to_owned(),
            yanked: None,
            provenance: None,
            stated_size,
        }
    }

    /// A wheel with its sidecar.
    pub(crate) fn wheel(wheel: &Wheel, version: &str) -> Self {
        let content = Content::Bytes(wheel.build().into());
        Self {
            metadata: Some(wheel.metadata().into()),
            requires_python: wheel.requires_python_text(),
            ..Self::new(&wheel.filename(), version, content)
        }
    }

    /// Gives it this sidecar at the index, whatever the wheel contains.
    pub(crate) fn sidecar(mut self, metadata: &str) -> Self {
        self.metadata = Some(Bytes::copy_from_slice(metadata.as_bytes()));
        self
    }

    /// Sets its upload time, as RFC 3339 in UTC.
    pub(crate) fn uploaded(mut self, at: &str) -> Self {
        at.clone_into(&mut self.upload_time);
        self
    }

    /// Makes its page say that its provenance is at this place.
    pub(crate) fn provenance(mut self, place: &str) -> Self {
        self.provenance = Some(place.to_owned());
        self
    }

    /// Makes its page state this length.
    pub(crate) fn stating_size(mut self, bytes: u64) -> Self {
        self.stated_size = bytes;
        self
    }

    /// Yanks it for this reason.
    pub(crate) fn yanked(mut self, reason: &str) -> Self {
        self.yanked = Some(reason.to_owned());
        self
    }
}
