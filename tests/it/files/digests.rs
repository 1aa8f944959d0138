//! Files for which an upstream states digests other than sha256: whatever it states is verified,
//! and what is stated for another file is never applied.

use std::path::PathBuf;

use bytes::Bytes;
use cheesecloth::testing::model::Sha256;
use http::Method;
use serde_json::json;

use super::super::support::{
    Content, FakeIndex, Fault, Listed, Program, Project, Setup, Web, soon,
};
use super::{FILENAME, UPSTREAM_PATH, kept, page_url, patterned, policies, stocked, url_of};

const OTHERS: [&str; 6] = ["md5", "sha1", "sha224", "sha384", "sha512", "blake2b"];

#[tokio::test]
async fn a_file_is_held_to_whatever_digest_is_stated_of_it() {
    // Smaller and larger than what is held back until the digest is verified.
    for content in [patterned(100), patterned(300_000)] {
        for algorithm in OTHERS {
            let dairy = stocked(Setup::default().with_only(algorithm), &content).start();
            let data = tempfile::tempdir().unwrap();
            let shop = Program::with_policies(&policies(&dairy, ""));
            let shop = shop.data(data.path()).start();
            let web = Web::new();
            let url = url_of(&web, &shop).await;
            dairy.misbehave(UPSTREAM_PATH, Fault::new().wrong_digest());
            match web.attempt(Method::GET, &url, &[]).await {
                Err(_cut_short) => assert!(content.len() > 100),
                Ok(got) => assert_eq!(got.status, 502, "{algorithm}: {}", got.text()),
            }
            shop.wait_for_metric("cheesecloth_fill_inflight", |fills| fills == 0.0);
            for folder in ["files", "tmp"] {
                let kept = kept(data.path(), folder);
                assert_eq!(kept, Vec::<PathBuf>::new(), "{algorithm}");
            }
            dairy.behave();
            assert!(web.get(&url).await.body == content, "{algorithm}");
        }
    }
}

/// An upstream that states the sha1 and no size.
fn stating(content: &Bytes) -> FakeIndex {
    stocked(Setup::default().with_only("sha1").without_sizes(), content).start()
}

/// Waits until a page lists the sha256 of its file.
async fn lists(web: &Web, page: &str, content: &Bytes) {
    let digest = json!({ "sha256": Sha256::of(content).to_hex() });
    soon(async {
        while web.page(page).await.file(FILENAME)["hashes"] != digest {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_file_tells_is_listed_though_its_page_is_being_confirmed() {
    const PAGE: &str = "/simple/wheel-of-gouda/";
    let content = patterned(1000);
    let dairy = stating(&content);
    let shop = Program::with_policies(&policies(&dairy, ", mirror_cache_expiry: 0")).start();
    let (web, page) = (Web::new(), page_url(&shop, "wheel-of-gouda"));
    let url = web.page(&page).await.url_of(FILENAME);
    let gate = dairy.gate(UPSTREAM_PATH, 10);
    let asked_for_meanwhile = async {
        gate.reached(1).await;
        // Takes longer than storing the file and recording what it tells.
        dairy.misbehave("/simple/", Fault::new().latency(500));
        let before = dairy.journal().count(PAGE);
        let arrived = async {
            dairy.journal().wait_for(PAGE, before + 1).await;
            drop(gate);
        };
        tokio::join!(web.page(&page), arrived);
    };
    let (got, ()) = tokio::join!(web.get(&url), asked_for_meanwhile);
    assert!(got.body == content, "{}", got.status);
    dairy.behave();
    lists(&web, &page, &content).await;
}

#[tokio::test]
async fn a_file_that_is_replaced_upstream_is_another_file_whatever_digest_says_so() {
    let (old, new) = (patterned(1000), Bytes::from(vec![b'x'; 1000]));
    let dairy = stating(&old);
    let shop = Program::with_policies(&policies(&dairy, ", mirror_cache_expiry: 0")).start();
    let web = Web::new();
    let learned = |content: Bytes| {
        let (web, page) = (&web, page_url(&shop, "wheel-of-gouda"));
        async move {
            let url = web.page(&page).await.url_of(FILENAME);
            let got = web.get(&url).await;
            assert!(got.body == content, "{}", got.status);
            lists(web, &page, &content).await;
        }
    };
    learned(old).await;
    let file = Listed::new(FILENAME, "1.0", Content::Bytes(new.clone()));
    dairy.change(|_| {
        let setup = Setup::default().with_only("sha1").without_sizes();
        setup.project(Project::new("wheel-of-gouda").file(file))
    });
    learned(new).await;
}

#[tokio::test]
async fn one_place_of_which_two_mirrors_state_different_digests_is_two_files() {
    let content = patterned(100);
    let right = stating(&content);
    let other = Listed::new(
        FILENAME,
        "1.0",
        Content::Bytes(Bytes::from(vec![b'x'; 100])),
    );
    let wrong = Setup::default()
        .with_only("sha1")
        .files_at(&right.at("/files"));
    let wrong = wrong.project(Project::new("wheel-of-gouda").file(other));
    let wrong = wrong.start();
    let yaml = policies(&right, "")
        + &format!(
            "  root/wrong: {{ type: mirror, mirror_url: \"{}\" }}\n",
            wrong.url()
        );
    let shop = Program::with_policies(&yaml).start();
    let web = Web::new();
    let at_right = url_of(&web, &shop).await;
    let page = format!("{}wheel-of-gouda/", shop.index_url("root/wrong"));
    let at_wrong = web.page(&page).await.url_of(FILENAME);
    let gate = right.gate(UPSTREAM_PATH, 10);
    let (good, bad, ()) = tokio::join!(web.get(&at_right), web.get(&at_wrong), async {
        // Both must have requested the same URL before either may finish.
        right.journal().wait_for(UPSTREAM_PATH, 2).await;
        drop(gate);
    });
    assert!(good.status == 200 && good.body == content);
    assert_eq!(bad.status, 502, "{}", bad.text());
}
