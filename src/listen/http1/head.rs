//! Reads a request's head where there can be no doubt about it.
//!
//! What is plain is answered here; whatever could be read in two ways, or has a body, is left to the
//! HTTP machinery with all its rules. So the two never disagree about where a request ends: one
//! without a body ends with its head.

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::{EMPTY_HEADER, Status};

/// Most headers of a plain request; installers send ten, proxies add some. More are not refused, only
/// read elsewhere.
const HEADERS_MAX: usize = 40;

/// What stands at the beginning of a connection's bytes.
#[derive(Debug)]
pub(super) enum Parsed {
    /// Not yet a whole head.
    Incomplete,
    /// A plain request, taken off the bytes.
    Plain(Request),
    /// Something else, still there. A head without body has so many bytes; of anything else it is
    /// not known.
    Other(Option<usize>),
}

/// A GET or HEAD over HTTP/1.1 that has a path, one host and no body.
#[derive(Debug)]
pub(super) struct Request {
    /// HEAD rather than GET.
    pub(super) is_head: bool,
    /// Its headers.
    pub(super) headers: HeaderMap,
    /// Whether the client wants to keep the connection.
    pub(super) keeps_alive: bool,
    /// Path and query, nothing but ASCII.
    target: Bytes,
}

impl Request {
    /// Path and query as sent.
    pub(super) fn target(&self) -> &str {
        // Checked when it was read.
        std::str::from_utf8(&self.target).unwrap_or_default()
    }
}

/// Takes a plain request off `bytes`. `spare` is a map whose memory may be used again.
pub(super) fn parse(bytes: &mut BytesMut, spare: &mut HeaderMap) -> Parsed {
    // An empty line before a request is passed over (RFC 9112 §2.2); the machinery does that.
    if bytes.is_empty() {
        return Parsed::Incomplete;
    }
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Parsed::Incomplete,
        Err(_) => return Parsed::Other(None),
    };
    let Some(outline) = Outline::of(&request, bytes) else {
        let has_body = [CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT, UPGRADE];
        let is = |found: &httparse::Header<'_>, name: &HeaderName| {
            found.name.eq_ignore_ascii_case(name.as_str())
        };
        let has_body = request
            .headers
            .iter()
            .any(|header| has_body.iter().any(|name| is(header, name)));
        let is_reading = matches!(request.method, Some("GET" | "HEAD"));
        return Parsed::Other((is_reading && !has_body).then_some(length));
    };
    let head = bytes.split_to(length).freeze();
    outline.fill(&head, spare)
}

/// Where the parts of a plain head are.
struct Outline {
    is_head: bool,
    keeps_alive: bool,
    target: (usize, usize),
    headers: [(u16, u16, u16, u16); HEADERS_MAX],
    count: usize,
}

impl Outline {
    /// Nothing where there is any doubt.
    fn of(request: &httparse::Request<'_, '_>, bytes: &[u8]) -> Option<Self> {
        let is_head = match request.method? {
            "GET" => false,
            "HEAD" => true,
            _ => return None,
        };
        let target = request.path?;
        let is_plain = target.starts_with('/') && target.bytes().all(is_of_target);
        if request.version != Some(1) || !is_plain {
            return None;
        }
        let place = |part: &[u8]| part.as_ptr() as usize - bytes.as_ptr() as usize;
        let mut outline = Self {
            is_head,
            keeps_alive: true,
            target: (place(target.as_bytes()), target.len()),
            headers: [(0, 0, 0, 0); HEADERS_MAX],
            count: request.headers.len(),
        };
        let mut hosts = 0;
        for (header, slot) in request.headers.iter().zip(&mut outline.headers) {
            match Weight::of(header) {
                Weight::Light => {}
                Weight::Host => hosts += 1,
                Weight::Close => outline.keeps_alive = false,
                Weight::Heavy => return None,
            }
            let name = place(header.name.as_bytes());
            let value = place(header.value);
            *slot = (
                u16::try_from(name).ok()?,
                u16::try_from(header.name.len()).ok()?,
                u16::try_from(value).ok()?,
                u16::try_from(header.value.len()).ok()?,
            );
        }
        (hosts == 1).then_some(outline)
    }

    fn fill(self, head: &Bytes, spare: &mut HeaderMap) -> Parsed {
        let mut headers = std::mem::take(spare);
        headers.clear();
        for &(name, name_length, value, value_length) in &self.headers[..self.count] {
            let part =
                |at: u16, length: u16| usize::from(at)..usize::from(at) + usize::from(length);
            let name = HeaderName::from_bytes(&head[part(name, name_length)]);
            let value = HeaderValue::from_maybe_shared(head.slice(part(value, value_length)));
            let (Ok(name), Ok(value)) = (name, value) else {
                // The parser lets through what the map does not take: nothing that anybody sends.
                continue;
            };
            headers.append(name, value);
        }
        let (at, length) = self.target;
        Parsed::Plain(Request {
            is_head: self.is_head,
            headers,
            keeps_alive: self.keeps_alive,
            target: head.slice(at..at + length),
        })
    }
}

