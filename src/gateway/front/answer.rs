//! Answers at the public door when there is a fleet: asks whoever is to answer, and passes on.

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderValue;
use http::Method;
use http::StatusCode;

use super::indexes::Indexes;
use super::pass::request_headers;
use super::pass::response_headers;
use super::place::Declared;
use super::place::Place;
use super::place::place;
use super::spool::body_of;
use crate::config::Undeclared;
use crate::gateway::ask::Answer;
use crate::gateway::ask::Ask;
use crate::gateway::context::Context;
use crate::gateway::context::Shared;
use crate::gateway::error::ErrorKind;
use crate::gateway::refusal;
use crate::gateway::reply::Body;
use crate::gateway::reply::Record;
use crate::gateway::reply::Reply;
use crate::gateway::reply::Route;
use crate::gateway::resolve::unknown_index;
use crate::model::IndexName;
use crate::policy::Mirror;
use crate::protocol::Audience;
use crate::protocol::PublicRoute;
use crate::protocol::devpi_message;
use crate::upstream::Fleet;
use crate::upstream::FleetAnswer;
use crate::upstream::Limits;

/// What the configuration says of a fleet's front.
#[derive(Debug, Clone)]
pub struct FrontOptions {
    /// What becomes of indexes that no file declares.
    pub undeclared: Undeclared,
    /// `http` or `https`: how clients reach the door.
    pub scheme: &'static str,
    /// Bounds on what one page or file may cost.
    pub limits: Limits,
}

/// The public door's answers before a fleet of devpi-servers. Like a reader it can write nothing.
pub struct Front {
    reader: Arc<dyn Answer>,
    shared: Arc<Shared>,
    fleet: Arc<Fleet>,
    indexes: Indexes,
    options: FrontOptions,
}

impl Front {
    /// A front that leaves to `reader` what is not the fleet's.
    #[must_use]
    pub fn new(
        reader: Arc<dyn Answer>,
        shared: Arc<Shared>,
        fleet: Arc<Fleet>,
        options: FrontOptions,
    ) -> Self {
        let indexes = Indexes::new(Arc::clone(&fleet), options.limits.clone());
        Self {
            reader,
            shared,
            fleet,
            indexes,
            options,
        }
    }

    fn declared(&self, index: &IndexName) -> Declared {
        let generation = self.shared.generation();
        match generation.policies.index(index) {
            None => Declared::No,
            Some(index) if index.mirror().is_some_and(Mirror::is_devpi) => Declared::Devpi,
            Some(_) => Declared::Ours,
        }
    }

    /// A page or a file of an index that no file declares.
    async fn through(&self, ask: &Ask<'_>, index: &IndexName) -> Reply {
        let Some(generation) = self.indexes.generation(index).await else {
            return self.pass(ask).await;
        };
        let cx = Context {
            generation,
            now: self.shared.context().now,
        };
        let mut record = record_of(ask);
        record.index = Some(index.clone());
        let flow = match &ask.route {
            PublicRoute::ProjectPage { project, form, .. } => {
                let page = self
                    .shared
                    .project_page(&cx, ask, index, project, *form, record);
                page.await
            }
            PublicRoute::File {
                path, is_sidecar, ..
            } => {
                let file = self.shared.file(&cx, ask, index, path, *is_sidecar, record);
                file.await
            }
            PublicRoute::ProjectList { .. }
            | PublicRoute::Api(_)
            | PublicRoute::Status
            | PublicRoute::Users(_)
            | PublicRoute::User { .. }
            | PublicRoute::Index { .. }
            | PublicRoute::Project { .. }
            | PublicRoute::Release { .. }
            | PublicRoute::Search
            | PublicRoute::Static { .. }
            | PublicRoute::Redirect { .. }
            | PublicRoute::NotFound => return self.pass(ask).await,
        };
        match flow {
            Ok(reply) => reply,
            // devpi has the words for it, 410 for what was deleted, tox results, documentation, and a
            // page even for those who accept none of its forms.
            Err((error, _))
                if matches!(error.kind, ErrorKind::NotFound | ErrorKind::NotAcceptable) =>
            {
                self.pass(ask).await
            }
            Err((error, record)) => bare(ask, refusal::failed(&error, ask.path, record)),
        }
    }

