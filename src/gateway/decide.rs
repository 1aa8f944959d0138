//! Decisions about files' URLs: each file is looked up on the same pages that the page flow merges, and
//! judged by the same function.

use std::sync::Arc;

use http::HeaderMap;

use crate::cache::{Flights, Grouped};
use crate::catalog::{Mirrors, Resolution, Resolved, Stacks, StagePages, candidate, unknown_index};
use crate::exchange::{Context, Core, Error, ErrorKind, Flow, Patience};
use crate::gateway::shown::must_be_shown;
use crate::gateway::tickets::{Grant, Inquiry, KeptHead, Ticket, TicketKey, groups, weight_bytes};
use crate::model::{AskedPart, Filename, IndexName, ProjectName, Timestamp};
use crate::page::{Entry, FilePath, parse_file_path};
use crate::policy::{Denial, IndexKind, Member, Sources, Stack, Verdict};
use crate::protocol::wants_validated;
use crate::store::Key;

/// Decides about files' URLs, and remembers the decisions.
#[derive(Debug)]
pub struct Tickets {
    core: Arc<Core>,
    mirrors: Arc<Mirrors>,
    stacks: Arc<Stacks>,
    stages: Arc<StagePages>,
    decided: Grouped<TicketKey, Arc<Ticket>>,
    /// Decisions being made again, by URL and generation.
    renewals: Flights<(TicketKey, u64), ()>,
}

impl Tickets {
    pub fn new(
        core: Arc<Core>,
        mirrors: Arc<Mirrors>,
        (stacks, stages): (Arc<Stacks>, Arc<StagePages>),
        bytes_max: u64,
    ) -> Self {
        Self {
            decided: Grouped::new(bytes_max, weight_bytes, groups),
            renewals: core.flights(),
            core,
            mirrors,
            stacks,
            stages,
        }
    }

    /// Forgets the decisions on all files of a project.
    pub fn forget(&self, project: &ProjectName) {
        self.decided.forget(project.as_str());
    }

    /// Forgets the decisions on every file of this name.
    pub fn forget_file(&self, filename: &str) {
        self.decided.forget(filename);
    }

    pub fn forget_all(&self) {
        self.decided.forget_all();
    }

    pub fn weight_bytes(&self) -> u64 {
        self.decided.weight_bytes()
    }

    /// What was decided about a file's URL.
    ///
    /// What is here is decided on what is held, however old, and its page asked for behind the answer.
    /// Whatever that does not let pass waits for the page, and so does what would be fetched, and who
    /// says `no-cache`.
    pub async fn ticket(
        self: &Arc<Self>,
        cx: &Context,
        headers: &HeaderMap,
        index: &IndexName,
        path: &str,
        part: AskedPart,
    ) -> Flow<Arc<Ticket>> {
        let path = path.strip_suffix(part.ending()).unwrap_or(path);
        let key = (index.clone(), Arc::from(path));
        if let Some(ticket) = self.decided.get(&key)
            && ticket.holds(cx.generation.number, cx.now)
        {
            if ticket.awaits.is_empty() {
                if cx.now >= ticket.valid_until {
                    self.decide_behind(cx, key);
                }
                return Ok(ticket);
            }
            if !wants_validated(headers) && self.is_here(&ticket, part) {
                return Ok(ticket);
            }
        }
        let held = (!wants_validated(headers)).then_some(part);
        self.decide_anew(cx, key, held).await
    }

    /// Decides again while the expired decision still counts.
    fn decide_behind(self: &Arc<Self>, cx: &Context, key: TicketKey) {
        let flight = (key.clone(), cx.generation.number);
        let (tickets, cx) = (Arc::clone(self), cx.clone());
        let started = self.renewals.start(flight, move || async move {
            if tickets.decide_anew(&cx, key.clone(), None).await.is_err() {
                // The next one to ask is told why.
                tickets.decided.remove(&key);
            }
        });
        if let Err(busy) = started {
            tracing::warn!(%busy, "a file's page is not looked at anew");
        }
    }

    /// Decides, of what is here (`held`) without waiting.
    async fn decide_anew(
        self: &Arc<Self>,
        cx: &Context,
        key: TicketKey,
        held: Option<AskedPart>,
    ) -> Flow<Arc<Ticket>> {
        let (index, path) = &key;
        let Some(parsed) = parse_file_path(path) else {
            return Err(no_such_file());
        };
        let mark = self.decided.mark(&key);
        let ticket = Arc::new(self.decide_path(cx, index, &parsed, held).await?);
        if let Ok(grant) = &ticket.outcome {
            must_be_shown(cx, grant, self.core.settings.offline).await?;
        }
        self.decided.insert_since(mark, key, Arc::clone(&ticket));
        Ok(ticket)
    }

