//! The law of the house: a file is served exactly when its page lists it as allowed.
//!
//! It is checked on random stacks of stages and mirrors, random policies and random pages, through
//! the flows as the public door calls them. A second gateway with the same content and no rules
//! tells what is blocked from what does not exist: what is blocked is refused with a reason and
//! never "not found".
//!
//! devpi's JSON objects obey it as well: they link to what is served and to nothing that is
//! refused. So do indexes that are kept off the public door: nothing of them is served there, at
//! the management door the same law holds, and so it does for what inherits from them.

mod devpi;
mod policies;
mod replay;
mod shown;
mod vanishing;

use std::cell::Cell;
use std::collections::BTreeMap;

use bytes::Bytes;
use cheesecloth::testing::clock::Clock;
use cheesecloth::testing::db::{FileFacts, FileRole};
use cheesecloth::testing::gateway::mirror_metadata_key;
use cheesecloth::testing::model::{
    CoreMetadata, File, Filename, Hashes, IndexName, ProjectName, ProjectState, Sha256, Timestamp,
    UploadTime, UploadTimeSource, Yanked,
};
use cheesecloth::testing::page::{ProjectPage, file_path};
use cheesecloth::testing::store::Key;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::TestRunner;

use super::support::{House, Larder, Wheel};
use policies::{HIDDEN, Written, written};
use shown::{HTML, JSON, Through, links};

const NOW: &str = "2026-01-05T00:00:00Z";
const STAGES: [&str; 3] = ["s/top", "s/middle", "s/low"];
const MIRRORS: [&str; 2] = ["m/one", "m/two"];
const PROJECTS: [&str; 2] = ["six", "acme-x"];

/// How file names end.
const ENDINGS: [&str; 6] = [
    "-1.0.tar.gz",
    "-2004d.tar.gz",
    "-1.0_final_2-py2.7.egg",
    "-2.5.tar.gz",
    "-2.5-py3-none-any.whl",
    "-3.0-cp313-cp313-linux_x86_64.whl",
];

/// A file and all that is known of it, apart from its index and project.
#[derive(Debug, Clone)]
struct Known {
    ending: &'static str,
    uploaded: Option<&'static str>,
    has_size: bool,
    is_yanked: bool,
    has_provenance: bool,
}

/// What an index holds of a project.
#[derive(Debug, Clone)]
struct Holding {
    files: Vec<Known>,
    is_archived: bool,
}

fn known(ending: &'static str) -> impl Strategy<Value = Known> {
    let uploaded = select(vec![
        None,
        Some("2025-12-01T00:00:00Z"),
        Some("2026-01-01T00:00:00Z"),
    ]);
    (
        uploaded,
        any::<bool>(),
        prop::bool::weighted(0.2),
        any::<bool>(),
    )
        .prop_map(
            move |(uploaded, has_size, is_yanked, has_provenance)| Known {
                ending,
                uploaded,
                has_size,
                is_yanked,
                has_provenance,
            },
        )
}

fn holding() -> impl Strategy<Value = Option<Holding>> {
    let files = subsequence(ENDINGS.to_vec(), 0..=3)
        .prop_flat_map(|endings| endings.into_iter().map(known).collect::<Vec<_>>());
    let holding = (files, prop::bool::weighted(0.3))
        .prop_map(|(files, is_archived)| Holding { files, is_archived });
    prop::option::weighted(0.7, holding)
}

type Content = BTreeMap<(&'static str, &'static str), Option<Holding>>;

fn content() -> impl Strategy<Value = Content> {
    let places: Vec<_> = STAGES
        .iter()
        .chain(&MIRRORS)
        .flat_map(|index| PROJECTS.map(|project| (*index, project)))
        .collect();
    let holdings = prop::collection::vec(holding(), places.len());
    holdings.prop_map(move |holdings| places.iter().copied().zip(holdings).collect())
}

fn index(name: &str) -> IndexName {
    IndexName::parse(name).unwrap()
}

fn project(name: &str) -> ProjectName {
    ProjectName::parse(name).unwrap()
}

/// Content that differs from every other index's file of this name.
/// Wheels are real: what stands inside them is read.
fn bytes_of(index: &str, filename: &str) -> Bytes {
    let text = format!("{filename} of {index}");
    let mut parts = filename.split('-');
    let (Some(name), Some(version), true) =
        (parts.next(), parts.next(), filename.ends_with(".whl"))
    else {
        return text.into();
    };
    let wheel = Wheel::new(name, version).description(&text);
    let wheel = match license_of(index, filename) {
        Some(license) => wheel.license(license),
        None => wheel,
    };
    wheel.build().into()
}

/// The licence that a file states: only wheels here are archives of a kind that has metadata.
fn license_of(index: &str, filename: &str) -> Option<&'static str> {
    let place = format!("{filename} of {index}");
    let number = Sha256::of(place.as_bytes()).as_bytes()[0] % 3;
    let stated = [Some("MIT"), Some("GPL-3.0-only"), None][usize::from(number)];
    stated.filter(|_| filename.ends_with(".whl"))
}