    /// Passes a request on as it was asked.
    async fn pass(&self, ask: &Ask<'_>) -> Reply {
        let method = if ask.head { Method::HEAD } else { Method::GET };
        let asked = match ask.query {
            Some(query) => format!("{}?{query}", ask.path),
            None => ask.path.to_owned(),
        };
        let headers = request_headers(ask.headers, self.options.scheme);
        match self.fleet.read(&method, &asked, &headers).await {
            Ok(answer) => self.passed(ask, answer).await,
            Err(error) => self.unanswered(ask, &error.to_string()),
        }
    }

    async fn passed(&self, ask: &Ask<'_>, answer: FleetAnswer) -> Reply {
        let status = answer.status();
        let head = Arc::new(response_headers(answer.headers()).into());
        let is_bare = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let body = if ask.head || is_bare {
            Body::Empty
        } else {
            let bytes_max = self.options.limits.file_bytes_max;
            match body_of(answer, bytes_max, &self.shared.work).await {
                Ok(body) => body,
                Err(reason) => return self.unanswered(ask, &reason),
            }
        };
        Reply {
            status,
            reason: None,
            head,
            body,
            record: record_of(ask),
        }
    }

    /// In devpi's own form, since it is its clients that ask for what is passed on.
    fn unanswered(&self, ask: &Ask<'_>, reason: &str) -> Reply {
        tracing::error!(path = ask.path, reason, "not passed on");
        let body = devpi_message("no devpi-server answers at present, try again in a moment");
        let mut head = refusal::head("application/json", body.len(), "no-store");
        head.insert("x-devpi-api-version", HeaderValue::from_static("2"));
        head.insert(http::header::RETRY_AFTER, HeaderValue::from_static("2"));
        let reply = Reply {
            status: StatusCode::SERVICE_UNAVAILABLE,
            reason: Some("no devpi-server answers at present".into()),
            head: Arc::new(head.into()),
            body: Body::Bytes(body),
            record: record_of(ask),
        };
        bare(ask, reply)
    }
}

#[async_trait]
impl Answer for Front {
    async fn answer(&self, ask: &Ask<'_>) -> Reply {
        let declared = |index: &IndexName| self.declared(index);
        match place(&ask.route, ask.path, self.options.undeclared, &declared) {
            Place::Ours => self.reader.answer(ask).await,
            Place::Through(index) => self.through(ask, &index).await,
            Place::Devpi => self.pass(ask).await,
            Place::Hidden(index) => {
                let reply = refusal::failed(&unknown_index(&index), ask.path, record_of(ask));
                bare(ask, reply)
            }
        }
    }
}

/// HEAD has the head of the GET and nothing after it.
fn bare(ask: &Ask<'_>, mut reply: Reply) -> Reply {
    if ask.head {
        reply.body = Body::Empty;
    }
    reply
}

fn record_of(ask: &Ask<'_>) -> Record {
    let mut record = Record {
        route: kind_of(&ask.route),
        ..Record::default()
    };
    if let PublicRoute::ProjectPage { project, .. } = &ask.route {
        record.project = Some(project.clone());
    }
    if let PublicRoute::File { filename, .. } = &ask.route {
        record.file = Some(filename.as_str().into());
    }
    record
}

fn kind_of(route: &PublicRoute) -> Route {
    match route {
        PublicRoute::ProjectList { .. } => Route::ProjectList,
        PublicRoute::ProjectPage { .. } => Route::ProjectPage,
        PublicRoute::File { is_sidecar, .. } if *is_sidecar => Route::Sidecar,
        PublicRoute::File { .. } => Route::File,
        PublicRoute::Api(_) | PublicRoute::Status => Route::Api,
        PublicRoute::Users(audience)
        | PublicRoute::User { audience, .. }
        | PublicRoute::Index { audience, .. }
        | PublicRoute::Project { audience, .. }
        | PublicRoute::Release { audience, .. } => match audience {
            Audience::Json | Audience::Installer => Route::Api,
            Audience::Person => Route::Web,
        },
        PublicRoute::Search | PublicRoute::Static { .. } => Route::Web,
        PublicRoute::Redirect { .. } | PublicRoute::NotFound => Route::Other,
    }
}
