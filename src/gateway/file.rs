//! The file flow: found on the same merged page as the page flow, decided by the same function.

use std::io::IoSliceMut;
use std::sync::Arc;

use rustix::io::{ReadWriteFlags, preadv2};

use crate::gateway::ask::Ask;
use crate::gateway::content::{Content, claims_of, content_reply, whole_head, whole_reply};
use crate::gateway::context::{Context, Shared, Small};
use crate::gateway::decide::no_such_file;
use crate::gateway::error::{Error, ErrorKind};
use crate::gateway::held::About;
use crate::gateway::refusal::{file_refused, rule_text};
use crate::gateway::reply::{CacheResult, Decision, Record, Reply};
use crate::gateway::tickets::Grant;
use crate::model::IndexName;
use crate::policy::{Denial, Subject};
use crate::store::StoredFile;
use crate::telemetry::CacheKind;

/// Largest file kept in memory: opening a file costs as much as sending this much of it.
const SMALL_BYTES_MAX: usize = 64 << 10;

type Flow<T> = Result<T, Arc<Error>>;

impl Shared {
    /// Answers a file or its sidecar.
    pub async fn file(
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
            record.rule = Some(rule_text(denial));
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

    pub fn refuse_file(&self, denial: &Denial, ask: &Ask<'_>, mut record: Record) -> Reply {
        self.count_denial(denial);
        record.project = Some(match denial.subject() {
            Subject::Project(project) => project.clone(),
            Subject::File(filename) => filename.project().clone(),
        });
        file_refused(denial, ask.path, record)
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

    /// The bytes of a file: from memory, from disk, or fetched while others wait with us.
    pub async fn content(
        self: &Arc<Self>,
        cx: &Context,
        grant: &Grant,
    ) -> Flow<(Content, CacheResult)> {
        if let Some(key) = grant.key() {
            if let Some(small) = self.small_held(CacheKind::File, &key) {
                self.store.touch(&key);
                return Ok((Content::Memory(small), CacheResult::Hit));
            }
            let file = grant.file.item();
            let about = About {
                name: file.filename.as_str(),
                size: file.size,
            };
            if let Some(content) = self.held_file(&key, about).await? {
                self.looked_into_store(CacheKind::File, CacheResult::Hit);
                return Ok((content, CacheResult::Hit));
            }
        }
        if grant.is_private {
            self.looked_into_store(CacheKind::File, CacheResult::Miss);
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
        let filled = self.fill(cx, grant).await;
        let led_to = filled
            .as_ref()
            .map_or(CacheResult::Miss, |(_, cache)| *cache);
        self.looked_into_store(CacheKind::File, led_to);
        filled
    }
}

/// The whole of a file that is small enough for memory, if that is at hand without waiting for a disk.
pub fn small(stored: &StoredFile) -> Option<Small> {
    let length = usize::try_from(stored.len()).ok()?;
    if length > SMALL_BYTES_MAX {
        return None;
    }
    let mut bytes = vec![0; length];
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let read = preadv2(stored.file(), &mut slices, 0, ReadWriteFlags::NOWAIT);
    (read == Ok(length)).then(|| Small::new(bytes.into()))
}
