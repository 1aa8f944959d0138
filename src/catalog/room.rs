//! Room for parsed pages (`limits.decoding`): a page of a few kilobytes may become many megabytes of
//! values, which stay until it has been kept and rendered.
//!
//! How much that is is known only once the page has been parsed, and nearly all are short. So a page is
//! first parsed up to a bound, and one that exceeds it waits for a larger share and is parsed again.

use std::sync::Arc;

use crate::cache::SourcePage;
use crate::catalog::page_copies::read_copy;
use crate::exchange::{Core, Error, blocking};
use crate::language::Mirror;
use crate::model::{IndexName, ProjectName};
use crate::page::{InvalidPage, Layers, ProjectPage, read_project_page};
use crate::store::Key;
use crate::upstream::{Page, Share};

/// What a byte of values costs until its page is rendered: itself, and besides the copy for the disk,
/// or the merged page with its rendering, plain and compressed.
const MADE_WEIGHT: u64 = 3;

/// How many times its own size a page's values may take at first: real pages stay near their own size.
const FIRST_ROOM: u64 = 2;

/// What is parsed and rendered without a share of its own: nearly all pages, each from our own disk or
/// memory.
const SMALL_BYTES: u64 = 256 << 10;

/// How much a byte of a copy on disk becomes, at most about: the shortest entries have some fifty.
const COPY_WEIGHT: u64 = 10;

/// Several requests may hold it: those that wait for one page share it.
pub type Held = Option<Arc<Share>>;

/// Parses an upstream's page, with a share for its values in place of the one for its bytes.
///
/// # Errors
/// `BadGateway` when it cannot be parsed or becomes larger than a page may; `Unavailable` when there is
/// no room in time.
pub async fn read_page(
    core: &Core,
    index: &IndexName,
    project: &ProjectName,
    page: &mut Page,
) -> Result<(ProjectPage, Share), Error> {
    let body_bytes = page.body.len() as u64;
    let held = page.share.take().map(|share| *share);
    let mut share = held.unwrap_or_else(|| core.settings.decoding.share());
    let most = core.settings.decoding.share_bytes_max();
    let mut wanted = body_bytes * (1 + FIRST_ROOM * MADE_WEIGHT) + (64 << 10);
    loop {
        wanted = wanted.min(most);
        share.widen_to(wanted).await.map_err(Error::busy)?;
        let room = wanted.saturating_sub(body_bytes) / MADE_WEIGHT;
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let (body, asked) = (page.body.clone(), project.clone());
        let (kind, url) = (page.content_type.clone(), page.final_url.clone());
        let work = move || read_project_page(room, kind.as_deref(), &body, url.as_str(), &asked);
        match blocking("read a page", work).await? {
            Ok(parsed) => {
                page.body.clear();
                share.shrink_to(MADE_WEIGHT * parsed.weight_bytes() as u64);
                return Ok((parsed, share));
            }
            Err(InvalidPage::Room(_)) if wanted < most => wanted = wanted.saturating_mul(4),
            Err(error) => {
                return Err(Error::bad_gateway(format!(
                    "{index} sent a page of {project} that cannot be read: {error}"
                )));
            }
        }
    }
}

/// The copy on disk, with a share if it is long; see [`read_copy`].
pub async fn copy_within_room(
    core: &Core,
    index: &IndexName,
    mirror: &Mirror,
    project: &ProjectName,
) -> Result<(Option<SourcePage>, Held), Error> {
    let key = Key::page(index, project);
    let length = core.store.length(&key);
    if length <= SMALL_BYTES {
        return Ok((read_copy(core, index, mirror, project), None));
    }
    let mut share = core.settings.decoding.share();
    let wanted = length.saturating_mul(COPY_WEIGHT);
    share.widen_to(wanted).await.map_err(Error::busy)?;
    let copy = read_copy(core, index, mirror, project);
    let weight = copy.as_ref().and_then(|copy| copy.page.as_ref());
    let weight = weight.map_or(0, |page| page.weight_bytes());
    share.shrink_to(MADE_WEIGHT * weight as u64);
    Ok((copy, Some(Arc::new(share))))
}

/// A share to render with, if the sources are long and came from memory without one.
///
/// # Errors
/// `Unavailable` when there is no room in time.
pub async fn room_to_render(
    core: &Core,
    layers: &Layers,
    shares: &[Arc<Share>],
) -> Result<Option<Share>, Error> {
    let wanted = (MADE_WEIGHT - 1) * layers.weight_bytes() as u64;
    let held = shares.iter().map(|share| share.bytes());
    let missing = wanted.saturating_sub(held.sum());
    if missing <= SMALL_BYTES {
        return Ok(None);
    }
    let share = core.settings.decoding.share_of(missing).await;
    share.map(Some).map_err(Error::busy)
}
