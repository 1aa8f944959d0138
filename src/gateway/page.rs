//! The page flow: resolve, merge, filter, render once for everybody, answer.
//!
//! A hot request finds its page rendered: it parses nothing, renders nothing, asks no records and
//! holds no lock across an await.

use std::mem::take;
use std::sync::Arc;

use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::cache::{
    Budget, Early, Flight, FlightError, Flights, Mark, RenderedKey, RenderedPage, RenderedPages,
};
use crate::catalog::{Resolution, Resolved, Stacks, candidate, room_to_render};
use crate::devpi::DevpiWords;
use crate::exchange::{
    Ask, Body, CacheResult, Context, Core, Decision, Error, Flow, Patience, RETRY_AFTER, Record,
    Reply, blocking, later, project_refused,
};
use crate::gateway::page_text::{Begun, Rules};
use crate::gateway::stretches::{Rendering, Stretches, TextKey};
use crate::gateway::tickets::{Inquiry, next_inquiries};
use crate::language::OnBlock;
use crate::model::{IndexName, ProjectName, Timestamp};
use crate::page::{Decided, Entry, Markup, PageForm, Ruling};
use crate::policy::{Denial, ProjectView, Verdict};
use crate::protocol::{ETag, Encoding, Format, Head, is_not_modified, wants_validated};
use crate::store::Growing;
use crate::telemetry::{CacheKind, LookUp, Staleness, Tier};

/// What an answer depends on, if its client decides between a page for people and one for installers.
pub const VARY_BY_CLIENT: &str = "Accept, Accept-Encoding, User-Agent";

/// Renderings under way. A request after a reload or a change of records joins no older rendering.
type Renderings = Flights<(RenderedKey, u64, Mark, bool), Flow<Rendered>>;

/// The outcome of rendering.
#[derive(Debug, Clone)]
enum Rendered {
    /// A page, and what the caches of its sources did.
    Page(Arc<RenderedPage>, CacheResult),
    /// The same while it is written; only before the end of the rendering.
    Growing(Arc<Growing>, CacheResult),
    /// Refused as a whole.
    Refused(Box<Denial>),
    /// These files are to be looked into first.
    Undecided(Arc<[Inquiry]>),
    /// No member knows the project.
    Unknown,
}

/// What comes of a request for a page.
pub enum Shown {
    /// An answer.
    Reply(Reply),
    /// Files of the page are to be looked into; then it is to be asked for again.
    Undecided(Arc<[Inquiry]>),
}

/// Which page in which shape.
#[derive(Debug, Clone)]
struct Wanted {
    index: IndexName,
    project: ProjectName,
    form: PageForm,
    format: Format,
    encoding: Encoding,
}

impl Wanted {
    /// Every combination has its own number: 5 forms, 3 formats, 3 encodings.
    fn key(&self) -> RenderedKey {
        let position = |at: Option<usize>| u8::try_from(at.unwrap_or(0)).unwrap_or(0);
        let form = position(PageForm::ALL.iter().position(|one| *one == self.form));
        let format = position(Format::ALL.iter().position(|one| *one == self.format));
        let encoding = position(Encoding::ALL.iter().position(|one| *one == self.encoding));
        RenderedKey {
            index: self.index.clone(),
            project: self.project.clone(),
            variant: (form * 3 + format) * 3 + encoding,
        }
    }

    /// The text that is encoded.
    fn text_key(&self) -> TextKey {
        TextKey {
            index: self.index.clone(),
            project: self.project.clone(),
            form: self.form,
            markup: match self.format {
                Format::Json => Markup::Json,
                Format::HtmlV1 | Format::Html => Markup::Html,
            },
        }
    }
}

/// Project pages, rendered once for everybody.
#[derive(Debug)]
pub struct Pages {
    core: Arc<Core>,
    stacks: Arc<Stacks>,
    rendered: RenderedPages,
    /// What they are made of, as far as that is worth keeping.
    stretches: Stretches,
    /// Pages that somebody waits for.
    renderings: Renderings,
    /// Pages made again as upstream has them, however long that takes.
    renewals: Renderings,
}

impl Pages {
    pub fn new(core: Arc<Core>, stacks: Arc<Stacks>, budget: &Budget) -> Self {
        Self {
            rendered: RenderedPages::new(budget.rendered),
            stretches: Stretches::new(budget.stretches),
            renderings: core.flights(),
            renewals: core.flights(),
            core,
            stacks,
        }
    }

