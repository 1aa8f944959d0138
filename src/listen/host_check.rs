//! The host names under which a door may be addressed.
//!
//! A door on loopback trusts its clients more than strangers. A page in a browser on this machine can
//! reach it too, by a name of its own that it makes resolve to this machine (DNS rebinding); but then
//! the `Host` header holds that name.

use std::net::IpAddr;

use url::Url;

/// The names under which a door answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    /// Any: it is not on loopback, or it is a Unix socket, which no browser can reach.
    Any,
    /// `localhost` and addresses, which cannot be made to point elsewhere.
    Loopback,
}

impl Hosts {
    /// Refuses any other name, in words.
    pub(super) fn check(self, host: Option<&str>) -> Result<(), String> {
        match (self, host) {
            (Self::Any, _) | (Self::Loopback, None) => Ok(()),
            (Self::Loopback, Some(host)) if is_local_name(name_of(host)) => Ok(()),
            (Self::Loopback, Some(host)) => {
                let shown: String = host.chars().take(100).collect();
                Err(format!(
                    "this door answers to localhost and to addresses, not to {shown}; if a proxy in front \
                     passes this name on, say so: --outside-url https://{shown} for devpi-server, \
                     outside_url below listen.manage in a file of policies"
                ))
            }
        }
    }
}

/// Whether a URL has the requested host.
pub(super) fn is_same(url: &Url, host: Option<&str>) -> bool {
    let both = url.host_str().zip(host);
    both.is_some_and(|(name, host)| name.eq_ignore_ascii_case(name_of(host)))
}

/// Whether an `Origin` is the very place that was addressed: its host and port. Another port on this
/// machine belongs to another program. A host without a port has the default of the origin's scheme,
/// whichever scheme the proxy speaks.
pub(super) fn is_same_origin(origin: &str, host: Option<&str>) -> bool {
    let (Ok(origin), Some(host)) = (Url::parse(origin), host) else {
        return false;
    };
    let asked = Url::parse(&format!("{}://{host}", origin.scheme()));
    asked.is_ok_and(|asked| asked.origin() == origin.origin())
}

fn is_local_name(name: &str) -> bool {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let name = name.trim_end_matches('.');
    bare.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
}

/// The host without its port.
fn name_of(host: &str) -> &str {
    match host.rfind(']') {
        Some(end) => &host[..=end],
        None => host.split(':').next().unwrap_or(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_on_loopback_answers_to_local_names_only() {
        let table = [
            (Some("localhost:3141"), true),
            (Some("LOCALHOST."), true),
            (Some("devpi.localhost:80"), true),
            (Some("127.0.0.1:3141"), true),
            (Some("[::1]:3141"), true),
            (Some("[::1]"), true),
            (None, true),
            (Some("rebound.example:3141"), false),
            (Some("127.0.0.1.rebound.example"), false),
            (Some("localhost.example"), false),
        ];
        for (host, expected) in table {
            assert_eq!(Hosts::Loopback.check(host).is_ok(), expected, "{host:?}");
            assert!(Hosts::Any.check(host).is_ok());
        }
    }

    #[test]
    fn only_a_page_of_the_door_itself_has_its_origin() {
        for (origin, host, expected) in [
            ("http://localhost:3141", "localhost:3141", true),
            ("http://LOCALHOST:3141", "localhost:3141", true),
            ("http://[::1]:3141", "[::1]:3141", true),
            ("https://devpi.example", "devpi.example", true),
            ("https://devpi.example", "devpi.example:443", true),
            ("http://devpi.example:80", "devpi.example", true),
            ("http://localhost:8080", "localhost:3141", false),
            ("http://localhost", "localhost:3141", false),
            ("http://localhost:3141", "localhost", false),
            ("https://devpi.example:8443", "devpi.example", false),
            ("https://rebound.example", "localhost:3141", false),
            ("null", "localhost:3141", false),
            ("", "localhost:3141", false),
        ] {
            assert_eq!(
                is_same_origin(origin, Some(host)),
                expected,
                "{origin} {host}"
            );
            assert!(!is_same_origin(origin, None));
        }
    }

    #[test]
    fn an_outside_url_is_known_by_its_host() {
        let outside = Url::parse("https://devpi.example:8443/").unwrap();
        assert!(is_same(&outside, Some("devpi.example")));
        assert!(!is_same(&outside, Some("other.example")));
        assert!(!is_same(&outside, None));
    }
}
