//! Answers at the public door in front of a fleet: decides who answers, and passes requests on.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::{AUTHORIZATION, COOKIE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::catalog::unknown_index;
use crate::config::Undeclared;
use crate::exchange::{
    Answers, Ask, Body, Context, Decision, Error, ErrorKind, Record, Reply, Route, Withheld,
    asked_index, failed_reply, reply_head,
};
use crate::front::indexes::Indexes;
use crate::front::pass::{Trust, request_headers, response_headers};
use crate::front::place::{Declared, Place, Surroundings, Whole, place};
use crate::front::spool::body_of;
use crate::gateway::Flows;
use crate::language::Mirror;
use crate::model::{IndexName, Limits};
use crate::policy::Index;
use crate::protocol::{AskedIndex, Audience, PublicRoute, devpi_message};
use crate::reader::{Reader, static_file};
use crate::telemetry::{PATH_MAX, cut};
use crate::upstream::{Fleet, FleetAnswer};

/// The doors' answers in front of a fleet of devpi-servers. All changes are made by devpi.
pub struct Front {
    pub reader: Arc<Reader>,
    pub flows: Arc<Flows>,
    pub fleet: Arc<Fleet>,
    indexes: Indexes,
    /// What happens to indexes that no file declares.
    pub undeclared: Undeclared,
}

impl Front {
    /// A front that leaves to `reader` whatever does not belong to the fleet.
    #[must_use]
    pub fn new(
        reader: Arc<Reader>,
        flows: Arc<Flows>,
        fleet: Arc<Fleet>,
        undeclared: Undeclared,
    ) -> Self {
        let limits = flows.core.settings.limits.upstream.clone();
        let indexes = Indexes::new(
            Arc::clone(&fleet),
            limits,
            flows.core.settings.decoding.clone(),
        );
        Self {
            reader,
            flows,
            fleet,
            indexes,
            undeclared,
        }
    }

    pub fn limits(&self) -> &Limits {
        &self.flows.core.settings.limits
    }

    /// What files say about an index, as far as a door shows it.
    pub fn declared(&self, index: &IndexName, is_manage: bool) -> Declared {
        let generation = self.flows.core.generation();
        let policies = &generation.policies;
        match policies.index(index) {
            None => Declared::No,
            Some(_) if !is_manage && policies.is_hidden(index) => Declared::Kept,
            Some(index) if !index.mirror().is_some_and(Mirror::is_devpi) => Declared::Ours,
            Some(_) if policies.stack(index).is_some_and(|stack| stack.is_ruled()) => {
                Declared::Ruled
            }
            Some(_) => Declared::Devpi,
        }
    }

    /// The same for all indexes together.
    pub fn whole(&self, is_manage: bool) -> Whole {
        let generation = self.flows.core.generation();
        let indexes = || generation.policies.indexes();
        let is_ruled = |index: &Arc<Index>| self.declared(&index.name, true) == Declared::Ruled;
        Whole {
            has_ruled: indexes().any(is_ruled),
            has_kept: !is_manage && indexes().any(|index| !index.settings.public()),
        }
    }

