//! Parses a request's head where its meaning is beyond doubt.
//!
//! Plain requests are answered here; whatever could be read in two ways, or has a body, is left to
//! Pingora with all its rules. So the two never disagree about where a request ends: one without a body
//! ends with its head.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::{EMPTY_HEADER, Status};
use pingora::http::RequestHeader;

use crate::protocol::{BadHead, Preferences, X_REQUEST_ID, check_raw, is_host};

/// Most headers of a plain request; installers send ten, proxies add some. Requests with more are not
/// refused, only parsed elsewhere.
const HEADERS_MAX: usize = 40;

/// Most headers that Pingora accepts.
const MACHINERY_HEADERS_MAX: usize = 256;

/// Most bytes of a head that it accepts.
const MACHINERY_BYTES_MAX: usize = (1 << 20) - 1;

/// What is at the beginning of a connection's bytes.
#[derive(Debug)]
pub(super) enum Parsed {
    /// Not yet a complete head.
    Incomplete,
    /// A plain request, taken off the bytes; its headers are [`Known`] now.
    Plain(Line),
    /// Something else, left in place. The length is that of a head without body; for anything else it
    /// is unknown.
    Other(Option<usize>),
    /// A head that is refused; what follows it on the connection is unknown.
    Bad(BadHead),
}

/// The first line of a GET or HEAD over HTTP/1.1.
#[derive(Debug)]
pub(super) struct Line {
    /// HEAD rather than GET.
    pub(super) is_head: bool,
    /// Taken off the connection.
    head: BytesMut,
    target: Range<usize>,
}

impl Line {
    /// Path and query as sent, nothing but ASCII.
    pub(super) fn target(&self) -> &str {
        // Checked when it was parsed.
        std::str::from_utf8(&self.head[self.target.clone()]).unwrap_or_default()
    }
}

/// The headers of a connection's last plain request, and what they mean.
///
/// Installers send the same ones with request after request; those are compared, not parsed.
#[derive(Debug)]
pub(super) struct Known {
    /// From behind the first line to the end of the head.
    block: Bytes,
    /// The same, parsed.
    pub(super) headers: HeaderMap,
    /// What they state about the client.
    pub(super) preferences: Preferences,
    /// Whether the client wants to keep the connection.
    pub(super) keeps_alive: bool,
    /// Whether they bring an id for the request.
    pub(super) has_id: bool,
    /// By which program they were sent, where that is text.
    pub(super) user_agent: Option<Box<str>>,
}

/// Takes a plain request off `bytes`. `known` then has its headers.
pub(super) fn parse(bytes: &mut BytesMut, known: &mut Option<Known>) -> Parsed {
    if let Some(line) = known.as_ref().and_then(|known| again(bytes, known)) {
        return Parsed::Plain(line);
    }
    // An empty line before a request is skipped (RFC 9112 §2.2); Pingora does that.
    if bytes.is_empty() {
        return Parsed::Incomplete;
    }
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Parsed::Incomplete,
        Err(httparse::Error::TooManyHeaders) => return parse_many(bytes),
        Err(_) => return Parsed::Bad(BadHead::MALFORMED),
    };
    let read = Outline::of(&request, bytes).and_then(|outline| {
        let known = outline.known(&bytes[..length])?;
        Some((outline.is_head, outline.target, known))
    });
    let Some((is_head, target, read)) = read else {
        return other(&request, length);
    };
    *known = Some(read);
    Parsed::Plain(Line {
        is_head,
        head: bytes.split_to(length),
        target,
    })
}

/// The same for a head with more headers than a plain request has.
fn parse_many(bytes: &[u8]) -> Parsed {
    let mut headers = [EMPTY_HEADER; MACHINERY_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(Status::Complete(length)) => other(&request, length),
        Ok(Status::Partial) => Parsed::Incomplete,
        Err(httparse::Error::TooManyHeaders) => Parsed::Bad(BadHead::MANY_HEADERS),
        Err(_) => Parsed::Bad(BadHead::MALFORMED),
    }
}

