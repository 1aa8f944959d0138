//! The read-only half: one match over the public routes is its table of contents.

use std::mem::take;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};

use crate::devpi::ApiAnswer;
use crate::exchange::{
    Answers, Ask, Body, Context, Decision, Error, Record, Reply, Route, Trouble, failed_reply,
    reply_head,
};
use crate::gateway::Flows;
use crate::model::IndexName;
use crate::protocol::{ApiOf, AskedIndex, Audience, PublicRoute};
use crate::reader::api::{
    Asker, FAULT_CONTENT_TYPE, api_config, api_doctor, api_index, api_project, api_release,
    api_reply, api_search, api_user, api_users, pip_search, status,
};
use crate::reader::documentation::{AskedDocument, documentation};
use crate::reader::look::Look;
use crate::reader::osv::{OsvQuestion, osv_reply};
use crate::reader::prose::ProseShelf;
use crate::reader::web;
use crate::reader::web::WebPage;

/// Answers everything that only reads. It can write nothing, by type.
#[derive(Debug, Clone)]
pub struct Reader {
    flows: Arc<Flows>,
    descriptions: ProseShelf,
}

impl Reader {
    /// A reader over these flows.
    #[must_use]
    pub fn new(flows: Arc<Flows>) -> Self {
        Self {
            descriptions: ProseShelf::new(&flows.core),
            flows,
        }
    }

    async fn route(&self, look: Look<'_>, record: &mut Record) -> Result<Reply, Error> {
        let Look { flows, cx, ask, .. } = look;
        match &ask.route {
            PublicRoute::ProjectList { index, .. } => {
                record.route = Route::ProjectList;
                let index = named(cx, index, record)?;
                flows.lists.project_list(cx, ask, &index, record).await
            }
            PublicRoute::ProjectPage {
                index,
                project,
                form,
            } => {
                record.route = Route::ProjectPage;
                record.project = Some(project.clone());
                let index = named(cx, index, record)?;
                let page = (&index, project, *form);
                flows.project_page(cx, ask, page, record).await
            }
            PublicRoute::File {
                index,
                path,
                filename,
                part,
            } => {
                record.route = Route::of_file(*part);
                record.index = Some(index.clone());
                record.file = Some(filename.as_str().into());
                let files = &flows.files;
                files.file(cx, ask, index, path, *part, record).await
            }
            PublicRoute::Redirect { to, is_permanent } => {
                Ok(redirect(to, *is_permanent, take(record)))
            }
            PublicRoute::Api(_)
            | PublicRoute::Status
            | PublicRoute::Doctor(_)
            | PublicRoute::Users(_)
            | PublicRoute::User { .. }
            | PublicRoute::Index { .. }
            | PublicRoute::Project { .. }
            | PublicRoute::Release { .. }
            | PublicRoute::Documentation { .. }
            | PublicRoute::Uploads { .. }
            | PublicRoute::Search
            | PublicRoute::Static { .. } => Ok(self.looked_at(look, take(record)).await),
            PublicRoute::NotFound => match audience(ask) {
                Audience::Installer => Err(no_such_route()),
                Audience::Json | Audience::Person => Ok(self.looked_at(look, take(record)).await),
            },
        }
    }

    /// What is looked at rather than installed: an object for programs, a page for people.
    async fn looked_at(&self, look: Look<'_>, mut record: Record) -> Reply {
        let Look { flows, ask, .. } = look;
        if let PublicRoute::Static { name } = &ask.route {
            let record = Record {
                route: Route::Web,
                ..record.clone()
            };
            if let Some(reply) = web::static_file(ask, name, record).await {
                return reply;
            }
        }
        note(&ask.route, &mut record);
        if let Some(asked) = AskedDocument::of(&ask.route) {
            record.route = Route::Web;
            if let Some(to) = asked.moved {
                return redirect(to, false, record);
            }
            return match Box::pin(documentation(look, &asked, &record)).await {
                Ok(reply) => reply,
                Err(trouble) => web::web_reply(look, Err(trouble), record).await,
            };
        }
        if let PublicRoute::Uploads { index } = &ask.route {
            record.route = Route::Web;
            return match Box::pin(web::uploads_feed(look, index, &record)).await {
                Ok(reply) => reply,
                Err(trouble) => web::web_reply(look, Err(trouble), record).await,
            };
        }
        let is_known = ask.route != PublicRoute::NotFound;
        match audience(ask) {
            Audience::Person => {
                record.route = if is_known { Route::Web } else { Route::Other };
                let outcome = self.page(look, &mut record).await;
                web::web_reply(look, outcome, record).await
            }
            Audience::Json | Audience::Installer => {
                record.route = if is_known { Route::Api } else { Route::Other };
                let outcome = object(look, &mut record).await;
                api_reply(&flows.core, ask, outcome, record).await
            }
        }
    }

