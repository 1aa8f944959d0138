//! OSV's own API, answered from the advisories that rules use: what `uv audit --service-url` asks, and
//! uv's check for malware.
//!
//! An empty answer means "nothing is known against it" to whoever asks, and they install. So it is given
//! only when that is so: advisories that are stale or absent are a 503, and a question about another
//! ecosystem is refused. Versions are matched by the function that rules use.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::advisory::{Advisory, ECOSYSTEM, KnownAdvisories};
use crate::exchange::{Body, Generation, Record, Reply, Route, reply_head};
use crate::feed::{Originals, read_original};
use crate::gateway::Flows;
use crate::model::{FeedLimits, ProjectName, Timestamp, Version, VersionMatch};
use crate::protocol::Head;

/// Seconds after which to ask again while the advisories cannot be relied on.
const RETRY_AFTER_SECONDS: u16 = 60;

/// Documents in one answer with whole documents.
const DOCUMENTS_MAX: usize = 100;

/// What is asked.
#[derive(Debug)]
pub enum OsvQuestion {
    /// `POST /v1/querybatch`, with this body.
    Batch(Bytes),
    /// `POST /v1/query`, with this body.
    Query(Bytes),
    /// `GET /v1/vulns/{id}`.
    Document(String),
}

/// Why there is no answer, as OSV says it.
#[derive(Debug)]
pub struct OsvError {
    status: StatusCode,
    words: String,
    /// The methods that are answered, if that is what is wrong.
    allowed: Option<&'static str>,
}

impl OsvError {
    /// An error of this status.
    pub fn new(status: StatusCode, words: impl Into<String>) -> Self {
        Self {
            status,
            words: words.into(),
            allowed: None,
        }
    }

    /// Only these methods are answered.
    #[must_use]
    pub fn not_allowed(allowed: &'static str) -> Self {
        let words = format!("only {allowed} is answered here");
        Self {
            allowed: Some(allowed),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, words)
        }
    }

    fn invalid(words: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, words)
    }

    /// The number that OSV has for it, which is gRPC's.
    fn code(&self) -> u16 {
        match self.status {
            StatusCode::NOT_FOUND => 5,
            StatusCode::SERVICE_UNAVAILABLE => 14,
            StatusCode::METHOD_NOT_ALLOWED => 12,
            _ => 3,
        }
    }

    /// The reply.
    #[must_use]
    pub fn reply(&self) -> Reply {
        let told = serde_json::json!({ "code": self.code(), "message": self.words });
        let mut reply = json(self.status, told.to_string());
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let later = HeaderValue::from(RETRY_AFTER_SECONDS);
            reply = with_header(reply, RETRY_AFTER, later);
        }
        if let Some(allowed) = self.allowed {
            reply = with_header(reply, ALLOW, HeaderValue::from_static(allowed));
        }
        reply
    }
}

#[derive(Deserialize)]
struct BatchDocument {
    #[serde(default)]
    queries: Vec<QueryDocument>,
}

#[derive(Deserialize)]
struct QueryDocument {
    package: Option<PackageDocument>,
    version: Option<String>,
    page_token: Option<String>,
}

#[derive(Deserialize)]
struct PackageDocument {
    name: Option<String>,
    ecosystem: Option<String>,
    purl: Option<String>,
}

