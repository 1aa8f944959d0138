//! The file flow: found on the same merged page as the page flow, decided by the same function.

use std::io::IoSliceMut;
use std::sync::Arc;

use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::header::ACCEPT_RANGES;
use http::header::CACHE_CONTROL;
use http::header::CONTENT_LENGTH;
use http::header::CONTENT_RANGE;
use http::header::CONTENT_TYPE;
use http::header::ETAG;
use http::header::IF_MODIFIED_SINCE;
use http::header::IF_NONE_MATCH;
use http::header::LAST_MODIFIED;
use http::header::RANGE;
use rustix::io::ReadWriteFlags;
use rustix::io::preadv2;

use super::ask::Ask;
use super::context::Context;
use super::context::Shared;
use super::context::Small;
use super::error::Error;
use super::error::ErrorKind;
use super::refusal;
use super::reply::Body;
use super::reply::CacheResult;
use super::reply::Decision;
use super::reply::Record;
use super::reply::Reply;
use super::resolve::Resolution;
use super::resolve::Resolved;
use super::source::Patience;
use super::tickets::Grant;
use super::tickets::KeptHead;
use super::tickets::Ticket;
use super::tickets::TicketKey;
use crate::model::Filename;
use crate::model::IndexName;
use crate::model::Timestamp;
use crate::page::Entry;
use crate::page::FilePath;
use crate::page::parse_file_path;
use crate::policy::Candidate;
use crate::policy::Denial;
use crate::policy::Subject;
use crate::policy::Verdict;
use crate::protocol::ETag;
use crate::protocol::Head;
use crate::protocol::Selected;
use crate::protocol::content_range;
use crate::protocol::content_range_unsatisfied;
use crate::protocol::http_date;
use crate::protocol::is_not_modified;
use crate::protocol::select_range;
use crate::store::Growing;
use crate::store::StoredFile;

/// What never changes may be kept for ever; a refusal never carries this.
const IMMUTABLE: &str = "max-age=365000000, immutable, public";

/// Largest file kept in memory: opening a file costs as much as sending this much of it.
const SMALL_BYTES_MAX: usize = 64 << 10;

/// Bytes that can be answered, and where they are.
#[derive(Debug)]
pub(super) enum Content {
    /// In memory.
    Memory(Small),
    /// On disk.
    Stored(Arc<StoredFile>),
    /// Still arriving.
    Growing(Arc<Growing>),
}

/// What a head says about content, apart from its length.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) content_type: &'static str,
    pub(super) etag: Option<ETag>,
    pub(super) last_modified: Option<Timestamp>,
}

type Flow<T> = Result<T, Arc<Error>>;

impl Shared {
    /// Answers a file or its sidecar.
    pub(super) async fn file(
        self: &Arc<Self>,
        cx: &Context,
        ask: &Ask<'_>,
        index: &IndexName,
        path: &str,
        is_sidecar: bool,
        mut record: Record,
    ) -> Result<Reply, (Arc<Error>, Record)> {
        let ticket = match self.ticket(cx, index, path, is_sidecar).await {
            Ok(ticket) => ticket,
            Err(error) => return self.unlisted(cx, ask, (index, path), error, record).await,
        };
        let grant = match &ticket.outcome {
            Ok(grant) => grant,
            Err(denial) => return Ok(self.refuse_file(denial, ask, record)),
        };
        record.project = Some(grant.file.item().filename.project().clone());
        record.decision = Decision::Allow;
        if let Some(denial) = grant.file.audited() {
            self.count_audited(denial);
            record.decision = Decision::Audit;
            record.rule = Some(refusal::rule_text(denial));
        }
        let served = if is_sidecar {
            self.sidecar(cx, grant).await
        } else {
            self.content(cx, grant).await
        };
        match served {
            Ok((content, cache)) => {
                record.cache = cache;
                let kept = if is_sidecar {
                    &ticket.sidecar_head
                } else {
                    &ticket.file_head
                };
                let claims = || claims_of(grant, &content, is_sidecar);
                if let Some(head) = whole_head(ask, &content, kept, claims) {
                    return Ok(whole_reply(ask, content, head, record));
                }
                let claims = claims();
                Ok(content_reply(ask, content, claims, record))
            }
            Err(error) => Err((error, record)),
        }
    }

