//! Proxies in front, and the clients they speak for.
//!
//! Anybody can send a proxy's headers, so they count only from peers that the operator named. In
//! `X-Forwarded-For` the client is the last address that is not such a proxy: anything before it was
//! written by the client.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// Each proxy on the way appends to it.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What nginx sends instead in devpi's own configuration.
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The trusted peers (`trusted_proxies`).
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Peers in these ranges.
    #[must_use]
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    /// Whether this peer may speak for others. A peer without an address is on a Unix socket, and
    /// counts as a proxy if there are any.
    #[must_use]
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        match peer {
            Some(peer) => {
                let peer = peer.to_canonical();
                self.0.iter().any(|network| network.contains(&peer))
            }
            None => !self.0.is_empty(),
        }
    }

    /// Whether this peer may say who somebody is. A peer without an address may not: nothing says who opens
    /// a Unix socket, and whoever may use one for their own login would be anybody.
    #[must_use]
    pub fn names_users(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some() && self.trusts(peer)
    }

    /// Whether this peer may state under which URL clients see us: a proxy may, and so may peers on
    /// this machine.
    #[must_use]
    pub fn may_name_us(&self, peer: Option<IpAddr>) -> bool {
        peer.is_none_or(|peer| peer.to_canonical().is_loopback()) || self.trusts(peer)
    }

    /// Who asks: the peer, or the client it speaks for.
    #[must_use]
    pub fn client_of(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        if !self.trusts(peer) {
            return peer;
        }
        let lines = headers.get_all(X_FORWARDED_FOR).into_iter();
        let chain: Vec<&str> = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .collect();
        let mut client = peer;
        for hop in chain.iter().rev() {
            // Beyond an entry that is no address, nothing counts any more.
            let Some(address) = address(hop) else {
                return client;
            };
            client = Some(address);
            if !self.trusts(client) {
                return client;
            }
        }
        let real = headers.get(X_REAL_IP).filter(|_| chain.is_empty());
        let real = real.and_then(|real| address(real.to_str().ok()?));
        real.or(client)
    }
}

/// An address, perhaps with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let found = bare.parse().ok();
    let found = found.or_else(|| {
        text.parse()
            .ok()
            .map(|socket: std::net::SocketAddr| socket.ip())
    });
    found.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[(&'static str, &str)]) -> String {
        let networks = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let client = TrustedProxies::new(&networks).client_of(peer.parse().ok(), &headers);
        client.map_or_else(|| "nobody".to_owned(), |client| client.to_string())
    }

    #[test]
    fn only_proxies_say_who_asks_and_clients_cannot_forge_it() {
        let xff = "x-forwarded-for";
        for (peer, lines, expected) in [
            ("192.0.2.1", &[(xff, "203.0.113.9")][..], "192.0.2.1"),
            ("192.0.2.1", &[("x-real-ip", "203.0.113.9")], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "203.0.113.9")], "203.0.113.9"),
            ("::ffff:10.0.0.1", &[(xff, "203.0.113.9")], "203.0.113.9"),
            (
                "10.0.0.1",
                &[(xff, "1.1.1.1, 203.0.113.9, 10.0.0.2")],
                "203.0.113.9",
            ),
            (
                "10.0.0.1",
                &[(xff, "1.1.1.1"), (xff, "203.0.113.9")],
                "203.0.113.9",
            ),
            ("10.0.0.1", &[(xff, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            ("10.0.0.1", &[(xff, "203.0.113.9:1234")], "203.0.113.9"),
            ("10.0.0.1", &[(xff, "[2001:db8::1]:80")], "2001:db8::1"),
            ("10.0.0.1", &[(xff, "1.1.1.1, unknown")], "10.0.0.1"),
            ("10.0.0.1", &[("x-real-ip", "203.0.113.9")], "203.0.113.9"),
            (
                "10.0.0.1",
                &[(xff, "203.0.113.9"), ("x-real-ip", "1.1.1.1")],
                "203.0.113.9",
            ),
            ("unix", &[(xff, "203.0.113.9")], "203.0.113.9"),
        ] {
            assert_eq!(client(peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn without_proxies_everybody_is_their_own_peer() {
        let nobody = TrustedProxies::default();
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, "203.0.113.9".parse().unwrap());
        let loopback: Option<IpAddr> = "127.0.0.1".parse().ok();
        assert_eq!(nobody.client_of(loopback, &headers), loopback);
        assert_eq!(nobody.client_of(None, &headers), None);
        assert!(nobody.may_name_us(loopback) && nobody.may_name_us(None));
        assert!(!nobody.may_name_us("192.0.2.1".parse().ok()));
    }

    #[test]
    fn a_proxy_is_known_by_its_network() {
        let proxies = TrustedProxies::new(&["10.0.0.0/8".parse().unwrap()]);
        for (peer, is_known) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.0.0.1", false),
        ] {
            assert_eq!(proxies.trusts(peer.parse().ok()), is_known, "{peer}");
        }
        assert!(proxies.trusts(None), "a Unix socket");
    }

    #[test]
    fn only_a_trusted_address_says_who_somebody_is() {
        let proxies = TrustedProxies::new(&["10.0.0.0/8".parse().unwrap()]);
        assert!(proxies.names_users("10.1.2.3".parse().ok()));
        assert!(!proxies.names_users("11.0.0.1".parse().ok()));
        assert!(!proxies.names_users(None), "a Unix socket");
    }
}
