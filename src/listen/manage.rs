//! The management door: reading as at the public door, and everything that writes.
//!
//! Every request passes the same five steps: is it meant for this door (host, origin, length), what
//! does it ask for, does this door allow that class of operation, who sends it, and then the flow.
//! Bodies are read by the flow that wants one, after its sender was found to be allowed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, ORIGIN};
use http::request::Parts;
use http::{Method, StatusCode, Uri};
use url::Url;

use crate::exchange::{Reply, inside_path};
use crate::front::Front;
use crate::listen::handler::{DoorRequest, RequestHandler};
use crate::listen::host_check::{Hosts, is_same, is_same_origin};
use crate::listen::incoming::{Incoming, drain};
use crate::listen::manage_upload::{FORM_BYTES_MAX, take_upload};
use crate::listen::multipart::FormLimits;
use crate::listen::recorder::Recorder;
use crate::listen::refusal::{is_form, redirect};
use crate::model::{DoorLimits, OperationClass, WriteLimits};
use crate::protocol::{ManageRoute, PublicRoute};
use crate::writer::{Caller, Changed, Refusal, WriteSubject, Writer, refusal_reply};

/// Most bytes of a test result; tox puts the output of every command into it.
const TOX_RESULT_BYTES_MAX: usize = 64 << 20;

/// How the management door is opened.
#[derive(Clone)]
pub struct ManageOptions {
    /// Whether it stands behind a public door, which does not show every index.
    pub is_public: bool,
    /// Which classes of operations it allows (docs/protocol/devpi.md §18.1).
    pub allows: Vec<OperationClass>,
    /// The host names under which it may be addressed.
    pub hosts: Hosts,
    /// The URL under which clients see it; its host is one of the door's names.
    pub outside_url: Option<Url>,
    /// Limits on its clients.
    pub limits: DoorLimits,
    /// Limits on writes.
    pub writes: WriteLimits,
    /// Passes requests on to the devpi-servers behind, if there are any.
    pub front: Option<Arc<Front>>,
}

/// Everything that a management door does with a request; also behind a public door that allows more
/// than reading.
pub struct ManageDoor {
    writer: Writer,
    pub(super) recorder: Recorder,
    pub(super) options: ManageOptions,
}

pub(super) type Outcome = Result<Reply, Refusal>;

#[async_trait]
impl RequestHandler for ManageDoor {
    async fn handle(&self, request: DoorRequest<'_>, body: Incoming) -> Reply {
        let (mut subject, mut is_passed) = (WriteSubject::default(), false);
        let inside = inside(request);
        let head = inside.as_ref().unwrap_or(request.head);
        let request = DoorRequest { head, ..request };
        let noted = (&mut subject, &mut is_passed);
        let outcome = self.outcome(request, body, noted).await;
        let mut reply = match outcome {
            Ok(mut reply) => {
                subject.note(&mut reply.record, None);
                reply
            }
            Err(refusal) => {
                // twine, flit and `devpi upload` show the status line of a refused upload, nothing else.
                let with_reason_phrase = is_form(&head.headers);
                // Our own failures say nothing about what was asked.
                subject.is_content &= !refusal.status.is_server_error();
                let words = refusal.message.clone();
                let to = (head.uri.path(), &head.headers);
                let mut reply = refusal_reply(refusal, to, with_reason_phrase);
                subject.note(&mut reply.record, Some(&words));
                reply
            }
        };
        // What was passed on has devpi's own phrase, or none.
        if !is_passed {
            let own = self.writer.api_headers().await;
            Arc::make_mut(&mut reply.head).extend(own);
        }
        reply
    }
}

impl ManageDoor {
    /// What stands behind a door that allows more than reading.
    #[must_use]
    pub fn new(writer: Writer, recorder: Recorder, options: ManageOptions) -> Self {
        Self {
            writer,
            recorder,
            options,
        }
    }

    async fn outcome(
        &self,
        request: DoorRequest<'_>,
        mut body: Incoming,
        (subject, is_passed): (&mut WriteSubject, &mut bool),
    ) -> Outcome {
        let (route, front) = match self.route(request.head, subject) {
            Ok(found) => found,
            Err(refusal) => return Err(refused(refusal, &mut body).await),
        };
        if let ManageRoute::Read(read) = &route
            && let Some(reply) = self.recorder.unjournalled(&request.head.method, read)
        {
            let most = self.options.writes.api_body;
            drain(&mut body, most, self.options.limits.head_timeout).await;
            return Ok(reply);
        }
        if let Some(front) = front {
            let outcome = self.pass(front, route, request, body).await;
            *is_passed = outcome.is_ok();
            return outcome;
        }
        let mut caller = self
            .writer
            .identify(
                &request.head.headers,
                request.arrival,
                Arc::clone(request.id),
            )
            .await?;
        caller.is_public = self.options.is_public;
        subject.user = caller.principal.name().map(Arc::from);
        subject.token.clone_from(&caller.token);
        // Reading stays possible, and so does a login as somebody else.
        let is_open = matches!(
            route,
            ManageRoute::Read(_) | ManageRoute::LogIn | ManageRoute::XmlSearch(_)
        );
        if !is_open && let Some(refusal) = caller.cannot_be_known() {
            return Err(refused(refusal, &mut body).await);
        }
        self.carry_out(route, request, caller, body, subject).await
    }