    /// A page or a file of an index that no file declares.
    async fn through(&self, ask: &Ask<'_>, index: &IndexName, trust: Trust) -> Reply {
        let in_force = self.flows.core.generation();
        let indexes = &self.indexes;
        let generation = indexes.generation(index, self.offline(), &in_force);
        let Some(generation) = generation.await else {
            return self.pass(ask, ask.path, trust).await;
        };
        let cx = Context {
            generation,
            now: self.flows.core.context().now,
        };
        let mut record = record_of(ask);
        record.index = Some(index.clone());
        let flow = match &ask.route {
            // The list must be what this login gets, in devpi's own form: without sidecars, which only
            // we have and could not serve.
            PublicRoute::ProjectPage { .. } if trust == Trust::Login && names_somebody(ask) => {
                return self.pass(ask, ask.path, trust).await;
            }
            PublicRoute::ProjectPage { project, form, .. } => {
                let page = (index, project, *form);
                self.flows.project_page(&cx, ask, page, &mut record).await
            }
            PublicRoute::File { path, part, .. } => {
                let files = &self.flows.files;
                files.file(&cx, ask, index, path, *part, &mut record).await
            }
            PublicRoute::ProjectList { .. }
            | PublicRoute::Api(_)
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
            | PublicRoute::Static { .. }
            | PublicRoute::Redirect { .. }
            | PublicRoute::NotFound => return self.pass(ask, ask.path, trust).await,
        };
        match flow {
            Ok(reply) => self.reader.tell(&cx, ask, Ok(reply), record).await,
            // devpi has the words for this, 410 for what was deleted, tox results, documentation, and a
            // page even for clients that accept none of its forms.
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::NotAcceptable) => {
                self.pass(ask, ask.path, trust).await
            }
            // Not for everybody: devpi decides, and its answer to one client is not kept for another.
            Err(error) if matches!(error.kind, ErrorKind::Withheld(_)) => {
                self.pass(ask, place_of(&error, ask.path), trust).await
            }
            Err(error) => self.reader.tell(&cx, ask, Err(error), record).await,
        }
    }

    /// Passes a read on, for `path`.
    pub async fn pass(&self, ask: &Ask<'_>, path: &str, trust: Trust) -> Reply {
        let record = record_of(ask);
        if self.offline() {
            return bare(ask, unanswered(path, OFFLINE, record));
        }
        let method = if ask.head { Method::HEAD } else { Method::GET };
        let asked = with_query(path, ask.query);
        let headers = request_headers(ask.headers, ask.arrival, trust);
        match self.fleet.read(&method, &asked, &headers).await {
            Ok(answer) => self.passed(ask.path, ask.head, answer, record).await,
            Err(error) => {
                tracing::error!(path = cut(path, PATH_MAX), %error, "not passed on");
                bare(ask, unanswered(path, UNANSWERED, record))
            }
        }
    }

    pub fn offline(&self) -> bool {
        self.flows.core.settings.offline
    }

    /// devpi's answer as a reply of ours.
    pub async fn passed(
        &self,
        path: &str,
        is_head: bool,
        answer: FleetAnswer,
        record: Record,
    ) -> Reply {
        let status = answer.status();
        let head = Arc::new(response_headers(answer.headers()).into());
        let is_bare = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let body = if is_head || is_bare {
            Body::Empty
        } else {
            let bytes_max = self.limits().upstream.file;
            match body_of(answer, bytes_max, &self.flows.core.work).await {
                Ok(body) => body,
                Err(reason) => {
                    tracing::error!(
                        path = cut(path, PATH_MAX),
                        reason,
                        "an answer of devpi did not come through"
                    );
                    return unanswered(path, UNANSWERED, record);
                }
            }
        };
        Reply {
            status,
            reason: None,
            head,
            body,
            record,
        }
    }

    /// Answers a read at a door for logins: what everybody may see comes from the caches; devpi is
    /// asked for the rest, with the client's login.
    pub async fn answer_with_login(&self, ask: &Ask<'_>) -> Reply {
        self.answer_as(ask, Trust::Login).await
    }

    /// Finds the place of what is asked at a door.
    pub fn placed(&self, is_manage: bool, find: impl FnOnce(&Surroundings<'_>) -> Place) -> Place {
        find(&Surroundings {
            undeclared: self.undeclared,
            declared: &|index| self.declared(index, is_manage),
            whole: &|| self.whole(is_manage),
        })
    }

    async fn answer_as(&self, ask: &Ask<'_>, trust: Trust) -> Reply {
        let is_manage = ask.arrival.is_manage;
        match self.placed(is_manage, |around| place(&ask.route, ask.path, around)) {
            Place::Ours => self.ours(ask, trust).await,
            Place::Through(index) => self.through(ask, &index, trust).await,
            Place::Ruled(index) => self.ruled(ask, &index, trust).await,
            Place::Listing => self.listing(ask, trust).await,
            Place::Devpi => match our_style(ask).await {
                Some(reply) => reply,
                None => self.pass(ask, ask.path, trust).await,
            },
            Place::Hidden(index) => bare(ask, hidden(&index, ask.path, record_of(ask))),
        }
    }

    /// The flows' answer, or devpi's where they have none: a file that the rules let pass and devpi
    /// does not show to everybody may be shown to a login.
    async fn ours(&self, ask: &Ask<'_>, trust: Trust) -> Reply {
        let reply = self.reader.answer(ask).await;
        let is_withheld = trust == Trust::Login && matches!(reply.status.as_u16(), 401 | 403);
        let is_file = matches!(ask.route, PublicRoute::File { .. });
        let is_absent = is_file && reply.status == StatusCode::NOT_FOUND;
        if reply.record.decision == Decision::Deny || !(is_withheld || is_absent) {
            return reply;
        }
        let generation = self.flows.core.generation();
        let Some(index) = asked_index(&ask.route, &generation.policies) else {
            return reply;
        };
        match self.declared(index, ask.arrival.is_manage) {
            Declared::Devpi | Declared::Ruled if is_file => {
                self.beside_the_flows(ask, index, reply, trust).await
            }
            Declared::Devpi => self.pass(ask, ask.path, trust).await,
            // A page that was not read cannot be judged, and devpi does not have our indexes.
            Declared::Ruled | Declared::Ours | Declared::No | Declared::Kept => reply,
        }
    }
}

