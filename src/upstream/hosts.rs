//! Which hosts an upstream may lead to: pages name the hosts of files, and redirects name further ones.
//!
//! A page is written by strangers, and the gateway is in a place where they are not: a link to the
//! gateway's own management door or to a cloud's metadata service would be fetched with the gateway's
//! rights. So links may lead only to http and https, never from https down to http, never to a
//! link-local or otherwise special address, whoever names it, and to loopback only if the mirror itself
//! is there. Private networks stay reachable for mirrors that the operator declares, since company
//! indexes are there; mirrors created through the API reach public addresses and what the operator
//! lists.
//!
//! Names are judged by what they resolve to, at the moment of connecting; behind a proxy the proxy resolves
//! them, and only literal addresses are judged here.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::model::{MirrorPlaces, Reach, is_localhost};

/// Who decides where a mirror is, and so what it may lead to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// The operator, in a file.
    #[default]
    Declared,
    /// A user of the API; besides public addresses it reaches these places.
    Made(MirrorPlaces),
    /// The operator, though not for a mirror: files are sent there, and to none of our own doors.
    Place,
}

/// Where this gateway listens itself. Known only once the doors are open, which is after mirrors are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnDoors(Arc<OnceLock<Vec<SocketAddr>>>);

impl OwnDoors {
    /// States where the doors are. Later calls have no effect.
    pub fn opened(&self, addresses: Vec<SocketAddr>) {
        let _ = self.0.set(addresses);
    }

    fn at_port(&self, port: u16) -> bool {
        let doors = self.0.get().into_iter().flatten();
        doors.into_iter().any(|door| door.port() == port)
    }
}

/// What one mirror may reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Who decides where it is.
    pub trust: Trust,
    /// Where nothing but the mirror's own URL may lead.
    pub doors: OwnDoors,
}

/// The rules for one mirror.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    mirror: Url,
    on_loopback: bool,
    bounds: Bounds,
}

/// A name has no address that may be connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotOpen(String);

impl Hosts {
    /// The rules for the mirror at this URL.
    pub(super) fn of(mirror: Url, bounds: Bounds) -> Self {
        let on_loopback = match mirror.host().map(named) {
            Some(Named::Domain(name)) => is_localhost(name),
            Some(Named::Address(address)) => Reach::of(address) == Reach::Loopback,
            None => false,
        };
        Self {
            mirror,
            on_loopback,
            bounds,
        }
    }

    /// Whether the URL has the mirror's scheme, host and port: credentials go only there.
    pub(super) fn is_own_origin(&self, url: &Url) -> bool {
        self.mirror.origin() == url.origin()
    }

    /// Refuses a URL that this mirror may not lead to; the error is the reason.
    pub(super) fn refuse(&self, url: &Url) -> Result<(), String> {
        let scheme = url.scheme();
        if scheme != "http" && scheme != "https" {
            return Err(format!("it leads to a {scheme}: URL"));
        }
        let Some(host) = url.host() else {
            return Err("it leads to a URL without a host".to_owned());
        };
        if scheme == "http" && self.mirror.scheme() == "https" {
            return Err(format!("it leads from https to plain http, at {host}"));
        }
        let is_own = self.mirror.host().as_ref() == Some(&host);
        let named = named(host.clone());
        let is_open = match (&self.bounds.trust, named) {
            (Trust::Made(places), _) => {
                let checked = places.check(url);
                checked.map_err(|why| format!("it leads to {why}"))?;
                true
            }
            (Trust::Declared | Trust::Place, Named::Domain(name)) => {
                is_own || self.on_loopback || !is_localhost(name)
            }
            (Trust::Declared | Trust::Place, Named::Address(address)) => {
                self.is_open(is_own, address)
            }
        };
        if !is_open {
            let words = format!("it leads to {host}, an address that no index may name");
            return Err(words);
        }
        // Only names that certainly mean this machine; others are checked when they are resolved, or in
        // `refuse_own_door`.
        let is_door = self.is_watched_port(url)
            && match named {
                Named::Domain(name) => is_localhost(name),
                Named::Address(address) => is_this_machine(address),
            };
        match is_door {
            true => Err(format!("it leads to this gateway itself, at {host}")),
            false => Ok(()),
        }
    }