    pub(super) fn refuse_file(&self, denial: &Denial, ask: &Ask<'_>, mut record: Record) -> Reply {
        self.count_denial(denial);
        record.project = Some(match denial.subject() {
            Subject::Project(project) => project.clone(),
            Subject::File(filename) => filename.project().clone(),
        });
        refusal::file_refused(denial, ask.path, record)
    }

    /// Why a member was not asked that might list the file: its refusal of the project by name. So a
    /// stage that holds the project too does not make "not found" of what is blocked.
    async fn silenced(&self, cx: &Context, index: &IndexName, path: &str) -> Flow<Option<Denial>> {
        let Some(stack) = cx.generation.policies.stack(index) else {
            return Ok(None);
        };
        let filename = path.rsplit('/').next().unwrap_or(path);
        let filename = filename.strip_suffix(".metadata").unwrap_or(filename);
        for project in Filename::projects(filename) {
            let holding = self.holding(stack, &project).await.map_err(Arc::new)?;
            let verdict = stack.decide_project(&project, cx.now, &|one| holding.contains(one));
            let denial = match &verdict {
                Verdict::Deny(denial) => Some(denial),
                Verdict::Allow(sources) => {
                    let mut skipped = sources.item().skipped.iter();
                    skipped.find_map(|skipped| skipped.reason.denial())
                }
            };
            if let Some(denial) = denial {
                return Ok(Some(denial.clone()));
            }
        }
        Ok(None)
    }

    /// A path that no page lists: a test result or documentation, or a file of a member that a
    /// refusal keeps from speaking, which is 403 and never 404.
    async fn unlisted(
        self: &Arc<Self>,
        cx: &Context,
        ask: &Ask<'_>,
        (index, path): (&IndexName, &str),
        error: Arc<Error>,
        record: Record,
    ) -> Result<Reply, (Arc<Error>, Record)> {
        let (error, record) = match self.attachment(cx, ask, (index, path), error, record).await {
            Err((error, record)) if error.kind == ErrorKind::NotFound => (error, record),
            answered => return answered,
        };
        match self.silenced(cx, index, path).await {
            Ok(Some(denial)) => Ok(self.refuse_file(&denial, ask, record)),
            Ok(None) => Err((error, record)),
            Err(error) => Err((error, record)),
        }
    }

    /// What was decided about a file's URL.
    async fn ticket(
        self: &Arc<Self>,
        cx: &Context,
        index: &IndexName,
        path: &str,
        is_sidecar: bool,
    ) -> Flow<Arc<Ticket>> {
        let path = if is_sidecar {
            path.strip_suffix(".metadata").unwrap_or(path)
        } else {
            path
        };
        let key = (index.clone(), Arc::from(path));
        if let Some(ticket) = self.tickets.get(&key)
            && ticket.generation == cx.generation.number
            && cx.now < ticket.stale_until
        {
            if cx.now >= ticket.valid_until {
                self.decide_behind(cx, key);
            }
            return Ok(ticket);
        }
        self.decide_anew(cx, key).await
    }

    /// Decides while the decision that has grown old still counts.
    fn decide_behind(self: &Arc<Self>, cx: &Context, key: TicketKey) {
        let flight = (key.clone(), cx.generation.number);
        let (shared, cx) = (Arc::clone(self), cx.clone());
        let started = self.renewals.start(flight, move || async move {
            if shared.decide_anew(&cx, key.clone()).await.is_err() {
                // The next one to ask is told why.
                shared.tickets.remove(&key);
            }
        });
        if let Err(busy) = started {
            tracing::warn!(%busy, "a file's page is not looked at anew");
        }
    }

