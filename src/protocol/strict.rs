//! What a request's head must satisfy before anything else interprets it (RFC 9112 §3).
//!
//! Parsers are forgiving, each in its own way, and what one of them repairs another reads differently: a
//! second space in the request line, one `Host` too many or none at all. A head that violates the RFC is
//! refused as a whole, at every door and by whichever way it came in.

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

/// Longest port, in digits.
const PORT_MAX: usize = 5;

/// A head that is refused: the status, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadHead {
    /// The status.
    pub status: StatusCode,
    /// The reason, for the sender.
    pub why: &'static str,
}

impl BadHead {
    /// A head that no parser can read.
    pub const MALFORMED: Self = Self::new("this is no request of HTTP/1.1");

    /// More headers than any client sends.
    pub const MANY_HEADERS: Self = Self {
        status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        why: "the request has more headers than this server reads",
    };

    const NO_PROXY: Self = Self {
        status: StatusCode::METHOD_NOT_ALLOWED,
        why: "this server is no proxy: it takes no CONNECT",
    };

    const TARGET: Self = Self::new("the request target is neither a path nor a URL");
    const NO_HOST: Self = Self::new("a request of HTTP/1.1 needs a Host header");
    const MANY_HOSTS: Self = Self::new("the request has more than one Host header");
    const HOST: Self = Self::new("the Host header holds no host");
    const OTHER_HOST: Self = Self::new("the Host header is another than the request target's");
    const LENGTH: Self = Self::new("the Content-Length header is not one number");
    const ENCODING: Self =
        Self::new("the Transfer-Encoding header is not one of HTTP/1.1 that ends in chunked");

    const fn new(why: &'static str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            why,
        }
    }
}

/// Refuses a head of HTTP/1 that is not as it should be, given its raw parts before any processing.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check_raw<'a>(
    method: &str,
    target: &str,
    is_http_11: bool,
    headers: impl Iterator<Item = (&'a str, &'a [u8])> + Clone,
) -> Result<(), BadHead> {
    if method == Method::CONNECT.as_str() {
        return Err(BadHead::NO_PROXY);
    }
    let values = |name: HeaderName| {
        let of_name = headers.clone().filter(move |(other, _)| name == *other);
        of_name.map(|(_, value)| value.trim_ascii())
    };
    let own = host(values(header::HOST), is_http_11)?;
    match authority(method, target)? {
        Some(authority) if own.is_some_and(|own| own != authority.as_bytes()) => {
            return Err(BadHead::OTHER_HOST);
        }
        Some(_) | None => {}
    }
    // Where the body ends must be beyond doubt.
    let items = |name| values(name).flat_map(|value| value.split(|byte| *byte == b','));
    let mut lengths = items(header::CONTENT_LENGTH).map(<[u8]>::trim_ascii);
    if let Some(first) = lengths.next() {
        let is_number = first.iter().all(u8::is_ascii_digit)
            && std::str::from_utf8(first).is_ok_and(|text| text.parse::<u64>().is_ok());
        if !is_number || lengths.any(|length| length != first) {
            return Err(BadHead::LENGTH);
        }
    }
    match items(header::TRANSFER_ENCODING).last() {
        Some(last) if !is_http_11 || !last.trim_ascii().eq_ignore_ascii_case(b"chunked") => {
            Err(BadHead::ENCODING)
        }
        Some(_) | None => Ok(()),
    }
}

/// Refuses a head of HTTP/2, whose parser has already checked everything else.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check_parts(head: &Parts) -> Result<(), BadHead> {
    if head.method == Method::CONNECT {
        return Err(BadHead::NO_PROXY);
    }
    let hosts = head.headers.get_all(header::HOST).into_iter();
    let own = host(hosts.map(HeaderValue::as_bytes), false)?;
    let authority = head.uri.authority();
    let authority = authority.map(|authority| authority.as_str().as_bytes());
    let is_asterisk = head.uri.path() == "*" && head.method != Method::OPTIONS;
    let is_of_web = matches!(head.uri.scheme_str(), None | Some("http" | "https"));
    if is_asterisk || !is_of_web || authority.is_some_and(|authority| !is_host(authority)) {
        return Err(BadHead::TARGET);
    }
    match (authority, own) {
        (Some(authority), Some(own)) if !authority.eq_ignore_ascii_case(own) => {
            Err(BadHead::OTHER_HOST)
        }
        (Some(_) | None, _) => Ok(()),
    }
}

