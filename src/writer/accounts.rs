//! Logins, users and indexes: requests to the devpi API, carried out and audited.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use crate::account::ROOT;
use crate::devpi::{ApiAnswer, Management, Refusal, RefusalStyle, login_credentials};
use crate::exchange::Reply;
use crate::gateway::NotInstalled;
use crate::model::IndexName;
use crate::protocol::Intent;
use crate::telemetry::AuditKind;
use crate::writer::caller::Caller;
use crate::writer::desk::{About, Writer};
use crate::writer::refusal::answered;

type Outcome = Result<Reply, Refusal>;

/// What is created, modified or deleted.
#[derive(Debug)]
pub enum Changed {
    /// `/user`
    User(String),
    /// `/user/index`
    Index(IndexName),
}

impl Writer {
    /// `POST /+login`.
    ///
    /// # Errors
    /// When it could not be carried out.
    pub async fn log_in(&self, mut caller: Caller, body: Bytes) -> Outcome {
        let sent = login_credentials(&body)?;
        let management = self.management();
        let outcome = management.log_in(&sent, caller.address, self.now()).await;
        let about = About {
            detail: Some(&sent.user),
            ..About::default()
        };
        match &outcome {
            Ok((_, who)) => {
                caller.principal = who.clone();
                self.account_for(AuditKind::Login, &caller, about);
            }
            Err(refusal) if refusal.status == StatusCode::BAD_REQUEST => {}
            Err(_) => self.account_for(AuditKind::LoginFailed, &caller, about),
        }
        Ok(answered(&outcome?.0))
    }

    /// `PUT`, `PATCH` or `DELETE` of a user or an index.
    ///
    /// # Errors
    /// When it could not be carried out.
    pub async fn change(
        &self,
        caller: Caller,
        intent: Intent,
        changed: Changed,
        body: Bytes,
    ) -> Outcome {
        let writer = self.clone();
        self.to_the_end(async move {
            let _turn = writer.generations.turn().await;
            let (management, by) = (writer.management(), caller.asking(writer.now()));
            let answer = match (intent, &changed) {
                (Intent::Create, Changed::User(name)) => {
                    management.create_user(by, name, &body).await
                }
                (Intent::Modify, Changed::User(name)) => {
                    management.modify_user(by, name, &body).await
                }
                (Intent::Delete, Changed::User(name)) => management.delete_user(by, name).await,
                (Intent::Create, Changed::Index(name)) => {
                    management.create_index(by, name, &body).await
                }
                (Intent::Modify, Changed::Index(name)) => {
                    management.modify_index(by, name, &body).await
                }
                (Intent::Delete, Changed::Index(name)) => management.delete_index(by, name).await,
            };
            let answer = answer?;
            let (method, keys) = (intent.method(), changed_keys(intent, &body));
            let (kind, index, detail) = match &changed {
                Changed::User(name) => (AuditKind::User, None, format!("{method} {name}{keys}")),
                Changed::Index(name) => (AuditKind::Index, Some(name), format!("{method}{keys}")),
            };
            let about = About {
                index,
                detail: Some(&detail),
                ..About::default()
            };
            writer.account_for(kind, &caller, about);
            if intent == Intent::Delete {
                writer.flows.garbage.suspect();
            }
            // Only the deletion of a user also removes indexes.
            if intent == Intent::Delete || index.is_some() {
                writer.follow().await?;
            }
            Ok(answered(&answer))
        })
        .await
    }

    /// The refusal of `PUT /user/index` when one of the two is not a valid name.
    pub fn misnamed_index(&self, user: &str, index: &str) -> Refusal {
        Management::bad_index_name(user, index).unwrap_or_else(Refusal::denied)
    }

    /// `POST /+reload`: reads the operator's files again.
    ///
    /// # Errors
    /// 403 for everyone but root; 422 with all faults, after which nothing has changed.
    pub async fn reload(&self, caller: Caller) -> Outcome {
        if !caller.principal.is(ROOT) || caller.principal.scope().is_some() {
            return Err(Refusal::denied());
        }
        let writer = self.clone();
        self.to_the_end(async move {
            let number = match writer.generations.reload().await {
                Ok(number) => number,
                Err(NotInstalled::Faults(faults)) => {
                    let status = StatusCode::UNPROCESSABLE_ENTITY;
                    return Err(Refusal::new(status, RefusalStyle::Api, faults));
                }
                Err(NotInstalled::Db(error)) => return Err(error.into()),
            };
            writer.account_for(AuditKind::Reload, &caller, About::default());
            let result = json!({ "generation": number });
            Ok(answered(&ApiAnswer::result("reload", result)))
        })
        .await
    }

    /// Puts the recorded indexes in force. They compiled a moment ago, so a fault here is a bug of ours.
    async fn follow(&self) -> Result<(), Refusal> {
        match self.generations.follow().await {
            Ok(_) => Ok(()),
            Err(NotInstalled::Db(error)) => Err(error.into()),
            Err(NotInstalled::Faults(faults)) => Err(Refusal::internal(
                "put the changed indexes in force",
                faults,
            )),
        }
    }
}

/// The keys that a change names, without their values: a password may be among them.
fn changed_keys(intent: Intent, body: &[u8]) -> String {
    let named: Vec<String> = match (intent, serde_json::from_slice(body)) {
        (Intent::Delete, _) | (_, Err(_)) => Vec::new(),
        (_, Ok(Value::Object(keys))) => keys.keys().cloned().collect(),
        (_, Ok(Value::Array(operations))) => {
            let operations = operations.iter().filter_map(Value::as_str);
            let keys = operations.map(|one| one.split(['=', '+', '-']).next().unwrap_or_default());
            keys.map(str::to_owned).collect()
        }
        (_, Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_))) => Vec::new(),
    };
    if named.is_empty() {
        return String::new();
    }
    format!(": {}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_by_its_keys_and_never_by_a_value() {
        let secret = r#"{"password": "s3cret", "email": "a@x.example"}"#;
        let operations = r#"["bases+=root/pypi", "title-=", "volatile=False"]"#;
        for (intent, body, expected) in [
            (Intent::Modify, secret, ": email, password"),
            (Intent::Create, operations, ": bases, title, volatile"),
            (Intent::Delete, secret, ""),
            (Intent::Create, "", ""),
            (Intent::Create, "5", ""),
        ] {
            assert_eq!(changed_keys(intent, body.as_bytes()), expected, "{body}");
        }
    }
}
