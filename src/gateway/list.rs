//! The project list of a stack. PyPI's has 700,000 names, so it is never held rendered in memory:
//! it is rendered to disk once per form and answered like any other file.

use std::io;
use std::io::Write as _;
use std::mem::take;
use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderValue, StatusCode};

use crate::cache::{Flights, Mark, Weighed};
use crate::gateway::ask::Ask;
use crate::gateway::context::Context;
use crate::gateway::core::Core;
use crate::gateway::error::{Error, ErrorKind, Flow};
use crate::gateway::names::Names;
use crate::gateway::page::etag;
use crate::gateway::reply::{Body, CacheResult, Decision, Record, Reply};
use crate::gateway::resolve::unknown_index;
use crate::model::{IndexName, ProjectName, Timestamp};
use crate::page::{Markup, ProjectNames, render_list_html, render_list_json};
use crate::policy::{Stack, Verdict};
use crate::protocol::{ETag, Encoding, Format, is_not_modified};
use crate::store::{Key, StoredFile};
use crate::telemetry::{CacheKind, Staleness};

/// Different lists being fetched or rendered at one time; more than an installation has indexes asked
/// for at once, few enough that their forty megabytes each do no harm.
const LISTS_MAX: usize = 8;

/// Most lists remembered, each a handle of a file: a thousand indexes in every form and encoding.
const REMEMBERED_MAX: u64 = 6_000;

/// A list being made costs little CPU at this level, and a second less at the start of a search.
const GZIP_LEVEL: u32 = 5;

/// zstd's level for lists.
const ZSTD_LEVEL: i32 = 3;

type ListKey = (IndexName, Markup, Encoding);

/// Project lists, rendered to disk.
#[derive(Debug)]
pub struct Lists {
    core: Arc<Core>,
    names: Arc<Names>,
    rendered: Weighed<ListKey, Arc<RenderedList>>,
    rendering: Flights<ListKey, Flow<Arc<RenderedList>>>,
}

#[derive(Debug)]
struct RenderedList {
    file: Arc<StoredFile>,
    etag: ETag,
    life: Life,
}

/// For how long a list may be answered, and what to say of it.
#[derive(Debug, Clone, Copy)]
struct Life {
    generation: u64,
    valid_until: Timestamp,
    stale: Option<Staleness>,
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

    /// Forgets what was rendered: a stage has a project more or less.
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
    ) -> Result<Reply, Error> {
        let format = match ask.preferences.format(ask.query) {
            Ok(format) => format,
            Err(error) => {
                let error = Error::new(ErrorKind::NotAcceptable, error.to_string());
                return Err(error);
            }
        };
        let markup = match format {
            Format::Json => Markup::Json,
            Format::HtmlV1 | Format::Html => Markup::Html,
        };
        let encoding = ask.preferences.encoding;
        let key = (index.clone(), markup, encoding);
        let held = self.rendered.get(&key);
        let held = held
            .map(|list| (list.life, list))
            .filter(|(life, _)| {
                life.generation == cx.generation.number && cx.now < life.valid_until
            })
            .map(|(_, list)| list);
        let cache = if held.is_some() {
            CacheResult::Hit
        } else {
            CacheResult::Miss
        };
        self.core.looked_into_store(CacheKind::Page, cache);
        let list = match held {
            Some(list) => list,
            None => self.render_list_once(cx, key).await?,
        };
        record.cache = list.life.stale.map_or(cache, CacheResult::Stale);
        record.decision = Decision::Allow;
        Ok(list_reply(ask, &list, format, encoding, take(record)))
    }

    async fn render_list_once(
        self: &Arc<Self>,
        cx: &Context,
        key: ListKey,
    ) -> Flow<Arc<RenderedList>> {
        if cx.generation.policies.stack(&key.0).is_none() {
            return Err(unknown_index(&key.0));
        }
        loop {
            let (lists, own_cx, own_key) = (Arc::clone(self), cx.clone(), key.clone());
            let flight = self.rendering.join(key.clone(), move || async move {
                lists.render_list(&own_cx, own_key).await
            });
            let joined = flight.await.map_err(|busy| {
                Error::new(
                    ErrorKind::Unavailable(Some(1)),
                    format!("make the list: {busy}"),
                )
            })?;
            // One file for all generations, so they take turns: another's list is not ours.
            match joined.value {
                Ok(list) if list.life.generation != cx.generation.number && !joined.led => {}
                value => return value,
            }
        }
    }

    async fn render_list(self: Arc<Self>, cx: &Context, key: ListKey) -> Flow<Arc<RenderedList>> {
        let Some(stack) = cx.generation.policies.stack(&key.0) else {
            return Err(unknown_index(&key.0));
        };
        let mark = self.rendered.mark(&key);
        let mut sources = Vec::new();
        let mut valid_until = stack.next_rule_change(cx.now).unwrap_or(Timestamp::MAX);
        let mut cache = CacheResult::Bypass;
        for member in &stack.members {
            let named = self.names.names_of(cx, &member.index).await?;
            valid_until = valid_until.min(named.until);
            cache = named
                .stale
                .map_or(cache, |why| cache.worse(CacheResult::Stale(why)));
            sources.push(named.names);
        }
        let (stack, now, generation) = (Arc::clone(stack), cx.now, cx.generation.number);
        let lists = Arc::clone(&self);
        let work = move || {
            let names = visible(&stack, &sources, now);
            let life = Life {
                generation,
                valid_until,
                stale: cache.staleness(),
            };
            lists.write_list(key, &names, life, mark)
        };
        let list = tokio::task::spawn_blocking(work).await;
        list.map_err(|error| Error::internal("make the list", error))?
    }

    fn write_list(
        &self,
        key: ListKey,
        names: &ProjectNames,
        life: Life,
        mark: Mark,
    ) -> Result<Arc<RenderedList>, Error> {
        let failed = |error: io::Error| Error::internal("write the list", error);
        let mut plain = Vec::new();
        match key.1 {
            Markup::Json => render_list_json(names, &mut plain),
            Markup::Html => render_list_html(names, &mut plain),
        }
        .map_err(failed)?;
        let etag = etag(&plain, key.2);
        let body = compress(plain, key.2).map_err(failed)?;
        let file_key = Key::RenderedList {
            index: key.0.clone(),
            variant: variant(key.1, key.2),
        };
        let kept = self
            .core
            .store
            .put_small(&file_key, &body)
            .and_then(|()| self.core.store.open_file(&file_key));
        let file = kept.map_err(|error| Error::internal("keep the list", error))?;
        let file = file.ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                "the list vanished as soon as it was written",
            )
        })?;
        let list = Arc::new(RenderedList {
            file: Arc::new(file),
            etag,
            life,
        });
        self.rendered.insert_since(mark, key, Arc::clone(&list));
        Ok(list)
    }
}

