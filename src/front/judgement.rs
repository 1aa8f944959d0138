//! What the rules on a devpi index say about a project: the page that the flows made of it, file by file.
//! A project that is refused by name is not asked for.

use crate::catalog::{Resolution, Resolved};
use crate::exchange::{Context, ErrorKind, Patience, Trouble};
use crate::front::answer::Front;
use crate::front::object::Standing;
use crate::gateway::{Grant, decide};
use crate::model::{File, IndexName, ProjectName, Timestamp, Version};
use crate::page::{Entry, FilePath, Merged, Ruling, file_path};
use crate::policy::{Candidate, Denial, ProjectView, Verdict};

/// A project's files, and who decides about them.
pub struct Judgement {
    resolved: Resolved,
    merged: Merged,
    now: Timestamp,
}

impl Front {
    /// Asks devpi for a project's page, unless the name is refused; `None` if devpi has no page.
    pub async fn judgement(
        &self,
        cx: &Context,
        index: &IndexName,
        project: &ProjectName,
    ) -> Result<Option<Judgement>, Trouble> {
        match self
            .flows
            .stacks
            .resolve(cx, index, project, Patience::LatestFile)
            .await?
        {
            Resolution::Refused(denial) => Err(Trouble::Refused(Box::new(denial))),
            Resolution::Unknown => Ok(None),
            Resolution::Known(resolved) => Ok(Some(Judgement {
                merged: resolved.layers.merged(),
                resolved,
                now: cx.now,
            })),
        }
    }

    /// The verdict on a file at a path below the index; `None` if no page lists it.
    pub async fn judged_file(
        &self,
        cx: &Context,
        index: &IndexName,
        path: &FilePath,
    ) -> Result<Option<Result<Grant, Denial>>, Trouble> {
        match self.flows.tickets.decide_path(cx, index, path, None).await {
            Ok(ticket) => Ok(Some(ticket.outcome)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Why a project may not even be asked for.
pub fn refused_by_name(cx: &Context, index: &IndexName, project: &ProjectName) -> Option<Denial> {
    let stack = cx.generation.policies.stack(index)?;
    let verdict = stack.decide_project(project, cx.now, &|_| false);
    verdict.denial().cloned()
}

impl Judgement {
    fn view(&self) -> ProjectView<'_> {
        self.resolved.view()
    }

    fn ruling(&self, entry: &Entry<'_>) -> Ruling {
        decide(&self.view(), entry, self.now).ruling
    }

    fn of_version<'a>(&'a self, version: &str) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let version = Version::parse(version);
        let entries = self.merged.entries();
        entries.filter(move |entry| entry.file.filename.version() == version)
    }

    /// The path below the asked index, for a file that passes.
    pub fn path(&self, path: &FilePath) -> Option<String> {
        let entry = self.resolved.find(&path.filename, Some(&path.place))?;
        match self.ruling(&entry) {
            Ruling::List => Some(file_path(entry.file)),
            Ruling::Hide | Ruling::ListAsYanked(_) => None,
        }
    }

    fn decide<'a>(&self, entry: &Entry<'a>) -> Verdict<&'a File> {
        let candidate = Candidate {
            file: entry.file,
            member: entry.member,
            status: entry.state,
        };
        self.view().decide_file(&candidate, self.now)
    }

    /// How a release stands.
    pub fn standing(&self, version: &str) -> Standing {
        let rulings: Vec<Ruling> = self
            .of_version(version)
            .map(|one| self.ruling(&one))
            .collect();
        if rulings.is_empty() || rulings.contains(&Ruling::List) {
            return Standing::Passes;
        }
        let yanked = rulings.into_iter().find_map(|ruling| match ruling {
            Ruling::ListAsYanked(words) => Some(words),
            Ruling::List | Ruling::Hide => None,
        });
        yanked.map_or(Standing::Hidden, Standing::Yanked)
    }

    /// Whether the page lists a file of a release that passes.
    pub fn has_passing(&self, version: &str) -> bool {
        self.of_version(version)
            .any(|entry| self.ruling(&entry) == Ruling::List)
    }

    /// Whether a file of this name passes, wherever it is.
    pub fn passes(&self, filename: &str) -> bool {
        let entry = self.resolved.find(filename, None);
        entry.is_some_and(|entry| self.ruling(&entry) == Ruling::List)
    }

    /// Why some of a release may not go elsewhere.
    pub fn refusal_in(&self, version: &str) -> Option<Denial> {
        self.of_version(version)
            .find_map(|entry| self.decide(&entry).denial().cloned())
    }
}
