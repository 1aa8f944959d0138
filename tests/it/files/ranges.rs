//! Ranges of a file that turns out not to be what its page says.

use super::*;

/// One byte at either end, a piece of the middle, the part held back, all of it, as installers
/// resume.
const RANGES: [&str; 9] = [
    "bytes=0-0",
    "bytes=0-99",
    "bytes=1048576-2097151",
    "bytes=-1",
    "bytes=-65536",
    "bytes=-1000000",
    "bytes=0-",
    "bytes=3145000-3145727",
    "bytes=1048576-99999999",
];

#[tokio::test]
async fn no_range_of_a_bad_file_is_complete() {
    let content = patterned(3 * MIB);
    let dairy = dairy(&content);
    let shop = shop(&dairy);
    let web = Web::new();
    let url = url_of(&web, &shop).await;
    dairy.misbehave(UPSTREAM_PATH, Fault::new().wrong_digest());
    for range in RANGES {
        let got = web.attempt(Method::GET, &url, &[("range", range)]).await;
        // Cut off, or a 502 if the fetch had failed before anything was sent.
        let is_refused = got.as_ref().map_or(true, |got| got.status == 502);
        assert!(is_refused, "{range}: {got:?}");
    }
}

#[tokio::test]
async fn a_range_is_on_its_way_before_the_file_is_here_and_ends_with_it() {
    let content = patterned(3 * MIB);
    let dairy = dairy(&content);
    let shop = shop(&dairy);
    let web = Web::new();
    let url = url_of(&web, &shop).await;
    let gate = dairy.gate(UPSTREAM_PATH, MIB as u64);
    let range = [("range", "bytes=0-99")];
    let mut response = web.open(Method::GET, &url, &range).await.unwrap();
    let mut got = response.chunk().await.unwrap().unwrap().to_vec();
    assert!(!got.is_empty() && got.len() < 100, "{}", got.len());
    gate.reached(1).await;
    gate.release();
    while let Some(chunk) = response.chunk().await.unwrap() {
        got.extend_from_slice(&chunk);
    }
    assert!(got == content[..100]);
}

#[tokio::test]
async fn no_range_of_a_bad_file_is_served_that_is_verified_first_or_held_back_whole() {
    let verified = (3 * MIB, ", verify: before-serving");
    for (length, more) in [verified, (60_000, "")] {
        let content = patterned(length);
        let dairy = dairy(&content);
        let shop = Program::with_policies(&policies(&dairy, more)).start();
        let web = Web::new();
        let url = url_of(&web, &shop).await;
        dairy.misbehave(UPSTREAM_PATH, Fault::new().wrong_digest());
        for range in ["bytes=0-99", "bytes=-1"] {
            let got = web.get_with(&url, &[("range", range)]).await;
            assert_eq!(got.status, 502, "{range} of {length}: {}", got.text());
        }
    }
}
