//! Zips as they are sent, damaged, and made to do harm.

use std::io::{Cursor, Write as _};
use std::path::Path;

use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use crate::advisory::zipped::*;
use crate::advisory::{Advisories, read_feed};

fn document(id: &str) -> String {
    format!(
        r#"{{"id": "{id}", "affected": [{{"package": {{"ecosystem": "PyPI", "name": "six"}}, "versions": ["1"]}}]}}"#
    )
}

fn zip_of(documents: &[(&str, String)], method: CompressionMethod) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, text) in documents {
        zip.start_file(*name, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn read(bytes: &[u8], limits: &FeedLimits) -> Result<Advisories, InvalidFeed> {
    let length = bytes.len() as u64;
    read_feed(Cursor::new(bytes), length, Path::new("all.zip"), limits)
}

#[test]
fn each_original_can_be_read_again_from_its_place() {
    let documents = [
        ("MAL-1.json", document("MAL-1")),
        ("readme.txt", "no advisory".to_owned()),
        ("MAL-2.JSON", document("MAL-2")),
    ];
    for method in [CompressionMethod::Deflated, CompressionMethod::Stored] {
        let bytes = zip_of(&documents, method);
        let advisories = read(&bytes, &FeedLimits::default()).unwrap();
        assert_eq!(advisories.len(), 2);
        for id in ["MAL-1", "MAL-2"] {
            let (path, place) = advisories.original(id).unwrap();
            assert_eq!(path, Path::new("all.zip"));
            let text = unpack_at(Cursor::new(&bytes), place).unwrap();
            assert_eq!(String::from_utf8(text).unwrap(), document(id));
        }
    }
}

#[test]
fn more_entries_than_sixteen_bits_count_are_read() {
    let empty = document("MAL-1");
    let names: Vec<String> = (0..70_000).map(|number| format!("{number}.json")).collect();
    let documents: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), empty.clone()))
        .collect();
    let bytes = zip_of(&documents, CompressionMethod::Stored);
    assert_eq!(read(&bytes, &FeedLimits::default()).unwrap().len(), 70_000);
}

#[test]
fn no_cut_and_no_changed_byte_is_taken_for_the_whole() {
    let documents = [
        ("MAL-1.json", document("MAL-1")),
        ("MAL-2.json", document("MAL-2")),
    ];
    let bytes = zip_of(&documents, CompressionMethod::Deflated);
    let whole = read(&bytes, &FeedLimits::default()).unwrap().len();
    assert_eq!(whole, 2);
    for length in 0..bytes.len() {
        assert!(
            read(&bytes[..length], &FeedLimits::default()).is_err(),
            "{length}"
        );
    }
    for position in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 0x55;
        // Times and comments mean nothing; whatever else is read must be whole.
        if let Ok(advisories) = read(&changed, &FeedLimits::default()) {
            assert!(advisories.len() <= 2, "{position}");
            assert!(
                advisories.original("MAL-1").is_some() || advisories.original("MAL-2").is_some()
            );
        }
    }
}

#[test]
fn each_limit_is_named_when_it_is_reached() {
    let long = format!("{}{}", document("MAL-1"), " ".repeat(4 << 20));
    let bomb = zip_of(&[("MAL-1.json", long)], CompressionMethod::Deflated);
    let two = [
        ("MAL-1.json", document("MAL-1")),
        ("MAL-2.json", document("MAL-2")),
    ];
    let two = zip_of(&two, CompressionMethod::Deflated);
    let limits = FeedLimits::default;
    let json = document("MAL-1").into_bytes();
    let table: [(&[u8], FeedLimits, &str); 5] = [
        (&bomb, limits(), "feed_ratio"),
        (
            &bomb,
            FeedLimits {
                feed_document: 1 << 20,
                ..limits()
            },
            "feed_document",
        ),
        (
            &two,
            FeedLimits {
                feed_entries: 1,
                ..limits()
            },
            "feed_entries",
        ),
        (
            &two,
            FeedLimits {
                feed_unpacked: 150,
                ..limits()
            },
            "feed_unpacked",
        ),
        (
            &json,
            FeedLimits {
                feed_json: 10,
                ..limits()
            },
            "feed_json",
        ),
    ];
    for (bytes, limits, limit) in table {
        let words = read(bytes, &limits).unwrap_err().to_string();
        assert!(
            words.contains(&format!("limits.{limit}")),
            "{limit}: {words}"
        );
    }
}

#[test]
fn one_document_that_cannot_be_read_makes_the_whole_of_no_use() {
    let documents = [
        ("MAL-1.json", document("MAL-1")),
        ("MAL-2.json", "{".to_owned()),
    ];
    let bytes = zip_of(&documents, CompressionMethod::Deflated);
    let words = read(&bytes, &FeedLimits::default())
        .unwrap_err()
        .to_string();
    assert!(
        words.starts_with("MAL-2.json in it is not an OSV document"),
        "{words}"
    );
    let none = [("1.json", r#"{"id": "1"}"#.to_owned())];
    let none = zip_of(&none, CompressionMethod::Deflated);
    for (bytes, words) in [
        (&none[..], "it holds no advisory about Python"),
        (b"", "neither a zip nor"),
        (b"<html>", "neither a zip nor"),
        (b"{}", "not an OSV document"),
        (b"[]", "it holds no advisory about Python"),
    ] {
        let told = read(bytes, &FeedLimits::default()).unwrap_err().to_string();
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(
        read(document("MAL-1").as_bytes(), &FeedLimits::default())
            .unwrap()
            .len(),
        1
    );
}
