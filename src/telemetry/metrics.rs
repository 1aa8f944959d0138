//! Every number operators see, each with its sentence.
//!
//! Labels are [`Label`]s, or names that the operator's own files bound: an index, an upstream, a rule.
//! Never a project, a file, a user or a client.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Method, StatusCode};
use prometheus::core::Collector;
use prometheus::{
    Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::telemetry::devpi::{ServerMetrics, Servers};
use crate::telemetry::label::{
    CacheKind, Damage, DoorName, Label, LabelSet, LookUp, Mode, Staleness, Tier, TurnedAway,
    UpstreamResult,
};
use crate::telemetry::lookups::LookUps;

/// What every name starts with.
const NAMESPACE: &str = "cheesecloth";

/// Seconds. The low ones part hits from misses, the high ones see a slow upstream and large files.
const BUCKETS: [f64; 13] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];

/// The metrics, registered once.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    connections: IntGaugeVec,
    connections_refused: IntCounterVec,
    caches: Caches,
    upstream_requests: IntCounterVec,
    upstream_seconds: HistogramVec,
    fills: IntGauge,
    devpi: Servers,
    decisions: IntCounterVec,
    generation: IntGauge,
    reload_successful: IntGauge,
    lost: Lost,
    damage: Damages,
    records: Records,
    answered: Arc<ArcSwap<Vec<(Answered, Counts)>>>,
}

/// Lines that were to be written and are not.
#[derive(Debug, Clone)]
struct Lost {
    access: IntCounter,
    log: IntCounter,
    audit: IntCounter,
}

impl Lost {
    fn declare(new: &Declare<'_>) -> Result<Self, Error> {
        Ok(Self {
            access: new.counter(
                "access_lines_dropped_total",
                "Access lines left out because their writer could not keep up.",
            )?,
            log: new.counter(
                "log_lines_dropped_total",
                "Lines of the log left out because their writer could not keep up.",
            )?,
            audit: new.counter(
                "audit_events_failed_total",
                "Audit events that could not be written to the data directory.",
            )?,
        })
    }
}

/// What the disk has changed.
#[derive(Debug, Clone)]
struct Damages {
    found: IntCounterVec,
    private: IntGauge,
    verified: IntCounter,
    rounds: IntCounter,
}

impl Damages {
    fn declare(new: &Declare<'_>) -> Result<Self, Error> {
        let found = new.counters(
            "store_damage_total",
            "Kept files found damaged or unreadable, by whose they are.",
            &["kind"],
        )?;
        for kind in [Damage::Mirror, Damage::Private, Damage::Copy] {
            found.with_label_values(&[kind.label()]);
        }
        let private = new.gauge(
            "store_damaged_files",
            "Uploaded files known to be damaged, missing or unreadable: they are answered with 500 until they are uploaded again.",
        )?;
        let verified = new.counter(
            "store_verified_bytes_total",
            "Bytes of kept files read again in the background, to see whether they are what they were.",
        )?;
        let rounds = new.counter(
            "store_verified_rounds_total",
            "How often everything that is kept was read again.",
        )?;
        Ok(Self {
            found,
            private,
            verified,
            rounds,
        })
    }
}

/// What is told of the records and of the files that they name.
#[derive(Debug, Clone)]
struct Records {
    writable: IntGauge,
    quarantined: IntGauge,
}

/// The numbers of the caches.
#[derive(Debug, Clone)]
struct Caches {
    look_ups: LookUps,
    stale_answers: IntCounterVec,
    bytes: IntGaugeVec,
}

/// The labels of an answered request: door, route, method, status.
type Answered = (DoorName, &'static str, &'static str, StatusCode);

/// Whether both are the same words in memory, as labels of one program are; those of the same text
/// elsewhere are only counted by another way.
fn is_same(one: &Answered, other: &Answered) -> bool {
    let is = |a: &'static str, b: &'static str| std::ptr::eq(a, b);
    one.0 == other.0 && one.3 == other.3 && is(one.1, other.1) && is(one.2, other.2)
}