    /// Refuses a name that leads to one of the gateway's own doors.
    pub(super) async fn refuse_own_door(&self, url: &Url) -> Result<(), String> {
        let (Some(Host::Domain(name)), true) = (url.host(), self.is_watched_port(url)) else {
            return Ok(());
        };
        // A name that cannot be resolved now will not be resolved by the connection either.
        let found = tokio::net::lookup_host((name, 0)).await;
        let mut found = found.into_iter().flatten();
        if found.any(|address| is_this_machine(address.ip())) {
            return Err(format!("it leads to this gateway itself, at {name}"));
        }
        Ok(())
    }

    /// Whether one of our own doors has the port of a URL, and it is not the operator who put the
    /// mirror there.
    fn is_watched_port(&self, url: &Url) -> bool {
        let is_declared = match self.bounds.trust {
            Trust::Declared => self.is_own_origin(url),
            Trust::Made(_) | Trust::Place => false,
        };
        let port = url.port_or_known_default();
        !is_declared && port.is_some_and(|port| self.bounds.doors.at_port(port))
    }

    /// Whether a mirror that the operator declares may reach an address; `is_own` for its own host.
    fn is_open(&self, is_own: bool, address: IpAddr) -> bool {
        match Reach::of(address) {
            Reach::Special => false,
            Reach::Loopback => is_own || self.on_loopback,
            Reach::Private | Reach::Public => true,
        }
    }

    fn may_resolve(&self, name: &str, address: IpAddr) -> bool {
        let is_own = self.mirror.host_str() == Some(name);
        match &self.bounds.trust {
            Trust::Declared | Trust::Place => self.is_open(is_own, address),
            // What the operator lists can be reached wherever the mirror is.
            Trust::Made(places) => places.may_resolve(name, address),
        }
    }
}

/// Whether an address belongs to this machine.
fn is_this_machine(address: IpAddr) -> bool {
    match Reach::of(address) {
        Reach::Loopback => true,
        Reach::Special if address.is_unspecified() => true,
        // The system tells from which address it would send there: the same one, if it is its own.
        // Nothing is sent.
        Reach::Special | Reach::Private | Reach::Public => {
            own_address_towards(address) == Some(address)
        }
    }
}

