//! The URL under which clients see this gateway (docs/protocol/devpi.md §18).
//!
//! devpi-client takes every later URL from what `+api` says, so this has to be right behind a proxy
//! too. But anybody can send a proxy's headers: they count only from a trusted peer.

use http::HeaderMap;
use http::header::HOST;

use crate::exchange::ask::{Arrival, Ask};
use crate::model::IndexName;
use crate::page::encode;

/// What devpi's own nginx configuration sets: scheme, host and, perhaps, a path.
const X_OUTSIDE_URL: &str = "x-outside-url";

/// The path under which a proxy shows us; with several proxies, each appends its own to the earlier ones.
const X_FORWARDED_PREFIX: &str = "x-forwarded-prefix";

/// For a client of HTTP/1.0 that names no host.
const NO_HOST: &str = "localhost";

/// Scheme, host and path prefix, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside(String);

impl Outside {
    /// Determined from a request: `X-outside-url`, then the operator's setting, then
    /// `X-Forwarded-Proto`, `-Host` and `-Prefix`, then the requested host.
    pub fn of(ask: &Ask<'_>) -> Self {
        Self::at(ask.arrival, ask.headers)
    }

    /// The same for a request that does more than read.
    pub fn at(arrival: Arrival<'_>, headers: &HeaderMap) -> Self {
        let trusted = |name: &str| trusted(name, arrival, headers);
        if let Some(outside) = stated(arrival, headers) {
            return Self(outside.to_owned());
        }
        let own_scheme = if arrival.is_tls { "https" } else { "http" };
        let scheme =
            trusted("x-forwarded-proto").filter(|scheme| matches!(*scheme, "http" | "https"));
        let forwarded = trusted("x-forwarded-host").filter(|host| is_authority(host));
        let asked = arrival
            .authority
            .or_else(|| host(headers))
            .filter(|host| is_authority(host));
        let host = forwarded.or(asked).unwrap_or(NO_HOST);
        let prefix = forwarded_prefix(arrival, headers);
        Self(format!("{}://{host}{prefix}", scheme.unwrap_or(own_scheme)))
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// The URL itself, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host, without port, for pip's `--trusted-host`.
    pub fn host(&self) -> Option<String> {
        Some(url::Url::parse(&self.0).ok()?.host_str()?.to_owned())
    }

    /// The URL of an index, without a slash at the end.
    pub fn index(&self, index: &IndexName) -> String {
        format!(
            "{}/{}/{}",
            self.0,
            encode(index.user()),
            encode(index.index())
        )
    }
}

/// The path of a request as we know it: without the prefix that the outside URL has, which devpi also
/// removes if the proxy leaves it in. Every request comes through here, so nothing is parsed that a
/// look at the text can tell.
#[must_use]
pub fn inside_path<'a>(path: &'a str, arrival: Arrival<'_>, headers: &HeaderMap) -> &'a str {
    if !is_proxied(arrival, headers) {
        let outside = arrival.outside;
        return outside.map_or(path, |url| {
            without(path, path_of(url.trim_end_matches('/')))
        });
    }
    let is_url = |text: &&str| text.starts_with("http://") || text.starts_with("https://");
    let said = trusted(X_OUTSIDE_URL, arrival, headers).filter(is_url);
    match said.or(arrival.outside) {
        Some(outside) => without(path, path_of(outside.trim_end_matches('/'))),
        None => without(path, &forwarded_prefix(arrival, headers)),
    }
}

/// Whether a trusted peer may have sent such headers. Looking each one up would cost a hot answer a
/// twentieth of its instructions.
fn is_proxied(arrival: Arrival<'_>, headers: &HeaderMap) -> bool {
    arrival.is_trusted && headers.keys().any(|name| name.as_str().starts_with("x-"))
}

/// A path without a prefix that ends where a segment does.
fn without<'a>(path: &'a str, prefix: &str) -> &'a str {
    if prefix.is_empty() {
        return path;
    }
    match path.strip_prefix(prefix) {
        Some("") => "/",
        Some(inside) if inside.starts_with('/') => inside,
        Some(_) | None => path,
    }
}

