//! Making a generation: policies compiled from all documents, and an upstream for every mirror.

use std::collections::HashMap;
use std::sync::Arc;

use url::Url;

use crate::app::neighbours::Neighbours;
use crate::config::{Config, Loaded};
use crate::exchange::Generation;
use crate::language::{IndexDocument, Mirror};
use crate::model::{Fault, Faults, IndexName};
use crate::policy::{Index, Policies};
use crate::upstream::{Decoding, Fleet, Proxies, Upstream, UpstreamSettings};

/// Makes generations. Remembers upstreams, so that an unchanged one keeps its connections and its
/// breaker across a reload.
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
    settings: UpstreamSettings,
    upstream: Arc<Upstream>,
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

    /// Compiles what was read; on faults nothing changes.
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
            match self.upstream(index, url, &loaded.config) {
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

    fn upstream(&self, index: &Index, url: &str, config: &Config) -> Result<Known, Fault> {
        let fault = |what: String| Fault::perhaps_at(index.location.as_ref(), what);
        let fleet = match index.mirror().is_some_and(Mirror::is_devpi) {
            true => Some(self.fleet.as_ref().ok_or_else(|| {
                let what = format!("{} is of type devpi, and there are no servers", index.name);
                fault(what).hint("name them: devpi: {servers: [\"http://127.0.0.1:3142\"]}")
            })?),
            false => None,
        };
        let (limits, decoding) = (config.limits.upstream.clone(), self.decoding.clone());
        let settings = match fleet {
            Some(fleet) => fleet.settings(&index.name, limits, decoding),
            None => {
                let url = Url::parse(url).map_err(|error| {
                    fault(format!("mirror_url of {} is no URL: {error}", index.name))
                })?;
                UpstreamSettings {
                    name: index.name.clone(),
                    bounds: self.neighbours.bounds(index, &url),
                    url,
                    credentials: config.logins.get(&index.name).cloned(),
                    limits,
                    decoding,
                    proxies: Proxies::Environment,
                }
            }
        };
        if let Some(known) = self.known.get(&index.name)
            && known.settings == settings
        {
            return Ok(known.clone());
        }
        let upstream = Upstream::new(settings.clone());
        let mut upstream = upstream.map_err(|error| fault(error.to_string()))?;
        if let Some(fleet) = fleet {
            upstream = upstream.through(Arc::clone(fleet));
        }
        Ok(Known {
            settings,
            upstream: Arc::new(upstream),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, PoliciesPath, load};
    use crate::telemetry::WaitMeter;

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
                Maker::before(
                    None,
                    Decoding::of(&loaded.config.limits.work, WaitMeter::default()),
                    Neighbours::default(),
                )
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