    /// Forgets the pages of a project, in every stack.
    pub fn forget(&self, project: &ProjectName) {
        self.rendered.forget(project);
    }

    pub fn forget_all(&self) {
        self.rendered.forget_all();
        self.stretches.forget_all();
    }

    pub fn weight_bytes(&self) -> u64 {
        self.rendered.weight_bytes() + self.stretches.weight_bytes()
    }

    /// Answers a project page; once its files have been looked into (`is_settled`), in any case.
    pub async fn show(
        self: &Arc<Self>,
        cx: &Context,
        ask: &Ask<'_>,
        (index, project, form): (&IndexName, &ProjectName, PageForm),
        is_settled: bool,
        record: &mut Record,
    ) -> Flow<Shown> {
        let shown = |reply: Reply| Ok(Shown::Reply(reply));
        let wanted = Wanted {
            index: index.clone(),
            project: project.clone(),
            form,
            format: ask.format()?,
            encoding: ask.preferences.encoding,
        };
        let key = wanted.key();
        if let Some(page) = self.rendered.get(&key, cx.generation.number, cx.now)
            && (page.awaits.is_empty() || !wants_validated(ask.headers))
        {
            self.looked_for_page(LookUp::Hit);
            record.cache = page.stale.map_or(CacheResult::Hit, CacheResult::Stale);
            return shown(page_reply(ask, &page, take(record)));
        }
        // Before any record is read: changes from here on outdate this rendering.
        let mark = self.rendered.mark(&key);
        let must_be_latest = wants_validated(ask.headers);
        if !must_be_latest
            && let Some(page) = self.rendered.get_stale(&key, cx.generation.number, cx.now)
        {
            self.looked_for_page(LookUp::Updating);
            self.renew_behind(cx, wanted, mark);
            record.cache = CacheResult::Stale(page.stale.unwrap_or(Staleness::Updating));
            return shown(page_reply(ask, &page, take(record)));
        }
        self.looked_for_page(LookUp::Miss);
        let (pages, own_cx) = (Arc::clone(self), cx.clone());
        let flight = (key, cx.generation.number, mark, is_settled);
        let (flights, patience) = match must_be_latest {
            true => (&self.renewals, Patience::LatestPage),
            false => (&self.renderings, Patience::Page),
        };
        let (format, encoding) = (wanted.format, wanted.encoding);
        let flight = flights.board_early(flight, move |_, early| async move {
            pages
                .render(&own_cx, wanted, (mark, is_settled), patience, Some(early))
                .await
        });
        match rendered_for(ask, flight).await? {
            Rendered::Growing(growing, cache) => {
                record.cache = cache;
                record.decision = Decision::Allow;
                let head = early_head(vary(form), format, encoding);
                let body = Body::Growing {
                    growing,
                    start: 0,
                    length: None,
                };
                shown(Reply::new(StatusCode::OK, head, body, take(record)))
            }
            Rendered::Page(page, cache) => {
                record.cache = cache;
                shown(page_reply(ask, &page, take(record)))
            }
            Rendered::Refused(denial) => {
                let metrics = &self.core.metrics;
                shown(project_refused(metrics, &denial, ask.path, take(record)))
            }
            Rendered::Undecided(inquiries) => Ok(Shown::Undecided(inquiries)),
            Rendered::Unknown => {
                let words = DevpiWords::NoProject(project).to_string();
                Err(Error::not_found(words))
            }
        }
    }

