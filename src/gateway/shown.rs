//! A file of devpi's is served from here only while devpi would serve it to everybody.

use url::Url;

use crate::exchange::{Context, Error, upstream_error};
use crate::gateway::tickets::Grant;

/// Checks that a granted file is for everybody, if it is one of devpi's.
///
/// # Errors
/// `Withheld`, with the place where devpi has it.
pub async fn must_be_shown(cx: &Context, grant: &Grant, is_offline: bool) -> Result<(), Error> {
    let upstream = cx.generation.upstreams.get(&grant.owner);
    let Some(upstream) = upstream.filter(|one| one.has_fleet() && !is_offline) else {
        return Ok(());
    };
    let url = grant.file.item().url.as_deref().map(Url::parse);
    let Some(Ok(url)) = url else {
        return Ok(());
    };
    let shown = upstream.is_shown(&url).await;
    shown.map_err(upstream_error)
}