#[derive(Default, Serialize)]
struct Answered {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vulns: Vec<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

#[derive(Serialize)]
struct Named {
    id: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified: Option<Timestamp>,
}

/// A query that can be answered.
struct Query {
    project: ProjectName,
    version: Option<Version>,
    /// How many advisories earlier pages have told.
    from: usize,
}

/// Answers a question.
pub async fn osv_reply(flows: &Flows, question: OsvQuestion) -> Reply {
    let (generation, now) = (flows.core.generation(), flows.core.clock.now());
    let limits = flows.core.settings.limits.feed.clone();
    let work = move || answer(&generation, now, &limits, &question);
    let answered = tokio::task::spawn_blocking(work).await;
    let answered = answered.unwrap_or_else(|_| {
        let words = "the question could not be answered";
        Err(OsvError::new(StatusCode::INTERNAL_SERVER_ERROR, words))
    });
    match answered {
        Ok(text) => json(StatusCode::OK, text),
        Err(error) => {
            if error.status.is_server_error() {
                tracing::warn!(status = error.status.as_u16(), "osv: {}", error.words);
            }
            error.reply()
        }
    }
}

/// The reply with one header more.
fn with_header(mut reply: Reply, name: HeaderName, value: HeaderValue) -> Reply {
    let mut head = Head::clone(&reply.head);
    head.extend(HeaderMap::from_iter([(name, value)]));
    reply.head = Arc::new(head);
    reply
}

fn json(status: StatusCode, text: String) -> Reply {
    let record = Record {
        route: Route::Osv,
        ..Record::default()
    };
    let head = reply_head("application/json", text.len(), "no-cache");
    Reply::new(status, head, Body::Bytes(text.into()), record)
}

fn answer(
    generation: &Generation,
    now: Timestamp,
    limits: &FeedLimits,
    question: &OsvQuestion,
) -> Result<String, OsvError> {
    let known = generation.policies.advisories();
    if known.is_empty() {
        let words =
            "this gateway has no advisories; its configuration names them under the key advisories";
        return Err(OsvError::new(StatusCode::NOT_FOUND, words));
    }
    if let Some(stale) = known.stale(now).next() {
        let words = format!(
            "{}, so nothing can be said; the gateway's log says why",
            stale.words(now)
        );
        return Err(OsvError::new(StatusCode::SERVICE_UNAVAILABLE, words));
    }
    match question {
        OsvQuestion::Batch(body) => batch(known, limits, body),
        OsvQuestion::Query(body) => whole(known, body),
        OsvQuestion::Document(id) => document(known, id),
    }
}

fn batch(known: &KnownAdvisories, limits: &FeedLimits, body: &[u8]) -> Result<String, OsvError> {
    let batch: BatchDocument = serde_json::from_slice(body)
        .map_err(|error| OsvError::invalid(format!("the body is no batch of queries: {error}")))?;
    let most = limits.osv_queries;
    if batch.queries.len() > most {
        let words = format!(
            "{} queries, and at most {most} are answered",
            batch.queries.len()
        );
        return Err(OsvError::invalid(words));
    }
    let mut room = limits.osv_answers;
    let mut about = HashMap::new();
    let mut results = Vec::with_capacity(batch.queries.len());
    for (number, query) in batch.queries.into_iter().enumerate() {
        let query =
            Query::of(query).map_err(|why| OsvError::invalid(format!("query {number}: {why}")))?;
        let advisories = about
            .entry(query.project.clone())
            .or_insert_with(|| known.about(&query.project));
        let (ids, next_page_token) = query.page(advisories, room);
        room -= ids.len();
        results.push(Answered {
            vulns: ids,
            next_page_token,
        });
    }
    Ok(serde_json::json!({ "results": results }).to_string())
}

fn whole(known: &KnownAdvisories, body: &[u8]) -> Result<String, OsvError> {
    let query: QueryDocument = serde_json::from_slice(body)
        .map_err(|error| OsvError::invalid(format!("the body is no query: {error}")))?;
    let query = Query::of(query).map_err(OsvError::invalid)?;
    let (ids, next_page_token) = query.page(&known.about(&query.project), DOCUMENTS_MAX);
    let mut vulns = Vec::with_capacity(ids.len());
    for named in &ids {
        let text = document(known, &named.id)?;
        let raw = RawValue::from_string(text);
        vulns.push(raw.map_err(|error| unreadable(&named.id, &error))?);
    }
    #[derive(Serialize)]
    struct Whole {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        vulns: Vec<Box<RawValue>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_page_token: Option<String>,
    }
    let answer = Whole {
        vulns,
        next_page_token,
    };
    serde_json::to_string(&answer).map_err(|error| unreadable(query.project.as_str(), &error))
}

fn document(known: &KnownAdvisories, id: &str) -> Result<String, OsvError> {
    let Some(originals) = Originals::of(known, id) else {
        let words = format!("nobody here has heard of {id:.80}");
        return Err(OsvError::new(StatusCode::NOT_FOUND, words));
    };
    read_original(&originals).map_err(|error| unreadable(id, &error))
}

fn unreadable(id: &str, error: &dyn std::fmt::Display) -> OsvError {
    let words = format!("the document of {id:.80} cannot be read, ask again: {error}");
    OsvError::new(StatusCode::SERVICE_UNAVAILABLE, words)
}

impl Query {
    fn of(query: QueryDocument) -> Result<Self, String> {
        let Some(package) = query.package else {
            return Err("only questions about a package are answered, name it".to_owned());
        };
        let (ecosystem, name, version) = match (package.purl, package.ecosystem, package.name) {
            (Some(purl), _, _) => of_purl(&purl)?,
            (None, Some(ecosystem), Some(name)) => (ecosystem, name, None),
            (None, _, _) => return Err("a package has an ecosystem and a name".to_owned()),
        };
        if !ecosystem.eq_ignore_ascii_case(ECOSYSTEM) {
            return Err(format!(
                "nothing is known here about {ecosystem:.40}, only about {ECOSYSTEM}"
            ));
        }
        let project = ProjectName::parse(&name).map_err(|error| error.to_string())?;
        let from = match query.page_token.as_deref() {
            None | Some("") => 0,
            Some(token) => token
                .parse()
                .map_err(|_| "the page_token is none of this gateway".to_owned())?,
        };
        let version = version.or(query.version).filter(|text| !text.is_empty());
        Ok(Self {
            project,
            version: version.map(|text| Version::parse(&text)),
            from,
        })
    }