/// The one `Host`, if there is one or must be.
fn host<'a>(
    mut hosts: impl Iterator<Item = &'a [u8]>,
    is_needed: bool,
) -> Result<Option<&'a [u8]>, BadHead> {
    let (first, second) = (hosts.next(), hosts.next());
    match (first, second) {
        (_, Some(_)) => Err(BadHead::MANY_HOSTS),
        (None, None) if is_needed => Err(BadHead::NO_HOST),
        (Some(host), None) if !is_host(host) => Err(BadHead::HOST),
        (host, None) => Ok(host),
    }
}

/// The authority of a target that is a URL; `None` for a path, or the asterisk of OPTIONS.
fn authority<'a>(method: &str, target: &'a str) -> Result<Option<&'a str>, BadHead> {
    if target.starts_with('/') || (target == "*" && method == Method::OPTIONS.as_str()) {
        return Ok(None);
    }
    let (scheme, rest) = target.split_once("://").ok_or(BadHead::TARGET)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let is_of_web = ["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    // Pingora wants one that can be parsed, and refuses others in its own words.
    let is_read = authority.parse::<Authority>().is_ok();
    if !is_of_web || !is_read || !is_host(authority.as_bytes()) {
        return Err(BadHead::TARGET);
    }
    Ok(Some(authority))
}

