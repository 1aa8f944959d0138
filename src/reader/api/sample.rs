//! A small gateway for tests: a mirror, two declared stages, one recorded index, some files and rules.
//!
//! The mirror is offline; its pages are put where a fetch would have left them.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::cache::{SourcePage, Validity};
use crate::db::{
    Cause, Db, FileFacts, FileRole, LogEntry, LogEvent, NewUser, OnConflict, Publication, Serial,
    UserDetails,
};
use crate::devpi::IndexSettings;
use crate::exchange::{Arrival, Ask, Body, Overview, Reply};
use crate::gateway::{Flows, mirror_metadata_key, sample_core as core};
use crate::model::{
    File, Filename, Hashes, IndexName, ProjectName, Sha256, Timestamp, UploadTime,
    UploadTimeSource, Yanked,
};
use crate::page::ProjectPage;
use crate::protocol::{Audience, Preferences, PublicRoute};
use crate::reader::api::asker::Asker;
use crate::reader::routes::Reader;
use crate::search::{CatalogueKeeper, CataloguedIndex};
use crate::store::Key;
use crate::telemetry::HeldPermits;

const POLICIES: &str = r#"default_index: packages/stable
indexes:
  root/pypi:
    type: mirror
    title: The public index
    mirror_url: https://reader:s3cret@upstream.example/simple/
    mirror_cache_expiry: 600
    policy: malware
  packages/stable:
    title: What <production> runs
    bases: [root/pypi]
    volatile: false
    mirror_whitelist: [six]
    owns: ["acme-*"]
    policy: corporate
  packages/develop:
    bases: [packages/stable]
policies:
  malware:
    on_block: hide
    rules:
      - deny: { project: banned, reason: "it steals <keys>" }
  corporate:
    on_block: hide
    rules:
      - deny: { project: requests, versions: "<2.31", reason: "CVE-2023-32681" }
      - deny: { younger_than: 7d, reason: "cool-down" }
"#;

/// A gateway over a folder of its own.
pub struct House {
    folder: tempfile::TempDir,
    flows: Arc<Flows>,
    reader: Reader,
}

/// The text of a reply in memory.
pub fn text_of(reply: &Reply) -> String {
    match &reply.body {
        Body::Empty => String::new(),
        Body::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        Body::File { .. } | Body::Growing { .. } => panic!("not an answer in memory"),
    }
}

/// Markup with a line for each block, for snapshots.
pub fn in_lines(markup: &str) -> String {
    let mut text = markup.to_owned();
    for block in [
        "<h1", "<h2", "<p", "<div", "<table", "<tr", "<ol", "<ul", "<li", "<details",
    ] {
        text = text.replace(block, &format!("\n{block}"));
    }
    text
}

fn index(name: &str) -> IndexName {
    IndexName::parse(name).unwrap()
}

fn project(name: &str) -> ProjectName {
    ProjectName::parse(name).unwrap()
}

impl House {
    pub async fn new() -> Self {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mine = IndexSettings::create(
            &index("me/dev"),
            json!({ "bases": ["packages/stable"] }).as_object().unwrap(),
            &|_| true,
        );
        let mine = mine.unwrap();
        let documents = (POLICIES, &[mine.to_document()][..]);
        let mut core = core(folder.path(), now, documents).await;
        core.settings.offline = true;
        let flows = Arc::new(Flows::new(core));
        let house = Self {
            folder,
            reader: Reader::new(Arc::clone(&flows)),
            flows,
        };
        house.move_in(&mine).await;
        house
    }

    async fn move_in(&self, mine: &IndexSettings) {
        let cause = Cause {
            who: None,
            at: self.now(),
        };
        let details = UserDetails {
            email: Some("me@house.example".into()),
            ..Default::default()
        };
        for (name, details) in [("me", details), ("packages", UserDetails::default())] {
            let user = NewUser {
                name: name.into(),
                password_hash: None,
                details,
            };
            self.records().create_user(&cause, &user).await.unwrap();
        }
        let recorded = mine.to_record(Serial::default(), self.now());
        self.records()
            .create_index(&cause, &recorded)
            .await
            .unwrap();
        let sdist = |version: &str| vec![release_file(&format!("Hello.Pkg-{version}.tar.gz"))];
        self.publish("packages/develop", "Hello.Pkg", "1.0", sdist("1.0"))
            .await;
        self.publish("packages/stable", "Hello.Pkg", "1.0", sdist("1.0"))
            .await;
        let mut second = sdist("2.0");
        let for_file = second[0].filename.clone();
        second.push(FileFacts {
            role: FileRole::ToxResult { for_file },
            ..release_file("Hello.Pkg-2.0.tar.gz.toxresult-20260102030405-0")
        });
        second.push(FileFacts {
            role: FileRole::DocZip,
            ..release_file("Hello.Pkg-2.0.doc.zip")
        });
        self.publish("packages/stable", "Hello.Pkg", "2.0", second)
            .await;
        self.publish(
            "packages/stable",
            "six",
            "1.0+house",
            vec![release_file("six-1.0+house.tar.gz")],
        )
        .await;
        self.fill_mirror();
    }

