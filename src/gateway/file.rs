//! The file flow: found on the same merged page as the page flow, decided by the same function.

use std::mem::take;
use std::sync::Arc;

use crate::exchange::{
    Ask, CacheResult, Context, Core, Decision, Error, ErrorKind, Flow, Record, Reply, Ruled,
    count_denial, file_refused,
};
use crate::gateway::attachment::Attachments;
use crate::gateway::content::{
    Content, claims_of, content_reply, unchanged_reply, whole_head, whole_reply,
};
use crate::gateway::decide::Tickets;
use crate::gateway::external::{external_place, sent_there};
use crate::gateway::fill::{Fills, is_as_long};
use crate::gateway::held::{About, HeldFiles, missing_upload};
use crate::gateway::inquiry::Inquiries;
use crate::gateway::provenance::Provenances;
use crate::gateway::sidecar::Sidecars;
use crate::gateway::small::SmallFiles;
use crate::gateway::tickets::{Grant, Ticket, Told};
use crate::model::{AskedPart, IndexName};
use crate::telemetry::{CacheKind, LookUp, Mode, Tier};

/// How often a file is looked for that comes or goes at that very moment.
const LOOKS_MAX: usize = 3;

/// Files and what is told beside them, answered.
#[derive(Debug)]
pub struct Files {
    pub(super) core: Arc<Core>,
    pub(super) small: Arc<SmallFiles>,
    pub(super) held: Arc<HeldFiles>,
    pub(super) tickets: Arc<Tickets>,
    pub(super) fills: Arc<Fills>,
    pub(super) sidecars: Arc<Sidecars>,
    pub(super) provenances: Arc<Provenances>,
    pub(super) inquiries: Arc<Inquiries>,
    pub(super) attachments: Arc<Attachments>,
}

impl Files {
    /// Answers a file, or what is told beside it.
    pub async fn file(
        &self,
        cx: &Context,
        ask: &Ask<'_>,
        index: &IndexName,
        path: &str,
        part: AskedPart,
        record: &mut Record,
    ) -> Flow<Reply> {
        let ticket = match self.decided(cx, ask, index, path, part).await {
            Ok(ticket) => ticket,
            Err(error) => return self.unlisted(cx, ask, (index, path), error, record).await,
        };
        let metrics = &self.core.metrics;
        let grant = match &ticket.outcome {
            Ok(grant) => grant,
            Err(denial) => return Ok(file_refused(metrics, denial, ask.path, take(record))),
        };
        record.project = Some(grant.file.item().filename.project().clone());
        record.sha256 = grant.file.item().hashes.sha256();
        record.decision = Decision::Allow;
        if let Some(denial) = grant.file.audited() {
            count_denial(metrics, denial, Mode::Audit);
            record.decision = Decision::Audit;
            record.rule = Some(Ruled::by(denial));
        }
        let is_whole = part == AskedPart::Whole;
        let external = external_place(cx, grant).filter(|_| is_whole);
        if is_whole
            && external.is_none()
            && let Some(told) = ticket.file_head.get()
            && let Some(reply) = self.unchanged(ask, grant, told, record)
        {
            return Ok(reply);
        }
        let (content, cache) = match (part, external) {
            (AskedPart::Metadata, _) => self.sidecars.sidecar(cx, grant).await?,
            (AskedPart::Provenance, _) => self.provenances.provenance(cx, grant).await?,
            (AskedPart::Whole, None) => self.content(cx, grant).await?,
            (AskedPart::Whole, Some(place)) => match self.held_content(grant).await? {
                None => return Ok(sent_there(&place, take(record))),
                Some(content) => (content, CacheResult::Hit),
            },
        };
        record.cache = cache;
        let claims = || claims_of(grant, &content, part);
        if let Some(kept) = ticket.head_of(part)
            && let Some(head) = whole_head(ask, &content, kept, claims)
        {
            return Ok(whole_reply(ask, content, head, take(record)));
        }
        let claims = claims();
        Ok(content_reply(ask, content, claims, take(record)))
    }

