//! Keeps the catalogue up to date while the server runs, and has mirrors asked for their lists when somebody
//! searches: a gateway where nobody does never fetches them.

use std::sync::Arc;

use tokio::time::Instant;

use crate::gateway::Flows;
use crate::listen::Stop;
use crate::search::{CatalogueKeeper, CataloguedIndex};

/// Follows what changes, until the server stops.
pub(super) async fn keep_catalogue(flows: Arc<Flows>, stop: Stop) {
    let (core, limits) = (Arc::clone(&flows.core), &flows.core.settings.limits.search);
    let (records, store) = (Arc::clone(&core.records), Arc::clone(&core.store));
    let mut keeper = CatalogueKeeper::new(Arc::clone(&core.catalogue), records, store);
    let mut is_failing = false;
    let mut lists_due = Instant::now();
    loop {
        let followed = keeper.follow(indexes(&flows)).await;
        if let Err(error) = &followed
            && !is_failing
        {
            tracing::error!(%error, "what is searched is not up to date: the records cannot be read");
        }
        is_failing = followed.is_err();
        if core.catalogue.was_searched() && lists_due <= Instant::now() {
            lists_due = Instant::now() + limits.search_lists;
            tokio::spawn(ask_for_lists(Arc::clone(&flows)));
        }
        tokio::select! {
            () = tokio::time::sleep(limits.search_follow) => {}
            () = stop.requested() => return,
        }
    }
}

fn indexes(flows: &Flows) -> Vec<CataloguedIndex> {
    let generation = flows.core.generation();
    let indexes = generation.policies.indexes();
    let indexes = indexes.map(|index| CataloguedIndex {
        name: index.name.clone(),
        is_mirror: index.is_mirror(),
    });
    indexes.collect()
}

/// Has lists fetched that are not fresh, one after the other. What comes is kept, and noticed.
async fn ask_for_lists(flows: Arc<Flows>) {
    let cx = flows.core.context();
    if flows.core.settings.offline {
        return;
    }
    for index in cx.generation.policies.indexes() {
        if index.is_mirror()
            && let Err(error) = flows.names.listing_of(&cx, index, None).await
        {
            tracing::warn!(index = %index.name, %error, "its names are not searched: no project list came");
        }
    }
}
