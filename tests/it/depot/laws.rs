//! What the depot does, by a real S3 server.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::time::Duration;

use bytes::Bytes;
use cheesecloth::testing::depot::{Deposited, Depot, DepotError, DepotKey};
use cheesecloth::testing::model::{BucketCredentials, BucketPlace, Secret, Sha256};
use cheesecloth::testing::telemetry::Metrics;
use futures_util::TryStreamExt as _;
use prometheus::Registry;

use super::KEY;
use crate::support::S3;

fn place(s3: &S3, bucket: &str) -> BucketPlace {
    let key = KEY.map(|(name, value)| (name.to_owned(), Secret::new(value)));
    BucketPlace {
        bucket: bucket.to_owned(),
        endpoint: Some(s3.endpoint().parse().unwrap()),
        region: "us-east-1".to_owned(),
        prefix: "laws".to_owned(),
        credentials: BucketCredentials::Environment(key.to_vec()),
    }
}

fn depot(place: &BucketPlace) -> Depot {
    let metrics = Metrics::register(Registry::new(), "0").unwrap();
    Depot::open(place, Duration::ZERO, metrics.depot()).unwrap()
}

fn file(content: &[u8]) -> (Sha256, File, u64) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file.rewind().unwrap();
    (Sha256::of(content), file, content.len() as u64)
}

