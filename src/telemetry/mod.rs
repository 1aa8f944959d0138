//! Every metric and log field, declared once.
//!
//! Four streams for operators: metrics ([`Metrics`]), the program's own log ([`init_logging`]), one
//! line per request ([`AccessLog`]) and what must be accounted for ([`AuditLog`]). Only the logger
//! itself is global: code that counts is given the [`Metrics`].

mod access;
mod audit;
mod build;
mod cut;
mod declared;
mod depot;
mod devpi;
mod directory;
mod event;
mod feed;
mod gathered;
mod instant;
mod journal;
#[cfg(test)]
mod kept;
mod label;
mod labels;
mod line_writer;
mod logging;
mod lookups;
mod metrics;
mod notify;
mod refusals;
mod rotating;
mod torn;
mod waits;

pub use access::{AccessLine, AccessLog};
pub use audit::{AuditLog, Hearing};
pub use build::BUILD;
pub use cut::{AGENT_MAX, NAME_MAX, PATH_MAX, REASON_MAX, cut};
pub use depot::DepotMetrics;
pub use devpi::ServerMetrics;
pub use directory::DirectoryMetrics;
pub use event::{AuditEvent, as_text};
pub use feed::FeedMetrics;
pub use gathered::thread_number;
pub use journal::JournalMetrics;
pub use label::{
    AuditKind, CacheKind, Damage, DepotRequest, DepotResult, FeedResult, Label, LabelSet, LookUp,
    Mode, PostResult, ServerResult, Staleness, Tier, TurnedAway, UpstreamResult, WaitFor,
};
pub(crate) use labels::labels;
pub use logging::{LogFormat, init_logging};
pub use metrics::Metrics;
pub use notify::NotifyMetrics;
pub use waits::{HeldPermits, Permits, WaitMeter};
