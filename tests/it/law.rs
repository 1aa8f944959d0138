//! The law of the house: a file is served exactly when its page lists it as allowed.
//!
//! Tried on random stacks of stages and mirrors, random policies and random pages, through the flows
//! as the public door calls them. A second gateway that has the same content and no rules tells what
//! was blocked from what was never there: what is blocked is refused in words, never "not found".

mod vanishing;

use std::cell::Cell;
use std::collections::BTreeMap;

use bytes::Bytes;
use cheesecloth::clock::Clock;
use cheesecloth::db::{FileFacts, FileRole};
use cheesecloth::model::{
    CoreMetadata, File, Filename, Hashes, IndexName, ProjectName, ProjectState, Sha256, Timestamp,
    UploadTime, UploadTimeSource, Yanked,
};
use cheesecloth::page::{ProjectPage, file_path};
use cheesecloth::store::Key;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::TestRunner;

use super::support::{Got, House, Larder};

const NOW: &str = "2026-01-05T00:00:00Z";
const STAGES: [&str; 3] = ["s/top", "s/middle", "s/low"];
const MIRRORS: [&str; 2] = ["m/one", "m/two"];
const PROJECTS: [&str; 2] = ["six", "acme-x"];
const JSON: &str = "application/vnd.pypi.simple.v1+json";
const HTML: &str = "application/vnd.pypi.simple.v1+html";

/// What a name ends with.
const ENDINGS: [&str; 6] = [
    "-1.0.tar.gz",
    "-2004d.tar.gz",
    "-1.0_final_2-py2.7.egg",
    "-2.5.tar.gz",
    "-2.5-py3-none-any.whl",
    "-3.0-cp313-cp313-linux_x86_64.whl",
];

/// What a rule may ask for; each at least once in some policy.
const CONDITIONS: [&str; 20] = [
    "project: six",
    "project: 'acme-*'",
    "project: /x$/",
    "project: [six, 'acme-*']",
    "versions: '>=2'",
    "project: six, versions: '<2'",
    "versions: '===2004d'",
    "versions: '===1.0-final-2, !=2'",
    "project: six, versions: '!=2.*'",
    "kind: [sdist]",
    "python: [py3]",
    "platform: ['linux_*']",
    "size_over: 10B",
    "younger_than: 7d",
    "older_than: 20d",
    "yanked: true",
    "upstream: [m/one]",
    "advisory: malware",
    "status: [archived]",
    "provenance: missing",
];

/// What an operator wrote.
#[derive(Debug, Clone)]
struct Written {
    indexes: Vec<IndexText>,
    policies: String,
}

/// An index as YAML: what makes it, and what restricts it.
#[derive(Debug, Clone)]
struct IndexText {
    name: &'static str,
    made_of: String,
    restricted_by: String,
}

impl Written {
    fn yaml(&self, is_restricted: bool) -> String {
        let mut yaml = "advisories: [osv]\nindexes:\n".to_owned();
        for index in &self.indexes {
            let more = if is_restricted {
                &*index.restricted_by
            } else {
                ""
            };
            yaml += &format!("  {}: {{ {}{more} }}\n", index.name, index.made_of);
        }
        yaml + "policies:\n" + &self.policies
    }
}

fn policy(name: &'static str) -> impl Strategy<Value = String> {
    let until = select(vec!["", "", ", until: 2026-01-04", ", until: 2026-02-01"]);
    let rule = (
        select(vec!["deny", "allow"]),
        select(CONDITIONS.to_vec()),
        until,
    );
    let rules = prop::collection::vec(rule, 0..4);
    let mode = select(vec!["enforce", "enforce", "enforce", "audit"]);
    let default = select(vec!["allow", "allow", "deny"]);
    (rules, mode, select(vec!["hide", "yank"]), default).prop_map(
        move |(rules, mode, on_block, default)| {
            let mut yaml = format!(
                "  {name}:\n    mode: {mode}\n    on_block: {on_block}\n    default: {default}\n    rules:\n"
            );
            if rules.is_empty() {
                yaml.truncate(yaml.len() - "    rules:\n".len());
            }
            for (effect, condition, until) in rules {
                yaml += &format!("      - {effect}: {{ {condition}{until} }}\n");
            }
            yaml
        },
    )
}

