//! What goes to a devpi-server with a passed request, and what of its answer goes back.
//!
//! From the public door only the headers listed here are sent: no credentials, which that door never
//! forwards, and none of the headers that devpi-servers use between themselves. From a door for logins
//! everything is sent except what concerns the connection. No client's claim to be a proxy is passed on:
//! devpi is told about the client only what this gateway found out itself.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::exchange::{Arrival, Outside};

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

/// The base of the URLs in devpi's answers (docs/protocol/devpi.md §18).
const X_OUTSIDE_URL: HeaderName = HeaderName::from_static("x-outside-url");

/// The client's scheme, which nginx sends in devpi's own configuration.
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client's address, which devpi writes to its log.
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// What a client with a login may not send either: what a proxy says, which is ours to say, and what is
/// between the client and this door.
const WITHHELD: [HeaderName; 12] = [
    header::HOST,
    header::EXPECT,
    header::CONTENT_LENGTH,
    header::PROXY_AUTHORIZATION,
    header::FORWARDED,
    X_OUTSIDE_URL,
    X_FORWARDED_PROTO,
    X_REAL_IP,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-remote-user"),
];

/// How much of a client's head is sent along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// What changes a read's answer, without credentials.
    Anonymous,
    /// The login, and everything that devpi or a plugin may want.
    Login,
}

/// The headers of a request to devpi.
pub fn request_headers(asked: &HeaderMap, arrival: Arrival<'_>, trust: Trust) -> HeaderMap {
    let mut headers = match trust {
        Trust::Anonymous => HeaderMap::new(),
        Trust::Login => end_to_end(asked, &WITHHELD),
    };
    if trust == Trust::Anonymous {
        for name in FORWARDED {
            for value in asked.get_all(&name) {
                headers.append(&name, value.clone());
            }
        }
    }
    let outside = Outside::at(arrival, asked);
    let client = arrival.client.map(|client| client.to_string());
    for (name, text) in [
        (X_OUTSIDE_URL, Some(outside.as_str())),
        (X_FORWARDED_PROTO, Some(outside.scheme())),
        (X_REAL_IP, client.as_deref()),
    ] {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert(name, value);
        }
    }
    headers
}

/// The headers of devpi's answer that belong to its content.
pub fn response_headers(said: &HeaderMap) -> HeaderMap {
    end_to_end(said, &[header::SERVER])
}

/// All headers except those of the connection, those that it names, and those to be left out.
fn end_to_end(of: &HeaderMap, without: &[HeaderName]) -> HeaderMap {
    let named: Vec<String> = of
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut headers = HeaderMap::with_capacity(of.len());
    for (name, value) in of {
        let is_named = named.iter().any(|one| one == name.as_str());
        if !is_named && !OF_THE_CONNECTION.contains(name) && !without.contains(name) {
            headers.append(name, value.clone());
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: Arrival<'_> = Arrival {
        is_trusted: false,
        is_proxy: false,
        is_tls: true,
        authority: None,
        client: Some(std::net::IpAddr::V4(std::net::Ipv4Addr::new(
            203, 0, 113, 9,
        ))),
        outside: None,
        is_manage: false,
    };

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
        insta::assert_snapshot!(text(&request_headers(&asked, STRANGER, Trust::Anonymous)), @r"
        accept: application/json
        user-agent: devpi-client/7.3.0
        x-forwarded-proto: https
        x-outside-url: https://devpi.example:4040
        x-real-ip: 203.0.113.9
        ");
        insta::assert_snapshot!(text(&request_headers(&asked, STRANGER, Trust::Login)), @r"
        accept: application/json
        authorization: Basic c2VjcmV0
        cookie: auth_tkt=secret
        user-agent: devpi-client/7.3.0
        x-devpi-auth: c2VjcmV0
        x-devpi-replica-uuid: 1234
        x-forwarded-proto: https
        x-outside-url: https://devpi.example:4040
        x-real-ip: 203.0.113.9
        ");
    }

    #[test]
    fn a_proxy_that_is_believed_says_where_clients_see_us() {
        let asked = map(&[
            ("host", "inside:4040"),
            ("x-outside-url", "https://devpi.example/pypi/"),
        ]);
        let proxy = Arrival {
            is_trusted: true,
            ..STRANGER
        };
        insta::assert_snapshot!(text(&request_headers(&asked, proxy, Trust::Anonymous)), @r"
        x-forwarded-proto: https
        x-outside-url: https://devpi.example/pypi
        x-real-ip: 203.0.113.9
        ");
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
