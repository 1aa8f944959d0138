//! What operators see counted, and when each metric changes.
//!
//! Labels are [`Label`]s, or names of which the operator's own files limit the number: an index, an
//! upstream, a rule. Never a project, a file, a user or a client.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Method, StatusCode};
use prometheus::{Error, Histogram, IntCounter, IntGauge, Registry, TextEncoder};

use crate::model::DoorName;
use crate::telemetry::BUILD;
use crate::telemetry::declared::Declared;
use crate::telemetry::depot::DepotMetrics;
use crate::telemetry::devpi::ServerMetrics;
use crate::telemetry::directory::DirectoryMetrics;
use crate::telemetry::feed::FeedMetrics;
use crate::telemetry::journal::JournalMetrics;
use crate::telemetry::label::{
    CacheKind, Damage, Label, LabelSet, LookUp, Mode, Staleness, Tier, TurnedAway, UpstreamResult,
    WaitFor,
};
use crate::telemetry::lookups::LookUps;
use crate::telemetry::notify::NotifyMetrics;
use crate::telemetry::waits::WaitMeter;

/// The metrics, registered once.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    all: Arc<Declared>,
    look_ups: LookUps,
    answered: Arc<ArcSwap<Vec<(Answered, Counts)>>>,
}

/// The labels of an answered request: door, route, method, status.
type Answered = (DoorName, &'static str, &'static str, StatusCode);

/// Whether both are the same words in memory, as the labels of one program are. The same text elsewhere in
/// memory is counted too, only less directly.
fn is_same(one: &Answered, other: &Answered) -> bool {
    let is = |a: &'static str, b: &'static str| std::ptr::eq(a, b);
    one.0 == other.0 && one.3 == other.3 && is(one.1, other.1) && is(one.2, other.2)
}

/// The counters of requests with the same labels. Looking them up by label for each request would cost more
/// than counting.
#[derive(Debug, Clone)]
struct Counts {
    requests: IntCounter,
    seconds: Histogram,
}

impl Counts {
    fn count(&self, elapsed: Duration) {
        self.requests.inc();
        self.seconds.observe(elapsed.as_secs_f64());
    }
}

impl Metrics {
    /// Declares every metric in this registry. `version` is the program's; commit and date are the build's.
    ///
    /// # Errors
    /// When the registry has one of the names already.
    pub fn register(registry: Registry, version: &str) -> Result<Self, Error> {
        let all = Declared::register(&registry)?;
        let build = [version, BUILD.commit, BUILD.date];
        all.build.with_label_values(&build).set(1);
        all.reload_successful.set(1);
        all.depot_reachable.set(1);
        all.directory_reachable.set(1);
        // Shown from the start, so that the first of a kind shows as a rise.
        for kind in Damage::ALL {
            all.damage.with_label_values(&[kind.label()]);
        }
        for what in WaitFor::ALL {
            all.wait_seconds.with_label_values(&[what.label()]);
        }
        for door in DoorName::ALL {
            for reason in TurnedAway::ALL {
                let labels = [door.label(), reason.label()];
                all.connections_refused.with_label_values(&labels);
            }
        }
        Ok(Self {
            look_ups: LookUps::new(&all.look_ups),
            all: Arc::new(all),
            answered: Arc::default(),
            registry,
        })
    }

    /// The meter of waits for one thing.
    #[must_use]
    pub fn waits(&self, what: WaitFor) -> WaitMeter {
        WaitMeter::of(self.all.wait_seconds.with_label_values(&[what.label()]))
    }

    /// The numbers of the journal.
    #[must_use]
    pub fn journal(&self) -> JournalMetrics {
        JournalMetrics::of(&self.all)
    }

    /// The numbers of posts to webhooks.
    #[must_use]
    pub fn notify(&self) -> NotifyMetrics {
        NotifyMetrics::of(&self.all)
    }

    /// The numbers of feeds of advisories.
    #[must_use]
    pub fn feeds(&self) -> FeedMetrics {
        FeedMetrics::of(&self.all)
    }

