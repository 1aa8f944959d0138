//! Laws between the files of this room: what is written can be read again, and both forms agree.

use std::sync::Arc;

use proptest::prelude::*;
use url::Url;

use crate::model::{
    AskedPart, CoreMetadata, File, Hashes, IndexName, Kind, ProjectState, ProjectStatus, Sha256,
    Timestamp, UploadTime, UploadTimeSource, Yanked,
};
use crate::page::digests::fragment_digest;
use crate::page::filter::{Decided, Ruling};
use crate::page::links::{FileLinks, PageForm};
use crate::page::merge::merge;
use crate::page::parse_html::parse_html;
use crate::page::parse_json::parse_json;
use crate::page::project_page::ProjectPage;
use crate::page::samples;
use crate::page::sniff::Markup;
use crate::page::stretch::PageWriter;

const PAGE: &str = "https://devpi.example/packages/stable/+simple/six/";

/// The links of the page at [`PAGE`].
pub(super) fn links() -> FileLinks {
    FileLinks::new(
        PageForm::Simple,
        &IndexName::parse("packages/stable").unwrap(),
    )
}

/// A page as it is, with nothing hidden, written in one stretch.
pub(super) fn written(page: ProjectPage, markup: Markup) -> Vec<u8> {
    let merged = merge(page.project.clone(), vec![(0, Arc::new(page))]);
    let entries: Vec<_> = merged.entries().collect();
    let list = &mut |_: &_| Decided {
        ruling: Ruling::List,
        next_change: None,
    };
    let writer = PageWriter::new(markup, links());
    let frame = writer.frame(&merged.heading());
    let stretch = writer.stretch(&entries, list, Timestamp::UNIX_EPOCH);
    let versions = writer.versions([&stretch].into_iter()).concat();
    [
        &frame.head,
        stretch.text(),
        &frame.middle,
        &versions,
        frame.tail,
    ]
    .concat()
}

/// A page with every fact there is, and every odd name.
pub(super) fn odd_page() -> ProjectPage {
    let mut page = samples::page(
        "six",
        &[
            "Six-2.0+l.1-py3-none-any.whl",
            "six-1.0.zip",
            "six-2004d.tar.bz2",
            "six-0.9-py2.7.egg",
        ],
    );
    page.serial = Some(42);
    page.status = ProjectStatus {
        state: ProjectState::Deprecated,
        reason: Some("use \"seven\" & <eight>".into()),
    };
    let [wheel, zip, legacy, _] = &mut page.files[..] else {
        panic!("four files");
    };
    wheel
        .hashes
        .insert("md5", "d41d8cd98f00b204e9800998ecf8427e")
        .unwrap();
    wheel.size = Some(48_211);
    wheel.upload_time = Some(UploadTime {
        at: "2026-05-04T10:11:12.5Z".parse().unwrap(),
        source: UploadTimeSource::Index,
    });
    wheel.requires_python = Some(">=3.8, <4".into());
    wheel.core_metadata = CoreMetadata::Hashed(Hashes::sha256_only(Sha256::of(b"metadata")));
    wheel.provenance = Some("https://upstream.example/p?a=1&b=2".into());
    wheel.gpg_sig = true;
    zip.yanked = Yanked::Yes(Some("it's <b>\"bad\"</b> & old".into()));
    zip.upload_time = Some(UploadTime {
        at: "2026-05-04T10:11:12Z".parse().unwrap(),
        source: UploadTimeSource::FirstSeen,
    });
    legacy.hashes = Hashes::default();
    legacy.yanked = Yanked::Yes(None);
    page
}

