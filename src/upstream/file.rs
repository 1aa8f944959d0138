//! Files: raw bytes as transferred, whole or from one range, chunk by chunk.
//!
//! A file is never decompressed on the way, because its digest is that of the raw bytes. Servers that label
//! a `.tar.gz` as "gzip-encoded" mean the file itself and are believed; an encoding that does not match the
//! file's own ending would yield bytes other than the file's, and makes the answer unusable.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use reqwest::Response;
use tokio::time::Instant;
use url::Url;

use crate::model::IndexName;
use crate::upstream::client::{Upstream, text_of};
use crate::upstream::error::UpstreamError;
use crate::upstream::exchange::{FinalAnswer, Question, interrupted};

/// Which part of a file is wanted (RFC 9110 §14.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// From the first to the last of these bytes, both included.
    Between(u64, u64),
    /// This many bytes at the end.
    Last(u64),
}

/// An upstream's answer about a file.
#[derive(Debug)]
pub enum FileAnswer {
    /// The file, on its way.
    Found(Box<UpstreamFile>),
    /// There is no such file (404 or 410).
    NotFound,
    /// It is shorter than the range (416).
    NotSatisfiable,
}

/// A file on its way.
#[derive(Debug)]
pub struct UpstreamFile {
    /// Which part comes: an upstream without ranges sends the whole file however it was asked.
    pub part: FilePart,
    /// How many bytes come, if the upstream says so. Fewer are an error, never a short file.
    pub length: Option<u64>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `ETag`.
    pub etag: Option<String>,
    /// `Cache-Status`, if another gateway answers.
    pub cache_status: Option<String>,
    body: Body,
}

/// Which bytes of a file come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilePart {
    /// All of them.
    Whole,
    /// Those from `start` to before `end`.
    Range {
        /// The first.
        start: u64,
        /// The one after the last.
        end: u64,
        /// Length of the whole file, if the upstream says so.
        size: Option<u64>,
    },
}

#[derive(Debug)]
struct Body {
    index: IndexName,
    response: Response,
    read_timeout: Duration,
    rate_min: u64,
    bytes_max: u64,
    received: u64,
    waited: Duration,
}

impl Upstream {
    /// Opens a file at a URL that one of this upstream's pages named.
    ///
    /// # Errors
    /// See [`UpstreamError`]; absence is an answer.
    pub async fn open(
        &self,
        url: &Url,
        range: Option<ByteRange>,
    ) -> Result<FileAnswer, UpstreamError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        let identity = HeaderValue::from_static("identity");
        headers.insert(header::ACCEPT_ENCODING, identity);
        if let Some(range) = range {
            headers.insert(header::RANGE, range.header());
        }
        let question = Question {
            url,
            headers,
            failed_once: &|| {},
        };
        let FinalAnswer { response, url } = self.guarded(url, self.ask(&question)).await?;
        if let Some(fleet) = &self.fleet {
            self.refuse_partial(fleet, response.status(), false)?;
        }
        let broken = |reason: String| UpstreamError::broken(&self.name, reason);
        let part = match (response.status(), range) {
            (StatusCode::NOT_FOUND | StatusCode::GONE, _) => return Ok(FileAnswer::NotFound),
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => return Ok(FileAnswer::NotSatisfiable),
            (StatusCode::OK, _) => FilePart::Whole,
            (StatusCode::PARTIAL_CONTENT, Some(range)) => {
                part_of(response.headers(), range).map_err(broken)?
            }
            (other, _) => return Err(broken(format!("status {} for a file", other.as_u16()))),
        };
        refuse_encoding(response.headers(), &url).map_err(broken)?;
        let file = self.file(response, part)?;
        Ok(FileAnswer::Found(Box::new(file)))
    }

    fn file(&self, response: Response, part: FilePart) -> Result<UpstreamFile, UpstreamError> {
        let length = response.content_length();
        if length.is_some_and(|length| length > self.limits.file) {
            return Err(too_large(&self.name, self.limits.file));
        }
        let expected = match part {
            FilePart::Whole => None,
            FilePart::Range { start, end, .. } => Some(end - start),
        };
        if let (Some(length), Some(expected)) = (length, expected)
            && length != expected
        {
            let reason = format!("a range of {expected} bytes with a length of {length}");
            return Err(UpstreamError::broken(&self.name, reason));
        }
        let head = response.headers();
        Ok(UpstreamFile {
            part,
            length: length.or(expected),
            content_type: text_of(head, header::CONTENT_TYPE),
            etag: text_of(head, header::ETAG),
            cache_status: text_of(head, HeaderName::from_static("cache-status")),
            body: Body {
                index: self.name.clone(),
                response,
                read_timeout: self.limits.upstream_read_timeout,
                rate_min: self.limits.upstream_min_rate,
                bytes_max: expected.unwrap_or(self.limits.file),
                received: 0,
                waited: Duration::ZERO,
            },
        })
    }
}

