//! Uploads, deletions and what flows notice, followed; and the same after a restart.

use serde_json::json;

use super::*;
use crate::db::{Cause, OnConflict, Publication, Removal, Sqlite};
use crate::model::{Hashes, SearchLimits, Timestamp};
use crate::protocol::ReleaseMetadata;
use crate::search::query::SearchQuery;
use crate::store::Key;

struct Bench {
    _folder: tempfile::TempDir,
    keeper: CatalogueKeeper,
    indexes: Vec<CataloguedIndex>,
}

fn index(name: &str) -> IndexName {
    IndexName::parse(name).unwrap()
}

fn project(name: &str) -> ProjectName {
    ProjectName::parse(name).unwrap()
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        let records = Sqlite::open(&path, Timestamp::UNIX_EPOCH).await.unwrap();
        let store = FsStore::open(&folder.path().join("store"), 1 << 20).unwrap();
        let catalogue = Arc::new(Catalogue::new(&SearchLimits::default()));
        let one = |name: &str, is_mirror| CataloguedIndex {
            name: index(name),
            is_mirror,
        };
        Self {
            keeper: CatalogueKeeper::new(catalogue, Arc::new(records), Arc::new(store)),
            indexes: vec![one("me/dev", false), one("root/pypi", true)],
            _folder: folder,
        }
    }

    async fn publish(&self, name: &str, version: &str, summary: &str) {
        let metadata = json!({ "name": name, "version": version, "summary": summary });
        let publication = Publication {
            index: index("me/dev"),
            project: project(name),
            spelling: name.to_owned(),
            version: version.to_owned(),
            metadata: metadata.as_object().unwrap().clone(),
            files: Vec::new(),
            on_conflict: OnConflict::Replace,
        };
        self.keeper
            .records
            .publish(&cause(), &publication)
            .await
            .unwrap();
    }

    async fn remove(&self, name: &str, removal: Removal<'_>) {
        let (index, name, cause) = (index("me/dev"), project(name), cause());
        let removed = self.keeper.records.remove(&cause, (&index, &name), removal);
        removed.await.unwrap().unwrap();
    }

    async fn follow(&mut self) {
        self.keeper.follow(self.indexes.clone()).await.unwrap();
    }

    /// What is found for a query, each with its index, version and summary.
    fn found(&self, typed: &str) -> Vec<String> {
        let catalogue = &self.keeper.catalogue;
        let (edition, query) = (catalogue.edition(), SearchQuery::parse(typed));
        let scope = edition.scope(|_| true);
        let names = catalogue.search(&edition, &query, (&scope, 100), &|_, _| true);
        let told = names.flat_map(|name| {
            let held = edition.holdings(&name, &scope);
            let told = held
                .into_iter()
                .map(|one| format!("{} {name} {} {}", one.index, one.version, one.summary));
            told.collect::<Vec<_>>()
        });
        told.collect()
    }
}

fn cause() -> Cause {
    Cause {
        who: None,
        at: Timestamp::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn uploads_and_deletions_are_followed_and_a_restart_finds_the_same() {
    let mut bench = Bench::new().await;
    bench.publish("Cheddar", "1.0", "hard cheese").await;
    bench.publish("Cheddar", "1.10", "harder cheese").await;
    bench.publish("Cheddar", "1.9", "old cheese").await;
    bench.publish("Cheddar", "2.0rc1", "cheese to come").await;
    bench.follow().await;
    assert_eq!(bench.found("harder"), ["me/dev cheddar 1.10 harder cheese"]);
    assert_eq!(bench.found("come"), [""; 0]);
    bench.publish("brie", "1.0", "soft cheese").await;
    assert_eq!(bench.found("brie"), [""; 0]);
    bench.follow().await;
    assert_eq!(bench.found("brie"), ["me/dev brie 1.0 soft cheese"]);
    bench.remove("cheddar", Removal::Release("1.10")).await;
    bench.follow().await;
    assert_eq!(bench.found("cheddar"), ["me/dev cheddar 1.9 old cheese"]);
    bench.remove("cheddar", Removal::Project).await;
    bench.follow().await;
    assert_eq!(bench.found("cheddar"), [""; 0]);
    assert_eq!(bench.found("cheese"), ["me/dev brie 1.0 soft cheese"]);
    bench.keeper.as_of = None;
    bench.follow().await;
    assert_eq!(bench.found("cheese"), ["me/dev brie 1.0 soft cheese"]);
}

#[tokio::test]
async fn many_changes_are_merged_and_lose_nothing() {
    let mut bench = Bench::new().await;
    bench.publish("first", "1.0", "of all").await;
    bench.follow().await;
    for number in 0..=RECENT_MAX {
        bench
            .publish(&format!("cheese-{number}"), "1.0", "one of many")
            .await;
    }
    bench.follow().await;
    assert!(bench.keeper.recent.is_empty());
    assert_eq!(bench.keeper.base.entries.len(), RECENT_MAX + 2);
    assert_eq!(bench.found("first"), ["me/dev first 1.0 of all"]);
    let last = format!("cheese-{RECENT_MAX}");
    assert_eq!(
        bench.found(&last)[0],
        format!("me/dev {last} 1.0 one of many")
    );
}

#[tokio::test]
async fn what_flows_notice_is_found_and_kept() {
    let mut bench = Bench::new().await;
    bench.follow().await;
    let (mirror, store) = (index("root/pypi"), Arc::clone(&bench.keeper.store));
    let about = |version: &str, summary: &str| {
        let metadata = format!("Summary: {summary}\n");
        ReleaseAbout::of(version, &ReleaseMetadata::of_file(metadata.as_bytes()))
    };
    let catalogue = Arc::clone(&bench.keeper.catalogue);
    catalogue.asked_for(&mirror, &project("six"));
    catalogue.described(&mirror, &project("six"), about("1.0", "two and three"));
    catalogue.described(&index("no/body"), &project("seven"), about("1.0", ""));
    let list = Key::ProjectList {
        index: mirror.clone(),
    };
    store.put_small(&list, b"seven\nsix\n").unwrap();
    catalogue.listed();
    bench.follow().await;
    assert_eq!(bench.found("three"), ["root/pypi six 1.0 two and three"]);
    assert_eq!(bench.found("seven"), ["root/pypi seven  "]);
    // An older release says nothing new, and being asked for again takes nothing away.
    catalogue.described(&mirror, &project("six"), about("0.9", "older"));
    bench.follow().await;
    catalogue.asked_for(&mirror, &project("six"));
    bench.follow().await;
    assert_eq!(bench.found("six"), ["root/pypi six 1.0 two and three"]);
    // After a restart it is found by the page that is held.
    store
        .put_small(&Key::page(&mirror, &project("six")), b"{}")
        .unwrap();
    bench.keeper.as_of = None;
    bench.keeper.recent.clear();
    bench.follow().await;
    assert_eq!(bench.found("three"), ["root/pypi six 1.0 two and three"]);
    let kept = store.read_known(
        &Key::described(&mirror, &project("seven")),
        1,
        &Hashes::default(),
    );
    assert_eq!(kept.unwrap(), None);
}