    /// Looks a file up on the pages of every project that its name may belong to, likeliest first.
    ///
    /// `acme-tools-9.9.tar.gz` reads as a file of `acme-tools` or of `acme`. Once one reading is kept
    /// from mirrors (by a rule, a whitelist, `owns`, or because it is private), a less likely one would
    /// only tell an upstream a part of what it must not hear. From there on a reading is looked up only
    /// where this very file was named before. The same goes for a reading that its form does not bear
    /// out (`acme-tools.zip`, of `acme`), where a longer part of the name is kept from mirrors.
    ///
    /// Where the part `held` is here and its file passes, no upstream is waited for.
    pub async fn decide_path(
        self: &Arc<Self>,
        cx: &Context,
        index: &IndexName,
        path: &FilePath,
        held: Option<AskedPart>,
    ) -> Flow<Ticket> {
        let Some(stack) = cx.generation.policies.stack(index) else {
            return Err(unknown_index(index));
        };
        let mut refused = None;
        let mut trouble = None;
        let mut is_kept_in = false;
        let readings = Filename::projects(&path.filename);
        for (position, project) in readings.iter().enumerate() {
            let is_part = is_kept_in || self.is_part_of_kept(cx, stack, project, path).await?;
            if is_part && !self.is_named(stack, project, path).await? {
                continue;
            }
            let resolved = self.resolve(cx, (index, path), project, held);
            match resolved.await {
                Ok(Resolution::Known(resolved)) => {
                    let entry = resolved.find(&path.filename, Some(&path.place));
                    if let Some(entry) = entry {
                        return Ok(decide_entry(cx, &resolved, &entry));
                    }
                }
                Ok(Resolution::Refused(denial)) => {
                    refused.get_or_insert(denial);
                }
                Ok(Resolution::Unknown) => {}
                Err(error) if error.kind == ErrorKind::NotFound => return Err(error),
                Err(error) => {
                    trouble.get_or_insert(error);
                }
            }
            let is_last = position + 1 == readings.len();
            is_kept_in = is_kept_in || !is_last && self.is_kept_in(cx, stack, project).await?;
        }
        match (refused, trouble) {
            (Some(denial), _) => {
                // What another reading's page lists may change at any time.
                let until = match readings.len() {
                    1 => stack.next_rule_change(cx.now).unwrap_or(Timestamp::MAX),
                    _ => cx.now,
                };
                Ok(ticket(cx, Err(denial), until))
            }
            (None, Some(error)) => Err(error),
            (None, None) => Err(no_such_file()),
        }
    }

    /// The page that a file is looked up on: what is held of it, where that lets pass what is here.
    async fn resolve(
        &self,
        cx: &Context,
        (index, path): (&IndexName, &FilePath),
        project: &ProjectName,
        held: Option<AskedPart>,
    ) -> Flow<Resolution> {
        if let Some(part) = held {
            let resolved = self.stacks.resolve(cx, index, project, Patience::File);
            let resolved = resolved.await;
            let is_enough = match &resolved {
                Ok(Resolution::Known(known)) if !known.awaits.is_empty() => {
                    let entry = known.find(&path.filename, Some(&path.place));
                    entry.is_some_and(|entry| self.is_here(&decide_entry(cx, known, &entry), part))
                }
                Ok(_) | Err(_) => true,
            };
            if is_enough {
                return resolved;
            }
        }
        let stacks = &self.stacks;
        stacks
            .resolve(cx, index, project, Patience::LatestFile)
            .await
    }

    /// Whether what a ticket lets pass can be answered without an upstream; a sidecar is read out of its
    /// wheel where need be.
    fn is_here(&self, ticket: &Ticket, part: AskedPart) -> bool {
        let Ok(grant) = &ticket.outcome else {
            return false;
        };
        let is_kept =
            |key: Option<&Key>| key.is_some_and(|key| self.core.is_kept(key).unwrap_or(false));
        let is_whole = || is_kept(grant.key().as_ref());
        match part {
            AskedPart::Whole => is_whole(),
            AskedPart::Metadata => is_kept(grant.metadata_key()) || is_whole(),
            AskedPart::Provenance => is_kept(grant.provenance_key().as_ref()),
        }
    }

