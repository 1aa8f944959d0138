//! Upload forms as clients send them, and as none should.

use std::io;

use cheesecloth::testing::model::Sha256;

use super::Wheel;
use super::ask::{self, Answer};

/// Separates the parts.
const BOUNDARY: &str = "a-boundary-that-no-content-holds";

/// A `multipart/form-data` body under construction.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    fields: Vec<(String, String)>,
    files: Vec<(String, String, Vec<u8>)>,
}

impl Form {
    pub(crate) fn empty() -> Self {
        Self {
            fields: Vec::new(),
            files: Vec::new(),
        }
    }

    /// The upload of a file, with its digest.
    pub(crate) fn of(project: &str, version: &str, filename: &str, content: &[u8]) -> Self {
        Self::empty()
            .field(":action", "file_upload")
            .field("protocol_version", "1")
            .field("metadata_version", "2.1")
            .field("name", project)
            .field("version", version)
            .field("sha256_digest", &Sha256::of(content).to_hex())
            .file("content", filename, content)
    }

    /// The upload of a wheel.
    pub(crate) fn of_wheel(project: &str, version: &str) -> Self {
        let wheel = Wheel::new(project, version);
        Self::of(project, version, &wheel.filename(), &wheel.build())
    }

    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn file(mut self, name: &str, filename: &str, content: &[u8]) -> Self {
        let file = (name.to_owned(), filename.to_owned(), content.to_vec());
        self.files.push(file);
        self
    }

    /// Removes the fields and files with this name.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(field, _)| field != name);
        self.files.retain(|(file, _, _)| file != name);
        self
    }

    /// Replaces the value of a field.
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        self.without(name).field(name, value)
    }

    /// Changes the name of the file.
    pub(crate) fn named(mut self, filename: &str) -> Self {
        filename.clone_into(&mut self.files[0].1);
        self
    }

    /// Changes the content of the file, and removes its stated digest.
    pub(crate) fn holding(mut self, content: &[u8]) -> Self {
        self.files[0].2 = content.to_vec();
        self.without("sha256_digest")
    }

    /// The value of `Content-Type`.
    pub(crate) fn content_type() -> String {
        format!("multipart/form-data; boundary={BOUNDARY}")
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, value) in &self.fields {
            let head =
                format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(value.as_bytes());
            body.extend_from_slice(b"\r\n");
        }
        for (name, filename, content) in &self.files {
            body.extend_from_slice(Self::file_head(name, filename).as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        body
    }

    /// What precedes a file's content.
    pub(crate) fn file_head(name: &str, filename: &str) -> String {
        format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; \
             filename=\"{filename}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
    }

    /// Sends it.
    ///
    /// # Errors
    /// When nobody answers.
    pub(crate) fn post(&self, url: &str) -> io::Result<Answer> {
        self.post_with(url, &[])
    }

    /// Sends it with additional headers.
    ///
    /// # Errors
    /// When nobody answers.
    pub(crate) fn post_with(&self, url: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
        let kind = Self::content_type();
        let mut all = vec![("Content-Type", &*kind), ("Accept", "application/json")];
        all.extend_from_slice(headers);
        ask::send("POST", url, &all, &self.body())
    }
}
