//! `METADATA` out of a wheel, by ranges.

use cheesecloth::testing::model::Filename;
use cheesecloth::testing::upstream::{InvalidWheel, WheelAnswer};

use super::{project, upstream};
use crate::support::{Content, FakeIndex, Fault, Listed, Project, Setup, Wheel};

const PATH: &str = "/files/big/big-1.0-py3-none-any.whl";

fn filename() -> Filename {
    Filename::parse("big-1.0-py3-none-any.whl", &project("big")).unwrap()
}

fn holding(content: Vec<u8>) -> FakeIndex {
    let file = Listed::new(
        "big-1.0-py3-none-any.whl",
        "1.0",
        Content::Bytes(content.into()),
    );
    Setup::default()
        .project(Project::new("big").file(file))
        .start()
}

async fn metadata(index: &FakeIndex) -> WheelAnswer<bytes::Bytes> {
    let answer = upstream(index.url())
        .wheel_metadata(&index.at(PATH), &filename())
        .await;
    answer.unwrap()
}

/// How many bytes were requested from the index.
fn asked_bytes(index: &FakeIndex) -> u64 {
    let bytes_of = |range: &str| {
        let (first, last) = range
            .strip_prefix("bytes=")
            .unwrap()
            .split_once('-')
            .unwrap();
        let number = |text: &str| text.parse::<u64>().unwrap();
        if first.is_empty() {
            number(last)
        } else {
            number(last) - number(first) + 1
        }
    };
    let seen = index.journal().all(PATH);
    seen.iter().map(|seen| bytes_of(seen.header("range"))).sum()
}

#[tokio::test]
async fn metadata_of_a_big_wheel_costs_a_small_part_of_it() {
    let wheel = Wheel::new("big", "1.0").data(5 << 20).requires("six");
    let index = holding(wheel.build());
    assert_eq!(
        metadata(&index).await,
        WheelAnswer::Found(wheel.metadata().into())
    );
    assert_eq!(index.journal().count(PATH), 1);
    assert!(asked_bytes(&index) < 100_000, "{}", asked_bytes(&index));

    let long = "word ".repeat(4000) + &String::from_utf8_lossy(&Content::noise(1, 60_000).to_vec());
    let wheel = wheel.description(&long);
    let index = holding(wheel.build());
    assert_eq!(
        metadata(&index).await,
        WheelAnswer::Found(wheel.metadata().into())
    );
    assert!(asked_bytes(&index) < 400_000, "{}", asked_bytes(&index));
}

#[tokio::test]
async fn without_ranges_the_whole_wheel_is_needed() {
    let index = holding(Wheel::new("big", "1.0").data(1 << 20).build());
    index.change(Setup::without_ranges);
    assert_eq!(metadata(&index).await, WheelAnswer::NeedWhole);
    for status in [400, 403, 405, 412, 416, 500, 501] {
        index.misbehave(PATH, Fault::new().status(status));
        assert_eq!(metadata(&index).await, WheelAnswer::NeedWhole, "{status}");
    }
}

#[tokio::test]
async fn a_range_that_upstream_misreads_leads_to_the_whole_wheel() {
    let wheel = Wheel::new("big", "1.0").data(1 << 20);
    let index = holding(wheel.build());
    let size = wheel.build().len();
    for told in [
        format!("bytes 0-32767/{size}"),
        format!("bytes 32768-{}/{size}", size - 1),
        format!("bytes {}-{}/*", size - 32768, size - 1),
        format!("items 0-1/{size}"),
        String::new(),
    ] {
        index.misbehave(PATH, Fault::new().header("content-range", &told));
        assert_eq!(metadata(&index).await, WheelAnswer::NeedWhole, "{told}");
    }
}

#[tokio::test]
async fn an_upstream_that_is_down_is_not_asked_for_the_whole_wheel_too() {
    let mut index = holding(Wheel::new("big", "1.0").build());
    let asked = async |index: &FakeIndex| {
        let upstream = upstream(index.url());
        upstream.wheel_metadata(&index.at(PATH), &filename()).await
    };
    for status in [429, 502, 503, 504] {
        index.misbehave(PATH, Fault::new().status(status));
        assert!(asked(&index).await.is_err(), "{status}");
    }
    index.stop();
    assert!(asked(&index).await.is_err());
}

#[tokio::test]
async fn a_wheel_that_changes_between_two_ranges_is_not_spliced() {
    let description = String::from_utf8_lossy(&Content::noise(1, 60_000).to_vec()).into_owned();
    let wheel = Wheel::new("big", "1.0").description(&description);
    let index = holding(wheel.build());
    index.misbehave(PATH, Fault::new().header("etag", "\"before\"").times(1));
    assert_eq!(metadata(&index).await, WheelAnswer::NeedWhole);
    assert_eq!(index.journal().count(PATH), 2);
}

#[tokio::test]
async fn a_missing_wheel_is_missing_and_a_bad_one_is_bad() {
    let index = holding(b"this is no archive".to_vec());
    let answer = metadata(&index).await;
    assert!(
        matches!(answer, WheelAnswer::Invalid(InvalidWheel::Archive(_))),
        "{answer:?}"
    );
    let index = holding(Wheel::new("other", "1.0").build());
    let answer = metadata(&index).await;
    assert!(
        matches!(answer, WheelAnswer::Invalid(InvalidWheel::Project { .. })),
        "{answer:?}"
    );
    index.change(|_| Setup::default());
    assert_eq!(metadata(&index).await, WheelAnswer::NotFound);
}
