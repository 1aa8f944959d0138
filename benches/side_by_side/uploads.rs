//! Uploads into a growing project, and its page after each: neither may cost more than what
//! changed.
//!
//! One project is filled by uploads up to each size, and there the next ones are timed. nginx has
//! nothing to compare.

use std::time::{Duration, Instant};

use super::figures::{Better, Floor, Round, Row};
use super::stage::Stage;
use crate::rig::asking::{page_of, succeed};
use crate::rig::gateway::{Gateway, STAGE};
use crate::rig::numbers::median;
use crate::rig::plain::fetch;
use crate::rig::uploader::{PROJECT, Uploader};

/// Files in the project when uploads are timed; a quick run has only the first size.
const SIZES: [usize; 4] = [600, 1_200, 3_000, 10_000];

/// The size at which the page is timed as well.
const PAGE_SIZE: usize = 3_000;

/// Uploads of a round.
const UPLOADS: usize = 10;

/// Time limit for filling: a project whose uploads become slower with its size may never get there.
const FILLING: Duration = Duration::from_secs(300);

/// Most milliseconds of an upload, and of the page after it.
const UPLOAD_MS: f64 = 4.0;
const PAGE_MS: f64 = 5.0;

/// Measures a separate gateway.
pub(crate) fn measure(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let gateway = stage.launch("uploads").uploads().start()?;
    let mut uploader = Uploader::to(&gateway, STAGE)?;
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

/// The page as installers request it, each time after an upload that changed it.
fn page_at(
    stage: &Stage,
    gateway: &Gateway,
    uploader: &mut Uploader,
    size: usize,
) -> anyhow::Result<Row> {
    let request = page_of(STAGE, PROJECT);
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
