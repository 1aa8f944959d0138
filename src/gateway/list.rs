//! The project list of a stack. The largest index has most of a million names, so a list is never held
//! rendered in memory: it is rendered to disk once per form and answered like any other file.
//!
//! Who asks while a long one is being made is sent what there is of it, and the rest as it comes, without
//! a length or a tag. Its last bytes are written when every member has said all of its names; if one
//! does not, the answer ends early. Who asks whether a list has changed, or for its head alone, waits for
//! the whole. Each name stands there once: while an upstream's list arrives, in the order of the stack's
//! members, and of the upstream's list; in one made of lists that are here, sorted.

mod writing;

use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use http::header::IF_NONE_MATCH;

use crate::cache::{Early, Flights, InFlight, Mark, Weighed};
use crate::catalog::{Listing, Names, unknown_index};
use crate::exchange::{
    Ask, Body, CacheResult, Context, Core, Decision, Error, Flow, Record, Reply, blocking,
};
use crate::gateway::list::writing::ListWriting;
use crate::gateway::page::{VARY_BY_CLIENT, early_head, heads, rendered_reply};
use crate::model::{IndexName, ProjectName, Timestamp};
use crate::page::{Markup, ProjectNames};
use crate::policy::{Stack, Verdict};
use crate::protocol::{ETag, Encoding, Format, wants_validated};
use crate::store::{Growing, Key, StoredFile};
use crate::telemetry::{CacheKind, Staleness, Tier};

/// Different lists being fetched or rendered at one time: more than the indexes that are asked for at
/// the same time, and few enough that their forty megabytes each do no harm.
const LISTS_MAX: usize = 8;

/// Most lists remembered, each a handle of a file: a thousand indexes in every form and encoding.
const REMEMBERED_MAX: u64 = 6_000;

type ListKey = (IndexName, Markup, Encoding);

/// A request after a reload or a change of records joins no older rendering, and one that wants to see
/// what upstream has now joins none that answers what was held.
type ListFlights = Flights<(ListKey, u64, Mark, bool), Flow<MadeList>>;

/// Project lists, rendered to disk.
#[derive(Debug)]
pub struct Lists {
    core: Arc<Core>,
    names: Arc<Names>,
    rendered: Weighed<ListKey, Arc<RenderedList>>,
    rendering: ListFlights,
}

#[derive(Debug, Clone)]
enum MadeList {
    Whole(Arc<RenderedList>),
    Growing(Arc<Growing>, Option<Staleness>),
}

#[derive(Debug)]
struct RenderedList {
    file: Arc<StoredFile>,
    etag: ETag,
    life: Life,
}

/// How long a list may be served, and how it is described.
#[derive(Debug, Clone)]
struct Life {
    generation: u64,
    valid_until: Timestamp,
    stale: Option<Staleness>,
    /// Upstreams that are still being asked; the list holds until one of them has answered.
    awaits: Vec<InFlight>,
}

/// Which list, of whom, and how long its upstreams may take where a list of theirs is held.
struct WantedList {
    key: ListKey,
    stack: Arc<Stack>,
    patience: Option<Duration>,
}

impl Lists {
    pub fn new(core: Arc<Core>, names: Arc<Names>) -> Self {
        Self {
            rendered: Weighed::new(REMEMBERED_MAX, |_, _| 1),
            rendering: Flights::new(core.work.clone(), LISTS_MAX),
            core,
            names,
        }
    }

    /// Forgets what was rendered: a stage's projects have changed.
    pub fn forget(&self) {
        self.rendered.remove_if(|_| true);
    }

    /// Answers the project list of an index.
    pub async fn project_list(
        self: &Arc<Self>,
        cx: &Context,
        ask: &Ask<'_>,
        index: &IndexName,
        record: &mut Record,
    ) -> Flow<Reply> {
        let format = ask.format()?;
        let markup = match format {
            Format::Json => Markup::Json,
            Format::HtmlV1 | Format::Html => Markup::Html,
        };
        let encoding = ask.preferences.encoding;
        let key = (index.clone(), markup, encoding);
        let must_be_latest = wants_validated(ask.headers);
        let held = self.rendered.get(&key);
        let held = held.filter(|list| {
            let life = &list.life;
            life.generation == cx.generation.number
                && cx.now < life.valid_until
                && !life.awaits.iter().any(InFlight::is_over)
                && (life.awaits.is_empty() || !must_be_latest)
        });
        let (list, cache) = match self.core.look(Tier::Store, CacheKind::Page, held) {
            Some(list) => (MadeList::Whole(list), CacheResult::Hit),
            None => {
                let is_whole = ask.head || ask.headers.contains_key(IF_NONE_MATCH);
                let list = self.render_once(cx, key, must_be_latest, is_whole).await?;
                (list, CacheResult::Miss)
            }
        };
        Ok(match list {
            MadeList::Whole(list) => {
                record.cache = list.life.stale.map_or(cache, CacheResult::Stale);
                let length = list.file.len();
                let [head, not_modified] =
                    heads(&list.etag, VARY_BY_CLIENT, format, encoding, length);
                let heads = [&head, &not_modified];
                rendered_reply(ask, &list.etag, heads, take(record), || Body::File {
                    file: Arc::clone(&list.file),
                    start: 0,
                    length,
                })
            }
            MadeList::Growing(growing, stale) => {
                record.cache = stale.map_or(cache, CacheResult::Stale);
                record.decision = Decision::Allow;
                let head = early_head(VARY_BY_CLIENT, format, encoding);
                let body = Body::Growing {
                    growing,
                    start: 0,
                    length: None,
                };
                Reply::new(StatusCode::OK, head, body, take(record))
            }
        })
    }