    /// The numbers of the depot.
    #[must_use]
    pub fn depot(&self) -> DepotMetrics {
        DepotMetrics::of(&self.all)
    }

    /// The numbers of the directory of users.
    #[must_use]
    pub fn directory(&self) -> DirectoryMetrics {
        DirectoryMetrics::of(&self.all)
    }

    /// The numbers of one devpi-server; `server` is the address in the operator's file.
    #[must_use]
    pub fn devpi_server(&self, server: &str) -> ServerMetrics {
        ServerMetrics::new(&self.all, server)
    }

    /// The exposition in Prometheus' text format.
    ///
    /// # Errors
    /// When a metric cannot be encoded, which would be a bug in its declaration.
    pub fn render(&self) -> Result<String, Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Counts an answered request.
    pub fn request(
        &self,
        door: DoorName,
        route: impl Label,
        method: &Method,
        status: StatusCode,
        elapsed: Duration,
    ) {
        let answered = (door, route.label(), method_label(method), status);
        let known = self.answered.load();
        match known.iter().find(|(labels, _)| is_same(labels, &answered)) {
            Some((_, counts)) => counts.count(elapsed),
            None => self.counts(answered).count(elapsed),
        }
    }

    /// Looks up the counters of such requests, and remembers them. The labels bound how many there are.
    fn counts(&self, answered: Answered) -> Counts {
        let (door, route, method, status) = answered;
        let labels = [door.label(), route, method, status.as_str()];
        let counts = Counts {
            requests: self.all.requests.with_label_values(&labels),
            seconds: self.all.request_seconds.with_label_values(&labels[..2]),
        };
        self.answered.rcu(|known| {
            let mut known = Vec::clone(known);
            known.push((answered, counts.clone()));
            known
        });
        counts
    }

    /// The gauge of a door's open connections.
    #[must_use]
    pub fn connections(&self, door: DoorName) -> IntGauge {
        self.all.connections.with_label_values(&[door.label()])
    }

    /// Counts a connection turned away or cut.
    pub fn connection_refused(&self, door: DoorName, reason: TurnedAway) {
        self.all
            .connections_refused
            .with_label_values(&[door.label(), reason.label()])
            .inc();
    }

    /// Counts a look-up in a cache.
    pub fn looked_up(&self, tier: Tier, kind: CacheKind, result: LookUp) {
        self.look_ups.count(tier, kind, result);
    }

    /// Counts an answer that is stale.
    pub fn stale_answer(&self, route: impl Label, reason: Staleness) {
        self.all
            .stale_answers
            .with_label_values(&[route.label(), reason.label()])
            .inc();
    }

    /// Sets how much a tier holds.
    pub fn cache_holds(&self, tier: Tier, bytes: u64) {
        let gauge = self.all.cache_bytes.with_label_values(&[tier.label()]);
        gauge.set(whole(bytes));
    }

    /// Counts a request to an upstream, named by its mirror.
    pub fn upstream_request(&self, mirror: &str, result: UpstreamResult, elapsed: Duration) {
        self.all
            .upstream_requests
            .with_label_values(&[mirror, result.label()])
            .inc();
        self.all
            .upstream_seconds
            .with_label_values(&[mirror])
            .observe(elapsed.as_secs_f64());
    }

    /// Counts a kept file that is damaged or cannot be read.
    pub fn damaged(&self, kind: Damage) {
        self.all.damage.with_label_values(&[kind.label()]).inc();
    }

    /// Counts bytes that were read again in the background.
    pub fn verified(&self, bytes: u64) {
        self.all.verified_bytes.inc_by(bytes);
    }

    /// Counts a round in which everything was read again.
    pub fn verified_all(&self) {
        self.all.verified_rounds.inc();
    }

    /// States how many uploaded files are known to be damaged or missing.
    pub fn files_damaged(&self, files: usize) {
        self.all.damaged_files.set(whole(files));
    }

