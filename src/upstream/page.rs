//! The two simple pages and the sidecar: answers that fit in memory, or in one file.
//!
//! What a page means is parsed in `page`. Here is only what HTTP says about it: whether it exists,
//! whether it changed, how long it may be believed, and from which URL its relative links are resolved.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::Response;
use tokio::sync::mpsc;
use tokio::time::timeout;
use url::Url;

use crate::model::ProjectName;
use crate::protocol::{is_provenance, stated_lifetime};
use crate::upstream::body::{BodyPart, Coding, Unread, pass_on, read_body};
use crate::upstream::client::{Upstream, text_of};
use crate::upstream::decoding::Share;
use crate::upstream::error::UpstreamError;
use crate::upstream::exchange::{FailedOnce, FinalAnswer, Question, interrupted};
use crate::upstream::fleet::Fleet;

/// JSON before HTML, as pip asks (docs/protocol/simple-api.md §3). The answer's own type decides what came.
const ACCEPT: HeaderValue = HeaderValue::from_static(
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01",
);

/// For what has one form.
pub(super) const ACCEPT_ANY: HeaderValue = HeaderValue::from_static("*/*");

/// Validators, so that an unchanged page need not be sent again (RFC 9110 §13.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`, as sent.
    pub etag: Option<String>,
    /// `Last-Modified`, as sent.
    pub last_modified: Option<String>,
}

/// An upstream's answer about a page.
#[derive(Debug, PartialEq)]
pub enum PageAnswer {
    /// It is still the one that the validators identify (304).
    NotModified {
        /// How long it may be believed from now on, if the upstream says so.
        max_age: Option<Duration>,
    },
    /// It is this (200).
    Found(Page),
    /// There is no such project (404 or 410).
    NotFound,
}

/// A page as received.
#[derive(Debug, PartialEq)]
pub struct Page {
    /// The body, decompressed.
    pub body: Bytes,
    /// Its share of what may be read at one time ([`Decoding`](crate::upstream::decoding::Decoding)),
    /// to be kept for as long as the body, or what is made of it, is held.
    pub share: Option<Box<Share>>,
    /// `Content-Type` as sent; it may be wrong (docs/protocol/simple-api.md §3 rule 8).
    pub content_type: Option<String>,
    /// Where it came from after redirects: the base of its relative links. Without credentials.
    pub final_url: Url,
    /// The validators for next time.
    pub validators: Validators,
    /// How long it may be believed from now on (`Cache-Control` less `Age`), if the upstream says so.
    pub max_age: Option<Duration>,
}

impl Upstream {
    /// Asks for a project page, at `{url}{project}/`.
    ///
    /// # Errors
    /// See [`UpstreamError`]; absence is an answer.
    pub async fn page(
        &self,
        project: &ProjectName,
        validators: Option<&Validators>,
    ) -> Result<PageAnswer, UpstreamError> {
        self.page_watched(project, validators, &|| {}).await
    }

    /// The same; `failed_once` is called each time that a try has failed and another one is to come.
    ///
    /// # Errors
    /// As of [`Upstream::page`].
    pub async fn page_watched(
        &self,
        project: &ProjectName,
        validators: Option<&Validators>,
        failed_once: &FailedOnce<'_>,
    ) -> Result<PageAnswer, UpstreamError> {
        // A project's name consists of characters that a path may hold as they are.
        let mut url = self.url.clone();
        url.set_path(&format!("{}{project}/", self.url.path()));
        let bound = Bound {
            what: "project page",
            bytes_max: self.limits.page,
            timeout: self.limits.upstream_total_timeout,
            failed_once,
            to: None,
        };
        self.fetch(&url, &ACCEPT, validators, &bound).await
    }

    /// Asks for the project list, which is tens of megabytes: it is passed on as it comes, and the page
    /// that is returned has no body. `failed_once` is called as in [`Upstream::page_watched`].
    ///
    /// # Errors
    /// See [`UpstreamError`]; absence is an answer.
    pub async fn project_list(
        &self,
        validators: Option<&Validators>,
        failed_once: &FailedOnce<'_>,
        to: mpsc::Sender<BodyPart>,
    ) -> Result<PageAnswer, UpstreamError> {
        let bound = Bound {
            what: "project list",
            bytes_max: self.limits.project_list,
            timeout: self.limits.upstream_list_timeout,
            failed_once,
            to: Some(&to),
        };
        self.fetch(&self.url, &ACCEPT, validators, &bound).await
    }

