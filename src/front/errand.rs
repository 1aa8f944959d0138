//! Requests that do more than read, for a devpi index under rules: nothing that names a refused project
//! or takes a refused file elsewhere is carried to devpi. Uploads and deletions are not affected: rules
//! say what may be fetched.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::devpi::DevpiWords;
use crate::exchange::{Context, Decision, Record, Reply, Route, Ruled, Trouble, count_denial};
use crate::front::answer::{Front, devpi_reply};
use crate::front::judgement::refused_by_name;
use crate::front::place::segments_of;
use crate::front::ruled::project_in;
use crate::front::write::Errand;
use crate::model::{IndexName, ProjectName};
use crate::page::parse_file_path;
use crate::policy::Denial;
use crate::protocol::ManageRoute;
use crate::telemetry::Mode;
use crate::upstream::FleetBody;

/// Why a request is not carried out.
enum Refused {
    /// The rules.
    Denied(Box<Denial>),
    /// It cannot be judged; why, in words.
    Unjudged(StatusCode, String),
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(denial) => Self::Denied(denial),
            Trouble::Failed(error) => Self::Unjudged(error.kind.status(), error.message.clone()),
        }
    }
}

impl Front {
    /// The body of a request that may be carried out; otherwise the reply to its sender.
    pub async fn under_rules(
        &self,
        errand: &Errand<'_>,
        index: &IndexName,
        body: Option<FleetBody>,
    ) -> Result<Option<FleetBody>, Reply> {
        let cx = self.flows.core.context();
        let judged = match errand.route {
            ManageRoute::Push(_) => self.push_under_rules(&cx, index, body).await,
            ManageRoute::Refresh(_, project) => self.named(&cx, index, project).map(|()| body),
            ManageRoute::ToxResult(_, path) => self
                .result_under_rules(&cx, index, path)
                .await
                .map(|()| body),
            ManageRoute::Upload(_) | ManageRoute::Delete { .. } | ManageRoute::Index(..) => {
                Ok(body)
            }
            // What devpi's plugins make of it is unknown, except which project it names.
            ManageRoute::Read(_)
            | ManageRoute::LogIn
            | ManageRoute::AuthCheck
            | ManageRoute::Reload
            | ManageRoute::Cache(_)
            | ManageRoute::Recall(_)
            | ManageRoute::User(..)
            | ManageRoute::CreateMisnamed { .. }
            | ManageRoute::XmlSearch(_)
            | ManageRoute::NotAllowed(_)
            | ManageRoute::NotFound => {
                let segments = segments_of(errand.head.uri.path()).unwrap_or_default();
                match project_in(&segments) {
                    Some(project) => self.named(&cx, index, &project).map(|()| body),
                    None => Ok(body),
                }
            }
        };
        judged.map_err(|refused| self.told(index, refused))
    }

    fn named(&self, cx: &Context, index: &IndexName, project: &ProjectName) -> Result<(), Refused> {
        match refused_by_name(cx, index, project) {
            Some(denial) => Err(Refused::Denied(Box::new(denial))),
            None => Ok(()),
        }
    }

    /// A result is about a file, and devpi takes it only for a file that it would serve.
    async fn result_under_rules(
        &self,
        cx: &Context,
        index: &IndexName,
        path: &str,
    ) -> Result<(), Refused> {
        let Some(path) = parse_file_path(path) else {
            return Err(no_release_file(index, path));
        };
        match self.judged_file(cx, index, &path).await? {
            Some(Err(denial)) => Err(Refused::Denied(Box::new(denial))),
            Some(Ok(_)) => Ok(()),
            None => Err(no_release_file(index, &path.filename)),
        }
    }

    /// A push takes all of a release to an index that may have other rules, or out of this gateway.
    async fn push_under_rules(
        &self,
        cx: &Context,
        index: &IndexName,
        body: Option<FleetBody>,
    ) -> Result<Option<FleetBody>, Refused> {
        let most = self.limits().writes.api_body;
        let bad = |words: String| Refused::Unjudged(StatusCode::BAD_REQUEST, words);
        let body = match body {
            Some(body) => whole(body, most).await.map_err(bad)?,
            None => Bytes::new(),
        };
        let pushed: Value =
            serde_json::from_slice(&body).map_err(|_| bad(DevpiWords::NoJson.to_string()))?;
        let text = |key: &str| {
            let text = pushed.get(key).and_then(Value::as_str);
            text.ok_or_else(|| bad(format!("no {key} was given")))
        };
        let (name, version) = (text("name")?, text("version")?);
        let project = ProjectName::parse(name)
            .map_err(|_| bad(format!("{name:?} is no name of a project")))?;
        if let Some(judgement) = self.judgement(cx, index, &project).await?
            && let Some(denial) = judgement.refusal_in(version)
        {
            return Err(Refused::Denied(Box::new(denial)));
        }
        let once = stream::once(std::future::ready(Ok(body)));
        Ok(Some(Box::pin(once)))
    }

    /// In devpi's own form, since devpi's clients ask.
    fn told(&self, index: &IndexName, refused: Refused) -> Reply {
        let mut record = Record {
            route: Route::Manage,
            index: Some(index.clone()),
            ..Record::default()
        };
        let (status, words) = match refused {
            Refused::Denied(denial) => {
                count_denial(&self.flows.core.metrics, &denial, Mode::Enforce);
                record.decision = Decision::Deny;
                record.rule = Some(Ruled::by(&denial));
                record.project = Some(denial.subject.project().clone());
                (StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, denial.detail())
            }
            Refused::Unjudged(status, words) => (status, words),
        };
        devpi_reply(status, &words, HeaderMap::new(), record)
    }
}

fn no_release_file(index: &IndexName, path: &str) -> Refused {
    let words = DevpiWords::NoReleaseFile(index, path).to_string();
    Refused::Unjudged(StatusCode::NOT_FOUND, words)
}

async fn whole(mut body: FleetBody, bytes_max: usize) -> Result<Bytes, String> {
    let mut held = Vec::new();
    while let Some(piece) = body.next().await {
        held.extend_from_slice(&piece.map_err(|error| error.to_string())?);
        if held.len() > bytes_max {
            return Err(format!(
                "the body is longer than the {bytes_max} bytes that limits.api_body allows"
            ));
        }
    }
    Ok(held.into())
}
