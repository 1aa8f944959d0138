//! A devpi index under our rules: everything except its pages and files.
//!
//! Pages and files come from the flows. Objects are devpi's own, with all that it knows, without what
//! the rules refuse; people see our own pages. Nothing that names a refused project reaches devpi, in
//! whatever form it is asked for.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::{Map, Value};
use url::Url;

use crate::config::Undeclared;
use crate::devpi::DevpiWords;
use crate::exchange::{Answers, Ask, Body, Context, Error, Record, Reply, Route, Trouble};
use crate::front::answer::{Front, OFFLINE, UNANSWERED, bare, unanswered, with_query};
use crate::front::judgement::{Judgement, refused_by_name};
use crate::front::object::{FileRules, Standing, without_indexes};
use crate::front::pass::{Trust, request_headers, response_headers};
use crate::front::place::{Declared, segments_of};
use crate::gateway::{DOC_ZIP, TOX_RESULT};
use crate::model::{AskedPart, Filename, IndexName, ProjectName};
use crate::page::parse_file_path;
use crate::protocol::{Audience, PublicRoute};
use crate::reader::api_reply;
use crate::upstream::{FleetAnswer, Share};

/// What devpi keeps below a release besides its files (docs/protocol/devpi.md §15).
const BELOW_A_RELEASE: [&str; 3] = ["+d", "+doc", "+toxresults"];

/// Request headers about the bytes of devpi's answer, useless once that is read and changed.
const ABOUT_BYTES: [HeaderName; 6] = [
    header::ACCEPT_ENCODING,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::RANGE,
];

/// Response headers that describe the bytes of devpi's answer.
const OF_BYTES: [HeaderName; 6] = [
    header::ACCEPT_RANGES,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::ETAG,
    header::LAST_MODIFIED,
];

/// Why there is no object.
enum Stopped {
    /// The rules refused, or something failed.
    Trouble(Trouble),
    /// devpi's own answer, or that there was none.
    Reply(Reply),
}

impl<T: Into<Trouble>> From<T> for Stopped {
    fn from(trouble: T) -> Self {
        Self::Trouble(trouble.into())
    }
}

/// An object of devpi's and the head that came with it.
struct Object {
    headers: HeaderMap,
    body: Value,
    record: Record,
    /// Its share of `limits.decoding`, for as long as it is held.
    _share: Share,
}

impl Front {
    /// Answers everything except pages and files of an index under rules.
    pub async fn ruled(&self, ask: &Ask<'_>, index: &IndexName, trust: Trust) -> Reply {
        let cx = self.flows.core.context();
        let is_object = |audience: &Audience| *audience != Audience::Person;
        let outcome = match &ask.route {
            PublicRoute::Index { audience, .. } if is_object(audience) => {
                self.ruled_index(&cx, ask, index, trust).await
            }
            PublicRoute::Project {
                project, audience, ..
            } if is_object(audience) => self.ruled_project(&cx, ask, (index, project), trust).await,
            PublicRoute::Release {
                project,
                version,
                audience,
                ..
            } if is_object(audience) => {
                let of = (index, project, version.as_str());
                self.ruled_release(&cx, ask, of, trust).await
            }
            PublicRoute::NotFound | PublicRoute::Documentation { .. } => {
                self.below(&cx, ask, index, trust).await
            }
            // Pages for people, and what the flows answer anyway.
            _ => return self.reader.answer(ask).await,
        };
        match outcome {
            Ok(reply) => reply,
            Err(stopped) => self.stopped(&cx, ask, index, stopped).await,
        }
    }

    async fn stopped(
        &self,
        cx: &Context,
        ask: &Ask<'_>,
        index: &IndexName,
        stopped: Stopped,
    ) -> Reply {
        let trouble = match stopped {
            Stopped::Reply(reply) => return reply,
            Stopped::Trouble(trouble) => trouble,
        };
        let record = record_of(ask, index);
        if ask.preferences.audience == Audience::Person {
            return self.reader.tell_trouble(cx, ask, trouble, record).await;
        }
        api_reply(&self.flows.core, ask, Err(trouble), record).await
    }

    /// The object of the index, without the names of refused projects.
    async fn ruled_index(
        &self,
        cx: &Context,
        ask: &Ask<'_>,
        index: &IndexName,
        trust: Trust,
    ) -> Result<Reply, Stopped> {
        let mut object = self.object(ask, record_of(ask, index), trust).await?;
        if let Some(projects) = object.body["result"]["projects"].as_array_mut() {
            projects.retain(|name| {
                let name = name.as_str().and_then(|name| ProjectName::parse(name).ok());
                name.is_some_and(|name| refused_by_name(cx, index, &name).is_none())
            });
        }
        Ok(object.reply(ask))
    }

    async fn ruled_project(
        &self,
        cx: &Context,
        ask: &Ask<'_>,
        (index, project): (&IndexName, &ProjectName),
        trust: Trust,
    ) -> Result<Reply, Stopped> {
        let judgement = self.judgement(cx, index, project).await?;
        let mut object = self.object(ask, record_of(ask, index), trust).await?;
        if let Some(versions) = object.body["result"].as_object_mut() {
            self.under(ask, index, judgement.as_ref(), |rules| {
                rules.project(versions)
            });
        }
        Ok(object.reply(ask))
    }

