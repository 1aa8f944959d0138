//! How a fake index answers one request: authentication, routes, ranges, faults.

use std::io;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use cheesecloth::testing::model::Sha256;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};

use super::fake_index::{Setup, Shared};
use super::journal::Seen;
use super::{Content, Fault, gzip, pages};

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Largest piece of a body that is sent in one write.
const PIECE: u64 = 64 << 10;

/// The intended answer, before a fault is applied.
struct Draft {
    status: StatusCode,
    headers: HeaderMap,
    content: Content,
}

impl Draft {
    fn new(status: StatusCode, content_type: &str, content: Content) -> Self {
        let mut draft = Self {
            status,
            headers: HeaderMap::new(),
            content,
        };
        draft.header(header::CONTENT_TYPE, content_type);
        draft
    }

    fn text(status: StatusCode, text: &str) -> Self {
        let content = Content::Bytes(Bytes::copy_from_slice(text.as_bytes()));
        Self::new(status, "text/plain", content)
    }

    fn header(&mut self, name: HeaderName, value: &str) {
        let value = HeaderValue::from_str(value).expect("a printable header");
        self.headers.insert(name, value);
    }
}

/// Answers one request; an error closes the connection without an answer.
pub(super) async fn answer(
    shared: &Shared,
    request: Request<Incoming>,
) -> Result<Response<Body>, io::Error> {
    let path = request.uri().path().to_owned();
    shared.journal.note(Seen {
        method: request.method().clone(),
        path: request.uri().to_string(),
        headers: request.headers().clone(),
    });
    let fault = shared.fault_for(&path);
    let is_meant = !fault.ranges_only || request.headers().contains_key(header::RANGE);
    let fault = if is_meant { fault } else { Fault::new() };
    if let Some(latency) = fault.latency {
        tokio::time::sleep(latency).await;
    }
    if fault.silent {
        std::future::pending::<()>().await;
    }
    if fault.reset {
        return Err(io::Error::other("reset, as asked"));
    }
    let setup = shared.setup();
    let mut draft = match fault.status {
        Some(status) => {
            let status = StatusCode::from_u16(status).expect("a status");
            Draft::text(status, fault.body.as_deref().unwrap_or("as asked"))
        }
        None => route(&setup, &path, request.headers()),
    };
    encode(&mut draft, &setup, &fault, request.headers());
    for (name, value) in &fault.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        draft.header(name, value);
    }
    Ok(send(draft, fault, &request))
}

fn route(setup: &Setup, path: &str, head: &HeaderMap) -> Draft {
    if let Some((user, password)) = &setup.credentials {
        let expected = format!(
            "Basic {}",
            BASE64_STANDARD.encode(format!("{user}:{password}"))
        );
        if head
            .get(header::AUTHORIZATION)
            .is_none_or(|value| value != &expected)
        {
            let mut draft = Draft::text(StatusCode::UNAUTHORIZED, "who are you?");
            draft.header(header::WWW_AUTHENTICATE, "Basic realm=\"fake\"");
            return draft;
        }
    }
    if let Some((prefix, target)) = setup
        .redirects
        .iter()
        .find(|(prefix, _)| path.starts_with(prefix))
    {
        let mut draft = Draft::text(StatusCode::FOUND, "elsewhere");
        let rest = &path[prefix.len()..];
        draft.header(header::LOCATION, &target.replace('*', rest));
        return draft;
    }
    if let Some(canned) = setup.canned.get(path) {
        let mut draft = Draft::new(StatusCode::OK, &canned.content_type, canned.content.clone());
        for (name, value) in &canned.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
            draft.header(name, value);
        }
        return draft;
    }
    let wants_json = setup.json
        && head
            .get(header::ACCEPT)
            .is_some_and(|accept| accept.to_str().unwrap_or("").contains("simple.v1+json"));
    if path == "/simple/" {
        let text = if wants_json {
            pages::list_json(setup)
        } else {
            pages::list_html(setup)
        };
        return page(setup, wants_json, text, head);
    }
    let project = path
        .strip_prefix("/simple/")
        .and_then(|rest| rest.strip_suffix('/'))
        .and_then(|name| setup.projects.iter().find(|project| project.name == name));
    if let Some(project) = project {
        let text = if wants_json {
            pages::page_json(setup, project)
        } else {
            pages::page_html(setup, project)
        };
        return page(setup, wants_json, text, head);
    }
    file(setup, path, head)
}

fn page(setup: &Setup, is_json: bool, text: String, head: &HeaderMap) -> Draft {
    let content_type = if is_json {
        "application/vnd.pypi.simple.v1+json"
    } else {
        "text/html"
    };
    let etag = format!("\"{}\"", &Sha256::of(text.as_bytes()).to_hex()[..16]);
    let is_known = setup.etags
        && head
            .get(header::IF_NONE_MATCH)
            .is_some_and(|value| *value == etag);
    let mut draft = if is_known {
        Draft::new(
            StatusCode::NOT_MODIFIED,
            content_type,
            Content::Bytes(Bytes::new()),
        )
    } else {
        Draft::new(StatusCode::OK, content_type, Content::Bytes(text.into()))
    };
    draft.header(header::CACHE_CONTROL, "max-age=600, public");
    draft.header(header::VARY, "Accept");
    if setup.etags {
        draft.header(header::ETAG, &etag);
    }
    draft
}

