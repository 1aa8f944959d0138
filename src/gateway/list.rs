//! The project list of a stack. PyPI's has 700,000 names, so it is never held rendered in memory:
//! it is rendered to disk once per form and answered like any other file.

use std::mem::take;
use std::sync::Arc;

use crate::cache::{Flights, Mark, Weighed};
use crate::gateway::ask::Ask;
use crate::gateway::context::Context;
use crate::gateway::core::Core;
use crate::gateway::encode::{etag, pack};
use crate::gateway::error::{Error, ErrorKind, Flow, blocking};
use crate::gateway::names::Names;
use crate::gateway::page::{VARY_BY_CLIENT, heads, rendered_reply};
use crate::gateway::reply::{Body, CacheResult, Record, Reply};
use crate::gateway::resolve::unknown_index;
use crate::model::{IndexName, ProjectName, Timestamp};
use crate::page::{Markup, ProjectNames, render_list_html, render_list_json};
use crate::policy::{Stack, Verdict};
use crate::protocol::{ETag, Encoding, Format};
use crate::store::{Key, StoredFile};
use crate::telemetry::{CacheKind, Staleness, Tier};

/// Different lists being fetched or rendered at one time: more than the indexes that are asked for at
/// the same time, and few enough that their forty megabytes each do no harm.
const LISTS_MAX: usize = 8;

/// Most lists remembered, each a handle of a file: a thousand indexes in every form and encoding.
const REMEMBERED_MAX: u64 = 6_000;

/// Making a list costs little CPU at this level, and a search starts a second earlier.
const GZIP_LEVEL: u32 = 5;

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

/// How long a list may be served, and how it is described.
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
        let held = self.rendered.get(&key);
        let held = held.filter(|list| {
            let life = list.life;
            life.generation == cx.generation.number && cx.now < life.valid_until
        });
        let (list, cache) = match self.core.look(Tier::Store, CacheKind::Page, held) {
            Some(list) => (list, CacheResult::Hit),
            None => (self.render_list_once(cx, key).await?, CacheResult::Miss),
        };
        record.cache = list.life.stale.map_or(cache, CacheResult::Stale);
        let length = list.file.len();
        let [head, not_modified] = heads(&list.etag, VARY_BY_CLIENT, format, encoding, length);
        let heads = [&head, &not_modified];
        Ok(rendered_reply(ask, &list.etag, heads, take(record), || {
            Body::File {
                file: Arc::clone(&list.file),
                start: 0,
                length,
            }
        }))
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
            let busy = |busy| Error::busy(format_args!("make the list: {busy}"));
            let joined = flight.await.map_err(busy)?;
            // One file for all generations, so they take turns: another one's list is not ours.
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
        blocking("make the list", work).await?
    }

    fn write_list(
        &self,
        key: ListKey,
        names: &ProjectNames,
        life: Life,
        mark: Mark,
    ) -> Flow<Arc<RenderedList>> {
        let mut plain = Vec::new();
        let written = match key.1 {
            Markup::Json => render_list_json(names, &mut plain),
            Markup::Html => render_list_html(names, &mut plain),
        };
        written.map_err(|error| Error::internal("write the list", error))?;
        let etag = etag(&plain, key.2);
        let body = pack(plain, key.2, GZIP_LEVEL);
        let file_key = Key::RenderedList {
            index: key.0.clone(),
            variant: variant(key.1, key.2),
        };
        let store = &self.core.store;
        let kept = store.put_small(&file_key, &body);
        let kept = kept.and_then(|()| store.open_file(&file_key));
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

/// The names that the stack shows: a mirror's only if the rules let it speak for them.
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
