//! Which hosts an upstream may lead to: pages name the hosts of files, and redirects name further ones.
//!
//! A page is written by strangers, and the gateway stands where they do not: a link to the gateway's
//! own management door or to a cloud's metadata service would be fetched with the gateway's rights.
//! So links lead to http and https only, never from https down to http, never to a link-local or
//! otherwise special address, and to loopback only when the mirror itself is there. Private networks
//! stay reachable, company indexes live there. Names are judged by what they resolve to, at the
//! moment of connecting; behind a proxy the proxy resolves, and only literal addresses are seen here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The rule for one mirror.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    mirror: Url,
    on_loopback: bool,
}

impl Hosts {
    /// The rule for the mirror at this URL.
    pub(super) fn of(mirror: Url) -> Self {
        let on_loopback = match mirror.host() {
            Some(Host::Domain(name)) => is_localhost(name),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => plain(address.into()).is_loopback(),
            None => false,
        };
        Self {
            mirror,
            on_loopback,
        }
    }

    /// Whether the URL has the mirror's scheme, host and port: only there its credentials go.
    pub(super) fn is_own_origin(&self, url: &Url) -> bool {
        self.mirror.origin() == url.origin()
    }

    /// Refuses a URL that this mirror may not lead to, with the reason.
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
        let open = self.mirror.host().as_ref() == Some(&host)
            || match &host {
                Host::Domain(name) => self.on_loopback || !is_localhost(name),
                Host::Ipv4(address) => self.is_open((*address).into()),
                Host::Ipv6(address) => self.is_open((*address).into()),
            };
        if open {
            Ok(())
        } else {
            Err(format!(
                "it leads to {host}, an address that no index may name"
            ))
        }
    }

    fn is_open(&self, address: IpAddr) -> bool {
        let address = plain(address);
        if address.is_loopback() {
            return self.on_loopback;
        }
        match address {
            IpAddr::V4(address) => {
                !(address.is_link_local()
                    || address.is_unspecified()
                    || address.is_multicast()
                    || address == Ipv4Addr::BROADCAST)
            }
            IpAddr::V6(address) => {
                !(address.is_unicast_link_local()
                    || address.is_unspecified()
                    || address.is_multicast())
            }
        }
    }
}

/// Resolves as the system does, and leaves out what the rule leaves out.
impl Resolve for Hosts {
    fn resolve(&self, name: Name) -> Resolving {
        let rule = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let own = rule.mirror.host_str() == Some(name.as_str());
            let open: Vec<SocketAddr> = found
                .filter(|address| own || rule.is_open(address.ip()))
                .collect();
            if open.is_empty() {
                return Err(
                    format!("{} has no address that an index may name", name.as_str()).into(),
                );
            }
            Ok(Box::new(open.into_iter()) as Addrs)
        })
    }
}

/// Names that mean this machine (RFC 6761 §6.3).
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

/// An IPv4 address written as an IPv6 one is judged as what it is.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(mirror: &str) -> Hosts {
        Hosts::of(Url::parse(mirror).unwrap())
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
        assert!(
            hosts("https://upstream.example/")
                .resolve(name())
                .await
                .is_err()
        );
        assert!(hosts("http://127.0.0.1/").resolve(name()).await.is_ok());
    }
}
