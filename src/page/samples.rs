//! Pages for the tests of this room: plain ones by file names, and any that a source could send.

use std::sync::Arc;

use proptest::prelude::*;

use crate::model::{
    CoreMetadata, File, Filename, Hashes, ProjectName, ProjectState, ProjectStatus, Sha256,
    Timestamp, UploadTime, UploadTimeSource, Yanked,
};
use crate::page::project_page::{PageBuilder, ProjectPage};

/// A page with these files; the sha256 of each is that of its name.
pub(super) fn page(project: &str, names: &[&str]) -> ProjectPage {
    let project = ProjectName::parse(project).unwrap();
    let mut page = ProjectPage::empty(project.clone());
    page.files = names
        .iter()
        .map(|name| File {
            hashes: Hashes::sha256_only(Sha256::of(name.as_bytes())),
            url: Some(format!("https://files.example/f/{name}").into()),
            ..File::named(Filename::parse(name, &project).unwrap())
        })
        .collect();
    page
}

/// Any file of a project whose name needs no normalising.
pub(super) fn any_file(project: &'static str) -> impl Strategy<Value = File> {
    let facts = (
        any_hashes(),
        prop::option::of(any::<u64>()),
        prop::option::of(any_upload_time()),
        prop::option::of(any_text()),
        prop_oneof![
            Just(Yanked::No),
            prop::option::of(any_text()).prop_map(Yanked::Yes)
        ],
        any_core_metadata(),
        prop::option::of("[a-z0-9]{1,8}"),
        any::<bool>(),
    );
    (any_filename(project), "[a-z]{1,4}(/[a-z %&]{1,3}){0,2}", facts).prop_map(
        move |(filename, directory, facts)| {
            let (hashes, size, upload_time, requires_python, yanked, metadata, provenance, gpg_sig) = facts;
            let mut url = url::Url::parse("https://files.example/").unwrap();
            url.set_path(&format!("{directory}/x"));
            File {
                url: Some(url.as_str().into()),
                hashes,
                size,
                upload_time,
                requires_python,
                yanked,
                core_metadata: metadata,
                provenance: provenance.map(|id| format!("https://upstream.example/{id}").into()),
                gpg_sig,
                ..File::named(filename)
            }
        },
    )
}

/// Any page of the project `six` that a parser could have made.
pub(super) fn any_page() -> impl Strategy<Value = ProjectPage> {
    let status = (
        prop::sample::select(&ProjectState::ALL[..]),
        prop::option::of(any_text()),
    )
        .prop_map(|(state, reason)| ProjectStatus { state, reason });
    let files = prop::collection::vec(any_file("six"), 0..8);
    let versions = prop::collection::vec("[0-9]\\.[0-9]|200[0-9][a-z]", 0..3);
    (status, files, versions, prop::option::of(any::<u64>())).prop_map(
        |(status, files, versions, serial)| {
            let mut builder = PageBuilder::within(usize::MAX, &ProjectName::parse("six").unwrap());
            builder.status(status);
            builder.serial(serial);
            for file in files {
                builder.file(file).unwrap();
            }
            for version in versions {
                builder.version(&version).unwrap();
            }
            builder.finish()
        },
    )
}

fn any_filename(project: &'static str) -> impl Strategy<Value = Filename> {
    let version = "[0-9]{1,2}(\\.[0-9]){0,2}(d|rc1|\\+l\\.1|!2| %41|[&'\"<>#?]|é)?";
    let ending = prop::sample::select(vec![
        "-py3-none-any.whl",
        ".tar.gz",
        ".zip",
        "-py2.7.egg",
        ".exe",
    ]);
    (version, ending).prop_map(move |(version, ending)| {
        let project = ProjectName::parse(project).unwrap();
        Filename::parse(&format!("{project}-{version}{ending}"), &project).unwrap()
    })
}

fn any_hashes() -> impl Strategy<Value = Hashes> {
    let sha256 = prop::option::of(any::<[u8; 32]>());
    (
        sha256,
        prop::option::of("[0-9a-f]{32}"),
        prop::option::of("[0-9a-f]{128}"),
    )
        .prop_map(|(sha256, md5, sha512)| {
            let sha256 = sha256.map(|bytes| Sha256::from_bytes(bytes).to_hex());
            let mut hashes = Hashes::default();
            for (name, hex) in [("sha256", sha256), ("md5", md5), ("sha512", sha512)] {
                if let Some(hex) = hex {
                    hashes.insert(name, &hex).unwrap();
                }
            }
            hashes
        })
}

fn any_core_metadata() -> impl Strategy<Value = CoreMetadata> {
    let hashed = |hashes: Hashes| {
        if hashes.is_empty() {
            CoreMetadata::Present
        } else {
            CoreMetadata::Hashed(hashes)
        }
    };
    prop_oneof![Just(CoreMetadata::Absent), any_hashes().prop_map(hashed)]
}

fn any_upload_time() -> impl Strategy<Value = UploadTime> {
    (1..4_000_000_000_000_000_i64, any::<bool>()).prop_map(|(micros, is_first_seen)| UploadTime {
        at: Timestamp::from_microsecond(micros).unwrap(),
        source: if is_first_seen {
            UploadTimeSource::FirstSeen
        } else {
            UploadTimeSource::Index
        },
    })
}

/// A text as pages carry it: no control characters, no space around, else whatever hurts.
fn any_text() -> impl Strategy<Value = Arc<str>> {
    "[!-~é😀]([ -~é\u{2028}😀]{0,10}[!-~é😀])?".prop_map(Arc::from)
}