fn own_address_towards(address: IpAddr) -> Option<IpAddr> {
    let any: SocketAddr = match address {
        IpAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        IpAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect((address, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Resolves as the system does, and leaves out what the rules exclude.
impl Resolve for Hosts {
    fn resolve(&self, name: Name) -> Resolving {
        let rule = self.clone();
        let listed = match &rule.bounds.trust {
            Trust::Declared => "that an index may name",
            Trust::Place => "that files may be brought to",
            Trust::Made(_) => {
                "that is public, or that manage.mirrors_to names for mirrors made through the API"
            }
        };
        open_addresses(name, listed, move |name, address| {
            rule.may_resolve(name, address)
        })
    }
}

/// Resolves for servers that the operator names individually: anything but special addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct NamedHosts;

impl Resolve for NamedHosts {
    fn resolve(&self, name: Name) -> Resolving {
        open_addresses(name, "that a server may have", |_, address| {
            Reach::of(address) != Reach::Special
        })
    }
}

/// The addresses of a name that may be connected to; an error if none of those `listed` may.
fn open_addresses(
    name: Name,
    listed: &'static str,
    is_open: impl Fn(&str, IpAddr) -> bool + Send + 'static,
) -> Resolving {
    Box::pin(async move {
        let name = name.as_str();
        let found = tokio::net::lookup_host((name, 0)).await?;
        let found = found.filter(|address| is_open(name, address.ip()));
        let open: Vec<SocketAddr> = found.collect();
        if open.is_empty() {
            return Err(NotOpen(format!("{name} has no address {listed}")).into());
        }
        Ok(Box::new(open.into_iter()) as Addrs)
    })
}

/// What a URL has as its host.
#[derive(Clone, Copy)]
enum Named<'a> {
    Domain(&'a str),
    Address(IpAddr),
}

fn named(host: Host<&str>) -> Named<'_> {
    match host {
        Host::Domain(name) => Named::Domain(name),
        Host::Ipv4(address) => Named::Address(address.into()),
        Host::Ipv6(address) => Named::Address(address.into()),
    }
}

/// Whether a URL has an address as its host at which no server can be.
pub(super) fn is_special(url: &Url) -> bool {
    match url.host().map(named) {
        Some(Named::Address(address)) => Reach::of(address) == Reach::Special,
        Some(Named::Domain(_)) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MirrorPlace;

    fn hosts(mirror: &str) -> Hosts {
        Hosts::of(Url::parse(mirror).unwrap(), Bounds::default())
    }

    /// A mirror created through the API, where the operator lists these networks.
    fn made(mirror: &str, networks: &[&str]) -> Hosts {
        let places = networks
            .iter()
            .map(|network| MirrorPlace::Network(network.parse().unwrap()));
        let bounds = Bounds {
            trust: Trust::Made(places.collect()),
            doors: OwnDoors::default(),
        };
        Hosts::of(Url::parse(mirror).unwrap(), bounds)
    }

    fn is_refused(hosts: &Hosts, url: &str) -> bool {
        hosts.refuse(&Url::parse(url).unwrap()).is_err()
    }

    #[test]
    fn a_public_mirror_leads_to_the_world_and_to_private_networks() {
        let hosts = hosts("https://upstream.example/simple/");
        for url in [
            "https://upstream.example/f/a-1.zip",
            "https://files.example/a-1.zip",
            "https://files.example:8443/a-1.zip",
            "https://10.0.0.7/a-1.zip",
            "https://[2001:db8::1]/a-1.zip",
        ] {
            assert!(!is_refused(&hosts, url), "{url}");
        }
    }

    #[test]
    fn a_public_mirror_leads_neither_home_nor_down_to_http() {
        let hosts = hosts("https://upstream.example/simple/");
        for url in [
            "http://files.example/a-1.zip",
            "ftp://files.example/a-1.zip",
            "file:///etc/passwd",
            "data:text/plain,x",
            "https://localhost/a-1.zip",
            "https://a.localhost./a-1.zip",
            "https://127.0.0.2:3141/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://169.254.169.254/latest/meta-data",
            "https://[fe80::1]/",
            "https://[fd00:ec2::254]/latest/meta-data",
            "https://0.0.0.0/",
            "https://[::]/",
            "https://255.255.255.255/",
            "https://224.0.0.1/",
        ] {
            assert!(is_refused(&hosts, url), "{url}");
        }
    }

    #[test]
    fn a_mirror_on_this_machine_leads_to_others_on_it() {
        for mirror in [
            "http://localhost:3142/simple/",
            "http://127.0.0.1/",
            "http://[::1]/",
        ] {
            let hosts = hosts(mirror);
            assert!(
                !is_refused(&hosts, "http://127.0.0.1:9/a-1.zip"),
                "{mirror}"
            );
            assert!(
                !is_refused(&hosts, "http://localhost:9/a-1.zip"),
                "{mirror}"
            );
            assert!(is_refused(&hosts, "http://169.254.169.254/"), "{mirror}");
        }
    }

    #[test]
    fn the_link_is_nobodys_not_even_where_the_operator_says_so() {
        for mirror in ["http://169.254.169.254/simple/", "http://[fe80::1]/"] {
            assert!(is_refused(&hosts(mirror), mirror), "{mirror}");
            assert!(is_refused(&made(mirror, &["0.0.0.0/0", "::/0"]), mirror));
        }
        let declared = hosts("http://metadata.example/");
        let link = "169.254.169.254".parse().unwrap();
        assert!(!declared.may_resolve("metadata.example", link));
        assert!(declared.may_resolve("metadata.example", "10.0.0.7".parse().unwrap()));
        assert!(declared.may_resolve("metadata.example", "127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_mirror_that_somebody_made_leads_to_the_world_and_to_what_is_listed() {
        let world = made("http://upstream.example/simple/", &[]);
        for url in ["http://10.0.0.7/", "http://127.0.0.1:9464/metrics"] {
            assert!(is_refused(&world, url), "{url}");
        }
        assert!(!is_refused(&world, "http://files.example/a-1.zip"));
        assert!(!world.may_resolve("upstream.example", "127.0.0.1".parse().unwrap()));
        let local = made("http://127.0.0.1:8080/simple/", &["127.0.0.1/32"]);
        assert!(!is_refused(&local, "http://127.0.0.1:8080/simple/six/"));
        assert!(is_refused(&local, "http://10.0.0.7/"));
    }

    #[test]
    fn nothing_leads_to_the_gateways_own_doors_but_what_the_operator_says() {
        let doors = OwnDoors::default();
        doors.opened(vec![
            "0.0.0.0:4040".parse().unwrap(),
            "127.0.0.1:9464".parse().unwrap(),
        ]);
        let with = |trust: &Trust, mirror: &str| {
            let bounds = Bounds {
                trust: trust.clone(),
                doors: doors.clone(),
            };
            Hosts::of(Url::parse(mirror).unwrap(), bounds)
        };
        let anywhere = MirrorPlace::Network("127.0.0.0/8".parse().unwrap());
        let made = Trust::Made([anywhere].into_iter().collect());
        for trust in [&Trust::Declared, &made] {
            let hosts = with(trust, "http://127.0.0.1:8080/simple/");
            for url in [
                "http://127.0.0.1:9464/metrics",
                "http://localhost:9464/metrics",
                "http://127.0.0.2:4040/root/private/",
            ] {
                assert!(is_refused(&hosts, url), "{trust:?} {url}");
            }
            assert!(!is_refused(&hosts, "http://127.0.0.1:8081/a-1.zip"));
        }
        let ourselves = "http://127.0.0.1:4040/root/pypi/+simple/";
        assert!(!is_refused(&with(&Trust::Declared, ourselves), ourselves));
        assert!(is_refused(&with(&made, ourselves), ourselves));
    }

    #[tokio::test]
    async fn a_name_of_this_machine_leads_to_its_doors_as_well() {
        let doors = OwnDoors::default();
        doors.opened(vec!["127.0.0.1:9464".parse().unwrap()]);
        let bounds = Bounds {
            trust: Trust::Declared,
            doors,
        };
        let hosts = Hosts::of("http://127.0.0.1:8080/".parse().unwrap(), bounds);
        for (url, expected) in [
            ("http://localhost:9464/metrics", true),
            ("http://localhost:8081/", false),
            ("http://127.0.0.1:8080/", false),
        ] {
            let refused = hosts.refuse_own_door(&url.parse().unwrap()).await;
            assert_eq!(refused.is_err(), expected, "{url}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let hosts = hosts("https://upstream.example/simple/");
        for (url, own) in [
            ("https://upstream.example/files/a", true),
            ("https://upstream.example:443/", true),
            ("https://UPSTREAM.example/", true),
            ("http://upstream.example/", false),
            ("https://upstream.example:444/", false),
            ("https://files.upstream.example/", false),
        ] {
            assert_eq!(hosts.is_own_origin(&Url::parse(url).unwrap()), own, "{url}");
        }
    }

    #[tokio::test]
    async fn names_are_judged_by_what_they_resolve_to() {
        let name = || "localhost".parse().unwrap();
        for (rule, expected) in [
            (hosts("https://upstream.example/"), false),
            (hosts("http://127.0.0.1/"), true),
            (made("http://127.0.0.1/", &[]), false),
            (made("http://127.0.0.1/", &["127.0.0.0/8", "::1/128"]), true),
        ] {
            assert_eq!(rule.resolve(name()).await.is_ok(), expected, "{rule:?}");
        }
        assert!(NamedHosts.resolve(name()).await.is_ok());
    }

    #[test]
    fn this_machine_is_known_by_its_addresses() {
        for (address, expected) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("0.0.0.0", true),
            ("192.0.2.1", false),
            ("255.255.255.255", false),
        ] {
            assert_eq!(
                is_this_machine(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
    }
}