/// Whether a `Host` holds a host, perhaps with a port, and nothing that could be read as something else: no
/// user, no second host, no path. It may be empty for a target without an authority.
pub fn is_host(host: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(host) else {
        return false;
    };
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if is_address(address) => ("", port),
            Some(_) | None => return false,
        },
        None => match text.find(':') {
            Some(colon) => text.split_at(colon),
            None => (text, ""),
        },
    };
    let is_of_name =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%');
    let is_port = port.strip_prefix(':').is_none_or(|digits| {
        digits.len() <= PORT_MAX && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    name.bytes().all(is_of_name) && is_port && (port.is_empty() || port.starts_with(':'))
}

/// An IPv6 address as it stands in brackets.
fn is_address(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.' | b'%'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Host: x";

    /// The result for a head: `Ok`, or the status.
    fn raw(line: &str, headers: &[&str]) -> Result<(), BadHead> {
        let mut words = line.split(' ');
        let headers = headers.iter().map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name, value.trim().as_bytes())
        });
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        check_raw(method, target, words.next() == Some("HTTP/1.1"), headers)
    }

    #[test]
    fn what_clients_send_passes() {
        let length = [GOOD, "Content-Length: 5", "content-length: 5, 5"];
        for (line, headers) in [
            ("GET / HTTP/1.1", &[GOOD][..]),
            ("GET / HTTP/1.1", &["Host:"]),
            ("GET / HTTP/1.0", &[]),
            ("GET /a?b=c HTTP/1.1", &["host: devpi_server.example:4040"]),
            ("GET / HTTP/1.1", &["Host: [::1]:3141"]),
            ("GET http://x/simple/ HTTP/1.1", &[GOOD]),
            ("GET HTTPS://x?a HTTP/1.1", &[GOOD]),
            ("OPTIONS * HTTP/1.1", &[GOOD]),
            ("POST / HTTP/1.1", &length),
            ("POST / HTTP/1.1", &[GOOD, "Transfer-Encoding: Chunked"]),
        ] {
            assert_eq!(raw(line, headers), Ok(()), "{line} {headers:?}");
        }
    }

    #[test]
    fn whatever_two_could_read_differently_is_refused() {
        for (line, headers, expected) in [
            ("GET evil:80 HTTP/1.1", &[GOOD][..], BadHead::TARGET),
            ("GET evil HTTP/1.1", &[GOOD], BadHead::TARGET),
            ("GET * HTTP/1.1", &[GOOD], BadHead::TARGET),
            ("GET ftp://x/ HTTP/1.1", &[GOOD], BadHead::TARGET),
            ("GET http:///a HTTP/1.1", &[GOOD], BadHead::TARGET),
            ("GET http://me@x/ HTTP/1.1", &[GOOD], BadHead::TARGET),
            ("GET http://a%b/ HTTP/1.1", &["Host: a%b"], BadHead::TARGET),
            ("GET http://y/ HTTP/1.1", &[GOOD], BadHead::OTHER_HOST),
            ("CONNECT x:80 HTTP/1.1", &[GOOD], BadHead::NO_PROXY),
            ("GET / HTTP/1.1", &[], BadHead::NO_HOST),
            ("GET / HTTP/1.1", &[GOOD, GOOD], BadHead::MANY_HOSTS),
            ("GET / HTTP/1.0", &[GOOD, "HOST: y"], BadHead::MANY_HOSTS),
            ("GET / HTTP/1.1", &["Host: a b"], BadHead::HOST),
            ("GET / HTTP/1.1", &["Host: a,b"], BadHead::HOST),
            ("GET / HTTP/1.1", &["Host: me@a"], BadHead::HOST),
            ("GET / HTTP/1.1", &["Host: a/b"], BadHead::HOST),
            ("GET / HTTP/1.1", &["Host: a:80:90"], BadHead::HOST),
            ("GET / HTTP/1.1", &["Host: [::1"], BadHead::HOST),
            ("GET / HTTP/1.1", &["Host: [::1]80"], BadHead::HOST),
            (
                "GET / HTTP/1.1",
                &[GOOD, "Content-Length: 1, 2"],
                BadHead::LENGTH,
            ),
            (
                "GET / HTTP/1.1",
                &[GOOD, "Content-Length: +1"],
                BadHead::LENGTH,
            ),
            (
                "GET / HTTP/1.1",
                &[GOOD, "Content-Length:"],
                BadHead::LENGTH,
            ),
            (
                "GET / HTTP/1.1",
                &[GOOD, "Transfer-Encoding: chunked, gzip"],
                BadHead::ENCODING,
            ),
            (
                "GET / HTTP/1.0",
                &[GOOD, "Transfer-Encoding: chunked"],
                BadHead::ENCODING,
            ),
        ] {
            assert_eq!(raw(line, headers), Err(expected), "{line} {headers:?}");
        }
    }

    #[test]
    fn heads_that_were_read_elsewhere_are_judged_the_same() {
        let parts = |method: &str, uri: &str, hosts: &[&str]| {
            let request = http::Request::builder().method(method).uri(uri);
            let mut request = request.version(http::Version::HTTP_2);
            for host in hosts {
                request = request.header("host", *host);
            }
            check_parts(&request.body(()).unwrap().into_parts().0)
        };
        for (method, uri, hosts, expected) in [
            ("GET", "https://x/", &[][..], Ok(())),
            ("GET", "https://x/", &["x"], Ok(())),
            ("GET", "https://x/", &["X"], Ok(())),
            ("GET", "/", &["x"], Ok(())),
            ("OPTIONS", "*", &["x"], Ok(())),
            ("GET", "*", &["x"], Err(BadHead::TARGET)),
            ("GET", "ftp://x/", &["x"], Err(BadHead::TARGET)),
            ("GET", "https://me@x/", &[], Err(BadHead::TARGET)),
            ("GET", "/", &["x", "x"], Err(BadHead::MANY_HOSTS)),
            ("GET", "/", &["a b"], Err(BadHead::HOST)),
            ("GET", "https://y/", &["x"], Err(BadHead::OTHER_HOST)),
            ("CONNECT", "x:80", &[], Err(BadHead::NO_PROXY)),
        ] {
            assert_eq!(
                parts(method, uri, hosts),
                expected,
                "{method} {uri} {hosts:?}"
            );
        }
    }
}
