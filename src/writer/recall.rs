//! `POST /+recall`: calls something back, everywhere; root only.
//!
//! What is recalled is refused from before the answer on. Whatever else has to be done, or cannot be told,
//! stands in the answer and does not keep it back.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use crate::account::ROOT;
use crate::db::{Cause, Db, DbError, FileFacts, NewRecall, RecallMade};
use crate::devpi::{ApiAnswer, Refusal};
use crate::exchange::{Core, Reply};
use crate::gateway::{Flows, Purged};
use crate::model::{
    ProjectName, RECALL_REASON_MAX, Recall, RecallSubject, Recalled, Sha256, Timestamp,
};
use crate::protocol::RecallIntent;
use crate::telemetry::{AuditEvent, AuditKind};
use crate::writer::caller::Caller;
use crate::writer::desk::Writer;
use crate::writer::refusal::answered;

/// Tells who received what; the journal is the application's to ask.
#[async_trait]
pub trait Deliveries: fmt::Debug + Send + Sync {
    /// Everything that was delivered of this.
    async fn of(&self, subject: &RecallSubject) -> Delivered;
}

/// Who received something.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Delivered {
    /// The time of the oldest answer that is known; `None` if nothing is.
    #[serde(serialize_with = "if_any")]
    pub since: Option<Timestamp>,
    /// Who received which file, by the time.
    pub to: Vec<Delivery>,
    /// Deliveries beyond those.
    pub further: u64,
    /// What cannot be told, and why.
    pub unknown: Vec<String>,
    /// The digests of what was delivered.
    #[serde(skip)]
    pub digests: Vec<Sha256>,
}

/// One client and one file.
#[derive(Debug, Clone, Serialize)]
pub struct Delivery {
    /// The address, unless addresses are left out.
    pub client: Option<String>,
    /// The user, if they logged in.
    pub user: Option<String>,
    /// Their token.
    pub token: Option<String>,
    /// The index asked.
    pub index: String,
    /// The project.
    pub project: Option<String>,
    /// The version.
    pub version: Option<String>,
    /// The file.
    pub file: String,
    /// Its digest.
    pub sha256: Option<String>,
    /// When they first received it.
    #[serde(serialize_with = "as_text")]
    pub first: Timestamp,
    /// When they last did.
    #[serde(serialize_with = "as_text")]
    pub last: Timestamp,
    /// How often they did.
    pub times: u64,
}

/// What came of a recall.
#[derive(Debug)]
pub struct RecallReport {
    /// The recall.
    pub recall: Recall,
    /// Whether it was made just now.
    pub is_new: bool,
    /// The generation from which on it is in force; `None` where no server runs.
    pub generation: Option<u64>,
    /// Who received it.
    pub delivered: Delivered,
    /// What became of the bytes.
    pub purged: Purged,
}

impl RecallReport {
    /// As the management door and `--json` tell it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "recall": recall_as_json(&self.recall),
            "new": self.is_new,
            "generation": self.generation,
            "delivered": self.delivered,
            "purged": self.purged,
        })
    }
}

/// A recall as it is told.
#[must_use]
pub fn recall_as_json(recall: &Recall) -> Value {
    json!({
        "id": recall.id,
        "rule": recall.name(),
        "what": recall.subject.to_string(),
        "reason": recall.reason,
        "who": recall.who,
        "at": recall.at.to_string(),
        "keep": recall.is_kept,
    })
}

/// The event of a recall, or of its end.
#[must_use]
pub fn recall_event(recall: &Recall, verb: &str, now: Timestamp) -> AuditEvent {
    let mut event = AuditEvent::new(now, AuditKind::Recall);
    event.project = match &recall.subject {
        RecallSubject::Project(project) | RecallSubject::Releases(project, _) => {
            Some(project.clone())
        }
        RecallSubject::File(_) | RecallSubject::Sha256(_) => None,
    };
    event.file = match &recall.subject {
        RecallSubject::File(name) => Some(name.clone()),
        RecallSubject::Project(_) | RecallSubject::Releases(..) | RecallSubject::Sha256(_) => None,
    };
    event.rule = Some(recall.name());
    event.reason = Some(recall.reason.clone());
    event.detail = Some(format!("{verb} {}", recall.subject).into());
    event
}

/// Which recall somebody means: by its number or name, or by what was recalled.
#[must_use]
pub fn recall_meant<'a>(recalls: &'a [Recall], text: &str) -> Option<&'a Recall> {
    let text = text.trim();
    let number = text.strip_prefix("recall/").unwrap_or(text);
    let by_number = recalls.iter().find(|one| one.id.to_string() == number);
    by_number.or_else(|| {
        let subject = text.parse().ok()?;
        recalls.iter().find(|one| one.subject == subject)
    })
}