    async fn render_once(
        self: &Arc<Self>,
        cx: &Context,
        key: ListKey,
        must_be_latest: bool,
        is_whole: bool,
    ) -> Flow<MadeList> {
        let Some(stack) = cx.generation.policies.stack(&key.0) else {
            return Err(unknown_index(&key.0));
        };
        // Before any record is read: changes from here on outdate this rendering.
        let mark = self.rendered.mark(&key);
        let wanted = WantedList {
            key: key.clone(),
            stack: Arc::clone(stack),
            patience: (!must_be_latest).then_some(self.core.settings.cache.patience),
        };
        let flight = (key, cx.generation.number, mark, must_be_latest);
        let (lists, cx) = (Arc::clone(self), cx.clone());
        let flight = self
            .rendering
            .board_early(flight, move |_, early| async move {
                let list = lists.render(&cx, &wanted, early).await?;
                let list = Arc::new(list);
                lists
                    .rendered
                    .insert_since(mark, wanted.key, Arc::clone(&list));
                Ok(MadeList::Whole(list))
            });
        let busy = |busy| Error::busy(format_args!("make the list: {busy}"));
        let flight = flight.map_err(busy)?;
        let early = match is_whole {
            true => None,
            false => Some(flight.clone().landed().await.map_err(busy)?.value?),
        };
        match early {
            // One that is complete is about to be kept, with its length and its tag.
            Some(MadeList::Growing(growing, stale)) if !growing.is_complete() => {
                Ok(MadeList::Growing(growing, stale))
            }
            _ => flight.ended().await.map_err(busy)?.value,
        }
    }

    async fn render(
        &self,
        cx: &Context,
        wanted: &WantedList,
        early: Early<Flow<MadeList>>,
    ) -> Flow<RenderedList> {
        let (stack, now) = (&wanted.stack, cx.now);
        let members = stack.members.iter();
        let listings = members.map(|member| {
            let names = &self.names;
            names.listing_of(cx, &member.index, wanted.patience)
        });
        let listings: Flow<Vec<Listing>> = join_all(listings).await.into_iter().collect();
        let listings = listings?;
        let life = life(cx, stack, &listings);
        let writing = self.begin(wanted, early, life.stale)?;
        let writing = match whole(&listings) {
            Some(sources) => {
                let stack = Arc::clone(stack);
                let work = move || {
                    let mut writing = writing;
                    for name in visible(&stack, &sources, now).iter() {
                        writing.name(name)?;
                    }
                    Flow::Ok(writing)
                };
                blocking("make the list", work).await??
            }
            None => write_arriving(writing, stack, listings, now).await?,
        };
        let (file, etag) = blocking("make the list", || writing.end()).await??;
        Ok(RenderedList {
            file: Arc::new(file),
            etag,
            life,
        })
    }

    fn begin(
        &self,
        wanted: &WantedList,
        early: Early<Flow<MadeList>>,
        stale: Option<Staleness>,
    ) -> Flow<ListWriting> {
        let (index, markup, encoding) = wanted.key.clone();
        let variant = variant(markup, encoding);
        let making = self.core.store.make(Key::RenderedList { index, variant });
        let making = making.map_err(|error| Error::internal("keep the list", error))?;
        let growing = making.growing();
        let begun = Box::new(move || early.tell(Ok(MadeList::Growing(growing, stale))));
        Ok(ListWriting::new(markup, encoding, making, begun))
    }
}

fn life(cx: &Context, stack: &Stack, listings: &[Listing]) -> Life {
    let mut life = Life {
        generation: cx.generation.number,
        valid_until: stack.next_rule_change(cx.now).unwrap_or(Timestamp::MAX),
        stale: None,
        awaits: Vec::new(),
    };
    let mut cache = CacheResult::Bypass;
    for listing in listings {
        let until = match listing {
            Listing::Arriving(_, until) => *until,
            Listing::Whole(named) => {
                let stale = named.stale.map(CacheResult::Stale);
                cache = stale.map_or(cache, |stale| cache.worse(stale));
                life.awaits.extend(named.awaits.clone());
                named.until
            }
        };
        life.valid_until = life.valid_until.min(until);
    }
    life.stale = cache.staleness();
    life
}

