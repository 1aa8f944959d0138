//! Power cuts, and starts with a large cache.

mod uploads;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use cheesecloth::testing::model::Sha256;
use http::Method;

use super::support::{Content, FakeIndex, Listed, Program, Project, Setup, Web};

const INDEX: &str = "root/dairy";
const FILENAME: &str = "wheel_of_gouda-1.0.tar.gz";
const UPSTREAM_PATH: &str = "/files/wheel-of-gouda/";
const LENGTH: u64 = 2 << 20;

fn dairy() -> FakeIndex {
    let file = Listed::new(FILENAME, "1.0", Content::noise(4, LENGTH));
    Setup::default()
        .project(Project::new("wheel-of-gouda").file(file))
        .start()
}

fn shop(dairy: &FakeIndex, data: &Path) -> Program {
    let url = dairy.url();
    // `lay_out` writes files that do not match their digests; the verification must not find out.
    let yaml = format!(
        "indexes:\n  {INDEX}: {{ type: mirror, mirror_url: \"{url}\" }}\n\
         limits: {{ verify_pace: 0B }}\n"
    );
    Program::with_policies(&yaml).data(data).start()
}

async fn url_of(web: &Web, shop: &Program) -> String {
    let page = format!("{}wheel-of-gouda/", shop.index_url(INDEX));
    web.page(&page).await.url_of(FILENAME)
}

fn leftovers(data: &Path) -> usize {
    let found = fs::read_dir(data.join("tmp"));
    found.map_or(0, Iterator::count)
}

#[tokio::test]
async fn after_a_power_cut_in_mid_fill_the_file_is_fetched_anew_and_whole() {
    let content = Bytes::from(Content::noise(4, LENGTH).to_vec());
    let dairy = dairy();
    // From "nothing received" through "on disk, but held back" to "all but the last byte".
    for (after, seed) in [0, 1, 70_000, 1_000_003, LENGTH - 65_536, LENGTH - 1]
        .into_iter()
        .zip(0..)
    {
        let data = tempfile::tempdir().unwrap();
        let before = shop(&dairy, data.path());
        let web = Web::new();
        let url = url_of(&web, &before).await;
        let gate = dairy.gate(UPSTREAM_PATH, after);
        let asking = tokio::spawn(async move {
            let mut sent = Vec::new();
            if let Ok(mut response) = web.open(Method::GET, &url, &[]).await {
                while let Ok(Some(chunk)) = response.chunk().await {
                    sent.extend_from_slice(&chunk);
                }
            }
            sent
        });
        gate.reached(1).await;
        let asked = dairy.journal().count(UPSTREAM_PATH);
        before.kill();
        gate.release();
        let sent = asking.await.unwrap();
        assert!(sent.len() < content.len(), "{after}: all was sent");
        assert!(content.starts_with(&sent), "{after}: wrong bytes were sent");
        dairy.behave();

        let after_cut = shop(&dairy, data.path());
        assert_eq!(leftovers(data.path()), 0, "cut after {after}");
        let web = Web::new();
        let url = url_of(&web, &after_cut).await;
        // Every other round first asks for a range, which must not be served from an incomplete
        // file.
        if seed % 2 == 1 {
            let tail = web.get_with(&url, &[("range", "bytes=-1000")]).await;
            assert!(
                tail.body == content[content.len() - 1000..],
                "cut after {after}"
            );
        }
        let got = web.get(&url).await;
        assert!(got.body == content, "cut after {after}");
        assert_eq!(dairy.journal().count(UPSTREAM_PATH), asked + 1);
    }
}

#[tokio::test]
async fn what_was_fetched_is_there_after_a_power_cut() {
    let dairy = dairy();
    let data = tempfile::tempdir().unwrap();
    let web = Web::new();
    let before = shop(&dairy, data.path());
    assert_eq!(web.get(&url_of(&web, &before).await).await.status, 200);
    before.wait_for_metric("cheesecloth_fill_inflight", |fills| fills == 0.0);
    before.kill();
    let after = shop(&dairy, data.path());
    let got = web.get(&url_of(&web, &after).await).await;
    assert_eq!(got.header("cache-status"), "cheesecloth; hit");
    assert_eq!(Sha256::of(&got.body), Content::noise(4, LENGTH).sha256());
    assert_eq!(dairy.journal().count(UPSTREAM_PATH), 1);
}

/// Files in the store whose start is measured.
const MANY: usize = 100_000;

#[test]
fn a_start_does_not_grow_with_the_cache() {
    let dairy = dairy();
    let empty = tempfile::tempdir().unwrap();
    let started = Instant::now();
    drop(shop(&dairy, empty.path()));
    let of_empty = started.elapsed();

    let full = tempfile::tempdir().unwrap();
    lay_out(full.path(), MANY);
    let started = Instant::now();
    let shop = shop(&dairy, full.path());
    let of_full = started.elapsed();
    eprintln!("start to readiness: {of_empty:?} with nothing, {of_full:?} with {MANY} files");
    // Counted in the background once the doors are open; the log says when it is done.
    let said = shop.wait_until_it_says("mirror files held");
    assert!(said.contains(&format!("\"files\":{MANY}")), "{said}");
    shop.wait_for_metric("cheesecloth_cache_bytes", |bytes| bytes >= MANY as f64);
    // A safety net rather than a measurement: opening every file would take longer.
    assert!(of_full < of_empty + std::time::Duration::from_secs(10));
}

/// Hard links to one file, at most: file systems allow more, and a link is cheaper than a file.
const NAMES_MAX: usize = 25_000;

/// Lays out files of one byte where the store keeps files of mirrors.
fn lay_out(data: &Path, count: usize) {
    let files = data.join("files");
    for folder in 0..256 {
        fs::create_dir_all(files.join(format!("{folder:02x}"))).unwrap();
    }
    let mut file = PathBuf::new();
    for number in 0..count {
        let digest = Sha256::of(&number.to_le_bytes()).to_hex();
        let path = files.join(&digest[..2]).join(&digest[2..]);
        if number % NAMES_MAX == 0 {
            fs::write(&path, b"x").unwrap();
            file = path;
        } else {
            fs::hard_link(&file, &path).unwrap();
        }
    }
}
