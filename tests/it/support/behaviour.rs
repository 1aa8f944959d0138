//! The fake index itself: the behaviour that other tests rely on.

use std::io::Read as _;

use http::Method;

use super::{Content, FakeIndex, Fault, Listed, Project, Setup, sdist};

const PATH: &str = "/files/big/big-1.0.tar.gz";

fn big() -> FakeIndex {
    let file = Listed::new("big-1.0.tar.gz", "1.0", Content::noise(5, 100_000));
    Setup::default()
        .project(Project::new("big").file(file))
        .start()
}

async fn get(index: &FakeIndex) -> Vec<u8> {
    cheesecloth::testing::upstream::install_crypto_provider();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.get(index.at(PATH)).send().await.unwrap();
    response.bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn a_wrong_digest_is_one_byte_off_for_as_often_as_asked() {
    let index = big();
    let right = Content::noise(5, 100_000).to_vec();
    index.misbehave(PATH, Fault::new().wrong_digest().times(1));
    let wrong = get(&index).await;
    assert_eq!(wrong.len(), right.len());
    assert_eq!(wrong[..99_999], right[..99_999]);
    assert_ne!(wrong[99_999], right[99_999]);
    assert_eq!(get(&index).await, right);
}

#[tokio::test]
async fn the_longest_path_decides_and_the_journal_sees_all() {
    let index = big();
    index.misbehave("/", Fault::new().status(503));
    index.misbehave("/files/big/", Fault::new().status(200).body("short"));
    assert_eq!(get(&index).await, b"short");
    index.behave();
    let (all, ()) = tokio::join!(get(&index), index.journal().wait_for(PATH, 2));
    assert_eq!(all.len(), 100_000);
    assert_eq!(index.journal().count("/"), 2);
    assert_eq!(index.journal().last(PATH).method, Method::GET);
}

#[test]
fn an_sdist_is_a_tar_archive_with_its_metadata() {
    let (filename, bytes) = sdist("a.b", "1.0");
    assert_eq!(filename, "a_b-1.0.tar.gz");
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..])
        .read_to_end(&mut tar)
        .unwrap();
    assert!(tar.starts_with(b"a_b-1.0/PKG-INFO\0"));
    assert_eq!(&tar[257..263], b"ustar\0");
    assert!(tar[512..].starts_with(b"Metadata-Version: 2.1\nName: a.b\nVersion: 1.0\n"));
    assert_eq!(tar.len() % 512, 0);
}
