//! Every metric with its name, its help text and its labels, in one table.

use prometheus::core::Collector;
use prometheus::{
    Error, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// Prefix of every name.
const NAMESPACE: &str = "cheesecloth";

/// Seconds. The low ones separate hits from misses, the high ones show a slow upstream and large files.
const BUCKETS: [f64; 13] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];

/// The type that a kind of declaration makes.
macro_rules! collector {
    (counter) => {
        IntCounter
    };
    (counters) => {
        IntCounterVec
    };
    (gauge) => {
        IntGauge
    };
    (gauges) => {
        IntGaugeVec
    };
    (histograms) => {
        HistogramVec
    };
}

/// Makes the fields and the code that registers them.
macro_rules! metrics {
    ($($name:ident: new.$kind:ident($($said:expr),+);)+) => {
        /// All metrics, registered once.
        #[derive(Debug)]
        pub(super) struct Declared { $(pub(super) $name: collector!($kind),)+ }

        impl Declared {
            /// Registers them.
            pub(super) fn register(registry: &Registry) -> Result<Self, Error> {
                let new = Declare(registry);
                Ok(Self { $($name: new.$kind($($said),+)?,)+ })
            }
        }
    };
}

metrics! {
    build: new.gauges("build_info", "Always 1; version, commit and date of the build are the labels.", &["version", "commit", "date"]);
    requests: new.counters("http_requests_total",
        "Requests answered, by door, kind of route, method and status code.", &["door", "route", "method", "code"]);
    request_seconds: new.histograms("http_request_duration_seconds",
        "Seconds from the end of a request's head to the end of its answer.", &["door", "route"]);
    connections: new.gauges("connections", "Open connections, by door.", &["door"]);
    connections_refused: new.counters("connections_refused_total",
        "Connections turned away or cut for breaking a limit, by door and limit.", &["door", "reason"]);
    look_ups: new.counters("cache_requests_total",
        "Look-ups in the caches, by tier, kind of content and result.", &["tier", "kind", "result"]);
    stale_answers: new.counters("stale_answers_total",
        "Answers that are not what their sources would say now, by kind of route and reason.", &["route", "reason"]);
    cache_bytes: new.gauges("cache_bytes", "Bytes held by the caches, by tier.", &["tier"]);
    upstream_requests: new.counters("upstream_requests_total",
        "Requests to upstreams, by mirror and result.", &["upstream", "result"]);
    upstream_seconds: new.histograms("upstream_request_duration_seconds",
        "Seconds until an upstream's answer was complete, by mirror.", &["upstream"]);
    fills: new.gauge("fill_inflight", "Files being fetched from upstreams now.");
    wait_seconds: new.histograms("wait_duration_seconds",
        "Seconds waited for a permit or a lock that was not free, by what was waited for.", &["what"]);
    server_up: new.gauges("devpi_up",
        "1 while a devpi-server behind the gateway is healthy, 0 otherwise.", &["server"]);
    server_inflight: new.gauges("devpi_requests_inflight", "Requests under way at a devpi-server.", &["server"]);
    server_breaker_open: new.gauges("devpi_breaker_open",
        "1 while a devpi-server is left alone because requests failed in a row.", &["server"]);
    server_requests: new.counters("devpi_requests_total",
        "Requests to a devpi-server, by how they went.", &["server", "result"]);
    decisions: new.counters("policy_decisions_total",
        "Decisions by the index that applies the rule, the rule's name and the mode of its policy.",
        &["index", "rule", "decision", "mode"]);
    generation: new.gauge("policy_generation", "Number of the policies in force.");
    reload_successful: new.gauge("config_last_reload_successful",
        "1 when the last reload was clean, 0 when faults kept the old generation.");
    access_dropped: new.counter("access_lines_dropped_total",
        "Access lines left out because their writer could not keep up.");
    log_dropped: new.counter("log_lines_dropped_total",
        "Lines of the log left out because their writer could not keep up.");
    audit_failed: new.counter("audit_events_failed_total",
        "Audit events that could not be written to the data directory.");
    journal_rows: new.counter("journal_rows_total",
        "Rows written to the journal of what was delivered and refused.");
    journal_lost: new.counter("journal_rows_lost_total",
        "Deliveries and refusals that are not in the journal because it could not be written in time.");
    journal_failures: new.counter("journal_failures_total",
        "Failed attempts to write to the journal.");
    journal_set_aside: new.counter("journal_set_aside_total",
        "Journal files that were damaged and set aside.");
    journal_writable: new.gauge("journal_writable",
        "1 while the journal can be written, 0 while its disk is full or fails.");
    journal_bytes: new.gauge("journal_bytes", "Bytes that the journal takes on the disk.");
    journal_oldest_age: new.gauge("journal_oldest_age_seconds",
        "Seconds since the oldest answer in the journal; 0 for an empty one.");
    damage: new.counters("store_damage_total",
        "Kept files found damaged or unreadable, by whose they are.", &["kind"]);
    damaged_files: new.gauge("store_damaged_files",
        "Uploaded files known to be damaged, missing or unreadable: they are answered with 500 until they are uploaded again.");
    verified_bytes: new.counter("store_verified_bytes_total",
        "Bytes of kept files read again in the background, to see whether they are what they were.");
    verified_rounds: new.counter("store_verified_rounds_total",
        "How often everything that is kept was read again.");
    records_writable: new.gauge("records_writable",
        "1 while records can be written, 0 while their disk is full or fails.");
    depot_reachable: new.gauge("depot_reachable",
        "1 while the depot answers as it should, 0 while it does not; 1 without a depot.");
    depot_requests: new.counters("depot_requests_total",
        "Requests to the depot, by what was asked and how it went.", &["request", "result"]);
    directory_reachable: new.gauge("directory_reachable",
        "1 while the directory of users answers as it should, 0 while it does not, as of the last question; 1 without a directory.");
    feed_age: new.gauges("advisory_feed_age_seconds",
        "Seconds since the source of a feed of advisories last confirmed what is held; -1 while nothing is.", &["feed"]);
    feed_stale: new.gauges("advisory_feed_stale",
        "1 while a feed of advisories is older than its max_age or was never loaded, 0 otherwise.", &["feed"]);
    feed_entries: new.gauges("advisory_feed_entries",
        "Advisories about Python that are held of a feed.", &["feed"]);
    feed_fetches: new.counters("advisory_feed_fetches_total",
        "Attempts to fetch a feed of advisories, by how they went.", &["feed", "result"]);
    notify_posts: new.counters("notify_posts_total",
        "Posts to webhooks, by host and how they went.", &["webhook", "result"]);
    notify_dropped: new.counters("notify_events_dropped_total",
        "Events that a webhook is not told of: too many waited, it refused them, or could not be reached in time.", &["webhook"]);
    notify_waiting: new.gauges("notify_events_waiting",
        "Different events that wait for a webhook.", &["webhook"]);
    quarantined: new.gauge("private_files_quarantined",
        "Private files without a record, kept because records and files do not belong together.");
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