    /// The gauge of fills under way.
    #[must_use]
    pub fn fills(&self) -> &IntGauge {
        &self.all.fills
    }

    /// Counts a refusal, or a would-be refusal in audit mode; `rule` is what it is called. What passes
    /// is not counted: it has no rule.
    pub fn refusal(&self, index: &str, rule: &str, mode: Mode) {
        self.all
            .decisions
            .with_label_values(&[index, rule, "deny", mode.label()])
            .inc();
    }

    /// Sets which policies are in force. Counts of removed rules are dropped, so that there are no more
    /// labels than rules.
    pub fn policies_changed(&self, generation: u64) {
        self.all.decisions.reset();
        self.all.generation.set(whole(generation));
        self.all.reload_successful.set(1);
    }

    /// States that a reload found faults.
    pub fn reload_failed(&self) {
        self.all.reload_successful.set(0);
    }

    /// The counter of access lines left out.
    #[must_use]
    pub fn access_dropped(&self) -> IntCounter {
        self.all.access_dropped.clone()
    }

    /// The counter of lines of the log left out.
    #[must_use]
    pub fn log_dropped(&self) -> IntCounter {
        self.all.log_dropped.clone()
    }

    /// States whether records can be written.
    pub fn records_writable(&self, is_writable: bool) {
        self.all.records_writable.set(i64::from(is_writable));
    }

    /// States how many private files are kept though no record needs them.
    pub fn private_files_quarantined(&self, files: u64) {
        self.all.quarantined.set(whole(files));
    }

    /// The counter of audit events that could not be written.
    #[must_use]
    pub fn audit_failed(&self) -> IntCounter {
        self.all.audit_failed.clone()
    }
}

/// A client may send any word as its method; these are distinguished.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "PUSH" => "PUSH",
        _ => "other",
    }
}

/// A number as a gauge takes it.
fn whole(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(metrics: &Metrics, part: &str) -> Vec<String> {
        let text = metrics.render().unwrap();
        let lines = text
            .lines()
            .filter(|line| line.contains(part) && !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn a_request_moves_its_counter_and_its_histogram() {
        let metrics = Metrics::register(Registry::new(), "1.2.3").unwrap();
        let brew = Method::from_bytes(b"BREW").unwrap();
        let elapsed = Duration::from_millis(2);
        metrics.request(
            DoorName::Public,
            Tier::Memory,
            &brew,
            StatusCode::METHOD_NOT_ALLOWED,
            elapsed,
        );
        assert_eq!(
            lines(&metrics, "http_requests_total"),
            [
                "cheesecloth_http_requests_total{code=\"405\",door=\"public\",method=\"other\",route=\"memory\"} 1"
            ]
        );
        let bucket = &lines(&metrics, "le=\"0.0025\"")[0];
        assert!(bucket.ends_with("} 1"), "{bucket}");
        assert_eq!(
            lines(&metrics, "build_info"),
            ["cheesecloth_build_info{commit=\"unknown\",date=\"unknown\",version=\"1.2.3\"} 1"]
        );
    }

    #[test]
    fn a_reload_forgets_the_rules_that_are_gone() {
        let metrics = Metrics::register(Registry::new(), "0").unwrap();
        metrics.refusal("u/i", "a.yaml:3", Mode::Enforce);
        metrics.reload_failed();
        assert_eq!(lines(&metrics, "policy_decisions").len(), 1);
        assert_eq!(
            lines(&metrics, "reload"),
            ["cheesecloth_config_last_reload_successful 0"]
        );
        metrics.policies_changed(7);
        assert_eq!(
            lines(&metrics, "policy_"),
            ["cheesecloth_policy_generation 7"]
        );
        assert_eq!(
            lines(&metrics, "reload"),
            ["cheesecloth_config_last_reload_successful 1"]
        );
    }

    #[test]
    fn a_registry_takes_them_once() {
        let registry = Registry::new();
        Metrics::register(registry.clone(), "0").unwrap();
        assert!(Metrics::register(registry, "0").is_err());
    }
}
