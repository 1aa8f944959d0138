//! Making a generation: policies compiled from all documents, and an upstream for every mirror.

use std::collections::HashMap;
use std::sync::Arc;

use url::Url;

use crate::app::neighbours::Neighbours;
use crate::config::{Limits, Loaded, Login};
use crate::gateway::Generation;
use crate::model::{Fault, Faults, IndexName};
use crate::policy::{Index, IndexDocument, Mirror, Policies};
use crate::upstream::{
    Breaker, Decoding, Fleet, Proxies, Retry, Upstream, UpstreamLimits, UpstreamLogin,
    UpstreamSettings,
};

/// Makes generations, and remembers upstreams so that an unchanged one keeps its connections and its
/// breaker over a reload.
#[derive(Debug, Clone)]
pub(super) struct Maker {
    /// For indexes of `type: devpi`; the servers themselves change only with a restart.
    fleet: Option<Arc<Fleet>>,
    /// Shared by all upstreams of all generations.
    decoding: Decoding,
    neighbours: Neighbours,
    known: HashMap<IndexName, Known>,
}

#[derive(Debug, Clone)]
struct Known {
    url: String,
    login: Option<(String, String)>,
    limits: UpstreamLimits,
    is_declared: bool,
    upstream: Arc<Upstream>,
}

/// A generation and the maker of the next.
pub(super) struct Made {
    pub(super) generation: Generation,
    pub(super) maker: Maker,
}

impl Maker {
    /// A maker whose generations may have indexes of these servers.
    pub(super) fn before(
        fleet: Option<Arc<Fleet>>,
        decoding: Decoding,
        neighbours: Neighbours,
    ) -> Self {
        Self {
            fleet,
            decoding,
            neighbours,
            known: HashMap::new(),
        }
    }

    /// Compiles what was read.
    pub(super) fn make(
        mut self,
        number: u64,
        loaded: &Loaded,
        stored: &[IndexDocument],
    ) -> Result<Made, Faults> {
        let generation = self.next(number, loaded, stored)?;
        Ok(Made {
            generation,
            maker: self,
        })
    }

    /// Compiles what was read anew; on faults nothing is changed.
    pub(super) fn next(
        &mut self,
        number: u64,
        loaded: &Loaded,
        stored: &[IndexDocument],
    ) -> Result<Generation, Faults> {
        let documents = loaded.documents_over(stored);
        let policies = Policies::compile(&documents, &loaded.stored_with_upstream(stored))?;
        let mut faults = Faults::default();
        let mut known = HashMap::new();
        for index in policies.indexes() {
            let Some(url) = index.mirror().and_then(|mirror| mirror.mirror_url()) else {
                continue;
            };
            let login = loaded.config.logins.get(&index.name);
            match self.upstream(index, url, login, &loaded.config.limits) {
                Ok(upstream) => {
                    known.insert(index.name.clone(), upstream);
                }
                Err(fault) => faults.push(fault),
            }
        }
        let known = faults.or(known)?;
        let upstreams = known
            .iter()
            .map(|(name, known)| (name.clone(), Arc::clone(&known.upstream)));
        let upstreams = upstreams.collect();
        self.known = known;
        Ok(Generation {
            number,
            policies,
            upstreams,
        })
    }

    fn upstream(
        &self,
        index: &Index,
        url: &str,
        login: Option<&Login>,
        limits: &Limits,
    ) -> Result<Known, Fault> {
        let login = login.map(|login| (login.user.clone(), login.password.expose().to_owned()));
        let limits = upstream_limits(limits, &self.decoding);
        let is_declared = index.location.is_some();
        if let Some(known) = self.known.get(&index.name)
            && known.url == url
            && known.login == login
            && known.limits == limits
            && known.is_declared == is_declared
        {
            return Ok(known.clone());
        }
        let known = |upstream| Known {
            url: url.to_owned(),
            login: login.clone(),
            limits: limits.clone(),
            is_declared,
            upstream: Arc::new(upstream),
        };
        let fault = |what: String| match &index.location {
            Some(location) => Fault::at(location, what),
            None => Fault::nowhere(what),
        };
        if index.mirror().is_some_and(Mirror::is_devpi) {
            let no_servers = || {
                let what = format!("{} is of type devpi, and there are no servers", index.name);
                fault(what).hint("name them: devpi: {servers: [\"http://127.0.0.1:3142\"]}")
            };
            let fleet = self.fleet.as_ref().ok_or_else(no_servers)?;
            let upstream = fleet.upstream(&index.name, limits.clone());
            return upstream
                .map(known)
                .map_err(|error| fault(error.to_string()));
        }
        let parsed = Url::parse(url)
            .map_err(|error| fault(format!("mirror_url of {} is no URL: {error}", index.name)))?;
        let settings = UpstreamSettings {
            name: index.name.clone(),
            bounds: self.neighbours.bounds(index, &parsed),
            url: parsed,
            credentials: login
                .clone()
                .map(|(user, password)| UpstreamLogin::new(user, password)),
            limits: limits.clone(),
            proxies: Proxies::Environment,
        };
        let upstream = Upstream::new(settings);
        upstream
            .map(known)
            .map_err(|error| fault(error.to_string()))
    }
}

