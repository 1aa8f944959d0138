//! Where a mirror created through the API may be, and what it may lead to.
//!
//! A user who may create an index may create a mirror, and the gateway sends that mirror's requests from
//! where it stands: on the management door's own machine, inside the company's network. So such a mirror
//! reaches public addresses, and otherwise only what the operator names.

use core::net::{IpAddr, Ipv4Addr};
use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;
use url::{Host, Url};

use crate::model::address::Reach;

/// A place named by the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MirrorPlace {
    /// Every address of a network, at any port.
    Network(IpNet),
    /// One server: this scheme, host and port.
    Server(Url),
}

impl fmt::Display for MirrorPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(formatter),
            Self::Server(url) => url.fmt(formatter),
        }
    }
}

/// The places named by the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorPlaces(Arc<[MirrorPlace]>);

impl Default for MirrorPlaces {
    /// No places: public addresses only.
    fn default() -> Self {
        Self(Arc::new([]))
    }
}

impl FromIterator<MirrorPlace> for MirrorPlaces {
    fn from_iter<T: IntoIterator<Item = MirrorPlace>>(places: T) -> Self {
        Self(places.into_iter().collect())
    }
}

impl MirrorPlaces {
    /// Refuses a URL as far as can be told without a lookup; the error is the reason.
    ///
    /// # Errors
    /// The reason.
    pub fn check(&self, url: &Url) -> Result<(), String> {
        let refused = |host: &dyn fmt::Display| {
            Err(format!(
                "{host} is no public address: an operator can allow it for mirrors that are made \
                 through the API (manage.mirrors_to)"
            ))
        };
        match url.host() {
            None => Err("a URL without a host".to_owned()),
            Some(Host::Domain(name)) if is_localhost(name) => {
                let is_open = self.is_open(url, Ipv4Addr::LOCALHOST.into());
                if is_open { Ok(()) } else { refused(&name) }
            }
            // On a named server only the named port is open.
            Some(Host::Domain(name)) if self.names(name) && !self.names_origin(url) => {
                refused(&format!("{name} at another port"))
            }
            Some(Host::Domain(_)) => Ok(()),
            Some(Host::Ipv4(address)) if self.is_open(url, address.into()) => Ok(()),
            Some(Host::Ipv4(address)) => refused(&address),
            Some(Host::Ipv6(address)) if self.is_open(url, address.into()) => Ok(()),
            Some(Host::Ipv6(address)) => refused(&address),
        }
    }

    /// Whether a connection may be made to an address for a URL.
    fn is_open(&self, url: &Url, address: IpAddr) -> bool {
        self.is_open_to(address, || self.names_origin(url))
    }

    /// The same when only the host's name is known, which was resolved to that address.
    #[must_use]
    pub fn may_resolve(&self, name: &str, address: IpAddr) -> bool {
        self.is_open_to(address, || self.names(name))
    }

    fn is_open_to(&self, address: IpAddr, is_named: impl FnOnce() -> bool) -> bool {
        match Reach::of(address) {
            Reach::Special => false,
            Reach::Public => true,
            Reach::Loopback | Reach::Private => self.holds(address) || is_named(),
        }
    }

    fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|place| match place {
            MirrorPlace::Network(network) => network.contains(&address),
            MirrorPlace::Server(_) => false,
        })
    }

    fn names(&self, name: &str) -> bool {
        self.servers().any(|server| {
            server
                .host_str()
                .is_some_and(|host| host.eq_ignore_ascii_case(name))
        })
    }

    fn names_origin(&self, url: &Url) -> bool {
        self.servers().any(|server| server.origin() == url.origin())
    }

    fn servers(&self) -> impl Iterator<Item = &Url> {
        self.0.iter().filter_map(|place| match place {
            MirrorPlace::Network(_) => None,
            MirrorPlace::Server(url) => Some(url),
        })
    }
}

/// Names that mean this machine (RFC 6761 §6.3).
#[must_use]
pub fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_it = |name: &str| name.eq_ignore_ascii_case("localhost");
    is_it(name) || name.rsplit_once('.').is_some_and(|(_, last)| is_it(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(texts: &[&str]) -> MirrorPlaces {
        let place = |text: &&str| match text.parse() {
            Ok(network) => MirrorPlace::Network(network),
            Err(_) => MirrorPlace::Server(text.parse().unwrap()),
        };
        texts.iter().map(place).collect()
    }

    #[test]
    fn without_a_word_of_the_operator_only_the_world_is_reached() {
        let nothing = MirrorPlaces::default();
        for (url, expected) in [
            ("https://upstream.example/simple/", true),
            ("https://1.1.1.1/simple/", true),
            ("http://localhost:3142/", false),
            ("http://devpi.localhost./", false),
            ("http://127.0.0.1:9464/metrics", false),
            ("http://0x7f.1/", false),
            ("http://[::1]/", false),
            ("http://[::ffff:10.0.0.1]/", false),
            ("http://10.0.0.7/simple/", false),
            ("http://192.168.0.1/", false),
            ("http://169.254.169.254/latest/", false),
        ] {
            let url: Url = url.parse().unwrap();
            assert_eq!(nothing.check(&url).is_ok(), expected, "{url}");
        }
        let name = "rebound.example";
        for (address, expected) in [
            ("1.1.1.1", true),
            ("127.0.0.1", false),
            ("10.0.0.7", false),
            ("169.254.169.254", false),
            ("::ffff:127.0.0.1", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(nothing.may_resolve(name, address), expected, "{address}");
        }
    }

    #[test]
    fn what_the_operator_names_is_reached_and_the_link_never() {
        let named = places(&[
            "10.0.0.0/8",
            "169.254.0.0/16",
            "http://127.0.0.1:3142/",
            "https://index.corp.example/",
        ]);
        for (url, expected) in [
            ("http://10.1.2.3:8081/simple/", true),
            ("http://127.0.0.1:3142/root/pypi/+simple/", true),
            ("http://127.0.0.1:9464/metrics", false),
            ("http://169.254.169.254/", false),
            ("https://index.corp.example/simple/", true),
            ("https://index.corp.example:8443/", false),
            ("http://192.168.0.1/", false),
        ] {
            let url: Url = url.parse().unwrap();
            assert_eq!(named.check(&url).is_ok(), expected, "{url}");
        }
        for (name, address, expected) in [
            ("index.corp.example", "192.168.7.7", true),
            ("index.corp.example", "169.254.169.254", false),
            ("other.example", "192.168.7.7", false),
            ("other.example", "10.2.3.4", true),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(
                named.may_resolve(name, address),
                expected,
                "{name} {address}"
            );
        }
    }

    #[test]
    fn names_of_this_machine_are_known() {
        for name in ["localhost", "LOCALHOST.", "a.b.localhost"] {
            assert!(is_localhost(name), "{name}");
        }
        for name in ["localhost.example", "notlocalhost", ""] {
            assert!(!is_localhost(name), "{name}");
        }
    }
}
