//! The page flow: resolve, merge, filter, render once for everybody, answer.
//!
//! A hot request finds its page rendered: it parses nothing, renders nothing, asks no records and
//! holds no lock across an await.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::cache::{Flights, Mark, RenderedKey, RenderedPage};
use crate::gateway::ask::Ask;
use crate::gateway::context::{Context, Shared};
use crate::gateway::error::{Error, ErrorKind};
use crate::gateway::refusal::{project_refused, rule_text};
use crate::gateway::reply::{Body, CacheResult, Decision, Record, Reply};
use crate::gateway::resolve::{Resolution, Resolved};
use crate::gateway::source::Patience;
use crate::model::{IndexName, ProjectName, Sha256, Timestamp};
use crate::page::{Decided, Entry, FileLinks, PageForm, Ruling, filter, render_html, render_json};
use crate::policy::{Candidate, Denial, OnBlock, ProjectView, Verdict};
use crate::protocol::{ETag, Encoding, Format, is_not_modified, wants_validated};
use crate::telemetry::{CacheKind, LookUp, Mode, Staleness, Tier};

/// gzip's level: past 6 a page shrinks by little and costs much.
const GZIP_LEVEL: u32 = 6;

/// zstd's level: its own default.
const ZSTD_LEVEL: i32 = 3;

/// Hexadecimal digits of a page's tag: 128 bits of its sha256 tell versions of a page apart.
const ETAG_DIGITS: usize = 32;

/// Renderings under way. Who asks after a reload or a change of records joins no older rendering.
pub type Renderings = Flights<(RenderedKey, u64, Mark), Result<Rendered, Arc<Error>>>;

/// How a page came out.
#[derive(Debug, Clone)]
pub enum Rendered {
    /// A page, and what the caches of its sources did.
    Page(Arc<RenderedPage>, CacheResult),
    /// Refused as a whole.
    Refused(Denial),
    /// Nobody knows the project.
    Unknown,
}

/// Which page in which shape.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub index: IndexName,
    pub project: ProjectName,
    pub form: PageForm,
    pub format: Format,
    pub encoding: Encoding,
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
}

impl Shared {
    /// Answers a project page.
    pub async fn project_page(
        self: &Arc<Self>,
        cx: &Context,
        ask: &Ask<'_>,
        index: &IndexName,
        project: &ProjectName,
        form: PageForm,
        mut record: Record,
    ) -> Result<Reply, (Arc<Error>, Record)> {
        let format = match ask.preferences.format(ask.query) {
            Ok(format) => format,
            Err(error) => {
                let error = Error::new(ErrorKind::NotAcceptable, error.to_string());
                return Err((Arc::new(error), record));
            }
        };
        let encoding = ask.preferences.encoding;
        let (index, project) = (index.clone(), project.clone());
        let wanted = Wanted {
            index,
            project,
            form,
            format,
            encoding,
        };
        let key = wanted.key();
        if let Some(page) = self.rendered.get(&key, cx.generation.number, cx.now) {
            self.looked_for_page(LookUp::Hit);
            record.cache = page.stale.map_or(CacheResult::Hit, CacheResult::Stale);
            return Ok(page_reply(ask, &page, record));
        }
        // Before any record is read: what changes from here on outdates this rendering.
        let mark = self.rendered.mark();
        if !wants_validated(ask.headers)
            && let Some(page) = self.rendered.get_stale(&key, cx.generation.number, cx.now)
        {
            self.looked_for_page(LookUp::Updating);
            self.renew_behind(cx, wanted, mark);
            record.cache = CacheResult::Stale(page.stale.unwrap_or(Staleness::Updating));
            return Ok(page_reply(ask, &page, record));
        }
        self.looked_for_page(LookUp::Miss);
        let (shared, own_cx) = (Arc::clone(self), cx.clone());
        let joined = self
            .renderings
            .join((key, cx.generation.number, mark), move || async move {
                shared.render(&own_cx, wanted, mark).await
            });
        let rendered = match joined.await {
            Ok(joined) => joined.value,
            Err(error) => {
                let kind = ErrorKind::Unavailable(Some(1));
                Err(Arc::new(Error::new(
                    kind,
                    format!("render the page: {error}"),
                )))
            }
        };
        self.rendered_reply(ask, rendered, record)
    }