    async fn decide_anew(self: &Arc<Self>, cx: &Context, key: TicketKey) -> Flow<Arc<Ticket>> {
        let (index, path) = &key;
        let Some(parsed) = parse_file_path(path) else {
            return Err(no_such_file());
        };
        let changes = self.changes.count();
        let ticket = Arc::new(self.decide_path(cx, index, &parsed).await?);
        if let Ok(grant) = &ticket.outcome {
            self.must_be_shown(cx, grant).await?;
        }
        self.tickets.insert(key.clone(), Arc::clone(&ticket));
        if self.changes.count() != changes {
            self.tickets.remove(&key);
        }
        Ok(ticket)
    }

    /// Looks a file up on the pages of every project that its name may belong to.
    async fn decide_path(
        self: &Arc<Self>,
        cx: &Context,
        index: &IndexName,
        path: &FilePath,
    ) -> Flow<Ticket> {
        let mut refused = None;
        let mut trouble = None;
        for project in Filename::projects(&path.filename) {
            match self.resolve(cx, index, &project, Patience::File).await {
                Ok(Resolution::Known(resolved)) => {
                    if let Some(ticket) = decide_on_page(cx, &resolved, path) {
                        return Ok(ticket);
                    }
                }
                Ok(Resolution::Refused(denial)) => {
                    refused.get_or_insert((denial, cx.generation.policies.stack(index)));
                }
                Ok(Resolution::Unknown) => {}
                Err(error) if error.kind == ErrorKind::NotFound => return Err(error),
                Err(error) => {
                    trouble.get_or_insert(error);
                }
            }
        }
        match (refused, trouble) {
            (Some((denial, stack)), _) => {
                let until = stack.and_then(|stack| stack.next_rule_change(cx.now));
                Ok(ticket(cx, Err(denial), until.unwrap_or(Timestamp::MAX)))
            }
            (None, Some(error)) => Err(error),
            (None, None) => Err(no_such_file()),
        }
    }

    /// The bytes of a file: from memory, from disk, or fetched while others wait with us.
    pub(super) async fn content(
        self: &Arc<Self>,
        cx: &Context,
        grant: &Grant,
    ) -> Flow<(Content, CacheResult)> {
        if let Some(key) = grant.key() {
            if let Some(small) = self.small.get(&key) {
                self.store.touch(&key);
                return Ok((Content::Memory(small), CacheResult::Hit));
            }
            let stored = self.store.open_file(&key);
            let stored = stored.map_err(|error| internal(grant, error))?;
            if let Some(stored) = stored {
                if let Some(small) = small(&stored) {
                    self.small.insert(key, small.clone());
                    return Ok((Content::Memory(small), CacheResult::Hit));
                }
                return Ok((Content::Stored(Arc::new(stored)), CacheResult::Hit));
            }
        }
        if grant.is_private {
            // Its record may have gone since the decision, and the bytes after it.
            if let Some(sha256) = grant.file.item().hashes.sha256()
                && !self.is_needed(&sha256).await?
            {
                return Err(no_such_file());
            }
            let message = format!(
                "the bytes of {} are missing from the store",
                grant.file.item().filename
            );
            return Err(Arc::new(Error::new(ErrorKind::Internal, message)));
        }
        self.fill(cx, grant).await
    }
}

/// The whole of a file that is small enough for memory, if that is at hand without waiting for a disk.
fn small(stored: &StoredFile) -> Option<Small> {
    let length = usize::try_from(stored.len()).ok()?;
    if length > SMALL_BYTES_MAX {
        return None;
    }
    let mut bytes = vec![0; length];
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let read = preadv2(stored.file(), &mut slices, 0, ReadWriteFlags::NOWAIT);
    (read == Ok(length)).then(|| Small::new(bytes.into()))
}

/// The decision on a file that a page lists; nothing when it does not list it.
fn decide_on_page(cx: &Context, resolved: &Resolved, path: &FilePath) -> Option<Ticket> {
    let entry = resolved.merged.find(&path.filename, Some(&path.place))?;
    Some(decide_entry(cx, resolved, &entry))
}