    async fn render(
        self: &Arc<Self>,
        cx: &Context,
        wanted: Wanted,
        (mark, is_settled): (Mark, bool),
        patience: Patience,
        early: Option<Early<Flow<Rendered>>>,
    ) -> Flow<Rendered> {
        let (index, project) = (&wanted.index, &wanted.project);
        let resolved = self.stacks.resolve(cx, index, project, patience);
        let resolved = match resolved.await? {
            Resolution::Known(resolved) => resolved,
            Resolution::Refused(denial) => return Ok(Rendered::Refused(Box::new(denial))),
            Resolution::Unknown => return Ok(Rendered::Unknown),
        };
        let (resolved, open) = self.open(cx, resolved).await?;
        let has_open = !open.is_empty();
        if has_open && !is_settled {
            return Ok(Rendered::Undecided(open.into()));
        }
        let cache = resolved.cache;
        let room = room_to_render(&self.core, &resolved.layers, &resolved.shares).await?;
        let (pages, own_cx, filtered_at) = (Arc::clone(self), cx.clone(), self.core.clock.now());
        let begun = early.map(|early| -> Begun {
            Box::new(move |growing| early.tell(Ok(Rendered::Growing(growing, cache))))
        });
        let work = move || {
            let stretches = &pages.stretches;
            let mut page = render_page(stretches, &own_cx, &wanted, &resolved, filtered_at, begun);
            if has_open {
                // Soon somebody else has the rest looked into.
                page.valid_until = page.valid_until.min(later(filtered_at, RETRY_AFTER));
                page.stale_until = page.stale_until.min(page.valid_until);
            }
            let page = Arc::new(page);
            pages
                .rendered
                .insert_since(mark, wanted.key(), Arc::clone(&page));
            drop(room);
            page
        };
        let page = blocking("render the page", work).await?;
        Ok(Rendered::Page(page, cache))
    }

    /// The files that are to be looked into before the page is final.
    async fn open(&self, cx: &Context, resolved: Resolved) -> Flow<(Resolved, Vec<Inquiry>)> {
        if !resolved.view().asks_inside() {
            return Ok((resolved, Vec::new()));
        }
        let (limits, now) = (self.core.settings.limits.work.clone(), cx.now);
        let work = move || {
            let open = next_inquiries(&resolved, &limits, now);
            (resolved, open)
        };
        blocking("look for undecided files", work).await
    }

    /// Renders a page again while the expired one is served. Requests in the meantime start no further
    /// rendering, and those that must wait join this one.
    fn renew_behind(self: &Arc<Self>, cx: &Context, wanted: Wanted, mark: Mark) {
        let (pages, own_cx, key) = (Arc::clone(self), cx.clone(), wanted.key());
        let flight = (key.clone(), cx.generation.number, mark, false);
        let started = self.renewals.start(flight, move || async move {
            let rendered = pages.render(&own_cx, wanted, (mark, false), Patience::LatestPage, None);
            let rendered = rendered.await;
            match &rendered {
                Ok(Rendered::Page(..) | Rendered::Growing(..)) => {}
                // There is no such page any more: the next request is told why.
                Ok(Rendered::Refused(_) | Rendered::Unknown) => pages.rendered.remove(&key),
                // The next request has its new files looked into.
                Ok(Rendered::Undecided(_)) => pages.rendered.remove(&key),
                Err(error) => tracing::warn!(%error, "a page could not be made anew"),
            }
            rendered
        });
        if let Err(busy) = started {
            tracing::warn!(%busy, "a page is not made anew");
        }
    }

    fn looked_for_page(&self, result: LookUp) {
        let (tier, kind) = (Tier::Memory, CacheKind::Page);
        self.core.metrics.looked_up(tier, kind, result);
    }
}

/// What somebody is answered who waits for a rendering: the page while it is written, unless it can be
/// had whole. Only that has a tag and a length.
async fn rendered_for(
    ask: &Ask<'_>,
    flight: Result<Flight<Flow<Rendered>>, FlightError>,
) -> Flow<Rendered> {
    let busy = |busy| Error::busy(format_args!("render the page: {busy}"));
    let flight = flight.map_err(busy)?;
    let is_whole = ask.head || ask.headers.contains_key(IF_NONE_MATCH);
    if !is_whole {
        let early = flight.clone().landed().await.map_err(busy)?.value?;
        match early {
            // One that is complete is about to be kept.
            Rendered::Growing(growing, cache) if !growing.is_complete() => {
                return Ok(Rendered::Growing(growing, cache));
            }
            Rendered::Growing(..)
            | Rendered::Page(..)
            | Rendered::Refused(_)
            | Rendered::Undecided(_)
            | Rendered::Unknown => {}
        }
    }
    flight.ended().await.map_err(busy)?.value
}

