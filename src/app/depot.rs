//! Tries out the bucket of a configuration, without a server.

use crate::app::house::open_depot;
use crate::app::setup::Setup;
use crate::app::streams::metrics;
use crate::app::work::runtime;

/// Where uploaded files are kept, and why that cannot be; the trial leaves nothing behind.
///
/// # Errors
/// Faults in the configuration, or no depot in it.
pub fn try_depot(setup: &Setup) -> anyhow::Result<(String, Option<String>)> {
    let config = setup.load()?.config;
    let depot = open_depot(&config, &metrics()?)?;
    let depot = depot.ok_or_else(|| {
        anyhow::anyhow!(
            "there is no depot: uploaded files are in {}",
            config.data.display()
        )
    })?;
    let tried = runtime()?.block_on(depot.try_out());
    let fault = tried.err().map(|error| error.to_string());
    Ok((depot.words().to_owned(), fault))
}