/// The names of every member, if none of them is still arriving.
fn whole(listings: &[Listing]) -> Option<Vec<Arc<ProjectNames>>> {
    let names = |listing: &Listing| match listing {
        Listing::Whole(named) => Some(Arc::clone(&named.names)),
        Listing::Arriving(..) => None,
    };
    listings.iter().map(names).collect()
}

/// Writes the names of one member after the other, as they come.
async fn write_arriving(
    mut writing: ListWriting,
    stack: &Arc<Stack>,
    listings: Vec<Listing>,
    now: Timestamp,
) -> Flow<ListWriting> {
    let mut earlier: Arc<[Arc<ProjectNames>]> = Arc::default();
    let last = listings.len().saturating_sub(1);
    for (position, listing) in listings.into_iter().enumerate() {
        let write = |writing, blocks: Vec<Arc<str>>| {
            let filter = ListFilter {
                stack: Arc::clone(stack),
                earlier: Arc::clone(&earlier),
                now,
            };
            blocking("make the list", move || {
                filter.write(writing, position, &blocks)
            })
        };
        let names = match listing {
            Listing::Whole(named) => {
                let block = named.names.as_text().into();
                writing = write(writing, vec![block]).await??;
                named.names
            }
            Listing::Arriving(arriving, _) => {
                let mut at = 0;
                let ended = loop {
                    match arriving.next(at).await {
                        Ok(Some(blocks)) => {
                            at += blocks.len();
                            writing = write(writing, blocks).await??;
                        }
                        Ok(None) if position == last => break Ok(Arc::default()),
                        // The members behind it may have names of its own.
                        Ok(None) => break arriving.names().await,
                        Err(error) => break Err(error),
                    }
                };
                match ended {
                    Ok(names) => names,
                    Err(error) => {
                        writing.give_up(&error);
                        return Err(error);
                    }
                }
            }
        };
        earlier = earlier.iter().cloned().chain([names]).collect();
    }
    Ok(writing)
}

/// What of a member's names stands in the list.
struct ListFilter {
    stack: Arc<Stack>,
    /// The names of the members before it.
    earlier: Arc<[Arc<ProjectNames>]>,
    now: Timestamp,
}

impl ListFilter {
    fn write(
        &self,
        mut writing: ListWriting,
        position: usize,
        blocks: &[Arc<str>],
    ) -> Flow<ListWriting> {
        let has = |member: usize, name: &str| {
            let names = self.earlier.get(member);
            names.is_some_and(|names| names.contains(name))
        };
        for name in blocks.iter().flat_map(|block| block.lines()) {
            let shows = |member| {
                is_shown(&self.stack, member, name, self.now, &|stage| {
                    has(stage, name)
                })
            };
            let is_written = (0..position).any(|member| has(member, name) && shows(member));
            if !is_written && shows(position) {
                writing.name(name)?;
            }
        }
        Ok(writing)
    }
}

/// The names that the stack shows: a mirror's only if the rules let it speak for them.
fn visible(stack: &Stack, sources: &[Arc<ProjectNames>], now: Timestamp) -> ProjectNames {
    let references: Vec<&ProjectNames> = sources.iter().map(AsRef::as_ref).collect();
    ProjectNames::merge(&references, &mut |position, name| {
        let holds = |member: usize| sources[member].contains(name);
        is_shown(stack, position, name, now, &holds)
    })
}

/// Whether a stack shows a name that one of its members lists; `holds` says whether a stage of it has the
/// name.
fn is_shown(
    stack: &Stack,
    position: usize,
    name: &str,
    now: Timestamp,
    holds: &dyn Fn(usize) -> bool,
) -> bool {
    let members = &stack.members;
    if !members[position].index.is_mirror() {
        return true;
    }
    let is_held = |member: usize| !members[member].index.is_mirror() && holds(member);
    // Of a million names, most are of no rule's and no stage's concern.
    if !stack.may_refuse_name(name) && !(0..members.len()).any(is_held) {
        return true;
    }
    let Ok(project) = ProjectName::parse(name) else {
        return false;
    };
    let holds = |index: &IndexName| stack.position(index).is_some_and(holds);
    match stack.decide_project(&project, now, &holds) {
        Verdict::Allow(allowed) => allowed.item().ask.contains(&position),
        Verdict::Deny(_) => false,
    }
}

fn variant(markup: Markup, encoding: Encoding) -> &'static str {
    match (markup, encoding) {
        (Markup::Json, Encoding::Identity) => "list.json",
        (Markup::Json, Encoding::Gzip) => "list.json.gz",
        (Markup::Json, Encoding::Zstd) => "list.json.zst",
        (Markup::Html, Encoding::Identity) => "list.html",
        (Markup::Html, Encoding::Gzip) => "list.html.gz",
        (Markup::Html, Encoding::Zstd) => "list.html.zst",
    }
}