fn file(setup: &Setup, path: &str, head: &HeaderMap) -> Draft {
    let missing = || Draft::text(StatusCode::NOT_FOUND, "no such thing");
    let Some((name, filename)) = path
        .strip_prefix("/files/")
        .and_then(|rest| rest.split_once('/'))
    else {
        return missing();
    };
    let filename = percent_encoding::percent_decode_str(filename).decode_utf8_lossy();
    let files = setup.projects.iter().filter(|project| project.name == name);
    let mut files = files.flat_map(|project| &project.files);
    if let Some(filename) = filename.strip_suffix(".metadata") {
        let metadata = files
            .find(|file| file.filename == filename)
            .and_then(|file| file.metadata.clone())
            .filter(|_| setup.sidecars);
        return metadata.map_or_else(missing, |metadata| {
            Draft::new(
                StatusCode::OK,
                "application/octet-stream",
                Content::Bytes(metadata),
            )
        });
    }
    let Some(file) = files.find(|file| file.filename == *filename) else {
        return missing();
    };
    let size = file.content.length();
    let mut draft = Draft::new(
        StatusCode::OK,
        "application/octet-stream",
        file.content.clone(),
    );
    draft.header(header::ETAG, &format!("\"{}\"", file.sha256));
    draft.header(header::LAST_MODIFIED, "Tue, 02 Jan 2024 03:04:05 GMT");
    if !setup.ranges {
        return draft;
    }
    draft.header(header::ACCEPT_RANGES, "bytes");
    match head
        .get(header::RANGE)
        .and_then(|value| range(value.to_str().ok()?, size))
    {
        None => draft,
        Some((start, end)) if start < end => {
            draft.status = StatusCode::PARTIAL_CONTENT;
            let told = setup.told_in_ranges.get(&file.filename);
            draft.header(
                header::CONTENT_RANGE,
                &format!("bytes {start}-{}/{size}", end - 1),
            );
            draft.content = Content::Bytes(told.unwrap_or(&file.content).piece(start, end));
            draft
        }
        Some(_) => {
            let mut draft = Draft::text(StatusCode::RANGE_NOT_SATISFIABLE, "too far");
            draft.header(header::CONTENT_RANGE, &format!("bytes */{size}"));
            draft
        }
    }
}

/// One range as `start..end`; empty when it cannot be satisfied.
fn range(text: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        let count: u64 = last.parse().ok()?;
        return Some((size.saturating_sub(count), size));
    }
    let start: u64 = first.parse().ok()?;
    let end = if last.is_empty() {
        size
    } else {
        last.parse::<u64>().ok()? + 1
    };
    Some((start, end.min(size)))
}

/// Compresses a page if both sides support it, or encodes the answer as a fault says.
fn encode(draft: &mut Draft, setup: &Setup, fault: &Fault, head: &HeaderMap) {
    let accepts = head
        .get(header::ACCEPT_ENCODING)
        .is_some_and(|value| value.to_str().unwrap_or("").contains("gzip"));
    let is_page = draft.headers.contains_key(header::VARY);
    let encoding = match &fault.encoding {
        Some(encoding) => encoding.clone(),
        None if setup.gzip && accepts && is_page => "gzip".to_owned(),
        None => return,
    };
    let is_gzip = ["gzip", "x-gzip"].contains(&encoding.to_ascii_lowercase().as_str());
    if is_gzip && draft.content.length() > 0 {
        draft.content = Content::Bytes(gzip(&draft.content.to_vec()));
    }
    draft.header(header::CONTENT_ENCODING, &encoding);
}

fn send(mut draft: Draft, fault: Fault, request: &Request<Incoming>) -> Response<Body> {
    let length = draft.content.length();
    if draft.status != StatusCode::NOT_MODIFIED && !fault.lengthless {
        draft.header(header::CONTENT_LENGTH, &length.to_string());
    }
    let end = if request.method() == Method::HEAD {
        0
    } else {
        length
    };
    let flow = Flow {
        content: draft.content,
        fault,
        position: 0,
        end,
    };
    let frames = stream::unfold(Some(flow), async |flow| flow?.next().await);
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    *response.status_mut() = draft.status;
    *response.headers_mut() = draft.headers;
    response
}

/// A body that is being sent, and its fault.
struct Flow {
    content: Content,
    fault: Fault,
    position: u64,
    end: u64,
}

type Step = (Result<Frame<Bytes>, io::Error>, Option<Flow>);

impl Flow {
    async fn next(mut self) -> Option<Step> {
        if self.fault.cut_after.is_some_and(|cut| self.position >= cut) {
            // Yields to the connection, so that everything sent so far leaves before it closes.
            tokio::task::yield_now().await;
            return Some((Err(io::Error::other("cut off, as asked")), None));
        }
        if self.position >= self.end {
            return None;
        }
        let mut piece = (self.end - self.position).min(PIECE);
        if let Some(cut) = self.fault.cut_after {
            piece = piece.min(cut - self.position);
        }
        if let Some(gate) = self.fault.gate.clone().filter(|gate| !gate.is_open()) {
            if self.position >= gate.after {
                gate.pass().await;
            } else {
                piece = piece.min(gate.after - self.position);
            }
        }
        if let Some((bytes, every)) = self.fault.drip {
            piece = piece.min(bytes);
            tokio::time::sleep(every).await;
        }
        let mut bytes = self.content.piece(self.position, self.position + piece);
        self.position += piece;
        if self.fault.wrong_digest && self.position == self.end {
            let mut changed = bytes.to_vec();
            if let Some(last) = changed.last_mut() {
                *last ^= 1;
            }
            bytes = changed.into();
        }
        Some((Ok(Frame::data(bytes)), Some(self)))
    }
}
