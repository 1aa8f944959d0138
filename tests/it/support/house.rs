//! The gateway without its doors, in this process: policies as text, and a clock that the test
//! moves.

use std::collections::HashMap;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cheesecloth::testing::clock::Clock;
use cheesecloth::testing::config::{CacheConfig, Undeclared};
use cheesecloth::testing::db::{Cause, Db, FileFacts, OnConflict, Publication, Published, Sqlite};
use cheesecloth::testing::exchange::{
    Answers, Arrival, Ask, Body, Core, Generation, Readable, Record, Settings,
};
use cheesecloth::testing::front::Front;
use cheesecloth::testing::gateway::Flows;
use cheesecloth::testing::language::{Files, Mirror, NamedKind, TextFile, mirror_url, read_text};
use cheesecloth::testing::model::{
    Fault, IndexName, Limits, Location, ProjectName, Recall, UpstreamLimits,
};
use cheesecloth::testing::page::{ProjectPage, StoredMeta, to_stored};
use cheesecloth::testing::policy::{Policies, Recalls};
use cheesecloth::testing::protocol::{Audience, Preferences, PublicRoute};
use cheesecloth::testing::reader::Reader;
use cheesecloth::testing::search::{Catalogue, CatalogueKeeper, CataloguedIndex};
use cheesecloth::testing::store::{FsStore, Key};
use cheesecloth::testing::telemetry::Metrics;
use cheesecloth::testing::upstream::{Decoding, Fleet, Proxies, Upstream, install_crypto_provider};
use http::{HeaderMap, HeaderName, HeaderValue};
use tempfile::TempDir;
use url::Url;

use super::{Got, soon};

/// Enough space for anything that a test stores.
const PLENTY: u64 = 1 << 30;

/// What a gateway stores: bytes and records. Several gateways may share one.
pub(crate) struct Larder {
    store: Arc<FsStore>,
    records: Arc<Sqlite>,
    data: Arc<TempDir>,
}

impl Larder {
    pub(crate) async fn empty(clock: &Clock) -> Self {
        let data = Arc::new(tempfile::tempdir().unwrap());
        let store = Arc::new(FsStore::open(data.path(), PLENTY).unwrap());
        let records = records(data.path(), clock).await;
        Self {
            store,
            records,
            data,
        }
    }

    /// The same bytes with new records; the number tells these from earlier ones.
    pub(crate) async fn with_new_records(&self, number: u32, clock: &Clock) -> Self {
        let folder = self.data.path().join(format!("records-{number}"));
        std::fs::create_dir(&folder).unwrap();
        Self {
            store: Arc::clone(&self.store),
            records: records(&folder, clock).await,
            data: Arc::clone(&self.data),
        }
    }

    /// The folder that contains everything.
    pub(crate) fn folder(&self) -> &Path {
        self.data.path()
    }

