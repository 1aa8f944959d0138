//! Why a project or its files pass or not, rule by rule, judging by what is held here.

use crate::gateway::{Context, Error, Flows, Patience, Resolution, decide, unknown_index};
use crate::model::{IndexName, ProjectName, VersionMatch, VersionSpecifiers};
use crate::page::Ruling;
use crate::policy::{Candidate, TraceLine};

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
    /// Each file asked about.
    pub files: Vec<ExplainedFile>,
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
        Ok(Resolution::Refused(denial)) => {
            explanation.note = Some(denial.detail());
            return Ok(explanation);
        }
        Ok(Resolution::Unknown) => {
            explanation.note = Some(format!("no index of the stack knows {}", question.project));
            return Ok(explanation);
        }
        Err(error) => {
            explanation.note = Some(error.message.clone());
            return Ok(explanation);
        }
    };
    let view = resolved.view();
    let merged = resolved.layers.merged();
    for entry in merged
        .entries()
        .filter(|entry| question.asks_for(entry.file))
    {
        let candidate = Candidate {
            file: entry.file,
            member: entry.member,
            status: entry.state,
        };
        explanation.files.push(ExplainedFile {
            filename: entry.file.filename.to_string(),
            owner: resolved.stack.members[entry.member].index.name.clone(),
            is_allowed: decide(&view, &entry, cx.now).ruling == Ruling::List,
            rules: resolved.stack.explain_file(&candidate, cx.now),
        });
    }
    if explanation.files.is_empty() {
        explanation.note = Some("no file that is held here fits".to_owned());
    }
    Ok(explanation)
}

impl Question {
    fn asks_for(&self, file: &crate::model::File) -> bool {
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