/// A head for Pingora, unless it is to be refused. Pingora never sees what it would refuse or repair:
/// it answers such heads in its own words.
fn other(request: &httparse::Request<'_, '_>, length: usize) -> Parsed {
    let (Some(method), Some(target)) = (request.method, request.path) else {
        return Parsed::Bad(BadHead::MALFORMED);
    };
    let headers = request.headers.iter();
    let headers = headers.map(|header| (header.name, header.value));
    if let Err(bad) = check_raw(method, target, request.version == Some(1), headers) {
        return Parsed::Bad(bad);
    }
    let is_name = |header: &httparse::Header<'_>| HeaderName::from_bytes(header.name.as_bytes());
    if length > MACHINERY_BYTES_MAX
        || request
            .headers
            .iter()
            .any(|header| is_name(header).is_err())
        || RequestHeader::build_no_case(method, target.as_bytes(), None).is_err()
    {
        return Parsed::Bad(BadHead::MALFORMED);
    }
    let is_reading = matches!(method, "GET" | "HEAD");
    let is_alone = is_reading && !may_have_body(request.headers);
    Parsed::Other(is_alone.then_some(length))
}

fn may_have_body(headers: &[httparse::Header<'_>]) -> bool {
    let signs = [CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT, UPGRADE];
    headers.iter().any(|header| {
        let mut signs = signs.iter();
        signs.any(|sign| header.name.eq_ignore_ascii_case(sign.as_str()))
    })
}

/// A request with the same headers as the one before.
fn again(bytes: &mut BytesMut, known: &Known) -> Option<Line> {
    let end = memchr::memchr(b'\n', bytes)?;
    if !bytes[end + 1..].starts_with(&known.block) {
        return None;
    }
    let line = bytes[..end].strip_suffix(b" HTTP/1.1\r")?;
    let (is_head, start) = match line {
        [b'G', b'E', b'T', b' ', b'/', ..] => (false, 4),
        [b'H', b'E', b'A', b'D', b' ', b'/', ..] => (true, 5),
        _ => return None,
    };
    let target = start..line.len();
    if !line[target.clone()].iter().copied().all(is_of_target) {
        return None;
    }
    Some(Line {
        is_head,
        head: bytes.split_to(end + 1 + known.block.len()),
        target,
    })
}

/// Where the parts of a plain head are.
struct Outline {
    is_head: bool,
    keeps_alive: bool,
    target: Range<usize>,
    headers: Vec<(Range<usize>, Range<usize>)>,
}

impl Outline {
    /// `None` if there is any doubt.
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
        let place = |part: &[u8]| {
            let at = part.as_ptr() as usize - bytes.as_ptr() as usize;
            at..at + part.len()
        };
        let mut outline = Self {
            is_head,
            keeps_alive: true,
            target: place(target.as_bytes()),
            headers: Vec::with_capacity(request.headers.len()),
        };
        let mut hosts = 0;
        for header in request.headers.iter() {
            match Weight::of(header) {
                Weight::Light => {}
                Weight::Host => hosts += 1,
                Weight::Close => outline.keeps_alive = false,
                Weight::Heavy => return None,
            }
            let (name, value) = (place(header.name.as_bytes()), place(header.value));
            outline.headers.push((name, value));
        }
        (hosts == 1).then_some(outline)
    }

    /// The headers, parsed; `None` if one of them is invalid.
    fn known(&self, head: &[u8]) -> Option<Known> {
        let line = memchr::memchr(b'\n', head)? + 1;
        // A copy: what is known outlives the connection's bytes.
        let head = Bytes::copy_from_slice(head);
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(&head[name.clone()]).ok()?;
            let value = HeaderValue::from_maybe_shared(head.slice(value.clone())).ok()?;
            headers.append(name, value);
        }
        let agent = headers.get(USER_AGENT);
        let user_agent = agent.and_then(|value| value.to_str().ok());
        Some(Known {
            block: head.slice(line..),
            preferences: Preferences::of(&headers),
            has_id: headers.contains_key(X_REQUEST_ID),
            user_agent: user_agent.map(Into::into),
            headers,
            keeps_alive: self.keeps_alive,
        })
    }
}

/// What a header means for how a request is parsed.
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
            4 if is(HOST) && !header.value.is_empty() && is_host(header.value) => Self::Host,
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