    /// Waits until a file is stored, which happens after the answer to the first request.
    pub(crate) async fn kept(&self, key: &Key) {
        soon(async {
            while self.store.open_file(key).unwrap().is_none() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Waits until this many sidecars of mirrors are stored, which also happens after the answers.
    pub(crate) async fn kept_sidecars(&self, count: usize) {
        let is_sidecar = |key: &Key| matches!(key, Key::MirrorMetadata(_));
        let all = || self.store.contents().map(|kept| kept.unwrap().key);
        soon(async {
            while all().filter(is_sidecar).count() < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Stores bytes.
    pub(crate) fn keep(&self, key: &Key, content: &[u8]) {
        self.store.put_small(key, content).unwrap();
    }
}

async fn records(folder: &Path, clock: &Clock) -> Arc<Sqlite> {
    let records = Sqlite::open(&folder.join("records.sqlite"), clock.now()).await;
    Arc::new(records.unwrap())
}

/// A gateway.
pub(crate) struct House {
    flows: Arc<Flows>,
    answer: Arc<dyn Answers>,
    clock: Clock,
    store: Arc<FsStore>,
    records: Arc<Sqlite>,
    _data: Arc<TempDir>,
}

impl House {
    /// A gateway with these policies that asks the upstreams they name.
    pub(crate) async fn online(policies: &str, clock: &Clock) -> Self {
        Self::online_over(&Larder::empty(clock).await, policies, clock)
    }

    /// The same on a larder that others may share.
    pub(crate) fn online_over(larder: &Larder, policies: &str, clock: &Clock) -> Self {
        Self::over(larder, policies, clock, settings(false), None)
    }

    /// The same with other settings.
    pub(crate) fn online_with(
        larder: &Larder,
        policies: &str,
        clock: &Clock,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let mut settings = settings(false);
        change(&mut settings);
        Self::over(larder, policies, clock, settings, None)
    }

    /// A gateway with these policies that has only what is in the larder.
    pub(crate) fn offline(larder: &Larder, policies: &str, clock: &Clock) -> Self {
        Self::over(larder, policies, clock, settings(true), None)
    }

    /// A gateway with these policies in front of a devpi-server; it passes on requests for other
    /// indexes.
    pub(crate) fn before_devpi(
        larder: &Larder,
        policies: &str,
        clock: &Clock,
        server: &Url,
    ) -> Self {
        install_crypto_provider();
        let metrics = Metrics::register(prometheus::Registry::new(), "0").unwrap();
        let servers = std::slice::from_ref(server);
        let fleet = Fleet::new(servers, &Limits::default(), &metrics).unwrap();
        let fleet = Some(Arc::new(fleet));
        Self::over(larder, policies, clock, settings(false), fleet)
    }

    fn over(
        larder: &Larder,
        policies: &str,
        clock: &Clock,
        settings: Settings,
        fleet: Option<Arc<Fleet>>,
    ) -> Self {
        install_crypto_provider();
        let (store, records) = (Arc::clone(&larder.store), Arc::clone(&larder.records));
        let metrics = Metrics::register(prometheus::Registry::new(), "0").unwrap();
        let flows = Arc::new(Flows::new(Core {
            clock: clock.clone(),
            in_force: Arc::new(generation(1, policies, fleet.as_ref())).into(),
            settings,
            store: Arc::clone(&store),
            depot: None,
            records: Arc::clone(&records) as Arc<dyn Db>,
            catalogue: Arc::new(Catalogue::new(&Limits::default().search)),
            overview: Default::default(),
            metrics: Arc::new(metrics),
            work: tokio::runtime::Handle::current(),
        }));
        let reader = Reader::new(Arc::clone(&flows));
        let answer: Arc<dyn Answers> = match fleet {
            None => Arc::new(reader),
            Some(fleet) => {
                let (reader, flows) = (Arc::new(reader), Arc::clone(&flows));
                Arc::new(Front::new(reader, flows, fleet, Undeclared::Pass))
            }
        };
        Self {
            answer,
            flows,
            clock: clock.clone(),
            store,
            records,
            _data: Arc::clone(&larder.data),
        }
    }

    /// Puts recalls in force.
    pub(crate) fn recall(&self, subjects: &[impl AsRef<str>]) {
        let recall = |(id, subject): (u64, &str)| Recall {
            id,
            subject: subject.parse().unwrap(),
            reason: "stolen token".into(),
            who: None,
            at: self.clock.now(),
            is_kept: false,
        };
        let recalls = (1..).zip(subjects.iter().map(AsRef::as_ref)).map(recall);
        let recalls = Arc::new(Recalls::of(recalls.collect()));
        let before = self.flows.core.generation();
        self.flows.core.install(Generation {
            number: before.number + 1,
            policies: before.policies.under(recalls),
            upstreams: before.upstreams.clone(),
        });
    }

    /// Gathers what is searched, as of now.
    pub(crate) async fn catalogue(&self) {
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

    /// What answers, for what is no request.
    pub(crate) fn flows(&self) -> &Arc<Flows> {
        &self.flows
    }

    /// Checks the clock, as the running program does now and then.
    pub(crate) fn heed_clock(&self) {
        self.flows.heed_clock();
    }

    /// Stores a page as if this mirror's upstream had sent it now.
    pub(crate) fn keep_page(&self, index: &IndexName, page: &ProjectPage) {
        let generation = self.flows.core.generation();
        let mirror = generation
            .policies
            .index(index)
            .and_then(|index| index.mirror());
        let meta = StoredMeta {
            final_url: mirror_url(mirror.unwrap()).unwrap().to_owned(),
            fetched_at: self.clock.now(),
            etag: None,
            last_modified: None,
            max_age_seconds: None,
            vanished_at: None,
        };
        let key = Key::Page {
            index: index.clone(),
            project: page.project.clone(),
        };
        self.store.put_small(&key, &to_stored(page, &meta)).unwrap();
    }

    /// Puts a project with these files on a stage; their bytes are already stored.
    pub(crate) async fn publish(
        &self,
        index: &IndexName,
        project: &ProjectName,
        files: Vec<FileFacts>,
    ) {
        let cause = Cause {
            who: None,
            at: self.clock.now(),
        };
        let publication = Publication {
            index: index.clone(),
            project: project.clone(),
            spelling: project.to_string(),
            version: "1.0".to_owned(),
            metadata: serde_json::Map::new(),
            files,
            on_conflict: OnConflict::Refuse,
        };
        let published = self.records.publish(&cause, &publication).await.unwrap();
        assert!(matches!(published, Published::Done { .. }), "{published:?}");
    }

    /// Requests a path as the public door does.
    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Got {
        self.ask(&Asked::public("GET", path, headers)).await
    }

    /// Sends a request as a door does.
    pub(crate) async fn ask(&self, asked: &Asked<'_>) -> Got {
        self.ask_recorded(asked).await.0
    }

    /// The same, with what a door would record of it.
    pub(crate) async fn ask_recorded(&self, asked: &Asked<'_>) -> (Got, Record) {
        let headers: HeaderMap = asked
            .headers
            .iter()
            .map(|(name, value)| {
                let name: HeaderName = name.parse().unwrap();
                (name, HeaderValue::from_str(value).unwrap())
            })
            .collect();
        let (path, query) = match asked.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (asked.target, None),
        };
        let reply = self
            .answer
            .answer(&Ask {
                path,
                route: PublicRoute::parse(path, query, Audience::of(&headers)).unwrap(),
                head: asked.method == "HEAD",
                headers: &headers,
                preferences: Preferences::of(&headers),
                query,
                arrival: Arrival {
                    is_manage: asked.is_manage,
                    ..Arrival::default()
                },
            })
            .await;
        let got = Got {
            status: reply.status.as_u16(),
            headers: HeaderMap::clone(&reply.head),
            body: read(reply.body).await,
        };
        (got, reply.record)
    }
}

/// A read, and the door that it comes through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) is_manage: bool,
}

impl<'a> Asked<'a> {
    /// A read at the public door.
    pub(crate) fn public(
        method: &'a str,
        target: &'a str,
        headers: &'a [(&'a str, &'a str)],
    ) -> Self {
        Self {
            method,
            target,
            headers,
            is_manage: false,
        }
    }

    /// The same at the management door.
    pub(crate) fn at_management(self) -> Self {
        Self {
            is_manage: true,
            ..self
        }
    }
}

async fn read(body: Body) -> Bytes {
    let part = |file: &std::fs::File, start: u64, length: u64| {
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        file.read_exact_at(&mut bytes, start).unwrap();
        Bytes::from(bytes)
    };
    match body {
        Body::Empty => Bytes::new(),
        Body::Bytes(bytes) => bytes,
        Body::File {
            file,
            start,
            length,
        } => part(file.file(), start, length),
        Body::Growing {
            growing,
            start,
            length,
        } => match growing.settled().await {
            Readable::Complete(end) => part(growing.file(), start, length.unwrap_or(end - start)),
            other => panic!("the file did not arrive: {other:?}"),
        },
    }
}

fn settings(offline: bool) -> Settings {
    let mut limits = Limits::default();
    for limit in ["page", "project_list", "metadata", "file"] {
        limits.set(limit, PLENTY);
    }
    Settings {
        cache: CacheConfig {
            memory: 64 << 20,
            disk: PLENTY,
            stale_if_error: Duration::from_secs(7 * 24 * 60 * 60),
            stale_while_revalidate: Duration::from_secs(60),
            // Longer than any upstream here takes; tests of what does not wait set their own.
            patience: Duration::from_secs(3600),
        },
        offline,
        is_explaining: false,
        limits,
        decoding: decoding(),
    }
}

/// The budget for unpacking.
fn decoding() -> Decoding {
    Decoding::new(PLENTY, Duration::from_secs(60))
}

/// Compiles policies, and makes an upstream of every `mirror_url`.
fn generation(number: u64, policies: &str, fleet: Option<&Arc<Fleet>>) -> Generation {
    let (document, _) = read_text("policies.yaml", policies, &mut Advisories)
        .unwrap_or_else(|faults| panic!("{faults}\n{policies}"));
    let policies =
        Policies::compile(&[document], &[]).unwrap_or_else(|faults| panic!("{faults}\n{policies}"));
    let mut upstreams = HashMap::new();
    for index in policies.indexes() {
        if let (Some(fleet), Some(true)) = (fleet, index.mirror().map(Mirror::is_devpi)) {
            let upstream = fleet
                .upstream(&index.name, UpstreamLimits::default(), decoding())
                .unwrap();
            upstreams.insert(index.name.clone(), Arc::new(upstream));
        } else if let Some(url) = index.mirror().and_then(mirror_url) {
            let upstream = Upstream::new(cheesecloth::testing::upstream::UpstreamSettings {
                name: index.name.clone(),
                url: url.parse().unwrap(),
                credentials: None,
                limits: UpstreamLimits::default(),
                decoding: decoding(),
                proxies: Proxies::Direct,
                bounds: cheesecloth::testing::upstream::Bounds::default(),
            });
            upstreams.insert(index.name.clone(), Arc::new(upstream.unwrap()));
        }
    }
    Generation {
        number,
        policies,
        upstreams,
    }
}

/// Every file that policies name is one advisory: version 1.0 of six is malware.
struct Advisories;

impl Files for Advisories {
    fn open(
        &mut self,
        _: NamedKind,
        location: &Location,
        path: &Path,
    ) -> Result<Vec<TextFile>, Fault> {
        let text = r#"{"id": "MAL-2026-1", "affected": [
            {"package": {"ecosystem": "PyPI", "name": "six"}, "versions": ["1.0"]}]}"#;
        Ok(vec![TextFile {
            location: location.clone(),
            path: path.to_owned(),
            text: text.into(),
        }])
    }
}