    /// The door's table of contents: every route and the code that carries it out.
    async fn carry_out(
        &self,
        route: ManageRoute,
        request: DoorRequest<'_>,
        caller: Caller,
        mut body: Incoming,
        subject: &mut WriteSubject,
    ) -> Outcome {
        let headers = &request.head.headers;
        let (writer, most) = (&self.writer, self.options.writes.api_body);
        // Bodies of these are read in their own ways.
        let is_read_there = matches!(
            route,
            ManageRoute::Read(_) | ManageRoute::Upload(_) | ManageRoute::ToxResult(..)
        );
        let object = if is_read_there {
            Bytes::new()
        } else {
            whole(&mut body, most).await?
        };
        match route {
            ManageRoute::Read(route) => {
                drain(&mut body, most, self.options.limits.head_timeout).await;
                if let PublicRoute::Redirect { to, is_permanent } = &route {
                    return Ok(redirect(to, *is_permanent));
                }
                Ok(writer.read(&request.ask(route), &caller).await)
            }
            ManageRoute::Upload(index) => {
                let limits = FormLimits::holding(self.options.writes.upload_fields);
                let taken = match writer.begin_upload(caller, &index).await {
                    Ok(upload) => take_upload(upload, headers, &mut body, limits, subject).await,
                    Err(refusal) => Err(refusal),
                };
                let Err(refusal) = taken else { return taken };
                Err(refused(refusal, &mut body).await)
            }
            // Held in memory, and as large as many wheels.
            ManageRoute::ToxResult(index, path) => {
                let adding = async {
                    let result = whole(&mut body, TOX_RESULT_BYTES_MAX).await?;
                    writer.add_tox_result(caller, index, path, result).await
                };
                writer.in_turn(adding).await
            }
            ManageRoute::LogIn => writer.log_in(caller, object).await,
            ManageRoute::User(intent, name) => {
                let user = Changed::User(name);
                writer.change(caller, intent, user, object).await
            }
            ManageRoute::Index(intent, name) => {
                let index = Changed::Index(name);
                writer.change(caller, intent, index, object).await
            }
            ManageRoute::Push(index) => writer.push(caller, index, object).await,
            ManageRoute::Delete {
                index,
                content,
                force,
            } => writer.delete(caller, index, content, force).await,
            ManageRoute::Refresh(index, project) => writer.refresh(&index, &project).await,
            ManageRoute::Reload => writer.reload(caller).await,
            ManageRoute::Cache(work) => writer.keep_house(caller, work, &object).await,
            ManageRoute::Recall(intent) => writer.recall(caller, intent, object).await,
            ManageRoute::CreateMisnamed { user, index } => {
                Err(writer.misnamed_index(&user, &index))
            }
            ManageRoute::XmlSearch(index) => {
                let is_manage = request.arrival.is_manage;
                Ok(writer.pip_search((&index, is_manage), &object).await)
            }
            ManageRoute::AuthCheck => {
                Ok(writer.auth_check(&caller, (request.head.uri.path(), headers)))
            }
            // `route` has refused these.
            ManageRoute::NotAllowed(_) | ManageRoute::NotFound => {
                Err(Refusal::exception(StatusCode::NOT_FOUND, "no such route"))
            }
        }
    }