/// A trusted peer's header. A chain of proxies appends: the first entry is from the one that met the
/// client.
fn trusted<'a>(name: &str, arrival: Arrival<'_>, headers: &'a HeaderMap) -> Option<&'a str> {
    let value = headers.get(name).filter(|_| arrival.is_trusted)?;
    value.to_str().ok()?.split(',').next().map(str::trim)
}

/// The URL stated by a proxy, or by the operator.
fn stated<'a>(arrival: Arrival<'a>, headers: &'a HeaderMap) -> Option<&'a str> {
    let said = trusted(X_OUTSIDE_URL, arrival, headers).and_then(outside_url);
    said.or_else(|| arrival.outside.and_then(outside_url))
}

/// The paths of all proxies that state one, the outermost first; empty if none does.
fn forwarded_prefix(arrival: Arrival<'_>, headers: &HeaderMap) -> String {
    let lines = headers.get_all(X_FORWARDED_PREFIX).into_iter();
    let lines = lines.filter(|_| arrival.is_trusted);
    let parts = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    let mut prefix = String::new();
    for part in parts.map(|part| part.trim().trim_matches('/')) {
        if !part.is_empty() && part.split('/').all(is_segment) {
            prefix.push('/');
            prefix.push_str(part);
        }
    }
    prefix
}

/// Whether a text is one segment of a path as it may stand in a URL.
fn is_segment(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+=:@%".contains(&byte);
    !matches!(text, "" | "." | "..") && text.bytes().all(inside)
}

/// The path of a URL that has no slash at its end.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("", |at| &rest[at..])
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(HOST)?.to_str().ok()
}

/// A URL that can precede our paths, without a trailing slash.
fn outside_url(text: &str) -> Option<&str> {
    let url = url::Url::parse(text).ok()?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    is_plain.then(|| text.trim_end_matches('/'))
}