/// Where requests with the same labels are counted. Looking both up by label again for each request
/// would cost more than counting.
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
    /// Declares every metric in this registry. `version` is the program's.
    ///
    /// # Errors
    /// When the registry has one of the names already.
    pub fn register(registry: Registry, version: &str) -> Result<Self, Error> {
        let new = Declare(&registry);
        let build = new.gauges(
            "build_info",
            "Always 1; the version is the label.",
            &["version"],
        )?;
        build.with_label_values(&[version]).set(1);
        let metrics = Self {
            requests: new.counters(
                "http_requests_total",
                "Requests answered, by door, kind of route, method and status code.",
                &["door", "route", "method", "code"],
            )?,
            request_seconds: new.histograms(
                "http_request_duration_seconds",
                "Seconds from the end of a request's head to the end of its answer.",
                &["door", "route"],
            )?,
            connections: new.gauges("connections", "Open connections, by door.", &["door"])?,
            connections_refused: new.counters(
                "connections_refused_total",
                "Connections turned away or cut for breaking a limit, by door and limit.",
                &["door", "reason"],
            )?,
            caches: Self::caches(&new)?,
            upstream_requests: new.counters(
                "upstream_requests_total",
                "Requests to upstreams, by mirror and result.",
                &["upstream", "result"],
            )?,
            upstream_seconds: new.histograms(
                "upstream_request_duration_seconds",
                "Seconds until an upstream's answer was complete, by mirror.",
                &["upstream"],
            )?,
            fills: new.gauge("fill_inflight", "Files being fetched from upstreams now.")?,
            devpi: Self::devpi_servers(&new)?,
            decisions: new.counters(
                "policy_decisions_total",
                "Decisions by the index asked, the rule that decided and the mode of its policy.",
                &["index", "rule", "decision", "mode"],
            )?,
            generation: new.gauge("policy_generation", "Number of the policies in force.")?,
            reload_successful: new.gauge(
                "config_last_reload_successful",
                "1 when the last reload was clean, 0 when faults kept the old generation.",
            )?,
            lost: Lost::declare(&new)?,
            damage: Damages::declare(&new)?,
            records: Self::records(&new)?,
            answered: Arc::default(),
            registry: registry.clone(),
        };
        metrics.reload_successful.set(1);
        metrics.show_refusals();
        Ok(metrics)
    }

    fn records(new: &Declare<'_>) -> Result<Records, Error> {
        Ok(Records {
            writable: new.gauge(
                "records_writable",
                "1 while records can be written, 0 while their disk is full or fails.",
            )?,
            quarantined: new.gauge(
                "private_files_quarantined",
                "Private files without a record, kept because records and files do not belong together.",
            )?,
        })
    }

    /// Has every refusal shown from the start, so that the first of a kind is seen as a rise.
    fn show_refusals(&self) {
        for door in DoorName::ALL {
            for reason in TurnedAway::ALL {
                let labels = [door.label(), reason.label()];
                self.connections_refused.with_label_values(&labels);
            }
        }
    }

    fn caches(new: &Declare<'_>) -> Result<Caches, Error> {
        let look_ups = new.counters(
            "cache_requests_total",
            "Look-ups in the caches, by tier, kind of content and result.",
            &["tier", "kind", "result"],
        )?;
        Ok(Caches {
            look_ups: LookUps::new(&look_ups),
            stale_answers: new.counters(
                "stale_answers_total",
                "Answers that are not what their sources would say now, by kind of route and reason.",
                &["route", "reason"],
            )?,
            bytes: new.gauges(
                "cache_bytes",
                "Bytes held by the caches, by tier.",
                &["tier"],
            )?,
        })
    }

    fn devpi_servers(new: &Declare<'_>) -> Result<Servers, Error> {
        Ok(Servers {
            up: new.gauges(
                "devpi_up",
                "1 while a devpi-server behind the gateway is healthy, 0 otherwise.",
                &["server"],
            )?,
            inflight: new.gauges(
                "devpi_requests_inflight",
                "Requests under way at a devpi-server.",
                &["server"],
            )?,
            breaker_open: new.gauges(
                "devpi_breaker_open",
                "1 while a devpi-server is left alone because requests failed in a row.",
                &["server"],
            )?,
            requests: new.counters(
                "devpi_requests_total",
                "Requests to a devpi-server, by how they went.",
                &["server", "result"],
            )?,
        })
    }

    /// The numbers of one devpi-server; `server` is the address in the operator's file.
    #[must_use]
    pub fn devpi_server(&self, server: &str) -> ServerMetrics {
        ServerMetrics::new(&self.devpi, server)
    }

    /// The exposition in Prometheus' text format.
    ///
    /// # Errors
    /// When a metric cannot be encoded, which would be a mistake in its declaration.
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

    /// Looks up where such requests are counted, and remembers it. The labels bound how many there are.
    fn counts(&self, answered: Answered) -> Counts {
        let (door, route, method, status) = answered;
        let labels = [door.label(), route, method, status.as_str()];
        let counts = Counts {
            requests: self.requests.with_label_values(&labels),
            seconds: self.request_seconds.with_label_values(&labels[..2]),
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
        self.connections.with_label_values(&[door.label()])
    }

    /// Counts a connection turned away or cut.
    pub fn connection_refused(&self, door: DoorName, reason: TurnedAway) {
        self.connections_refused
            .with_label_values(&[door.label(), reason.label()])
            .inc();
    }

    /// Counts a look-up in a cache.
    pub fn looked_up(&self, tier: Tier, kind: CacheKind, result: LookUp) {
        self.caches.look_ups.count(tier, kind, result);
    }

    /// Counts an answer that is stale.
    pub fn stale_answer(&self, route: impl Label, reason: Staleness) {
        self.caches
            .stale_answers
            .with_label_values(&[route.label(), reason.label()])
            .inc();
    }

    /// States how much a tier holds.
    pub fn cache_holds(&self, tier: Tier, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.caches
            .bytes
            .with_label_values(&[tier.label()])
            .set(bytes);
    }

    /// Counts a request to an upstream, named by its mirror.
    pub fn upstream_request(&self, mirror: &str, result: UpstreamResult, elapsed: Duration) {
        self.upstream_requests
            .with_label_values(&[mirror, result.label()])
            .inc();
        self.upstream_seconds
            .with_label_values(&[mirror])
            .observe(elapsed.as_secs_f64());
    }

    /// Counts a kept file that is damaged or cannot be read.
    pub fn damaged(&self, kind: Damage) {
        self.damage.found.with_label_values(&[kind.label()]).inc();
    }

    /// Counts bytes that were read again in the background.
    pub fn verified(&self, bytes: u64) {
        self.damage.verified.inc_by(bytes);
    }

    /// Counts a round in which everything was read again.
    pub fn verified_all(&self) {
        self.damage.rounds.inc();
    }

    /// States how many uploaded files are known to be damaged or missing.
    pub fn files_damaged(&self, files: usize) {
        let files = i64::try_from(files).unwrap_or(i64::MAX);
        self.damage.private.set(files);
    }

    /// The gauge of fills under way.
    #[must_use]
    pub fn fills(&self) -> &IntGauge {
        &self.fills
    }

    /// Counts a refusal, or what would be one in audit mode; `rule` is `file:line`. What passes is not
    /// counted: it has no rule.
    pub fn refusal(&self, index: &str, rule: &str, mode: Mode) {
        self.decisions
            .with_label_values(&[index, rule, "deny", mode.label()])
            .inc();
    }

    /// States which policies are in force. Counts of rules that are gone go with them, so that the
    /// labels stay as many as the rules.
    pub fn policies_changed(&self, generation: u64) {
        self.decisions.reset();
        self.generation
            .set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.reload_successful.set(1);
    }

    /// States that a reload found faults.
    pub fn reload_failed(&self) {
        self.reload_successful.set(0);
    }

    /// The counter of access lines left out.
    #[must_use]
    pub fn access_dropped(&self) -> IntCounter {
        self.lost.access.clone()
    }

    /// The counter of lines of the log left out.
    #[must_use]
    pub fn log_dropped(&self) -> IntCounter {
        self.lost.log.clone()
    }

    /// States whether records can be written.
    pub fn records_writable(&self, is_writable: bool) {
        self.records.writable.set(i64::from(is_writable));
    }

    /// States how many private files are kept though no record needs them.
    pub fn private_files_quarantined(&self, files: u64) {
        self.records
            .quarantined
            .set(i64::try_from(files).unwrap_or(i64::MAX));
    }

    /// The counter of audit events that could not be written.
    #[must_use]
    pub fn audit_failed(&self) -> IntCounter {
        self.lost.audit.clone()
    }
}

/// A client may send any word as its method; these are the ones told apart.
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

/// Makes a metric and registers it.
struct Declare<'a>(&'a Registry);

impl Declare<'_> {
    fn add<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, Error> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        self.add(IntCounter::with_opts(
            Opts::new(name, help).namespace(NAMESPACE),
        )?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        self.add(IntCounterVec::new(
            Opts::new(name, help).namespace(NAMESPACE),
            labels,
        )?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, Error> {
        self.add(IntGauge::with_opts(
            Opts::new(name, help).namespace(NAMESPACE),
        )?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
        self.add(IntGaugeVec::new(
            Opts::new(name, help).namespace(NAMESPACE),
            labels,
        )?)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec, Error> {
        let options = HistogramOpts::new(name, help).namespace(NAMESPACE);
        self.add(HistogramVec::new(
            options.buckets(BUCKETS.to_vec()),
            labels,
        )?)
    }
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
            ["cheesecloth_build_info{version=\"1.2.3\"} 1"]
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
