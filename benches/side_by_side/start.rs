//! From the start of the process until it reports that it is ready, with 100,000 files in its
//! cache.
//!
//! This bench does not know where the store keeps a file, but finds out: one file is fetched, and
//! the others are put beside it in the same way.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

use super::figures::{Better, Floor, Round, Row};
use super::options::Scenario;
use super::stage::Stage;
use crate::rig::asking::succeed;
use crate::rig::content::WARES;
use crate::rig::gateway::{Launch, MIRROR};
use crate::rig::plain::{Request, fetch};

/// Files in the cache.
const FILES: usize = 100_000;

/// Measures a separate gateway that is restarted every round; the figure with an empty cache is in
/// the notes.
pub(crate) fn measure(stage: &Stage) -> anyhow::Result<Row> {
    let launch = stage.launch("start");
    launch.start()?.stop();
    let empty = launch.start()?.started_in;
    fill(&launch)?;
    let mut rounds = Vec::new();
    for _ in 0..stage.options.rounds {
        let gateway = launch.start()?;
        rounds.push(Round {
            peers: Vec::new(),
            ours: gateway.started_in.as_secs_f64(),
        });
        gateway.stop();
    }
    Ok(Row {
        scenario: Scenario::Start.name(),
        unit: "s",
        better: Better::Low,
        peers: Vec::new(),
        rounds,
        floor: Floor::FigureAtMost(1.0),
        per_cpu: Vec::new(),
        turns: Vec::new(),
        notes: vec![format!("{:.3} s with an empty cache", empty.as_secs_f64())],
        broken: Vec::new(),
    })
}

/// Puts files beside the first.
fn fill(launch: &Launch) -> anyhow::Result<()> {
    let kept = keep_one(launch)?;
    let root = kept
        .parent()
        .and_then(Path::parent)
        .context("the store's folder")?;
    for number in 0..FILES {
        let digest = Sha256::digest(number.to_le_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let folder = root.join(&hex[..2]);
        if number < 4096 {
            fs::create_dir_all(&folder)?;
        }
        let path = folder.join(&hex[2..]);
        fs::write(&path, &hex).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// Fetches one wheel through the gateway and finds it in its data directory.
fn keep_one(launch: &Launch) -> anyhow::Result<PathBuf> {
    let gateway = launch.start()?;
    let address = gateway.public();
    let page = format!("/{MIRROR}/+simple/{WARES}/");
    let request = Request::new(&page).header("Accept", "application/vnd.pypi.simple.v1+json");
    let body = succeed(fetch(address, &request)?)?.body;
    let json: serde_json::Value = serde_json::from_slice(&body)?;
    let file = &json["files"][0];
    let digest = file["hashes"]["sha256"]
        .as_str()
        .context("a file without a digest")?
        .to_owned();
    let url = file["url"].as_str().context("a file without a url")?;
    let url = url::Url::parse(&format!("http://{address}{page}"))?.join(url)?;
    succeed(fetch(address, &Request::new(url.path()))?)?;
    gateway.stop();
    find(&launch.data(), &digest)
}

/// The file named by its digest: two digits name its folder, the others the file.
fn find(folder: &Path, digest: &str) -> anyhow::Result<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let kept = folder.join(&digest[..2]).join(&digest[2..]);
        if kept.is_file() {
            return Ok(kept);
        }
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    bail!(
        "no {}/{} below {}: the store's layout has changed",
        &digest[..2],
        &digest[2..],
        folder.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_file_is_found_by_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let digest = "ab".repeat(32);
        assert!(find(folder.path(), &digest).is_err());
        let kept = folder.path().join("store/files/ab").join(&digest[2..]);
        fs::create_dir_all(kept.parent().unwrap()).unwrap();
        fs::write(&kept, "x").unwrap();
        assert_eq!(find(folder.path(), &digest).unwrap(), kept);
    }
}