impl UpstreamFile {
    /// The next bytes; `None` at the end, which is known to be the real end.
    ///
    /// # Errors
    /// `Unavailable` if the connection is cut, `Timeout` if nothing or too little comes, `TooLarge` if
    /// more comes than allowed.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        let body = &mut self.body;
        let asked = Instant::now();
        let chunk = body.response.chunk().await.map_err(|error| {
            interrupted(&body.index, io::Error::other(error), body.read_timeout)
        })?;
        body.waited += asked.elapsed();
        let Some(chunk) = chunk else {
            return match self.length {
                Some(length) if body.received < length => {
                    let reason = format!("{} of {length} bytes came", body.received);
                    Err(UpstreamError::down(&body.index, reason))
                }
                Some(_) | None => Ok(None),
            };
        };
        let begins = matches!(
            self.part,
            FilePart::Whole | FilePart::Range { start: 0, .. }
        );
        let is_first = body.received == 0 && begins;
        if is_first && is_document(self.content_type.as_deref(), &chunk) {
            let reason = "a document came instead of the file, perhaps a login page";
            return Err(UpstreamError::broken(&body.index, reason));
        }
        body.received += chunk.len() as u64;
        if body.received > body.bytes_max {
            return Err(too_large(&body.index, body.bytes_max));
        }
        if body.is_dripping() {
            return Err(UpstreamError::Timeout {
                index: body.index.clone(),
                awaited: "complete file at a useful rate",
                after: body.waited,
            });
        }
        Ok(Some(chunk))
    }
}

impl Body {
    /// Whether so little came in the time spent waiting that it might never end. Time that the reader
    /// spends elsewhere does not count.
    fn is_dripping(&self) -> bool {
        let wanted = self.waited.as_millis() * u128::from(self.rate_min) / 1000;
        self.waited > self.read_timeout && u128::from(self.received) < wanted
    }
}

impl ByteRange {
    fn header(self) -> HeaderValue {
        let text = match self {
            Self::Between(start, last) => format!("bytes={start}-{last}"),
            Self::Last(count) => format!("bytes=-{count}"),
        };
        HeaderValue::try_from(text).expect("digits and dashes are a header value")
    }
}

fn too_large(index: &IndexName, limit_bytes: u64) -> UpstreamError {
    UpstreamError::TooLarge {
        index: index.clone(),
        what: "file",
        limit_bytes,
    }
}

/// Parses `Content-Range` and compares it with the request: a range that starts or ends elsewhere would be
/// spliced into the wrong place.
fn part_of(head: &HeaderMap, asked: ByteRange) -> Result<FilePart, String> {
    let text = text_of(head, header::CONTENT_RANGE).unwrap_or_default();
    let parsed = parse_content_range(&text);
    let fits = |&(start, last, size): &(u64, u64, Option<u64>)| {
        let to_the_end = size.is_none_or(|size| last + 1 == size);
        match asked {
            ByteRange::Between(first, end) => {
                start == first && (last == end || (last < end && size == Some(last + 1)))
            }
            ByteRange::Last(count) => {
                to_the_end && size.is_some_and(|size| start == size.saturating_sub(count))
            }
        }
    };
    match parsed.filter(fits) {
        Some((start, last, size)) => Ok(FilePart::Range {
            start,
            end: last + 1,
            size,
        }),
        None => {
            let text: String = text.chars().take(80).collect();
            Err(format!("asked for {asked:?}, sent Content-Range {text:?}"))
        }
    }
}

fn parse_content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, last) = range.split_once('-')?;
    let (start, last): (u64, u64) = (start.trim().parse().ok()?, last.trim().parse().ok()?);
    let size = match size.trim() {
        "*" => None,
        digits => Some(digits.parse().ok()?),
    };
    let fits = start <= last && last < size.unwrap_or(u64::MAX);
    fits.then_some((start, last, size))
}

