//! Somebody who uploads one release after another into one project, as twine does.

use std::time::Instant;

use anyhow::bail;
use sha2::{Digest as _, Sha256};

use super::asking::succeed;
use super::gateway::Gateway;
use super::plain::{Line, Request};
use super::wheel;

/// The project.
pub(crate) const PROJECT: &str = "grown";

/// What stands between the parts of a form.
const BOUNDARY: &str = "a-boundary-that-no-content-holds";

/// Somebody who uploads.
#[derive(Debug)]
pub(crate) struct Uploader {
    line: Line,
    index: &'static str,
    /// Files so far.
    pub(crate) files: usize,
}

impl Uploader {
    /// Begins with an empty project of this index.
    pub(crate) fn to(gateway: &Gateway, index: &'static str) -> anyhow::Result<Self> {
        Ok(Self {
            index,
            line: Line::to(gateway.manage()?),
            files: 0,
        })
    }

    /// Uploads until the project has this many files.
    pub(crate) fn fill(&mut self, files: usize, deadline: Instant) -> anyhow::Result<()> {
        while self.files < files {
            if Instant::now() > deadline {
                bail!(
                    "the project has {} files of {files} when filling is given up",
                    self.files
                );
            }
            self.upload()?;
        }
        Ok(())
    }

    /// Uploads the next release: milliseconds until it is stored.
    pub(crate) fn upload(&mut self) -> anyhow::Result<f64> {
        let version = format!("{}.0", self.files);
        let wheel = wheel::build(PROJECT, &version, 64, &[])?;
        let request = Request::post(format!("/{}/", self.index), form(&version, &wheel))
            .header("Accept", "application/json")
            .header(
                "Content-Type",
                format!("multipart/form-data; boundary={BOUNDARY}"),
            );
        let answer = succeed(self.line.ask(&request)?)?;
        self.files += 1;
        Ok(answer.elapsed.as_secs_f64() * 1e3)
    }
}

/// The form that twine sends.
fn form(version: &str, wheel: &wheel::Wheel) -> Vec<u8> {
    let digest = Sha256::digest(&wheel.content);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let fields = [
        (":action", "file_upload"),
        ("protocol_version", "1"),
        ("metadata_version", "2.1"),
        ("name", PROJECT),
        ("version", version),
        ("sha256_digest", &digest),
    ];
    let mut body = Vec::with_capacity(wheel.content.len() + 2048);
    for (name, value) in fields {
        body.extend_from_slice(
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
            .as_bytes(),
        );
    }
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"content\"; filename=\"{}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n",
        wheel.filename
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(&wheel.content);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}
