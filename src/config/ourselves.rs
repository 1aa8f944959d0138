//! Whether an address to be asked is one of this gateway's own.

use std::net::IpAddr;

use url::Url;

use crate::config::doors::Listen;
use crate::config::loaded::Loaded;
use crate::config::settings::Config;
use crate::language::IndexKindDocument;
use crate::model::Fault;

/// Every mirror and devpi-server that is this gateway itself: it would ask itself, endlessly if the asked
/// index inherits from the mirror.
#[must_use]
pub fn loops(loaded: &Loaded) -> Vec<Fault> {
    let config = &loaded.config;
    let mut found = Vec::new();
    for index in loaded.documents.iter().flat_map(|one| &one.indexes) {
        let IndexKindDocument::Mirror(mirror) = &index.kind else {
            continue;
        };
        let Some(placed) = &mirror.mirror_url else {
            continue;
        };
        if Url::parse(&placed.value).is_ok_and(|url| is_ourselves(&url, config)) {
            let (name, url) = (&index.name.value, &placed.value);
            let what = format!("mirror_url of {name} leads back to this gateway ({url})");
            let hint =
                "name the index behind it, or inherit from an index of this gateway by bases";
            found.push(Fault::at(&placed.location, what).hint(hint));
        }
    }
    let servers = config.devpi.iter().flat_map(|devpi| &devpi.servers);
    for url in servers.filter(|url| is_ourselves(url, config)) {
        let what = format!("devpi.servers: {url} leads back to this gateway");
        found.push(Fault::nowhere(what).hint("name the devpi-server behind it"));
    }
    found
}

/// Whether a URL leads to one of our own doors. A door on all addresses is assumed to be at every
/// loopback address; of the names that other machines have for this one, only `outside_url` is known.
pub(super) fn is_ourselves(url: &Url, config: &Config) -> bool {
    let is_outside = |outside: &Url| {
        outside.host_str() == url.host_str()
            && outside.port_or_known_default() == url.port_or_known_default()
            && url.path().starts_with(outside.path())
    };
    let listen = &config.listen;
    let mut seen = [&listen.public, &listen.manage].into_iter();
    if seen.any(|door| door.outside_url.as_ref().is_some_and(is_outside)) {
        return true;
    }
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = match host {
        "localhost" => "127.0.0.1".parse().ok(),
        name => name.parse().ok(),
    };
    let doors = [&listen.public, &listen.manage];
    doors.into_iter().any(|door| match &door.place {
        Listen::Off | Listen::Unix { .. } => false,
        Listen::Tcp { address: ours, .. } => {
            url.port_or_known_default() == Some(ours.port())
                && address.is_some_and(|theirs| {
                    theirs == ours.ip()
                        || (ours.ip().is_unspecified() && theirs.is_loopback())
                        || theirs.is_unspecified()
                })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::load;
    use crate::config::settings::Overrides;
    use crate::config::source::PoliciesPath;
    use crate::model::Faults;

    fn told(yaml: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        std::fs::write(&path, yaml).unwrap();
        let source = PoliciesPath::Named(path);
        let loaded = load(&source, &Overrides::default(), &|_| None).unwrap();
        let prefix = format!("{}/", folder.path().display());
        Faults(loops(&loaded)).to_string().replace(&prefix, "")
    }

    #[test]
    fn a_mirror_of_this_gateway_is_told_and_its_neighbour_is_not() {
        let listen = "listen: {public: 0.0.0.0:4040, manage: 127.0.0.1:3141}\n";
        let mirror = |url: &str| {
            format!("{listen}indexes: {{a/b: {{type: mirror, mirror_url: '{url}'}}}}\n")
        };
        for url in [
            "http://127.0.0.1:4040/root/pypi/+simple/",
            "http://localhost:4040/root/pypi/+simple/",
            "http://[::1]:4040/root/pypi/+simple/",
            "http://127.0.0.1:3141/root/pypi/+simple/",
        ] {
            let told = told(&mirror(url));
            let begins = "c.yaml:2:43: mirror_url of a/b leads back to this gateway (http://";
            assert!(told.starts_with(begins), "{url}: {told}");
        }
        for url in [
            "http://127.0.0.1:4041/root/pypi/+simple/",
            "http://127.0.0.2:3141/root/pypi/+simple/",
            "https://upstream.example/simple/",
        ] {
            assert_eq!(told(&mirror(url)), "", "{url}");
        }
        let outside = mirror("https://devpi.example/pypi/root/pypi/+simple/").replace(
            "public: 0.0.0.0:4040",
            "public: {outside_url: 'https://devpi.example/pypi/'}",
        );
        assert!(told(&outside).contains("leads back to this gateway (https://"));
        assert_eq!(told(&outside.replace("e/pypi/root", "e/root")), "");
        let server = format!(
            "{listen}devpi: {{servers: ['http://127.0.0.1:3141', 'http://127.0.0.1:3142']}}"
        );
        assert_eq!(
            told(&server),
            "devpi.servers: http://127.0.0.1:3141/ leads back to this gateway, name the devpi-server behind it"
        );
    }
}
