//! What unpacks to much takes memory within one budget, however many send it at once.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::join_all;

use super::support::{Canned, Content, Program, Setup, Web};

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// Answers under way at one time.
const AT_ONCE: usize = 16;

/// `limits.decoding`.
const BUDGET: u64 = 192 << 20;

/// What a debug build may have beside it, in bytes.
const BESIDE: u64 = 150 << 20;

/// A page of 60 MB that is 60 KB on its way.
fn packed_page() -> Bytes {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(b"{\"files\": [], \"x\": \"").unwrap();
    let megabyte = vec![b'x'; 1 << 20];
    for _ in 0..60 {
        packed.write_all(&megabyte).unwrap();
    }
    packed.write_all(b"\"}").unwrap();
    packed.finish().unwrap().into()
}

#[tokio::test]
async fn pages_that_unpack_to_a_thousand_times_their_size_wait_for_their_turn() {
    let packed = packed_page();
    let dairy = (0..AT_ONCE).fold(Setup::default(), |setup, number| {
        let canned = Canned {
            content_type: JSON.to_owned(),
            headers: vec![("content-encoding".to_owned(), "gzip".to_owned())],
            content: Content::Bytes(packed.clone()),
        };
        setup.canned(&format!("/simple/bomb-{number}/"), canned)
    });
    let dairy = dairy.start();
    let yaml = format!(
        "limits: {{ decoding: {BUDGET}, project_list: 64MiB }}\n\
         indexes:\n  root/dairy: {{ type: mirror, mirror_url: \"{}\" }}\n",
        dairy.url()
    );
    let shop = Program::with_policies(&yaml).start();
    let before = shop.memory_peak_bytes();
    let web = Web::new();
    let asked = (0..AT_ONCE).map(|number| {
        let url = format!("{}bomb-{number}/", shop.index_url("root/dairy"));
        let web = web.clone();
        async move { web.get_with(&url, &[("accept", JSON)]).await.status }
    });
    assert_eq!(join_all(asked).await, [200; AT_ONCE]);
    let grown = shop.memory_peak_bytes() - before;
    eprintln!("{AT_ONCE} pages of 60 MiB took {} MiB", grown >> 20);
    assert!(grown < BUDGET + BESIDE, "{} MiB", grown >> 20);
}