/// The decision on an entry of a merged page.
pub(super) fn decide_entry(cx: &Context, resolved: &Resolved, entry: &Entry<'_>) -> Ticket {
    let view = resolved.stack.view(resolved.merged.project());
    let candidate = Candidate {
        file: entry.file,
        member: entry.member,
        status: entry.state,
    };
    let member = &resolved.stack.members()[entry.member];
    let outcome = match view.decide_file(&candidate, cx.now) {
        Verdict::Allow(allowed) => Ok(Grant {
            file: allowed.to_shared(),
            owner: member.index.name.clone(),
            is_private: !member.index.is_mirror(),
        }),
        Verdict::Deny(denial) => Err(denial),
    };
    let changes = [
        view.next_change(&candidate, cx.now),
        resolved.stack.next_rule_change(cx.now),
    ];
    let earliest = |sources: Timestamp| {
        let changes = changes.iter().copied().flatten();
        changes.fold(sources, Timestamp::min)
    };
    Ticket {
        stale_until: earliest(resolved.stale_until),
        ..ticket(cx, outcome, earliest(resolved.valid_until))
    }
}

fn ticket(cx: &Context, outcome: Result<Grant, Denial>, valid_until: Timestamp) -> Ticket {
    Ticket {
        outcome,
        generation: cx.generation.number,
        valid_until,
        stale_until: valid_until,
        file_head: KeptHead::new(),
        sidecar_head: KeptHead::new(),
    }
}

fn no_such_file() -> Arc<Error> {
    Arc::new(Error::not_found("no such file"))
}

fn internal(grant: &Grant, error: impl std::error::Error + Send + Sync + 'static) -> Arc<Error> {
    Arc::new(Error::internal(
        format!("open {}", grant.file.item().filename),
        error,
    ))
}

/// The head for whoever asks for the whole without a condition, which is nearly everybody: written
/// once per ticket.
fn whole_head(
    ask: &Ask<'_>,
    content: &Content,
    kept: &KeptHead,
    claims: impl FnOnce() -> Claims,
) -> Option<Arc<Head>> {
    let asks_more = [IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE];
    if asks_more.iter().any(|name| ask.headers.contains_key(name)) {
        return None;
    }
    let length = match content {
        Content::Memory(small) => small.bytes.len() as u64,
        Content::Stored(file) => file.len(),
        Content::Growing(_) => return None,
    };
    let (kept_length, head) = kept.get_or_init(|| {
        let claims = claims();
        let mut head = file_head(&claims);
        head.insert(CONTENT_TYPE, HeaderValue::from_static(claims.content_type));
        head.insert(CONTENT_LENGTH, HeaderValue::from(length));
        (length, Arc::new(head.into()))
    });
    (*kept_length == length).then(|| Arc::clone(head))
}

fn whole_reply(ask: &Ask<'_>, content: Content, head: Arc<Head>, record: Record) -> Reply {
    Reply {
        status: StatusCode::OK,
        reason: None,
        head,
        body: if ask.head {
            Body::Empty
        } else {
            body(content, 0, None)
        },
        record,
    }
}

fn claims_of(grant: &Grant, content: &Content, is_sidecar: bool) -> Claims {
    if is_sidecar {
        sidecar_claims(content)
    } else {
        claims(grant)
    }
}

fn claims(grant: &Grant) -> Claims {
    let file = grant.file.item();
    Claims {
        content_type: content_type(file.filename.as_str()),
        etag: file.hashes.sha256().map(|digest| ETag::of_digest(&digest)),
        last_modified: file.upload_time.map(|time| time.at),
    }
}

fn sidecar_claims(content: &Content) -> Claims {
    let etag = match content {
        Content::Memory(small) => Some(small.etag.clone()),
        Content::Stored(_) | Content::Growing(_) => None,
    };
    Claims {
        content_type: "application/octet-stream",
        etag,
        last_modified: None,
    }
}