async fn content(depot: &Depot, digest: Sha256) -> Option<Vec<u8>> {
    let mut object = depot.get(DepotKey::File(digest)).await.unwrap()?;
    let mut bytes = Vec::new();
    while let Some(piece) = object.next().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(object.size, bytes.len() as u64);
    Some(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_is_there_whole_once_and_until_it_is_removed() {
    let s3 = S3::start();
    let depot = depot(&place(&s3, "wheels"));
    // As a whole, and in parts.
    for bytes in [b"wheel".to_vec(), vec![7; (20 << 20) + 1]] {
        let (digest, sent, length) = file(&bytes);
        let key = DepotKey::File(digest);
        assert_eq!(depot.head(key).await.unwrap(), None);
        assert!(!depot.verify(digest).await.unwrap());
        let put = |file: &File| depot.put_file(digest, file.try_clone().unwrap(), length);
        assert_eq!(put(&sent).await.unwrap(), Deposited::Created);
        assert_eq!(put(&sent).await.unwrap(), Deposited::Present);
        assert_eq!(depot.head(key).await.unwrap(), Some(length));
        assert_eq!(content(&depot, digest).await.unwrap(), bytes);
        assert!(depot.verify(digest).await.unwrap());
        let listed: Vec<_> = depot.list().try_collect().await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].key, listed[0].size), (key, length));
        depot.remove(key).await.unwrap();
        depot.remove(key).await.unwrap();
        assert_eq!(content(&depot, digest).await, None);
    }
    assert!(s3.objects().is_empty(), "{:?}", s3.objects());
    let wheel = Sha256::of(b"wheel");
    let metadata = |most| depot.metadata(wheel, most);
    assert_eq!(metadata(100).await.unwrap(), None);
    let text = Bytes::from_static(b"Name: six");
    depot.put_metadata(wheel, text.clone()).await.unwrap();
    assert_eq!(metadata(100).await.unwrap(), Some(text));
    assert_eq!(metadata(3).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_damaged_here_does_not_get_there() {
    let s3 = S3::start();
    let depot = depot(&place(&s3, "wheels"));
    for bytes in [b"wheel".to_vec(), vec![7; (20 << 20) + 1]] {
        let (_, sent, length) = file(&bytes);
        let put = depot.put_file(Sha256::of(b"whale"), sent, length).await;
        assert!(matches!(put, Err(DepotError::Source { .. })), "{put:?}");
    }
    assert!(s3.objects().is_empty(), "{:?}", s3.objects());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_what_its_key_says_is_found_and_replaced() {
    let s3 = S3::start();
    let depot = depot(&place(&s3, "wheels"));
    let (digest, sent, length) = file(b"wheel");
    let put = |file: &File| depot.put_file(digest, file.try_clone().unwrap(), length);
    put(&sent).await.unwrap();
    let key = s3.deposited().pop().unwrap();
    assert_eq!(key, format!("laws/p/{}/{digest}", &digest.to_hex()[..2]));
    // Of the same length or another, as a whole or in parts.
    for damaged in [b"whale".to_vec(), b"half".to_vec()] {
        s3.put(&key, &damaged);
        let told = depot.verify(digest).await.unwrap_err();
        assert!(matches!(told, DepotError::Wrong { .. }), "{told}");
        assert_eq!(put(&sent).await.unwrap(), Deposited::Created);
        assert_eq!(content(&depot, digest).await.unwrap(), b"wheel");
    }
    assert_eq!(put(&sent).await.unwrap(), Deposited::Present);
    let mut large = vec![7; (20 << 20) + 1];
    let (digest, sent, length) = file(&large);
    let put = |file: &File| depot.put_file(digest, file.try_clone().unwrap(), length);
    put(&sent).await.unwrap();
    large[9] ^= 1;
    s3.put(
        &format!("laws/p/{}/{digest}", &digest.to_hex()[..2]),
        &large,
    );
    assert_eq!(put(&sent).await.unwrap(), Deposited::Created);
    assert!(depot.verify(digest).await.unwrap());
    assert_eq!(put(&sent).await.unwrap(), Deposited::Present);
    depot.remove(DepotKey::File(digest)).await.unwrap();
    for strange in ["laws/p/readme", "laws/p/00/not-a-digest", "others/p/x"] {
        s3.put(strange, b"x");
    }
    let listed: Vec<_> = depot.list().try_collect().await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_put_the_same_at_one_time_leave_it_whole() {
    let s3 = S3::start();
    let depot = depot(&place(&s3, "wheels"));
    let puts = (0..16).map(|_| {
        let (digest, sent, length) = file(b"wheel");
        depot.put_file(digest, sent, length)
    });
    let put = futures_util::future::try_join_all(puts).await.unwrap();
    let created = put.iter().filter(|put| **put == Deposited::Created);
    assert_eq!(created.count(), 1, "{put:?}");
    assert!(depot.verify(Sha256::of(b"wheel")).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_cannot_hold_files_is_told_in_words() {
    let s3 = S3::start();
    depot(&place(&s3, "wheels")).try_out().await.unwrap();
    let told = depot(&place(&s3, "nowhere")).try_out().await.unwrap_err();
    assert!(matches!(told, DepotError::Unfit { .. }), "{told}");
    assert!(
        told.to_string().contains("there is no such bucket"),
        "{told}"
    );
    // What answers 404 to everything is no S3 server that has lost everything.
    let mut none = place(&s3, "wheels");
    none.endpoint = Some(format!("{}/+none/", s3.endpoint()).parse().unwrap());
    let got = depot(&none).get(DepotKey::File(Sha256::of(b"wheel"))).await;
    assert!(
        matches!(got, Err(DepotError::Unavailable { .. })),
        "{got:?}"
    );
    s3.cut();
    let told = depot(&place(&s3, "wheels")).try_out().await.unwrap_err();
    assert!(matches!(told, DepotError::Unavailable { .. }), "{told}");
    assert!(s3.objects().is_empty(), "{:?}", s3.objects());
    let blind = S3::without_conditions();
    let told = depot(&place(&blind, "wheels")).try_out().await.unwrap_err();
    assert!(matches!(told, DepotError::Unfit { .. }), "{told}");
    assert!(told.to_string().contains("If-None-Match"), "{told}");
    assert!(blind.objects().is_empty(), "{:?}", blind.objects());
    // Nor is anything written to it without a trial.
    let (digest, sent, length) = file(b"wheel");
    let depot = depot(&place(&blind, "wheels"));
    depot.put_file(digest, sent, length).await.unwrap_err();
    assert!(blind.objects().is_empty(), "{:?}", blind.objects());
}
