//! Files: whole, in ranges, and cut off.

use std::time::Duration;

use cheesecloth::testing::model::Sha256;
use cheesecloth::testing::upstream::{
    ByteRange, FileAnswer, FilePart, Upstream, UpstreamError, UpstreamFile,
};
use url::Url;

use super::{limited, never_resting, upstream};
use crate::support::{Content, FakeIndex, Fault, Listed, Project, Setup};

const NAME: &str = "/files/big/big-1.0.tar.gz";
const LENGTH: u64 = 1_000_003;

fn content() -> Content {
    Content::noise(1, LENGTH)
}

fn big() -> FakeIndex {
    let file = Listed::new("big-1.0.tar.gz", "1.0", content());
    Setup::default()
        .project(Project::new("big").file(file))
        .start()
}

async fn open(upstream: &Upstream, url: &Url, range: Option<ByteRange>) -> UpstreamFile {
    match upstream.open(url, range).await {
        Ok(FileAnswer::Found(file)) => *file,
        other => panic!("{other:?}"),
    }
}

async fn read(mut file: UpstreamFile) -> Result<Vec<u8>, UpstreamError> {
    let mut all = Vec::new();
    while let Some(chunk) = file.chunk().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

#[tokio::test]
async fn a_file_comes_whole_with_what_is_said_of_it() {
    let index = big();
    let file = open(&upstream(index.url()), &index.at(NAME), None).await;
    assert_eq!((file.part, file.length), (FilePart::Whole, Some(LENGTH)));
    assert_eq!(
        file.content_type.as_deref(),
        Some("application/octet-stream")
    );
    assert_eq!(Sha256::of(&read(file).await.unwrap()), content().sha256());
    assert_eq!(
        index.journal().last(NAME).header("accept-encoding"),
        "identity"
    );
}

#[tokio::test]
async fn ranges_come_as_asked_or_the_file_comes_whole() {
    let index = big();
    let upstream = upstream(index.url());
    let whole = content().to_vec();
    let table = [
        (ByteRange::Between(10, 19), 10, 20),
        (ByteRange::Between(10, 2 * LENGTH), 10, LENGTH),
        (ByteRange::Last(7), LENGTH - 7, LENGTH),
        (ByteRange::Last(2 * LENGTH), 0, LENGTH),
    ];
    for (range, start, end) in table {
        let file = open(&upstream, &index.at(NAME), Some(range)).await;
        let size = Some(LENGTH);
        assert_eq!(file.part, FilePart::Range { start, end, size }, "{range:?}");
        assert_eq!(file.length, Some(end - start), "{range:?}");
        let bytes = read(file).await.unwrap();
        assert!(
            bytes == whole[start.try_into().unwrap()..end.try_into().unwrap()],
            "{range:?}"
        );
    }
    let beyond = upstream
        .open(
            &index.at(NAME),
            Some(ByteRange::Between(LENGTH, LENGTH + 9)),
        )
        .await;
    assert!(
        matches!(beyond, Ok(FileAnswer::NotSatisfiable)),
        "{beyond:?}"
    );

    index.change(Setup::without_ranges);
    let file = open(&upstream, &index.at(NAME), Some(ByteRange::Between(10, 19))).await;
    assert_eq!((file.part, file.length), (FilePart::Whole, Some(LENGTH)));
}

#[tokio::test]
async fn a_range_that_starts_elsewhere_is_no_answer() {
    let index = big();
    index.misbehave(
        NAME,
        Fault::new().header("content-range", "bytes 11-20/1000003"),
    );
    let answer = upstream(index.url())
        .open(&index.at(NAME), Some(ByteRange::Between(10, 19)))
        .await;
    assert!(
        matches!(answer, Err(UpstreamError::Broken { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_missing_file_is_missing_and_a_refused_one_refused() {
    let index = big();
    let upstream = upstream(index.url());
    let missing = upstream
        .open(&index.at("/files/big/big-2.0.tar.gz"), None)
        .await;
    assert!(matches!(missing, Ok(FileAnswer::NotFound)), "{missing:?}");
    index.misbehave(NAME, Fault::new().status(403).body("ask the licence desk"));
    let error = upstream.open(&index.at(NAME), None).await.unwrap_err();
    insta::assert_snapshot!(error, @"root/pypi refused with 403: ask the licence desk");
}

#[tokio::test]
async fn a_login_page_is_not_the_file() {
    let index = big();
    let page = Fault::new()
        .status(200)
        .header("content-type", "text/html")
        .body("<title>Sign in</title>");
    index.misbehave(NAME, page);
    let Ok(FileAnswer::Found(mut file)) = upstream(index.url()).open(&index.at(NAME), None).await
    else {
        panic!("no file");
    };
    let chunk = file.chunk().await;
    assert!(
        matches!(chunk, Err(UpstreamError::Broken { .. })),
        "{chunk:?}"
    );
}

#[tokio::test]
async fn bytes_are_never_decoded_on_the_way() {
    let index = big();
    let upstream = upstream(index.url());
    // A server that states the archive's own compression as HTTP's.
    for encoding in ["gzip", "x-gzip"] {
        index.misbehave(NAME, Fault::new().header("content-encoding", encoding));
        let file = open(&upstream, &index.at(NAME), None).await;
        assert!(
            read(file).await.unwrap() == content().to_vec(),
            "{encoding}"
        );
    }
    // A server that compresses although it was asked not to.
    index.misbehave(NAME, Fault::new().encoding("br"));
    let answer = upstream.open(&index.at(NAME), None).await;
    assert!(
        matches!(answer, Err(UpstreamError::Broken { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn bytes_arrive_while_the_rest_is_still_held_back() {
    let index = big();
    let gate = index.gate(NAME, 1000);
    let mut file = open(&upstream(index.url()), &index.at(NAME), None).await;
    let mut received = 0;
    while received < 1000 {
        received += file.chunk().await.unwrap().unwrap().len();
    }
    gate.reached(1).await;
    assert_eq!(received, 1000);
    gate.release();
    while let Some(chunk) = file.chunk().await.unwrap() {
        received += chunk.len();
    }
    assert_eq!(received as u64, LENGTH);
}

#[tokio::test]
async fn a_cut_file_is_an_error_and_never_a_short_file() {
    let index = big();
    let upstream = upstream(index.url());
    for cut in [0, 1, 70_000, LENGTH - 1] {
        index.misbehave(NAME, Fault::new().cut_after(cut));
        // If nothing of the body was sent, the cut may already show at the head.
        let outcome = match upstream.open(&index.at(NAME), None).await {
            Ok(FileAnswer::Found(file)) => read(*file).await.map(|bytes| bytes.len()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        };
        assert!(
            matches!(outcome, Err(UpstreamError::Unavailable { .. })),
            "{cut}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_file_that_stops_or_drips_ends_in_a_timeout() {
    let index = big();
    let upstream = limited(index.url(), |limits| {
        limits.upstream_read_timeout = Duration::from_millis(400);
        limits.upstream_min_rate = 1 << 30;
        never_resting(limits);
    });
    // On a busy machine the head itself may arrive too late.
    let timed_out = async || {
        let outcome = match upstream.open(&index.at(NAME), None).await {
            Ok(FileAnswer::Found(file)) => read(*file).await.map(|bytes| bytes.len()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        };
        let is_timeout = matches!(outcome, Err(UpstreamError::Timeout { .. }));
        assert!(is_timeout, "{outcome:?}");
    };
    let gate = index.gate(NAME, 1000);
    timed_out().await;
    drop(gate);

    // So slow that even a reader that is held up for long still has to wait for most of it.
    index.misbehave(NAME, Fault::new().drip(2_000, Duration::from_millis(50)));
    timed_out().await;
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused_before_it_comes() {
    let index = big();
    let upstream = limited(index.url(), |limits| limits.file = LENGTH - 1);
    let answer = upstream.open(&index.at(NAME), None).await;
    assert!(
        matches!(answer, Err(UpstreamError::TooLarge { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn links_to_where_an_index_may_not_lead_are_not_followed() {
    let index = big();
    let upstream = upstream(index.url());
    for link in [
        "ftp://files.example/a-1.zip",
        "http://169.254.169.254/a-1.zip",
        "file:///etc/passwd",
    ] {
        let answer = upstream.open(&Url::parse(link).unwrap(), None).await;
        assert!(
            matches!(answer, Err(UpstreamError::Broken { .. })),
            "{link}: {answer:?}"
        );
    }
}
