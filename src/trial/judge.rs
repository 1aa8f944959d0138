//! What a stack makes of something that one of its members lists, before anybody has listed it.
//!
//! A request asks first who may speak for the project, then about the file itself; so does this, by the same
//! functions. It serves those who bring their own facts: tests of policies, and lock files.

use crate::model::{IndexName, ProjectName, Timestamp};
use crate::policy::{Candidate, Denial, ProjectView, SkipReason, Stack, Verdict};

/// The answer, without the item: nothing is served by it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Judged {
    /// It passes; with the refusal of a policy that only audits.
    Passes(Option<Box<Denial>>),
    /// It is refused.
    Refused(Box<Denial>),
    /// This stage holds the name, and the member is a mirror.
    Private(IndexName),
    /// No member of the stack could have it.
    Nowhere,
}

/// Whether a file passes; `holds` says which stages hold its project.
pub(super) fn judge_file(
    view: &ProjectView<'_>,
    candidate: &Candidate<'_>,
    now: Timestamp,
    holds: &dyn Fn(&IndexName) -> bool,
) -> Judged {
    let project = candidate.file.filename.project();
    let by_name = match judge_name(view.stack(), project, Some(candidate.member), now, holds) {
        Judged::Passes(audited) => audited,
        other @ (Judged::Refused(_) | Judged::Private(_) | Judged::Nowhere) => return other,
    };
    match view.decide_file(candidate, now) {
        Verdict::Deny(denial) => Judged::Refused(Box::new(denial)),
        Verdict::Allow(allowed) => Judged::Passes(by_name.or(boxed(allowed.audited()))),
    }
}

/// Whether a member may speak for a project, or with `None` any.
pub(super) fn judge_name(
    stack: &Stack,
    project: &ProjectName,
    member: Option<usize>,
    now: Timestamp,
    holds: &dyn Fn(&IndexName) -> bool,
) -> Judged {
    let allowed = match stack.decide_project(project, now, holds) {
        Verdict::Deny(denial) => return Judged::Refused(Box::new(denial)),
        Verdict::Allow(allowed) => allowed,
    };
    let sources = allowed.item();
    let mut skipped = sources.skipped.iter();
    match skipped.find(|skipped| Some(skipped.member) == member) {
        Some(skipped) => match &skipped.reason {
            SkipReason::Denied(denial) | SkipReason::Owned(denial) => {
                Judged::Refused(Box::new(denial.clone()))
            }
            SkipReason::Private(keeper) => Judged::Private(keeper.clone()),
        },
        None if sources.ask.is_empty() => Judged::Nowhere,
        None => Judged::Passes(boxed(allowed.audited())),
    }
}

fn boxed(denial: Option<&Denial>) -> Option<Box<Denial>> {
    denial.cloned().map(Box::new)
}