    fn rendered_reply(
        &self,
        ask: &Ask<'_>,
        rendered: Result<Rendered, Arc<Error>>,
        mut record: Record,
    ) -> Result<Reply, (Arc<Error>, Record)> {
        match rendered {
            Ok(Rendered::Page(page, cache)) => {
                record.cache = cache;
                Ok(page_reply(ask, &page, record))
            }
            Ok(Rendered::Refused(denial)) => {
                self.count_denial(&denial);
                Ok(project_refused(&denial, ask.path, record))
            }
            Ok(Rendered::Unknown) => {
                let project = record
                    .project
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                let error = Error::not_found(format!("The project {project} does not exist."));
                Err((Arc::new(error), record))
            }
            Err(error) => Err((error, record)),
        }
    }

    async fn render(
        self: &Arc<Self>,
        cx: &Context,
        wanted: Wanted,
        mark: Mark,
    ) -> Result<Rendered, Arc<Error>> {
        let resolved = self
            .resolve(cx, &wanted.index, &wanted.project, Patience::Page)
            .await?;
        let resolved = match resolved {
            Resolution::Known(resolved) => resolved,
            Resolution::Refused(denial) => return Ok(Rendered::Refused(denial)),
            Resolution::Unknown => return Ok(Rendered::Unknown),
        };
        let cache = resolved.cache;
        let (shared, own_cx, filtered_at) = (Arc::clone(self), cx.clone(), self.clock.now());
        let work = move || {
            let page = Arc::new(render_page(&own_cx, &wanted, &resolved, filtered_at));
            shared
                .rendered
                .insert_since(mark, wanted.key(), Arc::clone(&page));
            page
        };
        let page = tokio::task::spawn_blocking(work).await;
        let page = page.map_err(|error| Arc::new(Error::internal("render the page", error)))?;
        Ok(Rendered::Page(page, cache))
    }

    /// Makes a page anew while the one that has grown old is answered. Who asks in the meantime starts
    /// nothing more, and whoever must wait joins.
    fn renew_behind(self: &Arc<Self>, cx: &Context, wanted: Wanted, mark: Mark) {
        let (shared, own_cx, key) = (Arc::clone(self), cx.clone(), wanted.key());
        let flight = (key.clone(), cx.generation.number, mark);
        let started = self.renderings.start(flight, move || async move {
            let rendered = shared.render(&own_cx, wanted, mark).await;
            match &rendered {
                Ok(Rendered::Page(..)) => {}
                // There is no such page any more: the next one to ask is told why.
                Ok(Rendered::Refused(_) | Rendered::Unknown) => shared.rendered.remove(&key),
                Err(error) => tracing::warn!(%error, "a page could not be made anew"),
            }
            rendered
        });
        if let Err(busy) = started {
            tracing::warn!(%busy, "a page is not made anew");
        }
    }

    fn looked_for_page(&self, result: LookUp) {
        self.metrics
            .looked_up(Tier::Memory, CacheKind::Page, result);
    }

    /// Counts a refusal by its rule.
    pub fn count_denial(&self, denial: &Denial) {
        self.count(denial, Mode::Enforce);
    }

    /// Counts what a policy that only audits would have refused.
    pub fn count_audited(&self, denial: &Denial) {
        self.count(denial, Mode::Audit);
    }

    fn count(&self, denial: &Denial, mode: Mode) {
        let (index, rule) = (&denial.rule().index, rule_text(denial));
        let ruling = crate::telemetry::Ruled::Deny;
        self.metrics.decision(index.as_str(), &rule, ruling, mode);
    }
}