    async fn ruled_release(
        &self,
        cx: &Context,
        ask: &Ask<'_>,
        (index, project, version): (&IndexName, &ProjectName, &str),
        trust: Trust,
    ) -> Result<Reply, Stopped> {
        let no_release = || {
            let words = DevpiWords::NoVersion(project, version);
            Error::not_found(words.to_string())
        };
        let judgement = self.judgement(cx, index, project).await?;
        let judgement = judgement.as_ref();
        if judgement.is_some_and(|judgement| judgement.standing(version) == Standing::Hidden) {
            return Err(no_release().into());
        }
        let mut object = self.object(ask, record_of(ask, index), trust).await?;
        let release = match object.body["result"].take() {
            Value::Object(release) => {
                self.under(ask, index, judgement, |rules| rules.release(release))
            }
            _ => None,
        };
        object.body["result"] = Value::Object(release.ok_or_else(no_release)?);
        Ok(object.reply(ask))
    }

    /// Works on an object with the rules at hand.
    fn under<T>(
        &self,
        ask: &Ask<'_>,
        asked: &IndexName,
        judgement: Option<&Judgement>,
        look: impl FnOnce(&FileRules<'_>) -> T,
    ) -> T {
        look(&FileRules {
            asked,
            file: &|path| judgement?.path(path),
            refused: &|version| {
                judgement.map_or(Standing::Hidden, |judgement| judgement.standing(version))
            },
            reaches: &|owner| self.reaches(ask, asked, owner),
        })
    }

    /// A path below an index under rules that is no route of ours: devpi-web's documentation and test
    /// results of a release of which something passes. Nothing else is sent to devpi, since it might
    /// read the path as one of its files.
    async fn below(
        &self,
        cx: &Context,
        ask: &Ask<'_>,
        index: &IndexName,
        trust: Trust,
    ) -> Result<Reply, Stopped> {
        let nothing = || Error::not_found("no such route");
        let segments = segments_of(ask.path).unwrap_or_default();
        let Some(project) = project_in(&segments) else {
            return Err(nothing().into());
        };
        if let Some(denial) = refused_by_name(cx, index, &project) {
            return Err(Trouble::Refused(Box::new(denial)).into());
        }
        let [_, _, _, version, kind, ..] = &segments[..] else {
            return Err(nothing().into());
        };
        if !BELOW_A_RELEASE.contains(&kind.as_str()) {
            return Err(nothing().into());
        }
        let judgement = self.judgement(cx, index, &project).await?;
        if judgement.is_some_and(|judgement| judgement.has_passing(version)) {
            return Ok(self.pass(ask, ask.path, trust).await);
        }
        Err(nothing().into())
    }

    /// Test results and documentation are listed on no page: devpi serves them, if what they are about
    /// would be served. It also serves what a login may see and strangers may not.
    pub async fn beside_the_flows(
        &self,
        ask: &Ask<'_>,
        index: &IndexName,
        reply: Reply,
        trust: Trust,
    ) -> Reply {
        let PublicRoute::File { path, part, .. } = &ask.route else {
            return reply;
        };
        let Some(parsed) = parse_file_path(path) else {
            return reply;
        };
        let cx = self.flows.core.context();
        if reply.status == StatusCode::NOT_FOUND {
            let is_whole = *part == AskedPart::Whole;
            let passes = is_whole && self.attached_passes(&cx, index, &parsed.filename).await;
            return if passes {
                self.pass(ask, ask.path, trust).await
            } else {
                reply
            };
        }
        let judged = self.judged_file(&cx, index, &parsed).await;
        let Ok(Some(Ok(grant))) = judged else {
            return reply;
        };
        // Pages list files under the asked index, devpi keeps each under its own.
        let url = grant.file.item().url.as_deref().map(Url::parse);
        let Some(Ok(url)) = url else { return reply };
        let place = format!("{}{}", self.fleet.path_of(&url), part.ending());
        self.pass(ask, &place, trust).await
    }

    /// Whether the file that a test result or documentation is about passes.
    async fn attached_passes(&self, cx: &Context, index: &IndexName, filename: &str) -> bool {
        let (subject, is_docs) = match filename.split_once(TOX_RESULT) {
            Some((subject, _)) => (subject.to_owned(), false),
            None => match filename.strip_suffix(DOC_ZIP) {
                Some(stem) => (format!("{stem}.zip"), true),
                None => return false,
            },
        };
        for project in Filename::projects(&subject) {
            let judgement = match self.judgement(cx, index, &project).await {
                Ok(Some(judgement)) => judgement,
                Ok(None) => continue,
                // Less likely readings would tell devpi a part of the name that it must not learn.
                Err(_) => return false,
            };
            let version = Filename::parse(&subject, &project);
            let version = version.map(|name| name.version_text().to_owned());
            let passes = match version {
                Ok(version) if is_docs => judgement.has_passing(&version),
                Ok(_) => judgement.passes(&subject),
                Err(_) => false,
            };
            if passes {
                return true;
            }
        }
        false
    }

    /// Users with their indexes, as devpi has them, without those that this door does not show.
    pub async fn listing(&self, ask: &Ask<'_>, trust: Trust) -> Reply {
        let record = Record {
            route: Route::Api,
            ..Record::default()
        };
        let mut object = match self.object(ask, record.clone(), trust).await {
            Ok(object) => object,
            Err(Stopped::Reply(reply)) => return reply,
            Err(Stopped::Trouble(trouble)) => {
                return api_reply(&self.flows.core, ask, Err(trouble), record).await;
            }
        };
        let is_manage = ask.arrival.is_manage;
        let is_shown = |index: &IndexName| self.declared(index, is_manage) != Declared::Kept;
        match &ask.route {
            PublicRoute::User { user, .. } => {
                without_indexes(user, &mut object.body["result"], &is_shown);
            }
            _ => {
                let users = object.body["result"].as_object_mut();
                for (user, of_user) in users.into_iter().flatten() {
                    without_indexes(user, of_user, &is_shown);
                }
            }
        }
        object.reply(ask)
    }

    /// Whether attachments of a release are available here from the index that holds them.
    fn reaches(&self, ask: &Ask<'_>, asked: &IndexName, owner: &IndexName) -> bool {
        owner == asked
            || match self.declared(owner, ask.arrival.is_manage) {
                Declared::No => self.undeclared == Undeclared::Pass,
                Declared::Devpi | Declared::Ruled => true,
                Declared::Ours | Declared::Kept => false,
            }
    }

    /// devpi's object for a request, whole.
    async fn object(&self, ask: &Ask<'_>, record: Record, trust: Trust) -> Result<Object, Stopped> {
        if self.offline() {
            let reply = unanswered(ask.path, OFFLINE, record);
            return Err(Stopped::Reply(bare(ask, reply)));
        }
        let mut headers = request_headers(ask.headers, ask.arrival, trust);
        for name in &ABOUT_BYTES {
            headers.remove(name);
        }
        // In another form it could not be read, and so not judged.
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let asked = with_query(ask.path, ask.query);
        let read = match self.fleet.read(&Method::GET, &asked, &headers).await {
            Ok(answer) if answer.status() == StatusCode::OK => self.object_in(answer).await,
            Ok(answer) => {
                let reply = self.passed(ask.path, ask.head, answer, record).await;
                return Err(Stopped::Reply(reply));
            }
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok((headers, body, share)) => Ok(Object {
                headers,
                body: body.into(),
                record,
                _share: share,
            }),
            Err(error) => {
                tracing::error!(
                    path = ask.path,
                    error,
                    "an object of devpi's did not come through"
                );
                let reply = unanswered(ask.path, UNANSWERED, record);
                Err(Stopped::Reply(bare(ask, reply)))
            }
        }
    }

    /// The object in an answer's content; an error in words if there is none.
    async fn object_in(
        &self,
        answer: FleetAnswer,
    ) -> Result<(HeaderMap, Map<String, Value>, Share), String> {
        let bytes_max = self.limits().upstream.page;
        let headers = response_headers(answer.headers());
        let stated = answer.length().unwrap_or(bytes_max).min(bytes_max);
        let share = self.flows.core.settings.decoding.share_of(stated).await;
        let share = share.map_err(|crowded| crowded.to_string())?;
        let body = whole(answer, bytes_max).await?;
        let body = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        Ok((headers, body, share))
    }
}

impl Object {
    fn reply(self, ask: &Ask<'_>) -> Reply {
        let mut head = self.headers;
        for name in &OF_BYTES {
            head.remove(name);
        }
        let body = Bytes::from(self.body.to_string());
        head.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        let json = HeaderValue::from_static("application/json");
        head.insert(header::CONTENT_TYPE, json);
        bare(
            ask,
            Reply::new(StatusCode::OK, head, Body::Bytes(body), self.record),
        )
    }
}

/// The project that a path below an index names.
pub fn project_in(segments: &[String]) -> Option<ProjectName> {
    let name = match segments {
        [_, _, simple, name, ..] if simple == "+simple" => name,
        [_, _, name, ..] => name,
        _ => return None,
    };
    ProjectName::parse(name).ok()
}

async fn whole(mut answer: FleetAnswer, bytes_max: u64) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| error.to_string())? {
        body.extend_from_slice(&chunk);
        if body.len() as u64 > bytes_max {
            return Err(format!("more than {bytes_max} bytes"));
        }
    }
    Ok(body)
}

fn record_of(ask: &Ask<'_>, index: &IndexName) -> Record {
    let project = match &ask.route {
        PublicRoute::Project { project, .. } | PublicRoute::Release { project, .. } => {
            Some(project.clone())
        }
        _ => None,
    };
    Record {
        route: Route::Api,
        index: Some(index.clone()),
        project,
        ..Record::default()
    }
}