    fn fill_mirror(&self) {
        self.mirror_page(
            "six",
            &[
                (
                    "six-1.16.0-py2.py3-none-any.whl",
                    Yanked::No,
                    "2021-05-05T14:18:18Z",
                ),
                ("six-1.16.0.tar.gz", Yanked::No, "2021-05-05T14:18:17Z"),
            ],
        );
        self.mirror_page(
            "requests",
            &[
                ("requests-2.30.0.tar.gz", Yanked::No, "2023-05-03T15:00:00Z"),
                (
                    "requests-2.31.0.tar.gz",
                    Yanked::Yes(Some("a <test>".into())),
                    "2023-05-22T15:00:00Z",
                ),
                ("requests-2.99.0.tar.gz", Yanked::No, "2026-02-28T15:00:00Z"),
            ],
        );
        self.mirror_page(
            "hello-pkg",
            &[("hello_pkg-9.tar.gz", Yanked::No, "2020-01-01T00:00:00Z")],
        );
        self.mirror_knows_nothing_of("nothing");
    }

    async fn publish(&self, to: &str, spelling: &str, version: &str, files: Vec<FileFacts>) {
        let metadata = json!({ "name": spelling, "version": version, "summary": "says hello" });
        self.publish_described(to, metadata, files).await;
    }

    /// Publishes a release whose metadata says what it is called.
    pub async fn publish_described(&self, to: &str, metadata: Value, files: Vec<FileFacts>) {
        let text = |key: &str| metadata[key].as_str().unwrap();
        let (spelling, version) = (text("name"), text("version"));
        let dst = index(to);
        let log = |mut facts: FileFacts| {
            let event = LogEvent::Upload { dst: dst.clone() };
            facts.log = vec![LogEntry {
                who: facts.uploader.clone(),
                when: facts.uploaded_at,
                event,
            }];
            facts
        };
        let publication = Publication {
            index: dst.clone(),
            project: project(spelling),
            spelling: spelling.to_owned(),
            version: version.to_owned(),
            metadata: metadata.as_object().unwrap().clone(),
            files: files.into_iter().map(log).collect(),
            on_conflict: OnConflict::Refuse,
        };
        let cause = Cause {
            who: Some("packages".into()),
            at: self.now(),
        };
        self.records().publish(&cause, &publication).await.unwrap();
    }

    /// A mirror's page, as a fetch would have left it: file names, whether yanked, and since when.
    pub fn mirror_page(&self, name: &str, files: &[(&str, Yanked, &str)]) {
        let mut page = ProjectPage::empty(project(name));
        for (filename, yanked, at) in files {
            let mut file = File::named(Filename::parse(filename, &page.project).unwrap());
            file.hashes = Hashes::sha256_only(Sha256::of(filename.as_bytes()));
            file.size = Some(11_053);
            file.url = Some(format!("https://files.example/{filename}").into());
            let at = at.parse().unwrap();
            file.upload_time = Some(UploadTime {
                at,
                source: UploadTimeSource::Index,
            });
            file.requires_python = Some(">=2.7".into());
            file.yanked = yanked.clone();
            page.files.push(file);
        }
        self.mirror_says(name, Some(page));
    }

    fn mirror_knows_nothing_of(&self, name: &str) {
        self.mirror_says(name, None);
    }

    fn mirror_says(&self, name: &str, page: Option<ProjectPage>) {
        let validity = Validity {
            confirmed_at: self.now(),
            fresh_until: Timestamp::MAX,
            etag: None,
            last_modified: None,
        };
        let held = SourcePage {
            page: page.map(Arc::new),
            validity,
            vanished_at: None,
            retry_at: None,
        };
        self.flows
            .mirrors
            .keep(&index("root/pypi"), &project(name), held);
    }

    /// A wheel's metadata, as a fetch would have left it.
    pub fn mirror_sidecar(&self, wheel: &str, metadata: &str) {
        let key = mirror_metadata_key(&index("root/pypi"), &Sha256::of(wheel.as_bytes()));
        self.put(&key, metadata.as_bytes());
    }