/// Whether a text is a host with perhaps a port, and nothing that could become part of a path.
fn is_authority(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !text.is_empty() && text.bytes().all(inside) && text.parse::<http::uri::Authority>().is_ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::protocol::{Preferences, PublicRoute, constant_headers};

    fn outside(arrival: Arrival<'_>, headers: &[(&'static str, &'static str)]) -> String {
        let headers = constant_headers(headers);
        let ask = Ask {
            path: "/+api",
            route: PublicRoute::Status,
            head: false,
            headers: &headers,
            preferences: Preferences::of(&headers),
            query: None,
            arrival,
        };
        Outside::of(&ask).0
    }

    const STRANGER: Arrival<'_> = Arrival {
        is_trusted: false,
        is_proxy: false,
        is_tls: false,
        authority: None,
        outside: None,
        is_manage: false,
        client: None,
    };
    const LOCAL: Arrival<'_> = Arrival {
        is_trusted: true,
        ..STRANGER
    };

    #[test]
    fn a_proxy_on_this_machine_says_what_clients_see() {
        let table: [(&[(&str, &str)], &str); 12] = [
            (&[("host", "devpi:4040")], "http://devpi:4040"),
            (
                &[("host", "h"), ("x-outside-url", "https://o.example")],
                "https://o.example",
            ),
            (
                &[("x-outside-url", "https://o.example/devpi/")],
                "https://o.example/devpi",
            ),
            (
                &[("host", "h"), ("x-outside-url", "ftp://o.example")],
                "http://h",
            ),
            (
                &[("host", "h"), ("x-outside-url", "https://u:p@o.example")],
                "http://h",
            ),
            (
                &[("host", "h"), ("x-forwarded-proto", "https")],
                "https://h",
            ),
            (
                &[
                    ("host", "h"),
                    ("x-forwarded-proto", "https, http"),
                    ("x-forwarded-host", "a.example, b"),
                ],
                "https://a.example",
            ),
            (
                &[("host", "h"), ("x-forwarded-proto", "gopher")],
                "http://h",
            ),
            (
                &[("host", "h"), ("x-forwarded-prefix", "/devpi/")],
                "http://h/devpi",
            ),
            (
                &[
                    ("x-forwarded-host", "a.example"),
                    ("x-forwarded-prefix", "/apps, devpi"),
                ],
                "http://a.example/apps/devpi",
            ),
            (
                &[("host", "h"), ("x-forwarded-prefix", "/../x<y")],
                "http://h",
            ),
            (&[], "http://localhost"),
        ];
        for (headers, expected) in table {
            assert_eq!(outside(LOCAL, headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_stranger_cannot_choose_where_clients_are_sent() {
        let forged = [
            ("host", "devpi:4040"),
            ("x-outside-url", "https://evil.example"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-prefix", "/evil"),
        ];
        assert_eq!(outside(STRANGER, &forged), "http://devpi:4040");
    }

    #[test]
    fn the_path_of_the_outside_url_is_taken_away_once() {
        let outside: &[(&str, &str)] = &[("x-outside-url", "https://o.example/devpi/")];
        let prefix: &[(&str, &str)] = &[("x-forwarded-prefix", "/apps,/devpi")];
        let operator = Arrival {
            outside: Some("https://o.example/devpi"),
            ..STRANGER
        };
        let table = [
            (
                LOCAL,
                outside,
                "/devpi/root/pypi/+simple/",
                "/root/pypi/+simple/",
            ),
            (LOCAL, outside, "/devpi", "/"),
            (LOCAL, outside, "/devpi/", "/"),
            (LOCAL, outside, "/devpi/devpi/x", "/devpi/x"),
            (LOCAL, outside, "/devpis/x", "/devpis/x"),
            (LOCAL, outside, "/root/pypi", "/root/pypi"),
            (
                LOCAL,
                &[("x-outside-url", "https://o.example")],
                "/devpi/x",
                "/devpi/x",
            ),
            (LOCAL, &[("x-outside-url", "devpi")], "/devpi/x", "/devpi/x"),
            (LOCAL, prefix, "/apps/devpi/x", "/x"),
            (LOCAL, prefix, "/devpi/x", "/devpi/x"),
            (STRANGER, outside, "/devpi/x", "/devpi/x"),
            (STRANGER, prefix, "/apps/devpi/x", "/apps/devpi/x"),
            (operator, &[], "/devpi/x", "/x"),
            (operator, &[], "/x", "/x"),
        ];
        for (arrival, headers, path, expected) in table {
            let headers = constant_headers(headers);
            let inside = inside_path(path, arrival, &headers);
            assert_eq!(inside, expected, "{path} {headers:?} {arrival:?}");
        }
    }

    #[test]
    fn tls_and_http2_are_seen_in_the_arrival() {
        let arrival = Arrival {
            is_tls: true,
            authority: Some("devpi.example:8443"),
            ..STRANGER
        };
        assert_eq!(outside(arrival, &[]), "https://devpi.example:8443");
    }

    #[test]
    fn a_host_that_is_none_is_not_repeated() {
        for host in ["a/b", "a\"b", "u@h", "h:port:2", "<h>", ""] {
            let value = HeaderValue::from_str(host).unwrap();
            let headers: HeaderMap = [(HOST, value)].into_iter().collect();
            let ask = Ask {
                path: "/",
                route: PublicRoute::Status,
                head: false,
                headers: &headers,
                preferences: Preferences::of(&headers),
                query: None,
                arrival: LOCAL,
            };
            assert_eq!(Outside::of(&ask).as_str(), "http://localhost", "{host}");
        }
    }

    #[test]
    fn an_index_keeps_its_place_below_a_prefix() {
        let outside = Outside("https://o.example/devpi".to_owned());
        let index = IndexName::parse("me/dév").unwrap();
        assert_eq!(outside.index(&index), "https://o.example/devpi/me/d%C3%A9v");
        assert_eq!(outside.host().unwrap(), "o.example");
    }
}
