//! What goes to a devpi-server with a passed request, and what of its answer goes back.
//!
//! Towards devpi only what is listed here goes: no credentials, which the public door never forwards
//! (product.md §3), none of devpi's own headers between its servers, and nobody's claim to be a proxy.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

/// The headers of a client that change what a read answers.
const FORWARDED: [HeaderName; 8] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::USER_AGENT,
    header::RANGE,
    header::IF_RANGE,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    HeaderName::from_static("x-devpi-absolute-urls"),
];

/// Headers about one connection (RFC 9110 §7.6.1), and those that our door writes itself.
const OF_THE_CONNECTION: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::DATE,
];

/// From which URLs in devpi's answers are made (devpi-protocol.md §18).
const X_OUTSIDE_URL: HeaderName = HeaderName::from_static("x-outside-url");

/// The headers of a request to devpi. `scheme` is that of the door.
pub(super) fn request_headers(asked: &HeaderMap, scheme: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in FORWARDED {
        for value in asked.get_all(&name) {
            headers.append(&name, value.clone());
        }
    }
    if let Some(url) = outside_url(asked, scheme) {
        headers.insert(X_OUTSIDE_URL, url);
    }
    let scheme = HeaderValue::from_str(scheme);
    headers.extend(scheme.map(|scheme| (HeaderName::from_static("x-forwarded-proto"), scheme)));
    headers
}

/// Where the client believes us to be. A `Host` that is none is left out: it would stand in every link.
fn outside_url(asked: &HeaderMap, scheme: &str) -> Option<HeaderValue> {
    let host = asked.get(header::HOST)?.to_str().ok()?;
    host.parse::<http::uri::Authority>()
        .ok()
        .filter(|host| !host.as_str().contains('@'))?;
    HeaderValue::from_str(&format!("{scheme}://{host}")).ok()
}

/// The headers of devpi's answer that belong to its content.
pub(super) fn response_headers(said: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = said
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut headers = HeaderMap::with_capacity(said.len());
    for (name, value) in said {
        let is_named = named.iter().any(|one| one == name.as_str());
        if !is_named && !OF_THE_CONNECTION.contains(name) && *name != header::SERVER {
            headers.append(name, value.clone());
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn text(map: &HeaderMap) -> String {
        let mut lines: Vec<String> = map
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines.join("\n")
    }

    #[test]
    fn credentials_and_claims_never_reach_devpi() {
        let asked = map(&[
            ("host", "devpi.example:4040"),
            ("accept", "application/json"),
            ("user-agent", "devpi-client/7.3.0"),
            ("authorization", "Basic c2VjcmV0"),
            ("x-devpi-auth", "c2VjcmV0"),
            ("cookie", "auth_tkt=secret"),
            ("x-outside-url", "http://evil.example"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "gopher"),
            ("x-real-ip", "192.0.2.1"),
            ("x-devpi-replica-uuid", "1234"),
            ("connection", "keep-alive, x-other"),
            ("content-length", "2"),
        ]);
        insta::assert_snapshot!(text(&request_headers(&asked, "https")), @r"
        accept: application/json
        user-agent: devpi-client/7.3.0
        x-forwarded-proto: https
        x-outside-url: https://devpi.example:4040
        ");
    }

    #[test]
    fn a_host_that_is_none_is_not_put_into_links() {
        for host in ["a b", "me@devpi.example", "devpi.example/x", ""] {
            let asked = map(&[("host", host)]);
            assert_eq!(outside_url(&asked, "http"), None, "{host:?}");
        }
    }

    #[test]
    fn what_is_about_devpis_connection_stays_there() {
        let said = map(&[
            ("content-type", "application/json"),
            ("content-length", "12"),
            ("x-devpi-api-version", "2"),
            ("location", "http://devpi.example:4040/root/pypi/six"),
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("date", "Fri, 20 Nov 2026 10:00:00 GMT"),
            ("server", "waitress"),
            ("via", "1.1 a"),
        ]);
        insta::assert_snapshot!(text(&response_headers(&said)), @r"
        content-length: 12
        content-type: application/json
        location: http://devpi.example:4040/root/pypi/six
        via: 1.1 a
        x-devpi-api-version: 2
        ");
    }
}