    /// As many of the advisories as there is room for, and how the next page is asked for.
    fn page(&self, advisories: &[Advisory], room: usize) -> (Vec<Named>, Option<String>) {
        // What cannot be decided is told: saying too much is noticed.
        let concerns = |advisory: &&Advisory| match &self.version {
            Some(version) => advisory.affects(version) != VersionMatch::No,
            None => true,
        };
        // Several sources may have one advisory.
        let found: BTreeMap<&Arc<str>, Option<Timestamp>> = advisories
            .iter()
            .filter(concerns)
            .map(|advisory| (advisory.id(), advisory.modified()))
            .collect();
        let end = self.from.saturating_add(room);
        let next = (found.len() > end).then(|| end.to_string());
        let named = |(id, modified): (&Arc<str>, Option<Timestamp>)| Named {
            id: Arc::clone(id),
            modified,
        };
        let page = found.into_iter().skip(self.from).take(room).map(named);
        (page.collect(), next)
    }
}

/// The parts of `pkg:pypi/name@version`.
fn of_purl(purl: &str) -> Result<(String, String, Option<String>), String> {
    let told = purl
        .strip_prefix("pkg:")
        .and_then(|rest| rest.split_once('/'));
    let Some((kind, rest)) = told else {
        return Err("the purl is none".to_owned());
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (name, version) = match rest.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (rest, None),
    };
    let plain = |text: &str| {
        let decoded = percent_encoding::percent_decode_str(text);
        decoded.decode_utf8_lossy().into_owned()
    };
    Ok((kind.to_owned(), plain(name), version.map(plain)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advisory::Advisories;

    const DOCUMENTS: &str = r#"[
        {"id": "PYSEC-1", "modified": "2026-01-02T03:04:05Z", "affected": [{
            "package": {"ecosystem": "PyPI", "name": "six"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.5"}]}]}]},
        {"id": "MAL-1", "affected": [{"package": {"ecosystem": "PyPI", "name": "six"}, "versions": ["1.0"]}]}]"#;

    fn known() -> KnownAdvisories {
        let mut known = KnownAdvisories::default();
        known.add(&Arc::new(Advisories::of_text(DOCUMENTS).unwrap()));
        known
    }

    fn asked(body: &str, limits: &FeedLimits) -> String {
        match batch(&known(), limits, body.as_bytes()) {
            Ok(text) => text,
            Err(error) => format!("{} {}", error.code(), error.words),
        }
    }

    #[test]
    fn a_batch_is_answered_in_its_order() {
        let package = r#""package": {"ecosystem": "PyPI", "name": "Six"}"#;
        let body = format!(
            r#"{{"queries": [{{{package}, "version": "1.0.0"}}, {{{package}, "version": "1.4"}},
                {{{package}, "version": "1.5"}}, {{{package}, "version": "2004d"}}, {{{package}}},
                {{"package": {{"purl": "pkg:pypi/six@1.0"}}}}]}}"#
        );
        let both =
            r#"{"vulns":[{"id":"MAL-1"},{"id":"PYSEC-1","modified":"2026-01-02T03:04:05Z"}]}"#;
        let one = r#"{"vulns":[{"id":"PYSEC-1","modified":"2026-01-02T03:04:05Z"}]}"#;
        let told = asked(&body, &FeedLimits::default());
        assert_eq!(
            told,
            format!(r#"{{"results":[{both},{one},{{}},{one},{both},{both}]}}"#)
        );
    }

    #[test]
    fn what_has_no_room_comes_with_the_next_page() {
        let limits = FeedLimits {
            osv_answers: 1,
            ..FeedLimits::default()
        };
        let query = |token: &str| {
            format!(
                r#"{{"queries": [{{"package": {{"ecosystem": "PyPI", "name": "six"}}{token}}}]}}"#
            )
        };
        let first: serde_json::Value = serde_json::from_str(&asked(&query(""), &limits)).unwrap();
        let page = serde_json::json!([{ "vulns": [{ "id": "MAL-1" }], "next_page_token": "1" }]);
        assert_eq!(first["results"], page);
        let second = asked(&query(r#", "page_token": "1""#), &limits);
        assert!(
            second.contains("PYSEC-1") && !second.contains("next_page_token"),
            "{second}"
        );
    }

    #[test]
    fn what_cannot_be_answered_is_said_as_osv_says_it() {
        let limits = FeedLimits::default();
        let many = format!(r#"{{"queries": [{}]}}"#, vec!["{}"; 1001].join(","));
        for (body, words) in [
            ("", "3 the body is no batch of queries"),
            ("[1", "3 the body is no batch of queries"),
            (
                r#"{"queries": [{}]}"#,
                "3 query 0: only questions about a package",
            ),
            (
                r#"{"queries": [{"package": {"name": "six"}}]}"#,
                "3 query 0: a package has",
            ),
            (
                r#"{"queries": [{"package": {"ecosystem": "npm", "name": "six"}}]}"#,
                "3 query 0: nothing is known here about npm",
            ),
            (&many, "3 1001 queries, and at most 1000"),
        ] {
            let told = asked(body, &limits);
            assert!(told.starts_with(words), "{body:.60}: {told}");
        }
    }
}
