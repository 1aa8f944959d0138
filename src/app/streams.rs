//! The operator's streams, as configured.

use std::sync::Arc;

use anyhow::Context as _;
use prometheus::Registry;

use crate::config::{Config, LogStyle};
use crate::telemetry::{AccessLog, AuditLog, BUILD, Hearing, LogFormat, Metrics};

pub(super) fn metrics() -> anyhow::Result<Metrics> {
    Ok(Metrics::register(Registry::new(), BUILD.version)?)
}

pub(super) fn log_format(config: &Config, is_terminal: bool) -> LogFormat {
    match config.log {
        LogStyle::Auto => LogFormat::for_terminal(is_terminal),
        LogStyle::Text => LogFormat::Text,
        LogStyle::Json => LogFormat::Json,
    }
}

pub(super) fn audit_log(
    config: &Config,
    metrics: &Metrics,
    hearing: Option<&Hearing>,
) -> anyhow::Result<Arc<AuditLog>> {
    let data = &config.data;
    let log = AuditLog::open(data, &config.limits.audit, metrics.audit_failed(), hearing);
    let opened = log.with_context(|| format!("open the audit log in {}", data.display()));
    opened.map(Arc::new)
}

pub(super) fn access_log(log: LogFormat, metrics: &Metrics) -> anyhow::Result<Arc<AccessLog>> {
    let started = AccessLog::start(log, std::io::stderr(), metrics.access_dropped());
    started.map(Arc::new).context("start the access log")
}