    async fn page(&self, look: Look<'_>, record: &mut Record) -> Result<WebPage, Trouble> {
        match &look.ask.route {
            PublicRoute::Users(_) => web::web_home(look).await,
            PublicRoute::User { user, .. } => web::web_user(look, user).await,
            PublicRoute::Index { index, .. } => web::web_index(look, index).await,
            PublicRoute::Project { index, project, .. } => {
                let release = (project, None);
                web::web_project(look, &self.descriptions, index, release, record).await
            }
            PublicRoute::Release {
                index,
                project,
                version,
                ..
            } => {
                let release = (project, Some(version.as_str()));
                web::web_project(look, &self.descriptions, index, release, record).await
            }
            PublicRoute::Search => web::web_search(look).await,
            PublicRoute::Api(_)
            | PublicRoute::Status
            | PublicRoute::Doctor(_)
            | PublicRoute::Static { .. }
            | PublicRoute::Documentation { .. }
            | PublicRoute::Uploads { .. }
            | PublicRoute::ProjectList { .. }
            | PublicRoute::ProjectPage { .. }
            | PublicRoute::File { .. }
            | PublicRoute::Redirect { .. }
            | PublicRoute::NotFound => Err(no_such_route().into()),
        }
    }

    /// Answers `pip search` of an index; whether at the management door.
    pub async fn pip_search(&self, asked: (&IndexName, bool), body: &[u8]) -> Reply {
        let core = &self.flows.core;
        let answer = pip_search(core, &core.context(), asked, body).await;
        let head = reply_head(FAULT_CONTENT_TYPE, answer.len(), "no-store");
        let record = Record {
            route: Route::Api,
            index: Some(asked.0.clone()),
            ..Record::default()
        };
        Reply::new(StatusCode::OK, head, Body::Bytes(answer), record)
    }

    /// Answers a question in OSV's own API.
    pub async fn osv(&self, question: OsvQuestion) -> Reply {
        osv_reply(&self.flows, question).await
    }

    /// Answers a request; the management door says who is asking.
    pub async fn answer_to(&self, ask: &Ask<'_>, asker: Asker<'_>) -> Reply {
        let cx = self.flows.core.context().shown_to(ask);
        let look = Look {
            flows: &self.flows,
            cx: &cx,
            ask,
            asker,
        };
        let mut record = Record::default();
        let outcome = self.route(look, &mut record).await;
        self.told(look, outcome, record).await
    }

    /// What a flow made of a request that another room routes, for whoever asks.
    pub async fn tell(
        &self,
        cx: &Context,
        ask: &Ask<'_>,
        outcome: Result<Reply, Error>,
        record: Record,
    ) -> Reply {
        self.told(self.public_look(cx, ask), outcome, record).await
    }

    /// The page for a person who gets none.
    pub async fn tell_trouble(
        &self,
        cx: &Context,
        ask: &Ask<'_>,
        trouble: Trouble,
        record: Record,
    ) -> Reply {
        let look = self.public_look(cx, ask);
        web::web_reply(look, Err(trouble), record).await
    }

    fn public_look<'a>(&'a self, cx: &'a Context, ask: &'a Ask<'a>) -> Look<'a> {
        Look {
            flows: &self.flows,
            cx,
            ask,
            asker: Asker::Public,
        }
    }

    async fn told(&self, look: Look<'_>, outcome: Result<Reply, Error>, record: Record) -> Reply {
        let ask = look.ask;
        let is_page = || is_for_installers(&ask.route) && is_person(ask);
        // What is not the common answer is apart, so that the future of every request stays small.
        match outcome {
            Ok(reply) if reply.record.decision == Decision::Deny && is_page() => {
                Box::pin(web::for_person(look, reply)).await
            }
            Ok(reply) => reply,
            Err(error) if is_page() => {
                let page = web::web_reply(look, Err(error.into()), record);
                Box::pin(page).await
            }
            Err(error) => {
                let mut reply = failed_reply(&error, ask.path, record);
                // devpi-client prints the message next to the status line: once is enough.
                if Audience::names_json(ask.headers) {
                    reply.reason = None;
                }
                if ask.head {
                    reply.body = Body::Empty;
                }
                reply
            }
        }
    }
}

#[async_trait]
impl Answers for Reader {
    async fn answer(&self, ask: &Ask<'_>) -> Reply {
        self.answer_to(ask, Asker::Public).await
    }
}