/// The names that the stack shows: a mirror's only where the rules let it speak for them.
fn visible(stack: &Stack, sources: &[Arc<ProjectNames>], now: Timestamp) -> ProjectNames {
    let members = &stack.members;
    let holds = |index: &IndexName, project: &ProjectName| {
        stack
            .position(index)
            .is_some_and(|position| sources[position].contains(project))
    };
    let references: Vec<&ProjectNames> = sources.iter().map(AsRef::as_ref).collect();
    ProjectNames::merge(&references, &mut |position, name| {
        let Ok(project) = ProjectName::parse(name) else {
            return false;
        };
        if !members[position].index.is_mirror() {
            return true;
        }
        match stack.decide_project(&project, now, &|index| holds(index, &project)) {
            Verdict::Allow(allowed) => allowed.item().ask.contains(&position),
            Verdict::Deny(_) => false,
        }
    })
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

fn compress(plain: Vec<u8>, encoding: Encoding) -> io::Result<Vec<u8>> {
    match encoding {
        Encoding::Identity => Ok(plain),
        Encoding::Gzip => {
            let level = flate2::Compression::new(GZIP_LEVEL);
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(&plain)?;
            encoder.finish()
        }
        Encoding::Zstd => zstd::bulk::compress(&plain, ZSTD_LEVEL),
    }
}

fn list_reply(
    ask: &Ask<'_>,
    list: &RenderedList,
    format: Format,
    encoding: Encoding,
    record: Record,
) -> Reply {
    let mut head = http::HeaderMap::new();
    head.insert(ETAG, list.etag.to_header());
    head.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    head.insert(
        VARY,
        HeaderValue::from_static("Accept, Accept-Encoding, User-Agent"),
    );
    let is_unchanged = is_not_modified(ask.headers, Some(&list.etag), None);
    let status = if is_unchanged {
        StatusCode::NOT_MODIFIED
    } else {
        StatusCode::OK
    };
    let length = list.file.len();
    if !is_unchanged {
        head.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(format.content_type()),
        );
        head.insert(CONTENT_LENGTH, HeaderValue::from(length));
        if let Some(encoding) = encoding.content_encoding() {
            head.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
    }
    let body = if is_unchanged || ask.head {
        Body::Empty
    } else {
        Body::File {
            file: Arc::clone(&list.file),
            start: 0,
            length,
        }
    };
    Reply::new(status, head, body, record)
}