/// Core metadata of a wheel, with a licence or without.
fn metadata_of(index: &str, filename: &str) -> Bytes {
    let license = license_of(index, filename);
    let license = license.map(|license| format!("License-Expression: {license}\n"));
    let license = license.unwrap_or_default();
    let (name, _) = filename.split_once('-').unwrap();
    let head = format!("Metadata-Version: 2.4\nName: {name}\nVersion: 1\n{license}");
    format!("{head}\n{filename} of {index}\n").into()
}

/// The file as its index's page lists it.
fn listed(at: &str, name: &str, known: &Known) -> File {
    let filename = format!("{}{}", name.replace('-', "_"), known.ending);
    let bytes = bytes_of(at, &filename);
    let mut file = File::named(Filename::parse(&filename, &project(name)).unwrap());
    file.url = Some(format!("https://files.example/{at}/{filename}").into());
    file.hashes = Hashes::sha256_only(Sha256::of(&bytes));
    file.size = known.has_size.then_some(bytes.len() as u64);
    file.upload_time = known.uploaded.map(|instant| UploadTime {
        at: instant.parse().unwrap(),
        source: UploadTimeSource::Index,
    });
    if known.is_yanked {
        file.yanked = Yanked::Yes(Some("broken".into()));
    }
    if known.has_provenance {
        file.provenance = Some("https://files.example/provenance".into());
    }
    if known.ending.ends_with(".whl") {
        let metadata = metadata_of(at, &filename);
        file.core_metadata = CoreMetadata::Hashed(Hashes::sha256_only(Sha256::of(&metadata)));
    }
    file
}

fn facts(at: &str, file: &File) -> FileFacts {
    let bytes = bytes_of(at, file.filename.as_str());
    let metadata = match &file.core_metadata {
        CoreMetadata::Hashed(hashes) => hashes.sha256(),
        CoreMetadata::Absent | CoreMetadata::Present | CoreMetadata::Unobtainable => None,
    };
    let first_day = Timestamp::UNIX_EPOCH;
    FileFacts {
        filename: file.filename.to_string(),
        role: FileRole::ReleaseFile,
        sha256: Sha256::of(&bytes),
        size: bytes.len() as u64,
        md5: None,
        blake2b_256: None,
        uploaded_at: file.upload_time.map_or(first_day, |time| time.at),
        uploader: None,
        requires_python: None,
        metadata_sha256: metadata,
        yanked: file.yanked.clone(),
        log: Vec::new(),
    }
}

/// Puts the content where the flows look for it; the bytes are already there.
async fn fill(house: &House, content: &Content) {
    for ((at, name), holding) in content {
        let known = holding.iter().flat_map(|holding| &holding.files);
        let files: Vec<File> = known.map(|known| listed(at, name, known)).collect();
        if MIRRORS.contains(at) {
            // Offline, nothing is known of a project without a copy, so absence needs an empty
            // page.
            let mut page = ProjectPage::empty(project(name));
            page.files = files;
            if holding.as_ref().is_some_and(|holding| holding.is_archived) {
                page.status.state = ProjectState::Archived;
            }
            house.keep_page(&index(at), &page);
        } else if holding.is_some() {
            let facts = files.iter().map(|file| facts(at, file)).collect();
            house.publish(&index(at), &project(name), facts).await;
        }
    }
}

/// Stores the bytes and metadata of every file that any index may hold.
fn stock(larder: &Larder) {
    for at in STAGES.iter().chain(&MIRRORS) {
        for filename in PROJECTS.iter().flat_map(|name| {
            let stem = name.replace('-', "_");
            ENDINGS.map(|ending| format!("{stem}{ending}"))
        }) {
            let bytes = bytes_of(at, &filename);
            let digest = Sha256::of(&bytes);
            let (of_file, of_metadata) = if MIRRORS.contains(at) {
                let mirror = IndexName::parse(at).unwrap();
                (
                    Key::MirrorFile(digest),
                    mirror_metadata_key(&mirror, &digest),
                )
            } else {
                (Key::PrivateFile(digest), Key::PrivateMetadata(digest))
            };
            larder.keep(&of_file, &bytes);
            larder.keep(&of_metadata, &metadata_of(at, &filename));
        }
    }
}

/// Every file that an index holds, with its bytes, and its metadata if it is a wheel.
fn everything(content: &Content) -> Vec<Held> {
    let mut all = Vec::new();
    for ((at, name), holding) in content {
        for known in holding.iter().flat_map(|holding| &holding.files) {
            let file = listed(at, name, known);
            let filename = file.filename.as_str();
            let is_wheel = filename.ends_with(".whl");
            let metadata = is_wheel.then(|| metadata_of(at, filename));
            all.push((*name, file_path(&file), bytes_of(at, filename), metadata));
        }
    }
    all
}

/// A project's file: its path, bytes and metadata.
type Held = (&'static str, String, Bytes, Option<Bytes>);

/// One project of one index.
struct Case<'a> {
    asked: &'a str,
    name: &'a str,
    /// Names the case in failure messages.
    at: String,
}

/// Whether a rule asks what stands inside files. A page knows that once somebody has asked for the file.
fn asks_inside(yaml: &str) -> bool {
    yaml.contains("license:") || yaml.contains("startup_files:")
}

