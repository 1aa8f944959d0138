//! Webhooks, told of what the audit log of a server writes.

use std::sync::Arc;

use anyhow::Context as _;

use crate::app::house::House;
use crate::app::streams::audit_log;
use crate::config::Config;
use crate::notify::{Notifier, NotifierParts};
use crate::telemetry::{AuditLog, Hearing};
use crate::upstream::install_crypto_provider;

/// The audit log, and those who are told of what it writes.
pub(super) struct Notices {
    pub(super) audit: Arc<AuditLog>,
    pub(super) notifier: Arc<Notifier>,
}

impl Notices {
    /// Opens the audit log, and tells the webhooks of the configuration from now on.
    pub(super) fn start(house: &House, config: &Config) -> anyhow::Result<Self> {
        install_crypto_provider();
        let clock = house.clock.clone();
        let notifier = Notifier::start(NotifierParts {
            limits: config.limits.notify.clone(),
            metrics: house.metrics.notify(),
            now: Arc::new(move || clock.now()),
        });
        let notifier = Arc::new(notifier.context("start to tell webhooks")?);
        notifier.adopt(&config.notify);
        let ear = Arc::clone(&notifier);
        let hearing: Hearing = Arc::new(move |event| ear.hear(event));
        let audit = audit_log(config, &house.metrics, Some(&hearing))?;
        Ok(Self { audit, notifier })
    }

    /// Writes down what is left, then tells of it.
    pub(super) fn stop(&self) {
        self.audit.stop();
        self.notifier.stop();
    }
}