/// Filters, renders and compresses; blocking, milliseconds for a large page that nobody has asked for.
///
/// Files are judged as of `filtered_at`: a request that joined while upstream was slow may have come
/// after the instant at which a rule changes its answer. The project was judged as of the context's
/// instant, so a rule that has changed since then ends the page immediately.
fn render_page(
    stretches: &Stretches,
    cx: &Context,
    wanted: &Wanted,
    resolved: &Resolved,
    filtered_at: Timestamp,
    begun: Option<Begun>,
) -> RenderedPage {
    let view = resolved.view();
    let rules = Rules {
        generation: cx.generation.number,
        silent: resolved.silent.clone(),
        siblings: match view.asks_for_siblings() {
            true => resolved.layers.pages().map(Arc::downgrade).collect(),
            false => Vec::new(),
        },
        end_at: resolved.stack.next_rule_change(filtered_at),
    };
    let (format, encoding) = (wanted.format, wanted.encoding);
    let rendering = stretches.render(
        wanted.text_key(),
        rules,
        &resolved.layers.merged(),
        &mut |entry| decide(&view, entry, filtered_at),
        (encoding, filtered_at),
        begun,
    );
    let Rendering { body, etag, .. } = rendering;
    let (valid_until, stale_until) = resolved.until(rendering.next_change, cx.now);
    let vary = vary(wanted.form);
    let [head, head_not_modified] = heads(&etag, vary, format, encoding, body.len() as u64);
    RenderedPage {
        head,
        head_not_modified,
        body: body.into(),
        etag,
        generation: cx.generation.number,
        valid_until,
        stale_until,
        stale: resolved.cache.staleness(),
        awaits: resolved.awaits.clone(),
    }
}

fn vary(form: PageForm) -> &'static str {
    match form {
        PageForm::Simple | PageForm::SimpleNoSlash | PageForm::Default => "Accept, Accept-Encoding",
        PageForm::Index | PageForm::IndexNoSlash => VARY_BY_CLIENT,
    }
}

/// The one decision, as a page sees it.
pub fn decide(view: &ProjectView<'_>, entry: &Entry<'_>, now: Timestamp) -> Decided {
    let candidate = candidate(entry);
    let ruling = match view.decide_file(&candidate, now) {
        Verdict::Allow(_) => Ruling::List,
        Verdict::Deny(denial) => match denial.on_block {
            OnBlock::Hide => Ruling::Hide,
            OnBlock::Yank => Ruling::ListAsYanked(denial.words().into()),
        },
    };
    Decided {
        ruling,
        next_change: view.next_change(&candidate, now),
    }
}

/// The heads of a 200 and of a 304. `no-cache`: a new rule must reach clients immediately.
pub fn heads(
    etag: &ETag,
    vary: &'static str,
    format: Format,
    encoding: Encoding,
    length: u64,
) -> [Arc<Head>; 2] {
    let mut not_modified = bare_head(vary);
    not_modified.insert(ETAG, etag.to_header());
    let mut head = not_modified.clone();
    describe(&mut head, format, encoding);
    head.insert(CONTENT_LENGTH, HeaderValue::from(length));
    [head, not_modified].map(|head| Arc::new(head.into()))
}

/// The head of a 200 whose content is still being made: neither its tag nor its length is known.
pub fn early_head(vary: &'static str, format: Format, encoding: Encoding) -> HeaderMap {
    let mut head = bare_head(vary);
    describe(&mut head, format, encoding);
    head
}

fn bare_head(vary: &'static str) -> HeaderMap {
    let mut head = HeaderMap::new();
    head.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    head.insert(VARY, HeaderValue::from_static(vary));
    head
}

fn describe(head: &mut HeaderMap, format: Format, encoding: Encoding) {
    let content_type = HeaderValue::from_static(format.content_type());
    head.insert(CONTENT_TYPE, content_type);
    if let Some(encoding) = encoding.content_encoding() {
        head.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
}

fn page_reply(ask: &Ask<'_>, page: &RenderedPage, record: Record) -> Reply {
    let heads = [&page.head, &page.head_not_modified];
    rendered_reply(ask, &page.etag, heads, record, || {
        Body::Bytes(page.body.clone())
    })
}

/// The reply with a rendered text and the heads that [`heads`] made.
pub fn rendered_reply(
    ask: &Ask<'_>,
    etag: &ETag,
    [head, not_modified]: [&Arc<Head>; 2],
    mut record: Record,
    body: impl FnOnce() -> Body,
) -> Reply {
    record.decision = Decision::Allow;
    let (status, head, body) = if is_not_modified(ask.headers, Some(etag), None) {
        (StatusCode::NOT_MODIFIED, not_modified, Body::Empty)
    } else if ask.head {
        (StatusCode::OK, head, Body::Empty)
    } else {
        (StatusCode::OK, head, body())
    };
    Reply {
        status,
        reason: None,
        head: Arc::clone(head),
        body,
        record,
    }
}
