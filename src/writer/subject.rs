//! What a write is about, for the access line and the audit stream, as far as it is known by then.

use std::sync::Arc;

use crate::exchange::{Attempt, Decision, Record};
use crate::model::{IndexName, ProjectName};
use crate::protocol::{Deletable, ManageRoute};
use crate::telemetry::{NAME_MAX, REASON_MAX, cut};

/// What a write is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteSubject {
    /// The index it was sent to.
    pub index: Option<IndexName>,
    /// The project.
    pub project: Option<ProjectName>,
    /// The file's name.
    pub file: Option<Arc<str>>,
    /// Who sent it, if known.
    pub user: Option<Arc<str>>,
    /// By which token.
    pub token: Option<Arc<str>>,
    /// Whether it adds or removes content: then it is recorded whether that was allowed.
    pub is_content: bool,
}

impl WriteSubject {
    /// As far as the route tells.
    #[must_use]
    pub fn of(route: &ManageRoute) -> Self {
        let (project, path) = match route {
            ManageRoute::ToxResult(_, path) => (None, Some(path)),
            ManageRoute::Refresh(_, project) => (Some(project), None),
            ManageRoute::Delete { content, .. } => match content {
                Deletable::Project(project) | Deletable::Release(project, _) => {
                    (Some(project), None)
                }
                Deletable::File(path) => (None, Some(path)),
            },
            ManageRoute::Read(_)
            | ManageRoute::LogIn
            | ManageRoute::AuthCheck
            | ManageRoute::Reload
            | ManageRoute::Cache(_)
            | ManageRoute::Recall(_)
            | ManageRoute::User(..)
            | ManageRoute::Index(..)
            | ManageRoute::CreateMisnamed { .. }
            | ManageRoute::Upload(_)
            | ManageRoute::Push(_)
            | ManageRoute::XmlSearch(_)
            | ManageRoute::NotAllowed(_)
            | ManageRoute::NotFound => (None, None),
        };
        let file = path.and_then(|path| last_segment(path));
        Self {
            index: route.index().cloned(),
            project: project.cloned(),
            file: file.map(|name| cut(name, NAME_MAX).into()),
            user: None,
            token: None,
            is_content: matches!(
                route,
                ManageRoute::Upload(_)
                    | ManageRoute::Push(_)
                    | ManageRoute::ToxResult(..)
                    | ManageRoute::Delete { .. }
            ),
        }
    }

    /// As far as a form has told by now.
    pub fn of_form(&mut self, name: Option<&str>, filename: Option<&str>) {
        self.project = name.and_then(|name| ProjectName::parse(name).ok());
        self.file = filename.map(|name| cut(name, NAME_MAX).into());
    }

    /// Completes the record of a reply, or of a refusal with its reason.
    pub fn note(self, record: &mut Record, refused: Option<&str>) {
        record.index = record.index.take().or(self.index);
        record.project = record.project.take().or(self.project);
        record.file = record.file.take().or(self.file);
        if self.is_content {
            record.attempt = Some(Arc::new(Attempt {
                user: self.user,
                token: self.token,
                why: refused.map(|words| cut(words, REASON_MAX).into()),
            }));
            record.decision = match refused {
                None => Decision::Allow,
                Some(_) => Decision::Deny,
            };
        } else if self.user.is_some() {
            record.attempt = Some(Arc::new(Attempt {
                user: self.user,
                token: self.token,
                why: None,
            }));
        }
    }
}

fn last_segment(path: &str) -> Option<&str> {
    path.rsplit('/').next().filter(|name| !name.is_empty())
}