    /// Whether a project's name is a shorter part of the file's name than one that is kept from
    /// mirrors, so that the file may just as well belong to that one.
    async fn is_part_of_kept(
        &self,
        cx: &Context,
        stack: &Stack,
        project: &ProjectName,
        path: &FilePath,
    ) -> Flow<bool> {
        if Filename::is_plainly_of(&path.filename, project) {
            return Ok(false);
        }
        let Some(names) = Filename::names_within(&path.filename) else {
            return Ok(true);
        };
        let is_longer = |name: &&ProjectName| name.as_str().len() > project.as_str().len();
        for name in names.iter().take_while(is_longer) {
            if self.is_kept_in(cx, stack, name).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether some mirror of the stack is not asked about a project because of its name.
    async fn is_kept_in(&self, cx: &Context, stack: &Stack, project: &ProjectName) -> Flow<bool> {
        let verdict = self.verdict(cx, stack, project).await?;
        let Verdict::Allow(sources) = verdict else {
            return Ok(true);
        };
        let mut skipped = sources.item().skipped.iter();
        Ok(skipped.any(|skipped| stack.members[skipped.member].index.is_mirror()))
    }

    /// Whether a member has listed this very file as one of the project's, as far as is known here.
    async fn is_named(&self, stack: &Stack, project: &ProjectName, path: &FilePath) -> Flow<bool> {
        for Member { index, .. } in &stack.members {
            let page = match index.kind {
                IndexKind::Mirror(_) => self.mirrors.held_page(index, project).await,
                IndexKind::Stage(_) => Some(self.stages.page(&index.name, project).await?),
            };
            let Some(page) = page else { continue };
            let order = self.stacks.orders.of(&index.name, &page);
            let file = order.find(&page, &path.filename);
            if file.is_some_and(|file| path.place.holds(file)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Who may speak for a project; asks nobody.
    async fn verdict(
        &self,
        cx: &Context,
        stack: &Stack,
        project: &ProjectName,
    ) -> Flow<Verdict<Sources>> {
        let holding = self.stacks.holding(stack, project).await?;
        Ok(stack.decide_project(project, cx.now, &|one| holding.contains(one)))
    }

    /// Why a member that might list the file was not asked: its refusal of the project by name. So a
    /// stage that holds the project too does not turn a blocked file into "not found".
    pub async fn silenced(
        &self,
        cx: &Context,
        index: &IndexName,
        path: &str,
    ) -> Flow<Option<Denial>> {
        let Some(stack) = cx.generation.policies.stack(index) else {
            return Ok(None);
        };
        let filename = path.rsplit('/').next().unwrap_or(path);
        let (filename, _) = AskedPart::split(filename);
        for project in Filename::projects(filename) {
            let verdict = self.verdict(cx, stack, &project).await?;
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
}

/// Decides about a file that a stack lists.
pub fn decide_entry(cx: &Context, resolved: &Resolved, entry: &Entry<'_>) -> Ticket {
    let view = resolved.view();
    let candidate = candidate(entry);
    let member = &resolved.stack.members[entry.member];
    let outcome = match view.decide_file(&candidate, cx.now) {
        Verdict::Allow(allowed) => {
            let (owner, is_private) = (member.index.name.clone(), !member.index.is_mirror());
            Ok(Grant::new(allowed.to_shared(), owner, is_private))
        }
        Verdict::Deny(denial) => Err(denial),
    };
    let next_change = view.next_change(&candidate, cx.now);
    let (valid_until, stale_until) = resolved.until(next_change, cx.now);
    Ticket {
        stale_until,
        awaits: resolved.awaits.clone(),
        inquiry: Inquiry::about(&view, entry, cx.now),
        asks_inside: view.asks_inside(),
        ..ticket(cx, outcome, valid_until)
    }
}

fn ticket(cx: &Context, outcome: Result<Grant, Denial>, valid_until: Timestamp) -> Ticket {
    Ticket {
        outcome,
        generation: cx.generation.number,
        valid_until,
        stale_until: valid_until,
        awaits: Vec::new(),
        inquiry: None,
        asks_inside: false,
        file_head: KeptHead::new(),
        sidecar_head: KeptHead::new(),
    }
}

pub fn no_such_file() -> Error {
    Error::not_found("no such file")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::HeaderMap;

    use crate::gateway::sample;
    use crate::model::AskedPart;
    use crate::page::file_path;

    #[tokio::test]
    async fn a_page_is_ordered_once_for_all_its_files_and_sidecars() {
        let folder = tempfile::tempdir().unwrap();
        let names = (0..300).map(|at| format!("six-{at}.0-py3-none-any.whl"));
        let (flows, index, page) = sample::mirror(folder.path(), names).await;
        let (cx, headers) = (flows.core.context(), HeaderMap::new());
        let orders = &flows.stacks.orders;
        let mut order = None;
        for path in page.files.iter().map(file_path) {
            for part in [AskedPart::Whole, AskedPart::Metadata] {
                flows.tickets.forget_all();
                let ticket = flows.tickets.ticket(&cx, &headers, &index, &path, part);
                assert!(ticket.await.unwrap().outcome.is_ok(), "{path}");
            }
            // What is made again is another one.
            let now = orders.of(&index, &page);
            assert!(Arc::ptr_eq(order.get_or_insert(Arc::clone(&now)), &now));
        }
    }
}
