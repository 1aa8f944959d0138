//! Making a generation: policies compiled from all documents, and an upstream for every mirror.

use std::collections::HashMap;
use std::sync::Arc;

use url::Url;

use crate::config::Limits;
use crate::config::Loaded;
use crate::config::Login;
use crate::gateway::Generation;
use crate::model::Fault;
use crate::model::Faults;
use crate::model::IndexName;
use crate::policy::Index;
use crate::policy::IndexDocument;
use crate::policy::Mirror;
use crate::policy::Policies;
use crate::upstream;
use crate::upstream::Credentials;
use crate::upstream::Fleet;
use crate::upstream::Retry;
use crate::upstream::Upstream;

/// Makes generations, and remembers upstreams so that an unchanged one keeps its connections and its
/// breaker over a reload.
#[derive(Debug, Clone, Default)]
pub(super) struct Maker {
    /// For indexes of `type: devpi`; the servers themselves change only with a restart.
    fleet: Option<Arc<Fleet>>,
    known: HashMap<IndexName, Known>,
}

#[derive(Debug, Clone)]
struct Known {
    url: String,
    login: Option<(String, String)>,
    upstream: Arc<Upstream>,
}

/// A generation and the maker of the next.
pub(super) struct Made {
    pub(super) generation: Generation,
    pub(super) maker: Maker,
}

impl Maker {
    /// A maker whose generations may have indexes of these servers.
    pub(super) fn before(fleet: Option<Arc<Fleet>>) -> Self {
        Self {
            fleet,
            ..Self::default()
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
        let policies = Policies::compile(&loaded.documents, stored)?;
        let mut faults = Faults::default();
        let mut known = HashMap::new();
        for index in policies.indexes() {
            let Some(url) = index
                .mirror()
                .and_then(|mirror| mirror.mirror_url.as_deref())
            else {
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
        if let Some(known) = self.known.get(&index.name)
            && known.url == url
            && known.login == login
        {
            let upstream = Arc::clone(&known.upstream);
            return Ok(Known {
                url: url.to_owned(),
                login,
                upstream,
            });
        }
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
            let upstream = fleet.upstream(&index.name, upstream_limits(limits));
            return Ok(Known {
                url: url.to_owned(),
                login,
                upstream: Arc::new(upstream.map_err(|error| fault(error.to_string()))?),
            });
        }
        let parsed = Url::parse(url)
            .map_err(|error| fault(format!("mirror_url of {} is no URL: {error}", index.name)))?;
        let settings = upstream::Settings {
            name: index.name.clone(),
            url: parsed,
            credentials: login
                .clone()
                .map(|(user, password)| Credentials::new(user, password)),
            limits: upstream_limits(limits),
            proxies: upstream::Proxies::Environment,
        };
        let upstream = Upstream::new(settings).map_err(|error| fault(error.to_string()))?;
        Ok(Known {
            url: url.to_owned(),
            login,
            upstream: Arc::new(upstream),
        })
    }
}

pub(super) fn upstream_limits(limits: &Limits) -> upstream::Limits {
    let ours = upstream::Limits::default();
    upstream::Limits {
        connect_timeout: limits.upstream_connect_timeout(),
        file_read_timeout: limits.upstream_read_timeout(),
        page_timeout: limits.upstream_total_timeout(),
        page_bytes_max: limits.page(),
        list_bytes_max: limits.project_list(),
        file_bytes_max: limits.file(),
        redirects_max: u32::try_from(limits.redirects()).unwrap_or(u32::MAX),
        idle_connections_max: limits.upstream_connections(),
        retry: Retry {
            tries_max: u32::try_from(limits.upstream_retries() + 1).unwrap_or(u32::MAX),
            ..ours.retry
        },
        ..ours
    }
}