/// The page as a client of ours sees it: our links, and a sidecar for each wheel.
fn as_shown(page: &ProjectPage) -> ProjectPage {
    let mut shown = page.clone();
    let base = Url::parse(PAGE).unwrap();
    for file in &mut shown.files {
        let mut link = Vec::new();
        links().write(file, &mut link);
        let url = base.join(std::str::from_utf8(&link).unwrap()).unwrap();
        file.url = Some(url.as_str().into());
        let beside = || format!("{url}{}", AskedPart::Provenance.ending());
        file.provenance = file.provenance.as_ref().map(|_| beside().into());
        file.hashes = stated(&file.hashes);
        if let CoreMetadata::Hashed(hashes) = &mut file.core_metadata {
            *hashes = stated(hashes);
        }
        if file.filename.kind() == Kind::Wheel && file.core_metadata == CoreMetadata::Absent {
            file.core_metadata = CoreMetadata::Present;
        }
    }
    if shown.status.state == ProjectState::Quarantined && !shown.files.is_empty() {
        shown.status = ProjectStatus::default();
    }
    if shown.status.state == ProjectState::Active {
        shown.status = ProjectStatus::default();
    }
    // Versions without files are not listed.
    shown.versions.clear();
    shown
}

/// With a sha256, no other digest is stated.
fn stated(hashes: &Hashes) -> Hashes {
    hashes
        .sha256()
        .map_or_else(|| hashes.clone(), Hashes::sha256_only)
}

/// HTML has room for one digest.
fn with_one_digest(page: ProjectPage) -> ProjectPage {
    let one = |hashes: &Hashes| {
        let mut kept = Hashes::default();
        if let Some((algorithm, hex)) = fragment_digest(hashes) {
            kept.insert(algorithm, &hex).unwrap();
        }
        kept
    };
    let narrow = |file: File| File {
        hashes: one(&file.hashes),
        core_metadata: match &file.core_metadata {
            CoreMetadata::Hashed(hashes) => CoreMetadata::Hashed(one(hashes)),
            other => other.clone(),
        },
        ..file
    };
    ProjectPage {
        files: page.files.into_iter().map(narrow).collect(),
        ..page
    }
}

fn names(page: &ProjectPage) -> Vec<&str> {
    page.files
        .iter()
        .map(|file| file.filename.as_str())
        .collect()
}

proptest! {
    #[test]
    fn what_is_written_as_json_is_read_again(page in samples::any_page()) {
        let json = written(page.clone(), Markup::Json);
        let read = parse_json(&json, PAGE, &page.project).unwrap();
        prop_assert_eq!(read, as_shown(&page));
    }

    #[test]
    fn what_is_written_as_html_is_read_again(page in samples::any_page()) {
        let html = written(page.clone(), Markup::Html);
        let read = parse_html(&html, PAGE, &page.project).unwrap();
        prop_assert_eq!(read, with_one_digest(as_shown(&page)));
    }

    #[test]
    fn both_forms_list_the_same_files_in_the_same_order(page in samples::any_page()) {
        let json = written(page.clone(), Markup::Json);
        let html = written(page.clone(), Markup::Html);
        let json = parse_json(&json, PAGE, &page.project).unwrap();
        let html = parse_html(&html, PAGE, &page.project).unwrap();
        prop_assert_eq!(names(&json), names(&html));
        prop_assert_eq!(names(&json), names(&page));
    }

    #[test]
    fn json_never_holds_what_a_client_chokes_on(page in samples::any_page()) {
        let json = written(page, Markup::Json);
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        prop_assert!(!has_null_or_empty_text(&value));
        for file in value["files"].as_array().unwrap() {
            prop_assert!(file["hashes"].is_object());
        }
    }

    #[test]
    fn no_bytes_make_a_parser_fail_otherwise_than_by_an_error(
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            "[{}\\[\\]\":,a-z<>/=&#;! 0-9-]{0,80}".prop_map(String::into_bytes),
            "(<a href=[\"']?[a-z0-9.#=&;%-]{0,12}[\"']? ?>?){0,4}".prop_map(String::into_bytes),
        ],
    ) {
        let project = crate::model::ProjectName::parse("six").unwrap();
        let pages = [parse_json(&body, PAGE, &project), parse_html(&body, PAGE, &project)];
        for page in pages.into_iter().flatten() {
            prop_assert!(page.files.iter().all(|file| *file.filename.project() == project));
        }
    }
}

fn has_null_or_empty_text(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => true,
        serde_json::Value::String(text) => text.is_empty(),
        serde_json::Value::Array(items) => items.iter().any(has_null_or_empty_text),
        serde_json::Value::Object(entries) => entries.values().any(has_null_or_empty_text),
        serde_json::Value::Bool(_) | serde_json::Value::Number(_) => false,
    }
}
