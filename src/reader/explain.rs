//! Why a project or its files pass or not, rule by rule, judging by what is held here.

use crate::catalog::{Resolution, Resolved, candidate, unknown_index};
use crate::exchange::{Context, Error, Patience};
use crate::gateway::{Flows, decide};
use crate::model::{
    File, IndexName, ProjectName, Timestamp, Version, VersionMatch, VersionSpecifiers,
};
use crate::page::{Entry, Ruling};
use crate::policy::{ProjectView, TraceLine, taken};

/// What to explain.
#[derive(Debug, Clone)]
pub struct Question {
    /// The project.
    pub project: ProjectName,
    /// Only this file, if given.
    pub filename: Option<String>,
    /// Only files with a version that these contain, if given.
    pub versions: Option<VersionSpecifiers>,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Explanation {
    /// The rules on the project's name.
    pub project: Vec<TraceLine>,
    /// Why nothing is said about files, if so.
    pub note: Option<String>,
    /// Each file asked about, by version.
    pub files: Vec<ExplainedFile>,
    /// The version that an installer takes.
    pub taken: Option<Version>,
    /// What comes of it, in a line.
    pub outcome: String,
    /// Whether nothing is said because a mirror's page is not held here, or cannot be had.
    pub is_unasked: bool,
}

/// One file and the rules that look at it.
#[derive(Debug, Clone)]
pub struct ExplainedFile {
    /// Its name.
    pub filename: String,
    /// The index that lists it.
    pub owner: IndexName,
    /// Whether it is served.
    pub is_allowed: bool,
    /// Every rule that applies.
    pub rules: Vec<TraceLine>,
}

/// Explains a stack's verdicts.
///
/// # Errors
/// When there is no such index, or the records cannot be read.
pub async fn explain_verdicts(
    flows: &Flows,
    cx: &Context,
    index: &IndexName,
    question: &Question,
) -> Result<Explanation, Error> {
    let Some(stack) = cx.generation.policies.stack(index) else {
        return Err(unknown_index(index));
    };
    let holding = flows.stacks.holding(stack, &question.project).await?;
    let project = stack.explain_project(&question.project, cx.now, &|one| holding.contains(one));
    let mut explanation = Explanation {
        project,
        ..Explanation::default()
    };
    let resolved = match flows
        .stacks
        .resolve(cx, index, &question.project, Patience::LatestFile)
        .await
    {
        Ok(Resolution::Known(resolved)) => resolved,
        Ok(Resolution::Refused(denial)) => return Ok(explanation.without_files(denial.detail())),
        Ok(Resolution::Unknown) => {
            let note = format!("no index of the stack knows {}", question.project);
            return Ok(explanation.without_files(note));
        }
        Err(error) => {
            let why = error.message;
            explanation.outcome = format!("what an installer takes is not known here: {why}");
            explanation.note = Some(why);
            explanation.is_unasked = true;
            return Ok(explanation);
        }
    };
    let merged = resolved.layers.merged();
    let mut entries: Vec<Entry<'_>> = merged.entries().collect();
    entries.retain(|entry| question.asks_for(entry.file));
    if entries.is_empty() {
        return Ok(explanation.without_files("no file that is held here fits".to_owned()));
    }
    entries.sort_by_cached_key(|entry| {
        let filename = &entry.file.filename;
        (filename.version(), filename.clone())
    });
    explanation.judge(&resolved, &entries, question, cx.now);
    Ok(explanation)
}

impl Explanation {
    /// Adds why nothing better is known.
    #[must_use]
    pub fn noting(mut self, why: Option<String>) -> Self {
        if let (Some(note), Some(why)) = (&mut self.note, why) {
            note.push_str(&format!("; {why}"));
            self.outcome.push_str(&format!("; {why}"));
        }
        self
    }

    fn without_files(mut self, note: String) -> Self {
        self.outcome = format!("an installer takes nothing: {note}");
        self.note = Some(note);
        self
    }

    fn judge(
        &mut self,
        resolved: &Resolved,
        entries: &[Entry<'_>],
        question: &Question,
        now: Timestamp,
    ) {
        let view = resolved.view();
        let explained = |entry: &Entry<'_>| ExplainedFile {
            filename: entry.file.filename.to_string(),
            owner: resolved.stack.members[entry.member].index.name.clone(),
            is_allowed: decide(&view, entry, now).ruling == Ruling::List,
            rules: view.explain_file(&candidate(entry), now),
        };
        self.files = entries.iter().map(explained).collect();
        let passing = entries.iter().zip(&self.files);
        let passing = passing.filter(|(_, explained)| explained.is_allowed);
        self.taken = taken(
            passing.map(|(entry, _)| entry.file),
            question.versions.as_ref(),
        );
        self.outcome = outcome(&view, entries, self.taken.as_ref(), question, now);
    }
}

/// What comes of some files, in a line: the version taken, and why not the one that would be taken without any rules.
pub fn outcome(
    view: &ProjectView<'_>,
    entries: &[Entry<'_>],
    found: Option<&Version>,
    question: &Question,
    now: Timestamp,
) -> String {
    let refusal = |wanted: &dyn Fn(&File) -> bool| {
        let mut entries = entries.iter().filter(|entry| wanted(entry.file));
        entries.find_map(|entry| {
            let verdict = view.decide_file(&candidate(entry), now);
            verdict.denial().map(|denial| denial.words())
        })
    };
    if let Some(filename) = &question.filename {
        let words = refusal(&|_| true).unwrap_or_else(|| "served".to_owned());
        return format!("{filename} is {words}");
    }
    let project = &question.project;
    let first = taken(
        entries.iter().map(|entry| entry.file),
        question.versions.as_ref(),
    );
    let refused = first.filter(|first| Some(first) != found).map(|first| {
        let words = refusal(&|file| file.filename.version() == first);
        format!(
            "{first} is {}",
            words.unwrap_or_else(|| "not served".to_owned())
        )
    });
    match (found, refused) {
        (Some(version), None) => format!("an installer takes {project} {version}"),
        (Some(version), Some(refused)) => {
            format!("an installer takes {project} {version}; {refused}")
        }
        (None, Some(refused)) => format!("an installer takes nothing: {project} {refused}"),
        (None, None) => {
            "an installer takes nothing: what is held here is yanked, or has a version that it cannot read"
                .to_owned()
        }
    }
}

impl Question {
    /// About everything of a project.
    pub fn of(project: &ProjectName) -> Self {
        Self {
            project: project.clone(),
            filename: None,
            versions: None,
        }
    }

    fn asks_for(&self, file: &File) -> bool {
        let named = self
            .filename
            .as_ref()
            .is_none_or(|name| file.filename.as_str() == name);
        let contain = |versions: &VersionSpecifiers| {
            versions.contains(&file.filename.version()) == VersionMatch::Yes
        };
        named && self.versions.as_ref().is_none_or(contain)
    }
}
