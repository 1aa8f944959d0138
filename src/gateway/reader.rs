//! The read-only half: one match over the public routes is its table of contents.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::header::LOCATION;

use super::ask::Answer;
use super::ask::Ask;
use super::context::Context;
use super::context::Shared;
use super::error::Error;
use super::refusal;
use super::reply::Body;
use super::reply::Record;
use super::reply::Reply;
use super::reply::Route;
use crate::model::IndexName;
use crate::protocol::AskedIndex;
use crate::protocol::PublicRoute;

/// Answers everything that only reads. It can write nothing, by type.
#[derive(Debug, Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

type Flow = Result<Reply, (Arc<Error>, Record)>;

impl Reader {
    /// A reader of what is shared.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    async fn route(&self, cx: &Context, ask: &Ask<'_>) -> Flow {
        let shared = &self.shared;
        let mut record = Record::default();
        match &ask.route {
            PublicRoute::ProjectList { index, .. } => {
                record.route = Route::ProjectList;
                let index = named(cx, index, &mut record)?;
                shared.project_list(cx, ask, &index, record).await
            }
            PublicRoute::ProjectPage { index, project, form } => {
                record.route = Route::ProjectPage;
                record.project = Some(project.clone());
                let index = named(cx, index, &mut record)?;
                shared.project_page(cx, ask, &index, project, *form, record).await
            }
            PublicRoute::File { index, path, filename, is_sidecar } => {
                record.route = if *is_sidecar { Route::Sidecar } else { Route::File };
                record.index = Some(index.clone());
                record.file = Some(filename.as_str().into());
                shared.file(cx, ask, index, path, *is_sidecar, record).await
            }
            PublicRoute::Redirect { to, is_permanent } => Ok(redirect(to, *is_permanent, record)),
            PublicRoute::Api(_)
            | PublicRoute::Status
            | PublicRoute::Users(_)
            | PublicRoute::User { .. }
            | PublicRoute::Index { .. }
            | PublicRoute::Project { .. }
            | PublicRoute::Release { .. }
            | PublicRoute::Search
            | PublicRoute::Static { .. }
            | PublicRoute::NotFound => Err((Arc::new(Error::not_found("no such route")), record)),
        }
    }
}

#[async_trait]
impl Answer for Reader {
    async fn answer(&self, ask: &Ask<'_>) -> Reply {
        let cx = self.shared.context();
        match self.route(&cx, ask).await {
            Ok(reply) => reply,
            Err((error, record)) => {
                let mut reply = refusal::failed(&error, ask.path, record);
                if ask.head {
                    reply.body = Body::Empty;
                }
                reply
            }
        }
    }
}

/// The index that is meant: `/simple/` is whichever the configuration names.
fn named(
    cx: &Context,
    asked: &AskedIndex,
    record: &mut Record,
) -> Result<IndexName, (Arc<Error>, Record)> {
    let index = match asked {
        AskedIndex::Named(index) => Some(index),
        AskedIndex::Default => cx.generation.policies.default_index(),
    };
    record.index = index.cloned();
    index.cloned().ok_or_else(|| {
        let message = "no default_index is configured, so /simple/ leads nowhere; ask /{user}/{index}/+simple/";
        (Arc::new(Error::not_found(message)), record.clone())
    })
}

fn redirect(to: &str, is_permanent: bool, record: Record) -> Reply {
    let status = if is_permanent { StatusCode::MOVED_PERMANENTLY } else { StatusCode::FOUND };
    let mut head = refusal::head("text/plain", 0, "no-cache");
    if let Ok(to) = HeaderValue::from_str(to) {
        head.insert(LOCATION, to);
    }
    Reply { status, reason: None, head: Arc::new(head), body: Body::Bytes(Bytes::new()), record }
}
