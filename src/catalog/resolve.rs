//! A project through an index's stack: who may speak, and what each says.
//!
//! The page flow and the file flow both start here, so that a file is served exactly when its page
//! lists it.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;

use crate::cache::InFlight;
use crate::catalog::orders::NameOrders;
use crate::catalog::source::{Mirrors, Said};
use crate::catalog::stage::StagePages;
use crate::devpi::DevpiWords;
use crate::exchange::{
    CacheResult, Context, Core, Error, Patience, RETRY_AFTER, later, records_failed,
};
use crate::model::{IndexName, ProjectName, Timestamp};
use crate::page::{Entry, FilePlace, Layers};
use crate::policy::{Candidate, Denial, IndexKind, Member, ProjectView, Sources, Stack, Verdict};
use crate::telemetry::Staleness;
use crate::upstream::Share;

/// What a stack says about a project.
#[derive(Debug)]
pub enum Resolution {
    /// Refused by name: nobody was asked who must not be.
    Refused(Denial),
    /// No member that was asked knows it.
    Unknown,
    /// The pages of those who speak for it, not yet filtered.
    Known(Resolved),
}

/// A project as a stack shows it, before the policies look at its files.
#[derive(Debug)]
pub struct Resolved {
    /// The stack that was asked.
    pub stack: Arc<Stack>,
    /// Every source's files.
    pub layers: Layers,
    /// In which order their names are.
    pub orders: Arc<NameOrders>,
    /// Until when no source has anything newer.
    pub valid_until: Timestamp,
    /// Until when the page may be served while the sources are asked again.
    pub stale_until: Timestamp,
    /// What the caches did, in the worst case of all sources.
    pub cache: CacheResult,
    /// The members whose upstream cannot be asked, and since when.
    pub silent: Vec<(usize, Timestamp)>,
    /// The sources' shares of what may be read at one time.
    pub shares: Vec<Arc<Share>>,
    /// The upstreams that are still being asked: when one is done, the page may be another.
    pub awaits: Vec<InFlight>,
}

impl Resolved {
    /// The rules about the project.
    pub fn view(&self) -> ProjectView<'_> {
        let view = self.stack.view(self.layers.project());
        view.while_silent(&self.silent)
            .among(self.layers.listings())
    }

    /// The file of this name, if it is also at the given place.
    pub fn find(&self, filename: &str, place: Option<&FilePlace>) -> Option<Entry<'_>> {
        self.layers.find(filename, place, &|member, page| {
            let index = &self.stack.members[member].index;
            self.orders.of(&index.name, page)
        })
    }

    /// Until when something made of it is valid, and until when it may be served while it is renewed.
    /// What a rule says changes at its instant (`next_change`); only sources are given extra time.
    pub fn until(&self, next_change: Option<Timestamp>, now: Timestamp) -> (Timestamp, Timestamp) {
        let changes = [next_change, self.stack.next_rule_change(now)];
        let change = changes.into_iter().flatten().min();
        let change = change.unwrap_or(Timestamp::MAX);
        (self.valid_until.min(change), self.stale_until.min(change))
    }
}

/// What the members of a stack say about a project.
#[derive(Debug)]
pub enum Statements {
    /// Refused by name: nobody was asked who must not be.
    Refused(Denial),
    /// Every member that may speak was asked.
    Made {
        /// The stack that was asked.
        stack: Arc<Stack>,
        /// Which members were asked, and which were not and why.
        sources: Sources,
        /// The answers, in the order of the stack.
        answers: Vec<MemberAnswer>,
    },
}

/// One member's answer.
#[derive(Debug)]
pub struct MemberAnswer {
    /// Its position in the stack.
    pub member: usize,
    /// What it said.
    pub said: Said,
    /// Why it said nothing, if it is optional and could not be asked.
    pub trouble: Option<Error>,
}

/// Asks the members of a stack, stages and mirrors.
#[derive(Debug)]
pub struct Stacks {
    core: Arc<Core>,
    mirrors: Arc<Mirrors>,
    stages: Arc<StagePages>,
    /// The orders by name that were worked out.
    pub orders: Arc<NameOrders>,
}

impl Stacks {
    pub fn new(
        core: Arc<Core>,
        mirrors: Arc<Mirrors>,
        stages: Arc<StagePages>,
        orders_bytes_max: u64,
    ) -> Self {
        Self {
            core,
            mirrors,
            stages,
            orders: Arc::new(NameOrders::new(orders_bytes_max)),
        }
    }

    /// Asks every member of the stack that may speak for the project.
    ///
    /// # Errors
    /// `NotFound` for an unknown index; `Unavailable` when a member that is not optional cannot be
    /// asked (it is never silently left out, or its names would be looked for in the next), or when an
    /// optional one cannot and no other knows the project: "not found" would be a guess.
    pub async fn resolve(
        self: &Arc<Self>,
        cx: &Context,
        index: &IndexName,
        project: &ProjectName,
        patience: Patience,
    ) -> Result<Resolution, Error> {
        match self.statements(cx, index, project, patience).await? {
            Statements::Refused(denial) => Ok(Resolution::Refused(denial)),
            Statements::Made {
                stack,
                sources,
                answers,
            } => {
                let trouble = answers.iter().find_map(|answer| answer.trouble.clone());
                let orders = Arc::clone(&self.orders);
                let settled = settle(&stack, project, &sources, answers, orders);
                match (settled, trouble) {
                    (Resolution::Unknown, Some(trouble)) => Err(trouble),
                    (settled, _) => Ok(settled),
                }
            }
        }
    }