    /// The bytes of an uploaded file, under the returned digest.
    pub fn put_uploaded(&self, content: &[u8]) -> Sha256 {
        let digest = Sha256::of(content);
        self.put(&Key::PrivateFile(digest), content);
        digest
    }

    fn put(&self, key: &Key, content: &[u8]) {
        self.flows.core.store.put_small(key, content).unwrap();
    }

    /// The mirror's project list, as a fetch would have left it.
    pub fn mirror_lists(&self, names: &[&str]) {
        let mut names = names.to_vec();
        names.sort_unstable();
        let text: String = names.iter().map(|name| format!("{name}\n")).collect();
        let key = Key::ProjectList {
            index: index("root/pypi"),
        };
        self.put(&key, text.as_bytes());
    }

    /// All searches that may run at one time, held until dropped.
    pub fn occupy_searches(&self) -> HeldPermits {
        self.flows.core.catalogue.occupy()
    }

    /// Gathers what is searched, as of now.
    pub async fn catalogue(&self) {
        let core = &self.flows.core;
        let (records, store) = (Arc::clone(&core.records), Arc::clone(&core.store));
        let mut keeper = CatalogueKeeper::new(Arc::clone(&core.catalogue), records, store);
        let generation = core.generation();
        let indexes = generation.policies.indexes().map(|index| CataloguedIndex {
            name: index.name.clone(),
            is_mirror: index.is_mirror(),
        });
        keeper.follow(indexes.collect()).await.unwrap();
    }

    /// What is found out behind the scenes.
    pub fn overview(&self) -> &Overview {
        &self.flows.core.overview
    }

    pub fn now(&self) -> Timestamp {
        self.flows.core.clock.now()
    }

    pub fn records(&self) -> &dyn Db {
        &*self.flows.core.records
    }

    pub fn folder(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    /// Asks as devpi-client does.
    pub async fn get(&self, target: &str) -> Reply {
        self.ask(target, false, "application/json", Asker::Public)
            .await
    }

    pub async fn get_as(&self, target: &str, asker: Asker<'_>) -> Reply {
        self.ask(target, false, "application/json", asker).await
    }

    pub async fn head(&self, target: &str) -> Reply {
        self.ask(target, true, "application/json", Asker::Public)
            .await
    }

    /// Asks as a browser does.
    pub async fn browse(&self, target: &str) -> Reply {
        self.browse_with(target, &[]).await
    }

    /// The same, with more headers; `HEAD` by a method of that name.
    pub async fn browse_with(&self, target: &str, more: &[(&str, &str)]) -> Reply {
        let accept = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        let is_head = more.contains(&("method", "HEAD"));
        let headers = headers(more.iter().copied().chain([accept]));
        self.ask_with(target, is_head, &headers, Asker::Public)
            .await
    }

    pub async fn json(&self, target: &str) -> Value {
        let reply = self.get(target).await;
        assert_eq!(reply.status, 200, "{target}: {}", text_of(&reply));
        assert_eq!(reply.head["content-type"], "application/json");
        serde_json::from_str(&text_of(&reply)).unwrap()
    }

    async fn ask(&self, target: &str, head: bool, accept: &str, asker: Asker<'_>) -> Reply {
        let headers = headers([("accept", accept)].into_iter());
        self.ask_with(target, head, &headers, asker).await
    }

    async fn ask_with(
        &self,
        target: &str,
        head: bool,
        headers: &HeaderMap,
        asker: Asker<'_>,
    ) -> Reply {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let route = PublicRoute::parse(path, query, Audience::of(headers)).unwrap();
        let ask = Ask {
            path,
            route,
            head,
            headers,
            preferences: Preferences::of(headers),
            query,
            arrival: Arrival::default(),
        };
        self.reader.answer_to(&ask, asker).await
    }
}

fn headers<'a>(more: impl Iterator<Item = (&'a str, &'a str)>) -> HeaderMap {
    let host = ("host", "devpi.example:4040");
    let named = more.chain([host]).map(|(name, value)| {
        let name = HeaderName::try_from(name).unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    });
    named.collect()
}

/// A file of a release, uploaded by `packages`.
pub fn release_file(filename: &str) -> FileFacts {
    FileFacts {
        filename: filename.to_owned(),
        role: FileRole::ReleaseFile,
        sha256: Sha256::of(filename.as_bytes()),
        size: 1200,
        md5: None,
        blake2b_256: None,
        uploaded_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        uploader: Some("packages".to_owned()),
        requires_python: Some(">=3.9".to_owned()),
        metadata_sha256: None,
        yanked: Yanked::No,
        log: Vec::new(),
    }
}
