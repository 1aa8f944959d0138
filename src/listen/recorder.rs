//! What is recorded about each request: one access line, two metrics, and what it delivered or refused.

use std::net::IpAddr;
use std::sync::Arc;

use http::{Method, StatusCode};
use tokio::time::Instant;

use crate::exchange::{Decision, Record, Reply};
use crate::journal::Journal;
use crate::listen::journalled::{answer_of, is_journalled};
use crate::listen::refusal::unavailable;
use crate::model::{DoorName, IndexName, ProjectName, Timestamp};
use crate::protocol::PublicRoute;
use crate::telemetry::{
    AGENT_MAX, AccessLine, AccessLog, AuditEvent, AuditKind, AuditLog, Label, Metrics, NAME_MAX,
    PATH_MAX, cut,
};

/// The clock, provided by the application.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Records the requests of one door.
#[derive(Clone)]
pub struct Recorder {
    /// The door.
    pub door: DoorName,
    /// Where requests are counted.
    pub metrics: Metrics,
    /// Where lines go.
    pub access: Arc<AccessLog>,
    /// Where refusals are accounted for.
    pub audit: Arc<AuditLog>,
    /// Where deliveries are noted, if anywhere.
    pub journal: Option<Arc<Journal>>,
    /// The clock.
    pub now: Now,
}

/// When a request's head was complete.
#[derive(Debug, Clone, Copy)]
pub struct Started {
    /// The instant, for people.
    pub time: Timestamp,
    /// The same, for measuring.
    pub at: Instant,
}

/// A finished request.
#[derive(Debug)]
pub struct Finished<'a> {
    /// When it began.
    pub started: Started,
    /// Its id.
    pub request_id: &'a str,
    /// The client; `None` for a Unix socket.
    pub client: Option<IpAddr>,
    /// Its method.
    pub method: &'a Method,
    /// Its path, without query.
    pub path: &'a str,
    /// The client's program.
    pub user_agent: Option<&'a str>,
    /// The status of the answer; `None` if the connection broke first.
    pub status: Option<StatusCode>,
    /// Bytes of content sent.
    pub bytes: u64,
    /// How it was answered.
    pub record: Record,
}

impl Recorder {
    /// Notes that a request begins now.
    #[must_use]
    pub fn start(&self) -> Started {
        Started {
            time: (self.now)(),
            at: Instant::now(),
        }
    }

    /// Records a request, unless it only asks about health, as probes do every few seconds.
    pub fn finish(&self, finished: Finished<'_>) {
        if self.door == DoorName::Metrics {
            return;
        }
        let duration = finished.started.at.elapsed();
        let record = &finished.record;
        if let Some(status) = finished.status {
            self.metrics
                .request(self.door, record.route, finished.method, status, duration);
        }
        if let Some(why) = record.cache.staleness() {
            self.metrics.stale_answer(record.route, why);
        }
        self.account(&finished, record);
        let method = match *finished.method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            ref other => cut(other.as_str(), NAME_MAX),
        };
        self.access.write(&AccessLine {
            time: finished.started.time,
            request_id: finished.request_id,
            door: self.door,
            client: finished.client,
            method,
            path: cut(finished.path, PATH_MAX),
            status: finished.status.map_or(0, |status| status.as_u16()),
            bytes: finished.bytes,
            duration,
            index: record.index.as_ref().map(IndexName::as_str),
            project: record.project.as_ref().map(ProjectName::as_str),
            file: record.file.as_deref().map(|file| cut(file, NAME_MAX)),
            cache: record.cache.label(),
            decision: record.decision.label(),
            rule: record.rule.as_deref().map(|ruled| &*ruled.rule),
            user_agent: finished.user_agent.map(|agent| cut(agent, AGENT_MAX)),
        });
        if let Some(journal) = &self.journal
            && let Some(answer) = answer_of(&finished, duration)
        {
            journal.note(&answer);
        }
    }

    /// Why a request is not answered: what it would deliver has to be journalled and cannot be.
    pub(super) fn unjournalled(&self, method: &Method, route: &PublicRoute) -> Option<Reply> {
        let words = self.journal.as_ref()?.refusal()?;
        is_journalled(method, route).then(|| unavailable(words))
    }

    /// A refusal, or a would-be one, is an audit event of its own.
    fn account(&self, finished: &Finished<'_>, record: &Record) {
        let kind = match record.decision {
            Decision::None | Decision::Allow => return,
            Decision::Audit => AuditKind::WouldDeny,
            Decision::Deny => AuditKind::Denied,
        };
        let mut event = AuditEvent::new(finished.started.time, kind);
        event.request_id = Some(finished.request_id.into());
        event.client = finished.client;
        event.index.clone_from(&record.index);
        event.project.clone_from(&record.project);
        event.file.clone_from(&record.file);
        if let Some(ruled) = record.rule.as_deref() {
            event.policy = Some(Arc::clone(&ruled.policy));
            event.rule = Some(Arc::clone(&ruled.rule));
            event.reason = Some(Arc::clone(&ruled.reason));
            event.version.clone_from(&ruled.version);
        }
        if let Some(attempt) = &record.attempt {
            event.user.clone_from(&attempt.user);
            event.token.clone_from(&attempt.token);
            event.detail.clone_from(&attempt.why);
        }
        self.audit.record(event);
    }
}