    /// Asks for the sidecar of a file, at `{file_url}.metadata` (PEP 658).
    ///
    /// # Errors
    /// See [`UpstreamError`]; absence is an answer. `Broken` if it is no metadata, for example a login
    /// page.
    pub async fn sidecar(&self, file_url: &Url) -> Result<Option<Bytes>, UpstreamError> {
        let mut url = file_url.clone();
        url.set_path(&format!("{}.metadata", file_url.path()));
        let sidecar = ("sidecar", "metadata");
        self.beside(&url, sidecar, is_core_metadata).await
    }

    /// Asks for the provenance at a URL that a page states (PEP 740).
    ///
    /// # Errors
    /// See [`UpstreamError`]; absence is an answer. `Broken` if it is no provenance.
    pub async fn provenance(&self, url: &Url) -> Result<Option<Bytes>, UpstreamError> {
        let provenance = ("provenance", "provenance");
        self.beside(url, provenance, is_provenance).await
    }

    /// Asks for what is told beside a file: what it is, what it has to hold, and how that is seen.
    async fn beside(
        &self,
        url: &Url,
        (what, holds): (&'static str, &str),
        is_it: fn(&[u8]) -> bool,
    ) -> Result<Option<Bytes>, UpstreamError> {
        let bound = Bound {
            what,
            bytes_max: self.limits.metadata,
            timeout: self.limits.upstream_total_timeout,
            failed_once: &|| {},
            to: None,
        };
        match self.fetch(url, &ACCEPT_ANY, None, &bound).await? {
            PageAnswer::Found(page) if !is_it(&page.body) => {
                let reason = format!("what stands at {} is no {holds}", url.path());
                Err(UpstreamError::broken(&self.name, reason))
            }
            // It is kept in memory, where it no longer counts as being read.
            PageAnswer::Found(page) => Ok(Some(Bytes::copy_from_slice(&page.body))),
            PageAnswer::NotFound | PageAnswer::NotModified { .. } => Ok(None),
        }
    }

    /// Asks for one bounded answer.
    async fn fetch(
        &self,
        url: &Url,
        accept: &HeaderValue,
        validators: Option<&Validators>,
        bound: &Bound<'_>,
    ) -> Result<PageAnswer, UpstreamError> {
        if let (Some(fleet), Some(tag)) =
            (&self.fleet, validators.and_then(|own| own.etag.as_deref()))
            && fleet.still_holds(tag).await
        {
            return Ok(PageAnswer::NotModified { max_age: None });
        }
        let mut share = self.decoding.share();
        let timed = async {
            let work = self.answer(url, accept, validators, bound, &mut share);
            let done = timeout(bound.timeout, work).await;
            done.unwrap_or_else(|_| {
                let index = self.name.clone();
                if share.is_waiting() {
                    return Err(UpstreamError::Busy { index });
                }
                Err(UpstreamError::Timeout {
                    index,
                    awaited: bound.what,
                    after: bound.timeout,
                })
            })
        };
        let answer = self.guarded(url, timed).await?;
        Ok(match answer {
            PageAnswer::Found(mut page) => {
                page.share = Some(Box::new(share));
                PageAnswer::Found(page)
            }
            other => other,
        })
    }

    async fn answer(
        &self,
        url: &Url,
        accept: &HeaderValue,
        validators: Option<&Validators>,
        bound: &Bound<'_>,
        share: &mut Share,
    ) -> Result<PageAnswer, UpstreamError> {
        let is_held = validators.is_some();
        // The tag is the fleet's own; devpi sends none.
        let validators = validators.filter(|_| self.fleet.is_none());
        let headers = self.request_head(accept, validators);
        let conditions = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];
        let is_conditional = conditions.iter().any(|name| headers.contains_key(name));
        let question = Question {
            url,
            headers,
            failed_once: bound.failed_once,
        };
        let FinalAnswer { response, url } = self.ask(&question).await?;
        if let Some(fleet) = &self.fleet {
            self.refuse_partial(fleet, response.status(), is_held)?;
        }
        let max_age = stated_lifetime(response.headers());
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(PageAnswer::NotFound),
            StatusCode::NOT_MODIFIED if is_conditional => Ok(PageAnswer::NotModified { max_age }),
            StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION => {
                let mut page = page(response.headers(), url, max_age);
                if let Some(fleet) = &self.fleet {
                    page.validators.etag = fleet.tag(response.headers());
                }
                if let Some(to) = bound.to {
                    let begun = BodyPart::Begun(page.content_type.clone());
                    // Who takes nothing knows why.
                    let _ = to.send(begun).await;
                }
                page.body = self.read(response, bound, share).await?;
                Ok(PageAnswer::Found(page))
            }
            other => {
                let reason = format!("status {} for a {}", other.as_u16(), bound.what);
                Err(UpstreamError::broken(&self.name, reason))
            }
        }
    }

    /// A replica without its primary omits from its pages what only the primary could fetch, and
    /// answers 404 for what it has never seen: neither replaces a page that is held, and the 404 is
    /// never believed.
    pub(super) fn refuse_partial(
        &self,
        fleet: &Fleet,
        status: StatusCode,
        is_held: bool,
    ) -> Result<(), UpstreamError> {
        let is_absent = matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE);
        if !fleet.lacks_primary() || !(is_held || is_absent) {
            return Ok(());
        }
        let reason = "the primary devpi-server cannot be asked";
        Err(UpstreamError::down(&self.name, reason))
    }

    /// Reads a body within its bound, counting decompressed bytes, or passes it on.
    async fn read(
        &self,
        response: Response,
        bound: &Bound<'_>,
        share: &mut Share,
    ) -> Result<Bytes, UpstreamError> {
        let coding = Coding::of(response.headers()).map_err(|words| {
            let reason = format!("its {} is {words}", bound.what);
            UpstreamError::broken(&self.name, reason)
        })?;
        let bytes_max = bound.bytes_max;
        let read = match bound.to {
            Some(to) => pass_on(response, coding, bytes_max, share, to)
                .await
                .map(|()| Bytes::new()),
            None => read_body(response, coding, bytes_max, share).await,
        };
        read.map_err(|unread| match unread {
            Unread::TooLarge => UpstreamError::TooLarge {
                index: self.name.clone(),
                what: bound.what,
                limit_bytes: bound.bytes_max,
            },
            Unread::Broken(error) => {
                interrupted(&self.name, error, self.limits.upstream_read_timeout)
            }
        })
    }

    pub(super) fn request_head(
        &self,
        accept: &HeaderValue,
        validators: Option<&Validators>,
    ) -> HeaderMap {
        let mut headers = request_head(accept, validators);
        // devpi-servers are near, and compressing costs them more than sending.
        if self.fleet.is_none() {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers
    }
}

