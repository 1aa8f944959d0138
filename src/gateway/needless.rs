//! Private bytes that no record needs, according to the records.

use std::collections::HashSet;
use std::sync::Arc;

use crate::exchange::{Core, Error, blocking, records_failed};
use crate::model::Sha256;
use crate::store::{FsStore, Kept, StoreError};

/// The bytes that no record needs.
pub async fn needless(core: &Core) -> Result<Vec<(Sha256, Kept)>, Error> {
    let needed = core.records.referenced().await;
    let needed = needed.map_err(|error| records_failed("ask which bytes are needed", error))?;
    core.store.forget_needless(|digest| needed.contains(digest));
    on_store(core, move |store| needless_in(store, &needed)).await
}

/// Does blocking work on the store.
pub async fn on_store<T: Send + 'static>(
    core: &Core,
    work: impl FnOnce(&FsStore) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Error> {
    let store = Arc::clone(&core.store);
    let doing = "collect private bytes";
    let done = blocking(doing, move || work(&store)).await?;
    done.map_err(|error| Error::internal(doing, error))
}

fn needless_in(
    store: &FsStore,
    needed: &HashSet<Sha256>,
) -> Result<Vec<(Sha256, Kept)>, StoreError> {
    let is_needless = |kept: Kept| {
        let digest = kept.key.kept_under()?;
        (!needed.contains(&digest)).then_some((digest, kept))
    };
    let kept = store.private_contents();
    kept.filter_map(|kept| kept.map(is_needless).transpose())
        .collect()
}