/// What the operator's limits mean for an upstream; `decoding` is one for all of them.
#[must_use]
pub fn upstream_limits(limits: &Limits, decoding: &Decoding) -> UpstreamLimits {
    let number = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
    UpstreamLimits {
        connect_timeout: limits.upstream_connect_timeout(),
        read_timeout: limits.upstream_read_timeout(),
        page_timeout: limits.upstream_total_timeout(),
        list_timeout: limits.upstream_list_timeout(),
        page_bytes_max: limits.page(),
        list_bytes_max: limits.project_list(),
        metadata_bytes_max: limits.metadata(),
        file_bytes_max: limits.file(),
        file_rate_min: limits.upstream_min_rate(),
        redirects_max: number(limits.redirects()),
        idle_connections_max: limits.upstream_connections(),
        idle_timeout: limits.upstream_idle_timeout(),
        retry: Retry::new(
            number(limits.upstream_retries()).saturating_add(1),
            limits.upstream_retry_time(),
        ),
        breaker: Breaker::new(
            number(limits.upstream_failures()),
            limits.upstream_cool_off(),
            limits.upstream_cool_off_max(),
        ),
        decoding: decoding.clone(),
    }
}

/// The budget for what is being unpacked and read.
#[must_use]
pub fn decoding(limits: &Limits) -> Decoding {
    Decoding::new(limits.decoding(), limits.decoding_wait())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, PoliciesPath, load};

    #[test]
    fn every_limit_of_upstreams_is_the_operators_and_holds_from_the_next_reload() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        let mut maker = None;
        let mut upstream = |limits: &str| {
            let yaml = format!(
                "indexes: {{a/b: {{type: mirror, mirror_url: \"https://upstream.example/\"}}}}\n{limits}"
            );
            std::fs::write(&path, yaml).unwrap();
            let loaded = load(
                &PoliciesPath::Named(path.clone()),
                &Overrides::default(),
                &|_| None,
            );
            let loaded = loaded.unwrap();
            let maker = maker.get_or_insert_with(|| {
                Maker::before(None, decoding(&loaded.config.limits), Neighbours::default())
            });
            let generation = maker.next(1, &loaded, &[]).unwrap();
            Arc::clone(&generation.upstreams[&IndexName::parse("a/b").unwrap()])
        };
        let first = upstream("");
        assert!(Arc::ptr_eq(&first, &upstream("log: {format: json}")));
        for limit in [
            "upstream_connect_timeout: 7s",
            "upstream_read_timeout: 7s",
            "upstream_total_timeout: 7s",
            "upstream_list_timeout: 7s",
            "upstream_idle_timeout: 7s",
            "upstream_retry_time: 7s",
            "upstream_cool_off: 7s",
            "upstream_cool_off_max: 7s",
            "upstream_min_rate: 7KiB",
            "upstream_failures: 7",
            "upstream_retries: 7",
            "upstream_connections: 7",
            "redirects: 7",
            "page: 7MiB",
            "project_list: 7MiB",
            "metadata: 7MiB",
            "file: 7MiB",
        ] {
            let before = upstream("");
            let after = upstream(&format!("limits: {{{limit}}}"));
            assert!(!Arc::ptr_eq(&before, &after), "{limit} changes nothing");
        }
    }
}