/// How much and how long one answer may be, who is told when it takes more than one try, and to whom its
/// body is passed on as it comes.
struct Bound<'a> {
    what: &'static str,
    bytes_max: u64,
    timeout: Duration,
    failed_once: &'a FailedOnce<'a>,
    to: Option<&'a mpsc::Sender<BodyPart>>,
}

/// Whether a text has the one header that all core metadata has.
fn is_core_metadata(text: &[u8]) -> bool {
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut fields = lines.take_while(|line| !line.is_empty());
    fields.any(|line| {
        let name = line.split(|byte| *byte == b':').next();
        name.is_some_and(|name| name.eq_ignore_ascii_case(b"metadata-version"))
    })
}

fn request_head(accept: &HeaderValue, validators: Option<&Validators>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, accept.clone());
    let Some(validators) = validators else {
        return headers;
    };
    for (name, text) in [
        (header::IF_NONE_MATCH, &validators.etag),
        (header::IF_MODIFIED_SINCE, &validators.last_modified),
    ] {
        // A validator that can no longer be sent is left out: the page then comes whole.
        if let Some(value) = text
            .as_deref()
            .and_then(|text| HeaderValue::from_str(text).ok())
        {
            headers.insert(name, value);
        }
    }
    headers
}

/// A page whose body is still to come.
fn page(head: &HeaderMap, final_url: Url, max_age: Option<Duration>) -> Page {
    Page {
        body: Bytes::new(),
        share: None,
        content_type: text_of(head, header::CONTENT_TYPE),
        final_url,
        validators: Validators {
            etag: text_of(head, header::ETAG),
            last_modified: text_of(head, header::LAST_MODIFIED),
        },
        max_age,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_known_by_its_version_among_its_headers() {
        for text in [
            "Metadata-Version: 2.1\nName: six\n",
            "Name: six\r\nmetadata-version: 1.0\r\n\r\nbody",
        ] {
            assert!(is_core_metadata(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "<html></html>",
            "overloaded",
            "Name: six\n\nMetadata-Version: 2.1",
        ] {
            assert!(!is_core_metadata(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn validators_that_cannot_be_sent_are_left_out() {
        let validators = Validators {
            etag: Some("\"a\"\r\nX: y".to_owned()),
            last_modified: Some("Fri, 20 Nov 2026 10:00:00 GMT".to_owned()),
        };
        let head = request_head(&ACCEPT, Some(&validators));
        assert!(!head.contains_key(header::IF_NONE_MATCH));
        assert!(head.contains_key(header::IF_MODIFIED_SINCE));
    }
}
