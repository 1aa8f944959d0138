//! A gateway for tests: of a mirror one page may be held, and no upstream can be asked.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use prometheus::Registry;

use crate::cache::{SourcePage, Validity};
use crate::clock::Clock;
use crate::config::CacheConfig;
use crate::db::Sqlite;
use crate::exchange::{Context, Core, Generation, Overview, Settings};
use crate::gateway::flows::Flows;
use crate::gateway::tickets::Grant;
use crate::language::{IndexDocument, NoFiles, read_text};
use crate::model::{
    AskedPart, File, Filename, Hashes, IndexName, Limits, ProjectName, Sha256, Timestamp,
};
use crate::page::{ProjectPage, file_path};
use crate::policy::Policies;
use crate::search::Catalogue;
use crate::store::FsStore;
use crate::telemetry::Metrics;
use crate::upstream::Decoding;

/// One below this folder, with these policies and recorded indexes.
pub async fn core(
    folder: &Path,
    now: Timestamp,
    (policies, stored): (&str, &[IndexDocument]),
) -> Core {
    let database = Sqlite::open(&folder.join("records"), now).await.unwrap();
    let (document, _) = read_text("house.yaml", policies, &mut NoFiles).unwrap();
    let generation = Generation {
        number: 1,
        policies: Policies::compile(&[document], stored).unwrap(),
        upstreams: Default::default(),
    };
    let settings = Settings {
        cache: CacheConfig {
            memory: 16 << 20,
            disk: u64::MAX,
            stale_if_error: Duration::from_secs(60),
            stale_while_revalidate: Duration::from_secs(60),
            patience: Duration::from_millis(250),
        },
        offline: false,
        is_explaining: false,
        limits: Limits::default(),
        decoding: Decoding::new(16 << 20, Duration::from_secs(1)),
    };
    let limits = Limits::default();
    Core {
        catalogue: Arc::new(Catalogue::new(&limits.search)),
        clock: Clock::fixed(now),
        in_force: Arc::new(generation).into(),
        settings,
        store: Arc::new(FsStore::open(&folder.join("store"), 1 << 30).unwrap()),
        depot: None,
        records: Arc::new(database),
        overview: Overview::default(),
        metrics: Arc::new(Metrics::register(Registry::new(), "0").unwrap()),
        work: tokio::runtime::Handle::current(),
    }
}

/// The bytes of the file that [`one_file`] lists.
pub(super) const ONE_FILE: &[u8] = b"six";

/// A gateway with a mirror whose page lists one file, which is not here, and the permission for it.
pub(super) async fn one_file(folder: &Path) -> (Flows, Context, Grant) {
    let (flows, index, page) = mirror(folder, ["six-1.zip".to_owned()]).await;
    let (cx, headers) = (flows.core.context(), HeaderMap::new());
    let (tickets, path) = (&flows.tickets, file_path(&page.files[0]));
    let ticket = tickets.ticket(&cx, &headers, &index, &path, AskedPart::Whole);
    let grant = ticket.await.unwrap().outcome.clone().unwrap();
    (flows, cx, grant)
}

/// A gateway with a mirror whose page of six lists these files.
pub(super) async fn mirror(
    folder: &Path,
    names: impl IntoIterator<Item = String>,
) -> (Flows, IndexName, Arc<ProjectPage>) {
    let policies = "indexes:\n  root/dairy: { type: mirror, mirror_url: 'https://upstream.example/simple/' }\n";
    let now = "2026-03-01T12:00:00Z".parse().unwrap();
    let flows = Flows::new(core(folder, now, (policies, &[])).await);
    let index = IndexName::parse("root/dairy").unwrap();
    let project = ProjectName::parse("six").unwrap();
    let mut page = ProjectPage::empty(project.clone());
    for name in names {
        let mut file = File::named(Filename::parse(&name, &project).unwrap());
        file.url = Some(format!("https://upstream.example/{name}").into());
        file.hashes = Hashes::sha256_only(Sha256::of(ONE_FILE));
        page.files.push(file);
    }
    let page = Arc::new(page);
    let validity = Validity {
        confirmed_at: now,
        fresh_until: Timestamp::MAX,
        etag: None,
        last_modified: None,
    };
    let held = SourcePage {
        page: Some(Arc::clone(&page)),
        validity,
        vanished_at: None,
        retry_at: None,
    };
    flows.mirrors.keep(&index, &project, held);
    (flows, index, page)
}
