//! What a request's head must be before anybody reads a meaning into it (RFC 9112 §3).
//!
//! Parsers are forgiving, each in its own way, and what one of them mends another reads differently: a
//! second space in the request line, a `Host` too many or none at all. A head that is not as the RFC
//! has it is refused as a whole, at every door and by whichever way it came in.

use http::request::Parts;
use http::uri::Uri;
use http::{HeaderMap, Method, StatusCode, Version, header};

/// Longest port, in digits.
const PORT_MAX: usize = 5;

/// A head that nobody answers: with which status, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadHead {
    /// The status.
    pub status: StatusCode,
    /// The reason, for whoever sent it.
    pub why: &'static str,
}

impl BadHead {
    /// What no parser reads.
    pub const MALFORMED: Self = Self::new("this is no request of HTTP/1.1");

    /// More headers than anybody sends.
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

/// The parts of a head of HTTP/1 as they came, before any of it was made into something else.
#[derive(Debug, Clone, Copy)]
pub struct RawHead<'a, H> {
    /// The method.
    pub method: &'a str,
    /// The request target.
    pub target: &'a str,
    /// Whether it is HTTP/1.1, and not 1.0.
    pub is_http_11: bool,
    /// Names and values.
    pub headers: H,
}

impl<'a, H> RawHead<'a, H>
where
    H: Iterator<Item = (&'a str, &'a [u8])> + Clone,
{
    /// Refuses a head that is not as it should be.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), BadHead> {
        if self.method == Method::CONNECT.as_str() {
            return Err(BadHead::NO_PROXY);
        }
        let hosts = self.values(header::HOST);
        let own = host(hosts, self.is_http_11)?;
        match authority(self.method, self.target)? {
            Some(authority) if own.is_some_and(|own| own != authority.as_bytes()) => {
                return Err(BadHead::OTHER_HOST);
            }
            Some(_) | None => {}
        }
        self.check_framing()
    }

    /// Where the body ends must be beyond doubt.
    fn check_framing(&self) -> Result<(), BadHead> {
        let items = |name| {
            let values = self.values(name);
            values.flat_map(|value| value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii))
        };
        let mut lengths = items(header::CONTENT_LENGTH);
        if let Some(first) = lengths.next() {
            let is_number = first.iter().all(u8::is_ascii_digit)
                && std::str::from_utf8(first).is_ok_and(|text| text.parse::<u64>().is_ok());
            if !is_number || lengths.any(|length| length != first) {
                return Err(BadHead::LENGTH);
            }
        }
        let last = items(header::TRANSFER_ENCODING).last();
        match last {
            Some(last) if !self.is_http_11 || !last.eq_ignore_ascii_case(b"chunked") => {
                Err(BadHead::ENCODING)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn values(&self, name: header::HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a, H> {
        let headers = self.headers.clone();
        let of_name = move |(other, value): (&'a str, &'a [u8])| {
            other
                .eq_ignore_ascii_case(name.as_str())
                .then_some(value.trim_ascii())
        };
        headers.filter_map(of_name)
    }
}

/// Refuses a head that another parser has read already, of HTTP/1 or HTTP/2.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check_parts(head: &Parts) -> Result<(), BadHead> {
    if head.method == Method::CONNECT {
        return Err(BadHead::NO_PROXY);
    }
    let is_streams = head.version > Version::HTTP_11;
    let own = host(hosts(&head.headers), head.version == Version::HTTP_11)?;
    let authority = head.uri.authority();
    let is_alone = authority.is_some() && head.uri.scheme().is_none();
    let is_asterisk = head.uri.path() == "*" && head.method != Method::OPTIONS;
    if (is_alone && !is_streams) || is_asterisk || !is_of_web(&head.uri) {
        return Err(BadHead::TARGET);
    }
    match (authority, own) {
        (Some(authority), _) if !is_host(authority.as_str().as_bytes()) => Err(BadHead::TARGET),
        (Some(authority), Some(own))
            if !authority.as_str().as_bytes().eq_ignore_ascii_case(own) =>
        {
            Err(BadHead::OTHER_HOST)
        }
        (Some(_) | None, _) => Ok(()),
    }
}

fn hosts(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let hosts = headers.get_all(header::HOST).into_iter();
    hosts.map(http::HeaderValue::as_bytes)
}

/// The one `Host`, where there is one or has to be.
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

/// The authority of a target that is a URL; nothing for a path, or the asterisk of OPTIONS.
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
    if !is_of_web || authority.is_empty() || !is_host(authority.as_bytes()) {
        return Err(BadHead::TARGET);
    }
    Ok(Some(authority))
}

fn is_of_web(uri: &Uri) -> bool {
    uri.scheme_str()
        .is_none_or(|scheme| matches!(scheme, "http" | "https"))
}

/// Whether a `Host` holds a host, perhaps with a port, and nothing that could be read as something
/// else: no user, no second host, no path. It may be empty, of a target without an authority.
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

    /// What becomes of a head: nothing, or its status.
    fn raw(line: &str, headers: &[&str]) -> Result<(), BadHead> {
        let mut words = line.split(' ');
        let headers = headers.iter().map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name, value.trim().as_bytes())
        });
        let head = RawHead {
            method: words.next().unwrap(),
            target: words.next().unwrap(),
            is_http_11: words.next() == Some("HTTP/1.1"),
            headers,
        };
        head.check()
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
        let parts = |method: &str, uri: &str, version, hosts: &[&str]| {
            let mut request = http::Request::builder()
                .method(method)
                .uri(uri)
                .version(version);
            for host in hosts {
                request = request.header("host", *host);
            }
            check_parts(&request.body(()).unwrap().into_parts().0)
        };
        let (one, two) = (Version::HTTP_11, Version::HTTP_2);
        for (method, uri, version, hosts, expected) in [
            ("GET", "/", one, &["x"][..], Ok(())),
            ("GET", "/", Version::HTTP_10, &[], Ok(())),
            ("GET", "http://x/", one, &["x"], Ok(())),
            ("OPTIONS", "*", one, &["x"], Ok(())),
            ("GET", "https://x/", two, &[], Ok(())),
            ("GET", "https://x/", two, &["x"], Ok(())),
            ("GET", "evil:80", one, &["x"], Err(BadHead::TARGET)),
            ("GET", "*", one, &["x"], Err(BadHead::TARGET)),
            ("GET", "/", one, &[], Err(BadHead::NO_HOST)),
            ("GET", "/", one, &["x", "x"], Err(BadHead::MANY_HOSTS)),
            ("GET", "/", one, &["a b"], Err(BadHead::HOST)),
            ("GET", "http://y/", one, &["x"], Err(BadHead::OTHER_HOST)),
            ("GET", "https://y/", two, &["x"], Err(BadHead::OTHER_HOST)),
            ("CONNECT", "x:80", two, &[], Err(BadHead::NO_PROXY)),
        ] {
            assert_eq!(
                parts(method, uri, version, hosts),
                expected,
                "{method} {uri} {hosts:?}"
            );
        }
    }
}