/// The assets of our own pages for people, which stand next to devpi's.
async fn our_style(ask: &Ask<'_>) -> Option<Reply> {
    match &ask.route {
        PublicRoute::Static { name } => static_file(ask, name, record_of(ask)).await,
        _ => None,
    }
}

#[async_trait]
impl Answers for Front {
    async fn answer(&self, ask: &Ask<'_>) -> Reply {
        self.answer_as(ask, Trust::Anonymous).await
    }
}

/// devpi-client's own header for its login.
const DEVPI_AUTH: HeaderName = HeaderName::from_static("x-devpi-auth");

/// What a client is told when no server can answer.
pub const UNANSWERED: &str = "no devpi-server answers at present";

/// What a client is told when no server may be asked.
pub const OFFLINE: &str = "this gateway is offline and asks no devpi-server";

/// In devpi's own form, since devpi's clients ask for what is passed on.
pub fn unanswered(path: &str, words: &'static str, record: Record) -> Reply {
    tracing::debug!(path = cut(path, PATH_MAX), words, "answered without devpi");
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let head = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("2"))]);
    let told = format!("{words}, try again in a moment");
    Reply {
        reason: Some(words.into()),
        ..devpi_reply(status, &told, head, record)
    }
}

/// Words in devpi's form, with additional headers.
pub fn devpi_reply(status: StatusCode, words: &str, mut head: HeaderMap, record: Record) -> Reply {
    let body = devpi_message(words);
    head.extend(reply_head("application/json", body.len(), "no-store"));
    head.insert("x-devpi-api-version", HeaderValue::from_static("2"));
    Reply::new(status, head, Body::Bytes(body), record)
}

/// The reply for an undeclared index, where those are hidden.
pub fn hidden(index: &IndexName, path: &str, record: Record) -> Reply {
    failed_reply(&unknown_index(index), path, record)
}

/// A request target as it was sent.
pub fn with_query(path: &str, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

/// Whether the request carries a login.
fn names_somebody(ask: &Ask<'_>) -> bool {
    let names = [&AUTHORIZATION, &DEVPI_AUTH, &COOKIE];
    names.iter().any(|name| ask.headers.contains_key(*name))
}

/// Where devpi has a file that it withholds: pages list files under the asked index, devpi keeps each
/// under its own.
fn place_of<'a>(error: &'a Error, asked: &'a str) -> &'a str {
    let source = error.source.as_deref();
    let withheld = source.and_then(|source| source.downcast_ref::<Withheld>());
    withheld.map_or(asked, |withheld| withheld.path.as_str())
}

/// HEAD has the head of the GET and no body.
pub fn bare(ask: &Ask<'_>, mut reply: Reply) -> Reply {
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
    if let PublicRoute::ProjectPage { index, project, .. } = &ask.route {
        record.project = Some(project.clone());
        if let AskedIndex::Named(index) = index {
            record.index = Some(index.clone());
        }
    }
    if let PublicRoute::File {
        index, filename, ..
    } = &ask.route
    {
        record.index = Some(index.clone());
        record.file = Some(filename.as_str().into());
    }
    record
}

fn kind_of(route: &PublicRoute) -> Route {
    match route {
        PublicRoute::ProjectList { .. } => Route::ProjectList,
        PublicRoute::ProjectPage { .. } => Route::ProjectPage,
        PublicRoute::File { part, .. } => Route::of_file(*part),
        PublicRoute::Api(_) | PublicRoute::Status | PublicRoute::Doctor(_) => Route::Api,
        PublicRoute::Users(audience)
        | PublicRoute::User { audience, .. }
        | PublicRoute::Index { audience, .. }
        | PublicRoute::Project { audience, .. }
        | PublicRoute::Release { audience, .. } => match audience {
            Audience::Json | Audience::Installer => Route::Api,
            Audience::Person => Route::Web,
        },
        PublicRoute::Search
        | PublicRoute::Static { .. }
        | PublicRoute::Documentation { .. }
        | PublicRoute::Uploads { .. } => Route::Web,
        PublicRoute::Redirect { .. } | PublicRoute::NotFound => Route::Other,
    }
}