/// The keys that every index may have.
fn restrictions() -> impl Strategy<Value = String> {
    let policy = select(vec!["", "", ", policy: p0", ", policy: p1"]);
    let owns = select(vec!["", "", "", "", ", owns: ['acme-*']"]);
    let whitelist = select(vec![
        "",
        "",
        "",
        ", whitelist: [six]",
        ", whitelist: ['acme-*', six]",
    ]);
    (policy, owns, whitelist)
        .prop_map(|(policy, owns, whitelist)| [policy, owns, whitelist].concat())
}

/// Stages inherit only from those after them, so there are no circles.
fn indexes() -> impl Strategy<Value = Vec<IndexText>> {
    let stages: Vec<_> = (0..STAGES.len())
        .map(|position| {
            let below = [&STAGES[position + 1..], &MIRRORS].concat();
            let most = below.len();
            let freed = select(vec!["", "[six]", "['*']", "['*']"]);
            let inheritance = select(vec!["intersection", "union"]);
            (
                subsequence(below, 0..=most),
                freed,
                inheritance,
                restrictions(),
            )
                .prop_map(move |(bases, freed, inheritance, restricted_by)| {
                    let mut made_of = format!("bases: [{}]", bases.join(", "));
                    if !freed.is_empty() {
                        made_of += &format!(", mirror_whitelist: {freed}");
                    }
                    made_of += &format!(", mirror_whitelist_inheritance: {inheritance}");
                    IndexText {
                        name: STAGES[position],
                        made_of,
                        restricted_by,
                    }
                })
                .boxed()
        })
        .collect();
    let mirrors = MIRRORS.map(|name| {
        let undated = select(vec!["deny", "first_seen", "old"]);
        (undated, restrictions()).prop_map(move |(undated, restricted_by)| {
            let host = name.replace('/', "-");
            IndexText {
                name,
                made_of: format!(
                    "type: mirror, mirror_url: 'https://{host}.upstream.example/simple/', undated: {undated}"
                ),
                restricted_by,
            }
        })
    });
    (stages, mirrors).prop_map(|(stages, mirrors)| [stages, mirrors.to_vec()].concat())
}

fn written() -> impl Strategy<Value = Written> {
    (indexes(), policy("p0"), policy("p1")).prop_map(|(indexes, one, two)| Written {
        indexes,
        policies: one + &two,
    })
}

/// A file and all that is known of it, but for whose it is.
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

/// Bytes that no other index has under this name.
fn bytes_of(index: &str, filename: &str) -> Bytes {
    format!("{filename} of {index}").into()
}

fn metadata_of(index: &str, filename: &str) -> Bytes {
    format!("metadata of {filename} of {index}").into()
}

/// The file as the page of its index has it.
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
        CoreMetadata::Absent | CoreMetadata::Present => None,
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