/// Whether content labelled as HTML or XML also begins like it. No archive does; if there is no digest to
/// compare, a login page would otherwise be kept as the file.
fn is_document(content_type: Option<&str>, start: &[u8]) -> bool {
    let announced = content_type.unwrap_or_default().to_ascii_lowercase();
    let announced = ["html", "xml"].iter().any(|kind| announced.contains(kind));
    announced && start.trim_ascii_start().starts_with(b"<")
}

/// Refuses a content-encoding that is not the file's own.
fn refuse_encoding(head: &HeaderMap, url: &Url) -> Result<(), String> {
    let encoding = text_of(head, header::CONTENT_ENCODING).unwrap_or_default();
    let encoding = encoding.trim().to_ascii_lowercase();
    let endings: &[&str] = match encoding.as_str() {
        "" | "identity" => return Ok(()),
        "gzip" | "x-gzip" => &[".gz", ".tgz"],
        "bzip2" | "x-bzip2" => &[".bz2", ".tbz"],
        "compress" | "x-compress" => &[".Z"],
        _ => &[],
    };
    if endings.iter().any(|ending| url.path().ends_with(ending)) {
        return Ok(());
    }
    let encoding: String = encoding.chars().take(40).collect();
    let words = format!("a file with content-encoding {encoding:?}, asked for identity");
    Err(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_range_must_be_the_one_asked_for() {
        use ByteRange::{Between, Last};
        let table = [
            (Between(2, 5), "bytes 2-5/10", Some((2, 6, Some(10)))),
            (Between(2, 50), "bytes 2-9/10", Some((2, 10, Some(10)))),
            (Between(2, 5), "bytes 2-5/*", Some((2, 6, None))),
            (Between(2, 5), "bytes 2-4/10", None),
            (Between(2, 5), "bytes 3-5/10", None),
            (Between(2, 5), "bytes 2-6/10", None),
            (Last(4), "bytes 6-9/10", Some((6, 10, Some(10)))),
            (Last(40), "bytes 0-9/10", Some((0, 10, Some(10)))),
            (Last(4), "bytes 5-9/10", None),
            (Last(4), "bytes 6-9/*", None),
            (Between(0, u64::MAX), "bytes 0-18446744073709551615/*", None),
            (Between(5, 4), "bytes 5-4/10", None),
            (Between(5, 10), "bytes 5-10/10", None),
            (Between(5, 9), "items 5-9/10", None),
            (Between(5, 9), "", None),
        ];
        for (asked, text, expected) in table {
            let part = part_of(&head(header::CONTENT_RANGE, text), asked).ok();
            let expected = expected.map(|(start, end, size)| FilePart::Range { start, end, size });
            assert_eq!(part, expected, "{asked:?} {text}");
        }
    }

    #[test]
    fn a_document_is_one_that_says_so_and_looks_like_it() {
        for (content_type, start, is_one) in [
            (Some("text/html"), "<!DOCTYPE html>", true),
            (Some("TEXT/HTML; charset=utf-8"), "\r\n<html>", true),
            (
                Some("application/xml"),
                "<?xml version='1.0'?><Error>",
                true,
            ),
            (Some("text/html"), "PK\u{3}\u{4}", false),
            (Some("application/octet-stream"), "<", false),
            (None, "<html>", false),
        ] {
            assert_eq!(
                is_document(content_type, start.as_bytes()),
                is_one,
                "{start}"
            );
        }
    }

    #[test]
    fn only_an_encoding_that_is_the_file_itself_is_believed() {
        let table = [
            ("", "a-1-py3-none-any.whl", true),
            ("identity", "a-1-py3-none-any.whl", true),
            ("gzip", "a-1-py3-none-any.whl", false),
            ("x-gzip", "a-1.tar.gz", true),
            ("GZIP", "a-1.tgz", true),
            ("gzip", "a-1.zip", false),
            ("br", "a-1.tar.gz", false),
            ("gzip, gzip", "a-1.tar.gz", false),
        ];
        for (encoding, filename, believed) in table {
            let url = Url::parse(&format!("https://files.example/{filename}?x=.gz")).unwrap();
            let result = refuse_encoding(&head(header::CONTENT_ENCODING, encoding), &url);
            assert_eq!(result.is_ok(), believed, "{encoding} {filename}");
        }
    }
}
