//! What a webhook reads of an event: rows that say how often something happened.

use std::sync::Arc;

use serde::Serialize;

use crate::model::{IndexName, NoticeKind, ProjectName, Timestamp};
use crate::telemetry::{AuditEvent, AuditKind, Label, as_text};

/// An event, and how often it happened. Who asked is not in it: a chat is not the place for addresses, and the
/// journal and the audit log have them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Notice {
    /// `denied`, `recall` or `feed_trouble`, as in the audit log.
    event: &'static str,
    count: u64,
    first: Timestamp,
    last: Timestamp,
    #[serde(flatten)]
    subject: Subject,
    /// Of several files of the release, the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Arc<str>>,
}

/// What tells one row from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub(super) struct Subject {
    #[serde(skip)]
    kind: NoticeKind,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    index: Option<IndexName>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    project: Option<ProjectName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Arc<str>>,
}

impl Notice {
    /// What is told of an event, if anything.
    pub(super) fn of(event: &AuditEvent) -> Option<Self> {
        let kind = match event.event {
            // What accounts may not do is refused without a rule, and no news for a chat.
            AuditKind::Denied if event.rule.is_some() => NoticeKind::Refusals,
            AuditKind::Recall => NoticeKind::Recalls,
            AuditKind::FeedTrouble => NoticeKind::Feeds,
            AuditKind::Denied
            | AuditKind::WouldDeny
            | AuditKind::Login
            | AuditKind::LoginFailed
            | AuditKind::Upload
            | AuditKind::Push
            | AuditKind::Delete
            | AuditKind::User
            | AuditKind::Index
            | AuditKind::Token
            | AuditKind::Import
            | AuditKind::Reload
            | AuditKind::Feed => return None,
        };
        Some(Self {
            event: event.event.label(),
            count: 1,
            first: event.time,
            last: event.time,
            subject: Subject {
                kind,
                index: event.index.clone(),
                project: event.project.clone(),
                version: event.version.clone(),
                rule: event.rule.clone(),
                detail: event.detail.clone(),
            },
            file: event.file.clone(),
            policy: event.policy.clone(),
            reason: event.reason.clone(),
        })
    }

    pub(super) fn kind(&self) -> NoticeKind {
        self.subject.kind
    }

    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// How many events it stands for.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Counts another one of the same.
    pub(super) fn repeat(&mut self, other: &Self) {
        self.count += other.count;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::notify) fn refusal(project: &str, version: &str, second: i64) -> Notice {
        let at = Timestamp::from_second(second).unwrap();
        let mut event = AuditEvent::new(at, AuditKind::Denied);
        event.client = Some("192.0.2.1".parse().unwrap());
        event.user = Some("me".into());
        event.index = Some(IndexName::parse("corp/all").unwrap());
        event.project = Some(ProjectName::parse(project).unwrap());
        event.version = Some(version.into());
        event.file = Some(format!("{project}-{version}.tar.gz").into());
        event.policy = Some("house".into());
        event.rule = Some("house/holes".into());
        event.reason = Some("ask the dairy".into());
        Notice::of(&event).unwrap()
    }

    #[test]
    fn a_row_says_what_happened_and_not_who_asked() {
        let text = serde_json::to_string(&refusal("six", "1.0", 0)).unwrap();
        insta::assert_snapshot!(text, @r#"{"event":"denied","count":1,"first":"1970-01-01T00:00:00Z","last":"1970-01-01T00:00:00Z","index":"corp/all","project":"six","version":"1.0","rule":"house/holes","file":"six-1.0.tar.gz","policy":"house","reason":"ask the dairy"}"#);
    }

    #[test]
    fn only_rules_recalls_and_troubled_feeds_are_told_of() {
        use crate::telemetry::LabelSet;
        for kind in AuditKind::ALL {
            let mut event = AuditEvent::new(Timestamp::UNIX_EPOCH, *kind);
            let without_a_rule = Notice::of(&event).map(|notice| notice.kind());
            event.rule = Some("house/holes".into());
            let with_one = Notice::of(&event).map(|notice| notice.kind());
            let (expected, without) = match kind {
                AuditKind::Denied => (Some(NoticeKind::Refusals), None),
                AuditKind::Recall => (Some(NoticeKind::Recalls), Some(NoticeKind::Recalls)),
                AuditKind::FeedTrouble => (Some(NoticeKind::Feeds), Some(NoticeKind::Feeds)),
                _ => (None, None),
            };
            assert_eq!((with_one, without_a_rule), (expected, without), "{kind:?}");
        }
    }
}