/// Puts the content where the flows look for it; the bytes are there.
async fn fill(house: &House, content: &Content) {
    for ((at, name), holding) in content {
        let known = holding.iter().flat_map(|holding| &holding.files);
        let files: Vec<File> = known.map(|known| listed(at, name, known)).collect();
        if MIRRORS.contains(at) {
            // Of what is not held nothing is known offline, so an empty page has to say it.
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

/// Keeps the bytes of every file that may be held anywhere, and its metadata.
fn stock(larder: &Larder) {
    for at in STAGES.iter().chain(&MIRRORS) {
        for filename in PROJECTS.iter().flat_map(|name| {
            let stem = name.replace('-', "_");
            ENDINGS.map(|ending| format!("{stem}{ending}"))
        }) {
            let bytes = bytes_of(at, &filename);
            let digest = Sha256::of(&bytes);
            let (of_file, of_metadata) = if MIRRORS.contains(at) {
                (Key::MirrorFile(digest), Key::MirrorMetadata(digest))
            } else {
                (Key::PrivateFile(digest), Key::PrivateMetadata(digest))
            };
            larder.keep(&of_file, &bytes);
            larder.keep(&of_metadata, &metadata_of(at, &filename));
        }
    }
}

/// What a page says: each file's path below the index, and its yank where it has one.
type Shown = BTreeMap<String, Option<String>>;

async fn page(house: &House, index: &str, project: &str, form: &str) -> (Got, Shown) {
    let path = format!("/{index}/+simple/{project}/");
    let got = house.get(&path, &[("accept", form)]).await;
    if got.status != 200 {
        return (got, Shown::new());
    }
    let shown = if form == JSON {
        of_json(&got.body)
    } else {
        of_html(&got.text())
    };
    (got, shown)
}

fn of_json(body: &[u8]) -> Shown {
    let page: serde_json::Value = serde_json::from_slice(body).unwrap();
    let files = page["files"].as_array().unwrap().iter();
    files
        .map(|file| {
            let path = file["url"].as_str().unwrap().trim_start_matches("../");
            (path.to_owned(), file["yanked"].as_str().map(str::to_owned))
        })
        .collect()
}

fn of_html(text: &str) -> Shown {
    let links = text.split("<a href=\"../../").skip(1);
    links
        .map(|link| {
            let (head, _) = link.split_once('>').unwrap();
            let (path, _) = head.split_once('#').unwrap();
            let yanked = head.split_once("data-yanked=\"").map(|(_, rest)| {
                let (reason, _) = rest.split_once('"').unwrap();
                reason
                    .replace("&lt;", "<")
                    .replace("&gt;", ">")
                    .replace("&amp;", "&")
            });
            (path.to_owned(), yanked)
        })
        .collect()
}

/// Every file that anybody holds, with its bytes and its metadata if it is a wheel.
fn everything(content: &Content) -> Vec<(&'static str, String, Bytes, Option<Bytes>)> {
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

async fn hold_to_the_law(larder: &Larder, clock: &Clock, written: &Written, content: &Content) {
    let ruled = House::offline(larder, &written.yaml(true), clock);
    let free = House::offline(larder, &written.yaml(false), clock);
    fill(&ruled, content).await;
    let everything = everything(content);
    for asked in STAGES.iter().chain(&MIRRORS) {
        for name in PROJECTS {
            let (json, shown) = page(&ruled, asked, name, JSON).await;
            let (html, shown_as_html) = page(&ruled, asked, name, HTML).await;
            let at = format!("{name} in {asked}\n{}", written.yaml(true));
            assert_eq!(json.status, html.status, "{at}");
            assert_eq!(shown, shown_as_html, "{at}");
            let (open, all) = page(&free, asked, name, JSON).await;
            match (json.status, open.status) {
                (200, 200) | (404, 404) | (451, 200 | 404) => {}
                (here, there) => panic!("{here}, and {there} without rules: {at}"),
            }
            for (_, path, bytes, metadata) in
                everything.iter().filter(|(project, ..)| *project == name)
            {
                let is_allowed = shown
                    .get(path)
                    .is_some_and(|yanked| yanked.as_ref().is_none_or(|why| why == "broken"));
                let url = format!("/{asked}/{path}");
                let got = ruled.get(&url, &[]).await;
                let is_served = got.status == 200;
                assert_eq!(is_served, is_allowed, "{} for {path} of {at}", got.status);
                if is_served {
                    assert_eq!(got.body, *bytes);
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
        }
    }
}

/// Cases tried; each asks for some three hundred pages, files and sidecars.
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
            hold_to_the_law(&larder, &clock, &written, &content).await;
        });
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}