/// RFC 3986's characters for a path and a query. Any other character is left to Pingora.
fn is_of_target(byte: u8) -> bool {
    const OTHERS: &[u8] = b"/-._~!$&'()*+,;=:@%?";
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            table[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let mut at = 0;
        while at < OTHERS.len() {
            table[OTHERS[at] as usize] = true;
            at += 1;
        }
        table
    };
    TABLE[usize::from(byte)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Parsed, String) {
        let (parsed, rest, _) = read_with(text, None);
        (parsed, rest)
    }

    fn read_with(text: &str, mut known: Option<Known>) -> (Parsed, String, Option<Known>) {
        let mut bytes = BytesMut::from(text);
        let parsed = parse(&mut bytes, &mut known);
        (parsed, String::from_utf8(bytes.to_vec()).unwrap(), known)
    }

    #[test]
    fn a_plain_request_is_taken_and_what_follows_stays() {
        let text = "GET /a/b?c=%20 HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\nGET /next";
        let (parsed, rest, known) = read_with(text, None);
        let (Parsed::Plain(line), Some(known)) = (parsed, known) else {
            panic!("not plain")
        };
        assert_eq!(line.target(), "/a/b?c=%20");
        assert!(!line.is_head && known.keeps_alive);
        assert_eq!(known.headers["accept"], "*/*");
        assert_eq!(known.headers.len(), 2);
        assert_eq!(rest, "GET /next");
    }

    #[test]
    fn the_connection_may_end_with_a_request() {
        let (parsed, _, known) = read_with(
            "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n",
            None,
        );
        assert!(matches!(parsed, Parsed::Plain(Line { is_head: true, .. })));
        assert!(!known.unwrap().keeps_alive);
    }

    /// With known headers or without, every request is parsed the same.
    #[test]
    fn knowing_the_headers_changes_nothing() {
        let first = "Host: x\r\nAccept: text/html\r\n\r\n";
        for text in [
            "GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\nGET /next",
            "HEAD /a%20b?c HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nX-More: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n",
            "GET / HTTP/1.0\r\nHost: x\r\nAccept: text/html\r\n\r\n",
            "GET /<a> HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n",
            "GET / b HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n",
            "GET http://x/ HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n",
            "\nHost: x\r\nAccept: text/html\r\n\r\n",
        ] {
            let known = read_with(&format!("GET /first HTTP/1.1\r\n{first}"), None).2;
            assert!(known.is_some());
            let told = |known| {
                let (parsed, rest, known) = read_with(text, known);
                let line = match parsed {
                    Parsed::Plain(line) => Ok((line.is_head, line.target().to_owned())),
                    Parsed::Incomplete => Err(None),
                    Parsed::Other(length) => Err(Some(length)),
                    Parsed::Bad(bad) => Err(Some(Some(bad.status.as_u16().into()))),
                };
                let headers = known.map(|known| (known.headers, known.keeps_alive));
                (line.clone(), rest, line.is_ok().then_some(headers))
            };
            assert_eq!(told(known), told(None), "{text:?}");
        }
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
            ("GET / HTTP/1.1", "Host:\r\n", true),
            ("GET http://x/ HTTP/1.1", "Host: x\r\n", true),
            ("GET /#a HTTP/1.1", "Host: x\r\n", true),
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
            ("GET / HTTP/1.1", &format!("Host: x\r\n{many}"), true),
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

    #[test]
    fn what_the_machinery_would_mend_or_refuse_it_never_sees() {
        let many: String = (0..=MACHINERY_HEADERS_MAX)
            .map(|n| format!("X-{n}: 1\r\n"))
            .collect();
        for (line, headers, status) in [
            ("GET  /+api HTTP/1.1", "Host: x\r\n", 400),
            ("GET /a b HTTP/1.1", "Host: x\r\n", 400),
            ("GET\t/ HTTP/1.1", "Host: x\r\n", 400),
            ("GET evil:80 HTTP/1.1", "Host: x\r\n", 400),
            ("GET /<a> HTTP/1.1", "Host: x\r\n", 400),
            ("GET / HTTP/2.0", "Host: x\r\n", 400),
            ("GET /", "Host: x\r\n", 400),
            ("GET / HTTP/1.1", "", 400),
            ("GET / HTTP/1.1", "Host: x\r\nHost: x\r\n", 400),
            ("GET / HTTP/1.1", "Host: a b\r\n", 400),
            ("GET * HTTP/1.1", "Host: x\r\n", 400),
            ("GET / HTTP/1.1", "Host: x\r\nBad Name: y\r\n", 400),
            ("GET / HTTP/1.1", "Host: x\r\nFolded: a\r\n b\r\n", 400),
            ("GET / HTTP/1.1", "Host: x\r\nContent-Length: x\r\n", 400),
            ("CONNECT x:80 HTTP/1.1", "Host: x\r\n", 405),
            ("GET / HTTP/1.1", &format!("Host: x\r\n{many}"), 431),
        ] {
            let (parsed, _) = read(&format!("{line}\r\n{headers}\r\nnext"));
            let Parsed::Bad(bad) = parsed else {
                panic!("{line} {headers}: {parsed:?}")
            };
            assert_eq!(bad.status.as_u16(), status, "{line} {headers}");
        }
    }
}
