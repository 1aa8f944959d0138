//! The writing half of the gateway, and what its requests share.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use http::HeaderMap;

use crate::account::{Accounts, HouseRules, Means};
use crate::db::{DbError, Publication, Published, PublishedFile};
use crate::devpi::{Management, Refusal};
use crate::exchange::Reply;
use crate::gateway::{Flows, Generations};
use crate::model::{IndexName, ProjectName, Sha256, Timestamp};
use crate::reader::{Reader, sign};
use crate::store::Hold;
use crate::telemetry::{AuditEvent, AuditKind, AuditLog, Permits, WaitFor};
use crate::upstream::OwnDoors;
use crate::writer::caller::Caller;
use crate::writer::recall::Deliveries;
use crate::writer::turns::Turns;

/// What a door may write through. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Writer {
    parts: Arc<WriterParts>,
    pub turns: Arc<Turns>,
    pub reader: Reader,
    /// Held while an anonymous test result is counted and kept.
    pub results: Permits,
}

impl Deref for Writer {
    type Target = WriterParts;

    fn deref(&self) -> &WriterParts {
        &self.parts
    }
}

/// What `app` hands over.
#[derive(Debug)]
pub struct WriterParts {
    /// What reading and writing share.
    pub flows: Arc<Flows>,
    /// The accounts.
    pub accounts: Arc<Accounts>,
    /// Puts changed indexes in force.
    pub generations: Arc<Generations>,
    /// What the operator decided about permissions.
    pub rules: HouseRules,
    /// What must be accounted for.
    pub audit: Arc<AuditLog>,
    /// Where this gateway listens itself.
    pub doors: OwnDoors,
    /// Who received what.
    pub deliveries: Arc<dyn Deliveries>,
}

impl Writer {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: WriterParts) -> Self {
        let core = &parts.flows.core;
        let (writes, metrics) = (&core.settings.limits.writes, &core.metrics);
        let uploads = metrics.waits(WaitFor::Uploads);
        Self {
            reader: Reader::new(Arc::clone(&parts.flows)),
            results: Permits::one(metrics.waits(WaitFor::ToxResults)),
            turns: Arc::new(Turns::new(writes.uploads, writes.upload_wait, uploads)),
            parts: Arc::new(parts),
        }
    }

    /// The devpi API's users and indexes, as of the files in force.
    pub fn management(&self) -> Management {
        Management {
            db: Arc::clone(&self.flows.core.records),
            accounts: Arc::clone(&self.accounts),
            rules: self.rules.clone(),
            declared: self.generations.declared(),
            check: Some(Arc::clone(&self.generations) as _),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.flows.core.clock.now()
    }

    /// The headers of every answer (docs/protocol/devpi.md §2.3).
    pub async fn api_headers(&self) -> HeaderMap {
        let mut head = HeaderMap::new();
        sign(&self.flows.core, &mut head).await;
        head
    }

    /// Runs to the end whether or not the client stays.
    pub async fn to_the_end<F>(&self, work: F) -> Result<Reply, Refusal>
    where
        F: Future<Output = Result<Reply, Refusal>> + Send + 'static,
    {
        let done = self.flows.core.work.spawn(work).await;
        done.unwrap_or_else(|error| Err(Refusal::internal("carry out the request", error)))
    }

    /// Makes a release visible, and audits that if it was done.
    ///
    /// # Errors
    /// When the records fail.
    pub async fn publish(
        &self,
        caller: &Caller,
        publication: &Publication,
        (kind, file): (AuditKind, Option<&str>),
    ) -> Result<Published, Refusal> {
        for facts in &publication.files {
            let deposited = self.flows.core.deposit(facts.sha256).await;
            // Bytes whose record is not written are nobody's.
            deposited.inspect_err(|_| self.flows.garbage.suspect())?;
        }
        let cause = caller.cause(self.now());
        let published = self.flows.core.records.publish(&cause, publication).await;
        self.settle(&published).await;
        let published = published?;
        if let Published::Done { is_new_project, .. } = published {
            self.flows.forget_project(&publication.project);
            if is_new_project {
                self.flows.forget_lists();
            }
            let about = About {
                index: Some(&publication.index),
                project: Some(&publication.project),
                file,
                detail: Some(&publication.version),
            };
            self.account_for(kind, caller, about);
        }
        Ok(published)
    }

    /// Takes care of what a publication leaves behind: has bytes collected that it made or left unused,
    /// and notes next to the files that the records know of it.
    async fn settle(&self, published: &Result<Published, DbError>) {
        let is_clean = match published {
            Ok(Published::Done { files, .. }) => files
                .iter()
                .all(|file| matches!(file, PublishedFile::Added | PublishedFile::Same)),
            Ok(Published::Exists { .. } | Published::NoReleaseFile { .. }) | Err(_) => false,
        };
        if !is_clean {
            self.flows.garbage.suspect();
        }
        if matches!(published, Ok(Published::Done { .. })) {
            self.flows.belonging.note_serial().await;
        }
    }

    /// Does work that takes in something large when it gets its turn, as uploads do.
    ///
    /// # Errors
    /// 503 when too many are under way, or what the work refuses.
    pub async fn in_turn<T>(
        &self,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let _turn = self.turns.take().await?;
        work.await
    }

    /// Keeps bytes of this digest from being collected until a record needs them.
    pub async fn hold(&self, digest: Sha256) -> Result<Hold, Refusal> {
        let store = Arc::clone(&self.flows.core.store);
        let held = tokio::task::spawn_blocking(move || store.hold(&digest)).await;
        Ok(held.map_err(|error| Refusal::internal("hold the file", error))??)
    }

    /// Writes an event to the audit log.
    pub fn account_for(&self, kind: AuditKind, caller: &Caller, about: About<'_>) {
        let mut event = AuditEvent::new(self.now(), kind);
        event.request_id = Some(Arc::clone(&caller.request_id));
        event.client = Some(caller.address);
        event.user = caller.principal.name().map(Arc::from);
        event.token.clone_from(&caller.token);
        event.means = caller.principal.means().map(Means::as_str);
        event.groups = listed(caller.principal.groups());
        event.index = about.index.cloned();
        event.project = about.project.cloned();
        event.file = about.file.map(Arc::from);
        event.detail = about.detail.map(Arc::from);
        self.audit.record(event);
    }
}

/// The groups of a user in one text, for the audit.
fn listed(groups: &[String]) -> Option<Arc<str>> {
    (!groups.is_empty()).then(|| groups.join(", ").into())
}

/// What an event is about.
#[derive(Debug, Clone, Copy, Default)]
pub struct About<'a> {
    pub index: Option<&'a IndexName>,
    pub project: Option<&'a ProjectName>,
    pub file: Option<&'a str>,
    pub detail: Option<&'a str>,
}