    /// What each member of the stack that may speak says about the project, asked concurrently.
    ///
    /// # Errors
    /// As [`Stacks::resolve`].
    pub async fn statements(
        self: &Arc<Self>,
        cx: &Context,
        index: &IndexName,
        project: &ProjectName,
        patience: Patience,
    ) -> Result<Statements, Error> {
        let Some(stack) = cx.generation.policies.stack(index) else {
            return Err(unknown_index(index));
        };
        let holding = self.holding(stack, project).await?;
        let verdict = stack.decide_project(project, cx.now, &|stage| holding.contains(stage));
        let sources = match verdict {
            Verdict::Deny(denial) => return Ok(Statements::Refused(denial)),
            Verdict::Allow(allowed) => allowed.into_item(),
        };
        let asked = sources.ask.iter().map(|position| {
            self.ask_member(cx, *position, &stack.members[*position], project, patience)
        });
        let mut answers = Vec::with_capacity(sources.ask.len());
        for answer in join_all(asked).await {
            answers.push(answer?);
        }
        Ok(Statements::Made {
            stack: Arc::clone(stack),
            sources,
            answers,
        })
    }

    async fn ask_member(
        self: &Arc<Self>,
        cx: &Context,
        position: usize,
        member: &Member,
        project: &ProjectName,
        patience: Patience,
    ) -> Result<MemberAnswer, Error> {
        let index = &member.index;
        let mut trouble = None;
        let said = match &index.kind {
            IndexKind::Stage(_) => {
                let page = self.stages.page(&index.name, project).await?;
                let until = (Timestamp::MAX, Timestamp::MAX);
                Said::new(Some(page), until, CacheResult::Bypass)
            }
            IndexKind::Mirror(mirror) => {
                let said = self
                    .mirrors
                    .mirror_page(cx, index, mirror, project, patience);
                match said.await {
                    Ok(said) => said,
                    Err(error) if mirror.optional() => {
                        tracing::warn!(index = %index.name, %project, %error, "optional mirror left out");
                        trouble = Some(error);
                        // A page made without it is valid only until it is tried again.
                        let until = later(cx.now, RETRY_AFTER);
                        Said::new(None, (until, until), CacheResult::Stale(Staleness::Partial))
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        Ok(MemberAnswer {
            member: position,
            said,
            trouble,
        })
    }

    /// The stages of a stack that hold the project.
    pub async fn holding(
        &self,
        stack: &Stack,
        project: &ProjectName,
    ) -> Result<HashSet<IndexName>, Error> {
        let mut holding = HashSet::new();
        for member in &stack.members {
            let index = &member.index.name;
            if member.index.is_mirror() {
                continue;
            }
            // A name that is only registered counts (devpi's rule).
            let held = self.core.records.has_project(index, project).await;
            let doing = || format!("look for {project} in {index}");
            if held.map_err(|error| records_failed(&doing(), error))? {
                holding.insert(index.clone());
            }
        }
        Ok(holding)
    }
}

fn settle(
    stack: &Arc<Stack>,
    project: &ProjectName,
    sources: &Sources,
    answers: Vec<MemberAnswer>,
    orders: Arc<NameOrders>,
) -> Resolution {
    let valid_until = answers.iter().map(|answer| answer.said.valid_until).min();
    let stale_until = answers.iter().map(|answer| answer.said.stale_until).min();
    let cache = worst(&answers);
    let silent = silent_members(&answers);
    let shares = answers
        .iter()
        .filter_map(|answer| answer.said.share.clone());
    let shares = shares.collect();
    let awaits = answers
        .iter()
        .filter_map(|answer| answer.said.awaits.clone());
    let awaits = awaits.collect();
    let layers = answers
        .into_iter()
        .filter_map(|answer| Some((answer.member, answer.said.page?)));
    let layers: Vec<_> = layers.collect();
    if layers.is_empty() {
        // If nothing was found, the reason is the first refusal among the skipped members, not absence.
        let refusal = sources
            .skipped
            .iter()
            .find_map(|skipped| skipped.reason.denial());
        return match refusal {
            Some(denial) => Resolution::Refused(denial.clone()),
            None => Resolution::Unknown,
        };
    }
    Resolution::Known(Resolved {
        stack: Arc::clone(stack),
        layers: Layers::new(project.clone(), layers),
        orders,
        valid_until: valid_until.unwrap_or(Timestamp::MAX),
        stale_until: stale_until.unwrap_or(Timestamp::MAX),
        cache,
        silent,
        shares,
        awaits,
    })
}

/// The members whose upstream cannot be asked, and since when.
pub fn silent_members(answers: &[MemberAnswer]) -> Vec<(usize, Timestamp)> {
    let silent = answers.iter();
    let silent = silent.filter_map(|answer| Some((answer.member, answer.said.silent_since?)));
    silent.collect()
}

/// What the caches did, in the worst case of all members.
pub fn worst(answers: &[MemberAnswer]) -> CacheResult {
    let caches = answers.iter().map(|answer| answer.said.cache);
    caches.fold(CacheResult::Bypass, CacheResult::worse)
}

/// devpi's words, since its client shows them.
pub fn unknown_index(index: &IndexName) -> Error {
    Error::not_found(DevpiWords::NoStage(index.as_str()).to_string())
}

/// An entry as the policies are asked about it.
pub fn candidate<'a>(entry: &Entry<'a>) -> Candidate<'a> {
    Candidate {
        file: entry.file,
        member: entry.member,
        status: entry.state,
    }
}
