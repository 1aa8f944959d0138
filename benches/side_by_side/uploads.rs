//! Uploads into a project that grows, and its page after each: neither may cost more than what changed.
//!
//! One project is filled by uploads up to each size, and there the next ones are timed. nginx has
//! nothing to compare.

use std::time::{Duration, Instant};

use anyhow::bail;
use sha2::{Digest as _, Sha256};

use super::figures::{Better, Floor, Round, Row, median};
use super::gateway::{Gateway, STAGE};
use super::plain::{Line, Request, fetch};
use super::resources::{JSON, succeed};
use super::stage::Stage;
use super::wheel;

/// Files in the project when uploads are timed; a quick run has the first only.
const SIZES: [usize; 4] = [600, 1_200, 3_000, 10_000];

/// The size at which the page is timed, too.
const PAGE_SIZE: usize = 3_000;

/// Uploads of a round.
const UPLOADS: usize = 10;

/// Until filling is given up: a project whose uploads grow with it may never get there.
const FILLING: Duration = Duration::from_secs(300);

/// Most milliseconds of an upload, and of the page after it.
const UPLOAD_MS: f64 = 4.0;
const PAGE_MS: f64 = 5.0;

/// The project.
pub(crate) const PROJECT: &str = "grown";

/// What stands between the parts of a form.
const BOUNDARY: &str = "a-boundary-that-no-content-holds";

/// Somebody who uploads one release after another.
#[derive(Debug)]
pub(crate) struct Uploader {
    line: Line,
    /// Files so far.
    pub(crate) files: usize,
}

/// Measures a gateway of its own.
pub(crate) fn measure(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let gateway = stage.launch("uploads").uploads().start()?;
    let mut uploader = Uploader::to(&gateway)?;
    let sizes = if stage.options.quick {
        &SIZES[..1]
    } else {
        &SIZES[..]
    };
    let deadline = Instant::now() + FILLING;
    let mut rows = Vec::new();
    for size in sizes {
        let uploads = format!("upload into a project of {size} files");
        if let Err(error) = uploader.fill(*size, deadline) {
            rows.push(Row::failed(uploads, &error));
            continue;
        }
        match measure_at(stage, &mut uploader, uploads.clone()) {
            Ok(row) => rows.push(row),
            Err(error) => rows.push(Row::failed(uploads, &error)),
        }
        if *size == PAGE_SIZE || stage.options.quick {
            rows.push(page_at(stage, &gateway, &mut uploader, *size)?);
        }
    }
    gateway.stop();
    Ok(rows)
}

fn measure_at(stage: &Stage, uploader: &mut Uploader, scenario: String) -> anyhow::Result<Row> {
    let mut row = Row::new(scenario, "ms", Better::Low, Floor::FigureAtMost(UPLOAD_MS));
    for _ in 0..stage.options.rounds {
        let times = (0..UPLOADS).map(|_| uploader.upload());
        let times: Vec<f64> = times.collect::<Result<_, _>>()?;
        row.rounds.push(alone(times));
    }
    Ok(row)
}

/// The page as installers ask for it, each time after an upload that changed it.
fn page_at(
    stage: &Stage,
    gateway: &Gateway,
    uploader: &mut Uploader,
    size: usize,
) -> anyhow::Result<Row> {
    let request = Request::new(format!("/{STAGE}/+simple/{PROJECT}/"))
        .header("Accept", JSON)
        .header("Accept-Encoding", "gzip");
    let scenario = format!("page of {size} private files after an upload");
    let mut row = Row::new(scenario, "ms", Better::Low, Floor::FigureAtMost(PAGE_MS));
    for _ in 0..stage.options.rounds {
        let mut times = Vec::with_capacity(UPLOADS);
        for _ in 0..UPLOADS {
            uploader.upload()?;
            let answer = succeed(fetch(gateway.public(), &request)?)?;
            times.push(answer.elapsed.as_secs_f64() * 1e3);
        }
        row.rounds.push(alone(times));
    }
    Ok(row)
}

/// A round without a peer.
fn alone(times: Vec<f64>) -> Round {
    Round {
        peers: Vec::new(),
        ours: median(times.into_iter()),
    }
}

impl Uploader {
    /// Begins with an empty project.
    pub(crate) fn to(gateway: &Gateway) -> anyhow::Result<Self> {
        Ok(Self {
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
        let request = Request::post(format!("/{STAGE}/"), form(&version, &wheel))
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