/// What a program is shown.
async fn object(look: Look<'_>, record: &mut Record) -> Result<ApiAnswer, Trouble> {
    match &look.ask.route {
        PublicRoute::Api(of) => api_config(look, of).await,
        PublicRoute::Status => status(look).await,
        PublicRoute::Doctor(asked) => api_doctor(look, asked).await,
        PublicRoute::Users(_) => api_users(look).await,
        PublicRoute::User { user, .. } => api_user(look, user).await,
        PublicRoute::Index { index, .. } => api_index(look, index).await,
        PublicRoute::Project { index, project, .. } => {
            api_project(look, index, project, record).await
        }
        PublicRoute::Release {
            index,
            project,
            version,
            ..
        } => {
            let release = (project, version.as_str());
            api_release(look, index, release, record).await
        }
        PublicRoute::Search => api_search(look).await,
        PublicRoute::Static { .. }
        | PublicRoute::Documentation { .. }
        | PublicRoute::Uploads { .. }
        | PublicRoute::ProjectList { .. }
        | PublicRoute::ProjectPage { .. }
        | PublicRoute::File { .. }
        | PublicRoute::Redirect { .. }
        | PublicRoute::NotFound => Err(no_such_route().into()),
    }
}

/// The intended audience of an answer. Bootstrap and status are for programs whatever they accept; search
/// is for people, unless JSON is asked for by name.
fn audience(ask: &Ask<'_>) -> Audience {
    match &ask.route {
        PublicRoute::Users(audience)
        | PublicRoute::User { audience, .. }
        | PublicRoute::Index { audience, .. }
        | PublicRoute::Project { audience, .. }
        | PublicRoute::Release { audience, .. } => *audience,
        PublicRoute::Api(_) | PublicRoute::Status | PublicRoute::Doctor(_) => Audience::Json,
        PublicRoute::Search if Audience::names_json(ask.headers) => Audience::Json,
        PublicRoute::Search | PublicRoute::Documentation { .. } | PublicRoute::Uploads { .. } => {
            Audience::Person
        }
        PublicRoute::Static { .. }
        | PublicRoute::ProjectList { .. }
        | PublicRoute::ProjectPage { .. }
        | PublicRoute::File { .. }
        | PublicRoute::Redirect { .. }
        | PublicRoute::NotFound => ask.preferences.audience,
    }
}

/// Whether installers ask for it, so that what is refused there has a page only for people.
fn is_for_installers(route: &PublicRoute) -> bool {
    matches!(
        route,
        PublicRoute::ProjectList { .. }
            | PublicRoute::ProjectPage { .. }
            | PublicRoute::File { .. }
    )
}

/// Whether somebody reads the answer in a browser, and did not name a form of it in the query.
fn is_person(ask: &Ask<'_>) -> bool {
    let names_form = |query: &str| query.split('&').any(|pair| pair.starts_with("format="));
    audience(ask) == Audience::Person && !ask.query.is_some_and(names_form)
}

/// Notes what the access line says about a route.
fn note(route: &PublicRoute, record: &mut Record) {
    match route {
        PublicRoute::Project { index, project, .. }
        | PublicRoute::Release { index, project, .. }
        | PublicRoute::Documentation { index, project, .. } => {
            record.index = Some(index.clone());
            record.project = Some(project.clone());
        }
        PublicRoute::Index { index, .. }
        | PublicRoute::Uploads { index }
        | PublicRoute::Api(ApiOf::Index(index)) => {
            record.index = Some(index.clone());
        }
        PublicRoute::Doctor(AskedIndex::Named(index)) => record.index = Some(index.clone()),
        PublicRoute::Api(ApiOf::Root | ApiOf::User(_))
        | PublicRoute::Status
        | PublicRoute::Doctor(AskedIndex::Default)
        | PublicRoute::Users(_)
        | PublicRoute::User { .. }
        | PublicRoute::Search
        | PublicRoute::Static { .. }
        | PublicRoute::ProjectList { .. }
        | PublicRoute::ProjectPage { .. }
        | PublicRoute::File { .. }
        | PublicRoute::Redirect { .. }
        | PublicRoute::NotFound => {}
    }
}

fn no_such_route() -> Error {
    Error::not_found("no such route")
}

/// The index that is meant: `/simple/` is the one that the configuration names.
fn named(cx: &Context, asked: &AskedIndex, record: &mut Record) -> Result<IndexName, Error> {
    let index = match asked {
        AskedIndex::Named(index) => Some(index),
        AskedIndex::Default => cx.generation.policies.default_index(),
    };
    record.index = index.cloned();
    index.cloned().ok_or_else(|| {
        let message = "no default_index is configured, so /simple/ leads nowhere; ask /{user}/{index}/+simple/";
        Error::not_found(message)
    })
}

fn redirect(to: &str, is_permanent: bool, record: Record) -> Reply {
    let status = if is_permanent {
        StatusCode::MOVED_PERMANENTLY
    } else {
        StatusCode::FOUND
    };
    let mut head = reply_head("text/plain", 0, "no-cache");
    if let Ok(to) = HeaderValue::from_str(to) {
        head.insert(LOCATION, to);
    }
    Reply::new(status, head, Body::Bytes(Bytes::new()), record)
}