    /// The decision on a file, once it has been looked into as far as rules ask for that.
    async fn decided(
        &self,
        cx: &Context,
        ask: &Ask<'_>,
        index: &IndexName,
        path: &str,
        part: AskedPart,
    ) -> Flow<Arc<Ticket>> {
        let ticket = self
            .tickets
            .ticket(cx, ask.headers, index, path, part)
            .await?;
        let again = || self.tickets.ticket(cx, ask.headers, index, path, part);
        let mut ticket = match &ticket.inquiry {
            None => ticket,
            Some(inquiry) => {
                self.inquiries.settle_one(cx, inquiry).await;
                again().await?
            }
        };
        for _ in 1..=LOOKS_MAX {
            let differs = match &ticket.outcome {
                Ok(grant) if ticket.asks_inside && part == AskedPart::Whole => {
                    self.inquiries.confirm(cx, grant).await?
                }
                Ok(_) | Err(_) => false,
            };
            if !differs {
                return Ok(ticket);
            }
            // What was learned may not have been kept: the next decision is compared as well.
            ticket = again().await?;
        }
        Err(Error::busy(
            "what stands inside the file differs from what is known of it; try again",
        ))
    }

    /// The 304 for a client that has a file which was at hand before. Of what is known to be damaged or
    /// lost a 200 would be none, so neither is this given (RFC 9110 §13.2.1).
    fn unchanged(
        &self,
        ask: &Ask<'_>,
        grant: &Grant,
        told: &Told,
        record: &mut Record,
    ) -> Option<Reply> {
        let key = grant.key()?;
        if self.core.store.is_harmed(&key) {
            return None;
        }
        record.cache = CacheResult::Hit;
        let reply = unchanged_reply(ask, told, record)?;
        self.core.store.touch(&key);
        let (tier, kind) = (Tier::Memory, CacheKind::File);
        self.core.metrics.looked_up(tier, kind, LookUp::Hit);
        Some(reply)
    }

    /// A path that no page lists: a test result or documentation, or a file of a member that a refusal
    /// keeps from speaking, which is 403 and never 404.
    async fn unlisted(
        &self,
        cx: &Context,
        ask: &Ask<'_>,
        (index, path): (&IndexName, &str),
        error: Error,
        record: &mut Record,
    ) -> Flow<Reply> {
        let attached = self
            .attachments
            .answer(cx, ask, (index, path), error, record);
        let error = match attached.await {
            Err(error) if error.kind == ErrorKind::NotFound => error,
            answered => return answered,
        };
        let denial = self.tickets.silenced(cx, index, path).await?.ok_or(error)?;
        let metrics = &self.core.metrics;
        Ok(file_refused(metrics, &denial, ask.path, take(record)))
    }

    /// Whether something else stands in a file than was known; see [`Inquiries::confirm`].
    ///
    /// # Errors
    /// When the file cannot be had, or not be read.
    pub async fn confirm(&self, cx: &Context, grant: &Grant) -> Flow<bool> {
        self.inquiries.confirm(cx, grant).await
    }

    /// The bytes of a file: from memory, from disk, or fetched while others wait with us.
    pub async fn content(&self, cx: &Context, grant: &Grant) -> Flow<(Content, CacheResult)> {
        let (content, cache) = self.held_or_fetched(cx, grant).await?;
        // The same bytes may be held for another page, which stated their true length.
        if let Some(length) = content.length().filter(|_| !grant.is_private) {
            is_as_long(grant.file.item(), length)?;
        }
        Ok((content, cache))
    }

    async fn held_or_fetched(&self, cx: &Context, grant: &Grant) -> Flow<(Content, CacheResult)> {
        for looks in 1..=LOOKS_MAX {
            if let Some(content) = self.held_content(grant).await? {
                return Ok((content, CacheResult::Hit));
            }
            if grant.is_private {
                self.core
                    .looked_into_store(CacheKind::File, CacheResult::Miss);
                return Err(missing_upload(&self.core, grant.file.item()).await?);
            }
            let filled = self.fills.fill(cx, grant, looks > 1).await.transpose();
            let Some(filled) = filled else { continue };
            let led_to = filled
                .as_ref()
                .map_or(CacheResult::Miss, |(_, cache)| *cache);
            self.core.looked_into_store(CacheKind::File, led_to);
            return filled;
        }
        let name = &grant.file.item().filename;
        Err(Error::busy(format_args!(
            "{name} comes and goes; try again"
        )))
    }

    /// The same, if they are here.
    async fn held_content(&self, grant: &Grant) -> Flow<Option<Content>> {
        let Some(key) = grant.key() else {
            return Ok(None);
        };
        if let Some(small) = self.small.get(CacheKind::File, &key) {
            self.core.store.touch(&key);
            return Ok(Some(Content::Memory(small)));
        }
        let about = About::of(grant.file.item());
        let held = self.held.held_file(&key, about).await?;
        if held.is_some() {
            self.core
                .looked_into_store(CacheKind::File, CacheResult::Hit);
        }
        Ok(held)
    }
}