    /// What is asked for, and the front if devpi is to answer it, unless the door itself refuses.
    fn route(
        &self,
        head: &Parts,
        subject: &mut WriteSubject,
    ) -> Result<(ManageRoute, Option<&Front>), Refusal> {
        self.check_arrival(head)?;
        let (path, query) = (head.uri.path(), head.uri.query());
        let route = ManageRoute::parse(&head.method, path, query, &head.headers);
        let route =
            route.map_err(|bad| Refusal::abort(StatusCode::BAD_REQUEST, bad.to_string()))?;
        *subject = WriteSubject::of(&route);
        let front = self.options.front.as_deref();
        let front =
            front.filter(|front| !front.leaves_to_us(&route, path, !self.options.is_public));
        let class = match &route {
            // devpi's plugins may make anything of it.
            ManageRoute::NotFound | ManageRoute::NotAllowed(_) if front.is_some() => {
                OperationClass::Manage
            }
            route => route.class(),
        };
        if !self.options.allows.contains(&class) {
            let words = format!("this address does not allow {} operations", class.as_str());
            return Err(Refusal::api(StatusCode::FORBIDDEN, words));
        }
        if self.options.is_public
            && let Some(index) = route.index().filter(|index| self.writer.is_hidden(index))
        {
            return Err(Refusal::no_index(index.as_str()));
        }
        match route {
            ManageRoute::NotFound if front.is_none() => {
                Err(Refusal::exception(StatusCode::NOT_FOUND, "no such route"))
            }
            ManageRoute::NotAllowed(methods) if front.is_none() => {
                let words = format!("{} is not for this path; it takes {methods}", head.method);
                Err(Refusal::exception(StatusCode::METHOD_NOT_ALLOWED, words))
            }
            route => Ok((route, front)),
        }
    }

    /// Refuses requests that a web page tricked a browser into sending, and those that are too long.
    fn check_arrival(&self, head: &Parts) -> Result<(), Refusal> {
        let text = |name| {
            head.headers
                .get(name)
                .and_then(|value: &http::HeaderValue| value.to_str().ok())
        };
        let host = head.uri.host().or_else(|| text(HOST));
        let outside = self.options.outside_url.as_ref();
        if !outside.is_some_and(|outside| is_same(outside, host)) {
            let checked = self.options.hosts.check(host);
            checked.map_err(|words| Refusal::api(StatusCode::MISDIRECTED_REQUEST, words))?;
        }
        let is_reading = matches!(head.method, Method::GET | Method::HEAD);
        let is_ours = |origin: &str| {
            is_same_origin(origin, host)
                || outside.is_some_and(|url| url.origin().ascii_serialization() == origin)
        };
        if !is_reading && text(ORIGIN).is_some_and(|origin| !is_ours(origin)) {
            let words = "a page of another site may not change anything here";
            return Err(Refusal::api(StatusCode::FORBIDDEN, words));
        }
        let target = head
            .uri
            .path_and_query()
            .map_or(0, |target| target.as_str().len());
        if target > self.options.limits.uri {
            let words = format!(
                "the request target is longer than {} bytes",
                self.options.limits.uri
            );
            return Err(Refusal::api(StatusCode::URI_TOO_LONG, words));
        }
        let declared = text(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        if declared.is_some_and(|declared| declared > self.body_bytes_max()) {
            return Err(self.too_long());
        }
        Ok(())
    }

    /// The longest body accepted, in bytes.
    pub(super) fn body_bytes_max(&self) -> u64 {
        let file = self.options.writes.upload;
        file.saturating_add(FORM_BYTES_MAX)
    }

    /// The refusal of a longer one.
    pub(super) fn too_long(&self) -> Refusal {
        let words = format!(
            "the body is longer than the {} bytes that limits.upload allows",
            self.options.writes.upload
        );
        Refusal::exception(StatusCode::PAYLOAD_TOO_LARGE, words)
    }
}

/// A whole body, if it is not longer than `bytes_max`.
async fn whole(body: &mut Incoming, bytes_max: usize) -> Result<Bytes, Refusal> {
    match body.whole(bytes_max).await {
        Ok(whole) => Ok(whole),
        Err(failed) => Err(refused(failed.into_refusal(bytes_max), body).await),
    }
}

/// A refusal, after letting the client finish sending: most clients read no answer before.
async fn refused(refusal: Refusal, body: &mut Incoming) -> Refusal {
    drain(body, REFUSED_BYTES_MAX, REFUSED_TIME_MAX).await;
    refusal
}

/// The head with the path as we know it, if a proxy leaves its own prefix in front.
fn inside(request: DoorRequest<'_>) -> Option<Parts> {
    let head = request.head;
    let path = head.uri.path();
    let inside = inside_path(path, request.arrival, &head.headers);
    if inside == path {
        return None;
    }
    let target = match head.uri.query() {
        Some(query) => format!("{inside}?{query}"),
        None => inside.to_owned(),
    };
    let mut parts = head.uri.clone().into_parts();
    parts.path_and_query = Some(target.parse().ok()?);
    let mut head = head.clone();
    head.uri = Uri::from_parts(parts).ok()?;
    Some(head)
}

/// How much of a refused body is read and discarded: the next wheel but not the next disk image.
const REFUSED_BYTES_MAX: usize = 64 << 20;

/// How long that may take.
const REFUSED_TIME_MAX: Duration = Duration::from_secs(20);