/// Filters, renders and compresses; blocking, milliseconds for a large page.
///
/// Files are judged as of `filtered_at`: whoever joined while upstream thought may have come after the
/// instant at which a rule changes its mind. The project was judged as of the context's, so a rule
/// that has changed since then ends the page at once.
fn render_page(
    cx: &Context,
    wanted: &Wanted,
    resolved: &Resolved,
    filtered_at: Timestamp,
) -> RenderedPage {
    let view = resolved.view();
    let filtered = filter(&resolved.merged, &mut |entry| {
        decide(&view, entry, filtered_at)
    });
    let links = FileLinks::new(wanted.form, &wanted.index);
    let plain = match wanted.format {
        Format::Json => render_json(&filtered, &links),
        Format::HtmlV1 | Format::Html => render_html(&filtered, &links),
    };
    let changes = [
        filtered.next_change,
        resolved.stack.next_rule_change(cx.now),
    ];
    // What a rule says holds to the instant; only sources are given time.
    let earliest = |sources: Timestamp| {
        let changes = changes.iter().copied().flatten();
        changes.fold(sources, Timestamp::min)
    };
    let etag = etag(&plain, wanted.encoding);
    let body = encode(plain, wanted.encoding);
    let head_not_modified = page_head(wanted, &etag);
    let mut head = head_not_modified.clone();
    head.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(wanted.format.content_type()),
    );
    head.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if let Some(encoding) = wanted.encoding.content_encoding() {
        head.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    RenderedPage {
        head: Arc::new(head.into()),
        head_not_modified: Arc::new(head_not_modified.into()),
        body: body.into(),
        etag,
        generation: cx.generation.number,
        valid_until: earliest(resolved.valid_until),
        stale_until: earliest(resolved.stale_until),
        stale: resolved.cache.staleness(),
    }
}

/// The one decision, as a page sees it.
pub fn decide(view: &ProjectView<'_>, entry: &Entry<'_>, now: Timestamp) -> Decided {
    let candidate = Candidate {
        file: entry.file,
        member: entry.member,
        status: entry.state,
    };
    let ruling = match view.decide_file(&candidate, now) {
        Verdict::Allow(_) => Ruling::List,
        Verdict::Deny(denial) => match denial.on_block() {
            OnBlock::Hide => Ruling::Hide,
            OnBlock::Yank => Ruling::ListAsYanked(denial.words().into()),
        },
    };
    Decided {
        ruling,
        next_change: view.next_change(&candidate, now),
    }
}

/// The headers that a 200 and a 304 share. `no-cache`: a fresh rule must reach clients at once.
fn page_head(wanted: &Wanted, etag: &ETag) -> HeaderMap {
    let mut head = HeaderMap::new();
    head.insert(ETAG, etag.to_header());
    head.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let vary = match wanted.form {
        PageForm::Simple | PageForm::SimpleNoSlash | PageForm::Default => "Accept, Accept-Encoding",
        PageForm::Index | PageForm::IndexNoSlash => "Accept, Accept-Encoding, User-Agent",
    };
    head.insert(VARY, HeaderValue::from_static(vary));
    head
}

pub fn etag(plain: &[u8], encoding: Encoding) -> ETag {
    let digits = &Sha256::of(plain).to_hex()[..ETAG_DIGITS];
    let inside = match encoding.content_encoding() {
        Some(encoding) => format!("{digits}-{encoding}"),
        None => digits.to_owned(),
    };
    ETag::parse(&inside).expect("hexadecimal digits may stand in an entity tag")
}

fn encode(plain: Vec<u8>, encoding: Encoding) -> Vec<u8> {
    use std::io::Write as _;
    let encoded = match encoding {
        Encoding::Identity => Ok(plain),
        Encoding::Gzip => {
            let level = flate2::Compression::new(GZIP_LEVEL);
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(&plain).and_then(|()| encoder.finish())
        }
        Encoding::Zstd => zstd::bulk::compress(&plain, ZSTD_LEVEL),
    };
    encoded.expect("compressing from memory to memory cannot fail")
}

fn page_reply(ask: &Ask<'_>, page: &RenderedPage, mut record: Record) -> Reply {
    record.decision = Decision::Allow;
    let (status, head, body) = if is_not_modified(ask.headers, Some(&page.etag), None) {
        (
            StatusCode::NOT_MODIFIED,
            &page.head_not_modified,
            Body::Empty,
        )
    } else if ask.head {
        (StatusCode::OK, &page.head, Body::Empty)
    } else {
        (StatusCode::OK, &page.head, Body::Bytes(page.body.clone()))
    };
    Reply {
        status,
        reason: None,
        head: Arc::clone(head),
        body,
        record,
    }
}