/// Checks the law for one project of one index, as one door shows it.
async fn hold_to_the_law(ruled: Through<'_>, free: Through<'_>, case: &Case<'_>, held: &[Held]) {
    let Case { asked, name, at } = case;
    if asks_inside(at) {
        for (_, path, ..) in held.iter().filter(|(project, ..)| project == name) {
            ruled.get(&format!("/{asked}/{path}"), &[]).await;
        }
    }
    let (json, shown) = ruled.page(asked, name, JSON).await;
    let (html, shown_as_html) = ruled.page(asked, name, HTML).await;
    assert_eq!(json.status, html.status, "{at}");
    assert_eq!(shown, shown_as_html, "{at}");
    let (open, all) = free.page(asked, name, JSON).await;
    match (json.status, open.status) {
        (200, 200) | (404, 404) | (451, 200 | 404) => {}
        (here, there) => panic!("{here}, and {there} without rules: {at}"),
    }
    let mut allowed = Vec::new();
    for (_, path, bytes, metadata) in held.iter().filter(|(project, ..)| project == name) {
        let is_allowed = shown
            .get(path)
            .is_some_and(|yanked| yanked.as_ref().is_none_or(|why| why == "broken"));
        let url = format!("/{asked}/{path}");
        let got = ruled.get(&url, &[]).await;
        let is_served = got.status == 200;
        assert_eq!(is_served, is_allowed, "{} for {path} of {at}", got.status);
        if is_served {
            assert_eq!(got.body, *bytes);
            allowed.push(path);
        } else if all.contains_key(path) || json.status == 451 {
            assert_eq!(got.status, 403, "{path} of {at}");
        }
        let Some(metadata) = metadata else { continue };
        let sidecar = ruled.get(&format!("{url}.metadata"), &[]).await;
        assert_eq!(sidecar.status, got.status, "sidecar of {path} of {at}");
        if is_served {
            assert_eq!(sidecar.body, *metadata);
        }
    }
    let (object, versions) = ruled.object(asked, name).await;
    assert_eq!(
        object.status,
        json.status,
        "the object of {at}: {}",
        object.text()
    );
    let links = links(&versions);
    for path in &allowed {
        let is_linked = links.iter().any(|(_, link)| link == *path);
        assert!(is_linked, "no link to {path}: {at}\n{versions:#}");
    }
    for (index, path) in &links {
        let is_refused = all.contains_key(path) && !allowed.contains(&path);
        assert!(!is_refused, "a link to {path}, which is refused: {at}");
        let got = ruled.get(&format!("/{index}/{path}"), &[]).await;
        assert_eq!(got.status, 200, "/{index}/{path}, which is linked: {at}");
    }
}

/// Checks that nothing of an index that is kept off the public door is served there.
async fn hold_back(public: Through<'_>, case: &Case<'_>, held: &[Held]) {
    let Case { asked, name, at } = case;
    let (page, _) = public.page(asked, name, JSON).await;
    let (object, _) = public.object(asked, name).await;
    assert_eq!((page.status, object.status), (404, 404), "{at}");
    for (_, path, ..) in held {
        for ending in ["", ".metadata"] {
            let got = public.get(&format!("/{asked}/{path}{ending}"), &[]).await;
            assert_eq!(got.status, 404, "{path}{ending} of {at}");
        }
    }
}

async fn hold_all_to_the_law(larder: &Larder, clock: &Clock, written: &Written, content: &Content) {
    let ruled = House::offline(larder, &written.yaml(true), clock);
    let free = House::offline(larder, &written.yaml(false), clock);
    ruled.recall(&written.recalls);
    fill(&ruled, content).await;
    let held = everything(content);
    for index in &written.indexes {
        for name in PROJECTS {
            let asked = index.name;
            let (yaml, recalls) = (written.yaml(true), &written.recalls);
            let at = format!("{name} in {asked}, recalled {recalls:?}\n{yaml}");
            let case = Case { asked, name, at };
            let through = |house, is_manage| Through { house, is_manage };
            let is_hidden = index.restricted_by.contains(HIDDEN);
            let door = through(&ruled, is_hidden);
            hold_to_the_law(door, through(&free, false), &case, &held).await;
            if is_hidden {
                hold_back(through(&ruled, false), &case, &held).await;
            }
        }
    }
}

/// Cases tried; each requests some five hundred pages, objects, files and sidecars.
const CASES: u32 = 64;

#[test]
fn a_file_is_served_exactly_when_its_page_lists_it_as_allowed() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let clock = Clock::fixed(NOW.parse().unwrap());
    let bytes = runtime.block_on(Larder::empty(&clock));
    stock(&bytes);
    let case = Cell::new(0);
    let config = ProptestConfig {
        cases: CASES,
        max_shrink_iters: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let checked = TestRunner::new(config).run(&(written(), content()), |(written, content)| {
        case.set(case.get() + 1);
        runtime.block_on(async {
            let larder = bytes.with_new_records(case.get(), &clock).await;
            hold_all_to_the_law(&larder, &clock, &written, &content).await;
        });
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}
