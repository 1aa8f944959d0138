//! A read-only request, answered as of one generation and one instant.

use std::sync::Arc;

use crate::catalog::{MemberAnswer, Statements, unknown_index, worst};
use crate::devpi::{DeclaredIndex, IndexSettings, Survey};
use crate::exchange::{Ask, Context, Error, Outside, Patience, Record, Trouble, records_failed};
use crate::gateway::Flows;
use crate::model::{IndexName, ProjectName, Timestamp};
use crate::policy::{Sources, Stack, Verdict};
use crate::reader::api::Asker;

/// What every object and page is made from.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    pub flows: &'a Flows,
    pub cx: &'a Context,
    pub ask: &'a Ask<'a>,
    pub asker: Asker<'a>,
}

/// A stack, which of its members were asked about a project, and their answers.
pub type Heard = (Arc<Stack>, Sources, Vec<MemberAnswer>);

impl Look<'_> {
    /// Whether the door shows an index.
    pub fn shows(&self, index: &IndexName) -> bool {
        self.cx.shows(self.ask, index)
    }

    /// The URL under which the client sees this gateway.
    pub fn outside(&self) -> Outside {
        Outside::of(self.ask)
    }

    /// The users and indexes that the door shows.
    pub async fn survey<T>(
        &self,
        doing: &str,
        look: impl FnOnce(&Survey<'_>) -> T,
    ) -> Result<T, Error> {
        let declared = DeclaredIndex::all(&self.cx.generation.policies);
        let survey = Survey::read(&*self.flows.core.records, &declared).await;
        let survey = survey.map_err(|error| records_failed(doing, error))?;
        Ok(look(&survey.only(&|index| self.shows(index))))
    }

    /// The configuration of an index, declared or recorded.
    ///
    /// # Errors
    /// When there is no such index, or the records cannot be read.
    pub async fn settings(&self, index: &IndexName) -> Result<IndexSettings, Error> {
        let known = self.cx.generation.policies.index(index);
        let known = known.ok_or_else(|| unknown_index(index))?;
        if known.location.is_some() {
            return Ok(IndexSettings::from_index(known));
        }
        let record = self.flows.core.records.index(index).await;
        let record = record.map_err(|error| records_failed("read the index", error))?;
        let settings = record.as_ref().and_then(IndexSettings::of_record);
        settings.ok_or_else(|| unknown_index(index))
    }

    /// The names of a stage's own projects, without those refused by name.
    pub async fn staged_projects(&self, index: &IndexName) -> Result<Vec<ProjectName>, Error> {
        let doing = "list the projects of the index";
        let projects = self.flows.core.records.projects(index).await;
        let projects = projects.map_err(|error| records_failed(doing, error))?;
        let stack = self.cx.generation.policies.stack(index);
        let names = projects.into_iter().map(|project| project.name);
        Ok(names
            .filter(|name| stack.is_none_or(|stack| speaks(stack, name, self.cx.now)))
            .collect())
    }

    /// What is said about a project. If nobody says anything and a member was not asked because the
    /// policies refuse it, that is an error.
    pub async fn said(
        &self,
        index: &IndexName,
        project: &ProjectName,
        record: &mut Record,
    ) -> Result<Heard, Trouble> {
        let stacks = &self.flows.stacks;
        let statements = stacks.statements(self.cx, index, project, Patience::Page);
        let (stack, sources, answers) = match statements.await? {
            Statements::Refused(denial) => return Err(Trouble::Refused(Box::new(denial))),
            Statements::Made {
                stack,
                sources,
                answers,
            } => (stack, sources, answers),
        };
        record.cache = worst(&answers);
        let mut skipped = sources.skipped.iter();
        match skipped.find_map(|skipped| skipped.reason.denial()) {
            Some(denial) if answers.iter().all(|answer| answer.said.page.is_none()) => {
                Err(Trouble::Refused(Box::new(denial.clone())))
            }
            Some(_) | None => Ok((stack, sources, answers)),
        }
    }
}

/// Whether the asked index of a stack may itself speak for a project that it knows.
pub fn speaks(stack: &Stack, project: &ProjectName, now: Timestamp) -> bool {
    let asked = &stack.asked.name;
    match stack.decide_project(project, now, &|index| index == asked) {
        Verdict::Allow(allowed) => stack
            .position(asked)
            .is_some_and(|own| allowed.item().ask.contains(&own)),
        Verdict::Deny(_) => false,
    }
}
