//! What an audit event says.
//!
//! Its texts come from clients: they are shortened before the event waits for the disk, so that what is
//! kept of a request is bounded.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::model::{IndexName, ProjectName, Timestamp};
use crate::telemetry::cut::{NAME_MAX, REASON_MAX, shortened};
use crate::telemetry::instant;
use crate::telemetry::label::{AuditKind, Label};

/// One event. Absent fields are left out of the line.
#[derive(Debug, Clone, Serialize)]
pub struct AuditEvent {
    /// When.
    #[serde(serialize_with = "instant::serialize")]
    pub time: Timestamp,
    /// What.
    #[serde(serialize_with = "as_label")]
    pub event: AuditKind,
    /// The request that caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Arc<str>>,
    /// The client's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// Who, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    /// The token they used; absent for a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Arc<str>>,
    /// How they said who they are: `password`, `token`, `session`, `ldap` or `header`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub means: Option<&'static str>,
    /// The groups they were in, with commas between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Arc<str>>,
    /// The index.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub index: Option<IndexName>,
    /// The project.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub project: Option<ProjectName>,
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Arc<str>>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Arc<str>>,
    /// The policy that decided, or the key of an index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Arc<str>>,
    /// What the rule is called that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Arc<str>>,
    /// Why, in its words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    /// The rest, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Arc<str>>,
    /// How often the same happened again since it was first written down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) repeated: Option<u64>,
    /// When it was first written down.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "instant::serialize_some"
    )]
    pub(super) since: Option<Timestamp>,
}

impl AuditEvent {
    /// An event of which only time and kind are known so far.
    #[must_use]
    pub fn new(time: Timestamp, event: AuditKind) -> Self {
        Self {
            time,
            event,
            request_id: None,
            client: None,
            user: None,
            token: None,
            means: None,
            groups: None,
            index: None,
            project: None,
            file: None,
            version: None,
            policy: None,
            rule: None,
            reason: None,
            detail: None,
            repeated: None,
            since: None,
        }
    }

    /// Shortens texts that are too long to write down.
    pub(super) fn bound(&mut self) {
        for name in [
            &mut self.request_id,
            &mut self.user,
            &mut self.token,
            &mut self.file,
            &mut self.version,
            &mut self.policy,
        ] {
            shortened(name, NAME_MAX);
        }
        for sentence in [
            &mut self.groups,
            &mut self.rule,
            &mut self.reason,
            &mut self.detail,
        ] {
            shortened(sentence, REASON_MAX);
        }
    }
}

fn as_label<S: Serializer>(label: &impl Label, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(label.label())
}

/// For `serialize_with`: a value as its text, or nothing.
///
/// # Errors
/// Those of the serialiser.
pub fn as_text<S: Serializer>(
    value: &Option<impl std::fmt::Display>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_only_what_applies() {
        let mut event = AuditEvent::new(Timestamp::UNIX_EPOCH, AuditKind::Denied);
        event.project = Some(ProjectName::parse("six").unwrap());
        event.detail = Some("7".into());
        let text = serde_json::to_string(&event).unwrap();
        insta::assert_snapshot!(text, @r#"{"time":"1970-01-01T00:00:00.000Z","event":"denied","project":"six","detail":"7"}"#);
    }

    #[test]
    fn no_text_of_a_client_makes_an_event_long() {
        let long: Arc<str> = "é".repeat(1 << 19).into();
        let mut event = AuditEvent::new(Timestamp::UNIX_EPOCH, AuditKind::LoginFailed);
        for text in [
            &mut event.request_id,
            &mut event.user,
            &mut event.token,
            &mut event.groups,
            &mut event.file,
            &mut event.version,
            &mut event.policy,
            &mut event.rule,
            &mut event.reason,
            &mut event.detail,
        ] {
            *text = Some(Arc::clone(&long));
        }
        event.bound();
        let line = serde_json::to_string(&event).unwrap();
        assert!(line.len() < 6 << 10, "{}", line.len());
    }
}