/// Records a recall. What fills the disk and can be fetched again gives way to it.
///
/// # Errors
/// When the records fail: nothing is recalled then.
pub async fn record_recall(
    (core, records): (&Core, &dyn Db),
    cause: &Cause,
    new: &NewRecall,
) -> Result<RecallMade, DbError> {
    match records.recall(cause, new).await {
        Err(DbError::Full { .. }) => {
            let (store, room) = (core.store.clone(), core.settings.limits.own.disk_reserve);
            let made = tokio::task::spawn_blocking(move || store.quota().keep_free(room)).await;
            if !matches!(made, Ok(Ok(()))) {
                tracing::error!("no room can be made on the disk for a recall");
            }
            records.recall(cause, new).await
        }
        made => made,
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToRecall {
    what: String,
    reason: String,
    #[serde(default)]
    keep: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToUndo {
    what: String,
}

impl Writer {
    /// `POST /+recall`, `/+recall/list` and `/+recall/undo`.
    ///
    /// # Errors
    /// 403 for everyone but root; 422 for what cannot be recalled or was not; 503 and 507 when the records
    /// fail, after which nothing has changed.
    pub async fn recall(
        &self,
        caller: Caller,
        intent: RecallIntent,
        body: Bytes,
    ) -> Result<Reply, Refusal> {
        if !caller.principal.is(ROOT) || caller.principal.scope().is_some() {
            return Err(Refusal::denied());
        }
        let writer = self.clone();
        self.to_the_end(async move {
            let result = match intent {
                RecallIntent::Make => writer.make_recall(&caller, &body).await?,
                RecallIntent::List => {
                    let recalls = writer.flows.core.records.recalls().await?;
                    Value::Array(recalls.iter().map(recall_as_json).collect())
                }
                RecallIntent::Undo => writer.undo_recall(&caller, &body).await?,
            };
            Ok(answered(&ApiAnswer::result("recall", result)))
        })
        .await
    }

    /// Keeps what was recalled from going elsewhere: a push copies what no rule on reading has seen.
    ///
    /// # Errors
    /// 403 with the words of the recall.
    pub fn refuse_recalled(
        &self,
        project: &ProjectName,
        version: &str,
        files: &[FileFacts],
    ) -> Result<(), Refusal> {
        let generation = self.flows.core.generation();
        for recall in generation.policies.recalls().all() {
            let is_covered = |file: &&FileFacts| {
                let (name, digest) = (&file.filename, Some(file.sha256));
                let covers = recall
                    .subject
                    .covers_named(project, Some(version), name, digest);
                covers != Recalled::No
            };
            if let Some(file) = files.iter().find(is_covered) {
                let (name, id, reason) = (&file.filename, recall.id, &recall.reason);
                let words = format!("{name} is refused by recall {id}: {reason}");
                return Err(Refusal::api(StatusCode::FORBIDDEN, words));
            }
        }
        Ok(())
    }

    async fn make_recall(&self, caller: &Caller, body: &[u8]) -> Result<Value, Refusal> {
        let asked: ToRecall = serde_json::from_slice(body).map_err(unreadable)?;
        let subject = asked.what.parse::<RecallSubject>().map_err(unreadable)?;
        let reason = recall_reason(&asked.reason).map_err(unreadable)?;
        let is_kept = asked.keep;
        let new = NewRecall {
            subject,
            reason,
            is_kept,
        };
        let cause = caller.cause(self.now());
        let turn = self.generations.turn().await;
        let core = &self.flows.core;
        let made = record_recall((core, &*core.records), &cause, &new).await?;
        let generation = self.generations.install_recalls().await?;
        drop(turn);
        let (recall, is_new) = match made {
            RecallMade::Made(recall) => (recall, true),
            RecallMade::Already(recall) => (recall, false),
        };
        if is_new {
            self.account_for_recall(caller, &recall, "recalled");
        }
        let delivered = self.deliveries.of(&recall.subject).await;
        let purged = self.flows.purge(&recall, &delivered.digests).await;
        let report = RecallReport {
            recall,
            is_new,
            generation: Some(generation),
            delivered,
            purged,
        };
        Ok(report.to_json())
    }

    async fn undo_recall(&self, caller: &Caller, body: &[u8]) -> Result<Value, Refusal> {
        let asked: ToUndo = serde_json::from_slice(body).map_err(unreadable)?;
        let turn = self.generations.turn().await;
        let records = &self.flows.core.records;
        let recalls = records.recalls().await?;
        let meant = recall_meant(&recalls, &asked.what);
        let meant = meant.ok_or_else(|| unreadable(not_recalled(&asked.what)))?;
        let cause = caller.cause(self.now());
        let withdrawn = records.withdraw_recall(&cause, meant.id).await?;
        let generation = self.generations.install_recalls().await?;
        drop(turn);
        let withdrawn = withdrawn.ok_or_else(|| unreadable(not_recalled(&asked.what)))?;
        self.account_for_recall(caller, &withdrawn, "no longer recalled:");
        Ok(json!({
            "undone": recall_as_json(&withdrawn),
            "generation": generation,
            "back": back_as_json(&self.flows, withdrawn.id).await,
        }))
    }

    fn account_for_recall(&self, caller: &Caller, recall: &Recall, verb: &str) {
        let mut event = recall_event(recall, verb, self.now());
        event.request_id = Some(caller.request_id.clone());
        event.client = Some(caller.address);
        event.user = caller.principal.name().map(Into::into);
        event.token.clone_from(&caller.token);
        self.audit.record(event);
    }
}

/// Puts back what was set aside, and says how much that was or why not.
pub async fn back_as_json(flows: &Flows, recall: u64) -> Value {
    match flows.bring_back(recall).await {
        Ok(files) => json!({ "files": files, "failed": null }),
        Err(error) => json!({ "files": 0, "failed": error }),
    }
}

/// The words for a recall that is not there.
#[must_use]
pub fn not_recalled(text: &str) -> String {
    format!("{text:?} is not recalled; `cheesecloth recall --list` shows what is")
}

/// A reason that can stand in answers.
///
/// # Errors
/// When there is none, or it is too long.
pub fn recall_reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(
            "a recall needs a reason: it is what people read whose installation stops".into(),
        );
    }
    if text.len() > RECALL_REASON_MAX {
        let length = text.len();
        return Err(format!(
            "the reason has {length} bytes, and {RECALL_REASON_MAX} are the most: name a page that says more"
        ));
    }
    Ok(text.to_owned())
}

fn unreadable(why: impl fmt::Display) -> Refusal {
    Refusal::api(StatusCode::UNPROCESSABLE_ENTITY, why)
}

fn as_text<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{at:.3}"))
}

fn if_any<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => as_text(at, serializer),
        None => serializer.serialize_none(),
    }
}