/// What a header means for how a request is read.
enum Weight {
    Light,
    Host,
    Close,
    Heavy,
}

impl Weight {
    fn of(header: &httparse::Header<'_>) -> Self {
        let is = |name: HeaderName| header.name.eq_ignore_ascii_case(name.as_str());
        match header.name.len() {
            4 if is(HOST) && !header.value.is_empty() => Self::Host,
            4 if is(HOST) => Self::Heavy,
            10 if is(CONNECTION) => {
                if header.value.eq_ignore_ascii_case(b"keep-alive") {
                    Self::Light
                } else if header.value.eq_ignore_ascii_case(b"close") {
                    Self::Close
                } else {
                    Self::Heavy
                }
            }
            6 if is(EXPECT) => Self::Heavy,
            7 if is(UPGRADE) => Self::Heavy,
            14 if is(CONTENT_LENGTH) => Self::Heavy,
            17 if is(TRANSFER_ENCODING) => Self::Heavy,
            _ => Self::Light,
        }
    }
}

/// RFC 3986's characters for a path and a query. A stranger one is the machinery's to judge.
fn is_of_target(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%?".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Parsed, String) {
        let mut bytes = BytesMut::from(text);
        let parsed = parse(&mut bytes, &mut HeaderMap::new());
        (parsed, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn a_plain_request_is_taken_and_what_follows_stays() {
        let (parsed, rest) =
            read("GET /a/b?c=%20 HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\nGET /next");
        let Parsed::Plain(request) = parsed else {
            panic!("{parsed:?}")
        };
        assert_eq!(request.target(), "/a/b?c=%20");
        assert!(!request.is_head && request.keeps_alive);
        assert_eq!(request.headers["accept"], "*/*");
        assert_eq!(request.headers.len(), 2);
        assert_eq!(rest, "GET /next");
    }

    #[test]
    fn heads_may_close() {
        let (parsed, _) = read("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n");
        assert!(matches!(
            parsed,
            Parsed::Plain(Request {
                is_head: true,
                keeps_alive: false,
                ..
            })
        ));
    }

    #[test]
    fn a_part_of_a_head_is_waited_for() {
        for text in [
            "",
            "G",
            "GET / HTTP/1.1\r\nHost: x\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n\r",
        ] {
            let (parsed, rest) = read(text);
            assert!(matches!(parsed, Parsed::Incomplete), "{text:?}");
            assert_eq!(rest, text);
        }
    }

    #[test]
    fn whatever_has_a_second_reading_is_left_alone() {
        let many: String = (0..HEADERS_MAX).map(|n| format!("X-{n}: 1\r\n")).collect();
        for (line, headers, is_length_known) in [
            ("POST / HTTP/1.1", "Host: x\r\n", false),
            ("GET / HTTP/1.0", "Host: x\r\n", true),
            ("GET / HTTP/1.1", "", true),
            ("GET / HTTP/1.1", "Host: x\r\nHost: x\r\n", true),
            ("GET / HTTP/1.1", "Host:\r\n", true),
            ("GET http://x/ HTTP/1.1", "Host: x\r\n", true),
            ("GET * HTTP/1.1", "Host: x\r\n", true),
            ("GET /#a HTTP/1.1", "Host: x\r\n", true),
            ("GET /<a> HTTP/1.1", "Host: x\r\n", true),
            ("GET / HTTP/1.1", "Host: x\r\nContent-Length: 0\r\n", false),
            (
                "GET / HTTP/1.1",
                "Host: x\r\ntransfer-encoding: chunked\r\n",
                false,
            ),
            (
                "GET / HTTP/1.1",
                "Host: x\r\nExpect: 100-continue\r\n",
                false,
            ),
            ("GET / HTTP/1.1", "Host: x\r\nUpgrade: h2c\r\n", false),
            (
                "GET / HTTP/1.1",
                "Host: x\r\nConnection: keep-alive, close\r\n",
                true,
            ),
            ("GET / HTTP/1.1", "Host: x\r\nBad Name: y\r\n", false),
            ("GET / HTTP/1.1", "Host: x\r\nFolded: a\r\n b\r\n", false),
            ("GET / HTTP/1.1", &format!("Host: x\r\n{many}"), false),
        ] {
            let text = format!("{line}\r\n{headers}\r\n");
            let (parsed, rest) = read(&format!("{text}next"));
            let Parsed::Other(length) = parsed else {
                panic!("{text}: {parsed:?}")
            };
            assert_eq!(length, is_length_known.then_some(text.len()), "{text}");
            assert_eq!(rest, format!("{text}next"));
        }
    }
}