/// By the name's ending, never with a content encoding: pip hashes raw bytes.
fn content_type(filename: &str) -> &'static str {
    if filename.ends_with(".tar.gz") || filename.ends_with(".tgz") {
        "application/gzip"
    } else if filename.ends_with(".zip") {
        "application/zip"
    } else {
        "application/octet-stream"
    }
}

/// The answer to a request for content: 200, 206, 304 or 416, and HEAD like GET.
pub(super) fn content_reply(
    ask: &Ask<'_>,
    content: Content,
    claims: Claims,
    record: Record,
) -> Reply {
    let total = match &content {
        Content::Memory(small) => Some(small.bytes.len() as u64),
        Content::Stored(file) => Some(file.len()),
        Content::Growing(growing) => growing.declared_length(),
    };
    let mut head = file_head(&claims);
    if is_not_modified(ask.headers, claims.etag.as_ref(), claims.last_modified) {
        let (status, body) = (StatusCode::NOT_MODIFIED, Body::Empty);
        return Reply {
            status,
            reason: None,
            head: Arc::new(head.into()),
            body,
            record,
        };
    }
    head.insert(CONTENT_TYPE, HeaderValue::from_static(claims.content_type));
    let selected = match total {
        Some(total) if !ask.head => select_range(
            ask.headers,
            total,
            claims.etag.as_ref(),
            claims.last_modified,
        ),
        _ => Selected::Whole,
    };
    let (status, start, length) = match (selected, total) {
        (Selected::Unsatisfiable, total) => {
            return unsatisfiable(total.unwrap_or(0), record);
        }
        (Selected::Part { start, length }, Some(total)) => {
            insert(
                &mut head,
                CONTENT_RANGE,
                &content_range(start, length, total),
            );
            (StatusCode::PARTIAL_CONTENT, start, Some(length))
        }
        (Selected::Part { .. } | Selected::Whole, total) => (StatusCode::OK, 0, total),
    };
    if let Some(length) = length {
        head.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let body = if ask.head {
        Body::Empty
    } else {
        body(content, start, length)
    };
    Reply {
        status,
        reason: None,
        head: Arc::new(head.into()),
        body,
        record,
    }
}

fn body(content: Content, start: u64, length: Option<u64>) -> Body {
    match content {
        Content::Memory(Small { bytes, .. }) => {
            let at = |position: u64| {
                usize::try_from(position)
                    .unwrap_or(bytes.len())
                    .min(bytes.len())
            };
            let end = at(start.saturating_add(length.unwrap_or(u64::MAX)));
            Body::Bytes(bytes.slice(at(start)..end))
        }
        Content::Stored(file) => {
            let length = length.unwrap_or_else(|| file.len().saturating_sub(start));
            Body::File {
                file,
                start,
                length,
            }
        }
        Content::Growing(growing) => Body::Growing {
            growing,
            start,
            length,
        },
    }
}

fn file_head(claims: &Claims) -> HeaderMap {
    let mut head = HeaderMap::new();
    head.insert(CACHE_CONTROL, HeaderValue::from_static(IMMUTABLE));
    head.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(etag) = &claims.etag {
        head.insert(ETAG, etag.to_header());
    }
    if let Some(at) = claims.last_modified {
        insert(&mut head, LAST_MODIFIED, &http_date(at));
    }
    head
}

fn unsatisfiable(total: u64, record: Record) -> Reply {
    let mut head = refusal::head("text/plain", 0, "no-store");
    insert(&mut head, CONTENT_RANGE, &content_range_unsatisfied(total));
    let status = StatusCode::RANGE_NOT_SATISFIABLE;
    Reply {
        status,
        reason: None,
        head: Arc::new(head.into()),
        body: Body::Empty,
        record,
    }
}

fn insert(head: &mut HeaderMap, name: http::HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        head.insert(name, value);
    }
}
